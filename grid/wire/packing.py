"""The packing-instruction language: iRODS's one-line struct declarations, compiled to plans.

A plan is the list of a struct's items with everything both codecs need to know: kind, pointer or not, and
how many elements there are. `xml` and `native` interpret the same plan, so a struct is declared once.

A decoded struct is a `dict` from item name to value: `int`, `str`, `bytes`, `None` for a null pointer, a
nested `dict`, or a list of these for arrays. A struct that holds the same item twice (`DataObjCopyInp_PI`)
gives the second one the key `NAME#2`.

Source: `lib/core/src/packStruct.cpp`, iRODS 5.0.2.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, Final

from grid.wire.errors import LocalWireError
from grid.wire.structs import STRUCTS

Value = Any  # what one item holds; see the module text
Struct = Mapping[str, Value]

NULL_MARKER: Final = b"%@#ANULLSTR$%\0"
"""What stands on the native wire where a pointer is null."""

CONSTANTS: Final = {
    "HEADER_TYPE_LEN": 128,
    "NAME_LEN": 64,
    "CHKSUM_LEN": 64,
    "LONG_NAME_LEN": 256,
    "MAX_NAME_LEN": 1088,
    "SHORT_STR_LEN": 32,
    "TIME_LEN": 32,
    "DIR_LEN": 256,
    "ERR_MSG_LEN": 1024,
    "MAX_SQL_ATTR": 50,
    "RULE_SET_DEF_LENGTH": 10880,
    "META_STR_LEN": 20480,
    "CHALLENGE_LEN": 64,
    "RESPONSE_LEN": 16,
    "MAX_PASSWORD_LEN": 50,
    "HUGE_NAME_LEN": 100000,
}

MAX_ELEMENTS: Final = 1_000_000
"""No array of one message may claim more elements than this."""


class Kind(Enum):
    INT = "int"
    INT16 = "int16"
    LONG = "double"  # the protocol's `double` is a 64-bit integer
    TEXT = "str"
    TYPE_NAME = "piStr"
    CHARS = "char"
    BYTES = "bin"
    STRUCT = "struct"
    DEPENDENT = "?"


INTEGER_BYTES: Final = {Kind.INT: 4, Kind.INT16: 2, Kind.LONG: 8}


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a struct.

    `counts` multiplied give the number of elements; each is a number or the name of an earlier item of this
    or an enclosing struct. Empty counts mean a single value. `max_bytes` bounds a text, its NUL included.
    """

    kind: Kind
    name: str
    key: str
    pointer: bool
    counts: tuple[int | str, ...]
    max_bytes: int | str | None
    depends_on: str = ""
    # the kind, asked for so often that it is kept as plain values
    integer_bytes: int = 0
    is_text: bool = False
    is_raw: bool = False
    is_array: bool = False
    is_length: bool = False


_ITEM = re.compile(
    r"^(?P<type>\?\w+|\w+)\s+(?P<marker>[*$#]?)(?P<name>\w+)(?P<dims>(?:\[\w+\])*)(?P<hints>(?:\(\w+\))*)$"
)
_DIMENSION = re.compile(r"[\[(](\w+)[\])]")


def _dimension(token: str) -> int | str:
    if token.isdigit():
        return int(token)
    return CONSTANTS.get(token, token)


def _parse_item(text: str, seen: dict[str, int]) -> Item:
    match = _ITEM.match(text)
    if match is None:
        raise LocalWireError(f"`{text}` is not an item of a packing instruction")
    type_name, name = match["type"], match["name"]
    depends_on = ""
    if type_name.startswith("?"):
        kind, depends_on = Kind.DEPENDENT, type_name[1:]
    else:
        kind = Kind(type_name)
    dims = tuple(_dimension(d) for d in _DIMENSION.findall(match["dims"]))
    hints = tuple(_dimension(d) for d in _DIMENSION.findall(match["hints"]))
    pointer = match["marker"] != ""
    max_bytes: int | str | None = None
    counts = dims + hints
    if kind in (Kind.TEXT, Kind.TYPE_NAME):
        if hints:
            max_bytes, counts = hints[-1], dims + hints[:-1]
        elif dims and not pointer:
            max_bytes, counts = dims[-1], dims[:-1]
    seen[name] = seen.get(name, 0) + 1
    key = name if seen[name] == 1 else f"{name}#{seen[name]}"
    return Item(
        kind,
        name,
        key,
        pointer,
        counts,
        max_bytes,
        depends_on,
        integer_bytes=INTEGER_BYTES.get(kind, 0),
        is_text=kind in (Kind.TEXT, Kind.TYPE_NAME),
        is_raw=kind in (Kind.CHARS, Kind.BYTES),
        is_array=bool(counts),
        is_length=kind is Kind.INT and not counts,
    )


@cache
def plan(struct_name: str) -> tuple[Item, ...]:
    """The compiled items of a struct.

    Raises:
        LocalWireError: no struct of that name is declared.
    """
    declaration = STRUCTS.get(struct_name)
    if declaration is None:
        raise LocalWireError(f"no struct `{struct_name}` is declared")
    seen: dict[str, int] = {}
    return tuple(_parse_item(part.strip(), seen) for part in declaration.split(";") if part.strip())


class Scope:
    """The integer items seen so far, by which later items of this or a nested struct name their lengths."""

    __slots__ = ("_outer", "_values")

    def __init__(self, outer: "Scope | None" = None) -> None:
        self._outer = outer
        self._values: dict[str, int] = {}

    def set(self, name: str, value: int) -> None:
        self._values[name] = value

    def length(self, token: int | str) -> int:
        """The number behind a dimension.

        Raises:
            LocalWireError: a struct was used outside the one that holds its length.
        """
        if isinstance(token, int):
            return token
        scope: Scope | None = self
        while scope is not None:
            if token in scope._values:
                return scope._values[token]
            scope = scope._outer
        raise LocalWireError(f"no earlier item gives the length `{token}`")

    def count(self, item: Item) -> int:
        total = 1
        for token in item.counts:
            total *= self.length(token)
        return total
