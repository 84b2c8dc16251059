"""Reads a log of ours with programs of others: `sigstore` for checkpoints and inclusion proofs, `pymerkle` for the tree.

It runs in the environment of `requirements-checkers.lock`, as a program: `python tlog_check.py LOG NAME PUBLIC-KEY-HEX < RECEIPTS`, with one receipt (C2SP
tlog-proof) a JSON text on standard input and its entry's number of the log in it. Tiles are read by their addresses alone, as a client over HTTP would.

Source: C2SP tlog-tiles and tlog-proof.
"""

import base64
import hashlib
import json
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pymerkle import InmemoryTree
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore._internal.rekor.checkpoint import SignedCheckpoint

folder, name, public = Path(sys.argv[1]), sys.argv[2], bytes.fromhex(sys.argv[3])


class Keyring:
    """Says whether a signature is the log's."""

    def verify(self, *, key_id: bytes, signature: bytes, data: bytes) -> None:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)


def tile(level: str, number: int, width: int) -> bytes:
    parts = []
    while True:
        number, rest = divmod(number, 1000)
        parts.insert(0, f"{rest:03d}" if not parts else f"x{rest:03d}")
        if not number:
            break
    path = f"tile/{level}/{'/'.join(parts)}"
    return (folder / (path if width == 256 else f"{path}.p/{width}")).read_bytes()


def entries(size: int) -> list[bytes]:
    found = []
    for number in range(-(-size // 256)):
        data = tile("entries", number, min(256, size - number * 256))
        while data:
            (length,) = struct.unpack(">H", data[:2])
            found.append(data[2 : 2 + length])
            data = data[2 + length :]
    return found


keyid = hashlib.sha256(name.encode() + b"\n\x01" + public).digest()
signed = SignedCheckpoint.from_text((folder / "checkpoint").read_text())
signed.signed_note.verify(Keyring(), keyid)
size, root = signed.checkpoint.log_size, signed.checkpoint.log_hash
found = entries(size)
tree = InmemoryTree(algorithm="sha256")
for entry in found:
    tree.append_entry(entry)
assert len(found) == size, (len(found), size)
assert tree.get_state().hex() == root, "the root over the entries is another one"
for number in range(size // 256):
    digests = b"".join(
        hashlib.sha256(b"\0" + entry).digest() for entry in found[number * 256 : number * 256 + 256]
    )
    assert tile("0", number, 256) == digests, f"tile 0/{number}"

for text in json.load(sys.stdin):
    head, _, note = text.partition("\n\n")
    first, index, *hashes = head.split("\n")
    assert first == "c2sp.org/tlog-proof@v1", first
    own = SignedCheckpoint.from_text(note)
    own.signed_note.verify(Keyring(), keyid)
    place = int(index.removeprefix("index "))
    proof = SimpleNamespace(
        log_index=place, tree_size=own.checkpoint.log_size, hashes=[base64.b64decode(one) for one in hashes],
        root_hash=bytes.fromhex(own.checkpoint.log_hash),
    )  # fmt: skip
    verify_merkle_inclusion(
        SimpleNamespace(_inner=SimpleNamespace(inclusion_proof=proof, canonicalized_body=found[place]))
    )
print(f"{size} entries, {root}: accepted")
