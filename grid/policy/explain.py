"""What the policy would do and why: rules judged step by step on the real catalog, with effects recorded, not done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from grid.catalog import avus, jobs, journal, promises
from grid.catalog import objects as object_rows
from grid.catalog.database import Database
from grid.model import Caller, DataObject
from grid.namespace import Namespace
from grid.namespace.found import object_facts
from grid.namespace.ports import Event
from grid.policy import attributes
from grid.policy.bundles import CheckedBundle
from grid.policy.context import EventContext
from grid.policy.engine import PolicyEngine
from grid.policy.host import CatalogFacts
from grid.policy.keeping import standing
from grid.policy.lookups import ANSWERS
from rules import Entity, Frame, JobRequest, RuleFailed
from rules.runtime import frame_slots
from rules.trace import RuleTrace, acted, judged
from rules.values import as_text


class EffectRecorder(CatalogFacts):
    """A host that reads the catalog and writes nothing: every effect is a line."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.read)
        self.effects: list[str] = []

    def set_metadata(self, entity: Entity, attribute: str, value: str, unit: str) -> None:
        self.effects.append(
            f'set metadata "{attribute}" of {entity.name} to `{value}`{f" {unit}" if unit else ""}'
        )

    def remove_metadata(self, entity: Entity, attribute: str) -> None:
        self.effects.append(f'remove metadata "{attribute}" of {entity.name}')

    def set_attribute(self, entity: Entity, name: str, value: Any) -> None:
        self.effects.append(f"set {name} of {entity.name} to `{as_text(value)}`")

    def call(self, name: str, arguments: Mapping[str, Any], token: str) -> Any:
        if name in ANSWERS:
            return self.look_up(name, arguments)
        shown = ", ".join(f"{key}: {as_text(value)}" for key, value in arguments.items())
        self.effects.append(f"do {name}({shown})")
        return {}

    def schedule(self, job: JobRequest) -> None:
        when = datetime.fromtimestamp(job.not_before, UTC).isoformat(timespec="seconds")
        self.effects.append(f'schedule "{job.name}" for {job.key} at {when}')

    def emit(self, name: str, carried: Mapping[str, Any]) -> None:
        self.effects.append(f"emit {name}({', '.join(f'{k}: {as_text(v)}' for k, v in carried.items())})")

    def note(self, text: str) -> None:
        self.effects.append(f"note {text}")


@dataclass(slots=True)
class Explanation:
    """What would come of one event: each candidate rule, the decision, the effects."""

    event: str
    path: str
    actor: str
    at: str
    traces: list[tuple[str, RuleTrace]] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    decision: str = "allowed"
    effects: list[str] = field(default_factory=list)

    def as_data(self) -> dict[str, Any]:
        return {
            "event": self.event, "path": self.path, "actor": self.actor, "time": self.at, "decision": self.decision,
            "rules": [{"phase": phase, **trace.as_data()} for phase, trace in self.traces],
            "rules_elsewhere": self.elsewhere, "effects": self.effects,
        }  # fmt: skip


def explain(
    namespace: Namespace, policy: PolicyEngine, caller: Caller, event_name: str, path: str,
    facts: Mapping[str, Mapping[str, Any]] | None = None, *, now: datetime | None = None,
    bundle: CheckedBundle | None = None,
) -> Explanation:  # fmt: skip
    """Judge an event as if it happened now, or at another time, and change nothing.

    Args:
        namespace: where facts come from.
        policy: the engine whose zone and time zone count.
        caller: on whose behalf.
        event_name: such as `object create`.
        path: where.
        facts: what the event would bring, by entity.
        now: the time it is judged at.
        bundle: the policy; the active one when None.
    """
    bundle = bundle or policy.bundle.current
    now = now or datetime.now(UTC)
    noun, _, verb = event_name.partition(" ")
    event = Event(noun, verb, caller, path, 0, {key: dict(value) for key, value in (facts or {}).items()})
    _complete(namespace, event)
    found = Explanation(event_name, path, caller.user.full_name, now.isoformat(timespec="seconds"))
    context = EventContext(event, policy.zone)
    matched: set[str] = set()
    for phase in ("before", "during", "after"):
        for active, at in bundle.active.candidates(phase, event_name, path):
            rule = active.rule
            matched.add(rule.id)
            recorder = EffectRecorder(namespace.context.database)
            frame = Frame(rule.id, frame_slots(rule.body, context.at(at)), at, now, recorder, policy.timezone)
            trace = judged(frame, rule, bundle.source(rule.policy))
            acted(frame, rule, trace)
            found.traces.append((phase, trace))
            found.effects += recorder.effects
            found.effects += [f"set {k} to `{as_text(v)}`" for k, v in frame.event_values.items()]
            if phase == "before" and trace.outcome in ("refuses", "fails") and found.decision == "allowed":
                found.decision = f"refused with {trace.code}: {trace.message}"
        if phase == "before" and found.decision != "allowed":
            break
    found.elsewhere = sorted(
        f"{a.rule.id}: {a.rule.pattern.text if a.rule.pattern else ''}"
        for a in bundle.active.rules
        if a.rule.event == event_name and a.rule.id not in matched
    )
    return found


