"""Tables of released kernels, and of reductions that were asked for."""

from sqlalchemy import BigInteger, Column, Double, Index, Table

from grid.catalog.tables import id_column, metadata, text_column

kernels = Table(
    "kernels",  # kernels by users that rules and users may run
    metadata,
    id_column("id", primary_key=True),
    text_column("name", None),
    text_column("version", None),
    text_column("digest", None),
    text_column("summary"),
    text_column("text", None),
    text_column("released_by", None),
    Column("released_at", Double, nullable=False),
    Column("withdrawn_at", Double, nullable=False, server_default="0"),
    Index("uq_kernels_name_version", "name", "version", unique=True),
)

reductions = Table(
    "reductions",  # frames of stored files through a kernel, as somebody asked for it
    metadata,
    id_column("id", primary_key=True),
    text_column("path", None),
    text_column("dataset"),
    text_column("kernel", None),  # name, version, digest
    text_column("parameters"),  # the text of a TOML file
    text_column("target"),
    text_column("user_name", None),
    text_column("user_zone", None),
    text_column("state", None),  # queued, running, done, failed, cancelled
    text_column("reason"),
    text_column("result"),  # JSON
    Column("frames", BigInteger, nullable=False, server_default="0"),
    Column("done", BigInteger, nullable=False, server_default="0"),
    Column("attempts", BigInteger, nullable=False, server_default="0"),
    Column("asked_at", Double, nullable=False),
    Column("due_at", Double, nullable=False, server_default="0"),  # not before
    Column("began_at", Double, nullable=False, server_default="0"),
    Column("ended_at", Double, nullable=False, server_default="0"),
    Column("lease_id", BigInteger),
    Index("ix_reductions_state", "state"),
)
