"""Fewer bits for each pixel, to a stated error."""

import math
from typing import Any, Final

import numpy

from accel.errors import FramesRefused
from accel.frames import Frames, check_form, is_valid
from accel.kernel import Bound, Kernel, Output, Parameter, Product, Results, Work, defines
from accel.shipped.source import source_of

KERNEL: Final = Kernel(
    "lossy", "1.0", "Pixels in steps of so many counts, which compress better: |x - step * q| is never above the stated error; markers and gaps stay.",
    "q = round(x / step), step = 2 * error + 1 for whole numbers (half up), 2 * error for floating point (half to even)",
    "", "b read, b written", source_of("lossy"),
)  # fmt: skip
PARAMETERS: Final = (
    Parameter("error", "number", "the largest error, in counts; whole for whole numbers", least=0.0),
)
GAP: Final = -(1 << 31)
"""Of floating point: an invalid pixel, or one that does not fit 32 bits."""


def bind(shape: tuple[int, int], dtype: numpy.dtype[Any], *, error: float) -> Bound:
    """The kernel for frames."""
    check_form(shape, dtype)
    whole = dtype.kind != "f"
    if (
        not math.isfinite(error)
        or error < 0
        or (whole and error != int(error))
        or not (whole or error)
        or error > 1 << 24
    ):
        wanted = "a whole number" if whole else "a number above 0"
        raise FramesRefused(f"found an error of {error}; {wanted} up to {1 << 24} was expected for {dtype}")
    step = 2 * int(error) + 1 if whole else 2.0 * error
    kind = dtype if whole else numpy.dtype(numpy.int32)
    count = shape[0] * shape[1]
    work = Work(
        "lossy", KERNEL.source, {**defines(dtype), "WIDTH": f"{step}u" if whole else float(step).hex()}, (numpy.zeros(shape, numpy.uint8),), (numpy.uint32(count),),
        (Output(kind, shape, product="steps"), Output(numpy.uint32, by_part=True)),
    )  # fmt: skip
    products = (
        Product("steps", shape, kind.name, f"each pixel in steps of {step:g} counts", "counts", scale=float(step)),
        Product("lost", (), "uint64", "pixels that do not fit 32 bits, and are gaps"),
    )  # fmt: skip
    return Bound(
        KERNEL,
        {"error": error, "step": step},
        shape,
        dtype,
        products,
        work,
        lambda frames, _: reference(frames, step),
        lambda parts: {"lost": parts[0].sum(axis=1, dtype=numpy.uint64)},
    )


def reference(frames: Frames, step: float) -> Results:
    """What it means."""
    own = is_valid(frames, numpy.zeros(frames.shape[1:]))
    if frames.dtype.kind != "f":
        wide = frames.astype(numpy.int64)
        steps = wide // int(step) + (wide % int(step) > int(step) // 2)
        return {"steps": numpy.where(own, steps, wide).astype(frames.dtype), "lost": numpy.zeros(len(frames), numpy.uint64)}  # fmt: skip
    with numpy.errstate(over="ignore", invalid="ignore"):
        divided = frames.astype(numpy.float64) / step
        fits = numpy.abs(divided) < 2147483647.0
    steps = numpy.where(own & fits, numpy.rint(numpy.where(own & fits, divided, 0)), GAP).astype(numpy.int32)
    return {"steps": steps, "lost": (own & ~fits).sum(axis=(1, 2), dtype=numpy.uint64)}
