"""Buffers in a zone: a bound shared by processes, reservations, eviction of what has its copies elsewhere."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from grid.app import Drivers, Zone
from grid.catalog import leases
from grid.catalog.space import CatalogAccount
from grid.errors import InvalidArgument, NotFound, NotPrivileged, StorageFull
from grid.model import Resource
from grid.namespace import WriteRequest
from grid.namespace.found import find
from grid.policy import bundles
from grid.policy.keeping import Keeper
from grid.tiers.buffers import BufferKeeper
from resources import OutOfSpace

HOME = "/tempZone/home/rods"


class Buffer:
    def __init__(
        self, zone: Zone, folder: Path, context: str = "capacity=64 kB;evict_above=0.9;evict_to=0.7"
    ) -> None:
        self.zone, self.space, self.folder = zone, zone.namespace, folder
        self.rods = zone.namespace.users.caller("rods", "tempZone")
        self.made = self.space.administration.add_resource(
            self.rods, "fast", "buffer", f"localhost:{folder}/fast", context
        )
        self.keeper = BufferKeeper(zone.database, zone.namespace)

    def put(self, name: str, size: int, *, copy: bool = False) -> str:
        path = f"{HOME}/{name}"
        self.space.objects.put(
            self.rods, path, b"x" * size, WriteRequest(size_bytes=size, resource_name="fast")
        )
        if copy:
            self.space.replicas.replicate(self.rods, path, "demoResc")
        self.space.finisher.finish()
        return path

    def names(self) -> set[str]:
        return {file.name for file in (self.folder / "fast/home/rods").iterdir()}

    def free(self) -> int:
        return int(self.zone.host.call(self.rods, "space_show", {"resource": "fast"})["free_bytes"])


@pytest.fixture
def buffer(zone: Zone, tmp_path: Path) -> Buffer:
    return Buffer(zone, tmp_path)


def test_the_bound_holds_and_says_what_is_free(buffer: Buffer) -> None:
    buffer.put("a", 40_000)
    with pytest.raises(
        StorageFull,
        match=r"\d[\d,]* of 64,000 bytes are free; 30,000 are wanted; more when files are evicted",
    ):
        buffer.put("b", 30_000)
    assert buffer.names() == {"a"}
    buffer.put("c", 20_000)
    buffer.space.moves.unlink(buffer.rods, f"{HOME}/a", force=True)
    buffer.space.finisher.finish()
    buffer.keeper.step()
    assert buffer.free() >= 64_000 - 20_000 - 2_000


def test_two_processes_share_the_bound(buffer: Buffer) -> None:
    other = Drivers(buffer.zone.database)(buffer.made)
    file = other.stage("n1")
    file.write(b"x" * 50_000, 0)
    with pytest.raises(StorageFull):
        buffer.put("a", 20_000)
    file.close()
    other.unlink_staged("n1")
    other.settle()  # type: ignore[attr-defined]
    buffer.put("a", 20_000)


def test_what_has_a_copy_elsewhere_leaves_when_the_buffer_fills(buffer: Buffer) -> None:
    buffer.put("alone", 10_000)
    for name in ("old", "new"):
        buffer.put(name, 20_000, copy=True)
    with buffer.zone.database.write() as tx:
        tx.run(
            "UPDATE replicas SET access_time = '00000000001' WHERE data_id = (SELECT id FROM data_objects WHERE name = 'old')"
        )
    assert buffer.keeper.step() == 0
    buffer.put("more", 9_000)
    assert buffer.keeper.step() == 1
    assert buffer.names() == {"alone", "new", "more"}
    with buffer.zone.database.read() as tx:
        found = find(tx, f"{HOME}/old")
    assert [replica.number for replica in found.replicas] == [1]


def test_what_a_promise_holds_stays(buffer: Buffer) -> None:
    text = (
        'policy my.keep version 1\nlocation home = "/tempZone/home/rods/**"\n'
        'keep "on the buffer" id fast at home { 1 copy on medium = buffer }\n'
    )
    bundles.activate(buffer.zone.database, "tempZone", {"p.policy": text}, origin="pushed")
    buffer.zone.policy.refresh()
    keeper = Keeper(buffer.zone.database, buffer.space, buffer.zone.policy)
    for name in ("a", "b"):
        buffer.put(name, 30_000, copy=True)
    keeper.run_some(buffer.zone.policy.bundle.current)
    assert buffer.keeper.step() == 0
    assert buffer.names() == {"a", "b"}


def test_room_is_reserved_and_refused_with_what_is_free(buffer: Buffer) -> None:
    call = buffer.zone.host.call
    kept = call(buffer.rods, "space_reserve", {"resource": "fast", "bytes": 50_000, "seconds": 60})
    with pytest.raises(StorageFull, match=r"are free; 20,000 are wanted; a reservation ends at \d{4}-"):
        buffer.put("a", 20_000)
    with pytest.raises(
        StorageFull, match=r"14,000 of 64,000 bytes are free; 15,000 are to be reserved; a reservation ends"
    ):
        call(buffer.rods, "space_reserve", {"resource": "fast", "bytes": 15_000})
    driver = buffer.space.context.storage.driver(buffer.made).with_reservation(kept["key"])  # type: ignore[attr-defined]
    file = driver.stage("frames")
    file.write(b"x" * 50_000, 0)
    file.close()
    assert call(buffer.rods, "space_show", {"resource": "fast"})["reservations"][0]["bytes"] == 0
    driver.unlink_staged("frames")
    call(buffer.rods, "space_release", {"key": kept["key"]})
    with pytest.raises(NotFound):
        call(buffer.rods, "space_release", {"key": kept["key"]})
    for wrong in ({"bytes": -1}, {"bytes": 5, "seconds": 0}):
        with pytest.raises(InvalidArgument):
            call(buffer.rods, "space_reserve", {"resource": "fast", **wrong})
    buffer.space.users.add(buffer.rods, "anna", "rodsuser")
    with pytest.raises(NotPrivileged):
        call(buffer.space.users.caller("anna", "tempZone"), "space_reserve", {"resource": "fast", "bytes": 1})


def reserve(buffer: Buffer, size: int, user: str) -> str:
    asked = {"resource": "fast", "bytes": size, "seconds": 60, "user": user}
    return str(buffer.zone.host.call(buffer.rods, "space_reserve", asked)["key"])


@pytest.mark.parametrize("whole", [True, False])
def test_a_put_uses_room_that_was_reserved_for_its_user(buffer: Buffer, whole: bool) -> None:
    objects = buffer.space.objects
    buffer.space.users.add(buffer.rods, "anna", "rodsuser")
    anna = buffer.space.users.caller("anna", "tempZone")
    key = reserve(buffer, 50_000, "anna")
    request = WriteRequest(size_bytes=45_000, resource_name="fast", reservation=key)
    with pytest.raises(StorageFull):
        objects.put(anna, "/tempZone/home/anna/a", b"x" * 45_000, replace(request, reservation=""))
    if whole:
        objects.put(anna, "/tempZone/home/anna/a", b"x" * 45_000, request)
    else:
        opened = objects.open_for_writing(anna, "/tempZone/home/anna/a", request)
        opened.write(b"x" * 45_000)
        opened.commit()
    shown = buffer.zone.host.call(buffer.rods, "space_show", {"resource": "fast"})
    assert [(one["owner"], one["bytes"]) for one in shown["reservations"]] == [("anna#tempZone", 5_000)]


def test_nobody_uses_the_reservation_of_another(buffer: Buffer) -> None:
    for name in ("anna", "berit"):
        buffer.space.users.add(buffer.rods, name, "rodsuser")
    request = WriteRequest(size_bytes=10, resource_name="fast", reservation=reserve(buffer, 50_000, "anna"))
    berit = buffer.space.users.caller("berit", "tempZone")
    for wrong in (request, replace(request, reservation="none")):
        with pytest.raises(NotFound, match=r"you have no reservation `.*` on `fast`, or it has ended"):
            buffer.space.objects.put(berit, "/tempZone/home/berit/a", b"x" * 10, wrong)
    with pytest.raises(NotFound, match="on `demoResc`"):
        buffer.space.objects.put(
            buffer.rods, f"{HOME}/a", b"x", replace(request, resource_name="demoResc", size_bytes=1)
        )


def test_what_does_not_fit_is_refused_before_its_bytes_arrive(buffer: Buffer) -> None:
    opened = buffer.space.objects.open_for_writing(
        buffer.rods, f"{HOME}/a", WriteRequest(size_bytes=70_000, resource_name="fast")
    )
    with pytest.raises(StorageFull, match="70,000 are wanted"):
        opened.write(b"x")
    opened.abandon()
    assert list((buffer.folder / "fast/.beamgrid/staging").iterdir()) == []


def test_a_starting_zone_counts_what_its_buffers_hold(buffer: Buffer, tmp_path: Path) -> None:
    buffer.put("a", 10_000)
    away = buffer.space.administration.add_resource(
        buffer.rods, "away", "buffer", f"localhost:{tmp_path}/away", "capacity=64 kB"
    )
    with buffer.zone.database.write() as tx:
        tx.run("UPDATE space SET used_bytes = used_bytes + 30000")
        tx.run("DELETE FROM leases")
        alive = leases.take(tx, "server")
    (tmp_path / "away").rename(tmp_path / "elsewhere")
    buffer.keeper.recount_all()
    assert buffer.free() < 64_000 - 30_000, "somebody may be writing"
    with buffer.zone.database.write() as tx:
        leases.give_back(tx, alive)
    buffer.keeper.recount_all()
    assert buffer.free() >= 64_000 - 10_000 - 2_000
    with buffer.zone.database.read() as tx:
        assert tx.value("SELECT used_bytes FROM space WHERE resource_id = :id", {"id": away.id}) == 30_000


def test_a_buffer_whose_settings_change_keeps_its_account(buffer: Buffer) -> None:
    buffer.put("a", 100)
    left = buffer.space.context.storage.driver(buffer.made).unspent_bytes  # type: ignore[attr-defined]
    assert left > 0
    buffer.space.administration.modify_resource(
        buffer.rods, "fast", "context", "capacity=64 kB;evict_above=0.8"
    )
    with buffer.zone.database.read() as tx:
        changed = buffer.space.context.storage.tree(tx).named("fast")
    assert buffer.space.context.storage.driver(changed).unspent_bytes == left  # type: ignore[attr-defined]


def test_an_account_that_is_off_is_counted_anew(buffer: Buffer) -> None:
    buffer.put("a", 10_000)
    with buffer.zone.database.write() as tx:
        tx.run("UPDATE space SET used_bytes = used_bytes + 30000")
    assert buffer.keeper.recount(buffer.made) == 30_000
    assert buffer.keeper.recount(buffer.made) == 0


@pytest.mark.parametrize(("context", "message"), [
    ("", "found no `capacity` in the context string"), ("capacity=0", "found no `capacity`"),
    ("capacity=1 GB;evict_to=0.95;evict_above=0.9", "the first is to be the smaller"),
    ("capacity=-1", "a size such as 500 GB was expected"), ("capcity=5 GB", "did you mean `capacity`"),
])  # fmt: skip
def test_nonsense_in_a_context_is_refused(zone: Zone, tmp_path: Path, context: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        Buffer(zone, tmp_path, context)


def test_a_bound_made_smaller_than_what_is_held_takes_nothing_more(buffer: Buffer) -> None:
    buffer.put("a", 40_000)
    buffer.space.administration.modify_resource(buffer.rods, "fast", "context", "capacity=10 kB")
    with buffer.zone.database.read() as tx:
        smaller: Resource = buffer.space.context.storage.tree(tx).named("fast")
    driver = Drivers(buffer.zone.database)(smaller)
    assert driver.free_bytes() is not None
    assert (driver.free_bytes() or 0) < 0


def test_many_who_take_at_once_never_take_too_much(buffer: Buffer) -> None:
    account = CatalogAccount(buffer.zone.database, buffer.made.id, 64_000)
    granted: list[int] = []

    def take() -> None:
        for _ in range(20):
            try:
                account.take(1_000)
                granted.append(1_000)
            except OutOfSpace:
                return

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 64_000
    assert account.free() == 0
