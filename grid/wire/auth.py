"""Native authentication and password scrambling, as pure functions.

Three secrets never leave here in clear: the response to a challenge, a scrambled new password, and the
one-time password made from a server's hash string.

Source: `obf.cpp`, `authPluginRequest`, `libnative`, `genUtil`'s `obfEncodeByKey` family, iRODS 5.0.2;
test vectors in `tests/unit/grid/wire/test_auth.py`.
"""

import hashlib
import hmac
from typing import Final

from grid.wire.errors import RemoteWireError

MAX_PASSWORD_BYTES: Final = 50
MAX_NATIVE_PASSWORD: Final = 42
CHALLENGE_BYTES: Final = 64

_WHEEL: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" + "".join(
    map(chr, range(0x21, 0x30))
)
_PLACE: Final = {character: index for index, character in enumerate(_WHEEL)}
_PADDING: Final = "1gCBizHWbwIYyWLoysGzTe6SyzqFKMniZX05faZHWAwQKXf6Fs"
_PADDING_START: Final = _PADDING[:16]
_KEY_PERIOD: Final = 61


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def response(challenge: bytes, password: str) -> bytes:
    """The 16 bytes a client answers a challenge with; no byte of it is zero."""
    secret = password.encode("utf-8", "surrogateescape")[:MAX_PASSWORD_BYTES]
    digest = _md5(challenge[:CHALLENGE_BYTES] + secret.ljust(MAX_PASSWORD_BYTES, b"\0"))
    return digest.replace(b"\0", b"\1")


def matches(challenge: bytes, password: str, answer: bytes) -> bool:
    """Whether `answer` is the response to `challenge`, compared in constant time."""
    return hmac.compare_digest(response(challenge, password), answer[:16])


def signature(challenge: bytes) -> str:
    """What new passwords of this connection are scrambled with: 32 hexadecimal digits."""
    return challenge[:16].hex()


def one_time_password(hash_string: str, password: str) -> str:
    """The temporary password that follows from the server's string and the caller's own password."""
    text = (hash_string + password).encode("utf-8", "surrogateescape")[:100]
    return _md5(text.ljust(100, b"\0")).hex()


def _keystream(key: str) -> bytes:
    padded = key.encode("utf-8", "surrogateescape")[:100].ljust(100, b"\0")
    first = _md5(padded)
    second = _md5(first)
    third = _md5(first + second)
    return (first + second + third + third)[:_KEY_PERIOD]


def scramble(text: str, key: str, *, chained: bool = False) -> str:
    """Turn each character of the wheel on by the key, and by the previous result when `chained`."""
    stream, out, previous = _keystream(key), [], 0
    for index, character in enumerate(text):
        place = _PLACE.get(character)
        if place is None:
            out.append(character)
            continue
        turned = _WHEEL[(place + stream[index % _KEY_PERIOD] + previous) % len(_WHEEL)]
        out.append(turned)
        if chained:
            previous = ord(turned) & 0xFF
    return "".join(out)


def unscramble(text: str, key: str, *, chained: bool = False) -> str:
    """The inverse of `scramble`."""
    stream, out, previous = _keystream(key), [], 0
    for index, character in enumerate(text):
        place = _PLACE.get(character)
        if place is None:
            out.append(character)
            continue
        out.append(_WHEEL[(place - stream[index % _KEY_PERIOD] - previous) % len(_WHEEL)])
        if chained:
            previous = ord(character) & 0xFF
    return "".join(out)


def _second_key(own_password: str, session_signature: str) -> str:
    joined = (own_password[:90] + session_signature[:100]).encode("utf-8", "surrogateescape")[:100]
    return _md5(joined.ljust(100, b"\0")).hex()


def scramble_new_password(new: str, own_password: str, session_signature: str) -> str:
    """How a client sends a new password, keyed by its own one and this connection."""
    room = MAX_PASSWORD_BYTES - 10 - len(new)
    padded = new + _PADDING[:room] if room > 15 else new
    return scramble("A.ObfV2" + padded, _second_key(own_password, session_signature), chained=True)


def unscramble_new_password(sent: str, own_password: str, session_signature: str) -> str:
    """The new password that a client sent.

    Raises:
        RemoteWireError: it was not scrambled with this password and connection.
    """
    plain = unscramble(sent, _second_key(own_password, session_signature), chained=True)
    if plain[1:7] == ".ObfV2":
        plain = plain[7:]
    else:
        plain = unscramble(sent, own_password)
    end = plain.find(_PADDING_START)
    if end >= 0:
        return plain[:end]
    if len(plain) > 45:
        raise RemoteWireError("the new password does not decode with the caller's own password")
    return plain
