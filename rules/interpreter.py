"""The reference: walks the core and does what it says, with no other aim than to be obviously right.

The compiled code is compared with it, and `explain` uses it, because it can show every value on the way.
"""

from collections.abc import Callable
from typing import Any

from rules import runtime
from rules.core import Call, Guard, Op, Step
from rules.runtime import Frame

_COMPARE = {"lt", "le", "gt", "ge"}


def evaluate(frame: Frame, op: Op) -> Any:
    """The value of an expression.

    Raises:
        RuleFailed: it has none.
    """
    special = _SPECIAL.get(op.name)
    if special is not None:
        return special(frame, op)
    values = [evaluate(frame, arg) for arg in op.args]
    if op.name in _COMPARE:
        return runtime.compare(frame, values[0], values[1], op.name)
    return _STRICT[op.name](frame, op.data, values)


def holds(frame: Frame, guard: Guard) -> bool:
    """Whether a guard lets the rule go on."""
    return bool(evaluate(frame, guard.condition)) is guard.wanted


def _slot(frame: Frame, op: Op) -> Any:
    return frame.slots[op.data]


def _bind(frame: Frame, op: Op) -> Any:
    for slot, arg in zip(op.data, op.args[:-1], strict=True):
        frame.slots[slot] = evaluate(frame, arg)
    return evaluate(frame, op.args[-1])


def _default(frame: Frame, op: Op) -> Any:
    value = evaluate(frame, op.args[0])
    return evaluate(frame, op.args[1]) if value is None else value


def _find(frame: Frame, op: Op) -> Any:
    condition = op.args[0] if op.args else None
    kind, pattern, slot, limit, bound = op.data
    test: Callable[[Frame], bool] | None = None
    if condition is not None:
        test = lambda inner: bool(evaluate(inner, condition))  # noqa: E731
    return runtime.find(frame, kind, pattern, slot, limit, bound, condition, test)


def _quantified(frame: Frame, op: Op) -> bool:
    source, condition = evaluate(frame, op.args[0]), op.args[1]
    run = runtime.every if op.name == "every" else runtime.some
    return run(frame, source, op.data, lambda inner: bool(evaluate(inner, condition)))


_SPECIAL: dict[str, Callable[[Frame, Op], Any]] = {
    "const": lambda frame, op: op.data,
    "now": lambda frame, op: frame.now,
    "slot": _slot,
    "at": lambda frame, op: frame.at[op.data],
    "and": lambda frame, op: all(evaluate(frame, arg) for arg in op.args),
    "or": lambda frame, op: any(evaluate(frame, arg) for arg in op.args),
    "not": lambda frame, op: not evaluate(frame, op.args[0]),
    "bind": _bind,
    "default": _default,
    "exists": lambda frame, op: evaluate(frame, op.args[0]) is not None,
    "find": _find,
    "every": _quantified,
    "some": _quantified,
}

_STRICT: dict[str, Callable[[Frame, Any, list[Any]], Any]] = {
    "load": lambda f, d, v: runtime.load(f, v[0], *d),
    "meta": lambda f, d, v: runtime.meta(f, v[0], *d),
    "text": lambda f, d, v: runtime.interpolated(f, *v),
    "list": lambda f, d, v: v,
    "native": lambda f, d, v: runtime.native(f, d, *v),
    "look_up": lambda f, d, v: runtime.look_up(f, d[0], d[1], *v),
    "eq": lambda f, d, v: v[0] == v[1],
    "ne": lambda f, d, v: v[0] != v[1],
    "in": lambda f, d, v: runtime.contains(f, v[0], v[1]),
    "wildcards": lambda f, d, v: runtime.wildcards(f, v[0], d),
    "matches": lambda f, d, v: runtime.matches(f, v[0], d),
    "is_at": lambda f, d, v: runtime.is_at(f, v[0], d),
    "path_of": lambda f, d, v: runtime.path_of(f, v[0], *d),
    "count": lambda f, d, v: runtime.count(f, v[0]),
    "item": lambda f, d, v: runtime.item(f, v[0], v[1]),
    "add": lambda f, d, v: runtime.add(f, v[0], v[1], d),
    "subtract": lambda f, d, v: runtime.subtract(f, v[0], v[1], d),
    "multiply": lambda f, d, v: runtime.multiply(f, v[0], v[1], d),
    "divide": lambda f, d, v: runtime.divide(f, v[0], v[1], d),
    "negative": lambda f, d, v: runtime.negative(f, v[0]),
}


def run(frame: Frame, steps: tuple[Step, ...], *, deciding: bool) -> bool:
    """Do what statements say; False when an `allow` ended them.

    Args:
        frame: what they work on.
        steps: the statements.
        deciding: they belong to a `before` rule, so a `require` refuses.
    """
    if any(step.name == "do" and step.data.undo is not None for step in steps):
        return runtime.undone(frame, lambda inner: _run(inner, steps, deciding))
    return _run(frame, steps, deciding)


def _run(frame: Frame, steps: tuple[Step, ...], deciding: bool) -> bool:
    for step in steps:
        runtime.tick(frame, 1)
        if frame.watch is not None:
            frame.watch(step.number)
        if not _step(frame, step, deciding):
            return False
    return True


def _step(frame: Frame, step: Step, deciding: bool) -> bool:
    name = step.name
    if name == "allow":
        return False
    if name == "if":
        chosen = step.blocks[0] if evaluate(frame, step.args[0]) else step.blocks[1]
        return run(frame, chosen, deciding=deciding)
    if name == "require":
        if not evaluate(frame, step.args[0]):
            code, kind = step.data
            runtime.require(frame, evaluate(frame, step.args[1]), code, kind, deciding)
        return True
    if name == "each":
        slot, limit = step.data
        source = evaluate(frame, step.args[0])
        return runtime.each(
            frame, source, slot, limit, lambda inner: run(inner, step.blocks[0], deciding=deciding)
        )
    if name == "try":
        body, recover = step.blocks
        return runtime.attempt(
            frame,
            lambda inner: run(inner, body, deciding=deciding),
            lambda inner: run(inner, recover, deciding=deciding),
            step.data,
        )
    values = [evaluate(frame, arg) for arg in step.args]
    if name == "do":
        call: Call = step.data
        runtime.do(
            frame, call, tuple(values), lambda inner: tuple(evaluate(inner, arg) for arg in call.undo_args)
        )
    else:
        _EFFECTS[name](frame, step.data, values)
    return True


def _let(frame: Frame, slot: int, values: list[Any]) -> None:
    frame.slots[slot] = values[0]


_EFFECTS: dict[str, Callable[[Frame, Any, list[Any]], None]] = {
    "refuse": lambda f, d, v: runtime.refuse(f, v[0], d),
    "fail": lambda f, d, v: runtime.fail(f, v[0], *d),
    "let": _let,
    "set_event": lambda f, d, v: runtime.set_event(f, v[0], d),
    "set_meta": lambda f, d, v: runtime.set_meta(f, v[0], v[1], v[2] if len(v) > 2 else "", d),
    "remove_meta": lambda f, d, v: runtime.remove_meta(f, v[0], d),
    "set_attribute": lambda f, d, v: runtime.set_attribute(f, v[0], v[1], d),
    "emit": lambda f, d, v: runtime.emit(f, d[0], d[1], *v),
    "note": lambda f, d, v: runtime.note(f, v[0]),
    "schedule": lambda f, d, v: runtime.schedule(f, d, *v),
}
