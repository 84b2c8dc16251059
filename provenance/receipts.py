"""Receipts: that an entry is in a log, with everything that is needed to check it.

    c2sp.org/tlog-proof@v1
    index 1234
    DIGEST...                 base64, from the leaf upwards

    CHECKPOINT                a signed note

Source: C2SP tlog-proof (v1).
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from provenance import merkle, notes
from provenance.errors import Malformed
from provenance.log import TileFiles
from provenance.notes import Checkpoint, Note, checkpoint_of

HEAD: Final = "c2sp.org/tlog-proof@v1"
MOST_DIGESTS: Final = 63


@dataclass(frozen=True, slots=True)
class Receipt:
    """A proof of inclusion with the signed checkpoint that it leads to."""

    index: int
    proof: tuple[bytes, ...]
    note: Note

    def encoded(self) -> str:
        digests = "".join(f"{base64.b64encode(digest).decode()}\n" for digest in self.proof)
        return f"{HEAD}\nindex {self.index}\n{digests}\n{self.note.encoded()}"

    def checkpoint(self) -> Checkpoint:
        return checkpoint_of(self.note)

    def check(self, entry: bytes) -> None:
        """Check that an entry is where the receipt says; whose checkpoint it is, is for others to judge.

        Raises:
            ProofRefused: it is not.
        """
        state = self.checkpoint()
        merkle.check_inclusion(merkle.leaf_hash(entry), self.index, state.size, state.root, self.proof)


def receipts(tiles: TileFiles, indices: Sequence[int], note: Note) -> tuple[Receipt, ...]:
    """The receipts for entries of a log whose signed state is known."""
    proofs = tiles.inclusions(indices, checkpoint_of(note).size)
    return tuple(Receipt(index, tuple(proof), note) for index, proof in zip(indices, proofs, strict=True))


def decoded(text: str) -> Receipt:
    """A receipt.

    Raises:
        Malformed: it is none.
    """
    head, divided, tail = text.partition("\n\n")
    lines = head.split("\n")
    if not divided or len(lines) < 2 or lines[0] != HEAD:
        raise Malformed(f"found no receipt; `{HEAD}` was expected in its first line")
    index = re.fullmatch(r"index (0|[1-9]\d{0,17})", lines[1])
    if index is None or len(lines) - 2 > MOST_DIGESTS:
        raise Malformed("a receipt has a line `index N` and a line for each digest, 63 at the most")
    try:
        proof = tuple(base64.b64decode(line, validate=True) for line in lines[2:])
    except binascii.Error as error:
        raise Malformed(f"a digest of a receipt is no base64: {error}") from error
    if any(len(digest) != merkle.HASH_BYTES for digest in proof):
        raise Malformed("a digest of a receipt has 32 bytes")
    note = notes.decoded(tail)
    checkpoint_of(note)
    return Receipt(int(index[1]), proof, note)
