"""The core: what a checked policy means, and what is compiled, interpreted and explained.

Front ends lower to it. A node is an operation with arguments; `data` holds what is known before anything runs:
constants, names, numbers of slots. Names are resolved, types were checked, words are texts, functions are inlined.

Expressions
    const(data)                       now                       slot(data=number)         at(data=capture)
    and, or (two or more)             not                       default(value, fallback)  exists(value)
    load(entity; attribute, type)     meta(entity; attribute, type)
    text(parts...)                    list(items...)            native(args...; name)     look_up(args...; names, defaults)
    eq ne lt le gt ge in (two)        wildcards(value; pattern)   matches(value; regular expression)   is_at(value; pattern)
    every, some (list, condition; slot)                         find(condition?; kind, pattern, slot, limit)
    count(list)   item(of, index)     negative(value)           bind(values..., body; slots)
    add subtract multiply divide (two; type of the result)      path_of(source; pattern, attributes)
Statements
    allow   refuse(message; code)     require(condition, message; code)   fail(message; code, kind)   note(message)
    set_meta(entity, value, unit?; attribute, type)             remove_meta(entity; attribute)
    set_event(value; target)          set_attribute(entity, value; name)  let(value; slot)
    if(condition | then, else)        each(list | body; slot, limit)      try(| body, recover; slot)
    do(args...; Call)                 emit(args...; name, names)          schedule(...; ScheduledBody)
"""

from dataclasses import dataclass, field
from typing import Any

from rules.locations import Pattern
from rules.source import Span


@dataclass(frozen=True, slots=True)
class Op:
    """An expression."""

    name: str
    args: tuple["Op", ...] = ()
    data: Any = None
    span: Span = field(default=Span(1, 1), compare=False)


@dataclass(frozen=True, slots=True)
class Step:
    """A statement; `number` tells it from the others of its policy."""

    name: str
    args: tuple[Op, ...] = ()
    blocks: tuple[tuple["Step", ...], ...] = ()
    data: Any = None
    span: Span = field(default=Span(1, 1), compare=False)
    number: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """A microservice to call: parameter names in the order of the arguments, what to undo it with, where its result goes."""

    name: str
    names: tuple[str, ...]
    slot: int | None = None
    undo: "Call | None" = None
    undo_args: tuple[Op, ...] = ()
    result: str = ""


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition that has to be `wanted`; `written` is how it stands in the policy."""

    condition: Op
    wanted: bool
    written: str
    span: Span


@dataclass(frozen=True, slots=True)
class Body:
    """What is done: statements over a number of slots.

    Attributes:
        id: of the rule, or of scheduled work within it.
        names: slot number to the name it stands for; entities of the event first.
        entities: slot number to entity kind, for those that come from the event.
    """

    id: str
    steps: tuple[Step, ...]
    names: tuple[str, ...]
    entities: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class ScheduledBody:
    """Work to be scheduled. Of `times`, each is an index into the statement's arguments or None.

    `captured` are the slots that the body uses and that are set when it is scheduled.
    """

    name: str
    body: Body
    give_up: Body
    captured: tuple[int, ...]
    key: int | None
    after: int | None
    date: int | None
    retries: int
    backoff: int | None
    backoff_limit: int | None
    deadline: int | None
    as_user: int | None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, checked."""

    id: str
    title: str
    because: str
    phase: str
    event: str
    pattern: Pattern | None
    guards: tuple[Guard, ...]
    body: Body
    otherwise: Body
    wants_digest: bool
    span: Span
    policy: str = ""
    wants_tree: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A condition on resources: `is`, `in`, `not`, `and`, `or`, `except`."""

    kind: str
    attribute: str = ""
    operator: str = ""
    values: tuple[Any, ...] = ()
    parts: tuple["Place", ...] = ()
    written: str = ""


@dataclass(frozen=True, slots=True)
class Promise:
    count: int
    place: Place
    begins: Op | None
    ends: Op | None
    lasts: Op | None
    after: Op | None
    written: str
    span: Span


@dataclass(frozen=True, slots=True)
class Keep:
    id: str
    title: str
    because: str
    pattern: Pattern
    guards: tuple[Guard, ...]
    promises: tuple[Promise, ...]
    names: tuple[str, ...]
    entities: tuple[tuple[int, str], ...]
    span: Span
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Sweep:
    id: str
    title: str
    because: str
    every: Op
    between: tuple[str, str] | None
    over: str
    pattern: Pattern | None
    guards: tuple[Guard, ...]
    order: Op | None
    descending: bool
    until: Op | None
    until_is_size: bool
    body: Body
    span: Span
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """A checked policy."""

    name: str
    version: int
    zone: str
    rules: tuple[Rule, ...]
    keeps: tuple[Keep, ...]
    sweeps: tuple[Sweep, ...]
    calls: frozenset[str]
    codes: tuple[tuple[str, str, str], ...]  # name, kind, message
    metadata: tuple[tuple[str, str, str], ...]  # attribute, entity, type
    attributes: tuple[tuple[str, str, str], ...]  # entity, attribute, type


def items_of(policy: Policy) -> list[Rule | Keep | Sweep]:
    """Everything of a policy that applies somewhere."""
    return [*policy.rules, *policy.keeps, *policy.sweeps]


def walk_ops(op: Op) -> "list[Op]":
    """An expression and everything in it."""
    found, left = [], [op]
    while left:
        current = left.pop()
        found.append(current)
        left.extend(current.args)
    return found


def walk_steps(steps: tuple[Step, ...]) -> "list[Step]":
    """Statements and everything in their blocks and scheduled bodies."""
    found: list[Step] = []
    left = list(steps)
    while left:
        current = left.pop()
        found.append(current)
        for block in current.blocks:
            left.extend(block)
        if isinstance(current.data, ScheduledBody):
            left.extend(current.data.body.steps)
            left.extend(current.data.give_up.steps)
    return found


def used_slots(steps: tuple[Step, ...], guards: tuple[Guard, ...] = ()) -> set[int]:
    """Every slot that statements and guards read."""
    ops = [guard.condition for guard in guards]
    for step in walk_steps(steps):
        ops += step.args
        if isinstance(step.data, Call):
            ops += step.data.undo_args
    return {op.data for one in ops for op in walk_ops(one) if op.name == "slot"}
