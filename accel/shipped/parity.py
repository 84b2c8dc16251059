"""Running averages and differences by trigger parity: pump and probe."""

from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel.frames import Frames, check_form, checked_mask, is_valid
from accel.kernel import Bound, Kernel, Output, Parameter, Product, Results, Work, defines, digest_of
from accel.shipped.source import source_of

KERNEL: Final = Kernel(
    "parity", "1.0", "Averages of the frames with even and with odd trigger numbers, and their difference, over all frames so far.",
    "mean_even[p] = sum over even frames of x[p] / number of them where p is valid; likewise odd; difference = mean_odd - mean_even",
    "exact for whole numbers; relative 1e-12 for floating point", "b + 1 read, 24 written for each batch", source_of("parity"),
)  # fmt: skip
PARAMETERS: Final = (Parameter("mask", "image", "pixels that are not 0 there do not count", optional=True),)


def bind(shape: tuple[int, int], dtype: numpy.dtype[Any], *, mask: NDArray[Any] | None = None) -> Bound:
    """The kernel for frames; the number of a frame is that of its trigger."""
    check_form(shape, dtype)
    own = checked_mask(mask, shape)
    sums = numpy.dtype(numpy.float64 if dtype.kind == "f" else numpy.int64)
    outputs = (Output(sums, (2, *shape), of_all=True), Output(numpy.uint32, (2, *shape), of_all=True))
    work = Work(
        "parity", KERNEL.source, defines(dtype), (own,), (numpy.uint32(own.size),), outputs, of_all=True
    )  # fmt: skip
    products = (
        Product("sums", (2, *shape), sums.name, "sums over even and odd frames", "counts", of_all=True),
        Product("counts", (2, *shape), "uint32", "frames in which a pixel is valid", of_all=True),
        Product("means", (2, *shape), "float64", "averages of even and odd frames; NaN where there is none", "counts", of_all=True),
        Product("difference", shape, "float64", "odd less even", "counts", of_all=True),
    )  # fmt: skip
    said = {} if mask is None else {"mask": digest_of(own)}
    return Bound(
        KERNEL, said, shape, dtype, products, work, lambda frames, first: reference(frames, own, first),
        lambda parts: {"sums": parts[0], "counts": parts[1]}, conclude,
    )  # fmt: skip


def reference(frames: Frames, mask: NDArray[Any], first: int) -> Results:
    """What it means: sums and counts, which `conclude` makes averages of."""
    valid = is_valid(frames, mask)
    kind = numpy.float64 if frames.dtype.kind == "f" else numpy.int64
    sums, counts = numpy.zeros((2, *mask.shape), kind), numpy.zeros((2, *mask.shape), numpy.uint32)
    for odd in (0, 1):
        own = slice((first + odd) & 1, None, 2)
        sums[odd] = numpy.where(valid[own], frames[own], 0).sum(axis=0, dtype=kind)
        counts[odd] = valid[own].sum(axis=0, dtype=numpy.uint32)
    return {"sums": sums, "counts": counts}


def conclude(found: Results) -> Results:
    """Averages and their difference from sums."""
    means = found["sums"] / numpy.where(found["counts"] == 0, numpy.nan, found["counts"])
    return {**found, "means": means, "difference": means[1] - means[0]}
