"""Bundles of several owners' files, with grants and test reports; decisions found by path; effects of jobs done once.

Revision ID: 0003
Revises: 0002
"""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


Bytewise = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
EntityId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("policy_bundles") as table:
        table.add_column(sa.Column("manifest", Bytewise, server_default="{}", nullable=False))
        table.add_column(sa.Column("tests", Bytewise, server_default="{}", nullable=False))
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT generation, sources, granted FROM policy_bundles")).all()
    for generation, sources, granted in rows:
        manifest = {
            name: {
                "digest": hashlib.sha256(text.encode()).hexdigest(),
                "granted": json.loads(granted) if granted else None,
                "stewards": "",
            }
            for name, text in json.loads(sources).items()
        }
        connection.execute(
            sa.text("UPDATE policy_bundles SET manifest = :m WHERE generation = :g"),
            {"m": json.dumps(manifest), "g": generation},
        )
    with op.batch_alter_table("policy_bundles") as table:
        table.drop_column("granted")
    op.create_index("ix_decisions_subject", "decisions", ["subject", "id"])
    op.add_column("jobs", sa.Column("giving_up", sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "job_effects",
        sa.Column("job_id", EntityId, nullable=False),
        sa.Column("token", Bytewise, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "token", name=op.f("pk_job_effects")),
    )
