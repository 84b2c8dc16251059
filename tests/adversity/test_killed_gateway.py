"""The process that carries a stream is killed around its commits, and at any moment; another one goes on, and nothing that was acknowledged is lost."""

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401
import numpy
import pytest

from grid import app
from grid.app import Zone
from grid.model import Caller
from grid.streams.client import FrameSender
from grid.streams.received import leaf_of
from tests.conftest import SOAK, make_zone
from tests.unit.grid.streams.sending import (
    HOME,
    SHAPE,
    Detector,
    ask,
    frames,
    image,
    local_copy,
    series,
    start,
    status,
    until,
)

CARRYING = (
    "import os, signal, sys, threading\n"
    "from pathlib import Path\n"
    "from grid import app, background\n"
    "from grid.streams.journal import Journal\n"
    "if 'KILL_AT_END' in os.environ:\n"
    "    end = Journal.end\n"
    "    Journal.end = lambda *said: (end(*said), os.kill(os.getpid(), signal.SIGKILL))\n"
    "zone = app.open_zone(Path(sys.argv[1]), role='streams')\n"
    "zone.namespace.finisher.recover()\n"
    "stopping = threading.Event()\n"
    "signal.signal(signal.SIGTERM, lambda *_: stopping.set())\n"
    "background.carry_streams(zone, stopping)\n"
    "zone.close()\n"
)
COUNT = 80
PART_BYTES = 1 << 16
COMMITS = range(3, 40)
"""A share of every twelfth one; all of them in the soak."""

MOMENTS = 24 if SOAK else 2


class Gateways:
    """Gateway processes, one after the other, until there is no more need."""

    def __init__(self, folder: Path, env: dict[str, str], kill_after: float = 0.0) -> None:
        self.killed = 0
        self._folder = folder
        self._ended = threading.Event()
        self._process = self._begin(env)
        if kill_after:
            threading.Timer(kill_after, self._process.kill).start()
        self._thread = threading.Thread(target=self._again)
        self._thread.start()

    def _begin(self, env: dict[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", CARRYING, str(self._folder)], env={**os.environ, **env}, stderr=subprocess.DEVNULL
        )  # fmt: skip

    def _again(self) -> None:
        while not self._ended.is_set():
            if self._process.poll() is None:
                time.sleep(0.02)
                continue
            self.killed += self._process.returncode == -9
            self._process = self._begin({})

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        self._process.terminate()
        self._process.wait(timeout=20)


@pytest.fixture
def zone(tmp_path: Path):
    make_zone(tmp_path / "zone")
    opened = app.open_zone(tmp_path / "zone", role="test")
    yield opened
    opened.close()


def sent(zone: Zone, rods: Caller, path: str, gateways: Gateways) -> int:
    """Frames of a program, acknowledged to the last; returns the stream's number."""
    asked = ask(zone, rods, path=path, format="beamgrid", frames=COUNT, part_bytes=PART_BYTES)
    address = until(zone, rods, asked["stream"], lambda one: one["figures"].get("address"))["figures"][
        "address"
    ]
    stack = frames(COUNT)
    with FrameSender(address, asked["stream"], asked["token"]) as sender:
        sender.start(shape=SHAPE, dtype=stack.dtype, frames=COUNT)
        for frame in stack:
            sender.send(frame)
            time.sleep(0.005)
    until(zone, rods, asked["stream"], lambda one: one["state"] in ("done", "failed"), 60)
    return int(asked["stream"])


def check(zone: Zone, rods: Caller, number: int, folder: Path, name: str) -> None:
    """Every frame is there, as it was sent; the file opens, its leaves are those of the frames; nothing is left over."""
    found = status(zone, rods, number)
    assert (found["state"], found["result"]["stored"], found["result"]["lost"]) == ("done", COUNT, []), found
    stack = frames(COUNT)
    with h5py.File(local_copy(zone, rods, folder) / f"{name}.nxs") as file:
        assert numpy.array_equal(file["entry/data/data"][...], stack)
        leaves = file["entry/stream_eiger/leaf"][...]
    for place, frame in enumerate(stack):
        one = image(place, frame, 0)
        assert leaf_of(f"tempZone/{number}", one) == leaves[place].tobytes()
    assert not list((zone.folder / "vault/.beamgrid/aside").glob("*")), "the spool went"
    assert not list((zone.folder / "vault/.beamgrid/staging").glob("*"))


def test_a_stream_is_whole_whatever_dies(zone: Zone, tmp_path: Path) -> None:
    rods = zone.namespace.users.caller("rods", "tempZone")
    commits = list(COMMITS) if SOAK else list(COMMITS)[::12]
    killed = 0
    for commit in commits:
        gateways = Gateways(
            zone.folder, {"BEAMGRID_KILL_AT": f"commit.{('before', 'after')[commit % 2]}:{commit}"}
        )
        try:
            number = sent(zone, rods, f"{HOME}/scan{commit}.nxs", gateways)
        finally:
            gateways.end()
        killed += gateways.killed
        check(zone, rods, number, tmp_path / f"copy{commit}", f"scan{commit}")
    assert killed >= len(commits) / 2


def test_a_stream_is_whole_whenever_it_dies(zone: Zone, tmp_path: Path) -> None:
    rods, seed = zone.namespace.users.caller("rods", "tempZone"), random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for turn in range(MOMENTS):
        gateways = Gateways(zone.folder, {}, 2.0 + chance.random() * 2.0)
        try:
            number = sent(zone, rods, f"{HOME}/moment{turn}.nxs", gateways)
        finally:
            gateways.end()
        check(zone, rods, number, tmp_path / f"moment{turn}", f"moment{turn}")


def test_an_answer_that_died_with_its_gateway_is_given_by_the_next(zone: Zone, tmp_path: Path) -> None:
    """Everything is on stable storage, the end too, but who sent it did not hear so."""
    rods = zone.namespace.users.caller("rods", "tempZone")
    gateways = Gateways(zone.folder, {"KILL_AT_END": "1"})
    try:
        number = sent(zone, rods, f"{HOME}/answered.nxs", gateways)
    finally:
        gateways.end()
    assert gateways.killed == 1
    check(zone, rods, number, tmp_path / "copy", "answered")


def test_what_was_reported_as_stored_of_a_detector_is_there(zone: Zone, tmp_path: Path) -> None:
    """A detector does not send again: what it sent to a gateway that died may be missing, but not what was reported."""
    rods, detector = zone.namespace.users.caller("rods", "tempZone"), Detector()
    gateways = Gateways(zone.folder, {})
    try:
        asked = ask(zone, rods, source=detector.address, frames=400, part_bytes=PART_BYTES, idle_s=20.0)[
            "stream"
        ]
        until(zone, rods, asked, lambda one: one["state"] == "open")
        messages = series(400, 0)
        detector.send(messages[:200], rate=400)
        reported = until(zone, rods, asked, lambda one: one["figures"]["stored"] > 20)["figures"]["stored"]
        gateways._process.kill()
        detector.send(messages[200:], rate=400)
        found = until(zone, rods, asked, lambda one: one["state"] in ("done", "failed"), 60)
    finally:
        gateways.end()
        detector.close()
    assert gateways.killed == 1
    assert found["state"] == "done", found
    with h5py.File(local_copy(zone, rods, tmp_path / "copy") / "scan1.nxs") as file:
        numbers = file["entry/data/frame_number"][...]
        assert set(range(reported)) <= set(numbers.tolist())
        assert numpy.array_equal(file["entry/data/data"][...], frames(400)[numbers])
    assert start(1).series == "s1"
