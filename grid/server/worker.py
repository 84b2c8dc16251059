"""One server process: a selector loop that holds all connections, and a few threads for what takes time.

Strategy. The loop collects each request's header and message without blocking and answers reads and logins
itself, because a thread switch costs more than such a request. Whatever writes, syncs, carries bulk bytes or waits
goes, whole connection and all, to a thread; it serves what follows as long as the client keeps asking at once,
and then hands the connection back. A connection is therefore always with exactly one of the two.

Limits: half a message costs a timeout, not a thread; unfinished messages of all connections together are
bounded; a connection on which nobody logs in is closed.
"""

import logging
import os
import queue
import select
import signal
import socket
import struct
import threading
import time
from collections import deque
from typing import Final

from grid.catalog.database import Database
from grid.codes import Status
from grid.config import Settings
from grid.errors import PeerGone, SlowPeer, status_of
from grid.server.connection import READ_PATIENCE_S, Connection
from grid.server.dispatch import Dispatcher
from grid.server.exchange import FilePart, Reply
from grid.server.handlers import INLINE
from grid.server.handlers.session import API_VERSION, RELEASE
from grid.wire import xml
from grid.wire.errors import RemoteWireError
from grid.wire.framing import Limits, frame
from grid.wire.session import ApiRequest, Disconnect, Event, Heartbeat, Negotiated, Startup

RECEIVE_BYTES: Final = 64 << 10
LINGER_S: Final = 0.004
SWEEP_EVERY_S: Final = 1.0
MAX_UNFINISHED_BYTES: Final = 256 << 20
MAX_HOPS: Final = 7
COOKIE: Final = 400
_SENDFILE_CHUNK: Final = 64 << 20
_INLINE_STEPS: Final = 400_000

_log = logging.getLogger("beamgrid.worker")


