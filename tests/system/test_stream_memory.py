"""The memory of a gateway stays what its ring needs, however long a stream goes on."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import zmq

from grid import app
from tests.adversity.test_killed_gateway import CARRYING
from tests.conftest import make_zone
from tests.unit.grid.streams.sending import Detector, ask, over, series, start, until

RATE = 200.0
GROWTH_BYTES = 32 << 20


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("seconds", [12.0, pytest.param(3600.0, marks=pytest.mark.soak)])
def test_memory_is_bounded(tmp_path: Path, seconds: float) -> None:
    make_zone(tmp_path / "zone")
    zone, detector = app.open_zone(tmp_path / "zone", role="test"), Detector()
    gateway = subprocess.Popen(
        [sys.executable, "-c", CARRYING, str(tmp_path / "zone")], stderr=subprocess.DEVNULL
    )
    stopping = threading.Event()

    def send() -> None:
        _, *images, _ = series(64, 0)
        detector.send([start(0)])
        begun, number = time.monotonic(), 0
        while not stopping.is_set():
            one = images[number % 64]
            detector.send([type(one)(one.series, number, one.channels, one.times)])
            number += 1
            time.sleep(max(begun + number / RATE - time.monotonic(), 0.0))

    sender = threading.Thread(target=send)
    try:
        rods = zone.namespace.users.caller("rods", "tempZone")
        asked = ask(zone, rods, source=detector.address, part_bytes=1 << 22)["stream"]
        sender.start()
        time.sleep(seconds / 3)
        begun = until(zone, rods, asked, lambda one: one["figures"].get("kept", 0) > 100)["figures"]["kept"]
        before = resident(gateway.pid)
        time.sleep(seconds * 2 / 3)
        frames = until(zone, rods, asked, lambda one: True)["figures"]["kept"] - begun
        assert frames > seconds * RATE / 4
        grown = resident(gateway.pid) - before
        print(f"{frames} frames, {grown / 1e6:.1f} MB more")
        assert grown < GROWTH_BYTES
        stopping.set()
        sender.join()
        zone.host.call(rods, "stream_stop", {"streams": [asked]})
        assert over(zone, rods, asked, 120)["state"] == "done"
    finally:
        stopping.set()
        detector.socket.setsockopt(zmq.SNDTIMEO, 100)
        gateway.terminate()
        gateway.wait(timeout=60)
        zone.close()
