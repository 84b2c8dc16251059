"""Evidence: everything that is needed to judge a file elsewhere and later, in one JSON file.

    {"format": "beamgrid-evidence/1", "root": ENVELOPE, "keys": [ENVELOPE...], "statements": [ENVELOPE...],
     "trees": [{"bytes": 3145728, "level": 0, "digests": "hexadecimal digits"}...], "receipts": [TEXT...], "promises": [TEXT...],
     "salts": {DIGEST: "hexadecimal digits"}, "chunks": [{...}...]}

`salts` are those of statements that a log commits to without telling what it commits to, by the SHA-256 of the envelope; `chunks` say where stored
chunks of HDF5 files lie (see `provenance.chunks`). These may be left out, as may be `promises`
and `roots`, the earlier roots of keys, for who believes one of them.

Nothing in it is believed because it is there: statements and records are signed, and trees are those of the roots that statements name. Whose root is
believed, the reader decides.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from provenance import chunks, dsse, jcs, promises, receipts
from provenance.blocks import BlockTree
from provenance.chunks import ChunkProof
from provenance.dsse import Envelope
from provenance.errors import Malformed
from provenance.promises import Promise
from provenance.receipts import Receipt

FORMAT: Final = "beamgrid-evidence/1"
MOST_BYTES: Final = 64 << 20
MOST_ENVELOPES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a reader is given beside the data."""

    root: Envelope | None
    keys: tuple[Envelope, ...]
    statements: tuple[Envelope, ...]
    trees: tuple[BlockTree, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    promises: tuple[Promise, ...] = ()
    salts: Mapping[str, bytes] = field(default_factory=dict)
    chunks: tuple[ChunkProof, ...] = ()
    roots: tuple[Envelope, ...] = ()

    def encoded(self) -> bytes:
        """As JSON, in its one form."""
        more: dict[str, jcs.Json] = {}
        if self.promises:
            more["promises"] = [one.encoded() for one in self.promises]
        if self.salts:
            more["salts"] = {digest: salt.hex() for digest, salt in self.salts.items()}
        if self.roots:
            more["roots"] = [_json(one) for one in self.roots]
        if self.chunks:
            more["chunks"] = [one.as_json() for one in self.chunks]
        return jcs.encode(
            {
                **more,
                "format": FORMAT,
                "root": None if self.root is None else _json(self.root),
                "keys": [_json(one) for one in self.keys],
                "statements": [_json(one) for one in self.statements],
                "receipts": [one.encoded() for one in self.receipts],
                "trees": [
                    {"bytes": tree.size_bytes, "level": tree.level, "digests": tree.encoded().hex()}
                    for tree in self.trees
                ],
            }
        )

    def tree(self, root: str) -> BlockTree | None:
        """The tree with a root, in hexadecimal digits."""
        return next((tree for tree in self.trees if tree.root.hex() == root), None)


def joined(several: Sequence[Evidence]) -> Evidence:
    """Several pieces as one; what is in two is there once. Receipts stay beside their statements as far as they were in order."""
    return Evidence(
        next((one.root for one in several if one.root is not None), None),
        tuple(dict.fromkeys(envelope for one in several for envelope in one.keys)),
        tuple(dict.fromkeys(envelope for one in several for envelope in one.statements)),
        tuple(dict.fromkeys(tree for one in several for tree in one.trees)),
        tuple(dict.fromkeys(receipt for one in several for receipt in one.receipts)),
        tuple(dict.fromkeys(promise for one in several for promise in one.promises)),
        {digest: salt for one in several for digest, salt in one.salts.items()},
        tuple({(proof.root, proof.path, proof.index): proof for one in several for proof in one.chunks}.values()),
        tuple(dict.fromkeys(envelope for one in several for envelope in one.roots)),
    )  # fmt: skip


def _json(envelope: Envelope) -> jcs.Json:
    return jcs.decode(envelope.encoded(), most_bytes=MOST_BYTES)


_NAMES: Final = {
    "format",
    "root",
    "keys",
    "statements",
    "trees",
    "receipts",
    "promises",
    "salts",
    "chunks",
    "roots",
}


def decoded(text: bytes) -> Evidence:
    """Evidence from a file.

    Raises:
        Malformed: it is none.
    """
    found = jcs.decode(text, most_bytes=MOST_BYTES)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise Malformed(f"found no evidence; an object with `format` `{FORMAT}` was expected")
    unknown = sorted(found.keys() - _NAMES)
    if unknown:
        raise Malformed(f"evidence has no `{unknown[0]}`")
    root = found.get("root")
    return Evidence(
        None if root is None else dsse.of_json(root), _envelopes(found, "keys"), _envelopes(found, "statements"),
        tuple(_tree(one) for one in _listed(found, "trees")), tuple(receipts.decoded(_text(one)) for one in _listed(found, "receipts")),
        tuple(promises.decoded(_text(one)) for one in _listed(found, "promises")), _salts(found.get("salts", {})),
        tuple(chunks.proof_of_json(one) for one in _listed(found, "chunks")), _envelopes(found, "roots"),
    )  # fmt: skip


def _text(found: Any) -> str:
    if not isinstance(found, str):
        raise Malformed("receipts and promises in evidence are texts")
    return found


def _salts(found: Any) -> dict[str, bytes]:
    if not isinstance(found, dict) or len(found) > MOST_ENVELOPES:
        raise Malformed("`salts` of evidence are an object of digests and salts")
    for digest, salt in found.items():
        if (
            not re.fullmatch(r"[0-9a-f]{64}", digest)
            or not isinstance(salt, str)
            or not re.fullmatch(r"[0-9a-f]{64}", salt)
        ):
            raise Malformed("a salt is 32 bytes in hexadecimal digits, by the SHA-256 of its envelope")
    return {digest: bytes.fromhex(salt) for digest, salt in found.items()}


def _listed(found: dict[str, Any], name: str) -> Sequence[Any]:
    listed = found.get(name, [])
    if not isinstance(listed, list) or len(listed) > MOST_ENVELOPES:
        raise Malformed(f"`{name}` of evidence is a list of {MOST_ENVELOPES} at the most")
    return listed


def _envelopes(found: dict[str, Any], name: str) -> tuple[Envelope, ...]:
    return tuple(dsse.of_json(one) for one in _listed(found, name))


def _tree(found: Any) -> BlockTree:
    if not isinstance(found, dict) or found.keys() != {"bytes", "level", "digests"}:
        raise Malformed("a tree in evidence has `bytes`, `level` and `digests`")
    size, level, digests = found["bytes"], found["level"], found["digests"]
    if type(size) is not int or type(level) is not int or size < 0 or not 0 <= level <= 40:
        raise Malformed(f"found a tree of {size!r:.40} bytes at level {level!r:.40}")
    try:
        return BlockTree.decoded(size, level, bytes.fromhex(digests))
    except (TypeError, ValueError) as error:
        raise Malformed("a tree's `digests` are hexadecimal digits") from error
