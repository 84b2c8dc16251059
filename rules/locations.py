"""Location patterns: where a rule applies, and what the parts of a path are called.

A pattern is a path whose components may be captures in braces; `**` at the end stands for zero or more levels,
and a pattern without it matches that one path. `{zone}` is a capture like any other.
"""

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_COMPONENT: Final = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_FORMS: Final[dict[str, str]] = {"date:YYYYMMDD": "%Y%m%d", "date:YYYY-MM-DD": "%Y-%m-%d"}


class PatternError(ValueError):
    """A pattern or a form that cannot be used."""


def form_check(form: str) -> Callable[[str], bool]:
    """What tells whether a capture has a form such as `date:YYYYMMDD`.

    Raises:
        PatternError: nobody knows the form.
    """
    pattern = _FORMS.get(form)
    if pattern is None:
        raise PatternError(f"`{form}` is no form of captures; known are {', '.join(sorted(_FORMS))}")
    width = len(form.partition(":")[2])

    def check(text: str) -> bool:
        try:
            datetime.datetime.strptime(text, pattern)
        except ValueError:
            return False
        return len(text) == width

    return check


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled location."""

    name: str
    components: tuple[str | None, ...]  # a literal, or None for a capture
    captures: tuple[str, ...]
    open_end: bool
    checks: Mapping[str, Callable[[str], bool]]

    def match(self, path: str) -> dict[str, str] | None:
        """The captures when a path lies at this location, None otherwise."""
        parts = path.strip("/").split("/")
        if len(parts) < len(self.components) or (len(parts) > len(self.components) and not self.open_end):
            return None
        found: dict[str, str] = {}
        names = iter(self.captures)
        for part, literal in zip(parts, self.components, strict=False):
            if literal is None:
                name = next(names)
                if found.setdefault(name, part) != part:
                    return None
                check = self.checks.get(name)
                if check is not None and not check(part):
                    return None
            elif literal != part:
                return None
        return found

    def touches_below(self, collection: str) -> bool:
        """Whether the location may hold anything in the tree under a collection."""
        parts = collection.strip("/").split("/") if collection.strip("/") else []
        for part, literal in zip(parts, self.components, strict=False):
            if literal is not None and literal != part:
                return False
        return len(parts) < len(self.components) or self.open_end


def compile_pattern(
    name: str, pattern: str, words: Mapping[str, Sequence[str]], forms: Mapping[str, str]
) -> Pattern:
    """Compile a pattern.

    Args:
        name: of the location.
        pattern: its text.
        words: capture to the only words it may be.
        forms: capture to the form it must have.

    Raises:
        PatternError: not absolute, `**` elsewhere than at the end, or a condition on a capture it has not.
    """
    if not pattern.startswith("/"):
        raise PatternError(f"`{pattern}` is not absolute; a location begins with `/`")
    parts = pattern.strip("/").split("/")
    open_end = parts[-1] == "**"
    if open_end:
        parts.pop()
    if "**" in "/".join(parts):
        raise PatternError("`**` can stand only at the end of a location")
    components: list[str | None] = []
    captures: list[str] = []
    for part in parts:
        whole = _COMPONENT.fullmatch(part)
        if whole:
            components.append(None)
            captures.append(whole[1])
        elif "{" in part or "}" in part or not part:
            raise PatternError(f"`{part}` is neither a name nor one capture in braces")
        else:
            components.append(part)
    for capture in [*words, *forms]:
        if capture not in captures:
            raise PatternError(f"`{pattern}` has no capture `{capture}`")
    checks: dict[str, Callable[[str], bool]] = {}
    for capture, allowed in words.items():
        checks[capture] = frozenset(allowed).__contains__
    for capture, form in forms.items():
        checks[capture] = form_check(form)
    return Pattern(name, tuple(components), tuple(captures), open_end, checks)
