"""OpenCL C for kernels by users, in the form that compilers turn into vector instructions, and that people can read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from accel.users.bounds import Bounded, Pass
from accel.users.expressions import Expressions, fits_int
from accel.users.nodes import (
    Assign,
    Draw,
    If,
    Loop,
    Name,
    Pixels,
    Program,
    Read,
    Reduce,
    Statement,
    Tally,
)
from accel.users.ranges import FLOAT

LANES: Final = 32
BLOCK: Final = 4096

_PRELUDE: Final = """#pragma OPENCL FP_CONTRACT OFF
inline long floor_div(const long a, const long b) { return b == 0 ? 0 : a / b - ((a % b != 0) & ((a < 0) != (b < 0))); }
inline long floor_mod(const long a, const long b) { return b == 0 ? 0 : a % b + (((a % b != 0) & ((a < 0) != (b < 0))) ? b : 0); }
inline float float_mod(const float a, const float b) { return a - b * floor(a / b); }
#define FOR_TYPE(type) \\
    inline type type##_min(const type a, const type b) { return a < b ? a : b; } \\
    inline type type##_max(const type a, const type b) { return a > b ? a : b; } \\
    inline type type##_abs(const type a) { return a < 0 ? -a : a; } \\
    inline type type##_power(const type a, const int n) { type found = 1; for (int i = 0; i < n; i++) found *= a; return found; }
