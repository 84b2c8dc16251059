"""Runs the tests that stand in a policy, and tells what of the policy they reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rules import ast, core, interpreter
from rules.checker import check
from rules.core import Guard, ScheduledBody
from rules.declarations import Declarations, in_scope
from rules.diagnostics import Finding, RuleCheckError, RuleFailed
from rules.events import EVENTS, SIGNALS, SURROUNDINGS
from rules.expressions import Expressions, Scope
from rules.formatter import expression_text, quoted
from rules.index import ActivePolicies, ActiveRule
from rules.runtime import Frame, frame_slots, thawed
from rules.source import Source
from rules.trace import RuleTrace, acted, atoms_of, judged
from rules.types import Type
from rules.values import Entity, NotReadable, Period, as_text, read
from rules.world import PlannedJob, World

_KINDS = {**SURROUNDINGS, "replica": "Replica", "stream": "Stream", "frame": "Frame", "change": "Change",
          "grant": "Grant", "target": "Target", "actor": "User", "resource": "Resource", "zone": "Zone",
          "user": "User", "group": "Group", "client": "Client"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test: what it expected and did not find, and what happened instead."""

    __test__ = False

    title: str
    line: int
    failures: tuple[str, ...]
    traces: tuple[RuleTrace, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.failures


@dataclass(slots=True)
class Coverage:
    """What the tests of a policy reached: rules that acted, guard atoms seen true and false, statements run."""

    rules: dict[str, bool] = field(default_factory=dict)
    atoms: dict[tuple[str, str], set[bool]] = field(default_factory=dict)
    statements: dict[tuple[str, int], bool] = field(default_factory=dict)

    def summary(self) -> dict[str, tuple[int, int]]:
        """Reached, of how many: `rules`, `atoms` (each value counts) and `statements`."""
        return {
            "rules": (sum(self.rules.values()), len(self.rules)),
            "atoms": (sum(len(seen) for seen in self.atoms.values()), 2 * len(self.atoms)),
            "statements": (sum(self.statements.values()), len(self.statements)),
        }


@dataclass(slots=True)
class TestReport:
    """All tests of a policy."""

    __test__ = False

    policy: str = ""
    results: list[TestResult] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)

    @property
    def passed(self) -> bool:
        return all(result.passed for result in self.results)


def run_tests(policy: ast.Policy, library: Mapping[str, ast.Policy]) -> TestReport:
    """Run every test of a policy.

    Raises:
        RuleCheckError: the policy does not check.
    """
    checked = check(policy, library)
    declarations, _ = in_scope(policy, library)
    for signal, carried in SIGNALS.items():
        declarations.entities[f"signal {signal}"] = {n: Type(t) for n, t in carried.items()}
    report = TestReport(policy.name)
    _plan_coverage(checked, report.coverage)
    for test in policy.of(ast.PolicyTest):
        run = _Run(policy.source, checked, declarations, report.coverage)
        report.results.append(run.run(test))
    return report


def _plan_coverage(checked: core.Policy, coverage: Coverage) -> None:
    for item in core.items_of(checked):
        coverage.rules[item.id] = False
        for guard in item.guards:
            for number in range(len(atoms_of(guard))):
                coverage.atoms[item.id, f"{guard.written}#{number}"] = set()
    acting: list[core.Rule | core.Sweep] = [*checked.rules, *checked.sweeps]
    for rule in acting:
        for step in core.walk_steps(rule.body.steps):
            coverage.statements[rule.id, step.number] = False


