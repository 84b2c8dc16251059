"""A bounded vault on fast local storage: what it holds never exceeds its bound, and space can be reserved in bytes.

Space is taken before it is written. The account is shared by all processes; each takes from it in pieces and spends
these by itself, so that a small file costs no look at the account. What a process that dies had not spent is lost
until the account is counted anew, which errs on the side of the bound.
"""

import os
import threading
from typing import Final, Protocol

from resources.disk import DiskDriver, DiskFile
from resources.errors import FileMissing, OutOfSpace
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


class Pool:
    """What this process took of an account and has not spent."""

    def __init__(self, account: SpaceAccount, piece: int, reservation: str = "") -> None:
        self._account = account
        self._piece = piece
        self._reservation = reservation
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
        with self._lock:
            self._left += count

    def settle(self) -> None:
        """Give back what is more than a piece."""
        with self._lock:
            surplus = self._left - self._piece
            if surplus > 0:
                self._account.give(surplus)
                self._left -= surplus


class BufferFile(DiskFile):
    """A staged file whose growth is paid for before it is written."""

    __slots__ = ("_pool",)

    def __init__(self, file: DiskFile, pool: Pool) -> None:
        super().__init__(file._descriptor, file._name, file._folder_descriptor)
        self._pool = pool

    def _pay(self, size: int) -> None:
        growth = size - os.fstat(self._descriptor).st_size
        if growth > 0:
            self._pool.spend(growth)

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> int:
        self._pay(offset + len(data))
        return super().write(data, offset)

    def truncate(self, size_bytes: int) -> None:
        self._pay(size_bytes)
        before = self.size()
        super().truncate(size_bytes)
        if size_bytes < before:
            self._pool.recover(before - size_bytes)


class BufferDriver(DiskDriver):
    """The files of a bounded vault.

    Args:
        vault: the folder, absolute.
        resource_id: what its marker has to say.
        account: who knows what is spoken for.
        capacity_bytes: the bound.
    """

    def __init__(self, vault: str, resource_id: int, account: SpaceAccount, capacity_bytes: int) -> None:
        super().__init__(vault, resource_id)
        self.capacity_bytes = capacity_bytes
        self._account = account
        self._pool = Pool(account, max(min(capacity_bytes // PIECES, 64 << 20), 1))

    def with_reservation(self, reservation: str) -> "BufferDriver":
        """The same vault for who reserved: what is written is paid out of the reservation, byte by byte."""
        other = BufferDriver(self._vault, int(self._marker), self._account, self.capacity_bytes)
        other._pool = Pool(self._account, 1, reservation)
        return other

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

    def stage(self, name: str) -> BufferFile:
        return BufferFile(super().stage(name), self._pool)

    def open_staged(self, name: str) -> BufferFile:
        return BufferFile(super().open_staged(name), self._pool)

    def stage_copy(self, source: VaultPath | str, name: str) -> BufferFile:
        original = self.open_staged_for_reading(source) if isinstance(source, str) else self.open(source)
        size = original.size()
        try:
            self._pool.spend(size)
        except OutOfSpace:
            original.close()
            raise
        try:
            return BufferFile(self._stage_copy_of(original, name), self._pool)
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

    def take(self, count: int, reservation: str = "") -> None:
        with self._lock:
            kept = self.reserved.get(reservation, 0)
            if count > kept + self.free():
                raise OutOfSpace(f"{self.free()} bytes are free; {count} are wanted")
            if kept:
                self.reserved[reservation] = max(kept - count, 0)
            self.taken += count

    def give(self, count: int) -> None:
        with self._lock:
            self.taken -= count

    def free(self) -> int:
        return self._capacity - self.taken - sum(self.reserved.values())
