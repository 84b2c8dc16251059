"""Catalogs that have their tables already: all migrations one by one take longer than most tests.

A zone is made as in `beamgrid init`, but for the migrations, in whose place their result is copied. `tests/system/test_upgrade.py` and every zone
that a program makes go through the migrations themselves.
"""

import atexit
import functools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from bench.postgres import Postgres
from grid import config
from grid.catalog import schema
from grid.catalog.database import Database

_MIGRATED = "migrated"


def _migrate(catalog: str) -> None:
    """Make the tables, without the row that says which version they are: so a catalog counts as empty."""
    database = Database(catalog)
    schema.migrate(database)
    with database.write() as tx:
        tx.run("DELETE FROM alembic_version")
    database.close()


@functools.cache
def _sqlite() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="bg-tables-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _migrate(f"sqlite:///{folder}/catalog.sqlite")
    return folder / "catalog.sqlite"


@functools.cache
def _postgres(server: Postgres) -> str:
    _migrate(server.new_database(_MIGRATED))
    return _MIGRATED


def database_with_tables(server: Postgres, name: str) -> str:
    """A database with tables; its URL."""
    return server.new_database(name, template=_postgres(server))


@contextmanager
def tables_are_there(folder: Path, catalog: str) -> Iterator[None]:
    """Within this a zone can be made in a folder whose catalog has its tables; that of SQLite gets them now."""
    if not catalog:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_sqlite(), Path(config.Settings().catalog_url(folder).removeprefix("sqlite:///")))
    with mock.patch.object(schema, "migrate", _say_version):
        yield


def _say_version(database: Database) -> None:
    with database.write() as tx:
        tx.run("INSERT INTO alembic_version (version_num) VALUES (:v)", {"v": schema.newest_revision()})
