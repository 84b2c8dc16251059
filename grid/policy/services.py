"""Microservices on the grid's operations: for rules with the policy's rights, for clients with their own."""

import inspect
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from grid.catalog import kernels
from grid.catalog import objects as object_rows
from grid.codes import Status
from grid.errors import (
    AccessDenied,
    InvalidArgument,
    MicroserviceFailed,
    NoGoodReplica,
    NotEmpty,
    NotFound,
    NotOnline,
)
from grid.model import Access, Avu, Caller
from grid.namespace import (
    AccessChange,
    ChecksumRequest,
    MetadataOperation,
    Namespace,
    TrimRequest,
    WriteRequest,
)
from grid.namespace import Subject as MetadataSubject
from grid.namespace.fixity import NOT_GOOD, ON_TAPE
from grid.policy import attributes
from microservices import ByteReader, Grid, MicroserviceError, Standing, declarations
from provenance.chunks import ChunkTree
from provenance.evidence import Evidence
from provenance.verdict import Verdict
from resources import ResourceError
from rules import Entity

PIECE_BYTES: Final = 4 << 20

WORK: Final = "beamgrid-work"
"""What names of folders of work begin with."""

_log = logging.getLogger("beamgrid.microservices")


def _work_root(namespace: Namespace) -> Path:
    return namespace.context.work or Path(tempfile.gettempdir())


class Desk(Protocol):
    """Answers clients' questions: name to what answers it, with the types of its arguments."""

    answers: dict[str, tuple[Callable[..., Any], dict[str, type]]]


class MicroserviceHost:
    """Finds and runs microservices."""

    def __init__(self, namespace: Namespace, *desks: Desk) -> None:
        self._namespace = namespace
        self._answers = {name: answer for desk in desks for name, answer in desk.answers.items()}

    def grid_of(self, caller: Caller) -> Grid:
        """The grid as a caller may use it."""
        return _CallersGrid(self._namespace, caller)

    def forget_work(self, older_than_s: float) -> None:
        """Remove folders of work that nobody went on with for so long."""
        root = _work_root(self._namespace)
        for folder in root.glob(f"{WORK}-*"):
            touched = [path.stat().st_mtime for path in (folder, *folder.iterdir())]
            if time.time() - max(touched) > older_than_s:
                shutil.rmtree(folder, ignore_errors=True)

    def call(self, caller: Caller, name: str, arguments: dict[str, Any]) -> Any:
        """Run one for a client, with the client's rights.

        Raises:
            NotFound: there is none of that name (-1102000).
            AccessDenied: clients may not call it.
            InvalidArgument: an argument is missing, unknown or of the wrong kind.
            MicroserviceFailed: it ended with an error.
        """
        if name in self._answers:
            return self._answer(caller, name, arguments)
        entry = declarations().get(name)
        if entry is None:
            offered = ", ".join(
                sorted([*(n for n, e in declarations().items() if e.for_clients), *self._answers])
            )
            raise NotFound(
                f"there is no microservice `{name}`; clients may call {offered}",
                status=Status.NO_MICROSERVICE_FOUND_ERR,
            )
        if not entry.for_clients:
            raise AccessDenied(f"`{name}` is for rules", status=Status.MSI_OPERATION_NOT_ALLOWED)
        kinds = {"Bool": bool, "Int": int}
        known = {parameter.name: parameter for parameter in entry.parameters}
        for key, value in arguments.items():
            if key not in known:
                raise InvalidArgument(f"`{name}` has no argument `{key}`; it has {', '.join(known)}")
            if type(value) is not kinds.get(known[key].type, str):
                raise InvalidArgument(f"`{key}` of `{name}` is `{value}`; a {known[key].type} was expected")
        missing = [p.name for p in entry.parameters if p.required and p.name not in arguments]
        if missing:
            raise InvalidArgument(f"`{name}` also needs {', '.join(missing)}")
        return self.run(caller, name, arguments)

    def _answer(self, caller: Caller, name: str, arguments: Mapping[str, Any]) -> Any:
        """Let a desk answer."""
        answer, known = self._answers[name]
        for key, value in arguments.items():
            if key not in known:
                raise InvalidArgument(f"`{name}` has no argument `{key}`; it has {', '.join(known)}")
            if type(value) is not known[key]:
                raise InvalidArgument(
                    f"`{key}` of `{name}` is `{value}`; a {known[key].__name__} was expected"
                )
        try:
            inspect.signature(answer).bind(caller, **arguments)
        except TypeError as error:
            raise InvalidArgument(f"`{name}`: {error}") from None
        return answer(caller, **arguments)

    def run(self, caller: Caller, name: str, arguments: Mapping[str, Any]) -> Any:
        """Run one with a caller's rights; arguments by name.

        Raises:
            MicroserviceFailed: it ended with an error of its own.
            GridError: an operation it asked for did.
        """
        if name == "set_owner":
            self._namespace.administration.change_owner(caller, arguments["path"], arguments["owner"])
            return None
        entry = declarations()[name]
        values = {key: self._plain(value) for key, value in arguments.items() if value is not None}
        try:
            result = entry.function(_CallersGrid(self._namespace, caller), **values)
        except MicroserviceError as error:
            failed = NotOnline if error.retry else MicroserviceFailed
            raise failed(str(error)) from error
        if entry.result in ("Collection", "Object") and caller.rights_of_rules:
            return Entity(entry.result, str(result), str(result))
        return result

    def _plain(self, value: Any) -> Any:
        """A value as microservices take it: things by their path or name, where they are now."""
        if isinstance(value, Entity):
            if value.kind in ("Object", "Collection"):
                with self._namespace.context.database.read() as tx:
                    return attributes.path_of(tx, value) or value.name
            return value.name
        return [self._plain(one) for one in value] if isinstance(value, list | tuple) else value


