"""Policy text to nodes, with syntax errors that say what was expected."""

import re
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from rules import ast
from rules.diagnostics import Finding, RuleSyntaxError, suggestion
from rules.source import Source, Span

_INTERPOLATION: Final = re.compile(r"\{([^{}]*)\}")
_ESCAPE: Final = re.compile(r"\\(.)")

_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_BYTES: Final = {
    "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50,
}  # fmt: skip

_SHOWN: Final = {
    "LBRACE": "`{`", "RBRACE": "`}`", "LPAR": "`(`", "RPAR": "`)`", "LSQB": "`[`", "RSQB": "`]`", "COMMA": "`,`",
    "EQUAL": "`=`", "COLON": "`:`", "DOT": "`.`", "PERCENT": "`%`", "QNAME": "a dotted name such as `facility.base`",
    "NAME": "a name", "NUMBER": "a number", "STRING": "a text in quotes", "UNIT": "a unit", "CMP": "a comparison",
    "ADD": "`+` or `-`", "MUL": "`*` or `/`", "$END": "the end of the file",
}  # fmt: skip


@lru_cache(maxsize=2)
def _lark(start: str) -> Lark:
    grammar = (Path(__file__).parent / "grammar.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", start=start, propagate_positions=True, maybe_placeholders=False)


def parse(source: Source) -> ast.Policy:
    """Read a policy.

    Raises:
        RuleSyntaxError: with the line, the column and what was expected there.
    """
    return _Builder(source).policy(_tree(source, source.text, "start", Span(1, 1)))


def _tree(source: Source, text: str, start: str, at: Span) -> Tree[Token]:
    try:
        return _lark(start).parse(text)
    except UnexpectedInput as error:
        raise RuleSyntaxError(source, [_syntax_finding(error, at)]) from None


def _syntax_finding(error: UnexpectedInput, at: Span) -> Finding:
    line = at.line + (error.line if error.line > 0 else 1) - 1
    column = error.column if line > at.line or at.column == 1 else at.column + error.column
    length = 1
    expected: set[str] = set()
    if isinstance(error, UnexpectedToken):
        token = error.token
        expected = set(error.expected or error.accepts or ())
        found = "the end of the file" if token.type == "$END" else f"`{token}`"
        length = len(token) or 1
        word = str(token)
    elif isinstance(error, UnexpectedCharacters):
        expected = set(error.allowed or ())
        found, word = f"`{error.char}`", ""
    else:
        assert isinstance(error, UnexpectedEOF), "lark has no other kind of unexpected input"
        expected, found, word = set(error.expected), "the end of the file", ""
    words = sorted(name.lower() for name in expected if name not in _SHOWN and not name.startswith("_"))
    shown = [f"`{name}`" for name in words] + sorted(_SHOWN[name] for name in expected if name in _SHOWN)
    listed = ", ".join(shown[:12]) + (", ..." if len(shown) > 12 else "")
    return Finding(
        "E001",
        f"found {found} where {listed or 'something else'} was expected",
        Span(max(line, 1), max(column, 1), length),
        suggestion(word, words),
    )


def unquote(token: str) -> str:
    """The text of a quoted token."""
    return _ESCAPE.sub(lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), token[1:-1])


