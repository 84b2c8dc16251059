"""The grid's own stream format, for programs that are no detector: a header in CBOR, then C-contiguous arrays, each message acknowledged.

A message has several parts (ZeroMQ, DEALER to ROUTER). The first one is the header, a map:

    type        start, image or end
    series      what tells the series from others, a text
    stream      start only: the number of the stream that was opened
    token       start only: the word that opening it gave
    frames      start only: how many are going to come, 0 where nobody knows
    channels    start only: names of the images in each frame
    shape       start only: rows, columns
    dtype       start only: uint8, uint16, uint32, int8, int16, int32, float32 or float64, little-endian
    facts       start only: what is known of the detector, a map
    number      image only: of the frame, from 0
    times       image only, optional: start and end of the exposure, s since the beginning of the series
    user_data   image only, optional
    encoding    image only, optional: one of lz4, bslz4 with the header of the HDF5 filter; as it is otherwise

The other parts of an image are its channels, in the order of the beginning. An answer is one map in CBOR:

    session     what began with the last beginning
    stored      how many messages after that beginning are on stable storage, or were not wanted
    credit      how many more may be on their way
    refused     a sentence; the last message was not taken, or the stream takes no more
    unknown     a sentence; the beginning is to be sent again, and then everything that is not stored: another process listens now
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grid.streams.cbor import decode, encode
from grid.streams.errors import MessageRefused
from grid.streams.messages import (
    ENCODINGS,
    MOST_FRAMES,
    NAMES,
    RAW,
    End,
    Image,
    Message,
    Payload,
    Start,
    channel_names,
    frame_shape,
    pixel_type,
    whole,
)

MOST_NAME: Final = 256
Part = bytes | bytearray | memoryview


def message_of(parts: Sequence[Part], start: Start | None) -> Message:
    """What a message says.

    Args:
        parts: of the message.
        start: the beginning of its series; None before that came.

    Raises:
        MessageRefused: with what was found, and what was expected.
    """
    if not parts:
        raise MessageRefused("found a message without parts")
    said = decode(parts[0])
    if not isinstance(said, dict):
        raise MessageRefused("found no map; a header is one")
    series = said.get("series")
    if not isinstance(series, str) or not 0 < len(series) <= MOST_NAME:
        raise MessageRefused(f"found the series `{series}`; a text was expected")
    kind = said.get("type")
    if kind == "start":
        return _start(said, series)
    if kind == "end":
        return End(series)
    if kind != "image":
        raise MessageRefused(f"found a message of the type `{kind}`; start, image and end are known")
    if start is None:
        raise MessageRefused("found an image before the beginning of its series")
    return _image(said, series, parts[1:], start)


def _start(said: Mapping[str, Any], series: str) -> Start:
    shape, facts = said.get("shape"), said.get("facts", {})
    if not isinstance(shape, list) or len(shape) != 2:
        raise MessageRefused(f"found the shape `{shape}`; rows and columns were expected")
    if not isinstance(facts, dict):
        raise MessageRefused("found facts that are no map")
    return Start(
        series, whole(said.get("frames", 0), "`frames`", MOST_FRAMES), channel_names(said.get("channels")), frame_shape(*shape), pixel_type(said.get("dtype")), _plain(facts)
    )  # fmt: skip


def _image(said: Mapping[str, Any], series: str, parts: Sequence[Part], start: Start) -> Image:
    if len(parts) != len(start.channels):
        raise MessageRefused(f"found {len(parts)} arrays; {len(start.channels)} were expected")
    encoding = ENCODINGS.get(said.get("encoding", ""))
    if encoding is None:
        raise MessageRefused(f"found the encoding `{said['encoding']}`; lz4 and bslz4 are known")
    channels = {}
    for name, part in zip(start.channels, parts, strict=True):
        one = Payload(memoryview(part).cast("B"), start.shape, start.dtype, encoding)
        if encoding == RAW and len(one.data) != one.size_bytes:
            raise MessageRefused(f"found {len(one.data)} bytes of pixels; {one.size_bytes} were expected")
        if len(one.data) > 2 * one.size_bytes + 4096:
            raise MessageRefused(f"found {len(one.data)} compressed bytes of {one.size_bytes}")
        channels[name] = one
    times = said.get("times")
    sound = (
        isinstance(times, list)
        and len(times) == 2
        and all(type(one) in (int, float) and math.isfinite(one) for one in times)
    )
    return Image(
        series, whole(said.get("number"), "`number`", MOST_FRAMES - 1), channels, (float(times[0]), float(times[1])) if sound and times else None,
        _plain(said.get("user_data")),
    )  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value if isinstance(value, str | int | type(None)) else str(value)[:MOST_NAME]


def encoded(message: Message, *, stream: int = 0, token: str = "") -> list[Part]:
    """A message as its parts."""
    match message:
        case Start():
            return [encode({
                "type": "start", "series": message.series, "stream": stream, "token": token, "frames": message.frames, "channels": list(message.channels),
                "shape": list(message.shape), "dtype": message.dtype.name, "facts": dict(message.facts),
            })]  # fmt: skip
        case Image():
            said: dict[str, Any] = {"type": "image", "series": message.series, "number": message.number}
            if message.times is not None:
                said["times"] = list(message.times)
            if message.user_data is not None:
                said["user_data"] = message.user_data
            encoding = next(iter(message.channels.values())).encoding
            if encoding != RAW:
                said["encoding"] = NAMES[encoding]
            return [encode(said), *(one.data for one in message.channels.values())]
        case End():
            return [encode({"type": "end", "series": message.series})]


@dataclass(frozen=True, slots=True)
class Head:
    """What a message says of itself, before anybody believes it.

    Attributes:
        type: start, image or end; whatever else was found.
        series: its name.
        stream: of a beginning: its number; 0 otherwise.
        token: of a beginning: the word that shows the right to send.
        number: of an image's frame; -1 otherwise.
    """

    type: str
    series: str
    stream: int = 0
    token: str = ""
    number: int = -1


def head(parts: Sequence[Part]) -> Head:
    """What a message is.

    Raises:
        MessageRefused: it is none.
    """
    said = decode(parts[0]) if parts else None
    if not isinstance(said, dict):
        return Head("", "")
    kind, series = str(said.get("type")), str(said.get("series"))
    if kind != "start":
        number = said.get("number")
        return Head(kind, series, number=number if type(number) is int else -1)
    stream, token = said.get("stream"), said.get("token")
    if type(stream) is not int or not isinstance(token, str):
        raise MessageRefused("found a beginning without the stream and the token that opening it gave")
    return Head(kind, series, stream, token)
