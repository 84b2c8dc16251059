"""The zone's key: seals passwords, so that neither the catalog nor a backup of it alone gives one away.

The key is 32 random bytes in `keys/zone.key`, readable by the service account only; a sealed text is AES-256-GCM
with a random nonce, in base64.
"""

import base64
import os
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES: Final = 12
_CONTEXT: Final = b"beamgrid password"


class KeyFileError(Exception):
    """The key file is missing, damaged, or readable by others."""


def make_key(path: Path) -> None:
    """Write a new key; never over an old one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(os.urandom(32)) + b"\n")
        file.flush()
        os.fsync(file.fileno())


class ZoneKey:
    """Seals and opens passwords."""

    def __init__(self, path: Path) -> None:
        try:
            mode = path.stat().st_mode
            data = base64.b64decode(path.read_bytes().strip(), validate=True)
        except OSError as error:
            raise KeyFileError(f"the zone's key `{path}` cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise KeyFileError(f"the zone's key `{path}` is damaged") from error
        if stat.S_IMODE(mode) & 0o077:
            raise KeyFileError(
                f"the zone's key `{path}` can be read by others (mode {stat.S_IMODE(mode):o}); run: chmod 600 {path}"
            )
        if len(data) != 32:
            raise KeyFileError(f"the zone's key `{path}` is damaged")
        self._cipher = AESGCM(data)

    def seal(self, password: str) -> str:
        """Encrypt a password."""
        nonce = os.urandom(_NONCE_BYTES)
        return base64.b64encode(
            nonce + self._cipher.encrypt(nonce, password.encode("utf-8"), _CONTEXT)
        ).decode()

    def open(self, sealed: str) -> str:
        """Decrypt a sealed password.

        Raises:
            KeyFileError: it was sealed with another key.
        """
        data = base64.b64decode(sealed)
        try:
            return self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], _CONTEXT).decode("utf-8")
        except InvalidTag:
            raise KeyFileError("a password in the catalog was sealed with another zone key") from None
