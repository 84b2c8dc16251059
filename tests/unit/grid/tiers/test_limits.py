"""What a context string asks for around a driver is there: retries, a rate, a number of open files."""

import time
from pathlib import Path

import pytest

from grid.app import Zone
from grid.catalog import leases
from grid.catalog.limits import CatalogUse
from grid.errors import InvalidArgument
from grid.namespace import WriteRequest
from resources.disk import DiskDriver
from resources.wrappers import Limited, Retrying

HOME = "/tempZone/home/rods"


@pytest.mark.parametrize(("context", "kinds"), [
    ("", [DiskDriver]), ("rack=7", [DiskDriver]), ("attempts=3", [Retrying, DiskDriver]), ("max_open=4", [Limited, DiskDriver]),
    ("max_rate=1 GB;attempts=2", [Retrying, Limited, DiskDriver]),
])  # fmt: skip
def test_a_driver_is_wrapped_as_its_resource_asks(
    zone: Zone, rods, tmp_path: Path, context: str, kinds: list[type]
) -> None:
    made = zone.namespace.administration.add_resource(
        rods, "r", "unixfilesystem", f"localhost:{tmp_path}/r", context
    )
    driver = zone.namespace.context.storage.driver(made)
    found = [type(driver)]
    while isinstance(driver, (Retrying, Limited)):
        driver = driver.inner
        found.append(type(driver))
    assert found == kinds
    zone.namespace.objects.put(rods, f"{HOME}/a", b"data", WriteRequest(size_bytes=4, resource_name="r"))
    zone.namespace.finisher.finish()
    assert (tmp_path / "r/home/rods/a").read_bytes() == b"data"


def test_a_rate_slows_what_is_written_and_read(zone: Zone, rods, tmp_path: Path) -> None:
    zone.namespace.administration.add_resource(
        rods, "slow", "unixfilesystem", f"localhost:{tmp_path}/r", "max_rate=100 kB"
    )
    began = time.monotonic()
    zone.namespace.objects.put(
        rods, f"{HOME}/a", b"x" * 50_000, WriteRequest(size_bytes=50_000, resource_name="slow")
    )
    assert time.monotonic() - began >= 0.49, "a rate is a promise to the storage, not a wish for speed"


@pytest.mark.parametrize("context", ["max_rate=-1", "max_open=0", "attempts=many"])
def test_limits_that_are_none_are_refused(zone: Zone, rods, tmp_path: Path, context: str) -> None:
    with pytest.raises(InvalidArgument, match="was expected"):
        zone.namespace.administration.add_resource(
            rods, "r", "unixfilesystem", f"localhost:{tmp_path}/r", context
        )


def uses(zone: Zone, *leases: int) -> list[CatalogUse]:
    """The use of one resource by processes that hold these leases."""
    return [CatalogUse(zone.database, 9, lambda lease=lease: lease) for lease in leases]


def test_processes_keep_to_a_rate_together(zone: Zone) -> None:
    one, other = uses(zone, 1, 2)
    waits = [use.turn(50_000, 100_000.0) for _ in range(4) for use in (one, other)]
    assert 3.4 <= max(waits) <= 4.0, "eight times half a second, the last of them a few calls later"
    assert waits[1] >= 0.9, "the second process waits behind the first"


def test_small_reads_do_not_ask_the_catalog_each_time(zone: Zone, monkeypatch) -> None:
    (use,) = uses(zone, 1)
    written, write = list[int](), zone.database.write

    def counted(**options):
        written.append(1)
        return write(**options)

    monkeypatch.setattr(zone.database, "write", counted)
    for _ in range(100):
        use.turn(1000, 1_000_000.0)
    assert len(written) == 1, "a quarter of a second's bytes at once"


def test_a_clock_that_was_set_back_holds_nobody_up(zone: Zone) -> None:
    (use,) = uses(zone, 1)
    use.turn(1000, 1000.0)
    with zone.database.write() as tx:
        tx.run("UPDATE resource_use SET free_at = :far", {"far": tx.now + 1e6})
    assert use.turn(1000, 1000.0) <= 1.0


def test_processes_open_only_so_many_files_together(zone: Zone) -> None:
    with zone.database.write() as tx:
        mine, others = leases.take(tx, "server"), leases.take(tx, "server")
    one, other = uses(zone, mine, others)
    assert [one.enter(2), other.enter(2), one.enter(2)] == [True, True, False]
    other.leave()
    other.leave()
    assert [one.enter(2), other.enter(2)] == [True, False]
    with zone.database.write() as tx:
        leases.give_back(tx, mine)
    assert other.enter(2), "what a process held that is gone does not count"


def test_limits_of_a_buffer_hold_and_those_of_a_tape_are_refused(zone: Zone, rods, tmp_path: Path) -> None:
    add = zone.namespace.administration.add_resource
    made = add(rods, "fast", "buffer", f"localhost:{tmp_path}/f", "capacity=1 MB;max_open=4")
    assert isinstance(zone.namespace.context.storage.driver(made), Limited)
    with pytest.raises(
        InvalidArgument, match="found `max_rate` in a context string: the drives of a library"
    ):
        add(rods, "t", "tape", f"localhost:{tmp_path}/t", "max_rate=1 GB")


def test_a_changed_context_is_taken_over(zone: Zone, rods, tmp_path: Path) -> None:
    space = zone.namespace
    space.administration.add_resource(rods, "r", "unixfilesystem", f"localhost:{tmp_path}/r", "")
    request = WriteRequest(size_bytes=4, resource_name="r")
    space.objects.put(rods, f"{HOME}/a", b"data", request)
    space.administration.modify_resource(rods, "r", "context", "max_open=4")
    with zone.database.read() as tx:
        changed = space.context.storage.tree(tx).named("r")
    assert isinstance(space.context.storage.driver(changed), Limited)
