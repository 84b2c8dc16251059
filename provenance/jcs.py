"""JSON in one form only: equal values give equal bytes, and what could be read in two ways is refused.

Source: RFC 8785 (JSON Canonicalization Scheme); ECMA-262, `Number::toString`, for how numbers are written.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from provenance.errors import Malformed

LARGEST_INT: Final = (1 << 53) - 1
DEEPEST: Final = 64
"""Nesting beyond this is refused before it is read."""

_ESCAPED: Final = {
    "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\",
    **{chr(n): f"\\u{n:04x}" for n in range(0x20) if n not in (8, 9, 10, 12, 13)},
}  # fmt: skip
_TABLE: Final = str.maketrans(_ESCAPED)

Json = Any
"""None, bool, int, float, str, and lists and dicts of these."""


def encode(value: Json) -> bytes:
    """The bytes that stand for a value.

    Raises:
        Malformed: an integer beyond 2**53 - 1, a number that is none, half a surrogate pair, or no JSON at all.
    """
    try:
        return _text(value).encode("utf-8")
    except UnicodeEncodeError as error:
        raise Malformed("found half of a surrogate pair in a text; a Unicode text was expected") from error


def _text(value: Json) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f'"{value.translate(_TABLE)}"'
    if isinstance(value, int):
        if abs(value) > LARGEST_INT:
            raise Malformed(f"found the integer {value}; none beyond 2**53 - 1 keeps its value in JSON")
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(_text, value))}]"
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise Malformed("found a key that is no text")
        # by UTF-16 code units, as ECMAScript compares texts
        keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        return f"{{{','.join(f'{_text(key)}:{_text(value[key])}' for key in keys)}}}"
    raise Malformed(f"found a {type(value).__name__}, which is no JSON")


def _number(value: float) -> str:
    """The shortest digits that read back the same, laid out as ECMAScript does."""
    if not math.isfinite(value):
        raise Malformed(f"found {value}, which is no number in JSON")
    if value == 0:
        return "0"
    sign, digits, exponent = "-" if value < 0 else "", *_digits(abs(value))
    count = len(digits)
    if count <= exponent <= 21:
        return f"{sign}{digits}{'0' * (exponent - count)}"
    if 0 < exponent <= 21:
        return f"{sign}{digits[:exponent]}.{digits[exponent:]}"
    if -6 < exponent <= 0:
        return f"{sign}0.{'0' * -exponent}{digits}"
    fraction = f".{digits[1:]}" if count > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{exponent - 1:+d}"


def _digits(value: float) -> tuple[str, int]:
    """The digits d of a positive number, without zeros around them, and n with value = 0.d x 10**n."""
    mantissa, _, power = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    exponent = len(whole) + int(power or 0)
    digits = whole + fraction
    exponent -= len(digits) - len(digits.lstrip("0"))
    return digits.strip("0"), exponent


def decode(text: bytes, *, most_bytes: int = 1 << 20) -> Json:
    """Read JSON that can be read in one way only.

    Args:
        text: UTF-8.
        most_bytes: longer texts are refused unread.

    Raises:
        Malformed: too long or too deep, no JSON, a key twice in an object, an integer beyond 2**53 - 1, a number beyond what a double holds.
    """
    if len(text) > most_bytes:
        raise Malformed(f"found {len(text)} bytes of JSON; {most_bytes} at the most are read")
    _require_shallow(text)
    try:
        return json.loads(
            text.decode("utf-8"), object_pairs_hook=_object, parse_int=_int, parse_float=_float,
            parse_constant=_constant,
        )  # fmt: skip
    except UnicodeDecodeError as error:
        raise Malformed(f"byte {error.start} is no UTF-8") from error
    except json.JSONDecodeError as error:
        raise Malformed(f"no JSON at line {error.lineno}, column {error.colno}: {error.msg}") from error


def _require_shallow(text: bytes) -> None:
    depth = deepest = 0
    within = escaped = False
    for byte in text:
        if within:
            within, escaped = escaped or byte != 0x22, not escaped and byte == 0x5C
        elif byte == 0x22:
            within = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    if deepest > DEEPEST:
        raise Malformed(f"found JSON nested {deepest} deep; {DEEPEST} at the most is read")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Malformed(f"the key `{twice}` is twice in an object")
    return found


def _int(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > LARGEST_INT:
        raise Malformed(f"found the integer {text[:40]}; none beyond 2**53 - 1 keeps its value in JSON")
    return int(text)


def _float(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise Malformed(f"found {text[:40]}, which is more than a double holds")
    return found


def _constant(text: str) -> float:
    raise Malformed(f"found {text}, which is no number in JSON")
