"""Loops over the frame in NumPy, for all its valid pixels at once: what serves where no device works. Floating point is single precision, as on devices."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from accel.frames import is_valid
from accel.users.bounds import Pass
from accel.users.nodes import (
    Assign,
    Binary,
    Call,
    Choose,
    Compare,
    Const,
    Draw,
    Expression,
    If,
    Logic,
    Loop,
    Name,
    Read,
    Reduce,
    Statement,
    Tally,
    Unary,
    Valid,
)
from accel.users.ranges import FLOAT

Array = Any
"""For each valid pixel, or one number for all of them."""


class Vectors:
    """One loop over one frame.

    Args:
        of: the loop.
        frame: rows and columns.
        mask: what is not 0 there does not count.
        images: parameters.
        values: numbers of the frame.
        bins: the length of each histogram.
    """

    def __init__(
        self, of: Pass, frame: NDArray[Any], mask: NDArray[Any], images: Mapping[str, NDArray[Any]], values: Mapping[str, Any],
        bins: Mapping[str, int],
    ) -> None:  # fmt: skip
        self._pass = of
        self._frame = frame
        self._shape = frame.shape
        self._valid = is_valid(frame[None], mask)[0]
        self._images = images
        self._bins = bins
        self._at = numpy.flatnonzero(self._valid)
        rows, columns = numpy.divmod(self._at, frame.shape[1])
        self._names: dict[str, Array] = {name: _number(value) for name, value in values.items()}
        self._names |= {of.node.y: rows, of.node.x: columns}
        self.reduced: dict[str, Any] = {}
        self.drawn = {name: numpy.full(frame.shape, numpy.nan, numpy.float32) for name in of.drawn}
        self.tallied = {
            name: numpy.zeros(bins[name], numpy.float64 if value.kind == FLOAT else numpy.int64)
            for name, value in of.tallied.items()
        }
        self.outside = 0

    def run(self) -> None:
        """Go through the frame."""
        with numpy.errstate(all="ignore"):
            self._block(self._pass.node.body, numpy.ones(len(self._at), bool))

    # -- statements ------------------------------------------------------------------------------------------

    def _block(self, body: Sequence[Statement], when: NDArray[numpy.bool_]) -> None:
        for one in body:
            match one:
                case Assign(_, name, value):
                    kept = self._pass.ranges[name].kind
                    kind: Any = numpy.float32 if kept == FLOAT else numpy.int64
                    before = self._names.get(name, kind(0))
                    self._names[name] = numpy.where(when, self._of(value, when), before).astype(kind)
                case Reduce(_, name, operator, value):
                    self._reduce(name, operator, self._of(value, when), when)
                case Draw(_, image, value):
                    self.drawn[image].ravel()[self._at[when]] = self._spread(self._of(value, when))[when]
                case Tally(_, name, index, value):
                    self._tally(name, self._spread(self._of(index, when)), self._spread(self._of(value, when)), when)  # fmt: skip
                case If(_, condition, then, otherwise):
                    truth = self._spread(self._of(condition, when)) != 0
                    self._block(then, when & truth)
                    self._block(otherwise, when & ~truth)
                case Loop():
                    self._loop(one, when)
                case _:
                    raise AssertionError(f"line {one.line} is no statement of a pixel")

    def _loop(self, one: Loop, when: NDArray[numpy.bool_]) -> None:
        begin, end, step = (self._of(part, when) for part in (one.begin, one.end, one.step))
        if not when.any():
            return
        first, last = (numpy.min(begin), numpy.max(end)) if step > 0 else (numpy.max(begin), numpy.min(end))
        if numpy.ndim(begin):  # steps begin where each pixel's own loop does
            numbers = range(int(numpy.max(numpy.abs(end - begin))))
            for number in numbers:
                place = begin + number * step
                inside = (place < end) if step > 0 else (place > end)
                self._names[one.name] = place
                self._block(one.body, when & inside)
            return
        for place in range(int(first), int(last), int(step)):
            inside = (place < end) if step > 0 else (place > end)
            self._names[one.name] = place
            self._block(one.body, when & inside)

    def _reduce(self, name: str, operator: str, value: Array, when: NDArray[numpy.bool_]) -> None:
        own = self._spread(value)[when]
        if not len(own):
            return
        kind = numpy.float64 if self._pass.reductions[name].of_pixel.kind == FLOAT else numpy.int64
        if operator == "+":
            self.reduced[name] = self.reduced.get(name, 0) + own.sum(dtype=kind)
            return
        own = own[~numpy.isnan(own)] if own.dtype.kind == "f" else own
        if len(own):
            found = (own.min() if operator == "min" else own.max()).astype(kind)
            take = min if operator == "min" else max
            self.reduced[name] = take(self.reduced[name], found) if name in self.reduced else found

    def _tally(self, name: str, index: Array, value: Array, when: NDArray[numpy.bool_]) -> None:
        inside = when & (index >= 0) & (index < self._bins[name])
        self.outside += int((when & ~inside).sum())
        found = self.tallied[name]
        numpy.add.at(found, index[inside], value[inside].astype(found.dtype))

    def _spread(self, value: Array) -> NDArray[Any]:
        return numpy.broadcast_to(numpy.asarray(value), self._at.shape)

    # -- expressions -----------------------------------------------------------------------------------------

    def _of(self, node: Expression, when: NDArray[numpy.bool_]) -> Array:
        match node:
            case Const(_, value):
                return _number(value)
            case Name(_, name):
                return self._names[name]
            case Read(_, image, y, x, own):
                return self._read(image, y, x, own, when)
            case Valid(_, y, x):
                row, column = self._spread(self._of(y, when)), self._spread(self._of(x, when))
                inside = self._inside(row, column)
                return inside & self._valid[numpy.where(inside, row, 0), numpy.where(inside, column, 0)]
            case Call(_, function, arguments):
                return self._called(function, [self._of(one, when) for one in arguments])
            case Binary(_, operator, left, right):
                return _arithmetic(operator, self._of(left, when), self._of(right, when))
            case Compare(_, operator, left, right):
                return _COMPARED[operator](self._of(left, when), self._of(right, when))
            case Logic(_, operator, parts):
                return self._logic(operator, parts, when)
            case Unary(_, operator, operand):
                found = self._of(operand, when)
                return numpy.asarray(found) == 0 if operator == "not" else -_summable(found)
            case Choose(_, condition, then, otherwise):
                truth = self._spread(self._of(condition, when)) != 0
                return numpy.where(truth, self._of(then, when & truth), self._of(otherwise, when & ~truth))
            case _:
                raise AssertionError(f"line {node.line} is read after the loop")

    def _logic(self, operator: str, parts: Sequence[Expression], when: NDArray[numpy.bool_]) -> Array:
        found = self._spread(self._of(parts[0], when)) != 0
        for one in parts[1:]:
            asked = when & (found if operator == "and" else ~found)
            truth = self._spread(self._of(one, asked)) != 0
            found = found & truth if operator == "and" else found | truth
        return found

    def _inside(self, row: NDArray[Any], column: NDArray[Any]) -> NDArray[numpy.bool_]:
        found: NDArray[numpy.bool_] = (row >= 0) & (row < self._shape[0]) & (column >= 0) & (column < self._shape[1])  # fmt: skip
        return found

    def _read(
        self, image: str, y: Expression, x: Expression, own: bool, when: NDArray[numpy.bool_]
    ) -> NDArray[Any]:
        whole = self._frame.dtype.kind != "f"
        if own:
            source = self._images[image] if image else self._frame
            taken = source.ravel()[self._at]
            return taken.astype(numpy.int64) if not image and whole else taken.astype(numpy.float32)
        row, column = self._spread(self._of(y, when)), self._spread(self._of(x, when))
        inside = self._inside(row, column)
        self.outside += int((when & ~inside).sum())
        row, column = numpy.where(inside, row, 0), numpy.where(inside, column, 0)
        if image:
            return numpy.where(inside, self._images[image][row, column], numpy.float32(0)).astype(numpy.float32)  # fmt: skip
        counts = inside & self._valid[row, column]
        kind = numpy.int64 if whole else numpy.float32
        return numpy.where(counts, self._frame[row, column], 0).astype(kind)

    def _called(self, function: str, given: list[Array]) -> Array:
        match function, given:
            case "rows", []:
                return self._shape[0]
            case "columns", []:
                return self._shape[1]
            case "abs", [one]:
                return numpy.abs(_summable(one))
            case "min", [one, two]:
                return numpy.where(_summable(one) < _summable(two), one, two)
            case "max", [one, two]:
                return numpy.where(_summable(one) > _summable(two), one, two)
            case "float", [one]:
                return numpy.asarray(one).astype(numpy.float32)
            case "int", [one]:
                return _as_int(one)
            case _:
                pass
        return getattr(numpy, {"atan2": "arctan2"}.get(function, function))(*(numpy.asarray(one).astype(numpy.float32) for one in given))  # fmt: skip


def _number(value: Any) -> Any:
    if isinstance(value, bool | int | numpy.integer):
        return numpy.int64(value)
    return numpy.float32(value)


def _summable(value: Array) -> Array:
    return value.astype(numpy.int64) if getattr(value, "dtype", None) == numpy.bool_ else value


def _as_int(value: Array) -> Array:
    given = numpy.asarray(value)
    if given.dtype.kind != "f":
        return given.astype(numpy.int64)
    whole = numpy.nan_to_num(given.astype(numpy.float64), nan=0.0, posinf=2.0**31 - 1, neginf=-(2.0**31))
    return numpy.trunc(numpy.clip(whole, -(2.0**31), 2.0**31 - 1)).astype(numpy.int64)


def _single(value: Array) -> Array:
    return numpy.asarray(value).astype(numpy.float32)


def _arithmetic(operator: str, left: Array, right: Array) -> Array:
    left, right = _summable(left), _summable(right)
    floating = operator == "/" or "f" in (numpy.asarray(left).dtype.kind, numpy.asarray(right).dtype.kind)
    if floating:
        left, right = _single(left), _single(right)
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
        case "//" if floating:
            return numpy.floor(left / right)
        case "%" if floating:
            return left - right * numpy.floor(left / right)
        case "//":
            return numpy.where(right == 0, 0, left // numpy.where(right == 0, 1, right))
        case "%":
            return numpy.where(right == 0, 0, left % numpy.where(right == 0, 1, right))
        case _:
            return left**right


_COMPARED = {
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}  # fmt: skip
