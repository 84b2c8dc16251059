"""What kernels cost on this machine's device, beside their NumPy reference and beside copying the same bytes; medians of one run."""

import statistics
import time
from collections.abc import Callable

import numpy

from accel import reference
from accel.device import best_device
from accel.errors import DeviceUnusable
from accel.geometry import Poni
from accel.running import Runner

ROWS, COLUMNS, FRAMES = 2167, 2070, 4
ROUNDS = 7


def _median(work: Callable[[], object]) -> float:
    work()
    spent = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent)


def run() -> None:
    """Print every row."""
    try:
        device = best_device()
    except DeviceUnusable as error:
        print(error)
        return
    runner, none = Runner(device), Runner(None)
    random = numpy.random.default_rng(1)
    frames = random.poisson(3, (FRAMES, ROWS, COLUMNS)).astype("u2")
    frames[:, ::512] = 65535
    dark, factor = numpy.full((ROWS, COLUMNS), 0.5, "f4"), numpy.full((ROWS, COLUMNS), 1.1, "f4")
    poni = Poni(0.15, 0.08, 0.08, 0.0, 0.0, 0.0, 75e-6, 75e-6)
    angle = poni.two_theta(ROWS, COLUMNS)
    places = reference.bins_of(angle, numpy.linspace(angle.min(), angle.max(), 1001))
    copy = _median(lambda: frames.copy())
    print(
        f"{device.info.device}: {FRAMES} frames of {ROWS} x {COLUMNS} uint16; copying them takes {1000 * copy / FRAMES:.2f} ms a frame"
    )
    ways: dict[str, Callable[[Runner], object]] = {
        "statistics": lambda r: r.statistics(frames, None, (10.0,)), "correct": lambda r: r.correct(frames, dark, factor),
        "binned": lambda r: r.binned(frames, 2), "azimuthal": lambda r: r.azimuthal(frames, places, 1000), "peaks": lambda r: r.peaks(frames, least=20.0),
    }  # fmt: skip
    for name, work in ways.items():
        mine = _median(lambda work=work: work(runner))  # type: ignore[misc]
        theirs = _median(lambda work=work: work(none))  # type: ignore[misc]
        print(
            f"{name:<11} {1000 * mine / FRAMES:7.2f} ms a frame, {FRAMES / mine:6.0f} frames a second; {theirs / mine:5.1f} x its reference,"
            f" {copy / mine:.2f} of the rate of a copy"
        )
