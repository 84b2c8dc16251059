"""Data objects on XRootD servers in a zone: put, read in ranges, renamed, replicated, trimmed; a server that is away."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from grid.app import Zone
from grid.errors import ChecksumMismatch, InvalidArgument, ResourceUnavailable, StorageFailed
from grid.model import DataObject, ReplicaStatus
from grid.namespace import TrimRequest, WriteRequest
from grid.namespace.copying import Copying
from grid.namespace.found import find
from grid.namespace.ports import Event
from resources import PermanentResourceError
from resources.xrootd import XrootdDriver
from resources.xrootd_file import XrootdFile
from tests.xrootd_server import XrootdServer, own_server

HOME = "/tempZone/home/rods"


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XrootdServer]:
    with own_server(tmp_path_factory.mktemp("xrootd")) as running:
        yield running


def add(zone: Zone, rods, server: XrootdServer, name: str = "grid1") -> None:
    context = f"port={server.port}"
    zone.namespace.administration.add_resource(rods, name, "xrootd", f"localhost:/{name}", context)


def content(zone: Zone, rods, path: str) -> bytes:
    opened = zone.namespace.objects.open_for_reading(rods, path)
    buffer = memoryview(bytearray(opened.size()))
    opened.file.read_into(buffer, 0)
    opened.close()
    return bytes(buffer)


def test_the_life_of_an_object_on_a_server(zone: Zone, rods, server: XrootdServer) -> None:
    add(zone, rods, server)
    space = zone.namespace
    space.objects.put(
        rods, f"{HOME}/a", b"bytes", WriteRequest(size_bytes=5, resource_name="grid1", register_checksum=True)
    )
    space.finisher.finish()
    assert (server.data / "grid1/home/rods/a").read_bytes() == b"bytes"
    opened = space.objects.open_for_writing(rods, f"{HOME}/a", WriteRequest(truncate=False))
    opened.write(b"B")
    opened.commit()
    space.moves.rename(rods, f"{HOME}/a", f"{HOME}/b")
    space.finisher.finish()
    assert content(zone, rods, f"{HOME}/b") == b"Bytes"
    assert space.replicas.replicate(rods, f"{HOME}/b", "demoResc") == 5
    assert space.fixity.verify(rods, f"{HOME}/b", 0).what == "same"
    (server.data / "grid1/home/rods/b").write_bytes(b"wrong")
    assert space.fixity.verify(rods, f"{HOME}/b", 0, repair=True).what == "repaired"
    space.replicas.trim(rods, f"{HOME}/b", TrimRequest(replica_number=0))
    space.finisher.finish()
    assert not (server.data / "grid1/home/rods/b").exists()
    space.moves.unlink(rods, f"{HOME}/b", force=True)
    space.finisher.finish()
    space.administration.remove_resource(rods, "grid1")
    assert not (server.data / "grid1/.beamgrid").exists()


def test_a_server_that_is_away_is_said_and_another_replica_serves(
    zone: Zone, rods, server: XrootdServer
) -> None:
    add(zone, rods, server)
    space = zone.namespace
    space.objects.put(rods, f"{HOME}/a", b"bytes", WriteRequest(size_bytes=5, resource_name="grid1"))
    space.finisher.finish()
    space.replicas.replicate(rods, f"{HOME}/a", "demoResc")
    server.kill()
    space.context.storage._checked.clear()
    with pytest.raises(ResourceUnavailable):
        space.objects.put(rods, f"{HOME}/b", b"bytes", WriteRequest(size_bytes=5, resource_name="grid1"))
    space.administration.modify_resource(rods, "grid1", "status", "down")
    assert content(zone, rods, f"{HOME}/a") == b"bytes"
    with zone.database.read() as tx:
        assert [r.status for r in find(tx, f"{HOME}/a").replicas] == [ReplicaStatus.GOOD] * 2


def test_nonsense_and_a_server_that_is_not_there(zone: Zone, rods, tmp_path: Path) -> None:
    add_resource = zone.namespace.administration.add_resource
    with pytest.raises(InvalidArgument, match="a whole number from 1 on was expected"):
        add_resource(rods, "x", "xrootd", "localhost:/x", "port=none")
    with pytest.raises(InvalidArgument, match="is not `host:/vault/path`"):
        add_resource(rods, "x", "xrootd", "localhost:x")
    with pytest.raises(ResourceUnavailable):
        add_resource(rods, "x", "xrootd", "localhost:/x", "port=9")
    with zone.database.read() as tx:
        assert tx.one("SELECT 1 FROM resources WHERE name = 'x'") is None


def test_servers_send_each_other_copies_and_what_arrives_is_verified(
    zone: Zone, rods, server: XrootdServer, tmp_path_factory: pytest.TempPathFactory, monkeypatch
) -> None:
    add(zone, rods, server)
    data, space = b"frame" * 700_000, zone.namespace
    request = WriteRequest(size_bytes=len(data), resource_name="grid1", register_checksum=True)
    for name in "ab":
        space.objects.put(rods, f"{HOME}/{name}", data, request)
    space.finisher.finish()
    passed = list[str]()
    streamed = Copying._streamed

    def watched(self: Copying, event: Event, found: DataObject, *rest):
        passed.append(found.path)
        return streamed(self, event, found, *rest)

    monkeypatch.setattr(Copying, "_streamed", watched)
    with own_server(tmp_path_factory.mktemp("second")) as second:
        add(zone, rods, second, "grid2")
        assert space.replicas.replicate(rods, f"{HOME}/a", "grid2") == len(data)
        space.finisher.finish()
        assert ((second.data / "grid2/home/rods/a").read_bytes(), passed) == (data, [])
        (server.data / "grid1/home/rods/b").write_bytes(b"other" * 700_000)
        with pytest.raises(ChecksumMismatch, match=r"replica 0 of .* does not have its recorded checksum"):
            space.replicas.replicate(rods, f"{HOME}/b", "grid2")
        assert passed == [f"{HOME}/b"], "who is to blame is found by reading"
        assert list((second.data / "grid2/.beamgrid/staging").iterdir()) == []
        space.administration.modify_resource(rods, "grid2", "context", f"port={second.port};max_rate=1 GB")
        space.objects.put(rods, f"{HOME}/c", data, request)
        space.finisher.finish()
        assert space.replicas.replicate(rods, f"{HOME}/c", "grid2") == len(data)
        assert passed[1:] == [f"{HOME}/c"], "a limited resource's bytes pass where they are counted"


def test_servers_that_do_not_send_are_asked_again_later(
    zone: Zone, rods, server: XrootdServer, tmp_path: Path, monkeypatch
) -> None:
    add(zone, rods, server)
    add(zone, rods, server, "grid2")
    asked = list[str]()

    def refuse(self: XrootdDriver, source: str, name: str):
        asked.append(source)
        raise PermanentResourceError("third-party copies are not allowed")

    monkeypatch.setattr(XrootdDriver, "stage_from", refuse)
    request = WriteRequest(size_bytes=5, resource_name="grid1", register_checksum=True)
    for name in "ab":
        zone.namespace.objects.put(rods, f"{HOME}/{name}", b"bytes", request)
        assert zone.namespace.replicas.replicate(rods, f"{HOME}/{name}", "grid2") == 5
    assert len(asked) == 1


def test_a_server_that_is_killed_in_the_middle_of_a_copy_and_comes_back(
    zone: Zone, rods, tmp_path_factory: pytest.TempPathFactory, monkeypatch
) -> None:
    data, space = b"frame" * 4_000_000, zone.namespace
    space.objects.put(rods, f"{HOME}/a", data, WriteRequest(size_bytes=len(data), register_checksum=True))
    space.finisher.finish()
    with own_server(tmp_path_factory.mktemp("mortal")) as mortal:
        add(zone, rods, mortal)
        write = XrootdFile.write

        def killed(self: XrootdFile, piece, offset: int) -> int:
            count = write(self, piece, offset)
            if offset:
                monkeypatch.setattr(XrootdFile, "write", write)
                mortal.kill()
            return count

        monkeypatch.setattr(XrootdFile, "write", killed)
        with pytest.raises((ResourceUnavailable, StorageFailed)):
            space.replicas.replicate(rods, f"{HOME}/a", "grid1")
        assert content(zone, rods, f"{HOME}/a") == data
        mortal.start()
        deadline = time.monotonic() + 60
        while True:  # the client remembers for a moment that nobody answered
            try:
                assert space.replicas.replicate(rods, f"{HOME}/a", "grid1") == len(data)
                break
            except (ResourceUnavailable, StorageFailed):
                assert time.monotonic() < deadline
                time.sleep(0.5)
        space.finisher.finish()
        assert (mortal.data / "grid1/home/rods/a").read_bytes() == data
        assert space.fixity.verify(rods, f"{HOME}/a", 1).what == "same"
