"""Open data objects: what a descriptor of a connection stands for.

A writer works on a file of the staging area; nobody sees its bytes before `commit` made the replica good in one
transaction. A writer that goes away leaves the object as it was. Several connections may write one replica when
they show the token of the first; only the first one's commit finishes it.
"""

import json
import time
import uuid
from dataclasses import dataclass, field
from functools import partial

from grid.catalog import collections as collection_rows
from grid.catalog import journal, leases, registration, trees
from grid.catalog import objects as object_rows
from grid.catalog.database import Transaction
from grid.catalog.leases import OpenWrite
from grid.catalog.registration import FinishedWrite, Outboxed
from grid.codes import Status
from grid.errors import ChecksumMismatch, InvalidArgument, LeaseLost, StorageFailed
from grid.model import Caller, DataObject, Replica, ReplicaStatus, Resource
from grid.namespace import steps
from grid.namespace.behind import Behind, Bytes, Taps
from grid.namespace.context import NamespaceContext
from grid.namespace.digests import of_file, scheme_of
from grid.namespace.finisher import Finisher, undo_open
from grid.namespace.ports import Event
from grid.namespace.reading import OpenForReading
from grid.namespace.rings import BEHIND_BYTES, BUFFER_BYTES, DEPTH
from grid.namespace.storage import storage_errors
from provenance.blocks import BLOCK_BYTES, BlocksSeen, BlockTree
from resources import FileMissing, PlaceTaken, StagedFile
from resources.aligned import aligned_buffer


def new_name() -> str:
    """A name for the staging area that nothing else has; also what a replica token looks like."""
    return str(uuid.uuid4())


