"""Kernels on a real device against their NumPy reference: exactly for whole numbers, whatever mask, gaps, sizes and batches."""

import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel import reference
from accel.catalogue import KERNELS
from accel.device import NO_LINKER, Device, DeviceInfo, best_device, devices, probed
from accel.errors import DeviceUnusable, FramesRefused
from accel.reference import TYPES
from accel.running import CHUNKED, STRIDED, Runner

THRESHOLDS = (0.0, 3.5, 1000.0)


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


def same(found: reference.Statistics, wanted: reference.Statistics) -> None:
    for name in ("valid", "lowest", "highest", "above", "saturated", "squares_high", "squares_low"):
        assert numpy.array_equal(getattr(found, name), getattr(wanted, name)), name
        assert getattr(found, name).dtype == getattr(wanted, name).dtype, name
    if wanted.total.dtype.kind == "f":
        assert numpy.allclose(found.total, wanted.total, rtol=1e-12, atol=1e-9)
        assert numpy.allclose(found.squares, wanted.squares, rtol=1e-12, atol=1e-9)
    else:
        assert numpy.array_equal(found.total, wanted.total)
        assert numpy.array_equal(found.squares, wanted.squares)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [CHUNKED, STRIDED])
def test_statistics_are_those_of_the_reference(device: Device, dtype: str, shape: int) -> None:
    frames, mask = made(dtype, (5, 97, 211))
    runner = Runner(device)
    runner._shapes["statistics", dtype, 97 * 211] = shape
    wanted = reference.statistics(frames, mask, numpy.array(THRESHOLDS))
    same(runner.statistics(frames, mask, THRESHOLDS), wanted)
    assert (runner.runs_on, runner.problem) == (device.info.device, "")
    means, valid = wanted.mean, reference.is_valid(frames, mask)
    assert numpy.allclose(
        means, [frame[ok].astype(float).mean() for frame, ok in zip(frames, valid, strict=True)]
    )
    assert numpy.allclose(
        wanted.variance,
        [frame[ok].astype(float).var() for frame, ok in zip(frames, valid, strict=True)],
        rtol=1e-6,
    )


def test_squares_that_do_not_fit_64_bits_are_exact(device: Device) -> None:
    frames = numpy.full((2, 300, 300), 4_294_967_294, numpy.uint32)
    found = Runner(device).statistics(frames)
    exact = (int(found.squares_high[0]) << 64) + int(found.squares_low[0])
    assert exact == 90_000 * 4_294_967_294**2 > 1 << 64


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(TYPES),
    st.tuples(st.integers(1, 4), st.integers(1, 40), st.integers(1, 300)),
    st.integers(0, 1000),
)
def test_whatever_size_frames_have(
    device: Device, dtype: str, shape: tuple[int, int, int], seed: int
) -> None:
    frames, mask = made(dtype, shape, seed)
    runner = Runner(device)
    same(
        runner.statistics(frames, mask, THRESHOLDS),
        reference.statistics(frames, mask, numpy.array(THRESHOLDS)),
    )
    size = 1 + seed % min(shape[1:])
    found, wanted = (
        runner.binned(frames, size, None, mask),
        reference.binned(frames, mask, size, (0, 0, *shape[1:])),
    )
    assert numpy.array_equal(found.counts, wanted.counts)
    assert (
        numpy.allclose(found.sums, wanted.sums, rtol=1e-12)
        if frames.dtype.kind == "f"
        else numpy.array_equal(found.sums, wanted.sums)
    )


@pytest.mark.parametrize("dtype", TYPES)
def test_corrections_are_those_of_the_reference(device: Device, dtype: str) -> None:
    frames, mask = made(dtype, (3, 64, 80))
    random = numpy.random.default_rng(1)
    dark, factor = random.normal(1, 0.1, (64, 80)).astype("f4"), random.normal(2, 0.2, (64, 80)).astype("f4")
    found = Runner(device).correct(frames, dark, factor, mask)
    wanted = reference.correct(frames, mask, dark, factor)
    assert numpy.array_equal(numpy.isnan(found), numpy.isnan(wanted))
    numpy.testing.assert_array_max_ulp(found[~numpy.isnan(found)], wanted[~numpy.isnan(wanted)], maxulp=2)


def test_a_region_is_binned(device: Device) -> None:
    frames, mask = made("uint16", (2, 33, 57))
    for size, region in ((1, (0, 0, 33, 57)), (2, (1, 3, 30, 50)), (4, (32, 50, 1, 7)), (3, (5, 5, 10, 10))):
        if region[2] // size == 0:
            with pytest.raises(FramesRefused, match="holds no square"):
                Runner(device).binned(frames, size, region, mask)
            continue
        found, wanted = (
            Runner(device).binned(frames, size, region, mask),
            reference.binned(frames, mask, size, region),
        )
        assert numpy.array_equal(found.sums, wanted.sums)
        assert numpy.array_equal(found.counts, wanted.counts)


