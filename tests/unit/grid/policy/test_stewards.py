"""Who sees the decision log, and which reads are in it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from grid import app
from grid.app import Zone
from grid.catalog import journal
from grid.cli import main as beamgrid
from grid.errors import CatalogBusy, ConfigurationError, NotPrivileged
from grid.namespace import AccessChange, WriteRequest
from grid.policy import bundles
from grid.policy.desk import PolicyDesk
from grid.policy.services import MicroserviceHost
from grid.policy.stewards import Stewards
from tests.conftest import make_zone

HOME = "/tempZone/home/rods"
POLICY = f"""policy my.test version 1
code NO kind refused "no"
location raw = "{HOME}/raw/{{visit}}/**"
rule "nothing large" id small before object create at raw when object.expected_size > 3 B {{ refuse "too large" code NO }}
"""
SETTINGS = f"""
audit = ["{HOME}/raw/**"]
record_one_read_in = 3
stewards = {{ guides = ["{HOME}/raw/v1/**"] }}
"""


@pytest.fixture
def watched(tmp_path: Path, catalog_url: str) -> Iterator[Zone]:
    """A zone with an audited location, a group of stewards, and three objects."""
    folder = tmp_path / "zone"
    make_zone(folder, catalog_url)
    (folder / "zone.toml").write_text((folder / "zone.toml").read_text() + SETTINGS)
    zone = app.open_zone(folder, role="test")
    rods = zone.namespace.users.caller("rods", "tempZone")
    space = zone.namespace
    for name in ("anna", "berit"):
        space.users.add(rods, name, "rodsuser")
    space.users.add(rods, "guides", "rodsgroup")
    space.users.change_members(rods, "guides", "add", "anna")
    for path in ("raw/v1/a", "raw/v2/a", "free/a"):
        space.collections.create(rods, f"{HOME}/{path.rpartition('/')[0]}", parents=True)
        space.objects.put(rods, f"{HOME}/{path}", b"x", WriteRequest(size_bytes=1))
        space.access.change(rods, f"{HOME}/{path}", AccessChange("berit", "", "read"))
    yield zone
    zone.close()


def asking(zone: Zone, stewards: Stewards) -> MicroserviceHost:
    """What clients' questions are put to."""
    return MicroserviceHost(zone.namespace, PolicyDesk(zone.namespace, zone.policy, stewards))


def recorded(zone: Zone, **options) -> list[tuple[str, str, str]]:
    with zone.database.read() as tx:
        found = journal.recent_decisions(tx, limit=100, **options)
    return [(one.event, one.subject.removeprefix(f"{HOME}/"), one.actor) for one in reversed(found)]


def read(zone: Zone, name: str, path: str) -> None:
    caller = zone.namespace.users.caller(name, "tempZone")
    zone.namespace.objects.open_for_reading(caller, f"{HOME}/{path}").file.close()


def test_reads_in_audited_locations_are_all_on_record_and_others_sampled(watched: Zone) -> None:
    for _ in range(2):
        read(watched, "berit", "raw/v1/a")
    for _ in range(4):
        read(watched, "berit", "free/a")
    assert recorded(watched, path=f"{HOME}/raw") == [("object read", "raw/v1/a", "berit#tempZone")] * 2
    assert recorded(watched, path=f"{HOME}/free") == [("object read", "free/a", "berit#tempZone")] * 2
    assert recorded(watched, actor="rods#tempZone") == []


def test_no_byte_of_an_audited_location_leaves_without_its_record(watched: Zone, monkeypatch) -> None:
    def full(*_: object) -> int:
        raise CatalogBusy("the disk of the catalog is full")

    monkeypatch.setattr(journal, "record_decision", full)
    with pytest.raises(CatalogBusy):
        read(watched, "berit", "raw/v1/a")
    for _ in range(3):
        read(watched, "berit", "free/a")  # a sample that cannot be written is no reason to refuse


