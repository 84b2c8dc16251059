"""Reading and copying files of resources by a process that has nothing but this package: beside the storage.

What is to be read is described by plain values; whoever carries a task out makes the driver from them. Tasks know nothing of a
catalog: they read, write to a staging area, and say what they saw.
"""

import hashlib
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from resources.aligned import aligned_buffer
from resources.disk import DiskDriver, RegisteredFiles
from resources.errors import PermanentResourceError, TransientResourceError
from resources.protocol import Driver, StoredFile, VaultPath
from resources.tape.driver import TapeDriver
from resources.xrootd import XrootdDriver

BUFFER_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Vault:
    """A vault, as another process needs to know it.

    Attributes:
        kind: `disk`, `tape` or `xrootd`.
        path: the folder.
        resource_id: what its marker has to say.
        address: `host:port` of a server; empty for this host's file system.
        keytab: a file with the server's key; empty for none.
    """

    kind: str
    path: str
    resource_id: int
    address: str = ""
    keytab: str = ""

    def driver(self) -> Driver:
        """The driver, made here.

        Raises:
            Offline: it is not the vault it should be.
        """
        made: Driver
        if self.kind == "xrootd":
            made = XrootdDriver(self.address, self.path, self.resource_id, keytab=self.keytab)
        elif self.kind == "tape":
            made = TapeDriver(self.path, self.resource_id)
        elif self.kind == "disk":
            made = DiskDriver(self.path, self.resource_id)
        else:
            raise PermanentResourceError(
                f"a vault of the kind `{self.kind}` cannot be reached from another process"
            )
        made.check()
        return made


@dataclass(frozen=True, slots=True)
class There:
    """A file of a vault: staged under a name, or else at a place; or, with neither, registered at a path of the file system."""

    vault: Vault
    place: str = ""
    staged: str = ""
    registered: str = ""

    def open(self) -> StoredFile:
        """Open it for reading.

        Raises:
            FileMissing, Offline, NotResident: as its driver says.
        """
        if self.registered:
            return RegisteredFiles.open(self.registered)
        driver = self.vault.driver()
        return (
            driver.open_staged_for_reading(self.staged)
            if self.staged
            else driver.open(VaultPath.of(self.place))
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read: bytes, and their digest as hexadecimal digits."""

    size: int
    digest: str


class _Adler:
    """adler32 in the manner of hashlib."""

    def __init__(self) -> None:
        self._value = 1

    def update(self, data: Any) -> None:
        self._value = zlib.adler32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


def new_digest(algorithm: str) -> Any:
    """A digest by the name of its algorithm: those of hashlib, and `adler32`."""
    return _Adler() if algorithm == "adler32" else hashlib.new(algorithm)


def look(file: There, algorithm: str, rate: float = 0.0) -> Seen:
    """Read a whole file.

    Args:
        file: which.
        algorithm: of the digest.
        rate: bytes/s at the most; 0 for any.

    Raises:
        ResourceError: as its driver says.
    """
    opened = file.open()
    try:
        return _read(opened, algorithm, rate, lambda offset, data: None)
    finally:
        opened.close()


def copy(source: There, target: Vault, name: str, algorithm: str) -> tuple[Seen, Seen]:
    """Copy a file to the staging area of a vault, and read there what was written.

    Returns:
        What was read of the source, and what was read of the copy.

    Raises:
        ResourceError: as the drivers say; nothing is staged then.
    """
    driver, opened = target.driver(), source.open()
    try:
        staged = driver.stage(name, opened.size())
        try:
            sent = _read(opened, algorithm, 0.0, lambda offset, data: staged.write(data, offset))
            staged.sync()
            return sent, _read(staged, algorithm, 0.0, lambda offset, data: None)
        except BaseException:
            driver.unlink_staged(name)
            raise
        finally:
            staged.close()
    finally:
        opened.close()


def send(source: There, target: Vault, name: str, algorithm: str) -> Seen:
    """Let one server send a file to another, and read there what arrived; the source's bytes do not come here.

    Args:
        source: a file of a server.
        target: a vault of a server.
        name: what the copy is staged as.
        algorithm: of the digest.

    Returns:
        What was read of the copy.

    Raises:
        ResourceError: one of them does not do that, or they do not agree on what was sent; nothing is staged then.
    """
    origin, driver = source.vault.driver(), target.driver()
    if not isinstance(origin, XrootdDriver) or not isinstance(driver, XrootdDriver):
        raise PermanentResourceError("only servers send each other files")
    staged = driver.stage_from(origin.url_of(source.staged, source.place), name)
    try:
        sent, arrived = origin.checksum(source.staged, source.place), driver.checksum(name)
        if sent and arrived and sent != arrived:
            raise TransientResourceError(f"the server sent {sent}, and {arrived} arrived")
        return _read(staged, algorithm, 0.0, lambda offset, data: None)
    except BaseException:
        driver.unlink_staged(name)
        raise
    finally:
        staged.close()


def _read(file: StoredFile, algorithm: str, rate: float, then: Callable[[int, memoryview], object]) -> Seen:
    digest, buffer, offset = new_digest(algorithm), aligned_buffer(BUFFER_BYTES), 0
    began = time.monotonic()
    while count := file.read_into(buffer, offset):
        digest.update(buffer[:count])
        then(offset, buffer[:count])
        offset += count
        ahead = offset / rate - (time.monotonic() - began) if rate else 0.0
        if ahead > 0:
            time.sleep(ahead)
    return Seen(offset, digest.hexdigest())
