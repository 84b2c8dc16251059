"""The canonical layout of a policy: what `fmt` writes, and how expressions are shown to people.

Comments stay: one on a line of its own goes before what follows it, one at the end of a line stays at the end of the
line that holds what it followed. Formatting what was formatted changes nothing.
"""

from collections import deque
from typing import Any, Final

from rules import ast
from rules.source import Comment, Span

WIDTH: Final = 110
_LEVELS: Final = {
    "or": 1,
    "and": 2,
    "not": 3,
    "compare": 4,
    "sum": 5,
    "product": 6,
    "negative": 7,
    "default": 8,
}
_DECLARATIONS: Final = (
    ast.Use, ast.Vocabulary, ast.MetadataType, ast.FailureCode, ast.Location, ast.NamedConstant, ast.Microservice,
    ast.Function, ast.EntityDeclaration,
)  # fmt: skip


def quoted(text: str) -> str:
    """A text in quotes, as the language reads it."""
    return (
        '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'
    )


# -- expressions ----------------------------------------------------------------------------------------------


def expression_text(node: ast.Expression, level: int = 0) -> str:
    """An expression as a steward writes it; parentheses where `level` binds tighter."""
    text, own = _expression(node)
    return f"({text})" if own < level else text


def _expression(node: Any) -> tuple[str, int]:
    kind = type(node)
    if kind is ast.Binary:
        return _binary(node)
    if kind is ast.Logic:
        level = _LEVELS[node.operator]
        inner = [expression_text(operand, level + 1) for operand in node.operands]
        return f" {node.operator} ".join(inner), level
    if kind is ast.Not:
        return f"not {expression_text(node.operand, 3)}", 3
    if kind is ast.Negative:
        return f"-{expression_text(node.operand, 7)}", 7
    if kind is ast.Like:
        return f"{expression_text(node.operand, 5)} {node.operator} {quoted(node.pattern)}", 4
    if kind is ast.Exists:
        return f"{expression_text(node.operand, 5)} exists", 4
    if kind is ast.IsAt:
        return f"{expression_text(node.operand, 5)} is at {node.location}", 4
    if kind is ast.Metadata:
        return f"metadata {quoted(node.attribute)} of {expression_text(node.of, 10)}", 9
    return _primary(node), 10


def _binary(node: ast.Binary) -> tuple[str, int]:
    if node.operator == "default":
        return f"{expression_text(node.left, 9)} default {expression_text(node.right, 10)}", 8
    if node.operator in ("+", "-"):
        return f"{expression_text(node.left, 5)} {node.operator} {expression_text(node.right, 6)}", 5
    if node.operator in ("*", "/"):
        return f"{expression_text(node.left, 6)} {node.operator} {expression_text(node.right, 7)}", 6
    return f"{expression_text(node.left, 5)} {node.operator} {expression_text(node.right, 5)}", 4


def _primary(node: Any) -> str:
    kind = type(node)
    if kind is ast.Constant:
        return quoted(str(node.value)) if node.type == "Text" else node.written
    if kind is ast.Text:
        parts = [p if isinstance(p, str) else "{" + expression_text(p) + "}" for p in node.parts]
        return quoted("".join(parts))
    if kind is ast.Now:
        return "now"
    if kind is ast.Name:
        return str(node.name)
    if kind is ast.Attribute:
        return f"{expression_text(node.of, 10)}.{node.name}"
    if kind is ast.Index:
        return f"{expression_text(node.of, 10)}[{expression_text(node.index)}]"
    if kind is ast.Call:
        return f"{node.name}({arguments_text(node.positional, node.named)})"
    if kind is ast.ListOf:
        return f"[{', '.join(expression_text(item) for item in node.items)}]"
    if kind is ast.Quantified:
        return f"{node.kind} {node.name} in {expression_text(node.source)} satisfy ({expression_text(node.condition)})"
    if kind is ast.Count:
        return f"count({expression_text(node.of)})"
    assert kind is ast.Find, "every other expression has a level of its own"
    at = f" at {node.location}" if node.location else ""
    where = f" where ({expression_text(node.where)})" if node.where is not None else ""
    return f"find {node.kind}{at}{where} limit {node.limit}"


def arguments_text(
    positional: tuple[ast.Expression, ...], named: tuple[tuple[str, ast.Expression], ...]
) -> str:
    parts = [expression_text(value) for value in positional]
    return ", ".join(parts + [f"{name}: {expression_text(value)}" for name, value in named])


