"""Limits of resources that all processes of a zone keep to together; writes that use room that was reserved.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


Bytewise = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
EntityId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("open_writes", sa.Column("reservation", Bytewise, server_default="", nullable=False))
    op.create_table(
        "resource_use",
        sa.Column("resource_id", EntityId, nullable=False),
        sa.Column("free_at", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("resource_id", name=op.f("pk_resource_use")),
    )
    op.create_table(
        "resource_files",
        sa.Column("resource_id", EntityId, nullable=False),
        sa.Column("lease_id", EntityId, nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("resource_id", "lease_id", name=op.f("pk_resource_files")),
    )
