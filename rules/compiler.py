"""The core to Python code objects: one function for a rule's guards, one for each block.

Nothing a steward wrote reaches Python's compiler except as constants, and those stand in a table and not in the code.
Names are generated, attributes are arguments of `load`, only the node kinds of `ALLOWED` are emitted, which is
checked once more before `compile`, and the functions see no builtins.
"""

import ast as python
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any, Final

from rules import runtime
from rules.core import Body, Call, Guard, Op, Rule, Step
from rules.diagnostics import RuleFailed
from rules.runtime import Frame

Guards = Callable[[Frame], bool]
Block = Callable[[Frame], bool]

ALLOWED: Final = (
    python.Module, python.FunctionDef, python.arguments, python.arg, python.Return, python.Assign, python.Expr,
    python.If, python.Call, python.Name, python.Constant, python.Subscript, python.Tuple, python.List,
    python.BoolOp, python.And, python.Or, python.UnaryOp, python.Not, python.USub, python.Compare, python.Eq,
    python.NotEq, python.Lt, python.LtE, python.Gt, python.GtE, python.Is, python.IsNot, python.In, python.IfExp,
    python.NamedExpr, python.Load, python.Store,
)  # fmt: skip
"""Every kind of node that is ever compiled."""

_COMPARE: Final[dict[str, python.cmpop]] = {
    "eq": python.Eq(), "ne": python.NotEq(), "lt": python.Lt(), "le": python.LtE(), "gt": python.Gt(), "ge": python.GtE(),
}  # fmt: skip
_TWO: Final = frozenset({"add", "subtract", "multiply", "divide"})


def _slots(frame: Frame) -> list[Any]:
    return frame.slots


def _at(frame: Frame) -> Mapping[str, str]:
    return frame.at


def _now(frame: Frame) -> Any:
    return frame.now


def _store(frame: Frame, slot: int, value: Any) -> None:
    frame.slots[slot] = value


_NATIVES: Final[dict[str, Callable[..., Any]]] = {
    "_slots": _slots, "_at": _at, "_now": _now, "_store": _store, "_tick": runtime.tick, "_load": runtime.load,
    "_meta": runtime.meta, "_text": runtime.interpolated, "_native": runtime.native, "_look_up": runtime.look_up,
    "_contains": runtime.contains, "_wildcards": runtime.wildcards, "_matches": runtime.matches,
    "_is_at": runtime.is_at, "_path_of": runtime.path_of, "_count": runtime.count, "_item": runtime.item,
    "_add": runtime.add, "_subtract": runtime.subtract, "_multiply": runtime.multiply, "_divide": runtime.divide,
    "_negative": runtime.negative, "_find": runtime.find, "_every": runtime.every, "_some": runtime.some,
    "_refuse": runtime.refuse, "_require": runtime.require, "_fail": runtime.fail, "_set_event": runtime.set_event,
    "_set_meta": runtime.set_meta, "_remove_meta": runtime.remove_meta, "_set_attribute": runtime.set_attribute,
    "_do": runtime.do, "_undone": runtime.undone, "_attempt": runtime.attempt, "_each": runtime.each,
    "_emit": runtime.emit, "_note": runtime.note, "_schedule": runtime.schedule,
}  # fmt: skip


