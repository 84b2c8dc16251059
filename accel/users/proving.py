"""The test bench of a kernel by a user: a device, NumPy and Python itself on random and extreme frames, with its parameters at both of their ends."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel.errors import KernelRefused
from accel.frames import TYPES, Frames
from accel.kernel import Results
from accel.running import Runner
from accel.series import invalid
from accel.users import meaning
from accel.users.binding import UserKernel, types_of

SHAPES: Final = ((1, 1), (1, 7), (9, 1), (13, 17), (5, 140))
FRAMES: Final = 3
RELATIVE: Final = 1e-4
LARGEST: Final = 1 << 20
MOST_PYTHON: Final = 250
"""Pixels of frames that Python is asked about."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two ways of running a kernel that do not find the same."""

    case: str
    result: str
    found: str

    def __str__(self) -> str:
        return f"{self.case}: `{self.result}` is {self.found}"


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of it.

    Attributes:
        cases: kernel runs that were compared.
        types: for which types of frames it is; the reason for those that it is not for.
        disagreements: none for a kernel that may be used.
        refused: parameters at their ends with which it cannot be.
    """

    cases: int
    types: Mapping[str, str]
    disagreements: tuple[Disagreement, ...]
    refused: tuple[str, ...]


def prove(kernel: UserKernel, runner: Runner, seed: int, of: Sequence[str] = TYPES) -> Proof:
    """Compare the three ways on frames of some types; the seed decides on the frames.

    Raises:
        KernelEnded: Python could not run it.
    """
    random = numpy.random.default_rng(seed)
    types = types_of(kernel)
    cases, wrong, refused = 0, list[Disagreement](), dict[str, None]()
    for name in (one for one in of if not types[one]):
        for shape in SHAPES:
            frames, mask = _frames(name, shape, random)
            for given in _parameters(kernel, shape, random):
                said = {key: value for key, value in given.items() if not isinstance(value, numpy.ndarray)}
                try:
                    bound = kernel.bind(shape, numpy.dtype(name), mask=mask, **given)
                except KernelRefused as error:
                    refused[f"{said}: {error}"] = None
                    continue
                cases += 1
                case = f"{name} {shape[0]} x {shape[1]} {said or ''}".strip()
                wanted = bound.reference(frames, 0)
                wrong += _compared(
                    f"{case}, on {runner.runs_on} and in NumPy", runner.run(bound, frames), wanted
                )
                if shape[0] * shape[1] <= MOST_PYTHON:
                    exact = _exact_in_single(frames)
                    wanted = bound.reference(exact, 0)
                    wrong += _compared(
                        f"{case}, in Python and in NumPy", _python(kernel, exact, mask, given), wanted
                    )
    return Proof(cases, types, tuple(wrong), tuple(refused))


def seconds_per_frame(
    kernel: UserKernel, runner: Runner, shape: tuple[int, int], dtype: str
) -> tuple[float, float]:
    """The median time of a frame, and of copying one."""
    random = numpy.random.default_rng(1)
    kind = numpy.dtype(dtype)
    frames = random.poisson(3, (4, *shape)).astype(kind)
    images = {
        one.name: random.uniform(0.5, 1.5, shape) for one in kernel.program.given if one.kind == "image"
    }
    bound = kernel.bind(shape, kind, **images)
    target = numpy.empty_like(frames)
    out: Results = {}
    spent, copied = [], []
    for _ in range(7):
        began = time.perf_counter()
        out = runner.run(bound, frames, 0, out)
        middle = time.perf_counter()
        numpy.copyto(target, frames)
        spent.append(middle - began)
        copied.append(time.perf_counter() - middle)
    return sorted(spent[1:])[3] / len(frames), sorted(copied[1:])[3] / len(frames)


def _frames(name: str, shape: tuple[int, int], random: numpy.random.Generator) -> tuple[Frames, NDArray[Any]]:
    """Counts, extremes, markers, gaps; the last frame is one value everywhere."""
    kind = numpy.dtype(name)
    frames = random.poisson(4, (FRAMES, *shape)).astype(kind)
    if kind.kind == "f":
        frames[0] = random.normal(0, 3, shape).round(1)
        special = [numpy.nan, numpy.inf, -numpy.inf, 0.0, 1e6]
    else:
        top = int(numpy.iinfo(kind).max)
        special = [top, top - 1, 0, top // 2, *((-1, -2) if kind.kind == "i" else ())]
    for value in special:
        frames[:2][random.random((2, *shape)) < 0.04] = value
    return frames, (random.random(shape) < 0.1).astype(numpy.uint8)


def _exact_in_single(frames: Frames) -> Frames:
    """Frames without whole numbers that single precision does not tell apart, as Python does; in their place are pixels that do not count."""
    if frames.dtype.itemsize < 4 or frames.dtype.kind == "f":
        return frames
    return numpy.where(frames > LARGEST, invalid(frames.dtype), frames).astype(frames.dtype)


def _parameters(
    kernel: UserKernel, shape: tuple[int, int], random: numpy.random.Generator
) -> Iterator[dict[str, Any]]:
    images = {
        one.name: random.uniform(0, 3, shape).astype(numpy.float32)
        for one in kernel.program.given
        if one.kind == "image"
    }
    yield images
    for one in kernel.program.given:
        if one.kind != "image":
            for end in (one.least, one.most):
                if abs(end) <= 1_000_000:  # ends that somebody chose
                    yield {**images, one.name: int(end) if one.kind == "int" else float(end)}


def _python(kernel: UserKernel, frames: Frames, mask: NDArray[Any], given: Mapping[str, Any]) -> Results:
    values = {one.name: given.get(one.name, one.default) for one in kernel.program.given}
    found = [meaning.run(kernel.program, frame, mask, values) for frame in frames]
    return {name: numpy.array([one[name] for one in found]) for name in found[0]}


def _compared(case: str, found: Results, wanted: Results) -> list[Disagreement]:
    wrong = []
    for name, array in wanted.items():
        other = numpy.asarray(found[name], numpy.float64)
        mine = array.astype(numpy.float64)
        with numpy.errstate(invalid="ignore"):
            scale = RELATIVE * numpy.maximum(numpy.abs(mine), 1.0)
            same = (
                (numpy.abs(other - mine) <= scale)
                | (numpy.isnan(other) & numpy.isnan(mine))
                | (other == mine)
            )
        if not same.all():
            place = tuple(int(one[0]) for one in numpy.nonzero(~same))
            wrong.append(Disagreement(case, name, f"{other[place]:g} and {mine[place]:g} at {place}"))
    return wrong
