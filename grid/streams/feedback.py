"""What the instrument is told while frames pass: a ZeroMQ socket that publishes, and server-sent events over HTTP.

Messages are JSON with `kind` and `stream`; kinds are what rules emit (`instrument_feedback`, `veto`, ...), `frames` (what was found in a batch), `progress` and `end`.
On the socket there are two parts: the kind, which subscribers filter by, and the JSON. Who is slow loses the oldest messages; who is gone costs nothing.
Source of the event format: WHATWG HTML, section 9.2 "Server-sent events".
"""

import contextlib
import json
import logging
import queue
import threading
from collections import deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import zmq

WAITING: Final = 1000
"""Messages that wait for one subscriber, at the most."""

BEAT_S: Final = 10.0
MOST_LISTENERS: Final = 100
SEND_S: Final = 20.0

_log = logging.getLogger("beamgrid.streams")


class _Listener:
    """One reader of events over HTTP."""

    def __init__(self) -> None:
        self.messages: deque[bytes] = deque(maxlen=WAITING)
        self.waiting = threading.Event()


class Feedback:
    """Publishes for one stream. `tell` may be called by any thread, and returns at once.

    Args:
        stream_id: of the stream.
        host: to listen on.
    """

    def __init__(self, stream_id: str, host: str) -> None:
        self._id = stream_id
        self._queue: queue.SimpleQueue[tuple[str, bytes] | None] = queue.SimpleQueue()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.SNDHWM, WAITING)
        self._socket.setsockopt(zmq.LINGER, 500)
        self._socket.bind(f"tcp://{host}:*")
        self.address: str = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._listeners: list[_Listener] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer((host, 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://{host}:{self._server.server_address[1]}/events"
        self._threads = [
            threading.Thread(target=self._publish, name="stream-feedback", daemon=True),
            threading.Thread(target=self._server.serve_forever, name="stream-events", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def tell(self, kind: str, said: Mapping[str, Any]) -> None:
        """Say something to everybody who listens."""
        text = json.dumps({"kind": kind, "stream": self._id, **said}, default=str)
        self._queue.put((kind, text.encode()))

    def close(self) -> None:
        """Say what waits, and end."""
        self._queue.put(None)
        self._threads[0].join(timeout=2.0)
        self._ended.set()
        with self._lock:
            for one in self._listeners:
                one.waiting.set()
        self._server.shutdown()
        self._server.server_close()
        self._socket.close()
        self._context.term()

    def _publish(self) -> None:
        while (found := self._queue.get()) is not None:
            kind, text = found
            with contextlib.suppress(zmq.ZMQError):
                self._socket.send_multipart([kind.encode(), text], zmq.NOBLOCK)
            with self._lock:
                for one in self._listeners:
                    one.messages.append(b"event: " + kind.encode() + b"\ndata: " + text + b"\n\n")
                    one.waiting.set()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        feedback = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = SEND_S

            def do_GET(self) -> None:
                if self.path != "/events":
                    self.send_error(404, "there is only /events here")
                    return
                listener = feedback._join()
                if listener is None:
                    self.send_error(503, f"{MOST_LISTENERS} listen already")
                    return
                try:
                    self._events(listener)
                except OSError as error:
                    _log.debug("somebody stopped listening: %s", error)
                finally:
                    feedback._leave(listener)
                    self.close_connection = True

            def _events(self, listener: _Listener) -> None:
                self.send_response(200)
                for name, value in (
                    ("Content-Type", "text/event-stream"),
                    ("Cache-Control", "no-store"),
                    ("Connection", "close"),
                ):
                    self.send_header(name, value)
                self.end_headers()
                while True:
                    if not listener.waiting.wait(BEAT_S):
                        self.wfile.write(b": nothing new\n\n")
                    listener.waiting.clear()
                    while listener.messages:
                        self.wfile.write(listener.messages.popleft())
                    self.wfile.flush()
                    if feedback._ended.is_set():
                        return

            def log_message(self, format: str, *args: Any) -> None:
                _log.debug("events: " + format, *args)

        return Handler

    def _join(self) -> _Listener | None:
        with self._lock:
            if len(self._listeners) >= MOST_LISTENERS:
                return None
            self._listeners.append(_Listener())
            return self._listeners[-1]

    def _leave(self, listener: _Listener) -> None:
        with self._lock:
            self._listeners.remove(listener)
