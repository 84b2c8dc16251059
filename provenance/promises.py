"""Promises: a log's word that it will take an entry in, until the next checkpoint has it.

    ORIGIN
    promise
    DIGEST                    base64, of the entry's leaf
    until 2026-11-21T10:01:00Z

A signed note, which is no checkpoint: its second line is not a number.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from provenance import notes
from provenance.errors import Malformed
from provenance.keyfiles import PublicKey
from provenance.merkle import HASH_BYTES
from provenance.notes import Note, NoteSigner
from provenance.predicates import TIME

MOST_DELAY_S: Final = 60
"""A log keeps a promise within so many seconds."""


class _Record(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def role(self) -> str: ...

    @property
    def public(self) -> PublicKey: ...


class _Keys(Protocol):
    @property
    def records(self) -> Mapping[str, _Record]: ...


@dataclass(frozen=True, slots=True)
class Promise:
    """What was promised, as a signed note."""

    origin: str
    leaf: bytes
    until: str
    note: Note

    def encoded(self) -> str:
        return self.note.encoded()

    def is_signed(self, keys: _Keys) -> bool:
        """Whether the log itself made it."""
        for one in self.note.signatures:
            record = keys.records.get(one.keyid)
            if record is not None and record.role == "log" and record.name == one.name == self.origin:
                return record.public.verifies(one.sig, self.note.text.encode())
        return False


def promised(leaf: bytes, until: str, signer: NoteSigner) -> Promise:
    """Promise that an entry will be in the log at a time."""
    text = f"{signer.name}\npromise\n{base64.b64encode(leaf).decode()}\nuntil {until}\n"
    return Promise(signer.name, leaf, until, Note(text).signed(signer))


def decoded(text: str) -> Promise:
    """A promise.

    Raises:
        Malformed: it is none.
    """
    note = notes.decoded(text)
    lines = note.text[:-1].split("\n")
    until = re.fullmatch(f"until ({TIME.pattern})", lines[3]) if len(lines) == 4 else None
    if until is None or lines[1] != "promise" or not lines[0]:
        raise Malformed("a promise has an origin, the word `promise`, a digest and `until TIME`, a line each")
    try:
        leaf = base64.b64decode(lines[2], validate=True)
    except binascii.Error as error:
        raise Malformed(f"a promise's digest is no base64: {error}") from error
    if len(leaf) != HASH_BYTES:
        raise Malformed("a promise's digest has 32 bytes")
    return Promise(lines[0], leaf, until[1], note)
