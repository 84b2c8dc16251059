"""Parse trees of expressions to nodes: one method for each production of `grammar.lark`."""

import re
from collections.abc import Callable
from typing import Any, Final

from lark import Token, Tree

from rules import ast
from rules.diagnostics import Finding, RuleSyntaxError
from rules.source import Source, Span
from rules.values import BYTES, Rate, duration_of, period_of

ReadExpression = Callable[[str, Span], ast.Expression]

_INTERPOLATION: Final = re.compile(r"\{([^{}]*)\}")
_ESCAPE: Final = re.compile(r"\\(.)")
LARGEST: Final = 2**63


def unquote(token: str) -> str:
    """The text of a quoted token."""
    return _ESCAPE.sub(lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), token[1:-1])


def span_of(tree: Any) -> Span:
    """Where a tree or a token stands in its text."""
    if isinstance(tree, Token):
        return Span(tree.line or 1, tree.column or 1, len(tree), tree.line or 1)
    meta = tree.meta
    if getattr(meta, "empty", True):
        return Span(1, 1)
    length = meta.end_column - meta.column if meta.end_line == meta.line else 1
    return Span(meta.line, meta.column, max(length, 1), meta.end_line)


class ExpressionBuilder:
    """Turns the parse trees of expressions into nodes."""

    def __init__(self, source: Source, read: ReadExpression) -> None:
        self._source = source
        self._read = read

    def _refuse(self, id: str, message: str, span: Span) -> RuleSyntaxError:
        return RuleSyntaxError(self._source, [Finding(id, message, span)])

    def _whole(self, token: Any) -> int:
        if "." in token or int(token) >= LARGEST:
            raise self._refuse("E004", f"found `{token}` where a whole number was expected", span_of(token))
        return int(token)

    def expression(self, tree: Any) -> ast.Expression:
        if isinstance(tree, Token):
            return ast.Name(span_of(tree), str(tree))
        node: ast.Expression = getattr(self, f"_e_{tree.data}")(tree.children, span_of(tree))
        return node

    def _all(self, children: list[Any]) -> tuple[ast.Expression, ...]:
        return tuple(self.expression(child) for child in children)

    def _e_or_(self, children: list[Any], span: Span) -> ast.Expression:
        return (
            self.expression(children[0]) if len(children) == 1 else ast.Logic(span, "or", self._all(children))
        )

    def _e_and_(self, children: list[Any], span: Span) -> ast.Expression:
        return (
            self.expression(children[0])
            if len(children) == 1
            else ast.Logic(span, "and", self._all(children))
        )

    def _e_not_(self, children: list[Any], span: Span) -> ast.Expression:
        return ast.Not(span, self.expression(children[0]))

    def _e_negative(self, children: list[Any], span: Span) -> ast.Expression:
        return ast.Negative(span, self.expression(children[0]))

    def _e_cmp(self, children: list[Any], span: Span) -> ast.Expression:
        left, operator, right = children
        return ast.Binary(span, str(operator), self.expression(left), self.expression(right))

    def _e_in_(self, children: list[Any], span: Span) -> ast.Expression:
        return ast.Binary(span, "in", *self._all(children))

    def _e_not_in(self, children: list[Any], span: Span) -> ast.Expression:
        return ast.Binary(span, "not in", *self._all(children))

    def _e_like(self, children: list[Any], span: Span) -> ast.Expression:
        return ast.Like(span, "like", self.expression(children[0]), unquote(str(children[1])))

    def _e_matches(self, children: list[Any], span: Span) -> ast.Expression:
        return ast.Like(span, "matches", self.expression(children[0]), unquote(str(children[1])))

    def _e_exists(self, children: list[Any], span: Span) -> ast.Expression:
        return ast.Exists(span, self.expression(children[0]))

    def _e_is_at(self, children: list[Any], span: Span) -> ast.Expression:
        return ast.IsAt(span, self.expression(children[0]), str(children[1]))

    def _chain(self, children: list[Any], span: Span) -> ast.Expression:
        node = self.expression(children[0])
        for operator, right in zip(children[1::2], children[2::2], strict=True):
            node = ast.Binary(span, str(operator), node, self.expression(right))
        return node

    _e_sum_ = _chain
    _e_product = _chain

    def _e_default(self, children: list[Any], span: Span) -> ast.Expression:
        return ast.Binary(span, "default", *self._all(children))

    def _e_metadata(self, children: list[Any], span: Span) -> ast.Expression:
        return ast.Metadata(span, unquote(str(children[0])), self.expression(children[1]))

    def _e_attribute(self, children: list[Any], span: Span) -> ast.Expression:
        return ast.Attribute(span, self.expression(children[0]), str(children[1]))

    def _e_index(self, children: list[Any], span: Span) -> ast.Expression:
        return ast.Index(span, *self._all(children))

    def _e_name(self, children: list[Any], span: Span) -> ast.Expression:
        return ast.Name(span, str(children[0]))

    def _arguments(
        self, children: list[Any]
    ) -> tuple[tuple[ast.Expression, ...], tuple[tuple[str, ast.Expression], ...]]:
        positional = tuple(self.expression(c.children[0]) for c in children if c.data == "positional")
        named = tuple(
            (str(c.children[0]), self.expression(c.children[1])) for c in children if c.data == "named"
        )
        return positional, named

    def _call(self, tree: Any) -> ast.Call:
        name, *arguments = tree.children
        return ast.Call(span_of(tree), str(name), *self._arguments(arguments))

    def _e_call(self, children: list[Any], span: Span) -> ast.Expression:
        name, *arguments = children
        return ast.Call(span, str(name), *self._arguments(arguments))

    def _e_list(self, children: list[Any], span: Span) -> ast.Expression:
        return ast.ListOf(span, self._all(children))

    def _e_all_(self, children: list[Any], span: Span) -> ast.Expression:
        return ast.Quantified(span, "all", str(children[0]), *self._all(children[1:]))

    def _e_any_(self, children: list[Any], span: Span) -> ast.Expression:
        return ast.Quantified(span, "any", str(children[0]), *self._all(children[1:]))

    def _e_count(self, children: list[Any], span: Span) -> ast.Expression:
        return ast.Count(span, self.expression(children[0]))

    def _e_find(self, children: list[Any], span: Span) -> ast.Expression:
        names = [str(c) for c in children if isinstance(c, Token) and c.type == "NAME"]
        where = next((self.expression(c) for c in children if isinstance(c, Tree)), None)
        return ast.Find(span, names[0], names[1] if len(names) > 1 else "", where, self._whole(children[-1]))

    def _e_quantity(self, children: list[Any], span: Span) -> ast.Expression:
        number, unit = str(children[0]), str(children[1])
        written = f"{number} {unit}"
        try:
            if unit in BYTES:
                return ast.Constant(span, int(float(number) * BYTES[unit]), "Size", written)
            if unit in Rate.UNITS:
                return ast.Constant(span, Rate(float(number) * Rate.UNITS[unit]), "Rate", written)
            if unit.startswith("frame"):
                return ast.Constant(span, self._whole(children[0]), "Int", written)
            if unit.startswith(("month", "year")):
                return ast.Constant(span, period_of(self._whole(children[0]), unit), "Period", written)
            return ast.Constant(span, duration_of(float(number), unit), "Duration", written)
        except OverflowError:
            raise self._refuse("E004", f"`{written}` is too much", span) from None

    def _e_percent(self, children: list[Any], span: Span) -> ast.Expression:
        return ast.Constant(span, float(children[0]) / 100, "Fraction", f"{children[0]} %")

    def _e_number(self, children: list[Any], span: Span) -> ast.Expression:
        text = str(children[0])
        if "." in text:
            return ast.Constant(span, float(text), "Decimal", text)
        return ast.Constant(span, self._whole(children[0]), "Int", text)

    def _e_string(self, children: list[Any], span: Span) -> ast.Expression:
        text = unquote(str(children[0]))
        parts: list[str | ast.Expression] = []
        end = 0
        for match in _INTERPOLATION.finditer(text):
            if match.start() > end:
                parts.append(text[end : match.start()])
            at = Span(span.line, span.column + match.start() + 1, len(match[1]) or 1, span.line)
            parts.append(self._read(match[1], at))
            end = match.end()
        if not parts:
            return ast.Constant(span, text, "Text", str(children[0]))
        if end < len(text):
            parts.append(text[end:])
        return ast.Text(span, tuple(parts))

    def _e_true(self, _: list[Any], span: Span) -> ast.Expression:
        return ast.Constant(span, True, "Bool", "true")

    def _e_false(self, _: list[Any], span: Span) -> ast.Expression:
        return ast.Constant(span, False, "Bool", "false")

    def _e_now(self, _: list[Any], span: Span) -> ast.Expression:
        return ast.Now(span)
