"""Envelopes beside another implementation, and what is no envelope refused."""

import base64
import json

import pytest
from securesystemslib.dsse import Envelope as OtherEnvelope
from securesystemslib.signer import CryptoSigner, SSlibKey

from provenance import dsse
from provenance.dsse import IN_TOTO, Envelope
from provenance.errors import Malformed
from provenance.keyfiles import FileKey


@pytest.fixture
def key(tmp_path) -> FileKey:
    return FileKey.make(tmp_path / "a.key", "test/a")


def test_what_is_signed_is_what_the_protocol_says() -> None:
    """Source: the example of the DSSE protocol."""
    assert Envelope(b"hello world", "http://example.com/HelloWorld").signed_bytes() == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert Envelope("ü".encode(), "ä").signed_bytes() == "DSSEv1 2 ä 2 ü".encode()


def test_others_verify_ours(key: FileKey) -> None:
    ours = Envelope(b'{"a":1}', IN_TOTO).signed(key)
    theirs = OtherEnvelope.from_dict(json.loads(ours.encoded()))
    public = SSlibKey(key.keyid, "ed25519", "ed25519", {"public": key.public.raw.hex()})
    assert theirs.verify([public], 1).keys() == {key.keyid}


def test_we_verify_others() -> None:
    signer = CryptoSigner.generate_ed25519()
    theirs = OtherEnvelope(b'{"a":1}', IN_TOTO, {})
    theirs.sign(signer)
    ours = dsse.decoded(json.dumps(theirs.to_dict()).encode())
    raw = (
        bytes.fromhex(signer.public_key.keyval["public"])
        if len(signer.public_key.keyval["public"]) == 64
        else None
    )
    if raw is None:
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        raw = load_pem_public_key(signer.public_key.keyval["public"].encode()).public_bytes_raw()
    from provenance.keyfiles import PublicKey

    assert ours.valid(lambda keyid, sig, data: PublicKey(raw).verifies(sig, data)) == {
        signer.public_key.keyid
    }


@pytest.mark.parametrize("change", ["payload", "type", "signature"])
def test_anything_changed_is_told(key: FileKey, change: str) -> None:
    made = Envelope(b"data", IN_TOTO).signed(key)
    sig = made.signatures[0]
    changed = {
        "payload": Envelope(b"dat4", IN_TOTO, made.signatures), "type": Envelope(b"data", "text/plain", made.signatures),
        "signature": Envelope(b"data", IN_TOTO, (dsse.Signature(sig.keyid, sig.sig[:-1] + bytes([sig.sig[-1] ^ 1])),)),
    }[change]  # fmt: skip

    def verify(keyid: str, signature: bytes, data: bytes) -> bool:
        return key.public.verifies(signature, data)

    assert made.valid(verify) == {key.keyid}
    assert changed.valid(verify) == set()


GOOD = {"payload": "YQ==", "payloadType": "t", "signatures": [{"keyid": "k", "sig": "YQ=="}]}


@pytest.mark.parametrize(("found", "message"), [
    ([], "found no envelope"), ({**GOOD, "more": 1}, "found no envelope"), ({**GOOD, "signatures": []}, "found 0 signatures"),
    ({**GOOD, "signatures": GOOD["signatures"] * 17}, "found 17 signatures"), ({**GOOD, "payloadType": ""}, "is a text"),
    ({**GOOD, "payload": "YR=="}, "could be written in another way"), ({**GOOD, "payload": "Y Q=="}, "no base64"),
    ({**GOOD, "payload": "YQ"}, "no base64"), ({**GOOD, "payload": 1}, "is a text of base64"), ({**GOOD, "signatures": [{}]}, "no signature"),
    ({**GOOD, "signatures": [{"sig": "YQ==", "keyid": 1}]}, "`keyid` is a text"), ({**GOOD, "signatures": {}}, "`signatures` a list"),
    ({**GOOD, "payload": base64.b64encode(bytes((1 << 20) + 1)).decode()}, "found a payload of 1048577 bytes"),
])  # fmt: skip
def test_what_is_no_envelope_is_refused(found, message: str) -> None:
    assert dsse.decoded(json.dumps(GOOD).encode()).payload == b"a"
    with pytest.raises(Malformed, match=message):
        dsse.decoded(json.dumps(found).encode())
