"""Policy text to nodes, with syntax errors that say what was expected.

The text is bounded before a node is built: its size, and how deeply anything nests.
"""

import re
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from rules import ast
from rules.building import Builder
from rules.diagnostics import Finding, RuleSyntaxError, suggestion
from rules.source import Comment, Source, Span

MAX_TEXT_BYTES: Final = 4 << 20
MAX_DEPTH: Final = 60

_SHOWN: Final = {
    "LBRACE": "`{`", "RBRACE": "`}`", "LPAR": "`(`", "RPAR": "`)`", "LSQB": "`[`", "RSQB": "`]`", "COMMA": "`,`",
    "EQUAL": "`=`", "COLON": "`:`", "DOT": "`.`", "PERCENT": "`%`", "QNAME": "a dotted name such as `facility.base`",
    "NAME": "a name", "NUMBER": "a number", "STRING": "a text in quotes", "UNIT": "a unit", "CMP": "a comparison",
    "ADD": "`+` or `-`", "MUL": "`*` or `/`", "$END": "the end of the file", "OPTION": "`?`", "LESSTHAN": "`<`",
    "MORETHAN": "`>`", "MINUS": "`-`",
}  # fmt: skip


@lru_cache(maxsize=2)
def _lark(start: str) -> Lark:
    grammar = (Path(__file__).parent / "grammar.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", start=start, propagate_positions=True, maybe_placeholders=False)


_COMMENT: Final = re.compile(r'"(?:\\.|[^"\\\n])*"|(#[^\n]*)')


def comments_of(text: str) -> tuple[Comment, ...]:
    """Every comment, in order; a `#` inside a text in quotes is none."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        for match in _COMMENT.finditer(line):
            if match[1] is not None:
                found.append(Comment(number, match[1].rstrip(), bool(line[: match.start()].strip())))
    return tuple(found)


def parse(source: Source) -> ast.Policy:
    """Read a policy.

    Raises:
        RuleSyntaxError: with the line, the column and what was expected there.
    """
    if len(source.text) > MAX_TEXT_BYTES:
        raise RuleSyntaxError(
            source, [Finding("E002", f"the text is longer than {MAX_TEXT_BYTES} characters", Span(1, 1))]
        )
    builder = Builder(source, lambda text, at: expression(source, text, at))
    policy = builder.policy(_tree(source, source.text, "start", Span(1, 1)))
    return replace(policy, comments=comments_of(source.text))


def expression(source: Source, text: str, at: Span) -> ast.Expression:
    """Read one expression that stands inside a text in quotes, whose place is `at`."""
    node = Builder(source, lambda inner, span: expression(source, inner, span)).expression(
        _tree(source, text, "expr", at)
    )
    placed: ast.Expression = shifted(node, at)
    return placed


def shifted(node: Any, at: Span) -> Any:
    """A node read on its own, placed where it stands in the whole text."""
    changes: dict[str, Any] = {}
    for entry in fields(node):
        value = getattr(node, entry.name)
        if isinstance(value, Span):
            changes[entry.name] = Span(at.line, at.column + value.column, value.length, at.line)
        elif isinstance(value, ast.Node):
            changes[entry.name] = shifted(value, at)
        elif isinstance(value, tuple):
            changes[entry.name] = tuple(_shifted_part(part, at) for part in value)
    return replace(node, **changes)


def _shifted_part(part: Any, at: Span) -> Any:
    if isinstance(part, ast.Node):
        return shifted(part, at)
    if isinstance(part, tuple):
        return tuple(_shifted_part(inner, at) for inner in part)
    return part


def _tree(source: Source, text: str, start: str, at: Span) -> Tree[Token]:
    try:
        tree = _lark(start).parse(text)
    except UnexpectedInput as error:
        raise RuleSyntaxError(source, [_syntax_finding(error, at)]) from None
    _check_depth(source, tree, at)
    return tree


def _check_depth(source: Source, tree: Tree[Token], at: Span) -> None:
    level: list[Any] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level if isinstance(node, Tree) for child in node.children]
        if not level:
            return
    span = at
    if at.column == 1:
        places = [node.meta if isinstance(node, Tree) else node for node in level]
        known = [place for place in places if getattr(place, "line", None)]
        span = Span(known[0].line or 1, known[0].column or 1) if known else at
    raise RuleSyntaxError(
        source,
        [
            Finding(
                "E003", f"this is nested more than {MAX_DEPTH} levels deep", span, "name the parts with `let`"
            )
        ],
    )


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
