"""The bytes of cartridges: containers that are only ever added to, each with an index of what it holds.

    LIBRARY/A00001/capacity           its size in bytes
    LIBRARY/A00001/000001.data        a container: files one after another
    LIBRARY/A00001/000001.index       JSON lines, one for each file, synced after the data

A container without an index was cut off while it was written; the next one takes its place, as on a tape. Positions
are those of the tape: containers lie behind each other. The folder alone is enough to rebuild what the library holds.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from resources.errors import Denied, FileMissing, OutOfSpace, PermanentResourceError, PlaceTaken

BLOCK_BYTES: Final = 1 << 20
_LABEL: Final = re.compile(r"[A-Z0-9]{1,8}")


class BadBlock(PermanentResourceError):
    """A part of the tape cannot be read any more."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file on a cartridge.

    Attributes:
        file_id: what the library calls it.
        name: the logical path it had when it was written, for who rebuilds.
        cartridge: label.
        container: number, from 1.
        offset: within the container's data.
        start: byte position on the tape.
        size: in bytes.
        digest: SHA-256, hexadecimal.
    """

    file_id: str
    name: str
    cartridge: str
    container: int
    offset: int
    start: int
    size: int
    digest: str


class Source(Protocol):
    """Bytes to be written."""

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> int: ...


class Media:
    """All cartridges of a library, as folders."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    @property
    def folder(self) -> str:
        return str(self._folder)

    def labels(self) -> list[str]:
        """The cartridges that are there."""
        if not self._folder.is_dir():
            return []
        return sorted(entry.name for entry in self._folder.iterdir() if (entry / "capacity").exists())

    def add(self, label: str, capacity_bytes: int) -> None:
        """Put an empty cartridge into the library.

        Raises:
            PlaceTaken: there is one of that label, or the label is none.
        """
        if not _LABEL.fullmatch(label):
            raise PlaceTaken(f"`{label}` is no label; up to eight capital letters and digits were expected")
        folder = self._folder / label
        if folder.exists():
            raise PlaceTaken(f"there is a cartridge `{label}`")
        part = self._folder / f"{label}.part"
        part.mkdir(parents=True, exist_ok=True)
        (part / "capacity").write_text(f"{capacity_bytes}\n")
        part.rename(folder)
        _sync_folder(self._folder)

    def _cartridge(self, label: str) -> Path:
        folder = self._folder / label
        if not folder.is_dir():
            raise FileMissing(f"the cartridge `{label}` is not in the library")
        return folder

    def capacity(self, label: str) -> int:
        return int((self._cartridge(label) / "capacity").read_text())

    def used(self, label: str) -> int:
        """The position behind the last container."""
        return sum(self._data(label, number).stat().st_size for number in self.containers(label))

    def containers(self, label: str) -> list[int]:
        """The numbers of the whole containers, in their order on the tape."""
        return sorted(int(file.stem) for file in self._cartridge(label).glob("*.index"))

    def _data(self, label: str, number: int) -> Path:
        return self._cartridge(label) / f"{number:06d}.data"

    def append(self, label: str, files: Iterable[tuple[str, str, Source, int]]) -> list[Entry]:
        """Write one container behind the last; what was cut off before is overwritten. All of it or nothing.

        Args:
            label: of the cartridge.
            files: (file id, name, source, size) of each.

        Raises:
            OutOfSpace: the cartridge has no room for all of it.
            PermanentResourceError: a source has not as many bytes as it said.
        """
        folder, done = self._cartridge(label), self.containers(label)
        number = done[-1] + 1 if done else 1
        begin, room = self.used(label), self.capacity(label) - self.used(label)
        entries: list[Entry] = []
        buffer = memoryview(bytearray(BLOCK_BYTES))
        offset = 0
        with (folder / f"{number:06d}.data").open("wb") as data:
            for file_id, name, source, size in files:
                if offset + size > room:
                    raise OutOfSpace(f"`{label}` has {room - offset} bytes left; {size} are wanted")
                digest = hashlib.sha256()
                at = 0
                while at < size and (count := source.read_into(buffer[: min(BLOCK_BYTES, size - at)], at)):
                    data.write(buffer[:count])
                    digest.update(buffer[:count])
                    at += count
                if at != size:
                    raise PermanentResourceError(f"`{name}` has {at} bytes; {size} were expected")
                entries.append(
                    Entry(file_id, name, label, number, offset, begin + offset, size, digest.hexdigest())
                )
                offset += size
            data.flush()
            os.fsync(data.fileno())
        self._write_index(folder, number, entries)
        return entries

    def _write_index(self, folder: Path, number: int, entries: list[Entry]) -> None:
        part = folder / f"{number:06d}.part"
        with part.open("w", encoding="utf-8", errors="surrogateescape") as index:
            for entry in entries:
                line = {"file": entry.file_id, "name": entry.name, "offset": entry.offset, "size": entry.size,
                        "sha256": entry.digest}  # fmt: skip
                index.write(json.dumps(line) + "\n")
            index.flush()
            os.fsync(index.fileno())
        part.rename(folder / f"{number:06d}.index")
        _sync_folder(folder)

    def index(self, label: str) -> Iterator[Entry]:
        """Everything that was ever written to a cartridge, in its order on the tape."""
        begin = 0
        for number in self.containers(label):
            lines = (self._cartridge(label) / f"{number:06d}.index").read_text("utf-8", "surrogateescape")
            for line in lines.splitlines():
                found = json.loads(line)
                yield Entry(
                    found["file"], found["name"], label, number, found["offset"], begin + found["offset"],
                    found["size"], found["sha256"],
                )  # fmt: skip
            begin += self._data(label, number).stat().st_size

    def read(self, entry: Entry, bad_blocks: Iterable[int] = ()) -> Iterator[memoryview]:
        """A file's bytes, a block at a time; the same buffer again and again.

        Args:
            entry: the file.
            bad_blocks: positions that cannot be read.

        Raises:
            BadBlock: one of them lies in the file.
            FileMissing: the cartridge or the container is not there.
        """
        for position in bad_blocks:
            if entry.start <= position < entry.start + entry.size:
                raise BadBlock(f"bad block at position {position} of `{entry.cartridge}`")
        buffer = memoryview(bytearray(BLOCK_BYTES))
        try:
            with self._data(entry.cartridge, entry.container).open("rb", buffering=0) as data:
                data.seek(entry.offset)
                left = entry.size
                while left:
                    count = data.readinto(buffer[: min(BLOCK_BYTES, left)])
                    if not count:
                        raise BadBlock(f"`{entry.cartridge}` ends in the middle of `{entry.file_id}`")
                    yield buffer[:count]
                    left -= count
        except FileNotFoundError:
            raise FileMissing(f"container {entry.container} of `{entry.cartridge}` is gone") from None

    def is_whole(self, entry: Entry, bad_blocks: Iterable[int] = ()) -> bool:
        """Whether a file can be read and has the digest that its index says."""
        digest = hashlib.sha256()
        try:
            for block in self.read(entry, bad_blocks):
                digest.update(block)
        except (BadBlock, FileMissing):
            return False
        return digest.hexdigest() == entry.digest

    def erase(self, label: str) -> None:
        """Make a cartridge empty, after everything on it was written elsewhere.

        Raises:
            Denied: it cannot be removed.
        """
        folder = self._cartridge(label)
        try:
            for file in sorted(folder.glob("*.index")) + sorted(folder.glob("*.data")):
                file.unlink()
        except OSError as error:
            raise Denied(f"`{label}` cannot be erased: {error.strerror}") from error
        _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rewrite(folder: str, label: str, entries: Sequence[Entry]) -> list[Entry]:
    """Write files of a library's cartridges to another one, as one container: the reading and writing part of a repack.

    Knows nothing but the folder, so that it can be carried out beside the storage.

    Raises:
        OutOfSpace, BadBlock, FileMissing: nothing was written that counts.
    """
    media = Media(folder)
    return media.append(label, [(e.file_id, e.name, _OnTape(media, e), e.size) for e in entries])


class _OnTape:
    """A file on a cartridge as a source: read in order, as a drive reads."""

    def __init__(self, media: Media, entry: Entry) -> None:
        self._blocks = media.read(entry)
        self._left = memoryview(b"")

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> int:
        if not self._left:
            self._left = next(self._blocks, memoryview(b""))
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
