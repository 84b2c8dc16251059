"""A vault on an XRootD server, laid out as one on a disk.

    root://host:port/VAULT/.beamgrid/resource-id      the marker
    root://host:port/VAULT/.beamgrid/staging/NAME     files on their way
    root://host:port/VAULT/home/anna/scan.h5          files at their logical place

The protocol's rename refuses a name that is taken, so a file that is replaced is moved aside first: who opens it in that moment
finds none and looks again. A name is as durable as the server makes it; the bytes are synced.

The client is imported when the first driver is used, not before: its threads do not survive a fork.

Source: the XRootD protocol's error numbers (`XProtocol.hh`, XRootD 5.5).
"""

import logging
import os
import posixpath
import threading
from functools import partial
from typing import Any, Final

from resources.context import COMMON, Kind, read
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
from resources.protocol import RESERVED, Capabilities, Stat, VaultPath
from resources.read_ahead import FROM_BYTES, Answered, ReadAhead

CONTEXT: Final[dict[str, Kind]] = {**COMMON, "port": "count", "keytab": "path"}
"""What the context string of a resource on an XRootD server may say."""

TIMEOUT_S: Final = 30
_OLD: Final = ".old"
_PIECE: Final = 8 << 20
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


def _client() -> Any:
    """The XRootD client.

    Raises:
        Offline: it is not installed.
    """
    try:
        from XRootD import client
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
        client.EnvPutInt(name, value)
    return client


def _require(status: Any, what: str) -> None:
    """Raise the class that says what a caller can do about a failed request."""
    if status.ok:
        return
    message = f"{what}: {str(status.message).strip()}"
    if "not a directory" in message.lower():
        raise PlaceTaken(message)
    if status.code == _SERVER_SAID:
        raise _ERRORS.get(int(status.errno), PermanentResourceError)(message)
    raise Offline(message)


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
        for begin in range(0, len(view), _PIECE):
            self._wait(_UNDER_WAY - 1)
            piece = bytes(view[begin : begin + _PIECE])
            with self._changed:
                self._under_way += 1
            status = self._file.write(
                piece, offset + begin, len(piece), timeout=TIMEOUT_S, callback=partial(self._written, piece)
            )
            if not status.ok:
                with self._changed:
                    self._under_way -= 1
                _require(status, f"writing `{self._name}`")
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
            _require(failed, f"writing `{self._name}`")

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> int:
        self._wait(0)
        view = memoryview(buffer)
        done = 0
        while done < len(view):
            count = min(len(view) - done, _PIECE)
            status, piece = self._ahead.take(offset + done, count) or self._file.read(
                offset + done, count, timeout=TIMEOUT_S
            )
            _require(status, f"reading `{self._name}`")
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
        _require(status, f"looking at `{self._name}`")
        return int(found.size)

    def truncate(self, size_bytes: int) -> None:
        self._wait(0)
        self._ahead.forget()
        self._size = -1
        status, _ = self._file.truncate(size_bytes, timeout=TIMEOUT_S)
        _require(status, f"truncating `{self._name}`")

    def sync(self) -> None:
        self._wait(0)
        status, _ = self._file.sync(timeout=TIMEOUT_S)
        _require(status, f"syncing `{self._name}`")

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
                self._connection = _client().FileSystem(self._address)
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
        file = _client().File()
        # a staged file is read, and written by several, while it is open: the grid itself says who may
        hint = f"?oss.asize={size_bytes}" if size_bytes > 0 else ""  # the server looks for room, or refuses
        status, _ = file.open(self._url(path) + hint, flags | OpenFlags.FORCE, timeout=TIMEOUT_S)
        _require(status, f"opening `{path}`")
        return XrootdFile(file, path)

    def _make_folder(self, path: str) -> None:
        from XRootD.client.flags import MkDirFlags

        status, _ = self._fs.mkdir(path, MkDirFlags.MAKEPATH, timeout=TIMEOUT_S)
        if not status.ok and not self._is_folder(path):
            _require(status, f"making the folder `{path}`")

    def _stat(self, path: str) -> Any:
        status, found = self._fs.stat(path, timeout=TIMEOUT_S)
        _require(status, f"looking at `{path}`")
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
            _require(status, f"removing `{path}`")

    def _rename(self, source: str, target: str) -> None:
        status, _ = self._fs.mv(source, target, timeout=TIMEOUT_S)
        _require(status, f"moving `{source}` to `{target}`")

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
        if not status.ok and status.code == _SERVER_SAID and int(status.errno) in _NO_CHECKSUMS:
            return ""
        _require(status, f"asking for the checksum of `{path}`")
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
                buffer, offset = memoryview(bytearray(_PIECE)), 0
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
        process = _client().CopyProcess()
        process.add_job(source, self._url(target), thirdparty="only", mkdir=True, force=True)
        status = process.prepare()
        if status.ok:
            status, _ = process.run()
        if not status.ok:
            self._remove(target)
        _require(status, f"copying `{source}` to `{target}`")
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
        _require(status, f"listing the staging area of `{self._vault}`")
        return [(entry.name, float(entry.statinfo.modtime)) for entry in listing]
