"""Renaming, removing and the trash.

A removal without force is a rename into the caller's trash. Files follow the catalog: the transaction notes the
work on files, and whoever comes next does it, in order.

Source: `rsMvDataObjToTrash.cpp`, `rsDataObjRename.cpp`, iRODS 5.0.2.
"""

import itertools
import secrets
from collections.abc import Iterator
from dataclasses import replace

from grid import paths
from grid.catalog import collections as collection_rows
from grid.catalog import journal, leases, trash
from grid.catalog import objects as object_rows
from grid.catalog.database import Transaction
from grid.codes import Status
from grid.errors import (
    AlreadyExists,
    GridError,
    InvalidArgument,
    Locked,
    NotEmpty,
    NotFound,
)
from grid.model import Access, Caller, Collection, DataObject
from grid.namespace.context import NamespaceContext, require_admin
from grid.namespace.finisher import Finisher, undo_open
from grid.namespace.found import object_facts
from grid.namespace.ports import Event

BATCH = 1000


class Moves:
    """Rename, unlink and trash of data objects and collections."""

    def __init__(self, context: NamespaceContext, finisher: Finisher) -> None:
        self._context = context
        self._finisher = finisher

    # -- renaming --------------------------------------------------------------------------------------------

    def rename(self, caller: Caller, source: str, target: str, *, admin: bool = False) -> None:
        """Give a data object or a collection another path in the zone; atomic, whatever lies below.

        Raises:
            NotFound: the source (-836000) or the target's collection (-814000) is not there.
            AlreadyExists: the target is (-834000, -833000).
            InvalidArgument: the same path twice (-339000), or a collection into itself (-837000).
        """
        old, new = self._context.path(source).text, self._context.path(target).text
        if old == new:
            raise InvalidArgument(
                f"source and target are both `{paths.printable(old)}`", status=Status.SAME_SRC_DEST_PATHS_ERR
            )
        with self._context.database.read() as tx:
            data_object = object_rows.by_path_or_none(tx, old)
            collection = None if data_object else collection_rows.by_path_or_none(tx, old)
        if data_object is not None:
            self._rename_object(caller, data_object, new, admin=admin)
        elif collection is not None:
            self._rename_collection(caller, collection, new, admin=admin)
        else:
            raise NotFound(
                f"`{paths.printable(old)}` is neither a data object nor a collection",
                status=Status.CAT_NOT_A_DATAOBJ_AND_NOT_A_COLLECTION,
            )
        self._finisher.settle()

    def _free_target(self, tx: Transaction, caller: Caller, path: str, admin: bool) -> Collection:
        """The collection the target goes into, when the name is free and the caller may write there."""
        parent = self._context.collection(tx, paths.split(path)[0], lock=True)
        self._context.require(tx, parent.acl_id, caller, Access.WRITE, parent.path, admin)
        if object_rows.name_taken(tx, parent.id, paths.split(path)[1]):
            raise AlreadyExists(
                f"`{paths.printable(path)}` is a data object", status=Status.CAT_NAME_EXISTS_AS_DATAOBJ
            )
        if collection_rows.by_path_or_none(tx, path) is not None:
            raise AlreadyExists(
                f"`{paths.printable(path)}` is a collection", status=Status.CAT_NAME_EXISTS_AS_COLLECTION
            )
        return parent

    def _judge(
        self,
        noun: str,
        verb: str,
        caller: Caller,
        subject_id: int,
        old: str,
        new: str,
        facts: dict[str, object],
    ) -> None:
        """Ask the policy at the source and at the target."""
        for place in (old, new):
            event = Event(noun, verb, caller, place, subject_id, {noun: facts, "target": {"path": new}})
            self._context.policy.before(event)

    def _rename_object(
        self, caller: Caller, found: DataObject, new: str, *, admin: bool, verb: str = "rename"
    ) -> None:
        with self._context.database.read() as tx:
            wanted = Access.OWN if verb == "rename" else Access.DELETE
            self._context.require(tx, found.acl_id, caller, wanted, found.path, admin)
            facts = object_facts(found, self._context.storage.tree(tx))
        self._judge("object", verb, caller, found.id, found.path, new, facts)
        with self._context.database.write() as tx:
            current = self._settled(tx, found)
            parent = self._target_parent(tx, caller, new, admin=admin, verb=verb)
            object_rows.move(tx, found.id, parent.id, paths.split(new)[1])
            self._note_moved_files(tx, current, new)
            self._note_trash(tx, found.path, new, verb)
            collection_rows.touch(tx, found.collection_id, tx.timestamp)
            collection_rows.touch(tx, parent.id, tx.timestamp)
            event = Event("object", verb, caller, new, found.id, {"object": facts, "target": {"path": new}})
            self._context.happened(tx, event, source=found.path)

    def _target_parent(
        self, tx: Transaction, caller: Caller, new: str, *, admin: bool, verb: str
    ) -> Collection:
        if verb == "trash":
            return self._context.collection(tx, paths.split(new)[0], lock=True)
        return self._free_target(tx, caller, new, admin)

    def _settled(self, tx: Transaction, found: DataObject) -> DataObject:
        """The object as it is now, locked and with no live writer."""
        if not object_rows.lock(tx, found.id):
            raise NotFound(f"`{paths.printable(found.path)}` was removed meanwhile")
        entry = leases.open_of_object(tx, found.id)
        if entry is not None:
            if not leases.lease_is_void(tx, entry.lease_id):
                raise Locked(f"`{paths.printable(found.path)}` is open for writing")
            undo_open(tx, entry)
        current = object_rows.by_id_or_none(tx, found.id)
        if current is None or current.path != found.path:
            raise NotFound(f"`{paths.printable(found.path)}` was moved or removed meanwhile")
        return current

    def _note_moved_files(self, tx: Transaction, found: DataObject, new: str) -> None:
        for replica in found.replicas:
            if not replica.staged_as and not replica.physical_path:
                journal.add_vault_task(
                    tx, replica.resource_id, "move", self._in_vault(found.path), self._in_vault(new)
                )

    def _in_vault(self, path: str) -> str:
        return path[len(self._context.zone) + 1 :]

    def _rename_collection(
        self, caller: Caller, found: Collection, new: str, *, admin: bool, verb: str = "rename"
    ) -> None:
        if paths.is_below(new, found.path):
            raise InvalidArgument(
                f"`{paths.printable(found.path)}` cannot be moved into itself",
                status=Status.CAT_RECURSIVE_MOVE,
            )
        self._refuse_fixed(found.path)
        with self._context.database.read() as tx:
            wanted = Access.OWN if verb == "rename" else Access.DELETE
            self._context.require(tx, found.acl_id, caller, wanted, found.path, admin)
        facts: dict[str, object] = {"id": found.id, "path": found.path, "owner": found.owner_name}
        self._judge("collection", verb, caller, found.id, found.path, new, facts)
        self._judge_objects_below(caller, found.path, new, verb)
        with self._context.database.write() as tx:
            current = self._context.collection(tx, found.path, lock=True)
            if current.id != found.id:
                raise NotFound(f"`{paths.printable(found.path)}` was moved meanwhile")
            self._refuse_open_below(tx, found.path)
            parent = self._target_parent(tx, caller, new, admin=admin, verb=verb)
            collection_rows.move_subtree(tx, found.path, new, tx.timestamp)
            self._note_trash(tx, found.path, new, verb)
            for (resource_id,) in tx.all(
                "SELECT id FROM resources WHERE vault_path <> '' AND name <> 'bundleResc'"
            ):
                journal.add_vault_task(
                    tx, resource_id, "move", self._in_vault(found.path), self._in_vault(new)
                )
            collection_rows.touch(tx, parent.id, tx.timestamp)
            event = Event(
                "collection", verb, caller, new, found.id, {"collection": facts, "target": {"path": new}}
            )
            self._context.happened(tx, event, source=found.path)

    def _note_trash(self, tx: Transaction, old: str, new: str, verb: str) -> None:
        """Keep track of where things in the trash came from."""
        if verb == "trash":
            trash.note(tx, new, old)
        elif self.in_trash(old):
            trash.moved(tx, old, new, still_in_trash=self.in_trash(new))

    def _refuse_fixed(self, path: str) -> None:
        zone = self._context.zone
        if path in ("/", f"/{zone}", f"/{zone}/home", f"/{zone}/trash", f"/{zone}/trash/home"):
            raise InvalidArgument(
                f"`{path}` belongs to every zone and stays where it is", status=Status.CAT_INVALID_ARGUMENT
            )

    def _judge_objects_below(self, caller: Caller, old: str, new: str, verb: str) -> None:
        """Let rules that judge single objects see each of them, at both ends."""
        policy = self._context.policy
        if not (
            policy.concerns_objects_below("object", verb, old)
            or policy.concerns_objects_below("object", verb, new)
        ):
            return
        for found in itertools.chain.from_iterable(self._pages_below(old)):
            with self._context.database.read() as tx:
                facts = object_facts(found, self._context.storage.tree(tx))
            self._judge("object", verb, caller, found.id, found.path, new + found.path[len(old) :], facts)

    def _pages_below(self, path: str) -> Iterator[list[DataObject]]:
        """The objects in a tree, `BATCH` at a time; what comes before a page may be removed meanwhile."""
        after = ("", "")
        while True:
            with self._context.database.read() as tx:
                page = object_rows.below(tx, path, limit=BATCH, after=after)
                loaded = [object_rows.by_id_or_none(tx, data_id) for data_id, _ in page]
            yield [entry for entry in loaded if entry is not None]
            if len(page) < BATCH:
                return
            after = paths.split(page[-1][1])

    def _refuse_open_below(self, tx: Transaction, path: str) -> None:
        low, high = paths.subtree_bounds(path)
        rows = tx.all(
            "SELECT o.token, c.path, d.name FROM open_writes o JOIN data_objects d ON d.id = o.data_id"
            " JOIN collections c ON c.id = d.collection_id"
            " WHERE c.path = :path OR (c.path >= :low AND c.path < :high)",
            {"path": path, "low": low, "high": high},
        )
        for token, collection, name in rows:
            entry = leases.open_by_token(tx, token)
            if entry is None:
                continue
            if not leases.lease_is_void(tx, entry.lease_id):
                raise Locked(f"`{paths.join(collection, name)}` below it is open for writing")
            undo_open(tx, entry)

    # -- removing --------------------------------------------------------------------------------------------

    def _trash_root(self) -> str:
        return f"/{self._context.zone}/trash"

    def in_trash(self, path: str) -> bool:
        return paths.is_below(path, self._trash_root())

    def unlink(
        self, caller: Caller, text: str, *, force: bool = False, admin: bool = False, unregister: bool = False
    ) -> None:
        """Remove a data object: into the trash, or for good with `force` or from the trash.

        Args:
            caller: who asks.
            text: the path.
            force: past the trash.
            admin: use an administrator's privilege.
            unregister: forget the object and leave its files where they are.

        Raises:
            NotFound: there is no such data object (-808000).
        """
        path = self._context.path(text).text
        with self._context.database.read() as tx:
            found = object_rows.by_path_or_none(tx, path)
            if found is None:
                raise NotFound(f"there is no data object `{paths.printable(path)}`")
            self._context.require(tx, found.acl_id, caller, Access.DELETE, path, admin)
        if force or unregister or self.in_trash(path):
            self._delete(caller, found, unregister=unregister)
        else:
            self._to_trash(caller, found, admin=admin)
        self._finisher.settle()

    def _to_trash(self, caller: Caller, found: DataObject | Collection, *, admin: bool) -> None:
        """Move into the caller's trash; a name that is taken there gets a random number."""
        wanted = self._trash_path(caller, found.path)
        for attempt in range(16):
            target = wanted if attempt == 0 else f"{wanted}.{secrets.randbits(32)}"
            self._make_trash(caller, paths.split(target)[0])
            with self._context.database.read() as tx:
                taken = object_rows.by_path_or_none(tx, target) or collection_rows.by_path_or_none(tx, target)
            if taken is not None:
                continue
            try:
                if isinstance(found, DataObject):
                    self._rename_object(caller, found, target, admin=admin, verb="trash")
                else:
                    self._rename_collection(caller, found, target, admin=admin, verb="trash")
            except AlreadyExists:
                continue  # somebody else took the name just now
            return
        raise AlreadyExists(f"no free name for `{paths.printable(found.path)}` was found in the trash")

    def _trash_path(self, caller: Caller, path: str) -> str:
        zone = self._context.zone
        user = caller.user.name if caller.user.zone == zone else caller.user.full_name
        rest = path[len(zone) + 2 :].removeprefix("home/")
        return f"{self._trash_root()}/home/{user}/{rest.removeprefix(user + '/')}"

    def _make_trash(self, caller: Caller, path: str) -> None:
        """Make the collections of a trash path; they belong to the caller."""
        with self._context.database.read() as tx:
            if collection_rows.by_path_or_none(tx, path) is not None:
                return
        parent = paths.split(path)[0]
        self._make_trash(caller, parent)
        try:
            with self._context.database.write() as tx:
                acl_id = self._context.acls.find_or_make(tx, {caller.user.id: int(Access.OWN)})
                collection_rows.insert(
                    tx,
                    Collection(
                        tx.new_id(), path, caller.user.name, caller.user.zone, acl_id, False, "", "", "",
                        tx.timestamp, tx.timestamp,
                    ),
                )  # fmt: skip
        except AlreadyExists:
            pass  # another removal made it

    def _delete(self, caller: Caller, found: DataObject, *, unregister: bool) -> None:
        with self._context.database.read() as tx:
            facts = object_facts(found, self._context.storage.tree(tx))
        event = Event("object", "delete", caller, found.path, found.id, {"object": facts})
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            self._delete_judged(tx, found, event, unregister=unregister)

    def _delete_judged(self, tx: Transaction, found: DataObject, event: Event, *, unregister: bool) -> None:
        current = self._settled(tx, found)
        self.delete_in(tx, current, unregister=unregister)
        collection_rows.touch(tx, current.collection_id, tx.timestamp)
        self._context.happened(tx, event)

    def _delete_batch(
        self, caller: Caller, batch: list[DataObject], *, admin: bool, unregister: bool
    ) -> list[GridError]:
        """Remove objects in one transaction; says what was refused, and that stays as it was."""
        refused: list[GridError] = []
        judged: list[tuple[DataObject, Event]] = []
        for found in batch:
            try:
                with self._context.database.read() as tx:
                    self._context.require(tx, found.acl_id, caller, Access.DELETE, found.path, admin)
                    facts = object_facts(found, self._context.storage.tree(tx))
                event = Event("object", "delete", caller, found.path, found.id, {"object": facts})
                self._context.policy.before(event)
            except GridError as error:
                refused.append(error)
            else:
                judged.append((found, event))
        if not judged:
            return refused
        with self._context.database.write() as tx:
            for found, event in judged:
                try:
                    with tx.savepoint("one_of_a_batch"):
                        self._delete_judged(tx, found, event, unregister=unregister)
                except GridError as error:
                    refused.append(error)
        return refused

    def delete_in(self, tx: Transaction, found: DataObject, *, unregister: bool = False) -> None:
        """Remove an object's rows and note the removal of its files, inside a transaction."""
        for replica in found.replicas:
            if replica.staged_as:
                journal.add_vault_task(tx, replica.resource_id, "unlink_staged", replica.staged_as)
                journal.add_vault_task(tx, replica.resource_id, "unlink", self._in_vault(found.path))
            elif not replica.physical_path and not unregister:
                journal.add_vault_task(tx, replica.resource_id, "unlink", self._in_vault(found.path))
        object_rows.delete_object(tx, found.id)
        if self.in_trash(found.path):
            trash.forget(tx, found.path)

    def remove_collection(
        self,
        caller: Caller,
        text: str,
        *,
        recursive: bool,
        force: bool = False,
        admin: bool = False,
        unregister: bool = False,
        trash_only: bool = False,
    ) -> int:
        """Remove a collection; says how many data objects went with it.

        Without force, and outside the trash, a recursive removal is one atomic move. Otherwise objects go in
        batches; what is refused stays, and the error says how much went.

        Raises:
            NotFound: there is no such collection (-814000).
            NotEmpty: it holds something and `recursive` was not said.
        """
        path = self._context.path(text).text
        if admin:
            require_admin(caller)
        with self._context.database.read() as tx:
            found = self._context.collection(tx, path)
            parent = self._context.collection(tx, paths.split(path)[0])
            if not admin:
                self._context.require(tx, found.acl_id, caller, Access.DELETE, path, admin=False)
                if not self._is_trash_home(path):
                    self._context.require(tx, parent.acl_id, caller, Access.WRITE, parent.path, admin=False)
            holds = collection_rows.has_content(tx, found)
        if trash_only and not self.in_trash(path):
            raise InvalidArgument(
                f"`{paths.printable(path)}` is not in the trash", status=Status.SYS_INVALID_FILE_PATH
            )
        if not recursive and holds:
            raise NotEmpty(f"`{paths.printable(path)}` is not empty")
        if not self.in_trash(path):
            self._refuse_fixed(path)
        if recursive and not force and not unregister and not self.in_trash(path) and holds:
            self._to_trash(caller, found, admin=admin)
            self._finisher.settle()
            return 0
        if force and holds and self._is_home(path):
            raise NotEmpty(
                f"`{paths.printable(path)}` is a home and not empty",
                status=Status.CANT_RM_NON_EMPTY_HOME_COLL,
            )
        try:
            return self._delete_tree(caller, found, admin=admin, unregister=unregister)
        finally:
            self._finisher.settle()  # what went before a refusal is gone from the vaults too

    def _is_home(self, path: str) -> bool:
        home = f"/{self._context.zone}/home"
        return path == home or paths.split(path)[0] == home

    def _is_trash_home(self, path: str) -> bool:
        home = f"{self._trash_root()}/home"
        return path == home or paths.split(path)[0] == home

    def _delete_tree(self, caller: Caller, found: Collection, *, admin: bool, unregister: bool) -> int:
        removed = 0
        refused: list[GridError] = []
        for batch in self._pages_below(found.path):
            errors = self._delete_batch(caller, batch, admin=admin, unregister=unregister)
            removed += len(batch) - len(errors)
            refused += errors
        if refused:
            first = refused[0]
            first.notes.append(
                f"{removed} data objects were removed, {len(refused)} were not; the first refusal is above"
            )
            raise first
        with self._context.database.read() as tx:
            below = collection_rows.subtree(tx, found.path)
        for collection in reversed(below):
            if not self._is_trash_home(collection.path):
                self._delete_empty(caller, collection, admin=admin)
        return removed

    def _delete_empty(self, caller: Caller, collection: Collection, *, admin: bool) -> None:
        facts: dict[str, object] = {
            "id": collection.id,
            "path": collection.path,
            "owner": collection.owner_name,
        }
        event = Event("collection", "delete", caller, collection.path, collection.id, {"collection": facts})
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            self._context.require(tx, collection.acl_id, caller, Access.DELETE, collection.path, admin)
            current = self._context.collection(tx, collection.path, lock=True)
            if collection_rows.has_content(tx, current):
                raise NotEmpty(f"`{paths.printable(collection.path)}` is not empty")
            collection_rows.delete(tx, current.id)
            if self.in_trash(collection.path):
                trash.forget(tx, collection.path)
            for (resource_id,) in tx.all(
                "SELECT id FROM resources WHERE vault_path <> '' AND name <> 'bundleResc'"
            ):
                journal.add_vault_task(tx, resource_id, "remove_folder", self._in_vault(collection.path))
            parent = collection_rows.by_path_or_none(tx, paths.split(collection.path)[0])
            if parent is not None:
                collection_rows.touch(tx, parent.id, tx.timestamp)
            self._context.happened(tx, replace(event))
