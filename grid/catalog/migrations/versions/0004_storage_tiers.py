"""Storage tiers: tape libraries, what is on cartridges, recalls; passes that read a resource; space that is spoken for.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


Bytewise = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
EntityId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "tape_libraries",
        sa.Column("resource_id", EntityId, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("mounts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("moment", Bytewise, server_default="{}", nullable=False),
        sa.Column("faults", Bytewise, server_default="{}", nullable=False),
        sa.Column("lease_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("resource_id", name=op.f("pk_tape_libraries")),
    )
    op.create_table(
        "tape_cartridges",
        sa.Column("resource_id", EntityId, nullable=False),
        sa.Column("label", Bytewise, nullable=False),
        sa.Column("capacity_bytes", sa.BigInteger(), nullable=False),
        sa.Column("used_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("deleted_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("mounts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("condition", Bytewise, server_default="good", nullable=False),
        sa.Column("bad_blocks", Bytewise, server_default="[]", nullable=False),
        sa.PrimaryKeyConstraint("resource_id", "label", name=op.f("pk_tape_cartridges")),
    )
    op.create_table(
        "tape_landing",
        sa.Column("resource_id", EntityId, nullable=False),
        sa.Column("data_id", EntityId, nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("resource_id", "data_id", name=op.f("pk_tape_landing")),
    )
    op.create_table(
        "tape_entries",
        sa.Column("resource_id", EntityId, nullable=False),
        sa.Column("file_id", Bytewise, nullable=False),
        sa.Column("data_id", EntityId, nullable=False),
        sa.Column("name", Bytewise, nullable=False),
        sa.Column("cartridge", Bytewise, nullable=False),
        sa.Column("container", sa.Integer(), nullable=False),
        sa.Column("offset_bytes", sa.BigInteger(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("digest", Bytewise, nullable=False),
        sa.PrimaryKeyConstraint("resource_id", "file_id", name=op.f("pk_tape_entries")),
    )
    op.create_index("ix_tape_entries_cartridge", "tape_entries", ["resource_id", "cartridge", "start"])
    op.create_table(
        "tape_requests",
        sa.Column("id", EntityId, nullable=False),
        sa.Column("resource_id", EntityId, nullable=False),
        sa.Column("file_id", Bytewise, nullable=False),
        sa.Column("name", Bytewise, nullable=False),
        sa.Column("cartridge", Bytewise, server_default="", nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("user_name", Bytewise, nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", Bytewise, nullable=False),
        sa.Column("reason", Bytewise, server_default="", nullable=False),
        sa.Column("requested_at", sa.Double(), nullable=False),
        sa.Column("mounts_before", sa.Integer(), nullable=False),
        sa.Column("estimate_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), server_default="0", nullable=False),
        sa.Column("finished_at", sa.Double(), server_default="0", nullable=False),
        sa.Column("pin_until", sa.Double(), server_default="0", nullable=False),
        sa.Column("mounts_at_start", sa.Integer(), server_default="0", nullable=False),
        sa.Column("pin_s", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tape_requests")),
    )
    op.create_index(
        "ix_tape_requests_cartridge", "tape_requests", ["resource_id", "state", "cartridge", "start"]
    )
    op.create_index("ix_tape_requests_file", "tape_requests", ["resource_id", "file_id", "state"])
    op.create_index("ix_tape_requests_oldest", "tape_requests", ["resource_id", "state", "cartridge", "id"])
    op.create_index(
        "ix_tape_requests_urgent", "tape_requests", ["resource_id", "state", "cartridge", "priority"]
    )
    op.create_index("ix_tape_requests_user", "tape_requests", ["user_name", "state", "id"])
    op.create_table(
        "tape_waiting",
        sa.Column("resource_id", EntityId, nullable=False),
        sa.Column("cartridge", Bytewise, nullable=False),
        sa.Column("user_name", Bytewise, nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("resource_id", "cartridge", "user_name", name=op.f("pk_tape_waiting")),
    )
    op.create_table(
        "scrubs",
        sa.Column("id", EntityId, nullable=False),
        sa.Column("resource_id", EntityId, nullable=False),
        sa.Column("state", Bytewise, nullable=False),
        sa.Column("rate", sa.Double(), nullable=False),
        sa.Column("repair", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), server_default="0", nullable=False),
        sa.Column("position", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("checked", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("read_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("bad", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("repaired", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("skipped", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scrubs")),
    )
    op.create_table(
        "scrub_findings",
        sa.Column("scrub_id", EntityId, nullable=False),
        sa.Column("path", Bytewise, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("outcome", Bytewise, nullable=False),
        sa.Column("reason", Bytewise, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("scrub_id", "path", "number", name=op.f("pk_scrub_findings")),
    )
    op.create_table(
        "space",
        sa.Column("resource_id", EntityId, nullable=False),
        sa.Column("used_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("counted_at", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("resource_id", name=op.f("pk_space")),
    )
    op.create_table(
        "space_reservations",
        sa.Column("key", Bytewise, nullable=False),
        sa.Column("resource_id", EntityId, nullable=False),
        sa.Column("owner", Bytewise, nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_space_reservations")),
    )
    op.create_index("ix_space_reservations_resource", "space_reservations", ["resource_id", "until"])
    op.create_table(
        "posix_folders",
        sa.Column("collection_id", EntityId, nullable=False),
        sa.Column("resource_id", EntityId, nullable=False),
        sa.Column("mode", sa.Integer(), nullable=False),
        sa.Column("gid", sa.Integer(), nullable=True),
        sa.Column("drift", Bytewise, server_default="", nullable=False),
        sa.Column("checked_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("collection_id", "resource_id", name=op.f("pk_posix_folders")),
    )
