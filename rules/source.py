"""A policy's text and places in it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one line: line and column count from 1."""

    line: int
    column: int
    length: int = 1


@dataclass(frozen=True, slots=True)
class Source:
    """A policy file."""

    name: str
    text: str

    def excerpt(self, span: Span) -> str:
        """The line of a span with the stretch marked below it."""
        lines = self.text.splitlines() or [""]
        line = lines[min(span.line, len(lines)) - 1]
        shown = line.replace("\t", " ")
        marks = " " * (span.column - 1) + "^" * max(min(span.length, len(shown) - span.column + 1), 1)
        return f"  {shown}\n  {marks}"
