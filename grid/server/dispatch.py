"""From a request to the bytes of its reply: find the handler, call it, translate what goes wrong.

The only place that catches broadly: an error inside one request is logged with the request's id and answered,
and never ends another's connection.
"""

import logging
import time
from dataclasses import replace
from typing import Final

from grid.codes import APIS, Api, Status
from grid.config import Settings
from grid.errors import (
    FactsChanged,
    GridError,
    InvalidArgument,
    NotAuthenticated,
    PeerGone,
    PolicyDenied,
    RuleBroken,
    SlowPeer,
    sentences_of,
    status_of,
)
from grid.paths import InvalidPath
from grid.server.connection import Connection
from grid.server.counters import OUTCOMES, Tally
from grid.server.exchange import FilePart, Reply, Request, Services
from grid.server.handlers import HANDLERS, Handler
from grid.server.handlers.session import privilege_of
from grid.wire.errors import LocalWireError, WireError
from grid.wire.framing import frame
from grid.wire.session import ApiRequest

REFRESH_S: Final = 1.0
DECISIONS: Final = 3
_OK, _ERROR, _REFUSED = (OUTCOMES.index(name) for name in ("ok", "error", "refused"))
_SENTENCE_BYTES: Final = 1000

_log = logging.getLogger("beamgrid.request")


