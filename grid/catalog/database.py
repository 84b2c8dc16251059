"""Connections and transactions of the catalog, on SQLite and PostgreSQL.

Strategy. SQLAlchemy describes the tables, migrates them and opens connections; the statements themselves are
texts with `:name` parameters, the same for both databases, and run on the driver's own cursor, because
building and compiling a statement object costs more than SQLite needs to run it (see
`docs/decisions/0002-statements-as-text.md`). A `Transaction` is the only thing that runs statements; it lives
for one `with` block.

Invariants:
    * Write transactions begin IMMEDIATE (SQLite), wait for no network and no client.
    * One connection per thread; nothing of it outlives a transaction.
    * Durable by default: `synchronous=FULL`. `durable=False` is for what a crash may forget.
"""

import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NoReturn, Protocol

import psycopg
from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from grid.errors import AlreadyExists, CatalogBusy, CatalogFailed, CatalogUnavailable

Row = tuple[Any, ...]
Parameters = Mapping[str, Any]

BUSY_TIMEOUT_S: Final = 20.0
_PARAMETER: Final = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")

_SQLITE_SET_UP: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA case_sensitive_like=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-32768",
    "PRAGMA mmap_size=268435456",
    "PRAGMA wal_autocheckpoint=4000",
)


class Interceptor(Protocol):
    """Sees the steps of transactions; only the crash tests install one."""

    def __call__(self, step: str) -> None: ...


def _no_interceptor(step: str) -> None:
    return None