class Worker:
    """Serves connections from one listening socket until `stop`."""

    def __init__(
        self, listener: socket.socket, dispatcher: Dispatcher, settings: Settings, database: Database
    ) -> None:
        self._listener = listener
        self._dispatcher = dispatcher
        self._settings = settings
        self._database = database
        self._limits = Limits(message_bytes=settings.max_message_bytes)
        self._poll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._unready: dict[int, Connection] = {}
        self._unfinished: dict[int, Connection] = {}
        self._work: queue.SimpleQueue[tuple[Connection, ApiRequest | None, bytes] | None] = (
            queue.SimpleQueue()
        )
        self._returned: deque[tuple[Connection, bool]] = deque()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._threads: list[threading.Thread] = []
        self._busy = 0
        self._busy_lock = threading.Lock()
        self._stopping = False
        self._count = 0

    # -- the loop --------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until `stop`, then let running requests end within the grace period."""
        self._listener.setblocking(False)
        self._poll.register(self._listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        self._poll.register(self._wake_read, select.EPOLLIN)
        for index in range(self._settings.threads):
            thread = threading.Thread(target=self._thread, name=f"serve-{index}", daemon=True)
            thread.start()
            self._threads.append(thread)
        next_sweep = time.monotonic() + SWEEP_EVERY_S
        listener, waker = self._listener.fileno(), self._wake_read.fileno()
        while not self._stopping:
            for descriptor, _ in self._poll.poll(max(next_sweep - time.monotonic(), 0)):
                if descriptor == listener:
                    self._accept()
                elif descriptor == waker:
                    self._take_back()
                else:
                    connection = self._connections.get(descriptor)
                    if connection is not None:
                        self._readable(connection)
            if time.monotonic() >= next_sweep:
                self._sweep()
                next_sweep = time.monotonic() + SWEEP_EVERY_S
        self._shut_down()

    def reload(self, settings: Settings) -> None:
        """Take over changed settings: time-outs, rates and sizes."""
        self._settings = settings
        self._dispatcher.use(settings)

    def stop(self) -> None:
        """End the loop; safe in a signal handler."""
        self._stopping = True
        try:
            self._wake_write.send(b"x")
        except OSError:
            pass  # the loop ends at its next sweep anyway

    def _shut_down(self) -> None:
        deadline = time.monotonic() + self._settings.shutdown_grace_s
        self._poll.unregister(self._listener)
        while self._busy and time.monotonic() < deadline:
            time.sleep(0.02)
        for _ in self._threads:
            self._work.put(None)
        for connection in list(self._connections.values()):
            self._close(connection)
        for thread in self._threads:
            thread.join(timeout=max(deadline - time.monotonic(), 0.1))
        self._poll.close()

    def _accept(self) -> None:
        for _ in range(64):
            try:
                peer, address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                _log.error("a connection could not be accepted: %s", error)
                time.sleep(0.05)  # out of descriptors: let others end first
                return
            if len(self._connections) >= self._settings.max_connections:
                _log.warning(
                    "a connection from %s was refused: %d are open", address[0], len(self._connections)
                )
                peer.close()
                continue
            peer.setblocking(False)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._count += 1
            connection = Connection(peer, str(address[0]), self._count, self._limits)
            self._connections[peer.fileno()] = connection
            self._unready[peer.fileno()] = connection
            self._poll.register(peer, select.EPOLLIN)

    def _readable(self, connection: Connection) -> None:
        try:
            data = connection.socket.recv(RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        connection.last_progress = time.monotonic()
        connection.session.receive(data)
        self._process(connection)

    def _process(self, connection: Connection) -> None:
        """Handle every complete message; the connection may go to a thread or be closed."""
        descriptor = connection.fd
        while True:
            try:
                event = connection.session.next_event()
            except RemoteWireError as error:
                self._refuse(connection, error)
                return
            if event is None:
                break
            if isinstance(event, ApiRequest):
                if not self._is_inline(event):
                    self._hand_over(connection, event)
                    return
                if not self._serve_inline(connection, event):
                    return
            elif not self._handshake(connection, event):
                self._close(connection)
                return
        if connection.session.mid_message:
            self._unfinished[descriptor] = connection
        else:
            self._unfinished.pop(descriptor, None)
        if connection.authenticated:
            self._unready.pop(descriptor, None)

    def _is_inline(self, event: ApiRequest) -> bool:
        return self._database.is_sqlite and event.number in INLINE and not event.stream_bytes

    def _serve_inline(self, connection: Connection, event: ApiRequest) -> bool:
        """Answer in the loop; False when the connection is not the loop's any more."""
        cursor = self._database.cursor()
        steps = _StepLimit()
        cursor.connection.set_progress_handler(steps, _INLINE_STEPS)
        try:
            head, reply = self._dispatcher.serve(connection, event, inline=True)
        except (PeerGone, SlowPeer):
            self._close(connection)
            return False
        finally:
            cursor.connection.set_progress_handler(None, 0)
        if steps.exceeded:
            # too much for the loop: a thread starts it again, from the beginning, without a limit
            self._hand_over(connection, event)
            return False
        stream = reply.stream
        data = head + bytes(stream) if not isinstance(stream, FilePart) else head
        try:
            sent = connection.socket.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._close(connection)
            return False
        if sent < len(data):
            self._hand_over(connection, None, data[sent:])
            return False
        return True

    def _handshake(self, connection: Connection, event: Event) -> bool:
        """Startup, negotiation and goodbye; False ends the connection."""
        if isinstance(event, Startup):
            connection.startup = event
            connection.application = event.application
            if event.hop_count > MAX_HOPS:
                self._send_version(connection, int(Status.SYS_EXCEED_CONNECT_CNT))
                return False
            if event.wants_negotiation:
                body = xml.encode("CS_NEG_PI", {"status": 1, "result": "CS_NEG_REFUSE"})
                return self._send_small(connection, frame("RODS_CS_NEG_T", body))
            return self._send_version(connection, 0)
        if isinstance(event, Negotiated):
            if event.status != 1 or event.choice != "CS_NEG_USE_TCP":
                self._send_version(connection, int(Status.SERVER_NEGOTIATION_ERROR))
                return False
            return self._send_version(connection, 0)
        if isinstance(event, Heartbeat):
            self._send_small(connection, b"HEARTBEAT")
        assert isinstance(event, (Heartbeat, Disconnect)), "requests are handled elsewhere"
        return False

    def _send_version(self, connection: Connection, status: int) -> bool:
        body = xml.encode(
            "Version_PI",
            {
                "status": status, "relVersion": RELEASE, "apiVersion": API_VERSION, "reconnPort": 0,
                "reconnAddr": "", "cookie": COOKIE,
            },
        )  # fmt: skip
        return self._send_small(connection, frame("RODS_VERSION", body))

    def _send_small(self, connection: Connection, data: bytes) -> bool:
        try:
            return connection.socket.send(data) == len(data)
        except OSError:
            return False

    def _refuse(self, connection: Connection, error: RemoteWireError) -> None:
        """Answer what is no message of the protocol, and close."""
        _log.info("connection from %s ended: %s", connection.address, error)
        if connection.startup is None:
            self._send_version(connection, int(Status.SYS_HEADER_READ_LEN_ERR))
        else:
            self._send_small(connection, frame("RODS_API_REPLY", number=status_of(error)))
        self._close(connection)

    def _close(self, connection: Connection) -> None:
        if connection.ended:
            return
        descriptor = connection.fd
        if self._connections.pop(descriptor, None) is not None:
            try:
                self._poll.unregister(descriptor)
            except (OSError, ValueError):
                pass  # it is with a thread, which took it out
        self._unready.pop(descriptor, None)
        self._unfinished.pop(descriptor, None)
        if connection.descriptors:
            # undoing a write waits for the catalog: not here
            connection.ended = True
            self._work.put((connection, None, b""))
        else:
            connection.close_everything()

    def _sweep(self) -> None:
        """Close what has been silent for too long."""
        now, settings = time.monotonic(), self._settings
        for connection in list(self._unready.values()):
            if connection.authenticated:
                self._unready.pop(connection.fd, None)
            elif now - connection.opened_at > settings.login_timeout_s:
                self._close(connection)
        held = 0
        for connection in list(self._unfinished.values()):
            held += connection.session.buffered_bytes
            late = now - connection.last_progress > settings.message_timeout_s
            if late or held > MAX_UNFINISHED_BYTES:
                _log.info("connection from %s ended: its message did not become complete", connection.address)
                self._close(connection)
        if int(now) % 60 == 0:
            for connection in list(self._connections.values()):
                if now - connection.last_progress > settings.idle_timeout_s:
                    self._close(connection)

    # -- handing over and back -------------------------------------------------------------------------------

    def _hand_over(self, connection: Connection, event: ApiRequest | None, unsent: bytes = b"") -> None:
        descriptor = connection.fd
        self._poll.unregister(descriptor)
        self._unfinished.pop(descriptor, None)
        with self._busy_lock:
            self._busy += 1
        self._work.put((connection, event, unsent))

    def _give_back(self, connection: Connection, alive: bool) -> None:
        with self._busy_lock:
            self._busy -= 1
        self._returned.append((connection, alive))
        try:
            self._wake_write.send(b"x")
        except OSError:
            pass  # the loop is ending

    def _take_back(self) -> None:
        try:
            self._wake_read.recv(4096)
        except (BlockingIOError, InterruptedError):
            pass  # another wake-up took it
        while self._returned:
            connection, alive = self._returned.popleft()
            descriptor = connection.fd
            if not alive:
                self._connections.pop(descriptor, None)
                self._unready.pop(descriptor, None)
                connection.ended = False
                self._close_returned(connection)
                continue
            connection.last_progress = time.monotonic()
            connection.socket.setblocking(False)
            self._poll.register(connection.socket, select.EPOLLIN)
            self._process(connection)

    def _close_returned(self, connection: Connection) -> None:
        if connection.descriptors:
            connection.ended = True
            self._work.put((connection, None, b""))
        else:
            connection.close_everything()

    # -- the threads -----------------------------------------------------------------------------------------

    def _thread(self) -> None:
        while True:
            item = self._work.get()
            if item is None:
                return
            connection, event, unsent = item
            if connection.ended:
                self._undo(connection)
                continue
            alive = False
            try:
                alive = self._serve_blocking(connection, event, unsent)
            except Exception:
                _log.exception("connection %d failed", connection.number)
            finally:
                self._give_back(connection, alive)

    def _undo(self, connection: Connection) -> None:
        try:
            connection.close_everything()
        except Exception:
            # the lease of this process still holds them; the next opener or the next start undoes them
            _log.exception("open data objects of connection %d could not be given back", connection.number)

    def _serve_blocking(self, connection: Connection, event: ApiRequest | None, unsent: bytes) -> bool:
        """Serve requests while they keep coming; False when the connection is over."""
        peer = connection.socket
        peer.setblocking(True)
        patience = struct.pack("ll", int(READ_PATIENCE_S), 0)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        try:
            if unsent:
                self._send(peer, unsent)
            while True:
                if event is not None:
                    head, reply = self._dispatcher.serve(connection, event, inline=False)
                    self._send_reply(peer, head, reply)
                    connection.last_progress = time.monotonic()
                event = self._following(connection)
                if event is None:
                    return True
                if self._stopping:
                    return False
        except (PeerGone, SlowPeer, OSError) as error:
            _log.info("connection from %s ended: %s", connection.address, error)
            return False
        except _Ended:
            return False

    def _following(self, connection: Connection) -> ApiRequest | None:
        """The client's next request when it comes at once; None hands the connection back to the loop."""
        session = connection.session
        while True:
            try:
                event = session.next_event()
            except RemoteWireError as error:
                self._send_small(connection, frame("RODS_API_REPLY", number=status_of(error)))
                raise _Ended from error
            if isinstance(event, ApiRequest):
                return event
            if event is not None:
                raise _Ended
            if not self._work.empty():
                return None
            if not _has_bytes_soon(connection.socket):
                return None
            data = connection.socket.recv(RECEIVE_BYTES)
            if not data:
                raise _Ended
            session.receive(data)

    def _send_reply(self, peer: socket.socket, head: bytes, reply: Reply) -> None:
        stream = reply.stream
        if isinstance(stream, FilePart):
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            self._send(peer, head)
            self._send_file(peer, stream)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        elif len(stream) > 64 << 10:
            self._send(peer, head)
            self._send(peer, stream)
        elif len(stream):
            self._send(peer, head + bytes(stream))
        else:
            self._send(peer, head)

    def _send(self, peer: socket.socket, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            started = time.monotonic()
            try:
                count = peer.send(view)
            except (BlockingIOError, TimeoutError):
                raise SlowPeer("the client takes no bytes") from None
            self._check_rate(count, time.monotonic() - started)
            view = view[count:]

    def _send_file(self, peer: socket.socket, part: FilePart) -> None:
        offset, remaining = part.offset, part.count
        while remaining:
            started = time.monotonic()
            try:
                count = os.sendfile(peer.fileno(), part.descriptor, offset, min(remaining, _SENDFILE_CHUNK))
            except (BlockingIOError, TimeoutError):
                raise SlowPeer("the client takes no bytes") from None
            if count == 0:
                raise PeerGone("the file became shorter while it was sent")
            self._check_rate(count, time.monotonic() - started)
            offset += count
            remaining -= count

    def _check_rate(self, count: int, elapsed: float) -> None:
        if elapsed >= READ_PATIENCE_S * 0.9 and count < self._settings.minimum_rate * elapsed:
            raise SlowPeer(f"the client takes fewer than {self._settings.minimum_rate} bytes a second")


class _Ended(Exception):
    """The client said goodbye or is gone."""


class _StepLimit:
    """Stops a statement that is too long for the loop."""

    def __init__(self) -> None:
        self.exceeded = False

    def __call__(self) -> int:
        self.exceeded = True
        return 1


def _has_bytes_soon(peer: socket.socket) -> bool:
    waiter = select.poll()
    waiter.register(peer, select.POLLIN)
    return bool(waiter.poll(LINGER_S * 1000))


def stop_on_signals(worker: Worker) -> None:
    """Let SIGTERM and SIGINT end a worker."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
