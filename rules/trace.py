"""What rules did and why, value by value: what `explain`, tests and the decision log show."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rules import interpreter
from rules.core import Guard, Op, Rule
from rules.diagnostics import Refused, RuleFailed
from rules.runtime import Frame
from rules.source import Source
from rules.values import as_text


@dataclass(frozen=True, slots=True)
class AtomTrace:
    """One part of a guard: how it is written, whether it holds, and the values it was computed from."""

    written: str
    holds: bool | None
    values: tuple[tuple[str, str], ...] = ()
    problem: str = ""

    def as_data(self) -> dict[str, Any]:
        return {
            "text": self.written,
            "holds": self.holds,
            "values": dict(self.values),
            "problem": self.problem,
        }


@dataclass(slots=True)
class RuleTrace:
    """One candidate rule.

    Attributes:
        outcome: `applies`, `guard false`, `refuses`, `fails` or `elsewhere`.
        atoms: guard by guard, up to the first that is false.
    """

    rule_id: str
    title: str
    line: int
    at: Mapping[str, str] = field(default_factory=dict)
    atoms: list[AtomTrace] = field(default_factory=list)
    outcome: str = "applies"
    code: str = ""
    message: str = ""

    def as_data(self) -> dict[str, Any]:
        return {
            "rule": self.rule_id, "title": self.title, "line": self.line, "at": dict(self.at),
            "atoms": [atom.as_data() for atom in self.atoms], "outcome": self.outcome, "code": self.code,
            "message": self.message,
        }  # fmt: skip


Observe = Callable[[Guard, int, bool], None]


def judged(frame: Frame, rule: Rule, source: Source, observe: Observe | None = None) -> RuleTrace:
    """Evaluate a rule's guards one atom after the other, and say what came out.

    Args:
        frame: the event as the rule sees it.
        rule: the rule.
        source: its text.
        observe: is told of each atom's value, by guard and number.
    """
    trace = RuleTrace(rule.id, rule.title, rule.span.line, dict(frame.at))
    for guard in rule.guards:
        atoms = atoms_of(guard)
        for number, atom in enumerate(atoms):
            written = source.offending(atom.span) or guard.written
            try:
                value = bool(interpreter.evaluate(frame, atom))
            except RuleFailed as failure:
                trace.atoms.append(AtomTrace(written, None, (), str(failure)))
                trace.outcome, trace.code, trace.message = "fails", failure.code, str(failure)
                return trace
            if observe is not None:
                observe(guard, number, value)
            shown = written if guard.wanted else f"unless {written}"
            holds = value is guard.wanted
            trace.atoms.append(AtomTrace(shown, holds, values_in(frame, atom, source)))
            if (guard.wanted and not holds) or (not guard.wanted and len(atoms) == 1 and not holds):
                trace.outcome = "guard false"
                return trace
        if not guard.wanted and len(atoms) > 1 and not interpreter.holds(frame, guard):
            trace.outcome = "guard false"
            return trace
    return trace


def atoms_of(guard: Guard) -> tuple[Op, ...]:
    """The parts of a guard that all have to hold."""
    return guard.condition.args if guard.condition.name == "and" else (guard.condition,)


def values_in(frame: Frame, op: Op, source: Source) -> tuple[tuple[str, str], ...]:
    """What the expressions inside one came to: those that are neither constants nor conditions themselves."""
    found: dict[str, str] = {}
    left = list(op.args)
    while left and len(found) < 8:
        inner = left.pop(0)
        if inner.name in ("const", "list"):
            continue
        if inner.name in ("and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "in", "exists", "default"):
            left.extend(inner.args)
            continue
        written = source.offending(inner.span)
        if written and written not in found:
            try:
                found[written] = _shown(interpreter.evaluate(frame, inner))
            except RuleFailed as failure:
                found[written] = f"? ({failure})"
        if inner.name in ("look_up", "native"):
            left.extend(inner.args)
    return tuple(found.items())


def _shown(value: Any) -> str:
    if value is None:
        return "not there"
    if isinstance(value, (list, tuple, frozenset)):
        return "[" + ", ".join(sorted(as_text(entry) for entry in value)[:12]) + "]"
    return as_text(value)


def acted(frame: Frame, rule: Rule, trace: RuleTrace) -> None:
    """Run what follows from the guards: the body, or what stands after `otherwise`."""
    body = rule.body if trace.outcome == "applies" else rule.otherwise
    if trace.outcome == "fails":
        return
    try:
        interpreter.run(frame, body.steps, deciding=rule.phase == "before")
    except Refused as refusal:
        trace.outcome, trace.code, trace.message = "refuses", refusal.code, str(refusal)
    except RuleFailed as failure:
        trace.outcome, trace.code, trace.message = "fails", failure.code, str(failure)
