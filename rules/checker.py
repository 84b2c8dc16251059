"""Static checks: everything a policy can get wrong that can be found before it runs.

E1xx names, E2xx types, E3xx what a phase allows, E4xx scheduling, E5xx rules that contradict or repeat.
"""

from collections.abc import Iterable, Mapping

from rules import ast, locations
from rules.diagnostics import Finding, RuleCheckError, suggestion
from rules.source import Span
from rules.types import (
    AFTER_SETTABLE,
    EVENTS,
    FUNCTIONS,
    NUMBERS,
    SUBJECTS,
    WRITTEN_AS_TEXT,
    EventSignature,
    MicroserviceSignature,
    comparable,
    element,
    fits,
    is_option,
)


def check(policy: ast.Policy, microservices: Mapping[str, MicroserviceSignature], zone: str) -> None:
    """Check a policy for a zone.

    Raises:
        RuleCheckError: with every finding.
    """
    checker = _PolicyChecker(policy, microservices, zone)
    findings = checker.run()
    if findings:
        raise RuleCheckError(policy.source, findings)


class _PolicyChecker:
    def __init__(
        self, policy: ast.Policy, microservices: Mapping[str, MicroserviceSignature], zone: str
    ) -> None:
        self._policy = policy
        self._zone = zone
        self.microservices = microservices
        self.findings: list[Finding] = []
        self.captures: dict[str, tuple[str, ...]] = {}

    def report(self, code: str, message: str, span: Span, help_text: str = "") -> None:
        self.findings.append(Finding(code, message, span, help_text))

    def unknown(self, what: str, name: str, span: Span, known: Iterable[str], code: str = "E101") -> None:
        known = list(known)
        hint = suggestion(name, known) or (f"known are {', '.join(sorted(known)[:12])}" if known else "")
        self.report(code, f"there is no {what} `{name}`", span, hint)

    def run(self) -> list[Finding]:
        policy = self._policy
        if policy.zone and policy.zone != self._zone:
            self.report(
                "E110", f"the policy is for zone `{policy.zone}`, this is `{self._zone}`", Span(1, 1, 6)
            )
        words = self._vocabularies()
        for location in policy.locations:
            self._location(location, words)
        seen: dict[str, Span] = {}
        for rule in policy.rules:
            if rule.id in seen:
                self.report(
                    "E501", f"the id `{rule.id}` is used by the rule on line {seen[rule.id].line}", rule.span
                )
            seen[rule.id] = rule.span
            self._rule(rule)
        return self.findings

    def _vocabularies(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for vocabulary in self._policy.vocabularies:
            if vocabulary.name in found:
                self.report("E502", f"the vocabulary `{vocabulary.name}` is declared twice", vocabulary.span)
            found[vocabulary.name] = vocabulary.words
        return found

    def _location(self, location: ast.Location, words: Mapping[str, tuple[str, ...]]) -> None:
        if location.name in self.captures:
            self.report("E503", f"the location `{location.name}` is declared twice", location.span)
        for clause in location.captures:
            if isinstance(clause.words, str) and clause.words not in words:
                self.unknown("vocabulary", clause.words, clause.span, words)
        try:
            compiled = compile_location(location, words)
        except locations.PatternError as error:
            self.report("E120", str(error), location.span)
            self.captures[location.name] = ()
            return
        self.captures[location.name] = compiled.captures

    def _rule(self, rule: ast.Rule) -> None:
        signature = EVENTS.get(rule.event)
        if signature is None:
            self.unknown("event", rule.event, rule.span, EVENTS, "E102")
            return
        captures = self.captures.get(rule.location)
        if captures is None:
            self.unknown("location", rule.location, rule.span, self.captures, "E103")
            return
        scope = _RuleChecker(self, rule, signature, captures)
        for guard in (*rule.when, *rule.unless):
            scope.wants(guard, "Bool")
        scope.block(rule.body, rule.phase)


class _RuleChecker:
    """Checks one rule; a scope of names with their types."""

    def __init__(
        self, policy: _PolicyChecker, rule: ast.Rule, event: EventSignature, captures: tuple[str, ...]
    ) -> None:
        self._policy = policy
        self._rule = rule
        self._event = event
        self._captures = captures
        self._locals: dict[str, str] = {}
        self._records: dict[str, Mapping[str, str]] = {}

    # -- statements ------------------------------------------------------------------------------------------

    def block(self, statements: tuple[ast.Statement, ...], phase: str) -> None:
        outer, records = dict(self._locals), dict(self._records)
        for statement in statements:
            self._statement(statement, phase)
        self._locals, self._records = outer, records

    def _statement(self, statement: ast.Statement, phase: str) -> None:
        if isinstance(statement, ast.Refuse):
            self._refusal(statement, phase)
            self.wants(statement.message, "Text")
        elif isinstance(statement, ast.Require):
            self.wants(statement.condition, "Bool")
            self.wants(statement.message, "Text")
        elif isinstance(statement, ast.SetMetadata):
            self._set_metadata(statement, phase)
        elif isinstance(statement, ast.SetAttribute):
            self._set_attribute(statement, phase)
        elif isinstance(statement, ast.Let):
            self._declare(statement.name, self.type_of(statement.value), statement.span)
        elif isinstance(statement, ast.If):
            self.wants(statement.condition, "Bool")
            self.block(statement.then, phase)
            self.block(statement.otherwise, phase)
        elif isinstance(statement, ast.Do):
            self._do(statement, phase)
        else:
            self._schedule(statement, phase)

    def _declare(self, name: str, type_name: str, span: Span) -> None:
        if name in self._event.entities or name in ("at", "actor", "zone"):
            self._policy.report("E104", f"`{name}` is the event's own name", span, "choose another name")
        self._locals[name] = type_name

    def _refusal(self, statement: ast.Refuse, phase: str) -> None:
        if phase != "before":
            self._policy.report(
                "E301",
                "an operation can only be refused before it happens",
                statement.span,
                "move this into a `before` rule, or use `require` in a scheduled body to fail the job",
            )

    def _set_metadata(self, statement: ast.SetMetadata, phase: str) -> None:
        if phase == "before":
            self._policy.report(
                "E302", "a `before` rule may not change the catalog", statement.span, "use an `after` rule"
            )
        self._subject(statement.entity, statement.span)
        self._writable(statement.value)
        if statement.unit is not None:
            self.wants(statement.unit, "Text")

    def _writable(self, value: ast.Expression) -> None:
        found = self.type_of(value)
        if found not in WRITTEN_AS_TEXT and found != "Json":
            self._policy.report(
                "E203",
                f"found `{found}` where a value that can be written as text was expected",
                value.span,
                "give a `default` to what may be absent" if is_option(found) else "",
            )

    def _subject(self, name: str, span: Span) -> None:
        if name not in self._event.entities or name not in SUBJECTS:
            self._policy.unknown(
                "subject with metadata here called", name, span, SUBJECTS & set(self._event.entities), "E105"
            )

    def _set_attribute(self, statement: ast.SetAttribute, phase: str) -> None:
        target = f"{statement.entity}.{statement.attribute}"
        known = dict(self._event.settable) if phase == "before" else dict(AFTER_SETTABLE)
        if target not in known:
            self._policy.unknown(
                f"attribute to set in a `{phase}` rule called", target, statement.span, known, "E303"
            )
            return
        if phase != "before":
            self._subject(statement.entity, statement.span)
        self.wants(statement.value, known[target])

    def _do(self, statement: ast.Do, phase: str) -> None:
        call = statement.call
        signature = self._policy.microservices.get(call.name)
        if signature is None:
            self._policy.unknown("microservice", call.name, call.span, self._policy.microservices, "E106")
            return
        if phase == "before" and set(signature.effects) - {"catalog.read"}:
            self._policy.report(
                "E304", f"`{call.name}` changes something, which a `before` rule may not", call.span
            )
        elif phase == "after" and signature.slow:
            self._policy.report(
                "E401", f"`{call.name}` reads or moves bytes, so nobody should wait for it", call.span,
                'put it inside `schedule "..." { }`',
            )  # fmt: skip
        self._arguments(call, signature)
        if statement.giving:
            self._declare(statement.giving, signature.result, statement.span)
            if signature.fields:
                self._records[statement.giving] = signature.fields

    def _arguments(self, call: ast.Call, signature: MicroserviceSignature) -> None:
        parameters = {name: type_name for name, type_name, _ in signature.parameters}
        given: set[str] = set()
        for (name, type_name, _), value in zip(signature.parameters, call.positional, strict=False):
            given.add(name)
            self.wants(value, type_name)
        if len(call.positional) > len(signature.parameters):
            self._policy.report(
                "E107",
                f"`{call.name}` takes {len(parameters)} arguments; {len(call.positional)} are given",
                call.span,
            )
        for name, value in call.named:
            if name not in parameters:
                self._policy.unknown(
                    f"parameter of `{call.name}` called", name, value.span, parameters, "E108"
                )
                continue
            given.add(name)
            self.wants(value, parameters[name])
        missing = [name for name, _, required in signature.parameters if required and name not in given]
        if missing:
            self._policy.report(
                "E109", f"`{call.name}` also needs {', '.join(f'`{m}`' for m in missing)}", call.span
            )

    def _schedule(self, statement: ast.Schedule, phase: str) -> None:
        if phase != "after":
            self._policy.report(
                "E305", f"work can be scheduled in an `after` rule; this is `{phase}`", statement.span
            )
        if statement.key is None:
            self._policy.report(
                "E402", "scheduled work needs a key, so that the same work is not queued twice", statement.span,
                "for example `key object.id`",
            )  # fmt: skip
        else:
            self._writable(statement.key)
        if statement.retries and statement.deadline is None:
            self._policy.report("E403", "retries need a `deadline`", statement.span)
        for length in (statement.after, statement.backoff, statement.backoff_limit, statement.deadline):
            if length is not None:
                self.wants(length, "Duration")
        self.block(statement.body, "job")

    # -- expressions -----------------------------------------------------------------------------------------

    def wants(self, node: ast.Expression, wanted: str) -> None:
        found = self.type_of(node)
        if not fits(found, wanted):
            help_text = "give it a `default`, or ask with `exists` first" if is_option(found) else ""
            self._policy.report(
                "E201", f"found `{found}` where `{wanted}` was expected", node.span, help_text
            )

    def type_of(self, node: ast.Expression) -> str:
        """The type of an expression; `Json` where a finding was reported, so that one error stays one."""
        if isinstance(node, ast.Constant):
            return node.type
        if isinstance(node, ast.Text):
            for part in node.parts:
                if not isinstance(part, str):
                    self._writable(part)
            return "Text"
        if isinstance(node, ast.Now):
            return "Time"
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.Metadata):
            self._subject(node.entity, node.span)
            return "Text?"
        if isinstance(node, ast.Call):
            return self._function(node)
        if isinstance(node, ast.ListOf):
            types = {self.type_of(item) for item in node.items}
            return f"List<{types.pop()}>" if len(types) == 1 else "List<Json>"
        if isinstance(node, (ast.Not, ast.Logic)):
            for operand in (node.operand,) if isinstance(node, ast.Not) else node.operands:
                self.wants(operand, "Bool")
            return "Bool"
        if isinstance(node, ast.Like):
            self.wants(node.operand, "Text")
            return "Bool"
        if isinstance(node, ast.Exists):
            found = self.type_of(node.operand)
            if not is_option(found) and found != "Json":
                self._policy.report("E204", f"a `{found}` is always there", node.span)
            return "Bool"
        return self._binary(node)

    def _name(self, node: ast.Name) -> str:
        if node.name in self._locals:
            return self._locals[node.name]
        if node.name == "actor":
            return "Text"
        if node.name == "zone":
            return "Text"
        if node.name in self._event.entities:
            return node.name
        known = [*self._locals, *self._event.entities, "actor", "zone", "at"]
        self._policy.unknown("name", node.name, node.span, known)
        return "Json"

    def _attribute(self, node: ast.Attribute) -> str:
        if isinstance(node.of, ast.Name):
            name = node.of.name
            if name == "at":
                if node.name in self._captures:
                    return "Text"
                self._policy.unknown(
                    f"capture of `{self._rule.location}` called", node.name, node.span, self._captures
                )
                return "Json"
            if name in self._records:
                return self._field(node, self._records[name])
            if name in self._event.entities and name not in self._locals:
                return self._field(node, self._event.entities[name])
        found = self.type_of(node.of)
        if found != "Json":
            self._policy.report("E202", f"a `{found}` has no attributes", node.span)
        return "Json?" if found == "Json" else "Json"

    def _field(self, node: ast.Attribute, fields: Mapping[str, str]) -> str:
        if node.name in fields:
            return fields[node.name]
        self._policy.unknown("attribute", node.name, node.span, fields)
        return "Json"

    def _function(self, node: ast.Call) -> str:
        signature = FUNCTIONS.get(node.name)
        if signature is None:
            if node.name in self._policy.microservices:
                self._policy.report(
                    "E306",
                    f"`{node.name}` is a microservice",
                    node.span,
                    f"call it with `do {node.name}(...)`",
                )
            else:
                self._policy.unknown("function", node.name, node.span, FUNCTIONS)
            return "Json"
        if node.named or len(node.positional) != len(signature.parameters):
            self._policy.report(
                "E107", f"`{node.name}` takes {len(signature.parameters)} arguments", node.span
            )
            return signature.result
        for value, wanted in zip(node.positional, signature.parameters, strict=True):
            self.wants(value, wanted)
        return signature.result

    def _binary(self, node: ast.Binary) -> str:
        left, right = self.type_of(node.left), self.type_of(node.right)
        if node.operator == "default":
            if not is_option(left) and left != "Json":
                self._policy.report("E204", f"a `{left}` is always there and needs no default", node.span)
            elif is_option(left) and not fits(right, left[:-1]) and left[:-1] != "Text":
                self._policy.report(
                    "E201", f"found `{right}` where `{left[:-1]}` was expected", node.right.span
                )
            return left.removesuffix("?") if left != "Json" else right
        if node.operator in ("in", "not in"):
            if not right.startswith("List<") and right != "Json":
                self._policy.report("E201", f"found `{right}` where a list was expected", node.right.span)
            elif right != "Json" and not comparable(left, element(right)):
                self._mismatch(node, left, element(right))
            return "Bool"
        if node.operator in ("+", "-", "*", "/"):
            return self._arithmetic(node, left, right)
        if not comparable(left, right):
            self._mismatch(node, left, right)
        return "Bool"

    def _mismatch(self, node: ast.Binary, left: str, right: str) -> None:
        help_text = "give a `default` to what may be absent" if is_option(left) or is_option(right) else ""
        self._policy.report("E210", f"`{left}` and `{right}` cannot be compared", node.span, help_text)

    def _arithmetic(self, node: ast.Binary, left: str, right: str) -> str:
        if "Json" in (left, right):
            return "Json"
        if node.operator == "+" and left == right == "Text":
            return "Text"
        if left == "Time" and right == "Duration" and node.operator in ("+", "-"):
            return "Time"
        if left == right == "Time" and node.operator == "-":
            return "Duration"
        if left in NUMBERS and right in NUMBERS:
            if node.operator in ("+", "-") and (left == right or {left, right} == {"Int", "Decimal"}):
                return left if left == right else "Decimal"
            if node.operator == "*" and (left in ("Int", "Decimal") or right in ("Int", "Decimal")):
                return right if left in ("Int", "Decimal") else left
            if node.operator == "/":
                if left == right:
                    return "Decimal"
                if right in ("Int", "Decimal"):
                    return "Decimal" if left == "Int" else left
        self._policy.report("E211", f"`{left} {node.operator} {right}` has no meaning", node.span)
        return "Json"


def compile_location(location: ast.Location, words: Mapping[str, tuple[str, ...]]) -> locations.Pattern:
    """The pattern of a declared location.

    Raises:
        PatternError: it cannot be one.
    """
    allowed = {
        clause.capture: words.get(clause.words, ()) if isinstance(clause.words, str) else clause.words
        for clause in location.captures
        if not clause.form
    }
    forms = {clause.capture: clause.form for clause in location.captures if clause.form}
    return locations.compile_pattern(location.name, location.pattern, allowed, forms)
