"""Opens of data objects for writing: what may be opened, by whom, as which replica, and what becomes of it where nobody finishes."""

from dataclasses import replace
from typing import Final

from grid import paths
from grid.catalog import leases, trees
from grid.catalog import objects as object_rows
from grid.catalog.database import Transaction
from grid.catalog.leases import OpenWrite
from grid.codes import Status
from grid.errors import (
    AlreadyExists,
    FactsChanged,
    InvalidArgument,
    Locked,
)
from grid.model import Access, Caller, DataObject, Replica, ReplicaStatus
from grid.namespace import steps
from grid.namespace.behind import Taps
from grid.namespace.context import NamespaceContext
from grid.namespace.creation import NewObjects, ObjectChanged, WriteRequest, new_replica
from grid.namespace.digests import DigestTap, scheme_of
from grid.namespace.finisher import Finisher, undo_open
from grid.namespace.found import decided_by, find, object_facts
from grid.namespace.ports import Event
from grid.namespace.storage import Tree
from grid.namespace.transfers import OpenForWriting, new_entry, new_name
from provenance.blocks import BlocksSeen

LARGE_BYTES: Final = 1 << 20
"""From this size on, the storage is asked for room when a new content is opened."""


class Openings:
    """Makes open data objects that are written.

    Args:
        context: what operations share.
        finisher: puts into order what writers leave behind.
        new: registers new objects.
    """

    def __init__(self, context: NamespaceContext, finisher: Finisher, new: NewObjects) -> None:
        self._context = context
        self._finisher = finisher
        self._new = new

    def open(self, caller: Caller, path: str, request: WriteRequest) -> OpenForWriting:
        """As `DataObjects.open_for_writing`, for a path that may be one."""
        if request.token:
            return self._join(caller, path, request)
        for attempt in range(3):
            with self._context.database.read() as tx:
                found = object_rows.by_path_or_none(tx, path)
            try:
                if found is None:
                    return self._with_room(self._open_new(caller, path, request))
                return self._with_room(self._open_existing(caller, path, found, request))
            except (ObjectChanged, FactsChanged):
                if attempt == 2:
                    raise Locked(f"`{paths.printable(path)}` is being changed by others") from None
                if found is not None:
                    self._undo_dead_write(found)
        raise AssertionError("unreachable")

    def _with_room(self, opened: OpenForWriting) -> OpenForWriting:
        """Let the storage refuse a large write now, before anybody sends bytes."""
        if opened.truncate and opened.expected_bytes >= LARGE_BYTES:
            try:
                opened.staged()
            except BaseException:
                opened.abandon()
                raise
        return opened

    def _join(self, caller: Caller, path: str, request: WriteRequest) -> OpenForWriting:
        with self._context.database.read() as tx:
            found = find(tx, path)
            self._context.require(tx, found.acl_id, caller, Access.WRITE, path, request.admin)
            entry = leases.open_by_token(tx, request.token)
            if entry is None or entry.data_id != found.id:
                raise Locked(
                    f"the token does not belong to an open write of `{paths.printable(path)}`",
                    status=Status.INTERMEDIATE_REPLICA_ACCESS,
                )
            tree = self._context.storage.tree(tx)
        replica = next(r for r in found.replicas if r.number == entry.replica_number)
        stream = new_name() if self._context.wants_tree(path) else ""
        if stream:
            with self._context.database.write(durable=False) as tx:
                trees.begin_stream(tx, entry.token, stream)
        return OpenForWriting(
            self._context, self._finisher, caller, path, found, replica, tree.by_id[replica.resource_id],
            tree.hierarchy(replica.resource_id), entry, owner=False, truncate=entry.is_new,
            expected_bytes=request.size_bytes, taps=self._taps(path), stream=stream,
        )  # fmt: skip

    def _open_new(self, caller: Caller, path: str, request: WriteRequest) -> OpenForWriting:
        if not request.create:
            with self._context.database.read() as tx:
                raise self._context.no_data_object(tx, path)
        decided = self._new.decide(caller, path, request)
        leaf = decided.leaf
        entry = new_entry(
            0, 0, self._context.lease_id, is_new=True, previous={}, reservation=request.reservation
        )
        steps.reached("register.before")
        with self._context.database.write(durable=False) as tx:
            self._context.policy.confirm(tx, decided.event)
            replica = new_replica(leaf, request, tx.timestamp, ReplicaStatus.INTERMEDIATE)
            new = self._new.open(tx, decided.room, caller, replica, entry)
        steps.reached("register.after")
        return OpenForWriting(
            self._context, self._finisher, caller, path, new, new.replicas[0], leaf,
            decided.tree.hierarchy(leaf.id), entry.of(new.id), owner=True, truncate=True, taps=self._taps(path, request), append=request.append,
            checksum_wanted=request.register_checksum, expected_checksum=request.checksum, expected_bytes=request.size_bytes,
        )  # fmt: skip

    def _taps(self, path: str, request: WriteRequest | None = None) -> Taps:
        """What sees the bytes pass; a digest only where they come in order, as a request says."""
        blocks = BlocksSeen() if self._context.wants_tree(path) else None
        return Taps(self._tap(path, request) if request is not None else None, blocks)

    def _tap(self, path: str, request: WriteRequest) -> DigestTap | None:
        if request.checksum:
            return DigestTap(scheme_of(request.checksum))
        if request.register_checksum or self._context.policy.wants_digest(path):
            return DigestTap()
        return None

    def _open_existing(
        self, caller: Caller, path: str, found: DataObject, request: WriteRequest
    ) -> OpenForWriting:
        with self._context.database.read() as tx:
            self._context.require(tx, found.acl_id, caller, Access.WRITE, path, request.admin)
            tree = self._context.storage.tree(tx)
        if request.exclusive:
            raise AlreadyExists(
                f"`{paths.printable(path)}` exists; overwriting it needs the force flag",
                status=Status.OVERWRITE_WITHOUT_FORCE_FLAG,
            )
        replica = self._replica_to_write(tree, found, request)
        if replica is None:
            return self._open_further(caller, path, found, tree, request)
        event = Event("object", "write", caller, path, found.id, {"object": object_facts(found, tree)})
        self._context.policy.before(event)
        leaf = tree.by_id[replica.resource_id]
        self._context.storage.driver(leaf)
        with self._context.database.write(durable=False) as tx:
            self._context.policy.confirm(tx, event)
            current = self._claim(tx, found)
            entry = self._begin(tx, current, replica.number, request, is_new=False)
            object_rows.update_replica(tx, found.id, replica.number, status=int(ReplicaStatus.INTERMEDIATE))
        return OpenForWriting(
            self._context, self._finisher, caller, path, found, replica, leaf, tree.hierarchy(leaf.id), entry,
            owner=True, truncate=request.truncate, taps=self._taps(path, request if request.truncate else None), append=request.append,
            checksum_wanted=request.register_checksum or bool(replica.checksum),
            expected_checksum=request.checksum, expected_bytes=request.size_bytes,
        )  # fmt: skip

    def _undo_dead_write(self, found: DataObject) -> None:
        """Undo a write whose process is gone, in a transaction of its own: what that process was making is not there afterwards."""
        with self._context.database.write(durable=False) as tx:
            entry = leases.open_of_object(tx, found.id) if object_rows.lock(tx, found.id) else None
            if entry is not None and leases.lease_is_void(tx, entry.lease_id):
                undo_open(tx, entry)

    def _claim(self, tx: Transaction, found: DataObject) -> DataObject:
        """Lock an object for this writer; a write whose process is gone is undone first."""
        if not object_rows.lock(tx, found.id):
            raise ObjectChanged
        entry = leases.open_of_object(tx, found.id)
        if entry is not None:
            if not leases.lease_is_void(tx, entry.lease_id):
                raise Locked(f"`{found.path}` is open for writing", status=Status.INTERMEDIATE_REPLICA_ACCESS)
            undo_open(tx, entry)
        current = object_rows.by_id_or_none(tx, found.id)
        if current is None or current.path != found.path:
            raise ObjectChanged
        if entry is None and decided_by(current) != decided_by(found):
            raise ObjectChanged  # the policy judged another state of the object
        return current

    def _begin(
        self, tx: Transaction, current: DataObject, number: int, request: WriteRequest, *, is_new: bool
    ) -> OpenWrite:
        """Note who writes which replica, and what to go back to; the object's replicas are locked."""
        previous = {r.number: int(r.status) for r in current.replicas}
        entry = new_entry(
            current.id, number, self._context.lease_id, is_new=is_new, previous=previous, reservation=request.reservation,
        )  # fmt: skip
        leases.insert_open(tx, entry)
        object_rows.update_replica(tx, current.id, -1, status=int(ReplicaStatus.WRITE_LOCKED))
        return entry

    def _open_further(
        self, caller: Caller, path: str, found: DataObject, tree: Tree, request: WriteRequest
    ) -> OpenForWriting:
        """Write a new replica of an existing object on a resource that has none; the others become stale."""
        leaf = tree.leaf_for_writing(tree.root_named(request.resource_name), request.size_bytes)
        event = Event("object", "write", caller, path, found.id, {"object": object_facts(found, tree)})
        self._context.policy.before(event)
        self._context.storage.driver(leaf)
        with self._context.database.write(durable=False) as tx:
            self._context.policy.confirm(tx, event)
            current = self._claim(tx, found)
            number = max(r.number for r in current.replicas) + 1
            entry = self._begin(tx, current, number, request, is_new=True)
            replica = replace(
                new_replica(leaf, request, tx.timestamp, ReplicaStatus.INTERMEDIATE),
                data_id=found.id,
                number=number,
            )
            object_rows.insert_replica(tx, replica)
        return OpenForWriting(
            self._context, self._finisher, caller, path, found, replica, leaf, tree.hierarchy(leaf.id), entry,
            owner=True, truncate=request.truncate, append=request.append, source=current.best_replica(),
            checksum_wanted=request.register_checksum, expected_checksum=request.checksum, expected_bytes=request.size_bytes, taps=self._taps(path),
        )  # fmt: skip

    def _replica_to_write(self, tree: Tree, found: DataObject, request: WriteRequest) -> Replica | None:
        """The replica to write; None when the request names a resource that has none."""
        if request.replica_number is not None:
            return self._context.storage.pick_for_reading(tree, found, replica_number=request.replica_number)
        if request.resource_name:
            wanted = tree.root_named(request.resource_name)
            within = [r for r in found.replicas if tree.is_within(r.resource_id, wanted.id)]
            if not within and request.whole:
                raise InvalidArgument(
                    f"`{found.path}` has no replica on `{request.resource_name}`; replicate it there instead",
                    status=Status.HIERARCHY_ERROR,
                )
            if not within:
                return None
            good = [r for r in within if r.status is ReplicaStatus.GOOD]
            return tree.best_of(good) if good else within[0]
        return self._context.storage.pick_for_reading(tree, found)
