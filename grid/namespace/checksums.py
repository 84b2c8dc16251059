"""Checksums of replicas: compute, record, show, compare with the stored bytes."""

import json
from dataclasses import dataclass
from typing import Any

from grid.codes import Status
from grid.errors import ChecksumMismatch, GridError, InvalidArgument, Locked, NotFound
from grid.model import Access, Caller, DataObject, Replica, ReplicaStatus
from grid.namespace.context import NamespaceContext
from grid.namespace.digests import of_file, scheme_of
from grid.namespace.found import object_facts
from grid.namespace.ports import Event
from grid.namespace.storage import Tree, storage_errors


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


class Checksums:
    """The operations on checksums of data objects."""

    def __init__(self, context: NamespaceContext) -> None:
        self._context = context

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
        found, tree = self._context.load(path, caller, Access.READ, request.admin)
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


def _finding(code: int, message: str, severity: str = "error") -> dict[str, Any]:
    return {"error_code": code, "message": f"{severity.upper()}: {message}", "severity": severity}
