"""What a new policy would change: recorded decisions judged again, promises and sweeps over the real catalog.

Nothing is written: rules run on an effect recorder, promises and sweeps are compared, not carried out.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from grid.catalog import journal
from grid.catalog import objects as object_rows
from grid.errors import NotFound
from grid.namespace import Namespace
from grid.policy.bundles import CheckedBundle
from grid.policy.engine import PolicyEngine
from grid.policy.explain import EffectRecorder, explain
from grid.policy.keeping import Standing, standing
from grid.policy.sweeps import SweepRunner
from rules import RuleFailed
from rules.values import size_text

PAGE = 1000


@dataclass(slots=True)
class DryRun:
    """The differences: decisions changed (refusals first), effects, copies and bytes, what sweeps would act on."""

    replayed: int = 0
    now_refused: list[str] = field(default_factory=list)
    now_allowed: list[str] = field(default_factory=list)
    effects_changed: list[str] = field(default_factory=list)
    not_replayed: list[str] = field(default_factory=list)
    objects: int = 0
    copies_added: int = 0
    bytes_added: int = 0
    copies_no_longer_held: int = 0
    newly_unmet: list[str] = field(default_factory=list)
    sweeps: list[str] = field(default_factory=list)

    def as_data(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def dry_run(
    namespace: Namespace,
    policy: PolicyEngine,
    new: CheckedBundle,
    *,
    decisions: int = 500,
    objects: int = 20_000,
) -> DryRun:
    """Compare a new bundle with the running one.

    Args:
        namespace: the zone.
        policy: its engine.
        new: the bundle to try.
        decisions: how many of the latest recorded decisions are judged again.
        objects: how many objects at most are compared for promises.
    """
    report = DryRun()
    old = policy.bundle.current
    _replay(namespace, policy, old, new, report, decisions)
    _compare_promises(namespace, policy, old, new, report, objects)
    _compare_sweeps(namespace, policy, old, new, report)
    return report


def _replay(
    namespace: Namespace,
    policy: PolicyEngine,
    old: CheckedBundle,
    new: CheckedBundle,
    report: DryRun,
    count: int,
) -> None:
    with namespace.context.database.read() as tx:
        recorded = journal.recent_decisions(tx, limit=count)
    for decided in recorded:
        name, _, zone = decided.actor.partition("#")
        try:
            caller = namespace.users.caller(name, zone or policy.zone, request_id="dry run")
        except NotFound:
            report.not_replayed.append(
                f"{decided.event} {decided.subject}: `{decided.actor}` is no user any more"
            )
            continue
        at = datetime.fromtimestamp(decided.decided_at, UTC)
        event = "object create" if decided.event == "object close" else decided.event
        before = explain(namespace, policy, caller, event, decided.subject, now=at, bundle=old)
        after = explain(namespace, policy, caller, event, decided.subject, now=at, bundle=new)
        report.replayed += 1
        line = f"{event} {decided.subject} as {decided.actor}"
        if before.decision == "allowed" != after.decision:
            report.now_refused.append(f"{line}: {after.decision}")
        elif after.decision == "allowed" != before.decision:
            report.now_allowed.append(f"{line}: was {before.decision}")
        if decided.event != event:
            before = explain(namespace, policy, caller, decided.event, decided.subject, now=at, bundle=old)
            after = explain(namespace, policy, caller, decided.event, decided.subject, now=at, bundle=new)
        gained = [effect for effect in after.effects if effect not in before.effects]
        lost = [effect for effect in before.effects if effect not in after.effects]
        if gained or lost:
            changes = [f"+ {effect}" for effect in gained] + [f"- {effect}" for effect in lost]
            report.effects_changed.append(f"{line}: {'; '.join(changes)}")


def _compare_promises(
    namespace: Namespace,
    policy: PolicyEngine,
    old: CheckedBundle,
    new: CheckedBundle,
    report: DryRun,
    most: int,
) -> None:
    if not (old.active.keeps or new.active.keeps):
        return
    now, after = datetime.now(UTC), ("", "")
    host = EffectRecorder(namespace.context.database)
    while report.objects < most:
        with namespace.context.database.read() as tx:
            tree = namespace.context.storage.tree(tx)
            page = object_rows.below(tx, f"/{policy.zone}", limit=PAGE, after=after)
            found = [object_rows.by_id_or_none(tx, data_id) for data_id, _ in page]
        for data_object in found:
            if data_object is None:
                continue
            report.objects += 1
            before = _standings(old, data_object, tree, host, policy, now)
            fresh = _standings(new, data_object, tree, host, policy, now)
            size = max((r.size_bytes for r in data_object.replicas), default=0)
            added = {w[0] for s in fresh for w in s.wanted} - {w[0] for s in before for w in s.wanted}
            report.copies_added += len(added)
            report.bytes_added += size * len(added)
            held, kept = {n for s in before for n in s.held}, {n for s in fresh for n in s.held}
            report.copies_no_longer_held += len(held - kept)
            unmet = {r for s in fresh for r in s.reasons} - {r for s in before for r in s.reasons}
            report.newly_unmet += [f"{data_object.path}: {reason}" for reason in sorted(unmet)][:1]
        if len(page) < PAGE:
            return
        collection, _, name = page[-1][1].rpartition("/")
        after = (collection or "/", name)


def _standings(
    bundle: CheckedBundle, found: Any, tree: Any, host: EffectRecorder, policy: PolicyEngine, now: datetime
) -> list[Standing]:
    result = []
    for keep in bundle.active.keeps:
        try:
            one = standing(
                keep, found, tree, host, policy.zone, now, policy.timezone, policy.origin(found.path)
            )
        except RuleFailed as failure:
            one = Standing(keep.id, reasons=[str(failure)])
        if one is not None:
            result.append(one)
    return result


def _compare_sweeps(
    namespace: Namespace, policy: PolicyEngine, old: CheckedBundle, new: CheckedBundle, report: DryRun
) -> None:
    runner = SweepRunner(namespace.context.database, policy.zone, policy.timezone)
    for sweep in new.active.sweeps:
        recorder = EffectRecorder(namespace.context.database)
        found = runner.run(sweep, recorder, act=True)
        known = next((s for s in old.active.sweeps if s.id == sweep.id), None)
        before = runner.run(known, EffectRecorder(namespace.context.database), act=False) if known else None
        already = set(before.acted_on) if before is not None else set()
        fresh = [name for name in found.acted_on if name not in already]
        size = f", {size_text(found.total_bytes)}" if found.total_bytes else ""
        report.sweeps.append(
            f'sweep "{sweep.title}": {len(found.acted_on)} would be acted on{size}, {len(fresh)} of them not before'
            + (f"; first: {recorder.effects[0]}" if recorder.effects else "")
        )


def report_text(report: DryRun) -> str:
    """A dry run for people, refusals first."""
    lines = [
        f"{report.replayed} recorded decisions judged again, {report.objects} objects compared; nothing was changed"
    ]
    for title, entries in (
        ("allowed until now, REFUSED by the new policy", report.now_refused),
        ("refused until now, allowed by the new policy", report.now_allowed),
        ("different effects", report.effects_changed),
        ("promises that would not be met", report.newly_unmet),
        ("could not be judged again", report.not_replayed),
    ):
        lines.append(f"{title}: {len(entries)}")
        lines += [f"  {entry}" for entry in entries[:20]]
        if len(entries) > 20:
            lines.append(f"  ... and {len(entries) - 20} more")
    lines.append(
        f"copies: {report.copies_added} more ({size_text(report.bytes_added)}),"
        f" {report.copies_no_longer_held} no longer held"
    )
    lines += report.sweeps
    return "\n".join(lines)