class Database:
    """One catalog, reached from any thread of this process.

    After a fork the child must make its own `Database`.
    """

    def __init__(self, url: str, *, interceptor: Interceptor | None = None) -> None:
        self.url: URL = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.intercept = interceptor or _no_interceptor
        if (
            not self.is_sqlite and self.url.get_driver_name() == "psycopg2"
        ) or self.url.drivername == "postgresql":
            self.url = self.url.set(drivername="postgresql+psycopg")
        self.engine: Engine = create_engine(self.url, poolclass=NullPool)
        self._local = threading.local()
        self._prepared: dict[str, str] = {}
        self._open: set[Any] = set()
        self._lock = threading.Lock()
        # SQLite has one writer; its own waiting sleeps in steps of milliseconds, a lock wakes the next at once
        self._writer = threading.Lock()

    @property
    def for_update(self) -> str:
        """What makes a SELECT lock its rows; SQLite's transactions are alone anyway."""
        return "" if self.is_sqlite else " FOR UPDATE"

    def prepare(self, statement: str) -> str:
        """The statement in the driver's own parameter style."""
        if self.is_sqlite:
            return statement
        prepared = self._prepared.get(statement)
        if prepared is None:
            prepared = _PARAMETER.sub(r"%(\1)s", statement.replace("%", "%%"))
            self._prepared[statement] = prepared
        return prepared

    def cursor(self) -> Any:
        """This thread's cursor.

        Raises:
            CatalogUnavailable: no connection can be opened.
        """
        return self._cursor("cursor", "FULL")

    def _cursor(self, slot: str, synchronous: str) -> Any:
        cursor: Any = getattr(self._local, slot, None)
        if cursor is not None:
            return cursor
        try:
            connection = self._connect()
            cursor = connection.cursor()
            if self.is_sqlite:
                for pragma in (*_SQLITE_SET_UP, f"PRAGMA synchronous={synchronous}"):
                    cursor.execute(pragma).fetchall()
        except (sqlite3.Error, psycopg.Error, OSError) as error:
            raise CatalogUnavailable(f"the catalog cannot be opened: {error}") from error
        setattr(self._local, slot, cursor)
        with self._lock:
            self._open.add(connection)
        return cursor

    def _connect(self) -> Any:
        arguments, options = self.engine.dialect.create_connect_args(self.url)
        if self.is_sqlite:
            return sqlite3.connect(
                self.url.database or "",
                timeout=BUSY_TIMEOUT_S,
                isolation_level=None,
                cached_statements=512,
                check_same_thread=False,
            )
        return psycopg.connect(*arguments, autocommit=True, connect_timeout=10, **options)

    def drop_connection(self) -> None:
        """Forget this thread's connections; the next statement opens a new one."""
        for slot in ("cursor", "relaxed"):
            cursor = getattr(self._local, slot, None)
            if cursor is None:
                continue
            setattr(self._local, slot, None)
            connection = cursor.connection
            with self._lock:
                self._open.discard(connection)
            try:
                connection.close()
            except (sqlite3.Error, psycopg.Error):
                pass  # it is gone already, which is what was wanted

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            connections, self._open = list(self._open), set()
        for connection in connections:
            try:
                connection.close()
            except (sqlite3.Error, psycopg.Error):
                pass  # closing is all that was left to do
        self._local = threading.local()
        self.engine.dispose()

    @contextmanager
    def write(self, *, durable: bool = True, alone: bool = False) -> Iterator["Transaction"]:
        """A write transaction: all of the block or nothing of it.

        Args:
            durable: on return the changes survive a power failure. Without it they survive a crash of this
                process but the last ones may be lost with the machine.
            alone: the block changes something with one statement at most, which PostgreSQL makes a transaction of
                its own; saves two round trips.

        Raises:
            CatalogBusy, CatalogUnavailable, CatalogFailed: nothing was changed.
        """
        outer: Transaction | None = getattr(self._local, "writing", None)
        if outer is not None and not outer.ended:
            # an operation that a rule started inside another one's transaction: all or nothing of its own
            with outer.savepoint(f"nested_{outer.depth}"):
                yield outer
            return
        if self.is_sqlite and not self._writer.acquire(timeout=BUSY_TIMEOUT_S):
            raise CatalogBusy(f"the catalog did not become free within {BUSY_TIMEOUT_S:.0f} s")
        try:
            yield from self._write(relaxed=not durable, alone=alone and durable and not self.is_sqlite)
        finally:
            if self.is_sqlite:
                self._writer.release()

    def _write(self, *, relaxed: bool, alone: bool) -> Iterator["Transaction"]:
        # SQLite's durability belongs to the connection, so relaxed transactions have one of their own
        cursor = self._cursor("relaxed", "NORMAL") if relaxed and self.is_sqlite else self.cursor()
        try:
            if self.is_sqlite:
                cursor.execute("BEGIN IMMEDIATE")
            elif not alone:
                cursor.execute("BEGIN; SET LOCAL synchronous_commit = off" if relaxed else "BEGIN")
        except (sqlite3.Error, psycopg.Error) as error:
            self._failed(error)
        transaction = Transaction(self, cursor)
        self._local.writing = transaction
        try:
            yield transaction
            self.intercept("commit.before")
            if not alone:
                cursor.execute("COMMIT")
            self.intercept("commit.after")
        except (sqlite3.Error, psycopg.Error) as error:
            self._roll_back(cursor, alone=alone)
            self._failed(error)
        except BaseException:
            self._roll_back(cursor, alone=alone)
            raise
        finally:
            transaction.ended = True
            self._local.writing = None

    @contextmanager
    def read(self) -> Iterator["Transaction"]:
        """Single statements, each of which sees what is committed when it begins."""
        cursor = self.cursor()
        transaction = Transaction(self, cursor)
        try:
            yield transaction
        except (sqlite3.Error, psycopg.Error) as error:
            self._failed(error)
        finally:
            transaction.ended = True

    def _roll_back(self, cursor: Any, *, alone: bool) -> None:
        if alone:
            return
        try:
            if not self.is_sqlite or cursor.connection.in_transaction:
                cursor.execute("ROLLBACK")
        except (sqlite3.Error, psycopg.Error):
            self.drop_connection()

    def _failed(self, error: Exception) -> NoReturn:
        if isinstance(error, (sqlite3.IntegrityError, psycopg.errors.IntegrityError)):
            raise AlreadyExists(f"the catalog holds such an entry already: {_short(error)}") from error
        if isinstance(error, sqlite3.OperationalError) and "interrupted" in str(error):
            raise CatalogBusy("the statement took longer than it may here") from error
        if isinstance(error, sqlite3.OperationalError) and ("locked" in str(error) or "busy" in str(error)):
            raise CatalogBusy(f"the catalog did not become free within {BUSY_TIMEOUT_S:.0f} s") from error
        if isinstance(
            error,
            (
                psycopg.errors.SerializationFailure,
                psycopg.errors.DeadlockDetected,
                psycopg.errors.LockNotAvailable,
            ),
        ):
            raise CatalogBusy(f"the catalog was busy: {_short(error)}") from error
        if isinstance(error, (sqlite3.OperationalError, psycopg.OperationalError, psycopg.InterfaceError)):
            self.drop_connection()
            raise CatalogUnavailable(f"the catalog does not answer: {_short(error)}") from error
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.ProgrammingError):
            self.drop_connection()
        raise CatalogFailed(f"the catalog refused a statement: {_short(error)}") from error


