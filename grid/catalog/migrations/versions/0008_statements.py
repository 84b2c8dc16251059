"""Statements that the zone itself makes, its log, stored chunks, and digests of what was erased.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


Bytewise = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
EntityId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WANTED = sa.text("claimed_by IS NULL AND event = 'statement wanted'")


def _text(name: str, default: str | None = "") -> sa.Column[str]:
    return sa.Column(name, Bytewise, nullable=False, server_default=default)


def upgrade() -> None:
    op.create_index("ix_outbox_statements", "outbox", ["id"], sqlite_where=WANTED, postgresql_where=WANTED)
    op.create_table(
        "statements",
        sa.Column("id", EntityId, nullable=False),
        _text("kind", None),
        _text("path"),
        sa.Column("made_at", sa.Double(), nullable=False),
        _text("state", None),
        _text("reason"),
        sa.Column("envelope", sa.LargeBinary()),
        sa.Column("salt", sa.LargeBinary()),
        _text("promise"),
        sa.Column("log_index", sa.BigInteger()),
        sa.Column("proof", sa.LargeBinary()),
        sa.Column("checkpoint_id", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statements")),
    )
    op.create_index("ix_statements_state", "statements", ["state"])
    op.create_index("ix_statements_path", "statements", ["path"])
    op.create_table(
        "statement_subjects",
        sa.Column("statement_id", EntityId, nullable=False),
        sa.Column("subject_id", EntityId, nullable=False),
        sa.Column("is_input", sa.Integer(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("subject_id", "statement_id", "is_input", name=op.f("pk_statement_subjects")),
    )
    op.create_index("ix_statement_subjects_statement_id", "statement_subjects", ["statement_id"])
    op.create_table(
        "checkpoints",
        sa.Column("id", EntityId, nullable=False),
        _text("origin", None),
        sa.Column("size", sa.BigInteger(), nullable=False),
        _text("note", None),
        sa.Column("made_at", sa.Double(), nullable=False),
        sa.Column("cosigned", sa.Integer(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkpoints")),
    )
    op.create_index("ix_checkpoints_origin", "checkpoints", ["origin", "size"], unique=True)
    op.create_table(
        "chunk_leaves",
        sa.Column("data_id", EntityId, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        _text("dataset", None),
        sa.Column("page", sa.Integer(), nullable=False),
        _text("about", "{}"),
        sa.Column("records", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("data_id", "dataset", "page", name=op.f("pk_chunk_leaves")),
    )
    op.create_table(
        "erased",
        sa.Column("id", EntityId, nullable=False),
        _text("path", None),
        _text("root"),
        _text("checksum"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("erased_at", sa.Double(), nullable=False),
        sa.Column("statement_id", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erased")),
    )
    op.create_index("ix_erased_root", "erased", ["root"])
    op.create_index("ix_erased_checksum", "erased", ["checksum"])
    op.create_index("ix_erased_path", "erased", ["path"])
    op.create_table(
        "duties",
        sa.Column("name", Bytewise, nullable=False),
        sa.Column("lease_id", sa.BigInteger()),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_duties")),
    )
