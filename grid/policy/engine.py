"""The policy of a zone at work: which rules concern an event, what they decide, what they do afterwards.

Only `before` rules decide, any refusal wins, and the order never matters. A rule that cannot be evaluated refuses.
`after` rules run inside the operation's transaction, each under a savepoint: one that fails becomes a dead letter
and never the user's error.

The active policy is a row of the catalog with a generation; every process compares it at most every 100 ms.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from grid import paths
from grid.catalog import avus, jobs, journal
from grid.catalog import users as user_rows
from grid.catalog.database import Database, Transaction
from grid.catalog.journal import Decision
from grid.errors import ConfigurationError, FactsChanged, GridError, PolicyDenied, RuleBroken
from grid.model import Avu, Caller
from grid.namespace.ports import Event, ReliedFact
from microservices import declarations
from rules import (
    CompiledPolicy,
    CompiledRule,
    Frame,
    JobRequest,
    MicroserviceSignature,
    Refused,
    RuleCheckError,
    RuleError,
    RuleFailed,
    Source,
    Subject,
    compile_policy,
    parse,
)

REFRESH_S: Final = 0.1
_NOTHING: Final = CompiledPolicy("none", 0, {}, {})

_log = logging.getLogger("beamgrid.policy")


def signatures() -> dict[str, MicroserviceSignature]:
    """What the checker knows of the microservices that are there."""
    return {
        name: MicroserviceSignature(
            name,
            tuple((p.name, p.type, p.required) for p in entry.parameters),
            entry.result,
            entry.effects,
            entry.slow,
            entry.fields,
        )
        for name, entry in declarations().items()
    }


class MicroserviceRunner(Protocol):
    """Runs a microservice for a rule."""

    def run(self, caller: Caller, name: str, arguments: Mapping[str, Any]) -> Any: ...


class PolicyEngine:
    """The rules of one zone in one process; implements the operations' `PolicyHooks`."""

    def __init__(self, database: Database, zone: str, timezone: str) -> None:
        self._database = database
        self._zone = zone
        self._timezone = timezone
        self._runner: MicroserviceRunner | None = None
        self._policy = _NOTHING
        self._generation = 0
        self._checked_at = 0.0
        self._lock = threading.Lock()
        self._older: dict[int, CompiledPolicy] = {}

    def connect(self, runner: MicroserviceRunner) -> None:
        """Say who runs microservices; done once, when everything is put together."""
        self._runner = runner

    # -- which policy ----------------------------------------------------------------------------------------

    def check_source(self, name: str, text: str) -> CompiledPolicy:
        """Compile a policy text.

        Raises:
            RuleCheckError: it does not check.
        """
        return compile_policy(parse(Source(name, text)), signatures(), self._zone)

    def load_file(self, folder: Path, name: str) -> None:
        """Make the zone's policy file the active policy; a broken one changes nothing.

        Raises:
            ConfigurationError: the file is not there, or does not check: with line, column and what was expected.
        """
        sources: dict[str, str] = {}
        if name:
            path = folder / name
            try:
                sources[path.name] = path.read_text("utf-8")
            except OSError as error:
                raise ConfigurationError(
                    f"the policy file `{path}` cannot be read: {error.strerror}"
                ) from error
            try:
                self.check_source(path.name, sources[path.name])
            except RuleCheckError as error:
                raise ConfigurationError(f"the policy `{path.name}` does not check\n{error}") from error
        digest = hashlib.sha256("\0".join([*sources, *sources.values()]).encode()).hexdigest()
        with self._database.write() as tx:
            journal.activate_bundle(tx, "file", digest, sources)

    def forget(self) -> None:
        """Look at the active generation again at the next event."""
        self._checked_at = 0.0

    def refresh(self) -> None:
        """Take over the active policy if it changed."""
        self._checked_at = time.monotonic()
        with self._database.read() as tx:
            generation = journal.active_generation(tx)
        if generation == self._generation:
            return
        with self._lock:
            self._policy = self._compiled(generation)
            self._generation = generation

    def _compiled(self, generation: int) -> CompiledPolicy:
        known = self._older.get(generation)
        if known is not None:
            return known
        with self._database.read() as tx:
            bundle = journal.bundle(tx, generation)
        if bundle is None or not bundle.sources:
            return _NOTHING
        ((name, text),) = bundle.sources.items()
        try:
            compiled = self.check_source(name, text)
        except RuleCheckError as error:
            _log.error("the active policy does not check any more, the last good one stays: %s", error)
            return self._policy
        if len(self._older) > 16:
            self._older.clear()
        self._older[generation] = compiled
        return compiled

    def at_generation(self, generation: int) -> CompiledPolicy:
        """The policy a job was scheduled by."""
        return self._compiled(generation)

    @property
    def description(self) -> str:
        """Name, version and generation of the active policy."""
        self.refresh()
        if self._policy is _NOTHING:
            return "none"
        return f"{self._policy.name} version {self._policy.version} (generation {self._generation})"

    def _rules(self, phase: str, event: str) -> tuple[CompiledRule, ...]:
        if time.monotonic() - self._checked_at > REFRESH_S:
            self.refresh()
        return self._policy.by_event.get((phase, event), ())

    # -- the hooks -------------------------------------------------------------------------------------------

    def before(self, event: Event) -> None:
        """Ask every `before` rule at the event's path; see `PolicyHooks`."""
        for rule in self._rules("before", event.name):
            at = rule.location.match(event.path)
            if at is None:
                continue
            frame = self._frame(rule.id, event, at, _FactReader(self._database, event.relied_on))
            frame.settable = event.settable
            try:
                if rule.applies(frame):
                    rule.run(frame)
            except Refused as refusal:
                decision_id = self._record_refusal(event, "refused", refusal.code, rule.id, str(refusal))
                error = PolicyDenied(str(refusal), code=refusal.code, rule=rule.id, decision_id=decision_id)
                error.notes.append(f"code {refusal.code}, rule {rule.id}, decision {decision_id}")
                raise error from None
            except RuleError as failure:
                code = failure.code if isinstance(failure, RuleFailed) else "RULE_ERROR"
                decision_id = self._record_refusal(event, "failed", code, rule.id, str(failure))
                broken = RuleBroken(f"a rule could not decide, so the operation is refused: {failure}")
                broken.notes.append(f"code {code}, rule {rule.id}, decision {decision_id}")
                raise broken from failure

    def confirm(self, tx: Transaction, event: Event) -> None:
        """See `PolicyHooks`."""
        for fact in event.relied_on:
            if _LOOK_UPS[fact.kind](tx, *fact.key) != fact.value:
                raise FactsChanged(
                    f"the {fact.kind} that the policy looked at changed meanwhile; try again: `{event.path}`"
                )
        event.relied_on.clear()

    def after(self, tx: Transaction, event: Event) -> None:
        """Run the `after` rules inside the operation's transaction; see `PolicyHooks`."""
        fired: list[str] = []
        for rule in self._rules("after", event.name):
            at = rule.location.match(event.path)
            if at is None:
                continue
            writer = _RuleWriter(self, tx, event, rule.id)
            frame = self._frame(rule.id, event, at, writer)
            try:
                with tx.savepoint("after_rule"):
                    if rule.applies(frame):
                        rule.run(frame)
                        fired.append(rule.id)
            except (Refused, RuleError, GridError) as error:
                _log.warning("rule %s failed after %s of %s: %s", rule.id, event.name, event.path, error)
                user = (event.caller.user.name, event.caller.user.zone)
                jobs.dead_letter(tx, rule.title, rule.id, user, self._generation, str(error))
        if fired or any(r.location.match(event.path) is not None for r in self._rules("before", event.name)):
            decision = self._decision(event, "allowed", "", ", ".join(fired), "")
            journal.record_decision(tx, decision)

    def concerns(self, event: str, path: str) -> bool:
        return any(
            rule.location.match(path) is not None
            for phase in ("before", "after")
            for rule in self._rules(phase, event)
        )

    def wants_digest(self, path: str) -> bool:
        return any(
            rule.wants_digest and rule.location.match(path) is not None
            for rule in self._rules("after", "object close")
        )

    def concerns_objects_below(self, noun: str, verb: str, path: str) -> bool:
        return any(rule.location.touches_below(path) for rule in self._rules("before", f"{noun} {verb}"))

    # -- helpers of the hooks --------------------------------------------------------------------------------

    def _frame(self, rule: str, event: Event, at: Mapping[str, str], reader: Any) -> Frame:
        subjects = {}
        entities = dict(event.facts)
        for kind in ("object", "collection"):
            facts = event.facts.get(kind)
            if facts is not None or event.noun == kind:
                subjects[kind] = Subject(kind, event.subject_id, event.path)
                entities[kind] = {"path": event.path, "id": event.subject_id, **(facts or {})}
        return Frame(
            rule=rule,
            entities=entities,
            subjects=subjects,
            at=at,
            actor=event.caller.user.name,
            zone=self._zone,
            now=time.time(),
            reader=reader,
            timezone=self._timezone,
        )

    def _decision(self, event: Event, decision: str, code: str, rule: str, sentence: str) -> Decision:
        return Decision(
            event.name, paths.printable(event.path), event.caller.user.full_name, decision, code, rule, sentence,
            event.caller.request_id, self._generation,
        )  # fmt: skip

    def _record_refusal(self, event: Event, decision: str, code: str, rule: str, sentence: str) -> int:
        with self._database.write(durable=False) as tx:
            return journal.record_decision(tx, self._decision(event, decision, code, rule, sentence))

    def run_microservice(self, caller: Caller, name: str, arguments: Mapping[str, Any]) -> Any:
        assert self._runner is not None, "connect() was not called"
        return self._runner.run(caller, name, arguments)

    def schedule(self, tx: Transaction, event: Event, rule: str, request: JobRequest) -> None:
        """Add the job of a `schedule` statement, in the operation's transaction."""
        jobs.insert(
            tx,
            jobs.NewJob(
                name=request.name,
                rule_id=rule,
                body_id=request.body_id,
                key=request.key,
                bundle_generation=self._generation,
                user_name=event.caller.user.name,
                user_zone=event.caller.user.zone,
                captured=dict(request.captured),
                not_before=tx.now + request.after_s,
                deadline=tx.now + request.deadline_s if request.deadline_s else None,
                max_attempts=request.retries + 1,
                backoff_s=request.backoff_s,
                backoff_max_s=request.backoff_limit_s,
            ),
        )


