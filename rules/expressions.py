"""Expressions: names resolved, types checked, lowered to the core.

What `exists` was asked of is there in the rest of an `and`, in later guards, in the block of an `if`, and after a
`require`: that is kept in `present`, by the expression itself.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rules import ast, types
from rules.core import Op
from rules.declarations import Declarations, Signature
from rules.diagnostics import Finding, suggestion
from rules.functions import FUNCTIONS
from rules.regular import RegularExpressionError, compile_linear
from rules.source import Span
from rules.types import ANY, Type

MAX_FIND: Final = 1000


@dataclass(slots=True)
class Scope:
    """What names mean at one place of a policy.

    Attributes:
        variables: name to (slot, type); entities of the event and locals.
        names: slot number to name.
        captures: those of the rule's location.
        change: what metadata attribute `change` is known to be about.
    """

    declarations: Declarations
    variables: dict[str, tuple[int, Type]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    captures: Mapping[str, Type] = field(default_factory=dict)
    location: str = ""
    present: set[ast.Expression] = field(default_factory=set)
    change: Type | None = None

    def declare(self, name: str, found: Type) -> int:
        """A slot for a name."""
        self.names.append(name)
        self.variables[name] = (len(self.names) - 1, found)
        return len(self.names) - 1


class Expressions:
    """Checks and lowers expressions of one policy, reporting what is wrong."""

    def __init__(self, declarations: Declarations, report: Callable[[Finding], None]) -> None:
        self.declarations = declarations
        self._report = report
        self._inlining: list[str] = []
        self.called: set[str] = set()

    def report(self, id: str, message: str, span: Span, help_text: str = "") -> None:
        self._report(Finding(id, message, span, help_text))

    def unknown(self, what: str, name: str, span: Span, known: Iterable[str], id: str = "E101") -> None:
        known = sorted(set(known))
        listed = suggestion(name, known)
        if not listed and 0 < len(known) <= 12:
            listed = "there are " + ", ".join(f"`{n}`" for n in known)
        self.report(id, f"there is no {what} called `{name}`", span, listed)

    # -- what is wanted --------------------------------------------------------------------------------------

    def wants(self, scope: Scope, node: ast.Expression, wanted: Type) -> Op:
        """An expression where a type is wanted."""
        found, op = self.elaborate(scope, node)
        literal = isinstance(node, ast.Constant) and node.type == "Text"
        if literal and wanted.words is not None:
            if str(op.data) not in wanted.words:
                self._not_a_word(str(op.data), wanted, node.span)
            return op
        if not types.fits(found, wanted, literal=literal):
            self._mismatch(found, wanted, node.span)
        return op

    def _mismatch(self, found: Type, wanted: Type, span: Span) -> None:
        if found.words is not None and wanted.words is not None:
            self._not_a_word(", ".join(sorted(found.words)), wanted, span)
            return
        help_text = (
            "give it a `default`, or ask with `exists` first" if found.option and not wanted.option else ""
        )
        self.report("E201", f"found `{found}` where `{wanted}` was expected", span, help_text)

    def _not_a_word(self, word: str, wanted: Type, span: Span) -> None:
        words = sorted(wanted.words or ())
        help_text = suggestion(word, words) or "there are " + ", ".join(f"`{w}`" for w in words[:12])
        self.report("E212", f"`{word}` is no word of `{wanted.name}`", span, help_text)

    def written(self, scope: Scope, node: ast.Expression) -> Op:
        """An expression that has to be written as text."""
        found, op = self.elaborate(scope, node)
        known = (
            found.name in types.WRITTEN or found.name in self.declarations.entities or found.words is not None
        )
        known = known or found.name in ("Json", "Principal", "Any")
        if found.option or not (
            known or (found.name == "List" and found.element.name in types.WRITTEN | types.NAMED)
        ):
            help_text = "give a `default` to what may be absent" if found.option else ""
            self.report(
                "E203",
                f"found `{found}` where a value that can be written as text was expected",
                node.span,
                help_text,
            )
        return op

    # -- the expression --------------------------------------------------------------------------------------

    def elaborate(self, scope: Scope, node: ast.Expression) -> tuple[Type, Op]:
        """The type of an expression and what it means."""
        method = getattr(self, f"_{type(node).__name__.lower()}")
        found: Type
        found, op = method(scope, node)
        if found.option and node in scope.present:
            found = found.required
        return found, op

    def _constant(self, scope: Scope, node: ast.Constant) -> tuple[Type, Op]:
        return types.BASE[node.type], Op("const", data=node.value, span=node.span)

    def _text(self, scope: Scope, node: ast.Text) -> tuple[Type, Op]:
        parts = [
            Op("const", data=part, span=node.span) if isinstance(part, str) else self.written(scope, part)
            for part in node.parts
        ]
        return types.TEXT, Op("text", tuple(parts), span=node.span)

    def _now(self, scope: Scope, node: ast.Now) -> tuple[Type, Op]:
        return types.TIME, Op("now", span=node.span)

    def _name(self, scope: Scope, node: ast.Name) -> tuple[Type, Op]:
        name = node.name
        if name in scope.variables:
            slot, found = scope.variables[name]
            return found, Op("slot", data=slot, span=node.span)
        constant = self.declarations.constants.get(name)
        if constant is not None:
            return self._inlined(f"let {name}", node.span, lambda: self._constant_value(constant))
        if name in self.declarations.words:
            return Type("word", words=frozenset({name})), Op("const", data=name, span=node.span)
        if name in self.declarations.locations:
            return types.LOCATION, Op("const", data=self.declarations.locations[name], span=node.span)
        self.unknown("name", name, node.span, [*scope.variables, *self.declarations.constants, "at"])
        return ANY, Op("const", data=None, span=node.span)

    def _constant_value(self, constant: ast.NamedConstant) -> tuple[Type, Op]:
        scope = Scope(self.declarations)
        if constant.type is None:
            return self.elaborate(scope, constant.value)
        wanted = self.declarations.type(constant.type)
        if wanted is None:
            self.unknown("type", constant.type.name, constant.type.span, types.BASE)
            return ANY, Op("const")
        return wanted, self.wants(scope, constant.value, wanted)

    def _inlined(self, what: str, span: Span, make: Callable[[], tuple[Type, Op]]) -> tuple[Type, Op]:
        if what in self._inlining:
            self.report("E120", f"`{what.split()[-1]}` uses itself", span, "nothing may be defined by itself")
            return ANY, Op("const")
        self._inlining.append(what)
        try:
            return make()
        finally:
            self._inlining.pop()

    def _attribute(self, scope: Scope, node: ast.Attribute) -> tuple[Type, Op]:
        if isinstance(node.of, ast.Name) and node.of.name == "at" and "at" not in scope.variables:
            return self._capture(scope, node)
        if _is_of_change(node) and scope.change is not None:
            _, of = self.elaborate(scope, node.of)
            return scope.change, Op("load", (of,), (node.name, scope.change.name, True), node.span)
        found, of = self.elaborate(scope, node.of)
        if found.name == "Any":
            return ANY, of
        if found.option:
            self.report("E201", f"found `{found}` where something that is there was expected", node.of.span,
                        "ask with `exists` first")  # fmt: skip
        fields = self._fields(found)
        if fields is None:
            self.report("E202", f"a `{found}` has no attributes", node.span)
            return ANY, of
        if node.name not in fields:
            self.unknown(f"attribute of `{found.required}`", node.name, node.span, fields)
            return ANY, of
        wanted = fields[node.name]
        return wanted, Op("load", (of,), (node.name, wanted.name, not wanted.option), node.span)

    def _fields(self, found: Type) -> Mapping[str, Type] | None:
        if found.name == "Failure":
            return {"code": types.TEXT, "kind": types.TEXT, "text": types.TEXT}
        return self.declarations.entities.get(found.name)

    def _capture(self, scope: Scope, node: ast.Attribute) -> tuple[Type, Op]:
        if node.name not in scope.captures:
            where = (
                f"capture of `{scope.location}`" if scope.location else "capture here, without a location,"
            )
            self.unknown(where, node.name, node.span, scope.captures)
            return ANY, Op("const")
        return scope.captures[node.name], Op("at", data=node.name, span=node.span)

    def _index(self, scope: Scope, node: ast.Index) -> tuple[Type, Op]:
        found, of = self.elaborate(scope, node.of)
        if found.name == "Map":
            index = self.wants(scope, node.index, types.TEXT)
            return found.element.optional, Op("item", (of, index), span=node.span)
        if found.name == "List":
            index = self.wants(scope, node.index, types.INT)
            return found.element.optional, Op("item", (of, index), span=node.span)
        if found.name != "Any":
            self.report("E202", f"a `{found}` has no items", node.span)
        return ANY, of

    def _metadata(self, scope: Scope, node: ast.Metadata) -> tuple[Type, Op]:
        found, of = self.elaborate(scope, node.of)
        self.described(found, node.of.span)
        declared = self.declarations.metadata_type(node.attribute, found.name) or types.TEXT
        return declared.optional, Op("meta", (of,), (node.attribute, declared.name), node.span)

    def described(self, found: Type, span: Span) -> None:
        """Check that a type can have metadata."""
        if found.name not in self.declarations.entities and found.name != "Any":
            self.report("E105", f"a `{found}` has no metadata", span)

    def _listof(self, scope: Scope, node: ast.ListOf) -> tuple[Type, Op]:
        found = [self.elaborate(scope, item) for item in node.items]
        ops = tuple(op for _, op in found)
        if not found:
            return types.list_of(ANY), Op("list", ops, span=node.span)
        element = found[0][0]
        if element.words is not None:
            union = frozenset().union(*(t.words or () for t, _ in found))
            return types.list_of(Type("word", words=union)), Op("list", ops, span=node.span)
        for item, (other, _) in zip(node.items[1:], found[1:], strict=True):
            if not types.comparable(element, other):
                self.report("E201", f"found `{other}` in a list of `{element}`", item.span)
        return types.list_of(element), Op("list", ops, span=node.span)

    def condition(self, scope: Scope, node: ast.Expression) -> Op:
        """A condition; what it asked with `exists` is there afterwards, in this scope."""
        op = self.wants(scope, node, types.BOOL)
        scope.present |= asked(node)
        return op

    def _not(self, scope: Scope, node: ast.Not) -> tuple[Type, Op]:
        return types.BOOL, Op("not", (self.wants(scope, node.operand, types.BOOL),), span=node.span)

    def _negative(self, scope: Scope, node: ast.Negative) -> tuple[Type, Op]:
        found, op = self.elaborate(scope, node.operand)
        if found.option or found.name not in ("Any", "Int", "Decimal", "Duration", "Period", "Size"):
            self.report("E211", f"`-{found}` has no meaning", node.span)
            return ANY, op
        return found, Op("negative", (op,), span=node.span)

    def _logic(self, scope: Scope, node: ast.Logic) -> tuple[Type, Op]:
        before = set(scope.present)
        operands = []
        for operand in node.operands:
            operands.append(self.wants(scope, operand, types.BOOL))
            if node.operator == "and":
                scope.present |= asked(operand)
        scope.present = before
        return types.BOOL, Op(node.operator, tuple(operands), span=node.span)

    def _like(self, scope: Scope, node: ast.Like) -> tuple[Type, Op]:
        operand = self.wants(scope, node.operand, types.TEXT)
        if node.operator == "like":
            return types.BOOL, Op("wildcards", (operand,), node.pattern, node.span)
        try:
            compiled = compile_linear(node.pattern)
        except RegularExpressionError as error:
            self.report("E213", f"`{node.pattern}` cannot be used: {error}", node.span)
            return types.BOOL, Op("const", data=False)
        return types.BOOL, Op("matches", (operand,), compiled, node.span)

    def _exists(self, scope: Scope, node: ast.Exists) -> tuple[Type, Op]:
        found, op = self.elaborate(scope, node.operand)
        if _is_of_change(node.operand) and scope.change is not None:
            # what a metadata was before may be nothing at all, and so may what it is to be
            name, kind, _ = op.data
            return types.BOOL, Op("exists", (replace(op, data=(name, kind, False)),), span=node.span)
        if not found.option and found.name != "Any" and node.operand not in scope.present:
            self.report("E204", f"a `{found}` is always there", node.span)
        return types.BOOL, Op("exists", (op,), span=node.span)

    def _isat(self, scope: Scope, node: ast.IsAt) -> tuple[Type, Op]:
        found, op = self.elaborate(scope, node.operand)
        if found.name not in ("Any", "Path", "Text", "Object", "Collection"):
            self.report("E201", f"found `{found}` where a path was expected", node.operand.span)
        pattern = self.declarations.locations.get(node.location)
        if pattern is None:
            self.unknown("location", node.location, node.span, self.declarations.locations, "E102")
            return types.BOOL, Op("const", data=False)
        return types.BOOL, Op("is_at", (op,), pattern, node.span)

    def _quantified(self, scope: Scope, node: ast.Quantified) -> tuple[Type, Op]:
        found, source = self.elaborate(scope, node.source)
        if found.name not in ("List", "Any"):
            self.report("E201", f"found `{found}` where a list was expected", node.source.span)
        hidden = scope.variables.get(node.name)
        slot = scope.declare(node.name, found.element)
        condition = self.wants(scope, node.condition, types.BOOL)
        _restore(scope, node.name, hidden)
        name = "every" if node.kind == "all" else "some"
        return types.BOOL, Op(name, (source, condition), slot, node.span)

    def _find(self, scope: Scope, node: ast.Find) -> tuple[Type, Op]:
        kind = node.kind.capitalize()
        if kind not in ("Object", "Collection", "Replica", "Resource"):
            self.unknown(
                "kind to find", node.kind, node.span, ("object", "collection", "replica", "resource")
            )
            return types.list_of(ANY), Op("list")
        if not 1 <= node.limit <= MAX_FIND:
            self.report("E214", f"`find` takes a limit from 1 to {MAX_FIND}", node.span)
        pattern = None
        if node.location:
            pattern = self.declarations.locations.get(node.location)
            if pattern is None:
                self.unknown("location", node.location, node.span, self.declarations.locations, "E102")
        hidden = scope.variables.get(node.kind)
        slot = scope.declare(node.kind, Type(kind))
        conditions = () if node.where is None else (self.wants(scope, node.where, types.BOOL),)
        _restore(scope, node.kind, hidden)
        bound = node.location == scope.location
        return types.list_of(Type(kind)), Op(
            "find", conditions, (kind, pattern, slot, node.limit, bound), node.span
        )

    def _count(self, scope: Scope, node: ast.Count) -> tuple[Type, Op]:
        found, op = self.elaborate(scope, node.of)
        if found.name not in ("List", "Map", "Any"):
            self.report("E201", f"found `{found}` where a list was expected", node.of.span)
        return types.INT, Op("count", (op,), span=node.span)

    # -- comparisons and arithmetic --------------------------------------------------------------------------

    def _binary(self, scope: Scope, node: ast.Binary) -> tuple[Type, Op]:
        if node.operator == "default":
            return self._default(scope, node)
        left, left_op = self.elaborate(scope, node.left)
        right, right_op = self.elaborate(scope, node.right)
        ops = (left_op, right_op)
        if node.operator in ("in", "not in"):
            op = self._membership(node, left, right, ops)
            return types.BOOL, Op("not", (op,), span=node.span) if node.operator == "not in" else op
        if node.operator in _ARITHMETIC:
            found = types.arithmetic(node.operator, left, right)
            if found is None:
                help_text = "give a `default` to what may be absent" if left.option or right.option else ""
                self.report("E211", f"`{left} {node.operator} {right}` has no meaning", node.span, help_text)
                return ANY, Op("const")
            return found, Op(_ARITHMETIC[node.operator], ops, found.name, node.span)
        return types.BOOL, self._comparison(node, left, right, ops)

    def _comparison(self, node: ast.Binary, left: Type, right: Type, ops: tuple[Op, Op]) -> Op:
        for one, other, op, place in ((left, right, ops[1], node.right), (right, left, ops[0], node.left)):
            if one.words is not None and one.name != "word" and other.name == "Text" and op.name == "const":
                if op.data not in one.words:
                    self._not_a_word(str(op.data), one, place.span)
                return Op(_COMPARISONS[node.operator], ops, span=node.span)
        if not types.comparable(left, right):
            if left.words is not None and right.words is not None:
                wrong, wanted, place = (
                    (right, left, node.right) if left.name != "word" else (left, right, node.left)
                )
                self._mismatch(wrong, wanted, place.span)
            else:
                help_text = "give a `default` to what may be absent" if left.option or right.option else ""
                self.report("E210", f"`{left}` and `{right}` cannot be compared", node.span, help_text)
        elif node.operator not in ("=", "!=") and not (types.ordered(left) or left.name == "Period"):
            self.report("E210", f"a `{left}` has no order", node.span)
        name = _COMPARISONS[node.operator]
        alike = left.name == right.name and node.operator in ("=", "!=")
        if "Period" in (left.name, right.name) and not alike:
            self.report(
                "E210", "months and years have no fixed length, so they are not compared", node.span,
                "add them to a time and compare the times",
            )  # fmt: skip
        return Op(name, ops, span=node.span)

    def _membership(self, node: ast.Binary, left: Type, right: Type, ops: tuple[Op, Op]) -> Op:
        if right.name == "Window":
            if left.name not in ("Time", "Any"):
                self.report("E210", f"`{left}` cannot be in a window of time", node.span)
        elif right.name not in ("List", "Any"):
            self.report("E201", f"found `{right}` where a list was expected", node.right.span)
        elif not types.comparable(left, right.element):
            help_text = "give a `default` to what may be absent" if left.option else ""
            self.report("E210", f"`{left}` and `{right.element}` cannot be compared", node.span, help_text)
        return Op("in", ops, span=node.span)

    def _default(self, scope: Scope, node: ast.Binary) -> tuple[Type, Op]:
        left, left_op = self.elaborate(scope, node.left)
        if left.name == "Any":
            return self.elaborate(scope, node.right)
        if not left.option and node.left not in scope.present:
            self.report("E204", f"a `{left}` is always there and needs no default", node.span)
        right_op = self.wants(scope, node.right, left.required)
        return left.required, Op("default", (left_op, right_op), span=node.span)

    # -- calls -----------------------------------------------------------------------------------------------

    def _call(self, scope: Scope, node: ast.Call) -> tuple[Type, Op]:
        if node.name == "path_of":
            return self._path_of(scope, node)
        if node.name in self.declarations.functions:
            return self._defined(scope, node, self.declarations.functions[node.name])
        if node.name in FUNCTIONS:
            return self._pure(scope, node)
        signature = self.declarations.microservices.get(node.name)
        if signature is None:
            known = [*FUNCTIONS, *self.declarations.functions, "path_of"]
            known += [name for name, s in self.declarations.microservices.items() if s.is_look_up]
            self.unknown("function", node.name, node.span, known)
            return ANY, Op("const")
        if not signature.is_look_up:
            self.report("E306", f"`{node.name}` does something, so it cannot stand in an expression", node.span,
                        f"call it with `do {node.name}(...)`")  # fmt: skip
            return signature.result or ANY, Op("const")
        names, ops = self.arguments(scope, node, signature)
        assert signature.result is not None, "a look-up has a result"
        return signature.result, Op("look_up", ops, (node.name, names), node.span)

    def _path_of(self, scope: Scope, node: ast.Call) -> tuple[Type, Op]:
        if node.named or len(node.positional) != 2:
            self.report("E107", "`path_of` takes a location and what its captures come from", node.span)
            return types.PATH, Op("const")
        location = node.positional[0]
        pattern = self.declarations.locations.get(location.name) if isinstance(location, ast.Name) else None
        if pattern is None:
            shown = location.name if isinstance(location, ast.Name) else "this"
            self.unknown("location", shown, location.span, self.declarations.locations, "E102")
            return types.PATH, Op("const")
        found, source = self.elaborate(scope, node.positional[1])
        fields = self._fields(found)
        if fields is None and found.name != "Map":
            self.report(
                "E201",
                f"found `{found}` where something with attributes was expected",
                node.positional[1].span,
            )
        return types.PATH, Op("path_of", (source,), (pattern, tuple(fields or ())), node.span)

    def _pure(self, scope: Scope, node: ast.Call) -> tuple[Type, Op]:
        function = FUNCTIONS[node.name]
        if node.named or len(node.positional) != len(function.parameters):
            shown = ", ".join(name for name, _ in function.parameters)
            self.report(
                "E107", f"`{node.name}` takes {len(function.parameters)} arguments: {shown}", node.span
            )
            return function.result, Op("const")
        element, ops = ANY, []
        for value, (_, wanted) in zip(node.positional, function.parameters, strict=True):
            if wanted.name == "List" and wanted.element.name == "T":
                found, op = self.elaborate(scope, value)
                if found.name not in ("List", "Any"):
                    self._mismatch(found, types.list_of(ANY), value.span)
                elif node.name != "sum" and not types.ordered(found.element):
                    self.report("E210", f"a `{found.element}` has no order", value.span)
                element = found.element
                ops.append(op)
            else:
                ops.append(self.wants(scope, value, wanted))
        result = element if function.result.name == "T" else function.result
        return result, Op("native", tuple(ops), node.name, node.span)

    def _defined(self, scope: Scope, node: ast.Call, function: ast.Function) -> tuple[Type, Op]:
        if node.named or len(node.positional) != len(function.parameters):
            self.report("E107", f"`{node.name}` takes {len(function.parameters)} arguments", node.span)
            return ANY, Op("const")
        result = self.declarations.type(function.result) or ANY
        bindings: list[tuple[int, Op]] = []
        hidden = dict(scope.variables)
        inner: dict[str, tuple[int, Type]] = {}
        for value, (name, written) in zip(node.positional, function.parameters, strict=True):
            wanted = self.declarations.type(written) or ANY
            bindings.append((len(scope.names), self.wants(scope, value, wanted)))
            scope.names.append(name)
            inner[name] = (len(scope.names) - 1, wanted)

        def make() -> tuple[Type, Op]:
            scope.variables = inner
            return result, self.wants(scope, function.value, result)

        try:
            _, value_op = self._inlined(f"define {node.name}", node.span, make)
        finally:
            scope.variables = hidden
        ops = (*(op for _, op in bindings), value_op)
        return result, Op("bind", ops, tuple(slot for slot, _ in bindings), node.span)

    def arguments(
        self, scope: Scope, call: ast.Call, signature: Signature
    ) -> tuple[tuple[str, ...], tuple[Op, ...]]:
        """The arguments of a microservice, by name."""
        self.called.add(signature.name)
        parameters = {p.name: p for p in signature.parameters}
        given: dict[str, ast.Expression] = {}
        for parameter, value in zip(signature.parameters, call.positional, strict=False):
            given[parameter.name] = value
        if len(call.positional) > len(signature.parameters):
            self.report(
                "E107",
                f"`{call.name}` takes {len(parameters)} arguments; {len(call.positional)} are given",
                call.span,
            )
        for name, value in call.named:
            if name not in parameters:
                self.unknown(f"parameter of `{call.name}`", name, value.span, parameters, "E108")
            elif name in given:
                self.report("E108", f"`{name}` is given twice", value.span)
            else:
                given[name] = value
        missing = [p.name for p in signature.parameters if p.default is None and p.name not in given]
        if missing:
            self.report("E109", f"`{call.name}` also needs {', '.join(f'`{m}`' for m in missing)}", call.span)
        ops = tuple(self.wants(scope, value, parameters[name].type) for name, value in given.items())
        return tuple(given), ops


_ARITHMETIC: Final = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}
_COMPARISONS: Final = {"=": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}


def _restore(scope: Scope, name: str, hidden: tuple[int, Type] | None) -> None:
    if hidden is None:
        scope.variables.pop(name, None)
    else:
        scope.variables[name] = hidden


def asked(node: ast.Expression) -> set[ast.Expression]:
    """What a condition asks with `exists`, so that it is there where the condition holds."""
    if isinstance(node, ast.Exists):
        return {node.operand}
    if isinstance(node, ast.Logic) and node.operator == "and":
        return set().union(*(asked(operand) for operand in node.operands))
    return set()


def _is_of_change(node: ast.Expression) -> bool:
    """Whether this is `change.old` or `change.new`."""
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.of, ast.Name)
        and node.of.name == "change"
        and node.name in ("old", "new")
    )


def attribute_named(node: ast.Expression) -> Any:
    """`"x"` of the guard `change.name = "x"`, or None."""
    if not isinstance(node, ast.Binary) or node.operator != "=":
        return None
    for left, right in ((node.left, node.right), (node.right, node.left)):
        if (
            isinstance(left, ast.Attribute)
            and isinstance(left.of, ast.Name)
            and (left.of.name, left.name) == ("change", "name")
            and isinstance(right, ast.Constant)
        ):
            return right.value
    return None
