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


@dataclass(frozen=True, slots=True)
class Integrated:
    """Curves of frames, (frames, bins).

    Attributes:
        intensity: NaN for bins without weight.
        sigma: its standard deviation, from counting.
        weights: the normalisations that each bin got.
        counts: how many pixels.
    """

    intensity: NDArray[numpy.float64]
    sigma: NDArray[numpy.float64]
    weights: NDArray[numpy.float64]
    counts: NDArray[numpy.uint32]


def curves(
    sums: NDArray[numpy.float64],
    variances: NDArray[numpy.float64],
    weights: NDArray[numpy.float64],
    counts: NDArray[numpy.uint32],
) -> Integrated:
    """Curves from sums over bins."""
    empty = weights == 0
    divisor = numpy.where(empty, numpy.nan, weights)
    return Integrated(sums / divisor, numpy.sqrt(variances) / divisor, weights, counts)


def azimuthal(
    frames: Frames, mask: Mask, places: NDArray[numpy.int32], factor: NDArray[numpy.float32], bins: int
) -> Integrated:
    """Azimuthal integration without splitting pixels: sum of counts over sum of normalisations, in each bin.

    Args:
        frames: as everywhere.
        mask: as everywhere.
        places: (rows, columns): the bin of each pixel, below 0 for none.
        factor: (rows, columns): each pixel's normalisation: solid angle times polarisation, say.
        bins: how many.

    Raises:
        FramesRefused: arrays of other shapes, or a bin that is none.
    """
    frames, mask = checked(frames, mask)
    _check_places(frames, places, factor, bins)
    valid = is_valid(frames, mask) & (places >= 0)
    shape = (len(frames), bins)
    sums, weights, counts = numpy.zeros(shape), numpy.zeros(shape), numpy.zeros(shape, numpy.uint32)
    for number in range(len(frames)):
        where = valid[number]
        own = places[where]
        sums[number] = numpy.bincount(own, frames[number][where].astype(numpy.float64), bins)
        weights[number] = numpy.bincount(own, factor[where].astype(numpy.float64), bins)
        counts[number] = numpy.bincount(own, minlength=bins)
    return curves(sums, numpy.maximum(sums, 0.0), weights, counts)


MOST_BINS: Final = 65_536


def _check_places(frames: Frames, places: NDArray[Any], factor: NDArray[Any], bins: int) -> None:
    for name, array in (("places", places), ("factor", factor)):
        if array.shape != frames.shape[1:]:
            raise FramesRefused(f"found `{name}` of the shape {array.shape}; {frames.shape[1:]} was expected")
    if not 1 <= bins <= MOST_BINS:
        raise FramesRefused(f"found {bins} bins; 1 to {MOST_BINS} were expected")
    if places.size and places.max() >= bins:
        raise FramesRefused(f"found the bin {places.max()} among {bins}, which are numbered from 0")
    if not numpy.isfinite(factor).all():
        raise FramesRefused("found a normalisation that is no finite number")


def bins_of(values: NDArray[numpy.float64], edges: NDArray[numpy.float64]) -> NDArray[numpy.int32]:
    """The bin of each pixel by a value such as its scattering angle; -1 outside. A bin holds its lower edge, the last one both."""
    found = numpy.searchsorted(edges, values, side="right").astype(numpy.int32) - 1
    bins = len(edges) - 1
    found[values == edges[-1]] = bins - 1
    found[(found >= bins) | ~numpy.isfinite(values)] = -1
    return found


@dataclass(frozen=True, slots=True)
class Peaks:
    """Peaks of frames.

    Attributes:
        counts: how many each frame has.
        pixels: (frames, kept): the numbers of the first ones, in order; -1 where there are fewer.
    """

    counts: NDArray[numpy.uint32]
    pixels: NDArray[numpy.int32]


def peaks(frames: Frames, mask: Mask, radius: int, ratio: float, least: float, kept: int) -> Peaks:
    """Pixels that stand out of their surroundings.

    A pixel x is a peak if it is above `least`, no valid one of its eight neighbours is larger (or as large and before it), and, with the n valid pixels of the square
    of 2 * radius + 1 around it outside of its own 3 x 3, whose sum is s: (n x - s)^2 > ratio^2 n max(s, n) and n x > s, which is: it is `ratio` times the noise of
    counting above the mean of its surroundings. Without any such pixel (n = 0) it is none.

    Args:
        frames: as everywhere.
        mask: as everywhere.
        radius: from 2 to 16 pixels.
        ratio: signal to noise.
        least: counts.
        kept: how many pixels of each frame are named.
    """
    frames, mask = checked(frames, mask)
    if (
        not 2 <= radius <= 16
        or not 0 <= kept <= 65_536
        or not (numpy.isfinite(ratio) and numpy.isfinite(least))
    ):
        raise FramesRefused(
            f"found peaks of radius {radius}, ratio {ratio}, least {least}, {kept} kept; radius 2 to 16 and finite numbers were expected"
        )
    valid = is_valid(frames, mask)
    counts, pixels = numpy.zeros(len(frames), numpy.uint32), numpy.full((len(frames), kept), -1, numpy.int32)
    for number in range(len(frames)):
        found = _peaks_of(frames[number], valid[number], radius, ratio, least)
        counts[number] = len(found)
        pixels[number, : min(kept, len(found))] = found[:kept]
    return Peaks(counts, pixels)


def _peaks_of(
    frame: NDArray[Any], valid: NDArray[numpy.bool_], radius: int, ratio: float, least: float
) -> NDArray[numpy.int64]:
    rows, columns = frame.shape
    values = numpy.where(valid, frame, 0).astype(numpy.float64)
    ok = valid & (values > least)
    padded, there = numpy.pad(values, radius), numpy.pad(valid, radius)
    number, total = numpy.zeros(frame.shape), numpy.zeros(frame.shape)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            cut = (slice(radius + dy, radius + dy + rows), slice(radius + dx, radius + dx + columns))
            if max(abs(dy), abs(dx)) > 1:
                number += there[cut]
                total += padded[cut]
            elif dy or dx:
                before = (dy, dx) < (0, 0)
                ok &= ~(there[cut] & ((padded[cut] >= values) if before else (padded[cut] > values)))
    above = number * values - total
    ok &= (number > 0) & (above > 0) & (above * above > ratio * ratio * number * numpy.maximum(total, number))
    found: NDArray[numpy.int64] = numpy.flatnonzero(ok)
    return found