def type_text(node: ast.TypeName) -> str:
    inner = f"<{', '.join(type_text(argument) for argument in node.arguments)}>" if node.arguments else ""
    return f"{node.name}{inner}{'?' if node.option else ''}"


def place_text(node: ast.PlaceExpression, level: int = 0) -> str:
    """A condition on resources as a steward writes it."""
    if isinstance(node, ast.PlaceIs):
        return f"{node.attribute} {node.operator} {expression_text(node.value)}"
    if isinstance(node, ast.PlaceIn):
        return f"{node.attribute} in [{', '.join(expression_text(value) for value in node.values)}]"
    if isinstance(node, ast.PlaceNot):
        return f"not {place_text(node.operand, 3)}"
    own = 2 if node.operator == "and" else 1
    text = f"{place_text(node.left, own)} {node.operator} {place_text(node.right, own + 1)}"
    return f"({text})" if own < level else text


def promise_text(promise: ast.Promise) -> str:
    """A promise in one line."""
    count = "no copies" if not promise.count else f"{promise.count} cop{'y' if promise.count == 1 else 'ies'}"
    text = f"{count} on {place_text(promise.place)}"
    if promise.lasts is not None:
        text += f" for {expression_text(promise.lasts)}"
        return text + (f" after {expression_text(promise.after)}" if promise.after is not None else "")
    if promise.begins is not None:
        text += f" from {expression_text(promise.begins)}"
    return text + (f" until {expression_text(promise.ends)}" if promise.ends is not None else "")


# -- whole policies -------------------------------------------------------------------------------------------


def format_policy(policy: ast.Policy) -> str:
    """The whole text in canonical layout."""
    printer = _Printer(policy.comments)
    printer.policy(policy)
    return "\n".join(printer.lines).rstrip() + "\n"


