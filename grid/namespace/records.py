"""The records of replicas: register files that lie elsewhere, change system metadata. No bytes are moved."""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from grid import paths
from grid.catalog import objects as object_rows
from grid.catalog import users as user_rows
from grid.codes import Status
from grid.errors import (
    AlreadyExists,
    ChecksumMismatch,
    InvalidArgument,
    Locked,
    NoGoodReplica,
    NotFound,
    NotPrivileged,
)
from grid.model import STORAGE_TYPES, Access, Caller, DataObject, Replica, ReplicaStatus
from grid.namespace.context import NamespaceContext
from grid.namespace.creation import NewObjects
from grid.namespace.digests import of_file, scheme_of
from grid.namespace.found import object_facts
from grid.namespace.ports import Event
from grid.namespace.storage import Tree, storage_errors
from resources.disk import RegisteredFiles
from resources.protocol import RESERVED


class ReplicaRecords:
    """Operations that change what the catalog says of replicas."""

    def __init__(self, context: NamespaceContext) -> None:
        self._context = context
        self._new = NewObjects(context)

    def register(
        self,
        caller: Caller,
        text: str,
        physical_path: str,
        *,
        resource_name: str = "",
        as_replica: bool = False,
        force: bool = False,
        checksum: str = "",
        compute_checksum: bool = False,
        data_type: str = "generic",
    ) -> DataObject:
        """Make a data object, or one more replica, of a file that lies outside the vaults. Nothing is copied.

        Raises:
            NotPrivileged: only administrators may.
            StorageFailed: the server cannot read the file.
            InvalidArgument: the file lies in a vault (-128000).
        """
        if not caller.is_admin and not caller.rights_of_rules:
            raise NotPrivileged("registering files is for administrators", status=Status.SYS_NO_API_PRIV)
        path = self._context.path(text).text
        if not os.path.isabs(physical_path):
            raise InvalidArgument(f"`{physical_path}` is not absolute", status=Status.USER_INPUT_PATH_ERR)
        with storage_errors():
            facts = RegisteredFiles.stat(physical_path)
        with self._context.database.read() as tx:
            tree = self._context.storage.tree(tx)
            resource = tree.named(resource_name or self._context.storage.default_resource)
            found = object_rows.by_path_or_none(tx, path)
        leaf = tree.leaf_for_writing(resource, 0)
        self._refuse_vault_file(tree, physical_path)
        if checksum or compute_checksum:
            with storage_errors():
                file = RegisteredFiles.open(physical_path)
                computed = of_file(file, scheme_of(checksum) if checksum else "sha2")
                file.close()
            if checksum and computed != checksum:
                raise ChecksumMismatch(f"`{physical_path}` has checksum `{computed}`, not `{checksum}`")
            checksum = computed
        if found is not None and not as_replica:
            raise AlreadyExists(f"`{paths.printable(path)}` is registered already")
        event = Event(
            "object", "register", caller, path, found.id if found else 0,
            {"object": {"path": path, "size": facts.size_bytes, "physical_path": physical_path}},
        )  # fmt: skip
        room = self._new.room(caller, path, admin=False) if found is None else None
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            replica = Replica(
                0, 0, leaf.id, physical_path, "", facts.size_bytes, ReplicaStatus.GOOD, checksum, data_type, "", "",
                tx.timestamp, f"{int(facts.modified_at):011d}", tx.timestamp,
            )  # fmt: skip
            if room is not None:
                self._context.policy.confirm(tx, event)
                return self._new.add(tx, room, event, replica, {"physical_path": physical_path})
            assert found is not None, "an object that is not there was given room"
            replica = replace(replica, data_id=found.id, number=max(r.number for r in found.replicas) + 1)
            object_rows.insert_replica(tx, replica)
            self._context.happened(tx, event, physical_path=physical_path)
        return found

    def _refuse_vault_file(self, tree: Tree, physical_path: str) -> None:
        """What the server itself keeps beside the files of a vault is nobody's data."""
        real = os.path.realpath(physical_path)
        for resource in tree.by_id.values():
            vault = resource.vault_path
            if vault.startswith("/") and real.startswith(f"{os.path.realpath(vault)}/{RESERVED}/"):
                raise InvalidArgument(
                    f"`{physical_path}` belongs to the server's own files in the vault of `{resource.name}`",
                    status=Status.CANT_REG_IN_VAULT_FILE,
                )

    def modify(
        self,
        caller: Caller,
        text: str,
        changes: Mapping[str, str],
        *,
        replica_number: int | None,
        all_replicas: bool = False,
        resource_name: str = "",
    ) -> None:
        """Change columns of replicas, as `iadmin modrepl` and `isysmeta` do.

        Raises:
            NotPrivileged: a column that only administrators may change.
            InvalidArgument: a column that is none.
        """
        path = self._context.path(text).text
        columns: dict[str, Any] = {}
        owner: dict[str, str] = {}
        for name, value in changes.items():
            if name in ("dataOwner", "dataOwnerZone"):
                owner[name] = value
                continue
            column = _COLUMN_OF.get(name)
            if column is None:
                raise InvalidArgument(f"`{name}` is no system metadata of replicas")
            columns[column] = _column_value(column, value)
        if not caller.is_admin and (owner or set(columns) - {"comments", "expiry_time", "data_type"}):
            raise NotPrivileged(
                "only administrators may change this", status=Status.CAT_INSUFFICIENT_PRIVILEGE_LEVEL
            )
        found, tree = self._context.load(path, caller, Access.MODIFY_METADATA, caller.is_admin)
        number = -1 if all_replicas else replica_number
        if number is None and resource_name:
            number = self._context.storage.pick_for_reading(tree, found, resource_name=resource_name).number
        if number is None:
            number = found.replicas[0].number
        event = Event("object", "change", caller, path, found.id, {"object": object_facts(found, tree)})
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            if "resource_id" in columns and columns["resource_id"] not in tree.by_id:
                raise NotFound("there is no such resource", status=Status.SYS_RESC_DOES_NOT_EXIST)
            if columns and not object_rows.update_replica(tx, found.id, number, **columns):
                raise NoGoodReplica(
                    f"`{path}` has no replica {number}", status=Status.SYS_REPLICA_DOES_NOT_EXIST
                )
            if owner:
                user = user_rows.by_name_or_none(
                    tx, owner.get("dataOwner", found.owner_name), owner.get("dataOwnerZone", found.owner_zone)
                )
                if user is None:
                    raise NotFound("there is no such user", status=Status.CAT_INVALID_USER)
                object_rows.set_owner(tx, found.id, user.name, user.zone)
            self._context.happened(tx, event, **{k: str(v) for k, v in changes.items()})

    def touch(
        self,
        caller: Caller,
        text: str,
        timestamp: str,
        *,
        replica_number: int | None = None,
        resource_name: str = "",
    ) -> None:
        """Set the modification time of one replica, as `itouch` does.

        Raises:
            NoGoodReplica: no such replica (-164000, -168000).
        """
        path = self._context.path(text).text
        found, tree = self._context.load(path, caller, Access.WRITE, admin=False)
        if resource_name:
            wanted = tree.named(resource_name)
            if wanted.type not in STORAGE_TYPES:
                raise InvalidArgument(
                    f"`{resource_name}` holds no replicas itself", status=Status.USER_INVALID_RESC_INPUT
                )
        replica = self._context.storage.pick_for_reading(
            tree, found, replica_number=replica_number, resource_name=resource_name
        )
        if replica.status in (ReplicaStatus.INTERMEDIATE, ReplicaStatus.WRITE_LOCKED):
            raise Locked(f"`{path}` is open for writing")
        event = Event("object", "touch", caller, path, found.id, {"object": object_facts(found, tree)})
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            object_rows.update_replica(tx, found.id, replica.number, modify_time=timestamp)
            self._context.happened(tx, event)


_COLUMN_OF = {
    "dataSize": "size_bytes",
    "dataModify": "modify_time",
    "dataCreate": "create_time",
    "dataExpiry": "expiry_time",
    "dataComments": "comments",
    "replStatus": "status",
    "chksum": "checksum",
    "dataType": "data_type",
    "filePath": "physical_path",
    "rescId": "resource_id",
    "dataMode": "mode",
    "statusString": "status_note",
    "dataAccessTime": "access_time",
}


def _column_value(column: str, value: str) -> Any:
    if column in ("size_bytes", "status", "resource_id"):
        try:
            number = int(value)
        except ValueError:
            raise InvalidArgument(f"`{value}` is not a number") from None
        if column == "status" and number not in (0, 1, 2, 3, 4):
            raise InvalidArgument(f"`{value}` is no replica status")
        return number
    if column.endswith("_time"):
        return f"{int(value):011d}" if value.isdigit() else value
    return value
