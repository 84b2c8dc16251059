"""Operations that create, open, put and look at data objects."""

from dataclasses import dataclass, replace

from grid import paths
from grid.catalog import collections as collection_rows
from grid.catalog import leases, trees
from grid.catalog import objects as object_rows
from grid.catalog.database import Transaction
from grid.codes import Status
from grid.errors import (
    CatalogBusy,
    CatalogUnavailable,
    ChecksumMismatch,
    FactsChanged,
    InvalidArgument,
    Locked,
    NotFound,
)
from grid.model import Access, Caller, DataObject, Replica, ReplicaStatus
from grid.namespace import steps
from grid.namespace.context import NamespaceContext
from grid.namespace.creation import DecidedObject, NewObjects, ObjectChanged, WriteRequest, new_replica
from grid.namespace.digests import of_bytes, scheme_of
from grid.namespace.finisher import Finisher
from grid.namespace.found import object_facts
from grid.namespace.opening import Openings
from grid.namespace.ports import Event
from grid.namespace.reading import OpenForReading
from grid.namespace.storage import Tree, storage_errors
from grid.namespace.transfers import OpenForWriting, new_name
from provenance.blocks import tree_of


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """What a path is: `kind` is 1 for a data object, 2 for a collection."""

    kind: int
    id: int
    size_bytes: int
    checksum: str
    owner_name: str
    owner_zone: str
    create_time: str
    modify_time: str
    mode: str = ""