class _Printer:
    def __init__(self, comments: tuple[Comment, ...]) -> None:
        self.lines: list[str] = []
        self._comments = deque(comments)

    def policy(self, policy: ast.Policy) -> None:
        first = policy.items[0].span.line if policy.items else 10**9
        header = f"policy {policy.name} version {policy.version}"
        header += f" for zone {quoted(policy.zone)}" if policy.zone else ""
        if policy.meta:
            header += " { " + " ".join(f"{key} {quoted(value)}" for key, value in policy.meta) + " }"
        self._lead(self._header_line(policy))
        self.lines.append(header)
        self._trail(Span(1, 1, 1, max(first - 1, 1)))
        previous: ast.Item | None = None
        for item in policy.items:
            together = isinstance(item, _DECLARATIONS) and type(item) is type(previous)
            if not together or (isinstance(item, ast.EntityDeclaration) and len(item.fields) > 4):
                self.lines.append("")
            self._lead(item.span.line)
            getattr(self, f"_{type(item).__name__.lower()}")(item)
            self._trail(item.span)
            previous = item
        if self._comments:
            self.lines.append("")
            self._lead(10**9)

    def _header_line(self, policy: ast.Policy) -> int:
        for number, line in enumerate(policy.source.text.splitlines(), 1):
            if line.strip() and not line.strip().startswith("#"):
                return number
        return 1

    # -- comments --------------------------------------------------------------------------------------------

    def _lead(self, line: int, indent: int = 0) -> None:
        """Write the comments that stand before a line of the old text."""
        while self._comments and self._comments[0].line < line:
            self.lines.append(" " * indent + self._comments.popleft().text)

    def _trail(self, span: Span) -> None:
        """Write the comment at the end of the line that holds the end, or the beginning, of what was written last."""
        while (
            self._comments
            and self._comments[0].trailing
            and self._comments[0].line <= max(span.end_line, span.line)
        ):
            self.lines[-1] += f"  {self._comments.popleft().text}"

    # -- declarations ----------------------------------------------------------------------------------------

    def _use(self, item: ast.Use) -> None:
        self.lines.append(
            f"use {item.name}" + (f" version {item.version}" if item.version is not None else "")
        )

    def _vocabulary(self, item: ast.Vocabulary) -> None:
        self.lines.append(f"vocabulary {item.name} {{ {', '.join(item.words)} }}")

    def _entitydeclaration(self, item: ast.EntityDeclaration) -> None:
        fields = [f"{name}: {type_text(written)}" for name, written in item.fields]
        line = f"entity {item.name} {{ {', '.join(fields)} }}"
        if len(line) <= WIDTH:
            self.lines.append(line)
            return
        self.lines.append(f"entity {item.name} {{")
        self._filled(fields, "  ")
        self.lines.append("}")

    def _filled(self, parts: list[str], indent: str) -> None:
        line = indent
        for index, part in enumerate(parts):
            text = part + ("," if index < len(parts) - 1 else "")
            if len(line) + len(text) + 1 > WIDTH:
                self.lines.append(line.rstrip())
                line = indent
            line += text + " "
        self.lines.append(line.rstrip())

    def _metadatatype(self, item: ast.MetadataType) -> None:
        self.lines.append(f"metadata {quoted(item.attribute)}: {type_text(item.type)} on {item.entity}")

    def _failurecode(self, item: ast.FailureCode) -> None:
        self.lines.append(f"code {item.name} kind {item.kind} {quoted(item.message)}")

    def _location(self, item: ast.Location) -> None:
        self.lines.append(f"location {item.name} = {quoted(item.pattern)}")
        clauses = []
        for clause in item.captures:
            if clause.form:
                clauses.append(f"{clause.capture} matches {quoted(clause.form)}")
            elif isinstance(clause.words, str):
                clauses.append(f"{clause.capture} in {clause.words}")
            else:
                clauses.append(f"{clause.capture} in [{', '.join(_word(word) for word in clause.words)}]")
        if clauses:
            self.lines.append(f"  with {', '.join(clauses)}")

    def _namedconstant(self, item: ast.NamedConstant) -> None:
        written = f": {type_text(item.type)}" if item.type is not None else ""
        self.lines.append(f"let {item.name}{written} = {expression_text(item.value)}")

    def _function(self, item: ast.Function) -> None:
        parameters = ", ".join(f"{name}: {type_text(written)}" for name, written in item.parameters)
        head = f"define {item.name}({parameters}) -> {type_text(item.result)} ="
        value = expression_text(item.value)
        if len(head) + len(value) < WIDTH:
            self.lines.append(f"{head} {value}")
        else:
            self.lines += [head, f"  {value}"]

    def _microservice(self, item: ast.Microservice) -> None:
        defaults = dict(item.defaults)
        parameters = ", ".join(
            f"{name}: {type_text(written)}"
            + (f" = {expression_text(defaults[name])}" if name in defaults else "")
            for name, written in item.parameters
        )
        result = f" -> {type_text(item.result)}" if item.result is not None else ""
        undo = f" undo {item.undo}" if item.undo else ""
        self.lines.append(
            f"microservice {item.name}({parameters}){result} effects {', '.join(item.effects)}{undo}"
        )

    # -- rules -----------------------------------------------------------------------------------------------

    def _titled(self, word: str, title: str, id: str, because: str) -> None:
        text = f"{word} {quoted(title)} id {id}"
        self.lines.append(text + (f" because {quoted(because)}" if because else ""))

    def _guard(self, guard: ast.Guard) -> None:
        self._lead(guard.span.line, 2)
        word = "when" if guard.wanted else "unless"
        self.lines.append(f"  {word} {expression_text(guard.condition)}")
        self._trail(guard.span)

    def _rule(self, rule: ast.Rule) -> None:
        self._titled("rule", rule.title, rule.id, rule.because)
        self._trail(Span(rule.span.line, 1, 1, rule.span.line))
        if rule.phase == "on":
            self.lines.append(f"  on signal {rule.verb}")
        else:
            at = f" at {rule.location}" if rule.location else ""
            self.lines.append(f"  {rule.phase} {rule.event}{at}")
        for guard in rule.guards:
            self._guard(guard)
        self._body(rule.body, rule.otherwise[0].span.line if rule.otherwise else rule.span.end_line)
        if rule.otherwise:
            self.lines[-1] += " otherwise {"
            self._statements(rule.otherwise, 4)
            self._close(rule.span.end_line, 4)

    def _body(self, block: ast.Block, end_line: int) -> None:
        """A block whose brace stands at the end of the line written last, before any comment on it."""
        head, mark, comment = self.lines[-1].partition("  #")
        self.lines[-1] = f"{head} {{{mark}{comment}"
        self._statements(block, 4)
        self._close(end_line, 4)

    def _close(self, end_line: int, indent: int) -> None:
        self._lead(end_line, indent)
        self.lines.append(" " * (indent - 4 if indent == 4 else indent - 2) + "}")

    def _keep(self, keep: ast.Keep) -> None:
        self._titled("keep", keep.title, keep.id, keep.because)
        self._trail(Span(keep.span.line, 1, 1, keep.span.line))
        self.lines.append(f"  at {keep.location}")
        for guard in keep.guards:
            self._guard(guard)
        head, mark, comment = self.lines[-1].partition("  #")
        self.lines[-1] = f"{head} {{{mark}{comment}"
        for promise in keep.promises:
            self._lead(promise.span.line, 4)
            self.lines.append(f"    {promise_text(promise)}")
            self._trail(promise.span)
        self._close(keep.span.end_line, 4)

    def _sweep(self, sweep: ast.Sweep) -> None:
        self._titled("sweep", sweep.title, sweep.id, sweep.because)
        self._trail(Span(sweep.span.line, 1, 1, sweep.span.line))
        line = f"  every {expression_text(sweep.every)}"
        if sweep.between:
            line += f" between {quoted(sweep.between[0])} and {quoted(sweep.between[1])}"
        line += f" over {sweep.over}" + (f" at {sweep.location}" if sweep.location else "")
        self.lines.append(line)
        for guard in sweep.guards:
            self._guard(guard)
        if sweep.order is not None:
            way = "descending" if sweep.descending else "ascending"
            self.lines.append(f"  order by {expression_text(sweep.order)} {way}")
        if sweep.until is not None:
            self.lines.append(f"  until {expression_text(sweep.until)}")
        self._body(sweep.body, sweep.span.end_line)

    # -- statements ------------------------------------------------------------------------------------------

    def _statements(self, block: ast.Block, indent: int) -> None:
        for statement in block:
            self._lead(statement.span.line, indent)
            getattr(self, f"_s_{type(statement).__name__.lower()}")(statement, " " * indent)
            self._trail(statement.span)

    def _nested(self, block: ast.Block, pad: str, end_line: int) -> None:
        self._statements(block, len(pad) + 2)
        self._lead(end_line, len(pad) + 2)
        self.lines.append(f"{pad}}}")

    def _s_allow(self, node: ast.Allow, pad: str) -> None:
        self.lines.append(f"{pad}allow")

    def _s_refuse(self, node: ast.Refuse, pad: str) -> None:
        self.lines.append(f"{pad}refuse {expression_text(node.message)}{_code(node.code, 'REFUSED')}")

    def _s_require(self, node: ast.Require, pad: str) -> None:
        condition, message = expression_text(node.condition), expression_text(node.message)
        code = _code(node.code, "REFUSED")
        line = f"{pad}require {condition} else {message}{code}"
        if len(line) <= WIDTH:
            self.lines.append(line)
        else:
            self.lines += [f"{pad}require {condition}", f"{pad}  else {message}{code}"]

    def _s_fail(self, node: ast.Fail, pad: str) -> None:
        self.lines.append(f"{pad}fail {expression_text(node.message)}{_code(node.code, 'FAILED')}")

    def _s_setmetadata(self, node: ast.SetMetadata, pad: str) -> None:
        unit = f" unit {expression_text(node.unit)}" if node.unit is not None else ""
        target = f"metadata {quoted(node.attribute)} of {expression_text(node.of, 10)}"
        self.lines.append(f"{pad}set {target} to {expression_text(node.value)}{unit}")

    def _s_removemetadata(self, node: ast.RemoveMetadata, pad: str) -> None:
        self.lines.append(f"{pad}remove metadata {quoted(node.attribute)} of {expression_text(node.of, 10)}")

    def _s_setattribute(self, node: ast.SetAttribute, pad: str) -> None:
        self.lines.append(
            f"{pad}set {expression_text(node.of, 10)}.{node.attribute} to {expression_text(node.value)}"
        )

    def _s_let(self, node: ast.Let, pad: str) -> None:
        self.lines.append(f"{pad}let {node.name} = {expression_text(node.value)}")

    def _s_if(self, node: ast.If, pad: str) -> None:
        self.lines.append(f"{pad}if {expression_text(node.condition)} {{")
        end = node.otherwise[0].span.line if node.otherwise else node.span.end_line
        self._nested(node.then, pad, end)
        while len(node.otherwise) == 1 and isinstance(node.otherwise[0], ast.If):
            node = node.otherwise[0]
            self.lines[-1] += f" else if {expression_text(node.condition)} {{"
            self._nested(
                node.then, pad, node.otherwise[0].span.line if node.otherwise else node.span.end_line
            )
        if node.otherwise:
            self.lines[-1] += " else {"
            self._nested(node.otherwise, pad, node.span.end_line)

    def _s_foreach(self, node: ast.ForEach, pad: str) -> None:
        self.lines.append(
            f"{pad}for each {node.name} in {expression_text(node.source)} up to {node.limit} {{"
        )
        self._nested(node.body, pad, node.span.end_line)

    def _s_do(self, node: ast.Do, pad: str) -> None:
        line = f"{pad}do {expression_text(node.call)}"
        line += f" giving {node.giving}" if node.giving else ""
        self.lines.append(line + (f" undo {expression_text(node.undo)}" if node.undo is not None else ""))

    def _s_try(self, node: ast.Try, pad: str) -> None:
        self.lines.append(f"{pad}try {{")
        self._nested(node.body, pad, node.recover[0].span.line if node.recover else node.span.end_line)
        self.lines[-1] += f" recover {node.name} {{" if node.name else " recover {"
        self._nested(node.recover, pad, node.span.end_line)

    def _s_schedule(self, node: ast.Schedule, pad: str) -> None:
        parts = [f"schedule {quoted(node.name)}"]
        for word, value in (("key", node.key), ("after", node.after), ("on date", node.date)):
            if value is not None:
                parts.append(f"{word} {expression_text(value)}")
        if node.retries:
            parts.append(f"retry {node.retries} times")
        if node.backoff is not None and node.backoff_limit is not None:
            parts.append(f"backoff {expression_text(node.backoff)} to {expression_text(node.backoff_limit)}")
        if node.deadline is not None:
            parts.append(f"deadline {expression_text(node.deadline)}")
        if node.as_user is not None:
            parts.append(f"as {expression_text(node.as_user)}")
        self.lines.append(pad + " ".join(parts))
        if node.give_up:
            self.lines.append(f"{pad}  on give up {{")
            end = node.body[0].span.line if node.body else node.span.end_line
            self._nested(node.give_up, pad + "  ", end)
        self.lines[-1] += " {"
        self._nested(node.body, pad, node.span.end_line)

    def _s_emit(self, node: ast.Emit, pad: str) -> None:
        inner = f"({arguments_text((), node.named)})" if node.named else ""
        self.lines.append(f"{pad}emit {node.name}{inner}")

    def _s_note(self, node: ast.Note, pad: str) -> None:
        self.lines.append(f"{pad}note {expression_text(node.message)}")

    # -- tests -----------------------------------------------------------------------------------------------

    def _policytest(self, test: ast.PolicyTest) -> None:
        self.lines.append(f"test {quoted(test.title)} {{")
        for part in (*test.given, test.act, *test.checks):
            self._lead(part.span.line, 2)
            self.lines.append("  " + _test_line(part))
            self._trail(part.span)
        self._lead(test.span.end_line, 2)
        self.lines.append("}")