def test_stewards_see_their_locations_and_no_others(watched: Zone) -> None:
    for path in ("raw/v1/a", "raw/v2/a"):
        read(watched, "berit", path)
    desk = asking(watched, Stewards(watched.settings.stewards))
    anna = watched.namespace.users.caller("anna", "tempZone")
    berit = watched.namespace.users.caller("berit", "tempZone")
    rods = watched.namespace.users.caller("rods", "tempZone")
    assert [one["subject"] for one in desk.call(anna, "decisions", {})] == [f"{HOME}/raw/v1/a"]
    assert len(desk.call(rods, "decisions", {})) == 2
    with pytest.raises(NotPrivileged):
        desk.call(berit, "decisions", {})
    asked = {"event": "object read", "path": f"{HOME}/raw/v1/a", "user": "berit"}
    assert desk.call(anna, "explain_event", asked)["actor"] == "berit#tempZone"
    with pytest.raises(NotPrivileged):
        desk.call(anna, "explain_event", {**asked, "path": f"{HOME}/raw/v2/a"})
    with pytest.raises(NotPrivileged):
        desk.call(berit, "explain_event", {**asked, "user": "anna"})


def test_stewards_see_the_jobs_of_their_locations(watched: Zone) -> None:
    text = (
        POLICY
        + 'rule "later" id later after object close at raw { schedule "later" key object.id { note object.name } }\n'
    )
    bundles.activate(watched.database, "tempZone", {"p.policy": text}, origin="pushed")
    watched.policy.refresh()
    rods = watched.namespace.users.caller("rods", "tempZone")
    for path in ("raw/v1/day one", "raw/v2"):
        watched.namespace.collections.create(rods, f"{HOME}/{path}", parents=True)
        watched.namespace.objects.put(rods, f"{HOME}/{path}/b c", b"x", WriteRequest(size_bytes=1))
    desk = asking(watched, Stewards((("guides", [f"{HOME}/raw/v1/day one/**"]),)))
    for name, count in (("rods", 2), ("anna", 1)):
        caller = watched.namespace.users.caller(name, "tempZone")
        assert len(desk.call(caller, "jobs_list", {"all": True})) == count, name
    with pytest.raises(NotPrivileged):
        desk.call(watched.namespace.users.caller("berit", "tempZone"), "jobs_list", {"all": True})


def test_what_others_did_has_no_name_for_who_does_not_look_after_it(watched: Zone) -> None:
    read(watched, "rods", "raw/v1/a")
    read(watched, "berit", "raw/v1/a")
    desk = asking(watched, Stewards(watched.settings.stewards))

    def actors(name: str) -> list[str]:
        caller = watched.namespace.users.caller(name, "tempZone")
        found = desk.call(caller, "explain_object", {"path": f"{HOME}/raw/v1/a"})
        return [decision["actor"] for decision in found["touched_by"]]

    assert actors("berit") == ["berit#tempZone", "another user"]
    assert actors("rods") == ["berit#tempZone", "rods#tempZone"]


def test_a_policy_of_stewards_acts_where_they_look_after(watched: Zone, tmp_path: Path, capsys) -> None:
    folder, file = str(watched.folder), tmp_path / "p.policy"
    file.write_text(POLICY)
    assert beamgrid.main(["policy", "push", folder, str(file), "--stewards", "guides"]) == 1
    assert "was granted `/tempZone/home/rods/raw/v1/**`" in capsys.readouterr().err
    assert beamgrid.main(["policy", "push", folder, str(file), "--stewards", "nobody"]) == 1
    assert "`nobody` is not among the `stewards` of the settings (guides)" in capsys.readouterr().err
    file.write_text(POLICY.replace("raw/{visit}/**", "raw/v1/**"))
    assert beamgrid.main(["policy", "push", folder, str(file), "--stewards", "guides"]) == 0


def test_the_log_at_the_command_line(watched: Zone, capsys) -> None:
    read(watched, "berit", "raw/v1/a")
    folder = str(watched.folder)
    assert beamgrid.main(["policy", "log", folder, "--path", f"{HOME}/raw", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["event"], one["actor"], one["decision"]) == ("object read", "berit#tempZone", "allowed")
    assert beamgrid.main(["policy", "log", folder, "--refused"]) == 0
    assert "nothing of that is on record" in capsys.readouterr().out


def test_a_location_that_is_none_is_said_at_the_start(tmp_path: Path) -> None:
    make_zone(tmp_path / "zone")
    settings = tmp_path / "zone/zone.toml"
    settings.write_text(settings.read_text() + '\naudit = ["raw/**"]\n')
    with pytest.raises(ConfigurationError, match=r"the setting `audit`: `raw/.*` is not absolute"):
        app.open_zone(tmp_path / "zone")
