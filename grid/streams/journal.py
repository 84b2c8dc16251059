"""What was decided about each frame, and the notes that were signed meanwhile: small files beside the spool, from which a stream is taken up again.

The beginning of the series and its end have files of their own, which are there as a whole or not at all.

A frame has 48 bytes: its number (8), what became of it (1), zeros (7), its leaf (32), big-endian. A frame that is there twice is what the last one says. Notes
are lines of JSON: the note, and the frames that are in it as first and last. What cannot be decoded has its number (8), the length of its bytes (8), and these.
"""

import json
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import numpy
from numpy.typing import NDArray

from grid.streams.frame_numbers import FrameNumbers
from grid.streams.messages import MOST_FRAMES
from grid.streams.received import Received, read
from grid.streams.spool import Spooled, replay
from provenance.notes import Note, decoded

_ENTRY: Final = struct.Struct(">QB7x32s")
_DAMAGED: Final = struct.Struct(">QQ")
_ENTRIES: Final = numpy.dtype([("number", ">u8"), ("fate", "u1"), ("zeros", "u1", 7), ("leaf", "u1", 32)])
READ_ENTRIES: Final = 65_536
FRAMES_FILE: Final = "frames"
NOTES_FILE: Final = "notes"
DAMAGED_FILE: Final = "damaged"
BEGINNING_FILE: Final = "beginning"
END_FILE: Final = "end"


class Fate(IntEnum):
    """What became of a frame."""

    MISSING = 0
    STORED = 1
    VETOED = 2
    DAMAGED = 3
    DROPPED = 4


MEANING: Final = {
    Fate.MISSING: "never came", Fate.STORED: "stored", Fate.VETOED: "dropped by a veto", Fate.DAMAGED: "came, and cannot be decoded",
    Fate.DROPPED: "dropped because the kernels were too slow",
}  # fmt: skip


COUNTED: Final = {
    Fate.STORED: "kept",
    Fate.VETOED: "vetoed",
    Fate.DAMAGED: "damaged",
    Fate.DROPPED: "dropped",
}
"""The figure that counts the frames that something became of."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One frame."""

    number: int
    fate: Fate
    leaf: bytes


class Journal:
    """The files of one stream.

    Args:
        folder: that of its spool.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._frames = _open(folder / FRAMES_FILE, _ENTRY.size)
        self._notes = _open(folder / NOTES_FILE, 1)
        self._damaged = -1

    def add(self, entries: Iterable[Entry]) -> None:
        """Note frames; `sync` puts them on stable storage."""
        _append(self._frames, b"".join(_ENTRY.pack(one.number, one.fate, one.leaf) for one in entries))

    def add_note(self, note: str, frames: list[tuple[int, int]]) -> None:
        _append(self._notes, json.dumps({"note": note, "frames": frames}).encode() + b"\n")

    def add_damaged(self, number: int, data: bytes) -> None:
        """Keep the bytes of a frame that cannot be decoded, which no file will hold."""
        if self._damaged < 0:
            path = self._folder / DAMAGED_FILE
            self._damaged = _open(path, 0)
            os.ftruncate(self._damaged, max((end for _, _, end in _damaged(path)), default=0))
        _append(self._damaged, _DAMAGED.pack(number, len(data)) + data)

    def begin(self, received: Received) -> None:
        """Keep the beginning of the series."""
        lengths = [len(part) for part in received.parts]
        head = json.dumps([received.format, lengths]).encode() + b"\n"
        _whole(self._folder / BEGINNING_FILE, head + b"".join(bytes(part) for part in received.parts))

    def end(self, reason: str) -> None:
        """Note that nothing more is taken in, and why where that is not its own end."""
        _whole(self._folder / END_FILE, json.dumps({"reason": reason}).encode())

    def sync(self) -> None:
        """Return once everything is on stable storage."""
        for file in self._opened():
            os.fdatasync(file)

    def close(self) -> None:
        for file in self._opened():
            os.close(file)

    def _opened(self) -> list[int]:
        return [file for file in (self._frames, self._notes, self._damaged) if file >= 0]


def _open(path: Path, size: int) -> int:
    """A file to append to; a last entry that is not whole is cut off."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    length = os.fstat(file).st_size
    if size and length % size:
        os.ftruncate(file, length - length % size)
    if size == 1 and length:
        data = path.read_bytes()
        os.ftruncate(file, data.rfind(b"\n") + 1)
    return file


