"""Folders of vaults get the group and mode that policy sets; what the server may not do is on record."""

import os
import stat
from pathlib import Path

import pytest

from grid.app import Zone
from grid.errors import AccessDenied, InvalidArgument, NotFound
from grid.namespace import WriteRequest
from resources.disk import DiskDriver

HOME = "/tempZone/home/rods"
GID = 54321
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to any group")


def facts(path: Path) -> tuple[int, int]:
    found = path.stat()
    return stat.S_IMODE(found.st_mode), found.st_gid


@pytest.fixture
def visit(zone: Zone, rods) -> Zone:
    space = zone.namespace
    space.users.add(rods, "p1-group", "rodsgroup")
    space.users.modify(rods, "p1-group", "posix_gid", str(GID))
    space.collections.create(rods, f"{HOME}/visit")
    return zone


@as_root
def test_a_visits_folder_passes_its_group_and_mode_on(visit: Zone, rods) -> None:
    space, vault = visit.namespace, visit.folder / "vault/home/rods"
    assert space.posix.set(rods, f"{HOME}/visit", "2770", "p1-group") == []
    assert facts(vault / "visit") == (0o2770, GID)
    space.collections.create(rods, f"{HOME}/visit/raw/run1", parents=True)
    space.objects.put(rods, f"{HOME}/visit/raw/run1/a", b"x", WriteRequest())
    space.finisher.finish()
    assert facts(vault / "visit/raw/run1") == (0o2770, GID)
    assert facts(vault / "visit/raw/run1/a") == (0o640, GID)
    space.moves.rename(rods, f"{HOME}/visit", f"{HOME}/moved")
    space.finisher.finish()
    assert facts(vault / "moved") == (0o2770, GID)
    assert space.posix.drifted() == []


def test_what_the_server_may_not_change_is_drift(visit: Zone, rods, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "fchown", denied)
    (told,) = visit.namespace.posix.set(rods, f"{HOME}/visit", "2750", "p1-group")
    assert told.startswith("demoResc: mode 2750, group ")
    assert told.endswith("; this server may not change the group")
    (drift,) = visit.namespace.posix.drifted()
    assert (drift["path"], drift["resource"], drift["wanted"]) == (
        f"{HOME}/visit",
        "demoResc",
        f"mode 2750, group {GID}",
    )
    visit.namespace.users.add(rods, "no-gid", "rodsgroup")
    assert visit.namespace.posix.set(rods, f"{HOME}/visit", "750", "no-gid") == [
        "demoResc: `no-gid` has no posix_gid"
    ]


@pytest.mark.parametrize("mode", ["", "27700", "9", "rwx", "-1", "2778"])
def test_a_mode_that_is_none_is_refused(visit: Zone, rods, mode: str) -> None:
    with pytest.raises(InvalidArgument, match="an octal one such as 2770 was expected"):
        visit.namespace.posix.set(rods, f"{HOME}/visit", mode, "p1-group")


def test_who_may_ask(visit: Zone, rods) -> None:
    visit.namespace.users.add(rods, "anna", "rodsuser")
    anna = visit.namespace.users.caller("anna", "tempZone")
    with pytest.raises((AccessDenied, NotFound)):
        visit.namespace.posix.set(anna, f"{HOME}/visit", "2770", "p1-group")
    with pytest.raises(NotFound, match="there is no group `nobody-at-all`"):
        visit.namespace.posix.set(rods, f"{HOME}/visit", "2770", "nobody-at-all")
    with pytest.raises(NotFound):
        visit.namespace.posix.set(rods, f"{HOME}/nothing", "2770", "p1-group")


def test_a_rule_sets_it(visit: Zone, rods) -> None:
    visit.host.run(rods, "set_posix", {"subject": f"{HOME}/visit", "mode": "2750", "group": "p1-group"})
    with visit.database.read() as tx:
        assert tx.value("SELECT mode FROM posix_folders") == 0o2750


def test_folders_without_a_passing_group_stay_as_they_were(tmp_path: Path) -> None:
    driver = DiskDriver.create(str(tmp_path / "vault"), 7)
    from resources import VaultPath

    driver.stage("n").close()
    driver.place("n", VaultPath.of("/a/b/c"))
    assert not (tmp_path / "vault/a").stat().st_mode & stat.S_ISGID
