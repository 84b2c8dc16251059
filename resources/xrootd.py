"""A vault on an XRootD server, laid out as one on a disk.

    root://host:port/VAULT/.beamgrid/resource-id      the marker
    root://host:port/VAULT/.beamgrid/staging/NAME     files on their way
    root://host:port/VAULT/home/anna/scan.h5          files at their logical place

The protocol's rename refuses a name that is taken, so a file that is replaced is moved aside first: who opens it in that moment
finds none and looks again. A name is as durable as the server makes it; the bytes are synced.
"""

import logging
import os
import posixpath
import threading
from functools import partial
from typing import Any, Final

from resources.context import COMMON, Kind, read
from resources.errors import (
    FileMissing,
    InvalidVaultPath,
    Offline,
    PlaceTaken,
)
from resources.protocol import RESERVED, Capabilities, Stat, VaultPath
from resources.xrootd_file import PIECE_BYTES, TIMEOUT_S, XrootdFile, client, has_no_checksums, require

CONTEXT: Final[dict[str, Kind]] = {**COMMON, "port": "count", "keytab": "path"}
"""What the context string of a resource on an XRootD server may say."""

_OLD: Final = ".old"
TPC_RETRY_S: Final = 600.0
"""Two servers that did not send each other a file are asked again after so long."""

_log = logging.getLogger("beamgrid.resources")


def server_of(host: str, context: str) -> tuple[str, str]:
    """The server's address, `host:port`, and the file of the key (empty for none) that a resource names.

    Raises:
        ContextError: the context string says nonsense.
    """
    said = read(context, CONTEXT)
    return f"{host}:{said.get('port', 1094)}", str(said.get("keytab", ""))


