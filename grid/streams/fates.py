"""What became of every frame of a stream that ended, and the leaf of each: put together from the journal, a file beside it holding the leaves."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy
from numpy.typing import NDArray

from grid.streams.journal import Fate, entries, ranges
from provenance.frames import MISSING, frame_leaf
from provenance.merkle import HASH_BYTES, RightEdge

LEAVES_FILE: Final = "leaves"
_READ: Final = 65_536


@dataclass(frozen=True, slots=True)
class Fates:
    """Of all frames, by number.

    Attributes:
        fates: (frames,) uint8, values of `Fate`.
        leaves: (frames, 32) uint8, mapped from a file: those of missing frames say that they are missing.
    """

    fates: NDArray[Any]
    leaves: NDArray[Any]

    def of(self, fate: Fate) -> list[tuple[int, int]]:
        """The frames that something became of, as first and last of runs."""
        return ranges(numpy.flatnonzero(self.fates == fate))

    def count(self, fate: Fate) -> int:
        """How many frames it became of."""
        return int((self.fates == fate).sum())

    @property
    def digest(self) -> str:
        """SHA-256 of what became of every frame, a byte each, in hexadecimal digits."""
        return hashlib.sha256(self.fates.tobytes()).hexdigest()

    @property
    def root(self) -> bytes:
        """Of the tree over the leaves."""
        return root_of(self.leaves)


def fates_of(folder: Path, stream_id: str, count: int) -> Fates:
    """Put together what a stream's journal says of its frames.

    Args:
        folder: of the journal.
        stream_id: of the stream.
        count: how many frames there were to be.
    """
    fates = numpy.zeros(count, numpy.uint8)
    path = folder / LEAVES_FILE
    path.unlink(missing_ok=True)
    if not count:
        return Fates(fates, numpy.zeros((0, HASH_BYTES), numpy.uint8))
    leaves = numpy.memmap(path, numpy.uint8, "w+", shape=(count, HASH_BYTES))
    for some in entries(folder):
        own = some[some["number"] < count]
        fates[own["number"]] = own["fate"]
        leaves[own["number"]] = own["leaf"]
    for number in numpy.flatnonzero(fates == Fate.MISSING).tolist():
        leaves[number] = numpy.frombuffer(frame_leaf(stream_id, number, b"", MISSING), numpy.uint8)
    return Fates(fates, leaves)


def root_of(leaves: NDArray[Any]) -> bytes:
    """The root of the tree over leaves, (frames, 32) uint8, of which a few are in memory."""
    edge = RightEdge()
    for begin in range(0, len(leaves), _READ):
        edge = edge.extended(leaf.tobytes() for leaf in leaves[begin : begin + _READ])
    return edge.root()
