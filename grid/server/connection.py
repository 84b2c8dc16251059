"""One client's connection: what the server remembers of it between two requests."""

import contextlib
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from grid.catalog.database import Row
from grid.catalog.genquery import BoundQuery
from grid.codes import Status
from grid.errors import BadDescriptor, PeerGone, SlowPeer
from grid.model import Caller
from grid.namespace import OpenReplica
from grid.wire import native, xml
from grid.wire.framing import Limits
from grid.wire.session import Session, Startup

FIRST_DESCRIPTOR: Final = 3
MAX_DESCRIPTORS: Final = 1024
MAX_CURSORS: Final = 200
READ_PATIENCE_S: Final = 10.0
LOW_WATER: Final = 512 << 10
"""So many bytes of a large stream are waited for at once."""


@dataclass(slots=True)
class Cursor:
    """A query whose next page a client may ask for: the query, how far it is, and rows read ahead."""

    bound: BoundQuery | None
    specific: tuple[str, tuple[str, ...]] | None
    attributes: Sequence[int]
    offset: int
    ahead: list[Row]
    step: int
    used_at: float


class Connection:
    """A socket, the state machine of its messages, and the user behind it."""

    __slots__ = (
        "address", "application", "authenticated", "buffer_count", "caller", "challenge", "cursors",
        "descriptors", "ended", "fd", "last_progress", "number", "opened_at", "refreshed_at", "request_count",
        "scheme_state", "session", "socket", "startup",
    )  # fmt: skip

    def __init__(self, peer: socket.socket, address: str, number: int, limits: Limits) -> None:
        self.socket = peer
        self.fd = peer.fileno()
        self.address = address
        self.number = number
        self.session = Session(limits)
        self.startup: Startup | None = None
        self.caller: Caller | None = None
        self.authenticated = False
        self.challenge = b""
        self.application = ""
        self.descriptors: dict[int, OpenReplica] | None = None
        self.cursors: dict[int, Cursor] | None = None
        self.opened_at = time.monotonic()
        self.last_progress = self.opened_at
        self.refreshed_at = 0.0
        self.request_count = 0
        self.buffer_count = 0
        self.scheme_state: dict[str, Any] | None = None
        self.ended = False

    @property
    def native(self) -> bool:
        return self.startup is not None and self.startup.native

    @property
    def apostrophe_bug(self) -> bool:
        return self.startup is not None and self.startup.has_apostrophe_bug

    def decode(self, struct_name: str, message: bytes) -> dict[str, Any]:
        """Read a message in this connection's encoding."""
        if self.native:
            return native.decode(struct_name, message)
        return xml.decode(struct_name, message, apostrophe_bug=self.apostrophe_bug)

    def encode(self, struct_name: str, value: dict[str, Any]) -> bytes:
        """Write a message in this connection's encoding."""
        if self.native:
            return native.encode(struct_name, value)
        return xml.encode(struct_name, value, apostrophe_bug=self.apostrophe_bug)

    # -- descriptors -----------------------------------------------------------------------------------------

    def add_descriptor(self, opened: OpenReplica) -> int:
        """A number for an open data object; the lowest that is free.

        Raises:
            BadDescriptor: too many are open (-21000).
        """
        if self.descriptors is None:
            self.descriptors = {}
        for number in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + MAX_DESCRIPTORS):
            if number not in self.descriptors:
                self.descriptors[number] = opened
                return number
        raise BadDescriptor(
            f"{MAX_DESCRIPTORS} data objects are open on this connection", status=Status.SYS_OUT_OF_FILE_DESC
        )

    def descriptor(self, number: int) -> OpenReplica:
        """The open data object behind a number.

        Raises:
            BadDescriptor: none is (-345000).
        """
        found = self.descriptors.get(number) if self.descriptors else None
        if found is None:
            raise BadDescriptor(f"no data object is open as {number}")
        return found

    def drop_descriptor(self, number: int) -> None:
        if self.descriptors:
            self.descriptors.pop(number, None)

    def close_everything(self) -> None:
        """Give up what is open: writes are undone, files and the socket closed."""
        self.ended = True
        for opened in list((self.descriptors or {}).values()):
            if opened.writable:
                opened.abandon()  # type: ignore[union-attr]  # `writable` tells the two kinds apart
            else:
                opened.close()  # type: ignore[union-attr]
        self.descriptors = None
        self.cursors = None
        try:
            self.socket.close()
        except OSError:
            pass  # it was closed by the peer, which is the same

    # -- bulk bytes, from a worker thread only ----------------------------------------------------------------

    def receive_stream(self, view: memoryview, minimum_rate: int) -> None:
        """Fill `view` with bytes of the current request's stream.

        Raises:
            PeerGone: the client closed.
            SlowPeer: it sent less than `minimum_rate` bytes a second.
        """
        early = self.session.take_stream(len(view))
        view[: len(early)] = early
        done = len(early)
        large = len(view) - done > LOW_WATER
        try:
            while done < len(view):
                started = time.monotonic()
                if large:
                    self._wait_for(min(len(view) - done, LOW_WATER))
                count = self._receive_into(view[done:], socket.MSG_DONTWAIT if large else socket.MSG_WAITALL)
                elapsed = time.monotonic() - started
                if count < 0 or (elapsed >= READ_PATIENCE_S * 0.9 and count < minimum_rate * elapsed):
                    raise SlowPeer(f"the client sent fewer than {minimum_rate} bytes a second")
                done += count
        finally:
            if large:
                self._low_water(1)

    def _receive_into(self, view: memoryview, flags: int) -> int:
        """How many bytes came; -1 where none did in time."""
        try:
            count = self.socket.recv_into(view, len(view), flags)
        except (BlockingIOError, TimeoutError):
            return -1
        except OSError as error:
            raise PeerGone(f"the connection broke: {error}") from error
        if count == 0:
            raise PeerGone("the client closed the connection inside a request")
        return count

    def _wait_for(self, count: int) -> None:
        """Sleep until so many bytes are there, or the peer takes too long: being woken for every segment costs as much as receiving it."""
        self._low_water(count)
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        poll.poll(READ_PATIENCE_S * 1000)

    def _low_water(self, count: int) -> None:
        """The socket is readable from so many bytes on."""
        with contextlib.suppress(OSError):  # one that broke says so when it is read
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def discard_stream(self, stream_bytes: int, minimum_rate: int) -> None:
        """Read past bytes that nobody wants."""
        scratch = memoryview(bytearray(min(stream_bytes, 1 << 20)))
        while stream_bytes > 0:
            part = scratch[: min(stream_bytes, len(scratch))]
            self.receive_stream(part, minimum_rate)
            stream_bytes -= len(part)
