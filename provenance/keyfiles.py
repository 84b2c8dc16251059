"""Ed25519 keys in files that only their owner can read.

Source: RFC 8032 for Ed25519; the key ids of C2SP signed-note: the first four bytes of SHA-256(name, newline, 0x01, public key), as hexadecimal
digits.
"""

import base64
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from provenance.errors import Malformed, ProvenanceError

ED25519: Final = "ed25519"
_HEAD: Final = "beamgrid-private-key-1"
_ALGORITHM: Final = b"\x01"


class KeyRefused(ProvenanceError):
    """A key is not used: others can read its file, or it is none."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What signatures are checked with; `raw` is 32 bytes."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise Malformed(f"found a public key of {len(self.raw)} bytes; 32 were expected")

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether a signature over bytes is this key's."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True

    def keyid(self, name: str) -> str:
        """What finds the key among others, under its name."""
        return hashlib.sha256(name.encode() + b"\n" + _ALGORITHM + self.raw).digest()[:4].hex()


class FileKey:
    """A private key in a file: a line that says what it is, the key's name, and the key in base64.

    Args:
        name: such as `maxiv/nanomax/eiger2x1m-0123#2026a`.
        seed: 32 bytes.
    """

    def __init__(self, name: str, seed: bytes) -> None:
        self.name = name
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(self._key.public_key().public_bytes_raw())

    @property
    def keyid(self) -> str:
        return self.public.keyid(self.name)

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)

    @classmethod
    def make(cls, file: Path, name: str) -> "FileKey":
        """Make a new key in a new file that only its owner can read.

        Raises:
            KeyRefused: the file is there already, or the name has a line break in it or nothing.
        """
        if not name or any(character.isspace() for character in name):
            raise KeyRefused(
                f"found `{name!r}` as a key's name; a word such as `maxiv/nanomax/eiger-0123#2026a` was expected"
            )
        seed = Ed25519PrivateKey.generate().private_bytes_raw()
        text = f"{_HEAD}\n{name}\n{base64.b64encode(seed).decode()}\n"
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            raise KeyRefused(f"`{file}` is there already; a key is never overwritten") from None
        with os.fdopen(descriptor, "w") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        return cls(name, seed)

    @classmethod
    def load(cls, file: Path) -> "FileKey":
        """Read a key.

        Raises:
            KeyRefused: others than the owner may read or change the file, or it holds no key.
        """
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError as error:
            raise KeyRefused(f"the key `{file}` cannot be read: {error.strerror}") from error
        with os.fdopen(descriptor, encoding="utf-8", errors="replace") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            if mode & 0o077:
                raise KeyRefused(
                    f"`{file}` has mode {mode:o}, so others can use the key; set it: chmod 600 {file}"
                )
            lines = opened.read(4096).splitlines()
        if len(lines) != 3 or lines[0] != _HEAD:
            raise KeyRefused(f"`{file}` is no private key; `{_HEAD}` was expected in its first line")
        try:
            seed = base64.b64decode(lines[2], validate=True)
            return cls(lines[1], seed)
        except ValueError as error:
            raise KeyRefused(f"`{file}` holds no key: {error}") from error
