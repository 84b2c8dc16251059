"""DECTRIS Stream V2: CBOR messages with typed arrays, some of them compressed.

Source: DECTRIS "Stream V2" interface description (messages `start`, `image`, `end` and their fields; tag 56500 for compressed bytes: algorithm, bytes of
an element, compressed bytes with the header of the HDF5 filter), RFC 8746.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy

from accel import chunks
from accel.chunks import ChunkDamaged, Filter
from grid.streams.cbor import SELF_DESCRIBED, Tagged, decode, encode
from grid.streams.errors import MessageRefused
from grid.streams.messages import (
    BSLZ4,
    ENCODINGS,
    LZ4,
    MOST_CHANNELS,
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

COMPRESSED: Final = 56500
MULTIDIMENSIONAL: Final = 40
TYPED: Final = {
    64: "|u1", 65: ">u2", 66: ">u4", 67: ">u8", 68: "|u1", 69: "<u2", 70: "<u4", 71: "<u8", 72: "|i1", 73: ">i2", 74: ">i4", 75: ">i8",
    77: "<i2", 78: "<i4", 79: "<i8", 80: ">f2", 81: ">f4", 82: ">f8", 84: "<f2", 85: "<f4", 86: "<f8",
}  # fmt: skip
"""Tag of a typed array to the type of its elements. Source: RFC 8746, section 2.1."""

_TAGS: Final = {numpy.dtype(code).str: tag for tag, code in TYPED.items() if tag != 68}
FILTERS: Final[Mapping[int, tuple[Filter, ...]]] = {
    RAW: (),
    LZ4: (Filter(chunks.LZ4),),
    BSLZ4: (Filter(chunks.BITSHUFFLE, (0, 0, 0, 0, 2)),),
}
"""The filters of HDF5 that decode what came."""

_IMAGES: Final = ("flatfield", "pixel_mask")
_SKIPPED: Final = frozenset({"type", "series_id", "series_unique_id", "channels", *_IMAGES})
MOST_TEXT: Final = 65_536


def message_of(data: bytes | bytearray | memoryview) -> Message:
    """What a message says.

    Raises:
        MessageRefused: with what was found, and what was expected.
    """
    said = decode(data)
    if not isinstance(said, dict):
        raise MessageRefused("found no map; a message is one")
    readers: dict[str, Callable[[Mapping[str, Any]], Message]] = {
        "start": _start,
        "image": _image,
        "end": _end,
    }
    reader = readers.get(str(said.get("type")))
    if reader is None:
        raise MessageRefused(
            f"found a message of the type `{said.get('type')}`; start, image and end are known"
        )
    return reader(said)


def _series(said: Mapping[str, Any]) -> str:
    unique = said.get("series_unique_id")
    if isinstance(unique, str) and 0 < len(unique) <= 256:
        return unique
    return str(whole(said.get("series_id"), "`series_id`", 1 << 62))


def _start(said: Mapping[str, Any]) -> Start:
    shape = frame_shape(said.get("image_size_y"), said.get("image_size_x"))
    images = {}
    for name in _IMAGES:
        given = said.get(name) or {}
        if not isinstance(given, dict):
            raise MessageRefused(f"found a `{name}` that is no map of channels")
        for channel, value in given.items():
            array = _array(value)
            if array.shape != shape:
                raise MessageRefused(
                    f"the `{name}` of {channel} has the shape {array.shape}; {shape} was expected"
                )
            images[name, channel] = array
    facts = {name: _fact(value, 0) for name, value in said.items() if name not in _SKIPPED}
    return Start(
        _series(said), whole(said.get("number_of_images", 0), "`number_of_images`", MOST_FRAMES), channel_names(said.get("channels")), shape,
        pixel_type(said.get("image_dtype")), facts, images,
    )  # fmt: skip


def _image(said: Mapping[str, Any]) -> Image:
    data = said.get("data")
    if not isinstance(data, dict) or not 1 <= len(data) <= MOST_CHANNELS:
        raise MessageRefused(f"found no `data` with 1 to {MOST_CHANNELS} channels")
    number = whole(said.get("image_id"), "`image_id`", MOST_FRAMES - 1)
    times = _seconds(said.get("start_time")), _seconds(said.get("stop_time"))
    user = said.get("user_data")
    return Image(
        _series(said), number, {name: _payload(value) for name, value in data.items()},
        (times[0], times[1]) if times[0] is not None and times[1] is not None else None,
        None if user is None else _fact(user, 0),
    )  # fmt: skip


def _end(said: Mapping[str, Any]) -> End:
    return End(_series(said))


def _seconds(value: Any) -> float | None:
    """Of a fraction; None where there is none, or no sensible one."""
    if (
        not isinstance(value, list)
        or len(value) != 2
        or not all(type(one) is int for one in value)
        or value[1] <= 0
    ):
        return None
    return float(value[0] / value[1]) if abs(value[0]) < 1 << 62 else None


def _fact(value: Any, depth: int) -> Any:
    """What a detector says, as plain data: numbers that are none are left out, arrays are lists."""
    if isinstance(value, Tagged):
        if value.tag in TYPED or value.tag == MULTIDIMENSIONAL:
            array = _array(value)
            if array.size > MOST_TEXT:
                raise MessageRefused(
                    f"found an array of {array.size} numbers where {MOST_TEXT} at the most were expected"
                )
            return _fact(array.tolist(), depth)
        return _fact(value.value, depth)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value[:MOST_TEXT]
    if isinstance(value, memoryview):
        return bytes(value[:MOST_TEXT]).hex()
    if isinstance(value, list):
        return [_fact(one, depth + 1) for one in value]
    if isinstance(value, dict):
        return {name: _fact(one, depth + 1) for name, one in value.items()}
    return value


def _parts(value: Any) -> tuple[tuple[int, ...], numpy.dtype[Any], memoryview, int]:
    """Shape, type, bytes and encoding of a typed array."""
    if not isinstance(value, Tagged):
        raise MessageRefused("found no typed array")
    shape: tuple[int, ...] = ()
    if value.tag == MULTIDIMENSIONAL:
        inner = value.value
        if (
            not isinstance(inner, list)
            or len(inner) != 2
            or not isinstance(inner[0], list)
            or len(inner[0]) != 2
        ):
            raise MessageRefused(
                "found an array of several dimensions without its two dimensions and its elements"
            )
        shape, value = frame_shape(*inner[0]), inner[1]
    if not isinstance(value, Tagged) or value.tag not in TYPED:
        raise MessageRefused(
            f"found the tag {getattr(value, 'tag', 'none')} where one of a typed array was expected"
        )
    dtype, data, encoding = numpy.dtype(TYPED[value.tag]), value.value, RAW
    if isinstance(data, Tagged):
        said = data.value
        if data.tag != COMPRESSED or not isinstance(said, list) or len(said) != 3 or said[0] not in ENCODINGS:
            raise MessageRefused("found elements that are neither bytes nor compressed with lz4 or bslz4")
        if said[1] != dtype.itemsize:
            raise MessageRefused(f"found compressed elements of {said[1]} bytes in an array of {dtype}")
        encoding, data = ENCODINGS[said[0]], said[2]
    if not isinstance(data, memoryview):
        raise MessageRefused("found elements that are no bytes")
    return shape, dtype, data, encoding


def _payload(value: Any) -> Payload:
    shape, dtype, data, encoding = _parts(value)
    if not shape:
        raise MessageRefused("found an image without its dimensions")
    if dtype.byteorder == ">":
        raise MessageRefused(f"found pixels of {dtype.str}; little-endian ones were expected")
    found = Payload(data, (shape[0], shape[1]), pixel_type(dtype.name), encoding)
    if encoding == RAW and len(data) != found.size_bytes:
        raise MessageRefused(f"found {len(data)} bytes of pixels; {found.size_bytes} were expected")
    if len(data) > 2 * found.size_bytes + 4096:
        raise MessageRefused(f"found {len(data)} compressed bytes of {found.size_bytes}")
    return found


def _array(value: Any) -> Any:
    """A typed array that is looked at now: masks, flat fields, tables."""
    shape, dtype, data, encoding = _parts(value)
    if encoding == RAW:
        if len(data) % dtype.itemsize or (shape and len(data) != shape[0] * shape[1] * dtype.itemsize):
            raise MessageRefused(f"found {len(data)} bytes in an array of {dtype} with the shape {shape}")
        found = numpy.frombuffer(data, dtype)
        return found.reshape(shape) if shape else found
    if not shape:
        raise MessageRefused("found a compressed array without its dimensions")
    made = numpy.empty(shape, dtype)
    try:
        chunks.decode(data, FILTERS[encoding], made)
    except ChunkDamaged as error:
        raise MessageRefused(f"a compressed array is damaged: {error}") from error
    return made


# -- writing, for simulated detectors --------------------------------------------------------------------------


def encoded(message: Message) -> bytes:
    """A message as a detector sends it."""
    said: dict[str, Any]
    match message:
        case Start():
            said = {
                "type": "start", **message.facts, "channels": list(message.channels), "image_size_x": message.shape[1], "image_size_y": message.shape[0],
                "image_dtype": message.dtype.name, "number_of_images": message.frames,
            }  # fmt: skip
            for (name, channel), array in message.images.items():
                said.setdefault(name, {})[channel] = _typed(array.shape, array.dtype, array.tobytes())
        case Image():
            said = {"type": "image", "image_id": message.number}
            if message.times is not None:
                said |= {
                    name: [round(at * 1e9), 1_000_000_000]
                    for name, at in zip(("start_time", "stop_time"), message.times, strict=True)
                }
            if message.user_data is not None:
                said["user_data"] = message.user_data
            said["data"] = {
                name: _typed(one.shape, one.dtype, one.data, NAMES[one.encoding]) for name, one in message.channels.items()
            }  # fmt: skip
        case End():
            said = {"type": "end"}
    said |= {"series_id": 1, "series_unique_id": message.series}
    return encode(Tagged(SELF_DESCRIBED, said))


def _typed(shape: tuple[int, ...], dtype: numpy.dtype[Any], data: Any, algorithm: str = "") -> Tagged:
    elements = Tagged(COMPRESSED, [algorithm, dtype.itemsize, data]) if algorithm else data
    return Tagged(MULTIDIMENSIONAL, [list(shape), Tagged(_TAGS[dtype.str], elements)])
