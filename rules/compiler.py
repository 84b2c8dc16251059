"""Checked rules to closures.

An expression becomes a function of the event's `Frame`; a body becomes a list of such steps. Every step counts
against the event's budget. Nothing a steward wrote reaches Python's own compiler.
"""

import datetime
import re
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rules import ast
from rules.checker import check, compile_location
from rules.diagnostics import BudgetExceeded, RuleFailed
from rules.host import JobRequest, Reader, Subject, Writer
from rules.locations import Pattern
from rules.types import MicroserviceSignature

STEP_LIMIT: Final = 10_000
_MISSING: Final = object()


@dataclass(slots=True)
class Frame:
    """One event as one rule sees it."""

    rule: str
    entities: Mapping[str, Mapping[str, Any]]
    subjects: Mapping[str, Subject]
    at: Mapping[str, str]
    actor: str
    zone: str
    now: float
    reader: Reader
    timezone: str = "UTC"
    settable: dict[str, Any] = field(default_factory=dict)
    locals: dict[str, Any] = field(default_factory=dict)
    steps: int = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps > STEP_LIMIT:
            raise BudgetExceeded(self.rule)

    @property
    def writer(self) -> Writer:
        return self.reader  # type: ignore[return-value]  # bodies that write run with a host that can


class Refused(Exception):
    """A rule said no."""

    def __init__(self, message: str, code: str, rule: str) -> None:
        super().__init__(message)
        self.code = code
        self.rule = rule


