"""Digests over the blocks of contents.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


Bytewise = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
EntityId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "block_trees",
        sa.Column("data_id", EntityId, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("digests", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("data_id", name=op.f("pk_block_trees")),
    )
    op.create_table(
        "write_leaves",
        sa.Column("token", Bytewise, nullable=False),
        sa.Column("stream", Bytewise, nullable=False),
        sa.Column("records", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("token", "stream", name=op.f("pk_write_leaves")),
    )
