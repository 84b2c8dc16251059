"""Frames of a file through a kernel: the reduced file, its picture, what is kept between attempts, and what ends a kernel."""

from dataclasses import replace
from pathlib import Path

import h5py
import hdf5plugin
import numpy
import pytest

from accel import reducing
from accel.apart import Apart, Recipe
from accel.errors import KernelEnded
from accel.nexus import Origin
from accel.reducing import Kept, Reduced
from accel.series import Series, find_frames, local
from accel.shipped import SHIPPED
from accel.simulator import Simulator
from tests.unit.accel.kernels_by_users import BRIGHT
from tests.unit.accel.test_kernels import device

__all__ = ["device"]

SIMULATED = Simulator(shape=(64, 90), gap=4, peaks=6)


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "scan.h5"
    mean = SIMULATED.mean()
    with h5py.File(path, "w") as file:
        file.create_dataset("entry/data", data=numpy.stack([SIMULATED.frame(n, mean) for n in range(150)]), chunks=(1, 64, 90), **hdf5plugin.Bitshuffle(cname="lz4"))  # fmt: skip
        file["entry/mask"] = SIMULATED.mask()
    return path


def frames(scan: Path) -> numpy.ndarray:
    with h5py.File(scan) as file:
        return file["entry/data"][()]


def reduced(scan: Path, folder: Path, recipe: Recipe, **more: object) -> Reduced:
    folder.mkdir(exist_ok=True)
    with h5py.File(scan) as file:
        series = Series(find_frames(file), local(scan))

        def origin(on: str) -> Origin:
            return Origin(
                "/zone/scan.h5", series.name, "sha2:x", "2026-03-02T10:00:00Z", on, ("beamgrid", "0")
            )

        told: list[int] = []
        return reducing.reduce(
            series,
            recipe,
            Kept(folder / "parts"),
            folder,
            origin,
            more.pop("progress", lambda done, _: told.append(done)),
            **more,
        )


def recipe(name: str, **parameters: object) -> Recipe:
    return Recipe(name, "", (64, 90), "uint16", parameters)


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "lossy"])
def test_a_file_is_reduced_as_its_frames_are(device, scan: Path, tmp_path: Path, name: str) -> None:
    given = {"geometry": SIMULATED.geometry, "bins": 40} if name == "azimuthal" else {}
    made = reduced(scan, tmp_path, recipe(name, **given))
    assert (made.frames, made.damaged, made.problem, made.runs_on) == (150, (), "", device.info.device)
    bound = SHIPPED[name].bind((64, 90), numpy.dtype("u2"), **given)
    wanted = bound.reference(frames(scan), 0)
    if name == "parity":
        wanted = bound.conclude(wanted)
    with h5py.File(made.file) as file:
        entry = file["entry"]
        for product in bound.products:
            if product.listed:
                found = entry[f"{product.listed}_of_frames/{product.name}"]
            else:
                found = (
                    entry[f"{product.name}/data"]
                    if product.shape or product.of_all
                    else entry[f"series/{product.name}"]
                )
            numpy.testing.assert_allclose(
                found[()], wanted[product.name], rtol=1e-5, atol=1e-3, err_msg=product.name
            )
        process = entry["reduction"]
        assert (process.attrs["NX_class"], process["kernel_digest"][()].decode()) == (
            "NXprocess",
            bound.kernel.digest,
        )
        assert process["source/file_name"][()] == b"/zone/scan.h5"
        plotted = entry[entry.attrs["default"]]
        assert (plotted.attrs["NX_class"], plotted.attrs["signal"] in plotted) == ("NXdata", True)
    assert made.picture.read_bytes().startswith(b"\x89PNG")


def test_a_kernel_of_ones_own_reduces_a_file(device, scan: Path, tmp_path: Path) -> None:
    made = reduced(scan, tmp_path, Recipe("", BRIGHT, (64, 90), "uint16", {"level": 9.0}))
    with h5py.File(made.file) as file:
        own = frames(scan)
        wanted = ((own > 9) & (own != 65535)).sum(axis=(1, 2))
        assert numpy.array_equal(file["entry/series/count"][()], wanted)
        assert file["entry/reduction/kernel_source/data"][()].decode() == BRIGHT
        assert file["entry/reduction/parameters/level"][()] == 9.0


