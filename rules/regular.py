"""Regular expressions that cannot take longer than their text is long.

A subset of what Python's `re` reads: literals, classes, groups, alternatives, and repetition of what repeats nothing
itself. What is repeated more than a few times, except the last such place, has to be followed by something that
cannot begin with a repeated character: then there is one way to match a text, and nothing is tried twice.
"""

import re
from re import _constants as codes  # the parser is what tells the forms apart
from re import _parser as parser
from typing import Any, Final

MAX_LENGTH: Final = 500
FEW: Final = 16
_REPEATS: Final = (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT)
_FORBIDDEN: Final = {
    codes.GROUPREF: "back-references", codes.GROUPREF_EXISTS: "back-references", codes.ASSERT: "look-ahead",
    codes.ASSERT_NOT: "look-ahead", codes.ATOMIC_GROUP: "atomic groups",
}  # fmt: skip
_OTHERS: Final = 256  # stands for every character above the first 256
_ALL: Final = frozenset(range(_OTHERS + 1))


class RegularExpressionError(ValueError):
    """An expression that is wrong, or that might take too long."""


def compile_linear(expression: str) -> re.Pattern[str]:
    """Compile an expression of the subset; it has to match a whole text.

    Raises:
        RegularExpressionError: it is none, or not of the subset.
    """
    if len(expression) > MAX_LENGTH:
        raise RegularExpressionError(f"it is longer than {MAX_LENGTH} characters")
    try:
        tree = list(parser.parse(expression))
    except (re.error, RecursionError, OverflowError) as error:
        raise RegularExpressionError(str(error)) from None
    _refuse(tree, repeated=False)
    _one_way(tree, follow=frozenset(), more_follows=False)
    return re.compile(expression, re.DOTALL)


def _refuse(items: list[Any], *, repeated: bool) -> None:
    """Refuse what has no bound of its own."""
    for operation, argument in items:
        if operation in _FORBIDDEN:
            raise RegularExpressionError(f"{_FORBIDDEN[operation]} are not possible")
        if operation in _REPEATS:
            low, high, inner = argument
            if repeated:
                raise RegularExpressionError("a repetition inside a repetition is not possible")
            if low > 1000 or 1000 < high < codes.MAXREPEAT:
                raise RegularExpressionError("nothing may be repeated more than 1000 times")
            _refuse(list(inner), repeated=True)
        elif operation is codes.SUBPATTERN:
            _refuse(list(argument[-1]), repeated=repeated)
        elif operation is codes.BRANCH:
            if repeated:
                raise RegularExpressionError("alternatives inside a repetition are not possible")
            for branch in argument[1]:
                _refuse(list(branch), repeated=repeated)


def _one_way(items: list[Any], *, follow: frozenset[int], more_follows: bool) -> None:
    """Refuse a long repetition that may end at several places when another one comes after it."""
    for index, (operation, argument) in enumerate(items):
        rest = items[index + 1 :]
        more = more_follows or any(_has_long(entry) for entry in rest)
        after = _first(rest) | (follow if all(_may_be_empty(entry) for entry in rest) else frozenset())
        if operation in _REPEATS and argument[1] > FEW and more and _first(list(argument[2])) & after:
            raise RegularExpressionError(
                "what is repeated has to end where something else begins, when more is repeated after it"
            )
        if operation is codes.SUBPATTERN:
            _one_way(list(argument[-1]), follow=after, more_follows=more)
        elif operation is codes.BRANCH:
            for branch in argument[1]:
                _one_way(list(branch), follow=after, more_follows=more)


def _has_long(entry: Any) -> bool:
    operation, argument = entry
    if operation in _REPEATS:
        return bool(argument[1] > FEW)
    if operation is codes.SUBPATTERN:
        return any(_has_long(inner) for inner in argument[-1])
    return operation is codes.BRANCH and any(_has_long(inner) for branch in argument[1] for inner in branch)


def _may_be_empty(entry: Any) -> bool:
    operation, argument = entry
    if operation in _REPEATS:
        return bool(argument[0] == 0) or all(_may_be_empty(inner) for inner in argument[2])
    if operation is codes.SUBPATTERN:
        return all(_may_be_empty(inner) for inner in argument[-1])
    if operation is codes.BRANCH:
        return any(all(_may_be_empty(inner) for inner in branch) for branch in argument[1])
    return operation is codes.AT


def _first(items: list[Any]) -> frozenset[int]:
    """The characters that something may begin with."""
    found: frozenset[int] = frozenset()
    for entry in items:
        found |= _first_of(entry)
        if not _may_be_empty(entry):
            break
    return found


def _first_of(entry: Any) -> frozenset[int]:
    operation, argument = entry
    if operation is codes.LITERAL:
        return frozenset({min(argument, _OTHERS)})
    if operation is codes.RANGE:
        return frozenset(range(min(argument[0], _OTHERS), min(argument[1], _OTHERS) + 1))
    if operation is codes.IN:
        inverted = bool(argument) and argument[0][0] is codes.NEGATE
        inner = [_first_of(item) for item in argument if item[0] is not codes.NEGATE]
        found: frozenset[int] = frozenset().union(*inner)
        return (_ALL - found) | {_OTHERS} if inverted else found
    if operation is codes.CATEGORY:
        shape = {codes.CATEGORY_DIGIT: r"\d", codes.CATEGORY_SPACE: r"\s", codes.CATEGORY_WORD: r"\w"}.get(
            argument
        )
        if shape is None:
            return _ALL
        return frozenset(n for n in range(_OTHERS) if re.match(shape, chr(n))) | {_OTHERS}
    if operation in _REPEATS:
        return _first(list(argument[2]))
    if operation is codes.SUBPATTERN:
        return _first(list(argument[-1]))
    if operation is codes.BRANCH:
        return frozenset().union(*(_first(list(branch)) for branch in argument[1]))
    return frozenset() if operation is codes.AT else _ALL


def matches_wildcards(text: str, pattern: str) -> bool:
    """Whether a whole text fits a pattern in which `*` is any stretch and `?` any character."""
    at = mark = position = 0
    star = -1
    while position < len(text):
        if at < len(pattern) and (pattern[at] == "?" or pattern[at] == text[position]) and pattern[at] != "*":
            at, position = at + 1, position + 1
        elif at < len(pattern) and pattern[at] == "*":
            star, mark = at, position
            at += 1
        elif star >= 0:
            mark += 1
            at, position = star + 1, mark
        else:
            return False
    return all(character == "*" for character in pattern[at:])