class XrootdDriver:
    """The files of one vault on a server.

    Args:
        address: `host:port`.
        vault: the folder on the server, absolute.
        resource_id: what its marker has to say.
        keytab: a file with the key of `sss` authentication; empty for none.
    """

    capabilities = Capabilities(has_descriptors=False, survives_restart=True)

    def __init__(self, address: str, vault: str, resource_id: int, *, keytab: str = "") -> None:
        self._address = f"root://{address}"
        self._vault = vault.rstrip("/")
        self._marker = str(resource_id)
        self._keytab = keytab
        self._connection: Any = None
        self._lock = threading.Lock()

    @property
    def _fs(self) -> Any:
        with self._lock:
            if self._connection is None:
                if self._keytab:
                    os.environ.update({"XrdSecPROTOCOL": "sss", "XrdSecSSSKT": self._keytab})
                self._connection = client().FileSystem(self._address)
            return self._connection

    @classmethod
    def create(cls, address: str, vault: str, resource_id: int, *, keytab: str = "") -> "XrootdDriver":
        """Make a folder on a server the vault of a resource; one that is so already stays as it is.

        Raises:
            PlaceTaken: it is the vault of another resource.
            Offline: the server does not answer.
        """
        made = cls(address, vault, resource_id, keytab=keytab)
        made._make_folder(made._own("staging"))
        try:
            found = made._read_marker()
        except FileMissing:
            file = made._open(made._own("resource-id"), "new")
            file.write(f"{resource_id}\n".encode(), 0)
            file.sync()
            file.close()
        else:
            if found != made._marker:
                raise PlaceTaken(
                    f"`{vault}` on {address} is the vault of resource {found}; use another folder"
                )
        return made

    def retire(self) -> None:
        """Take the marker away; files stay where they are.

        Raises:
            Offline: this is not the vault it should be.
        """
        self.check()
        for name, _ in self.staged_names():
            self.unlink_staged(name)
        self._remove(self._own("resource-id"))
        for folder in (self._own("staging"), self._own("")):
            self._fs.rmdir(folder.rstrip("/"), timeout=TIMEOUT_S)

    # -- paths and requests ----------------------------------------------------------------------------------

    def _own(self, name: str) -> str:
        return f"{self._vault}/{RESERVED}/{name}"

    def _at(self, place: VaultPath) -> str:
        return f"{self._vault}/{place.text}"

    def _staged(self, name: str) -> str:
        if not name or "/" in name or name in (".", "..") or "\0" in name:
            raise InvalidVaultPath(f"`{name!r}` cannot be the name of a staged file")
        return self._own(f"staging/{name}")

    def _url(self, path: str) -> str:
        return f"{self._address}/{path}"

    def _open(self, path: str, how: str, size_bytes: int = -1) -> XrootdFile:
        from XRootD.client.flags import OpenFlags

        flags = {
            "new": OpenFlags.NEW | OpenFlags.UPDATE | OpenFlags.MAKEPATH, "update": OpenFlags.UPDATE, "read": OpenFlags.READ,
        }[how]  # fmt: skip
        _ = self._fs  # the keytab is in the environment by now
        file = client().File()
        # a staged file is read, and written by several, while it is open: the grid itself says who may
        hint = f"?oss.asize={size_bytes}" if size_bytes > 0 else ""  # the server looks for room, or refuses
        status, _ = file.open(self._url(path) + hint, flags | OpenFlags.FORCE, timeout=TIMEOUT_S)
        require(status, f"opening `{path}`")
        return XrootdFile(file, path)

    def _make_folder(self, path: str) -> None:
        from XRootD.client.flags import MkDirFlags

        status, _ = self._fs.mkdir(path, MkDirFlags.MAKEPATH, timeout=TIMEOUT_S)
        if not status.ok and not self._is_folder(path):
            require(status, f"making the folder `{path}`")

    def _stat(self, path: str) -> Any:
        status, found = self._fs.stat(path, timeout=TIMEOUT_S)
        require(status, f"looking at `{path}`")
        return found

    def _is_folder(self, path: str) -> bool:
        from XRootD.client.flags import StatInfoFlags

        try:
            return bool(self._stat(path).flags & StatInfoFlags.IS_DIR)
        except FileMissing:
            return False

    def _exists(self, path: str) -> bool:
        try:
            self._stat(path)
        except FileMissing:
            return False
        return True

    def _remove(self, path: str) -> None:
        status, _ = self._fs.rm(path, timeout=TIMEOUT_S)
        if not status.ok and self._exists(path):
            require(status, f"removing `{path}`")

    def _rename(self, source: str, target: str) -> None:
        status, _ = self._fs.mv(source, target, timeout=TIMEOUT_S)
        require(status, f"moving `{source}` to `{target}`")

    def _read_marker(self) -> str:
        file = self._open(self._own("resource-id"), "read")
        buffer = bytearray(64)
        count = file.read_into(buffer, 0)
        file.close()
        return bytes(buffer[:count]).decode("ascii", "replace").strip()

    # -- what a driver does ----------------------------------------------------------------------------------

    def check(self) -> None:
        try:
            found = self._read_marker()
        except FileMissing as error:
            raise Offline(f"the vault `{self._vault}` on {self._address} has no marker") from error
        if found != self._marker:
            raise Offline(
                f"the vault `{self._vault}` on {self._address} is marked for resource {found}, not {self._marker}"
            )

    def free_bytes(self) -> int | None:
        from XRootD.client.flags import QueryCode

        status, answer = self._fs.query(QueryCode.SPACE, self._vault, timeout=TIMEOUT_S)
        if not status.ok:
            return None
        pairs = dict(
            p.split("=", 1)
            for p in bytes(answer).decode("ascii", "replace").strip("\0\n").split("&")
            if "=" in p
        )
        free = pairs.get("oss.free", "")
        return int(free) if free.isdigit() else None

    def physical_path(self, place: VaultPath) -> str:
        return self._url(self._at(place))

    def url_of(self, staged: str, place: str = "") -> str:
        """Where a file is that is staged under a name, or else at a place."""
        return self._url(self._staged(staged) if staged else self._at(VaultPath.of(place)))

    def checksum(self, staged: str, place: str = "") -> str:
        """What the server says of a file's bytes: `adler32 0123abcd`, or what else it was set up for; empty where it computes none.

        Args:
            staged: its name in the staging area; empty for a placed file.
            place: where it is placed.

        Raises:
            FileMissing: there is none.
        """
        from XRootD.client.flags import QueryCode

        path = self._staged(staged) if staged else self._at(VaultPath.of(place))
        status, answer = self._fs.query(QueryCode.CHECKSUM, path, timeout=600)
        if has_no_checksums(status):
            return ""
        require(status, f"asking for the checksum of `{path}`")
        return bytes(answer).decode("ascii", "replace").strip("\0\n ")

    def stage(self, name: str, size_bytes: int = -1) -> XrootdFile:
        return self._open(self._staged(name), "new", size_bytes)

    def open_staged(self, name: str, size_bytes: int = -1) -> XrootdFile:
        return self._open(self._staged(name), "update")

    def open_staged_for_reading(self, name: str) -> XrootdFile:
        return self._open(self._staged(name), "read")

    def stage_copy(self, source: VaultPath | str, name: str) -> XrootdFile:
        """The protocol has no copy within a server, so the bytes come here and go back."""
        original = self.open_staged_for_reading(source) if isinstance(source, str) else self.open(source)
        try:
            copy = self.stage(name)
            try:
                buffer, offset = memoryview(bytearray(PIECE_BYTES)), 0
                while count := original.read_into(buffer, offset):
                    copy.write(buffer[:count], offset)
                    offset += count
            except BaseException:
                copy.close()
                self.unlink_staged(name)
                raise
            return copy
        finally:
            original.close()

    def stage_from(self, source: str, name: str) -> XrootdFile:
        """Make a staged file that another server sends the bytes of, without their coming here.

        Raises:
            ResourceError: one of the servers does not do that; nothing is staged then.
        """
        target = self._staged(name)
        process = client().CopyProcess()
        process.add_job(source, self._url(target), thirdparty="only", mkdir=True, force=True)
        status = process.prepare()
        if status.ok:
            status, _ = process.run()
        if not status.ok:
            self._remove(target)
        require(status, f"copying `{source}` to `{target}`")
        return self.open_staged(name)

    def place(self, name: str, place: VaultPath) -> None:
        staged, target = self._staged(name), self._at(place)
        if not self._exists(staged):
            found = self._stat(target) if self._exists(target) else None
            if found is None:
                raise FileMissing(f"nothing is staged as `{name}`")
            return
        if self._is_folder(target):
            raise PlaceTaken(f"`{place.text}` is a folder")
        self._make_folder(posixpath.dirname(target))
        if self._exists(target):
            aside = self._staged(f"{name}{_OLD}")
            self._remove(aside)  # of an attempt before this one
            self._rename(target, aside)
            self._rename(staged, target)
            # what a large file takes is given back in its own time; one that stays is swept with the staging area
            self._fs.rm(aside, timeout=TIMEOUT_S, callback=partial(self._removed, aside))
        else:
            self._rename(staged, target)

    def _removed(self, path: str, status: Any, _response: Any, _hosts: Any) -> None:
        if not status.ok:
            _log.warning("`%s` stays for a while: %s", path, status.message.strip())

    def sync_places(self, places: list[VaultPath]) -> None:
        return None

    def open(self, place: VaultPath) -> XrootdFile:
        return self._open(self._at(place), "read")

    def stat(self, place: VaultPath) -> Stat:
        if self._is_folder(self._at(place)):
            raise PlaceTaken(f"`{place.text}` is not a file")
        found = self._stat(self._at(place))
        return Stat(int(found.size), float(found.modtime))

    def move(self, source: VaultPath, target: VaultPath) -> None:
        if not self._exists(self._at(source)):
            return
        if self._exists(self._at(target)):
            if self._is_folder(self._at(target)):
                self._fs.rmdir(self._at(target), timeout=TIMEOUT_S)  # an empty folder is no obstacle
            if self._exists(self._at(target)):
                raise PlaceTaken(f"`{target.text}` is taken")
        self._make_folder(posixpath.dirname(self._at(target)))
        self._rename(self._at(source), self._at(target))

    def unlink(self, place: VaultPath) -> None:
        self._remove(self._at(place))

    def unlink_staged(self, name: str) -> None:
        self._remove(self._staged(name))

    def remove_folder(self, place: VaultPath) -> None:
        self._fs.rmdir(self._at(place), timeout=TIMEOUT_S)

    def staged_names(self) -> list[tuple[str, float]]:
        from XRootD.client.flags import DirListFlags

        status, listing = self._fs.dirlist(self._own("staging"), DirListFlags.STAT, timeout=TIMEOUT_S)
        require(status, f"listing the staging area of `{self._vault}`")
        return [(entry.name, float(entry.statinfo.modtime)) for entry in listing]
