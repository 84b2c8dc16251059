"""A kernel as Python itself: the checked function is run, on frames that answer as kernels' do. Slow; it is what the compiled ones are compared with."""

import ast
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy
from numpy.typing import NDArray

from accel.errors import KernelEnded
from accel.frames import is_valid
from accel.users.host import FUNCTIONS
from accel.users.nodes import Program


class _Frame:
    """Pixels: 0 for those that do not count, and, counted, for those that lie outside."""

    def __init__(self, pixels: NDArray[Any], valid: NDArray[numpy.bool_] | None) -> None:
        self.pixels = pixels
        self.valid = numpy.ones(pixels.shape, bool) if valid is None else valid
        self.outside = 0

    def is_inside(self, y: int, x: int) -> bool:
        return bool(0 <= y < self.pixels.shape[0] and 0 <= x < self.pixels.shape[1])

    def __getitem__(self, place: tuple[int, int]) -> Any:
        y, x = (int(one) for one in place)
        if not self.is_inside(y, x):
            self.outside += 1
            return numpy.float32(0) if self.pixels.dtype.kind == "f" else numpy.int64(0)
        value = self.pixels[y, x] if self.valid[y, x] else 0
        return numpy.float32(value) if self.pixels.dtype.kind == "f" else numpy.int64(value)


class _Drawn:
    def __init__(self, shape: tuple[int, ...]) -> None:
        self.pixels = numpy.full(shape, numpy.nan, numpy.float32)

    def __setitem__(self, place: tuple[int, int], value: Any) -> None:
        self.pixels[int(place[0]), int(place[1])] = value


class _Histogram:
    def __init__(self, length: int) -> None:
        self.values: list[Any] = [0] * int(length)
        self.outside = 0

    def __getitem__(self, index: int) -> Any:
        if 0 <= index < len(self.values):
            return self.values[int(index)]
        self.outside += 1
        return 0

    def __setitem__(self, index: int, value: Any) -> None:
        if 0 <= index < len(self.values):
            self.values[int(index)] = value


class _Numbers(ast.NodeTransformer):
    """Numbers of the language for those of Python: single precision in loops over the frame, double outside; nothing raises."""

    def __init__(self) -> None:
        self._inside = False

    def visit_For(self, node: ast.For) -> ast.For:
        outermost = not self._inside and isinstance(node.target, ast.Tuple)
        node.iter = self.visit(node.iter)
        self._inside = self._inside or outermost
        node.body = [self.visit(one) for one in node.body]
        if outermost:
            self._inside = False
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            return node
        word = "_whole" if isinstance(node.value, int) else "_single" if self._inside else "_double"
        return ast.copy_location(ast.Call(ast.Name(word, ast.Load()), [node], []), node)


def run(
    program: Program, frame: NDArray[Any], mask: NDArray[Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    """The results of one frame, with `outside`.

    Args:
        program: a checked one: nothing else may be run.
        frame: rows and columns; small.
        mask: what is not 0 there does not count.
        values: every parameter.

    Raises:
        KernelEnded: Python refused something.
    """
    tree = _Numbers().visit(ast.parse(program.text))
    function = next(one for one in tree.body if isinstance(one, ast.FunctionDef))
    parameters = [one.arg for one in function.args.args]
    for one in function.args.args:
        one.annotation = None
    function.args.defaults = []
    module = ast.fix_missing_locations(ast.Module([function], []))
    world = _world()
    own = _Frame(frame, is_valid(frame[None], mask)[0])
    made: list[Any] = []

    def keep(one: Any) -> Any:
        made.append(one)
        return one

    world["image"] = lambda of: keep(_Drawn(of.pixels.shape))
    world["histogram"] = lambda length: keep(_Histogram(length))
    given = [own, *(_given(values[name]) for name in parameters[1:])]
    with numpy.errstate(all="ignore"):
        try:
            exec(compile(module, f"<kernel {program.name}>", "exec"), world)
            found = world[program.name](*given)
        except (ArithmeticError, ValueError, TypeError, IndexError) as error:
            raise KernelEnded(f"Python ended it: {error}") from error
    outside = own.outside + sum(one.outside for one in [*given[1:], *made] if isinstance(one, _Frame | _Histogram))  # fmt: skip
    return {**{name: _taken(value) for name, value in found.items()}, "outside": outside}


def _pixels(frame: _Frame) -> Iterator[tuple[Any, Any]]:
    for y, x in zip(*numpy.nonzero(frame.valid), strict=True):
        yield numpy.int64(y), numpy.int64(x)


def _given(value: Any) -> Any:
    if isinstance(value, numpy.ndarray):
        return _Frame(value.astype(numpy.float32), None)
    return numpy.int64(value) if isinstance(value, int) else numpy.float32(value)


def _taken(value: Any) -> Any:
    if isinstance(value, _Drawn):
        return value.pixels
    if isinstance(value, _Histogram):
        return numpy.array(value.values)
    return value.item() if isinstance(value, numpy.generic) else value


def _smaller(one: Any, two: Any) -> Any:
    return one if one < two or math.isnan(two) else two


def _larger(one: Any, two: Any) -> Any:
    return one if one > two or math.isnan(two) else two


def _world() -> dict[str, Any]:
    single = {name: getattr(numpy, {"atan2": "arctan2"}.get(name, name)) for name in ("sqrt", "exp", "log", "sin", "cos", "atan2", "hypot", "floor")}  # fmt: skip
    floating = {name: _in_single(function) for name, function in single.items()}
    return {
        "__builtins__": {}, **floating, "abs": abs, "min": _smaller, "max": _larger, "int": lambda x: numpy.int64(FUNCTIONS["int"](x.item() if isinstance(x, numpy.generic) else x)),
        "float": numpy.float32, "range": lambda *ends: (numpy.int64(one) for one in range(*(int(end) for end in ends))), "pixels": _pixels,
        "valid": lambda frame, y, x: bool(frame.is_inside(y, x) and frame.valid[int(y), int(x)]), "rows": lambda frame: numpy.int64(frame.pixels.shape[0]),
        "columns": lambda frame: numpy.int64(frame.pixels.shape[1]), "_whole": numpy.int64, "_single": numpy.float32, "_double": numpy.float64,
    }  # fmt: skip


def _in_single(function: Any) -> Any:
    return lambda *given: function(
        *(one if isinstance(one, numpy.float64) else numpy.float32(one) for one in given)
    )
