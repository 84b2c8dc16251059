"""The values of the language while it runs: units, calendar periods, entities, and how they are written and read.

Invariants: `Int` and `Size` hold 64 bits, `Decimal` and `Fraction` are finite, a `Time` has a zone. `None` is what is
not there and never reaches a steward's expression unless its type says so.
"""

import calendar
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, ClassVar, Final

BYTES: Final = {
    "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50,
}  # fmt: skip
_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
LARGEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, order=False)
class Period:
    """A length by the calendar: months, then a fixed rest. The 29th of February becomes the 28th where there is none."""

    months: int
    rest: timedelta = timedelta(0)

    def __add__(self, other: "Period | timedelta") -> "Period":
        if isinstance(other, timedelta):
            return Period(self.months, self.rest + other)
        return Period(self.months + other.months, self.rest + other.rest)

    def negated(self) -> "Period":
        return Period(-self.months, -self.rest)

    def after(self, time: datetime) -> datetime:
        """The time so much later.

        Raises:
            OverflowError: no calendar has it.
        """
        month = time.year * 12 + time.month - 1 + self.months
        year, index = divmod(month, 12)
        if not 1 <= year <= 9999:
            raise OverflowError(f"the year {year} is out of range")
        day = min(time.day, calendar.monthrange(year, index + 1)[1])
        return time.replace(year=year, month=index + 1, day=day) + self.rest


@dataclass(frozen=True, slots=True)
class Rate:
    """Bytes a second."""

    bytes_per_second: float

    UNITS: ClassVar[Mapping[str, float]] = {"MB/s": 1e6, "GB/s": 1e9, "Gbit/s": 1.25e8}


@dataclass(frozen=True, slots=True)
class Window:
    """From a time until before another."""

    begins: datetime
    ends: datetime

    def __contains__(self, time: object) -> bool:
        return isinstance(time, datetime) and self.begins <= time < self.ends


@dataclass(frozen=True, slots=True, eq=False)
class Entity:
    """Something of the grid: its kind, what tells it from others, and the facts that are known of it already.

    What is not among `facts` is asked of the host, and then kept there.
    """

    kind: str
    key: int | str
    name: str = ""  # how people write it: a path, or a name
    facts: dict[str, Any] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.name == other or self.name.partition("#")[0] == other
        return isinstance(other, Entity) and (self.kind, self.key) == (other.kind, other.key)

    def __hash__(self) -> int:
        return hash(self.name)


def duration_of(number: float, unit: str) -> timedelta:
    """`2`, `hours` as a fixed length.

    Raises:
        OverflowError: too long.
    """
    return timedelta(seconds=number * _SECONDS[unit.removesuffix("s")])


def period_of(number: int, unit: str) -> Period:
    """`3`, `years` as a length by the calendar."""
    if number > 120_000:
        raise OverflowError("no calendar reaches that far")
    return Period(number * (12 if unit.startswith("year") else 1))


# -- as text --------------------------------------------------------------------------------------------------


def as_text(value: Any) -> str:
    """A value as it stands in a sentence or as metadata."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, Period):
        return period_text(value)
    if isinstance(value, Rate):
        return f"{value.bytes_per_second / 1e6:.12g} MB/s"
    if isinstance(value, Entity):
        return value.name or str(value.key)
    if isinstance(value, (list, tuple, frozenset)):
        return ", ".join(as_text(item) for item in value)
    return "" if value is None else str(value)


def duration_text(length: timedelta) -> str:
    """A length in the largest unit that gives a whole number."""
    seconds = length.total_seconds()
    for unit in ("week", "day", "hour", "minute", "second"):
        count = seconds / _SECONDS[unit]
        if seconds and count == int(count) and unit != "week":
            return f"{int(count)} {unit}{'' if abs(count) == 1 else 's'}"
    return f"{seconds:.12g} seconds"


def period_text(length: Period) -> str:
    years, months = divmod(length.months, 12)
    parts = [f"{n} {u}{'' if n == 1 else 's'}" for n, u in ((years, "year"), (months, "month")) if n]
    if length.rest:
        parts.append(duration_text(length.rest))
    return " ".join(parts) or "0 days"


def size_text(size: int) -> str:
    """A size as people write it."""
    amount, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if abs(amount) < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.3g} {unit}"


# -- from text ------------------------------------------------------------------------------------------------

_LENGTH: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


class NotReadable(ValueError):
    """A text that is no value of the type."""


def read(text: str, type_name: str, timezone: tzinfo = UTC) -> Any:
    """A value of a base type from the text that metadata holds.

    Raises:
        NotReadable: the text is no such value.
    """
    reader: Callable[[str, tzinfo], Any] | None = _READERS.get(type_name)
    if reader is None:
        return text
    try:
        return reader(text.strip(), timezone)
    except (ValueError, OverflowError, KeyError) as error:
        raise NotReadable(f"`{text}` is no {type_name}") from error


def _time(text: str, timezone: tzinfo) -> datetime:
    if text.isdigit() and len(text) >= 9:
        return datetime.fromtimestamp(int(text), UTC)
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=timezone)


def _integer(text: str, _: tzinfo) -> int:
    number = int(text)
    if abs(number) > LARGEST:
        raise ValueError(text)
    return number


def _decimal(text: str, _: tzinfo) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _bool(text: str, _: tzinfo) -> bool:
    return {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}[text.lower()]


def _size(text: str, _: tzinfo) -> int:
    if text.isdigit():
        return int(text)
    match = _LENGTH.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(float(match[1]) * BYTES[match[2]])


def _duration(text: str, _: tzinfo) -> timedelta:
    match = _LENGTH.fullmatch(text)
    if match is None:
        return timedelta(seconds=float(text))
    return duration_of(float(match[1]), match[2])


_READERS: Final[dict[str, Callable[[str, tzinfo], Any]]] = {
    "Time": _time, "Int": _integer, "Decimal": _decimal, "Fraction": _decimal, "Bool": _bool, "Size": _size,
    "Duration": _duration, "Date": lambda text, _: date.fromisoformat(text),
}  # fmt: skip
