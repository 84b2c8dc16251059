"""Frames that detectors took: as they were sent, and as they were stored."""

import os
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401
import numpy
import pytest

from accel.chunks import BITSHUFFLE, Filter, decode
from accel.frames import is_valid
from accel.running import Runner
from accel.series import Series, find_frames, local
from accel.shipped import SHIPPED
from grid.cli.demo import scans
from tests.conftest import DATA
from tests.unit.accel.cbor_bytes import Tagged
from tests.unit.accel.cbor_bytes import decode as decode_cbor
from tests.unit.accel.test_kernels import device, same

__all__ = ["device"]

SAMPLES = Path(os.environ.get("BEAMGRID_SAMPLES", Path(__file__).parents[3] / ".samples"))
STORED = ("bitshuffle.h5", "lz4.h5")


def sample(name: str) -> Path:
    if name not in STORED:
        return next(one for one in scans() if one.name == name)
    if not (SAMPLES / name).exists():
        pytest.skip(f"`{SAMPLES / name}` is not there; .ci/run fetches it")
    return SAMPLES / name


@pytest.mark.parametrize("name", ["S2p5min_00070_00001.h5", *STORED])
def test_stored_frames_are_those_that_hdf5_reads(name: str) -> None:
    path = sample(name)
    with h5py.File(path) as file:
        dataset = find_frames(file)
        series = Series(dataset, local(path))
        found = numpy.zeros((min(series.count, 3), *series.shape), series.dtype)
        assert series.read(0, found) == []
        wanted = dataset[: len(found)] if dataset.ndim == 3 else dataset[()][None]
        assert numpy.array_equal(found, wanted)
        series.close()


@pytest.mark.parametrize("name", ["S2p5min_00070_00001.h5", *STORED])
def test_stored_frames_are_reduced_as_the_references_say(device, name: str) -> None:
    path = sample(name)
    with h5py.File(path) as file:
        series = Series(find_frames(file), local(path))
        frames = numpy.zeros((1, *series.shape), series.dtype)
        series.read(0, frames)
        series.close()
    runner = Runner(device)
    for kernel, more in (
        ("statistics", {"above": [10.0]}),
        ("hits", {}),
        ("binned", {"size": 4}),
        ("sparse", {"above": 5.0}),
        ("peaks", {"level": 50.0}),
    ):
        bound = SHIPPED[kernel].bind(series.shape, frames.dtype, **more)
        same(runner.run(bound, frames), bound.reference(frames, 0), bound)
    gaps = int((~is_valid(frames, numpy.zeros(series.shape)))[0].sum())
    assert (
        runner.run(SHIPPED["statistics"].bind(series.shape, frames.dtype), frames)["saturated"][0]
        == gaps
        > 100_000
    )
    assert runner.problem == ""


def test_frames_of_a_captured_stream_are_decoded_and_reduced(device) -> None:
    if DATA is None or not (DATA / "dectris-stream-v2").is_dir():
        pytest.skip("BEAMGRID_TEST_DATA does not name the folder with the captured stream")
    frames = {"threshold_1": [], "threshold_2": [], "difference": []}
    for path in sorted((DATA / "dectris-stream-v2").glob("*/*.cbor")):
        message = decode_cbor(path.read_bytes()).value
        if message["type"] != "image":
            continue
        for name, array in message["data"].items():
            (rows, columns), typed = array.value
            assert (array.tag, typed.tag, typed.value.tag) == (40, 69, 56500)
            form, size, chunk = typed.value.value
            assert (form, size) == ("bslz4", 2)
            frame = numpy.zeros((rows, columns), "<u2")
            decode(chunk, [Filter(BITSHUFFLE, (0, 2, 2, 0, 2))], frame)
            frames[name].append(frame)
    assert {name: len(several) for name, several in frames.items()} == {
        "threshold_1": 10,
        "threshold_2": 10,
        "difference": 10,
    }
    runner = Runner(device)
    for several in frames.values():
        stacked = numpy.stack(several)
        bound = SHIPPED["statistics"].bind((514, 1030), stacked.dtype, above=[1.0])
        same(runner.run(bound, stacked), bound.reference(stacked, 0), bound)
    one, two, both = (
        numpy.stack(frames[name]).astype(int) for name in ("threshold_1", "threshold_2", "difference")
    )
    assert numpy.array_equal(both, numpy.where(one >= two, one - two, 65535)), (
        "the detector's own difference, with its marker where it would be below 0"
    )


def test_tagged_values_of_a_message() -> None:
    assert isinstance(decode_cbor(bytes.fromhex("d9d9f7a16161820103")), Tagged)
    assert decode_cbor(bytes.fromhex("d9d9f7a16161820103")).value == {"a": [1, 3]}
