"""The typed arrays of a captured CBOR message: just enough of CBOR to find them.

Source: RFC 8949 (CBOR), RFC 8746 (typed arrays, tags 64 to 87; multi-dimensional arrays, tag 40), DECTRIS Stream V2 (compression, tag 56500).
"""

from typing import Any


class Tagged:
    def __init__(self, tag: int, value: Any) -> None:
        self.tag = tag
        self.value = value


def decode(data: bytes) -> Any:
    value, end = _item(data, 0)
    assert end == len(data)
    return value


def _item(data: bytes, at: int) -> tuple[Any, int]:
    major, low = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        size = {25: 2, 26: 4, 27: 8}.get(low, 0)
        return {20: False, 21: True, 22: None}.get(low, data[at : at + size]), at + size
    if low < 24:
        number = low
    elif low == 31:
        number = -1
    else:
        size = 1 << (low - 24)
        number, at = int.from_bytes(data[at : at + size], "big"), at + size
    if major < 2:
        return (number if major == 0 else -1 - number), at
    if major in (2, 3):
        raw = data[at : at + number]
        return (raw if major == 2 else raw.decode()), at + number
    if major == 6:
        value, at = _item(data, at)
        return Tagged(number, value), at
    found: list[Any] = []
    length = number * (2 if major == 5 else 1) if number >= 0 else -1
    while len(found) != length:
        if length < 0 and data[at] == 0xFF:
            at += 1
            break
        value, at = _item(data, at)
        found.append(value)
    return (dict(zip(found[::2], found[1::2], strict=True)) if major == 5 else found), at
