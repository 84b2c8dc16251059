"""Operations on resources, zones, tokens and specific queries: what administrators change."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from grid.catalog import avus, promises, space
from grid.catalog import collections as collection_rows
from grid.catalog import objects as object_rows
from grid.catalog import resources as resource_rows
from grid.catalog import users as user_rows
from grid.catalog.database import Transaction
from grid.codes import Status
from grid.errors import AlreadyExists, InvalidArgument, NotEmpty, NotFound
from grid.model import COORDINATING_TYPES, STORAGE_TYPES, VAULT_TYPES, Access, Caller, Resource
from grid.namespace.context import NamespaceContext, require_admin
from grid.namespace.ports import Event
from resources.coordination import PLACES


class Vaults(Protocol):
    """Makes the vault of a new storage resource, and unmarks that of a removed one."""

    def check(self, resource: Resource) -> None:
        """Refuse a context string that says nonsense.

        Raises:
            InvalidArgument: with what was found and what was expected.
        """

    def make(self, resource: Resource) -> None: ...

    def retire(self, resource: Resource) -> None: ...


NO_HOST, NO_PATH = "EMPTY_RESC_HOST", "EMPTY_RESC_PATH"

_RESOURCE_OPTIONS = {
    "comment": "comment",
    "context": "context",
    "host": "host",
    "info": "info",
    "name": "name",
    "path": "vault_path",
    "status": "status",
    "type": "type",
    "freespace": "free_space",
    "free_space": "free_space",
    "medium": "medium",
    "site": "site",
}


class Administration:
    """What `iadmin` changes beside users and groups."""

    def __init__(self, context: NamespaceContext, vaults: Vaults) -> None:
        self._context = context
        self._vaults = vaults

    def _announce(self, caller: Caller, verb: str, resource_id: int, name: str, kind: str = "") -> Event:
        require_admin(caller)
        facts = {"resource": {"name": name, "type": kind, "op": verb}}
        event = Event("resource", "change", caller, "", resource_id, facts)
        self._context.policy.before(event)
        return event

    # -- resources -------------------------------------------------------------------------------------------

    def add_resource(
        self, caller: Caller, name: str, kind: str, location: str, context: str = ""
    ) -> Resource:
        """Add a resource; a storage resource gets its vault made.

        Args:
            caller: who asks.
            name: 1 to 63 bytes without `;`.
            kind: a resource type.
            location: `host:vault path` of a storage resource; empty for the others.
            context: the context string.

        Raises:
            AlreadyExists: the name is taken.
            InvalidArgument: a type nobody knows (-810000), or a name or a vault path that is none.
        """
        event = self._announce(caller, "create", 0, name, kind)
        if not name or ";" in name or len(name.encode()) > 63 or name != name.strip():
            raise InvalidArgument(
                f"`{name}` cannot be the name of a resource", status=Status.CAT_INVALID_RESOURCE_NAME
            )
        if kind not in STORAGE_TYPES | COORDINATING_TYPES:
            raise InvalidArgument(
                f"`{kind}` is no resource type; known are {', '.join(sorted(STORAGE_TYPES | COORDINATING_TYPES))}",
                status=Status.CAT_INVALID_RESOURCE_TYPE,
            )
        host, _, vault = location.partition(":")
        if kind in COORDINATING_TYPES:
            host, vault = host or NO_HOST, vault or NO_PATH
        elif kind in VAULT_TYPES | {"xrootd"} and not vault.startswith("/"):
            raise InvalidArgument(
                f"`{location}` is not `host:/vault/path`", status=Status.CAT_INVALID_RESOURCE_VAULT_PATH
            )
        with self._context.database.write() as tx:
            if resource_rows.by_name_or_none(tx, name) is not None:
                raise AlreadyExists(f"there is a resource `{name}`")
            medium = kind if kind in ("tape", "buffer", "memory") else ""
            made = Resource(
                tx.new_id(), name, kind, host, vault.rstrip("/"), "", context, None, "", "", medium
            )
            self._vaults.check(made)
            resource_rows.insert(tx, made, self._context.zone)
            self._vaults.make(made)
            if kind == "buffer":
                space.open_account(tx, made.id)
            event.subject_id = made.id
            self._context.happened(tx, event, type=kind, vault=vault)
        return made

    def _resource(self, tx: Transaction, name: str) -> Resource:
        found = resource_rows.by_name_or_none(tx, name)
        if found is None:
            raise NotFound(f"there is no resource `{name}`", status=Status.CAT_INVALID_RESOURCE)
        return found

    def remove_resource(self, caller: Caller, name: str, *, dry_run: bool = False) -> None:
        """Remove a resource that nothing lies on and nothing hangs from.

        Raises:
            NotEmpty: replicas are on it (-835000).
            InvalidArgument: it has children (-1802000) or a parent (-1812000).
        """
        event = self._announce(caller, "delete", 0, name)
        with self._context.database.write() as tx:
            found = self._resource(tx, name)
            if found.name == "bundleResc":
                raise InvalidArgument(
                    "bundleResc belongs to every zone", status=Status.CAT_PSEUDO_RESC_MODIFY_DISALLOWED
                )
            if resource_rows.holds_replicas(tx, found.id):
                raise NotEmpty(f"replicas lie on `{name}`", status=Status.CAT_RESOURCE_NOT_EMPTY)
            if any(r.parent_id == found.id for r in resource_rows.all_by_id(tx).values()):
                raise InvalidArgument(f"`{name}` has children", status=Status.CHILD_EXISTS)
            if found.parent_id is not None:
                raise InvalidArgument(
                    f"`{name}` is a child; take it out first", status=Status.CHILD_HAS_PARENT
                )
            if dry_run:
                return
            tx.run("DELETE FROM vault_tasks WHERE resource_id = :id", {"id": found.id})
            resource_rows.delete(tx, found.id)
            event.subject_id = found.id
            self._context.happened(tx, event)
        self._vaults.retire(found)

    def modify_resource(self, caller: Caller, name: str, option: str, value: str) -> None:
        """Change a resource.

        Raises:
            InvalidArgument: no such option.
        """
        if option == "rebalance":
            self._rebalance(caller, name)
            return
        event = self._announce(caller, "change", 0, name)
        column = _RESOURCE_OPTIONS.get(option)
        if column is None:
            raise InvalidArgument(
                f"`{option}` of a resource cannot be changed; {', '.join(sorted(_RESOURCE_OPTIONS))} can"
            )
        with self._context.database.write() as tx:
            found = self._resource(tx, name)
            if column == "context":
                self._vaults.check(replace(found, context=value))
            changes: dict[str, object] = {column: value}
            if column == "free_space":
                changes["free_space_time"] = tx.timestamp
            resource_rows.update(tx, found.id, changes)
            event.subject_id = found.id
            self._context.happened(tx, event, option=option, value=value)

    def _rebalance(self, caller: Caller, name: str) -> None:
        """Have everything below a resource looked at for copies that its tree wants; done by the job workers."""
        event = self._announce(caller, "rebalance", 0, name)
        with self._context.database.write() as tx:
            found = self._resource(tx, name)
            known = resource_rows.all_by_id(tx)
            leaves = [
                r.id for r in known.values() if found.name in resource_rows.hierarchy(known, r.id).split(";")
            ]
            for leaf in leaves:
                promises.queue_resource(tx, leaf)
            event.subject_id = found.id
            self._context.happened(tx, event)

    def add_child(self, caller: Caller, parent_name: str, child_name: str, context: str = "") -> None:
        """Put a resource below a coordinating one.

        Raises:
            InvalidArgument: it has a parent already (-1812000), or that would make a circle.
        """
        event = self._announce(caller, "change", 0, parent_name)
        with self._context.database.write() as tx:
            parent, child = self._resource(tx, parent_name), self._resource(tx, child_name)
            if child.parent_id is not None:
                raise InvalidArgument(f"`{child_name}` has a parent already", status=Status.CHILD_HAS_PARENT)
            if parent.type == "compound" and context.strip().lower() not in PLACES:
                raise InvalidArgument(
                    f"found the context `{context}` for a child of the compound resource `{parent_name}`; `cache` or"
                    " `archive` was expected"
                )
            if parent.type in STORAGE_TYPES:
                raise InvalidArgument(f"`{parent_name}` holds files and takes no children")
            known = resource_rows.all_by_id(tx)
            current: int | None = parent.id
            while current is not None:
                if current == child.id:
                    raise InvalidArgument(f"`{parent_name}` lies below `{child_name}`")
                current = known[current].parent_id
            resource_rows.update(tx, child.id, {"parent_id": parent.id, "parent_context": context})
            event.subject_id = parent.id
            self._context.happened(tx, event, child=child_name)

    def remove_child(self, caller: Caller, parent_name: str, child_name: str) -> None:
        """Take a resource out from below another.

        Raises:
            InvalidArgument: it is not below it (-857000).
        """
        event = self._announce(caller, "change", 0, parent_name)
        with self._context.database.write() as tx:
            parent, child = self._resource(tx, parent_name), self._resource(tx, child_name)
            if child.parent_id != parent.id:
                raise InvalidArgument(
                    f"`{child_name}` is no child of `{parent_name}`", status=Status.CAT_INVALID_CHILD
                )
            resource_rows.update(tx, child.id, {"parent_id": None, "parent_context": ""})
            event.subject_id = parent.id
            self._context.happened(tx, event, child=child_name)

    @contextmanager
    def _changing(self, caller: Caller, noun: str, verb: str, name: str) -> Iterator[Transaction]:
        """A transaction for an administrator's change that is judged before and recorded with it."""
        require_admin(caller)
        event = Event(noun, "change", caller, "", 0, {noun: {"name": name, "op": verb}})
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            yield tx
            self._context.happened(tx, event, name=name, op=verb)

    # -- zones, tokens, queries, quotas -----------------------------------------------------------------------

    def add_zone(self, caller: Caller, name: str, kind: str, connection: str, comment: str) -> None:
        """Make another zone known, so that its users can be."""
        if kind != "remote":
            raise InvalidArgument("only remote zones can be added", status=Status.CAT_INVALID_ARGUMENT)
        with self._changing(caller, "zone", "create", name) as tx:
            if tx.one("SELECT 1 FROM zones WHERE name = :n", {"n": name}) is not None:
                raise AlreadyExists(f"zone `{name}` is known")
            tx.run(
                "INSERT INTO zones (id, name, type, connection, comment, create_time, modify_time)"
                " VALUES (:id, :n, 'remote', :c, :m, :now, :now)",
                {"id": tx.new_id(), "n": name, "c": connection, "m": comment, "now": tx.timestamp},
            )

    def modify_zone(self, caller: Caller, name: str, option: str, value: str) -> None:
        """Change what is noted of another zone."""
        column = {"name": "name", "conn": "connection", "comment": "comment"}.get(option)
        if column is None:
            raise InvalidArgument(f"`{option}` of a zone cannot be changed; name, conn, comment can")
        with self._changing(caller, "zone", "change", name) as tx:
            if not tx.run(
                f"UPDATE zones SET {column} = :v, modify_time = :now WHERE name = :n"
                " AND (type = 'remote' OR :column <> 'name')",
                {"v": value, "now": tx.timestamp, "n": name, "column": column},
            ):
                raise NotFound(f"there is no such zone `{name}`", status=Status.CAT_INVALID_ZONE)

    def remove_zone(self, caller: Caller, name: str) -> None:
        """Forget another zone."""
        with self._changing(caller, "zone", "delete", name) as tx:
            if name == self._context.zone:
                raise InvalidArgument("the zone itself cannot be removed", status=Status.CAT_INVALID_ARGUMENT)
            if not tx.run("DELETE FROM zones WHERE name = :n", {"n": name}):
                raise NotFound(f"there is no zone `{name}`", status=Status.CAT_INVALID_ZONE)

    def add_specific_query(self, caller: Caller, sql: str, alias: str) -> None:
        """Register a query text under an alias.

        Raises:
            InvalidArgument: the alias is taken, or the text is no SELECT.
        """
        if not sql.lstrip().lower().startswith("select"):
            raise InvalidArgument("a specific query begins with `select`")
        with self._changing(caller, "zone", "add query", alias) as tx:
            if tx.one("SELECT 1 FROM specific_queries WHERE alias = :a", {"a": alias}) is not None:
                error = InvalidArgument("Alias is not unique")
                raise error
            tx.run(
                "INSERT INTO specific_queries (alias, sql, create_time) VALUES (:a, :s, :now)",
                {"a": alias, "s": sql, "now": tx.timestamp},
            )

    def remove_specific_query(self, caller: Caller, alias: str) -> None:
        """Forget a registered query, by alias or text.

        Raises:
            NotFound: there is none (-819000).
        """
        with self._changing(caller, "zone", "remove query", alias) as tx:
            if not tx.run("DELETE FROM specific_queries WHERE alias = :a OR sql = :a", {"a": alias}):
                raise NotFound(
                    f"no query `{alias}` is registered", status=Status.CAT_SUCCESS_BUT_WITH_NO_INFO
                )

    def remove_unused_avus(self, caller: Caller) -> None:
        """Remove the AVUs that describe nothing."""
        with self._changing(caller, "zone", "remove unused metadata", "unused") as tx:
            avus.delete_unused(tx)

    def set_quota(self, caller: Caller, kind: str, name: str, resource: str, amount: str) -> None:
        """Limit what a group may store; 0 removes the limit.

        Raises:
            InvalidArgument: a user quota (-169000), or an amount that is no number.
        """
        if kind != "group":
            raise InvalidArgument("quotas are for groups", status=Status.SYS_NOT_ALLOWED)
        if not amount.lstrip("-").isdigit():
            raise InvalidArgument(f"`{amount}` is no number of bytes", status=Status.SYS_INVALID_INPUT_PARAM)
        with self._changing(caller, "quota", "change", name) as tx:
            group = user_rows.by_name_or_none(tx, name, self._context.zone)
            if group is None:
                raise NotFound(f"there is no group `{name}`", status=Status.CAT_INVALID_GROUP)
            resource_id = 0 if resource == "total" else self._resource(tx, resource).id
            key = {"u": group.id, "r": resource_id}
            tx.run("DELETE FROM quotas WHERE user_id = :u AND resource_id = :r", key)
            if int(amount):
                tx.run(
                    "INSERT INTO quotas (user_id, resource_id, limit_bytes, over_bytes, modify_time)"
                    " VALUES (:u, :r, :l, :o, :now)",
                    {**key, "l": int(amount), "o": -int(amount), "now": tx.timestamp},
                )

    def calculate_usage(self, caller: Caller) -> None:
        """Bring every quota's overrun up to date: what the group's members own, less the limit."""
        with self._changing(caller, "quota", "count", "all") as tx:
            tx.run(
                "UPDATE quotas SET modify_time = :now, over_bytes = (SELECT COALESCE(SUM(r.size_bytes), 0)"
                " FROM group_members g JOIN users u ON u.id = g.user_id"
                " JOIN data_objects d ON d.owner_name = u.name AND d.owner_zone = u.zone"
                " JOIN replicas r ON r.data_id = d.id"
                " WHERE g.group_id = quotas.user_id AND (quotas.resource_id = 0 OR r.resource_id = quotas.resource_id)"
                ") - limit_bytes",
                {"now": tx.timestamp},
            )

    def change_owner(self, caller: Caller, path_text: str, user_name: str) -> None:
        """Give a data object or a collection another owner, who gets full access."""
        path = self._context.path(path_text).text
        event = Event("access", "own", caller, path, 0, {"grant": {"subject": user_name, "level": "own"}})
        if not caller.rights_of_rules:
            require_admin(caller)
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            self.change_owner_in(tx, path, user_name)
            self._context.happened(tx, event, owner=user_name)

    def change_owner_in(self, tx: Transaction, path: str, user_name: str) -> None:
        """As `change_owner`, inside a transaction."""
        user = user_rows.by_name_or_none(tx, user_name.partition("#")[0], self._context.zone)
        if user is None:
            raise NotFound(f"there is no user `{user_name}`", status=Status.CAT_INVALID_USER)
        found = object_rows.by_path_or_none(tx, path)
        collection = None if found else collection_rows.by_path_or_none(tx, path)
        if found is not None:
            object_rows.set_owner(tx, found.id, user.name, user.zone)
            acl = self._context.acls.changed(tx, found.acl_id, user.id, int(Access.OWN))
            object_rows.set_acl(tx, found.id, acl)
        elif collection is not None:
            collection_rows.set_owner(tx, collection.id, user.name, user.zone)
            acl = self._context.acls.changed(tx, collection.acl_id, user.id, int(Access.OWN))
            collection_rows.set_acl(tx, collection.id, acl)
