"""`beamgrid kernel`: devices, kernels, and one of them over the frames of a file."""

import json
from pathlib import Path

import h5py
import numpy
import pytest

from accel import reference
from accel.catalogue import KERNELS
from grid.cli import main as beamgrid
from tests.unit.accel.test_kernels import device, made

__all__ = ["device"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    frames, _ = made("uint16", (150, 20, 30))
    with h5py.File(tmp_path / "scan.h5", "w") as opened:
        opened.create_dataset("entry/data", data=frames, chunks=(1, 20, 30), compression="gzip")
        opened["entry/title"] = "a scan"
    return tmp_path / "scan.h5"


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    status = beamgrid.main(["kernel", *map(str, arguments)])
    found = capsys.readouterr()
    return status, found.out, found.err


def test_frames_of_a_file_are_looked_at(file: Path, capsys, device) -> None:
    wanted = reference.statistics(
        made("uint16", (150, 20, 30))[0], numpy.zeros((20, 30), "u1"), numpy.array([2.0])
    )
    for more in ([], ["--numpy"]):
        status, out, _ = run(capsys, "run", "statistics", file, "--above", 2, "--json", *more)
        rows = json.loads(out)
        assert (status, [row["frame"] for row in rows]) == (0, list(range(150)))
        assert [row["sum"] for row in rows] == wanted.total.tolist()
        assert [row["above"] for row in rows] == wanted.above.tolist()
    assert "saturated" in run(capsys, "run", "statistics", file, "--dataset", "/entry/data")[1]


def test_binned_frames_go_into_a_new_file(file: Path, tmp_path: Path, capsys, device) -> None:
    target = tmp_path / "binned.h5"
    assert run(capsys, "run", "binned", file, "--size", 3, "--to", target)[0] == 0
    wanted = reference.binned(
        made("uint16", (150, 20, 30))[0], numpy.zeros((20, 30), "u1"), 3, (0, 0, 20, 30)
    )
    with h5py.File(target) as found:
        assert numpy.array_equal(found["sums"], wanted.sums)
        assert numpy.array_equal(found["counts"], wanted.counts)
    status, _, err = run(capsys, "run", "binned", file, "--to", target)
    assert (status, "is there already; nothing was written" in err) == (1, True)


@pytest.mark.parametrize(("arguments", "message"), [
    (("run", "none", "FILE"), "statistics, binned, azimuthal, peaks run over files"), (("run", "binned", "FILE"), "say which, --to FILE"),
    (("run", "statistics", "FILE", "--dataset", "/entry/title"), "has no dataset `/entry/title` of three dimensions"),
    (("run", "azimuthal", "FILE", "--to", "/tmp/never.h5"), "say which, --poni FILE"),
    (("run", "azimuthal", "FILE", "--poni", "FILE", "--bins", "0"), "found --bins 0"),
    (("run", "binned", "FILE", "--size", "40", "--to", "/tmp/never.h5"), "holds no square"), (("show", "none"), "there is no kernel `none`"),
])  # fmt: skip
def test_wrong_use_says_what_and_why(file: Path, capsys, arguments: tuple[str, ...], message: str) -> None:
    status, _, err = run(capsys, *(str(file) if one == "FILE" else one for one in arguments))
    assert (status, message in err) == (1, True), err


def test_devices_and_kernels_are_shown(capsys, device) -> None:
    assert "works" in run(capsys, "devices")[1]
    assert json.loads(run(capsys, "devices", "--json")[1])[0]["problem"] == ""
    assert [one["name"] for one in json.loads(run(capsys, "list", "--json")[1])] == list(KERNELS)
    assert "__kernel void binned(" in run(capsys, "show", "binned")[1]


PONI = """poni_version: 2
Detector: Detector
Detector_config: {"pixel1": 7.5e-05, "pixel2": 7.5e-05}
Distance: 0.05
Poni1: 0.00075
Poni2: 0.0011
Rot1: 0.01
Rot2: 0.0
Rot3: 0.0
Wavelength: 1e-10
"""


def test_curves_and_peaks_of_a_file(file: Path, tmp_path: Path, capsys, device) -> None:
    (tmp_path / "d.poni").write_text(PONI)
    assert (
        run(
            capsys,
            "run",
            "azimuthal",
            file,
            "--poni",
            tmp_path / "d.poni",
            "--bins",
            20,
            "--to",
            tmp_path / "c.h5",
        )[0]
        == 0
    )
    with h5py.File(tmp_path / "c.h5") as found:
        assert found["intensity"].shape == found["sigma"].shape == (150, 20)
        assert found["two_theta"].attrs["units"] == "deg"
    rows = json.loads(run(capsys, "run", "peaks", file, "--json", "--least", "10", "--ratio", "3")[1])
    assert [row["frame"] for row in rows] == list(range(150))
    assert all(len(row["places"]) == row["peaks"] for row in rows)
    assert " peaks " in run(capsys, "run", "peaks", file)[1]
