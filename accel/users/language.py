"""Reading kernels in restricted Python: the text to nodes, and everything that is not of the language refused with its line."""

import ast
import re
from typing import Final, NoReturn

from accel.errors import KernelRefused
from accel.users.nodes import (
    Assign,
    Binary,
    Call,
    Choose,
    Compare,
    Const,
    Draw,
    Expression,
    Given,
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

MOST_BYTES: Final = 64 << 10
MOST_DEPTH: Final = 24
"""Of expressions and blocks in each other."""

FUNCTIONS: Final = {
    "abs": 1, "min": 2, "max": 2, "int": 1, "float": 1, "sqrt": 1, "exp": 1, "log": 1, "sin": 1, "cos": 1, "atan2": 2, "hypot": 2, "floor": 1,
}  # fmt: skip
"""Name to how many numbers it takes."""

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")

_ARITHMETIC: Final = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
}  # fmt: skip
_COMPARISONS: Final = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}


def refuse(line: int, message: str) -> NoReturn:
    """Raise a refusal that begins with the line."""
    raise KernelRefused(f"line {line}: {message}")


def read_kernel(text: str) -> Program:
    """A kernel's text, checked: `VERSION = "1.0"`, and one function with a docstring.

    Raises:
        KernelRefused: it is not of the language; the message begins with the line.
    """
    if len(text.encode("utf-8", "replace")) > MOST_BYTES:
        raise KernelRefused(f"line 1: the text is longer than {MOST_BYTES} bytes")
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        refuse(error.lineno or 1, f"this is no Python: {error.msg}")
    except (ValueError, RecursionError, MemoryError) as error:
        refuse(1, f"this is no Python: {error}")
    version, function = "", None
    for one in tree.body:
        match one:
            case ast.Assign([ast.Name("VERSION")], ast.Constant(str(said))):
                version = said
            case ast.Expr(ast.Constant(str())) if one is tree.body[0]:
                pass
            case ast.FunctionDef() if function is None:
                function = one
            case _:
                refuse(one.lineno, 'only `VERSION = "..."` and one function were expected here')
    if function is None or not version:
        refuse(1, 'a kernel is `VERSION = "1.0"` and a function; one of them is missing')
    try:
        return _Reader(text, version, function).program()
    except RecursionError:
        refuse(function.lineno, "expressions lie too deep in each other")