def _complete(namespace: Namespace, event: Event) -> None:
    """Fill in what the catalog knows of the event's subject."""
    with namespace.context.database.read() as tx:
        found = object_rows.by_path_or_none(tx, event.path)
        if found is not None:
            event.subject_id = found.id
            known = object_facts(found, namespace.context.storage.tree(tx))
            event.facts["object"] = {**known, **event.facts.get("object", {})}
        elif event.noun == "object":
            event.facts.setdefault("object", {}).setdefault("closed", False)
            event.facts["object"].setdefault("expected_size", 0)
        else:
            collection_id = attributes.id_of(tx, "Collection", event.path)
            if collection_id is not None:
                event.subject_id = collection_id


def report_text(found: Explanation) -> str:
    """An explanation for people."""
    lines = [f"{found.event} {found.path}", f"  as {found.actor}, at {found.at}", ""]
    for phase, trace in found.traces:
        mark = {"applies": "+", "guard false": "-", "refuses": "x", "fails": "!"}[trace.outcome]
        lines.append(f'{mark} {phase} rule "{trace.title}" ({trace.rule_id}, line {trace.line})')
        if trace.at:
            lines.append(f"    at   {', '.join(f'{k} = {v}' for k, v in trace.at.items())}")
        for atom in trace.atoms:
            word = {True: "true ", False: "FALSE", None: "ERROR"}[atom.holds]
            shown = "".join(f"\n           {k} = {v}" for k, v in atom.values)
            lines.append(
                f"    {word}  {atom.written}{shown}"
                + (f"\n           {atom.problem}" if atom.problem else "")
            )
        outcome = {
            "applies": "applies", "guard false": "does not apply: the last condition is false",
            "refuses": f"refuses with {trace.code}: {trace.message}", "fails": f"fails with {trace.code}: {trace.message}",
        }[trace.outcome]  # fmt: skip
        lines.append(f"    => {outcome}")
    if not found.traces:
        lines.append("no rule of this event is at this path")
    for other in found.elsewhere[:10]:
        lines.append(f"  elsewhere: {other}")
    lines += ["", f"decision: {found.decision}"]
    lines += [f"  would {effect}" for effect in found.effects] if found.decision == "allowed" else []
    return "\n".join(lines)


def explain_object(namespace: Namespace, policy: PolicyEngine, caller: Caller, path: str) -> dict[str, Any]:
    """Why an object is where it is, who may read it, which rules have touched it and which will, when.

    Raises:
        NotFound: there is no such object, or the caller may not see it.
    """
    namespace.objects.stat(caller, path, only="dataObj")
    bundle = policy.bundle.current
    with namespace.context.database.read() as tx:
        found = namespace.context.data_object(tx, path)
        tree = namespace.context.storage.tree(tx)
        entries = namespace.context.acls.entries(tx, found.acl_id)
        names = {row[0]: f"{row[1]}#{row[2]}" for row in tx.all("SELECT id, name, zone FROM users")}
        touched = journal.decisions_about(tx, path, limit=20)
        waiting = jobs.about(tx, path, limit=20)
        kept = promises.of_object(tx, found.id)
        described = [(a.attribute, a.value, a.unit) for _, a in avus.of_entity(tx, found.id)]
    return {
        "path": found.path,
        "owner": f"{found.owner_name}#{found.owner_zone}",
        "replicas": [
            {
                "number": r.number, "resource": tree.hierarchy(r.resource_id), "state": r.status.name.lower(),
                "bytes": r.size_bytes, "kept_by": [k.keep_id for k in kept if r.number in k.held],
            }
            for r in found.replicas
        ],
        "may_read": sorted(names[user] for user, level in entries.items() if level >= 1050 and user in names),
        "reading_is_decided_by": _readers(bundle, path),
        "metadata": described,
        "promises": _promises(namespace, policy, bundle, found),
        "touched_by": touched,
        "will_be_touched_by": waiting,
    }  # fmt: skip


def _readers(bundle: CheckedBundle, path: str) -> list[str]:
    candidates = bundle.active.candidates("before", "object read", path)
    return [f'rule "{active.rule.title}" ({active.rule.id})' for active, _ in candidates]


def _promises(
    namespace: Namespace, policy: PolicyEngine, bundle: CheckedBundle, found: DataObject
) -> list[dict[str, Any]]:
    host, now = CatalogFacts(namespace.context.database.read), datetime.now(UTC)
    with namespace.context.database.read() as tx:
        tree = namespace.context.storage.tree(tx)
    result = []
    for keep in bundle.active.keeps:
        try:
            one = standing(
                keep, found, tree, host, policy.zone, now, policy.timezone, policy.origin(found.path)
            )
        except RuleFailed as failure:
            result.append({"keep": keep.id, "title": keep.title, "met": False, "reasons": [str(failure)]})
            continue
        if one is not None:
            reasons = [
                *one.reasons,
                *(f"{text}: will be copied to `{resource}`" for resource, text in one.wanted),
            ]
            result.append({"keep": keep.id, "title": keep.title, "met": not reasons, "reasons": reasons})
    return result
