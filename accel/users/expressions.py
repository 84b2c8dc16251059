"""Expressions of kernels by users as OpenCL C, each in a type that holds all that it can be."""

import math
from collections.abc import Sequence
from typing import Final

from accel.users.bounds import Pass
from accel.users.nodes import (
    Binary,
    Call,
    Choose,
    Compare,
    Const,
    Expression,
    Item,
    Logic,
    Name,
    Read,
    Unary,
    Valid,
)
from accel.users.ranges import BOOL, FLOAT, INT, Range

_MATH: Final = {"sqrt", "exp", "log", "sin", "cos", "atan2", "hypot", "floor"}


class Expressions:
    """Writes the expressions of one loop over the frame; `_index` is the pixel's place in its block."""

    def __init__(self, of: Pass) -> None:
        self._pass = of
        self._index = "i"

    def _of(self, node: Expression) -> str:
        match node:
            case Const(_, value):
                return self._number(value, self._range(node).kind)
            case Name(_, name):
                return f"u_{name}"
            case Read(_, image, y, x, own):
                return self._read(image, y, x, own)
            case Valid(_, y, x):
                row, column = self._of(y), self._of(x)
                return f"valid_at(mine, mask, rows, columns, {row}, {column})"
            case Call(_, function, arguments):
                return self._called(node, function, arguments)
            case Binary(_, operator, left, right):
                return self._binary(node, operator, left, right)
            case Compare(_, operator, left, right):
                whole = self._compared_whole(operator, left, right)
                if whole:
                    return whole
                kind = self._common(left, right)
                return f"({self._cast(left, kind)} {operator} {self._cast(right, kind)})"
            case Logic(_, operator, parts):
                sign = " && " if operator == "and" else " || "
                if self._pass.is_plain:
                    sign = " & " if operator == "and" else " | "
                return "(" + sign.join(self._truth(one) for one in parts) + ")"
            case Unary(_, operator, operand):
                if operator == "not":
                    return f"(!{self._truth(operand)})"
                return f"(-{self._as(operand, self._range(node))})"
            case Choose(_, condition, then, otherwise):
                kept = self._range(node)
                return f"({self._truth(condition)} ? {self._as(then, kept)} : {self._as(otherwise, kept)})"
            case Item():
                raise AssertionError("histograms are read after the loop")

    def _truth(self, node: Expression) -> str:
        found = self._of(node)
        return found if self._range(node).kind == BOOL else f"({found} != 0)"

    def _cast(self, node: Expression, kind: str) -> str:
        """An expression as a type of C; what has it already is left alone."""
        found = self._of(node)
        return found if self._type(self._range(node)) == kind else f"({kind}){found}"

    def _as(self, node: Expression, kept: Range) -> str:
        return self._cast(node, self._type(kept))

    def _as_float(self, node: Expression) -> str:
        return self._cast(node, "float")

    def _bracketed(self, node: Expression) -> str:
        found = self._truth(node)
        return found if found.startswith("(") else f"({found})"

    def _compared_whole(self, operator: str, left: Expression, right: Expression) -> str:
        """A whole number against a known one with a fraction, as whole numbers: exact, and quicker."""
        one, other = self._range(left), self._range(right)
        if one.kind == FLOAT or other.kind != FLOAT or not other.is_known or not abs(other.low) < 1 << 31 or operator in ("==", "!="):  # fmt: skip
            return ""
        end = math.floor(other.low) if operator in (">", "<=") else math.ceil(other.low)
        return f"({self._of(left)} {operator} {self._number(end, INT)})"

    def _common(self, left: Expression, right: Expression) -> str:
        """A type that holds both."""
        return self._type(self._range(left).joined(self._range(right)))

    def _read(self, image: str, y: Expression, x: Expression, own: bool) -> str:
        if own:
            return f"u_{image}__p[{self._index} * STEP]" if image else "pixel"
        row, column = self._of(y), self._of(x)
        if image:
            return f"image_at(u_{image}, rows, columns, {row}, {column}, &outside)"
        return f"pixel_at(mine, mask, rows, columns, {row}, {column}, &outside)"

    def _called(self, node: Call, function: str, arguments: Sequence[Expression]) -> str:
        kept = self._range(node)
        if function in ("rows", "columns"):
            return function
        if function in ("min", "max"):
            kind = self._common(*arguments)
            one, two = (self._cast(part, kind) for part in arguments)
            return self._narrowed(f"{kind}_{function}({one}, {two})", kind, kept)
        if function == "abs":
            one = self._as(arguments[0], kept)
            return f"fabs({one})" if kept.kind == FLOAT else f"{self._type(kept)}_abs({one})"
        if function == "int":
            given = self._range(arguments[0])
            return f"convert_int_sat_rtz({self._of(arguments[0])})" if given.kind == FLOAT else self._as(arguments[0], kept)  # fmt: skip
        if function == "float":
            return self._as_float(arguments[0])
        assert function in _MATH, function
        return f"{function}({', '.join(self._as_float(one) for one in arguments)})"

    def _binary(self, node: Binary, operator: str, left: Expression, right: Expression) -> str:
        kept = self._range(node)
        kind = self._type(kept.joined(self._range(left)).joined(self._range(right)))
        a, b = self._cast(left, kind), self._cast(right, kind)
        if operator == "**":
            return self._power(kind, kept, right, a, b)
        if operator in ("//", "%"):
            if kept.kind == FLOAT:
                return f"floor({a} / {b})" if operator == "//" else f"float_mod({a}, {b})"
            divisor, dividend = self._range(right), self._range(left)
            if divisor.low > 0 and dividend.low >= 0:
                wide = self._type(dividend.joined(divisor))
                return self._narrowed(
                    f"({self._cast(left, wide)} {'/' if operator == '//' else '%'} {self._cast(right, wide)})",
                    wide,
                    kept,
                )
            return f"({self._type(kept)}){'floor_div' if operator == '//' else 'floor_mod'}({self._of(left)}, {self._of(right)})"
        return self._narrowed(f"({a} {operator} {b})", kind, kept)

    def _narrowed(self, found: str, kind: str, kept: Range) -> str:
        """What was computed in a wide type, as the type that it fits."""
        return found if kind == self._type(kept) else f"({self._type(kept)}){found}"

    def _power(self, kind: str, kept: Range, right: Expression, a: str, b: str) -> str:
        exponent = self._range(right)
        if exponent.kind != FLOAT and exponent.is_known and 0 <= exponent.low <= 8:
            return self._narrowed(f"{kind}_power({a}, {int(exponent.low)})", kind, kept)
        return f"pow({a}, {b})"

    # -- types -----------------------------------------------------------------------------------------------

    def _range(self, node: Expression) -> Range:
        return self._pass.range_of(node)

    def _type(self, kept: Range) -> str:
        if kept.kind == FLOAT:
            return "float"
        return "int" if kept.kind == BOOL or fits_int(kept) else "long"

    def _number(self, value: float, kind: str) -> str:
        if kind == FLOAT:
            return f"{float(value)!r}f" if math.isfinite(value) else "NAN"
        if kind == BOOL:
            return str(int(value))
        small = -(1 << 31) < value < 1 << 31
        return str(int(value)) if small and value >= 0 else f"({int(value)}{'' if small else 'L'})"


def fits_int(kept: Range) -> bool:
    return kept.low >= -(1 << 31) and kept.high < 1 << 31
