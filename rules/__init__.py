"""The policy language: text to checked, compiled rules.

Knows nothing of iRODS, catalogs or storage: it is given event signatures, microservice signatures and, while
rules run, a host that answers for facts and effects.
"""

from rules.compiler import CompiledPolicy, CompiledRule, Frame, Refused, compile_policy
from rules.diagnostics import BudgetExceeded, Finding, RuleCheckError, RuleError, RuleFailed, RuleSyntaxError
from rules.host import JobRequest, Reader, Subject, Writer
from rules.parser import parse
from rules.source import Source, Span
from rules.types import MicroserviceSignature

__all__ = [
    "BudgetExceeded",
    "CompiledPolicy",
    "CompiledRule",
    "Finding",
    "Frame",
    "JobRequest",
    "MicroserviceSignature",
    "Reader",
    "Refused",
    "RuleCheckError",
    "RuleError",
    "RuleFailed",
    "RuleSyntaxError",
    "Source",
    "Span",
    "Subject",
    "Writer",
    "compile_policy",
    "parse",
]
