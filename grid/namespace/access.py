"""Changing who may do what: access levels, inheritance, whole trees at once.

A recursive change maps each distinct access set below to its successor, one statement per set, in one
transaction: opening a data set of any size is atomic and takes as long as it has different sets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grid import paths
from grid.catalog import collections as collection_rows
from grid.catalog import objects as object_rows
from grid.catalog import users as user_rows
from grid.catalog.database import Transaction
from grid.codes import Status
from grid.errors import AccessDenied, InvalidArgument, NotFound, NotPrivileged
from grid.model import ACCESS_BY_NAME, Access, Caller, User
from grid.namespace.context import NamespaceContext, require_admin
from grid.namespace.ports import Event


@dataclass(frozen=True, slots=True)
class AccessChange:
    """One entry to set: `level` NULL removes it."""

    user_name: str
    user_zone: str
    level: str


class AccessRights:
    """Operations on access sets and inheritance."""

    def __init__(self, context: NamespaceContext) -> None:
        self._context = context

    def change(
        self, caller: Caller, text: str, change: AccessChange, *, recursive: bool = False, admin: bool = False
    ) -> None:
        """Set one user's level on an object or a collection, or a collection's inheritance.

        Raises:
            InvalidArgument: no such level or no such path (-816000).
            NotFound: no such user (-827000).
            AccessDenied: the caller is not the owner (-818000).
        """
        if admin:
            try:
                require_admin(caller)
            except NotPrivileged as error:
                raise AccessDenied(str(error)) from error
        if change.level in ("inherit", "noinherit"):
            self._set_inheritance(caller, text, change.level == "inherit", recursive=recursive, admin=admin)
            return
        self.change_all(caller, text, [change], recursive=recursive, admin=admin)

    def change_all(
        self,
        caller: Caller,
        text: str,
        changes: Sequence[AccessChange],
        *,
        recursive: bool = False,
        admin: bool = False,
    ) -> None:
        """Set several entries at once: all of them or none."""
        path = self._context.path(text).text
        levels = [_level(change.level) for change in changes]
        with self._context.database.read() as tx:
            users = [self._user(tx, change) for change in changes]
            subject_id, acl_id, is_collection = self._subject(tx, path)
            self._context.require(tx, acl_id, caller, Access.OWN, path, admin)
        for change, level in zip(changes, levels, strict=True):
            verb = "revoke" if level is Access.NULL else "grant"
            grant = {"subject": change.user_name, "level": level.name.lower()}
            facts: dict[str, dict[str, Any]] = {
                "grant": grant,
                "collection" if is_collection else "object": {"id": subject_id, "path": path},
            }
            event = Event("access", verb, caller, path, subject_id, facts)
            self._context.policy.before(event)
        with self._context.database.write() as tx:
            subject_id, acl_id, is_collection = self._subject(tx, path)
            self._context.require(tx, acl_id, caller, Access.OWN, path, admin)
            wanted = {
                user.id: (None if level is Access.NULL else int(level))
                for user, level in zip(users, levels, strict=True)
            }
            if recursive and is_collection:
                self._change_tree(tx, path, wanted)
            else:
                self._change_one(tx, subject_id, acl_id, is_collection, wanted)
            for change, level in zip(changes, levels, strict=True):
                verb = "revoke" if level is Access.NULL else "grant"
                grant = {"subject": change.user_name, "level": level.name.lower()}
                event = Event("access", verb, caller, path, subject_id, {"grant": grant})
                self._context.happened(
                    tx, event, subject=change.user_name, level=change.level, recursive=recursive
                )

    def _user(self, tx: Transaction, change: AccessChange) -> User:
        zone = change.user_zone or self._context.zone
        found = user_rows.by_name_or_none(tx, change.user_name, zone)
        if found is None:
            raise NotFound(f"there is no user `{change.user_name}#{zone}`", status=Status.CAT_INVALID_USER)
        return found

    def _subject(self, tx: Transaction, path: str) -> tuple[int, int, bool]:
        data_object = object_rows.by_path_or_none(tx, path)
        if data_object is not None:
            return data_object.id, data_object.acl_id, False
        collection = collection_rows.by_path_or_none(tx, path)
        if collection is None:
            raise InvalidArgument(f"there is nothing at `{paths.printable(path)}`")
        return collection.id, collection.acl_id, True

    def _successor(self, tx: Transaction, acl_id: int, wanted: dict[int, int | None]) -> int:
        entries = dict(self._context.acls.entries(tx, acl_id))
        for user_id, level in wanted.items():
            if level is None:
                entries.pop(user_id, None)
            else:
                entries[user_id] = level
        return self._context.acls.find_or_make(tx, entries)

    def _change_one(
        self,
        tx: Transaction,
        subject_id: int,
        acl_id: int,
        is_collection: bool,
        wanted: dict[int, int | None],
    ) -> None:
        successor = self._successor(tx, acl_id, wanted)
        if is_collection:
            collection_rows.set_acl(tx, subject_id, successor)
        else:
            object_rows.set_acl(tx, subject_id, successor)

    def _change_tree(self, tx: Transaction, path: str, wanted: dict[int, int | None]) -> None:
        low, high = paths.subtree_bounds(path)
        bounds = {"path": path, "low": low, "high": high}
        inside = "(path = :path OR (path >= :low AND path < :high))"
        of_objects = f"collection_id IN (SELECT id FROM collections WHERE {inside})"
        sets = tx.all(
            f"SELECT acl_id FROM collections WHERE {inside} UNION SELECT acl_id FROM data_objects WHERE {of_objects}",
            bounds,
        )
        # all successors first, so that no set that a mapping produced is mapped again
        successors = {acl_id: self._successor(tx, acl_id, wanted) for (acl_id,) in sets}
        case = " ".join(f"WHEN {int(old)} THEN {int(new)}" for old, new in successors.items() if old != new)
        if not case:
            return
        changed = ", ".join(str(int(old)) for old, new in successors.items() if old != new)
        for table, where in (("collections", inside), ("data_objects", of_objects)):
            tx.run(
                f"UPDATE {table} SET acl_id = CASE acl_id {case} END WHERE acl_id IN ({changed}) AND {where}",
                bounds,
            )

    def freeze(self, caller: Caller, text: str) -> None:
        """Lower every right above reading in a tree to reading; what was before is kept for `thaw`.

        Freezing what is frozen changes nothing.
        """
        self._freeze_or_thaw(caller, text, freeze=True)

    def thaw(self, caller: Caller, text: str) -> None:
        """Give back the rights that `freeze` took; later changes of rights in the tree are undone with it."""
        self._freeze_or_thaw(caller, text, freeze=False)

    def _freeze_or_thaw(self, caller: Caller, text: str, *, freeze: bool) -> None:
        path = self._context.path(text).text
        with self._context.database.read() as tx:
            subject_id, acl_id, is_collection = self._subject(tx, path)
            if not is_collection:
                raise InvalidArgument(f"`{paths.printable(path)}` is no collection")
            # who owned it before the freeze may end it
            before = tx.value(
                "SELECT acl_id FROM frozen WHERE root_id = :id AND entity_id = :id", {"id": subject_id}
            )
            self._context.require(tx, before or acl_id, caller, Access.OWN, path, admin=False)
        grant = {"subject": "", "level": "freeze" if freeze else "thaw"}
        event = Event("access", "revoke" if freeze else "grant", caller, path, subject_id, {"grant": grant})
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            if tx.one("SELECT 1 FROM frozen WHERE root_id = :id LIMIT 1", {"id": subject_id}) is None:
                if not freeze:
                    return
                self._freeze(tx, path, subject_id)
            elif freeze:
                return
            else:
                _thaw(tx, subject_id)
            self._context.happened(tx, event, frozen=freeze)

    def _freeze(self, tx: Transaction, path: str, root_id: int) -> None:
        low, high = paths.subtree_bounds(path)
        bounds = {"path": path, "low": low, "high": high, "root": root_id}
        inside = "(path = :path OR (path >= :low AND path < :high))"
        tx.run(
            "INSERT INTO frozen (root_id, entity_id, is_collection, acl_id)"
            f" SELECT :root, id, 1, acl_id FROM collections WHERE {inside} UNION ALL SELECT :root, id, 0, acl_id"
            f" FROM data_objects WHERE collection_id IN (SELECT id FROM collections WHERE {inside})",
            bounds,
        )
        for (acl_id,) in tx.all("SELECT DISTINCT acl_id FROM frozen WHERE root_id = :root", bounds):
            entries = self._context.acls.entries(tx, acl_id)
            lowered = {user: min(level, int(Access.READ)) for user, level in entries.items()}
            successor = self._context.acls.find_or_make(tx, lowered)
            for table in ("collections", "data_objects"):
                tx.run(
                    f"UPDATE {table} SET acl_id = :new WHERE id IN"
                    " (SELECT entity_id FROM frozen WHERE root_id = :root AND acl_id = :old)",
                    {"new": successor, "root": root_id, "old": acl_id},
                )

    def _set_inheritance(
        self, caller: Caller, text: str, inherit: bool, *, recursive: bool, admin: bool
    ) -> None:
        path = self._context.path(text).text
        with self._context.database.read() as tx:
            subject_id, acl_id, is_collection = self._subject(tx, path)
            if not is_collection:
                raise InvalidArgument(
                    f"`{paths.printable(path)}` is no collection; only these hand rights on"
                )
            self._context.require(tx, acl_id, caller, Access.OWN, path, admin)
        grant = {"subject": "", "level": "inherit" if inherit else "noinherit"}
        event = Event("access", "inherit", caller, path, subject_id, {"grant": grant})
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            collection_rows.set_inherit(tx, subject_id, inherit)
            if recursive:
                low, high = paths.subtree_bounds(path)
                tx.run(
                    "UPDATE collections SET inherit = :i WHERE path >= :low AND path < :high",
                    {"i": int(inherit), "low": low, "high": high},
                )
            self._context.happened(tx, event, inherit=inherit, recursive=recursive)


def _thaw(tx: Transaction, root_id: int) -> None:
    for table in ("collections", "data_objects"):
        tx.run(
            f"UPDATE {table} SET acl_id = (SELECT f.acl_id FROM frozen f WHERE f.root_id = :root"
            f" AND f.entity_id = {table}.id) WHERE id IN (SELECT entity_id FROM frozen WHERE root_id = :root)",
            {"root": root_id},
        )
    tx.run("DELETE FROM frozen WHERE root_id = :root", {"root": root_id})


def _level(name: str) -> Access:
    """The level of a name that a client sent.

    Raises:
        InvalidArgument: nobody knows it (-816000).
    """
    level = ACCESS_BY_NAME.get(name)
    if level is None:
        raise InvalidArgument(f"access level `{paths.printable(name)}` is invalid")
    return level
