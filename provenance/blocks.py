"""The tree over a file's blocks of 1 MiB, made while its bytes pass: in any order, and from several connections.

A block is known once all of it passed as one run of bytes. One that was touched twice, or passed in parts that do not follow each other, is
not: who has the file reads it once more at the end.
"""

import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from provenance.errors import Malformed
from provenance.leaves import BLOCKS, LeafHeader, leaf_of
from provenance.merkle import HASH_BYTES, folded, root_of

BLOCK_BYTES: Final = 1 << 20
MOST_KEPT: Final = 1024
"""So many digests of a tree are kept at the most: those of the blocks, or of larger and larger runs of them."""

_RECORD: Final = struct.Struct(">Q?32s")
_UNKNOWN: Final = bytes(HASH_BYTES)


def block_leaf(index: int, data: bytes | bytearray | memoryview) -> bytes:
    """The digest of a file's block."""
    return leaf_of(LeafHeader(BLOCKS, index, len(data)), data)


def block_count(size_bytes: int) -> int:
    return -(-size_bytes // BLOCK_BYTES)


@dataclass(frozen=True, slots=True)
class BlockTree:
    """What is kept of a file's tree.

    Attributes:
        size_bytes: of the file.
        level: each digest stands for 2**level blocks.
        digests: the nodes of that level, from the first block on.
    """

    size_bytes: int
    level: int
    digests: tuple[bytes, ...]

    @classmethod
    def over(cls, size_bytes: int, leaves: list[bytes]) -> "BlockTree":
        """The tree over a file's blocks, given by their digests."""
        level = 0
        while len(leaves) > MOST_KEPT << level:
            level += 1
        return cls(size_bytes, level, tuple(folded(leaves, level)))

    @property
    def root(self) -> bytes:
        return root_of(self.digests)

    @property
    def run_bytes(self) -> int:
        """How many bytes of the file one digest stands for."""
        return BLOCK_BYTES << self.level

    def differing(self, other: "BlockTree") -> list[tuple[int, int]]:
        """The runs, as offset and length, in which another file differs from this one; the lengths of the files count."""
        length = max(len(self.digests), len(other.digests))
        mine, theirs = (tree.digests + (_UNKNOWN,) * (length - len(tree.digests)) for tree in (self, other))
        size = max(self.size_bytes, other.size_bytes)
        return [
            (number * self.run_bytes, min(self.run_bytes, size - number * self.run_bytes))
            for number in range(length)
            if mine[number] != theirs[number]
        ]

    def encoded(self) -> bytes:
        return b"".join(self.digests)

    @classmethod
    def decoded(cls, size_bytes: int, level: int, text: bytes) -> "BlockTree":
        """From what `encoded` gave.

        Raises:
            Malformed: it is not the tree of a file of this size.
        """
        expected = -(-block_count(size_bytes) // (1 << level))
        if len(text) != expected * HASH_BYTES:
            raise Malformed(
                f"found {len(text)} bytes of digests; {expected} digests were expected for {size_bytes} bytes"
            )
        return cls(
            size_bytes, level, tuple(text[n : n + HASH_BYTES] for n in range(0, len(text), HASH_BYTES))
        )


class BlocksSeen:
    """Digests of blocks as they pass one stream; any thread may tell."""

    def __init__(self) -> None:
        self._leaves: dict[int, bytes] = {}
        self._begun: dict[int, bytearray] = {}
        self._lock = threading.Lock()

    def see(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Take note of a write."""
        view = memoryview(data)
        done = 0
        while done < len(view):
            index, within = divmod(offset + done, BLOCK_BYTES)
            part = view[done : done + BLOCK_BYTES - within]
            done += len(part)
            if len(part) == BLOCK_BYTES:
                self._known(index, block_leaf(index, part))
            else:
                self._part(index, within, part)

    def _known(self, index: int, leaf: bytes) -> None:
        with self._lock:
            touched = index in self._leaves or self._begun.pop(index, None) is not None
            self._leaves[index] = _UNKNOWN if touched else leaf

    def _part(self, index: int, within: int, part: memoryview) -> None:
        """A part of a block: kept where it goes on with what was seen of it, for the rest may follow."""
        with self._lock:
            begun = self._begun.get(index)
            if index in self._leaves or within != len(begun or b""):
                self._begun.pop(index, None)
                self._leaves[index] = _UNKNOWN
                return
            if begun is None:
                begun = self._begun[index] = bytearray()
            begun += part
            if len(begun) == BLOCK_BYTES:
                self._leaves[index] = block_leaf(index, self._begun.pop(index))
            elif (
                len(self._begun) > 1
            ):  # whoever writes in parts writes one block after the other; others are read again
                for other in [number for number in self._begun if number != index]:
                    del self._begun[other]
                    self._leaves[other] = _UNKNOWN

    def cut(self, size_bytes: int) -> None:
        """The file was cut or extended: the blocks from its new end on are as if they had not been seen."""
        with self._lock:
            for known in (self._leaves, self._begun):
                for index in [n for n in known if n >= size_bytes // BLOCK_BYTES]:
                    del known[index]
            self._leaves[size_bytes // BLOCK_BYTES] = _UNKNOWN

    def records(self) -> bytes:
        """What was seen, for who puts several streams together. Blocks that were begun only are to be read again."""
        with self._lock:
            seen = {**dict.fromkeys(self._begun, _UNKNOWN), **self._leaves}
        return b"".join(_RECORD.pack(index, leaf != _UNKNOWN, leaf) for index, leaf in seen.items())

    def add(self, records: bytes) -> None:
        """Take over what another stream of the same file saw; a block that both touched is to be read again.

        Raises:
            Malformed: these are no records.
        """
        if len(records) % _RECORD.size:
            raise Malformed(f"found {len(records)} bytes; records of {_RECORD.size} were expected")
        with self._lock:
            for index, known, leaf in _RECORD.iter_unpack(records):
                twice = index in self._leaves or self._begun.pop(index, None) is not None
                self._leaves[index] = _UNKNOWN if twice or not known else leaf

    def tree(self, size_bytes: int, read: Callable[[int, int], bytes | memoryview]) -> BlockTree:
        """The tree over the file.

        Args:
            size_bytes: the file's size.
            read: gives a number of bytes at an offset; asked for each block that is not known, once.
        """
        leaves = []
        with self._lock:
            for index in range(block_count(size_bytes)):
                length = min(BLOCK_BYTES, size_bytes - index * BLOCK_BYTES)
                leaf = self._leaves.get(index, _UNKNOWN)
                begun = self._begun.get(index)
                if length < BLOCK_BYTES and begun is not None and len(begun) == length:
                    leaf = block_leaf(index, begun)  # the last one, which is shorter
                elif length < BLOCK_BYTES or leaf == _UNKNOWN:
                    leaf = block_leaf(index, read(index * BLOCK_BYTES, length))
                leaves.append(leaf)
        return BlockTree.over(size_bytes, leaves)


def tree_of(pieces: Iterable[bytes | bytearray | memoryview]) -> BlockTree:
    """The tree over bytes that come in order; a piece may be used again once the next is asked for."""
    seen, offset = BlocksSeen(), 0
    for piece in pieces:
        seen.see(offset, piece)
        offset += len(piece)

    def nothing(offset: int, count: int) -> bytes:
        raise AssertionError("everything was seen in order")

    return seen.tree(offset, nothing)
