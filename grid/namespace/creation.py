"""New data objects: where one goes, who may make it, and how it gets into the catalog."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from grid import paths
from grid.catalog import collections as collection_rows
from grid.catalog import registration
from grid.catalog.database import Transaction
from grid.catalog.leases import OpenWrite
from grid.catalog.registration import NewObject, Outboxed
from grid.codes import Status
from grid.errors import AlreadyExists, Locked, NotFound
from grid.model import Access, Caller, Collection, DataObject, Replica, ReplicaStatus, Resource
from grid.namespace.context import NamespaceContext
from grid.namespace.ports import Event
from grid.namespace.storage import Tree


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """How a data object is to be opened for writing.

    Attributes:
        create: make it when it is not there.
        exclusive: it must not be there (601 and puts without force).
        truncate: its content starts empty.
        resource_name: where a new replica goes, or which replica is meant; empty for the zone's default.
        size_bytes: how much will come, -1 when nobody knows.
        checksum: the client's own checksum, to be compared.
        register_checksum: compute one and keep it.
        token: that of the first opener, for a parallel stream.
        whole: a put of everything, which never makes a further replica of an existing object.
        reservation: the key of room that was reserved on a buffer, to be used for what is written.
    """

    create: bool = True
    exclusive: bool = False
    truncate: bool = True
    append: bool = False
    readable: bool = False
    resource_name: str = ""
    default_resource_name: str = ""
    replica_number: int | None = None
    size_bytes: int = -1
    data_type: str = "generic"
    mode: str = ""
    checksum: str = ""
    register_checksum: bool = False
    token: str = ""
    admin: bool = False
    whole: bool = False
    reservation: str = ""


class ObjectChanged(Locked):
    """The object appeared, went or moved between looking and locking; look again."""

    def __init__(self) -> None:
        super().__init__("the data object is being changed by others")


@dataclass(frozen=True, slots=True)
class Room:
    """The place of a new object as a decision saw it, and the access set the object gets."""

    path: str
    parent: Collection
    acl_id: int


@dataclass(frozen=True, slots=True)
class DecidedObject:
    """A new object that may be made: its place, its leaf resource, and the event that was judged."""

    room: Room
    event: Event
    tree: Tree
    leaf: Resource


class NewObjects:
    """Decides about new data objects and registers them."""

    def __init__(self, context: NamespaceContext) -> None:
        self._context = context

    def room(self, caller: Caller, path: str, admin: bool) -> Room:
        """The place of a new object, once rights and names are right; outside any transaction.

        Raises:
            NotFound: there is no such collection (-814000).
            AccessDenied: the caller may not write into it.
            AlreadyExists: a collection has the name (-833000).
            ObjectChanged: a data object has it.
        """
        with self._context.database.read() as tx:
            parent = self._parent(tx, caller, path, admin)
            wanted = {caller.user.id: int(Access.OWN)}
            if parent.inherit:
                wanted = dict(self._context.acls.entries(tx, parent.acl_id)) | wanted
            acl_id = self._context.acls.find_or_none(tx, wanted)
        if acl_id is None:
            with self._context.database.write(durable=False) as tx:
                acl_id = self._context.acls.find_or_make(tx, wanted)
        return Room(path, parent, acl_id)

    def _parent(self, tx: Transaction, caller: Caller, path: str, admin: bool) -> Collection:
        collection, name = paths.split(path)
        found = collection_rows.room_for(tx, collection, name, path)
        if found is None:
            raise NotFound(
                f"there is no collection `{paths.printable(collection)}`",
                status=Status.CAT_UNKNOWN_COLLECTION,
            )
        parent, is_collection, is_object = found
        self._context.require(tx, parent.acl_id, caller, Access.WRITE, parent.path, admin)
        if is_collection:
            raise AlreadyExists(
                f"`{paths.printable(path)}` is a collection", status=Status.CAT_NAME_EXISTS_AS_COLLECTION
            )
        if is_object:
            raise ObjectChanged
        return parent

    def decide(self, caller: Caller, path: str, request: WriteRequest) -> DecidedObject:
        """Rights, policy and the leaf resource of a new object; outside any transaction."""
        room = self.room(caller, path, request.admin)
        with self._context.database.read() as tx:
            tree = self._context.storage.tree(tx)
        wanted = (
            request.resource_name or request.default_resource_name or self._context.storage.default_resource
        )
        event = Event(
            "object",
            "create",
            caller,
            path,
            0,
            {"object": {"path": path, "expected_size": max(request.size_bytes, 0), "closed": False}},
            {"replica.resource": wanted},
        )
        self._context.policy.before(event)
        chosen = tree.root_named(str(event.settable["replica.resource"]))
        leaf = tree.leaf_for_writing(chosen, request.size_bytes)
        self._context.storage.driver(leaf)
        return DecidedObject(room, event, tree, leaf)

    def add(
        self, tx: Transaction, room: Room, event: Event, replica: Replica, details: Mapping[str, Any]
    ) -> DataObject:
        """Register an object with its first, finished replica, and tell of it by `event`, whose subject it becomes.

        Raises:
            ObjectChanged: the place is not as it was decided on.
            LeaseLost: this process lost its lease.
        """
        new = self._new(room, event.caller, replica)
        told = Outboxed(event.name, event.caller.user.full_name, dict(details))
        data_object = self._made(tx, new, registration.put(tx, new, told))
        event.subject_id = data_object.id
        self._context.policy.after(tx, event)
        return data_object

    def open(
        self, tx: Transaction, room: Room, caller: Caller, replica: Replica, entry: OpenWrite
    ) -> DataObject:
        """Register an object that is about to be written; see `add`."""
        new = self._new(room, caller, replica)
        return self._made(tx, new, registration.open_new(tx, new, entry))

    def _new(self, room: Room, caller: Caller, replica: Replica) -> NewObject:
        return NewObject(
            room.path,
            room.parent,
            caller.user.name,
            caller.user.zone,
            room.acl_id,
            replica,
            self._context.lease_id,
        )

    def _made(self, tx: Transaction, new: NewObject, data_id: int | None) -> DataObject:
        if data_id is None:
            self._context.fence(tx)
            raise ObjectChanged
        return DataObject(
            data_id, new.parent.id, new.path, new.owner_name, new.owner_zone, new.acl_id,
            (replace(new.replica, data_id=data_id),),
        )  # fmt: skip


def new_replica(leaf: Resource, request: WriteRequest, now: str, status: ReplicaStatus) -> Replica:
    """The row of a replica that has no bytes yet."""
    return Replica(
        data_id=0, number=0, resource_id=leaf.id, physical_path="", staged_as="", size_bytes=0, status=status,
        checksum="", data_type=request.data_type or "generic", mode=request.mode, comments="",
        create_time=now, modify_time=now, access_time=now,
    )  # fmt: skip
