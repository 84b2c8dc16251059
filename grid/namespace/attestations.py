"""Signed statements about data objects: attached, judged by the zone's own root of keys, and handed on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from grid import paths
from grid.catalog import attestations
from grid.errors import InvalidArgument, NotFound
from grid.model import Access, Caller, DataObject
from grid.namespace import trees
from grid.namespace.context import NamespaceContext
from grid.namespace.data_objects import object_facts
from grid.namespace.ports import Event
from grid.namespace.storage import Tree
from provenance import evidence
from provenance.authority import Authority
from provenance.blocks import BlockTree
from provenance.errors import ProvenanceError
from provenance.evidence import Evidence
from provenance.keyring import Keyring, KeyUnknown
from provenance.verdict import NOT_LOGGED, VERIFIED, Verdict, judge

ACCEPTED = (VERIFIED, NOT_LOGGED)
"""What a verdict has to be for evidence to be kept; the others are refused with their reason."""


class Attestations:
    """The operations on statements.

    Args:
        context: the zone.
        keys: the folder of the zone's root and of what it says of keys; its private part need not be there.
    """

    def __init__(self, context: NamespaceContext, keys: Path) -> None:
        self._context = context
        self._keys = keys

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
        if verdict.state not in ACCEPTED:
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
            self._context.happened(tx, event, attestation=number, state=verdict.state, root=verdict.root)
        return verdict

    def show(self, caller: Caller, text: str) -> dict[str, Any]:
        """Judge an object as it is now by everything that was attached.

        Raises:
            NotFound, AccessDenied, PolicyDenied: as reading; or the zone has no root of keys.
        """
        path, found, tree, attached = self._attached(caller, text)
        _, authority = self._authority()
        verdict = judge(self._tree(caller, found, tree), path, _together(attached), authority)
        return {
            "path": path,
            **verdict.as_json(),
            "attached": [{**one, "evidence": len(one["evidence"])} for one in attached],
        }

    def export(self, caller: Caller, text: str) -> str:
        """Everything that was attached, with the zone's root and keys as they are now, for who judges elsewhere.

        Raises:
            NotFound, AccessDenied, PolicyDenied: as reading; or nothing was attached.
        """
        path, _, _, attached = self._attached(caller, text)
        if not attached:
            raise NotFound(f"nothing is attached to `{paths.printable(path)}`")
        ring, _ = self._authority()  # checked before it is handed on
        made = replace(_together(attached), root=ring.root_envelope(), keys=tuple(ring.envelopes()))
        return made.encoded().decode()

    def _attached(self, caller: Caller, text: str) -> tuple[str, DataObject, Tree, list[dict[str, Any]]]:
        path = self._context.path(text).text
        found, tree = self._context.load(path, caller, Access.READ, caller.is_admin)
        self._context.policy.witness(
            Event("object", "stat", caller, path, found.id, {"object": object_facts(found, tree)})
        )
        with self._context.database.read() as tx:
            return path, found, tree, attestations.of_object(tx, found.id)

    def _tree(self, caller: Caller, found: DataObject, tree: Tree) -> BlockTree:
        """The tree that was made while the content was stored; else it is read."""
        known = trees.recorded(self._context.database, found.id)
        if known is not None:
            return known
        source = self._context.storage.pick_for_reading(tree, found)
        file = self._context.open_replica(caller, tree, source, found.path, admin=caller.is_admin)
        try:
            return trees.of_file(file)
        finally:
            file.close()


def _together(attached: list[dict[str, Any]]) -> Evidence:
    """Several pieces of evidence as one; what is in two is there once."""
    read = [evidence.decoded(one["evidence"]) for one in attached]
    return Evidence(
        None,
        (),
        tuple(dict.fromkeys(envelope for one in read for envelope in one.statements)),
        tuple(dict.fromkeys(tree for one in read for tree in one.trees)),
        tuple(dict.fromkeys(receipt for one in read for receipt in one.receipts)),
    )
