"""Hits by the number of bright pixels."""

from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel.frames import Frames, check_form, checked_mask, is_valid
from accel.kernel import Bound, Kernel, Output, Parameter, Product, Results, Work, defines, digest_of
from accel.shipped.levels import least_above
from accel.shipped.source import source_of

KERNEL: Final = Kernel(
    "hits", "1.0", "How many pixels are above a level, and whether a frame is a hit for it.", "pixels = |{x in V : x > above}|, hit = pixels >= least",
    "", "b + 1 read", source_of("hits"),
)  # fmt: skip
PARAMETERS: Final = (
    Parameter("mask", "image", "pixels that are not 0 there do not count", optional=True),
    Parameter("above", "number", "the level, in counts", default=10.0),
    Parameter("least", "whole", "so many pixels make a hit", default=15, least=1),
)


def bind(
    shape: tuple[int, int],
    dtype: numpy.dtype[Any],
    *,
    mask: NDArray[Any] | None = None,
    above: float = 10.0,
    least: int = 15,
) -> Bound:
    """The kernel for frames."""
    check_form(shape, dtype)
    own = checked_mask(mask, shape)
    level = least_above([above], dtype)
    work = Work(
        "hits", KERNEL.source, defines(dtype), (own, level), (numpy.uint32(own.size),), (Output(numpy.uint32, by_part=True),)
    )  # fmt: skip
    products = (
        Product("pixels", (), "uint64", "pixels above the level"), Product("hit", (), "uint8", "1 where they are enough"),
    )  # fmt: skip
    said = {"above": above, "least": least, **({} if mask is None else {"mask": digest_of(own)})}
    return Bound(
        KERNEL,
        said,
        shape,
        dtype,
        products,
        work,
        lambda frames, _: reference(frames, own, above, least),
        lambda parts: _named(parts[0].sum(axis=1, dtype=numpy.uint64), least),
    )


def reference(frames: Frames, mask: NDArray[Any], above: float, least: int) -> Results:
    """What it means."""
    bright = is_valid(frames, mask) & (frames.astype(numpy.float64) > above)
    return _named(bright.sum(axis=(1, 2), dtype=numpy.uint64), least)


def _named(pixels: NDArray[numpy.uint64], least: int) -> Results:
    return {"pixels": pixels, "hit": (pixels >= least).astype(numpy.uint8)}
