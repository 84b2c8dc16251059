"""A request on its way in and a reply on its way out."""

from dataclasses import dataclass, field
from typing import Any, Final

from grid.catalog.genquery import GeneralQueries
from grid.catalog.specific import SpecificQueries
from grid.config import Settings
from grid.errors import InvalidArgument, NotAuthenticated
from grid.model import Caller
from grid.namespace import Namespace
from grid.server.connection import Connection
from grid.server.ports import MicroserviceCaller

NO_BODY: Final = b""


@dataclass(frozen=True, slots=True)
class FilePart:
    """Bytes of an open file that go out as a reply's stream, with `sendfile` where there is a descriptor."""

    descriptor: int
    offset: int
    count: int


@dataclass(slots=True)
class Reply:
    """What goes back: the status, a struct or ready-made bytes, sentences for the error stack, a stream."""

    status: int = 0
    struct_name: str = ""
    value: dict[str, Any] | None = None
    body: bytes = NO_BODY
    stream: bytes | memoryview | FilePart = NO_BODY
    errors: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers work with."""

    namespace: Namespace
    queries: GeneralQueries
    specific: SpecificQueries
    settings: Settings
    microservices: MicroserviceCaller


@dataclass(slots=True)
class Request:
    """One API request: the unpacked message, and who sent it."""

    connection: Connection
    services: Services
    number: int
    message: dict[str, Any]
    stream_bytes: int
    request_id: str
    inline: bool = False

    @property
    def caller(self) -> Caller:
        """Who asks.

        Raises:
            NotAuthenticated: nobody has logged in on this connection.
        """
        if self.connection.caller is None:
            raise NotAuthenticated("log in first")
        return self.connection.caller

    @property
    def namespace(self) -> Namespace:
        return self.services.namespace

    def keywords(self, key: str = "KeyValPair_PI") -> dict[str, str]:
        """The request's conditions."""
        return keywords_of(self.message, key)

    def take_stream(self) -> memoryview:
        """The whole byte stream that follows the message; for requests whose size is bounded.

        Raises:
            InvalidArgument: it is larger than a single buffer may be.
        """
        limit = self.services.settings.single_buffer_bytes * 2
        if self.stream_bytes > limit:
            raise InvalidArgument(
                f"{self.stream_bytes} bytes came in one buffer; at most {limit} are accepted"
            )
        view = memoryview(bytearray(self.stream_bytes))
        self.connection.receive_stream(view, self.services.settings.minimum_rate)
        self.stream_bytes = 0
        return view


def keywords_of(message: dict[str, Any], key: str = "KeyValPair_PI") -> dict[str, str]:
    """A struct's `KeyValPair_PI` as a dict; the last of a repeated keyword counts."""
    pairs = message.get(key) or {}
    return dict(zip(pairs.get("keyWord") or (), pairs.get("svalue") or (), strict=False))
