"""Frames: a length, an XML header, then message, error and byte stream of the lengths it names.

Limits hold before anything is allocated: a header that announces more than `Limits` allows ends the
connection.

Source: `readMsgHeader`, `readMsgBody` in `sockComm.cpp`, iRODS 5.0.2.
"""

import re
import struct
from dataclasses import dataclass
from typing import Final

from grid.wire.errors import HeaderFormatError, HeaderLengthError

MAX_HEADER_BYTES: Final = 1088
_LENGTH: Final = struct.Struct(">I")
_HEADER: Final = re.compile(
    rb"\s*<MsgHeader_PI>\s*<type>([^<]{1,127})</type>\s*<msgLen>(-?\d{1,10})</msgLen>\s*"
    rb"<errorLen>(-?\d{1,10})</errorLen>\s*<bsLen>(-?\d{1,10})</bsLen>\s*"
    rb"(?:<intInfo>(-?\d{1,10})</intInfo>\s*)?</MsgHeader_PI>\s*\0?"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one frame may announce, in bytes."""

    message_bytes: int = 16 << 20
    error_bytes: int = 1 << 20
    stream_bytes: int = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Header:
    """What a frame is and how long its parts are."""

    type: str
    message_bytes: int
    error_bytes: int
    stream_bytes: int
    number: int


def read_length(data: bytes | bytearray | memoryview) -> int:
    """The header's length from its first four bytes.

    Raises:
        HeaderLengthError: it is 0 or over 1,088.
    """
    (length,) = _LENGTH.unpack_from(data)
    if not 0 < length <= MAX_HEADER_BYTES:
        raise HeaderLengthError(f"header length {length}; 1 to {MAX_HEADER_BYTES} is possible", fatal=True)
    return int(length)


def parse_header(data: bytes, limits: Limits) -> Header:
    """Read a header.

    Raises:
        HeaderFormatError: it is not one, or it announces more than `limits` allows.
    """
    match = _HEADER.fullmatch(data)
    if match is None:
        raise HeaderFormatError("frame header is not a `MsgHeader_PI`", fatal=True)
    header = Header(
        match[1].decode("ascii", "replace"), int(match[2]), int(match[3]), int(match[4]), int(match[5] or 0)
    )
    for name, length, limit in (
        ("msgLen", header.message_bytes, limits.message_bytes),
        ("errorLen", header.error_bytes, limits.error_bytes),
        ("bsLen", header.stream_bytes, limits.stream_bytes),
    ):
        if not 0 <= length <= limit:
            raise HeaderFormatError(f"{name} {length}; at most {limit} is accepted", fatal=True)
    return header


def frame(
    type_name: str, message: bytes = b"", error: bytes = b"", stream_bytes: int = 0, number: int = 0
) -> bytes:
    """Everything of a frame but its byte stream, which the caller sends after it."""
    header = (
        f"<MsgHeader_PI>\n<type>{type_name}</type>\n<msgLen>{len(message)}</msgLen>\n"
        f"<errorLen>{len(error)}</errorLen>\n<bsLen>{stream_bytes}</bsLen>\n"
        f"<intInfo>{number}</intInfo>\n</MsgHeader_PI>\n"
    ).encode("ascii")
    return b"".join((_LENGTH.pack(len(header)), header, message, error))
