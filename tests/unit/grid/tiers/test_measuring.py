"""Room is measured where it is asked for, and rules and votes go by it."""

from pathlib import Path

import pytest

from grid.app import Zone
from grid.errors import InvalidArgument, QuotaExceeded
from grid.namespace import WriteRequest
from grid.tiers.measuring import SpaceMeter

HOME = "/tempZone/home/rods"


def free_space(zone: Zone, name: str) -> str:
    with zone.database.read() as tx:
        return zone.namespace.context.storage.tree(tx).named(name).free_space


def test_only_those_that_are_asked_are_measured(zone: Zone, rods, tmp_path: Path) -> None:
    administration = zone.namespace.administration
    administration.add_resource(
        rods, "measured", "buffer", f"localhost:{tmp_path}/m", "capacity=64 kB;measure=on"
    )
    administration.add_resource(rods, "said", "unixfilesystem", f"localhost:{tmp_path}/s")
    administration.modify_resource(rods, "said", "free_space", "77")
    meter = SpaceMeter(zone.database, zone.namespace.context.storage)
    assert meter.step() == 1
    assert (free_space(zone, "measured"), free_space(zone, "said")) == ("64000", "77")
    zone.namespace.objects.put(
        rods, f"{HOME}/a", b"x" * 4000, WriteRequest(size_bytes=4000, resource_name="measured")
    )
    assert meter.step() == 1
    assert free_space(zone, "measured") == "60000"
    assert meter.step() == 0
    (tmp_path / "m").rename(tmp_path / "away")
    zone.namespace.context.storage._checked.clear()
    assert meter.step() == 0


def test_a_vote_goes_by_it(zone: Zone, rods, tmp_path: Path) -> None:
    context = "measure=on;minimum_free_space_for_create_in_bytes=1000 PB"
    zone.namespace.administration.add_resource(
        rods, "m", "unixfilesystem", f"localhost:{tmp_path}/m", context
    )
    zone.namespace.objects.put(rods, f"{HOME}/a", b"x", WriteRequest(size_bytes=1, resource_name="m"))
    SpaceMeter(zone.database, zone.namespace.context.storage).step()
    with pytest.raises(QuotaExceeded):
        zone.namespace.objects.put(rods, f"{HOME}/b", b"x", WriteRequest(size_bytes=1, resource_name="m"))
    with pytest.raises(InvalidArgument, match="`measure` is `yes`; on, off were expected"):
        zone.namespace.administration.modify_resource(rods, "m", "context", "measure=yes")
