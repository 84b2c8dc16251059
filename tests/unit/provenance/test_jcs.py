"""Canonical JSON beside another implementation, and everything that could be read in two ways refused."""

import json
import math

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance import jcs
from provenance.errors import Malformed

NUMBERS = st.one_of(st.integers(-jcs.LARGEST_INT, jcs.LARGEST_INT), st.floats(-1e15, 1e15))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=500)
@given(VALUES)
def test_values_are_written_as_others_write_them_and_read_back(value) -> None:
    written = jcs.encode(value)
    assert written == rfc8785.dumps(value)
    again = jcs.decode(written)
    assert again == value
    assert jcs.encode(again) == written


@settings(max_examples=1000)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_is_written_as_others_write_it(value: float) -> None:
    assert jcs.encode(value) == rfc8785.dumps(value)
    assert float(jcs.encode(value)) == value


@pytest.mark.parametrize(("bits", "text"), [
    (0x0000000000000000, "0"), (0x8000000000000000, "0"), (0x0000000000000001, "5e-324"), (0x8000000000000001, "-5e-324"),
    (0x7FEFFFFFFFFFFFFF, "1.7976931348623157e+308"), (0x4340000000000000, "9007199254740992"),
    (0x4430000000000000, "295147905179352830000"), (0x44B52D02C7E14AF5, "9.999999999999997e+22"),
    (0x44B52D02C7E14AF6, "1e+23"), (0x44B52D02C7E14AF7, "1.0000000000000001e+23"), (0x444B1AE4D6E2EF4E, "999999999999999700000"),
    (0x444B1AE4D6E2EF4F, "999999999999999900000"), (0x444B1AE4D6E2EF50, "1e+21"), (0x3EB0C6F7A0B5ED8C, "9.999999999999997e-7"),
    (0x3EB0C6F7A0B5ED8D, "0.000001"), (0x41B3DE4355555553, "333333333.3333332"), (0x41B3DE4355555555, "333333333.3333333"),
    (0xBECBF647612F3696, "-0.0000033333333333333333"), (0x43143FF3C1CB0959, "1424953923781206.2"),
])  # fmt: skip
def test_numbers_are_those_of_the_standard(bits: int, text: str) -> None:
    """Source: RFC 8785, appendix B."""
    import struct

    assert jcs.encode(struct.unpack(">d", struct.pack(">Q", bits))[0]).decode() == text


def test_keys_are_in_the_order_of_their_code_units() -> None:
    """Source: RFC 8785, section 3.2.3."""
    keys = ["€", "\r", "\ufb33", "1", "\U0001f600", "\x80", "ö"]
    assert list(json.loads(jcs.encode(dict.fromkeys(keys, 0)))) == [
        "\r",
        "1",
        "\x80",
        "ö",
        "€",
        "\U0001f600",
        "\ufb33",
    ]


def test_what_means_the_same_is_written_the_same() -> None:
    assert jcs.encode(jcs.decode(b'{"b": 1e0, "a": "\\u0041"}')) == jcs.encode(
        jcs.decode(b'{"a":"A","b":1.0}')
    )


@pytest.mark.parametrize(("text", "message"), [
    (b'{"a":1,"a":1}', "the key `a` is twice"), (b'{"a":{"b":1,"b":2}}', "the key `b` is twice"), (b"9007199254740992", "2\\*\\*53"),
    (b"-9007199254740992", "2\\*\\*53"), (b"1" * 5000, "2\\*\\*53"), (b"1e400", "more than a double holds"), (b"NaN", "no number"),
    (b"-Infinity", "no number"), (b"{", "no JSON at line 1, column 2"), (b"[1,]", "no JSON"), (b"\xff", "byte 0 is no UTF-8"),
    (b"[" * 65 + b"]" * 65, "nested 65 deep"), (b" " * 101, "101 bytes of JSON; 100 at the most"), (b"'a'", "no JSON"),
])  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        jcs.decode(text, most_bytes=100 if len(text) == 101 else 1 << 20)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, 1 << 53, "\ud800", {1: 2}, {"a"}, b"x", {"a": [object()]}]
)
def test_what_is_no_json_is_not_written(value) -> None:
    with pytest.raises(Malformed):
        jcs.encode(value)


def test_brackets_in_texts_are_not_depth() -> None:
    assert jcs.decode(json.dumps(["[" * 100, '\\"' + "{" * 100]).encode()) == ["[" * 100, '\\"' + "{" * 100]


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_anything_is_read_or_refused(text: bytes) -> None:
    try:
        jcs.encode(jcs.decode(text))
    except Malformed:
        return
