"""Policies of several owners in one bundle: each pushes and rolls back its own files, within its own locations."""

from pathlib import Path

import pytest

from grid.app import Zone
from grid.catalog import bundles as rows
from grid.cli import main as beamgrid
from grid.errors import InvalidArgument, NotPrivileged, PolicyDenied
from grid.namespace import WriteRequest
from grid.policy import bundles, pushing
from grid.policy.desk import PolicyDesk
from grid.policy.grants import EVERYWHERE, BundleError, Reach
from grid.policy.services import MicroserviceHost
from grid.policy.stewards import Stewards

HOME = "/tempZone/home/rods"
ZONE_WIDE = (
    "policy zone.wide version 1\n"
    f'code NO kind refused "no"\nlocation all = "{HOME}/**"\n'
    'rule "nothing huge" id huge before object create at all when object.expected_size > 5 B { refuse "huge" code NO }\n'
    'test "a huge one is refused" { when anna does object create "/tempZone/home/rods/a" { size: 9 B }'
    " then refused with NO }\n"
)
GUIDES = Reach((f"{HOME}/v1/**",), "guides")
OTHERS = Reach((f"{HOME}/v2/**",), "others")


def of(name: str, place: str, statement: str = 'refuse "large" code NO', at_least: int = 3) -> str:
    return (
        f'policy {name}.rules version 1\ncode NO kind refused "no"\nlocation here = "{HOME}/{place}/**"\n'
        f'rule "nothing large" id large before object create at here when object.expected_size > {at_least} B {{ {statement} }}\n'
    )


def push(zone: Zone, files: dict[str, str], reach: Reach = EVERYWHERE) -> int:
    generation = pushing.push(zone.database, "tempZone", files, reach, pusher="me")
    zone.policy.refresh()
    return generation


def refused(zone: Zone, rods, path: str, size: int) -> str:
    """The sentence that a put is refused with; empty when it is not."""
    zone.namespace.collections.create(rods, f"{HOME}/{path.rpartition('/')[0]}", parents=True)
    try:
        zone.namespace.objects.put(rods, f"{HOME}/{path}", b"x" * size, WriteRequest(size_bytes=size))
    except PolicyDenied as error:
        return str(error)
    return ""


@pytest.fixture
def pushed(zone: Zone) -> Zone:
    push(zone, {"zone.policy": ZONE_WIDE})
    push(zone, {"guides.policy": of("guides", "v1")}, GUIDES)
    push(zone, {"others.policy": of("others", "v2")}, OTHERS)
    return zone


def test_each_owner_replaces_only_what_is_its_own(pushed: Zone, rods) -> None:
    assert [refused(pushed, rods, p, 4) for p in ("v1/a", "v2/a", "v3/a")] == ["large", "large", ""]
    assert refused(pushed, rods, "v3/b", 9) == "huge"
    push(pushed, {"guides.policy": of("guides", "v1", at_least=4)}, GUIDES)
    assert [refused(pushed, rods, p, 4) for p in ("v1/a", "v2/a")] == ["", "large"]
    push(pushed, {}, OTHERS)
    assert refused(pushed, rods, "v2/a", 4) == ""
    push(pushed, {"other_name.policy": ZONE_WIDE.replace("5 B", "6 B")})
    assert [refused(pushed, rods, p, 6) for p in ("v1/b", "v3/c")] == ["large", ""]


def test_going_back_alone_leaves_the_others(pushed: Zone, rods) -> None:
    push(pushed, {"guides.policy": of("guides", "v1", at_least=4)}, GUIDES)
    push(pushed, {"others.policy": of("others", "v2", at_least=4)}, OTHERS)
    pushing.roll_back(pushed.database, "tempZone", pusher="me", reach=GUIDES)
    pushed.policy.refresh()
    assert [refused(pushed, rods, p, 4) for p in ("v1/a", "v2/a")] == ["large", ""]
    pushing.roll_back(pushed.database, "tempZone", pusher="me", to=1)
    pushed.policy.refresh()
    assert refused(pushed, rods, "v1/a", 4) == ""
    with pytest.raises(BundleError, match="there is no generation 77 to go back to"):
        pushing.roll_back(pushed.database, "tempZone", pusher="me", to=77)


@pytest.mark.parametrize(("file", "text", "message"), [
    ("g.policy", of("guides", "v2"), r"`nothing large` applies at `/tempZone/home/rods/v2/\*\*`; `guides.rules` was granted"),
    ("zone.policy", of("guides", "v1"), "there is a file `zone.policy` of the administrators in the bundle"),
    ("others.policy", of("guides", "v1"), "there is a file `others.policy` of others in the bundle"),
    ("g.policy", of("others", "v1"), "E110: `others.policy` holds a policy `others.rules` already"),
    ("g.policy", of("guides", "v1") + 'metadata "title": Int on Object\n', "which binds the whole zone"),
    ("g.policy", of("guides", "v1") + 'rule "any" id any before query run { refuse "no" code NO }\n', "applies everywhere"),
    ("g.policy", of("guides", "v1") + 'test "none" { when anna does object create'
     ' "/tempZone/home/rods/v1/a" { size: 9 B } then allowed }\n', "g.policy:5: test `none`"),
])  # fmt: skip
def test_what_stewards_may_not_push_changes_nothing(pushed: Zone, file: str, text: str, message: str) -> None:
    with pushed.database.read() as tx:
        before = rows.active_generation(tx)
    with pytest.raises((BundleError, pushing.TestsFail), match=message):
        push(pushed, {file: text}, GUIDES)
    with pushed.database.read() as tx:
        assert rows.active_generation(tx) == before


