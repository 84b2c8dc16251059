"""Bad bytes are found, named, marked and repaired; copies are good only when they read as they should."""

import threading
from pathlib import Path

import pytest

from grid.app import Zone
from grid.catalog import scrubs
from grid.errors import ChecksumMismatch, InvalidArgument, NotFound
from grid.model import ReplicaStatus
from grid.namespace import WriteRequest
from grid.namespace.found import find
from grid.tiers.scrubbing import Pacer, Scrubber

HOME = "/tempZone/home/rods"
GOOD, STALE = ReplicaStatus.GOOD, ReplicaStatus.STALE


class Disks:
    """A zone with two more disks, and a file on all of them."""

    def __init__(self, zone: Zone, folder: Path) -> None:
        self.zone, self.space, self.folder = zone, zone.namespace, folder
        self.rods = zone.namespace.users.caller("rods", "tempZone")
        for name in ("two", "three"):
            self.space.administration.add_resource(
                self.rods, name, "unixfilesystem", f"localhost:{folder}/{name}"
            )

    def put(
        self,
        name: str,
        data: bytes = b"data" * 100,
        *,
        copies: tuple[str, ...] = ("two", "three"),
        checksum: bool = True,
    ) -> str:
        path = f"{HOME}/{name}"
        self.space.objects.put(
            self.rods, path, data, WriteRequest(size_bytes=len(data), register_checksum=checksum)
        )
        for resource in copies:
            self.space.replicas.replicate(self.rods, path, resource)
        self.space.finisher.finish()
        return path

    def spoil(self, resource: str, name: str, data: bytes = b"DATA" * 100) -> None:
        (self.folder / resource / "home/rods" / name).write_bytes(data)

    def on(self, path: str) -> list[ReplicaStatus]:
        with self.zone.database.read() as tx:
            return [r.status for r in find(tx, path).replicas]


@pytest.fixture
def disks(zone: Zone, tmp_path: Path) -> Disks:
    return Disks(zone, tmp_path)


def test_a_good_replica_is_the_same_and_a_bad_one_is_stale_from_then_on(disks: Disks) -> None:
    path = disks.put("a")
    disks.spoil("two", "a")
    disks.spoil("three", "a", b"short")
    found = [disks.space.fixity.verify(disks.rods, path, number) for number in range(3)]
    assert [one.what for one in found] == ["same", "bad", "bad"]
    assert found[1].reason.startswith("computed sha2:")
    assert found[2].reason == "the file has 5 bytes, the catalog says 400"
    assert disks.on(path) == [GOOD, STALE, STALE]
    assert disks.space.fixity.verify(disks.rods, path, 1).what == "not good"
    with disks.zone.database.read() as tx:
        assert tx.value("SELECT count(*) FROM keep_queue") == 1


def test_a_bad_replica_is_repaired_from_a_good_one(disks: Disks) -> None:
    path = disks.put("a")
    disks.spoil("two", "a")
    assert disks.space.fixity.verify(disks.rods, path, 1, repair=True).what == "repaired"
    disks.space.finisher.finish()
    assert disks.on(path) == [GOOD, GOOD, GOOD]
    assert (disks.folder / "two/home/rods/a").read_bytes() == b"data" * 100


def test_the_last_good_replica_cannot_be_repaired_and_is_said_so(disks: Disks) -> None:
    path = disks.put("a", copies=("two",))
    disks.spoil("two", "a")
    disks.space.fixity.verify(disks.rods, path, 1)
    (disks.zone.folder / "vault/home/rods/a").unlink()
    found = disks.space.fixity.verify(disks.rods, path, 0, repair=True)
    assert found.what == "unreadable"
    assert "it could not be repaired" in found.reason


def test_a_replica_without_a_checksum_gets_one(disks: Disks) -> None:
    path = disks.put("a", copies=(), checksum=False)
    assert disks.space.fixity.verify(disks.rods, path, 0).what == "recorded now"
    assert disks.space.fixity.verify(disks.rods, path, 0).what == "same"


def test_a_copy_is_made_from_a_replica_that_is_what_it_should_be(disks: Disks) -> None:
    path = disks.put("a", copies=("two",))
    (disks.zone.folder / "vault/home/rods/a").write_bytes(b"DATA" * 100)
    assert disks.space.replicas.replicate(disks.rods, path, "three") == 400
    disks.space.finisher.finish()
    assert (disks.folder / "three/home/rods/a").read_bytes() == b"data" * 100
    assert disks.on(path) == [STALE, GOOD, GOOD]


def test_no_copy_is_made_of_bytes_that_are_not_what_was_recorded(disks: Disks) -> None:
    path = disks.put("a", copies=())
    (disks.zone.folder / "vault/home/rods/a").write_bytes(b"DATA" * 100)
    with pytest.raises(ChecksumMismatch, match="does not have its recorded checksum any more"):
        disks.space.replicas.replicate(disks.rods, path, "two")
    assert disks.on(path) == [STALE]
    assert list((disks.folder / "two").rglob("a")) == []


