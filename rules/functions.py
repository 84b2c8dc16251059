"""The pure functions of the language: signatures, and what they do.

Each is charged fuel by the size of what it is given before it runs (see `rules.runtime`), and none reaches outside.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from types import MappingProxyType
from typing import Any, Final

from rules import types
from rules.types import Type
from rules.values import NotReadable, read, size_text


@dataclass(frozen=True, slots=True)
class FunctionType:
    """A pure function; `result` of `T` is the element type of its first argument. `run` gets the zone of dates last."""

    parameters: tuple[tuple[str, Type], ...]
    result: Type
    run: Callable[..., Any]
    summary: str


def _join(parts: list[Any], separator: str) -> str:
    return separator.join(str(part) for part in parts)


def _base_name(path: str) -> str:
    return path.rpartition("/")[2]


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def _rounded(number: float) -> int:
    return round(number)


def _date(time: datetime, timezone: tzinfo) -> Any:
    return time.astimezone(timezone).date()


def _year(time: datetime, timezone: tzinfo) -> int:
    return time.astimezone(timezone).year


def _days_between(first: datetime, second: datetime) -> float:
    return (second - first).total_seconds() / 86400


def _time(text: str, timezone: tzinfo) -> datetime:
    value: datetime = read(text, "Time", timezone)
    return value


def _size(text: str) -> int:
    value: int = read(text, "Size")
    return value


def _digest_hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _f(summary: str, result: Type, run: Callable[..., Any], **parameters: Type) -> FunctionType:
    return FunctionType(tuple(parameters.items()), result, run, summary)


_LIST: Final = types.list_of(Type("T"))

FUNCTIONS: Final[Mapping[str, FunctionType]] = MappingProxyType(
    {
        "base_name": _f("the last part of a path", types.TEXT, _base_name, path=types.PATH),
        "parent": _f("a path without its last part", types.PATH, _parent, path=types.PATH),
        "join": _f("texts, one after the other", types.TEXT, _join, parts=types.list_of(types.TEXT), separator=types.TEXT),
        "split": _f("the parts of a text", types.list_of(types.TEXT), lambda t, s: t.split(s) if s else [t], text=types.TEXT, separator=types.TEXT),
        "lower": _f("the text in small letters", types.TEXT, str.lower, text=types.TEXT),
        "starts_with": _f("whether a text begins so", types.BOOL, str.startswith, text=types.TEXT, beginning=types.TEXT),
        "ends_with": _f("whether a text ends so", types.BOOL, str.endswith, text=types.TEXT, ending=types.TEXT),
        "min": _f("the least of a list; it must not be empty", Type("T"), min, of=_LIST),
        "max": _f("the greatest of a list; it must not be empty", Type("T"), max, of=_LIST),
        "sum": _f("everything of a list together", Type("T"), sum, of=_LIST),
        "round": _f("the nearest whole number", types.INT, _rounded, number=types.DECIMAL),
        "date": _f("the day of a time, in the zone's own time zone", types.DATE, _date, time=types.TIME),
        "year": _f("the year of a time, in the zone's own time zone", types.INT, _year, time=types.TIME),
        "days_between": _f("days from one time to another", types.DECIMAL, _days_between, first=types.TIME, second=types.TIME),
        "time": _f("a time from a text", types.TIME, _time, text=types.TEXT),
        "size": _f("a size from a text such as `4 GB`", types.SIZE, _size, text=types.TEXT),
        "size_text": _f("a size as people write it", types.TEXT, size_text, size=types.SIZE),
        "digest_hex": _f("the SHA-256 of a text", types.TEXT, _digest_hex, text=types.TEXT),
    }
)  # fmt: skip
"""Name to function. `path_of(location, entity or captures)` is special: it builds a path of a location."""

WITH_ZONE: Final = frozenset({"date", "year", "time"})
"""Functions that are given the zone's time zone."""

ERRORS: Final = (ValueError, OverflowError, TypeError, NotReadable)
"""What a function may end with; all of them become a failed rule."""

__all__ = ["ERRORS", "FUNCTIONS", "WITH_ZONE", "FunctionType"]
