"""The policy language: text to checked rules, and what runs, explains, tests and formats them.

Knows nothing of iRODS, catalogs or storage: it is given texts and, while rules run, a host that answers for facts
and effects.
"""

from rules import ast, core, interpreter
from rules.checker import check, examine
from rules.conflicts import across
from rules.diagnostics import (
    BudgetExceeded,
    Finding,
    Refused,
    RuleCheckError,
    RuleError,
    RuleFailed,
    RuleSyntaxError,
)
from rules.formatter import format_policy
from rules.host import Effects, Facts, Found, JobRequest
from rules.index import ActivePolicies, ActiveRule
from rules.parser import parse
from rules.runtime import Frame
from rules.source import Source, Span
from rules.stored import NotStorable, restored, stored
from rules.values import Entity

__all__ = [
    "ActivePolicies",
    "ActiveRule",
    "BudgetExceeded",
    "Effects",
    "Entity",
    "Facts",
    "Finding",
    "Found",
    "Frame",
    "JobRequest",
    "NotStorable",
    "Refused",
    "RuleCheckError",
    "RuleError",
    "RuleFailed",
    "RuleSyntaxError",
    "Source",
    "Span",
    "across",
    "ast",
    "check",
    "core",
    "examine",
    "format_policy",
    "interpreter",
    "parse",
    "restored",
    "stored",
]
