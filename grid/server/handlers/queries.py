"""General and specific queries, and their paging.

Between two pages nothing is open in the catalog: a cursor is the bound query, an offset, and rows read ahead.

Source: `rsGenQuery.cpp`, `rsSpecificQuery.cpp`, iRODS 5.0.2.
"""

import time
from typing import Any, Final

from grid.catalog import genquery
from grid.catalog import specific as specific_queries
from grid.catalog.database import Row
from grid.catalog.genquery import Query
from grid.codes import Status
from grid.errors import CatalogFailed, GridError, InvalidArgument, status_of
from grid.namespace import Event
from grid.server.connection import MAX_CURSORS, Cursor
from grid.server.exchange import Reply, Request
from grid.wire.genquery import pack

_LARGEST_STEP: Final = 8192


def _reply(
    request: Request, attributes: Any, rows: list[Row], *, continuation: int, total: int, status: int = 0
) -> Reply:
    connection = request.connection
    body = pack(
        attributes, rows, continuation=continuation, total=total, native=connection.native,
        apostrophe_bug=connection.apostrophe_bug,
    )  # fmt: skip
    return Reply(status, body=body)


def _empty(request: Request, status: int, *, continuation: int = 0) -> Reply:
    return _reply(request, (), [], continuation=continuation, total=0, status=status)


def _pairs(struct: dict[str, Any] | None, first: str, second: str) -> tuple[tuple[Any, Any], ...]:
    struct = struct or {}
    return tuple(zip(struct.get(first) or (), struct.get(second) or (), strict=False))


def _check_zone(request: Request) -> None:
    """The `zone` keyword is a name, or a path whose first element is one."""
    zone = request.keywords().get("zone", "").strip("/").partition("/")[0]
    if zone and zone != request.services.settings.zone:
        raise InvalidArgument(f"zone `{zone}` is not served here", status=Status.SYS_INVALID_ZONE_NAME)


def general_query(request: Request) -> Reply:
    """702: a page of a general query."""
    message = request.message
    max_rows, continuation = message["maxRows"], message["continueInx"]
    cursors = request.connection.cursors
    if max_rows <= 0:
        if continuation > 0 and cursors:
            cursors.pop(continuation, None)
        return _empty(request, 0, continuation=0 if continuation > 0 else 1)
    if continuation > 0:
        return _next_page(request, continuation, max_rows)
    try:
        _check_zone(request)
        return _first_page(request, max_rows)
    except GridError as error:
        if error.status in _WITH_BODY or type(error) in _WITH_BODY_CLASSES:
            reply = _empty(request, status_of(error))
            reply.errors = [(reply.status, str(error))]
            return reply
        raise


_WITH_BODY: Final = frozenset({Status.CAT_UNKNOWN_TABLE, Status.CAT_FAILED_TO_LINK_TABLES})
_WITH_BODY_CLASSES: Final = (CatalogFailed, InvalidArgument)


def _first_page(request: Request, max_rows: int) -> Reply:
    message, services = request.message, request.services
    query = Query(
        _pairs(message["InxIvalPair_PI"], "inx", "ivalue"),
        _pairs(message["InxValPair_PI"], "inx", "svalue"),
        message["options"],
    )
    caller = request.caller
    request.namespace.context.policy.witness(
        Event("query", "run", caller, "", 0, {"statement": {"text": "general query"}})
    )
    offset = max(message["partialStartIndex"], 0)
    with request.namespace.context.database.read() as tx:
        bound = services.queries.bind(tx, query, None if caller.is_admin else caller.user.id)
        if bound is None:
            return _empty(request, int(Status.CAT_NO_ROWS_FOUND))
        rows = services.queries.page(tx, bound, limit=max_rows + 1, offset=offset)
        total = 0
        if query.options & genquery.RETURN_TOTAL_ROW_COUNT:
            full = len(rows) > max_rows or (offset and not rows)
            total = services.queries.total(tx, bound) if full else len(rows) + offset
    if not rows:
        return _empty(request, int(Status.CAT_NO_ROWS_FOUND))
    page = rows[:max_rows]
    number = 0
    if query.options & genquery.AUTO_CLOSE:
        number = -1
    elif len(page) == max_rows:
        number = _keep(
            request, Cursor(bound, None, bound.columns, offset + max_rows, [], max_rows, time.monotonic())
        )
    return _reply(request, bound.columns, page, continuation=number, total=total)


