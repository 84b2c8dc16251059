"""What clients may ask of streams through the protocol's own rule-execution call: `stream_open`, `stream_status`, `stream_stop`, `stream_resume`.

Everybody asks with their own rights; administrators see the streams of all.
"""

import math
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from grid import paths
from grid.catalog import objects as object_rows
from grid.catalog import resources as resource_rows
from grid.catalog import space
from grid.catalog import streams as rows
from grid.catalog.database import Transaction
from grid.catalog.streams import StreamRow
from grid.errors import AlreadyExists, InvalidArgument, NotFound, NotPrivileged
from grid.model import Access, Caller, Resource
from grid.namespace import Namespace
from grid.namespace.storage import storage_errors
from grid.streams.words import DECTRIS, FORMATS, WAIT, WHEN_SLOW
from grid.tiers.buffers import buffer_settings

MOST_LISTED: Final = 1000
MARGIN: Final = 1.1
BESIDE_BYTES: Final = 256 << 20
"""Beside the frames: what is not full yet of files and spool, and what is made of the frames."""

KINDS: Final = ("unixfilesystem", "buffer")
_SETTINGS: Final[dict[str, tuple[type, float, float]]] = {
    "idle_s": (float, 0.5, 86_400.0), "part_bytes": (int, 1 << 16, 1 << 42), "ring_bytes": (int, 1 << 20, 1 << 40), "slow_s": (float, 0.0, 3600.0),
}  # fmt: skip
"""What may be said of how a stream is treated, and between which bounds."""

_ADDRESS: Final = re.compile(r"tcp://[A-Za-z0-9.:\[\]_-]{1,255}:[0-9]{1,5}")

Answer = tuple[Callable[..., Any], dict[str, type]]