class _Reader:
    """Makes nodes of one function."""

    def __init__(self, text: str, version: str, function: ast.FunctionDef) -> None:
        self._text = text
        self._version = version
        self._function = function
        self._given: dict[str, Given] = {}
        self._frame = ""
        self._images: list[str] = []
        self._histograms: dict[str, Expression] = {}
        self._outer: set[str] = set()
        self._at: tuple[str, str] | None = None
        self._loops: list[str] = []

    def program(self) -> Program:
        function = self._function
        if function.decorator_list or function.returns:
            refuse(function.lineno, "a kernel has neither decorators nor a return annotation")
        self._new(function.name, function.lineno)
        summary = ast.get_docstring(function)
        if not summary:
            refuse(
                function.lineno,
                "the first thing in a kernel is its docstring, one sentence that says what it finds",
            )
        self._parameters(function.args)
        *rest, last = function.body[1:] or [function.body[0]]
        if not isinstance(last, ast.Return) or not isinstance(last.value, ast.Dict):
            refuse(last.lineno, 'the last statement of a kernel is `return {"name": value, ...}`')
        body = tuple(node for one in rest for node in self._outermost(one))
        if not any(isinstance(one, Pixels) for one in body):
            refuse(function.lineno, f"a kernel goes through its frame: `for y, x in pixels({self._frame}):`")
        results = self._results(last.value)
        return Program(
            function.name, self._version, summary.strip().splitlines()[0], self._text, tuple(self._given.values()), body, tuple(self._images),
            tuple(self._histograms.items()), results,
        )  # fmt: skip

    # -- parameters and results ------------------------------------------------------------------------------

    def _parameters(self, arguments: ast.arguments) -> None:
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.posonlyargs or not arguments.args:  # fmt: skip
            refuse(self._function.lineno, "a kernel takes `frame: Frame`, then images and numbers by name")
        first, *others = arguments.args
        if not (isinstance(first.annotation, ast.Name) and first.annotation.id == "Frame"):
            refuse(first.lineno, f"the first parameter was expected to be `{first.arg}: Frame`")
        self._frame = self._new(first.arg, first.lineno)
        defaults = [None] * (len(others) - len(arguments.defaults)) + list(arguments.defaults)
        for one, default in zip(others, defaults, strict=True):
            self._new(one.arg, one.lineno)
            self._given[one.arg] = self._parameter(one, default)

    def _parameter(self, one: ast.arg, default: ast.expr | None) -> Given:
        match one.annotation:
            case ast.Name("Image") if default is None:
                return Given(one.arg, "image", None, 0, 0)
            case ast.Name("int" | "float" as kind):
                least, most = (-(1 << 31), (1 << 31) - 1) if kind == "int" else (-3e38, 3e38)
            case ast.Call(ast.Name("between"), [low, high], []):
                least, most = self._plain(low), self._plain(high)
                kind = "int" if isinstance(least, int) and isinstance(most, int) else "float"
            case _:
                refuse(one.lineno, f"`{one.arg}` was expected to be `Image`, `int = 1`, `float = 1.0` or `between(1, 8) = 2`")  # fmt: skip
        if default is None:
            refuse(one.lineno, f"`{one.arg}` needs a default")
        value = self._plain(default)
        if (kind == "int" and not isinstance(value, int)) or not least <= value <= most:
            refuse(one.lineno, f"the default of `{one.arg}` is {value}; a number ({kind}) from {least:g} to {most:g} was expected")  # fmt: skip
        return Given(one.arg, kind, value if kind == "int" else float(value), least, most)

    def _plain(self, node: ast.expr) -> int | float:
        match node:
            case ast.Constant(int() | float() as value) if not isinstance(value, bool) and abs(value) < 1e300:
                return value
            case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as value)) if abs(value) < 1e300:
                return -value
        refuse(node.lineno, "a number was expected")

    def _results(self, node: ast.Dict) -> tuple[tuple[str, Expression], ...]:
        found: dict[str, Expression] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if not (
                isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value.isidentifier()
            ):
                refuse(node.lineno, 'the names of results are texts such as "count"')
            if key.value in found or key.value == "outside":
                refuse(key.lineno, f"there are two results `{key.value}`" if key.value in found else "`outside` is a result of every kernel")  # fmt: skip
            match value:
                case ast.Name(name) if name in self._images or name in self._histograms:
                    found[key.value] = Name(value.lineno, name)
                case _:
                    found[key.value] = self._expression(value)
        if not 1 <= len(found) <= 32:
            refuse(node.lineno, f"found {len(found)} results; 1 to 32 were expected")
        return tuple(found.items())

    def _new(self, name: str, line: int) -> str:
        if name in FUNCTIONS or name in {"pixels", "image", "histogram", "valid", "range", "between", "rows", "columns"}:  # fmt: skip
            refuse(line, f"`{name}` is a word of the language")
        if not _NAME.fullmatch(name) or "__" in name:
            refuse(
                line,
                f"`{name}` is no name here; a letter, then letters, digits and single `_` were expected, 40 at the most",
            )
        if name in self._given or name == self._frame:
            refuse(line, f"`{name}` is a parameter")
        return name

    # -- statements ------------------------------------------------------------------------------------------

    def _outermost(self, node: ast.stmt) -> list[Statement]:
        match node:
            case ast.Assign([ast.Name(name)], ast.Call(ast.Name("image"), [ast.Name(frame)], [])) if frame == self._frame:  # fmt: skip
                self._images.append(self._fresh(name, node.lineno))
                if len(self._images) > 4:
                    refuse(node.lineno, "a kernel makes 4 images at the most")
                return []
            case ast.Assign([ast.Name(name)], ast.Call(ast.Name("histogram"), [length], [])):
                self._histograms[self._fresh(name, node.lineno)] = self._expression(length)
                return []
            case ast.For(ast.Tuple([ast.Name(y), ast.Name(x)]), ast.Call(ast.Name("pixels"), [ast.Name(frame)], []), body, []) if frame == self._frame:  # fmt: skip
                self._at = (self._new(y, node.lineno), self._new(x, node.lineno))
                self._outer = {name for name in self._outer if name not in self._at}
                found = Pixels(node.lineno, y, x, self._block(body, 1))
                self._at = None
                return [found]
        return [self._statement(node, 0)]

    def _fresh(self, name: str, line: int) -> str:
        if name in self._outer or name in self._images or name in self._histograms:
            refuse(line, f"`{name}` is something else already")
        return self._new(name, line)

    def _block(self, body: list[ast.stmt], depth: int) -> tuple[Statement, ...]:
        if depth > MOST_DEPTH:
            refuse(body[0].lineno, f"blocks lie deeper than {MOST_DEPTH} in each other")
        return tuple(self._statement(one, depth) for one in body if not isinstance(one, ast.Pass))

    def _statement(self, node: ast.stmt, depth: int) -> Statement:
        line = node.lineno
        match node:
            case ast.Assign([ast.Name(name)], value):
                return self._assign(line, name, value)
            case ast.AugAssign(ast.Name(name), operator, value):
                return self._augmented(line, name, operator, value)
            case ast.Assign([ast.Subscript(ast.Name(name), index)], value) if name in self._images:
                if not self._is_own(index):
                    refuse(line, f"`{name}` is drawn at the pixel that the loop is at: `{name}[y, x] = ...`")
                return Draw(line, name, self._expression(value))
            case ast.AugAssign(ast.Subscript(ast.Name(name), index), ast.Add(), value) if name in self._histograms and self._at:  # fmt: skip
                return Tally(line, name, self._expression(index), self._expression(value))
            case ast.If(condition, then, otherwise):
                return If(line, self._expression(condition), self._block(then, depth + 1), self._block(otherwise, depth + 1))  # fmt: skip
            case ast.For(ast.Name(name), ast.Call(ast.Name("range"), arguments, []), body, []):
                return self._loop(line, name, arguments, body, depth)
            case _:
                pass
        refuse(line, f"`{ast.unparse(node).splitlines()[0][:60]}` is not of the language of kernels")

    def _assign(self, line: int, name: str, value: ast.expr) -> Statement:
        self._new(name, line)
        if (
            name in self._images
            or name in self._histograms
            or name in self._loops
            or name in (self._at or ())
        ):
            refuse(line, f"`{name}` is something else already")
        if self._at is None:
            self._outer.add(name)
            return Assign(line, name, self._expression(value))
        if name in self._outer:
            match value:
                case ast.Call(ast.Name("min" | "max" as function), [ast.Name(same), other], []) if (
                    same == name
                ):
                    return Reduce(line, name, function, self._expression(other))
                case ast.BinOp(ast.Name(same), ast.Add(), other) if same == name:
                    return Reduce(line, name, "+", self._expression(other))
            refuse(line, f"pixels come in no order: `{name}` of the frame may only be added to, or become `min({name}, ...)` or `max({name}, ...)`")  # fmt: skip
        return Assign(line, name, self._expression(value))

    def _augmented(self, line: int, name: str, operator: ast.operator, value: ast.expr) -> Statement:
        if type(operator) not in _ARITHMETIC:
            refuse(line, "found an operator that is not of the language of kernels")
        if self._at is not None and name in self._outer:
            if isinstance(operator, ast.Add):
                return Reduce(line, name, "+", self._expression(value))
            if isinstance(operator, ast.Sub):
                return Reduce(line, name, "+", Unary(line, "-", self._expression(value)))
            refuse(line, f"pixels come in no order: `{name}` of the frame may only be added to")
        self._new(name, line)
        return Assign(line, name, Binary(line, _ARITHMETIC[type(operator)], Name(line, name), self._expression(value)))  # fmt: skip

    def _loop(
        self, line: int, name: str, arguments: list[ast.expr], body: list[ast.stmt], depth: int
    ) -> Loop:
        if not 1 <= len(arguments) <= 3 or name in self._loops or name in self._outer:
            refuse(line, "a loop goes over `range(...)` of one to three numbers, with a name of its own")
        self._new(name, line)
        numbers = [self._expression(one) for one in arguments]
        begin, end, step = (
            (Const(line, 0), numbers[0], Const(line, 1))
            if len(numbers) == 1
            else (*numbers, Const(line, 1))[:3]
        )
        self._loops.append(name)
        found = Loop(line, name, begin, end, step, self._block(body, depth + 1))
        self._loops.pop()
        return found

    def _is_own(self, index: ast.expr) -> bool:
        match index:
            case ast.Tuple([ast.Name(y), ast.Name(x)]):
                return (y, x) == self._at
            case _:
                return False

    # -- expressions -----------------------------------------------------------------------------------------

    def _expression(self, node: ast.expr, depth: int = 0) -> Expression:
        if depth > MOST_DEPTH:
            refuse(node.lineno, f"expressions lie deeper than {MOST_DEPTH} in each other")
        line, more = node.lineno, depth + 1
        match node:
            case ast.Constant(bool() | int() | float() as value):
                if not -(1 << 62) < value < 1 << 62 and isinstance(value, int):
                    refuse(line, f"`{value}` is too large for a whole number")
                return Const(line, value)
            case ast.Name(name):
                return self._name(line, name)
            case ast.BinOp(left, operator, right) if type(operator) in _ARITHMETIC:
                return Binary(line, _ARITHMETIC[type(operator)], self._expression(left, more), self._expression(right, more))  # fmt: skip
            case ast.UnaryOp(ast.USub(), operand):
                return Unary(line, "-", self._expression(operand, more))
            case ast.UnaryOp(ast.Not(), operand):
                return Unary(line, "not", self._expression(operand, more))
            case ast.BoolOp(operator, values):
                word = "and" if isinstance(operator, ast.And) else "or"
                return Logic(line, word, tuple(self._expression(one, more) for one in values))
            case ast.Compare(left, operators, others) if all(type(one) in _COMPARISONS for one in operators):
                return self._comparison(line, left, operators, others, more)
            case ast.IfExp(condition, then, otherwise):
                return Choose(line, self._expression(condition, more), self._expression(then, more), self._expression(otherwise, more))  # fmt: skip
            case ast.Call(ast.Name(name), arguments, []):
                return self._call(line, name, arguments, more)
            case ast.Subscript(ast.Name(name), index):
                return self._subscript(line, name, index, more)
            case _:
                pass
        refuse(line, f"`{ast.unparse(node)[:60]}` is not of the language of kernels")

    def _name(self, line: int, name: str) -> Expression:
        if name == self._frame or name in self._images or name in self._histograms or (name in self._given and self._given[name].kind == "image"):  # fmt: skip
            refuse(line, f"`{name}` is no number; it has them: `{name}[...]`")
        return Name(line, name)

    def _comparison(
        self, line: int, left: ast.expr, operators: list[ast.cmpop], others: list[ast.expr], depth: int
    ) -> Expression:
        values = [self._expression(one, depth) for one in (left, *others)]
        parts = [
            Compare(line, _COMPARISONS[type(operator)], values[n], values[n + 1])
            for n, operator in enumerate(operators)
        ]
        return parts[0] if len(parts) == 1 else Logic(line, "and", tuple(parts))

    def _call(self, line: int, name: str, arguments: list[ast.expr], depth: int) -> Expression:
        match name, arguments:
            case (("rows" | "columns"), [ast.Name(frame)]) if frame == self._frame:
                return Call(line, name, ())
            case "valid", [ast.Name(frame), y, x] if frame == self._frame and self._at:
                return Valid(line, self._expression(y, depth), self._expression(x, depth))
        if name not in FUNCTIONS:
            refuse(line, f"there is no function `{name}` in kernels; there are {', '.join(sorted([*FUNCTIONS, 'valid']))}")  # fmt: skip
        if len(arguments) != FUNCTIONS[name]:
            refuse(line, f"`{name}` takes {FUNCTIONS[name]} numbers; found {len(arguments)}")
        return Call(line, name, tuple(self._expression(one, depth) for one in arguments))

    def _subscript(self, line: int, name: str, index: ast.expr, depth: int) -> Expression:
        is_image = name in self._given and self._given[name].kind == "image"
        if name == self._frame or is_image:
            match index:
                case ast.Tuple([y, x]) if self._at:
                    return Read(line, name if is_image else "", self._expression(y, depth), self._expression(x, depth), self._is_own(index))  # fmt: skip
            refuse(line, f"a pixel is `{name}[y, x]`, in a loop over pixels")
        if name in self._histograms:
            if self._at:
                refuse(line, f"`{name}` is read after the loop that fills it")
            return Item(line, name, self._expression(index, depth))
        refuse(line, f"`{name}` has no items to read here")