def test_a_scrub_reads_all_names_the_bad_and_goes_on_after_a_restart(disks: Disks) -> None:
    for number in range(5):
        disks.put(f"f{number}")
    disks.spoil("two", "f1")
    disks.spoil("two", "f3", b"")
    call = disks.zone.host.call
    begun = call(disks.rods, "scrub_start", {"resource": "two", "rate": 10**9, "repair": True})
    assert call(disks.rods, "scrub_start", {"resource": "two"})["id"] == begun["id"]
    stop = threading.Event()
    first = Scrubber(disks.zone.database, disks.space, disks.space.context.lease_id)
    real = disks.space.fixity.verify

    def twice(*args, **options):
        if args[1].endswith("f2"):
            stop.set()  # the process ends here
        return real(*args, **options)

    object.__setattr__(disks.space.fixity, "verify", twice)
    first.step(stop)
    object.__setattr__(disks.space.fixity, "verify", real)
    (shown,) = call(disks.rods, "scrub_show", {"scrub": begun["id"]})
    assert (shown["state"], shown["checked"]) == ("running", 3)
    again = Scrubber(disks.zone.database, disks.space, disks.space.context.lease_id)
    while again.step():
        pass
    (shown,) = call(disks.rods, "scrub_show", {"scrub": begun["id"]})
    assert (shown["state"], shown["checked"], shown["repaired"], shown["bad"]) == ("done", 5, 2, 0)
    assert [(f["path"], f["outcome"]) for f in shown["findings"]] == [
        (f"{HOME}/f1", "repaired"), (f"{HOME}/f3", "repaired"),
    ]  # fmt: skip
    assert disks.on(f"{HOME}/f3") == [GOOD, GOOD, GOOD]


def test_a_scrub_can_be_stopped_and_nonsense_is_refused(disks: Disks) -> None:
    call = disks.zone.host.call
    number = call(disks.rods, "scrub_start", {"resource": "two"})["id"]
    assert call(disks.rods, "scrub_stop", {"scrub": number})["state"] == "stopped"
    with disks.zone.database.read() as tx:
        assert scrubs.by_id_or_none(tx, number).state == "stopped"  # type: ignore[union-attr]
    for arguments, error in (
        ({"resource": "nowhere"}, NotFound),
        ({"resource": "two", "rate": 0}, InvalidArgument),
    ):
        with pytest.raises(error):
            call(disks.rods, "scrub_start", arguments)


def test_a_scrub_waits_in_a_zone_without_an_administrator(disks: Disks) -> None:
    disks.put("f")
    call = disks.zone.host.call
    number = call(disks.rods, "scrub_start", {"resource": "two", "rate": 10**9})["id"]
    scrubber = Scrubber(disks.zone.database, disks.space, disks.space.context.lease_id)
    with disks.zone.database.write() as tx:
        tx.run("UPDATE users SET type = 'rodsuser' WHERE name = 'rods'")
    assert not scrubber.step()
    assert call(disks.rods, "scrub_show", {"scrub": number})[0]["state"] == "running"
    with disks.zone.database.write() as tx:
        tx.run("UPDATE users SET type = 'rodsadmin' WHERE name = 'rods'")
    while scrubber.step():
        pass
    (shown,) = call(disks.rods, "scrub_show", {"scrub": number})
    assert (shown["state"], shown["checked"]) == ("done", 1)


def test_a_pace_is_kept() -> None:
    slept: list[float] = []
    pace = Pacer(1000.0, slept.append)
    for _ in range(5):
        pace(1000)
    assert sum(slept) == pytest.approx(sum(range(1, 6)), abs=1.0)


def test_what_rules_may_do_about_it(disks: Disks) -> None:
    path = disks.put("a")
    rule = disks.space.users.caller("rods", "tempZone")
    run = disks.zone.host.run
    assert run(rule, "verify_replica", {"replica": f"{path} 1"}) is True
    disks.spoil("two", "a")
    assert run(rule, "verify_replica", {"replica": f"{path} 1"}) is False
    run(rule, "mark_damaged", {"replica": f"{path} 2"})
    assert disks.on(path) == [GOOD, STALE, STALE]
    disks.put("b", copies=())
    run(rule, "erase", {"subject": HOME, "copies": "all", "method": "unlink"})
    run(rule, "erase", {"subject": HOME, "copies": "all", "method": "unlink"})
    with disks.zone.database.read() as tx:
        assert tx.value("SELECT count(*) FROM data_objects") == 0
    with pytest.raises(Exception, match="only `unlink` is possible, because nothing here is encrypted"):
        run(rule, "erase", {"subject": HOME, "copies": "all", "method": "crypto_shred_then_unlink"})