class Dispatcher:
    """Serves requests one at a time; any thread may call it."""

    def __init__(self, services: Services, tally: Tally) -> None:
        self._services = services
        self._tally = tally

    def use(self, settings: Settings) -> None:
        """Take over changed settings; requests that run keep the old ones."""
        self._services = replace(self._services, settings=settings)

    def serve(self, connection: Connection, event: ApiRequest, *, inline: bool) -> tuple[bytes, Reply]:
        """Answer a request.

        Returns:
            The frame up to its byte stream, and the reply whose stream follows.

        Raises:
            PeerGone, SlowPeer: the connection cannot go on.
        """
        connection.request_count += 1
        request_id = f"{connection.number}-{connection.request_count}"
        started = time.perf_counter()
        remaining = event.stream_bytes
        refused = False
        try:
            api = APIS.get(event.number)
            handler = HANDLERS.get(event.number)
            if api is None or handler is None:
                reply = Reply(int(Status.SYS_UNMATCHED_API_NUM))
            else:
                request = self._request(connection, api, event, request_id, inline)
                try:
                    reply = _decided(handler, request)
                finally:
                    remaining = request.stream_bytes
        except (PeerGone, SlowPeer):
            raise
        except (GridError, WireError, InvalidPath) as error:
            reply = self._refusal(error)
            refused = isinstance(error, (PolicyDenied, RuleBroken))
        except Exception:
            _log.exception(
                "request failed unexpectedly", extra=self._facts(connection, event, request_id, started)
            )
            reply = Reply(
                int(Status.SYS_INTERNAL_ERR),
                errors=[
                    (
                        int(Status.SYS_INTERNAL_ERR),
                        f"internal error; the server's log has it as request {request_id}",
                    )
                ],
            )
        served = reply.status >= 0 or reply.status == Status.CAT_NO_ROWS_FOUND
        self._tally.note(
            event.number,
            _OK if served else _REFUSED if refused else _ERROR,
            time.perf_counter() - started,
            event.stream_bytes - remaining,
            _length(reply.stream),
        )
        if remaining:
            connection.discard_stream(remaining, self._services.settings.minimum_rate)
        if _log.isEnabledFor(logging.INFO) and (reply.status < 0 or _log.isEnabledFor(logging.DEBUG)):
            self._note(connection, event, request_id, started, reply)
        return self._frame(connection, reply, request_id), reply

    def _request(
        self, connection: Connection, api: Api, event: ApiRequest, request_id: str, inline: bool
    ) -> Request:
        self._refresh(connection, request_id)
        zone = self._services.settings.zone
        caller = connection.caller
        if (
            privilege_of(caller, proxy=False, zone=zone) < api.client_privilege
            or privilege_of(caller, proxy=True, zone=zone) < api.proxy_privilege
        ):
            raise _no_privilege(api, known=caller is not None)
        if (api.input_struct is None) != (not event.message):
            raise _bad_input(f"{api.name} {'takes no' if event.message else 'needs a'} message")
        if event.stream_bytes and not api.takes_bytes:
            raise _bad_input(f"{api.name} takes no byte stream")
        message = connection.decode(api.input_struct, event.message) if api.input_struct else {}
        return Request(
            connection, self._services, event.number, message, event.stream_bytes, request_id, inline
        )

    def _refresh(self, connection: Connection, request_id: str) -> None:
        """Let changes of the caller's type and groups take effect within a second."""
        caller = connection.caller
        if caller is None or time.monotonic() - connection.refreshed_at < REFRESH_S:
            return
        connection.caller = self._services.namespace.users.refreshed(caller, request_id)
        connection.refreshed_at = time.monotonic()

    def _refusal(self, error: Exception) -> Reply:
        status = status_of(error)
        return Reply(status, errors=[(status, sentence) for sentence in sentences_of(error)])

    def _frame(self, connection: Connection, reply: Reply, request_id: str) -> bytes:
        try:
            body = reply.body
            if reply.struct_name:
                body = connection.encode(reply.struct_name, reply.value or {})
            errors = b""
            if reply.errors:
                entries = [{"status": status, "msg": _cut(sentence)} for status, sentence in reply.errors]
                errors = connection.encode("RError_PI", {"count": len(entries), "RErrMsg_PI": entries})
        except LocalWireError as error:
            _log.error("the reply to request %s cannot be sent: %s", request_id, error)
            reply.stream = b""
            return frame("RODS_API_REPLY", number=status_of(error))
        return frame("RODS_API_REPLY", body, errors, _length(reply.stream), reply.status)

    def _facts(
        self, connection: Connection, event: ApiRequest, request_id: str, started: float
    ) -> dict[str, object]:
        api = APIS.get(event.number)
        return {
            "request": request_id,
            "user": connection.caller.user.full_name if connection.caller else "-",
            "address": connection.address,
            "api": api.name if api else str(event.number),
            "ms": round((time.perf_counter() - started) * 1000, 2),
        }

    def _note(
        self, connection: Connection, event: ApiRequest, request_id: str, started: float, reply: Reply
    ) -> None:
        facts = self._facts(connection, event, request_id, started)
        facts["status"] = reply.status
        level = (
            logging.INFO if reply.status < 0 and reply.status != Status.CAT_NO_ROWS_FOUND else logging.DEBUG
        )
        _log.log(level, reply.errors[0][1] if reply.errors else "served", extra=facts)


def _decided(handler: Handler, request: Request) -> Reply:
    """The handler's reply; begun again when what the policy looked at changed before the operation began."""
    whole = request.stream_bytes
    for _ in range(DECISIONS - 1):
        try:
            return handler(request)
        except FactsChanged:
            if request.stream_bytes != whole:
                raise  # its bytes are spent; the client has to send them again
    return handler(request)


def _no_privilege(api: Api, *, known: bool) -> GridError:
    what = "is for administrators" if known else "needs a login"
    return NotAuthenticated(f"{api.name} {what}", status=Status.SYS_NO_API_PRIV)


def _bad_input(message: str) -> GridError:
    return InvalidArgument(message, status=Status.SYS_API_INPUT_ERR)


def _cut(sentence: str) -> str:
    """A sentence that fits the protocol's error stack."""
    sentence = sentence.replace("\0", " ")
    data = sentence.encode("utf-8", "backslashreplace")
    return data[:_SENTENCE_BYTES].decode("utf-8", "ignore")


def _length(stream: bytes | memoryview | FilePart) -> int:
    return stream.count if isinstance(stream, FilePart) else len(stream)
