"""Signed notes, and checkpoints of logs, which are notes.

Source: C2SP signed-note, tlog-checkpoint (v1.0.0).
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from provenance.errors import Malformed
from provenance.merkle import HASH_BYTES

MOST_BYTES: Final = 1 << 20
_SIGNATURE: Final = re.compile("— ([^ +\n]+) ([A-Za-z0-9+/=]+)")


class NoteSigner(Protocol):
    """A key with a name."""

    name: str

    @property
    def keyid(self) -> str: ...

    def sign(self, data: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: the key's name, its id as hexadecimal digits, and the signature."""

    name: str
    keyid: str
    sig: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends with a line break, and signatures over it."""

    text: str
    signatures: tuple[NoteSignature, ...] = ()

    def signed(self, signer: NoteSigner) -> "Note":
        """The same with one more signature."""
        made = NoteSignature(signer.name, signer.keyid, signer.sign(self.text.encode()))
        return Note(self.text, (*self.signatures, made))

    def encoded(self) -> str:
        lines = (
            f"— {one.name} {base64.b64encode(bytes.fromhex(one.keyid) + one.sig).decode()}\n"
            for one in self.signatures
        )
        return f"{self.text}\n{''.join(lines)}"

    def valid(self, verify: Callable[[NoteSignature, bytes], bool]) -> list[NoteSignature]:
        """The signatures that are right, as far as their keys are known."""
        return [one for one in self.signatures if verify(one, self.text.encode())]


def decoded(text: str) -> Note:
    """A note.

    Raises:
        Malformed: it is none.
    """
    if len(text) > MOST_BYTES or any(ord(character) < 0x20 and character != "\n" for character in text):
        raise Malformed("a note is a text without control characters, of 1 MiB at the most")
    body, divided, tail = text.rpartition("\n\n")
    if not divided or not tail.endswith("\n"):
        raise Malformed("a note is a text, an empty line, and lines of signatures")
    return Note(f"{body}\n", tuple(_signature(line) for line in tail[:-1].split("\n")))


def _signature(line: str) -> NoteSignature:
    found = _SIGNATURE.fullmatch(line)
    if found is None:
        raise Malformed(f"found `{line[:60]}` where a signature line of a note was expected")
    try:
        data = base64.b64decode(found[2], validate=True)
    except binascii.Error as error:
        raise Malformed(f"a note's signature is no base64: {error}") from error
    if len(data) < 5:
        raise Malformed("a note's signature is a key id of four bytes, and more")
    return NoteSignature(found[1], data[:4].hex(), data[4:])


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a log: how many entries it has, and the root over them."""

    origin: str
    size: int
    root: bytes

    def note(self) -> Note:
        """To be signed."""
        return Note(f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n")


def checkpoint_of(note: Note) -> Checkpoint:
    """The checkpoint that a note's text is; lines after the third are somebody's own.

    Raises:
        Malformed: it is none.
    """
    lines = note.text[:-1].split("\n")
    if len(lines) < 3 or not lines[0]:
        raise Malformed("a checkpoint has an origin, a size and a root, a line each")
    if not re.fullmatch(r"0|[1-9]\d{0,17}", lines[1]):
        raise Malformed(f"found `{lines[1][:30]}` as the size of a log")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except binascii.Error as error:
        raise Malformed(f"a checkpoint's root is no base64: {error}") from error
    if len(root) != HASH_BYTES or base64.b64encode(root).decode() != lines[2]:
        raise Malformed("a checkpoint's root is a SHA-256 digest in base64")
    return Checkpoint(lines[0], int(lines[1]), root)
