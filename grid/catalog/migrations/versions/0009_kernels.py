"""Released kernels, and reductions that were asked for.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


Bytewise = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
EntityId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(name: str, default: str | None = "") -> sa.Column[str]:
    return sa.Column(name, Bytewise, nullable=False, server_default=default)


def upgrade() -> None:
    op.create_table(
        "kernels",
        sa.Column("id", EntityId, nullable=False),
        _text("name", None),
        _text("version", None),
        _text("digest", None),
        _text("summary"),
        _text("text", None),
        _text("released_by", None),
        sa.Column("released_at", sa.Double(), nullable=False),
        sa.Column("withdrawn_at", sa.Double(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kernels")),
    )
    op.create_index("uq_kernels_name_version", "kernels", ["name", "version"], unique=True)
    op.create_table(
        "reductions",
        sa.Column("id", EntityId, nullable=False),
        _text("path", None),
        _text("dataset"),
        _text("kernel", None),
        _text("parameters"),
        _text("target"),
        _text("user_name", None),
        _text("user_zone", None),
        _text("state", None),
        _text("reason"),
        _text("result"),
        sa.Column("frames", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("done", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("attempts", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False, server_default="0"),
        sa.Column("began_at", sa.Double(), nullable=False, server_default="0"),
        sa.Column("ended_at", sa.Double(), nullable=False, server_default="0"),
        sa.Column("lease_id", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reductions")),
    )
    op.create_index("ix_reductions_state", "reductions", ["state"])
