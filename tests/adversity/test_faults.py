"""Full disk, vanished vault, locked catalog: the client gets a status and a sentence, and the server goes on."""

import errno
import os
import shutil
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from grid.app import Zone
from grid.errors import CatalogUnavailable, ResourceUnavailable, StorageFailed, StorageFull
from grid.namespace import WriteRequest
from grid.namespace.found import find
from grid.namespace.replicas import Replicas
from resources import OutOfSpace
from resources.disk import DiskFile
from tests.conftest import Served, make_zone, serve


@pytest.fixture
def alone(tmp_path: Path):
    make_zone(tmp_path / "zone")
    running = serve(tmp_path / "zone")
    yield running
    running.stop()


def put(served: Served, name: str, data: bytes = b"x") -> None:
    with served.session() as session, session.data_objects.open(f"/tempZone/home/rods/{name}", "w") as file:
        file.write(data)


def test_a_vault_that_vanishes_and_comes_back(alone: Served) -> None:
    from irods.exception import iRODSException

    put(alone, "before")
    vault = alone.folder / "vault"
    shutil.move(vault, alone.folder / "away")
    vault.mkdir()
    time.sleep(1.1)
    with pytest.raises(iRODSException) as caught:
        put(alone, "during")
    assert caught.value.code == -168000
    assert "is its file system mounted" in str(caught.value)
    assert list(vault.iterdir()) == [], "nothing is written into an empty mount point"
    vault.rmdir()
    shutil.move(alone.folder / "away", vault)
    time.sleep(1.1)
    put(alone, "during")
    with alone.session() as session:
        assert len(session.collections.get("/tempZone/home/rods").data_objects) == 2


def test_a_locked_catalog_delays_and_does_not_break(alone: Served) -> None:
    put(alone, "before")
    blocker = sqlite3.connect(alone.folder / "catalog.sqlite", isolation_level=None, check_same_thread=False)
    blocker.execute("BEGIN IMMEDIATE")
    threading.Timer(1.0, lambda: blocker.execute("ROLLBACK")).start()
    started = time.monotonic()
    put(alone, "during")
    assert time.monotonic() - started > 0.5
    blocker.close()


def test_a_full_disk_leaves_the_object_as_it_was(sqlite_zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    space = sqlite_zone.namespace
    rods = space.users.caller("rods", "tempZone")
    path = "/tempZone/home/rods/a"
    space.objects.put(rods, path, b"old", WriteRequest())

    def full(self: DiskFile, data: bytes, offset: int) -> int:
        raise OutOfSpace("writing: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(DiskFile, "write", full)
        with pytest.raises(StorageFull) as caught:
            space.objects.put(rods, path, b"new", WriteRequest())
        assert caught.value.status == -513028
        with pytest.raises(StorageFull):
            space.objects.put(rods, "/tempZone/home/rods/b", b"new", WriteRequest())
    opened = space.objects.open_for_reading(rods, path)
    buffer = memoryview(bytearray(3))
    opened.read_into(buffer)
    assert bytes(buffer) == b"old"
    opened.close()
    space.objects.put(rods, path, b"new", WriteRequest())
    assert space.objects.stat(rods, "/tempZone/home/rods/a").size_bytes == 3


def test_what_was_not_synced_is_never_committed(sqlite_zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Durability apart from crashes: the catalog may only name files that were synced before it committed."""
    synced: set[str] = set()
    original = DiskFile.sync

    def sync(self: DiskFile) -> None:
        original(self)
        synced.add(self._name)

    monkeypatch.setattr(DiskFile, "sync", sync)
    committed: list[str] = []
    database = sqlite_zone.database

    def watch(step: str) -> None:
        if step == "commit.before":
            rows = database.cursor().execute(
                "SELECT staged_as FROM replicas WHERE staged_as <> '' AND status = 1"
            )
            committed.extend(row[0] for row in rows.fetchall())

    monkeypatch.setattr(database, "intercept", watch)
    space = sqlite_zone.namespace
    rods = space.users.caller("rods", "tempZone")
    space.objects.put(rods, "/tempZone/home/rods/a", b"1", WriteRequest())
    opened = space.objects.open_for_writing(rods, "/tempZone/home/rods/a", WriteRequest(truncate=False))
    opened.write(b"2")
    opened.commit()
    space.administration.add_resource(
        rods, "second", "unixfilesystem", f"localhost:{sqlite_zone.folder}/second"
    )
    space.replicas.replicate(rods, "/tempZone/home/rods/a", "second")
    assert len(set(committed)) == 3
    assert set(committed) <= synced


def test_a_resource_without_its_marker_is_down(sqlite_zone: Zone) -> None:
    space = sqlite_zone.namespace
    rods = space.users.caller("rods", "tempZone")
    (sqlite_zone.folder / "vault/.beamgrid/resource-id").write_text("999\n")
    with pytest.raises(ResourceUnavailable, match="marked for resource 999"):
        space.objects.put(rods, "/tempZone/home/rods/a", b"1", WriteRequest())


def test_a_vault_that_is_mounted_read_only_refuses_writes_and_serves_reads(
    zone: Zone, rods, monkeypatch
) -> None:
    """The kernel's answers of such a mount; tests may not mount file systems."""
    path, space = "/tempZone/home/rods/a", zone.namespace
    space.objects.put(rods, path, b"kept", WriteRequest())
    space.finisher.finish()
    opened = os.open

    def read_only(name, flags, *rest, **more):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return opened(name, flags, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", read_only)
        for name in ("a", "b"):
            with pytest.raises(StorageFailed, match="Read-only file system"):
                space.objects.put(rods, f"/tempZone/home/rods/{name}", b"new", WriteRequest(size_bytes=3))
        reading = space.objects.open_for_reading(rods, path)
        buffer = memoryview(bytearray(4))
        assert (reading.read_into(buffer), bytes(buffer)) == (4, b"kept")
        reading.close()
    space.objects.put(rods, path, b"new", WriteRequest(size_bytes=3))
    with zone.database.read() as tx:
        assert [r.size_bytes for r in find(tx, path).replicas] == [3]
        assert tx.value("SELECT count(*) FROM data_objects WHERE name = 'b'") == 0


def test_a_copy_whose_recording_may_have_happened_keeps_its_file(
    zone: Zone, rods, tmp_path: Path, monkeypatch
) -> None:
    """The catalog goes away after the commit and before it could say so."""
    path, space = "/tempZone/home/rods/a", zone.namespace
    space.administration.add_resource(rods, "two", "unixfilesystem", f"localhost:{tmp_path}/two")
    space.objects.put(rods, path, b"kept", WriteRequest())
    register = Replicas._register_copy

    def gone(self, *arguments):
        register(self, *arguments)
        raise CatalogUnavailable("the connection broke")

    monkeypatch.setattr(Replicas, "_register_copy", gone)
    with pytest.raises(CatalogUnavailable):
        space.replicas.replicate(rods, path, "two")
    space.finisher.finish()
    assert [space.fixity.verify(rods, path, number).what for number in (0, 1)] == [
        "recorded now",
        "recorded now",
    ]
