"""The tree over the frames of a stream, and notes that are signed while it grows.

A frame's leaf binds its stream and its number, so no two frames change places and none moves to another stream. Frames may come in any order; what is
missing when the stream ends has a leaf that says so, and what was vetoed keeps its leaf while its bytes go.

A batch is signed each second or every 4096 frames, so that an instrument signs a few times a second whatever its rate:

    beamgrid batch 1
    STREAM
    SEQUENCE
    FIRST LAST                numbers of frames
    ROOT                      base64, over the leaves in the order of their numbers
    PREVIOUS                  base64, SHA-256 of the note before this one as it was written; of nothing for the first
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from provenance import merkle
from provenance.errors import Malformed, ProofRefused
from provenance.leaves import LeafHeader, leaf_of
from provenance.merkle import HASH_BYTES
from provenance.notes import Note, NoteSignature, NoteSigner

FRAMES: Final = 3
"""The kind of a leaf that is a frame of a stream."""

MISSING: Final = 0xFFFF
"""The flags of a frame that never came."""

BATCH_FRAMES: Final = 4096
BATCH_S: Final = 1.0
_HEAD: Final = "beamgrid batch 1"
_NOTHING: Final = hashlib.sha256(b"").digest()


@lru_cache(maxsize=64)
def stream_number(stream_id: str) -> int:
    """What stands for a stream in the headers of its leaves."""
    return int.from_bytes(hashlib.sha256(stream_id.encode()).digest()[:8], "big")


def frame_leaf(stream_id: str, index: int, data: bytes | bytearray | memoryview, flags: int = 0) -> bytes:
    """The digest of a frame, as it was received.

    Args:
        stream_id: of the stream.
        index: the frame's number.
        data: its bytes; a detector's compressed payload where it sends that.
        flags: how it is encoded, 0 for as it is; not `MISSING`.
    """
    return leaf_of(LeafHeader(FRAMES, index, len(data), stream_number(stream_id), flags), data)


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch's note says."""

    stream_id: str
    sequence: int
    first: int
    last: int
    root: bytes
    previous: bytes

    def note(self) -> Note:
        """To be signed."""
        root, previous = (base64.b64encode(digest).decode() for digest in (self.root, self.previous))
        return Note(
            f"{_HEAD}\n{self.stream_id}\n{self.sequence}\n{self.first} {self.last}\n{root}\n{previous}\n"
        )


def batch_of(note: Note) -> Batch:
    """The batch that a note's text is.

    Raises:
        Malformed: it is none.
    """
    lines = note.text[:-1].split("\n")
    numbers = re.fullmatch(r"(\d{1,18}) (\d{1,18})", lines[3]) if len(lines) == 6 else None
    if numbers is None or lines[0] != _HEAD or not re.fullmatch(r"\d{1,18}", lines[2]) or not lines[1]:
        raise Malformed(
            "a batch has a head, a stream, a sequence number, two frames, a root and the one before"
        )
    try:
        root, previous = (base64.b64decode(line, validate=True) for line in lines[4:])
    except binascii.Error as error:
        raise Malformed(f"a digest of a batch is no base64: {error}") from error
    if len(root) != HASH_BYTES or len(previous) != HASH_BYTES:
        raise Malformed("a digest of a batch has 32 bytes")
    return Batch(lines[1], int(lines[2]), int(numbers[1]), int(numbers[2]), root, previous)


def note_digest(note: Note) -> bytes:
    """What the next batch, and the acquisition, name a note by."""
    return hashlib.sha256(note.encoded().encode()).digest()


class BatchSigner:
    """Signs the frames of a stream in batches, each chained to the one before.

    Args:
        stream_id: of the stream.
        signer: the instrument's key.
        after: the last note before a restart.
    """

    def __init__(self, stream_id: str, signer: NoteSigner, after: Note | None = None) -> None:
        self.stream_id = stream_id
        self._signer = signer
        self._previous = _NOTHING if after is None else note_digest(after)
        self._sequence = 0 if after is None else batch_of(after).sequence + 1
        self._waiting: dict[int, bytes] = {}
        self._begun_at = 0.0

    def add(self, index: int, leaf: bytes, now: float) -> Note | None:
        """Take a frame into the batch; the signed note where that filled it, or it is a second old."""
        if not self._waiting:
            self._begun_at = now
        self._waiting[index] = leaf
        if len(self._waiting) >= BATCH_FRAMES or now - self._begun_at >= BATCH_S:
            return self.close()
        return None

    def close(self) -> Note | None:
        """Sign what waits; None where nothing does."""
        if not self._waiting:
            return None
        order = sorted(self._waiting)
        root = merkle.root_of([self._waiting[index] for index in order])
        made = (
            Batch(self.stream_id, self._sequence, order[0], order[-1], root, self._previous)
            .note()
            .signed(self._signer)
        )
        self._previous, self._sequence, self._waiting = note_digest(made), self._sequence + 1, {}
        return made


def check_batches(
    found: Sequence[Note],
    stream_id: str,
    digests: Sequence[str],
    verifies: Callable[[NoteSignature, bytes], bool],
) -> None:
    """Check that notes are all batches of a stream, in order, none left out at the end or between.

    Args:
        found: the notes.
        stream_id: of the stream.
        digests: what the acquisition names them by, in hexadecimal digits.
        verifies: whether a signature is the instrument's, over bytes.

    Raises:
        ProofRefused: with the batch, and what is wrong with it.
        Malformed: a note is no batch.
    """
    previous = _NOTHING
    for number, note in enumerate(found):
        batch = batch_of(note)
        if not note.valid(verifies):
            raise ProofRefused(f"batch {number} is not signed by the instrument")
        if (batch.stream_id, batch.sequence) != (stream_id, number):
            raise ProofRefused(
                f"batch {number} of `{stream_id}` is missing; batch {batch.sequence} of `{batch.stream_id}` is in its place"
            )
        if batch.previous != previous:
            raise ProofRefused(f"batch {number} does not follow the one before it")
        previous = note_digest(note)
    if [note_digest(note).hex() for note in found] != list(digests):
        raise ProofRefused(
            f"the acquisition names {len(digests)} batches, and {len(found)} are here, or others"
        )
