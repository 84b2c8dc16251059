"""A storage resource in front of a tape library: files arrive on its disk, leave for cartridges, and come back when asked.

    VAULT/home/anna/scan.h5                   the file; or, once it is on tape, a stub: a link to `tape:FILE:SIZE`
    VAULT/.beamgrid/recalled/FILE             what came back
    VAULT/.beamgrid/removed/N                 stubs of files that were removed or replaced: the library forgets these

A stub is a symbolic link, which no file of a user can be (a vault's driver makes files and folders only), and which
renames and removals carry along like any file.
"""

import hashlib
import os
import re
import secrets
import stat as stat_module
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from resources.disk import DiskDriver
from resources.disk_file import DiskFile, translated
from resources.errors import FileMissing, PlaceTaken, ResourceError
from resources.protocol import RESERVED, Stat, VaultPath
from resources.tape.media import BadBlock, Entry, Source
from resources.tape.state import Landed

_STUB: Final = re.compile(r"tape:([^:]+):(\d+)")


def _nobody(file_id: str) -> None:
    return None


class NotResident(ResourceError):
    """The bytes are on tape, not on disk: they have to be asked for.

    Attributes:
        file_id: what the library calls the file.
    """

    retry = True

    def __init__(self, message: str, file_id: str) -> None:
        super().__init__(message)
        self.file_id = file_id

    def __reduce__(self) -> tuple[type["NotResident"], tuple[str, str]]:
        return NotResident, (str(self), self.file_id)  # it may come from another process


@dataclass(frozen=True, slots=True)
class Residency:
    """Where a file's bytes are: on disk, on tape, or both. `file_id` is empty while it is on no cartridge."""

    on_disk: bool
    file_id: str

    @property
    def on_tape(self) -> bool:
        return bool(self.file_id)