def test_files_that_contradict_each_other_are_said(pushed: Zone) -> None:
    head = 'location here = "/tempZone/home/rods/v1/**"\n'
    setting = 'rule "{0}" id r before object create at here {{ set replica.resource to "{0}" }}\n'
    one = "policy one.rules version 1\n" + head + setting.format("buffer")
    two = "policy two.rules version 1\n" + head + setting.format("disk")
    _, _, found = bundles.examined({"one.policy": one, "two.policy": two}, "tempZone")
    ((source, finding),) = found
    assert (source.name, finding.id, finding.span.line) == ("two.policy", "E510", 3)
    assert "`buffer` of `one.rules` and `disk` both set" in finding.message
    keeps = 'keep "{0}" id k at here {{ {1} }}\n'
    wanted = "policy one.rules version 1\n" + head + keeps.format("abroad", "1 copy on zone = esrf")
    forbidden = "policy two.rules version 1\n" + head + keeps.format("home", "no copies on not zone = home")
    push(pushed, {"one.policy": wanted}, GUIDES)
    with pytest.raises(
        BundleError, match=r"E511: `abroad` of `one\.rules` wants 1 copy on zone = esrf, which `home`"
    ):
        push(pushed, {"two.policy": forbidden})


def test_the_tests_that_were_run_stay_with_the_bundle(pushed: Zone, capsys) -> None:
    with pushed.database.read() as tx:
        reports = rows.test_reports(tx, rows.active_generation(tx))
    (one,) = reports["zone.policy"]["tests"]
    assert (one["title"], one["passed"]) == ("a huge one is refused", True)
    assert reports["zone.policy"]["coverage"]["rules"] == {"reached": 1, "of": 1}
    assert beamgrid.main(["policy", "status", str(pushed.folder)]) == 0
    shown = capsys.readouterr().out
    assert "zone.policy: 1 of 1 tests passed when it was pushed, reaching 1 of 1 rules" in shown
    assert "guides.policy of guides may act /tempZone/home/rods/v1/**" in shown


def test_two_who_push_at_once_do_not_undo_each_other(pushed: Zone, monkeypatch) -> None:
    run = pushing.test_reports

    def meanwhile(sources):
        monkeypatch.setattr(pushing, "test_reports", run)
        push(pushed, {"others.policy": of("others", "v2", at_least=4)}, OTHERS)
        return run(sources)

    monkeypatch.setattr(pushing, "test_reports", meanwhile)
    with pytest.raises(BundleError, match="another bundle was activated meanwhile"):
        push(pushed, {"guides.policy": of("guides", "v1", at_least=4)}, GUIDES)
    with pushed.database.read() as tx:
        active = rows.bundle(tx, rows.active_generation(tx))
    assert active is not None
    assert "> 4 B" in active.sources["others.policy"]


def test_a_checked_form_of_another_version_is_written_anew_at_the_start(pushed: Zone, tmp_path: Path) -> None:
    with pushed.database.write() as tx:
        generation = rows.active_generation(tx)
        whole = rows.checked_form(tx, generation)
        rows.store_checked_form(tx, generation, "of another version")
    pushed.policy.load_file(tmp_path, "")
    with pushed.database.read() as tx:
        assert rows.checked_form(tx, generation) == whole


def test_members_push_for_their_group_and_nobody_else(pushed: Zone, rods) -> None:
    space = pushed.namespace
    for name in ("anna", "berit"):
        space.users.add(rods, name, "rodsuser")
    space.users.add(rods, "guides", "rodsgroup")
    space.users.change_members(rods, "guides", "add", "anna")
    stewards = Stewards((("guides", GUIDES.locations or ()), ("others", OTHERS.locations or ())))
    desk = MicroserviceHost(space, PolicyDesk(space, pushed.policy, stewards))
    anna, berit = (space.users.caller(name, "tempZone") for name in ("anna", "berit"))
    mild = {"guides.policy": of("guides", "v1", at_least=4)}
    for caller, group in ((berit, "guides"), (anna, "others"), (anna, "")):
        with pytest.raises(NotPrivileged):
            desk.call(caller, "policy_push", {"stewards": group, "files": mild})
        with pytest.raises(NotPrivileged):
            desk.call(caller, "policy_files", {"stewards": group})
    assert list(desk.call(anna, "policy_files", {"stewards": "guides"})["files"]) == ["guides.policy"]
    desk.call(anna, "policy_push", {"stewards": "guides", "files": mild})
    pushed.policy.refresh()
    assert refused(pushed, rods, "v1/a", 4) == ""
    desk.call(anna, "policy_rollback", {"stewards": "guides"})
    pushed.policy.refresh()
    assert refused(pushed, rods, "v1/b", 4) == "large"
    for files in (
        {"../x.policy": ""},
        {"a.policy": 7},
        {"a.policy": "x" * (1 << 21)},
        {"a.policy": "policy"},
    ):
        with pytest.raises(InvalidArgument):
            desk.call(anna, "policy_push", {"stewards": "guides", "files": files})