class StreamDesk:
    """Answers clients' questions about streams."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._database = namespace.context.database
        self.answers: dict[str, Answer] = {
            "stream_open": (self._open, {
                "path": str, "detector": str, "format": str, "source": str, "resource": str, "scan": str, "frames": int, "frame_bytes": int,
                "bytes_per_s": int, "seconds": int, "margin": float, "channel": str, "when_slow": str, "idle_s": float, "slow_s": float, "part_bytes": int,
                "ring_bytes": int,
            }),
            "stream_status": (self._status, {"streams": list, "all": bool, "ended": bool}),
            "stream_stop": (self._stop, {"streams": list}),
            "stream_resume": (self._resume, {"streams": list}),
        }  # fmt: skip

    # -- opening ---------------------------------------------------------------------------------------------

    def _open(
        self, caller: Caller, path: str, detector: str, format: str = DECTRIS, source: str = "", resource: str = "", scan: str = "", frames: int = 0,
        frame_bytes: int = 0, bytes_per_s: int = 0, seconds: int = 0, margin: float = MARGIN, channel: str = "", when_slow: str = WAIT, **settings: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Open a stream: its rights are checked and its room is kept before the first frame."""
        for what, found, known in (("format", format, FORMATS), ("when_slow", when_slow, WHEN_SLOW)):
            if found not in known:
                raise InvalidArgument(f"found `{found}` as `{what}`; {', '.join(known)} are known")
        if source and not _ADDRESS.fullmatch(source):
            raise InvalidArgument(
                f"found `{source}` as the detector's address; such as tcp://eiger:31001 was expected"
            )
        if not detector or len(detector) > 64:
            raise InvalidArgument(f"found `{detector}` as the detector's name; a short name was expected")
        if frames < 0 or frame_bytes < 0 or bytes_per_s < 0 or seconds < 0 or not 1.0 <= margin <= 10.0:
            raise InvalidArgument("frames, bytes and seconds are not below 0, and the margin is from 1 to 10")
        said = {"frames": frames, "channel": channel, "when_slow": when_slow, **_checked(settings)}
        context = self._namespace.context
        place = context.path(path).text
        joined = context.path(scan).text if scan else ""
        if joined and (joined == place or paths.split(joined)[0] != paths.split(place)[0]):
            raise InvalidArgument(
                f"`{scan}` joins detectors beside their own files; another name in the same collection was expected"
            )
        wanted = frames * frame_bytes or bytes_per_s * seconds
        token = secrets.token_hex(16)
        with storage_errors(), self._database.write() as tx:
            self._require(tx, caller, place)
            leaf = self._resource(tx, resource)
            key = ""
            if leaf.type == "buffer" and wanted:
                beside = min(wanted, 2 * int(settings.get("part_bytes") or 4 << 30)) + BESIDE_BYTES
                key = secrets.token_hex(8)
                count = math.ceil(wanted * margin) + beside
                capacity = buffer_settings(leaf).capacity_bytes
                space.reserve(
                    tx, key, leaf.id, caller.user.full_name, count, tx.now + rows.RESERVED_S, capacity
                )
            number = rows.ask(
                tx, place, detector, (caller.user.name, caller.user.zone), format=format, source=source, resource=leaf.name, reservation=key, token=token,
                scan=joined, settings=said,
            )  # fmt: skip
        return {**self._shown(caller, number), "token": token}

    def _require(self, tx: Transaction, caller: Caller, path: str) -> None:
        """The right to write there, and that nothing is there.

        Raises:
            NotFound, AccessDenied, AlreadyExists: as these say.
        """
        context = self._namespace.context
        parent = context.collection(tx, paths.split(path)[0])
        context.require(tx, parent.acl_id, caller, Access.WRITE, path, False)
        if object_rows.by_path_or_none(tx, path) is not None:
            raise AlreadyExists(f"`{paths.printable(path)}` is there already; a stream makes new files")
        other = rows.alive_at_or_none(tx, path)
        if other is not None:
            raise AlreadyExists(f"stream {other.id} writes to `{paths.printable(path)}`")

    def _resource(self, tx: Transaction, name: str) -> Resource:
        """Where the files go: a buffer, or a disk, that is up.

        Raises:
            NotFound, InvalidArgument: there is none.
        """
        known = resource_rows.all_by_id(tx).values()
        if name:
            found = next((one for one in known if one.name == name), None)
            if found is None:
                raise NotFound(f"there is no resource `{name}`")
            if found.type not in KINDS:
                raise InvalidArgument(
                    f"`{name}` is of the type `{found.type}`; a stream needs files that grow: {' or '.join(KINDS)}"
                )
            return found
        able = [one for one in known if one.type in KINDS and not one.is_down and one.name != "bundleResc"]
        if not able:
            raise NotFound("there is no buffer and no disk that is up")
        return min(
            able,
            key=lambda one: (
                one.type != "buffer",
                one.name != self._namespace.context.storage.default_resource,
                one.id,
            ),
        )

    # -- looking and ending ----------------------------------------------------------------------------------

    def _status(
        self, caller: Caller, streams: list[Any] | None = None, all: bool = False, ended: bool = False
    ) -> list[dict[str, Any]]:
        if streams:
            return [self._shown(caller, one) for one in streams]
        if all and not caller.is_admin:
            raise NotPrivileged("only administrators see the streams of others")
        user = None if all else (caller.user.name, caller.user.zone)
        with self._database.read() as tx:
            return [
                _plain(one) for one in rows.listed(tx, user=user, alive_only=not ended, limit=MOST_LISTED)
            ]

    def _stop(self, caller: Caller, streams: list[Any]) -> list[dict[str, Any]]:
        """End streams with what came so far."""
        found = [self._own(caller, one) for one in streams]
        with self._database.write() as tx:
            for one in found:
                rows.ask_to_stop(tx, one.id)
        return self._status(caller, streams)

    def _resume(self, caller: Caller, streams: list[Any]) -> list[dict[str, Any]]:
        """Have streams that failed taken up again: what is in their spools is put into files."""
        found = [self._own(caller, one) for one in streams]
        with self._database.write() as tx:
            for one in found:
                if not rows.reopen(tx, one.id):
                    raise InvalidArgument(
                        f"stream {one.id} is {one.state}; only one that failed is taken up again"
                    )
        return self._status(caller, streams)

    def _own(self, caller: Caller, number: Any) -> StreamRow:
        if type(number) is not int:
            raise InvalidArgument(f"found the stream `{number}`; a whole number was expected")
        with self._database.read() as tx:
            found = rows.by_id_or_none(tx, number)
        own = found is not None and (found.user_name, found.user_zone) == (caller.user.name, caller.user.zone)
        if found is None or not (own or caller.is_admin):
            raise NotFound(f"there is no stream {number} of yours")
        return found

    def _shown(self, caller: Caller, number: Any) -> dict[str, Any]:
        return _plain(self._own(caller, number))


def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings within their bounds; 0 leaves one as it is.

    Raises:
        InvalidArgument: one is not.
    """
    found = {}
    for name, value in settings.items():
        kind, least, most = _SETTINGS[name]
        if not value:
            continue
        if not least <= value <= most:
            raise InvalidArgument(
                f"found {value} as `{name}`; a number from {least:g} to {most:g} was expected"
            )
        found[name] = kind(value)
    return found


def _plain(one: StreamRow) -> dict[str, Any]:
    """A stream as JSON says it; nobody is told the token again."""
    found = {**asdict(one), "stream": one.id}
    for name in ("id", "token", "lease_id"):
        del found[name]
    return found
