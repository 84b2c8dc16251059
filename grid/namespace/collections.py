"""Operations on collections other than moving and removing them."""

from grid import paths
from grid.catalog import collections as collection_rows
from grid.catalog import objects as object_rows
from grid.catalog.database import Transaction
from grid.codes import Status
from grid.errors import AlreadyExists, NotFound
from grid.model import Access, Caller, Collection, User
from grid.namespace.context import NamespaceContext
from grid.namespace.ports import Event


class Collections:
    """Making and changing collections."""

    def __init__(self, context: NamespaceContext) -> None:
        self._context = context

    def create(
        self,
        caller: Caller,
        text: str,
        *,
        parents: bool = False,
        admin: bool = False,
        owner: User | None = None,
        inherit: bool | None = None,
        kind: tuple[str, str, str] = ("", "", ""),
    ) -> Collection:
        """Make a collection.

        Args:
            caller: who asks.
            text: its path.
            parents: make missing collections above it too, and let one that is there be success.
            admin: use an administrator's privilege.
            owner: whose it will be; the caller's where it is None.
            inherit: whether what is made in it takes its rights; as its parent where it is None.
            kind: type and two texts of a special collection.

        Raises:
            AlreadyExists: a collection (-809000) or a data object (-834000) has the name.
            NotFound: the collection it would lie in is not there (-814000).
        """
        path = self._context.path(text).text
        with self._context.database.read() as tx:
            existing = collection_rows.by_path_or_none(tx, path)
            parent_path = paths.split(path)[0]
            parent_exists = collection_rows.by_path_or_none(tx, parent_path) is not None
        if existing is not None:
            if parents:
                return existing
            raise AlreadyExists(f"there is a collection `{paths.printable(path)}`")
        if not parent_exists and parents:
            self.create(caller, parent_path, parents=True, admin=admin)
        event = Event("collection", "create", caller, path, 0, {"collection": {"path": path}})
        with self._context.database.read() as tx:
            self._check(tx, caller, path, admin)
        self._context.policy.before(event)
        try:
            with self._context.database.write() as tx:
                parent = self._check(tx, caller, path, admin)
                made = self._insert(tx, caller, path, parent, owner or caller.user, inherit, kind)
                collection_rows.touch(tx, parent.id, tx.timestamp)
                event.subject_id = made.id
                self._context.happened(tx, event)
                return made
        except AlreadyExists:
            with self._context.database.read() as tx:
                made_by_other = collection_rows.by_path_or_none(tx, path)
            if parents and made_by_other is not None:
                return made_by_other
            raise

    def _check(self, tx: Transaction, caller: Caller, path: str, admin: bool) -> Collection:
        parent = self._context.collection(tx, paths.split(path)[0], lock=tx.database.is_sqlite)
        self._context.require(tx, parent.acl_id, caller, Access.WRITE, parent.path, admin)
        if collection_rows.by_path_or_none(tx, path) is not None:
            raise AlreadyExists(f"there is a collection `{paths.printable(path)}`")
        if object_rows.name_taken(tx, parent.id, paths.split(path)[1]):
            raise AlreadyExists(
                f"`{paths.printable(path)}` is a data object", status=Status.CAT_NAME_EXISTS_AS_DATAOBJ
            )
        return parent

    def _insert(
        self,
        tx: Transaction,
        caller: Caller,
        path: str,
        parent: Collection,
        owner: User,
        inherit: bool | None,
        kind: tuple[str, str, str],
    ) -> Collection:
        acl = {owner.id: int(Access.OWN)}
        if parent.inherit:
            acl = dict(self._context.acls.entries(tx, parent.acl_id)) | acl
        made = Collection(
            tx.new_id(), path, owner.name, owner.zone, self._context.acls.find_or_make(tx, acl),
            parent.inherit if inherit is None else inherit, *kind, tx.timestamp, tx.timestamp,
        )  # fmt: skip
        collection_rows.insert(tx, made)
        return made

    def set_modify_time(self, caller: Caller, text: str, timestamp: str) -> None:
        """Set a collection's modification time, as `itouch` does."""
        path = self._context.path(text).text
        event = Event("collection", "change", caller, path, 0, {"collection": {"path": path}})
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            found = self._context.collection(tx, path)
            self._context.require(tx, found.acl_id, caller, Access.MODIFY_METADATA, path, admin=False)
            event.subject_id = found.id
            collection_rows.set_modify_time(tx, found.id, timestamp)
            self._context.happened(tx, event, modify_time=timestamp)

    def change_type(self, caller: Caller, text: str, kind: str, info1: str, info2: str) -> None:
        """Set the type of a collection and its two texts."""
        path = self._context.path(text).text
        event = Event("collection", "change", caller, path, 0, {"collection": {"path": path}})
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            found = self._context.collection(tx, path)
            self._context.require(tx, found.acl_id, caller, Access.WRITE, path, admin=False)
            event.subject_id = found.id
            collection_rows.set_type(tx, found.id, kind, info1, info2)
            self._context.happened(tx, event)

    def find(self, text: str) -> Collection:
        """The collection at a path.

        Raises:
            NotFound: there is none.
        """
        path = self._context.path(text).text
        with self._context.database.read() as tx:
            found = collection_rows.by_path_or_none(tx, path)
        if found is None:
            raise NotFound(
                f"there is no collection `{paths.printable(path)}`", status=Status.CAT_UNKNOWN_COLLECTION
            )
        return found
