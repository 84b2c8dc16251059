"""What each kernel means, in NumPy. Kernels on devices give the same: exactly for whole numbers, within the stated tolerance for floating point.

Frames are arrays of shape (frames, rows, columns) of `uint8`, `uint16`, `uint32`, `int32` or `float32`. A pixel is invalid where the mask (rows, columns; not
0) says so, where an unsigned one has its type's largest value (the detector's overflow marker, or a gap), where an `int32` is below zero (gaps and bad pixels of
PILATUS files), and where a `float32` is not finite.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel.errors import FramesRefused

TYPES: Final = ("uint8", "uint16", "uint32", "int32", "float32")
MOST_PIXELS: Final = 1 << 28

Frames = NDArray[Any]
Mask = NDArray[numpy.uint8]


def checked(frames: Frames, mask: Mask | None = None) -> tuple[Frames, Mask]:
    """Frames and mask as kernels take them.

    Raises:
        FramesRefused: another type or shape.
    """
    if frames.ndim != 3 or 0 in frames.shape[1:]:
        raise FramesRefused(f"found frames of the shape {frames.shape}; (frames, rows, columns) was expected")
    if frames.dtype.name not in TYPES or not frames.dtype.isnative:
        raise FramesRefused(f"found frames of {frames.dtype}; {', '.join(TYPES)} were expected")
    if frames.shape[1] * frames.shape[2] > MOST_PIXELS:
        raise FramesRefused(
            f"found frames of {frames.shape[1] * frames.shape[2]} pixels; {MOST_PIXELS} at the most are looked at"
        )
    if mask is None:
        mask = numpy.zeros(frames.shape[1:], numpy.uint8)
    if mask.shape != frames.shape[1:]:
        raise FramesRefused(f"found a mask of the shape {mask.shape}; {frames.shape[1:]} was expected")
    return numpy.ascontiguousarray(frames), numpy.ascontiguousarray(mask != 0).astype(numpy.uint8)


def is_valid(frames: Frames, mask: Mask) -> NDArray[numpy.bool_]:
    """Which pixels count."""
    if frames.dtype.kind == "u":
        own = frames != numpy.iinfo(frames.dtype).max
    elif frames.dtype.kind == "i":
        own = frames >= 0
    else:
        own = numpy.isfinite(frames)
    valid: NDArray[numpy.bool_] = own & (mask == 0)
    return valid


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of each frame; 0, and for the extremes what nothing is smaller or larger than, where no pixel is valid.

    Attributes:
        valid: how many pixels count.
        total: their sum: `int64` for whole numbers, `float64` for floating point.
        squares_high, squares_low: the sum of their squares as a number of 128 bits, exact for whole numbers; for floating point `squares` has it.
        squares: as `float64`.
        lowest, highest: the extremes, in the type of the frames.
        above: (frames, thresholds): how many pixels are above each threshold.
        saturated: how many pixels are the overflow marker, the mask aside.
    """

    valid: NDArray[numpy.uint64]
    total: NDArray[Any]
    squares_high: NDArray[numpy.uint64]
    squares_low: NDArray[numpy.uint64]
    squares: NDArray[numpy.float64]
    lowest: NDArray[Any]
    highest: NDArray[Any]
    above: NDArray[numpy.uint64]
    saturated: NDArray[numpy.uint64]

    @property
    def mean(self) -> NDArray[numpy.float64]:
        """Of the valid pixels; NaN where there is none."""
        return self.total / numpy.where(self.valid == 0, numpy.nan, self.valid)

    @property
    def variance(self) -> NDArray[numpy.float64]:
        """Of the valid pixels, with n in the denominator; NaN where there is none."""
        mean = self.mean
        found: NDArray[numpy.float64] = (
            self.squares / numpy.where(self.valid == 0, numpy.nan, self.valid) - mean * mean
        )
        return numpy.maximum(found, 0.0, where=~numpy.isnan(found), out=found)


def statistics(frames: Frames, mask: Mask, thresholds: NDArray[numpy.float64]) -> Statistics:
    """Sums, extremes and counts of each frame."""
    frames, mask = checked(frames, mask)
    valid = is_valid(frames, mask)
    count = len(frames)
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
        above[number] = [int((pixels > threshold).sum()) for threshold in thresholds]
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
    return Statistics(
        valid.sum(axis=(1, 2), dtype=numpy.uint64),
        total,
        high,
        low,
        squares,
        lowest,
        highest,
        above,
        saturated,
    )


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


def correct(
    frames: Frames, mask: Mask, dark: NDArray[numpy.float32], factor: NDArray[numpy.float32]
) -> NDArray[numpy.float32]:
    """(pixel - dark) * factor as `float32`, NaN where a pixel is invalid; `factor` is the gain over the flat field. Tolerance: one unit in the last place of each step."""
    frames, mask = checked(frames, mask)
    found = (frames.astype(numpy.float32) - dark) * factor
    return numpy.where(is_valid(frames, mask), found, numpy.float32(numpy.nan)).astype(numpy.float32)


@dataclass(frozen=True, slots=True)
class Binned:
    """Sums over squares of pixels: `sums` as `int64` (`float64` for floating point), and how many pixels of each are valid."""

    sums: NDArray[Any]
    counts: NDArray[numpy.uint32]


def binned(frames: Frames, mask: Mask, size: int, region: tuple[int, int, int, int]) -> Binned:
    """Sums over squares of `size` x `size` pixels of a region.

    Args:
        frames: as everywhere.
        mask: as everywhere.
        size: from 1.
        region: first row, first column, rows, columns; what does not fill a square at its end is left out.

    Raises:
        FramesRefused: the region does not lie in the frames, or holds no square.
    """
    frames, mask = checked(frames, mask)
    row, column, rows, columns = region
    if min(row, column) < 0 or row + rows > frames.shape[1] or column + columns > frames.shape[2] or size < 1:
        raise FramesRefused(
            f"the region {region} does not lie in frames of {frames.shape[1]} x {frames.shape[2]} pixels"
        )
    high, wide = rows // size, columns // size
    if not high or not wide:
        raise FramesRefused(f"a region of {rows} x {columns} pixels holds no square of {size} x {size}")
    cut = (slice(None), slice(row, row + high * size), slice(column, column + wide * size))
    valid = is_valid(frames, mask)[cut]
    kind = numpy.float64 if frames.dtype.kind == "f" else numpy.int64
    pixels = numpy.where(valid, frames[cut], 0).astype(kind)
    shape = (len(frames), high, size, wide, size)
    return Binned(
        pixels.reshape(shape).sum(axis=(2, 4)), valid.reshape(shape).sum(axis=(2, 4), dtype=numpy.uint32)
    )
