"""What a context string asks for around a driver is there: retries, a rate, a number of open files."""

import time
from pathlib import Path

import pytest

from grid.app import Zone
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
