"""Operations on replicas that move bytes or remove them: replicate, copy, trim."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from grid import paths
from grid.catalog import journal, promises
from grid.catalog import objects as object_rows
from grid.catalog.database import Transaction
from grid.codes import Status
from grid.errors import (
    AccessDenied,
    CatalogBusy,
    CatalogUnavailable,
    ChecksumMismatch,
    GridError,
    InvalidArgument,
    Locked,
    NoGoodReplica,
    NotFound,
    ResourceUnavailable,
    StorageFailed,
)
from grid.model import Access, Caller, DataObject, Replica, ReplicaStatus, Resource
from grid.namespace import steps, trees
from grid.namespace.context import NamespaceContext
from grid.namespace.copying import Copying
from grid.namespace.creation import WriteRequest
from grid.namespace.data_objects import DataObjects
from grid.namespace.finisher import Finisher
from grid.namespace.found import object_facts
from grid.namespace.ports import Event
from grid.namespace.rings import BUFFER_BYTES
from grid.namespace.storage import Tree, storage_errors
from grid.namespace.transfers import new_name
from resources.aligned import aligned_buffer

_log = logging.getLogger("beamgrid.replicas")


@dataclass(frozen=True, slots=True)
class TrimRequest:
    """Which replicas to remove: one by number, those on a resource, or all but `keep`."""

    replica_number: int | None = None
    resource_name: str = ""
    keep: int = 2
    dry_run: bool = False
    unregister: bool = False
    admin: bool = False
    older_than_minutes: int | None = None


class Replicas:
    """The operations on replicas of data objects."""

    def __init__(self, context: NamespaceContext, finisher: Finisher, objects: DataObjects) -> None:
        self._context = context
        self._finisher = finisher
        self._objects = objects
        self._copying = Copying(context)

    # -- replicate -------------------------------------------------------------------------------------------

    def replicate(
        self,
        caller: Caller,
        text: str,
        target_name: str,
        *,
        source_name: str = "",
        source_number: int | None = None,
        update: bool = False,
        admin: bool = False,
    ) -> int:
        """Make a good replica on a resource; one that is there and good already is success.

        Returns:
            The bytes copied.

        Raises:
            NotFound: no such object, or no such resource (-78000).
            NoGoodReplica: nothing to copy from.
        """
        path = self._context.path(text).text
        found, tree = self._context.load(path, caller, Access.READ, admin)
        target = tree.root_named(target_name or self._context.storage.default_resource)
        if found.is_locked:
            raise Locked(f"`{path}` is open for writing", status=Status.INTERMEDIATE_REPLICA_ACCESS)
        existing = next((r for r in found.replicas if tree.is_within(r.resource_id, target.id)), None)
        if existing is not None and existing.status is ReplicaStatus.GOOD and not update:
            return 0
        source = self._context.storage.pick_for_reading(
            tree, found, resource_name=source_name, replica_number=source_number
        )
        if source.status is not ReplicaStatus.GOOD:
            raise NoGoodReplica(f"`{path}` has no good replica to copy from")
        if existing is not None and existing.number == source.number:
            return 0
        leaf = (
            tree.by_id[existing.resource_id] if existing else tree.leaf_for_writing(target, source.size_bytes)
        )
        facts = {
            "object": object_facts(found, tree),
            "replica": {
                "purpose": "copy",
                "resource": leaf.name,
                "size": source.size_bytes,
                "medium": leaf.medium,
                "source": tree.by_id[source.resource_id].name,
            },
        }
        event = Event("replica", "create", caller, path, found.id, facts, {"replica.resource": leaf.name})
        self._context.policy.before(event)
        others = (
            [] if source_name or source_number is not None else self._other_sources(found, tree, source, leaf)
        )
        return self._copy_from_any(event, found, tree, [source, *others], leaf, existing)

    def _other_sources(self, found: DataObject, tree: Tree, source: Replica, leaf: Resource) -> list[Replica]:
        return [
            replica
            for replica in found.replicas
            if replica.status is ReplicaStatus.GOOD
            and replica.number != source.number
            and replica.resource_id != leaf.id
            and not tree.is_down(tree.by_id[replica.resource_id])
        ]

    def _copy_from_any(
        self,
        event: Event,
        found: DataObject,
        tree: Tree,
        sources: list[Replica],
        leaf: Resource,
        existing: Replica | None,
    ) -> int:
        """Copy from the first source that has what is recorded of it; one that has not is stale from then on."""
        for source in sources[:-1]:
            try:
                return self._copy(event, found, tree, source, leaf, existing)
            except (ChecksumMismatch, StorageFailed, ResourceUnavailable) as error:
                _log.warning(
                    "%s is copied from another replica than %d: %s", found.path, source.number, error
                )
        return self._copy(event, found, tree, sources[-1], leaf, existing)

    def _distrust(self, found: DataObject, source: Replica, reason: str) -> None:
        """A replica was read and is not what is recorded of it."""
        with self._context.database.write() as tx:
            tx.run(
                "UPDATE replicas SET status = :stale, comments = :why WHERE data_id = :id AND number = :n"
                " AND modify_time = :m AND status = :good",
                {
                    "stale": int(ReplicaStatus.STALE), "good": int(ReplicaStatus.GOOD), "why": reason[:900],
                    "id": found.id, "n": source.number, "m": source.modify_time,
                },
            )  # fmt: skip
            promises.queue(tx, found.id)

    def complete(self, caller: Caller, path: str) -> list[str]:
        """Copy an object to the siblings and archives that coordinating resources want it on.

        Returns:
            What is in the way of copies that could not be made.
        """
        with self._context.database.read() as tx:
            found = self._context.data_object(tx, path)
            tree = self._context.storage.tree(tx)
        reasons = []
        for leaf in tree.copies_missing(found):
            try:
                self.replicate(caller, path, tree.hierarchy(leaf.id), update=True)
            except GridError as error:
                _log.warning("%s has no copy on %s yet: %s", path, leaf.name, error)
                reasons.append(f"no copy on `{leaf.name}` yet: {error}")
        return reasons

    def update_stale(self, caller: Caller, text: str, *, admin: bool = False, every: bool = False) -> int:
        """Bring stale replicas up to date from a good one: the first, or `every` one. Returns the bytes copied."""
        path = self._context.path(text).text
        found, tree = self._context.load(path, caller, Access.READ, admin)
        stale = [r for r in found.replicas if r.status is ReplicaStatus.STALE]
        copied = 0
        for replica in stale if every else stale[:1]:
            hierarchy = tree.hierarchy(replica.resource_id)
            copied += self.replicate(caller, path, hierarchy, update=True, admin=admin)
        return copied

    def _copy(
        self,
        event: Event,
        found: DataObject,
        tree: Tree,
        source: Replica,
        leaf: Resource,
        existing: Replica | None,
    ) -> int:
        driver = self._context.storage.driver(leaf)
        name = new_name()
        try:
            with storage_errors():
                sent, written, size = self._copying.transfer(event, found, tree, source, leaf, name)
            if source.checksum and sent != source.checksum:
                self._refuse_source(found, tree, source, "does not have its recorded checksum any more")
            if not source.checksum:
                self._compare_trees(found, tree, source, leaf, name)
            if written != sent:
                raise StorageFailed(
                    f"what was written of `{found.path}` to `{leaf.name}` does not read the same"
                )
            steps.reached("register.before")
            self._register_copy(event, found, source, leaf, existing, name, size)
            steps.reached("register.after")
        except (CatalogBusy, CatalogUnavailable):
            raise  # the commit may have happened; a staged file that nothing refers to is swept later
        except BaseException:
            with storage_errors():
                driver.unlink_staged(name)
            raise
        self._finisher.settle()
        return size

    def _refuse_source(self, found: DataObject, tree: Tree, source: Replica, why: str) -> None:
        """Say that a replica is not what is recorded of it, and where, as far as a tree tells.

        Raises:
            ChecksumMismatch: always.
        """
        where = self._copying.where(found, tree, source)
        reason = f"replica {source.number} of `{found.path}` {why}{'; ' if where else ''}{where}"
        self._distrust(found, source, reason)
        raise ChecksumMismatch(reason)

    def _compare_trees(
        self, found: DataObject, tree: Tree, source: Replica, leaf: Resource, name: str
    ) -> None:
        """Compare a copy that has no recorded checksum with the tree of the content, where there is one.

        Raises:
            ChecksumMismatch: the source is not what is recorded.
            StorageFailed: what was written is not what was read.
        """
        blocks = trees.recorded(self._context.database, found.id)
        if blocks is None:
            return
        with storage_errors():
            copy = self._context.storage.driver(leaf).open_staged_for_reading(name)
        try:
            where = trees.difference(blocks, trees.of_file(copy))
        finally:
            copy.close()
        if where and self._copying.where(found, tree, source):
            self._refuse_source(found, tree, source, "is not what was stored")
        if where:
            raise StorageFailed(
                f"what was written of `{found.path}` to `{leaf.name}` does not read the same: {where}"
            )

    def _register_copy(
        self,
        event: Event,
        found: DataObject,
        source: Replica,
        leaf: Resource,
        existing: Replica | None,
        name: str,
        size: int,
    ) -> None:
        with self._context.database.write() as tx:
            self._context.fence(tx)
            if not object_rows.lock(tx, found.id):
                raise NotFound(f"`{found.path}` was removed meanwhile")
            current = object_rows.by_id_or_none(tx, found.id)
            same = next((r for r in current.replicas if r.number == source.number), None) if current else None
            if current is None or same is None or same.modify_time != source.modify_time or current.is_locked:
                raise Locked(f"`{found.path}` changed while it was copied")
            now = tx.timestamp
            if existing is not None:
                object_rows.update_replica(
                    tx, found.id, existing.number, status=int(ReplicaStatus.GOOD), staged_as=name, physical_path="",
                    size_bytes=size, checksum=source.checksum, modify_time=now,
                )  # fmt: skip
            else:
                if any(r.resource_id == leaf.id for r in current.replicas):
                    raise Locked(f"`{found.path}` was copied to `{leaf.name}` by another at the same time")
                number = max(r.number for r in current.replicas) + 1
                object_rows.insert_replica(
                    tx,
                    replace(
                        source, number=number, resource_id=leaf.id, physical_path="", staged_as=name,
                        size_bytes=size, create_time=now, modify_time=now, access_time=now, comments="",
                    ),
                )  # fmt: skip
            self._context.happened(tx, event, resource=leaf.name)

    # -- copy ------------------------------------------------------------------------------------------------

    def copy(self, caller: Caller, source: str, target: str, request: WriteRequest, *, force: bool) -> int:
        """Make a new data object with the content of another; returns the bytes copied.

        Raises:
            InvalidArgument: the same path, or a path that is none (-317000).
            AlreadyExists: the target is there and `force` was not said (-312000).
        """
        try:
            old, new = self._context.path(source).text, self._context.path(target).text
        except (paths.InvalidPath, InvalidArgument) as error:
            raise InvalidArgument(str(error), status=Status.USER_INPUT_PATH_ERR) from error
        if old == new:
            raise InvalidArgument(
                f"source and target are both `{paths.printable(old)}`", status=Status.USER_INPUT_PATH_ERR
            )
        with self._context.database.read() as tx:
            if object_rows.by_path_or_none(tx, old) is None:
                raise InvalidArgument(
                    f"`{paths.printable(old)}` is no data object", status=Status.USER_INPUT_PATH_ERR
                )
        reading = self._objects.open_for_reading(caller, old, admin=request.admin)
        try:
            with self._context.database.read() as tx:
                facts: dict[str, Any] = {"id": reading.data_object.id, "path": old}
            for place in (old, new):
                event = Event(
                    "object",
                    "copy",
                    caller,
                    place,
                    reading.data_object.id,
                    {"object": facts, "target": {"path": new}},
                )
                self._context.policy.before(event)
            writing = self._objects.open_for_writing(
                caller, new, replace(request, exclusive=not force, size_bytes=reading.size())
            )
            try:
                buffer = aligned_buffer(BUFFER_BYTES)
                while count := reading.read_into(buffer):
                    writing.write(buffer[:count])
            except BaseException:
                writing.abandon()
                raise
            writing.commit()
            return reading.position
        finally:
            reading.close()

    # -- trim ------------------------------------------------------------------------------------------------

    def trim(self, caller: Caller, text: str, request: TrimRequest) -> int:
        """Remove replicas; says how many went, or would go.

        The last good replica never goes (-402000).
        """
        path = self._context.path(text).text
        found, tree = self._context.load(path, caller, Access.DELETE, request.admin)
        if found.is_locked:
            raise Locked(f"`{path}` is open for writing")
        chosen = self._to_trim(tree, found, request)
        if request.dry_run or not chosen:
            return len(chosen)
        facts = {"object": object_facts(found, tree)}
        for replica in chosen:
            name = tree.by_id[replica.resource_id].name
            event = Event(
                "replica",
                "trim",
                caller,
                path,
                found.id,
                {**facts, "replica": {"resource": name, "purpose": "trim"}},
            )
            self._context.policy.before(event)
        with self._context.database.write() as tx:
            if not object_rows.lock(tx, found.id):
                raise NotFound(f"`{path}` was removed meanwhile")
            current = object_rows.by_id_or_none(tx, found.id)
            chosen_numbers = {replica.number for replica in chosen}
            left = [r for r in current.replicas if r.number not in chosen_numbers] if current else []
            if not any(tree.by_id[r.resource_id].counts(r) for r in left):
                raise InvalidArgument(
                    f"this would remove the last good replica of `{path}`{_on_its_way(tree, left)}",
                    status=Status.USER_INCOMPATIBLE_PARAMS,
                )
            for replica in chosen:
                kept = promises.holders(tx, found.id, replica.number)
                if kept:
                    raise AccessDenied(
                        f"replica {replica.number} of `{path}` is one that {', '.join(kept)} promises to keep"
                    )
                self._drop(tx, found, replica, unregister=request.unregister)
                name = tree.by_id[replica.resource_id].name
                event = Event(
                    "replica", "trim", caller, path, found.id, {**facts, "replica": {"resource": name}}
                )
                self._context.happened(tx, event, number=replica.number, resource=name)
        self._finisher.settle()
        return len(chosen)

    def _drop(self, tx: Transaction, found: DataObject, replica: Replica, *, unregister: bool) -> None:
        object_rows.delete_replica(tx, found.id, replica.number)
        if replica.staged_as:
            journal.add_vault_task(tx, replica.resource_id, "unlink_staged", replica.staged_as)
        elif not replica.physical_path and not unregister:
            journal.add_vault_task(
                tx, replica.resource_id, "unlink", found.path[len(self._context.zone) + 1 :]
            )

    def _to_trim(self, tree: Tree, found: DataObject, request: TrimRequest) -> list[Replica]:
        if request.replica_number is not None:
            replica = next((r for r in found.replicas if r.number == request.replica_number), None)
            if replica is None:
                raise NoGoodReplica(
                    f"`{found.path}` has no replica {request.replica_number}",
                    status=Status.SYS_REPLICA_DOES_NOT_EXIST,
                )
            left = [r for r in found.replicas if r is not replica and tree.by_id[r.resource_id].counts(r)]
            if replica.status is ReplicaStatus.GOOD and not left:
                raise InvalidArgument(
                    f"replica {replica.number} is the last good one of `{found.path}`{_on_its_way(tree, found.replicas)}",
                    status=Status.USER_INCOMPATIBLE_PARAMS,
                )
            return [replica]
        candidates = list(found.replicas)
        if request.resource_name:
            wanted = tree.named(request.resource_name)
            candidates = [r for r in candidates if tree.is_within(r.resource_id, wanted.id)]
        stale = [r for r in candidates if r.status is not ReplicaStatus.GOOD]
        good = [r for r in candidates if r.status is ReplicaStatus.GOOD]
        surplus = max(len(found.replicas) - request.keep, 0)
        chosen = (stale + good)[:surplus]
        if not any(tree.by_id[r.resource_id].counts(r) and r not in chosen for r in found.replicas):
            last = next((r for r in reversed(chosen) if r.status is ReplicaStatus.GOOD), None)
            chosen = [r for r in chosen if r is not last]
        return chosen


def _on_its_way(tree: Tree, replicas: Iterable[Replica]) -> str:
    """That a replica is not on tape yet, for who wonders why it does not count."""
    waiting = [
        r for r in replicas if r.status is ReplicaStatus.GOOD and not tree.by_id[r.resource_id].counts(r)
    ]
    return f"; replica {waiting[0].number} is not on tape yet" if waiting else ""
