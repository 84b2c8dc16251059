"""Streams of detector frames.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


Bytewise = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
EntityId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(name: str, default: str | None = "") -> sa.Column[str]:
    return sa.Column(name, Bytewise, nullable=False, server_default=default)


def upgrade() -> None:
    op.create_table(
        "streams",
        sa.Column("id", EntityId, nullable=False),
        _text("path", None),
        _text("detector", None),
        _text("scan"),
        _text("format", None),
        _text("source"),
        _text("resource", None),
        _text("reservation"),
        _text("token", None),
        _text("user_name", None),
        _text("user_zone", None),
        _text("settings", "{}"),
        _text("state", None),
        _text("reason"),
        _text("figures", "{}"),
        _text("files", "[]"),
        _text("result", "{}"),
        sa.Column("stop", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("lease_id", sa.BigInteger()),
        sa.Column("attempts", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.Column("began_at", sa.Double(), nullable=False, server_default="0"),
        sa.Column("ended_at", sa.Double(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_streams")),
    )
    for name in ("state", "path", "scan"):
        op.create_index(f"ix_streams_{name}", "streams", [name])
