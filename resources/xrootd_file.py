"""An open file on an XRootD server, and what its client and its errors mean.

The client is imported when the first driver is used, not before: its threads do not survive a fork.

Source: the XRootD protocol's error numbers (`XProtocol.hh`, XRootD 5.5).
"""

import threading
from functools import partial
from typing import Any, Final

from resources.errors import (
    Denied,
    FileMissing,
    InvalidVaultPath,
    Offline,
    OutOfSpace,
    PermanentResourceError,
    PlaceTaken,
    ResourceError,
    TransientResourceError,
)
from resources.read_ahead import FROM_BYTES, Answered, ReadAhead

TIMEOUT_S: Final = 30
PIECE_BYTES: Final = 8 << 20
_UNDER_WAY: Final = 4
_SERVER_SAID: Final = 400  # XrdCl's status for an error that came from the server
_ERRORS: Final[dict[int, type[ResourceError]]] = {
    3005: TransientResourceError,  # kXR_FSError
    3006: InvalidVaultPath,  # kXR_InvalidRequest
    3008: OutOfSpace,  # kXR_NoMemory
    3009: OutOfSpace,  # kXR_NoSpace
    3010: Denied,  # kXR_NotAuthorized
    3011: FileMissing,  # kXR_NotFound
    3014: PlaceTaken,  # kXR_inProgress
    3015: PlaceTaken,  # kXR_isDirectory
    3018: PlaceTaken,  # kXR_ItExists
    3022: Offline,  # kXR_noserver
    3025: Denied,  # kXR_fsReadOnly
    3031: Denied,  # kXR_AuthFailed
    3035: TransientResourceError,  # kXR_TimerExpired
}
_NO_CHECKSUMS: Final = frozenset({3013, 3020})  # kXR_Unsupported, kXR_ChkSumErr


def client() -> Any:
    """The XRootD client.

    Raises:
        Offline: it is not installed.
    """
    try:
        from XRootD import client as imported
    except ImportError as error:
        raise Offline(
            "the XRootD client is not installed; install it: pip install 'beamgrid[xrootd]'"
        ) from error
    for name, value in (
        ("ConnectionWindow", 5),
        ("ConnectionRetry", 1),
        ("StreamErrorWindow", 1),
        ("RequestTimeout", 60),
    ):
        imported.EnvPutInt(name, value)
    return imported


def require(status: Any, what: str) -> None:
    """Raise the class that says what a caller can do about a failed request."""
    if status.ok:
        return
    message = f"{what}: {str(status.message).strip()}"
    if "not a directory" in message.lower():
        raise PlaceTaken(message)
    if status.code == _SERVER_SAID:
        raise _ERRORS.get(int(status.errno), PermanentResourceError)(message)
    raise Offline(message)


def has_no_checksums(status: Any) -> bool:
    """Whether a server answered that it computes none."""
    return not status.ok and status.code == _SERVER_SAID and int(status.errno) in _NO_CHECKSUMS


class XrootdFile:
    """An open file on a server. Up to `_UNDER_WAY` writes are under way; what becomes of one is said by the next call."""

    def __init__(self, file: Any, name: str) -> None:
        self._file = file
        self._name = name
        self._open = True
        self._under_way = 0
        self._failed: Any = None
        self._changed = threading.Condition()
        self._size = -1
        self._ahead = ReadAhead(self._ask)

    def _ask(self, offset: int, count: int, answered: Answered) -> Any:
        return self._file.read(offset, count, timeout=TIMEOUT_S, callback=answered)

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> int:
        view = memoryview(data)
        self._ahead.forget()
        self._size = -1
        for begin in range(0, len(view), PIECE_BYTES):
            self._wait(_UNDER_WAY - 1)
            piece = bytes(view[begin : begin + PIECE_BYTES])
            with self._changed:
                self._under_way += 1
            status = self._file.write(
                piece, offset + begin, len(piece), timeout=TIMEOUT_S, callback=partial(self._written, piece)
            )
            if not status.ok:
                with self._changed:
                    self._under_way -= 1
                require(status, f"writing `{self._name}`")
        return len(view)

    def _written(self, _piece: bytes, status: Any, _response: Any, _hosts: Any) -> None:
        """A write is over; until now its bytes were held for the client, which does not do so itself."""
        with self._changed:
            self._under_way -= 1
            if not status.ok:
                self._failed = status
            self._changed.notify_all()

    def _wait(self, left: int) -> None:
        """Return once no more than so many writes are under way.

        Raises:
            ResourceError: as what one of them met.
        """
        with self._changed:
            while self._under_way > left:
                self._changed.wait()
            failed, self._failed = self._failed, None
        if failed is not None:
            require(failed, f"writing `{self._name}`")

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> int:
        self._wait(0)
        view = memoryview(buffer)
        done = 0
        while done < len(view):
            count = min(len(view) - done, PIECE_BYTES)
            status, piece = self._ahead.take(offset + done, count) or self._file.read(
                offset + done, count, timeout=TIMEOUT_S
            )
            require(status, f"reading `{self._name}`")
            if not piece:
                break
            view[done : done + len(piece)] = piece
            done += len(piece)
            if len(piece) == count and count >= FROM_BYTES:
                if self._size < 0:
                    self._size = self.size()
                self._ahead.went_on(offset + done, count, self._size)
        return done

    def size(self) -> int:
        self._wait(0)
        status, found = self._file.stat(force=True, timeout=TIMEOUT_S)
        require(status, f"looking at `{self._name}`")
        return int(found.size)

    def truncate(self, size_bytes: int) -> None:
        self._wait(0)
        self._ahead.forget()
        self._size = -1
        status, _ = self._file.truncate(size_bytes, timeout=TIMEOUT_S)
        require(status, f"truncating `{self._name}`")

    def sync(self) -> None:
        self._wait(0)
        status, _ = self._file.sync(timeout=TIMEOUT_S)
        require(status, f"syncing `{self._name}`")

    def descriptor(self) -> int | None:
        return None

    def close(self) -> None:
        if self._open:
            self._open = False
            with self._changed:
                while self._under_way:
                    self._changed.wait()
            self._ahead.forget()
            self._file.close(timeout=TIMEOUT_S)