@pytest.mark.parametrize("limit", [500_000, 1_000_000, 1 << 28])
@pytest.mark.parametrize("shape", [CHUNKED, STRIDED])
def test_batches_of_any_size_give_the_same(device: Device, limit: int, shape: int) -> None:
    frames, mask = made("uint16", (37, 64, 64))
    runner = Runner(device, limit)
    runner._shapes["statistics", "uint16", 64 * 64] = shape
    same(
        runner.statistics(frames, mask, THRESHOLDS),
        reference.statistics(frames, mask, numpy.array(THRESHOLDS)),
    )
    assert numpy.array_equal(
        runner.binned(frames, 2, None, mask).sums, reference.binned(frames, mask, 2, (0, 0, 64, 64)).sums
    )
    assert runner.problem == ""


def test_a_device_without_memory_lets_numpy_serve(device: Device, caplog) -> None:
    frames, mask = made("uint16", (4, 64, 64))
    runner = Runner(device, 100)
    same(
        runner.statistics(frames, mask, THRESHOLDS),
        reference.statistics(frames, mask, numpy.array(THRESHOLDS)),
    )
    assert (runner.runs_on, "bytes of its memory" in runner.problem) == ("NumPy", True)
    assert "NumPy serves instead" in caplog.text


def test_a_device_that_is_lost_in_mid_run_lets_numpy_serve(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, mask = made("uint16", (40, 64, 64))
    name = "enqueue_copy" if device.info.is_gpu else "enqueue_map_buffer"
    runner, real, calls = Runner(device, 500_000), getattr(device.cl, name), []

    def lost(*arguments: object, **more: object) -> object:
        calls.append(1)
        if len(calls) == 30:
            raise device.cl.RuntimeError("device lost")
        return real(*arguments, **more)

    monkeypatch.setattr(device.cl, name, lost)
    same(
        runner.statistics(frames, mask, THRESHOLDS),
        reference.statistics(frames, mask, numpy.array(THRESHOLDS)),
    )
    assert runner.runs_on == "NumPy"
    assert "device lost" in runner.problem


@pytest.mark.parametrize(("frames", "message"), [
    (numpy.zeros((3, 4)), "the shape"), (numpy.zeros((1, 0, 4), "u2"), "the shape"), (numpy.zeros((1, 4, 4)), "frames of float64"),
    (numpy.zeros((1, 4, 4), ">u2"), "frames of >u2"), (numpy.zeros((1, 4, 4), "u8"), "frames of uint64"),
])  # fmt: skip
def test_frames_that_cannot_be_worked_on(frames: numpy.ndarray, message: str) -> None:
    with pytest.raises(FramesRefused, match=message):
        Runner(None).statistics(frames)


def test_parameters_that_cannot_be() -> None:
    frames = numpy.zeros((1, 8, 8), "u2")
    runner = Runner(None)
    for call in (
        lambda: runner.statistics(frames, numpy.zeros((4, 4), "u1")), lambda: runner.statistics(frames, None, (numpy.nan,)),
        lambda: runner.statistics(frames, None, (1.0,) * 65), lambda: runner.binned(frames, 0), lambda: runner.binned(frames, 2, (-1, 0, 4, 4)),
        lambda: runner.binned(frames, 2, (0, 0, 9, 8)), lambda: runner.correct(frames, numpy.zeros((4, 4)), numpy.ones((8, 8))),
    ):  # fmt: skip
        with pytest.raises(FramesRefused):
            call()
    assert len(runner.statistics(frames[:0]).valid) == 0


def test_a_frame_without_a_valid_pixel(device: Device) -> None:
    frames = numpy.full((1, 16, 16), 65535, "u2")
    for runner in (Runner(None), Runner(device)):
        found = runner.statistics(frames)
        assert (found.valid[0], found.saturated[0], found.total[0]) == (0, 256, 0)
        assert numpy.isnan(found.mean[0])
        assert numpy.isnan(found.variance[0])


# -- devices -------------------------------------------------------------------------------------------------


def test_devices_are_tried_and_described(device: Device) -> None:
    (found,) = [one for one in devices() if one.number == device.info.number]
    assert (found.problem, found.units > 0, found.memory_bytes > 0) == ("", True, True)


def test_a_machine_without_a_linker_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: Device
) -> None:
    if "ortable" not in device.info.platform:
        pytest.skip("only PoCL links with the machine's linker")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("POCL_CACHE_DIR", str(tmp_path / "cache"))
    found = probed()
    assert [one.problem for one in found if "ortable" in one.platform] == [NO_LINKER]


def test_a_probe_that_never_answers_is_given_up() -> None:
    assert probed(timeout_s=0.001) == []


def test_a_device_that_does_not_work_is_not_used() -> None:
    with pytest.raises(DeviceUnusable, match="`x` is not used: broken"):
        Device(DeviceInfo(0, "p", "x", "1", False, 1, 1, 1, "broken"))


