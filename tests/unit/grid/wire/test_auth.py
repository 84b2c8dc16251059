import hypothesis.strategies as st
import pytest
from hypothesis import given

from grid.wire import auth
from grid.wire.errors import RemoteWireError

CHALLENGE = b"0123456789abcdef" * 4


def test_the_vectors_of_the_real_client() -> None:
    assert auth.response(CHALLENGE, "rods").hex() == "172102f63e1240ce66824813a21fcfac"
    assert auth.signature(CHALLENGE) == "30313233343536373839616263646566"
    assert auth.one_time_password("abc123", "rods") == "3922337038bc95064c6769d5dd9800c9"
    assert auth.scramble("rods", "a9_3fker") == "xn%("


def test_no_byte_of_a_response_is_zero() -> None:
    assert all(0 not in auth.response(CHALLENGE, f"p{i}") for i in range(500))


def test_a_wrong_password_does_not_match() -> None:
    assert auth.matches(CHALLENGE, "rods", auth.response(CHALLENGE, "rods"))
    assert not auth.matches(CHALLENGE, "rods", auth.response(CHALLENGE, "Rods"))
    assert not auth.matches(CHALLENGE, "rods", b"")


PASSWORDS = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=1, max_size=42)


@given(PASSWORDS, PASSWORDS)
def test_a_new_password_survives_scrambling(new: str, own: str) -> None:
    signature = auth.signature(CHALLENGE)
    sent = auth.scramble_new_password(new, own, signature)
    assert auth.unscramble_new_password(sent, own, signature) == new


def test_a_password_scrambled_with_another_key_is_refused_or_wrong() -> None:
    sent = auth.scramble_new_password("secret", "rods", "ab" * 16)
    with pytest.raises(RemoteWireError):
        auth.unscramble_new_password(sent, "other", "ab" * 16)


def test_python_irodsclient_scrambles_as_we_unscramble() -> None:
    from irods.password_obfuscation import obfuscate_new_password

    sent = obfuscate_new_password("new-secret", "rods", "ab" * 16)
    assert auth.unscramble_new_password(sent, "rods", "ab" * 16) == "new-secret"