def _append(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _whole(path: Path, data: bytes) -> None:
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


@dataclass(frozen=True, slots=True)
class Left:
    """What an earlier gateway left of a stream.

    Attributes:
        folder: of the stream.
        stream_id: of the stream.
    """

    folder: Path
    stream_id: str

    @property
    def beginning(self) -> Received | None:
        """Of the series; None where it did not begin."""
        path = self.folder / BEGINNING_FILE
        if not path.exists():
            return None
        head, _, body = path.read_bytes().partition(b"\n")
        form, lengths = json.loads(head)
        parts, place = [], 0
        for length in lengths:
            parts.append(memoryview(body)[place : place + length])
            place += length
        return read(form, parts, None)

    @property
    def end(self) -> str | None:
        """Why nothing more is taken in, empty for its own end; None where more may come."""
        path = self.folder / END_FILE
        return str(json.loads(path.read_bytes())["reason"]) if path.exists() else None

    @property
    def spooled(self) -> Iterator[Spooled]:
        """The records of its spool, in order."""
        return replay(self.folder, self.stream_id)

    @property
    def fates(self) -> NDArray[Any]:
        """What became of the frames that were decided about, by number; 0 for the others."""
        found = numpy.zeros(0, numpy.uint8)
        for some in entries(self.folder):
            most = int(some["number"].max()) + 1
            if most > len(found):
                found = numpy.concatenate([found, numpy.zeros(most - len(found), numpy.uint8)])
            found[some["number"]] = some["fate"]
        return found

    @property
    def signed(self) -> FrameNumbers:
        """The frames that are in notes."""
        found = FrameNumbers()
        for one in notes(self.folder):
            for first, last in one["frames"]:
                found.add(first, last)
        return found

    @property
    def last_note(self) -> Note | None:
        """The last note that was signed."""
        found = notes(self.folder)
        return decoded(found[-1]["note"]) if found else None


def entries(folder: Path) -> Iterator[NDArray[Any]]:
    """The frames that were noted, in the order of the file: `number`, `fate` and `leaf` (32 bytes) of some thousands at a time.

    What a crash left half written is none, and is left out.
    """
    path = folder / FRAMES_FILE
    if not path.exists():
        return
    with path.open("rb") as file:
        while data := file.read(READ_ENTRIES * _ENTRY.size):
            found = numpy.frombuffer(data, _ENTRIES, len(data) // _ENTRY.size)
            whole = found["leaf"].any(axis=1) & (found["fate"] <= max(Fate)) & (found["number"] < MOST_FRAMES)
            if whole.any():
                yield found[whole]


def damaged(folder: Path) -> Iterator[tuple[int, bytes]]:
    """The frames that cannot be decoded, and their bytes, one at a time; one that is there twice is the same."""
    path = folder / DAMAGED_FILE
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, begin, end in _damaged(path):
            file.seek(begin)
            yield number, file.read(end - begin)


def _damaged(path: Path) -> Iterator[tuple[int, int, int]]:
    """(number, begin, end) of the bytes of every frame that is there as a whole."""
    size, place = path.stat().st_size, 0
    with path.open("rb") as file:
        while place + _DAMAGED.size <= size:
            file.seek(place)
            number, length = _DAMAGED.unpack(file.read(_DAMAGED.size))
            begin, place = place + _DAMAGED.size, place + _DAMAGED.size + length
            if place > size:
                return
            yield number, begin, place


def notes(folder: Path) -> list[dict[str, Any]]:
    """The notes that were signed, with their frames."""
    data = (folder / NOTES_FILE).read_bytes() if (folder / NOTES_FILE).exists() else b""
    return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]


def ranges(numbers: Sequence[int] | NDArray[Any]) -> list[tuple[int, int]]:
    """Numbers as first and last of runs."""
    order = numpy.unique(numpy.asarray(numbers, numpy.int64))
    breaks = numpy.flatnonzero(numpy.diff(order) != 1)
    firsts, lasts = numpy.append(0, breaks + 1), numpy.append(breaks, len(order) - 1)
    return list(zip(order[firsts].tolist(), order[lasts].tolist(), strict=True)) if len(order) else []
