"""Numbers as intervals: what a value of a type can be, and what arithmetic makes of that."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy

from accel.users.language import refuse

BOOL, INT, FLOAT = "bool", "int", "float"


@dataclass(frozen=True, slots=True)
class Range:
    """A type, and what values of it can be."""

    kind: str
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        return self.low == self.high

    def joined(self, other: "Range") -> "Range":
        kind = FLOAT if FLOAT in (self.kind, other.kind) else self.kind if self.kind == other.kind else INT
        return Range(kind, min(self.low, other.low), max(self.high, other.high))


ANY_FLOAT: Final = Range(FLOAT, -math.inf, math.inf)
TRUTH: Final = Range(BOOL, 0, 1)


def whole(value: float) -> int:
    return int(value) if math.isfinite(value) else (1 << 31) - 1 if value > 0 else -(1 << 31)


def merged(one: Mapping[str, Range], other: Mapping[str, Range]) -> dict[str, Range]:
    """What has a value either way."""
    return {name: value.joined(other[name]) for name, value in one.items() if name in other}


def pixels_of(dtype: numpy.dtype[Any]) -> Range:
    if dtype.kind == "f":
        return ANY_FLOAT
    highest = int(numpy.iinfo(dtype).max)
    return Range(INT, 0, highest - 1 if dtype.kind == "u" else highest)


def arithmetic(line: int, operator: str, left: Range, right: Range) -> Range:
    kind = FLOAT if FLOAT in (left.kind, right.kind) or operator == "/" else INT
    if operator == "**":
        return _power(line, left, right, kind)
    if kind == FLOAT:
        if left.is_known and right.is_known:
            return _known(operator, left.low, right.low)
        return ANY_FLOAT
    if operator == "+":
        return Range(INT, left.low + right.low, left.high + right.high)
    if operator == "-":
        return Range(INT, left.low - right.high, left.high - right.low)
    if operator == "*":
        ends = [a * b for a in (left.low, left.high) for b in (right.low, right.high)]
        return Range(INT, min(ends), max(ends))
    if operator == "//":
        furthest = max(abs(left.low), abs(left.high))
        return Range(INT, 0 if min(left.low, right.low) >= 0 else -furthest - 1, furthest)
    furthest = max(abs(right.low), abs(right.high))
    return Range(INT, 0 if right.low >= 0 else -furthest, furthest)


def _known(operator: str, left: float, right: float) -> Range:
    if operator in ("/", "//", "%") and right == 0:
        return ANY_FLOAT
    found = {
        "+": lambda: left + right, "-": lambda: left - right, "*": lambda: left * right, "/": lambda: left / right, "//": lambda: left // right,
        "%": lambda: left % right,
    }[operator]()  # fmt: skip
    return Range(FLOAT, float(found), float(found)) if math.isfinite(found) else ANY_FLOAT


def _power(line: int, left: Range, right: Range, kind: str) -> Range:
    if right.kind == FLOAT or not right.is_known or not 0 <= right.low <= 8:
        if kind == INT:
            refuse(
                line,
                "the power of whole numbers has an exponent from 0 to 8 that is known; make it `float(...)`",
            )
        return ANY_FLOAT
    if kind == FLOAT:
        return ANY_FLOAT
    ends = [left.low ** int(right.low), left.high ** int(right.low)]
    low = 0 if right.low % 2 == 0 and left.low <= 0 <= left.high else min(ends)
    return Range(INT, low, max(ends))
