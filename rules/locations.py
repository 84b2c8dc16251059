"""Location patterns: where a rule applies, and what the parts of a path are called.

A pattern is a path whose components may hold one capture in braces each (`{visit}`, `{scan}.h5`); `**` at the end
stands for zero or more levels, and a pattern without it matches that one path.
"""

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_CAPTURE: Final = re.compile(r"([^{}]*)\{([a-z_][a-z0-9_]*)\}([^{}]*)")
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
        if len(text) != width:
            return False
        try:
            datetime.datetime.strptime(text, pattern)
        except ValueError:
            return False
        return True

    return check


@dataclass(frozen=True, slots=True)
class Capture:
    """A component of a pattern that is not the same in every path."""

    name: str
    before: str = ""
    after: str = ""

    def read(self, part: str) -> str | None:
        """What is captured of a path's component; None when it does not fit."""
        if not self.before and not self.after:
            return part
        if not (part.startswith(self.before) and part.endswith(self.after)):
            return None
        inner = part[len(self.before) : len(part) - len(self.after) or None]
        return inner if inner and len(inner) == len(part) - len(self.before) - len(self.after) else None


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled location; `words` and `forms` are what its checks were made of."""

    name: str
    text: str
    components: tuple[str | Capture, ...]
    open_end: bool
    checks: Mapping[str, Callable[[str], bool]] = field(compare=False)
    words: tuple[tuple[str, tuple[str, ...]], ...] = ()
    forms: tuple[tuple[str, str], ...] = ()

    @property
    def captures(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c.name for c in self.components if isinstance(c, Capture)))

    def match(self, path: str) -> dict[str, str] | None:
        """The captures when a path lies at this location, None otherwise."""
        parts = path.strip("/").split("/")
        if len(parts) < len(self.components) or (len(parts) > len(self.components) and not self.open_end):
            return None
        found: dict[str, str] = {}
        for part, component in zip(parts, self.components, strict=False):
            if isinstance(component, str):
                if component != part:
                    return None
                continue
            inner = component.read(part)
            if inner is None or found.setdefault(component.name, inner) != inner:
                return None
            check = self.checks.get(component.name)
            if check is not None and not check(inner):
                return None
        return found

    def touches_below(self, collection: str) -> bool:
        """Whether the location may hold anything in the tree under a collection."""
        parts = collection.strip("/").split("/") if collection.strip("/") else []
        for part, component in zip(parts, self.components, strict=False):
            if component != part if isinstance(component, str) else component.read(part) is None:
                return False
        return len(parts) < len(self.components) or self.open_end

    def overlaps(self, other: "Pattern") -> bool:
        """Whether some path may lie at both locations."""
        shorter, longer = sorted((self, other), key=lambda pattern: len(pattern.components))
        if len(shorter.components) < len(longer.components) and not shorter.open_end:
            return False
        for one, two in zip(self.components, other.components, strict=False):
            if isinstance(one, str) and isinstance(two, str):
                if one != two:
                    return False
            elif isinstance(one, str) and isinstance(two, Capture):
                if not other.may_be(two, one):
                    return False
            elif isinstance(two, str) and isinstance(one, Capture) and not self.may_be(one, two):
                return False
        return True

    def may_be(self, component: Capture, part: str) -> bool:
        inner = component.read(part)
        check = self.checks.get(component.name)
        return inner is not None and (check is None or check(inner))

    def build(self, values: Mapping[str, str]) -> str:
        """The path of this location with these captures, without what `**` stands for.

        Raises:
            PatternError: a capture is missing, or what it would be does not fit.
        """
        parts = []
        for component in self.components:
            if isinstance(component, str):
                parts.append(component)
                continue
            value = values.get(component.name, "")
            check = self.checks.get(component.name)
            if not value or "/" in value or value in (".", "..") or (check is not None and not check(value)):
                raise PatternError(f"`{value}` cannot be the `{component.name}` of `{self.name}`")
            parts.append(component.before + value + component.after)
        return "/" + "/".join(parts)

    @property
    def prefix(self) -> str:
        """The collection below or at which everything of this location lies."""
        parts: list[str] = []
        for component in self.components:
            if not isinstance(component, str):
                break
            parts.append(component)
        return "/" + "/".join(parts)

    @property
    def like(self) -> str:
        """An SQL pattern (escape character `!`) that every path of this location matches; some others may, too."""
        parts = [
            _like(c) if isinstance(c, str) else f"{_like(c.before)}%{_like(c.after)}" for c in self.components
        ]
        return "/" + "/".join(parts) + ("%" if self.open_end else "")


def _like(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


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
    components: list[str | Capture] = []
    for part in parts:
        whole = _CAPTURE.fullmatch(part)
        if whole:
            components.append(Capture(whole[2], whole[1], whole[3]))
        elif "{" in part or "}" in part or not part:
            raise PatternError(f"`{part}` is neither a name nor one capture in braces")
        else:
            components.append(part)
    names = {c.name for c in components if isinstance(c, Capture)}
    for capture in [*words, *forms]:
        if capture not in names:
            raise PatternError(f"`{pattern}` has no capture `{capture}`")
    checks: dict[str, Callable[[str], bool]] = {}
    for capture, allowed in words.items():
        checks[capture] = frozenset(allowed).__contains__
    for capture, form in forms.items():
        checks[capture] = form_check(form)
    known_words = tuple((capture, tuple(allowed)) for capture, allowed in words.items())
    return Pattern(name, pattern, tuple(components), open_end, checks, known_words, tuple(forms.items()))
