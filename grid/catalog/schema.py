"""Making and migrating the catalog's tables, with Alembic.

The schema version is Alembic's revision; a server serves only the one it was written for.
"""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from grid.catalog import seed, views
from grid.catalog.database import Database, Transaction
from grid.errors import CatalogFailed, SchemaMismatch

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def _config(database: Database) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["engine"] = database.engine
    return config


def newest_revision() -> str:
    """The schema version this server was written for."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    head = ScriptDirectory.from_config(config).get_current_head()
    assert head is not None, "the migrations folder holds no revision"
    return head


def current_revision(database: Database) -> str | None:
    """The schema version of the catalog; None when it is empty."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def migrate(database: Database) -> None:
    """Bring the tables to the newest version and make the views again. Atomic on both databases."""
    command.upgrade(_config(database), "head")
    if not database.is_sqlite:
        with database.write() as tx:
            _grant_views(tx)


def _grant_views(tx: Transaction) -> None:
    """The role that specific queries take on: it may read the views and nothing else."""
    role = views.POSTGRES_ROLE
    if tx.one("SELECT 1 FROM pg_roles WHERE rolname = :role", {"role": role}) is None:
        tx.run("SELECT pg_advisory_xact_lock(1248)")  # roles belong to the whole server, zones share this one
        if tx.one("SELECT 1 FROM pg_roles WHERE rolname = :role", {"role": role}) is None:
            tx.run(f"CREATE ROLE {role} NOLOGIN")
    tx.run(f"GRANT {role} TO CURRENT_USER")
    for name in views.VIEWS:
        tx.run(f"GRANT SELECT ON {name} TO {role}")


def require_current(database: Database) -> None:
    """Refuse a catalog of another schema version.

    Raises:
        SchemaMismatch: says both versions and what to run.
    """
    found, wanted = current_revision(database), newest_revision()
    if found is None:
        raise SchemaMismatch("the catalog is empty; make a zone with `beamgrid init`")
    if found != wanted:
        raise SchemaMismatch(
            f"the catalog has schema version {found}, this server needs {wanted}; run `beamgrid upgrade DIR`"
        )


def create(database: Database, zone: str, admin: str, sealed_password: str, vault_path: str) -> None:
    """Make an empty catalog into that of a fresh zone.

    Raises:
        CatalogFailed: there is a catalog already.
    """
    if current_revision(database) is not None:
        raise CatalogFailed("there is a catalog at this address already; nothing was changed")
    migrate(database)
    with database.write() as tx:
        if database.is_sqlite:
            tx.run("INSERT INTO id_sequence (next_id) VALUES (:first)", {"first": seed.FIRST_ID})
        seed.fill(tx, zone, admin, sealed_password, vault_path)
