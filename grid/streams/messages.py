"""What a detector says, whichever format it says it in: a beginning, images, an end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy

from grid.streams.errors import MessageRefused

RAW, LZ4, BSLZ4 = 0, 1, 2
"""How a frame's bytes are encoded; also the flags of its leaf."""

ENCODINGS: Final[Mapping[str, int]] = {"": RAW, "lz4": LZ4, "bslz4": BSLZ4}
NAMES: Final[Mapping[int, str]] = {code: name for name, code in ENCODINGS.items()}
MOST_SIDE: Final = 1 << 16
MOST_PIXELS: Final = 1 << 28
MOST_FRAMES: Final = 10_000_000
MOST_CHANNELS: Final = 16


@dataclass(frozen=True, slots=True)
class Payload:
    """The pixels of one channel of an image, as they came.

    Attributes:
        data: the bytes, a view of the message.
        shape: (rows, columns).
        dtype: of a pixel, little-endian.
        encoding: `RAW`, `LZ4` or `BSLZ4`; compressed ones have the header of the HDF5 filter.
    """

    data: memoryview
    shape: tuple[int, int]
    dtype: numpy.dtype[Any]
    encoding: int = RAW

    @property
    def size_bytes(self) -> int:
        """Of the pixels."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Start:
    """The beginning of a series.

    Attributes:
        series: what tells it from others.
        frames: how many are going to come, 0 where nobody knows.
        channels: names of the images in each frame, one at least.
        shape, dtype: of each.
        facts: what the detector says of itself: numbers, texts, truths, and arrays of these.
        images: arrays of the shape of a frame by name and channel, such as `("pixel_mask", "threshold_1")`.
    """

    series: str
    frames: int
    channels: tuple[str, ...]
    shape: tuple[int, int]
    dtype: numpy.dtype[Any]
    facts: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[tuple[str, str], Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    """A frame.

    Attributes:
        series: that of its beginning.
        number: from 0.
        channels: payloads by name of the channel.
        times: s since the beginning of the series: start and end of the exposure, where it says.
        user_data: what the control system put beside it.
    """

    series: str
    number: int
    channels: Mapping[str, Payload]
    times: tuple[float, float] | None = None
    user_data: Any = None


@dataclass(frozen=True, slots=True)
class End:
    """The end of a series."""

    series: str


Message = Start | Image | End


def frame_shape(rows: Any, columns: Any) -> tuple[int, int]:
    """Rows and columns of a frame.

    Raises:
        MessageRefused: they are none.
    """
    for one in (rows, columns):
        if type(one) is not int or not 1 <= one <= MOST_SIDE:
            raise MessageRefused(
                f"found a side of `{one}` pixels; a whole number from 1 to {MOST_SIDE} was expected"
            )
    if rows * columns > MOST_PIXELS:
        raise MessageRefused(f"found {rows} x {columns} pixels; {MOST_PIXELS} at the most were expected")
    return rows, columns


def channel_names(value: Any) -> tuple[str, ...]:
    """Names of channels.

    Raises:
        MessageRefused: they are none.
    """
    if (
        not isinstance(value, list)
        or not 1 <= len(value) <= MOST_CHANNELS
        or not all(isinstance(one, str) and one.isidentifier() for one in value)
        or len(set(value)) != len(value)
    ):
        raise MessageRefused(f"found the channels `{value}`; 1 to {MOST_CHANNELS} names were expected")
    return tuple(value)


def pixel_type(name: Any) -> numpy.dtype[Any]:
    """The type of a pixel from its name.

    Raises:
        MessageRefused: kernels and files know no such pixels.
    """
    if name not in ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64"):
        raise MessageRefused(
            f"found pixels of `{name}`; uint8, uint16, uint32, int8, int16, int32, float32 and float64 are known"
        )
    found: numpy.dtype[Any] = numpy.dtype(name)
    return found


def whole(value: Any, what: str, most: int) -> int:
    """A whole number from 0.

    Raises:
        MessageRefused: it is none, or too large.
    """
    if type(value) is not int or not 0 <= value <= most:
        raise MessageRefused(f"found `{value}` as {what}; a whole number from 0 to {most} was expected")
    return value