class _Run:
    """One test at work."""

    def __init__(
        self, source: Source, checked: core.Policy, declarations: Declarations, coverage: Coverage
    ) -> None:
        self._source = source
        self._active = ActivePolicies([checked])
        self._declarations = declarations
        self._coverage = coverage
        self._world = World(declarations)
        self._entities: dict[str, Any] = {}
        self._traces: list[RuleTrace] = []
        self._began = self._world.now
        self._explained: set[str] = set()
        self._findings: list[Finding] = []

    def run(self, test: ast.PolicyTest) -> TestResult:
        failures: list[str] = []
        try:
            for given in test.given:
                self._give(given)
            self._began = self._world.now
            self._act(test.act)
            self._run_due()
            for expected in test.checks:
                failures += self._check(expected)
        except (RuleFailed, NotReadable) as error:
            failures.append(f"the test could not be run: {error}")
        if failures:
            failures += self._hints()
        return TestResult(test.title, test.span.line, tuple(failures), tuple(self._traces))

    def _hints(self) -> list[str]:
        hints = [
            f"a test cannot know `{name}`; add `given microservice {name} returns ...`"
            for name in sorted(self._world.unanswered)
        ]
        return hints + [
            f"rule {quoted(t.title)} (line {t.line}): {t.outcome}"
            + (f" with {t.code}: {t.message}" if t.code else "")
            for t in self._traces
        ]

    # -- the world -------------------------------------------------------------------------------------------

    def _value(self, node: ast.Expression) -> Any:
        """The value of an expression of a test."""
        scope = Scope(self._declarations)
        entities = []
        for name, kind in _KINDS.items():
            entities.append((scope.declare(name, Type(kind)), name))
        found: list[Finding] = []
        _, op = Expressions(self._declarations, found.append).elaborate(scope, node)
        if found:
            raise RuleCheckError(self._source, found)
        slots: list[Any] = [None] * len(scope.names)
        for slot, name in entities:
            slots[slot] = self._entities.get(name)
        return interpreter.evaluate(self._frame("test", slots, {}), op)

    def _give(self, given: ast.Given) -> None:
        world = self._world
        if isinstance(given, ast.GivenClock):
            value = self._value(given.time)
            world.now = value if isinstance(value, datetime) else read(as_text(value), "Time")
        elif isinstance(given, ast.GivenStub):
            if given.value is None:
                world.failing[given.name] = given.code
            else:
                world.stubs[given.name] = self._value(given.value)
        else:
            kind = _KINDS[given.name]
            facts = {name: self._value(value) for name, value in given.facts}
            name = as_text(
                facts.pop("path", None) or facts.pop("name", None) or facts.get("id") or given.name
            )
            self._entities[given.name] = world.give(kind, name, facts)

    def _frame(self, rule: str, slots: list[Any], at: Mapping[str, str]) -> Frame:
        return Frame(rule, slots, at, self._world.now, self._world, token=rule)

    # -- acts ------------------------------------------------------------------------------------------------

    def _act(self, act: ast.Act) -> None:
        if isinstance(act, ast.ClockAct):
            length = self._value(act.length)
            target = length.after(self._world.now) if isinstance(length, Period) else self._world.now + length
            while (job := self._next_due(target)) is not None:
                self._world.now = max(
                    self._world.now, datetime.fromtimestamp(job.due, self._world.now.tzinfo)
                )
                self._run_job(job)
            self._world.now = target
        elif isinstance(act, ast.SweepAct):
            self._sweep(next(s for s in self._active.sweeps if s.title == act.title))
        elif isinstance(act, ast.SignalAct):
            self._signal(act.name, {name: self._value(value) for name, value in act.facts})
        else:
            self._event(act)

    def _event(self, act: ast.EventAct) -> None:
        name = f"{act.noun} {act.verb}"
        facts = {key: self._value(value) for key, value in act.facts}
        self._place(act, facts)
        for phase in ("before", "during", "after"):
            for active, at in self._active.candidates(phase, name, act.path):
                self._surround(at, act.path)
                self._apply(active, at)
            if phase == "before" and any(t.outcome in ("refuses", "fails") for t in self._traces):
                return

    def _place(self, act: ast.EventAct, facts: dict[str, Any]) -> None:
        """The entities of an event: what it happens to, and what that lies in."""
        world = self._world
        self._entities["actor"] = world.thing("User", act.actor)
        self._entities.setdefault(
            "zone", world.thing("Zone", act.path.split("/")[1] if "/" in act.path else "")
        )
        self._entities.setdefault("client", world.thing("Client", "127.0.0.1"))
        if "size" in facts:
            facts.setdefault("expected_size", facts["size"])
        context = EVENTS[f"{act.noun} {act.verb}"].context
        at_object = act.noun in ("object", "replica", "frame", "stream")
        collection = act.path.rpartition("/")[0] if at_object else act.path
        given = self._entities.get("collection")
        if given is None or given.name != collection:
            self._entities["collection"] = (
                world.things.get(("Collection", collection))
                or (given if given is not None and (collection + "/").startswith(given.name + "/") else None)
                or world.thing("Collection", collection)
            )
        own = {"metadata": "change", "access": "grant"}.get(act.noun, act.noun)
        for name, kind in context.items():
            if name == "object" and at_object:
                self._entities[name] = world.give(kind, act.path, facts if own == "object" else {})
            elif name == own and name != "collection":
                self._entities[name] = world.give(
                    kind, as_text(facts.get("id", f"{name} of {act.path}")), facts
                )
            elif name not in SURROUNDINGS:
                self._entities.setdefault(name, world.thing(kind, f"{name} of {act.path}"))
        if own == "collection":
            world.give("Collection", collection, facts)
        elif own == "session":
            facts.setdefault("ended_at", world.now)
            self._entities["session"] = world.give("Session", act.path, facts)
        self._surround({}, act.path)
        self._change(facts)

    def _change(self, facts: Mapping[str, Any]) -> None:
        change = self._entities.get("change")
        if isinstance(change, Entity):
            change.facts.update(facts)
            change.facts.setdefault("op", "set")
            change.facts.setdefault("old", change.facts.get("new"))

    def _surround(self, at: Mapping[str, str], path: str) -> None:
        """The visit, session, proposal and publication that the captures of a location name."""
        world = self._world
        for name in ("proposal", "visit", "session", "publication"):
            key = at.get(name)
            if key is None and name in self._entities:
                continue
            entity = world.thing(_KINDS[name], key or path)
            entity.facts.setdefault("id", key or path)
            for other in ("proposal", "beamline"):
                if other in at:
                    entity.facts.setdefault(other, at[other])
            if name == "session":
                entity.facts.setdefault("ended_at", world.now)
            self._entities[name] = entity

    def _apply(self, active: ActiveRule, at: Mapping[str, str]) -> None:
        rule = active.rule
        frame = self._frame(rule.id, frame_slots(rule.body, self._entities), at)
        frame.watch = lambda number: self._ran(rule.id, number)
        trace = judged(frame, rule, self._source, lambda g, n, v: self._seen(rule.id, g, n, v))
        if trace.outcome == "applies":
            self._coverage.rules[rule.id] = True
        acted(frame, rule, trace)
        self._traces.append(trace)
        for target, value in frame.event_values.items():
            name, _, attribute = target.partition(".")
            entity = self._entities.get(name)
            if isinstance(entity, Entity):
                entity.facts[attribute] = value

    def _ran(self, rule_id: str, number: int) -> None:
        if (rule_id, number) in self._coverage.statements:
            self._coverage.statements[rule_id, number] = True

    def _seen(self, rule_id: str, guard: Guard, number: int, value: bool) -> None:
        self._coverage.atoms.setdefault((rule_id, f"{guard.written}#{number}"), set()).add(value)

    def _signal(self, name: str, facts: Mapping[str, Any]) -> None:
        carried = SIGNALS[name]
        record: dict[str, Any] = {}
        for field_name, kind in carried.items():
            given = facts.get(field_name)
            record[field_name] = given if isinstance(given, Entity) else self._world.give(
                kind, as_text(facts.get("id", given or field_name)), dict(facts)
            )  # fmt: skip
        self._entities["signal"] = record
        for active in self._active.signals.get(name, ()):
            self._entities.setdefault("actor", self._world.thing("User", "service"))
            self._entities.setdefault("zone", self._world.thing("Zone", ""))
            self._apply(active, {})

    def _sweep(self, sweep: core.Sweep) -> None:
        kind = sweep.over.capitalize()
        matching = []
        for (of, name), entity in sorted(self._world.things.items()):
            at = sweep.pattern.match(_path(entity) or name) if sweep.pattern is not None else {}
            if of != kind or at is None:
                continue
            frame = self._sweep_frame(sweep, entity, at)
            if self._holds(sweep, frame):
                order = interpreter.evaluate(frame, sweep.order) if sweep.order is not None else None
                matching.append((order is None, order, name, entity, at))
        matching.sort(
            key=lambda entry: (entry[0], entry[1] if entry[1] is not None else 0, entry[2]), reverse=False
        )
        if sweep.descending:
            matching.reverse()
        taken: float = 0
        for _, _, _, entity, at in matching:
            frame = self._sweep_frame(sweep, entity, at)
            limit = interpreter.evaluate(frame, sweep.until) if sweep.until is not None else None
            if limit is not None and taken >= limit:
                break
            taken += entity.facts.get("size", 0) if sweep.until_is_size else 1
            self._coverage.rules[sweep.id] = True
            self._entities[sweep.over] = entity
            frame.watch = lambda number: self._ran(sweep.id, number)
            trace = RuleTrace(sweep.id, sweep.title, sweep.span.line, dict(at))
            try:
                interpreter.run(frame, sweep.body.steps, deciding=False)
            except RuleFailed as failure:
                trace.outcome, trace.code, trace.message = "fails", failure.code, str(failure)
            self._traces.append(trace)

    def _sweep_frame(self, sweep: core.Sweep, entity: Entity, at: Mapping[str, str]) -> Frame:
        self._entities.setdefault("zone", self._world.thing("Zone", ""))
        self._entities.setdefault("actor", self._world.thing("User", "sweep"))
        return self._frame(sweep.id, frame_slots(sweep.body, {**self._entities, sweep.over: entity}), at)

    def _holds(self, sweep: core.Sweep, frame: Frame) -> bool:
        for guard in sweep.guards:
            for number, atom in enumerate(atoms_of(guard)):
                value = bool(interpreter.evaluate(frame, atom))
                self._seen(sweep.id, guard, number, value)
                if value is not guard.wanted and (guard.wanted or len(atoms_of(guard)) == 1):
                    return False
        return True

    # -- scheduled work --------------------------------------------------------------------------------------

    def _next_due(self, until: datetime) -> PlannedJob | None:
        due = [j for j in self._world.jobs if j.state == "waiting" and j.due <= until.timestamp()]
        return min(due, key=lambda job: job.due, default=None)

    def _run_due(self) -> None:
        while (job := self._next_due(self._world.now)) is not None:
            self._run_job(job)

    def _run_job(self, job: PlannedJob) -> None:
        scheduled = self._active.scheduled(job.request.body_id)
        assert scheduled is not None, "what a test scheduled is in its policy"
        job.attempts += 1
        job.state = "done"
        try:
            interpreter.run(self._job_frame(job, scheduled), scheduled.body.steps, deciding=False)
        except RuleFailed as failure:
            job.last_failure = str(failure)
            retry = failure.kind == "retryable" and job.attempts <= job.request.retries
            deadline = job.request.deadline_s
            delay = min(job.request.backoff_s * 2 ** (job.attempts - 1), job.request.backoff_limit_s or 0)
            due = self._world.now.timestamp() + delay
            if retry and (deadline is None or due <= job.request.not_before + deadline):
                job.state, job.due = "waiting", due if delay else due + 1
                return
            job.state = "dead"
            interpreter.run(self._job_frame(job, scheduled), scheduled.give_up.steps, deciding=False)

    def _job_frame(self, job: PlannedJob, scheduled: ScheduledBody) -> Frame:
        slots: list[Any] = [None] * len(scheduled.body.names)
        for slot, value in job.request.captured["slots"].items():
            thing = thawed(value)
            if isinstance(thing, Entity):
                thing = self._world.things.get((thing.kind, thing.name), thing)
            slots[int(slot)] = thing
        frame = self._frame(job.request.rule_id, slots, job.request.captured["at"])
        frame.watch = lambda number: self._ran(job.request.rule_id, number)
        return frame

    # -- what was expected -----------------------------------------------------------------------------------

    def _check(self, expected: ast.Check) -> list[str]:
        world = self._world
        refused = [t for t in self._traces if t.outcome == "refuses"]
        failed = [t for t in self._traces if t.outcome == "fails"]
        if isinstance(expected, ast.ThenRefused):
            codes = [t.code for t in (*refused, *failed)]
            if expected.code not in codes:
                shown = ", ".join(codes) if codes else "allowed"
                return [f"expected a refusal with {expected.code}; found: {shown}"]
        elif isinstance(expected, ast.ThenAllowed):
            return [
                f"expected to be allowed; {t.title!r} {t.outcome} with {t.code}: {t.message}"
                for t in (*refused, *failed)
            ]
        elif isinstance(expected, ast.ThenScheduled):
            return self._check_scheduled(expected)
        elif isinstance(expected, ast.ThenCalled):
            return self._check_called(expected)
        elif isinstance(expected, ast.ThenFired):
            if not any(t.title == expected.title and t.outcome != "guard false" for t in self._traces):
                return [f"expected rule {quoted(expected.title)} to fire, and it did not"]
        elif isinstance(expected, ast.ThenHolds):
            if not self._value(expected.condition):
                return [
                    f"expected `{expression_text(expected.condition)}`, which does not hold{self._sides(expected.condition)}"
                ]
        else:
            left = list(world.changes)
            left += [f"`{c.name}` was called" for c in world.calls if f"call {c.name}" not in self._explained]
            left += [
                f"{quoted(j.request.name)} was scheduled"
                for j in world.jobs
                if f"job {j.request.name}" not in self._explained
            ]
            return [f"expected nothing else to change: {change}" for change in left]
        return []

    def _sides(self, node: ast.Expression) -> str:
        if isinstance(node, ast.Binary):
            try:
                return (
                    f": `{expression_text(node.left)}` is `{as_text(self._value(node.left)) or 'not there'}`"
                )
            except (RuleFailed, RuleCheckError):
                return ""
        return ""

    def _check_scheduled(self, expected: ast.ThenScheduled) -> list[str]:
        self._explained.add(f"job {expected.name}")
        named = [job for job in self._world.jobs if job.request.name == expected.name]
        if not named:
            shown = ", ".join(quoted(job.request.name) for job in self._world.jobs) or "nothing"
            return [f"expected {quoted(expected.name)} to be scheduled; found: {shown}"]
        if expected.length is None:
            return []
        length = self._value(expected.length)
        due = length.after(self._began) if isinstance(length, Period) else self._began + length
        times = [datetime.fromtimestamp(job.request.not_before, due.tzinfo) for job in named]
        if all(abs(time - due) > timedelta(seconds=1) for time in times):
            return [f"expected {quoted(expected.name)} at {as_text(due)}; found: {as_text(times)}"]
        return []

    def _check_called(self, expected: ast.ThenCalled) -> list[str]:
        self._explained.add(f"call {expected.name}")
        calls = [call for call in self._world.calls if call.name == expected.name]
        if not calls:
            shown = ", ".join(f"`{call.name}`" for call in self._world.calls) or "nothing"
            return [f"expected `{expected.name}` to be called; found: {shown}"]
        signature = self._declarations.microservices[expected.name]
        wanted = {p.name: v for p, v in zip(signature.parameters, expected.positional, strict=False)}
        wanted |= dict(expected.named)
        values = {name: self._value(node) for name, node in wanted.items()}
        for call in calls:
            if all(as_text(call.arguments.get(name)) == as_text(value) for name, value in values.items()):
                return []
        shown = ", ".join(f"{name}: {as_text(value)}" for name, value in calls[-1].arguments.items())
        return [f"expected `{expected.name}` to be called otherwise; it was called with {shown}"]


def _path(entity: Entity) -> str:
    path = entity.facts.get("path", entity.name)
    return as_text(path)
