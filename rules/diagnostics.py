"""What is wrong with a policy, and what a policy says no with."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from rules.source import Source, Span


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: an id, a place, what was found and what was expected. Ids with W are warnings."""

    id: str
    message: str
    span: Span
    help: str = ""

    @property
    def is_warning(self) -> bool:
        return self.id.startswith("W")

    def render(self, source: Source) -> str:
        """For a steward to read."""
        kind = "warning " if self.is_warning else ""
        text = f"{source.name}:{self.span.line}:{self.span.column}: {kind}{self.id}: {self.message}"
        text += "\n" + source.excerpt(self.span)
        return f"{text}\n  help: {self.help}" if self.help else text

    def as_data(self, source: Source) -> dict[str, object]:
        """For a program to read."""
        return {
            "file": source.name, "line": self.span.line, "column": self.span.column, "id": self.id,
            "message": self.message, "text": source.offending(self.span), "help": self.help,
            "severity": "warning" if self.is_warning else "error",
        }  # fmt: skip


def suggestion(name: str, known: Iterable[str]) -> str:
    """`did you mean ...`, when one known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean `{near[0]}`?" if near else ""


class RuleError(Exception):
    """Base of everything that `rules` raises."""


class RuleCheckError(RuleError):
    """A policy that may not be loaded.

    Attributes:
        findings: everything that is wrong, in the order of the text.
    """

    def __init__(self, source: Source, findings: list[Finding]) -> None:
        self.source = source
        self.findings = sorted(findings, key=lambda f: (f.span.line, f.span.column))
        super().__init__("\n".join(finding.render(source) for finding in self.findings))


class RuleSyntaxError(RuleCheckError):
    """A policy that cannot be read at all."""


class RuleFailed(RuleError):
    """A rule could not go on.

    Attributes:
        code: how it failed; `RULE_ERROR` where the rule itself is at fault.
        kind: `refused`, `retryable`, `final` or `bug`: whether trying again can help.
        rule: its id.
    """

    def __init__(self, code: str, message: str, rule: str, kind: str = "bug") -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind
        self.rule = rule


class Refused(RuleFailed):
    """A `before` rule said no."""

    def __init__(self, code: str, message: str, rule: str) -> None:
        super().__init__(code, message, rule, "refused")


class BudgetExceeded(RuleFailed):
    """A rule took more steps, rows or text than one event may."""

    def __init__(self, what: str, rule: str) -> None:
        super().__init__("BUDGET", f"the rule took more {what} than one event may", rule)
