"""Bragg peaks, against their local background."""

from collections.abc import Sequence
from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel.errors import FramesRefused
from accel.frames import Frames, check_form, checked_mask, is_valid
from accel.kernel import Bound, Kernel, Output, Parameter, Product, Results, Work, defines, digest_of
from accel.shipped.source import source_of

MOST_KEPT: Final = 65_536

KERNEL: Final = Kernel(
    "peaks", "2.0", "Pixels that stand out of the mean of their surroundings by so many times the noise of counting, and whether they make a hit.",
    "x > level, the largest of its 3 x 3, and (n x - s)^2 > ratio^2 n max(s, n), over the n pixels around it whose sum is s; hit = count >= least",
    "exact for whole numbers", "b read, 1/8 written, and the surroundings of candidates", source_of("peaks"),
)  # fmt: skip
PARAMETERS: Final = (
    Parameter("mask", "image", "pixels that are not 0 there do not count", optional=True),
    Parameter("radius", "whole", "of the surroundings, in pixels", default=5, least=2, most=16),
    Parameter("ratio", "number", "signal to noise", default=6.0, least=0),
    Parameter("level", "number", "a peak has more counts", default=5.0),
    Parameter("least", "whole", "so many peaks make a hit", default=15, least=1),
    Parameter("kept", "whole", "so many pixels of a frame are named", default=1024, least=0, most=MOST_KEPT),
)


def bind(
    shape: tuple[int, int], dtype: numpy.dtype[Any], *, mask: NDArray[Any] | None = None, radius: int = 5, ratio: float = 6.0,
    level: float = 5.0, least: int = 15, kept: int = 1024,
) -> Bound:  # fmt: skip
    """The kernel for frames."""
    check_form(shape, dtype)
    if (
        not 2 <= radius <= 16
        or not 0 <= kept <= MOST_KEPT
        or not (numpy.isfinite(ratio) and numpy.isfinite(level))
    ):
        raise FramesRefused(
            f"found peaks of radius {radius}, ratio {ratio}, level {level}, {kept} kept; radius 2 to 16 and finite numbers were expected"
        )
    own = checked_mask(mask, shape)
    words = -(-shape[1] // 32)
    numbers = (
        numpy.int32(shape[0]), numpy.int32(shape[1]), numpy.int32(radius), numpy.float64(ratio), numpy.float64(level), _at_most(level, dtype)
    )  # fmt: skip
    outputs = (Output(numpy.uint32, (shape[0], words)),)
    work = Work("peaks", KERNEL.source, defines(dtype), (own,), numbers, outputs, grids=((shape[0],), (words, shape[0])))  # fmt: skip
    products = (
        Product("count", (), "uint32", "peaks of each frame"), Product("hit", (), "uint8", "1 where they are enough"),
        Product("places", (kept,), "int32", "the first ones, by number: row * columns + column; -1 where there are fewer"),
    )  # fmt: skip
    said = {"radius": radius, "ratio": ratio, "level": level, "least": least, "kept": kept, **({} if mask is None else {"mask": digest_of(own)})}  # fmt: skip
    return Bound(
        KERNEL, said, shape, dtype, products, work, lambda frames, _: reference(frames, own, radius, ratio, level, least, kept),
        lambda written: _finished(written, shape[1], least, kept),
    )  # fmt: skip


def _at_most(level: float, dtype: numpy.dtype[Any]) -> Any:
    """A value of the type that nothing above the level is at or below."""
    if dtype.kind == "f":
        with numpy.errstate(over="ignore"):
            return numpy.nextafter(numpy.float32(level), numpy.float32(-numpy.inf))
    limits = numpy.iinfo(dtype)
    return dtype.type(min(max(int(numpy.floor(level)), limits.min), limits.max))


def reference(
    frames: Frames, mask: NDArray[Any], radius: int, ratio: float, level: float, least: int, kept: int
) -> Results:
    """What it means.

    A pixel x is a peak if it is above `level`, no valid one of its eight neighbours is larger (or as large and before it), and, with the n valid pixels of the square
    of 2 * radius + 1 around it outside of its own 3 x 3, whose sum is s: (n x - s)^2 > ratio^2 n max(s, n) and n x > s, which is: it is `ratio` times the noise of
    counting above the mean of its surroundings. Without any such pixel (n = 0) it is none.
    """
    valid = is_valid(frames, mask)
    return _named([_peaks_of(frames[n], valid[n], radius, ratio, level) for n in range(len(frames))], least, kept)  # fmt: skip


def _peaks_of(
    frame: NDArray[Any], valid: NDArray[numpy.bool_], radius: int, ratio: float, level: float
) -> NDArray[numpy.int64]:
    rows, columns = frame.shape
    values = numpy.where(valid, frame, 0).astype(numpy.float64)
    ok = valid & (values > level)
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


def _named(found: Sequence[NDArray[Any]], least: int, kept: int) -> Results:
    count = numpy.array([len(one) for one in found], numpy.uint32)
    places = numpy.full((len(found), kept), -1, numpy.int32)
    for number, own in enumerate(found):
        places[number, : min(kept, len(own))] = own[:kept]
    return {"count": count, "hit": (count >= least).astype(numpy.uint8), "places": places}


def _finished(written: Sequence[NDArray[Any]], width: int, least: int, kept: int) -> Results:
    found = []
    for bits in written[0]:
        rows, words = numpy.nonzero(bits)
        each = numpy.unpackbits(bits[rows, words][:, None].view(numpy.uint8), axis=1, bitorder="little")
        which, bit = numpy.nonzero(each)
        found.append(rows[which] * width + words[which] * 32 + bit)
    return _named(found, least, kept)
