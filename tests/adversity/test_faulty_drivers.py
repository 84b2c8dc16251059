"""Each call of a driver fails, once, in the middle of each operation: afterwards all is old or new, and a retry succeeds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from grid import app
from grid.app import Drivers, Zone
from grid.errors import GridError
from grid.model import Resource
from grid.namespace import TrimRequest, WriteRequest
from grid.namespace.found import find
from resources import Denied, Driver, OutOfSpace, TransientResourceError
from resources.wrappers import Faulty
from tests.conftest import make_zone
from tests.xrootd_server import own_server

HOME = "/tempZone/home/rods"
CALLS = ("stage", "open_staged", "stage_copy", "write", "sync", "size", "place", "sync_places", "open", "read_into", "stat",
         "move", "unlink", "unlink_staged", "open_staged_for_reading", "check")  # fmt: skip
ERRORS = (TransientResourceError("a hiccup"), OutOfSpace("it is full"), Denied("not allowed"))
Do = Callable[[Zone, object, str], object]


def put(zone: Zone, rods, path: str) -> None:
    zone.namespace.objects.put(rods, path, b"new", WriteRequest(size_bytes=3, resource_name="tested"))


def stream(zone: Zone, rods, path: str) -> None:
    opened = zone.namespace.objects.open_for_writing(
        rods, path, WriteRequest(resource_name="tested", truncate=False)
    )
    try:
        opened.write(b"new")
    except BaseException:
        opened.abandon()
        raise
    opened.commit()


def rename(zone: Zone, rods, path: str) -> None:
    zone.namespace.moves.rename(rods, path, f"{path}.moved")
    zone.namespace.moves.rename(rods, f"{path}.moved", path)


def copied(zone: Zone, rods, path: str) -> None:
    zone.namespace.replicas.replicate(rods, path, "demoResc")


def away_and_back(zone: Zone, rods, path: str) -> None:
    """Copied to another resource, trimmed from the tested one, copied back to it."""
    copied(zone, rods, path)
    with zone.database.read() as tx:
        tree = zone.namespace.context.storage.tree(tx)
        found = find(tx, path)
    for replica in found.replicas:
        if tree.by_id[replica.resource_id].name == "tested":
            zone.namespace.replicas.trim(rods, path, TrimRequest(replica_number=replica.number))
    zone.namespace.replicas.replicate(rods, path, "tested")


OPERATIONS: dict[str, tuple[Do, bytes, set[str]]] = {
    "overwrite at once": (put, b"new", {"check", "stage", "write", "sync", "place", "sync_places"}),
    "update in place": (stream, b"new", {"check", "stage_copy", "write", "sync", "size", "place", "sync_places"}),
    "rename there and back": (rename, b"old", {"check", "move"}),
    "away and back": (away_and_back, b"old", {"check", "open", "read_into", "unlink", "stage", "write", "sync", "place"}),
}  # fmt: skip
"""What is done, the content after it, and the driver's calls that fail in the middle of it."""


def content(zone: Zone, rods, path: str) -> bytes:
    opened = zone.namespace.objects.open_for_reading(rods, path)
    buffer = memoryview(bytearray(opened.size()))
    opened.file.read_into(buffer, 0)
    opened.close()
    return bytes(buffer)


def prove(zone: Zone, rods, faulty: Faulty, name: str) -> None:
    """Every call, every error, in one operation."""
    operation, after, expected = OPERATIONS[name]
    met: set[str] = set()
    for number, (call, error) in enumerate((call, error) for call in CALLS for error in ERRORS):
        path = f"{HOME}/{name.replace(' ', '_')}{number}"
        zone.namespace.objects.put(rods, path, b"old", WriteRequest(size_bytes=3, resource_name="tested"))
        zone.namespace.finisher.finish()
        for leaf in zone.namespace.context.storage._checked:
            zone.namespace.context.storage._checked[leaf] = -10.0
        faulty.fail(call, error)
        try:
            operation(zone, rods, path)
            zone.namespace.finisher.finish()
        except GridError:
            pass
        met |= set() if faulty._plan[call] else {call}
        faulty.fail(call, error, times=0)
        there = path if exists(zone, path) else f"{path}.moved"
        assert content(zone, rods, there) in (b"old", after), (name, call, error)
        if there != path:
            zone.namespace.moves.rename(rods, there, path)
        operation(zone, rods, path)
        while zone.namespace.finisher.finish():
            pass
        assert content(zone, rods, path) == after, (name, call, error)
        zone.namespace.moves.unlink(rods, path, force=True)
        while zone.namespace.finisher.finish():
            pass
    with zone.database.read() as tx:
        assert tx.value("SELECT count(*) FROM vault_tasks") == 0
        assert tx.value("SELECT count(*) FROM open_writes") == 0
    assert met >= expected


def exists(zone: Zone, path: str) -> bool:
    with zone.database.read() as tx:
        return (
            tx.one("SELECT 1 FROM data_objects WHERE name = :n", {"n": path.rpartition("/")[2]}) is not None
        )


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], tuple[Zone, Faulty]]:
    opened: list[Zone] = []

    def make(kind: str, location: str, context: str) -> tuple[Zone, Faulty]:
        made: list[Faulty] = []
        plain = Drivers.__call__

        def wrapped(self: Drivers, resource: Resource) -> Driver:
            driver = plain(self, resource)
            if resource.name != "tested":
                return driver
            made.append(Faulty(driver))
            return made[-1]

        monkeypatch.setattr(Drivers, "__call__", wrapped)
        make_zone(tmp_path / "zone")
        zone = app.open_zone(tmp_path / "zone", role="test")
        opened.append(zone)
        rods = zone.namespace.users.caller("rods", "tempZone")
        zone.namespace.administration.add_resource(rods, "tested", kind, location, context)
        put(zone, rods, f"{HOME}/first")
        return zone, made[-1]

    yield make
    for zone in opened:
        zone.close()


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("kind", ["unixfilesystem", "buffer", "memory"])
def test_every_call_may_fail(tmp_path: Path, faulty, kind: str, name: str) -> None:
    location = f"localhost:{tmp_path}/tested"
    zone, driver = faulty(kind, location, "capacity=1 GB" if kind == "buffer" else "")
    rods = zone.namespace.users.caller("rods", "tempZone")
    prove(zone, rods, driver, name)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_call_to_an_xrootd_server_may_fail(tmp_path: Path, tmp_path_factory, faulty, name: str) -> None:
    with own_server(tmp_path_factory.mktemp("xrootd")) as server:
        zone, driver = faulty("xrootd", "localhost:/tested", f"port={server.port};attempts=1")
        rods = zone.namespace.users.caller("rods", "tempZone")
        prove(zone, rods, driver, name)
