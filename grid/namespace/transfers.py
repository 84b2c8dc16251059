"""Open data objects: what a descriptor of a connection stands for.

A writer works on a file of the staging area; nobody sees its bytes before `commit` made the replica good in one
transaction. A writer that goes away leaves the object as it was. Several connections may write one replica when
they show the token of the first; only the first one's commit finishes it.
"""

import json
import time
import uuid
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final

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
from grid.namespace.context import NamespaceContext
from grid.namespace.digests import DigestTap, beside, of_file, scheme_of
from grid.namespace.finisher import Finisher, undo_open
from grid.namespace.ports import Event
from grid.namespace.rings import BEHIND_BYTES, BUFFER_BYTES, DEPTH, RINGS, Ring
from grid.namespace.storage import storage_errors
from provenance.blocks import BLOCK_BYTES, BlocksSeen, BlockTree
from resources import FileMissing, PlaceTaken, StagedFile, StoredFile
from resources.aligned import aligned_buffer

_WRITING: Final = ThreadPoolExecutor(max_workers=32, thread_name_prefix="write")


def new_name() -> str:
    """A name for the staging area that nothing else has; also what a replica token looks like."""
    return str(uuid.uuid4())


@dataclass(slots=True)
class OpenForReading:
    """A replica being read."""

    path: str
    data_object: DataObject
    replica: Replica
    hierarchy: str
    file: StoredFile
    position: int = 0
    writable: bool = field(default=False, init=False)
    token: str = ""
    checksum_wanted: bool = False

    def read_into(self, buffer: memoryview) -> int:
        with storage_errors():
            count = self.file.read_into(buffer, self.position)
        self.position += count
        return count

    def read_at(self, offset: int, count: int) -> bytes:
        """Bytes from anywhere; fewer only at the end. Leaves the position."""
        buffer = memoryview(bytearray(count))
        with storage_errors():
            got = self.file.read_into(buffer, offset)
        return bytes(buffer[:got])

    def size(self) -> int:
        with storage_errors():
            return self.file.size()

    def close(self) -> None:
        self.file.close()


