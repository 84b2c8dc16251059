"""Types as values, and which of them fit, compare and add up.

`Any` stands where a finding was reported already, so that one mistake stays one finding. There is no null: `T?` is
what may be absent, used with `default` or after it was asked for with `exists`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Type:
    """A type; `words` are those of a vocabulary, or of one literal word that may still become one of several."""

    name: str
    arguments: tuple["Type", ...] = ()
    option: bool = False
    words: frozenset[str] | None = None

    def __str__(self) -> str:
        inner = f"<{', '.join(str(a) for a in self.arguments)}>" if self.arguments else ""
        return f"{self.name}{inner}{'?' if self.option else ''}"

    @property
    def required(self) -> "Type":
        """The type of what is there."""
        return Type(self.name, self.arguments, False, self.words) if self.option else self

    @property
    def optional(self) -> "Type":
        return Type(self.name, self.arguments, True, self.words)

    @property
    def element(self) -> "Type":
        return self.arguments[-1] if self.arguments else ANY


ANY: Final = Type("Any")
BOOL, INT, DECIMAL, TEXT, PATH = Type("Bool"), Type("Int"), Type("Decimal"), Type("Text"), Type("Path")
TIME, DATE, DURATION, PERIOD, WINDOW = (
    Type("Time"),
    Type("Date"),
    Type("Duration"),
    Type("Period"),
    Type("Window"),
)
SIZE, RATE, FRACTION, JSON = Type("Size"), Type("Rate"), Type("Fraction"), Type("Json")
DIGEST, DOI, URN, FAILURE, LOCATION = (
    Type("Digest"),
    Type("Doi"),
    Type("Urn"),
    Type("Failure"),
    Type("Location"),
)

BASE: Final = MappingProxyType(
    {
        t.name: t
        for t in (
            ANY, BOOL, INT, DECIMAL, TEXT, PATH, TIME, DATE, DURATION, PERIOD, WINDOW, SIZE, RATE, FRACTION, JSON,
            DIGEST, DOI, URN, FAILURE, LOCATION,
        )
    }
)  # fmt: skip

GENERIC: Final = MappingProxyType({"List": 1, "Map": 2})
TEXTS: Final = frozenset({"Text", "Path", "Digest", "Doi", "Urn"})
"""Types whose values are texts: they compare with each other and with literals."""
WRITTEN: Final = TEXTS | {
    "Int",
    "Decimal",
    "Size",
    "Duration",
    "Period",
    "Fraction",
    "Rate",
    "Time",
    "Date",
    "Bool",
}
"""Types whose values can stand in a sentence and be metadata."""
NAMED: Final = frozenset({"User", "Group", "Resource", "Principal"})
"""Entities that a text in quotes names."""


def list_of(element: Type) -> Type:
    return Type("List", (element,))


def fits(found: Type, wanted: Type, *, literal: bool = False) -> bool:
    """Whether a value of one type can stand where another is wanted; `literal` for a text in quotes."""
    if "Any" in (found.name, wanted.name):
        return True
    if found.option and not wanted.option:
        return False
    found, wanted = found.required, wanted.required
    if wanted.name == "T":
        return True
    if wanted.words is not None:
        return found.name == wanted.name or (found.words is not None and found.words <= wanted.words)
    if found.name == wanted.name:
        pairs = zip(found.arguments, wanted.arguments, strict=False)
        return all(fits(f, w) for f, w in pairs)
    if (found.name, wanted.name) == ("Int", "Decimal"):
        return True
    if literal and found.name == "Text":
        return wanted.name in TEXTS or wanted.name in NAMED
    if wanted.name == "Principal":
        return found.name in ("User", "Group", "Text")
    if wanted.name == "Path":
        return found.name in ("Text", "Collection", "Object")
    if wanted.name == "Text":
        return found.name in TEXTS or found.words is not None
    return wanted.name == "Json" and (found.name in WRITTEN or found.name in ("List", "Map"))


def comparable(left: Type, right: Type) -> bool:
    """Whether two types can be compared."""
    if "Any" in (left.name, right.name):
        return True
    if left.option or right.option:
        return False
    if left.words is not None and right.words is not None:
        return left.name == right.name or left.words <= right.words or right.words <= left.words
    if (left.words is not None or right.words is not None) and "Text" in (left.name, right.name):
        return True
    if left.name == right.name:
        return True
    if left.name in TEXTS and right.name in TEXTS:
        return True
    if {left.name, right.name} <= {"User", "Group", "Principal", "Text"} or (
        {left.name, right.name} == {"Resource", "Text"}
    ):
        return True
    return {left.name, right.name} in ({"Int", "Decimal"}, {"Decimal", "Fraction"}, {"Duration", "Period"})


def ordered(left: Type) -> bool:
    """Whether values of the type have an order."""
    return left.name in (
        "Any",
        "Int",
        "Decimal",
        "Size",
        "Duration",
        "Fraction",
        "Rate",
        "Time",
        "Date",
        "Text",
        "Path",
    )


_SUMS: Final[Mapping[tuple[str, str], Type]] = MappingProxyType(
    {
        ("Time", "Duration"): TIME, ("Time", "Period"): TIME, ("Duration", "Duration"): DURATION,
        ("Duration", "Period"): PERIOD, ("Period", "Duration"): PERIOD, ("Period", "Period"): PERIOD,
        ("Int", "Int"): INT, ("Int", "Decimal"): DECIMAL, ("Decimal", "Int"): DECIMAL, ("Decimal", "Decimal"): DECIMAL,
        ("Size", "Size"): SIZE, ("Fraction", "Fraction"): FRACTION, ("Rate", "Rate"): RATE,
    }
)  # fmt: skip
_PRODUCTS: Final[Mapping[tuple[str, str], Type]] = MappingProxyType(
    {
        ("Int", "Int"): INT, ("Int", "Decimal"): DECIMAL, ("Decimal", "Decimal"): DECIMAL, ("Int", "Size"): SIZE,
        ("Decimal", "Size"): SIZE, ("Fraction", "Size"): SIZE, ("Int", "Duration"): DURATION,
        ("Decimal", "Duration"): DURATION, ("Int", "Period"): PERIOD, ("Fraction", "Int"): DECIMAL,
        ("Fraction", "Decimal"): DECIMAL, ("Int", "Rate"): RATE, ("Decimal", "Rate"): RATE, ("Rate", "Duration"): SIZE,
        ("Fraction", "Fraction"): FRACTION,
    }
)  # fmt: skip
_QUOTIENTS: Final[Mapping[tuple[str, str], Type]] = MappingProxyType(
    {
        ("Int", "Int"): DECIMAL, ("Int", "Decimal"): DECIMAL, ("Decimal", "Int"): DECIMAL,
        ("Decimal", "Decimal"): DECIMAL, ("Size", "Int"): SIZE, ("Size", "Decimal"): SIZE, ("Size", "Size"): DECIMAL,
        ("Size", "Rate"): DURATION, ("Size", "Duration"): RATE, ("Duration", "Int"): DURATION,
        ("Duration", "Decimal"): DURATION, ("Duration", "Duration"): DECIMAL,
    }
)  # fmt: skip


def arithmetic(operator: str, left: Type, right: Type) -> Type | None:
    """The type of a sum, difference, product or quotient; None where it has no meaning."""
    if "Any" in (left.name, right.name):
        return ANY
    if left.option or right.option:
        return None
    pair = (left.name, right.name)
    if operator == "+":
        if pair in (("Path", "Text"), ("Path", "Path")):
            return PATH
        if left.name in TEXTS and right.name in TEXTS:
            return TEXT
        return _SUMS.get(pair)
    if operator == "-":
        return DURATION if pair == ("Time", "Time") else _SUMS.get(pair)
    if operator == "*":
        return _PRODUCTS.get(pair) or _PRODUCTS.get((right.name, left.name))
    return _QUOTIENTS.get(pair)
