"""Specific queries: SQL that administrators registered, run where it can do no harm.

The text runs on a connection of its own that only reads, sees only the `R_*` views and ends after a time. On
SQLite an authoriser refuses everything else; on PostgreSQL the connection's role may read nothing but the views.

Source: `chlSpecificQuery`, iRODS 5.0.2.
"""

import sqlite3
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import psycopg

from grid.catalog.database import BUSY_TIMEOUT_S, Database, Row, Transaction
from grid.catalog.views import POSTGRES_ROLE, VIEWS
from grid.codes import Status
from grid.errors import CatalogFailed, InvalidArgument, NotFound

TIME_LIMIT_S: Final = 20.0
_VIEW_NAMES: Final = frozenset(name.lower() for name in VIEWS)
_SHOWN_TABLES: Final = frozenset(
    {
        "zones", "users", "group_members", "user_auths", "resources", "collections", "data_objects", "replicas",
        "avus", "avu_links", "acl_entries", "tokens", "specific_queries", "quotas", "grid_configuration", "jobs",
    }
)  # fmt: skip
_FUNCTIONS_REFUSED: Final = frozenset({"load_extension", "readfile", "writefile", "fts3_tokenizer"})


def find_text(tx: Transaction, alias_or_sql: str) -> str:
    """The registered text of an alias, or the text itself when it is registered.

    Raises:
        NotFound: neither is (-853000).
    """
    text = tx.value(
        "SELECT sql FROM specific_queries WHERE alias = :a UNION ALL"
        " SELECT sql FROM specific_queries WHERE sql = :a LIMIT 1",
        {"a": alias_or_sql},
    )
    if text is None:
        raise NotFound("no such specific query is registered", status=Status.CAT_UNKNOWN_SPECIFIC_QUERY)
    return str(text)


class SpecificQueries:
    """Runs registered texts; one restricted connection a thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._local = threading.local()

    def run(self, sql: str, arguments: Sequence[str], *, limit: int, offset: int) -> list[Row]:
        """Rows `offset` to `offset + limit` of a query, as texts.

        Raises:
            InvalidArgument: the number of arguments is not that of the `?` marks.
            CatalogFailed: the text is wrong, reads what it may not, or took too long.
        """
        wanted = sql.count("?")
        if wanted != len(arguments):
            raise InvalidArgument(f"the query takes {wanted} arguments; {len(arguments)} were given")
        text = f"SELECT * FROM ({sql.strip().rstrip(';')}) AS asked LIMIT {int(limit)} OFFSET {int(offset)}"
        try:
            rows = (
                self._run_sqlite(text, arguments)
                if self._database.is_sqlite
                else self._run_postgres(text, arguments)
            )
        except (sqlite3.Error, psycopg.Error) as error:
            raise CatalogFailed(f"the specific query failed: {str(error).splitlines()[0]}") from error
        return [tuple("" if value is None else str(value) for value in row) for row in rows]

    def _run_sqlite(self, text: str, arguments: Sequence[str]) -> list[Row]:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            path = self._database.url.database or ""
            connection = sqlite3.connect(
                f"file:{path}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
            )
            connection.execute("PRAGMA case_sensitive_like=ON")
            connection.set_authorizer(_authorise)
            self._local.connection = connection
        end = time.monotonic() + TIME_LIMIT_S
        connection.set_progress_handler(lambda: time.monotonic() > end, 10_000)
        return connection.execute(text, tuple(arguments)).fetchall()

    def _run_postgres(self, text: str, arguments: Sequence[str]) -> list[Row]:
        with self._database.write() as tx:
            cursor: Any = tx.cursor
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute(f"SET LOCAL statement_timeout = {int(TIME_LIMIT_S * 1000)}")
            cursor.execute(f"SET LOCAL ROLE {POSTGRES_ROLE}")
            cursor.execute(text.replace("%", "%%").replace("?", "%s"), tuple(arguments))
            rows: list[Row] = cursor.fetchall()
            return rows


def _authorise(
    action: int, first: str | None, second: str | None, database: str | None, source: str | None
) -> int:
    if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if (second or "").lower() in _FUNCTIONS_REFUSED else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_READ:
        # a base table may be read only from inside one of the views
        if (first or "").lower() in _VIEW_NAMES or (source or "").lower() in _VIEW_NAMES:
            return sqlite3.SQLITE_OK
        # a table named without a column gives away no content; private ones not even their number of rows
        return sqlite3.SQLITE_OK if not second and first in _SHOWN_TABLES else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_DENY