def _keep(request: Request, cursor: Cursor) -> int:
    """Remember a cursor; the one unused for longest goes when there are too many."""
    cursors = request.connection.cursors
    if cursors is None:
        cursors = request.connection.cursors = {}
    if len(cursors) >= MAX_CURSORS:
        del cursors[min(cursors, key=lambda number: cursors[number].used_at)]
    number = next(n for n in range(1, MAX_CURSORS + 2) if n not in cursors)
    cursors[number] = cursor
    return number


def _next_page(request: Request, number: int, max_rows: int) -> Reply:
    cursors = request.connection.cursors
    cursor = cursors.get(number) if cursors else None
    if cursor is None or cursors is None:
        raise InvalidArgument(f"no query is open as {number}", status=Status.CAT_INVALID_ARGUMENT)
    cursor.used_at = time.monotonic()
    if len(cursor.ahead) < max_rows:
        cursor.step = min(cursor.step * 4, _LARGEST_STEP)
        wanted = max(cursor.step, max_rows)
        fresh = _read_on(request, cursor, wanted)
        cursor.offset += len(fresh)
        cursor.ahead += fresh
    page, cursor.ahead = cursor.ahead[:max_rows], cursor.ahead[max_rows:]
    if not page:
        del cursors[number]
        return _empty(request, int(Status.CAT_NO_ROWS_FOUND))
    if len(page) < max_rows:
        del cursors[number]
        number = 0
    return _reply(request, cursor.attributes, page, continuation=number, total=0)


def _read_on(request: Request, cursor: Cursor, wanted: int) -> list[Row]:
    services = request.services
    if cursor.bound is not None:
        with request.namespace.context.database.read() as tx:
            return services.queries.page(tx, cursor.bound, limit=wanted, offset=cursor.offset)
    assert cursor.specific is not None, "a cursor has one of the two kinds of query"
    sql, arguments = cursor.specific
    return services.specific.run(sql, arguments, limit=wanted, offset=cursor.offset)


def specific_query(request: Request) -> Reply:
    """722: a page of a registered query."""
    message = request.message
    max_rows, continuation = message["maxRows"], message["continueInx"]
    cursors = request.connection.cursors
    if max_rows <= 0:
        if continuation > 0 and cursors:
            cursors.pop(continuation, None)
        return _empty(request, 0)
    if continuation > 0:
        return _next_page(request, continuation, max_rows)
    _check_zone(request)
    arguments = tuple(
        message[f"arg{index}"] for index in range(1, 11) if message.get(f"arg{index}") is not None
    )
    with request.namespace.context.database.read() as tx:
        sql = specific_queries.find_text(tx, message["sql"] or "")
    wanted = sql.count("?")
    if len(arguments) > wanted and not any(arguments[wanted:]):
        arguments = arguments[:wanted]
    offset = max(message["rowOffset"], 0)
    request.namespace.context.policy.witness(
        Event("query", "run", request.caller, "", 0, {"statement": {"text": sql}})
    )
    rows = request.services.specific.run(sql, arguments, limit=max_rows + 1, offset=offset)
    if not rows:
        return _empty(request, int(Status.CAT_NO_ROWS_FOUND))
    attributes = [0] * len(rows[0])
    page, number = rows[:max_rows], 0
    if len(page) == max_rows:
        number = _keep(
            request,
            Cursor(None, (sql, arguments), attributes, offset + max_rows, [], max_rows, time.monotonic()),
        )
    return _reply(request, attributes, page, continuation=number, total=0)


HANDLERS: Final = {702: general_query, 722: specific_query}