def test_what_is_done_is_not_done_again(scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reducing, "MOST_BATCH", 8)
    monkeypatch.setattr(reducing, "PARTS", 2)
    seen: list[int] = []

    class Gone(Exception):
        pass

    def until(done: int, _: int) -> None:
        seen.append(done)
        if done >= 60:
            raise Gone

    with pytest.raises(Gone):
        reduced(scan, tmp_path, recipe("statistics"), progress=until)
    assert seen[-1] == 64
    again: list[int] = []
    made = reduced(scan, tmp_path, recipe("statistics"), progress=lambda done, _: again.append(done))
    assert again[0] == 56, "three parts of 16 frames were kept"
    straight = reduced(scan, tmp_path / "other", recipe("statistics"))
    with h5py.File(made.file) as one, h5py.File(straight.file) as other:
        for name in one["entry/series"]:
            assert numpy.array_equal(one[f"entry/series/{name}"][()], other[f"entry/series/{name}"][()])


def test_damaged_frames_are_named_in_the_file(scan: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.h5"
    raw = bytearray(scan.read_bytes())
    with h5py.File(scan) as file:
        place = file["entry/data"].id.get_chunk_info(7).byte_offset
    raw[place : place + 8] = b"\xff" * 8
    broken.write_bytes(raw)
    made = reduced(broken, tmp_path / "work", recipe("statistics"))
    assert [one.frame for one in made.damaged] == [7]
    with h5py.File(made.file) as file:
        assert file["entry/damaged/frame"][()].tolist() == [7]
        assert file["entry/series/valid"][7] == 0
        assert numpy.isnan(file["entry/series/mean"][7])


def test_a_process_that_dies_lets_numpy_serve(
    device, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Apart.start, []

    def killed(self: Apart, half: int, count: int, first: int) -> None:
        calls.append(first)
        if len(calls) == 2:
            self._process.kill()
        real(self, half, count, first)

    monkeypatch.setattr(Apart, "start", killed)
    made = reduced(scan, tmp_path, recipe("hits", above=3.0))
    assert (made.runs_on, "died" in made.problem or "gone" in made.problem) == ("NumPy", True)
    own = frames(scan)
    with h5py.File(made.file) as file:
        assert numpy.array_equal(
            file["entry/series/pixels"][()], ((own > 3) & (own != 65535)).sum(axis=(1, 2))
        )


SLOW = """VERSION = "1"


def slow(frame: Frame):
    \"\"\"Takes its time.\"\"\"
    n = 0
    for y, x in pixels(frame):
        m = 0.0
        for a in range(40):
            for b in range(60):
                m = m + sin(float(a * b))
        n += m
    return {"n": n}
"""


def test_a_kernel_that_takes_too_long_is_ended_and_its_caller_goes_on(device) -> None:
    one = Apart(Recipe("", SLOW, (64, 90), "uint16", {}), 64, frame_s=0.001)
    try:
        one._frame_s = -29.9999 / 64  # the time that starting may take as well
        with pytest.raises(KernelEnded, match="it took more than"):
            one.start(0, 64, 0)
            one.results()
        with pytest.raises(KernelEnded):
            one.start(0, 1, 0)
            one.results()
    finally:
        one.close()
    assert one._process.poll() is not None


def test_a_kernel_that_takes_too_much_memory_is_ended() -> None:
    one = Apart(Recipe("parity", "", (9000, 9000), "uint16", {}), 1, memory_bytes=2 << 30)
    try:
        with pytest.raises(KernelEnded):
            one.start(0, 1, 0)
            one.results()
    finally:
        one.close()


def test_a_kernel_that_cannot_be_says_why() -> None:
    with pytest.raises(Exception, match="a whole number"):
        Apart(recipe("lossy", error=0.5), 8)


def test_simulated_frames_are_the_same_again_and_physical() -> None:
    big = replace(SIMULATED, shape=(200, 300), dead=0.001)
    mean, mask = big.mean(), big.mask()
    one, again = big.frame(3, mean), big.frame(3)
    assert numpy.array_equal(one, again)
    assert not numpy.array_equal(one, big.frame(4, mean))
    assert ((one >= 65534) == (mask != 0)).all()
    assert 0 < (one == 65534).sum() < (one == 65535).sum(), "some are hot"
    many = numpy.stack([replace(big, hit_rate=0.0).frame(n, mean) for n in range(60)])[:, mask == 0]
    scale = mean[mask == 0]
    assert abs(many.mean(axis=0) - scale).mean() < 0.2
    assert abs((many.var(axis=0) / many.mean(axis=0).clip(0.1)).mean() - 1) < 0.1, "noise of counting"
    hits = [n for n in range(40) if big.is_hit(n)]
    found = SHIPPED["peaks"].bind(big.shape, one.dtype, mask=mask, ratio=5.0, level=10.0)
    counts = {
        n: found.reference(big.frame(n, mean)[None], 0)["count"][0]
        for n in (*hits[:2], *[n for n in range(40) if n not in hits][:2])
    }
    assert min(counts[n] for n in hits[:2]) > max(counts[n] for n in counts if n not in hits)
