"""Promises about copies, kept by level: what there should be is compared with what there is, again and again.

Objects that changed are looked at at once, unmet promises again with growing pauses, everything in a slow pass. An
unmet promise has a reason that a person can act on. Replicas that satisfy a promise are held against trimming; what no
promise wants any more is left for sweeps, because only they delete.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from grid.catalog import objects as object_rows
from grid.catalog import periodic, promises
from grid.catalog.database import Database
from grid.errors import GridError
from grid.model import DataObject, Replica, ReplicaStatus, Resource
from grid.namespace import Namespace
from grid.namespace.storage import Tree
from grid.policy import attributes
from grid.policy.bundles import CheckedBundle
from grid.policy.engine import PolicyEngine, rule_caller
from grid.policy.host import CatalogFacts
from rules import Entity, Frame, RuleFailed, interpreter
from rules.core import Keep, Op, Place, Promise
from rules.values import Period, size_text

BATCH: Final = 200
PASS_EVERY_S: Final = 7 * 86_400.0
PAGE_PAUSE_S: Final = 5.0
_FIRST_PAUSE_S: Final = 30.0
_LONGEST_PAUSE_S: Final = 3_600.0
_NEVER: Final = 4e9

_log = logging.getLogger("beamgrid.keep")


@dataclass(slots=True)
class Standing:
    """How an object stands with one `keep`: copies to make and to withdraw, what is met by what, what is in the way."""

    keep_id: str
    wanted: list[tuple[str, str]] = field(default_factory=list)  # (resource to copy to, promise)
    forbidden: list[int] = field(default_factory=list)
    held: set[int] = field(default_factory=set)
    reasons: list[str] = field(default_factory=list)
    changes_at: float = _NEVER


def satisfies(place: Place, resource: Resource, zone: str) -> bool:
    """Whether a resource is of a place. `zone = home` and the zone's own name are here."""
    if place.kind in ("is", "in"):
        found = {"medium": resource.medium, "site": resource.site, "name": resource.name, "zone": "home"}.get(
            place.attribute, _tag(resource, place.attribute)
        )
        values = {"home" if place.attribute == "zone" and v == zone else v for v in place.values}
        inside = found in values
        return inside if place.kind == "in" or place.operator == "=" else not inside
    if place.kind == "not":
        return not satisfies(place.parts[0], resource, zone)
    left = satisfies(place.parts[0], resource, zone)
    right = satisfies(place.parts[1], resource, zone)
    return {"and": left and right, "or": left or right, "except": left and not right}[place.kind]


def _tag(resource: Resource, name: str) -> str:
    """A tag of a resource, from its context string `name=value;...`."""
    pairs = dict(part.split("=", 1) for part in resource.context.split(";") if "=" in part)
    return pairs.get(name, "")


def standing(
    keep: Keep, found: DataObject, tree: Tree, host: Any, zone: str, now: datetime, timezone: Any, path: str
) -> Standing | None:
    """Compare what a `keep` promises of an object with what there is; None where it does not apply.

    `path` is where the object is judged: its own, or for one in the trash the path it came from.
    """
    at = keep.pattern.match(path)
    if at is None:
        return None
    frame = _frame(keep, found, at, host, zone, now, timezone)
    if not all(interpreter.holds(frame, guard) for guard in keep.guards):
        return None
    result = Standing(keep.id)
    for promise in keep.promises:
        begins, ends = _times(frame, promise)
        for time in (begins, ends):
            if time is not None and time > now:
                result.changes_at = min(result.changes_at, time.timestamp())
        if (begins is not None and now < begins) or (ends is not None and now >= ends):
            continue
        _compare(result, promise, found, tree, zone)
    return result


def _frame(
    keep: Keep, found: DataObject, at: Mapping[str, str], host: Any, zone: str, now: datetime, timezone: Any
) -> Frame:
    slots: list[Any] = [None] * len(keep.names)
    collection = found.path.rpartition("/")[0]
    entities = {
        "object": attributes.data_object(found), "collection": Entity("Collection", found.collection_id, collection),
        "zone": Entity("Zone", zone, zone, {"name": zone}),
    }  # fmt: skip
    for slot, _ in keep.entities:
        name = keep.names[slot]
        slots[slot] = entities.get(name) or (
            Entity(name.capitalize(), at[name], at[name], {"id": at[name]}) if name in at else None
        )
    return Frame(keep.id, slots, at, now, host, timezone)


