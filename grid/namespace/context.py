"""What every operation of the namespace works with, and the checks they share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from grid import paths
from grid.catalog import collections as collection_rows
from grid.catalog import journal, leases, promises
from grid.catalog import objects as object_rows
from grid.catalog.acls import AclStore
from grid.catalog.database import Database, Transaction
from grid.codes import Status
from grid.errors import AccessDenied, InvalidArgument, LeaseLost, NotFound, NotOnline, NotPrivileged
from grid.model import Access, Caller, Collection, DataObject, Replica, Resource
from grid.namespace.ports import Computing, Copies, Event, PasswordVault, PolicyHooks
from grid.namespace.storage import Storage, Tree
from resources import StoredFile


@dataclass(slots=True)
class NamespaceContext:
    """One zone as this process serves it; `work` is a folder of this machine for what is under way, `signs` whether the zone has keys of its own."""

    zone: str
    database: Database
    storage: Storage
    policy: PolicyHooks
    vault: PasswordVault
    bring: Callable[[Caller, str, bool], None] = field(init=False)
    copies: Copies = field(init=False)
    acls: AclStore = field(default_factory=AclStore)
    lease_id: int = 0
    computing: Computing | None = None
    block_trees: bool = False
    work: Path | None = None
    signs: bool = False

    def wants_tree(self, path: str) -> bool:
        """Whether a block tree is made of what is written at a path."""
        return self.block_trees or self.policy.wants_tree(path)

    def open_replica(
        self, caller: Caller, tree: Tree, replica: Replica, path: str, *, admin: bool = False
    ) -> StoredFile:
        """Open a replica's bytes; what is on tape only is asked for, and waited for where its resource says so.

        Raises:
            NotOnline: it is on tape; the message says when it is expected.
            ResourceUnavailable, StorageFailed: as the storage says.
        """
        try:
            return self.storage.open_for_reading(self.database, tree, replica, path)
        except NotOnline:
            self.bring(caller, path, admin)
            return self.storage.open_for_reading(self.database, tree, replica, path)

    def written(self, caller: Caller, path: str, resource: Resource) -> None:
        """An object has new content on a resource: copy it to where the tree it is in wants it too."""
        if resource.parent_id is not None and self.copies.complete(caller, path):
            with self.database.write(durable=False) as tx:
                promises.queue(tx, self.data_object(tx, path).id)  # the job workers try again

    def path(self, text: str) -> paths.LogicalPath:
        """Check a client's path and that it lies in this zone.

        Raises:
            InvalidPath: it is no logical path.
            InvalidArgument: it names another zone (-26000).
        """
        path = paths.parse(text)
        if path.zone_name != self.zone and path.text != "/":
            raise InvalidArgument(
                f"`{paths.printable(text)}` lies in zone `{path.zone_name}`; this is zone `{self.zone}`",
                status=Status.SYS_INVALID_ZONE_NAME,
            )
        return path

    def level(self, tx: Transaction, acl_id: int, caller: Caller) -> int:
        """The caller's access level by an access set."""
        return self.acls.level(tx, acl_id, caller.principals)

    def require(
        self, tx: Transaction, acl_id: int, caller: Caller, wanted: Access, what: str, admin: bool
    ) -> None:
        """Check the caller's rights.

        Args:
            tx: where the access set is read.
            acl_id: the access set of what is touched.
            caller: who asks.
            wanted: the least level.
            what: the path, for the message.
            admin: the request says that an administrator's privilege is to be used.

        Raises:
            AccessDenied: the level is lower.
            NotPrivileged: `admin` was said by somebody who is none.
        """
        if caller.rights_of_rules:
            if not caller.may_act_at(what):
                raise AccessDenied(f"the policy was not granted rights at `{paths.printable(what)}`")
            return
        if admin:
            if not caller.is_admin:
                raise NotPrivileged(f"`{caller.user.full_name}` is not an administrator")
            return
        if self.level(tx, acl_id, caller) < wanted:
            raise AccessDenied(
                f"`{caller.user.full_name}` needs `{wanted.name.lower()}` access to `{paths.printable(what)}`"
            )

    def collection(self, tx: Transaction, path: str, *, lock: bool = False) -> Collection:
        """The collection at a path.

        Raises:
            NotFound: there is none (-814000).
        """
        found = collection_rows.by_path_or_none(tx, path, lock=lock)
        if found is None:
            raise NotFound(
                f"there is no collection `{paths.printable(path)}`", status=Status.CAT_UNKNOWN_COLLECTION
            )
        return found

    def data_object(self, tx: Transaction, path: str) -> DataObject:
        """The data object at a path.

        Raises:
            NotFound: there is none (-358000).
        """
        found = object_rows.by_path_or_none(tx, path)
        if found is None:
            raise self.no_data_object(tx, path)
        return found

    def no_data_object(self, tx: Transaction, path: str) -> NotFound:
        """The error for a path at which no data object is (-358000)."""
        what = "a collection" if collection_rows.by_path_or_none(tx, path) else "not there"
        return NotFound(f"`{paths.printable(path)}` is {what}", status=Status.OBJ_PATH_DOES_NOT_EXIST)

    def load(self, path: str, caller: Caller, wanted: Access, admin: bool) -> tuple[DataObject, Tree]:
        """A data object that the caller has the rights on, with the resources of that moment."""
        with self.database.read() as tx:
            found = self.data_object(tx, path)
            self.require(tx, found.acl_id, caller, wanted, path, admin)
            return found, self.storage.tree(tx)

    def fence(self, tx: Transaction) -> None:
        """Check, before a commit, that this process still holds its lease.

        Raises:
            LeaseLost: it was silent for too long; others may have taken over.
        """
        if self.lease_id and not leases.is_held(tx, self.lease_id):
            raise LeaseLost("this server process lost its lease; open the data object again")

    def happened(self, tx: Transaction, event: Event, **details: object) -> None:
        """Record an event and let its `after` rules run, inside the operation's transaction.

        Raises:
            FactsChanged: the decision relied on something that is different now.
        """
        self.policy.confirm(tx, event)
        journal.record_event(
            tx, event.name, event.subject_id, event.path, event.caller.user.full_name, dict(details)
        )
        self.policy.after(tx, event)


def require_admin(caller: Caller) -> None:
    """Only administrators pass.

    Raises:
        NotPrivileged: the caller is none.
    """
    if not caller.is_admin and not caller.rights_of_rules:
        raise NotPrivileged(f"`{caller.user.full_name}` is not an administrator")
