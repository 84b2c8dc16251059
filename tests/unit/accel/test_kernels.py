"""The kernels that come with the grid on a real device against what they mean: exactly for whole numbers, whatever mask, gaps, sizes and batches."""

import os
import subprocess
import sys

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.device import Device, best_device
from accel.errors import DeviceUnusable, FramesRefused
from accel.frames import TYPES, is_valid
from accel.geometry import ArmGeometry, Poni
from accel.kernel import Bound, Results
from accel.running import CHUNKED, STRIDED, Runner
from accel.shipped import SHIPPED, azimuthal, lossy, parity

PONI = Poni(0.15, 0.004, 0.008, 0.01, 0.02, 0.0, 75e-6, 75e-6, 1e-10)


@pytest.fixture(scope="session")
def device(tmp_path_factory) -> Device:
    os.environ.setdefault("POCL_CACHE_DIR", str(tmp_path_factory.mktemp("pocl")))
    try:
        return best_device()
    except DeviceUnusable as error:
        pytest.skip(str(error))


def made(dtype: str, shape: tuple[int, int, int], seed: int = 7) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Frames with everything that a detector sends: counts, zeros, overflow, gaps, extremes."""
    random = numpy.random.default_rng(seed)
    kind = numpy.dtype(dtype)
    if kind.kind == "f":
        frames = random.normal(10, 1000, shape).astype(kind)
        special = [numpy.nan, numpy.inf, -numpy.inf, 0.0, -0.0]
    else:
        frames = random.poisson(3, shape).astype(kind)
        limits = numpy.iinfo(kind)
        special = [limits.max, limits.max - 1, limits.min, 0, *((-1, -2) if kind.kind == "i" else ())]
    for value in special:
        frames[random.random(shape) < 0.03] = value
    return frames, (random.random(shape[1:]) < 0.1).astype(numpy.uint8)


def variants(shape: tuple[int, int], dtype: str, mask: numpy.ndarray, seed: int) -> list[Bound]:
    """Every kernel, with parameters that matter."""
    random = numpy.random.default_rng(seed)
    kind, least = numpy.dtype(dtype), min(shape)
    dark, flat = random.normal(1, 0.1, shape), random.uniform(0, 2, shape)
    flat[random.random(shape) < 0.05] = 0
    said = {
        "statistics": [{"mask": mask, "above": [-1.5, 0, 3.5, 1000, 1e30]}, {}], "correct": [{"mask": mask, "dark": dark, "flat": flat, "gain": flat + 1}, {}],
        "summary": [{"mask": mask, "dark": dark, "above": 2.5}], "hits": [{"mask": mask, "above": 3.0, "least": 2}, {"above": -2.5}],
        "peaks": [{"mask": mask, "radius": 2 + seed % 4, "ratio": 1.0 + seed % 5, "least": 1, "kept": 7}],
        "binned": [{"mask": mask, "size": 1 + seed % least}, {"size": 1, "region": (least // 2, 0, 1, shape[1])}],
        "azimuthal": [
            {"geometry": PONI, "mask": mask, "bins": 1 + seed % 60, "polarisation": 0.9}, {"geometry": PONI, "splitting": "bbox", "bins": 20, "unit": "q_nm^-1"},
            {"geometry": ArmGeometry(3, 2, 1e-3, 1e-3, 0.1, 0.3), "solid_angle": "no", "variance": "no", "range": (17.0, 17.5)},
        ],
        "sparse": [{"mask": mask, "above": 2.0}, {"above": -1.0}], "parity": [{"mask": mask}],
        "lossy": [{"error": 3}, {"error": 0.25 if kind.kind == "f" else 0}],
    }  # fmt: skip
    return [SHIPPED[name].bind(shape, kind, **one) for name, several in said.items() for one in several]


def same(found: Results, wanted: Results, of: Bound) -> None:
    """Exactly for whole numbers, to the stated tolerance for floating point."""
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype, (of.kernel.name, name)
        if array.dtype.kind == "f":
            wide = of.kernel.name in ("summary", "correct") or name == "variance"
            numpy.testing.assert_allclose(
                found[name], array, rtol=1e-5 if wide else 1e-10, atol=1e-2 if name == "variance" else 1e-6 if wide else 1e-9, err_msg=f"{of.kernel.name} {name}"
            )  # fmt: skip
        else:
            numpy.testing.assert_array_equal(found[name], array, err_msg=f"{of.kernel.name} {name}")


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [CHUNKED, STRIDED])
def test_every_kernel_finds_what_it_means(device: Device, dtype: str, shape: int) -> None:
    frames, mask = made(dtype, (5, 97, 211))
    runner = Runner(device)
    for bound in variants((97, 211), dtype, mask, 11):
        runner.choose(bound, shape)
        same(runner.run(bound, frames, 3), bound.reference(frames, 3), bound)
        same(Runner(None).run(bound, frames, 3), bound.reference(frames, 3), bound)
    assert (runner.runs_on, runner.problem) == (device.info.device, "")


@settings(max_examples=5, deadline=None)
@given(
    st.sampled_from(TYPES),
    st.tuples(st.integers(1, 4), st.integers(2, 40), st.integers(2, 300)),
    st.integers(0, 1000),
)
def test_whatever_size_frames_have(
    device: Device, dtype: str, shape: tuple[int, int, int], seed: int
) -> None:
    frames, mask = made(dtype, shape, seed)
    runner = Runner(device)
    for bound in variants(shape[1:], dtype, mask, seed):
        if bound.kernel.name == "peaks" and frames.dtype.kind == "f":
            continue  # the order of a sum may tip one that stands on the edge
        same(runner.run(bound, frames, seed), bound.reference(frames, seed), bound)
    assert runner.problem == ""


@pytest.mark.parametrize("limit", [4_000_000, 1 << 28])
@pytest.mark.parametrize("shape", [CHUNKED, STRIDED])
def test_batches_of_any_size_give_the_same(device: Device, limit: int, shape: int) -> None:
    frames, mask = made("uint16", (37, 64, 64))
    runner = Runner(device, limit)
    for bound in variants((64, 64), "uint16", mask, 5):
        runner.choose(bound, shape)
        same(runner.run(bound, frames, 1), bound.reference(frames, 1), bound)
    assert runner.problem == ""


def test_arrays_of_an_earlier_call_are_written_again(device: Device) -> None:
    frames, _ = made("uint16", (3, 64, 64))
    bound, runner = SHIPPED["correct"].bind((64, 64), frames.dtype), Runner(device)
    first = runner.run(bound, frames)
    kept = first["corrected"]
    again = runner.run(bound, frames + 1, 0, first)
    assert again["corrected"] is kept
    same(again, bound.reference(frames + 1, 0), bound)
    assert len(runner.run(bound, frames[:2], 0, first)["corrected"]) == 2


def test_frames_that_may_not_be_written_are_read(device: Device) -> None:
    frames, _ = made("uint16", (3, 64, 64))
    frames.setflags(write=False)
    bound, runner = SHIPPED["statistics"].bind((64, 64), frames.dtype), Runner(device)
    same(runner.run(bound, frames), bound.reference(frames, 0), bound)
    assert runner.problem == ""


def test_squares_that_do_not_fit_64_bits_are_exact(device: Device) -> None:
    frames = numpy.full((2, 300, 300), 4_294_967_294, numpy.uint32)
    bound = SHIPPED["statistics"].bind((300, 300), frames.dtype)
    for runner in (Runner(device), Runner(None)):
        found = runner.run(bound, frames)
        exact = (int(found["squares_high"][0]) << 64) + int(found["squares_low"][0])
        assert exact == 90_000 * 4_294_967_294**2 > 1 << 64


def test_means_and_variances_are_those_of_the_pixels() -> None:
    frames, mask = made("uint16", (5, 60, 70))
    found = Runner(None).run(SHIPPED["statistics"].bind((60, 70), frames.dtype, mask=mask), frames)
    valid = is_valid(frames, mask)
    own = [frame[ok].astype(float) for frame, ok in zip(frames, valid, strict=True)]
    numpy.testing.assert_allclose(found["mean"], [one.mean() for one in own])
    numpy.testing.assert_allclose(found["variance"], [one.var() for one in own], rtol=1e-6)


def test_a_frame_without_a_valid_pixel(device: Device) -> None:
    frames = numpy.full((1, 16, 16), 65535, "u2")
    for runner in (Runner(None), Runner(device)):
        found = runner.run(SHIPPED["statistics"].bind((16, 16), frames.dtype), frames)
        assert (found["valid"][0], found["saturated"][0], found["total"][0]) == (0, 256, 0)
        assert numpy.isnan(found["mean"][0])
        assert numpy.isnan(found["variance"][0])


def test_no_frames_give_empty_results(device: Device) -> None:
    for bound in variants((16, 16), "uint16", numpy.zeros((16, 16), "u1"), 3):
        found = Runner(device).run(bound, numpy.zeros((0, 16, 16), "u2"))
        assert all(not len(array) for name, array in found.items() if bound.kernel.name != "parity"), (
            bound.kernel.name
        )


def test_averages_run_over_calls(device: Device) -> None:
    frames, mask = made("uint16", (10, 20, 30))
    bound, runner = SHIPPED["parity"].bind((20, 30), frames.dtype, mask=mask), Runner(device)
    parts = [runner.run(bound, frames[begin : begin + 3], begin) for begin in range(0, 10, 3)]
    together = {name: sum(part[name] for part in parts) for name in parts[0]}
    found, valid = parity.conclude(together), is_valid(frames, mask)
    for odd in (0, 1):
        number = valid[odd::2].sum(axis=0)
        own = numpy.where(valid, frames, 0)[odd::2].sum(axis=0) / numpy.where(number == 0, numpy.nan, number)
        numpy.testing.assert_allclose(found["means"][odd], own, equal_nan=True)
    numpy.testing.assert_allclose(found["difference"], found["means"][1] - found["means"][0], equal_nan=True)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("error", [1, 2, 50])
def test_what_is_lossy_keeps_to_its_error(device: Device, dtype: str, error: int) -> None:
    frames, mask = made(dtype, (3, 40, 50))
    bound = SHIPPED["lossy"].bind((40, 50), frames.dtype, error=error)
    found = Runner(device).run(bound, frames)
    step = next(product.scale for product in bound.products if product.name == "steps")
    own = is_valid(frames, mask * 0)
    again = numpy.where(own, found["steps"] * step, found["steps"])
    assert found["lost"].sum() == 0
    assert numpy.abs(again[own] - frames[own].astype(float)).max() <= error * (1 + 1e-12)
    if frames.dtype.kind != "f":
        assert numpy.array_equal(again[~own], frames[~own].astype(int)), "markers stay"
    else:
        assert (again[~own] == lossy.GAP).all()


def test_what_does_not_fit_is_counted(device: Device) -> None:
    frames = numpy.array([[[1e20, 1.0, numpy.nan]]], "f4")
    for runner in (Runner(None), Runner(device)):
        found = runner.run(SHIPPED["lossy"].bind((1, 3), frames.dtype, error=0.5), frames)
        assert (found["steps"].tolist(), found["lost"].tolist()) == ([[[lossy.GAP, 1, lossy.GAP]]], [1])


def test_bins_hold_their_lower_edge_and_the_last_both() -> None:
    edges, values = numpy.array([0.0, 1.0, 2.0]), numpy.array([-0.1, 0.0, 0.99, 1.0, 2.0, 2.01, numpy.nan])
    assert azimuthal.bins_of(values, edges).tolist() == [-1, 0, 0, 1, 1, -1, -1]


def test_shares_of_a_pixel_add_up_to_it() -> None:
    random = numpy.random.default_rng(1)
    centres, reach = random.uniform(1, 9, (20, 30)), random.uniform(0, 0.5, (20, 30))
    reach[0] = 0
    begins, places, shares = azimuthal.shares_of(centres, reach, numpy.linspace(0, 10, 38))
    numpy.testing.assert_allclose(numpy.add.reduceat(shares, begins[:-1]), 1, rtol=1e-5)
    assert (places.min() >= 0, places.max() < 37) == (True, True)


def test_bins_of_ones_own_making(device: Device) -> None:
    frames, mask = made("uint16", (4, 61, 83))
    random = numpy.random.default_rng(3)
    places = random.integers(-1, 7, (61, 83)).astype("i4")
    bound = azimuthal.of_places((61, 83), frames.dtype, places, 7, numpy.ones((61, 83), "f4"), mask)
    found, valid = Runner(device).run(bound, frames), is_valid(frames, mask)
    for number in range(4):
        for place in range(7):
            own = valid[number] & (places == place)
            assert found["counts"][number, place] == own.sum()
            numpy.testing.assert_allclose(found["intensity"][number, place], frames[number][own].mean())


def test_a_peak_is_found_where_it_was_put_and_a_bright_ring_is_none() -> None:
    random = numpy.random.default_rng(5)
    y, x = numpy.mgrid[:200, :200]
    rings = 50 * numpy.exp(-((numpy.hypot(y - 100, x - 100) - 60) ** 2) / 200)
    frame = random.poisson(2 + rings).astype("u2")
    for row, column in ((30, 40), (150, 160), (100, 41)):
        frame[row, column] = 400
    found = Runner(None).run(SHIPPED["peaks"].bind((200, 200), frame.dtype, ratio=12.0, least=3), frame[None])
    assert found["places"][0][: found["count"][0]].tolist() == [
        30 * 200 + 40,
        100 * 200 + 41,
        150 * 200 + 160,
    ]
    assert found["hit"].tolist() == [1]


# -- what cannot be ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "said"), [
    ("statistics", {"mask": numpy.zeros((4, 4))}), ("statistics", {"above": [numpy.nan]}), ("statistics", {"above": [1.0] * 65}), ("binned", {"size": 0}),
    ("binned", {"size": 257}), ("binned", {"region": (-1, 0, 4, 4)}), ("binned", {"region": (0, 0, 9, 8)}), ("binned", {"size": 9}),
    ("correct", {"dark": numpy.zeros((4, 4))}), ("correct", {"dark": numpy.full((8, 8), numpy.nan)}), ("summary", {"above": numpy.inf}),
    ("azimuthal", {"geometry": PONI, "bins": 0}), ("azimuthal", {"geometry": PONI, "bins": 65_537}), ("azimuthal", {"geometry": PONI, "range": (2, 1)}),
    ("azimuthal", {"geometry": PONI, "range": (numpy.nan, 1)}), ("azimuthal", {"geometry": ArmGeometry(3, 2, 1e-3, 1e-3), "unit": "q_A^-1"}),
    ("peaks", {"radius": 1}), ("peaks", {"ratio": numpy.inf}), ("peaks", {"kept": -1}), ("lossy", {"error": -1}), ("lossy", {"error": 0.5}),
    ("lossy", {"error": numpy.nan}), ("lossy", {"error": 1 << 30}),
])  # fmt: skip
def test_parameters_that_cannot_be(name: str, said: dict[str, object]) -> None:
    with pytest.raises(FramesRefused):
        SHIPPED[name].bind((8, 8), numpy.dtype("u2"), **said)


@pytest.mark.parametrize(("shape", "dtype", "message"), [
    ((0, 4), "u2", "the shape"), ((4,), "u2", "the shape"), ((4, 4), "f8", "frames of float64"), ((4, 4), ">u2", "frames of >u2"),
    ((4, 4), "u8", "frames of uint64"), ((1 << 15, 1 << 15), "u2", "at the most"),
])  # fmt: skip
def test_frames_that_cannot_be_worked_on(shape: tuple[int, ...], dtype: str, message: str) -> None:
    for name, module in SHIPPED.items():
        more = {"azimuthal": {"geometry": PONI}, "lossy": {"error": 1}}.get(name, {})
        with pytest.raises(FramesRefused, match=message):
            module.bind(shape, numpy.dtype(dtype), **more)


def test_frames_of_another_form_are_refused() -> None:
    bound = SHIPPED["hits"].bind((8, 8), numpy.dtype("u2"))
    for frames in (numpy.zeros((1, 8, 9), "u2"), numpy.zeros((1, 8, 8), "u4"), numpy.zeros((8, 8), "u2")):
        with pytest.raises(FramesRefused, match="was bound for"):
            Runner(None).run(bound, frames)


def test_kernels_are_known_by_the_digest_of_their_source() -> None:
    assert len({module.KERNEL.digest for module in SHIPPED.values()}) == len(SHIPPED)
    for name, module in SHIPPED.items():
        assert f"__kernel void {name}(" in module.KERNEL.source
        assert {one.name for one in module.PARAMETERS} == {
            one for one in module.bind.__kwdefaults__ or {} if one not in ("shape", "dtype")
        } | {one.name for one in module.PARAMETERS if one.default is None and not one.optional}


def test_this_package_does_without_a_device() -> None:
    code = (
        "import sys; sys.modules['pyopencl'] = None; import numpy; from accel.running import Runner; from accel.shipped import SHIPPED;"
        " print(Runner(None).run(SHIPPED['statistics'].bind((4, 4), numpy.dtype('u2')), numpy.ones((1, 4, 4), 'u2'))['total'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[16]"
