"""Types, bounds and cost of a kernel for frames of a shape and a type, before it may run.

Every number has a type (truth, whole, floating) and an interval that it cannot leave; loops run so often at the most; reads are known to lie in the frame, or
are guarded. Whole numbers that may not fit 64 bits, and kernels that cost too much, are refused.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy

from accel.users.language import refuse
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
    Item,
    Logic,
    Loop,
    Name,
    Pixels,
    Program,
    Read,
    Reduce,
    Statement,
    Tally,
    Unary,
    Valid,
)
from accel.users.ranges import ANY_FLOAT, BOOL, FLOAT, INT, TRUTH, Range, arithmetic, merged, pixels_of, whole

MOST_COST: Final = 20_000
"""Operations for a pixel."""

MOST_TRIPS: Final = 4096
MOST_BINS: Final = 65_536
MOST_STEPS: Final = 60_000
"""Of looking at a kernel."""


@dataclass(slots=True)
class Reduction:
    """A number of the whole frame: how pixels change it, what one of them gives, and what all statements of one pixel give together."""

    operator: str
    value: Range
    of_pixel: Range


@dataclass(slots=True)
class Pass:
    """One loop over the frame.

    Attributes:
        ranges: of the variables of a pixel.
        reductions: by the name of the number.
        drawn: the images that it makes.
        tallied: histograms, with what is added to them.
        constants: numbers of the frame that are the same for all frames.
        beside: those that are not; they come with each frame.
        is_plain: nothing but its own pixel is read, and there is no loop in it.
        may_leave: some read, or a bin, may lie outside.
        pixel: what a pixel of the frame can be.
        range_of: type and interval of an expression, wherever in the loop it stands.
    """

    node: Pixels
    pixel: Range
    range_of: Callable[[Expression], Range]
    ranges: dict[str, Range] = field(default_factory=dict)
    reductions: dict[str, Reduction] = field(default_factory=dict)
    drawn: set[str] = field(default_factory=set)
    tallied: dict[str, Range] = field(default_factory=dict)
    constants: dict[str, Range] = field(default_factory=dict)
    beside: dict[str, Range] = field(default_factory=dict)
    is_plain: bool = True
    may_leave: bool = False


@dataclass(frozen=True, slots=True)
class Bounded:
    """A kernel with everything that is known of it for frames.

    Attributes:
        passes: the loops over the frame, in order.
        bins: the length of each histogram.
        cost: operations for a pixel, at the most.
    """

    passes: tuple[Pass, ...]
    bins: Mapping[str, int]
    cost: int


def bound(
    program: Program, shape: tuple[int, int], dtype: numpy.dtype[Any], values: Mapping[str, float]
) -> Bounded:
    """Types, bounds and cost.

    Raises:
        KernelRefused: a variable may have no value, a number does not fit, an index is none, or it costs too much.
    """
    return _Analysis(program, shape, dtype, values).run()


class _Analysis:
    def __init__(
        self, program: Program, shape: tuple[int, int], dtype: numpy.dtype[Any], values: Mapping[str, float]
    ) -> None:
        self._program = program
        self._shape = shape
        self._pixel = pixels_of(dtype)
        self._numbers = {one.name: one for one in program.given if one.kind != "image"}
        self._outer: dict[str, Range] = {
            name: Range(self._numbers[name].kind, value, value) for name, value in values.items() if name in self._numbers
        }  # fmt: skip
        self._bins: dict[str, int] = {}
        self._in: Pass | None = None
        self._kinds: dict[str, str] = {}
        self._steps = 0
        self._times = 1
        self._records = False
        self._is_done = False
        self._reducing: set[str] = set()
        self._cost = 0

    def run(self) -> Bounded:
        for name, length in self._program.histograms:
            found = self._of(length, self._outer)
            if found.kind != INT or not found.is_known or not 1 <= found.low <= MOST_BINS:
                refuse(length.line, f"the length of `{name}` was expected to be a whole number from 1 to {MOST_BINS} that is known before the frames are")  # fmt: skip
            self._bins[name] = int(found.low)
        passes = []
        for one in self._program.body:
            if isinstance(one, Pixels):
                passes.append(self._pass(one))
            else:
                self._outer = self._statement(one, self._outer)
        for _, value in self._program.results:
            if not (isinstance(value, Name) and (value.name in self._program.images or value.name in self._bins)):  # fmt: skip
                self._of(value, self._outer)
        drawn = {name for one in passes for name in one.drawn}
        for name in self._program.images:
            if name not in drawn:
                refuse(passes[0].node.line, f"nothing is drawn into `{name}`")
        if self._cost > MOST_COST:
            refuse(passes[0].node.line, f"a pixel costs up to {self._cost} operations; {MOST_COST} at the most may be spent")  # fmt: skip
        return Bounded(tuple(passes), self._bins, self._cost)

    # -- loops over the frame --------------------------------------------------------------------------------

    def _pass(self, node: Pixels) -> Pass:
        self._kinds = {}
        self._reducing = _reduced_in(node.body)
        while True:  # a variable that is whole here and floating there is floating everywhere; types only widen, so this ends
            found = Pass(node, self._pixel, lambda one: ANY_FLOAT)
            self._in = found
            found.range_of = lambda one, of=found: self._anywhere(of, one)  # type: ignore[misc]
            before = dict(self._kinds)
            rows, columns = self._shape
            inner = {node.y: Range(INT, 0, rows - 1), node.x: Range(INT, 0, columns - 1)}
            self._records, self._times = True, 1
            cost = self._cost
            found.ranges |= inner
            self._block(node.body, inner)
            self._records = False
            if self._kinds == before:
                break
            self._cost = cost
        self._in = None
        if not (found.reductions or found.drawn or found.tallied):
            refuse(
                node.line,
                "this loop over the frame finds nothing: add to a number, draw into an image, or count in a histogram",
            )
        pixels = rows * columns
        for name, reduction in found.reductions.items():
            start, change = self._outer[name], reduction.of_pixel
            if reduction.operator == "+":
                change = Range(change.kind, min(0, change.low * pixels), max(0, change.high * pixels))
                end = self._checked(node.line, Range(change.kind, start.low + change.low, start.high + change.high).joined(start))  # fmt: skip
            else:
                end = change.joined(start)
            self._outer[name] = end
        return found

    def _block(self, body: Sequence[Statement], env: dict[str, Range]) -> dict[str, Range]:
        for one in body:
            env = self._statement(one, env)
        return env

    def _statement(self, one: Statement, env: dict[str, Range]) -> dict[str, Range]:
        self._steps += 1
        if self._steps > MOST_STEPS:
            refuse(
                one.line, "it takes too long to find out what the loops of this kernel do; make them shorter"
            )
        match one:
            case Assign(line, name, value):
                return {**env, name: self._kept(line, name, self._of(value, env))}
            case Reduce(line, name, operator, value):
                self._reduced(line, name, operator, self._of(value, env))
            case Draw(_, image, value):
                self._of(value, env)
                self._here().drawn.add(image)
            case Tally(line, name, index, value):
                self._tallied(line, name, self._of(index, env), self._of(value, env))
            case If(_, condition, then, otherwise):
                self._of(condition, env)
                return merged(self._block(then, env), self._block(otherwise, env))
            case Loop():
                return self._looped(one, env)
            case Pixels(line):
                refuse(line, "loops over the frame do not lie in each other")
        return env

    def _kept(self, line: int, name: str, value: Range) -> Range:
        if self._in is None:
            return value
        kind = self._kinds.get(name, value.kind)
        together = value.joined(Range(kind, value.low, value.high)).kind
        self._kinds[name] = together
        kept = Range(together, value.low, value.high)
        known = self._in.ranges.get(name)
        self._in.ranges[name] = kept if known is None else known.joined(kept)
        return kept

    def _reduced(self, line: int, name: str, operator: str, value: Range) -> None:
        if self._in is None or name not in self._outer:
            refuse(line, f"`{name}` has no value before the loop over the frame")
        if value.kind == BOOL:
            value = Range(INT, value.low, value.high)
        known = self._in.reductions.get(name)
        if known is not None and known.operator != operator:
            refuse(line, f"`{name}` is both added to and compared; take two numbers")
        each = value
        if operator == "+":
            each = Range(value.kind, min(0, value.low) * self._times, max(0, value.high) * self._times)
        if known is None:
            self._in.reductions[name] = Reduction(operator, value, each)
        elif self._records:
            together = each.joined(known.of_pixel)
            if operator == "+":
                together = Range(
                    together.kind, each.low + known.of_pixel.low, each.high + known.of_pixel.high
                )
            self._in.reductions[name] = Reduction(operator, value.joined(known.value), together)

    def _tallied(self, line: int, name: str, index: Range, value: Range) -> None:
        if index.kind == FLOAT:
            refuse(line, f"the number of a bin of `{name}` is a whole one: `int(...)`")
        here = self._here()
        here.is_plain = False
        if index.low < 0 or index.high >= self._bins[name]:
            here.may_leave = True
        known = here.tallied.get(name)
        own = Range(INT, value.low, value.high) if value.kind == BOOL else value
        here.tallied[name] = own if known is None else known.joined(own)

    def _looped(self, one: Loop, env: dict[str, Range]) -> dict[str, Range]:
        begin, end, step = (self._of(part, env) for part in (one.begin, one.end, one.step))
        if FLOAT in (begin.kind, end.kind, step.kind) or not step.is_known or step.low == 0:
            refuse(one.line, "a loop goes over whole numbers, in steps that are known and not 0")
        up = step.low > 0
        low, high = (begin.low, end.high - 1) if up else (end.low + 1, begin.high)
        trips = max(0, math.ceil(((end.high - begin.low) if up else (begin.high - end.low)) / abs(step.low))) if math.isfinite(high - low) else math.inf  # fmt: skip
        if trips > MOST_TRIPS:
            refuse(one.line, f"this loop may run {trips:g} times; {MOST_TRIPS} at the most were expected, known before the frames are")  # fmt: skip
        if self._in is not None:
            self._in.is_plain = False
        if trips == 0:
            return env
        if low < -(1 << 31) or high >= 1 << 31:
            refuse(one.line, "a loop goes over numbers that fit 32 bits")
        inner = {**env, one.name: self._kept(one.line, one.name, Range(INT, low, high))}
        records, times, cost = self._records, self._times, self._cost
        self._records = False
        for _ in range(int(trips)):
            after = merged(inner, self._block(one.body, inner))
            after[one.name] = inner[one.name]
            if after == inner:
                break
            inner = {**inner, **after}
        self._records, self._times, self._cost = records, times * int(trips), cost
        found = self._block(one.body, inner)
        self._times = times
        return {name: value for name, value in merged(env, found).items() if name != one.name}

    def _here(self) -> Pass:
        assert self._in is not None, "only pixels are drawn and tallied"
        return self._in

    # -- expressions -----------------------------------------------------------------------------------------

    def _of(self, node: Expression, env: Mapping[str, Range]) -> Range:
        if self._records and self._in is not None:
            self._cost += self._times
        found = self._range(node, env)
        return self._checked(node.line, found)

    def _anywhere(self, of: Pass, node: Expression) -> Range:
        """As `_of`, by all that variables can be in a loop."""
        self._in, self._records, self._is_done = of, False, True
        return self._of(node, {**of.constants, **of.beside, **of.ranges})

    def _checked(self, line: int, found: Range) -> Range:
        if self._is_done:
            return found
        if found.kind == INT and (found.low < -(1 << 63) or found.high >= 1 << 63):
            refuse(line, "a whole number may not fit 64 bits here; make it `float(...)`")
        return found

    def _range(self, node: Expression, env: Mapping[str, Range]) -> Range:
        match node:
            case Const(_, value):
                return Range(BOOL if isinstance(value, bool) else INT if isinstance(value, int) else FLOAT, value, value)  # fmt: skip
            case Name(line, name):
                return self._named(line, name, env)
            case Read(line, image, y, x, own):
                return self._read(line, image, self._of(y, env), self._of(x, env), own)
            case Valid(line, y, x):
                self._index(line, self._of(y, env), self._of(x, env))
                self._here().is_plain = False
                return TRUTH
            case Item(line, name, index):
                at = self._of(index, env)
                if at.kind == FLOAT or at.low < 0 or at.high >= self._bins[name]:
                    refuse(
                        line,
                        f"`{name}` has the bins 0 to {self._bins[name] - 1}; the index may be another one",
                    )
                return ANY_FLOAT
            case Call(line, function, arguments):
                return self._called(line, function, [self._of(one, env) for one in arguments])
            case Binary(line, operator, left, right):
                return arithmetic(line, operator, self._of(left, env), self._of(right, env))
            case Compare(_, _, left, right):
                self._of(left, env)
                self._of(right, env)
                return TRUTH
            case Logic(_, _, parts):
                for one in parts:
                    self._of(one, env)
                return TRUTH
            case Unary(_, operator, operand):
                found = self._of(operand, env)
                if operator == "not":
                    return TRUTH
                return Range(FLOAT if found.kind == FLOAT else INT, -found.high, -found.low)
            case Choose(_, condition, then, otherwise):
                self._of(condition, env)
                return self._of(then, env).joined(self._of(otherwise, env))

    def _named(self, line: int, name: str, env: Mapping[str, Range]) -> Range:
        if name in env:
            return env[name]
        if self._in is not None:
            if name in self._reducing:
                refuse(line, f"pixels come in no order: `{name}` is read after the loop over the frame")
            if name in self._outer:
                found = self._outer[name]
                (self._in.constants if found.is_known else self._in.beside)[name] = found
                return found
        return refuse(line, f"`{name}` may have no value here")

    def _read(self, line: int, image: str, y: Range, x: Range, own: bool) -> Range:
        here = self._here()
        if not own:
            self._index(line, y, x)
            here.is_plain = False
            rows, columns = self._shape
            if y.low < 0 or x.low < 0 or y.high >= rows or x.high >= columns:
                here.may_leave = True
        if image:
            return ANY_FLOAT
        return self._pixel if own else self._pixel.joined(Range(self._pixel.kind, 0, 0))

    def _index(self, line: int, y: Range, x: Range) -> None:
        if FLOAT in (y.kind, x.kind):
            refuse(line, "rows and columns are whole numbers: `int(...)`")

    def _called(self, line: int, function: str, given: list[Range]) -> Range:
        match function, given:
            case "rows", []:
                return Range(INT, self._shape[0], self._shape[0])
            case "columns", []:
                return Range(INT, self._shape[1], self._shape[1])
            case "abs", [one]:
                low = 0 if one.low <= 0 <= one.high else min(abs(one.low), abs(one.high))
                return Range(FLOAT if one.kind == FLOAT else INT, low, max(abs(one.low), abs(one.high)))
            case (("min" | "max"), [one, two]):
                take = min if function == "min" else max
                return Range(one.joined(two).kind, take(one.low, two.low), take(one.high, two.high))
            case "int", [one]:
                if one.kind != FLOAT:
                    return Range(INT, one.low, one.high)
                return Range(INT, *(max(-(1 << 31), min((1 << 31) - 1, whole(end))) for end in (one.low, one.high)))  # fmt: skip
            case "float", [one]:
                return Range(FLOAT, one.low, one.high)
            case _:
                return ANY_FLOAT


def _reduced_in(body: Sequence[Statement]) -> set[str]:
    found: set[str] = set()
    for one in body:
        match one:
            case Reduce(_, name):
                found.add(name)
            case If(_, _, then, otherwise):
                found |= _reduced_in(then) | _reduced_in(otherwise)
            case Loop():
                found |= _reduced_in(one.body)
            case _:
                pass
    return found
