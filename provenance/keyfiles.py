"""Keys in files that only their owner can read: Ed25519, and ML-DSA-65 for second signatures that are to be checked in decades.

Source: RFC 8032 for Ed25519; FIPS 204 for ML-DSA; the key ids of C2SP signed-note: the first four bytes of SHA-256(name, newline, algorithm, public key),
as hexadecimal digits, with the algorithm 0x01 for Ed25519 and 0xff, followed by its name, for what that text does not number.
"""

import base64
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from provenance.errors import Malformed, ProvenanceError

ED25519: Final = "ed25519"
ML_DSA_65: Final = "ml-dsa-65"
ALGORITHMS: Final = (ED25519, ML_DSA_65)
_HEAD: Final = "beamgrid-private-key-1"
_LENGTHS: Final = {ED25519: 32, ML_DSA_65: 1952}
_NUMBERS: Final = {ED25519: b"\x01", ML_DSA_65: b"\xffml-dsa-65"}


def _ml_dsa() -> Any:
    """The module of ML-DSA.

    Raises:
        KeyRefused: the installed `cryptography`, or what it was built with, has none.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric import mldsa
    except ImportError as error:
        raise KeyRefused(
            "the installed `cryptography` has no ML-DSA, so such signatures are neither made nor checked: pip install 'cryptography>=50'"
        ) from error
    return mldsa


class KeyRefused(ProvenanceError):
    """A key is not used: others can read its file, or it is none."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What signatures are checked with; `raw` is 32 bytes, or 1952 of ML-DSA-65."""

    raw: bytes
    algorithm: str = ED25519

    def __post_init__(self) -> None:
        expected = _LENGTHS.get(self.algorithm)
        if expected is None:
            raise Malformed(f"found the algorithm `{self.algorithm}`; {' or '.join(ALGORITHMS)} was expected")
        if len(self.raw) != expected:
            raise Malformed(f"found a public key of {len(self.raw)} bytes; {expected} were expected")

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether a signature over bytes is this key's.

        Raises:
            KeyRefused: it is a key of ML-DSA, which is not installed.
        """
        try:
            if self.algorithm == ED25519:
                Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)
            else:
                _ml_dsa().MLDSA65PublicKey.from_public_bytes(self.raw).verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True

    def keyid(self, name: str) -> str:
        """What finds the key among others, under its name."""
        return hashlib.sha256(name.encode() + b"\n" + _NUMBERS[self.algorithm] + self.raw).digest()[:4].hex()


class FileKey:
    """A private key in a file: a line that says what it is, the key's name, and the key in base64.

    Args:
        name: such as `maxiv/nanomax/eiger2x1m-0123#2026a`.
        seed: 32 bytes.
        algorithm: of `ALGORITHMS`.
    """

    def __init__(self, name: str, seed: bytes, algorithm: str = ED25519) -> None:
        self.name = name
        if algorithm == ED25519:
            self._key: Any = Ed25519PrivateKey.from_private_bytes(seed)
        else:
            self._key = _ml_dsa().MLDSA65PrivateKey.from_seed_bytes(seed)
        self.public = PublicKey(self._key.public_key().public_bytes_raw(), algorithm)

    @property
    def keyid(self) -> str:
        return self.public.keyid(self.name)

    def sign(self, data: bytes) -> bytes:
        made: bytes = self._key.sign(data)
        return made

    @classmethod
    def make(cls, file: Path, name: str, algorithm: str = ED25519) -> "FileKey":
        """Make a new key in a new file that only its owner can read.

        Raises:
            KeyRefused: the file is there already, or the name has a line break in it or nothing.
        """
        if not name or any(character.isspace() for character in name):
            raise KeyRefused(
                f"found `{name!r}` as a key's name; a word such as `maxiv/nanomax/eiger-0123#2026a` was expected"
            )
        seed = os.urandom(32)
        made = cls(name, seed, algorithm)
        head = _HEAD if algorithm == ED25519 else f"{_HEAD} {algorithm}"
        text = f"{head}\n{name}\n{base64.b64encode(seed).decode()}\n"
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            raise KeyRefused(f"`{file}` is there already; a key is never overwritten") from None
        with os.fdopen(descriptor, "w") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        return made

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
        head, _, algorithm = lines[0].partition(" ") if lines else ("", "", "")
        if len(lines) != 3 or head != _HEAD or algorithm not in ("", ML_DSA_65):
            raise KeyRefused(f"`{file}` is no private key; `{_HEAD}` was expected in its first line")
        try:
            seed = base64.b64decode(lines[2], validate=True)
            return cls(lines[1], seed, algorithm or ED25519)
        except ValueError as error:
            raise KeyRefused(f"`{file}` holds no key: {error}") from error
