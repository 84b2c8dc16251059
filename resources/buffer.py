"""A bounded vault on fast local storage: what it holds never exceeds its bound, and space can be reserved in bytes.

Space is taken before it is written. The account is shared by all processes; each takes from it in pieces and spends
these by itself, so that a small file costs no look at the account. What a process that dies had not spent is lost
until the account is counted anew, which errs on the side of the bound.
"""

import os
import threading
from collections import Counter
from typing import Final, Protocol

from resources.disk import DiskDriver
from resources.disk_file import DiskFile
from resources.errors import FileMissing, OutOfSpace
from resources.layout import Layout
from resources.protocol import VaultPath

PIECES: Final = 64
"""A process takes at the least this part of the bound at a time, and at the most 64 MiB."""


class SpaceAccount(Protocol):
    """How much of a resource is spoken for; shared by all processes, every call atomic."""

    def take(self, count: int, reservation: str = "") -> None:
        """Speak for so many bytes, out of a reservation when one is named.

        Raises:
            OutOfSpace: with what is free, and when more will be.
        """

    def give(self, count: int) -> None:
        """Give back bytes that were taken."""

    def free(self) -> int:
        """Bytes that are neither taken nor reserved."""

    def require(self, count: int, reservation: str = "") -> None:
        """See that so many bytes could be taken, out of a reservation when one is named; takes none.

        Raises:
            OutOfSpace: as `take`.
        """


class Pool:
    """What this process took of an account and has not spent."""

    def __init__(
        self, account: SpaceAccount, piece: int, reservation: str = "", back_to: "Pool | None" = None
    ) -> None:
        self._account = account
        self._piece = piece
        self._reservation = reservation
        self._back_to = back_to
        self._left = 0
        self._lock = threading.Lock()

    @property
    def left(self) -> int:
        return self._left

    def spend(self, count: int) -> None:
        """Use bytes, taking more when there are too few.

        Raises:
            OutOfSpace: the account has no more.
        """
        with self._lock:
            wanted = count - self._left
            if wanted > 0:
                try:
                    taken = max(wanted, self._piece)
                    self._account.take(taken, self._reservation)
                except OutOfSpace:
                    if wanted >= self._piece:
                        raise
                    taken = wanted  # the last bytes are taken one by one
                    self._account.take(taken, self._reservation)
                self._left += taken
            self._left -= count

    def recover(self, count: int) -> None:
        """Bytes are not used any more. Asks nobody: it may be called inside a transaction."""
        if self._back_to is not None:
            self._back_to.recover(count)  # a reservation is spent once
            return
        with self._lock:
            self._left += count

    def require(self, count: int) -> None:
        """See that so many bytes could be had, as things are now.

        Raises:
            OutOfSpace: they could not.
        """
        if count > self._left:
            self._account.require(count - self._left, self._reservation)

    def drain(self) -> int:
        """Hand what is left to somebody else; returns how much that is. Asks nobody."""
        with self._lock:
            left, self._left = self._left, 0
            return left

    def settle(self) -> None:
        """Give back what is more than a piece."""
        with self._lock:
            surplus = self._left - self._piece
            if surplus > 0:
                self._account.give(surplus)
                self._left -= surplus


class Paid:
    """How far the staged files that this process has open are paid for: several streams, and writes of one, grow a file together."""

    def __init__(self) -> None:
        self._until: dict[str, int] = {}
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()

    def open(self, name: str) -> None:
        """A file was opened, once more or for the first time."""
        with self._lock:
            self._open[name] += 1

    def close(self, name: str, held: int, pool: Pool) -> None:
        """A file was closed, with so many bytes; what was paid for beyond them comes back with the last one."""
        with self._lock:
            self._open[name] -= 1
            if not self._open[name]:
                del self._open[name]
                pool.recover(max(self._until.pop(name, held) - held, 0))

    def grow(self, name: str, held: int, wanted: int, pool: Pool) -> None:
        """Pay for a file's growth to `wanted` bytes, of which `held` are there already.

        Raises:
            OutOfSpace: there is no more.
        """
        with self._lock:
            growth = wanted - max(held, self._until.get(name, 0))
            if growth > 0:
                pool.spend(growth)
                self._until[name] = wanted

    def shrink(self, name: str, held: int, wanted: int, pool: Pool) -> None:
        """A file of `held` bytes was cut to `wanted`."""
        with self._lock:
            pool.recover(max(held, self._until.pop(name, 0)) - wanted)


class BufferFile(DiskFile):
    """A staged file whose growth is paid for before it is written."""

    __slots__ = ("_paid", "_pool")

    def __init__(self, file: DiskFile, pool: Pool, paid: Paid) -> None:
        super().__init__(
            file._descriptor, file._name, file._folder_descriptor, room_taken=file._room_taken, direct=file._direct
        )  # fmt: skip
        self._pool = pool
        self._paid = paid
        paid.open(self._name)

    def _pay(self, size: int) -> None:
        self._paid.grow(self._name, os.fstat(self._descriptor).st_size, size, self._pool)

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> int:
        self._pay(offset + len(data))
        return super().write(data, offset)

    def make_room(self, size_bytes: int) -> None:
        self._pay(size_bytes)

    def truncate(self, size_bytes: int) -> None:
        self._pay(size_bytes)
        before = self.size()
        super().truncate(size_bytes)
        if size_bytes < before:
            self._paid.shrink(self._name, before, size_bytes, self._pool)

    def close(self) -> None:
        if self._descriptor >= 0:
            self._paid.close(self._name, os.fstat(self._descriptor).st_size, self._pool)
        super().close()


