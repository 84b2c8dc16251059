"""What stops for a while, or for good, while a stream goes on: the network, a kernel's device, the process that reads files again."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401
import numpy
import pytest

from grid.errors import StorageFull
from grid.streams.errors import StreamFailed
from grid.streams.parts import Parts
from grid.streams.rereading import ROW, Rereader
from tests.unit.grid.streams.judging import PATH, VISIT, judged
from tests.unit.grid.streams.sending import (
    Carried,
    Detector,
    ask,
    frames,
    local_copy,
    over,
    series,
    until,
)


class Line:
    """A network between a gateway and a detector, which may stall."""

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("tcp://").rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.flows = threading.Event()
        self.flows.set()
        self._ended = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self._ended:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            other = socket.create_connection(self._target)
            for pair in ((one, other), (other, one)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1000):  # pieces of messages
                self.flows.wait()
                sink.sendall(data)
        except OSError:
            return

    def close(self) -> None:
        self._ended = True
        self.flows.set()
        self._listener.close()


@pytest.fixture
def line(detector: Detector) -> Iterator[Line]:
    found = Line(detector.address)
    yield found
    found.close()


def test_a_network_that_stalls_in_the_middle_of_a_message_loses_nothing(
    carried: Carried, detector: Detector, line: Line, rods, tmp_path: Path
) -> None:
    opened = ask(carried.zone, rods, source=line.address, frames=60)["stream"]
    messages = series(60, 0)
    detector.send(messages[:20])
    until(carried.zone, rods, opened, lambda one: one["figures"].get("kept", 0) > 3)
    line.flows.clear()
    sender = threading.Thread(target=detector.send, args=(messages[20:],), daemon=True)
    sender.start()
    time.sleep(1.0)
    stalled = until(carried.zone, rods, opened, lambda one: True)["figures"]["received"]
    time.sleep(0.5)
    assert until(carried.zone, rods, opened, lambda one: True)["figures"]["received"] == stalled < 60
    line.flows.set()
    found = over(carried.zone, rods, opened)
    sender.join(timeout=10)
    assert (found["state"], found["reason"], found["result"]["lost"]) == ("done", "", []), found
    with h5py.File(local_copy(carried.zone, rods, tmp_path / "copy") / "scan1.nxs") as file:
        assert numpy.array_equal(file["entry/data/data"][...], frames(60))


def test_a_network_that_stalls_for_too_long_ends_a_stream_with_what_came(
    carried: Carried, detector: Detector, line: Line, rods
) -> None:
    opened = ask(carried.zone, rods, source=line.address, frames=60, idle_s=0.5)["stream"]
    detector.send(series(60, 0)[:11])
    until(carried.zone, rods, opened, lambda one: one["figures"].get("kept", 0) == 10)
    line.flows.clear()
    found = over(carried.zone, rods, opened)
    assert (found["state"], found["reason"], found["result"]["stored"]) == (
        "done",
        "nothing came for 0.5 s",
        10,
    )


def children(of: str) -> list[int]:
    """Processes of this one that run a module."""
    found = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-f", of], capture_output=True, text=True, check=False
    )
    return [int(one) for one in found.stdout.split()]


def test_a_device_that_is_lost_in_mid_run_holds_up_no_frame(
    carried: Carried, detector: Detector, rods, tmp_path: Path
) -> None:
    zone = carried.zone
    judged(zone, rods)
    opened = ask(zone, rods, path=PATH, source=detector.address, frames=80)["stream"]
    messages = series(80)
    detector.send(messages[:31])
    until(zone, rods, opened, lambda one: one["figures"].get("reduced", 0) > 10)
    (kernel,) = children("accel.apart")
    os.kill(kernel, signal.SIGKILL)
    detector.send(messages[31:], rate=400)
    found = over(zone, rods, opened)
    assert (found["state"], found["result"]["stored"], found["figures"]["runs_on"]) == (
        "done",
        80,
        "NumPy",
    ), found
    assert "the device's process ended" in found["figures"]["problem"]
    folder = local_copy(zone, rods, tmp_path / "copy", VISIT)
    with h5py.File(folder / "scan1.nxs") as file:
        assert numpy.array_equal(file["entry/data/data"][...], frames(80))
    with h5py.File(folder / "scan1.peaks.nxs") as file:
        assert file["entry/series/frame"][...].tolist() == list(range(80)), "every frame was looked at"


def test_a_process_that_reads_files_again_and_dies_is_replaced(
    carried: Carried, detector: Detector, rods
) -> None:
    opened = ask(carried.zone, rods, source=detector.address, frames=40, part_bytes=1 << 16)["stream"]
    messages = series(40, 0)
    detector.send(messages[:21])
    until(carried.zone, rods, opened, lambda one: one["files"])
    (reader,) = children("grid.streams.rereading")
    os.kill(reader, signal.SIGKILL)
    detector.send(messages[21:])
    found = over(carried.zone, rods, opened)
    assert (found["state"], found["result"]["stored"]) == ("done", 40), found
    deadline = time.monotonic() + 10
    while children("grid.streams.rereading"):
        assert time.monotonic() < deadline, "the process ends with the stream"
        time.sleep(0.05)


def test_a_file_that_is_not_what_came_is_no_object_and_its_spool_is_kept(
    carried: Carried, detector: Detector, rods, tmp_path: Path, monkeypatch
) -> None:
    real = Rereader.rows

    def other(self: Rereader, path: Path) -> bytes:
        found = bytearray(real(self, path))
        found[ROW.size - 1] ^= 1
        return bytes(found)

    monkeypatch.setattr(Rereader, "rows", other)
    opened = ask(carried.zone, rods, source=detector.address, frames=10)["stream"]
    detector.send(series(10))
    found = over(carried.zone, rods, opened)
    assert found["state"] == "failed"
    assert "does not hold the frames that came" in found["reason"]
    monkeypatch.setattr(Rereader, "rows", real)
    carried.zone.host.call(rods, "stream_resume", {"streams": [opened]})
    assert over(carried.zone, rods, opened)["result"]["stored"] == 10


def test_a_file_that_cannot_be_read_says_which(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(b"no file of that kind")
    reader = Rereader("z/1")
    try:
        with pytest.raises(StreamFailed, match=r"`x\.h5` cannot be read again"):
            reader.rows(tmp_path / "x.h5")
        with pytest.raises(StreamFailed, match=r"`y\.h5` cannot be read again"):
            reader.rows(tmp_path / "y.h5")
    finally:
        reader.close()


def test_what_cannot_be_taken_up_again_fails_and_is_tried_later(
    carried: Carried, detector: Detector, rods, monkeypatch
) -> None:
    zone, close, opening = carried.zone, Parts.close, Parts.open

    def broken(self: Parts, *given):
        raise StorageFull("no room for it")

    monkeypatch.setattr(Parts, "close", broken)
    opened = ask(zone, rods, source=detector.address, frames=30)["stream"]
    detector.send(series(30))
    assert over(zone, rods, opened)["state"] == "failed"
    monkeypatch.setattr(Parts, "open", broken)
    zone.host.call(rods, "stream_resume", {"streams": [opened]})
    found = over(zone, rods, opened)
    assert (found["state"], found["reason"]) == ("failed", "no room for it")
    monkeypatch.setattr(Parts, "close", close)
    monkeypatch.setattr(Parts, "open", opening)
    zone.host.call(rods, "stream_resume", {"streams": [opened]})
    assert over(zone, rods, opened)["result"]["stored"] == 30
