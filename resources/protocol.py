"""What a storage driver has to do, method by method.

A vault has two areas. In the *staging area* files have unique names that the caller chooses; bytes arrive there
and are made durable. The *logical area* mirrors the collection tree. `place` moves a file from the first to the
second. Invariants every driver keeps:

    * What `sync` returned for survives a crash of the machine.
    * `place`, `move`, `unlink` and `unlink_staged` may be repeated: done already is success.
    * No path leads out of the vault: places are `VaultPath`s, which cannot express it, and links that lie in the
      vault are not followed.
    * Errors are the classes of `resources.errors`, never `OSError`.

`resources.testing.DriverSuite` holds a driver to this text.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, Protocol

from resources.errors import InvalidVaultPath

MAX_COMPONENT_BYTES: Final = 255
RESERVED: Final = ".beamgrid"


@dataclass(frozen=True, slots=True)
class VaultPath:
    """A place in the logical area; constructed means inside the vault.

    A component that is too long for a file system is cut and gets the hash of its whole name, and so does one
    that would collide with the vault's own folder.
    """

    components: tuple[str, ...]

    @classmethod
    def of(cls, path: str) -> "VaultPath":
        """From a logical path without its zone, such as `/home/anna/scan.h5`.

        Raises:
            InvalidVaultPath: it has an empty, `.` or `..` component or a NUL.
        """
        components = [part for part in path.split("/") if part]
        for component in components:
            if component in (".", "..") or "\0" in component:
                raise InvalidVaultPath(f"`{component!r}` cannot be a part of a vault path")
        if not components:
            raise InvalidVaultPath("a vault path needs at least one component")
        return cls(tuple(_fitted(part, first=index == 0) for index, part in enumerate(components)))

    @property
    def text(self) -> str:
        return "/".join(self.components)


def _fitted(component: str, *, first: bool) -> str:
    encoded = component.encode("utf-8", "surrogateescape")
    if len(encoded) <= MAX_COMPONENT_BYTES and not (first and component.startswith(RESERVED)):
        return component
    digest = hashlib.sha256(encoded).hexdigest()[:32]
    kept = encoded[: MAX_COMPONENT_BYTES - 40].decode("utf-8", "ignore").lstrip(".")
    return f"{kept}~{digest}"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a driver can do beyond the minimum.

    `has_descriptors`: open files have a file descriptor, so bytes can go out with `sendfile`.
    `survives_restart`: bytes outlive the process.
    """

    has_descriptors: bool
    survives_restart: bool


@dataclass(frozen=True, slots=True)
class Stat:
    """Size in bytes, and the time of the last change in seconds since 1970."""

    size_bytes: int
    modified_at: float


class StagedFile(Protocol):
    """An open file of the staging area. Several may be open on one name, in several processes."""

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> int:
        """Write all of `data` at `offset`; a gap before it reads as zeros.

        Raises:
            OutOfSpace: some of it may have been written.
        """

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> int:
        """Fill `buffer` from `offset` on; returns the bytes read, 0 at the end."""

    def size(self) -> int:
        """The current size in bytes."""

    def truncate(self, size_bytes: int) -> None:
        """Cut or extend with zeros."""

    def sync(self) -> None:
        """Return once bytes, size and name are on stable storage."""

    def descriptor(self) -> int | None:
        """A file descriptor, where there is one."""

    def close(self) -> None:
        """Give the file back; repeated closing is allowed."""


class StoredFile(Protocol):
    """A file open for reading. What it reads stays readable while the file is replaced or removed."""

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> int:
        """Fill `buffer` from `offset` on; returns the bytes read, 0 at the end."""

    def size(self) -> int:
        """The size in bytes."""

    def descriptor(self) -> int | None:
        """A file descriptor, where there is one."""

    def close(self) -> None:
        """Give the file back; repeated closing is allowed."""


class Driver(Protocol):
    """A storage resource's files."""

    capabilities: Capabilities

    def check(self) -> None:
        """Confirm that this is the storage it should be.

        Raises:
            Offline: with the reason, in words for an administrator.
        """

    def free_bytes(self) -> int | None:
        """Room left; None where there is no such number."""

    def physical_path(self, place: VaultPath) -> str:
        """How an administrator finds the file."""

    def stage(self, name: str, size_bytes: int = -1) -> StagedFile:
        """Make a new, empty file in the staging area.

        Args:
            name: what nothing else there is called.
            size_bytes: how large it is expected to become, for who can make room or refuse at once; -1 where nobody knows.

        Raises:
            PlaceTaken: there is one of that name.
            OutOfSpace: there is not so much room; nothing was made.
        """

    def open_staged(self, name: str, size_bytes: int = -1) -> StagedFile:
        """Open a staged file to write more of it.

        Args:
            name: of the file.
            size_bytes: how large it is going to be, as in `stage`.

        Raises:
            FileMissing: there is none of that name.
        """

    def stage_copy(self, source: VaultPath | str, name: str) -> StagedFile:
        """Make a staged file that begins as a copy of `source`, without moving bytes where the storage can.

        `source` is a place, or the name of a staged file.
        """

    def place(self, name: str, place: VaultPath) -> None:
        """Move a staged file to its place, making folders, replacing what is there. Atomic for readers.

        Raises:
            FileMissing: neither a staged file of that name nor a file at the place exists.
            PlaceTaken: a folder is at the place, or a file where a folder has to be.
        """

    def sync_places(self, places: list[VaultPath]) -> None:
        """Return once the names of these files are on stable storage."""

    def open(self, place: VaultPath) -> StoredFile:
        """Open a placed file for reading.

        Raises:
            FileMissing: there is none.
        """

    def open_staged_for_reading(self, name: str) -> StoredFile:
        """Open a staged file for reading.

        Raises:
            FileMissing: there is none.
        """

    def stat(self, place: VaultPath) -> Stat:
        """Size and time of a placed file.

        Raises:
            FileMissing: there is none.
        """

    def move(self, source: VaultPath, target: VaultPath) -> None:
        """Rename a file or a whole folder, for good when this returns; without a source it was done already.

        Raises:
            PlaceTaken: something else is at the target.
        """

    def unlink(self, place: VaultPath) -> None:
        """Remove a placed file; absent is success."""

    def unlink_staged(self, name: str) -> None:
        """Remove a staged file; absent is success."""

    def remove_folder(self, place: VaultPath) -> None:
        """Remove a folder that is empty; one that is not, or is absent, stays as it is."""

    def staged_names(self) -> list[tuple[str, float]]:
        """The staged files and when each was last changed, in seconds since 1970."""
