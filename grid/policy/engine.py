"""The policy of a zone at work: which rules concern an event, what they decide, what they do afterwards.

Only `before` rules decide: all that apply run, any refusal wins, and the order never matters. A rule that cannot be
evaluated refuses. `after` rules run inside the operation's transaction, each under a savepoint: one that fails becomes
a dead letter and never the user's error.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import policies as shipped
from grid import paths
from grid.catalog import bundles as rows
from grid.catalog import jobs, journal, promises, trash
from grid.catalog.database import Database, Transaction
from grid.catalog.journal import Decision
from grid.errors import (
    CatalogBusy,
    CatalogUnavailable,
    ConfigurationError,
    FactsChanged,
    GridError,
    InvalidArgument,
    PolicyDenied,
    RuleBroken,
)
from grid.model import Caller
from grid.namespace.ports import Event
from grid.policy import bundles
from grid.policy.bundles import ActiveBundle, CheckedBundle
from grid.policy.context import EventContext
from grid.policy.grants import SHIPPED, BundleError
from grid.policy.host import AfterEffects, DecisionFacts, MicroserviceRunner, look
from grid.policy.signatures import PolicyTrust
from grid.policy.stewards import RecordedReads
from rules import Entity, Frame, JobRequest, Refused, RuleError, RuleFailed
from rules.index import ActiveRule, Candidate
from rules.runtime import frame_slots
from rules.values import NotReadable, read

_LEAVING: Final = frozenset({"rename", "copy"})

_log = logging.getLogger("beamgrid.policy")


def _leaves(event: Event, left: list[str]) -> Refused:
    what = "copied out of" if event.verb == "copy" else "moved out of"
    shown = f"{left[0]} and {len(left) - 1} more apply" if len(left) > 1 else f"{left[0]} applies"
    return Refused("LEAVES_LOCATION", f"`{event.path}` may not be {what} the location where {shown}", left[0])


class PolicyEngine:
    """The rules of one zone in one process; implements the operations' `PolicyHooks`."""

    def __init__(
        self,
        database: Database,
        zone: str,
        timezone: str,
        recorded_reads: RecordedReads | None = None,
        trust: PolicyTrust | None = None,
    ) -> None:
        self._database = database
        self._recorded_reads = recorded_reads or RecordedReads((), 0)
        self.zone = zone
        self.trust = trust
        self.timezone = ZoneInfo(timezone)
        self.bundle = ActiveBundle(database, zone)
        self._runner: MicroserviceRunner | None = None

    def connect(self, runner: MicroserviceRunner) -> None:
        """Say who runs microservices; done once, when everything is put together."""
        self._runner = runner

    # -- which policy ----------------------------------------------------------------------------------------

    def load_file(self, folder: Path, name: str) -> None:
        """Make the zone's policy file, or folder of files, the active policy; a broken one changes nothing.

        Once a bundle was pushed, the files do not count any more.

        Raises:
            ConfigurationError: it cannot be read, or does not check: with line, column and what was expected.
        """
        with self._database.read() as tx:
            active = rows.bundle(tx, rows.active_generation(tx))
        if active is not None and active.origin == "pushed":
            bundles.renew(self._database, self.zone)
            return
        sources = bundles.read_folder(folder, name)
        try:
            reaches = {name: SHIPPED for name in sources if name in shipped.SWITCHED_ON}
            bundles.activate(
                self._database, self.zone, sources, origin="file", reaches=reaches, trust=self.trust
            )
        except BundleError as error:
            raise ConfigurationError(f"the policy `{name}` does not check\n{error}") from error

    def forget(self) -> None:
        self.bundle.forget()

    def refresh(self) -> None:
        self.bundle.refresh()

    def at_generation(self, generation: int) -> CheckedBundle:
        """The bundle a job was scheduled by."""
        return self.bundle.at(generation)

    @property
    def description(self) -> str:
        """What is active, and what stands in its way."""
        self.refresh()
        current = self.bundle.current
        text = f"{current.description} (generation {current.generation})" if current.policies else "none"
        return f"{text}; {self.bundle.problem}" if self.bundle.problem else text

    # -- the hooks -------------------------------------------------------------------------------------------

    def concerns(self, event: str, path: str) -> bool:
        active = self.bundle.current.active
        return any(active.candidates(phase, event, path) for phase in ("before", "after"))

    def before(self, event: Event) -> None:
        """Ask every `before` rule at the event's path; see `PolicyHooks`."""
        bundle = self.bundle.current
        if event.verb not in _LEAVING and not bundle.active.has("before", event.name):
            return
        candidates = self._candidates(bundle, "before", event)
        left = self._left_behind(bundle, event)
        if not candidates and not left:
            return
        context = EventContext(event, self.zone)
        facts = DecisionFacts(self._database, event.relied_on, event.caller.user.full_name)
        now = datetime.now(UTC)
        refusals: list[RuleFailed] = []
        allowed = False
        for active, at in candidates:
            frame = self._frame(active, context.at(at), at, now, facts)
            frame.event_values = event.settable
            try:
                compiled = active.compiled
                if compiled.guards(frame):
                    allowed = not compiled.body(frame) or allowed
                elif active.rule.otherwise.steps:
                    allowed = not compiled.otherwise(frame) or allowed
            except RuleFailed as failure:
                refusals.append(failure)
        if left and not allowed:
            refusals.append(_leaves(event, left))
        for target, value in event.settable.items():
            if isinstance(value, Entity):
                event.settable[target] = value.name
        if refusals:
            self._refuse(event, bundle, refusals)

    def witness(self, event: Event) -> None:
        """See `PolicyHooks`."""
        active = self.bundle.current.active
        if active.has("before", event.name):
            self.before(event)
        audited = sampled = False
        if event.name == "object read":
            audited = self._recorded_reads.is_audited(self.origin(event.path))
            sampled = self._recorded_reads.is_sampled()
        needed = audited or active.has("after", event.name)
        if not (needed or sampled):
            return
        try:
            with self._database.write(durable=audited) as tx:
                self._afterwards(tx, event, record=audited or sampled)
        except (CatalogBusy, CatalogUnavailable) as error:
            if needed:
                raise
            _log.warning("a sampled read is not in the decision log: %s", error)

    def _candidates(self, bundle: CheckedBundle, phase: str, event: Event) -> list[Candidate]:
        """The rules at an event's path; in the trash also those of the path that its subject came from."""
        found = bundle.active.candidates(phase, event.name, event.path)
        if bundle.policies and event.path.startswith(f"/{self.zone}/trash/"):
            origin = self.origin(event.path)
            if origin:
                found = [*found, *bundle.active.candidates(phase, event.name, origin)]
        return found

    def origin(self, path: str) -> str:
        """Where something is judged: at its path, in the trash at the one it came from; empty when that is unknown."""
        if not path.startswith(f"/{self.zone}/trash/"):
            return path
        with self._database.read() as tx:
            return trash.origin_or_none(tx, path) or ""

    def _left_behind(self, bundle: CheckedBundle, event: Event) -> list[str]:
        """The rules and promises that a rename or copy would leave behind."""
        if event.verb not in _LEAVING or not bundle.policies:
            return []
        target = str(event.facts.get("target", {}).get("path", ""))
        if not target or target == event.path:
            return []
        source = self.origin(event.path)
        return bundle.active.left_behind(source, target, copied=event.verb == "copy") if source else []

    def _refuse(self, event: Event, bundle: CheckedBundle, refusals: list[RuleFailed]) -> None:
        """Say no, with the sentence of the first rule that refused for a reason of its own."""
        first = next((failure for failure in refusals if isinstance(failure, Refused)), refusals[0])
        wanted = "refused" if isinstance(first, Refused) else "failed"
        rules = ", ".join(failure.rule for failure in refusals)
        decision_id = self._record(event, wanted, first.code, rules, str(first))
        version = next((p.version for p in bundle.policies if first.rule.startswith(f"{p.name}/")), 0)
        note = f"code {first.code}, rule {first.rule}@{version}, decision {decision_id}"
        error: GridError
        if isinstance(first, Refused):
            error = PolicyDenied(str(first), code=first.code, rule=first.rule, decision_id=decision_id)
        else:
            error = RuleBroken(f"a rule could not decide, so the operation is refused: {first}")
        error.notes.append(note)
        raise error from first

    def confirm(self, tx: Transaction, event: Event) -> None:
        """See `PolicyHooks`."""
        for fact in event.relied_on:
            if look(tx, fact.kind, *fact.key) != fact.value:
                raise FactsChanged(
                    f"the {fact.kind} that the policy looked at changed meanwhile; try again: `{event.path}`"
                )
        event.relied_on.clear()

    def after(self, tx: Transaction, event: Event) -> None:
        """Run the `after` rules inside the operation's transaction; see `PolicyHooks`."""
        self._afterwards(tx, event, record=False)

    def _afterwards(self, tx: Transaction, event: Event, *, record: bool) -> None:
        bundle = self.bundle.current
        candidates = self._candidates(bundle, "after", event)
        fired: list[str] = []
        if candidates:
            context, now = EventContext(event, self.zone), datetime.now(UTC)
            for active, at in candidates:
                if self._after(tx, event, bundle, (active, at), context, now):
                    fired.append(active.rule.id)
        of_object = event.noun in ("object", "replica", "metadata") and event.subject_id
        if of_object and any(keep.pattern.match(event.path) is not None for keep in bundle.active.keeps):
            promises.queue(tx, event.subject_id)
        if record or fired or bundle.active.candidates("before", event.name, event.path):
            decision = self._decision(event, "allowed", "", ", ".join(fired), "")
            journal.record_decision(tx, decision)

    def _after(
        self,
        tx: Transaction,
        event: Event,
        bundle: CheckedBundle,
        candidate: Candidate,
        context: EventContext,
        now: datetime,
    ) -> bool:
        active, at = candidate
        rule = active.rule
        caller = rule_caller(event.caller, bundle, rule.id)

        def schedule(inner: Transaction, job: JobRequest) -> None:
            self.schedule(inner, job, bundle.generation, event.caller)

        assert self._runner is not None, "connect() was not called"
        effects = AfterEffects(tx, caller, self._runner, schedule, bundle.active.metadata)
        frame = self._frame(active, context.at(at), at, now, effects)
        frame.token = f"{event.caller.request_id}/{rule.id}"
        try:
            with tx.savepoint("after_rule"):
                compiled = active.compiled
                if compiled.guards(frame):
                    compiled.body(frame)
                    return True
                compiled.otherwise(frame)
        except (RuleError, GridError) as error:
            _log.warning("rule %s failed after %s of %s: %s", rule.id, event.name, event.path, error)
            user = (event.caller.user.name, event.caller.user.zone)
            jobs.dead_letter(tx, rule.title, rule.id, user, bundle.generation, str(error))
        return False

    def check_metadata(self, kind: str, attribute: str, value: str) -> None:
        declared = self.bundle.current.active.metadata.get((attribute, kind.capitalize()))
        if declared is not None:
            try:
                read(value, declared)
            except NotReadable as error:
                raise InvalidArgument(
                    f'metadata "{attribute}" holds a {declared} here: {error} (META_TYPE)'
                ) from None

    def wants_digest(self, path: str) -> bool:
        candidates = self.bundle.current.active.candidates("after", "object close", path)
        return any(active.rule.wants_digest for active, _ in candidates)

    def wants_tree(self, path: str) -> bool:
        active = self.bundle.current.active
        if not active.has("after", "object close"):
            return False
        return any(one.rule.wants_tree for one, _ in active.candidates("after", "object close", path))

    @property
    def digest(self) -> str:
        return self.bundle.current.digest

    def concerns_objects_below(self, noun: str, verb: str, path: str) -> bool:
        active = self.bundle.current.active
        if verb == "rename" and active.guards_below(path):
            return True
        in_trash = path.startswith(f"/{self.zone}/trash")  # what lies there is judged by where it came from
        return active.touches_below("before", f"{noun} {verb}", path) or (
            in_trash and active.has("before", f"{noun} {verb}")
        )

    # -- helpers of the hooks --------------------------------------------------------------------------------

    def _frame(
        self, active: ActiveRule, context: Mapping[str, Any], at: Mapping[str, str], now: datetime, host: Any
    ) -> Frame:
        slots = frame_slots(active.rule.body, context)
        return Frame(active.rule.id, slots, at, now, host, self.timezone)

    def _decision(self, event: Event, decision: str, code: str, rule: str, sentence: str) -> Decision:
        return Decision(
            event.name, paths.printable(event.path), event.caller.user.full_name, decision, code, rule, sentence,
            event.caller.request_id, self.bundle.current.generation,
        )  # fmt: skip

    def _record(self, event: Event, decision: str, code: str, rule: str, sentence: str) -> int:
        with self._database.write(durable=False) as tx:
            return journal.record_decision(tx, self._decision(event, decision, code, rule, sentence))

    def schedule(self, tx: Transaction, request: JobRequest, generation: int, caller: Caller) -> None:
        """Add the job of a `schedule` statement, in the transaction that makes it necessary."""
        if self.bundle.current.active.has("before", "job enqueue"):
            self.before(Event("job", "enqueue", caller, "", 0, {"job": {"name": request.name}}))
        jobs.insert(
            tx,
            jobs.NewJob(
                name=request.name,
                rule_id=request.rule_id,
                body_id=request.body_id,
                key=request.key,
                bundle_generation=generation,
                user_name=request.as_user or caller.user.name,
                user_zone=caller.user.zone,
                captured=dict(request.captured),
                not_before=request.not_before,
                deadline=request.not_before + request.deadline_s if request.deadline_s is not None else None,
                max_attempts=request.retries + 1,
                backoff_s=request.backoff_s,
                backoff_max_s=request.backoff_limit_s,
                lane=_lane(request),
            ),
        )


def _lane(request: JobRequest) -> str:
    """Work of one rule shares a lane; where it is about a resource, work on that resource does."""
    for value in request.captured.get("slots", {}).values():
        if isinstance(value, dict) and value.get("entity", [""])[0] == "Resource":
            return f"{request.rule_id}@{value['entity'][2]}"
    return request.rule_id


def rule_caller(caller: Caller, bundle: CheckedBundle, rule_id: str) -> Caller:
    """The caller, acting with the rights that the policy of a rule, promise or sweep was granted."""
    return Caller(
        caller.user, caller.principals, caller.groups, caller.proxy, caller.address, caller.request_id,
        rights_of_rules=True, granted=bundle.granted_to(rule_id),
    )  # fmt: skip
