"""CBOR from whoever sends it: byte strings stay where they are, and every length, depth and number is looked at before it is believed.

Source: RFC 8949 (CBOR), RFC 8746 (tags 64 to 87 for typed arrays, 40 for arrays of several dimensions).
"""

import struct
from dataclasses import dataclass
from typing import Any, Final

from grid.streams.errors import MessageRefused

MOST_DEPTH: Final = 16
MOST_ITEMS: Final = 100_000
SELF_DESCRIBED: Final = 55799
_BREAK: Final = object()
_FLOATS: Final = {25: ">e", 26: ">f", 27: ">d"}
_SIMPLE: Final[dict[int, Any]] = {20: False, 21: True, 22: None, 23: None}


@dataclass(frozen=True, slots=True)
class Tagged:
    """A value with a tag."""

    tag: int
    value: Any


def decode(data: bytes | bytearray | memoryview) -> Any:
    """The one value that a message is; byte strings are views of it.

    Raises:
        MessageRefused: it is cut, nested too deeply, has too many items, or bytes follow it.
    """
    reader = _Reader(memoryview(data).cast("B"))
    value = reader.item(0)
    if value is _BREAK:
        raise MessageRefused("found a `break` where a value was expected")
    if reader.place != len(reader.data):
        raise MessageRefused(f"{len(reader.data) - reader.place} bytes follow the message")
    return value.value if isinstance(value, Tagged) and value.tag == SELF_DESCRIBED else value


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.place = 0
        self._items = 0

    def take(self, count: int) -> memoryview:
        end = self.place + count
        if end > len(self.data):
            raise MessageRefused(f"the message ends after {len(self.data)} bytes; {end} were expected")
        found = self.data[self.place : end]
        self.place = end
        return found

    def item(self, depth: int) -> Any:
        """The next value; `_BREAK` for the end of one without a length."""
        if depth > MOST_DEPTH:
            raise MessageRefused(f"the message is nested more than {MOST_DEPTH} deep")
        self._items += 1
        if self._items > MOST_ITEMS:
            raise MessageRefused(f"the message has more than {MOST_ITEMS} items")
        first = self.take(1)[0]
        major, low = first >> 5, first & 31
        if major == 7:
            return self._simple(low)
        number = self._number(major, low)
        if major == 0:
            return number
        if major == 1:
            return -1 - number
        if major in (2, 3):
            return self._string(major, number, depth)
        if major == 4:
            return self._several(number, depth)
        if major == 5:
            return self._map(number, depth)
        return Tagged(number, self._value(depth))

    def _simple(self, low: int) -> Any:
        if low == 31:
            return _BREAK
        if low in _FLOATS:
            form = _FLOATS[low]
            return struct.unpack(form, self.take(struct.calcsize(form)))[0]
        if low not in _SIMPLE:
            raise MessageRefused(f"found the simple value {low}; true, false, null and numbers are known")
        return _SIMPLE[low]

    def _number(self, major: int, low: int) -> int:
        """A length or a number; -1 for a length that is not said."""
        if low < 24:
            return low
        if low < 28:
            return int.from_bytes(self.take(1 << (low - 24)), "big")
        if low == 31 and 2 <= major <= 5:
            return -1
        raise MessageRefused(f"found the length code {low}, which means nothing")

    def _value(self, depth: int) -> Any:
        found = self.item(depth + 1)
        if found is _BREAK:
            raise MessageRefused("found a `break` where a value was expected")
        return found

    def _string(self, major: int, length: int, depth: int) -> Any:
        if length < 0:
            pieces: list[Any] = []
            while (piece := self.item(depth + 1)) is not _BREAK:
                if not isinstance(piece, memoryview if major == 2 else str):
                    raise MessageRefused("found a piece of another kind in a string")
                pieces.append(piece)
            return memoryview(b"".join(pieces)) if major == 2 else "".join(pieces)
        found = self.take(length)
        if major == 2:
            return found
        try:
            return str(found, "utf-8")
        except UnicodeDecodeError as error:
            raise MessageRefused(f"a text is no UTF-8: {error.reason} at byte {error.start}") from None

    def _several(self, length: int, depth: int) -> list[Any]:
        found: list[Any] = []
        while length < 0 or len(found) < length:
            value = self.item(depth + 1)
            if value is _BREAK:
                if length >= 0:
                    raise MessageRefused("found a `break` where a value was expected")
                break
            found.append(value)
        return found

    def _map(self, length: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while length < 0 or len(found) < length:
            key = self.item(depth + 1)
            if key is _BREAK and length < 0:
                break
            if not isinstance(key, str | int):
                raise MessageRefused(f"found a key of the kind {type(key).__name__}; texts were expected")
            if str(key) in found:
                raise MessageRefused(f"found the key `{key}` twice")
            found[str(key)] = self._value(depth)
        return found


# -- writing --------------------------------------------------------------------------------------------------


def encode(value: Any) -> bytes:
    """A value as CBOR: what JSON has, byte strings, and tags.

    Raises:
        TypeError: it is something else.
    """
    made = bytearray()
    _write(made, value)
    return bytes(made)


def _write(made: bytearray, value: Any) -> None:
    match value:
        case None | bool():
            made.append({None: 0xF6, False: 0xF4, True: 0xF5}[value])
        case int() if value >= 0:
            _head(made, 0, value)
        case int():
            _head(made, 1, -1 - value)
        case float():
            made += b"\xfb" + struct.pack(">d", value)
        case str():
            text = value.encode()
            _head(made, 3, len(text))
            made += text
        case bytes() | bytearray() | memoryview():
            view = memoryview(value).cast("B")
            _head(made, 2, len(view))
            made += view
        case list() | tuple():
            _head(made, 4, len(value))
            for one in value:
                _write(made, one)
        case dict():
            _head(made, 5, len(value))
            for key, one in value.items():
                _write(made, key)
                _write(made, one)
        case Tagged():
            _head(made, 6, value.tag)
            _write(made, value.value)
        case _:
            raise TypeError(f"a {type(value).__name__} cannot be written as CBOR")


def _head(made: bytearray, major: int, number: int) -> None:
    if number < 24:
        made.append(major << 5 | number)
        return
    for low, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << 8 * size:
            made.append(major << 5 | low)
            made += number.to_bytes(size, "big")
            return
    raise TypeError(f"{number} has more than 64 bits")
