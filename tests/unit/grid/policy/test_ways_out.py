"""Three ways out of a location: by renaming, by removing, by copying; for rules that refuse and for promises."""

from pathlib import Path

import pytest

from grid.app import Zone
from grid.errors import AccessDenied, PolicyDenied
from grid.namespace import WriteRequest

HOME = "/tempZone/home/rods"
KINDS = {
    "write": 'rule "w" id r before object write at raw { refuse "write-once" code NO }',
    "delete": 'rule "d" id r before object delete at raw { refuse "kept" code NO }',
    "read": 'rule "r" id r before object read at raw unless actor = "rods" { refuse "not yours" code NO }',
    "metadata": 'rule "m" id r before metadata change at raw { require false else "fixed" code NO }',
    "keep": 'keep "k" id r at raw { 1 copy on medium != tape }',
}


def zone_with(zone: Zone, rule: str, more: str = "") -> Zone:
    text = f'policy ways.out version 1\ncode NO kind refused "no"\nlocation raw = "{HOME}/raw/**"\n{rule}\n{more}\n'
    (zone.folder / "p.policy").write_text(text)
    rods = zone.namespace.users.caller("rods", "tempZone")
    zone.namespace.collections.create(rods, f"{HOME}/raw/in", parents=True)
    zone.namespace.collections.create(rods, f"{HOME}/free")
    zone.namespace.objects.put(rods, f"{HOME}/raw/in/a", b"x", WriteRequest())
    zone.namespace.finisher.finish()
    zone.policy.load_file(zone.folder, "p.policy")
    zone.policy.refresh()
    return zone


@pytest.mark.parametrize("kind", KINDS)
def test_renaming_out_needs_a_rule_that_allows_it(zone: Zone, rods, kind: str) -> None:
    zone_with(zone, KINDS[kind])
    for source, target in (
        (f"{HOME}/raw/in/a", f"{HOME}/free/a"),
        (f"{HOME}/raw/in", f"{HOME}/free/in"),
        (f"{HOME}/raw", f"{HOME}/gone"),
    ):
        with pytest.raises(PolicyDenied, match="may not be moved out of the location") as caught:
            zone.namespace.moves.rename(rods, source, target)
        assert (caught.value.code, caught.value.rule) == ("LEAVES_LOCATION", "ways.out/r")
    zone.namespace.moves.rename(rods, f"{HOME}/raw/in/a", f"{HOME}/raw/b")


@pytest.mark.parametrize("kind", KINDS)
def test_a_rule_may_allow_it(zone: Zone, rods, kind: str) -> None:
    allow = 'rule "may go" id go before object rename at raw when actor = "rods" { allow }'
    zone_with(zone, KINDS[kind], allow)
    zone.namespace.moves.rename(rods, f"{HOME}/raw/in/a", f"{HOME}/free/a")
    assert zone.namespace.objects.stat(rods, f"{HOME}/free/a").size_bytes == 1


@pytest.mark.parametrize("kind", KINDS)
def test_in_the_trash_things_keep_their_rules(zone: Zone, rods, kind: str) -> None:
    zone_with(zone, KINDS[kind])
    zone.namespace.moves.unlink(rods, f"{HOME}/raw/in/a")
    there = "/tempZone/trash/home/rods/raw/in/a"
    assert zone.namespace.objects.stat(rods, there).size_bytes == 1
    if kind == "delete":
        with pytest.raises(PolicyDenied, match="kept"):
            zone.namespace.moves.unlink(rods, there, force=True)
        with pytest.raises(AccessDenied):
            zone.namespace.moves.remove_collection(
                rods, "/tempZone/trash/home/rods/raw", recursive=True, force=True
            )
    with pytest.raises(PolicyDenied, match="may not be moved out"):
        zone.namespace.moves.rename(rods, there, f"{HOME}/free/a")
    zone.namespace.moves.rename(rods, there, f"{HOME}/raw/in/a")


def test_a_collection_in_the_trash_keeps_the_rules_of_what_it_holds(zone: Zone, rods) -> None:
    zone_with(zone, KINDS["delete"])
    zone.namespace.moves.remove_collection(rods, f"{HOME}/raw", recursive=True)
    with pytest.raises(PolicyDenied, match="kept"):
        zone.namespace.moves.unlink(rods, "/tempZone/trash/home/rods/raw/in/a", force=True)


@pytest.mark.parametrize("kind", KINDS)
def test_copying_out_asks_where_reading_is_decided(zone: Zone, rods, kind: str) -> None:
    zone_with(zone, KINDS[kind])
    if kind == "read":
        with pytest.raises(PolicyDenied, match="may not be copied out of"):
            zone.namespace.replicas.copy(
                rods, f"{HOME}/raw/in/a", f"{HOME}/free/a", WriteRequest(), force=False
            )
    else:
        zone.namespace.replicas.copy(rods, f"{HOME}/raw/in/a", f"{HOME}/free/a", WriteRequest(), force=False)


def test_replicas_that_satisfy_a_promise_are_not_trimmed(zone: Zone, rods, tmp_path: Path) -> None:
    from grid.namespace import TrimRequest
    from grid.policy.keeping import Keeper

    zone_with(zone, 'keep "two" id r at raw { 1 copy on medium = disk\n 1 copy on medium = tape }')
    administration = zone.namespace.administration
    administration.modify_resource(rods, "demoResc", "medium", "disk")
    keeper = Keeper(zone.database, zone.namespace, zone.policy)
    found = zone.namespace.objects.stat(rods, f"{HOME}/raw/in/a")
    (state,) = keeper.reconcile(found.id, zone.policy.bundle.current)
    assert state.reasons == ["1 copy on medium = tape: no resource is of this kind (medium = tape)"]
    administration.add_resource(rods, "tape1", "unixfilesystem", f"localhost:{tmp_path}/tape")
    administration.modify_resource(rods, "tape1", "medium", "tape")
    keeper.reconcile(found.id, zone.policy.bundle.current)
    (state,) = keeper.reconcile(found.id, zone.policy.bundle.current)
    assert (state.reasons, state.held) == ([], {0, 1})
    for number in (0, 1):
        with pytest.raises(AccessDenied, match=r"ways.out/r promises to keep"):
            zone.namespace.replicas.trim(rods, f"{HOME}/raw/in/a", TrimRequest(replica_number=number))
