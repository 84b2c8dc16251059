"""The files of a stream, for other readers: the validator of NeXus, h5wasm, and processes that read while they grow."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy
import pytest

from accel.series import find_frames
from grid.errors import Locked
from grid.model import Caller
from grid.streams.messages import BSLZ4, LZ4
from grid.streams.replaying import CapturedSource, FileSource, Replay
from tests.conftest import DATA
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

ROOT = Path(__file__).parents[4]
VALIDATOR, NODE = ROOT / ".checkers/bin/nxvalidate", ROOT / ".checkers/node"
GROWING = (
    "import sys, h5py, hdf5plugin\n"
    "with h5py.File(sys.argv[1], 'r', swmr=True) as file:\n"
    "    data = file['/entry/data/data']\n"
    "    data.id.refresh()\n"
    "    file['/entry/data/frame_number'].id.refresh()\n"
    "    rows = len(data)\n"
    "    print(rows, data[rows - 1].sum(), file['/entry/data/frame_number'][rows - 1])\n"
)


def valid(path: Path) -> None:
    """No error of the validator."""
    if not VALIDATOR.exists():
        pytest.skip(
            "nxvalidate is not there: python3 -m venv .checkers && .checkers/bin/pip install -r requirements-checkers.lock"
        )
    plugins = subprocess.run(
        [VALIDATOR.parent / "python", "-c", "import hdf5plugin; print(hdf5plugin.PLUGINS_PATH)"], capture_output=True, text=True, check=True
    ).stdout.strip()  # fmt: skip
    said = subprocess.run(
        [VALIDATOR, "-a", "NXmx", path], capture_output=True, text=True, env={**os.environ, "HDF5_PLUGIN_PATH": plugins}, check=False
    )  # fmt: skip
    assert "Total number of errors: 0" in said.stdout, said.stdout + said.stderr


def test_the_file_is_valid_nxmx(carried: Carried, detector: Detector, rods, tmp_path: Path) -> None:
    opened = ask(carried.zone, rods, source=detector.address, frames=12, part_bytes=1 << 16)
    detector.send(series(12))
    assert over(carried.zone, rods, opened["stream"])["state"] == "done"
    valid(local_copy(carried.zone, rods, tmp_path / "copy") / "scan1.nxs")


@pytest.mark.parametrize("encoding", [LZ4, BSLZ4])
def test_another_reader_finds_the_same_pixels(
    carried: Carried, detector: Detector, rods, tmp_path: Path, encoding: int
) -> None:
    if not (NODE / "node_modules").exists() or shutil.which("node") is None:
        pytest.skip("h5wasm is not there: .ci/run installs it into .checkers/node")
    opened = ask(carried.zone, rods, source=detector.address, frames=12, part_bytes=1 << 16)
    detector.send(series(12, encoding))
    assert over(carried.zone, rods, opened["stream"])["state"] == "done"
    folder = local_copy(carried.zone, rods, tmp_path / "copy")
    said = subprocess.run(
        ["node", "--input-type=module", "-", str(folder / "scan1.nxs"), "/entry/data/data"], cwd=NODE, capture_output=True, text=True, check=False,
        input=(Path(__file__).parent / "node/read.mjs").read_text(),
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert found == {"shape": [12, 48, 60], "sha256": hashlib.sha256(frames(12).tobytes()).hexdigest()}


def test_it_is_read_while_it_grows_but_not_by_clients(carried: Carried, detector: Detector, rods) -> None:
    zone = carried.zone
    opened = ask(zone, rods, source=detector.address, frames=30)
    messages, stack = series(30), frames(30)
    detector.send(messages[:11])
    found = until(
        zone,
        rods,
        opened["stream"],
        lambda one: one["figures"].get("kept") == 10 and one["figures"]["growing"],
    )
    (path,) = found["figures"]["growing"]

    def seen() -> list[int]:
        said = subprocess.run(
            [sys.executable, "-c", GROWING, path], capture_output=True, text=True, check=True, timeout=60
        )
        return [int(one) for one in said.stdout.split()]

    assert seen() == [10, int(stack[9].sum()), 9]
    with pytest.raises(Locked) as refused:
        zone.namespace.objects.open_for_reading(rods, MASTER)
    assert int(refused.value.status) == -405000
    with pytest.raises(Locked):
        zone.namespace.objects.open_for_reading(rods, f"{HOME}/scan1_000001.h5")
    detector.send(messages[11:21])
    until(zone, rods, opened["stream"], lambda one: one["figures"].get("kept") == 20)
    assert seen() == [20, int(stack[19].sum()), 19]
    detector.send(messages[21:])
    assert over(zone, rods, opened["stream"])["result"]["stored"] == 30


def test_detectors_of_one_scan_are_joined_by_number(carried: Carried, rods, tmp_path: Path) -> None:
    zone, joined = carried.zone, f"{HOME}/scan1.nxs"
    detectors = [Detector(), Detector()]
    opened = [
        ask(
            zone,
            rods,
            path=f"{HOME}/scan1.{name}.nxs",
            detector=name,
            scan=joined,
            source=one.address,
            frames=12,
        )["stream"]
        for name, one in zip(("eiger", "pilatus"), detectors, strict=True)
    ]
    first = series(12)
    second = [*first[:4], *first[6:]]  # frames 3 and 4 of the other detector never came
    detectors[0].send(first)
    detectors[1].send(second)
    for one in opened:
        assert over(zone, rods, one)["state"] == "done"
    for one in detectors:
        one.close()
    folder = local_copy(zone, rods, tmp_path / "copy")
    with h5py.File(folder / "scan1.nxs") as file:
        stack = frames(12)
        assert numpy.array_equal(file["entry/instrument/eiger/data"][...], stack)
        expected = stack.copy()
        expected[3:5] = numpy.iinfo(stack.dtype).max
        assert numpy.array_equal(file["entry/instrument/pilatus/data"][...], expected)
        assert file["entry/data/frame_number"][...].tolist() == list(range(12))
    valid(folder / "scan1.nxs")


def test_a_captured_series_is_stored_as_it_came(
    carried: Carried, detector: Detector, rods, tmp_path: Path
) -> None:
    if DATA is None:
        pytest.skip("BEAMGRID_TEST_DATA does not name the folder with the captured series")
    source = CapturedSource(DATA / "dectris-stream-v2/r500k_bm_bslz4_16bit")
    opened = ask(carried.zone, rods, source=detector.address)
    detector.send(list(source.messages()))
    found = over(carried.zone, rods, opened["stream"])
    assert (found["state"], found["result"]["stored"], found["figures"]["refused"]) == ("done", 10, 0), found
    folder = local_copy(carried.zone, rods, tmp_path / "copy")
    with h5py.File(folder / "scan1.nxs") as file:
        detector_group = file["entry/instrument/eiger"]
        low, high, difference = (
            detector_group[f"data_{name}"][...] for name in ("threshold_1", "threshold_2", "difference")
        )
        marker = numpy.iinfo(low.dtype).max
        own = (low < high) | (low == marker) | (high == marker) | (difference == marker)
        assert numpy.array_equal((low - high)[~own], difference[~own]), (
            "the detector's own difference of its thresholds"
        )
        assert (~own).mean() > 0.5
    valid(folder / "scan1.nxs")


def test_a_file_is_judged_from_its_own_bytes(
    carried: Carried, detector: Detector, rods, tmp_path: Path, capsys
) -> None:
    from grid.cli.main import main

    opened = ask(carried.zone, rods, source=detector.address, frames=12, part_bytes=1 << 16)
    messages = series(12, LZ4)
    del messages[5]
    detector.send(messages)
    root = over(carried.zone, rods, opened["stream"])["result"]["root"]
    folder = local_copy(carried.zone, rods, tmp_path / "copy")
    assert main(["stream", "check", str(folder / "scan1.nxs"), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["root"], found["fates"], found["wrong"]) == (root, {"missing": 1, "stored": 11}, [])
    with h5py.File(folder / "scan1_000001.h5") as file:
        place = file["entry/data/data"].id.get_chunk_info(3)
    data = bytearray((folder / "scan1_000001.h5").read_bytes())
    data[place.byte_offset + 20] ^= 1
    (folder / "scan1_000001.h5").write_bytes(data)
    assert main(["stream", "check", str(folder / "scan1.nxs")]) == 1
    assert "frame 3 in scan1_000001.h5 is not what came" in capsys.readouterr().out
    assert main(["stream", "check", str(folder / "scan1_000001.h5")]) == 1
    assert "no frames of streams" in capsys.readouterr().err


@pytest.mark.parametrize(
    "filters", [{}, {"compression": "gzip"}, dict(hdf5plugin.Bitshuffle(cname="lz4")), dict(hdf5plugin.LZ4())]
)
def test_frames_of_a_file_are_replayed(
    carried: Carried, rods, tmp_path: Path, filters: dict[str, Any]
) -> None:
    stack = frames(12)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("entry/data", data=stack, chunks=(1, *stack.shape[1:]), **filters)
        file["entry/pixel_mask"] = numpy.zeros(stack.shape[1:], "u4")
    _replayed(carried, rods, tmp_path, FileSource(tmp_path / "scan.h5", "/entry/data", "s1"), stack)


def test_real_frames_are_replayed(carried: Carried, rods, tmp_path: Path) -> None:
    sample = ROOT / ".samples/lz4.h5"
    if not sample.exists():
        pytest.skip("the sample of hdf5plugin is not there: .ci/run fetches it")
    with h5py.File(sample) as file:
        data = find_frames(file)
        stack, name = data[:3], data.name
        with h5py.File(tmp_path / "real.h5", "w") as made:
            made.create_dataset("data", data=stack, chunks=(1, *stack.shape[1:]), **dict(hdf5plugin.LZ4()))
    assert name
    _replayed(carried, rods, tmp_path, FileSource(tmp_path / "real.h5", "", "s1"), stack)


def _replayed(carried: Carried, rods: Caller, tmp_path: Path, source: FileSource, stack: Any) -> None:
    replay = Replay("tcp://127.0.0.1:*")
    opened = ask(carried.zone, rods, source=replay.address)
    replay.send(source, 0.0, lambda sent: None)
    found = over(carried.zone, rods, opened["stream"])
    replay.close()
    assert (found["state"], found["result"]["stored"]) == ("done", len(stack)), found
    with h5py.File(local_copy(carried.zone, rods, tmp_path / "copy") / "scan1.nxs") as file:
        assert numpy.array_equal(file["entry/data/data"][...], stack)
