"""Tables of signed provenance: statements that the zone makes, its log's states, stored chunks, what was erased, who does what."""

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, PrimaryKeyConstraint, Table

from grid.catalog.tables import id_column, metadata, outbox, text_column

STATEMENT_WANTED = "statement wanted"
"""The event of outbox rows that ask for a signed statement."""

Index(
    "ix_outbox_statements",
    outbox.c.id,
    sqlite_where=outbox.c.claimed_by.is_(None) & (outbox.c.event == STATEMENT_WANTED),
    postgresql_where=outbox.c.claimed_by.is_(None) & (outbox.c.event == STATEMENT_WANTED),
)

statements = Table(
    "statements",  # what the zone's own services state; one row for each outbox row that asked for it
    metadata,
    id_column("id", primary_key=True),  # of the outbox row
    text_column("kind", None),
    text_column("path"),  # what it is about, as it was called then
    Column("made_at", Double, nullable=False),
    text_column("state", None),  # `signed`, `logged`, or `refused` with the reason
    text_column("reason"),
    Column("envelope", LargeBinary),
    Column("salt", LargeBinary),
    text_column("promise"),
    Column("log_index", BigInteger),
    Column("proof", LargeBinary),
    Column("checkpoint_id", BigInteger),
    Index("ix_statements_state", "state"),
    Index("ix_statements_path", "path"),
)

statement_subjects = Table(
    "statement_subjects",  # the objects and collections that a statement is about, by id
    metadata,
    id_column("statement_id"),
    id_column("subject_id"),
    Column(
        "is_input", Integer, nullable=False, server_default="0"
    ),  # it was made from this one, and is not about it
    PrimaryKeyConstraint("subject_id", "statement_id", "is_input"),
    Index("ix_statement_subjects_statement_id", "statement_id"),
)

checkpoints = Table(
    "checkpoints",  # signed states of the log, with the cosignatures that came in
    metadata,
    id_column("id", primary_key=True),
    text_column("origin", None),
    Column("size", BigInteger, nullable=False),
    text_column("note", None),
    Column("made_at", Double, nullable=False),
    Column("cosigned", Integer, nullable=False, server_default="0"),  # by how many witnesses
    Index("ix_checkpoints_origin", "origin", "size", unique=True),
)

chunk_leaves = Table(
    "chunk_leaves",  # where the stored chunks of an HDF5 content are, and their digests; a dataset in pages
    metadata,
    id_column("data_id"),
    Column("version", Integer, nullable=False),
    text_column("dataset", None),
    Column("page", Integer, nullable=False),
    text_column(
        "about", "{}"
    ),  # of the dataset, in its first page; of the dataset `` the leaf of all attributes
    Column("records", LargeBinary, nullable=False),
    PrimaryKeyConstraint("data_id", "dataset", "page"),
)

erased = Table(
    "erased",  # digests of contents that were erased, so that they are recognised
    metadata,
    id_column("id", primary_key=True),
    text_column("path", None),
    text_column("root"),
    text_column("checksum"),
    Column("size_bytes", BigInteger, nullable=False),
    Column("erased_at", Double, nullable=False),
    Column("statement_id", BigInteger),  # which says so; none yet
    Index("ix_erased_root", "root"),
    Index("ix_erased_checksum", "checksum"),
    Index("ix_erased_path", "path"),
)

duties = Table(
    "duties",  # what one process of the zone does at a time
    metadata,
    text_column("name", None, primary_key=True),
    Column("lease_id", BigInteger),
)
