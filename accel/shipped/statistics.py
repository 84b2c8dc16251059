"""Sums, extremes and counts of each frame."""

from collections.abc import Sequence
from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel.frames import Frames, check_form, checked_mask, is_valid
from accel.kernel import Bound, Kernel, Output, Parameter, Product, Results, Work, defines, digest_of
from accel.shipped.levels import least_above
from accel.shipped.source import source_of

KERNEL: Final = Kernel(
    "statistics", "2.0", "Sum, sum of squares, mean, variance, extremes, saturated pixels and counts above thresholds, of each frame.",
    "valid = |V|, total = sum of x in V, squares = sum of x*x in V, above[t] = |{x in V : x > t}|, V the valid pixels; variance with n in the denominator",
    "exact for whole numbers; relative 1e-12 for the sums of floating point", "b + 1 read, again from the cache for each threshold", source_of("statistics"),
)  # fmt: skip
PARAMETERS: Final = (
    Parameter("mask", "image", "pixels that are not 0 there do not count", optional=True),
    Parameter("above", "numbers", "thresholds: how many pixels are above each", default=()),
)


def bind(
    shape: tuple[int, int],
    dtype: numpy.dtype[Any],
    *,
    mask: NDArray[Any] | None = None,
    above: Sequence[float] = (),
) -> Bound:
    """The kernel for frames."""
    check_form(shape, dtype)
    own, levels = checked_mask(mask, shape), [float(one) for one in above]
    least = least_above(levels, dtype)
    whole = dtype.kind != "f"
    sums = numpy.int64 if whole else numpy.float64
    work = Work(
        "statistics",
        KERNEL.source,
        {**defines(dtype), "LEVELS": str(len(levels))},
        (own, least if levels else numpy.zeros(1, least.dtype)),
        (numpy.uint32(own.size),),
        (
            *(Output(kind, by_part=True) for kind in (sums, numpy.uint64, numpy.uint64, numpy.float64, dtype, dtype)),
            Output(numpy.uint64, (2 + len(levels),), by_part=True),
        ),
    )  # fmt: skip
    products = (
        Product("valid", (), "uint64", "pixels that count"), Product("total", (), numpy.dtype(sums).name, "their sum", "counts"),
        Product("mean", (), "float64", "of them; NaN where there is none", "counts"), Product("variance", (), "float64", "of them", "counts2"),
        Product("squares", (), "float64", "the sum of their squares", "counts2"),
        Product("squares_high", (), "uint64", "the same as a number of 128 bits, exact for whole numbers: the upper half"),
        Product("squares_low", (), "uint64", "the lower half"), Product("lowest", (), dtype.name, "the smallest", "counts"),
        Product("highest", (), dtype.name, "the largest", "counts"), Product("saturated", (), "uint64", "pixels that are the overflow marker, the mask aside"),
        Product("above", (len(levels),), "uint64", "pixels above each threshold"),
    )  # fmt: skip
    said = {"above": levels, **({} if mask is None else {"mask": digest_of(own)})}
    return Bound(
        KERNEL,
        said,
        shape,
        dtype,
        products,
        work,
        lambda frames, _: reference(frames, own, levels),
        lambda parts: _finished(parts, whole),
    )


def reference(frames: Frames, mask: NDArray[Any], thresholds: Sequence[float]) -> Results:
    """What it means. Where no pixel is valid, sums are 0 and extremes what nothing is smaller or larger than."""
    valid, count = is_valid(frames, mask), len(frames)
    whole = frames.dtype.kind != "f"
    marker = numpy.iinfo(frames.dtype).max if frames.dtype.kind == "u" else None
    total = numpy.zeros(count, numpy.int64 if whole else numpy.float64)
    high, low = numpy.zeros(count, numpy.uint64), numpy.zeros(count, numpy.uint64)
    squares = numpy.zeros(count, numpy.float64)
    lowest, highest = numpy.full(count, _largest(frames.dtype)), numpy.full(count, _smallest(frames.dtype))
    above = numpy.zeros((count, len(thresholds)), numpy.uint64)
    saturated = numpy.zeros(count, numpy.uint64)
    for number in range(count):
        pixels = frames[number][valid[number]]
        if marker is not None:
            saturated[number] = int((frames[number][mask == 0] == marker).sum())
        above[number] = [int((pixels.astype(numpy.float64) > one).sum()) for one in thresholds]
        if not len(pixels):
            continue
        lowest[number], highest[number] = pixels.min(), pixels.max()
        if whole:
            total[number] = pixels.sum(dtype=numpy.int64)
            exact = _sum_of_squares(pixels)
            high[number], low[number], squares[number] = exact >> 64, exact & 0xFFFFFFFFFFFFFFFF, float(exact)
        else:
            wide = pixels.astype(numpy.float64)
            total[number], squares[number] = wide.sum(), (wide * wide).sum()
    return _named(valid.sum(axis=(1, 2), dtype=numpy.uint64), total, high, low, squares, lowest, highest, saturated, above)  # fmt: skip


def _named(
    valid: NDArray[Any], total: NDArray[Any], high: NDArray[Any], low: NDArray[Any], squares: NDArray[Any], lowest: NDArray[Any],
    highest: NDArray[Any], saturated: NDArray[Any], above: NDArray[Any],
) -> Results:  # fmt: skip
    number = numpy.where(valid == 0, numpy.nan, valid.astype(numpy.float64))
    mean = total / number
    variance = numpy.maximum(squares / number - mean * mean, 0.0)
    return {
        "valid": valid, "total": total, "mean": mean, "variance": variance, "squares": squares, "squares_high": high, "squares_low": low,
        "lowest": lowest, "highest": highest, "saturated": saturated, "above": above,
    }  # fmt: skip


def _finished(parts: Sequence[NDArray[Any]], whole: bool) -> Results:
    sums, high, low, squares, least, most, counts = parts
    tally = counts.sum(axis=1, dtype=numpy.uint64)
    exact = [
        sum((int(h) << 64) + int(w) for h, w in zip(*pair, strict=True) if h or w)
        for pair in zip(high, low, strict=True)
    ]
    up = numpy.array([one >> 64 for one in exact], numpy.uint64)
    down = numpy.array([one & 0xFFFFFFFFFFFFFFFF for one in exact], numpy.uint64)
    wide = numpy.array([float(one) for one in exact]) if whole else squares.sum(axis=1)
    return _named(
        tally[:, 0], sums.sum(axis=1), up, down, wide, least.min(axis=1), most.max(axis=1), tally[:, 1], tally[:, 2:]
    )  # fmt: skip


def _sum_of_squares(pixels: NDArray[Any]) -> int:
    """Exact, whatever the numbers: the halves of each square are summed apart."""
    squares = pixels.astype(numpy.uint64) ** 2
    return (int((squares >> numpy.uint64(32)).sum(dtype=numpy.uint64)) << 32) + int(
        (squares & numpy.uint64(0xFFFFFFFF)).sum(dtype=numpy.uint64)
    )


def _largest(dtype: numpy.dtype[Any]) -> Any:
    return dtype.type(numpy.inf) if dtype.kind == "f" else dtype.type(numpy.iinfo(dtype).max)


def _smallest(dtype: numpy.dtype[Any]) -> Any:
    return dtype.type(-numpy.inf) if dtype.kind == "f" else dtype.type(numpy.iinfo(dtype).min)
