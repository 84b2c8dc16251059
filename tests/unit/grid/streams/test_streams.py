"""Streams in a zone: what is sent is there, whatever is wrong with some of it."""

import time
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401
import numpy
import pytest

from grid.streams.closing import Closing
from grid.streams.messages import BSLZ4, LZ4, RAW, End
from tests.unit.grid.streams.sending import (
    HOME,
    MASTER,
    Carried,
    Detector,
    ask,
    frames,
    local_copy,
    over,
    series,
    until,
)


@pytest.mark.parametrize("encoding", [RAW, LZ4, BSLZ4])
def test_what_is_sent_is_there(
    carried: Carried, detector: Detector, rods, tmp_path: Path, encoding: int
) -> None:
    opened = ask(carried.zone, rods, source=detector.address, frames=40, part_bytes=1 << 16)
    assert opened["state"] == "waiting"
    detector.send(series(40, encoding))
    found = over(carried.zone, rods, opened["stream"])
    assert (found["state"], found["reason"], found["result"]["stored"]) == ("done", "", 40), found
    folder = local_copy(carried.zone, rods, tmp_path / "copy")
    assert len(found["files"]) > 1, "split by size"
    with h5py.File(folder / "scan1.nxs") as file:
        assert numpy.array_equal(file["entry/data/data"][...], frames(40))
        assert file["entry/data/frame_number"][...].tolist() == list(range(40))
        assert (file["entry/stream_eiger/fate"][...] == 1).all()


def test_frames_that_are_missing_late_or_twice_are_told(
    carried: Carried, detector: Detector, rods, tmp_path: Path
) -> None:
    opened = ask(carried.zone, rods, source=detector.address, frames=20)
    first, *images, end = series(20)
    images[3], images[8] = images[8], images[3]
    del images[12]
    detector.send([first, first, *images[:6], images[2], *images[6:], b"\x00nonsense", *series(20)[5:6], end])
    found = over(carried.zone, rods, opened["stream"])
    assert (found["state"], found["result"]["lost"]) == ("done", [[12, 12]]), found
    figures = found["figures"]
    assert (figures["duplicates"], figures["refused"], figures["received"]) == (3, 1, 19), figures
    folder = local_copy(carried.zone, rods, tmp_path / "copy")
    with h5py.File(folder / "scan1.nxs") as file:
        expected = numpy.delete(frames(20), 12, axis=0)
        assert numpy.array_equal(file["entry/data/data"][...], expected)
        assert file["entry/stream_eiger/fate"][12] == 0
    assert found["path"] == MASTER
    assert isinstance(end, End)


def test_a_detector_s_next_series_is_for_the_next_stream(
    carried: Carried, detector: Detector, rods, monkeypatch
) -> None:
    """Although the first one is still being finished."""
    real = Closing.close

    def slow(self: Closing, ended):
        time.sleep(1.5)
        return real(self, ended)

    monkeypatch.setattr(Closing, "close", slow)
    first = ask(carried.zone, rods, source=detector.address)["stream"]
    detector.send(series(10))
    until(carried.zone, rods, first, lambda one: one["state"] == "closing")
    second = ask(carried.zone, rods, path=f"{HOME}/scan2.nxs", source=detector.address)["stream"]
    detector.send(series(20))
    assert over(carried.zone, rods, first)["result"]["stored"] == 10
    assert over(carried.zone, rods, second)["result"]["stored"] == 20
