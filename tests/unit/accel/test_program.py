"""`beamgrid kernel`: devices, kernels, those of users, and one of them over the frames of a file."""

import json
from pathlib import Path

import h5py
import numpy
import pytest

from accel.shipped import SHIPPED
from grid.cli import main as beamgrid
from tests.unit.accel.kernels_by_users import BRIGHT
from tests.unit.accel.test_kernels import device, made

__all__ = ["device"]

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


@pytest.fixture
def file(tmp_path: Path) -> Path:
    frames, _ = made("uint16", (150, 20, 30))
    with h5py.File(tmp_path / "scan.h5", "w") as opened:
        opened.create_dataset("entry/data", data=frames, chunks=(1, 20, 30), compression="gzip")
        opened["entry/mask"] = made("uint16", (1, 20, 30))[1]
        opened["entry/title"] = "a scan"
    (tmp_path / "d.poni").write_text(PONI)
    (tmp_path / "bright.py").write_text(BRIGHT)
    return tmp_path / "scan.h5"


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    status = beamgrid.main(["kernel", *map(str, arguments)])
    found = capsys.readouterr()
    return status, found.out, found.err


def test_frames_of_a_file_are_reduced(file: Path, tmp_path: Path, capsys, device) -> None:
    (tmp_path / "p.toml").write_text('above = [2.0]\nmask = "/entry/mask"\n')
    frames, _ = made("uint16", (150, 20, 30))
    wanted = (
        SHIPPED["statistics"]
        .bind((20, 30), frames.dtype, above=[2.0], mask=made("uint16", (1, 20, 30))[1])
        .reference(frames, 0)
    )
    for number, more in enumerate(([], ["--numpy"])):
        target = tmp_path / f"made{number}.nxs"
        status, out, _ = run(
            capsys,
            "run",
            "statistics",
            file,
            "--dataset",
            "/entry/data",
            "--params",
            tmp_path / "p.toml",
            "--to",
            target,
            "--json",
            *more,
        )
        said = json.loads(out)
        assert (status, said["frames"], said["damaged"]) == (0, 150, [])
        assert (said["device"] == "NumPy") == bool(more)
        with h5py.File(target) as found:
            assert numpy.array_equal(found["entry/series/total"][()], wanted["total"])
            assert numpy.array_equal(found["entry/above/data"][()], wanted["above"])
    status, _, err = run(capsys, "run", "statistics", file, "--dataset", "/entry/data", "--to", target)
    assert (status, "is there already; nothing was written" in err) == (1, True)


def test_curves_of_a_file(file: Path, tmp_path: Path, capsys, device) -> None:
    (tmp_path / "p.toml").write_text('geometry = "d.poni"\nbins = 20\nunit = "q_nm^-1"\n')
    status, out, _ = run(
        capsys, "run", "azimuthal", file, "--dataset", "entry/data", "--params", tmp_path / "p.toml"
    )
    assert (status, "reduced.nxs" in out, "150 frames" in out) == (0, True, True)
    with h5py.File(tmp_path / "reduced.nxs") as found:
        assert found["entry/intensity/data"].shape == found["entry/sigma/data"].shape == (150, 20)
        assert found["entry/intensity/q"].attrs["units"] == "1/nm"
    assert (tmp_path / "reduced.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob(".reducing-*"))


def test_a_kernel_of_ones_own_is_checked_shown_compared_and_run(
    file: Path, tmp_path: Path, capsys, device
) -> None:
    own = tmp_path / "bright.py"
    assert "uint16   yes" in run(capsys, "check", own)[1]
    assert json.loads(run(capsys, "check", own, "--json")[1])["name"] == "bright"
    assert "__kernel void bright_1(" in run(capsys, "show", own, "--dtype", "uint32")[1]
    status, out, _ = run(capsys, "bench", own, "--seed", 5, "--json")
    said = json.loads(out)
    assert (status, said["disagreements"], said["cases"] > 20, said["seed"]) == (0, [], True, 5)
    assert "0 disagreements between" in run(capsys, "bench", own)[1]
    assert run(capsys, "run", own, file, "--dataset", "/entry/data", "--to", tmp_path / "own.nxs")[0] == 0
    with h5py.File(tmp_path / "own.nxs") as found:
        assert found["entry/series/count"].shape == (150,)


@pytest.mark.parametrize(("arguments", "message"), [
    (("run", "none", "FILE"), "there is no kernel and no file `none`"), (("run", "hits", "FILE", "--dataset", "/entry/title"), "dimensions"),
    (("run", "hits", "FILE", "--dataset", "/entry/none"), "has no dataset `/entry/none`"), (("run", "azimuthal", "FILE", "--dataset", "/entry/data"), "`geometry` is missing"),
    (("run", "hits", "PONI"), "is no HDF5 file"), (("show", "none"), "there is no kernel and no file `none`"), (("check", "PONI"), "line 1: only"),
    (("show", "OWN", "--dtype", "int64"), "found --dtype int64"),
])  # fmt: skip
def test_wrong_use_says_what_and_why(file: Path, capsys, arguments: tuple[str, ...], message: str) -> None:
    names = {"FILE": str(file), "PONI": str(file.parent / "d.poni"), "OWN": str(file.parent / "bright.py")}
    status, _, err = run(capsys, *(names.get(one, one) for one in arguments))
    assert (status, message in err) == (1, True), err
    assert not list(file.parent.glob("*.nxs"))


@pytest.mark.parametrize(("text", "message"), [
    ("x =", "are no TOML"), ("ghost = 1", "there is no parameter `ghost`; there are mask, above, least"), ("least = 0", "found `0` as `least`"),
    ("least = 1.5", "a whole was expected"), ("above = 'high'", "a number was expected"), ("above = nan", "found `nan`"), ("mask = '/entry/none'", "no dataset"),
    ("mask = 3", "the path of a dataset was expected"),
])  # fmt: skip
def test_parameters_that_cannot_be(file: Path, tmp_path: Path, capsys, text: str, message: str) -> None:
    (tmp_path / "p.toml").write_text(text)
    status, _, err = run(
        capsys, "run", "hits", file, "--dataset", "/entry/data", "--params", tmp_path / "p.toml"
    )
    assert (status, message in err) == (1, True), err


def test_devices_and_kernels_are_shown(capsys, device) -> None:
    assert "works" in run(capsys, "devices")[1]
    assert json.loads(run(capsys, "devices", "--json")[1])[0]["problem"] == ""
    assert [one["name"] for one in json.loads(run(capsys, "list", "--json")[1])] == list(SHIPPED)
    assert "__kernel void binned(" in run(capsys, "show", "binned")[1]