def test_a_kernel_that_does_not_build_says_why(device: Device) -> None:
    with pytest.raises(DeviceUnusable, match="a kernel does not build"):
        device.kernel("x", "__kernel void x() { nonsense }", {})


def test_kernels_are_known_by_the_digest_of_their_source() -> None:
    digests = {kernel.digest for kernel in KERNELS.values()}
    assert len(digests) == len(KERNELS)
    for kernel in KERNELS.values():
        assert f"__kernel void {kernel.name}(" in kernel.source
        assert hasattr(reference, kernel.name), "its specification"


def test_this_package_does_without_a_device() -> None:
    code = "import sys; sys.modules['pyopencl'] = None; import accel.running, numpy; r = accel.running.Runner(None); print(r.statistics(numpy.ones((1, 4, 4), 'u2')).total)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[16]"


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("bins", [1, 7, 300])
def test_curves_are_those_of_the_reference(device: Device, dtype: str, bins: int) -> None:
    frames, mask = made(dtype, (4, 61, 83))
    random = numpy.random.default_rng(3)
    places = random.integers(-1, bins, (61, 83)).astype("i4")
    factor = random.uniform(0.5, 1.5, (61, 83)).astype("f4")
    found, wanted = (
        Runner(device).azimuthal(frames, places, bins, factor, mask),
        reference.azimuthal(frames, mask, places, factor, bins),
    )
    assert numpy.array_equal(found.counts, wanted.counts)
    for name in ("weights", "intensity", "sigma"):
        assert numpy.allclose(
            getattr(found, name), getattr(wanted, name), rtol=1e-9, atol=1e-9, equal_nan=True
        ), name


def test_bins_hold_their_lower_edge_and_the_last_both() -> None:
    edges = numpy.array([0.0, 1.0, 2.0])
    assert reference.bins_of(numpy.array([-0.1, 0.0, 0.99, 1.0, 2.0, 2.01, numpy.nan]), edges).tolist() == [
        -1,
        0,
        0,
        1,
        1,
        -1,
        -1,
    ]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(TYPES), st.integers(2, 6), st.floats(0.5, 8), st.integers(0, 1000))
def test_peaks_are_those_of_the_reference(
    device: Device, dtype: str, radius: int, ratio: float, seed: int
) -> None:
    frames, mask = made(dtype, (2, 40, 53), seed)
    found, wanted = (
        Runner(device).peaks(frames, mask, radius=radius, ratio=ratio),
        reference.peaks(frames, mask, radius, ratio, 5.0, 1024),
    )
    if frames.dtype.kind == "f":  # the order of a sum may tip one that stands on the edge
        assert abs(found.counts.astype(int) - wanted.counts.astype(int)).max() <= 1
        return
    assert numpy.array_equal(found.counts, wanted.counts)
    assert numpy.array_equal(found.pixels, wanted.pixels)


def test_a_peak_is_found_where_it_was_put_and_a_bright_ring_is_none() -> None:
    random = numpy.random.default_rng(5)
    y, x = numpy.mgrid[:200, :200]
    rings = 50 * numpy.exp(-((numpy.hypot(y - 100, x - 100) - 60) ** 2) / 200)
    frame = random.poisson(2 + rings).astype("u2")
    for row, column in ((30, 40), (150, 160), (100, 41)):
        frame[row, column] = 400
    found = Runner(None).peaks(frame[None], ratio=12.0)
    assert found.pixels[0][: found.counts[0]].tolist() == [30 * 200 + 40, 100 * 200 + 41, 150 * 200 + 160]


def test_parameters_of_curves_and_peaks_that_cannot_be() -> None:
    frames, runner = numpy.zeros((1, 8, 8), "u2"), Runner(None)
    places = numpy.zeros((8, 8), "i4")
    for call in (
        lambda: runner.azimuthal(frames, places[:4], 3), lambda: runner.azimuthal(frames, places + 3, 3), lambda: runner.azimuthal(frames, places, 0),
        lambda: runner.azimuthal(frames, places, 3, numpy.full((8, 8), numpy.nan)), lambda: runner.peaks(frames, radius=1),
        lambda: runner.peaks(frames, ratio=numpy.inf), lambda: runner.peaks(frames, kept=-1),
    ):  # fmt: skip
        with pytest.raises(FramesRefused):
            call()


def test_a_shape_that_does_not_fit_is_not_chosen(device: Device) -> None:
    frames, mask = made("uint16", (2, 512, 512))
    runner = Runner(device, 1_200_000)
    same(
        runner.statistics(frames, mask, THRESHOLDS),
        reference.statistics(frames, mask, numpy.array(THRESHOLDS)),
    )
    assert (runner.problem, runner._shapes["statistics", "uint16", 512 * 512]) == ("", CHUNKED)
