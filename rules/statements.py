"""Statements: what each phase of a rule may do, checked and lowered to the core."""

from collections.abc import Iterable
from typing import Final

from rules import ast, types
from rules.core import Body, Call, Op, ScheduledBody, Step, used_slots
from rules.declarations import Signature
from rules.events import AFTER_SETTABLE, EMITTED, EventType
from rules.expressions import Expressions, Scope, asked
from rules.source import Span
from rules.types import Type

_ALLOWED: Final = {
    "before": frozenset({"none", "catalog.read"}),
    "after": frozenset(
        {
            "none",
            "catalog.read",
            "catalog.write",
            "acl.write",
            "meta.write",
            "job.schedule",
            "sign",
            "time",
            "note",
        }
    ),
    "during": frozenset({"none", "catalog.read", "compute.kernel", "data.write", "instrument.feedback"}),
}


class Statements:
    """Checks and lowers the bodies of one rule or sweep."""

    def __init__(self, expressions: Expressions, phase: str, event: EventType | None, body_id: str) -> None:
        self._x = expressions
        self._phase = phase
        self._event = event
        self._id = body_id
        self._scheduled = 0
        self._steps = 0
        self._held = False
        self.wants_digest = False
        self.wants_tree = False

    def body(self, scope: Scope, block: ast.Block, entities: tuple[tuple[int, str], ...]) -> Body:
        """A whole body over the scope's slots."""
        steps = self.block(scope, block)
        return Body(self._id, steps, tuple(scope.names), entities)

    def hold(self, conditions: Iterable[ast.Expression]) -> None:
        """Note that conditions protect what comes after them, where they ask for other copies or a hold."""
        self._held = self._held or any(_protects(condition) for condition in conditions)

    def block(self, scope: Scope, block: ast.Block) -> tuple[Step, ...]:
        outer, present, held = dict(scope.variables), set(scope.present), self._held
        steps = tuple(self._statement(scope, statement) for statement in block)
        for index, statement in enumerate(block[:-1]):
            if isinstance(statement, (ast.Refuse, ast.Fail, ast.Allow)):
                self._x.report("E502", "nothing after this is ever reached", block[index + 1].span)
                break
        scope.variables, scope.present, self._held = outer, present, held
        return steps

    def _step(
        self, name: str, span: Span, *args: Op, blocks: tuple[tuple[Step, ...], ...] = (), data: object = None
    ) -> Step:
        self._steps += 1
        return Step(name, args, blocks, data, span, self._steps)

    def _statement(self, scope: Scope, statement: ast.Statement) -> Step:
        method = getattr(self, f"_{type(statement).__name__.lower()}")
        step: Step = method(scope, statement)
        return step

    def _only(self, phases: tuple[str, ...], what: str, span: Span, help_text: str = "") -> None:
        if self._phase not in phases:
            self._x.report("E301", f"{what} is not possible in {_PHASE_WORDS[self._phase]}", span, help_text)

    def _code(self, name: str, span: Span) -> str:
        codes = self._x.declarations.codes
        if name not in codes:
            self._x.unknown("code", name, span, codes, "E130")
            return "bug"
        return codes[name].kind

    # -- deciding --------------------------------------------------------------------------------------------

    def _allow(self, scope: Scope, node: ast.Allow) -> Step:
        self._only(("before",), "`allow`", node.span)
        return self._step("allow", node.span)

    def _refuse(self, scope: Scope, node: ast.Refuse) -> Step:
        self._only(("before",), "`refuse`", node.span,
                   "an operation can only be refused before it happens; work fails with `fail` or `require`")  # fmt: skip
        self._code(node.code, node.span)
        return self._step("refuse", node.span, self._x.wants(scope, node.message, types.TEXT), data=node.code)

    def _require(self, scope: Scope, node: ast.Require) -> Step:
        kind = self._code(node.code, node.span)
        condition = self._x.condition(scope, node.condition)
        self.hold([node.condition])
        message = self._x.wants(scope, node.message, types.TEXT)
        return self._step("require", node.span, condition, message, data=(node.code, kind))

    def _fail(self, scope: Scope, node: ast.Fail) -> Step:
        kind = self._code(node.code, node.span)
        return self._step(
            "fail", node.span, self._x.wants(scope, node.message, types.TEXT), data=(node.code, kind)
        )

    # -- changing --------------------------------------------------------------------------------------------

    def _setmetadata(self, scope: Scope, node: ast.SetMetadata) -> Step:
        self._only(("after", "job"), "changing metadata", node.span, "use an `after` rule")
        found, of = self._x.elaborate(scope, node.of)
        self._x.described(found, node.of.span)
        declared = self._x.declarations.metadata_type(node.attribute, found.name)
        if declared is None or declared == types.TEXT:
            value = self._x.written(scope, node.value)
        else:
            value = self._x.wants(scope, node.value, declared)
        args = [of, value]
        if node.unit is not None:
            args.append(self._x.wants(scope, node.unit, types.TEXT))
        return self._step("set_meta", node.span, *args, data=node.attribute)

    def _removemetadata(self, scope: Scope, node: ast.RemoveMetadata) -> Step:
        self._only(("after", "job"), "changing metadata", node.span, "use an `after` rule")
        found, of = self._x.elaborate(scope, node.of)
        self._x.described(found, node.of.span)
        return self._step("remove_meta", node.span, of, data=node.attribute)

    def _setattribute(self, scope: Scope, node: ast.SetAttribute) -> Step:
        if self._phase in ("before", "during"):
            return self._set_of_event(scope, node)
        found, of = self._x.elaborate(scope, node.of)
        target = f"{found}.{node.attribute}"
        if found.name == "Any":
            return self._step("set_attribute", node.span, of, of, data=node.attribute)
        written = AFTER_SETTABLE.get(target)
        if written is None:
            self._x.unknown(f"attribute of `{found}` to set", node.attribute, node.span,
                            [name.partition(".")[2] for name in AFTER_SETTABLE if name.startswith(f"{found}.")], "E303")  # fmt: skip
            return self._step("set_attribute", node.span, of, of, data=node.attribute)
        value = self._x.wants(scope, node.value, self._named(written))
        return self._step("set_attribute", node.span, of, value, data=node.attribute)

    def _set_of_event(self, scope: Scope, node: ast.SetAttribute) -> Step:
        settable = dict(self._event.settable) if self._event is not None else {}
        target = f"{node.of.name}.{node.attribute}" if isinstance(node.of, ast.Name) else node.attribute
        written = settable.get(target)
        if written is None:
            self._x.unknown("attribute to set here", target, node.span, settable, "E303")
            return self._step("set_event", node.span, Op("const"), data=target)
        return self._step(
            "set_event", node.span, self._x.wants(scope, node.value, self._named(written)), data=target
        )

    def _named(self, written: str) -> Type:
        found = self._x.declarations.type(ast.TypeName(Span(1, 1), written))
        assert found is not None, "the catalogue of events names types of the facility's base"
        return found

    # -- flow ------------------------------------------------------------------------------------------------

    def _let(self, scope: Scope, node: ast.Let) -> Step:
        found, op = self._x.elaborate(scope, node.value)
        return self._step("let", node.span, op, data=self._declare(scope, node.name, found, node.span))

    def _declare(self, scope: Scope, name: str, found: Type, span: Span) -> int:
        if name in scope.variables and scope.variables[name][0] < self._entities:
            self._x.report("E104", f"`{name}` is the event's own name", span, "choose another name")
        elif name in ("at", "actor", "zone", "now"):
            self._x.report("E104", f"`{name}` has a meaning of its own", span, "choose another name")
        return scope.declare(name, found)

    _entities = 0

    def with_entities(self, count: int) -> "Statements":
        """Say how many of the first slots are the event's own."""
        self._entities = count
        return self

    def _if(self, scope: Scope, node: ast.If) -> Step:
        condition = self._x.wants(scope, node.condition, types.BOOL)
        present, held = set(scope.present), self._held
        scope.present |= asked(node.condition)
        self.hold([node.condition])
        then = self.block(scope, node.then)
        scope.present, self._held = present, held
        otherwise = self.block(scope, node.otherwise)
        return self._step("if", node.span, condition, blocks=(then, otherwise))

    def _foreach(self, scope: Scope, node: ast.ForEach) -> Step:
        found, source = self._x.elaborate(scope, node.source)
        if found.name not in ("List", "Any"):
            self._x.report("E201", f"found `{found}` where a list was expected", node.source.span)
        if not 1 <= node.limit <= 1000:
            self._x.report("E214", "a loop goes `up to` 1 to 1000", node.span)
        outer = dict(scope.variables)
        slot = self._declare(scope, node.name, found.element, node.span)
        body = self.block(scope, node.body)
        scope.variables = outer
        return self._step("each", node.span, source, blocks=(body,), data=(slot, node.limit))

    def _try(self, scope: Scope, node: ast.Try) -> Step:
        body = self.block(scope, node.body)
        outer = dict(scope.variables)
        slot = self._declare(scope, node.name, types.FAILURE, node.span) if node.name else None
        recover = self.block(scope, node.recover)
        scope.variables = outer
        return self._step("try", node.span, blocks=(body, recover), data=slot)

    # -- doing -----------------------------------------------------------------------------------------------

    def _do(self, scope: Scope, node: ast.Do) -> Step:
        signature = self._x.declarations.microservices.get(node.call.name)
        if signature is None:
            self._x.unknown(
                "microservice", node.call.name, node.call.span, self._x.declarations.microservices, "E106"
            )
            return self._step("note", node.span, Op("const", data=""))
        self._effects(signature, node.call.span)
        if signature.name == "checksum":
            self.wants_digest = True
        if signature.name == "sign_ingest":
            self.wants_tree = True
        names, args = self._x.arguments(scope, node.call, signature)
        slot = None
        if node.giving:
            found = signature.result
            if found is None:
                self._x.report("E205", f"`{signature.name}` gives nothing", node.span)
                found = types.ANY
            elif signature.name == "choose":
                found = self._x.elaborate(
                    scope, (*node.call.positional, *(v for _, v in node.call.named))[0]
                )[0].element
            slot = self._declare(scope, node.giving, found, node.span)
        undo, undo_args = self._undo(scope, node)
        result = str(signature.result) if signature.result is not None else ""
        call = Call(signature.name, names, slot, undo, undo_args, result)
        return self._step("do", node.span, *args, data=call)

    def _undo(self, scope: Scope, node: ast.Do) -> tuple[Call | None, tuple[Op, ...]]:
        if node.undo is None:
            return None, ()
        signature = self._x.declarations.microservices.get(node.undo.name)
        if signature is None:
            self._x.unknown(
                "microservice", node.undo.name, node.undo.span, self._x.declarations.microservices, "E106"
            )
            return None, ()
        self._effects(signature, node.undo.span)
        names, args = self._x.arguments(scope, node.undo, signature)
        return Call(signature.name, names), args

    def _effects(self, signature: Signature, span: Span) -> None:
        allowed = _ALLOWED.get(self._phase)
        kinds = {effect.partition("(")[0] for effect in signature.effects}
        shown = f"`{signature.name}` ({', '.join(sorted(signature.effects))})"
        if allowed is not None and not kinds <= allowed:
            if self._phase == "after" and signature.is_slow:
                self._x.report("E401", f"{shown} is slow or reaches outside, so nobody should wait for it", span,
                               'put it inside `schedule "..." { }`')  # fmt: skip
            else:
                self._x.report("E304", f"{shown} is not possible in {_PHASE_WORDS[self._phase]}", span)
        if "data.delete" in kinds and not self._held:
            self._x.report(
                "E410", f"{shown} deletes data and nothing asks for other copies or a legal hold before", span,
                'ask `copies_ok(...)`, or that `metadata "legal_hold"` does not exist, in a guard or a `require`',
            )  # fmt: skip

    def _emit(self, scope: Scope, node: ast.Emit) -> Step:
        carried = EMITTED.get(node.name)
        if carried is None:
            self._x.unknown("event to emit", node.name, node.span, EMITTED, "E131")
            return self._step("emit", node.span, data=(node.name, ()))
        args = []
        for name, value in node.named:
            if name not in carried:
                self._x.unknown(f"part of `{node.name}`", name, value.span, carried, "E108")
                continue
            if carried[name] == "Json":
                args.append(self._x.written(scope, value))
            elif carried[name].startswith("List<"):
                args.append(self._x.wants(scope, value, types.list_of(self._named(carried[name][5:-1]))))
            elif carried[name] == "Decimal":
                found, op = self._x.elaborate(scope, value)
                if found.name not in ("Decimal", "Int", "Fraction", "Any") or found.option:
                    self._x.report("E201", f"found `{found}` where a number was expected", value.span)
                args.append(op)
            else:
                args.append(self._x.wants(scope, value, self._named(carried[name])))
        return self._step("emit", node.span, *args, data=(node.name, tuple(name for name, _ in node.named)))

    def _note(self, scope: Scope, node: ast.Note) -> Step:
        return self._step("note", node.span, self._x.written(scope, node.message))

    # -- later -----------------------------------------------------------------------------------------------

    def _schedule(self, scope: Scope, node: ast.Schedule) -> Step:
        self._only(("after", "job"), "scheduling work", node.span)
        if node.key is None:
            self._x.report(
                "E402", "scheduled work needs a key, so that the same work is not queued twice", node.span,
                "for example `key object.id`",
            )  # fmt: skip
        if node.retries and node.deadline is None:
            self._x.report("E403", "retries need a `deadline`", node.span)
        if node.after is not None and node.date is not None:
            self._x.report("E404", "work begins `after` a length or `on date`, not both", node.span)
        args: list[Op] = []

        def argument(value: ast.Expression | None, wanted: Type | None) -> int | None:
            if value is None:
                return None
            args.append(
                self._x.written(scope, value) if wanted is None else self._x.wants(scope, value, wanted)
            )
            return len(args) - 1

        key = argument(node.key, None)
        after, date = argument(node.after, types.DURATION), argument(node.date, types.TIME)
        backoff = argument(node.backoff, types.DURATION)
        limit = argument(node.backoff_limit, types.DURATION)
        deadline = argument(node.deadline, types.DURATION)
        as_user = argument(node.as_user, Type("User"))
        set_before = len(scope.names)
        self._scheduled += 1
        inner_id = f"{self._id}#{self._scheduled}"
        phase, self._phase = self._phase, "job"
        body = self.block(scope, node.body)
        give_up = self.block(scope, node.give_up)
        self._phase = phase
        entities: tuple[tuple[int, str], ...] = ()
        names = tuple(scope.names)
        scheduled = ScheduledBody(
            node.name, Body(inner_id, body, names, entities), Body(f"{inner_id}/give up", give_up, names, entities),
            _used(body + give_up, set_before), key, after, date, node.retries, backoff, limit, deadline, as_user,
        )  # fmt: skip
        return self._step("schedule", node.span, *args, data=scheduled)


_PHASE_WORDS: Final = {
    "before": "a `before` rule", "after": "an `after` rule", "during": "a `during` rule", "job": "scheduled work",
}  # fmt: skip


def _used(steps: tuple[Step, ...], below: int) -> tuple[int, ...]:
    """The slots, of those set before, that statements read."""
    return tuple(sorted(slot for slot in used_slots(steps) if slot < below))


def _protects(node: ast.Expression) -> bool:
    """Whether a condition asks for other copies or for a hold."""
    if isinstance(node, ast.Call):
        return node.name == "copies_ok"
    if isinstance(node, ast.Metadata):
        return "hold" in node.attribute
    if isinstance(node, (ast.Not, ast.Exists)):
        return _protects(node.operand)
    if isinstance(node, ast.Binary):
        return _protects(node.left) or _protects(node.right)
    return isinstance(node, ast.Logic) and any(_protects(operand) for operand in node.operands)
