"""The condition strings of the general query: parsed, and turned into SQL with bound values.

A condition is `operator 'value'`; several on one column are joined by `||` or `&&`. The text of a value never
reaches the SQL: only operators from the table below do.

Source: `icatGeneralQuery.cpp` (`handleCompoundCondition`, `insertWhere`), iRODS 5.0.2.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from grid import paths
from grid.catalog.genquery_graph import Place
from grid.codes import Status
from grid.errors import CatalogFailed, InvalidArgument

_CONNECTOR: Final = re.compile(
    r"(?:(?<=')|(?<=\))|(?<=[Ll]))\s*(\|\||&&)\s*(?=[^'|&]{0,12}'|\s*is\s)", re.IGNORECASE
)
_QUOTED: Final = re.compile(r"'([^']*)'")
_COMPARISONS: Final = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", ">": ">", "<=": "<=", ">=": ">="}
_WORDS: Final = {
    "like", "not like", "in", "not in", "between", "not between", "begin_of", "parent_of", "is null", "is not null",
}  # fmt: skip
_LITERAL_PREFIX: Final = re.compile(r"^((?:[^%_\\]|\\[%_\\])+)%$")


@dataclass(frozen=True, slots=True)
class Part:
    """One `operator 'value'`. `shape` and `values` decide the SQL and what is bound to it."""

    connector: str  # "", "OR" or "AND"
    operator: str
    values: tuple[str, ...]


def parse(text: str) -> tuple[Part, ...]:
    """Split a condition string.

    Raises:
        InvalidArgument: an operator nobody knows, an unquoted or unterminated value (-816000).
        CatalogFailed: no operator at all (-806000).
    """
    pieces = _CONNECTOR.split(text.strip())
    parts = [_part("", pieces[0])]
    for connector, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        parts.append(_part("OR" if connector == "||" else "AND", piece))
    return tuple(parts)


def _part(connector: str, text: str) -> Part:
    text = text.strip()
    start = text.find("'")
    head = text if start < 0 else text[:start]
    operator = " ".join(head.lower().replace("(", " ").split())
    if not operator:
        raise CatalogFailed(f"the condition `{paths.printable(text)}` has no operator")
    if operator in ("is null", "is not null"):
        return Part(connector, operator, ())
    end = text.rfind("'")
    if start < 0 or end == start:
        raise InvalidArgument(f"the condition `{paths.printable(text)}` has no complete quoted value")
    bare = operator.removeprefix("n")
    if operator not in _WORDS and operator not in _COMPARISONS and bare not in _COMPARISONS:
        raise InvalidArgument(f"`{paths.printable(operator)}` is not an operator of conditions")
    if operator in ("in", "not in", "between", "not between"):
        values = tuple(_QUOTED.findall(text))
        if "between" in operator and len(values) != 2:
            raise InvalidArgument("`between` takes two quoted values")
        return Part(connector, operator, values)
    return Part(connector, operator, (text[start + 1 : end],))


def shape(parts: tuple[Part, ...], place: Place) -> tuple[object, ...]:
    """What of a condition decides the SQL text; values of the same shape share one statement."""
    return tuple(
        (part.connector, part.operator, len(_bound(part, place)), _is_prefix(part)) for part in parts
    )


def _is_prefix(part: Part) -> bool:
    return part.operator == "like" and _LITERAL_PREFIX.match(part.values[0]) is not None


def _successor(prefix: str) -> str:
    """The least text above everything that begins with `prefix`."""
    last = ord(prefix[-1]) + 1
    return prefix[:-1] + chr(0xE000 if last == 0xD800 else last)


def _number(text: str) -> float | int:
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            raise CatalogFailed(
                f"`{paths.printable(text)}` is not a number, and the column holds numbers"
            ) from None


def _bound(part: Part, place: Place) -> tuple[object, ...]:
    """The values to bind for one part."""
    operator = part.operator
    if operator == "like" and _is_prefix(part) and not place.integer:
        prefix = re.sub(r"\\([%_\\])", r"\1", part.values[0][:-1])
        if ord(prefix[-1]) < 0x10FFFF:
            return (prefix, _successor(prefix))
    if operator == "parent_of":
        path = part.values[0]
        return tuple(paths.ancestors(path)) if path.startswith("/") else (path,)
    if "like" in operator or operator in ("begin_of", "is null", "is not null"):
        return part.values
    if operator.startswith("n") and operator[1:] in _COMPARISONS:
        return tuple(_number(value) for value in part.values)
    if place.integer:
        return tuple(_number(value) for value in part.values)
    return part.values


def bound_values(parts: tuple[Part, ...], place: Place) -> list[object]:
    """Everything to bind, in the order of the SQL's parameters."""
    return [value for part in parts for value in _bound(part, place)]