class DataObjects:
    """The operations on single data objects."""

    def __init__(self, context: NamespaceContext, finisher: Finisher) -> None:
        self._context = context
        self._finisher = finisher
        self._new = NewObjects(context)
        self._openings = Openings(context, finisher, self._new)

    # -- looking ---------------------------------------------------------------------------------------------

    def stat(self, caller: Caller, text: str, *, only: str = "") -> ObjectStat:
        """What is at a path, as far as the caller may know.

        Args:
            caller: who asks.
            text: the path.
            only: `dataObj` or `collection` to look for one kind.

        Raises:
            NotFound: nothing is there that the caller may see (-310000).
        """
        try:
            path = self._context.path(text).text
        except (paths.InvalidPath, InvalidArgument) as error:
            raise NotFound(str(error), status=Status.USER_FILE_DOES_NOT_EXIST) from error
        with self._context.database.read() as tx:
            if only != "collection":
                found = object_rows.by_path_or_none(tx, path)
                if found is not None and self._may_see(tx, found.acl_id, caller):
                    stat = _object_stat(found)
                    facts = {"id": found.id, "size": stat.size_bytes, "owner": found.owner_name}
                    self._context.policy.witness(
                        Event("object", "stat", caller, path, found.id, {"object": facts})
                    )
                    return stat
            if only != "dataObj":
                collection = collection_rows.by_path_or_none(tx, path)
                if collection is not None and self._may_see(tx, collection.acl_id, caller):
                    seen = {"id": collection.id, "owner": collection.owner_name}
                    self._context.policy.witness(
                        Event("object", "stat", caller, path, collection.id, {"collection": seen})
                    )
                    return ObjectStat(
                        2, collection.id, 0, "", collection.owner_name, collection.owner_zone,
                        collection.create_time, collection.modify_time,
                    )  # fmt: skip
        raise NotFound(
            f"`{paths.printable(text)}` is not there, or not yours to see",
            status=Status.USER_FILE_DOES_NOT_EXIST,
        )

    def _may_see(self, tx: Transaction, acl_id: int, caller: Caller) -> bool:
        return caller.is_admin or self._context.level(tx, acl_id, caller) >= Access.READ_METADATA

    # -- reading ---------------------------------------------------------------------------------------------

    def open_for_reading(
        self,
        caller: Caller,
        text: str,
        *,
        resource_name: str = "",
        preferred_name: str = "",
        replica_number: int | None = None,
        token: str = "",
        admin: bool = False,
    ) -> OpenForReading:
        """Open a replica's bytes.

        Raises:
            NotFound: there is no such data object (-358000).
            AccessDenied, PolicyDenied: the caller may not read it.
            Locked: it is being written.
            NoGoodReplica: no replica can serve.
        """
        path = self._context.path(text).text
        with self._context.database.read() as tx:
            found = self._context.data_object(tx, path)
            self._context.require(tx, found.acl_id, caller, Access.READ, path, admin)
            tree = self._context.storage.tree(tx)
            if resource_name:
                tree.root_named(resource_name)
            replica = self._context.storage.pick_for_reading(
                tree,
                found,
                resource_name=resource_name,
                replica_number=replica_number,
                preferred_name=preferred_name,
            )
            self._refuse_locked(tx, found, replica, token)
        event = Event("object", "read", caller, path, found.id, {"object": object_facts(found, tree)})
        self._context.policy.witness(event)
        if not resource_name and replica_number is None:
            replica = self._through_cache(caller, path, found, tree, replica)
        file = self._context.open_replica(caller, tree, replica, path, admin=admin)
        self._finisher.note_access(replica)
        return OpenForReading(path, found, replica, tree.hierarchy(replica.resource_id), file)

    def _through_cache(
        self, caller: Caller, path: str, found: DataObject, tree: Tree, replica: Replica
    ) -> Replica:
        """What lies in the archive of a compound resource is read from its cache, to which it is copied first."""
        cache = tree.cache_for(replica.resource_id, replica.size_bytes)
        if cache is None or replica.status is not ReplicaStatus.GOOD:
            return replica
        self._context.copies.replicate(caller, path, tree.hierarchy(cache.id), update=True)
        with self._context.database.read() as tx:
            current = self._context.data_object(tx, path)
        return next(
            (r for r in current.replicas if r.resource_id == cache.id and r.status is ReplicaStatus.GOOD),
            replica,
        )

    def _refuse_locked(self, tx: Transaction, found: DataObject, replica: Replica, token: str) -> None:
        if replica.status is ReplicaStatus.INTERMEDIATE:
            entry = leases.open_of_object(tx, found.id)
            if entry is None or token != entry.token:
                raise Locked(
                    f"replica {replica.number} of `{found.path}` is being written",
                    status=Status.INTERMEDIATE_REPLICA_ACCESS,
                )
        elif replica.status is ReplicaStatus.WRITE_LOCKED:
            raise Locked(f"another replica of `{found.path}` is being written")

    # -- writing ---------------------------------------------------------------------------------------------

    def open_for_writing(self, caller: Caller, text: str, request: WriteRequest) -> OpenForWriting:
        """Open a data object for writing, making it when that is asked for.

        Until the first close the object shows an intermediate replica; a crash or a lost connection leaves it
        as it was.

        Raises:
            NotFound: no such data object (-358000), or no such collection to make it in (-814000).
            AlreadyExists: it is there and must not be (-312000), or a collection has the name (-833000).
            AccessDenied, PolicyDenied: the caller may not.
            Locked: somebody else has it open for writing.
        """
        if text.endswith("/"):
            raise InvalidArgument(
                f"`{paths.printable(text)}` ends with a slash, so it names no data object",
                status=Status.USER_INPUT_PATH_ERR,
            )
        return self._openings.open(caller, self._context.path(text).text, request)

    # -- whole puts ------------------------------------------------------------------------------------------

    def put(self, caller: Caller, text: str, data: bytes | memoryview, request: WriteRequest) -> DataObject:
        """Store a whole data object at once.

        A new object costs one durable transaction; nothing of it is visible before its bytes are on stable
        storage.

        Raises:
            As `open_for_writing`; and ChecksumMismatch, after which nothing has changed.
        """
        path = self._context.path(text).text
        for _ in range(2):
            try:
                return self._put_new(caller, path, data, request)
            except FactsChanged:
                continue
        return self._put_new(caller, path, data, request)

    def _put_new(
        self, caller: Caller, path: str, data: bytes | memoryview, request: WriteRequest
    ) -> DataObject:
        try:
            decided = self._new.decide(caller, path, request)
        except ObjectChanged:
            return self._put_over(caller, path, data, request)
        checksum = ""
        if request.checksum or request.register_checksum or self._context.policy.wants_digest(path):
            checksum = of_bytes(data, scheme_of(request.checksum) if request.checksum else "sha2")
            if request.checksum and checksum != request.checksum:
                raise ChecksumMismatch(
                    f"the bytes of `{path}` have checksum `{checksum}`, not `{request.checksum}`"
                )
        name = new_name()
        driver = self._context.storage.driver_for(
            self._context.database, caller, decided.leaf, request.reservation
        )
        steps.reached("stage.before")
        with storage_errors():
            file = driver.stage(name, len(data))
            steps.reached("stage.after")
            try:
                if len(data):
                    file.write(data, 0)
                steps.reached("sync.before")
                file.sync()
                steps.reached("sync.after")
            except BaseException:
                file.close()
                driver.unlink_staged(name)
                raise
            file.close()
        try:
            made = self._register_put(decided, request, name, data, checksum)
        except ObjectChanged:
            with storage_errors():
                driver.unlink_staged(name)
            return self._put_over(caller, path, data, request)
        except (CatalogBusy, CatalogUnavailable):
            raise  # the commit may have happened; an unused staged file is swept later
        except BaseException:
            with storage_errors():
                driver.unlink_staged(name)
            raise
        self._context.written(caller, path, decided.leaf)
        return made

    def _put_over(
        self, caller: Caller, path: str, data: bytes | memoryview, request: WriteRequest
    ) -> DataObject:
        """Store a whole data object over the one that is there."""
        opened = self.open_for_writing(caller, path, request)
        try:
            opened.write(data)
        except BaseException:
            opened.abandon()
            raise
        opened.commit()
        return opened.data_object

    def _register_put(
        self,
        decided: DecidedObject,
        request: WriteRequest,
        name: str,
        data: bytes | memoryview,
        checksum: str,
    ) -> DataObject:
        leaf, asked, size = decided.leaf, decided.event, len(data)
        tree = tree_of([data]) if self._context.wants_tree(asked.path) else None
        event = Event(
            "object", "close", asked.caller, asked.path, 0,
            {"object": {"size": size, "checksum": checksum, "resource": leaf.name}},
        )  # fmt: skip
        alone = (
            tree is None and not asked.relied_on and not self._context.policy.concerns(event.name, event.path)
        )
        with self._context.database.write(alone=alone) as tx:
            self._context.policy.confirm(tx, asked)
            replica = replace(
                new_replica(leaf, request, tx.timestamp, ReplicaStatus.GOOD),
                staged_as=name, size_bytes=size, checksum=checksum,
            )  # fmt: skip
            new = self._new.add(tx, decided.room, event, replica, {"size": size, "checksum": checksum})
            if tree is not None:
                trees.save(tx, new.id, tree)
        self._finisher.place_soon()
        return new


def _object_stat(found: DataObject) -> ObjectStat:
    replica = found.best_replica()
    if replica is None:
        return ObjectStat(1, found.id, 0, "", found.owner_name, found.owner_zone, "", "")
    return ObjectStat(
        1, found.id, replica.size_bytes, replica.checksum, found.owner_name, found.owner_zone,
        replica.create_time, replica.modify_time, replica.mode,
    )  # fmt: skip