FOR_TYPE(int)
FOR_TYPE(long)
FOR_TYPE(float)
#define INSIDE(y, x) (((y) >= 0) & ((y) < rows) & ((x) >= 0) & ((x) < columns))
inline int valid_at(__global const T *restrict mine, __global const uchar *restrict mask, const int rows, const int columns, const long y, const long x)
{
    return INSIDE(y, x) && OWN(mine[y * columns + x]) && mask[y * columns + x] == 0;
}
inline PIXEL pixel_at(__global const T *restrict mine, __global const uchar *restrict mask, const int rows, const int columns, const long y, const long x,
                      ulong *outside)
{
    if (!INSIDE(y, x)) { (*outside)++; return 0; }
    return valid_at(mine, mask, rows, columns, y, x) ? (PIXEL)mine[y * columns + x] : 0;
}
inline float image_at(__global const float *restrict image, const int rows, const int columns, const long y, const long x, ulong *outside)
{
    if (!INSIDE(y, x)) { (*outside)++; return 0.0f; }
    return image[y * columns + x];
}
"""


@dataclass(frozen=True, slots=True)
class Written:
    """The text of one pass, and what it writes.

    Attributes:
        reductions: numbers by part, in order: name and whether whole.
        images: names.
        histograms: name, bins, whether whole.
        counts_outside: how many reads lay outside is written too, last.
        beside: numbers of each frame that it reads.
        images_read: parameters.
    """

    entry: str
    source: str
    reductions: tuple[tuple[str, bool], ...]
    images: tuple[str, ...]
    histograms: tuple[tuple[str, int, bool], ...]
    counts_outside: bool
    beside: tuple[str, ...]
    images_read: tuple[str, ...]


def write(program: Program, bounded: Bounded) -> list[Written]:
    """The kernels of a program, one for each loop over the frame."""
    given = tuple(one.name for one in program.given if one.kind == "image")
    return [
        _Writer(program.name, number, one, bounded, given).written()
        for number, one in enumerate(bounded.passes)
    ]


class _Writer(Expressions):
    def __init__(self, name: str, number: int, of: Pass, bounded: Bounded, given: tuple[str, ...]) -> None:
        self._entry = f"{name}_{number + 1}"
        super().__init__(of)
        self._bins = bounded.bins
        self._given = given
        self._lanes = of.is_plain and any((one.of_pixel.kind == FLOAT) for one in of.reductions.values())
        self._lines: list[str] = []
        self._predicates = 0

    def written(self) -> Written:
        found = self._pass
        reductions = tuple(
            (name, one.of_pixel.kind != FLOAT) for name, one in sorted(found.reductions.items())
        )
        histograms = tuple((name, self._bins[name], value.kind != FLOAT) for name, value in sorted(found.tallied.items()))  # fmt: skip
        images, beside = tuple(sorted(found.drawn)), tuple(sorted(found.beside))
        self._head(reductions, images, histograms, beside)
        self._body(reductions, images)
        return Written(
            self._entry, f"#define PIXEL {self._type(found.pixel)}\n" + _PRELUDE + "\n".join(self._lines) + "\n", reductions, images, histograms, found.may_leave, beside, self._given
        )  # fmt: skip

    # -- around the pixel ------------------------------------------------------------------------------------

    def _head(
        self, reductions: Sequence[tuple[str, bool]], images: Sequence[str], histograms: Sequence[tuple[str, int, bool]], beside: Sequence[str]
    ) -> None:  # fmt: skip
        arguments = ["__global const T *restrict pixels", "__global const uchar *restrict mask"]
        arguments += [f"__global const float *restrict u_{name}" for name in self._given]
        arguments += ["__global const double *restrict beside"] if beside else []
        arguments += ["const uint count", "const int rows", "const int columns"]
        arguments += [f"__global float *restrict u_{name}" for name in images]
        arguments += [
            f"__global {'long' if whole else 'double'} *restrict u_{name}__found"
            for name, whole in reductions
        ]
        arguments += [
            f"__global {'long' if whole else 'double'} *restrict u_{name}__of"
            for name, _, whole in histograms
        ]
        arguments += ["__global ulong *restrict outside_of"] if self._pass.may_leave else []
        self._put(0, f"__kernel void {self._entry}(")
        for number, one in enumerate(arguments):
            self._put(2, one + ("," if number < len(arguments) - 1 else ")"))
        self._put(0, "{")
        self._put(1, "const uint part = PART, parts = PARTS, frame = FRAME;")
        self._put(1, "const size_t place = (size_t)frame * parts + part;")
        self._put(1, "ulong outside = 0;")
        self._put(1, "__global const T *restrict mine = pixels + (size_t)frame * count;")
        for name, known in sorted(self._pass.constants.items()):
            self._put(1, f"const {self._type(known)} u_{name} = {self._number(known.low, known.kind)};")
        for number, name in enumerate(beside):
            kind = self._type(self._pass.beside[name])
            self._put(1, f"const {kind} u_{name} = ({kind})beside[(size_t)frame * {len(beside)} + {number}];")
        for name, bins, whole in histograms:
            self._put(
                1,
                f"__global {'long' if whole else 'double'} *restrict u_{name} = u_{name}__of + place * {bins};",
            )
            self._put(1, f"for (int bin = 0; bin < {bins}; bin++) u_{name}[bin] = 0;")

    def _body(self, reductions: Sequence[tuple[str, bool]], images: Sequence[str]) -> None:
        for name, whole in reductions:
            self._put(1, f"{'long' if whole else 'double'} u_{name}__all = {self._start(name, whole)};")
        self._put(1, "EACH_BLOCK(from, length, part, parts, count) {")
        self._put(2, "__global const T *restrict p = mine + from;")
        self._put(2, "__global const uchar *restrict m = mask + from;")
        for name in self._given:
            self._put(2, f"__global const float *restrict u_{name}__p = u_{name} + from;")
        for name in images:
            self._put(2, f"__global float *restrict u_{name}__out = u_{name} + (size_t)frame * count + from;")
        if self._lanes:
            self._in_lanes(reductions)
        else:
            for name, whole in reductions:
                self._put(
                    2, f"{self._block_type(name)} u_{name}__own = {self._start(name, whole, of_block=True)};"
                )
            self._put(2, "for (int i = 0; i < (int)length; i++) {")
            self._pixel("i", "own", 3)
            self._put(2, "}")
            for name, _ in reductions:
                self._put(2, f"u_{name}__all = {self._combined(name, f'u_{name}__all', f'u_{name}__own')};")
        self._put(1, "}")
        for name, _ in reductions:
            self._put(1, f"u_{name}__found[place] = u_{name}__all;")
        if self._pass.may_leave:
            self._put(1, "outside_of[place] = outside;")
        self._put(0, "}")

    def _in_lanes(self, reductions: Sequence[tuple[str, bool]]) -> None:
        """Sums and extremes are kept apart in lanes: compilers do not change the order of floating-point numbers by themselves."""
        for name, _ in reductions:
            self._put(2, f"{self._block_type(name)} u_{name}__own[{LANES}];")
        inits = " ".join(
            f"u_{name}__own[k] = {self._start(name, whole, of_block=True)};" for name, whole in reductions
        )
        self._put(2, f"for (int k = 0; k < {LANES}; k++) {{ {inits} }}")
        self._put(2, f"const int whole = (int)length / {LANES} * {LANES};")
        self._put(2, f"for (int j = 0; j < whole; j += {LANES})")
        self._put(3, f"for (int k = 0; k < {LANES}; k++) {{")
        self._put(4, "const int i = j + k;")
        self._pixel("i", "own[k]", 4)
        self._put(3, "}")
        self._put(2, "for (int i = whole; i < (int)length; i++) {")
        self._pixel("i", "own[0]", 3)
        self._put(2, "}")
        combined = " ".join(
            f"u_{name}__all = {self._combined(name, f'u_{name}__all', f'u_{name}__own[k]')};"
            for name, _ in reductions
        )
        self._put(2, f"for (int k = 0; k < {LANES}; k++) {{ {combined} }}")

    def _pixel(self, index: str, own: str, depth: int) -> None:
        node = self._pass.node
        self._own = own
        self._put(depth, f"const T raw = p[{index} * STEP];")
        self._put(depth, f"const int ok = OWN(raw) & (m[{index} * STEP] == 0);")
        if _reads(node.body, {node.y, node.x}):
            self._put(depth, f"const int at = from + {index} * STEP, u_{node.y} = at / columns, u_{node.x} = at - u_{node.y} * columns;")  # fmt: skip
        self._put(depth, "const PIXEL pixel = ok ? (PIXEL)raw : 0;")
        loops = {one.name for one in _loops(node.body)}
        for name, known in sorted(self._pass.ranges.items()):
            if name not in (node.y, node.x) and name not in loops:
                self._put(depth, f"{self._type(known)} u_{name} = 0;")
        for name in sorted(self._pass.drawn):
            self._put(depth, f"float u_{name}__value = NAN;")
        self._index = index
        if self._pass.is_plain:
            self._predicated(node.body, "ok", depth)
        else:
            self._put(depth, "if (ok) {")
            self._structured(node.body, depth + 1)
            self._put(depth, "}")
        for name in sorted(self._pass.drawn):
            self._put(depth, f"u_{name}__out[{index} * STEP] = ok ? u_{name}__value : NAN;")

    # -- statements ------------------------------------------------------------------------------------------

    def _predicated(self, body: Sequence[Statement], when: str, depth: int) -> None:
        """Without jumps: what is not so changes nothing."""
        for one in body:
            match one:
                case Assign(_, name, value):
                    kept = self._pass.ranges[name]
                    found = self._as(value, kept)
                    self._put(
                        depth,
                        f"u_{name} = {found};"
                        if when == "ok"
                        else f"u_{name} = {when} ? {found} : u_{name};",
                    )
                case Reduce():
                    self._reduce(one, when, depth)
                case Draw(_, image, value):
                    found = self._as_float(value)
                    self._put(depth, f"u_{image}__value = {found};" if when == "ok" else f"u_{image}__value = {when} ? {found} : u_{image}__value;")  # fmt: skip
                case If(_, condition, then, otherwise):
                    self._predicates += 1
                    number = self._predicates
                    self._put(depth, f"const int when_{number} = {when} & {self._truth(condition)};")
                    if otherwise:
                        self._put(depth, f"const int else_{number} = {when} & !when_{number};")
                    self._predicated(then, f"when_{number}", depth)
                    self._predicated(otherwise, f"else_{number}", depth)
                case _:
                    raise AssertionError(f"line {one.line} is not of a plain loop")

    def _structured(self, body: Sequence[Statement], depth: int) -> None:
        for one in body:
            match one:
                case Assign(_, name, value):
                    self._put(depth, f"u_{name} = {self._as(value, self._pass.ranges[name])};")
                case Reduce():
                    self._reduce(one, "", depth)
                case Draw(_, image, value):
                    self._put(depth, f"u_{image}__value = {self._as_float(value)};")
                case Tally(_, name, index, value):
                    whole = self._pass.tallied[name].kind != FLOAT
                    given = self._of(value) if whole else f"(double){self._as_float(value)}"
                    self._put(depth, f"{{ const long bin = {self._of(index)};")
                    self._put(depth, f"  if (bin >= 0 & bin < {self._bins[name]}) u_{name}[bin] += {given}; else outside++; }}")  # fmt: skip
                case If(_, condition, then, otherwise):
                    self._put(depth, f"if {self._bracketed(condition)} {{")
                    self._structured(then, depth + 1)
                    if otherwise:
                        self._put(depth, "} else {")
                        self._structured(otherwise, depth + 1)
                    self._put(depth, "}")
                case Loop(_, name, begin, end, step, inner):
                    self._put(depth, f"for (int u_{name} = {self._of(begin)}, u_{name}__end = {self._of(end)}, u_{name}__step = {self._of(step)};")  # fmt: skip
                    self._put(depth, f"     u_{name}__step > 0 ? u_{name} < u_{name}__end : u_{name} > u_{name}__end; u_{name} += u_{name}__step) {{")  # fmt: skip
                    self._structured(inner, depth + 1)
                    self._put(depth, "}")
                case Pixels(line):
                    raise AssertionError(f"line {line} lies in another loop over the frame")

    def _reduce(self, one: Reduce, when: str, depth: int) -> None:
        reduction = self._pass.reductions[one.name]
        whole = reduction.of_pixel.kind != FLOAT
        place, kind = f"u_{one.name}__{self._own}", self._block_type(one.name)
        value = (
            self._cast(one.value, kind)
            if whole or kind == "float"
            else f"({kind}){self._as_float(one.value)}"
        )
        if one.operator == "+":
            self._put(depth, f"{place} += {when} ? {value} : 0;" if when else f"{place} += {value};")
            return
        neutral = self._start(one.name, whole, of_block=True)
        given = f"({when} ? {value} : ({kind}){neutral})" if when else f"({value})"
        sign = "<" if one.operator == "min" else ">"
        self._put(
            depth, f"{{ const {kind} given = {given}; {place} = given {sign} {place} ? given : {place}; }}"
        )

    # -- numbers of the whole frame --------------------------------------------------------------------------

    def _block_type(self, name: str) -> str:
        reduction = self._pass.reductions[name]
        if reduction.of_pixel.kind == FLOAT:
            return "float" if self._lanes else "double"
        if reduction.operator == "+":
            furthest = max(abs(reduction.of_pixel.low), abs(reduction.of_pixel.high)) * BLOCK
            return "int" if furthest < 1 << 31 else "long"
        return "int" if fits_int(reduction.value) else "long"

    def _start(self, name: str, whole: bool, *, of_block: bool = False) -> str:
        operator = self._pass.reductions[name].operator
        if operator == "+":
            return "0"
        if not whole:
            return "INFINITY" if operator == "min" else "-INFINITY"
        width = "INT" if of_block and self._block_type(name) == "int" else "LONG"
        return f"{width}_{'MAX' if operator == 'min' else 'MIN'}"

    def _combined(self, name: str, old: str, new: str) -> str:
        operator = self._pass.reductions[name].operator
        if operator == "+":
            return f"{old} + {new}"
        if self._block_type(name) == "int":  # what no pixel gave stays what it was
            neutral = self._start(name, True, of_block=True)
            return f"{new} == {neutral} ? {old} : {new} {'<' if operator == 'min' else '>'} {old} ? {new} : {old}"
        return f"{new} {'<' if operator == 'min' else '>'} {old} ? {new} : {old}"

    def _put(self, depth: int, text: str) -> None:
        self._lines.append("    " * depth + text)


def _loops(body: Sequence[Statement]) -> list[Loop]:
    found: list[Loop] = []
    for one in body:
        if isinstance(one, Loop):
            found += [one, *_loops(one.body)]
        elif isinstance(one, If):
            found += [*_loops(one.then), *_loops(one.otherwise)]
    return found


def _reads(body: object, names: set[str]) -> bool:
    """Whether any of the names is read, the own pixel aside."""
    match body:
        case tuple():
            return any(_reads(one, names) for one in body)
        case Read(_, _, _, _, True):
            return False
        case Name(_, name):
            return name in names
        case Pixels() | str() | int() | float():
            return False
        case _:
            pass
    return any(_reads(getattr(body, name), names) for name in getattr(body, "__slots__", ()))
