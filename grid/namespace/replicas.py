"""Operations on replicas: replicate, trim, checksum, register, change their system metadata."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from grid import paths
from grid.catalog import collections as collection_rows
from grid.catalog import journal
from grid.catalog import objects as object_rows
from grid.catalog import users as user_rows
from grid.catalog.database import Transaction
from grid.codes import Status
from grid.errors import (
    AlreadyExists,
    ChecksumMismatch,
    GridError,
    InvalidArgument,
    Locked,
    NoGoodReplica,
    NotFound,
    NotPrivileged,
)
from grid.model import STORAGE_TYPES, Access, Caller, DataObject, Replica, ReplicaStatus, Resource
from grid.namespace.context import NamespaceContext
from grid.namespace.data_objects import DataObjects, WriteRequest, object_facts
from grid.namespace.digests import DigestTap, of_file, scheme_of
from grid.namespace.finisher import Finisher
from grid.namespace.ports import Event
from grid.namespace.storage import Tree, storage_errors
from grid.namespace.transfers import BUFFER_BYTES, new_name
from resources.disk import RegisteredFiles
from resources.protocol import RESERVED


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


@dataclass(frozen=True, slots=True)
class ChecksumRequest:
    """What to compute, compare or only show."""

    force: bool = False
    all_replicas: bool = False
    replica_number: int | None = None
    resource_name: str = ""
    verify: bool = False
    no_compute: bool = False
    admin: bool = False


class Replicas:
    """The operations on replicas of data objects."""

    def __init__(self, context: NamespaceContext, finisher: Finisher, objects: DataObjects) -> None:
        self._context = context
        self._finisher = finisher
        self._objects = objects

    def _load(self, path: str, caller: Caller, wanted: Access, admin: bool) -> tuple[DataObject, Tree]:
        with self._context.database.read() as tx:
            found = object_rows.by_path_or_none(tx, path)
            if found is None:
                what = "a collection" if collection_rows.by_path_or_none(tx, path) else "not there"
                raise NotFound(f"`{paths.printable(path)}` is {what}", status=Status.OBJ_PATH_DOES_NOT_EXIST)
            self._context.require(tx, found.acl_id, caller, wanted, path, admin)
            return found, self._context.storage.tree(tx)

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
        found, tree = self._load(path, caller, Access.READ, admin)
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
            "replica": {"purpose": "copy", "resource": leaf.name, "size": source.size_bytes},
        }
        event = Event("replica", "create", caller, path, found.id, facts, {"replica.resource": leaf.name})
        self._context.policy.before(event)
        return self._copy(event, found, tree, source, leaf, existing)

    def update_stale(self, caller: Caller, text: str, *, admin: bool = False, every: bool = False) -> int:
        """Bring stale replicas up to date from a good one: the first, or `every` one. Returns the bytes copied."""
        path = self._context.path(text).text
        found, tree = self._load(path, caller, Access.READ, admin)
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
        stored = self._context.storage.open_for_reading(self._context.database, tree, source, found.path)
        tap = DigestTap(scheme_of(source.checksum)) if source.checksum else None
        try:
            with storage_errors():
                file = driver.stage(name)
                buffer, offset = memoryview(bytearray(BUFFER_BYTES)), 0
                while count := stored.read_into(buffer, offset):
                    if tap is not None:
                        tap.see(offset, buffer[:count])
                    file.write(buffer[:count], offset)
                    if tap is not None:
                        tap.settle()
                    offset += count
                file.sync()
                file.close()
            if tap is not None and tap.result(offset) != source.checksum:
                raise ChecksumMismatch(
                    f"replica {source.number} of `{found.path}` does not have its recorded checksum any more"
                )
            self._register_copy(event, found, source, leaf, existing, name, offset)
        except BaseException:
            with storage_errors():
                driver.unlink_staged(name)
            raise
        finally:
            stored.close()
        self._finisher.settle()
        return offset

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
                buffer = memoryview(bytearray(BUFFER_BYTES))
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
        found, tree = self._load(path, caller, Access.DELETE, request.admin)
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
            if not any(r.status is ReplicaStatus.GOOD for r in left):
                raise InvalidArgument(
                    f"this would remove the last good replica of `{path}`",
                    status=Status.USER_INCOMPATIBLE_PARAMS,
                )
            for replica in chosen:
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
            good = [r for r in found.replicas if r.status is ReplicaStatus.GOOD]
            if replica.status is ReplicaStatus.GOOD and len(good) < 2:
                raise InvalidArgument(
                    f"replica {replica.number} is the last good one of `{found.path}`",
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
        left_good = sum(1 for r in found.replicas if r.status is ReplicaStatus.GOOD and r not in chosen)
        if not left_good:
            last = next((r for r in reversed(chosen) if r.status is ReplicaStatus.GOOD), None)
            chosen = [r for r in chosen if r is not last]
        return chosen

    # -- checksum --------------------------------------------------------------------------------------------

    def checksum(self, caller: Caller, text: str, request: ChecksumRequest) -> str:
        """The checksum of a replica; computed and recorded when there is none or `force` says so.

        With `verify` the answer is a JSON list of what is wrong, empty when nothing is.

        Raises:
            ChecksumMismatch: verification found something (-407000); the message is the JSON list.
        """
        path = self._context.path(text).text
        if request.verify and request.force:
            raise InvalidArgument(
                "verifying and recomputing exclude each other", status=Status.USER_INCOMPATIBLE_PARAMS
            )
        if request.replica_number is not None and request.resource_name:
            raise InvalidArgument(
                "name a replica or a resource, not both", status=Status.USER_INCOMPATIBLE_PARAMS
            )
        if request.all_replicas and (request.replica_number is not None or request.resource_name):
            raise InvalidArgument(
                "all replicas and one of them exclude each other", status=Status.USER_INCOMPATIBLE_PARAMS
            )
        found, tree = self._load(path, caller, Access.READ, request.admin)
        if request.verify:
            return self._verify(found, tree, request)
        chosen = self._chosen(found, tree, request)
        if any(r.status in (ReplicaStatus.INTERMEDIATE, ReplicaStatus.WRITE_LOCKED) for r in chosen):
            raise Locked(f"`{path}` is open for writing", status=Status.INTERMEDIATE_REPLICA_ACCESS)
        result = ""
        for replica in chosen:
            value = replica.checksum
            if request.no_compute:
                if not value:
                    raise NotFound(
                        f"no checksum of replica {replica.number} is recorded",
                        status=Status.CAT_NO_CHECKSUM_FOR_REPLICA,
                    )
            elif not value or request.force:
                value = self._compute(found, tree, replica)
                self._record_checksum(caller, found, tree, replica, value)
            result = result or value
        return result

    def _chosen(self, found: DataObject, tree: Tree, request: ChecksumRequest) -> list[Replica]:
        if request.all_replicas:
            return list(found.replicas)
        return [
            self._context.storage.pick_for_reading(
                tree, found, resource_name=request.resource_name, replica_number=request.replica_number
            )
        ]

    def _compute(self, found: DataObject, tree: Tree, replica: Replica, scheme: str = "sha2") -> str:
        file = self._context.storage.open_for_reading(self._context.database, tree, replica, found.path)
        try:
            with storage_errors():
                return of_file(file, scheme)
        finally:
            file.close()

    def _record_checksum(
        self, caller: Caller, found: DataObject, tree: Tree, replica: Replica, value: str
    ) -> None:
        event = Event(
            "object", "checksum", caller, found.path, found.id, {"object": object_facts(found, tree)}
        )
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            tx.run(
                "UPDATE replicas SET checksum = :c WHERE data_id = :id AND number = :n AND modify_time = :m",
                {"c": value, "id": found.id, "n": replica.number, "m": replica.modify_time},
            )
            self._context.happened(tx, event, number=replica.number, checksum=value)

    def _verify(self, found: DataObject, tree: Tree, request: ChecksumRequest) -> str:
        findings: list[dict[str, Any]] = []
        one = request.replica_number is not None or bool(request.resource_name)
        replicas = self._chosen(found, tree, request) if one else list(found.replicas)
        for replica in replicas:
            findings += self._verify_one(found, tree, replica, request)
        good = [r for r in found.replicas if r.status is ReplicaStatus.GOOD]
        if len({r.checksum for r in good if r.checksum}) > 1:
            findings.append(_finding(-407000, f"replicas of `{found.path}` have different checksums"))
        text = json.dumps(findings)
        if findings:
            error = ChecksumMismatch(text, status=Status.CHECK_VERIFICATION_RESULTS)
            raise error
        return text

    def _verify_one(
        self, found: DataObject, tree: Tree, replica: Replica, request: ChecksumRequest
    ) -> list[dict[str, Any]]:
        hierarchy = tree.hierarchy(replica.resource_id)
        where = f"data object [{found.path}], replica [{replica.number}], resource hierarchy [{hierarchy}]"
        if replica.status is not ReplicaStatus.GOOD:
            return []
        findings = []
        try:
            file = self._context.storage.open_for_reading(self._context.database, tree, replica, found.path)
        except GridError as error:
            return [_finding(-510002, f"the file cannot be read: {error}; {where}")]
        try:
            with storage_errors():
                size = file.size()
                if size != replica.size_bytes:
                    findings.append(
                        _finding(
                            -407000, f"the file has {size} bytes, the catalog {replica.size_bytes}; {where}"
                        )
                    )
                if not replica.checksum:
                    findings.append(
                        _finding(
                            int(Status.CAT_NO_CHECKSUM_FOR_REPLICA),
                            f"no checksum available for {where}",
                            "warning",
                        )
                    )
                elif not request.no_compute:
                    computed = of_file(file, scheme_of(replica.checksum))
                    if computed != replica.checksum:
                        findings.append(
                            _finding(
                                int(Status.USER_CHKSUM_MISMATCH),
                                f"computed {computed}, recorded {replica.checksum}; {where}",
                            )
                        )
        finally:
            file.close()
        return findings

    # -- register --------------------------------------------------------------------------------------------

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
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            replica = Replica(
                0, 0, leaf.id, physical_path, "", facts.size_bytes, ReplicaStatus.GOOD, checksum, data_type, "", "",
                tx.timestamp, f"{int(facts.modified_at):011d}", tx.timestamp,
            )  # fmt: skip
            if found is not None:
                replica = replace(replica, data_id=found.id, number=max(r.number for r in found.replicas) + 1)
                object_rows.insert_replica(tx, replica)
                registered = found
            else:
                request = WriteRequest(data_type=data_type)
                registered = self._objects._insert_new(tx, caller, path, request, replica)
            event.subject_id = registered.id
            self._context.happened(tx, event, physical_path=physical_path)
        return registered

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

    # -- system metadata -------------------------------------------------------------------------------------

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
        found, tree = self._load(path, caller, Access.MODIFY_METADATA, caller.is_admin)
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
        found, tree = self._load(path, caller, Access.WRITE, admin=False)
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


def _finding(code: int, message: str, severity: str = "error") -> dict[str, Any]:
    return {"error_code": code, "message": f"{severity.upper()}: {message}", "severity": severity}