def _times(frame: Frame, promise: Promise) -> tuple[datetime | None, datetime | None]:
    def value(op: Op | None) -> Any:
        return None if op is None else interpreter.evaluate(frame, op)

    begins, ends = value(promise.begins), value(promise.ends)
    if promise.lasts is not None:
        start = value(promise.after) or value(_CLOSED)
        length = value(promise.lasts)
        ends = length.after(start) if isinstance(length, Period) else start + length
    return begins, ends


_CLOSED: Final = Op("now")


def _compare(result: Standing, promise: Promise, found: DataObject, tree: Tree, zone: str) -> None:
    good = [r for r in found.replicas if r.status is ReplicaStatus.GOOD]
    there = [r for r in good if satisfies(promise.place, tree.by_id[r.resource_id], zone)]
    inside = [r for r in there if not promise.count or tree.by_id[r.resource_id].counts(r)]
    if not promise.count:
        result.forbidden += [r.number for r in inside]
        result.reasons += [
            f"{promise.written}: replica {r.number} is on `{tree.by_id[r.resource_id].name}`" for r in inside
        ]
        return
    result.held |= {r.number for r in inside[: promise.count]}
    missing = promise.count - len(inside)
    under_way = [r for r in there if r not in inside][: max(missing, 0)]
    result.held |= {r.number for r in under_way}
    result.reasons += [
        f"{promise.written}: replica {r.number} waits on `{tree.by_id[r.resource_id].name}` to be written to tape"
        for r in under_way
    ]
    missing -= len(under_way)
    if missing <= 0:
        return
    targets = _targets(promise, found, tree, zone, inside)
    size = max((r.size_bytes for r in good), default=0)
    roomy = [t for t in targets if not tree.is_down(t) and _room(t) >= size]
    for target in roomy[:missing]:
        result.wanted.append((tree.hierarchy(target.id), promise.written))
    if len(roomy) < missing:
        result.reasons.append(_reason(promise, targets, size, missing - len(roomy), good))


def _targets(
    promise: Promise, found: DataObject, tree: Tree, zone: str, inside: Sequence[Replica]
) -> list[Resource]:
    taken = {replica.resource_id for replica in found.replicas}
    leaves = [r for r in tree.by_id.values() if not tree.children(r.id) and r.name != "bundleResc"]
    fitting = [r for r in leaves if satisfies(promise.place, r, zone) and r.id not in taken]
    return sorted(fitting, key=lambda r: (-_room(r), r.name))


def _room(resource: Resource) -> int:
    return int(resource.free_space) if resource.free_space.isdigit() else 1 << 62


def _reason(
    promise: Promise, targets: Sequence[Resource], size: int, missing: int, good: Sequence[Replica]
) -> str:
    if not good:
        return f"{promise.written}: the object has no good replica to copy from"
    if not targets:
        return f"{promise.written}: no {'other ' if missing < promise.count else ''}resource is of this kind ({promise.place.written})"
    return f"{promise.written}: none of {', '.join(t.name for t in targets)} is up and has {size_text(size)} free"


