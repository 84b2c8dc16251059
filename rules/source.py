"""A policy's text and places in it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text: line and column count from 1; `length` ends with the first line, `end_line` does not."""

    line: int
    column: int
    length: int = 1
    end_line: int = 0


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment, and whether something stands before it on its line."""

    line: int
    text: str
    trailing: bool


@dataclass(frozen=True, slots=True)
class Source:
    """A policy file."""

    name: str
    text: str

    def line(self, number: int) -> str:
        lines = self.text.splitlines() or [""]
        return lines[max(min(number, len(lines)), 1) - 1]

    def offending(self, span: Span) -> str:
        """The text of a span, as far as it stands on its first line."""
        return self.line(span.line)[span.column - 1 : span.column - 1 + span.length]

    def excerpt(self, span: Span) -> str:
        """The line of a span with the stretch marked below it."""
        shown = self.line(span.line).replace("\t", " ")
        marks = " " * (span.column - 1) + "^" * max(min(span.length, len(shown) - span.column + 1), 1)
        return f"  {shown}\n  {marks}"