class _FactReader:
    """Answers the guards of `before` rules and notes what it said."""

    def __init__(self, database: Database, relied_on: list[ReliedFact]) -> None:
        self._database = database
        self._relied_on = relied_on

    def _look(self, kind: str, *key: int | str) -> Any:
        with self._database.read() as tx:
            value = _LOOK_UPS[kind](tx, *key)
        self._relied_on.append(ReliedFact(kind, key, value))
        return value

    def metadata(self, subject: Subject, attribute: str) -> str | None:
        found: str | None = self._look("metadata", subject.id, attribute)
        return found

    def members(self, group: str) -> frozenset[str]:
        found: frozenset[str] = self._look("members", group)
        return found


def _first_value(tx: Transaction, entity_id: int, attribute: str) -> str | None:
    values = avus.values_of(tx, entity_id, attribute)
    return values[0] if values else None


def _members(tx: Transaction, group: str) -> frozenset[str]:
    row = tx.one("SELECT id FROM users WHERE name = :name AND type = 'rodsgroup'", {"name": group})
    if row is None:
        return frozenset()
    return frozenset(user.name for user in user_rows.members(tx, row[0]))


_LOOK_UPS: Final[dict[str, Callable[..., Any]]] = {"metadata": _first_value, "members": _members}


class _RuleWriter:
    """What an `after` rule may do, inside the operation's transaction."""

    def __init__(self, engine: PolicyEngine, tx: Transaction, event: Event, rule: str) -> None:
        self._engine = engine
        self._tx = tx
        self._event = event
        self._rule = rule

    def metadata(self, subject: Subject, attribute: str) -> str | None:
        return _first_value(self._tx, subject.id, attribute)

    def members(self, group: str) -> frozenset[str]:
        return _members(self._tx, group)

    def set_metadata(self, subject: Subject, attribute: str, value: str, unit: str) -> None:
        tx = self._tx
        for avu_id, avu in avus.of_entity(tx, subject.id):
            if avu.attribute == attribute:
                avus.unlink(tx, subject.id, avu_id)
        if value:
            avus.link(tx, subject.id, avus.find_or_make(tx, Avu(attribute, value, unit)))

    def set_owner(self, subject: Subject, owner: str) -> None:
        self._engine.run_microservice(
            _with_rule_rights(self._event.caller), "set_owner", {"path": subject.path, "owner": owner}
        )

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        return self._engine.run_microservice(_with_rule_rights(self._event.caller), name, arguments)

    def schedule(self, job: JobRequest) -> None:
        self._engine.schedule(self._tx, self._event, self._rule, job)


def _with_rule_rights(caller: Caller) -> Caller:
    """The caller, acting with the rights of the zone's policy."""
    return Caller(
        caller.user, caller.principals, caller.groups, caller.proxy, caller.address, caller.request_id,
        rights_of_rules=True,
    )  # fmt: skip
