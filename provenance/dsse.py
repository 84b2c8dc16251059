"""Envelopes: a payload, its type, and signatures over both.

Source: the DSSE protocol and envelope, version 1.0 (secure-systems-lab/dsse).
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from provenance import jcs
from provenance.errors import Malformed

IN_TOTO: Final = "application/vnd.in-toto+json"
MOST_BYTES: Final = 1 << 20
MOST_SIGNATURES: Final = 16


class Signer(Protocol):
    """Whoever holds a private key: a file, a token, a service."""

    @property
    def keyid(self) -> str:
        """What finds the public key."""

    def sign(self, data: bytes) -> bytes:
        """A signature over bytes."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature; `keyid` is a hint that is itself not signed."""

    keyid: str
    sig: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload that was signed, or is to be."""

    payload: bytes
    payload_type: str
    signatures: tuple[Signature, ...] = ()

    def signed_bytes(self) -> bytes:
        """What signatures are over: the pre-authentication encoding of type and payload."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(self.payload), self.payload)

    def signed(self, *signers: Signer) -> "Envelope":
        """The same with further signatures."""
        data = self.signed_bytes()
        made = tuple(Signature(signer.keyid, signer.sign(data)) for signer in signers)
        return Envelope(self.payload, self.payload_type, (*self.signatures, *made))

    def valid(self, verify: Callable[[str, bytes, bytes], bool]) -> set[str]:
        """The key ids whose signatures are right.

        Args:
            verify: says whether a key's signature over bytes is right, by key id, signature and bytes; False for keys it does not know.
        """
        data = self.signed_bytes()
        return {one.keyid for one in self.signatures if verify(one.keyid, one.sig, data)}

    def encoded(self) -> bytes:
        """As JSON, in its one form."""
        return jcs.encode(
            {
                "payload": base64.b64encode(self.payload).decode(),
                "payloadType": self.payload_type,
                "signatures": [
                    {"keyid": one.keyid, "sig": base64.b64encode(one.sig).decode()} for one in self.signatures
                ],
            }
        )


def decoded(text: bytes) -> Envelope:
    """An envelope from JSON.

    Raises:
        Malformed: it is none.
    """
    return of_json(jcs.decode(text, most_bytes=2 * MOST_BYTES))


def of_json(found: jcs.Json) -> Envelope:
    """An envelope from what was read as JSON.

    Raises:
        Malformed: it is none.
    """
    if not isinstance(found, dict) or found.keys() != {"payload", "payloadType", "signatures"}:
        raise Malformed(
            "found no envelope; an object of `payload`, `payloadType` and `signatures` was expected"
        )
    kind, signatures = found["payloadType"], found["signatures"]
    if not isinstance(kind, str) or not kind or not isinstance(signatures, list):
        raise Malformed("an envelope's `payloadType` is a text and its `signatures` a list")
    if not 1 <= len(signatures) <= MOST_SIGNATURES:
        raise Malformed(
            f"found {len(signatures)} signatures in an envelope; 1 to {MOST_SIGNATURES} were expected"
        )
    payload = _bytes(found["payload"], "payload")
    if len(payload) > MOST_BYTES:
        raise Malformed(f"found a payload of {len(payload)} bytes; {MOST_BYTES} at the most are read")
    return Envelope(payload, kind, tuple(_signature(one) for one in signatures))


def _signature(found: jcs.Json) -> Signature:
    if not isinstance(found, dict) or not found.keys() <= {"keyid", "sig"} or "sig" not in found:
        raise Malformed("found no signature; an object of `keyid` and `sig` was expected")
    keyid = found.get("keyid", "")
    if not isinstance(keyid, str):
        raise Malformed("a signature's `keyid` is a text")
    return Signature(keyid, _bytes(found["sig"], "sig"))


def _bytes(found: jcs.Json, name: str) -> bytes:
    """Bytes from base64 of the standard alphabet, written in the one way there is."""
    if not isinstance(found, str):
        raise Malformed(f"`{name}` is a text of base64")
    try:
        data = base64.b64decode(found, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"`{name}` is no base64: {error}") from error
    if base64.b64encode(data).decode() != found:
        raise Malformed(f"`{name}` is base64 that could be written in another way")
    return data
