"""Context strings of resources: `name=value;name=value`, the settings of a driver or of a coordinating resource.

What a resource does not know is a tag, for rules to choose places by; a name that is nearly one it knows is taken for
a slip and refused.
"""

import difflib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from resources.errors import PermanentResourceError

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTPE]?)(i?)B?", re.IGNORECASE)
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|)")
_SECONDS: Final = {"": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


class ContextError(PermanentResourceError):
    """A context string that says nonsense; the message names what was found and what was expected."""


Value = int | float | str
Kind = str | tuple[str, ...]
"""`bytes`, `seconds`, `count`, `number`, `path`, or the words that are allowed."""


COMMON: Final[dict[str, Kind]] = {
    "minimum_free_space_for_create_in_bytes": "bytes",
    "maximum_file_size": "bytes",
    "max_rate": "bytes",
    "max_open": "count",
    "attempts": "count",
    "measure": ("on", "off"),
}
"""What every storage resource's context string may say."""


def pairs(text: str) -> dict[str, str]:
    """The settings and tags of a context string, as texts.

    Raises:
        ContextError: a part is no `name=value`, or a name is there twice.
    """
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise ContextError(f"found `{part}` in a context string where `name=value` was expected")
        if name.strip() in found:
            raise ContextError(f"`{name.strip()}` is there twice in a context string")
        found[name.strip()] = value.strip()
    return found


def read(
    text: str, known: Mapping[str, Kind], refused: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Value]:
    """The settings that a resource knows, as values; what is not said is not there.

    Args:
        text: the context string.
        known: name to kind.
        refused: name to the reason why this resource has no such setting.

    Raises:
        ContextError: a value is not of its kind, a name is refused or nearly one that is known.
    """
    values: dict[str, Value] = {}
    for name, value in pairs(text).items():
        if name in refused:
            raise ContextError(f"found `{name}` in a context string: {refused[name]}")
        if name in known:
            values[name] = _value(name, value, known[name])
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
        if near:
            raise ContextError(f"found `{name}` in a context string; did you mean `{near[0]}`?")
    return values


def _value(name: str, text: str, kind: Kind) -> Value:
    if isinstance(kind, tuple):
        if text in kind:
            return text
        raise ContextError(f"`{name}` is `{text}`; {', '.join(kind)} were expected")
    if kind == "path":
        if text.startswith("/"):
            return text
        raise ContextError(f"`{name}` is `{text}`; an absolute path was expected")
    if kind == "bytes" and (size := _SIZE.fullmatch(text)):
        step = 1024 if size[3] else 1000
        return int(float(size[1]) * step ** (" KMGTPE".index(size[2].upper()) if size[2] else 0))
    if kind == "seconds" and (time := _TIME.fullmatch(text)):
        return float(time[1]) * _SECONDS[time[2]]
    if kind == "count" and re.fullmatch(r"[1-9]\d{0,8}", text):
        return int(text)
    if kind == "number" and re.fullmatch(r"\d+(\.\d+)?", text) and float(text) > 0:
        return float(text)
    examples = {
        "bytes": "such as 500 GB",
        "seconds": "such as 10 min",
        "count": "from 1 on",
        "number": "above 0",
    }
    wanted = {"bytes": "a size", "seconds": "a time", "count": "a whole number", "number": "a number"}
    raise ContextError(f"`{name}` is `{text}`; {wanted[kind]} {examples[kind]} was expected")
