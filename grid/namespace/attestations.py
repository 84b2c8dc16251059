"""Signed statements about data objects: attached, made by the zone itself, judged by the zone's root of keys, handed on."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grid import paths
from grid.catalog import attestations, chunks, statements
from grid.catalog import collections as collection_rows
from grid.catalog import objects as object_rows
from grid.catalog.database import Transaction
from grid.catalog.statements import LOGGED, KeptStatement
from grid.errors import AccessDenied, InvalidArgument, NotFound, PolicyDenied
from grid.model import Access, Caller, DataObject
from grid.namespace import trees
from grid.namespace.context import NamespaceContext, require_admin
from grid.namespace.found import object_facts
from grid.namespace.ports import Event
from grid.namespace.storage import Tree
from provenance import dsse, evidence, notes, promises
from provenance.authority import Authority
from provenance.blocks import BlockTree
from provenance.errors import Malformed, ProvenanceError
from provenance.evidence import Evidence
from provenance.keyring import Keyring, KeyUnknown
from provenance.log import LogInconsistent, TileFiles
from provenance.merkle import HASH_BYTES
from provenance.receipts import Receipt
from provenance.states import (
    KEY_SUSPECT,
    MISSING_EVIDENCE,
    NO_QUORUM,
    NOT_LOGGED,
    PROMISED,
    SEVERITY,
    UNSIGNED,
    VERIFIED,
)
from provenance.verdict import Verdict, judge

ACCEPTED = (VERIFIED, NOT_LOGGED, PROMISED, NO_QUORUM, KEY_SUSPECT, MISSING_EVIDENCE)
"""What a verdict has to be for evidence to be kept; the others are refused with their reason."""

MOST_BEHIND = 10_000
"""So many objects behind one are looked at."""

NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CollectionVerdict:
    """What was found of a collection.

    Attributes:
        state: the worst one of its objects.
        trusted_until: until when all of them can be trusted; 1970 where one cannot at all.
        objects: how many there are.
        failures: path, state and reason of those that are not verified, the first hundred.
    """

    state: str
    trusted_until: datetime
    objects: int
    failures: tuple[tuple[str, str, str], ...]


class Attestations:
    """The operations on statements.

    Args:
        context: the zone.
        keys: the folder of the zone's root and of what it says of keys; its private part need not be there.
        log: the folder of the zone's log, where it can be reached.
    """

    def __init__(self, context: NamespaceContext, keys: Path, log: Path) -> None:
        self._context = context
        self._keys = keys
        self._log = log

    def _authority(self) -> tuple[Keyring, Authority]:
        ring = Keyring(self._keys)
        try:
            return ring, ring.authority()
        except KeyUnknown:
            raise NotFound(
                f"the zone believes no root of keys; an administrator puts `root.json`, `records` and `revocations` into"
                f" `{self._keys}` (beamgrid keys init)"
            ) from None
        except ProvenanceError as error:
            raise InvalidArgument(f"the zone's keys cannot be used: {error}") from error

    def attach(self, caller: Caller, text: str, given: str) -> Verdict:
        """Keep evidence about an object, once it was judged.

        Args:
            caller: who has to be allowed to write it.
            text: its path.
            given: evidence, as JSON.

        Raises:
            NotFound, AccessDenied, PolicyDenied: as writing; or the zone has no root of keys.
            InvalidArgument: it is no evidence, or says nothing that holds of this content; nothing was kept.
        """
        path = self._context.path(text).text
        found, tree = self._context.load(path, caller, Access.WRITE, caller.is_admin)
        _, authority = self._authority()
        try:
            read = evidence.decoded(given.encode())
            verdict = judge(self._tree(caller, found, tree), path, read, authority)
        except ProvenanceError as error:
            raise InvalidArgument(
                f"what is to be attached to `{paths.printable(path)}` is no evidence: {error}"
            ) from error
        if verdict.state not in ACCEPTED and not _is_claim(verdict):
            raise InvalidArgument(
                f"the evidence says nothing that holds of `{paths.printable(path)}`: {verdict.state}: {verdict.reason}"
            )
        kinds = " ".join(step.kind for step in verdict.steps)
        facts: dict[str, dict[str, Any]] = {
            "object": object_facts(found, tree), "attestation": {"id": verdict.root, "predicate": kinds},
        }  # fmt: skip
        event = Event("attestation", "add", caller, path, found.id, facts)
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            number = attestations.add(
                tx, found.id, read.encoded(), state=verdict.state, by=caller.user.full_name
            )
            self._log_later(tx, found, read, verdict)
            self._context.happened(tx, event, attestation=number, state=verdict.state, root=verdict.root)
        return verdict

    def _log_later(self, tx: Transaction, found: DataObject, given: Evidence, verdict: Verdict) -> None:
        """What who may has signed, and no log has, goes into the zone's, which does not tell what it is."""
        for link in verdict.links:
            if link.step.state == NOT_LOGGED:
                envelope = given.statements[link.place].encoded()
                statements.keep_signed(
                    tx,
                    link.step.kind,
                    found.path,
                    envelope,
                    salt=secrets.token_bytes(32),
                    subject_id=found.id,
                )

    def show(self, caller: Caller, text: str) -> dict[str, Any]:
        """Judge an object as it is now by everything that was attached, and that the zone itself stated.

        Raises:
            NotFound, AccessDenied, PolicyDenied: as reading; or the zone has no root of keys.
        """
        path, found, tree = self._seen(caller, text)
        _, authority = self._authority()
        with self._context.database.read() as tx:
            attached, made = attestations.of_object(tx, found.id), statements.about(tx, found.id)
        given = self._evidence(attached, made)
        verdict = judge(self._tree(caller, found, tree), path, given, authority)
        return {
            "path": path,
            **verdict.as_json(),
            "graph": verdict.graph(),
            "attached": [{**one, "evidence": len(one["evidence"])} for one in attached],
            "refused": [
                {"kind": one.kind, "path": one.path, "reason": one.reason} for one in made if not one.envelope
            ],
        }

    def export(self, caller: Caller, text: str, dataset: str = "", chunk: int = -1) -> str:
        """Everything that is signed about an object and what it was made from, with the zone's root and keys, for who judges elsewhere.

        Args:
            caller: who may read it.
            text: its path.
            dataset: also prove one stored chunk: of which dataset of an HDF5 file; the one with the most chunks where empty.
            chunk: its number; below 0 for none.

        Raises:
            NotFound, AccessDenied, PolicyDenied: as reading; or nothing is signed, or the zone knows no such chunk.
        """
        path, found, _ = self._seen(caller, text)
        ring, _ = self._authority()  # checked before it is handed on
        attached, made = self._behind(caller, found.id)
        with self._context.database.read() as tx:
            tree = trees.recorded(self._context.database, found.id)
            stored = chunks.of_object(tx, found.id) if chunk >= 0 else None
        if not attached and not any(one.envelope for one in made):
            raise NotFound(f"nothing is signed about `{paths.printable(path)}`")
        given = self._evidence(attached, made)
        if tree is not None and tree not in given.trees:
            given = replace(given, trees=(*given.trees, tree))
        if chunk >= 0:
            if stored is None:
                raise NotFound(f"the zone has no tree over the stored chunks of `{paths.printable(path)}`")
            try:
                wanted = dataset or max(stored.datasets, key=lambda one: len(one.chunks)).path
                given = replace(given, chunks=(stored.proof(wanted, chunk),))
            except (Malformed, ValueError) as error:
                raise NotFound(f"`{paths.printable(path)}`: {error}") from error
        made_of = replace(
            given, root=ring.root_envelope(), keys=tuple(ring.envelopes()), roots=tuple(ring.earlier_roots())
        )
        return made_of.encoded().decode()

    def listed(self, caller: Caller, text: str, *, state: str = "", limit: int = 50) -> list[dict[str, Any]]:
        """The zone's own statements, the newest first: about an object or collection that one may read, or for administrators all.

        Raises:
            NotFound, AccessDenied: as reading.
            NotPrivileged: all, for who is no administrator.
        """
        with self._context.database.read() as tx:
            if text:
                made = statements.about(tx, self._id(tx, caller, text))[::-1]
            else:
                require_admin(caller)
                made = statements.listed(tx, state=state, limit=limit)
        return [
            {
                "id": one.id, "kind": one.kind, "path": one.path, "state": one.state, "reason": one.reason, "entry": one.index,
                "made_at": one.made_at,
            }
            for one in made
            if state in ("", one.state)
        ][:limit]  # fmt: skip

    def _id(self, tx: Transaction, caller: Caller, text: str) -> int:
        path = self._context.path(text).text
        collection = collection_rows.by_path_or_none(tx, path)
        if collection is None:
            return self._seen(caller, path)[1].id
        self._context.require(tx, collection.acl_id, caller, Access.READ, path, caller.is_admin)
        return collection.id

    def tree(self, caller: Caller, text: str) -> BlockTree:
        """The tree over an object's content, which is read where none was made. Raises as reading."""
        _, found, tree = self._seen(caller, text)
        return self._tree(caller, found, tree)

    def signed(self, caller: Caller, text: str) -> tuple[Evidence, Verdict]:
        """Everything that is signed about an object, with the zone's root and keys, and the verdict. Raises as reading."""
        path, found, tree = self._seen(caller, text)
        ring, authority = self._authority()
        given = self._evidence(*self._behind(caller, found.id))
        verdict = judge(self._tree(caller, found, tree), path, given, authority)
        return replace(
            given, root=ring.root_envelope(), keys=tuple(ring.envelopes()), roots=tuple(ring.earlier_roots())
        ), verdict

    def verify_below(self, caller: Caller, text: str) -> CollectionVerdict:
        """Judge every object of a collection.

        Raises:
            NotFound, AccessDenied, PolicyDenied: as reading; or the zone has no root of keys.
        """
        path, after, count = self._context.path(text).text, ("", ""), 0
        self._authority()  # without a root nothing is judged, which is another thing than nothing being there
        worst, trusted, failures = VERIFIED, datetime.max.replace(tzinfo=UTC), list[tuple[str, str, str]]()
        while True:
            with self._context.database.read() as tx:
                page = object_rows.below(tx, path, limit=1000, after=after)
            for _, name in page:
                try:
                    _, verdict = self.signed(caller, name)
                except NotFound:
                    continue  # it is gone, or not for this caller to know of
                count += 1
                trusted = min(trusted, _trusted_time(verdict))
                if SEVERITY[verdict.state] < SEVERITY[worst]:
                    worst = verdict.state
                if verdict.state != VERIFIED and len(failures) < 100:
                    failures.append((name, verdict.state, verdict.reason))
            if len(page) < 1000:
                break
            collection, _, name = page[-1][1].rpartition("/")
            after = (collection or "/", name)
        if not count:
            worst, trusted = UNSIGNED, NEVER
        return CollectionVerdict(worst, trusted, count, tuple(failures))

    def _seen(self, caller: Caller, text: str) -> tuple[str, DataObject, Tree]:
        path = self._context.path(text).text
        found, tree = self._context.load(path, caller, Access.READ, caller.is_admin)
        self._context.policy.witness(
            Event("object", "stat", caller, path, found.id, {"object": object_facts(found, tree)})
        )
        return path, found, tree

    def _behind(self, caller: Caller, data_id: int) -> tuple[list[dict[str, Any]], list[KeptStatement]]:
        """What is signed about an object, and about the objects of this zone that it was made from, as far as the caller may see them."""
        attached: dict[int, dict[str, Any]] = {}
        made: dict[int, KeptStatement] = {}
        waiting, seen = [data_id], {data_id}
        while waiting and len(seen) <= MOST_BEHIND:
            one = waiting.pop()
            with self._context.database.read() as tx:
                attached |= {found["id"]: found for found in attestations.of_object(tx, one)}
                about = statements.about(tx, one)
                others = [number for found in about for number in statements.inputs_of(tx, found.id)]
            made |= {found.id: found for found in about}
            for other in others:
                if other not in seen:
                    seen.add(other)
                    if self._may_see(caller, other):
                        waiting.append(other)
        return [attached[n] for n in sorted(attached)], [made[n] for n in sorted(made)]

    def _may_see(self, caller: Caller, data_id: int) -> bool:
        """Whether somebody may be told what is signed about an object; what is said of one that is gone is nobody's secret but its readers'."""
        with self._context.database.read() as tx:
            found = object_rows.by_id_or_none(tx, data_id)
        if found is None:
            return caller.is_admin or caller.rights_of_rules
        try:
            self._seen(caller, found.path)
        except (NotFound, AccessDenied, PolicyDenied):
            return False
        return True

    def _evidence(self, attached: Sequence[dict[str, Any]], made: Sequence[KeptStatement]) -> Evidence:
        return evidence.joined([*(evidence.decoded(one["evidence"]) for one in attached), self._own(made)])

    def _own(self, made: Sequence[KeptStatement]) -> Evidence:
        """The zone's own statements with their receipts, under the latest state of the log that witnesses have seen."""
        signed = [one for one in made if one.envelope]
        with self._context.database.read() as tx:
            newest = statements.newest_cosigned(tx)
        receipts = [self._receipt(one, newest) for one in signed if one.state == LOGGED]
        return Evidence(
            None, (), tuple(dsse.decoded(one.envelope) for one in signed), (), tuple(receipts),
            tuple(promises.decoded(one.promise) for one in signed if one.promise),
            {hashlib.sha256(one.envelope).hexdigest(): one.salt for one in signed if one.salt},
        )  # fmt: skip

    def _receipt(self, one: KeptStatement, newest: str) -> Receipt:
        assert one.index is not None, "it is logged"
        note = notes.decoded(one.note)
        if newest and newest != one.note:
            cosigned = notes.decoded(newest)
            state = notes.checkpoint_of(cosigned)
            if state.origin == notes.checkpoint_of(note).origin and state.size > one.index:
                try:
                    return Receipt(
                        one.index, tuple(TileFiles(self._log).inclusion(one.index, state.size)), cosigned
                    )
                except (LogInconsistent, OSError):
                    pass  # the log is not on this host: the receipt of the day on which it was logged holds too
        digests = tuple(one.proof[n : n + HASH_BYTES] for n in range(0, len(one.proof), HASH_BYTES))
        return Receipt(one.index, digests, note)

    def _tree(self, caller: Caller, found: DataObject, tree: Tree) -> BlockTree:
        """The tree that was made while the content was stored; else it is read."""
        known = trees.recorded(self._context.database, found.id)
        if known is not None:
            return known
        return trees.of_content(self._context, caller, tree, found, admin=caller.is_admin)


def _is_claim(verdict: Verdict) -> bool:
    """Whether all that is wrong is that somebody's claim is no more than that."""
    return verdict.state == UNSIGNED and any("claimed by" in step.reason for step in verdict.steps)


def _trusted_time(verdict: Verdict) -> datetime:
    """The time of the last step until which everything is verified."""
    if not verdict.trusted_until:
        return NEVER
    times = [step.time for step in verdict.steps[: verdict.trusted_until] if step.time]
    return datetime.fromisoformat(max(times)) if times else NEVER