class BufferDriver(DiskDriver):
    """The files of a bounded vault.

    Args:
        vault: the folder, absolute.
        resource_id: what its marker has to say.
        account: who knows what is spoken for.
        capacity_bytes: the bound.
    """

    def __init__(
        self, vault: str, resource_id: int, account: SpaceAccount, capacity_bytes: int, layout: Layout = Layout(),
    ) -> None:  # fmt: skip
        super().__init__(vault, resource_id, layout)
        self.capacity_bytes = capacity_bytes
        self._account = account
        self._pool = Pool(account, max(min(capacity_bytes // PIECES, 64 << 20), 1))
        self._paid = Paid()

    def with_reservation(self, reservation: str) -> "BufferDriver":
        """The same vault for who reserved: what is written is paid out of the reservation, byte by byte."""
        other = BufferDriver(self._vault, int(self._marker), self._account, self.capacity_bytes, self._layout)
        other._pool = Pool(self._account, 1, reservation, back_to=self._pool)
        other._paid = self._paid
        return other

    def take_over(self, other: "BufferDriver") -> None:
        """Go on with what another driver of this process, of the same resource, had taken of the account."""
        self._pool.recover(other._pool.drain())
        self._paid = other._paid

    def free_bytes(self) -> int | None:
        under = super().free_bytes()
        free = self._account.free() + self._pool.left
        return free if under is None else min(free, under)

    def settle(self) -> None:
        """Give back to the account what this process does not need."""
        self._pool.settle()

    @property
    def unspent_bytes(self) -> int:
        return self._pool.left

    def take_room_aside(self, count: int) -> None:
        if count > 0:
            self._pool.spend(count)
        else:
            self._pool.recover(-count)

    def stage(self, name: str, size_bytes: int = -1) -> BufferFile:
        if size_bytes > 0:
            self._pool.require(size_bytes)  # better now than after most of it was sent
        return BufferFile(super().stage(name, size_bytes), self._pool, self._paid)

    def open_staged(self, name: str, size_bytes: int = -1) -> BufferFile:
        return BufferFile(super().open_staged(name, size_bytes), self._pool, self._paid)

    def stage_copy(self, source: VaultPath | str, name: str) -> BufferFile:
        original = self.open_staged_for_reading(source) if isinstance(source, str) else self.open(source)
        size = original.size()
        try:
            self._pool.spend(size)
        except OutOfSpace:
            original.close()
            raise
        try:
            return BufferFile(self._stage_copy_of(original, name), self._pool, self._paid)
        except BaseException:
            self._pool.recover(size)
            raise

    def place(self, name: str, place: VaultPath) -> None:
        replaced = self._size_of(place) if self._is_staged(name) else 0
        super().place(name, place)
        self._pool.recover(replaced)

    def _is_staged(self, name: str) -> bool:
        try:
            self.open_staged_for_reading(name).close()
        except FileMissing:
            return False
        return True

    def _size_of(self, place: VaultPath) -> int:
        try:
            return self.stat(place).size_bytes
        except FileMissing:
            return 0

    def unlink(self, place: VaultPath) -> None:
        size = self._size_of(place)
        super().unlink(place)
        self._pool.recover(size)

    def unlink_staged(self, name: str) -> None:
        try:
            file = self.open_staged_for_reading(name)
        except FileMissing:
            return
        size = file.size()
        file.close()
        super().unlink_staged(name)
        self._pool.recover(size)


class MemoryAccount:
    """An account that one process has to itself."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity = capacity_bytes
        self.taken = 0
        self.reserved: dict[str, int] = {}
        self._lock = threading.Lock()

    def reserve(self, key: str, count: int) -> None:
        """Keep bytes for who names the key.

        Raises:
            OutOfSpace: there are not so many.
        """
        with self._lock:
            if count < 0 or count > self.free():
                raise OutOfSpace(f"{self.free()} bytes are free; {count} are to be reserved")
            self.reserved[key] = count

    def require(self, count: int, reservation: str = "") -> None:
        if count > self.reserved.get(reservation, 0) + self.free():
            raise OutOfSpace(f"{self.free()} bytes are free; {count} are wanted")

    def take(self, count: int, reservation: str = "") -> None:
        with self._lock:
            self.require(count, reservation)
            kept = self.reserved.get(reservation, 0)
            if kept:
                self.reserved[reservation] = max(kept - count, 0)
            self.taken += count

    def give(self, count: int) -> None:
        with self._lock:
            self.taken -= count

    def free(self) -> int:
        return self._capacity - self.taken - sum(self.reserved.values())
