"""The first tables.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


Bytewise = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
EntityId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE SEQUENCE entity_ids START 10000")
    op.create_table(
        "acls",
        sa.Column("id", EntityId, autoincrement=False, nullable=False),
        sa.Column("fingerprint", Bytewise, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acls")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_acls_fingerprint")),
    )
    op.create_table(
        "avus",
        sa.Column("id", EntityId, autoincrement=False, nullable=False),
        sa.Column("attribute", Bytewise, nullable=False),
        sa.Column("value", Bytewise, nullable=False),
        sa.Column("unit", Bytewise, server_default="", nullable=False),
        sa.Column("number", sa.Double(), nullable=True),
        sa.Column("digest", Bytewise, nullable=False),
        sa.Column("create_time", Bytewise, server_default="", nullable=False),
        sa.Column("modify_time", Bytewise, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_avus")),
        sa.UniqueConstraint("digest", name=op.f("uq_avus_digest")),
    )
    op.create_index("ix_avus_attribute_number", "avus", ["attribute", "number"], unique=False)
    if op.get_bind().dialect.name == "sqlite":  # PostgreSQL's indexes cannot hold a value of any length
        op.create_index("ix_avus_attribute_value", "avus", ["attribute", "value"])

    op.create_table(
        "decisions",
        sa.Column("id", EntityId, autoincrement=False, nullable=False),
        sa.Column("decided_at", sa.Double(), nullable=False),
        sa.Column("event", Bytewise, nullable=False),
        sa.Column("subject", Bytewise, server_default="", nullable=False),
        sa.Column("actor", Bytewise, server_default="", nullable=False),
        sa.Column("decision", Bytewise, nullable=False),
        sa.Column("code", Bytewise, server_default="", nullable=False),
        sa.Column("rule", Bytewise, server_default="", nullable=False),
        sa.Column("sentence", Bytewise, server_default="", nullable=False),
        sa.Column("request_id", Bytewise, server_default="", nullable=False),
        sa.Column("bundle_generation", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
    )
    op.create_table(
        "grid_configuration",
        sa.Column("namespace", Bytewise, nullable=False),
        sa.Column("option_name", Bytewise, nullable=False),
        sa.Column("option_value", Bytewise, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("namespace", "option_name", name=op.f("pk_grid_configuration")),
    )
    op.create_table("id_sequence", sa.Column("next_id", sa.BigInteger(), nullable=False))
    op.create_table(
        "jobs",
        sa.Column("id", EntityId, autoincrement=False, nullable=False),
        sa.Column("name", Bytewise, nullable=False),
        sa.Column("rule_id", Bytewise, nullable=False),
        sa.Column("body_id", Bytewise, nullable=False),
        sa.Column("key", Bytewise, nullable=False),
        sa.Column("bundle_generation", sa.Integer(), nullable=False),
        sa.Column("user_name", Bytewise, nullable=False),
        sa.Column("user_zone", Bytewise, nullable=False),
        sa.Column("captured", Bytewise, server_default="{}", nullable=False),
        sa.Column("state", Bytewise, server_default="waiting", nullable=False),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("deadline", sa.Double(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("max_attempts", sa.Integer(), server_default="1", nullable=False),
        sa.Column("backoff_s", sa.Double(), server_default="0", nullable=False),
        sa.Column("backoff_max_s", sa.Double(), server_default="0", nullable=False),
        sa.Column("lease_id", sa.BigInteger(), nullable=True),
        sa.Column("leased_until", sa.Double(), nullable=True),
        sa.Column("last_failure", Bytewise, server_default="", nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'running', 'done', 'dead')", name=op.f("ck_jobs_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index("ix_jobs_state_not_before", "jobs", ["state", "not_before"], unique=False)
    op.create_index(
        "uq_jobs_open_key",
        "jobs",
        ["body_id", "key"],
        unique=True,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )

    op.create_table(
        "leases",
        sa.Column("id", EntityId, autoincrement=False, nullable=False),
        sa.Column("host", Bytewise, nullable=False),
        sa.Column("boot_id", Bytewise, nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("start_time", Bytewise, nullable=False),
        sa.Column("role", Bytewise, nullable=False),
        sa.Column("renewed_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leases")),
    )
    op.create_table(
        "open_writes",
        sa.Column("token", Bytewise, nullable=False),
        sa.Column("data_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("replica_number", sa.Integer(), nullable=False),
        sa.Column("lease_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("staged_as", Bytewise, nullable=False),
        sa.Column("is_new", sa.Integer(), nullable=False),
        sa.Column("previous", Bytewise, server_default="", nullable=False),
        sa.Column("opened_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_open_writes")),
        sa.UniqueConstraint("data_id", name=op.f("uq_open_writes_data_id")),
    )
    op.create_index(op.f("ix_open_writes_data_id"), "open_writes", ["data_id"], unique=False)
    op.create_index(op.f("ix_open_writes_lease_id"), "open_writes", ["lease_id"], unique=False)

    op.create_table(
        "outbox",
        sa.Column("id", EntityId, autoincrement=False, nullable=False),
        sa.Column("recorded_at", sa.Double(), nullable=False),
        sa.Column("event", Bytewise, nullable=False),
        sa.Column("subject_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("subject", Bytewise, server_default="", nullable=False),
        sa.Column("actor", Bytewise, server_default="", nullable=False),
        sa.Column("details", Bytewise, server_default="{}", nullable=False),
        sa.Column("claimed_by", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_table(
        "policy_bundles",
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("origin", Bytewise, nullable=False),
        sa.Column("digest", Bytewise, nullable=False),
        sa.Column("sources", Bytewise, nullable=False),
        sa.Column("activated_at", sa.Double(), nullable=False),
        sa.Column("active", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("generation", name=op.f("pk_policy_bundles")),
    )
    op.create_table(
        "resources",
        sa.Column("id", EntityId, autoincrement=False, nullable=False),
        sa.Column("name", Bytewise, nullable=False),
        sa.Column("zone", Bytewise, nullable=False),
        sa.Column("type", Bytewise, nullable=False),
        sa.Column("class", Bytewise, server_default="cache", nullable=False),
        sa.Column("host", Bytewise, server_default="", nullable=False),
        sa.Column("vault_path", Bytewise, server_default="", nullable=False),
        sa.Column("status", Bytewise, server_default="", nullable=False),
        sa.Column("context", Bytewise, server_default="", nullable=False),
        sa.Column("info", Bytewise, server_default="", nullable=False),
        sa.Column("comment", Bytewise, server_default="", nullable=False),
        sa.Column("free_space", Bytewise, server_default="", nullable=False),
        sa.Column("free_space_time", Bytewise, server_default="", nullable=False),
        sa.Column("parent_id", EntityId, nullable=True),
        sa.Column("parent_context", Bytewise, server_default="", nullable=False),
        sa.Column("medium", Bytewise, server_default="", nullable=False),
        sa.Column("site", Bytewise, server_default="", nullable=False),
        sa.Column("modify_millis", Bytewise, server_default="000", nullable=False),
        sa.Column("create_time", Bytewise, server_default="", nullable=False),
        sa.Column("modify_time", Bytewise, server_default="", nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["resources.id"], name=op.f("fk_resources_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resources")),
        sa.UniqueConstraint("zone", "name", name=op.f("uq_resources_zone_name")),
    )
    op.create_table(
        "specific_queries",
        sa.Column("alias", Bytewise, nullable=False),
        sa.Column("sql", Bytewise, nullable=False),
        sa.Column("create_time", Bytewise, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("alias", name=op.f("pk_specific_queries")),
    )
    op.create_table(
        "tokens",
        sa.Column("namespace", Bytewise, nullable=False),
        sa.Column("id", EntityId, autoincrement=False, nullable=False),
        sa.Column("name", Bytewise, nullable=False),
        sa.Column("value", Bytewise, server_default="", nullable=False),
        sa.Column("value2", Bytewise, server_default="", nullable=False),
        sa.Column("value3", Bytewise, server_default="", nullable=False),
        sa.Column("comment", Bytewise, server_default="", nullable=False),
        sa.Column("create_time", Bytewise, server_default="", nullable=False),
        sa.Column("modify_time", Bytewise, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("namespace", "id", "name", name=op.f("pk_tokens")),
    )
    op.create_table(
        "vault_tasks",
        sa.Column("id", EntityId, autoincrement=False, nullable=False),
        sa.Column("resource_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("kind", Bytewise, nullable=False),
        sa.Column("path", Bytewise, nullable=False),
        sa.Column("target", Bytewise, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vault_tasks")),
    )
    op.create_table(
        "users",
        sa.Column("id", EntityId, autoincrement=False, nullable=False),
        sa.Column("name", Bytewise, nullable=False),
        sa.Column("zone", Bytewise, nullable=False),
        sa.Column("type", Bytewise, nullable=False),
        sa.Column("info", Bytewise, server_default="", nullable=False),
        sa.Column("comment", Bytewise, server_default="", nullable=False),
        sa.Column("posix_uid", sa.Integer(), nullable=True),
        sa.Column("posix_gid", sa.Integer(), nullable=True),
        sa.Column("create_time", Bytewise, server_default="", nullable=False),
        sa.Column("modify_time", Bytewise, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", "zone", name=op.f("uq_users_name_zone")),
    )
    op.create_table(
        "zones",
        sa.Column("id", EntityId, autoincrement=False, nullable=False),
        sa.Column("name", Bytewise, nullable=False),
        sa.Column("type", Bytewise, nullable=False),
        sa.Column("connection", Bytewise, server_default="", nullable=False),
        sa.Column("comment", Bytewise, server_default="", nullable=False),
        sa.Column("create_time", Bytewise, server_default="", nullable=False),
        sa.Column("modify_time", Bytewise, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_zones")),
        sa.UniqueConstraint("name", name=op.f("uq_zones_name")),
    )
    op.create_table(
        "acl_entries",
        sa.Column("acl_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("user_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["acl_id"], ["acls.id"], name=op.f("fk_acl_entries_acl_id")),
        sa.PrimaryKeyConstraint("acl_id", "user_id", name=op.f("pk_acl_entries")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_acl_entries_user_level", "acl_entries", ["user_id", "level", "acl_id"], unique=False)

    op.create_table(
        "avu_links",
        sa.Column("entity_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("avu_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("create_time", Bytewise, server_default="", nullable=False),
        sa.Column("modify_time", Bytewise, server_default="", nullable=False),
        sa.ForeignKeyConstraint(["avu_id"], ["avus.id"], name=op.f("fk_avu_links_avu_id")),
        sa.PrimaryKeyConstraint("entity_id", "avu_id", name=op.f("pk_avu_links")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_avu_links_avu_id"), "avu_links", ["avu_id"], unique=False)

    op.create_table(
        "collections",
        sa.Column("id", EntityId, autoincrement=False, nullable=False),
        sa.Column("path", Bytewise, nullable=False),
        sa.Column("parent_path", Bytewise, nullable=False),
        sa.Column("owner_name", Bytewise, nullable=False),
        sa.Column("owner_zone", Bytewise, nullable=False),
        sa.Column("acl_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("inherit", sa.Integer(), server_default="0", nullable=False),
        sa.Column("type", Bytewise, server_default="", nullable=False),
        sa.Column("info1", Bytewise, server_default="", nullable=False),
        sa.Column("info2", Bytewise, server_default="", nullable=False),
        sa.Column("comment", Bytewise, server_default="", nullable=False),
        sa.Column("create_time", Bytewise, server_default="", nullable=False),
        sa.Column("modify_time", Bytewise, server_default="", nullable=False),
        sa.ForeignKeyConstraint(["acl_id"], ["acls.id"], name=op.f("fk_collections_acl_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collections")),
        sa.UniqueConstraint("path", name=op.f("uq_collections_path")),
    )
    op.create_index(op.f("ix_collections_acl_id"), "collections", ["acl_id"], unique=False)
    op.create_index(op.f("ix_collections_parent_path"), "collections", ["parent_path"], unique=False)

    op.create_table(
        "group_members",
        sa.Column("group_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("user_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("create_time", Bytewise, server_default="", nullable=False),
        sa.Column("modify_time", Bytewise, server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["users.id"], name=op.f("fk_group_members_group_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_group_members_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("group_id", "user_id", name=op.f("pk_group_members")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_group_members_user_id"), "group_members", ["user_id"], unique=False)

    op.create_table(
        "quotas",
        sa.Column("user_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("resource_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("limit_bytes", sa.BigInteger(), nullable=False),
        sa.Column("over_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("modify_time", Bytewise, server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_quotas_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "resource_id", name=op.f("pk_quotas")),
    )
    op.create_table(
        "user_auths",
        sa.Column("user_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("name", Bytewise, nullable=False),
        sa.Column("create_time", Bytewise, server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_user_auths_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "name", name=op.f("pk_user_auths")),
    )
    op.create_table(
        "user_passwords",
        sa.Column("id", EntityId, autoincrement=False, nullable=False),
        sa.Column("user_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("sealed", Bytewise, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("one_time", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_user_passwords_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_passwords")),
    )
    op.create_index(op.f("ix_user_passwords_user_id"), "user_passwords", ["user_id"], unique=False)

    op.create_table(
        "data_objects",
        sa.Column("id", EntityId, autoincrement=False, nullable=False),
        sa.Column("collection_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("name", Bytewise, nullable=False),
        sa.Column("owner_name", Bytewise, nullable=False),
        sa.Column("owner_zone", Bytewise, nullable=False),
        sa.Column("acl_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["acl_id"], ["acls.id"], name=op.f("fk_data_objects_acl_id")),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name=op.f("fk_data_objects_collection_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_objects")),
        sa.UniqueConstraint("collection_id", "name", name=op.f("uq_data_objects_collection_id_name")),
    )
    op.create_index(op.f("ix_data_objects_acl_id"), "data_objects", ["acl_id"], unique=False)

    op.create_table(
        "replicas",
        sa.Column("data_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("resource_id", EntityId, autoincrement=False, nullable=False),
        sa.Column("physical_path", Bytewise, server_default="", nullable=False),
        sa.Column("staged_as", Bytewise, server_default="", nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("checksum", Bytewise, server_default="", nullable=False),
        sa.Column("data_type", Bytewise, server_default="generic", nullable=False),
        sa.Column("mode", Bytewise, server_default="", nullable=False),
        sa.Column("comments", Bytewise, server_default="", nullable=False),
        sa.Column("expiry_time", Bytewise, server_default="00000000000", nullable=False),
        sa.Column("status_note", Bytewise, server_default="", nullable=False),
        sa.Column("create_time", Bytewise, server_default="", nullable=False),
        sa.Column("modify_time", Bytewise, server_default="", nullable=False),
        sa.Column("access_time", Bytewise, server_default="", nullable=False),
        sa.ForeignKeyConstraint(["data_id"], ["data_objects.id"], name=op.f("fk_replicas_data_id")),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_replicas_resource_id")),
        sa.PrimaryKeyConstraint("data_id", "number", name=op.f("pk_replicas")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_replicas_resource_id"), "replicas", ["resource_id"], unique=False)
    op.create_index(
        "ix_replicas_staged",
        "replicas",
        ["staged_as"],
        unique=False,
        sqlite_where=sa.text("staged_as != ''"),
        postgresql_where=sa.text("staged_as != ''"),
    )