class _CallersGrid:
    """The grid as one caller may use it: the microservices' `Grid` port."""

    def __init__(self, namespace: Namespace, caller: Caller) -> None:
        self._namespace = namespace
        self._caller = caller

    @property
    def user(self) -> str:
        return self._caller.user.full_name

    def ask_for_statement(
        self, kind: str, paths: Sequence[str], said: Mapping[str, Any], *, inputs: Sequence[str] = ()
    ) -> dict[str, Any]:
        return _attestation(
            kind, self._namespace.stating.of_objects(self._caller, kind, paths, said, inputs=inputs)
        )

    def ask_for_place(self, kind: str, path: str, said: Mapping[str, Any]) -> dict[str, Any]:
        return _attestation(kind, [self._namespace.stating.of_place(self._caller, kind, path, said)])

    def ask_for_everything_in(self, kind: str, path: str, said: Mapping[str, Any]) -> dict[str, Any]:
        return _attestation(kind, self._namespace.stating.of_everything_in(self._caller, kind, path, said))

    def ask_for_erased(self, path: str, said: Mapping[str, Any]) -> dict[str, Any]:
        return _attestation("erasure", self._namespace.stating.of_erased(self._caller, path, said))

    def verify(self, path: str) -> dict[str, Any]:
        found = self._namespace.attestations.verify_below(self._caller, path)
        return {"trusted_until": found.trusted_until, "first_failure": found.state}

    def version(self, path: str) -> int:
        return self._namespace.stating.version(self._caller, path)

    def link_chunks(self, path: str, version: int, tree: ChunkTree) -> dict[str, Any]:
        return _attestation(
            "digest-link", [self._namespace.stating.link_chunks(self._caller, path, version, tree)]
        )

    def below(self, path: str, most: int) -> list[str]:
        context = self._namespace.context
        with context.database.read() as tx:
            names = [name for _, name in object_rows.below(tx, path, limit=most)]
        for name in names:
            context.load(name, self._caller, Access.READ, self._caller.is_admin)
        return names

    def content(self, path: str) -> tuple[int, str]:
        tree = self._namespace.attestations.tree(self._caller, path)
        return tree.size_bytes, tree.root.hex()

    def signed(self, path: str) -> tuple[Evidence, Verdict]:
        return self._namespace.attestations.signed(self._caller, path)

    def metadata(self, path: str) -> dict[str, str]:
        held = self._namespace.metadata.of(self._caller, MetadataSubject("collection", path))
        return {avu.attribute: avu.value for avu in held}

    def write(self, path: str, data: bytes) -> None:
        self._namespace.objects.put(
            self._caller, path, data, WriteRequest(size_bytes=len(data), register_checksum=True)
        )

    def write_file(self, path: str, file: Path) -> None:
        request = WriteRequest(size_bytes=file.stat().st_size, register_checksum=True, whole=True)
        opened = self._namespace.objects.open_for_writing(self._caller, path, request)
        try:
            with file.open("rb") as source:
                while piece := source.read(PIECE_BYTES):
                    opened.write(piece)
        except BaseException:
            opened.abandon()
            raise
        opened.commit()

    def describe(self, path: str, values: Mapping[str, str]) -> None:
        operations = [
            MetadataOperation("set", Avu(name, value, "")) for name, value in values.items() if value
        ]
        self._namespace.metadata.apply(self._caller, MetadataSubject("object", path), operations)

    def kernel_text(self, name: str, version: str, digest: str) -> str:
        with self._namespace.context.database.read() as tx:
            return kernels.usable(tx, name, version, digest).text

    def reduction_made(self, inputs: Sequence[str], outputs: Sequence[str], said: Mapping[str, Any]) -> None:
        namespace = self._namespace
        service = namespace.users.service_caller("kernel runner") if namespace.context.signs else None
        if service is not None:
            namespace.stating.of_objects(service, "reduction", outputs, said, inputs=inputs)

    def work_folder(self, name: str) -> Path:
        folder = _work_root(self._namespace) / f"{WORK}-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def remove_work_folder(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)

    def compute_elsewhere(self, path: str, work: Callable[[Callable[..., Any]], None]) -> None:
        context = self._namespace.context
        computing = context.computing
        if computing is None:
            return
        found, tree = context.load(path, self._caller, Access.READ, self._caller.is_admin)
        replica = context.storage.pick_for_reading(tree, found)
        file = context.storage.file_of(tree.by_id[replica.resource_id], replica, found.path)
        if file is not None:
            try:
                work(lambda function, *arguments: computing.run(function, file, *arguments))
            except ResourceError as error:
                _log.warning("`%s` is read here: %s", path, error)

    def open(self, path: str) -> ByteReader:
        return self._namespace.objects.open_for_reading(self._caller, path)

    def checksum(self, path: str, *, verify: bool) -> str:
        checksums = self._namespace.checksums
        if verify:
            checksums.checksum(self._caller, path, ChecksumRequest(verify=True))
        return checksums.checksum(self._caller, path, ChecksumRequest())

    def create_collection(self, path: str, *, owner: str, inherit: bool) -> None:
        user = None
        if owner:
            with self._namespace.context.database.read() as tx:
                user = self._namespace.users.find(tx, owner)
            if user.id != self._caller.user.id and not (
                self._caller.is_admin or self._caller.rights_of_rules
            ):
                raise AccessDenied("only administrators make collections for others")
        self._namespace.collections.create(
            self._caller, path, parents=True, owner=user, inherit=True if inherit else None
        )

    def grant(self, subject: str, level: str, path: str, *, recursive: bool) -> None:
        name, _, zone = subject.partition("#")
        self._namespace.access.change(
            self._caller, path, AccessChange(name, zone, level), recursive=recursive
        )

    def remove_empty_collection(self, path: str) -> None:
        try:
            self._namespace.moves.remove_collection(self._caller, path, recursive=False, force=True)
        except (NotEmpty, NotFound):
            return

    def freeze(self, path: str) -> None:
        self._namespace.access.freeze(self._caller, path)

    def thaw(self, path: str) -> None:
        self._namespace.access.thaw(self._caller, path)

    def remove_trashed(self, path: str) -> None:
        moves = self._namespace.moves
        if not moves.in_trash(path):
            raise InvalidArgument(f"`{path}` is not in the trash")
        try:
            moves.unlink(self._caller, path, force=True)
        except NotFound:
            return  # it is gone already

    def trim(self, path: str, number: int) -> None:
        try:
            self._namespace.replicas.trim(self._caller, path, TrimRequest(replica_number=number))
        except NoGoodReplica:
            return  # it is gone already

    def verify_replica(self, path: str, number: int) -> bool:
        outcome = self._namespace.fixity.verify(self._caller, path, number)
        if outcome.what in (ON_TAPE, NOT_GOOD):
            raise MicroserviceFailed(f"replica {number} of `{path}` was not read: it is {outcome.what}")
        return not outcome.is_bad

    def mark_damaged(self, path: str, number: int) -> None:
        self._namespace.fixity.mark_damaged(self._caller, path, number, "a rule says it is damaged")

    def stage(self, path: str, priority: int) -> Standing:
        found = self._namespace.recalls.ask(self._caller, path, priority=priority)
        if found["state"] == "done":
            return Standing(found["request"], "", 0.0)
        reason = (
            f"request {found['request']} for `{path}` is {found['state']} on cartridge {found['cartridge']}"
        )
        return Standing(found["request"], reason, found["waited_s"])

    def cancel_stage(self, request: int, reason: str) -> None:
        self._namespace.recalls.cancel(self._caller, request, reason)

    def set_posix(self, path: str, mode: str, group: str) -> None:
        self._namespace.posix.set(self._caller, path, mode, group)

    def erase(self, path: str) -> int:
        moves, count = self._namespace.moves, 0
        while True:
            with self._namespace.context.database.read() as tx:
                found = object_rows.below(tx, path, limit=1000)
            if not found:
                self._namespace.stating.erased(self._caller, path, count)
                return count
            for _, name in found:
                try:
                    with self._namespace.stating.erasing(name):
                        moves.unlink(self._caller, name, force=True)
                except NotFound:
                    continue  # somebody else removed it
                count += 1

    def replicate(self, path: str, resource: str) -> int:
        return self._namespace.replicas.replicate(self._caller, path, resource)


def _attestation(kind: str, made: Sequence[int]) -> dict[str, Any]:
    return {"id": " ".join(map(str, made)), "predicate": kind}