def sql(
    parts: tuple[Part, ...], place: Place, next_name: Callable[[], str], *, upper: bool, is_sqlite: bool
) -> str:
    """The condition over a column's expression, one named parameter for each bound value."""
    text = ""
    for part in parts:
        piece = _piece(part, place, next_name, upper=upper, is_sqlite=is_sqlite)
        text = f"{text} {part.connector} {piece}" if part.connector else piece
    return f"({text})"


def _piece(part: Part, place: Place, next_name: Callable[[], str], *, upper: bool, is_sqlite: bool) -> str:
    column = place.expression
    if upper and not place.integer:
        column = f"upper({column})"
    operator = part.operator
    names = [f":{next_name()}" for _ in _bound(part, place)]
    if operator in _COMPARISONS:
        return f"{column} {_COMPARISONS[operator]} {names[0]}"
    if operator in ("is null", "is not null"):
        return f"{column} {operator.upper()}"
    if operator.startswith("n") and operator[1:] in _COMPARISONS:
        return f"{_numeric(place, is_sqlite)} {_COMPARISONS[operator[1:]]} {names[0]}"
    if operator in ("in", "not in"):
        return f"{column} {operator.upper()} ({', '.join(names)})" if names else "1 = 0"
    if operator == "parent_of":
        return f"{column} IN ({', '.join(names)})"
    if operator in ("between", "not between"):
        return f"{column} {operator.upper()} {names[0]} AND {names[1]}"
    if operator == "begin_of":
        return f"substr({names[0]}, 1, length({column})) = {column}"
    if operator == "like" and len(names) == 2:
        return f"({column} >= {names[0]} AND {column} < {names[1]})"
    text = f"CAST({column} AS TEXT)" if place.integer else column
    return f"{text} {operator.upper()} {names[0]} ESCAPE '\\'"


def _numeric(place: Place, is_sqlite: bool) -> str:
    if place.integer:
        return place.expression
    if place.expression.endswith("m.value"):  # metadata: the indexed number beside the text
        return place.expression.removesuffix("value") + "number"
    if is_sqlite:
        return f"CAST({place.expression} AS NUMERIC)"
    return (
        f"CAST(CASE WHEN {place.expression} ~ '^[+-]?[0-9]+([.][0-9]+)?$' THEN {place.expression} END"
        " AS double precision)"
    )


def matches(parts: tuple[Part, ...], text: str) -> bool:
    """The condition applied to a text that is not in the catalog (a resource hierarchy)."""
    result = False
    for part in parts:
        one = _matches_one(part, text)
        result = (
            one if not part.connector else (result or one) if part.connector == "OR" else (result and one)
        )
    return result


def _matches_one(part: Part, text: str) -> bool:
    operator, values = part.operator, part.values
    if operator in ("like", "not like"):
        pattern = re.escape(values[0]).replace("%", ".*").replace("_", ".")
        return (re.fullmatch(pattern, text, re.DOTALL) is not None) == (operator == "like")
    if operator in ("in", "not in"):
        return (text in values) == (operator == "in")
    comparisons: dict[str, bool] = {
        "=": text == values[0], "<>": text != values[0], "!=": text != values[0], "<": text < values[0],
        ">": text > values[0], "<=": text <= values[0], ">=": text >= values[0],
    } if values else {}  # fmt: skip
    if operator not in comparisons:
        raise InvalidArgument(
            f"`{operator}` cannot be used on a resource hierarchy", status=Status.CAT_INVALID_ARGUMENT
        )
    return comparisons[operator]
