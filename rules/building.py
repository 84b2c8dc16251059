"""Parse trees to nodes: one method for each production of `grammar.lark`; expressions are in a module of their own."""

import re
from typing import Any

from lark import Token, Tree

from rules import ast
from rules.building_expressions import ExpressionBuilder, span_of, unquote
from rules.source import Span


class Builder(ExpressionBuilder):
    """Turns one file's parse tree into nodes."""

    # -- declarations ----------------------------------------------------------------------------------------

    def policy(self, tree: Tree[Token]) -> ast.Policy:
        header: Any = tree.children[0]
        tokens = [child for child in header.children if isinstance(child, Token)]
        blocks = [child for child in header.children if isinstance(child, Tree)]
        meta = blocks[0].children if blocks else []
        pairs = tuple((str(k), unquote(str(v))) for k, v in zip(meta[::2], meta[1::2], strict=True))
        zone = unquote(tokens[2]) if len(tokens) > 2 else ""
        items = tuple(self.item(child) for child in tree.children[1:])
        return ast.Policy(self._source, str(tokens[0]), self._whole(tokens[1]), zone, pairs, items)

    def item(self, tree: Any) -> ast.Item:
        item: ast.Item = getattr(self, f"_{tree.data}")(tree, span_of(tree))
        return item

    def _use(self, tree: Any, span: Span) -> ast.Use:
        name, *version = tree.children
        return ast.Use(span, str(name), self._whole(version[0]) if version else None)

    def _vocabulary(self, tree: Any, span: Span) -> ast.Vocabulary:
        name, *words = [str(token) for token in tree.children]
        return ast.Vocabulary(span, name, tuple(words))

    def _entity(self, tree: Any, span: Span) -> ast.EntityDeclaration:
        name, *found = tree.children
        return ast.EntityDeclaration(span, str(name), tuple(self._typed(child) for child in found))

    def _typed(self, tree: Any) -> tuple[str, ast.TypeName]:
        return str(tree.children[0]), self._type(tree.children[1])

    def _type(self, tree: Any) -> ast.TypeName:
        name, *rest = tree.children
        option = any(isinstance(child, Token) for child in rest)
        arguments = tuple(self._type(child) for child in rest if isinstance(child, Tree))
        return ast.TypeName(span_of(tree), str(name), arguments, option)

    def _metadata_type(self, tree: Any, span: Span) -> ast.MetadataType:
        attribute, type_name, entity = tree.children
        return ast.MetadataType(span, unquote(str(attribute)), self._type(type_name), str(entity))

    def _failure_code(self, tree: Any, span: Span) -> ast.FailureCode:
        name, kind, message = tree.children
        return ast.FailureCode(span, str(name), str(kind), unquote(str(message)))

    def _location(self, tree: Any, span: Span) -> ast.Location:
        name, pattern, *clauses = tree.children
        captures = tuple(self._capture(clause) for clause in clauses)
        return ast.Location(span, str(name), unquote(str(pattern)), captures)

    def _capture(self, clause: Any) -> ast.CaptureRule:
        capture, value = clause.children
        span = span_of(clause)
        if clause.data == "w_matches":
            return ast.CaptureRule(span, str(capture), (), unquote(str(value)))
        if isinstance(value, Token):
            return ast.CaptureRule(span, str(capture), str(value), "")
        words = []
        for item in value.children:
            node = self.expression(item)
            if isinstance(node, ast.Name):
                words.append(node.name)
            elif isinstance(node, ast.Constant) and node.type == "Text":
                words.append(str(node.value))
            else:
                raise self._refuse("E005", "a capture is one of words or of texts in quotes", node.span)
        return ast.CaptureRule(span, str(capture), tuple(words), "")

    def _constant(self, tree: Any, span: Span) -> ast.NamedConstant:
        name, *rest = tree.children
        type_name = self._type(rest[0]) if len(rest) > 1 else None
        return ast.NamedConstant(span, str(name), type_name, self.expression(rest[-1]))

    def _function(self, tree: Any, span: Span) -> ast.Function:
        name, *rest = tree.children
        parameters = rest[0].children if rest[0].data == "params" else []
        for parameter in parameters:
            if len(parameter.children) > 2:
                raise self._refuse("E006", "a parameter of `define` has no default", span_of(parameter))
        result, value = rest[-2:]
        return ast.Function(
            span,
            str(name),
            tuple(self._typed(p) for p in parameters),
            self._type(result),
            self.expression(value),
        )

    def _microservice(self, tree: Any, span: Span) -> ast.Microservice:
        name, *rest = tree.children
        parameters: list[Any] = []
        result: ast.TypeName | None = None
        effects: list[str] = []
        undo = ""
        for child in rest:
            if isinstance(child, Token):
                undo = str(child)
            elif child.data == "params":
                parameters = child.children
            elif child.data == "type":
                result = self._type(child)
            else:
                effects.append(
                    str(child.children[0]) + (f"({child.children[1]})" if len(child.children) > 1 else "")
                )
        defaults = []
        for parameter in parameters:
            if len(parameter.children) > 2:
                value = self.expression(parameter.children[2])
                assert isinstance(value, (ast.Constant, ast.Text, ast.Now)), (
                    "the grammar allows only literals here"
                )
                if not isinstance(value, ast.Constant):
                    raise self._refuse("E006", "a default has to be a plain value", value.span)
                defaults.append((str(parameter.children[0]), value))
        return ast.Microservice(
            span,
            str(name),
            tuple(self._typed(p) for p in parameters),
            tuple(defaults),
            result,
            tuple(effects),
            undo,
        )

    # -- rules, promises, sweeps -----------------------------------------------------------------------------

    def _head(self, title: str, children: list[Any]) -> tuple[str, str]:
        identity, because = re.sub(r"\W+", "_", title.lower()).strip("_"), ""
        for child in children:
            if isinstance(child, Tree) and child.data == "a_id":
                identity = str(child.children[0])
            elif isinstance(child, Tree) and child.data == "a_because":
                because = unquote(str(child.children[0]))
        return identity, because

    def _guards(self, children: list[Any]) -> tuple[ast.Guard, ...]:
        return tuple(
            ast.Guard(span_of(child), self.expression(child.children[0]), child.data == "when")
            for child in children
            if isinstance(child, Tree) and child.data in ("when", "unless")
        )

    def _rule(self, tree: Any, span: Span) -> ast.Rule:
        title = unquote(str(tree.children[0]))
        identity, because = self._head(title, tree.children)
        trigger = next(
            c for c in tree.children if isinstance(c, Tree) and c.data in ("on_event", "on_signal")
        )
        blocks = [c for c in tree.children if isinstance(c, Tree) and c.data == "block"]
        phase: Any = "on"
        noun, verb, location = "signal", str(trigger.children[0]), ""
        if trigger.data == "on_event":
            names = [str(token) for token in trigger.children[1:]]
            phase, noun, verb = str(trigger.children[0].data), names[0], names[1]
            location = names[2] if len(names) > 2 else ""
        return ast.Rule(
            span, title, identity, because, phase, noun, verb, location, self._guards(tree.children),
            self.block(blocks[0]), self.block(blocks[1]) if len(blocks) > 1 else (),
        )  # fmt: skip

    def _keep(self, tree: Any, span: Span) -> ast.Keep:
        title = unquote(str(tree.children[0]))
        identity, because = self._head(title, tree.children)
        location = next(str(c) for c in tree.children[1:] if isinstance(c, Token))
        promises = tuple(
            self._promise(c) for c in tree.children if isinstance(c, Tree) and c.data == "promise"
        )
        return ast.Keep(span, title, identity, because, location, self._guards(tree.children), promises)

    def _promise(self, tree: Any) -> ast.Promise:
        amount, place, *lifetime = tree.children
        count = self._whole(amount.children[0]) if amount.data == "copies" else 0
        times: dict[str, ast.Expression] = {}
        for clause in lifetime:
            values = [self.expression(value) for value in clause.children]
            names = {"l_until": ("ends",), "l_for": ("lasts", "after"), "l_from": ("begins", "ends")}[
                clause.data
            ]
            times |= dict(zip(names, values, strict=False))
        return ast.Promise(span_of(tree), count, self._place(place), **times)

    def _place(self, tree: Any) -> ast.PlaceExpression:
        span, children = span_of(tree), tree.children
        if tree.data == "place_is":
            return ast.PlaceIs(span, str(children[0]), str(children[1]), self._word(children[2]))
        if tree.data == "place_in":
            values = tuple(self._word(value) for value in children[1].children)
            return ast.PlaceIn(span, str(children[0]), values)
        if tree.data == "place_not":
            return ast.PlaceNot(span, self._place(children[0]))
        node = self._place(children[0])
        if tree.data == "place_and":
            for right in children[1:]:
                node = ast.PlaceJoined(span, "and", node, self._place(right))
            return node
        for joiner, right in zip(children[1::2], children[2::2], strict=True):
            node = ast.PlaceJoined(
                span, "or" if joiner.data == "join_or" else "except", node, self._place(right)
            )
        return node

    def _word(self, tree: Any) -> ast.Expression:
        return self.expression(tree)

    def _sweep(self, tree: Any, span: Span) -> ast.Sweep:
        title = unquote(str(tree.children[0]))
        identity, because = self._head(title, tree.children)
        rest = [c for c in tree.children[1:] if not (isinstance(c, Tree) and c.data in ("a_id", "a_because"))]
        every = self.expression(rest[0])
        texts = [unquote(str(c)) for c in rest if isinstance(c, Token) and c.type == "STRING"]
        names = [str(c) for c in rest if isinstance(c, Token) and c.type == "NAME"]
        parts = {str(c.data): c for c in rest[1:] if isinstance(c, Tree)}
        order = parts.get("order")
        until = parts.get("limit")
        return ast.Sweep(
            span, title, identity, because, every, (texts[0], texts[1]) if texts else None, names[0],
            names[1] if len(names) > 1 else "", self._guards(rest),
            self.expression(order.children[0]) if order is not None else None,
            order is not None and len(order.children) > 1 and order.children[1].data == "descending",
            self.expression(until.children[0]) if until is not None else None, self.block(parts["block"]),
        )  # fmt: skip

    # -- statements ------------------------------------------------------------------------------------------

    def block(self, tree: Any) -> ast.Block:
        return tuple(self._statement(child) for child in tree.children)

    def _statement(self, tree: Any) -> ast.Statement:
        statement: ast.Statement = getattr(self, f"_{tree.data}")(tree.children, span_of(tree))
        return statement

    def _s_allow(self, _: list[Any], span: Span) -> ast.Allow:
        return ast.Allow(span)

    def _s_refuse(self, children: list[Any], span: Span) -> ast.Refuse:
        return ast.Refuse(span, self.expression(children[0]), _code(children[1:], "REFUSED"))

    def _s_require(self, children: list[Any], span: Span) -> ast.Require:
        condition, message = (self.expression(child) for child in children[:2])
        return ast.Require(span, condition, message, _code(children[2:], "REFUSED"))

    def _s_set(self, children: list[Any], span: Span) -> ast.Statement:
        target, value = children[0], self.expression(children[1])
        unit = self.expression(children[2]) if len(children) > 2 else None
        if target.data == "t_metadata":
            attribute, of = target.children
            return ast.SetMetadata(span, unquote(str(attribute)), self.expression(of), value, unit)
        if unit is not None:
            raise self._refuse("E007", "only metadata has a unit", unit.span)
        of, attribute = target.children
        return ast.SetAttribute(span, self.expression(of), str(attribute), value)

    def _s_remove(self, children: list[Any], span: Span) -> ast.RemoveMetadata:
        target = children[0]
        if target.data != "t_metadata":
            raise self._refuse("E008", "only metadata can be removed", span)
        attribute, of = target.children
        return ast.RemoveMetadata(span, unquote(str(attribute)), self.expression(of))

    def _s_let(self, children: list[Any], span: Span) -> ast.Let:
        return ast.Let(span, str(children[0]), self.expression(children[1]))

    def _if_stmt(self, children: list[Any], span: Span) -> ast.If:
        condition, then, *rest = children
        otherwise: ast.Block = ()
        if rest:
            otherwise = self.block(rest[0]) if rest[0].data == "block" else (self._statement(rest[0]),)
        return ast.If(span, self.expression(condition), self.block(then), otherwise)

    def _s_each(self, children: list[Any], span: Span) -> ast.ForEach:
        name, source, limit, body = children
        return ast.ForEach(span, str(name), self.expression(source), self._whole(limit), self.block(body))

    def _s_do(self, children: list[Any], span: Span) -> ast.Do:
        calls = [self._call(child) for child in children if isinstance(child, Tree)]
        giving = next((str(child) for child in children if isinstance(child, Token)), "")
        return ast.Do(span, calls[0], giving, calls[1] if len(calls) > 1 else None)

    def _s_try(self, children: list[Any], span: Span) -> ast.Try:
        name = next((str(child) for child in children if isinstance(child, Token)), "")
        body, recover = [self.block(child) for child in children if isinstance(child, Tree)]
        return ast.Try(span, body, name, recover)

    def _s_schedule(self, children: list[Any], span: Span) -> ast.Schedule:
        options: dict[str, Any] = {}
        for clause in children[1:-1]:
            values = clause.children
            kind = str(clause.data).removeprefix("k_")
            if kind == "retry":
                options["retries"] = self._whole(values[0])
                if len(values) > 1:
                    options["backoff"] = self.expression(values[1])
                    options["backoff_limit"] = self.expression(values[2])
            elif kind == "give_up":
                options["give_up"] = self.block(values[0])
            else:
                options["as_user" if kind == "as" else kind] = self.expression(values[0])
        return ast.Schedule(span, unquote(str(children[0])), self.block(children[-1]), **options)

    def _s_fail(self, children: list[Any], span: Span) -> ast.Fail:
        return ast.Fail(span, self.expression(children[0]), _code(children[1:], "FAILED"))

    def _s_emit(self, children: list[Any], span: Span) -> ast.Emit:
        positional, named = self._arguments(children[1:])
        if positional:
            raise self._refuse("E009", "what an event carries is given by name", positional[0].span)
        return ast.Emit(span, str(children[0]), named)

    def _s_note(self, children: list[Any], span: Span) -> ast.Note:
        return ast.Note(span, self.expression(children[0]))

    # -- tests -----------------------------------------------------------------------------------------------

    def _facts(self, children: list[Any]) -> ast.Facts:
        return tuple(
            (str(c.children[0]), self.expression(c.children[1])) for c in children if c.data == "fact"
        )

    def _test(self, tree: Any, span: Span) -> ast.PolicyTest:
        title, *rest = tree.children
        given, checks = [], []
        act: ast.Act | None = None
        for child in rest:
            built: Any = getattr(self, f"_{child.data}")(child.children, span_of(child))
            if child.data.startswith("g_"):
                given.append(built)
            elif child.data.startswith("w_"):
                act = built
            else:
                checks.append(built)
        assert act is not None, "the grammar asks for exactly one act"
        return ast.PolicyTest(span, unquote(str(title)), tuple(given), act, tuple(checks))

    def _g_thing(self, children: list[Any], span: Span) -> ast.GivenThing:
        name = str(children[0])
        return ast.GivenThing(
            span, unquote(name) if name.startswith('"') else name, self._facts(children[1:])
        )

    def _g_clock(self, children: list[Any], span: Span) -> ast.GivenClock:
        return ast.GivenClock(span, self.expression(children[0]))

    def _g_returns(self, children: list[Any], span: Span) -> ast.GivenStub:
        return ast.GivenStub(span, str(children[0]), self.expression(children[1]), "")

    def _g_fails(self, children: list[Any], span: Span) -> ast.GivenStub:
        return ast.GivenStub(span, str(children[0]), None, _code(children[1:], "FAILED"))

    def _w_event(self, children: list[Any], span: Span) -> ast.EventAct:
        actor, noun, verb, path = (str(token) for token in children[:4])
        return ast.EventAct(span, actor, noun, verb, unquote(path), self._facts(children[4:]))

    def _w_clock(self, children: list[Any], span: Span) -> ast.ClockAct:
        return ast.ClockAct(span, self.expression(children[0]))

    def _w_sweep(self, children: list[Any], span: Span) -> ast.SweepAct:
        return ast.SweepAct(span, unquote(str(children[0])))

    def _w_signal(self, children: list[Any], span: Span) -> ast.SignalAct:
        return ast.SignalAct(span, str(children[0]), self._facts(children[1:]))

    def _c_refused(self, children: list[Any], span: Span) -> ast.ThenRefused:
        return ast.ThenRefused(span, str(children[0]))

    def _c_allowed(self, _: list[Any], span: Span) -> ast.ThenAllowed:
        return ast.ThenAllowed(span)

    def _c_scheduled(self, children: list[Any], span: Span) -> ast.ThenScheduled:
        length = self.expression(children[1]) if len(children) > 1 else None
        return ast.ThenScheduled(span, unquote(str(children[0])), length)

    def _c_called(self, children: list[Any], span: Span) -> ast.ThenCalled:
        return ast.ThenCalled(span, str(children[0]), *self._arguments(children[1:]))

    def _c_nothing(self, _: list[Any], span: Span) -> ast.ThenNothing:
        return ast.ThenNothing(span)

    def _c_fired(self, children: list[Any], span: Span) -> ast.ThenFired:
        return ast.ThenFired(span, unquote(str(children[0])))

    def _c_expression(self, children: list[Any], span: Span) -> ast.ThenHolds:
        return ast.ThenHolds(span, self.expression(children[0]))


def _code(rest: list[Any], usual: str) -> str:
    return str(rest[0]) if rest else usual