def _word(word: str) -> str:
    return word if word.isidentifier() else quoted(word)


def _code(code: str, usual: str) -> str:
    return f" code {code}" if code != usual else ""


def _facts(facts: ast.Facts) -> str:
    return (
        "{ " + ", ".join(f"{name}: {expression_text(value)}" for name, value in facts) + " }"
        if facts
        else "{ }"
    )


def _test_line(part: Any) -> str:
    kind = type(part)
    if kind is ast.GivenThing:
        return f"given {quoted(part.name)} {_facts(part.facts)}"
    if kind is ast.GivenClock:
        return f"given clock {expression_text(part.time)}"
    if kind is ast.GivenStub:
        if part.value is None:
            return f"given microservice {part.name} fails" + (
                f" {part.code}" if part.code != "FAILED" else ""
            )
        return f"given microservice {part.name} returns {expression_text(part.value)}"
    if kind is ast.EventAct:
        facts = f" {_facts(part.facts)}" if part.facts else ""
        return f"when {part.actor} does {part.noun} {part.verb} {quoted(part.path)}{facts}"
    if kind is ast.ClockAct:
        return f"when clock advances {expression_text(part.length)}"
    if kind is ast.SweepAct:
        return f"when sweep {quoted(part.title)} runs"
    if kind is ast.SignalAct:
        return f"when signal {part.name} {_facts(part.facts)}"
    if kind is ast.ThenRefused:
        return f"then refused with {part.code}"
    if kind is ast.ThenScheduled:
        length = f" in {expression_text(part.length)}" if part.length is not None else ""
        return f"then scheduled {quoted(part.name)}{length}"
    if kind is ast.ThenCalled:
        inner = arguments_text(part.positional, part.named)
        return f"then called {part.name}" + (f"({inner})" if inner else "")
    if kind is ast.ThenFired:
        return f"then rule {quoted(part.title)} fired"
    if kind is ast.ThenHolds:
        return f"then {expression_text(part.condition)}"
    return "then allowed" if kind is ast.ThenAllowed else "then nothing else changed"