class Keeper:
    """Keeps the promises of the active bundle, a batch at a time."""

    def __init__(self, database: Database, namespace: Namespace, policy: PolicyEngine) -> None:
        self._database = database
        self._namespace = namespace
        self._policy = policy

    def run_some(self, bundle: CheckedBundle) -> bool:
        """Look at a batch of objects; False when there was nothing to do."""
        with self._database.read() as tx:
            waiting = promises.has_queued(tx)
            again = promises.due(tx, limit=BATCH)
        changed: list[int] = []
        if waiting:
            with self._database.write() as tx:
                changed = promises.take_queued(tx, limit=BATCH)
        for data_id in dict.fromkeys([*changed, *again]):
            self.reconcile(data_id, bundle)
        passed = bool(bundle.active.keeps) and self._slow_pass(bundle)
        return passed or bool(changed or again)

    def _slow_pass(self, bundle: CheckedBundle) -> bool:
        """Look at the next page of everything; a week lies between two passes."""
        with self._database.write(durable=False) as tx:
            turn = periodic.take(tx, periodic.ALL_PROMISES, self._namespace.context.lease_id)
        if turn is None:
            return False
        after = int(turn.position or 0)
        with self._database.read() as tx:
            rows = tx.all(
                "SELECT id FROM data_objects WHERE id > :after ORDER BY id LIMIT :n",
                {"after": after, "n": BATCH},
            )
        for (data_id,) in rows:
            self.reconcile(int(data_id), bundle)
        with self._database.write() as tx:
            over = len(rows) < BATCH
            position = "" if over else str(rows[-1][0])
            periodic.done(
                tx,
                periodic.ALL_PROMISES,
                next_at=tx.now + (PASS_EVERY_S if over else PAGE_PAUSE_S),
                position=position,
            )
        return bool(rows)

    def reconcile(self, data_id: int, bundle: CheckedBundle) -> list[Standing]:
        """Bring one object's copies to what the promises say; what stands in the way is recorded."""
        with self._database.read() as tx:
            found = object_rows.by_id_or_none(tx, data_id)
            tree = self._namespace.context.storage.tree(tx)
        if found is None:
            with self._database.write(durable=False) as tx:
                promises.forget(tx, data_id)
            return []
        host, now = CatalogFacts(self._database.read), datetime.now(UTC)
        standings: list[Standing] = []
        if tree.copies_missing(found):
            reasons = self._complete(found)
            if reasons:
                standings.append(Standing(promises.COORDINATION, reasons=reasons))
            with self._database.read() as tx:
                found = object_rows.by_id_or_none(tx, data_id) or found
        for keep in bundle.active.keeps:
            try:
                one = standing(
                    keep,
                    found,
                    tree,
                    host,
                    self._policy.zone,
                    now,
                    self._policy.timezone,
                    self._policy.origin(found.path),
                )
            except RuleFailed as failure:
                one = Standing(keep.id, reasons=[f"the promise cannot be judged: {failure}"])
            if one is not None:
                self._copy(found, one, bundle)
                standings.append(one)
        self._record(data_id, standings, now)
        return standings

    def _complete(self, found: DataObject) -> list[str]:
        """Make the copies that coordinating resources want; what is in the way is tried again like a promise."""
        caller = self._namespace.users.service_caller(promises.COORDINATION)
        if caller is None:
            return ["the zone has no administrator on whose behalf copies could be made"]
        return self._namespace.replicas.complete(replace(caller, rights_of_rules=True), found.path)

    def _copy(self, found: DataObject, one: Standing, bundle: CheckedBundle) -> None:
        """Make the copies that are missing; each that cannot be made is a reason."""
        if not one.wanted:
            return
        administrator = self._namespace.users.service_caller(one.keep_id)
        if administrator is None:
            one.reasons.append("the zone has no administrator on whose behalf copies could be made")
            return
        caller = rule_caller(administrator, bundle, one.keep_id)
        for resource, written in one.wanted:
            try:
                self._namespace.replicas.replicate(caller, found.path, resource)
            except GridError as error:
                one.reasons.append(f"{written}: copying to `{resource}` failed: {error}")
                _log.warning("%s of %s: %s", one.keep_id, found.path, one.reasons[-1])

    def _record(self, data_id: int, standings: list[Standing], now: datetime) -> None:
        with self._database.read() as tx:
            before = {state.keep_id: state for state in promises.of_object(tx, data_id)}
        with self._database.write(durable=False) as tx:
            for one in standings:
                known = before.get(one.keep_id)
                attempts = known.attempts if known is not None else 0
                pause = min(_FIRST_PAUSE_S * 2.0 ** min(attempts, 10), _LONGEST_PAUSE_S)
                next_at = now.timestamp() + pause if one.reasons else one.changes_at
                if one.wanted and not one.reasons:
                    next_at = now.timestamp()  # copies were made: look which of them satisfy it
                promises.record(
                    tx, data_id, one.keep_id, reason="; ".join(one.reasons), held=one.held, next_at=next_at
                )
            promises.forget(tx, data_id, before.keys() - {one.keep_id for one in standings})
