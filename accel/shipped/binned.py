"""Squares of pixels of a region."""

from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel.errors import FramesRefused
from accel.frames import Frames, check_form, checked_mask, is_valid
from accel.kernel import Bound, Kernel, Output, Parameter, Product, Results, Work, defines, digest_of
from accel.shipped.source import source_of

MOST: Final = 256

KERNEL: Final = Kernel(
    "binned", "2.0", "Sums over squares of pixels of a region, and how many pixels of each are valid; with squares of 1 it cuts a region out.",
    "sums[y, x] = sum over the n * n pixels of the square that are valid; what does not fill a square at the end of the region is left out",
    "exact for whole numbers; relative 1e-12 for floating point", "b + 1 read, 12 / n^2 written", source_of("binned"),
)  # fmt: skip
PARAMETERS: Final = (
    Parameter("mask", "image", "pixels that are not 0 there do not count", optional=True),
    Parameter("size", "whole", "pixels along the side of a square", default=2, least=1, most=MOST),
    Parameter(
        "region", "region", "first row, first column, rows, columns; the whole frame without", optional=True
    ),
)

Region = tuple[int, int, int, int]


def bind(
    shape: tuple[int, int],
    dtype: numpy.dtype[Any],
    *,
    mask: NDArray[Any] | None = None,
    size: int = 2,
    region: Region | None = None,
) -> Bound:
    """The kernel for frames."""
    check_form(shape, dtype)
    own, cut = checked_mask(mask, shape), _checked(shape, size, region or (0, 0, *shape))
    row, column, rows, columns = cut
    high, wide = rows // size, columns // size
    kind = numpy.dtype(numpy.float64 if dtype.kind == "f" else numpy.int64)
    numbers = tuple(numpy.uint32(one) for one in (*shape, row, column, high, wide))
    outputs = (
        Output(kind, (high, wide), product="sums"),
        Output(numpy.uint32, (high, wide), product="counts"),
    )
    more = {**defines(dtype), "SIZE": str(size)}
    work = Work("binned", KERNEL.source, more, (own,), numbers, outputs, grids=((high,), (wide, high)))
    products = (
        Product("sums", (high, wide), kind.name, "sum over each square", "counts"), Product("counts", (high, wide), "uint32", "valid pixels of each square"),
    )  # fmt: skip
    said = {"size": size, "region": list(cut), **({} if mask is None else {"mask": digest_of(own)})}
    return Bound(
        KERNEL, said, shape, dtype, products, work, lambda frames, _: reference(frames, own, size, cut)
    )


def _checked(shape: tuple[int, int], size: int, region: Region) -> Region:
    row, column, rows, columns = region
    if not 1 <= size <= MOST:
        raise FramesRefused(f"found squares of {size} pixels; 1 to {MOST} were expected")
    if min(region) < 0 or row + rows > shape[0] or column + columns > shape[1]:
        raise FramesRefused(f"the region {region} does not lie in frames of {shape[0]} x {shape[1]} pixels")
    if rows < size or columns < size:
        raise FramesRefused(f"a region of {rows} x {columns} pixels holds no square of {size} x {size}")
    return region


def reference(frames: Frames, mask: NDArray[Any], size: int, region: Region) -> Results:
    """What it means."""
    row, column, rows, columns = region
    high, wide = rows // size, columns // size
    cut = (slice(None), slice(row, row + high * size), slice(column, column + wide * size))
    valid = is_valid(frames, mask)[cut]
    kind = numpy.float64 if frames.dtype.kind == "f" else numpy.int64
    pixels = numpy.where(valid, frames[cut], 0).astype(kind)
    shape = (len(frames), high, size, wide, size)
    return {
        "sums": pixels.reshape(shape).sum(axis=(2, 4)),
        "counts": valid.reshape(shape).sum(axis=(2, 4), dtype=numpy.uint32),
    }