Evaluate = Callable[[Frame], Any]
Run = Callable[[Frame], None]


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready to run."""

    id: str
    title: str
    phase: str
    event: str
    location: Pattern
    guards: tuple[Evaluate, ...]
    body: tuple[Run, ...]
    wants_digest: bool

    def applies(self, frame: Frame) -> bool:
        """Whether every `when` holds and no `unless` does."""
        return all(guard(frame) for guard in self.guards)

    def run(self, frame: Frame) -> None:
        """Run the body.

        Raises:
            Refused: the rule refuses.
            RuleFailed: it cannot be evaluated.
        """
        for statement in self.body:
            statement(frame)


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """A whole policy, ready to run."""

    name: str
    version: int
    by_event: Mapping[tuple[str, str], tuple[CompiledRule, ...]]  # (phase, event)
    bodies: Mapping[str, tuple[Run, ...]]  # of `schedule`, by body id


def compile_policy(
    policy: ast.Policy, microservices: Mapping[str, MicroserviceSignature], zone: str
) -> CompiledPolicy:
    """Check and compile.

    Raises:
        RuleCheckError: the policy does not check.
    """
    check(policy, microservices, zone)
    words = {vocabulary.name: vocabulary.words for vocabulary in policy.vocabularies}
    patterns = {location.name: compile_location(location, words) for location in policy.locations}
    by_event: dict[tuple[str, str], tuple[CompiledRule, ...]] = {}
    bodies: dict[str, tuple[Run, ...]] = {}
    for rule in policy.rules:
        compiler = _RuleCompiler(rule, policy.name, bodies)
        compiled = compiler.rule(patterns[rule.location])
        key = (rule.phase, rule.event)
        by_event[key] = (*by_event.get(key, ()), compiled)
    return CompiledPolicy(policy.name, policy.version, by_event, bodies)


class _RuleCompiler:
    def __init__(self, rule: ast.Rule, policy_name: str, bodies: dict[str, tuple[Run, ...]]) -> None:
        self._rule = rule
        self._id = f"{policy_name}/{rule.id}"
        self._bodies = bodies
        self._scheduled = 0
        self.wants_digest = False

    def rule(self, location: Pattern) -> CompiledRule:
        guards = [self._guard(guard, True) for guard in self._rule.when]
        guards += [self._guard(guard, False) for guard in self._rule.unless]
        body = self.block(self._rule.body)
        return CompiledRule(
            self._id, self._rule.title, self._rule.phase, self._rule.event, location, tuple(guards), body,
            self.wants_digest,
        )  # fmt: skip

    def _guard(self, node: ast.Expression, wanted: bool) -> Evaluate:
        value = self.expression(node)
        return lambda frame: bool(value(frame)) is wanted

    # -- statements ------------------------------------------------------------------------------------------

    def block(self, statements: tuple[ast.Statement, ...]) -> tuple[Run, ...]:
        return tuple(self._counted(self._statement(statement)) for statement in statements)

    def _counted(self, run: Run) -> Run:
        def counted(frame: Frame) -> None:
            frame.step()
            run(frame)

        return counted

    def _statement(self, node: ast.Statement) -> Run:
        run: Run = getattr(self, f"_{type(node).__name__.lower()}")(node)
        return run

    def _refuse(self, node: ast.Refuse) -> Run:
        message, code, rule = self.expression(node.message), node.code, self._id

        def run(frame: Frame) -> None:
            raise Refused(as_text(message(frame)), code, rule)

        return run

    def _require(self, node: ast.Require) -> Run:
        condition, message = self.expression(node.condition), self.expression(node.message)
        code, rule = node.code, self._id

        def run(frame: Frame) -> None:
            if not condition(frame):
                raise Refused(as_text(message(frame)), code, rule)

        return run

    def _setmetadata(self, node: ast.SetMetadata) -> Run:
        value = self.expression(node.value)
        unit = self.expression(node.unit) if node.unit is not None else None
        entity, attribute = node.entity, node.attribute

        def run(frame: Frame) -> None:
            written = as_text(value(frame))
            subject = frame.subjects[entity]
            frame.writer.set_metadata(subject, attribute, written, as_text(unit(frame)) if unit else "")

        return run

    def _setattribute(self, node: ast.SetAttribute) -> Run:
        value, entity, target = self.expression(node.value), node.entity, f"{node.entity}.{node.attribute}"

        def run(frame: Frame) -> None:
            if target in frame.settable:
                frame.settable[target] = value(frame)
            else:
                frame.writer.set_owner(frame.subjects[entity], as_text(value(frame)))

        return run

    def _let(self, node: ast.Let) -> Run:
        value, name = self.expression(node.value), node.name

        def run(frame: Frame) -> None:
            frame.locals[name] = value(frame)

        return run

    def _if(self, node: ast.If) -> Run:
        condition, then, otherwise = (
            self.expression(node.condition),
            self.block(node.then),
            self.block(node.otherwise),
        )

        def run(frame: Frame) -> None:
            for statement in then if condition(frame) else otherwise:
                statement(frame)

        return run

    def _do(self, node: ast.Do) -> Run:
        call = node.call
        if call.name == "checksum":
            self.wants_digest = True
        positional = [self.expression(value) for value in call.positional]
        named = {name: self.expression(value) for name, value in call.named}
        name, giving = call.name, node.giving

        def run(frame: Frame) -> None:
            arguments: dict[str, Any] = {str(i): value(frame) for i, value in enumerate(positional)}
            arguments |= {key: value(frame) for key, value in named.items()}
            result = frame.writer.call(name, arguments)
            if giving:
                frame.locals[giving] = result

        return run

    def _schedule(self, node: ast.Schedule) -> Run:
        body_id = f"{self._id}#{self._scheduled}"
        self._scheduled += 1
        self._bodies[body_id] = self.block(node.body)
        key = self.expression(node.key) if node.key is not None else None
        lengths = {
            name: self.expression(value)
            for name, value in (
                ("after", node.after),
                ("backoff", node.backoff),
                ("limit", node.backoff_limit),
                ("deadline", node.deadline),
            )
            if value is not None
        }
        name, retries = node.name, node.retries

        def run(frame: Frame) -> None:
            def length(which: str) -> float:
                return float(lengths[which](frame)) if which in lengths else 0.0

            frame.writer.schedule(
                JobRequest(
                    name=name,
                    body_id=body_id,
                    key=as_text(key(frame)) if key else "",
                    captured=captured_values(frame),
                    after_s=length("after"),
                    retries=retries,
                    backoff_s=length("backoff"),
                    backoff_limit_s=length("limit"),
                    deadline_s=length("deadline") if "deadline" in lengths else None,
                )
            )

        return run

    # -- expressions -----------------------------------------------------------------------------------------

    def expression(self, node: ast.Expression) -> Evaluate:
        compiled: Evaluate = getattr(self, f"_x_{type(node).__name__.lower()}")(node)
        return compiled

    def _x_constant(self, node: ast.Constant) -> Evaluate:
        value = node.value
        return lambda frame: value

    def _x_text(self, node: ast.Text) -> Evaluate:
        parts = [part if isinstance(part, str) else self.expression(part) for part in node.parts]
        return lambda frame: "".join(p if isinstance(p, str) else as_text(p(frame)) for p in parts)

    def _x_now(self, node: ast.Now) -> Evaluate:
        return lambda frame: datetime.datetime.fromtimestamp(frame.now, zoneinfo.ZoneInfo(frame.timezone))

    def _x_name(self, node: ast.Name) -> Evaluate:
        name = node.name

        def evaluate(frame: Frame) -> Any:
            found = frame.locals.get(name, _MISSING)
            if found is not _MISSING:
                return found
            if name == "actor":
                return frame.actor
            if name == "zone":
                return frame.zone
            subject = frame.subjects.get(name)
            return subject if subject is not None else frame.entities[name]

        return evaluate

    def _x_attribute(self, node: ast.Attribute) -> Evaluate:
        name, rule = node.name, self._id
        if isinstance(node.of, ast.Name):
            owner = node.of.name
            if owner == "at":
                return lambda frame: frame.at[name]

            def of_name(frame: Frame) -> Any:
                held = frame.locals.get(owner)
                if isinstance(held, Mapping):
                    return held.get(name)
                entity = frame.entities.get(owner)
                if entity is None or name not in entity:
                    raise RuleFailed("RULE_ERROR", f"the event has no `{owner}.{name}` here", rule)
                return entity[name]

            return of_name
        inner = self.expression(node.of)

        def of_value(frame: Frame) -> Any:
            held = inner(frame)
            return held.get(name) if isinstance(held, Mapping) else None

        return of_value

    def _x_metadata(self, node: ast.Metadata) -> Evaluate:
        attribute, entity, rule = node.attribute, node.entity, self._id

        def evaluate(frame: Frame) -> Any:
            frame.step()
            subject = frame.subjects.get(entity)
            if subject is None:
                raise RuleFailed("RULE_ERROR", f"the event has no `{entity}` here", rule)
            return frame.reader.metadata(subject, attribute)

        return evaluate

    def _x_call(self, node: ast.Call) -> Evaluate:
        arguments = [self.expression(value) for value in node.positional]
        function = _FUNCTIONS[node.name]

        def evaluate(frame: Frame) -> Any:
            frame.step()
            return function(frame, *[argument(frame) for argument in arguments])

        return evaluate

    def _x_listof(self, node: ast.ListOf) -> Evaluate:
        items = [self.expression(item) for item in node.items]
        return lambda frame: [item(frame) for item in items]

    def _x_not(self, node: ast.Not) -> Evaluate:
        operand = self.expression(node.operand)
        return lambda frame: not operand(frame)

    def _x_logic(self, node: ast.Logic) -> Evaluate:
        operands = [self.expression(operand) for operand in node.operands]
        if node.operator == "and":
            return lambda frame: all(operand(frame) for operand in operands)
        return lambda frame: any(operand(frame) for operand in operands)

    def _x_like(self, node: ast.Like) -> Evaluate:
        operand = self.expression(node.operand)
        pattern = re.compile(re.escape(node.pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
        return lambda frame: pattern.fullmatch(operand(frame)) is not None

    def _x_exists(self, node: ast.Exists) -> Evaluate:
        operand = self.expression(node.operand)
        return lambda frame: operand(frame) is not None

    def _x_binary(self, node: ast.Binary) -> Evaluate:
        left, right, rule = self.expression(node.left), self.expression(node.right), self._id
        if node.operator == "default":

            def with_default(frame: Frame) -> Any:
                value = left(frame)
                return right(frame) if value is None else value

            return with_default
        operation = _OPERATIONS[node.operator]

        def evaluate(frame: Frame) -> Any:
            try:
                return operation(left(frame), right(frame))
            except (TypeError, ZeroDivisionError, OverflowError) as error:
                raise RuleFailed("RULE_ERROR", f"`{node.operator}` failed: {error}", rule) from error

        return evaluate


def _add(left: Any, right: Any) -> Any:
    return left + datetime.timedelta(seconds=right) if isinstance(left, datetime.datetime) else left + right


def _subtract(left: Any, right: Any) -> Any:
    if isinstance(left, datetime.datetime):
        if isinstance(right, datetime.datetime):
            return (left - right).total_seconds()
        return left - datetime.timedelta(seconds=right)
    return left - right


_OPERATIONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "+": _add,
    "-": _subtract,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "in": lambda a, b: a in b,
    "not in": lambda a, b: a not in b,
}

_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "members": lambda frame, group: frame.reader.members(group),
    "service_group": lambda frame, beamline: f"{beamline}-service",
    "base_name": lambda frame, path: path.rpartition("/")[2],
    "parent": lambda frame, path: path.rpartition("/")[0] or "/",
    "lower": lambda frame, text: text.lower(),
    "starts_with": lambda frame, text, prefix: text.startswith(prefix),
    "ends_with": lambda frame, text, suffix: text.endswith(suffix),
    "size_text": lambda frame, size: size_text(size),
    "count": lambda frame, items: len(items),
}


def size_text(size: int) -> str:
    """A size as people write it."""
    amount, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.3g} {unit}"


def as_text(value: Any) -> str:
    """A value as it stands in a message or as metadata."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, Subject):
        return value.path
    return "" if value is None else str(value)


def captured_values(frame: Frame) -> dict[str, Any]:
    """What a scheduled body takes along: captures, subjects, and locals that JSON can hold."""
    kept = {
        name: value
        for name, value in frame.locals.items()
        if isinstance(value, (str, int, float, bool)) or value is None
    }
    return {
        "at": dict(frame.at),
        "actor": frame.actor,
        "locals": kept,
        "subjects": {name: [s.kind, s.id, s.path] for name, s in frame.subjects.items()},
    }