@dataclass(slots=True)
class OpenForWriting:
    """A replica being written.

    Attributes:
        owner: this is the first opener, whose close decides.
        truncate: the new content does not begin with the old one.
        source: the replica whose content a change begins with, where that is another one.
        changed: at least one byte was written, or the content was cut.
        failed: bytes that were to be written are not in the file; what there is will never be the object's content.
        expected_bytes: how much is going to come, -1 where nobody said.
        blocks: sees the blocks that pass this stream, where a tree is wanted.
        stream: the name of a further stream, for what it saw.
        behind: writes that other threads carry out, and hash, while the next bytes arrive.
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
    tap: DigestTap | None = None
    append: bool = False
    position: int = 0
    changed: bool = False
    checksum_wanted: bool = False
    expected_checksum: str = ""
    source: Replica | None = None
    file: StagedFile | None = None
    ended: bool = False
    failed: bool = False
    blocks: BlocksSeen | None = None
    stream: str = ""
    expected_bytes: int = -1
    behind: "deque[tuple[Future[int], list[Future[None]]]]" = field(default_factory=deque)
    _seeing: "list[Future[None]]" = field(default_factory=list)
    _hashing: "list[Future[None]]" = field(default_factory=list)
    _ring: Ring | None = None
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

    def write(self, data: bytes | bytearray | memoryview, *, keeps: bool = False) -> int:
        """Write at the position and move it on.

        Args:
            data: the bytes.
            keeps: the caller leaves `data` as it is until `DEPTH` more writes have returned, so that it can be written and hashed
                meanwhile; `finish_writes` says how that went.

        Raises:
            StorageFull, StorageFailed: some of the bytes, or of those of the write before, may be in the staged file; nobody sees them.
        """
        self._finish_writes(DEPTH - 1 if keeps else 0)
        file = self.staged()
        if self.append:
            self.finish_writes()
            self.position = file.size()
        steps.reached("bytes.before")
        hashed = self._hashed(data)
        self.changed = True
        if keeps and len(data) >= BEHIND_BYTES:
            self.behind.append((_WRITING.submit(file.write, data, self.position), hashed))
            self.position += len(data)
            return len(data)
        self.failed, had_failed = True, self.failed
        try:
            with storage_errors():
                count = file.write(data, self.position)
        finally:
            for one in hashed:
                one.result()
        self.failed = had_failed
        steps.reached("bytes.after")
        self.position += count
        return count

    def room_for(self, count: int) -> tuple[memoryview, bool]:
        """A buffer for the next of so many bytes, and whether `write` may keep it."""
        if count < BEHIND_BYTES:
            return memoryview(bytearray(count)), False
        if self._ring is None:
            self._ring = RINGS.lend()
        if self._ring is None:
            return aligned_buffer(min(count, BUFFER_BYTES)), False
        self._settle_hashing()  # of buffers whose turn it is again
        return self._ring.next(count), True

    def _settle_hashing(self) -> None:
        hashing, self._hashing = self._hashing, []
        for one in hashing:
            one.result()

    def _give_ring_back(self) -> None:
        """Nothing is under way any more."""
        ring, self._ring = self._ring, None
        if ring is not None:
            wait([one for _, hashed in self.behind for one in hashed] + self._hashing + self._seeing)
            RINGS.take_back(ring)

    def _hashed(self, data: bytes | bytearray | memoryview) -> "list[Future[None]]":
        """Let the taps see a write; returns what to wait for before its buffer is used again."""
        found = []
        if self.tap is not None and (sequence := self.tap.see(self.position, data)) is not None:
            found.append(sequence)
        if self.blocks is not None:
            if len(data) < BEHIND_BYTES:
                self.blocks.see(self.position, data)
            else:
                # parts of blocks are seen in their order; whole ones by several threads
                view, head = memoryview(data), -self.position % BLOCK_BYTES
                end = head + (len(view) - head) // BLOCK_BYTES * BLOCK_BYTES
                self.blocks.see(self.position, view[:head])
                seeing = beside(self.blocks.see, self.position + head, view[head:end])
                found.append(seeing)
                self._seeing = [one for one in self._seeing if not one.done() or one.exception()] + [seeing]
                self.blocks.see(self.position + end, view[end:])
        return found

    def finish_writes(self) -> None:
        """Return once every byte that was written is in the staged file.

        Raises:
            StorageFull, StorageFailed: one is not.
        """
        self._finish_writes(0)

    def _finish_writes(self, left: int) -> None:
        while len(self.behind) > left:
            written, hashed = self.behind.popleft()
            self.failed, had_failed = True, self.failed
            with storage_errors():
                written.result()
            self.failed = had_failed
            if left:
                for one in hashed:
                    one.result()  # the buffer is used again
            else:
                self._hashing += hashed
            steps.reached("bytes.after")

    def set_size(self, size_bytes: int) -> None:
        """Cut or extend the content."""
        self.finish_writes()
        with storage_errors():
            self.staged().truncate(size_bytes)
        self.changed = True
        if self.blocks is not None:
            self._settle_blocks()
            self.blocks.cut(size_bytes)
        if self.tap is not None and size_bytes:
            self.tap.broken = True

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
        if self.failed:
            self.abandon()
            return
        self.ended = True
        self._give_ring_back()
        if self.file is not None:
            with storage_errors():
                if self.changed:
                    self.file.sync()
                self.file.close()
        if self.blocks is not None and self.stream:
            self._settle_blocks()
            with self.context.database.write(durable=False) as tx:
                trees.end_stream(tx, self.token, self.stream, self.blocks.records())

    def abandon(self) -> None:
        """Give up the write: the object is again what it was before."""
        if self.ended:
            return
        self.ended = True
        # the descriptor is not to be another's while it is written to
        wait([written for written, _ in self.behind])
        self.failed = self.failed or any(written.exception() is not None for written, _ in self.behind)
        self._give_ring_back()
        if self.file is not None:
            self.file.close()
        if not self.owner and not self.failed:
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
        self._give_ring_back()

    def _commit(self) -> None:
        self.finish_writes()
        if self.failed:
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
        if self.blocks is None:
            return None
        self._settle_blocks()
        with self.context.database.read() as tx:
            others = trees.streams(tx, self.token)
        seen = self.blocks if all(records is not None for records in others) else BlocksSeen()
        for records in others:
            if records is not None and seen is self.blocks:
                seen.add(records)
        buffer = aligned_buffer(BLOCK_BYTES)

        def read(offset: int, count: int) -> memoryview:
            with storage_errors():
                return buffer[: file.read_into(buffer[:count], offset)]

        return seen.tree(size, read)

    def _settle_blocks(self) -> None:
        seeing, self._seeing = self._seeing, []
        for one in seeing:
            one.result()

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
        if not (self.checksum_wanted or expected or self.tap is not None):
            return ""
        found = self.tap.result(size) if self.tap is not None and self.tap.scheme == scheme else None
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
