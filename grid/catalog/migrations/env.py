"""Runs migrations inside one transaction on the engine that the caller gives."""

from alembic import context
from sqlalchemy import Connection

from grid.catalog import kernel_tables, statement_tables, stream_tables, tier_tables, views
from grid.catalog.tables import metadata

assert tier_tables.tape_libraries.metadata is metadata  # its tables are among those
assert kernel_tables.kernels.metadata is metadata
assert stream_tables.streams.metadata is metadata
assert statement_tables.statements.metadata is metadata


def run() -> None:
    engine = context.config.attributes["engine"]
    with engine.connect() as connection:
        _migrate(connection)


def _migrate(connection: Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    if sqlite:
        # the driver would begin late and commit early around DDL; one explicit transaction is atomic
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    context.configure(
        connection=connection, target_metadata=metadata, transactional_ddl=True, render_as_batch=sqlite
    )
    with context.begin_transaction():
        # tables cannot be remade under views, so these go and come in the same transaction
        for statement in views.drop_statements():
            connection.exec_driver_sql(statement)
        context.run_migrations()
        for statement in views.create_statements():
            connection.exec_driver_sql(statement)
    connection.commit()


run()