@dataclass(slots=True)
class _Unit:
    """The functions and constants of one rule on their way to Python's compiler."""

    deciding: bool
    functions: list[python.FunctionDef] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    temporaries: int = 0

    # -- pieces ----------------------------------------------------------------------------------------------

    def constant(self, value: Any) -> python.expr:
        if value is None or value is True or value is False:
            return python.Constant(value)
        if type(value) is int and 0 <= value < 256:
            return python.Constant(value)
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return python.Name(name, python.Load())

    def native(self, name: str, *args: python.expr) -> python.expr:
        return python.Call(python.Name(f"_{name}", python.Load()), [_FRAME, *args], [])

    def function(self, body: list[python.stmt], cost: int) -> python.expr:
        """A new function of the frame; its name."""
        name = f"f{len(self.functions)}"
        tick = python.Expr(self.native("tick", python.Constant(cost)))
        begin: list[python.stmt] = [
            tick,
            python.Assign([python.Name("s", python.Store())], self.native("slots")),
            python.Assign([python.Name("a", python.Store())], self.native("at")),
        ]
        arguments = python.arguments([], [python.arg("f")], None, [], [], None, [])
        self.functions.append(python.FunctionDef(name, arguments, begin + body, [], None))
        return python.Name(name, python.Load())

    def slot(self, number: int, context: python.expr_context) -> python.Subscript:
        return python.Subscript(python.Name("s", python.Load()), python.Constant(number), context)

    # -- expressions -----------------------------------------------------------------------------------------

    def expression(self, op: Op) -> python.expr:
        method = getattr(self, f"_x_{op.name}", None)
        if method is not None:
            made: python.expr = method(op)
            return made
        args = [self.expression(arg) for arg in op.args]
        if op.name in _COMPARE:
            return python.Compare(args[0], [_COMPARE[op.name]], [args[1]])
        if op.name in _TWO:
            return self.native(op.name, *args, self.constant(op.data))
        if op.name in ("wildcards", "matches", "is_at"):
            return self.native(op.name, args[0], self.constant(op.data))
        return self.native(op.name, *args)  # text, count, item, negative

    def _x_const(self, op: Op) -> python.expr:
        return self.constant(op.data)

    def _x_now(self, op: Op) -> python.expr:
        return self.native("now")

    def _x_slot(self, op: Op) -> python.expr:
        return self.slot(op.data, python.Load())

    def _x_at(self, op: Op) -> python.expr:
        return python.Subscript(python.Name("a", python.Load()), self.constant(op.data), python.Load())

    def _x_and(self, op: Op) -> python.expr:
        return python.BoolOp(python.And(), [self.expression(arg) for arg in op.args])

    def _x_or(self, op: Op) -> python.expr:
        return python.BoolOp(python.Or(), [self.expression(arg) for arg in op.args])

    def _x_not(self, op: Op) -> python.expr:
        return python.UnaryOp(python.Not(), self.expression(op.args[0]))

    def _x_exists(self, op: Op) -> python.expr:
        return python.Compare(self.expression(op.args[0]), [python.IsNot()], [python.Constant(None)])

    def _x_default(self, op: Op) -> python.expr:
        self.temporaries += 1
        name = f"t{self.temporaries}"
        first = python.NamedExpr(python.Name(name, python.Store()), self.expression(op.args[0]))
        there = python.Compare(first, [python.IsNot()], [python.Constant(None)])
        return python.IfExp(there, python.Name(name, python.Load()), self.expression(op.args[1]))

    def _x_bind(self, op: Op) -> python.expr:
        stores = [
            self.native("store", python.Constant(slot), self.expression(arg))
            for slot, arg in zip(op.data, op.args[:-1], strict=True)
        ]
        parts = python.Tuple([*stores, self.expression(op.args[-1])], python.Load())
        return python.Subscript(parts, python.Constant(len(stores)), python.Load())

    def _x_list(self, op: Op) -> python.expr:
        return python.List([self.expression(arg) for arg in op.args], python.Load())

    def _x_load(self, op: Op) -> python.expr:
        attribute, type_name, required = op.data
        return self.native(
            "load",
            self.expression(op.args[0]),
            self.constant(attribute),
            self.constant(type_name),
            self.constant(required),
        )

    def _x_meta(self, op: Op) -> python.expr:
        return self.native("meta", self.expression(op.args[0]), *(self.constant(part) for part in op.data))

    def _x_native(self, op: Op) -> python.expr:
        return self.native("native", self.constant(op.data), *(self.expression(arg) for arg in op.args))

    def _x_look_up(self, op: Op) -> python.expr:
        name, names = op.data
        args = [self.expression(arg) for arg in op.args]
        return self.native("look_up", self.constant(name), self.constant(names), *args)

    def _x_path_of(self, op: Op) -> python.expr:
        return self.native("path_of", self.expression(op.args[0]), *(self.constant(part) for part in op.data))

    def _x_in(self, op: Op) -> python.expr:
        value, where = op.args
        plain = value.name == "at" or (value.name == "load" and value.data[1] in ("Text", "Int"))
        if plain and where.name == "list" and all(arg.name == "const" for arg in where.args):
            known = self.constant(frozenset(arg.data for arg in where.args))
            return python.Compare(self.expression(value), [python.In()], [known])
        return self.native("contains", self.expression(value), self.expression(where))

    def _condition(self, op: Op) -> python.expr:
        return self.function([python.Return(self.expression(op))], _cost(op))

    def _x_every(self, op: Op) -> python.expr:
        return self.native(
            op.name, self.expression(op.args[0]), self.constant(op.data), self._condition(op.args[1])
        )

    _x_some = _x_every

    def _x_find(self, op: Op) -> python.expr:
        condition = op.args[0] if op.args else None
        test = self._condition(condition) if condition is not None else python.Constant(None)
        return self.native("find", *(self.constant(part) for part in op.data), self.constant(condition), test)

    # -- statements ------------------------------------------------------------------------------------------

    def block(self, steps: tuple[Step, ...]) -> python.expr:
        """A function that does what statements say."""
        made = self.function([*self.statements(steps), _return(True)], 1)
        if any(step.name == "do" and step.data.undo is not None for step in steps):
            return self.function([python.Return(self.native("undone", made))], 0)
        return made

    def statements(self, steps: tuple[Step, ...]) -> list[python.stmt]:
        found: list[python.stmt] = []
        for step in steps:
            found.append(
                python.Expr(self.native("tick", python.Constant(min(1 + sum(map(_cost, step.args)), 10_000))))
            )
            found += self._statement(step)
        return found

    def _statement(self, step: Step) -> list[python.stmt]:
        if step.name == "allow":
            return [_return(False)]
        if step.name == "if":
            then, otherwise = (self._inline(block) for block in step.blocks)
            return [python.If(self.expression(step.args[0]), then or [_nothing()], otherwise)]
        if step.name == "let":
            target = self.slot(step.data, python.Store())
            return [python.Assign([target], self.expression(step.args[0]))]
        if step.name == "require":
            code, kind = step.data
            constants = (self.constant(code), self.constant(kind), self.constant(self.deciding))
            refusal = self.native("require", self.expression(step.args[1]), *constants)
            condition = python.UnaryOp(python.Not(), self.expression(step.args[0]))
            return [python.If(condition, [python.Expr(refusal)], [])]
        if step.name == "each":
            slot, limit = step.data
            source, body = self.expression(step.args[0]), self.block(step.blocks[0])
            return [_or_end(self.native("each", source, self.constant(slot), self.constant(limit), body))]
        if step.name == "try":
            body, recover = (self.block(block) for block in step.blocks)
            return [_or_end(self.native("attempt", body, recover, self.constant(step.data)))]
        return [python.Expr(self._effect(step))]

    def _inline(self, block: tuple[Step, ...]) -> list[python.stmt]:
        if not block:
            return []
        if any(step.name == "do" and step.data.undo is not None for step in block):
            called = python.Call(self.block(block), [_FRAME], [])
            return [_or_end(called)]
        return self.statements(block)

    def _effect(self, step: Step) -> python.expr:
        args = [self.expression(arg) for arg in step.args]
        if step.name == "do":
            call: Call = step.data
            undo_args = python.Tuple([self.expression(arg) for arg in call.undo_args], python.Load())
            undo = (
                self.function([python.Return(undo_args)], 0)
                if call.undo is not None
                else python.Constant(None)
            )
            return self.native("do", self.constant(call), python.Tuple(args, python.Load()), undo)
        if step.name == "set_meta":
            unit = args[2] if len(args) > 2 else self.constant("")
            return self.native("set_meta", args[0], args[1], unit, self.constant(step.data))
        if step.name == "fail":
            return self.native("fail", args[0], *(self.constant(part) for part in step.data))
        if step.name == "emit":
            return self.native("emit", *(self.constant(part) for part in step.data), *args)
        if step.name == "schedule":
            return self.native("schedule", self.constant(step.data), *args)
        if step.name == "note":
            return self.native("note", args[0])
        return self.native(
            step.name, *args, self.constant(step.data)
        )  # refuse, set_event, remove_meta, set_attribute

    # -- the whole -------------------------------------------------------------------------------------------

    def compile(self) -> dict[str, Callable[[Frame], Any]]:
        module = python.fix_missing_locations(python.Module(list(self.functions), []))
        for node in python.walk(module):
            if not isinstance(node, ALLOWED):
                raise AssertionError(f"the compiler made a {type(node).__name__}")
        scope: dict[str, Any] = {"__builtins__": {}, **_NATIVES, **self.constants}
        made: dict[str, Callable[[Frame], Any]] = {}
        for code in compile(module, "<policy>", "exec", dont_inherit=True).co_consts:
            if isinstance(code, CodeType):
                made[code.co_name] = scope[code.co_name] = FunctionType(code, scope, code.co_name)
        return made


