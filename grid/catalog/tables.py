"""The catalog's tables and their constraints.

Times are texts of eleven digits, seconds since 1970, because that is what every client selects, compares and
sorts; only the bookkeeping that no client sees (jobs, leases, decisions) holds numbers. All text compares
bytewise on both databases.

Source of the shapes behind the `R_*` views: `icatSysTables.sql`, iRODS 5.0.2.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Bytewise = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that compares byte by byte; SQLite's default collation already does."""

EntityId = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits on both; SQLite keeps a table in the order of its key only when the type is INTEGER."""


def text_column(name: str, default: str | None = "", **options: Any) -> Column[Any]:
    return Column(name, Bytewise, nullable=False, server_default=default, **options)


def id_column(name: str = "id", *constraints: Any, **options: Any) -> Column[Any]:
    return Column(name, EntityId, *constraints, nullable=False, autoincrement=False, **options)


def _times() -> tuple[Column[Any], Column[Any]]:
    return text_column("create_time"), text_column("modify_time")


id_sequence = Table(
    "id_sequence",
    metadata,
    Column("next_id", BigInteger, nullable=False),  # one row; SQLite only, PostgreSQL has a sequence
)

zones = Table(
    "zones",
    metadata,
    id_column("id", primary_key=True),
    text_column("name", None, unique=True),
    text_column("type", None),  # local or remote
    text_column("connection"),
    text_column("comment"),
    *_times(),
)

users = Table(
    "users",
    metadata,
    id_column("id", primary_key=True),
    text_column("name", None),
    text_column("zone", None),
    text_column("type", None),  # rodsuser, rodsadmin, groupadmin, rodsgroup
    text_column("info"),
    text_column("comment"),
    Column("posix_uid", Integer),
    Column("posix_gid", Integer),
    *_times(),
    UniqueConstraint("name", "zone"),
)

user_passwords = Table(
    "user_passwords",
    metadata,
    id_column("id", primary_key=True),
    id_column("user_id", ForeignKey("users.id", ondelete="CASCADE"), index=True),
    text_column("sealed", None),  # encrypted with the zone's key
    Column("expires_at", BigInteger, nullable=False, server_default="0"),  # 0: never
    Column("one_time", Integer, nullable=False, server_default="0"),
)

user_auths = Table(
    "user_auths",
    metadata,
    id_column("user_id", ForeignKey("users.id", ondelete="CASCADE")),
    text_column("name", None),  # distinguished name or another outside identity
    text_column("create_time"),
    PrimaryKeyConstraint("user_id", "name"),
)

group_members = Table(
    "group_members",
    metadata,
    id_column("group_id", ForeignKey("users.id", ondelete="CASCADE")),
    id_column("user_id", ForeignKey("users.id", ondelete="CASCADE"), index=True),
    *_times(),
    PrimaryKeyConstraint("group_id", "user_id"),  # a user is also the one member of itself
    sqlite_with_rowid=False,
)

tokens = Table(
    "tokens",
    metadata,
    text_column("namespace", None),
    id_column("id"),
    text_column("name", None),
    text_column("value"),
    text_column("value2"),
    text_column("value3"),
    text_column("comment"),
    *_times(),
    PrimaryKeyConstraint("namespace", "id", "name"),
)

resources = Table(
    "resources",
    metadata,
    id_column("id", primary_key=True),
    text_column("name", None),
    text_column("zone", None),
    text_column("type", None),
    text_column("class", "cache"),
    text_column("host"),
    text_column("vault_path"),
    text_column("status"),
    text_column("context"),
    text_column("info"),
    text_column("comment"),
    text_column("free_space"),
    text_column("free_space_time"),
    Column("parent_id", EntityId, ForeignKey("resources.id")),
    text_column("parent_context"),
    text_column("medium"),
    text_column("site"),
    text_column("modify_millis", "000"),
    *_times(),
    UniqueConstraint("zone", "name"),
)

acls = Table(
    "acls",
    metadata,
    id_column("id", primary_key=True),
    text_column("fingerprint", None, unique=True),  # of the sorted (user, level) pairs
)

acl_entries = Table(
    "acl_entries",
    metadata,
    id_column("acl_id", ForeignKey("acls.id")),
    id_column("user_id"),  # no foreign key: removing a user hides its entries, it does not rewrite every set
    Column("level", Integer, nullable=False),
    PrimaryKeyConstraint("acl_id", "user_id"),
    Index("ix_acl_entries_user_level", "user_id", "level", "acl_id"),
    sqlite_with_rowid=False,
)

collections = Table(
    "collections",
    metadata,
    id_column("id", primary_key=True),
    text_column("path", None, unique=True),
    text_column("parent_path", None, index=True),
    text_column("owner_name", None),
    text_column("owner_zone", None),
    id_column("acl_id", ForeignKey("acls.id"), index=True),
    Column("inherit", Integer, nullable=False, server_default="0"),
    text_column("type"),
    text_column("info1"),
    text_column("info2"),
    text_column("comment"),
    *_times(),
)

data_objects = Table(
    "data_objects",
    metadata,
    id_column("id", primary_key=True),
    id_column("collection_id", ForeignKey("collections.id")),
    text_column("name", None),
    text_column("owner_name", None),
    text_column("owner_zone", None),
    id_column("acl_id", ForeignKey("acls.id"), index=True),
    Column("version", BigInteger, nullable=False, server_default="0"),  # grows with each change of content
    UniqueConstraint("collection_id", "name"),
)

replicas = Table(
    "replicas",
    metadata,
    id_column("data_id", ForeignKey("data_objects.id")),
    Column("number", Integer, nullable=False, autoincrement=False),
    id_column("resource_id", ForeignKey("resources.id")),
    text_column("physical_path"),  # empty: the resource derives it from the logical path
    text_column("staged_as"),  # not empty: the bytes are in the staging area under this name
    Column("size_bytes", BigInteger, nullable=False, server_default="0"),
    Column("status", Integer, nullable=False),
    text_column("checksum"),
    text_column("data_type", "generic"),
    text_column("mode"),
    text_column("comments"),
    text_column("expiry_time", "00000000000"),
    text_column("status_note"),  # `tape` or `tape+disk` where a tape resource has the bytes on a cartridge
    *_times(),
    text_column("access_time"),
    PrimaryKeyConstraint("data_id", "number"),
    Index(
        "ix_replicas_resource_access", "resource_id", "access_time"
    ),  # what a resource holds, unread longest first
    sqlite_with_rowid=False,
)
Index(
    "ix_replicas_staged",
    replicas.c.staged_as,
    sqlite_where=replicas.c.staged_as != "",
    postgresql_where=replicas.c.staged_as != "",
)

avus = Table(
    "avus",
    metadata,
    id_column("id", primary_key=True),
    text_column("attribute", None),
    text_column("value", None),
    text_column("unit"),
    Column("number", Double),  # the value where it is a number, so that ranges use an index
    text_column("digest", None, unique=True),  # of the three texts: a value may be too long for an index
    *_times(),
    Index("ix_avus_attribute_number", "attribute", "number"),
)
Index("ix_avus_attribute_value", avus.c.attribute, avus.c.value).ddl_if(dialect="sqlite")

avu_links = Table(
    "avu_links",
    metadata,
    id_column("entity_id"),
    id_column("avu_id", ForeignKey("avus.id"), index=True),
    *_times(),
    PrimaryKeyConstraint("entity_id", "avu_id"),
    sqlite_with_rowid=False,
)

specific_queries = Table(
    "specific_queries",
    metadata,
    text_column("alias", None, primary_key=True),
    text_column("sql", None),
    text_column("create_time"),
)

quotas = Table(
    "quotas",
    metadata,
    id_column("user_id", ForeignKey("users.id", ondelete="CASCADE")),
    id_column("resource_id"),  # 0: all of them together
    Column("limit_bytes", BigInteger, nullable=False),
    Column("over_bytes", BigInteger, nullable=False, server_default="0"),
    text_column("modify_time"),
    PrimaryKeyConstraint("user_id", "resource_id"),
)

grid_configuration = Table(
    "grid_configuration",
    metadata,
    text_column("namespace", None),
    text_column("option_name", None),
    text_column("option_value"),
    PrimaryKeyConstraint("namespace", "option_name"),
)

leases = Table(
    "leases",
    metadata,
    id_column("id", primary_key=True),
    text_column("host", None),
    text_column("boot_id", None),
    Column("pid", Integer, nullable=False),
    text_column("start_time", None),  # of the process, in clock ticks since boot: a pid is used again
    text_column("role", None),
    Column("renewed_at", Double, nullable=False),
)

open_writes = Table(
    "open_writes",
    metadata,
    text_column("token", None, primary_key=True),
    id_column("data_id", index=True),
    Column("replica_number", Integer, nullable=False),
    id_column("lease_id", index=True),
    text_column("staged_as", None),
    Column("is_new", Integer, nullable=False),  # the replica did not exist before this write
    text_column("previous"),  # statuses to go back to, as JSON
    Column("opened_at", Double, nullable=False),
    text_column("reservation"),  # the key of room on a buffer that all its streams use
    UniqueConstraint("data_id"),  # one writer of an object; parallel streams share its token
)

vault_tasks = Table(
    "vault_tasks",
    metadata,
    id_column("id", primary_key=True),  # tasks of a resource are done in the order of their ids
    id_column("resource_id"),
    text_column("kind", None),  # unlink, unlink_staged, move, remove_folder
    text_column("path", None),
    text_column("target"),
)

jobs = Table(
    "jobs",
    metadata,
    id_column("id", primary_key=True),
    text_column("name", None),
    text_column("rule_id", None),
    text_column("body_id", None),
    text_column("key", None),
    Column("bundle_generation", Integer, nullable=False),
    text_column("user_name", None),
    text_column("user_zone", None),
    text_column("captured", "{}"),  # typed values the body uses, as JSON
    text_column("state", "waiting"),  # waiting, running, done, dead, paused, cancelled
    Column("not_before", Double, nullable=False),
    Column("deadline", Double),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("max_attempts", Integer, nullable=False, server_default="1"),
    Column("backoff_s", Double, nullable=False, server_default="0"),
    Column("backoff_max_s", Double, nullable=False, server_default="0"),
    Column("lease_id", BigInteger),
    Column("leased_until", Double),
    text_column("last_failure"),
    Column("created_at", Double, nullable=False),
    Column("finished_at", Double),
    Column("priority", Integer, nullable=False, server_default="5"),  # 1 to 9, 9 first
    Column(
        "giving_up", Integer, nullable=False, server_default="0"
    ),  # its last attempt failed, for `last_failure`
    text_column("lane"),  # work of one rule, or of one rule on one resource: one lane never starves another
    CheckConstraint("state IN ('waiting', 'running', 'done', 'dead', 'paused', 'cancelled')", name="state"),
)
Index(
    "uq_jobs_open_key",
    jobs.c.body_id,
    jobs.c.key,
    unique=True,
    sqlite_where=jobs.c.state == "waiting",
    postgresql_where=jobs.c.state == "waiting",
)
Index("ix_jobs_state_not_before", jobs.c.state, jobs.c.not_before)
Index("ix_jobs_lane", jobs.c.state, jobs.c.lane, jobs.c.priority, jobs.c.not_before)
Index("ix_jobs_state_leased_until", jobs.c.state, jobs.c.leased_until)

job_effects = Table(
    "job_effects",  # what an attempt did that doing again would repeat; gone with the end of the job
    metadata,
    id_column("job_id"),
    text_column("token", None),
    PrimaryKeyConstraint("job_id", "token"),
)

decisions = Table(
    "decisions",
    metadata,
    id_column("id", primary_key=True),
    Column("decided_at", Double, nullable=False),
    text_column("event", None),
    text_column("subject"),
    text_column("actor"),
    text_column("decision", None),  # allowed, refused, failed
    text_column("code"),
    text_column("rule"),
    text_column("sentence"),
    text_column("request_id"),
    Column("bundle_generation", Integer, nullable=False),
)
Index("ix_decisions_subject", decisions.c.subject, decisions.c.id)

outbox = Table(
    "outbox",
    metadata,
    id_column("id", primary_key=True),
    Column("recorded_at", Double, nullable=False),
    text_column("event", None),
    id_column("subject_id"),
    text_column("subject"),
    text_column("actor"),
    text_column("details", "{}"),
    Column("claimed_by", BigInteger),
)

policy_bundles = Table(
    "policy_bundles",
    metadata,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    text_column("origin", None),  # the file it was read from, or `pushed`
    text_column("digest", None),
    text_column("sources", None),  # file name to text, as JSON
    Column("activated_at", Double, nullable=False),
    Column("active", Integer, nullable=False, server_default="0"),
    text_column("manifest", "{}"),  # file name to digest, policy, version, grants and stewards, as JSON
    text_column("tests", "{}"),  # file name to the report of its tests, as JSON
    text_column("checked"),  # the checked form of the sources; empty when there is none
    text_column("pusher"),
)

frozen = Table(
    "frozen",
    metadata,
    id_column("root_id"),  # the collection that was frozen
    id_column("entity_id"),
    Column("is_collection", Integer, nullable=False),
    id_column("acl_id"),  # what the entity had before
    PrimaryKeyConstraint("root_id", "entity_id"),
)

trashed = Table(
    "trashed",
    metadata,
    text_column(
        "path", None, primary_key=True
    ),  # of what was put into the trash; things below it are not listed
    text_column("origin", None),
    Column("trashed_at", Double, nullable=False),
)

promises = Table(
    "promises",
    metadata,
    id_column("data_id"),
    text_column("keep_id", None),
    text_column("reason"),  # why the promise is not met; empty when it is
    Column("attempts", Integer, nullable=False, server_default="0"),
    text_column("held"),  # numbers of the replicas that satisfy it, which may not be trimmed
    Column("checked_at", Double, nullable=False),
    Column("next_at", Double, nullable=False),
    PrimaryKeyConstraint("data_id", "keep_id"),
    Index("ix_promises_next_at", "next_at"),
)

keep_queue = Table(
    "keep_queue",
    metadata,
    id_column("data_id", primary_key=True),  # objects that changed since their promises were looked at
    Column("queued_at", Double, nullable=False),
)

periodic = Table(
    "periodic",
    metadata,
    text_column("name", None, primary_key=True),  # of a sweep, or of the slow pass over all promises
    Column("next_at", Double, nullable=False, server_default="0"),
    text_column("position"),
    Column("lease_id", BigInteger),
    Column("leased_until", Double, nullable=False, server_default="0"),
    Column("last_run_at", Double, nullable=False, server_default="0"),
    text_column("last_result"),
)
