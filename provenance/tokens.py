"""Keys that never leave a token: PKCS#11, behind the same interface as keys in files.

A file `NAME.token`, which only its owner can read, says where the key is:

    beamgrid-token-1
    name maxiv/gateway#2026a
    module /usr/lib/softhsm/libsofthsm2.so
    token beamgrid
    label gateway
    pin 1234                    or `pin-file /run/secrets/pin`

Source: PKCS #11 version 3.0, CKM_EDDSA.
"""

import os
import stat
import threading
from pathlib import Path
from typing import Any, Final

from provenance.keyfiles import FileKey, KeyRefused, PublicKey
from provenance.notes import NoteSigner

_HEAD: Final = "beamgrid-token-1"
_NEEDED: Final = ("name", "module", "token", "label")


_OPEN: Final[dict[tuple[str, str], tuple[str, Any]]] = {}
_LOCK: Final = threading.Lock()


def _session(module: str, token: str, pin: str) -> Any:
    """The session of this process with a token; a user logs in once, whatever number of keys is used."""
    import pkcs11

    with _LOCK:
        known = _OPEN.get((module, token))
        if known is not None and known[0] == pin:
            return known[1]
        if known is not None:
            known[1].close()
            del _OPEN[module, token]
        session = pkcs11.lib(module).get_token(token_label=token).open(user_pin=pin)
        _OPEN[module, token] = pin, session
        return session


class TokenKey:
    """A private key on a token.

    Args:
        name: of the key.
        module: the vendor's library.
        token: its label.
        label: of the key on it.
        pin: of its user.

    Raises:
        KeyRefused: there is no such token or key, or no program to talk with it.
    """

    def __init__(self, name: str, module: str, token: str, label: str, pin: str) -> None:
        try:
            import pkcs11
        except ImportError as error:
            raise KeyRefused(
                "keys on tokens need the package python-pkcs11: pip install 'beamgrid[hsm]'"
            ) from error
        self.name = name
        self._lock = threading.Lock()
        self._mechanism = pkcs11.Mechanism.EDDSA
        try:
            session = _session(module, token, pin)
            self._key: Any = session.get_key(
                object_class=pkcs11.ObjectClass.PRIVATE_KEY, key_type=pkcs11.KeyType.EC_EDWARDS, label=label
            )
            public = session.get_key(
                object_class=pkcs11.ObjectClass.PUBLIC_KEY, key_type=pkcs11.KeyType.EC_EDWARDS, label=label
            )
            point = bytes(public[pkcs11.Attribute.EC_POINT])
        except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
            raise KeyRefused(
                f"the key `{label}` on the token `{token}` cannot be used: {str(error) or type(error).__name__}"
            ) from error
        # the point is an OCTET STRING of 32 bytes, as newer texts have it, or bare
        self.public = PublicKey(point[2:] if len(point) == 34 else point)

    @property
    def keyid(self) -> str:
        return self.public.keyid(self.name)

    def sign(self, data: bytes) -> bytes:
        with self._lock:
            return bytes(self._key.sign(data, mechanism=self._mechanism))


def load_key(file: Path) -> NoteSigner:
    """A private key in a file, or on the token that a file `NAME.token` describes.

    Raises:
        KeyRefused: it cannot be used; the message says why.
    """
    return _described(file) if file.suffix == ".token" else FileKey.load(file)


def _described(file: Path) -> TokenKey:
    """The key that a description names.

    Raises:
        KeyRefused: others can read the description, it is none, or the token does not answer.
    """
    try:
        with file.open(encoding="utf-8") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            lines = opened.read(8192).splitlines()
    except OSError as error:
        raise KeyRefused(f"the description of a token `{file}` cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise KeyRefused(f"`{file}` has mode {mode:o}, so others can use the token; set it: chmod 600 {file}")
    said = dict(line.split(" ", 1) for line in lines[1:] if " " in line)
    missing = [name for name in _NEEDED if name not in said]
    if lines[:1] != [_HEAD] or missing or not ("pin" in said or "pin-file" in said):
        raise KeyRefused(
            f"`{file}` describes no token; `{_HEAD}` and lines {', '.join(_NEEDED)}, pin or pin-file were expected"
        )
    pin = said.get("pin") or Path(said["pin-file"]).read_text("utf-8").strip()
    return TokenKey(said["name"], said["module"], said["token"], said["label"], pin)