class TapeDriver(DiskDriver):
    """The files of one vault in front of a library, and the shelf of that library.

    Args:
        vault: the folder, absolute.
        resource_id: what its marker has to say.
        recalled_bytes: how much of what came back is kept.

    Attributes:
        on_evict: told of each recalled file that leaves the disk to make room.
    """

    def __init__(self, vault: str, resource_id: int, *, recalled_bytes: int = 1 << 40) -> None:
        super().__init__(vault, resource_id)
        self._recalled_bytes = recalled_bytes
        self._recalled = Path(vault) / RESERVED / "recalled"
        self._removed = Path(vault) / RESERVED / "removed"
        self.on_evict: Callable[[str], None] = _nobody

    @classmethod
    def create(cls, vault: str, resource_id: int) -> "TapeDriver":
        DiskDriver.create(vault, resource_id)
        made = cls(vault, resource_id)
        with translated(f"making the vault `{vault}`"):
            made._recalled.mkdir(exist_ok=True)
            made._removed.mkdir(exist_ok=True)
        return made

    def retire(self) -> None:
        with translated(f"retiring the vault `{self._vault}`"):
            for folder in (self._recalled, self._removed):
                if folder.is_dir():
                    for entry in folder.iterdir():
                        entry.unlink()
                    folder.rmdir()
        super().retire()

    # -- what a driver does ----------------------------------------------------------------------------------

    def _stub(self, place: VaultPath) -> tuple[str, int] | None:
        """The file and its size that a stub stands for; None when there is no stub.

        Raises:
            FileMissing: nothing is at the place.
        """
        with (
            translated(f"looking at `{place.text}` in `{self._vault}`"),
            self._folder(place.components[:-1], make=False) as folder,
        ):
            facts = os.stat(place.components[-1], dir_fd=folder, follow_symlinks=False)
            if not stat_module.S_ISLNK(facts.st_mode):
                return None
            found = _STUB.fullmatch(os.readlink(place.components[-1], dir_fd=folder))
        if found is None:
            raise PlaceTaken(f"`{place.text}` is a link that this library did not make")
        return found[1], int(found[2])

    def residency(self, place: VaultPath) -> Residency:
        """Where the bytes of a placed file are.

        Raises:
            FileMissing: there is none.
        """
        stub = self._stub(place)
        if stub is None:
            return Residency(True, "")
        return Residency(self.holds(stub[0]), stub[0])

    def open(self, place: VaultPath) -> DiskFile:
        stub = self._stub(place)
        return super().open(place) if stub is None else self._open_recalled(place.text, stub[0])

    def _open_recalled(self, name: str, file_id: str) -> DiskFile:
        path = self._recalled / file_id
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotResident(f"`{name}` is on tape", file_id) from None
        with suppress(OSError):
            os.utime(path)  # the least lately used goes first
        return DiskFile(descriptor, name)

    def stat(self, place: VaultPath) -> Stat:
        stub = self._stub(place)
        if stub is None:
            return super().stat(place)
        with (
            translated(f"looking at `{place.text}` in `{self._vault}`"),
            self._folder(place.components[:-1], make=False) as folder,
        ):
            return Stat(stub[1], os.stat(place.components[-1], dir_fd=folder, follow_symlinks=False).st_mtime)

    def stage_copy(self, source: VaultPath | str, name: str) -> DiskFile:
        if isinstance(source, VaultPath) and (stub := self._stub(source)) is not None:
            return self._stage_copy_of(self._open_recalled(source.text, stub[0]), name)
        return super().stage_copy(source, name)

    def place(self, name: str, place: VaultPath) -> None:
        try:
            self.open_staged_for_reading(name).close()
        except FileMissing:
            if self._stub(place) is not None:
                return  # placed already, and on tape since
        else:
            with suppress(FileMissing):
                self._put_aside(place)
        super().place(name, place)

    def unlink(self, place: VaultPath) -> None:
        with suppress(FileMissing):
            self._put_aside(place)
        super().unlink(place)

    def _put_aside(self, place: VaultPath) -> None:
        """Remember a stub that is about to go, so that the library forgets the file."""
        if self._stub(place) is None:
            return
        with (
            translated(f"removing `{place.text}` from `{self._vault}`"),
            self._folder(place.components[:-1], make=False) as folder,
        ):
            os.link(
                place.components[-1],
                self._removed / secrets.token_hex(8),
                src_dir_fd=folder,
                follow_symlinks=False,
            )

    # -- the shelf -------------------------------------------------------------------------------------------

    def open_landed(self, landed: Landed) -> Source:
        return super().open(VaultPath.of(landed.place))

    def swap(self, landed: Landed, entry: Entry) -> bool:
        """Leave a stub where a file was, if it is still the file that was written; one that is there already is success."""
        place = VaultPath.of(landed.place)
        try:
            stub = self._stub(place)
            if stub is not None:
                return stub[0] == entry.file_id
            if super().stat(place).size_bytes != entry.size:
                return False
        except FileMissing:
            return False
        name = secrets.token_hex(8)
        with (
            translated(f"leaving a stub at `{place.text}` in `{self._vault}`"),
            self._folder(place.components[:-1], make=False) as folder,
        ):
            self._open_root()
            os.symlink(f"tape:{entry.file_id}:{entry.size}", name, dir_fd=self._staging)
            os.rename(name, place.components[-1], src_dir_fd=self._staging, dst_dir_fd=folder)
            os.fsync(folder)
        return True

    def receive(self, entry: Entry, blocks: Iterator[memoryview]) -> None:
        part = self._recalled / f"{entry.file_id}.part"
        digest = hashlib.sha256()
        try:
            with translated(f"keeping the recalled `{entry.file_id}`"), part.open("wb") as file:
                for block in blocks:
                    file.write(block)
                    digest.update(block)
                file.flush()
                os.fsync(file.fileno())
            if digest.hexdigest() != entry.digest:
                raise BadBlock(f"`{entry.file_id}` on `{entry.cartridge}` is not what was written")
            part.rename(self._recalled / entry.file_id)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def holds(self, file_id: str) -> bool:
        return (self._recalled / file_id).exists()

    def make_room(self, size: int, is_pinned: Callable[[str], bool]) -> bool:
        files = sorted(
            (entry for entry in os.scandir(self._recalled) if entry.is_file()),
            key=lambda e: e.stat().st_mtime,
        )
        held = sum(entry.stat().st_size for entry in files)
        for entry in files:
            if held + size <= self._recalled_bytes:
                break
            if not is_pinned(entry.name):
                held -= entry.stat().st_size
                os.unlink(entry.path)
                self.on_evict(entry.name)
        return held + size <= self._recalled_bytes

    def evict(self, file_id: str) -> None:
        """Let a recalled file go; absent is success."""
        (self._recalled / file_id).unlink(missing_ok=True)

    def removed(self, forget: Callable[[list[str]], None]) -> None:
        markers = list(os.scandir(self._removed))
        stubs = [_STUB.fullmatch(os.readlink(marker.path)) for marker in markers]
        files = [stub[1] for stub in stubs if stub is not None]
        if files:
            forget(files)
        for file_id in files:
            self.evict(file_id)
        for marker in markers:
            os.unlink(marker.path)


__all__ = ["NotResident", "Residency", "TapeDriver"]
