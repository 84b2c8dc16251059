"""Policy at work: bundles with grants, lanes of jobs, promises about copies, sweeps, frozen trees.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


Bytewise = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
EntityId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STATES = "state IN ('waiting', 'running', 'done', 'dead', 'paused', 'cancelled')"
WAITING = sa.text("state = 'waiting'")


def upgrade() -> None:
    with op.batch_alter_table("policy_bundles") as table:
        table.add_column(sa.Column("granted", Bytewise, server_default="", nullable=False))
        table.add_column(sa.Column("checked", Bytewise, server_default="", nullable=False))
        table.add_column(sa.Column("pusher", Bytewise, server_default="", nullable=False))
    op.drop_index("uq_jobs_open_key", "jobs")
    with op.batch_alter_table("jobs") as table:
        table.drop_constraint(op.f("ck_jobs_state"), type_="check")
        table.add_column(sa.Column("priority", sa.Integer(), server_default="5", nullable=False))
        table.add_column(sa.Column("lane", Bytewise, server_default="", nullable=False))
        table.create_check_constraint(op.f("ck_jobs_state"), STATES)
    op.execute("UPDATE jobs SET lane = rule_id")
    op.create_index(
        "uq_jobs_open_key",
        "jobs",
        ["body_id", "key"],
        unique=True,
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    )
    op.drop_index("ix_replicas_resource_id", "replicas")
    op.create_index("ix_replicas_resource_access", "replicas", ["resource_id", "access_time"])
    op.create_index("ix_jobs_lane", "jobs", ["state", "lane", "priority", "not_before"])
    op.create_index("ix_jobs_state_leased_until", "jobs", ["state", "leased_until"])
    op.create_table(
        "frozen",
        sa.Column("root_id", EntityId, nullable=False),
        sa.Column("entity_id", EntityId, nullable=False),
        sa.Column("is_collection", sa.Integer(), nullable=False),
        sa.Column("acl_id", EntityId, nullable=False),
        sa.PrimaryKeyConstraint("root_id", "entity_id", name=op.f("pk_frozen")),
    )
    op.create_table(
        "trashed",
        sa.Column("path", Bytewise, nullable=False),
        sa.Column("origin", Bytewise, nullable=False),
        sa.Column("trashed_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_trashed")),
    )
    op.create_table(
        "promises",
        sa.Column("data_id", EntityId, nullable=False),
        sa.Column("keep_id", Bytewise, nullable=False),
        sa.Column("reason", Bytewise, server_default="", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("held", Bytewise, server_default="", nullable=False),
        sa.Column("checked_at", sa.Double(), nullable=False),
        sa.Column("next_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("data_id", "keep_id", name=op.f("pk_promises")),
    )
    op.create_index("ix_promises_next_at", "promises", ["next_at"])
    op.create_table(
        "keep_queue",
        sa.Column("data_id", EntityId, nullable=False),
        sa.Column("queued_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("data_id", name=op.f("pk_keep_queue")),
    )
    op.create_table(
        "periodic",
        sa.Column("name", Bytewise, nullable=False),
        sa.Column("next_at", sa.Double(), server_default="0", nullable=False),
        sa.Column("position", Bytewise, server_default="", nullable=False),
        sa.Column("lease_id", sa.BigInteger(), nullable=True),
        sa.Column("leased_until", sa.Double(), server_default="0", nullable=False),
        sa.Column("last_run_at", sa.Double(), server_default="0", nullable=False),
        sa.Column("last_result", Bytewise, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_periodic")),
    )
