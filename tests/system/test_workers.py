"""Scheduled work by processes of their own, which are killed in the middle of it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from grid import app
from grid.app import Zone
from grid.namespace import WriteRequest
from tests.conftest import make_zone

HOME = "/tempZone/home/rods"
OBJECTS = 12
POLICY = f"""policy my.copies version 1
location raw = "{HOME}/raw/**"
rule "a second copy" id second after object close at raw {{
  schedule "copy" key object.id retry 5 times backoff 1 second to 1 second deadline 1 hour {{
    do replicate(object, to: "second")
    set metadata "copied" of object to "yes"
  }}
}}
"""


def start(folder: Path) -> "subprocess.Popen[bytes]":
    log = (folder.parent / "workers.log").open("ab")
    return subprocess.Popen(
        [sys.executable, "-m", "grid.cli.main", "worker", str(folder), "--allow-root"], stderr=log
    )


def states(zone: Zone) -> dict[str, int]:
    with zone.database.read() as tx:
        return {row[0]: int(row[1]) for row in tx.all("SELECT state, count(*) FROM jobs GROUP BY state")}


def wait_for(zone: Zone, done: int) -> None:
    deadline = time.monotonic() + 120
    while states(zone).get("done", 0) < done:
        assert time.monotonic() < deadline, (
            states(zone),
            (zone.folder.parent / "workers.log").read_text()[-2000:],
        )
        time.sleep(0.01)


@pytest.fixture
def waiting(tmp_path: Path, catalog_url: str):
    """A zone with one job for each of its objects, and nobody who does them."""
    make_zone(tmp_path / "zone", catalog_url)
    (tmp_path / "zone/p.policy").write_text(POLICY)
    zone = app.open_zone(tmp_path / "zone", role="test")
    rods = zone.namespace.users.caller("rods", "tempZone")
    zone.namespace.administration.add_resource(
        rods, "second", "unixfilesystem", f"localhost:{tmp_path}/second"
    )
    zone.policy.load_file(zone.folder, "p.policy")
    zone.policy.refresh()
    zone.namespace.collections.create(rods, f"{HOME}/raw")
    for number in range(OBJECTS):
        zone.namespace.objects.put(rods, f"{HOME}/raw/{number}", b"%d" % number * 100_000, WriteRequest())
    yield zone
    zone.close()


def test_workers_that_are_killed_leave_each_copy_made_once(waiting: Zone, tmp_path: Path) -> None:
    assert states(waiting) == {"waiting": OBJECTS}
    for round_ in range(2):
        workers = [start(waiting.folder), start(waiting.folder)]
        wait_for(waiting, round_ * 3 + 1)
        for worker in workers:
            worker.kill()
            worker.wait()
        with waiting.database.write() as tx:  # their leases run out
            tx.run("UPDATE jobs SET leased_until = 0, not_before = 0 WHERE state IN ('running', 'waiting')")
    last = start(waiting.folder)
    wait_for(waiting, OBJECTS)
    last.terminate()
    assert last.wait(timeout=30) == 0
    assert states(waiting) == {"done": OBJECTS}
    with waiting.database.read() as tx:
        copies = tx.all(
            "SELECT d.name, r.status FROM replicas r JOIN data_objects d ON d.id = r.data_id"
            " JOIN resources s ON s.id = r.resource_id WHERE s.name = 'second' ORDER BY d.id"
        )
        described = tx.value(
            "SELECT count(*) FROM avu_links l JOIN avus a ON a.id = l.avu_id WHERE a.attribute = 'copied'"
        )
    assert [tuple(row) for row in copies] == [(str(number), 1) for number in range(OBJECTS)]
    assert described == OBJECTS
    for number in range(OBJECTS):
        (file,) = (tmp_path / "second").rglob(str(number))
        assert file.read_bytes() == b"%d" % number * 100_000