@dataclass(slots=True)
class OpenForWriting:
    """A replica being written.

    Attributes:
        owner: this is the first opener, whose close decides.
        truncate: the new content does not begin with the old one.
        source: the replica whose content a change begins with, where that is another one.
        changed: at least one byte was written, or the content was cut.
        taps: see the bytes that pass this stream.
        expected_bytes: how much is going to come, -1 where nobody said.
        stream: the name of a further stream, for what it saw.
        behind: its writes; where one failed, what there is will never be the object's content.
    """

    context: NamespaceContext
    finisher: Finisher
    caller: Caller
    path: str
    data_object: DataObject
    replica: Replica
    resource: Resource
    hierarchy: str
    entry: OpenWrite
    owner: bool
    truncate: bool
    taps: Taps = field(default_factory=Taps)
    append: bool = False
    position: int = 0
    changed: bool = False
    checksum_wanted: bool = False
    expected_checksum: str = ""
    source: Replica | None = None
    file: StagedFile | None = None
    ended: bool = False
    stream: str = ""
    expected_bytes: int = -1
    behind: Behind = field(default_factory=Behind)
    writable: bool = field(default=True, init=False)

    @property
    def token(self) -> str:
        return self.entry.token

    def staged(self) -> StagedFile:
        """The staged file, made now if nothing was written yet."""
        if self.file is None:
            driver = self.context.storage.driver_for(
                self.context.database, self.caller, self.resource, self.entry.reservation
            )
            name = self.entry.staged_as
            steps.reached("stage.before")
            with storage_errors():
                if not self.owner:
                    try:
                        self.file = driver.open_staged(name, self.expected_bytes)
                        return self.file
                    except FileMissing:
                        pass  # the first opener has not written yet
                try:
                    self.file = (
                        driver.stage(name, self.expected_bytes) if self.truncate else self._private_copy(name)
                    )
                except PlaceTaken:
                    self.file = driver.open_staged(name, self.expected_bytes)
            steps.reached("stage.after")
        return self.file

    def _private_copy(self, name: str) -> StagedFile:
        driver = self.context.storage.driver(self.resource)
        if self.replica.physical_path or self.source is not None:
            return self._copy_by_reading(name)
        if self.replica.staged_as:
            try:
                return driver.stage_copy(self.replica.staged_as, name)
            except FileMissing:
                pass  # it was placed meanwhile
        return driver.stage_copy(self.context.storage.place_of(self.path), name)

    def _copy_by_reading(self, name: str) -> StagedFile:
        with self.context.database.read() as tx:
            tree = self.context.storage.tree(tx)
        source = self.context.open_replica(self.caller, tree, self.source or self.replica, self.path)
        target = self.context.storage.driver(self.resource).stage(name)
        buffer, offset = aligned_buffer(BUFFER_BYTES), 0
        try:
            while count := source.read_into(buffer, offset):
                target.write(buffer[:count], offset)
                offset += count
        finally:
            source.close()
        return target

    def write(self, data: Bytes, *, keeps: bool = False) -> int:
        """Write at the position and move it on.

        Args:
            data: the bytes.
            keeps: the caller leaves `data` as it is until `DEPTH` more writes have returned, so that it can be written and hashed
                meanwhile; `finish_writes` says how that went.

        Raises:
            StorageFull, StorageFailed: some of the bytes, or of those of the write before, may be in the staged file; nobody sees them.
        """
        self.behind.finish(DEPTH - 1 if keeps else 0)
        file = self.staged()
        if self.append:
            self.finish_writes()
            self.position = file.size()
        steps.reached("bytes.before")
        hashed = self.taps.see(self.position, data)
        self.changed = True
        write = partial(file.write, data, self.position)
        count = len(data)
        if keeps and count >= BEHIND_BYTES:
            self.behind.later(write, hashed)
        else:
            count = self.behind.now(write, hashed)
        self.position += count
        return count

    def room_for(self, count: int) -> tuple[memoryview, bool]:
        """A buffer for the next of so many bytes, and whether `write` may keep it."""
        return self.behind.room_for(count)

    def finish_writes(self) -> None:
        """Return once every byte that was written is in the staged file.

        Raises:
            StorageFull, StorageFailed: one is not.
        """
        self.behind.finish()

    def set_size(self, size_bytes: int) -> None:
        """Cut or extend the content."""
        self.finish_writes()
        with storage_errors():
            self.staged().truncate(size_bytes)
        self.changed = True
        self.taps.cut(size_bytes)

    def read_into(self, buffer: memoryview) -> int:
        self.finish_writes()
        if self.file is None and not self.truncate:
            self.staged()
        if self.file is None:
            return 0
        with storage_errors():
            count = self.file.read_into(buffer, self.position)
        self.position += count
        return count

    def size(self) -> int:
        self.finish_writes()
        if self.file is not None:
            with storage_errors():
                return self.file.size()
        return 0 if self.truncate else (self.source or self.replica).size_bytes

    def leave(self) -> None:
        """End a parallel stream without deciding anything; one of which a write failed ends the write of all.

        Raises:
            StorageFull, StorageFailed: the write that was under way failed.
        """
        try:
            self.finish_writes()
        except BaseException:
            self.abandon()
            raise
        if self.behind.failed:
            self.abandon()
            return
        self.ended = True
        self.behind.give_back(self.taps)
        if self.file is not None:
            with storage_errors():
                if self.changed:
                    self.file.sync()
                self.file.close()
        if self.stream and (blocks := self.taps.settled_blocks()) is not None:
            with self.context.database.write(durable=False) as tx:
                trees.end_stream(tx, self.token, self.stream, blocks.records())

    def abandon(self) -> None:
        """Give up the write: the object is again what it was before."""
        if self.ended:
            return
        self.ended = True
        self.behind.give_up()  # the descriptor is not to be another's while it is written to
        self.behind.give_back(self.taps)
        if self.file is not None:
            self.file.close()
        if not self.owner and not self.behind.failed:
            return
        with self.context.database.write() as tx:
            entry = leases.open_by_token(tx, self.entry.token)
            if entry is not None:
                undo_open(tx, entry)
        self.finisher.wake()

    def commit(self) -> None:
        """Make the new content the object's: all of it or, on any error, nothing.

        Raises:
            ChecksumMismatch: the client's checksum is another one.
            LeaseLost: the write was declared void meanwhile.
        """
        try:
            self._commit()
        except BaseException:
            self.abandon()
            raise
        self.behind.give_back(self.taps)

    def _commit(self) -> None:
        self.finish_writes()
        if self.behind.failed:
            raise StorageFailed(
                f"bytes of `{self.path}` could not be written; it is again what it was before"
            )
        if not self.changed and not self.truncate and not self.entry.is_new:
            self._unchanged()
            return
        file = self.staged()
        steps.reached("sync.before")
        with storage_errors():
            file.sync()
            size = file.size()
        steps.reached("sync.after")
        checksum = self._checksum(file, size)
        tree = self._tree(file, size)
        event = Event(
            "object",
            "close",
            self.caller,
            self.path,
            self.data_object.id,
            {"object": {"size": size, "checksum": checksum, "resource": self.resource.name}},
        )
        if self.entry.is_new and self.entry.previous == "{}":
            self._register_first(event, size, checksum, tree)
        else:
            self._register_change(event, size, checksum, tree)
        self.ended = True
        file.close()
        self.finisher.place_soon()
        self.context.written(self.caller, self.path, self.resource)

    def _tree(self, file: StagedFile, size: int) -> BlockTree | None:
        """The tree over the file's blocks: those that no stream saw as a whole are read now."""
        blocks = self.taps.settled_blocks()
        if blocks is None:
            return None
        with self.context.database.read() as tx:
            others = trees.streams(tx, self.token)
        seen = blocks if all(records is not None for records in others) else BlocksSeen()
        for records in others:
            if records is not None and seen is blocks:
                seen.add(records)
        buffer = aligned_buffer(BLOCK_BYTES)

        def read(offset: int, count: int) -> memoryview:
            with storage_errors():
                return buffer[: file.read_into(buffer[:count], offset)]

        return seen.tree(size, read)

    def _save_tree(self, tx: Transaction, tree: BlockTree | None) -> None:
        if tree is not None:
            trees.save(tx, self.data_object.id, tree)
            trees.forget_streams(tx, self.token)

    def _register_first(self, event: Event, size: int, checksum: str, tree: BlockTree | None) -> None:
        """Make the only replica of a new object good."""
        write = FinishedWrite(self.path, self.entry, size, checksum, self.context.lease_id)
        told = Outboxed(event.name, event.caller.user.full_name, {"size": size, "checksum": checksum})
        alone = tree is None and not self.context.policy.concerns(event.name, event.path)
        with self.context.database.write(alone=alone) as tx:
            if not registration.close_new(tx, write, told):
                self.context.fence(tx)
                raise _write_void()
            self._save_tree(tx, tree)
            self.context.policy.after(tx, event)

    def _register_change(self, event: Event, size: int, checksum: str, tree: BlockTree | None) -> None:
        """Make the written replica good and the others stale."""
        with self.context.database.write() as tx:
            self.context.fence(tx)
            if not leases.delete_open(tx, self.entry.token):
                raise _write_void()
            now = tx.timestamp
            current = tx.one(
                "SELECT staged_as, create_time FROM replicas WHERE data_id = :id AND number = :n",
                {"id": self.data_object.id, "n": self.replica.number},
            )
            if current is None:
                raise LeaseLost("the replica was removed while it was written")
            if current[0] and current[0] != self.entry.staged_as:
                journal.add_vault_task(tx, self.resource.id, "unlink_staged", current[0])
            object_rows.update_replica(
                tx,
                self.data_object.id,
                self.replica.number,
                status=int(ReplicaStatus.GOOD),
                staged_as=self.entry.staged_as,
                physical_path="",
                size_bytes=size,
                checksum=checksum,
                modify_time=now,
                access_time=now,
            )
            for number in json.loads(self.entry.previous or "{}"):
                if int(number) != self.replica.number:
                    object_rows.update_replica(
                        tx, self.data_object.id, int(number), status=int(ReplicaStatus.STALE)
                    )
            object_rows.content_changed(tx, self.data_object.id)
            self._save_tree(tx, tree)
            collection_rows.touch(tx, self.data_object.collection_id, now)
            self.context.happened(tx, event, size=size, checksum=checksum)

    def _unchanged(self) -> None:
        with self.context.database.write(durable=False) as tx:
            if leases.delete_open(tx, self.entry.token):
                for number, status in json.loads(self.entry.previous or "{}").items():
                    object_rows.update_replica(tx, self.data_object.id, int(number), status=status)
        self.ended = True
        if self.file is not None:
            self.file.close()

    def _checksum(self, file: StagedFile, size: int) -> str:
        expected = self.expected_checksum
        scheme = scheme_of(expected) if expected else "sha2"
        tap = self.taps.digest
        if not (self.checksum_wanted or expected or tap is not None):
            return ""
        found = tap.result(size) if tap is not None and tap.scheme == scheme else None
        if found is None:
            with storage_errors():
                found = of_file(file, scheme)
        if expected and found != expected:
            raise ChecksumMismatch(f"the bytes of `{self.path}` have checksum `{found}`, not `{expected}`")
        return found


OpenReplica = OpenForReading | OpenForWriting


def _write_void() -> LeaseLost:
    return LeaseLost(
        "the write was declared void and the object may have changed since; open it again",
        status=Status.INTERMEDIATE_REPLICA_ACCESS,
    )


def require_writable(opened: OpenReplica) -> OpenForWriting:
    """The write side of a descriptor.

    Raises:
        InvalidArgument: it was opened for reading only (-513009).
    """
    if isinstance(opened, OpenForReading):
        raise InvalidArgument(
            f"`{opened.path}` is open for reading only", status=int(Status.UNIX_FILE_WRITE_ERR) - 9
        )
    return opened


def new_entry(
    data_id: int, number: int, lease_id: int, *, is_new: bool, previous: dict[int, int], reservation: str = ""
) -> OpenWrite:
    """The row that says who writes what, and what to go back to."""
    return OpenWrite(
        token=new_name(),
        data_id=data_id,
        replica_number=number,
        lease_id=lease_id,
        staged_as=new_name(),
        is_new=is_new,
        previous=json.dumps({str(n): s for n, s in previous.items()}),
        opened_at=time.time(),
        reservation=reservation,
    )
