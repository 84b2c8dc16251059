"""What is hashed as one leaf: a header of fixed length, which binds the bytes to their place, and the bytes.

    version (1)  kind (1)  flags (2)  zeros (4)  id (8)  index (8)  length (8)        big-endian, 32 bytes

A leaf is SHA-256(0x00 ‖ header ‖ bytes), which is RFC 6962's digest of an entry. With the index in it, two leaves cannot change places; with the
id, none moves to another stream.
"""

import struct
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

VERSION: Final = 1
BLOCKS: Final = 1
"""The kind of a leaf that is a block of a file."""

_HEADER: Final = struct.Struct(">BBHIQQQ")


@dataclass(frozen=True, slots=True)
class LeafHeader:
    """The place of a leaf's bytes.

    Attributes:
        kind: what the bytes are; `BLOCKS` so far.
        index: the entry's number in its tree.
        length: bytes that follow.
        id: of the stream or dataset; 0 for a file's blocks, which are the same wherever the file lies.
        flags: how the bytes are encoded; 0 as they are.
    """

    kind: int
    index: int
    length: int
    id: int = 0
    flags: int = 0

    def packed(self) -> bytes:
        return _HEADER.pack(VERSION, self.kind, self.flags, 0, self.id, self.index, self.length)


def leaf_of(header: LeafHeader, data: bytes | bytearray | memoryview) -> bytes:
    """The digest of a leaf.

    Raises:
        ValueError: the header says another length.
    """
    if len(data) != header.length:
        raise ValueError(f"{len(data)} bytes follow a header that says {header.length}")
    state = sha256(b"\x00" + header.packed())
    state.update(data)
    return state.digest()
