"""The connection state machine: bytes in, events out. No socket is ever seen here.

Everything that affects the state is in `TRANSITIONS`: which message types a state accepts, and the state that
follows. Whether a client is authenticated is not a state of the wire; the dispatcher decides which API a
caller may use.

Byte streams are not collected here. An `ApiRequest` says how many bytes follow it; whoever handles the
request takes what is already buffered with `take_stream` and reads the rest from the socket itself.

Example:
    >>> session = Session()
    >>> session.receive(data)
    >>> event = session.next_event()  # None: more bytes are needed
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from grid.wire import framing, xml
from grid.wire.errors import WrongMessage
from grid.wire.framing import Header, Limits

NEGOTIATION_REQUEST: Final = "request_server_negotiation"
FIRST_FIXED_APOSTROPHE: Final = (4, 2, 9)


class State(Enum):
    START = "waiting for RODS_CONNECT"
    NEGOTIATING = "waiting for the client's choice of transport"
    READY = "serving requests"
    CLOSED = "closed"


TRANSITIONS: Final = {
    (State.START, "RODS_CONNECT"): State.READY,
    (State.START, "HEARTBEAT"): State.CLOSED,
    (State.NEGOTIATING, "RODS_CS_NEG_T"): State.READY,
    (State.READY, "RODS_API_REQ"): State.READY,
    (State.READY, "RODS_DISCONNECT"): State.CLOSED,
    (State.START, "RODS_DISCONNECT"): State.CLOSED,
    (State.NEGOTIATING, "RODS_DISCONNECT"): State.CLOSED,
}
"""A start that asks for negotiation goes to NEGOTIATING instead; that is the one exception."""


@dataclass(frozen=True, slots=True)
class Startup:
    """The client introduced itself."""

    native: bool
    hop_count: int
    proxy_user: str
    proxy_zone: str
    client_user: str
    client_zone: str
    release: tuple[int, ...]
    application: str
    wants_negotiation: bool

    @property
    def has_apostrophe_bug(self) -> bool:
        return bool(self.release) and self.release < FIRST_FIXED_APOSTROPHE


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The client chose a transport: `CS_NEG_USE_TCP`, `CS_NEG_USE_SSL` or `CS_NEG_FAILURE`."""

    status: int
    choice: str


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request whose message and error parts are complete; `stream_bytes` bytes follow it."""

    number: int
    message: bytes
    error: bytes
    stream_bytes: int


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The client says goodbye; nothing is answered."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A monitor wants the nine bytes `HEARTBEAT` and a closed connection."""


Event = Startup | Negotiated | ApiRequest | Disconnect | Heartbeat


def parse_release(text: str) -> tuple[int, ...]:
    """The numbers of `rodsX.Y.Z`; empty when it is not one."""
    digits = text.removeprefix("rods").split(".")
    return tuple(int(d) for d in digits) if digits and all(d.isdigit() for d in digits) else ()


def parse_startup(message: bytes) -> Startup:
    """Read a `StartupPack_PI`, which is XML whatever the connection speaks afterwards."""
    pack = xml.decode("StartupPack_PI", message)
    option: str = pack["option"]
    return Startup(
        native=pack["irodsProt"] == 0,
        hop_count=pack["connectCnt"],
        proxy_user=pack["proxyUser"],
        proxy_zone=pack["proxyRcatZone"],
        client_user=pack["clientUser"],
        client_zone=pack["clientRcatZone"],
        release=parse_release(pack["relVersion"]),
        application=option.replace(NEGOTIATION_REQUEST, "").strip(),
        wants_negotiation=NEGOTIATION_REQUEST in option,
    )


def parse_negotiation(message: bytes) -> Negotiated:
    """Read the client's `CS_NEG_PI`; 4.0 clients send the bare word, later ones `key=value;` pairs."""
    pack = xml.decode("CS_NEG_PI", message)
    text: str = pack["result"]
    pairs = dict(part.split("=", 1) for part in text.split(";") if "=" in part)
    return Negotiated(pack["status"], pairs.get("cs_neg_result_kw", text.strip("; \0")))


class Session:
    """One connection's receiving side.

    Buffers at most one header and the message and error it announces, which `Limits` bound, plus what one
    `receive` brought.
    """

    __slots__ = ("_buffer", "_header", "_limits", "state")

    def __init__(self, limits: Limits | None = None) -> None:
        self.state = State.START
        self._limits = limits or Limits()
        self._buffer = bytearray()
        self._header: Header | None = None

    @property
    def buffered_bytes(self) -> int:
        return len(self._buffer)

    @property
    def mid_message(self) -> bool:
        """Whether a message has begun and is not complete."""
        return self._header is not None or bool(self._buffer)

    def receive(self, data: bytes) -> None:
        self._buffer += data

    def take_stream(self, wanted: int) -> bytes:
        """Up to `wanted` bytes of the current request's stream that came along with it."""
        part = bytes(self._buffer[:wanted])
        del self._buffer[:wanted]
        return part

    def next_event(self) -> Event | None:
        """The next complete message, or None when more bytes are needed.

        Raises:
            HeaderLengthError, HeaderFormatError: the stream is not the protocol's.
            WrongMessage: a type that this state does not accept.
            RemoteWireError: a handshake message that cannot be read.
        """
        if self._header is None:
            if len(self._buffer) < 4:
                return None
            length = framing.read_length(self._buffer)
            if len(self._buffer) < 4 + length:
                return None
            header = framing.parse_header(bytes(self._buffer[4 : 4 + length]), self._limits)
            if (self.state, header.type) not in TRANSITIONS:
                raise WrongMessage(f"`{header.type}` while {self.state.value}", fatal=True)
            del self._buffer[: 4 + length]
            self._header = header
        header = self._header
        end = header.message_bytes + header.error_bytes
        if len(self._buffer) < end:
            return None
        message = bytes(self._buffer[: header.message_bytes])
        error = bytes(self._buffer[header.message_bytes : end])
        del self._buffer[:end]
        self._header = None
        return self._complete(header, message, error)

    def _complete(self, header: Header, message: bytes, error: bytes) -> Event:
        self.state = TRANSITIONS[self.state, header.type]
        if header.type == "RODS_API_REQ":
            return ApiRequest(header.number, message, error, header.stream_bytes)
        if header.type == "RODS_CONNECT":
            startup = parse_startup(message)
            if startup.wants_negotiation:
                self.state = State.NEGOTIATING
            return startup
        if header.type == "RODS_CS_NEG_T":
            return parse_negotiation(message)
        return Heartbeat() if header.type == "HEARTBEAT" else Disconnect()
