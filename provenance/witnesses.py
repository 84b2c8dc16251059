"""Who else has seen a log's state: cosignatures of witnesses, and how many of them are wanted.

    log maxiv.example/prov/2026+1f2e3d4c+AQ...
    witness esrf  esrf.example/witness+5a6b7c8d+BA...
    witness desy  desy.example/witness+9e8f7a6b+BA...
    group partners any esrf desy          `any`, `all`, or a number
    quorum partners                       or `none`

Source: C2SP tlog-cosignature (cosignature/v1, Ed25519), signed-note (verifier keys), tlog-policy.
"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from provenance.errors import Malformed
from provenance.keyfiles import PublicKey
from provenance.notes import Note, NoteSignature, NoteSigner

COSIGNATURE: Final = b"\x04"
"""The algorithm's byte in key ids of witnesses."""

_TIME: Final = struct.Struct(">Q")


def witness_keyid(name: str, public: PublicKey) -> str:
    """The id under which a witness's cosignatures stand."""
    return hashlib.sha256(name.encode() + b"\n" + COSIGNATURE + public.raw).digest()[:4].hex()


def cosigned_bytes(text: str, time: int) -> bytes:
    """What a cosignature is over.

    Args:
        text: the checkpoint, signatures not included.
        time: when it was seen, in seconds since 1970.
    """
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def cosignature(text: str, time: int, signer: NoteSigner, public: PublicKey) -> NoteSignature:
    """A witness's signature line for a checkpoint."""
    sig = _TIME.pack(time) + signer.sign(cosigned_bytes(text, time))
    return NoteSignature(signer.name, witness_keyid(signer.name, public), sig)


@dataclass(frozen=True, slots=True)
class Witness:
    """Somebody who watches logs, by the name of the key."""

    name: str
    public: PublicKey

    def seen_at(self, note: Note) -> int | None:
        """When this witness saw a checkpoint, in seconds since 1970; None where it did not sign it."""
        keyid = witness_keyid(self.name, self.public)
        for one in note.signatures:
            if one.name == self.name and one.keyid == keyid and len(one.sig) == _TIME.size + 64:
                (time,) = _TIME.unpack_from(one.sig)
                if self.public.verifies(one.sig[_TIME.size :], cosigned_bytes(note.text, time)):
                    return int(time)
        return None


@dataclass(frozen=True, slots=True)
class Group:
    """So many of these have to have signed."""

    wanted: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WitnessPolicy:
    """Which witnesses count, and who of them is enough. An empty quorum asks for none."""

    witnesses: Mapping[str, Witness]
    groups: Mapping[str, Group]
    quorum: str = ""

    def seen_by(self, note: Note, now: int | None = None) -> dict[str, int]:
        """The witnesses that signed a checkpoint, with the times; what was signed in the future does not count."""
        found = {name: witness.seen_at(note) for name, witness in self.witnesses.items()}
        return {name: at for name, at in found.items() if at is not None and (now is None or at <= now)}

    def is_enough(self, seen: Mapping[str, int]) -> bool:
        """Whether a quorum is among these; a key that has two names counts once."""
        return not self.quorum or self._holds(self.quorum, seen)

    def _holds(self, name: str, seen: Mapping[str, int]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in seen
        counted: set[object] = set()
        for member in group.members:
            if self._holds(member, seen):
                counted.add(self.witnesses[member].public.raw if member in self.witnesses else member)
        return len(counted) >= group.wanted


def parse_vkey(text: str) -> tuple[str, bytes, PublicKey]:
    """A verifier key, `NAME+ID+BASE64`: its name, the algorithm's byte and the key.

    Raises:
        Malformed: it is none, or its id is not its own.
    """
    name, keyid, data = [*text.split("+", 2), "", ""][:3]
    try:
        raw = base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise Malformed(f"found `{text[:60]}` where a key NAME+ID+BASE64 was expected") from error
    if not name or len(raw) != 33 or raw[:1] not in (b"\x01", COSIGNATURE):
        raise Malformed(
            f"found `{text[:60]}` where a key NAME+ID+BASE64 (Ed25519 of a log, or of a witness) was expected"
        )
    if hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4].hex() != keyid:
        raise Malformed(f"the id `{keyid[:20]}` is not that of the key `{name}`")
    return name, raw[:1], PublicKey(raw[1:])


def vkey(name: str, public: PublicKey, algorithm: bytes = COSIGNATURE) -> str:
    """A verifier key as policies have it."""
    raw = algorithm + public.raw
    keyid = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4].hex()
    return f"{name}+{keyid}+{base64.b64encode(raw).decode()}"


def parse_policy(text: str) -> WitnessPolicy:
    """A policy of witnesses.

    Raises:
        Malformed: with the line, what was found and what was expected.
    """
    witnesses: dict[str, Witness] = {}
    groups: dict[str, Group] = {}
    quorum: str | None = None
    for number, line in enumerate(text.split("\n"), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            if words[0] == "log" and len(words) in (2, 3):
                parse_vkey(words[1])
            elif words[0] == "witness" and len(words) in (3, 4):
                _new_name(words[1], witnesses, groups)
                name, algorithm, public = parse_vkey(words[2])
                if algorithm != COSIGNATURE:
                    raise Malformed(f"`{name}` is the key of a log, not of a witness")
                witnesses[words[1]] = Witness(name, public)
            elif words[0] == "group" and len(words) >= 4:
                _new_name(words[1], witnesses, groups)
                groups[words[1]] = _group(words[2], words[3:], witnesses, groups)
            elif words[0] == "quorum" and len(words) == 2 and quorum is None:
                if words[1] != "none" and words[1] not in witnesses and words[1] not in groups:
                    raise Malformed(f"`{words[1]}` is no witness and no group that was named before")
                quorum = "" if words[1] == "none" else words[1]
            else:
                raise Malformed(
                    "`log KEY`, `witness NAME KEY`, `group NAME any|all|N MEMBER...` or one `quorum NAME` was expected"
                )
        except Malformed as error:
            raise Malformed(f"line {number} of the policy of witnesses, `{line[:60]}`: {error}") from error
    if quorum is None:
        raise Malformed("the policy of witnesses has no line `quorum NAME`, or `quorum none`")
    return WitnessPolicy(witnesses, groups, quorum)


def _new_name(name: str, witnesses: Mapping[str, object], groups: Mapping[str, object]) -> None:
    if name in witnesses or name in groups or name == "none":
        raise Malformed(f"the name `{name}` is taken")


def _group(
    wanted: str, members: list[str], witnesses: Mapping[str, object], groups: Mapping[str, object]
) -> Group:
    unknown = [name for name in members if name not in witnesses and name not in groups]
    if unknown or len(set(members)) != len(members):
        raise Malformed(f"`{unknown[0]}` was not named before" if unknown else "a member is named twice")
    count = {"any": 1, "all": len(members)}.get(wanted)
    if count is None:
        count = int(wanted) if wanted.isascii() and wanted.isdigit() else 0
    if not 1 <= count <= len(members):
        raise Malformed(
            f"found `{wanted}` of {len(members)} members; any, all or 1 to {len(members)} was expected"
        )
    return Group(count, tuple(members))
