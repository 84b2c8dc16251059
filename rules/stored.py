"""The checked form of policies as text, so that a process which takes a bundle over need not check it again.

A digest ties the text to the sources it was made of and to this version of the language; what does not fit is not
used. The text is JSON of plain data: a list begins with the kind of value it stands for, and nothing but the values
below can be made of it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast

from rules.core import (
    Body,
    Call,
    Guard,
    Keep,
    Op,
    Place,
    Policy,
    Promise,
    Rule,
    ScheduledBody,
    Step,
    Sweep,
)
from rules.locations import Pattern, compile_pattern
from rules.regular import compile_linear
from rules.source import Span
from rules.values import Period, Rate, Window

_CLASSES: Final[tuple[type, ...]] = (
    Op, Step, Call, Guard, Body, ScheduledBody, Rule, Place, Promise, Keep, Sweep, Policy, Span, Period, Rate, Window,
)  # fmt: skip
_FIELDS: Final = {cls: (code, tuple(f.name for f in fields(cls))) for code, cls in enumerate(_CLASSES)}


class NotStorable(ValueError):
    """A value that the stored form has no kind for, or a text that is none."""


def stored(policies: Iterable[Policy], context: str) -> str:
    """Checked policies as text.

    Args:
        policies: what was checked.
        context: everything else that the result of the check depends on, such as the digest of the sources.

    Raises:
        NotStorable: they hold a value of a kind that is not known here.
    """
    body = json.dumps([_written(policy) for policy in policies], separators=(",", ":"), ensure_ascii=False)
    return f"{_digest(body, context)}\n{body}"


def restored(text: str, context: str) -> tuple[Policy, ...] | None:
    """The policies of a text; None when it was made of something else, by another version, or was changed."""
    digest, _, body = text.partition("\n")
    if not body or digest != _digest(body, context):
        return None
    return tuple(cast("Policy", _read(policy)) for policy in json.loads(body))


def _digest(body: str, context: str) -> str:
    return hashlib.sha256(f"{_version()}\n{context}\n{body}".encode("utf-8", "surrogatepass")).hexdigest()


@lru_cache(maxsize=1)
def _version() -> str:
    """Changes whenever the language's own code does."""
    found = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.*")):
        if file.suffix in (".py", ".lark"):
            found.update(file.read_bytes())
    return found.hexdigest()


def _written(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (str, int, bool, float):
        return value
    known = _FIELDS.get(kind)
    if known is not None:
        code, names = known
        return [code, *(_written(getattr(value, name)) for name in names)]
    if kind is Pattern:
        words = [[name, list(allowed)] for name, allowed in value.words]
        return ["pattern", value.name, value.text, words, [list(form) for form in value.forms]]
    if kind is re.Pattern:
        return ["regular", value.pattern]
    if kind in (tuple, list, frozenset):
        items = sorted(value, key=repr) if kind is frozenset else value
        return [kind.__name__, *(_written(item) for item in items)]
    if kind is dict:
        return ["dict", *([_written(key), _written(item)] for key, item in value.items())]
    if kind is timedelta:
        return ["timedelta", value.days, value.seconds, value.microseconds]
    if kind is datetime and value.tzinfo is UTC:
        return ["datetime", value.isoformat()]
    if kind is date:
        return ["date", value.isoformat()]
    if kind is Decimal:
        return ["Decimal", str(value)]
    raise NotStorable(f"a {kind.__name__} has no stored form")


def _read(value: Any) -> Any:
    if value.__class__ is not list:
        return value
    return _READERS[value[0]](value)


def _reader_of(cls: type) -> Callable[[list[Any]], Any]:
    def read(value: list[Any]) -> Any:
        return cls(*[item if item.__class__ is not list else _READERS[item[0]](item) for item in value[1:]])

    return read


@lru_cache(maxsize=4096)
def _pattern(name: str, text: str, words: str, forms: str) -> Pattern:
    return compile_pattern(name, text, dict(json.loads(words)), dict(json.loads(forms)))


_READERS: Final[dict[int | str, Callable[[list[Any]], Any]]] = {
    **{code: _reader_of(cls) for code, cls in enumerate(_CLASSES)},
    "pattern": lambda v: _pattern(v[1], v[2], json.dumps(v[3]), json.dumps(v[4])),
    "regular": lambda v: compile_linear(v[1]),
    "tuple": lambda v: tuple([_read(item) for item in v[1:]]),
    "list": lambda v: [_read(item) for item in v[1:]],
    "frozenset": lambda v: frozenset([_read(item) for item in v[1:]]),
    "dict": lambda v: {_read(key): _read(item) for key, item in v[1:]},
    "timedelta": lambda v: timedelta(v[1], v[2], v[3]),
    "datetime": lambda v: datetime.fromisoformat(v[1]).astimezone(UTC),
    "date": lambda v: date.fromisoformat(v[1]),
    "Decimal": lambda v: Decimal(v[1]),
}
