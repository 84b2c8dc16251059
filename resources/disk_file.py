"""Open files of a file system: reading and writing at offsets, large ones past the page cache."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from resources.errors import (
    Denied,
    FileMissing,
    OutOfSpace,
    PermanentResourceError,
    PlaceTaken,
    ResourceError,
    TransientResourceError,
)
from resources.layout import WRITE_BACK_BYTES, write_back

DIRECT_BYTES: Final = 256 << 20
"""Files that are expected to become as large as this are written past the page cache."""

_BLOCK: Final = 4096
_SMALLEST_DIRECT: Final = 1 << 20

_CLASSES: Final[dict[int, type[ResourceError]]] = {
    errno.ENOENT: FileMissing,
    errno.ENOSPC: OutOfSpace,
    errno.EDQUOT: OutOfSpace,
    errno.EFBIG: OutOfSpace,
    errno.EACCES: Denied,
    errno.EPERM: Denied,
    errno.EROFS: Denied,
    errno.EEXIST: PlaceTaken,
    errno.EISDIR: PlaceTaken,
    errno.ENOTDIR: PlaceTaken,
    errno.ENOTEMPTY: PlaceTaken,
    errno.ELOOP: PlaceTaken,
    errno.ESTALE: TransientResourceError,
    errno.EIO: TransientResourceError,
    errno.EINTR: TransientResourceError,
    errno.EAGAIN: TransientResourceError,
}


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn an OSError into the class that says what the caller can do about it."""
    try:
        yield
    except OSError as error:
        kind = _CLASSES.get(error.errno or 0, PermanentResourceError)
        raise kind(f"{what}: {os.strerror(error.errno or 0)}") from error


class DiskFile:
    """An open file of a disk vault, for reading and, in the staging area, for writing."""

    __slots__ = (
        "_descriptor",
        "_direct",
        "_direct_refused",
        "_folder_descriptor",
        "_fresh",
        "_name",
        "_room_taken",
    )

    def __init__(
        self, descriptor: int, name: str, folder_descriptor: int | None = None, *, room_taken: bool = False, direct: int = -1,
    ) -> None:  # fmt: skip
        self._descriptor = descriptor
        self._name = name
        self._folder_descriptor = folder_descriptor
        self._room_taken = room_taken
        self._direct = direct
        self._direct_refused = False
        self._fresh = 0

    @property
    def is_direct(self) -> bool:
        """Whether whole blocks go past the page cache."""
        return self._direct >= 0 and not self._direct_refused

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> int:
        view = memoryview(data)
        try:
            done = self._write_direct(view, offset) if self.is_direct else 0
            fresh = len(view) - done
            while done < len(view):
                done += os.pwrite(self._descriptor, view[done:], offset + done)
        except OSError as error:
            kind = _CLASSES.get(error.errno or 0, PermanentResourceError)
            raise kind(f"writing `{self._name}`: {os.strerror(error.errno or 0)}") from error
        self._fresh += fresh
        if self._fresh >= WRITE_BACK_BYTES:
            self._fresh = 0
            write_back(self._descriptor)
        return done

    def make_room(self, size_bytes: int) -> None:
        """Say that a library is going to let the file grow to so many bytes through its path.

        Raises:
            OutOfSpace: there is no room.
        """

    def _write_direct(self, view: memoryview, offset: int) -> int:
        """Write whole blocks past the page cache; returns how much that was, 0 where this is no case for it."""
        whole = len(view) - len(view) % _BLOCK
        if whole < _SMALLEST_DIRECT or offset % _BLOCK:
            return 0
        done = 0
        try:
            while done < whole:
                done += os.pwrite(self._direct, view[done:whole], offset + done)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # the buffer does not begin at a block, or the file system wants larger ones; the descriptor stays, another write may use it
            self._direct_refused = True
        return done

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> int:
        with translated(f"reading `{self._name}`"):
            view = memoryview(buffer)
            done = 0
            while done < len(view):
                count = os.preadv(self._descriptor, [view[done:]], offset + done)
                if count == 0:
                    break
                done += count
            return done

    def size(self) -> int:
        with translated(f"looking at `{self._name}`"):
            return os.fstat(self._descriptor).st_size

    def truncate(self, size_bytes: int) -> None:
        with translated(f"truncating `{self._name}`"):
            os.ftruncate(self._descriptor, size_bytes)

    def sync(self) -> None:
        with translated(f"syncing `{self._name}`"):
            if self._room_taken:
                os.ftruncate(
                    self._descriptor, os.fstat(self._descriptor).st_size
                )  # what is left of it goes back
            os.fsync(self._descriptor)
            if self._folder_descriptor is not None:
                os.fsync(self._folder_descriptor)

    def descriptor(self) -> int | None:
        return self._descriptor

    def close(self) -> None:
        if self._direct >= 0:
            os.close(self._direct)
            self._direct = -1
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
