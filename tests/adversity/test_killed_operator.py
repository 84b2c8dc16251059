"""The process that moves the robot is killed around each of its commits; nothing that was on disk or on tape is lost."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grid import app
from grid.app import Zone
from grid.errors import NotOnline
from grid.namespace import WriteRequest
from grid.namespace.found import find
from tests.conftest import make_zone

HOME = "/tempZone/home/rods"
SEED = int(os.environ.get("BEAMGRID_SEED", time.time_ns() % 1_000_000))
CONTEXT = (
    "drives=1;cartridges=2;capacity=1 MB;clock_factor=1000000;batch=1;batch_age=0;container=100 kB;pin=1000 d"
)
OPERATOR = (
    "import sys, time, threading\n"
    "from pathlib import Path\n"
    "from grid import app, background\n"
    "zone = app.open_zone(Path(sys.argv[1]), role='jobs')\n"
    "with background.tiers_kept(zone):\n"
    "    time.sleep(float(sys.argv[2]))\n"
)


def operate(zone: Zone, env: dict[str, str], seconds: float) -> int:
    """Let a process of its own be the operator for a while; its exit status."""
    done = subprocess.run(
        [sys.executable, "-c", OPERATOR, str(zone.folder), str(seconds)], env={**os.environ, **env}, check=False,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode


def residency(zone: Zone, path: str) -> str:
    with zone.database.read() as tx:
        return find(tx, path).replicas[0].residency


def content(zone: Zone, rods, path: str) -> bytes:
    opened = zone.namespace.objects.open_for_reading(rods, path)
    buffer = memoryview(bytearray(opened.size()))
    opened.file.read_into(buffer, 0)
    opened.close()
    return bytes(buffer)


@pytest.mark.parametrize("step", ["commit.before", "commit.after"])
def test_every_third_commit_of_the_operator(tmp_path: Path, step: str) -> None:
    begin = random.Random(SEED).randint(1, 3)
    print(f"BEAMGRID_SEED={SEED}")
    assert prove(tmp_path, step, range(begin, 40, 3)) >= 2, "the operator commits more often than that"


@pytest.mark.soak
@pytest.mark.parametrize("step", ["commit.before", "commit.after"])
def test_each_commit_of_the_operator(tmp_path: Path, step: str) -> None:
    assert prove(tmp_path, step, range(1, 40)) >= 6, "the operator commits more often than that"


def prove(tmp_path: Path, step: str, counts: range) -> int:
    """Kill the operator at each of these commits, while it writes and while it recalls; how often it was killed."""
    make_zone(tmp_path / "zone")
    zone = app.open_zone(tmp_path / "zone", role="test")
    try:
        rods = zone.namespace.users.caller("rods", "tempZone")
        zone.namespace.administration.add_resource(
            rods, "tape", "tape", f"localhost:{tmp_path}/tape", CONTEXT
        )
        killed = 0
        for count in counts:
            path = f"{HOME}/f{count}"
            data = bytes([count]) * 1000
            zone.namespace.objects.put(rods, path, data, WriteRequest(size_bytes=1000, resource_name="tape"))
            zone.namespace.finisher.finish()
            status = operate(zone, {"BEAMGRID_KILL_AT": f"{step}:{count}"}, 1.5)
            killed += status == -9
            if status != -9:
                break
            deadline = time.monotonic() + 30
            while residency(zone, path) != "tape":
                assert time.monotonic() < deadline, (count, residency(zone, path))
                operate(zone, {}, 0.7)
            with pytest.raises(NotOnline):
                content(zone, rods, path)
            operate(zone, {"BEAMGRID_KILL_AT": f"{step}:{count}"}, 1.0)
            while residency(zone, path) != "tape+disk":
                assert time.monotonic() < deadline, (count, residency(zone, path))
                operate(zone, {}, 0.7)
            assert content(zone, rods, path) == data
        with zone.database.read() as tx:
            assert tx.value("SELECT count(*) FROM tape_landing") in (
                0,
                1,
            )  # the last was not killed, and may not be through
        return killed
    finally:
        zone.close()
