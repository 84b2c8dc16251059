"""Checks a policy and lowers it: names, types, units, effects and phases, conflicts.

Everything that is wrong is reported, not only the first. `check` gives the core or raises; `findings` gives the list,
warnings included.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rules import ast, conflicts, core, types
from rules.core import Guard, Op, Place
from rules.declarations import Declarations, in_scope
from rules.diagnostics import Finding, RuleCheckError
from rules.events import ALWAYS, EVENTS, SIGNALS, SURROUNDINGS, EventType
from rules.expressions import Expressions, Scope, attribute_named
from rules.formatter import expression_text, place_text, promise_text
from rules.source import Span
from rules.statements import Statements
from rules.types import Type

_SWEPT = {"object": "Object", "collection": "Collection", "replica": "Replica"}
_IN_TESTS = {
    **SURROUNDINGS, "replica": "Replica", "stream": "Stream", "frame": "Frame", "change": "Change", "grant": "Grant",
    "target": "Target", "actor": "User", "resource": "Resource", "zone": "Zone", "user": "User", "group": "Group",
    "client": "Client",
}  # fmt: skip


@dataclass(slots=True)
class _Checker:
    policy: ast.Policy
    zone: str
    declarations: Declarations
    findings: list[Finding]
    expressions: Expressions = field(init=False)

    def __post_init__(self) -> None:
        self.expressions = Expressions(self.declarations, self.findings.append)

    def report(self, id: str, message: str, span: Span, help_text: str = "") -> None:
        self.findings.append(Finding(id, message, span, help_text))

    # -- the whole -------------------------------------------------------------------------------------------

    def run(self) -> core.Policy:
        policy = self.policy
        if policy.zone and self.zone and policy.zone != self.zone:
            self.report(
                "E116", f"this policy is for zone `{policy.zone}`; this is zone `{self.zone}`", Span(1, 1)
            )
        for constant in policy.of(ast.NamedConstant):
            self.expressions.elaborate(Scope(self.declarations), ast.Name(constant.span, constant.name))
        for function in policy.of(ast.Function):
            self._function(function)
        self._unique()
        rules = tuple(self._rule(rule) for rule in policy.of(ast.Rule))
        keeps = tuple(self._keep(keep) for keep in policy.of(ast.Keep))
        sweeps = tuple(self._sweep(sweep) for sweep in policy.of(ast.Sweep))
        for test in policy.of(ast.PolicyTest):
            self._test(test)
        found = core.Policy(
            policy.name, policy.version, policy.zone, rules, keeps, sweeps, frozenset(self.expressions.called),
            tuple((c.name, c.kind, c.message) for c in self.declarations.codes.values()),
            tuple((a, e, t.name) for (a, e), t in self.declarations.metadata.items()),
            tuple((e, a, t.name) for e, fields in self.declarations.entities.items() for a, t in fields.items()),
        )  # fmt: skip
        if not any(not finding.is_warning for finding in self.findings):
            self.findings += conflicts.find(found)
        return found

    def _unique(self) -> None:
        seen: dict[str, Span] = {}
        own: list[ast.Rule | ast.Keep | ast.Sweep] = [
            *self.policy.of(ast.Rule), *self.policy.of(ast.Keep), *self.policy.of(ast.Sweep),
        ]  # fmt: skip
        for item in sorted(own, key=lambda item: item.span.line):
            if item.id in seen:
                self.report("E110", f"there is a rule `{item.id}` already", item.span,
                            f"see line {seen[item.id].line}; give one of them another `id`")  # fmt: skip
            seen[item.id] = item.span

    def _function(self, function: ast.Function) -> None:
        result = self.declarations.type(function.result)
        if result is None:
            self.expressions.unknown("type", function.result.name, function.result.span, types.BASE)
        scope = Scope(self.declarations)
        for name, written in function.parameters:
            found = self.declarations.type(written)
            if found is None:
                self.expressions.unknown("type", written.name, written.span, types.BASE)
            scope.declare(name, found or types.ANY)
        before = len(self.findings)
        self.expressions.wants(scope, function.value, result or types.ANY)
        if any(finding.id == "E120" for finding in self.findings[before:]):
            return

    # -- rules -----------------------------------------------------------------------------------------------

    def _rule(self, rule: ast.Rule) -> core.Rule:
        event = self._event(rule)
        scope = Scope(self.declarations)
        pattern = None
        if rule.location:
            pattern = self.declarations.locations.get(rule.location)
            if pattern is None:
                self.expressions.unknown(
                    "location", rule.location, rule.span, self.declarations.locations, "E102"
                )
            scope.captures = self.declarations.captures.get(rule.location, {})
            scope.location = rule.location
        entities = self._entities(scope, rule, event)
        statements = Statements(
            self.expressions,
            "job" if rule.phase == "on" else rule.phase,
            event,
            f"{self.policy.name}/{rule.id}",
        ).with_entities(len(entities))
        guards = self._guards(scope, rule.guards, statements)
        body = statements.body(scope, rule.body, entities)
        otherwise = statements.body(scope, rule.otherwise, entities)
        names = tuple(scope.names)
        used = core.used_slots((*body.steps, *otherwise.steps), guards)
        entities = tuple(entry for entry in entities if entry[0] in used)
        body, otherwise = replace(body, entities=entities), replace(otherwise, entities=entities)
        return core.Rule(
            f"{self.policy.name}/{rule.id}", rule.title, rule.because, rule.phase, rule.event, pattern, guards,
            replace(body, names=names), replace(otherwise, id=f"{body.id}/otherwise", names=names),
            statements.wants_digest, rule.span, self.policy.name, statements.wants_tree,
        )  # fmt: skip

    def _event(self, rule: ast.Rule) -> EventType | None:
        if rule.phase == "on":
            if rule.verb not in SIGNALS:
                self.expressions.unknown("signal", rule.verb, rule.span, SIGNALS, "E103")
            return None
        event = EVENTS.get(rule.event)
        if event is None:
            self.expressions.unknown("event", rule.event, rule.span, EVENTS, "E103")
            return None
        if rule.phase not in event.phases:
            listed = " or ".join(f"`{phase}`" for phase in sorted(event.phases))
            self.report(
                "E307", f"`{rule.event}` has no rules `{rule.phase}` it", rule.span, f"write {listed}"
            )
        if event.placed and not rule.location:
            self.report("E117", f"`{rule.event}` happens at a path, so the rule says at which location", rule.span,
                        "add `at` and a location")  # fmt: skip
        if not event.placed and rule.location:
            self.report(
                "E118", f"`{rule.event}` happens at no path, so there is no location to match", rule.span
            )
        return event

    def _entities(self, scope: Scope, rule: ast.Rule, event: EventType | None) -> tuple[tuple[int, str], ...]:
        context: dict[str, str] = dict(ALWAYS)
        if rule.phase == "on":
            kind = f"signal {rule.verb}"
            signal = SIGNALS.get(rule.verb, {})
            self.declarations.entities[kind] = {n: Type(t) for n, t in signal.items()}
            context["signal"] = kind
        elif event is not None:
            context |= event.context
        return tuple((scope.declare(name, Type(kind)), kind) for name, kind in context.items())

    def _guards(
        self, scope: Scope, guards: tuple[ast.Guard, ...], statements: Statements | None = None
    ) -> tuple[Guard, ...]:
        found = []
        for guard in guards:
            if guard.wanted:
                named = attribute_named(guard.condition)
                if named is not None and "change" in scope.variables:
                    types_of = {t for (a, _), t in self.declarations.metadata.items() if a == named}
                    scope.change = types_of.pop() if len(types_of) == 1 else scope.change
                op = self.expressions.condition(scope, guard.condition)
            else:
                op = self.expressions.wants(scope, guard.condition, types.BOOL)
            if statements is not None:
                statements.hold([guard.condition])
            found.append(Guard(op, guard.wanted, expression_text(guard.condition), guard.span))
        return tuple(found)

    # -- promises --------------------------------------------------------------------------------------------

    def _keep(self, keep: ast.Keep) -> core.Keep:
        scope = Scope(self.declarations)
        pattern = self.declarations.locations.get(keep.location)
        if pattern is None:
            self.expressions.unknown(
                "location", keep.location, keep.span, self.declarations.locations, "E102"
            )
            pattern = conflicts.NOWHERE
        scope.captures = self.declarations.captures.get(keep.location, {})
        scope.location = keep.location
        context = {**ALWAYS, **SURROUNDINGS}
        entities = tuple((scope.declare(name, Type(kind)), kind) for name, kind in context.items())
        guards = self._guards(scope, keep.guards)
        promises = tuple(self._promise(scope, promise) for promise in keep.promises)
        return core.Keep(
            f"{self.policy.name}/{keep.id}", keep.title, keep.because, pattern, guards, promises, tuple(scope.names),
            entities, keep.span, self.policy.name,
        )  # fmt: skip

    def _promise(self, scope: Scope, promise: ast.Promise) -> core.Promise:
        def time(node: ast.Expression | None) -> Op | None:
            return None if node is None else self.expressions.wants(scope, node, types.TIME)

        lasts = None
        if promise.lasts is not None:
            found, lasts = self.expressions.elaborate(scope, promise.lasts)
            if found.name not in ("Duration", "Period", "Any"):
                self.report(
                    "E201", f"found `{found}` where a length of time was expected", promise.lasts.span
                )
        return core.Promise(
            promise.count, self._place(promise.place), time(promise.begins), time(promise.ends), lasts,
            time(promise.after), promise_text(promise), promise.span,
        )  # fmt: skip

    def _place(self, node: ast.PlaceExpression) -> Place:
        written = place_text(node)
        if isinstance(node, ast.PlaceIs):
            if node.operator not in ("=", "!="):
                self.report("E215", f"`{node.operator}` does not compare properties of resources", node.span,
                            "use `=` or `!=`")  # fmt: skip
            return Place(
                "is", node.attribute, node.operator, (self._word(node.attribute, node.value),), (), written
            )
        if isinstance(node, ast.PlaceIn):
            values = tuple(self._word(node.attribute, value) for value in node.values)
            return Place("in", node.attribute, values=values, written=written)
        if isinstance(node, ast.PlaceNot):
            return Place("not", parts=(self._place(node.operand),), written=written)
        return Place(node.operator, parts=(self._place(node.left), self._place(node.right)), written=written)

    def _word(self, attribute: str, node: ast.Expression) -> str:
        if isinstance(node, ast.Name):
            word = node.name
        elif isinstance(node, ast.Constant) and node.type == "Text":
            word = str(node.value)
        else:
            self.report("E216", "a property of a resource is a word or a text in quotes", node.span)
            return ""
        vocabulary = self.declarations.vocabularies.get(attribute)
        if vocabulary is not None and word not in (vocabulary.words or ()):
            self.expressions._not_a_word(word, vocabulary, node.span)
        return word

    # -- sweeps ----------------------------------------------------------------------------------------------

    def _sweep(self, sweep: ast.Sweep) -> core.Sweep:
        scope = Scope(self.declarations)
        kind = _SWEPT.get(sweep.over)
        if kind is None:
            self.expressions.unknown("kind to sweep over", sweep.over, sweep.span, _SWEPT, "E101")
            kind = "Object"
        pattern = None
        if sweep.location:
            pattern = self.declarations.locations.get(sweep.location)
            if pattern is None:
                self.expressions.unknown(
                    "location", sweep.location, sweep.span, self.declarations.locations, "E102"
                )
            scope.captures = self.declarations.captures.get(sweep.location, {})
            scope.location = sweep.location
        context = {sweep.over: kind, **{name: kind for name, kind in ALWAYS.items() if name != "client"}}
        entities = tuple((scope.declare(name, Type(kind)), kind) for name, kind in context.items())
        statements = Statements(self.expressions, "job", None, f"{self.policy.name}/{sweep.id}")
        statements.with_entities(len(entities))
        guards = self._guards(scope, sweep.guards, statements)
        every = self.expressions.wants(scope, sweep.every, types.DURATION)
        order = self._order(scope, sweep.order)
        until, is_size = self._until(scope, sweep.until)
        self._between(sweep)
        body = statements.body(scope, sweep.body, entities)
        return core.Sweep(
            f"{self.policy.name}/{sweep.id}", sweep.title, sweep.because, every, sweep.between, sweep.over, pattern,
            guards, order, sweep.descending, until, is_size, body, sweep.span, self.policy.name,
        )  # fmt: skip

    def _order(self, scope: Scope, node: ast.Expression | None) -> Op | None:
        if node is None:
            return None
        found, op = self.expressions.elaborate(scope, node)
        if not types.ordered(found.required):
            self.report("E210", f"a `{found}` has no order", node.span)
        return op

    def _until(self, scope: Scope, node: ast.Expression | None) -> tuple[Op | None, bool]:
        if node is None:
            return None, False
        found, op = self.expressions.elaborate(scope, node)
        if found.name not in ("Int", "Size", "Any"):
            self.report("E201", f"found `{found}` where a number or a size was expected", node.span)
        return op, found.name == "Size"

    def _between(self, sweep: ast.Sweep) -> None:
        for text in sweep.between or ():
            hours, _, minutes = text.partition(":")
            if not (hours.isdigit() and minutes.isdigit() and int(hours) < 24 and int(minutes) < 60):
                self.report(
                    "E217", f"found `{text}` where a time of day such as `22:00` was expected", sweep.span
                )

    # -- tests -----------------------------------------------------------------------------------------------

    def _test(self, test: ast.PolicyTest) -> None:
        scope = Scope(self.declarations)
        for name, kind in _IN_TESTS.items():
            scope.declare(name, Type(kind))
        for given in test.given:
            if isinstance(given, ast.GivenThing) and given.name not in _IN_TESTS:
                self.expressions.unknown("thing to give", given.name, given.span, _IN_TESTS, "E140")
            elif isinstance(given, ast.GivenStub):
                self._known_microservice(given.name, given.span)
        act = test.act
        if isinstance(act, ast.EventAct) and f"{act.noun} {act.verb}" not in EVENTS:
            self.expressions.unknown("event", f"{act.noun} {act.verb}", act.span, EVENTS, "E103")
        elif isinstance(act, ast.SweepAct):
            titles = [sweep.title for sweep in self.policy.of(ast.Sweep)]
            if act.title not in titles:
                self.expressions.unknown("sweep", act.title, act.span, titles, "E140")
        elif isinstance(act, ast.SignalAct) and act.name not in SIGNALS:
            self.expressions.unknown("signal", act.name, act.span, SIGNALS, "E103")
        for expected in test.checks:
            self._expected(scope, expected)

    def _known_microservice(self, name: str, span: Span) -> None:
        if name not in self.declarations.microservices:
            self.expressions.unknown("microservice", name, span, self.declarations.microservices, "E106")

    def _expected(self, scope: Scope, expected: ast.Check) -> None:
        if isinstance(expected, ast.ThenRefused):
            if expected.code not in self.declarations.codes:
                self.expressions.unknown(
                    "code", expected.code, expected.span, self.declarations.codes, "E130"
                )
        elif isinstance(expected, ast.ThenCalled):
            self._known_microservice(expected.name, expected.span)
        elif isinstance(expected, ast.ThenFired):
            titles = [rule.title for rule in self.policy.of(ast.Rule)]
            if expected.title not in titles:
                self.expressions.unknown("rule", expected.title, expected.span, titles, "E140")
        elif isinstance(expected, ast.ThenHolds):
            self.expressions.wants(scope, expected.condition, types.BOOL)
        elif isinstance(expected, ast.ThenScheduled) and expected.length is not None:
            found, _ = self.expressions.elaborate(scope, expected.length)
            if found.name not in ("Duration", "Period", "Any"):
                self.report(
                    "E201", f"found `{found}` where a length of time was expected", expected.length.span
                )


def examine(
    policy: ast.Policy, library: Mapping[str, ast.Policy], zone: str = ""
) -> tuple[core.Policy, list[Finding]]:
    """What a policy means, and everything that is wrong with it or worth a second look, in the order of the text."""
    declarations, findings = in_scope(policy, library)
    found = _Checker(policy, zone, declarations, findings).run()
    unique = list(dict.fromkeys(findings))
    return found, sorted(unique, key=lambda f: (f.span.line, f.span.column, f.id))


def check(policy: ast.Policy, library: Mapping[str, ast.Policy], zone: str = "") -> core.Policy:
    """What a policy means.

    Args:
        policy: as it was read.
        library: policies by name that it may use; `facility.base` is always in scope.
        zone: the zone it is to run in; empty for any.

    Raises:
        RuleCheckError: it does not check; with every finding that is no warning.
    """
    found, findings = examine(policy, library, zone)
    errors = [finding for finding in findings if not finding.is_warning]
    if errors:
        raise RuleCheckError(policy.source, errors)
    return found
