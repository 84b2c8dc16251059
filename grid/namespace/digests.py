"""Digests of bytes as they pass, and how they are written.

A tap gets (offset, buffer) of every write. While writes follow each other without gap or overlap it carries the
digest on; once they do not, it is broken and the file is read again at close, once.

Source: `irods::hasher`, iRODS 5.0.2: `sha2:` and `sha512:` with base64, `adler32:` and MD5 in hexadecimal.
"""

import base64
import hashlib
import threading
import zlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, Protocol

from grid.codes import Status
from grid.errors import InvalidArgument
from resources import StagedFile, StoredFile
from resources.aligned import aligned_buffer

_CHUNK_BYTES: Final = 4 << 20
_INLINE_BYTES: Final = 256 << 10
_HASHING: Final = ThreadPoolExecutor(max_workers=16, thread_name_prefix="hash")


class _Hash(Protocol):
    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...

    def hexdigest(self) -> str: ...


class _Adler32:
    def __init__(self) -> None:
        self._value = 1

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        self._value = zlib.adler32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


SCHEMES: Final = ("sha2", "sha512", "sha1", "md5", "adler32")


def _new(scheme: str) -> _Hash:
    if scheme == "sha2":
        return hashlib.sha256()
    if scheme == "sha512":
        return hashlib.sha512()
    if scheme == "sha1":
        return hashlib.sha1(usedforsecurity=False)
    if scheme == "md5":
        return hashlib.md5(usedforsecurity=False)
    if scheme == "adler32":
        return _Adler32()
    raise InvalidArgument(
        f"`{scheme}` is no checksum scheme; known are {', '.join(SCHEMES)}",
        status=Status.USER_HASH_TYPE_MISMATCH,
    )


def _written(scheme: str, state: _Hash) -> str:
    return from_hex(scheme, state.hexdigest())


ALGORITHMS: Final = {"sha2": "sha256", "sha512": "sha512", "sha1": "sha1", "md5": "md5", "adler32": "adler32"}
"""Scheme to the algorithm by its usual name."""


def from_hex(scheme: str, digest: str) -> str:
    """A checksum as it is written, from a digest's hexadecimal digits."""
    if scheme == "md5":
        return digest
    if scheme == "adler32":
        return f"adler32:{digest}"
    return f"{scheme}:{base64.b64encode(bytes.fromhex(digest)).decode('ascii')}"


def scheme_of(checksum: str) -> str:
    """The scheme that made a checksum, by how it is written."""
    head, colon, _ = checksum.partition(":")
    return head if colon else "md5"


def of_bytes(data: bytes | bytearray | memoryview, scheme: str = "sha2") -> str:
    """The checksum of a buffer."""
    state = _new(scheme)
    state.update(data)
    return _written(scheme, state)


def of_file(file: StagedFile | StoredFile, scheme: str = "sha2") -> str:
    """The checksum of a file, read from its beginning."""
    state = _new(scheme)
    buffer = aligned_buffer(_CHUNK_BYTES)
    offset = 0
    while True:
        count = file.read_into(buffer, offset)
        if count == 0:
            return _written(scheme, state)
        state.update(buffer[:count])
        offset += count


def beside(work: Callable[..., None], *arguments: Any) -> Future[None]:
    """Have another thread compute a digest."""
    return _HASHING.submit(work, *arguments)


class DigestTap:
    """Carries a digest along a sequence of writes; large buffers are hashed beside the writing, by one thread at a time."""

    __slots__ = ("_lock", "_pending", "_position", "_running", "_state", "_waiting", "broken", "scheme")

    def __init__(self, scheme: str = "sha2") -> None:
        self.scheme = scheme
        self.broken = False
        self._state = _new(scheme)
        self._position = 0
        self._pending: Future[None] | None = None
        self._waiting: deque[tuple[bytes | bytearray | memoryview, Future[None]]] = deque()
        self._running = False
        self._lock = threading.Lock()

    def see(self, offset: int, data: bytes | bytearray | memoryview) -> Future[None] | None:
        """Take note of a write; returns what to wait for before the buffer is used again, None where it was hashed already."""
        if self.broken:
            return None
        if offset != self._position:
            self.broken = True
            return None
        self._position += len(data)
        if len(data) < _INLINE_BYTES:
            self.settle()
            self._state.update(data)
            return None
        self._pending = Future()
        with self._lock:
            self._waiting.append((data, self._pending))
            begin, self._running = not self._running, True
        if begin:
            _HASHING.submit(self._hash_waiting)
        return self._pending

    def _hash_waiting(self) -> None:
        """Hash what waits, in order; who comes later finds this thread at work and need not wake another."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._running = False
                    return
                data, done = self._waiting.popleft()
            try:
                self._state.update(data)
            except BaseException as error:
                done.set_exception(error)
            else:
                done.set_result(None)

    def settle(self) -> None:
        """Return once no buffer is being read any more."""
        if self._pending is not None:
            self._pending.result()
            self._pending = None

    def result(self, size_bytes: int) -> str | None:
        """The checksum, when every byte of a file of this size was seen in order."""
        self.settle()
        if self.broken or self._position != size_bytes:
            return None
        return _written(self.scheme, self._state)
