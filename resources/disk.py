"""A vault on a POSIX file system, laid out by logical path.

    VAULT/.beamgrid/resource-id      the marker: which resource this vault belongs to
    VAULT/.beamgrid/staging/NAME     files on their way
    VAULT/.beamgrid/aside/NAME/      work that outlives its process, such as the spool of a stream
    VAULT/home/anna/scan.h5          files at their logical place

Every step below the vault is an `openat` with O_NOFOLLOW on the folder before it, so neither a name nor a
symbolic link somebody laid into the vault leads out of it. An unmounted file system leaves an empty mount point
without a marker, which is `Offline`, so nothing is ever written there.
"""

import os
import shutil
import stat as stat_module
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from resources.context import COMMON, Kind
from resources.disk_file import DIRECT_BYTES, DiskFile, translated
from resources.errors import (
    FileMissing,
    InvalidVaultPath,
    Offline,
    PlaceTaken,
)
from resources.layout import CONTEXT as LAYOUT
from resources.layout import Layout, set_stripes, take_room
from resources.protocol import RESERVED, Capabilities, Stat, VaultPath

CONTEXT: Final[dict[str, Kind]] = {**COMMON, **LAYOUT}
"""What the context string of a vault on a file system may say."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_NOFOLLOW | os.O_CLOEXEC
_COPY_CHUNK: Final = 64 << 20
ASIDE: Final = "aside"


class DiskDriver:
    """The files of one vault folder.

    Args:
        vault: the folder, absolute.
        resource_id: what its marker has to say.
        layout: what is asked of the file system.
    """

    capabilities = Capabilities(has_descriptors=True, survives_restart=True)

    def __init__(self, vault: str, resource_id: int, layout: Layout = Layout()) -> None:  # frozen
        self._vault = vault
        self._layout = layout
        self._marker = str(resource_id)
        self._root = -1
        self._staging = -1

    @classmethod
    def create(cls, vault: str, resource_id: int) -> "DiskDriver":
        """Make the folder a vault of this resource; one that is so already stays as it is.

        Raises:
            PlaceTaken: the folder is the vault of another resource.
        """
        own = Path(vault) / RESERVED
        with translated(f"making the vault `{vault}`"):
            (own / "staging").mkdir(parents=True, exist_ok=True)
            marker = own / "resource-id"
            if marker.exists():
                if marker.read_text().strip() != str(resource_id):
                    raise PlaceTaken(
                        f"`{vault}` is the vault of resource {marker.read_text().strip()}; use another folder"
                    )
            else:
                marker.write_text(f"{resource_id}\n")
        return cls(vault, resource_id)

    def retire(self) -> None:
        """Take the marker away, so that the folder can be another resource's vault; files stay where they are.

        Raises:
            Offline: this is not the vault it should be.
        """
        self.check()
        with translated(f"retiring the vault `{self._vault}`"):
            for name in os.listdir(self._staging):
                os.unlink(name, dir_fd=self._staging)
            os.unlink(f"{RESERVED}/resource-id", dir_fd=self._root)
            os.rmdir(f"{RESERVED}/staging", dir_fd=self._root)
            shutil.rmtree(f"{RESERVED}/{ASIDE}", ignore_errors=True, dir_fd=self._root)
            os.rmdir(RESERVED, dir_fd=self._root)
        self._forget()

    def _open_root(self) -> int:
        if self._root >= 0:
            return self._root
        try:
            root = os.open(self._vault, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Offline(
                f"the vault `{self._vault}` cannot be opened: {os.strerror(error.errno or 0)}"
            ) from error
        try:
            self._staging = os.open(f"{RESERVED}/staging", _FOLDER, dir_fd=root)
        except OSError as error:
            os.close(root)
            raise Offline(
                f"the vault `{self._vault}` holds no `{RESERVED}` folder; is its file system mounted?"
            ) from error
        self._root = root
        if self._layout.has_stripes:
            self.stripe()
        return root

    def stripe(self) -> str:
        """Ask the file system for stripes; returns why it does not make any, empty where it does or none are wanted."""
        if not self._layout.has_stripes:
            return ""
        self._open_root()
        return set_stripes(self._staging, self._layout)

    def _forget(self) -> None:
        for descriptor in (self._root, self._staging):
            if descriptor >= 0:
                os.close(descriptor)
        self._root = self._staging = -1

    def check(self) -> None:
        root = self._open_root()
        try:
            same = os.path.samestat(os.fstat(root), os.stat(self._vault))
            marker = os.open(f"{RESERVED}/resource-id", os.O_RDONLY | _FILE, dir_fd=root)
        except OSError as error:
            self._forget()
            raise Offline(
                f"the vault `{self._vault}` has lost its marker; is its file system mounted?"
            ) from error
        try:
            found = os.read(marker, 64).decode("ascii", "replace").strip()
        finally:
            os.close(marker)
        if not same:
            self._forget()  # the folder was mounted or made anew: look at what is there now
            self.check()
            return
        if found != self._marker:
            self._forget()
            raise Offline(f"the vault `{self._vault}` is marked for resource {found}, not {self._marker}")

    def free_bytes(self) -> int | None:
        with translated(f"asking for the room in `{self._vault}`"):
            facts = os.fstatvfs(self._open_root())
            return facts.f_bavail * facts.f_frsize

    def physical_path(self, place: VaultPath) -> str:
        return f"{self._vault}/{place.text}"

    @contextmanager
    def _folder(self, components: tuple[str, ...], *, make: bool) -> Iterator[int]:
        """A descriptor of the folder at these components, reached without following links."""
        current = os.dup(self._open_root())
        try:
            for component in components:
                try:
                    following = os.open(component, _FOLDER, dir_fd=current)
                except FileNotFoundError:
                    if not make:
                        raise
                    try:
                        os.mkdir(component, 0o770, dir_fd=current)
                        _like_parent(current, component)
                        os.fsync(current)
                    except FileExistsError:
                        pass  # another process was faster
                    following = os.open(component, _FOLDER, dir_fd=current)
                os.close(current)
                current = following
            yield current
        finally:
            os.close(current)

    def _staged_name(self, name: str) -> str:
        if not name or "/" in name or name in (".", "..") or "\0" in name:
            raise InvalidVaultPath(f"`{name!r}` cannot be the name of a staged file")
        self._open_root()
        return name

    def stage(self, name: str, size_bytes: int = -1) -> DiskFile:
        name = self._staged_name(name)
        with translated(f"staging `{name}` in `{self._vault}`"):
            descriptor = os.open(
                name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FILE, 0o640, dir_fd=self._staging
            )
            taken = False
            if self._layout.preallocate and size_bytes > 0:
                try:
                    taken = take_room(descriptor, size_bytes)
                except OSError:
                    os.close(descriptor)
                    os.unlink(name, dir_fd=self._staging)
                    raise
        return DiskFile(
            descriptor, name, self._staging, room_taken=taken, direct=self._direct(name, size_bytes)
        )

    def _direct(self, name: str, size_bytes: int) -> int:
        """A descriptor whose writes go past the page cache, for a file that is going to be large; -1 where there is none.

        What is as large as that pushes everything else out of the cache, and costs more to copy there than to write.
        """
        if not self._layout.direct or size_bytes < DIRECT_BYTES:
            return -1
        try:
            return os.open(name, os.O_WRONLY | os.O_DIRECT | _FILE, dir_fd=self._staging)
        except OSError:
            return -1  # the file system has none

    def open_staged(self, name: str, size_bytes: int = -1) -> DiskFile:
        name = self._staged_name(name)
        with translated(f"opening staged `{name}` in `{self._vault}`"):
            descriptor = os.open(name, os.O_RDWR | _FILE, dir_fd=self._staging)
        return DiskFile(descriptor, name, self._staging, direct=self._direct(name, size_bytes))

    def open_staged_for_reading(self, name: str) -> DiskFile:
        name = self._staged_name(name)
        with translated(f"opening staged `{name}` in `{self._vault}`"):
            return DiskFile(os.open(name, os.O_RDONLY | _FILE, dir_fd=self._staging), name)

    def stage_copy(self, source: VaultPath | str, name: str) -> DiskFile:
        original = self.open_staged_for_reading(source) if isinstance(source, str) else self.open(source)
        return self._stage_copy_of(original, name)

    def _stage_copy_of(self, original: DiskFile, name: str) -> DiskFile:
        try:
            copy = self.stage(name)
            try:
                with translated(f"copying to staged `{name}` in `{self._vault}`"):
                    _copy(original._descriptor, copy._descriptor)
            except BaseException:
                copy.close()
                self.unlink_staged(name)
                raise
            return copy
        finally:
            original.close()

    def place(self, name: str, place: VaultPath) -> None:
        name = self._staged_name(name)
        with (
            translated(f"placing `{place.text}` in `{self._vault}`"),
            self._folder(place.components[:-1], make=True) as folder,
        ):
            try:
                os.rename(name, place.components[-1], src_dir_fd=self._staging, dst_dir_fd=folder)
                _like_folder(folder, place.components[-1])
            except FileNotFoundError:
                facts = os.stat(place.components[-1], dir_fd=folder, follow_symlinks=False)
                if not stat_module.S_ISREG(facts.st_mode):
                    raise

    def staged_path(self, name: str) -> Path:
        """Where a staged file lies, for a library that writes it itself; `make_room` of the open file goes before it."""
        return Path(self._vault) / RESERVED / "staging" / self._staged_name(name)

    def folder_aside(self, name: str) -> Path:
        """A folder of the vault that is no part of its tree, for work that outlives its process; made where it is not there.

        `take_room_aside` goes before what is written into it.
        """
        folder = Path(self._vault) / RESERVED / ASIDE / self._staged_name(name)
        with translated(f"making a folder aside in `{self._vault}`"):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def take_room_aside(self, count: int) -> None:
        """So many bytes are going to be written aside, or, below zero, were removed from there.

        Raises:
            OutOfSpace: there are not so many.
        """

    def bytes_aside(self) -> int:
        """How many bytes lie aside."""
        folder = Path(self._vault) / RESERVED / ASIDE
        return sum(path.stat().st_size for path in folder.glob("*/segment-*"))

    def set_posix(self, place: VaultPath, *, mode: int, gid: int | None) -> str:
        """Give a folder a mode and a group, making it where it is not there; what it makes later follows a setgid bit.

        Args:
            place: the folder.
            mode: permission bits, setgid and sticky among them.
            gid: the number of the group; None leaves it.

        Returns:
            How the folder is otherwise, and why; empty when it is as wanted.

        Raises:
            PlaceTaken: a file is there.
        """
        with (
            translated(f"setting owner and mode of `{place.text}` in `{self._vault}`"),
            self._folder(place.components, make=True) as folder,
        ):
            reasons = []
            try:
                if gid is not None:
                    os.fchown(folder, -1, gid)
            except PermissionError:
                reasons.append("this server may not change the group")
            try:
                os.fchmod(folder, mode)
            except PermissionError:
                reasons.append("this server may not change the mode")
            facts = os.fstat(folder)
            os.fsync(folder)
        if stat_module.S_IMODE(facts.st_mode) != mode or (gid is not None and facts.st_gid != gid):
            found = f"mode {stat_module.S_IMODE(facts.st_mode):o}, group {facts.st_gid}"
            return f"{found}; {', '.join(reasons) or 'the file system does not take it'}"
        return ""

    def sync_places(self, places: list[VaultPath]) -> None:
        with translated(f"syncing folders of `{self._vault}`"):
            for components in {place.components[:-1] for place in places}:
                try:
                    with self._folder(components, make=False) as folder:
                        os.fsync(folder)
                except FileNotFoundError:
                    pass  # moved away since; whoever moved it syncs it

    def open(self, place: VaultPath) -> DiskFile:
        with (
            translated(f"opening `{place.text}` in `{self._vault}`"),
            self._folder(place.components[:-1], make=False) as folder,
        ):
            return DiskFile(os.open(place.components[-1], os.O_RDONLY | _FILE, dir_fd=folder), place.text)

    def stat(self, place: VaultPath) -> Stat:
        with (
            translated(f"looking at `{place.text}` in `{self._vault}`"),
            self._folder(place.components[:-1], make=False) as folder,
        ):
            facts = os.stat(place.components[-1], dir_fd=folder, follow_symlinks=False)
            if not stat_module.S_ISREG(facts.st_mode):
                raise PlaceTaken(f"`{place.text}` is not a file")
            return Stat(facts.st_size, facts.st_mtime)

    def move(self, source: VaultPath, target: VaultPath) -> None:
        with (
            translated(f"moving `{source.text}` to `{target.text}` in `{self._vault}`"),
            self._folder(target.components[:-1], make=True) as target_folder,
        ):
            try:
                with self._folder(source.components[:-1], make=False) as source_folder:
                    os.stat(source.components[-1], dir_fd=source_folder, follow_symlinks=False)
                    if _exists(target.components[-1], target_folder):
                        raise PlaceTaken(f"`{target.text}` is taken")
                    os.rename(
                        source.components[-1],
                        target.components[-1],
                        src_dir_fd=source_folder,
                        dst_dir_fd=target_folder,
                    )
                    # the catalog forgets this work once it is done, so it has to be done for good
                    os.fsync(target_folder)
                    os.fsync(source_folder)
            except FileNotFoundError:
                os.fsync(target_folder)  # whoever renamed it may have died before syncing

    def unlink(self, place: VaultPath) -> None:
        try:
            with (
                translated(f"removing `{place.text}` from `{self._vault}`"),
                self._folder(place.components[:-1], make=False) as folder,
            ):
                os.unlink(place.components[-1], dir_fd=folder)
        except FileMissing:
            return

    def unlink_staged(self, name: str) -> None:
        name = self._staged_name(name)
        try:
            with translated(f"removing staged `{name}` from `{self._vault}`"):
                os.unlink(name, dir_fd=self._staging)
        except FileMissing:
            return

    def remove_folder(self, place: VaultPath) -> None:
        try:
            with (
                translated(f"removing folder `{place.text}` from `{self._vault}`"),
                self._folder(place.components[:-1], make=False) as folder,
            ):
                os.rmdir(place.components[-1], dir_fd=folder)
        except (FileMissing, PlaceTaken):
            return

    def staged_names(self) -> list[tuple[str, float]]:
        self._open_root()
        with (
            translated(f"listing the staging area of `{self._vault}`"),
            os.scandir(self._staging) as entries,
        ):
            return [(entry.name, entry.stat(follow_symlinks=False).st_mtime) for entry in entries]


def _like_parent(parent: int, name: str) -> None:
    """A folder in one that passes its group on has its mode too, so that a visit's folders are as the visit's own."""
    facts = os.fstat(parent)
    if facts.st_mode & stat_module.S_ISGID:
        os.chmod(name, stat_module.S_IMODE(facts.st_mode), dir_fd=parent)


def _like_folder(folder: int, name: str) -> None:
    """A file that came from the staging area gets the group of a folder that passes its own on."""
    facts = os.fstat(folder)
    if not facts.st_mode & stat_module.S_ISGID:
        return
    try:
        os.chown(name, -1, facts.st_gid, dir_fd=folder, follow_symlinks=False)
    except PermissionError:
        return  # not a member of that group: the file stays readable by its own


def _exists(name: str, folder: int) -> bool:
    try:
        facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if stat_module.S_ISDIR(facts.st_mode):
        try:
            os.rmdir(name, dir_fd=folder)  # an empty folder is no obstacle
        except OSError:
            return True
        return False
    return True


def _copy(source: int, target: int) -> None:
    """Copy a whole file inside the kernel, sharing blocks where the file system can."""
    remaining = os.fstat(source).st_size
    offset = 0
    while remaining > 0:
        count = os.copy_file_range(source, target, min(remaining, _COPY_CHUNK), offset, offset)
        if count == 0:
            break
        offset += count
        remaining -= count


class RegisteredFiles:
    """Files outside any vault that administrators registered where they lie; read only."""

    @staticmethod
    def open(path: str) -> DiskFile:
        """Open a registered file.

        Raises:
            FileMissing, Denied: as the file system says.
        """
        with translated(f"opening registered `{path}`"):
            return DiskFile(os.open(path, os.O_RDONLY | os.O_CLOEXEC), path)

    @staticmethod
    def stat(path: str) -> Stat:
        """Size and time of a registered file.

        Raises:
            FileMissing: there is none.
            PlaceTaken: it is not a plain file.
        """
        with translated(f"looking at registered `{path}`"):
            facts = os.stat(path)
            if not stat_module.S_ISREG(facts.st_mode):
                raise PlaceTaken(f"`{path}` is not a file")
            return Stat(facts.st_size, facts.st_mtime)