def _short(error: Exception) -> str:
    return str(error).split("\n", 1)[0]


class Transaction:
    """Runs statements; obtained from `Database.write` or `Database.read` and dead after the block.

    `now` is fixed when the transaction begins, in seconds since 1970.
    """

    __slots__ = ("_spare", "cursor", "database", "depth", "ended", "now")

    def __init__(self, database: Database, cursor: Any) -> None:
        self.database = database
        self.cursor = cursor
        self.ended = False
        self.now = time.time()
        self.depth = 0
        self._spare: list[int] = []

    @property
    def timestamp(self) -> str:
        """`now` as the catalog writes times."""
        return f"{int(self.now):011d}"

    def run(self, statement: str, parameters: Parameters | None = None) -> int:
        """Run a change and say how many rows it touched."""
        self.cursor.execute(self.database.prepare(statement), parameters or {})
        return int(self.cursor.rowcount)

    def run_many(self, statement: str, parameters: Sequence[Parameters]) -> None:
        """Run a change once for each set of parameters."""
        if parameters:
            self.cursor.executemany(self.database.prepare(statement), parameters)

    def all(self, statement: str, parameters: Parameters | None = None) -> list[Row]:
        """Every row."""
        self.cursor.execute(self.database.prepare(statement), parameters or {})
        rows: list[Row] = self.cursor.fetchall()
        return rows

    def one(self, statement: str, parameters: Parameters | None = None) -> Row | None:
        """The first row, if there is one."""
        self.cursor.execute(self.database.prepare(statement), parameters or {})
        row: Row | None = self.cursor.fetchone()
        if row is not None and self.database.is_sqlite:
            self.cursor.fetchall()  # lets go of the statement, which would hold a read lock
        return row

    def value(self, statement: str, parameters: Parameters | None = None) -> Any:
        """The first column of the first row, or None."""
        row = self.one(statement, parameters)
        return None if row is None else row[0]

    def new_id(self) -> int:
        """A fresh id for any entity. Only inside a write transaction."""
        if self.database.is_sqlite:
            # one more than asked for: an operation that makes an entity also records an event
            self.cursor.execute("UPDATE id_sequence SET next_id = next_id + 2 RETURNING next_id")
            end = int(self.cursor.fetchall()[0][0])
            self._spare.append(end - 1)
            return end - 2
        return int(self.value("SELECT nextval('entity_ids')"))

    def spare_id(self) -> int:
        """An id for bookkeeping, reserved along with the entity ids of this transaction where it has taken any."""
        if self._spare:
            return self._spare.pop()
        return self.new_id()

    def new_ids(self, count: int) -> list[int]:
        """`count` fresh ids, ascending. Only inside a write transaction."""
        if self.database.is_sqlite:
            self.cursor.execute("UPDATE id_sequence SET next_id = next_id + ? RETURNING next_id", (count,))
            end = int(self.cursor.fetchall()[0][0])
            return list(range(end - count, end))
        rows = self.all("SELECT nextval('entity_ids') FROM generate_series(1, :count)", {"count": count})
        return [int(row[0]) for row in rows]

    @contextmanager
    def savepoint(self, name: str) -> Iterator[None]:
        """Undo the block alone when it fails; the transaction goes on if the caller handles the error."""
        self.depth += 1
        self.cursor.execute(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            self._spare.clear()  # the sequence goes back too, and would give these out again
            self.cursor.execute(f"ROLLBACK TO SAVEPOINT {name}")
            self.cursor.execute(f"RELEASE SAVEPOINT {name}")
            raise
        finally:
            self.depth -= 1
        self.cursor.execute(f"RELEASE SAVEPOINT {name}")