class _Builder:
    """Turns one file's parse tree into nodes."""

    def __init__(self, source: Source) -> None:
        self._source = source

    # -- declarations ----------------------------------------------------------------------------------------

    def policy(self, tree: Tree[Token]) -> ast.Policy:
        header = tree.children[0]
        assert isinstance(header, Tree), "the grammar begins with a header"
        tokens = [child for child in header.children if isinstance(child, Token)]
        zone = unquote(tokens[2]) if len(tokens) > 2 else ""
        found: dict[str, list[Any]] = {"vocabulary": [], "location": [], "rule": []}
        for child in tree.children[1:]:
            assert isinstance(child, Tree), "items are trees"
            found[str(child.data)].append(getattr(self, f"_{child.data}")(child))
        return ast.Policy(
            self._source, str(tokens[0]), int(float(tokens[1])), zone,
            tuple(found["vocabulary"]), tuple(found["location"]), tuple(found["rule"]),
        )  # fmt: skip

    def _vocabulary(self, tree: Tree[Token]) -> ast.Vocabulary:
        name, *words = [str(token) for token in tree.children]
        return ast.Vocabulary(_span(tree), name, tuple(words))

    def _location(self, tree: Tree[Token]) -> ast.Location:
        name, pattern, *clauses = tree.children
        return ast.Location(
            _span(tree), str(name), unquote(str(pattern)), tuple(self._capture(c) for c in clauses)
        )

    def _capture(self, clause: Any) -> ast.CaptureRule:
        capture, value = clause.children
        if clause.data == "w_matches":
            return ast.CaptureRule(_span(clause), str(capture), (), unquote(str(value)))
        if isinstance(value, Token):
            return ast.CaptureRule(_span(clause), str(capture), str(value), "")
        words = []
        for item in value.children:
            node = self.expression(item)
            words.append(node.name if isinstance(node, ast.Name) else _plain_text(node))
        return ast.CaptureRule(_span(clause), str(capture), tuple(words), "")

    def _rule(self, tree: Tree[Token]) -> ast.Rule:
        title = unquote(str(tree.children[0]))
        identity, because = re.sub(r"\W+", "_", title.lower()).strip("_"), ""
        phase: Any = "before"
        names: list[str] = []
        when: list[ast.Expression] = []
        unless: list[ast.Expression] = []
        body: tuple[ast.Statement, ...] = ()
        for child in tree.children[1:]:
            if isinstance(child, Token):
                names.append(str(child))
            elif child.data == "a_id":
                identity = str(child.children[0])
            elif child.data == "a_because":
                because = unquote(str(child.children[0]))
            elif child.data in ("before", "after"):
                phase = str(child.data)
            elif child.data == "when":
                when.append(self.expression(child.children[0]))
            elif child.data == "unless":
                unless.append(self.expression(child.children[0]))
            else:
                body = self.block(child)
        noun, verb, location = names
        return ast.Rule(
            _span(tree),
            title,
            identity,
            because,
            phase,
            noun,
            verb,
            location,
            tuple(when),
            tuple(unless),
            body,
        )

    # -- statements ------------------------------------------------------------------------------------------

    def block(self, tree: Any) -> tuple[ast.Statement, ...]:
        return tuple(self._statement(child) for child in tree.children)

    def _statement(self, tree: Any) -> ast.Statement:
        statement: ast.Statement = getattr(self, f"_{tree.data}")(tree, _span(tree))
        return statement

    def _s_refuse(self, tree: Any, span: Span) -> ast.Refuse:
        return ast.Refuse(span, self.expression(tree.children[0]), _code(tree.children[1:]))

    def _s_require(self, tree: Any, span: Span) -> ast.Require:
        condition, message = (self.expression(child) for child in tree.children[:2])
        return ast.Require(span, condition, message, _code(tree.children[2:]))

    def _s_set_metadata(self, tree: Any, span: Span) -> ast.SetMetadata:
        attribute, entity, value, *unit = tree.children
        return ast.SetMetadata(
            span, unquote(str(attribute)), str(entity), self.expression(value),
            self.expression(unit[0]) if unit else None,
        )  # fmt: skip

    def _s_set_attribute(self, tree: Any, span: Span) -> ast.SetAttribute:
        entity, attribute, value = tree.children
        return ast.SetAttribute(span, str(entity), str(attribute), self.expression(value))

    def _s_let(self, tree: Any, span: Span) -> ast.Let:
        return ast.Let(span, str(tree.children[0]), self.expression(tree.children[1]))

    def _if_stmt(self, tree: Any, span: Span) -> ast.If:
        condition, then, *rest = tree.children
        otherwise: tuple[ast.Statement, ...] = ()
        if rest:
            otherwise = self.block(rest[0]) if rest[0].data == "block" else (self._statement(rest[0]),)
        return ast.If(span, self.expression(condition), self.block(then), otherwise)

    def _s_do(self, tree: Any, span: Span) -> ast.Do:
        call = self.expression(tree.children[0])
        assert isinstance(call, ast.Call), "the grammar allows only a call here"
        return ast.Do(span, call, str(tree.children[1]) if len(tree.children) > 1 else "")

    def _s_schedule(self, tree: Any, span: Span) -> ast.Schedule:
        options: dict[str, Any] = {}
        for clause in tree.children[1:-1]:
            values = clause.children
            if clause.data == "k_retry":
                options["retries"] = int(float(values[0]))
                if len(values) > 1:
                    options["backoff"] = self.expression(values[1])
                    options["backoff_limit"] = self.expression(values[2])
            else:
                options[str(clause.data).removeprefix("k_")] = self.expression(values[0])
        return ast.Schedule(span, unquote(str(tree.children[0])), self.block(tree.children[-1]), **options)

    # -- expressions -----------------------------------------------------------------------------------------

    def expression(self, tree: Any) -> ast.Expression:
        if isinstance(tree, Token):
            return ast.Name(_span(tree), str(tree))
        node: ast.Expression = getattr(self, f"_e_{tree.data}")(tree, _span(tree))
        return node

    def _e_or_(self, tree: Any, span: Span) -> ast.Expression:
        if len(tree.children) == 1:
            return self.expression(tree.children[0])
        return ast.Logic(span, "or", tuple(self.expression(child) for child in tree.children))

    def _e_and_(self, tree: Any, span: Span) -> ast.Expression:
        if len(tree.children) == 1:
            return self.expression(tree.children[0])
        return ast.Logic(span, "and", tuple(self.expression(child) for child in tree.children))

    def _e_not_(self, tree: Any, span: Span) -> ast.Expression:
        return ast.Not(span, self.expression(tree.children[0]))

    def _e_cmp(self, tree: Any, span: Span) -> ast.Expression:
        left, operator, right = tree.children
        return ast.Binary(span, str(operator), self.expression(left), self.expression(right))

    def _e_in_(self, tree: Any, span: Span) -> ast.Expression:
        return ast.Binary(span, "in", *(self.expression(child) for child in tree.children))

    def _e_not_in(self, tree: Any, span: Span) -> ast.Expression:
        return ast.Binary(span, "not in", *(self.expression(child) for child in tree.children))

    def _e_like(self, tree: Any, span: Span) -> ast.Expression:
        return ast.Like(span, self.expression(tree.children[0]), unquote(str(tree.children[1])))

    def _e_exists(self, tree: Any, span: Span) -> ast.Expression:
        return ast.Exists(span, self.expression(tree.children[0]))

    def _chain(self, tree: Any) -> ast.Expression:
        node = self.expression(tree.children[0])
        for operator, right in zip(tree.children[1::2], tree.children[2::2], strict=True):
            node = ast.Binary(_span(tree), str(operator), node, self.expression(right))
        return node

    def _e_sum_(self, tree: Any, span: Span) -> ast.Expression:
        return self._chain(tree)

    def _e_product(self, tree: Any, span: Span) -> ast.Expression:
        return self._chain(tree)

    def _e_default(self, tree: Any, span: Span) -> ast.Expression:
        return ast.Binary(span, "default", *(self.expression(child) for child in tree.children))

    def _e_metadata(self, tree: Any, span: Span) -> ast.Expression:
        return ast.Metadata(span, unquote(str(tree.children[0])), str(tree.children[1]))

    def _e_attribute(self, tree: Any, span: Span) -> ast.Expression:
        return ast.Attribute(span, self.expression(tree.children[0]), str(tree.children[1]))

    def _e_name(self, tree: Any, span: Span) -> ast.Expression:
        return ast.Name(span, str(tree.children[0]))

    def _e_call(self, tree: Any, span: Span) -> ast.Expression:
        name, *arguments = tree.children
        positional = [self.expression(a.children[0]) for a in arguments if a.data == "positional"]
        named = [(str(a.children[0]), self.expression(a.children[1])) for a in arguments if a.data == "named"]
        return ast.Call(span, str(name), tuple(positional), tuple(named))

    def _e_list(self, tree: Any, span: Span) -> ast.Expression:
        return ast.ListOf(span, tuple(self.expression(child) for child in tree.children))

    def _e_quantity(self, tree: Any, span: Span) -> ast.Expression:
        number, unit = float(tree.children[0]), str(tree.children[1])
        if unit in _BYTES:
            return ast.Constant(span, int(number * _BYTES[unit]), "Size")
        return ast.Constant(span, number * _SECONDS[unit.removesuffix("s")], "Duration")

    def _e_percent(self, tree: Any, span: Span) -> ast.Expression:
        return ast.Constant(span, float(tree.children[0]) / 100, "Fraction")

    def _e_number(self, tree: Any, span: Span) -> ast.Expression:
        text = str(tree.children[0])
        return ast.Constant(
            span, float(text) if "." in text else int(text), "Decimal" if "." in text else "Int"
        )

    def _e_string(self, tree: Any, span: Span) -> ast.Expression:
        text = unquote(str(tree.children[0]))
        parts: list[str | ast.Expression] = []
        end = 0
        for match in _INTERPOLATION.finditer(text):
            parts.append(text[end : match.start()])
            inner = _tree(self._source, match[1], "expr", Span(span.line, span.column + match.start() + 1))
            parts.append(_moved(self.expression(inner), span))
            end = match.end()
        parts.append(text[end:])
        if len(parts) == 1:
            return ast.Constant(span, text, "Text")
        return ast.Text(span, tuple(part for part in parts if part != ""))

    def _e_true(self, tree: Any, span: Span) -> ast.Expression:
        return ast.Constant(span, True, "Bool")

    def _e_false(self, tree: Any, span: Span) -> ast.Expression:
        return ast.Constant(span, False, "Bool")

    def _e_now(self, tree: Any, span: Span) -> ast.Expression:
        return ast.Now(span)


def _moved(node: ast.Expression, span: Span) -> ast.Expression:
    """A node of an interpolation, placed at the text that holds it."""
    changes: dict[str, Any] = {"span": span}
    for entry in fields(node):
        value = getattr(node, entry.name)
        if isinstance(value, ast.Node):
            changes[entry.name] = _moved(value, span)  # type: ignore[arg-type]  # every nested node is an expression
    return replace(node, **changes)


def _span(tree: Any) -> Span:
    if isinstance(tree, Token):
        return Span(tree.line or 1, tree.column or 1, len(tree))
    meta = tree.meta
    if getattr(meta, "empty", True):
        return Span(1, 1)
    length = meta.end_column - meta.column if meta.end_line == meta.line else 1
    return Span(meta.line, meta.column, max(length, 1))


def _code(rest: list[Any]) -> str:
    return str(rest[0]) if rest else "REFUSED"


def _plain_text(node: ast.Expression) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ""
