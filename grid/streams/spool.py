"""What came, on stable storage before anything else is made of it: append-only files of length-prefixed records.

    magic (4)  kind (1)  format (1)  parts (2)  check (4)  number (8)  length (8)  leaf (32)  zeros (4)      big-endian, 64 bytes
    the length of each part (8)
    the parts

`check` is the CRC-32 of what is no pixels; the pixels are those of the leaf. A segment is allocated in steps, and ends with its last whole record: what
follows was not synced, and counts as never come.
"""

import mmap
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy

from grid.streams.errors import MessageRefused
from grid.streams.messages import Image, Message, Start
from grid.streams.received import Received, leaf_of, read
from grid.streams.words import FORMATS

STEP: Final = 64 << 20
_HEAD: Final = struct.Struct(">4sBBHIQQ32sI")
_MAGIC: Final = b"BGsp"
_LENGTH: Final = struct.Struct(">Q")
_KINDS: Final[dict[type[Message], int]] = {Start: 1, Image: 2}
_NO_LEAF: Final = bytes(32)
MOST_PARTS: Final = 64

Room = Callable[[int], None]
"""Take so many bytes of the storage; raises where there are not so many. Below zero: give them back."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """A record that was read again."""

    segment: int
    received: Received
    leaf: bytes


class Spool:
    """The segments of one stream. Its methods are for one thread, but `sync`.

    Args:
        folder: only of this stream; made where it is not there.
        room: is asked before a segment grows.
        step: by how much; 0 for `STEP`.
    """

    def __init__(self, folder: Path, room: Room, step: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._room = room
        self._step = step or STEP
        self._file = -1
        self._place = self._allocated = 0
        self._using = threading.Lock()
        known = [number for number, _ in segments(folder)]
        self.segment = max(known, default=0)

    def begin(self) -> int:
        """Begin another segment; returns its number."""
        self.sync()
        self.close()
        self.segment += 1
        self._file = os.open(
            _path(self._folder, self.segment), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640
        )
        self._place = self._allocated = 0
        _sync_folder(self._folder)
        return self.segment

    def append(self, received: Received, leaf: bytes = _NO_LEAF) -> None:
        """Write a record; `sync` puts it on stable storage.

        Raises:
            OSError, OutOfSpace: there is no room; nothing counts as written.
        """
        message, parts = received.message, received.parts
        number = message.number if isinstance(message, Image) else 0
        lengths = b"".join(_LENGTH.pack(len(part)) for part in parts)
        total = _HEAD.size + len(lengths) + received.size_bytes
        head = _HEAD.pack(
            _MAGIC, _KINDS[type(message)], FORMATS.index(received.format), len(parts), _check(received), number, total, leaf, 0
        )  # fmt: skip
        while self._place + total + _HEAD.size > self._allocated:
            more = max(
                self._step,
                -(-(self._place + total + _HEAD.size - self._allocated) // self._step) * self._step,
            )
            self._room(more)
            try:
                os.posix_fallocate(self._file, self._allocated, more)
            except BaseException:
                self._room(-more)
                raise
            self._allocated += more
        _write_all(self._file, [head, lengths, *parts], self._place)
        self._place += total

    def sync(self) -> None:
        """Return once everything that was appended is on stable storage."""
        with self._using:
            if self._file >= 0:
                os.fdatasync(self._file)

    def drop(self, segment: int) -> None:
        """Remove a segment whose frames are safe elsewhere; the one that is written may be among them."""
        if segment == self.segment:
            self.close()
        path = _path(self._folder, segment)
        size = path.stat().st_size
        path.unlink()
        _sync_folder(self._folder)
        self._room(-size)

    def close(self) -> None:
        with self._using:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1


def segments(folder: Path) -> list[tuple[int, Path]]:
    """The segments of a spool, in order."""
    found = [path for path in folder.glob("segment-*") if path.name[8:].isdigit()]
    return sorted((int(path.name[8:]), path) for path in found)


def replay(folder: Path, stream_id: str) -> Iterator[Spooled]:
    """Every record that was written as a whole; those of a segment end with the first one that was not.

    Frames are views of the file: their memory is the kernel's.
    """
    start: Start | None = None
    for number, path in segments(folder):
        size = path.stat().st_size
        if not size:
            continue
        with path.open("rb") as file:
            view = memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
        place = 0
        while (found := _record(view, place, stream_id, start)) is not None:
            received, leaf, place = found
            if isinstance(received.message, Start):
                start = received.message
            yield Spooled(number, received, leaf)


def _record(
    view: memoryview, place: int, stream_id: str, start: Start | None
) -> tuple[Received, bytes, int] | None:
    """A record and where the next one begins; None where no whole one is."""
    if place + _HEAD.size > len(view):
        return None
    magic, kind, form, count, check, stated, total, leaf, zeros = _HEAD.unpack_from(view, place)
    begin = place + _HEAD.size + count * _LENGTH.size
    if (
        magic != _MAGIC
        or zeros
        or form >= len(FORMATS)
        or count > MOST_PARTS
        or not begin <= place + total <= len(view)
    ):
        return None
    parts, at = [], begin
    for number in range(count):
        (length,) = _LENGTH.unpack_from(view, place + _HEAD.size + number * _LENGTH.size)
        if at + length > place + total:
            return None
        parts.append(view[at : at + length])
        at += length
    try:
        received = read(FORMATS[form], parts, start)
    except MessageRefused:
        return None
    message = received.message
    if at != place + total or _KINDS.get(type(message)) != kind or _check(received) != check:
        return None
    if isinstance(message, Image):
        is_whole = stated == message.number and leaf_of(stream_id, message) == leaf
    else:
        is_whole = stated == 0 and leaf == _NO_LEAF
    return (received, leaf, at) if is_whole else None


def _check(received: Received) -> int:
    """Over everything but the pixels."""
    message = received.message
    pixels = (
        sorted(_span(one.data) for one in message.channels.values()) if isinstance(message, Image) else []
    )
    found = 0
    for part in received.parts:
        view = memoryview(part).cast("B")
        begin, end = _span(view)
        place = begin
        for first, last in pixels:
            if begin <= first and last <= end:
                found = zlib.crc32(view[place - begin : first - begin], found)
                place = last
        found = zlib.crc32(view[place - begin :], found)
    return found


def _span(view: memoryview) -> tuple[int, int]:
    """Where bytes lie in memory."""
    if not len(view):
        return 0, 0
    begin = int(numpy.frombuffer(view, numpy.uint8).__array_interface__["data"][0])
    return begin, begin + len(view)


def _write_all(file: int, pieces: list[Any], place: int) -> None:
    views = [memoryview(piece).cast("B") for piece in pieces]
    while views:
        count = os.pwritev(file, views[:1000], place)
        place += count
        while views and count >= len(views[0]):
            count -= len(views.pop(0))
        if views and count:
            views[0] = views[0][count:]


def _path(folder: Path, segment: int) -> Path:
    return folder / f"segment-{segment:06}"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
