"""What is wrong with a policy, and what a policy says no with."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from rules.source import Source, Span


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: an id, a place, what was found and what was expected."""

    id: str
    message: str
    span: Span
    help: str = ""

    def render(self, source: Source) -> str:
        """For a steward to read."""
        text = f"{source.name}:{self.span.line}:{self.span.column}: {self.id}: {self.message}"
        text += "\n" + source.excerpt(self.span)
        return f"{text}\n  help: {self.help}" if self.help else text


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
    """A rule could not be evaluated: `code` says how, the message why."""

    def __init__(self, code: str, message: str, rule: str) -> None:
        super().__init__(message)
        self.code = code
        self.rule = rule


class BudgetExceeded(RuleFailed):
    """A rule took more steps than one event may."""

    def __init__(self, rule: str) -> None:
        super().__init__("BUDGET", "the rule took more steps than one event may", rule)