_FRAME: Final = python.Name("f", python.Load())


def _return(value: bool) -> python.stmt:
    return python.Return(python.Constant(value))


def _nothing() -> python.stmt:
    return python.Expr(python.Constant(None))


def _or_end(call: python.expr) -> python.stmt:
    return python.If(python.UnaryOp(python.Not(), call), [_return(False)], [])


def _cost(op: Op) -> int:
    return 1 + sum(map(_cost, op.args))


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready to run."""

    guards: Guards
    body: Block
    otherwise: Block


def _guards(unit: _Unit, guards: tuple[Guard, ...]) -> str:
    conditions: list[python.expr] = []
    for guard in guards:
        made = unit.expression(guard.condition)
        conditions.append(made if guard.wanted else python.UnaryOp(python.Not(), made))
    if not conditions:
        conditions.append(python.Constant(True))
    whole = conditions[0] if len(conditions) == 1 else python.BoolOp(python.And(), conditions)
    cost = sum(_cost(guard.condition) for guard in guards) + 1
    return _name(unit.function([python.Return(whole)], cost))


def _name(made: python.expr) -> str:
    assert isinstance(made, python.Name), "functions are known by their names"
    return made.id


def compile_body(body: Body, *, deciding: bool = False) -> Block:
    """A function that does what a body says; it answers False when an `allow` ended it."""
    unit = _Unit(deciding)
    name = _name(unit.block(body.steps))
    return _safe(unit.compile()[name])


def compile_rule(rule: Rule) -> CompiledRule:
    """Everything of a rule, in one go."""
    unit = _Unit(rule.phase == "before")
    guards = _guards(unit, rule.guards)
    body = _name(unit.block(rule.body.steps))
    otherwise = _name(unit.block(rule.otherwise.steps))
    made = unit.compile()
    return CompiledRule(_safe(made[guards]), _safe(made[body]), _safe(made[otherwise]))


def _safe(function: Callable[[Frame], Any]) -> Callable[[Frame], bool]:
    """The function, with what Python itself complains about as a failed rule."""

    def run(frame: Frame) -> bool:
        try:
            return bool(function(frame))
        except (TypeError, KeyError) as error:
            raise RuleFailed(
                "RULE_ERROR", f"a value is not there or cannot be used so: {error}", frame.rule
            ) from error

    return run
