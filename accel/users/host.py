"""What a kernel does outside of its loops over the frame: a few numbers for each frame, in double precision."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from accel.errors import KernelEnded
from accel.users.nodes import (
    Assign,
    Binary,
    Call,
    Choose,
    Compare,
    Const,
    Expression,
    If,
    Item,
    Logic,
    Loop,
    Name,
    Statement,
    Unary,
)

MOST_STEPS: Final = 100_000
"""For one frame."""

Values = dict[str, Any]


class Host:
    """Numbers of one frame.

    Args:
        values: parameters, and everything that was found so far.
        shape: rows and columns.
    """

    def __init__(self, values: Values, shape: tuple[int, int]) -> None:
        self.values = values
        self._shape = shape
        self._steps = 0

    def run(self, body: Sequence[Statement]) -> None:
        """Run statements.

        Raises:
            KernelEnded: they take too many steps.
        """
        for one in body:
            self._step(one.line)
            match one:
                case Assign(_, name, value):
                    self.values[name] = self.of(value)
                case If(_, condition, then, otherwise):
                    self.run(then if self.of(condition) else otherwise)
                case Loop(_, name, begin, end, step, inner):
                    for number in range(self.of(begin), self.of(end), self.of(step)):
                        self.values[name] = number
                        self.run(inner)
                    self.values.pop(name, None)
                case _:
                    raise AssertionError(f"line {one.line} is of a loop over the frame")

    def of(self, node: Expression) -> Any:
        """The value of an expression."""
        self._step(node.line)
        match node:
            case Const(_, value):
                return value
            case Name(_, name):
                return self.values[name]
            case Item(_, name, index):
                return self.values[name][self.of(index)]
            case Call(_, "rows", _):
                return self._shape[0]
            case Call(_, "columns", _):
                return self._shape[1]
            case Call(_, function, arguments):
                return FUNCTIONS[function](*(self.of(one) for one in arguments))
            case Binary(_, operator, left, right):
                return ARITHMETIC[operator](self.of(left), self.of(right))
            case Compare(_, operator, left, right):
                return COMPARISONS[operator](self.of(left), self.of(right))
            case Logic(_, operator, parts):
                take = all if operator == "and" else any
                return take(bool(self.of(one)) for one in parts)
            case Unary(_, operator, operand):
                return not self.of(operand) if operator == "not" else -self.of(operand)
            case Choose(_, condition, then, otherwise):
                return self.of(then) if self.of(condition) else self.of(otherwise)
            case _:
                raise AssertionError(f"line {node.line} is of a loop over the frame")

    def _step(self, line: int) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise KernelEnded(f"line {line}: what is done for a frame takes more than {MOST_STEPS} steps")


def _divided(a: float, b: float) -> float:
    if b == 0:
        return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a)
    return a / b


def _floored(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int):
        return 0 if b == 0 else a // b
    found = _divided(a, b)
    return float(math.floor(found)) if math.isfinite(found) else found


def _rest(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int):
        return 0 if b == 0 else a % b
    return a - b * _floored(a, b)


def _power(a: Any, b: Any) -> Any:
    try:
        found = a**b
    except (ZeroDivisionError, OverflowError):
        return math.inf
    return math.nan if isinstance(found, complex) else found


def _safe(
    function: Callable[[float], float], otherwise: Callable[[float], float]
) -> Callable[[float], float]:
    def called(value: float) -> float:
        try:
            return function(value)
        except (ValueError, OverflowError):
            return otherwise(value)

    return called


def _int(value: float) -> int:
    if isinstance(value, int):
        return int(value)
    if math.isnan(value):
        return 0
    return int(max(-(1 << 31), min((1 << 31) - 1, value)))


ARITHMETIC: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": _divided, "//": _floored, "%": _rest, "**": _power,
}  # fmt: skip
COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}  # fmt: skip
FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": abs, "min": min, "max": max, "int": _int, "float": float, "sqrt": _safe(math.sqrt, lambda _: math.nan),
    "exp": _safe(math.exp, lambda _: math.inf), "log": _safe(math.log, lambda x: -math.inf if x == 0 else math.nan),
    "sin": _safe(math.sin, lambda _: math.nan), "cos": _safe(math.cos, lambda _: math.nan), "atan2": math.atan2, "hypot": math.hypot,
    "floor": lambda x: float(math.floor(x)) if math.isfinite(x) else x,
}  # fmt: skip
