"""Frames as kernels take them, and which of their pixels count.

Frames are arrays of shape (frames, rows, columns) of `uint8`, `uint16`, `uint32`, `int32` or `float32`. A pixel is invalid where the mask (rows, columns; not
0) says so, where an unsigned one has its type's largest value (the detector's overflow marker, or a gap), where an `int32` is below zero (gaps and bad pixels of
PILATUS files), and where a `float32` is not finite.
"""

from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel.errors import FramesRefused

TYPES: Final = ("uint8", "uint16", "uint32", "int32", "float32")
MOST_PIXELS: Final = 1 << 28

Frames = NDArray[Any]
Mask = NDArray[numpy.uint8]


def check_form(shape: tuple[int, ...], dtype: numpy.dtype[Any]) -> None:
    """Refuse what cannot be the rows and columns, or the type, of frames.

    Raises:
        FramesRefused: another type or shape.
    """
    if len(shape) != 2 or 0 in shape:
        raise FramesRefused(f"found frames of the shape {shape}; (rows, columns) was expected")
    if dtype.name not in TYPES or not dtype.isnative:
        raise FramesRefused(f"found frames of {dtype}; {', '.join(TYPES)} were expected")
    if shape[0] * shape[1] > MOST_PIXELS:
        raise FramesRefused(
            f"found frames of {shape[0] * shape[1]} pixels; {MOST_PIXELS} at the most are looked at"
        )


def checked_mask(mask: NDArray[Any] | None, shape: tuple[int, ...]) -> Mask:
    """A mask of 0 and 1; nothing is masked without one.

    Raises:
        FramesRefused: it has another shape.
    """
    if mask is None:
        return numpy.zeros(shape, numpy.uint8)
    if mask.shape != shape:
        raise FramesRefused(f"found a mask of the shape {mask.shape}; {shape} was expected")
    return numpy.ascontiguousarray(mask != 0).astype(numpy.uint8)


def is_valid(frames: Frames, mask: NDArray[Any]) -> NDArray[numpy.bool_]:
    """Which pixels count."""
    if frames.dtype.kind == "u":
        own = frames != numpy.iinfo(frames.dtype).max
    elif frames.dtype.kind == "i":
        own = frames >= 0
    else:
        own = numpy.isfinite(frames)
    valid: NDArray[numpy.bool_] = own & (mask == 0)
    return valid


def image(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[numpy.float32]:
    """A number for each pixel, as `float32`.

    Raises:
        FramesRefused: it has another shape.
    """
    if array.shape != shape:
        raise FramesRefused(f"found `{name}` of the shape {array.shape}; {shape} was expected")
    return numpy.ascontiguousarray(array, numpy.float32)
