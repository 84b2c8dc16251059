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


def _text(name: str, default: str | None = "", **options: Any) -> Column[Any]:
    return Column(name, Bytewise, nullable=False, server_default=default, **options)


def _id(name: str = "id", *constraints: Any, **options: Any) -> Column[Any]:
    return Column(name, EntityId, *constraints, nullable=False, autoincrement=False, **options)


def _times() -> tuple[Column[Any], Column[Any]]:
    return _text("create_time"), _text("modify_time")


id_sequence = Table(
    "id_sequence",
    metadata,
    Column("next_id", BigInteger, nullable=False),  # one row; SQLite only, PostgreSQL has a sequence
)

zones = Table(
    "zones",
    metadata,
    _id("id", primary_key=True),
    _text("name", None, unique=True),
    _text("type", None),  # local or remote
    _text("connection"),
    _text("comment"),
    *_times(),
)

users = Table(
    "users",
    metadata,
    _id("id", primary_key=True),
    _text("name", None),
    _text("zone", None),
    _text("type", None),  # rodsuser, rodsadmin, groupadmin, rodsgroup
    _text("info"),
    _text("comment"),
    Column("posix_uid", Integer),
    Column("posix_gid", Integer),
    *_times(),
    UniqueConstraint("name", "zone"),
)

user_passwords = Table(
    "user_passwords",
    metadata,
    _id("id", primary_key=True),
    _id("user_id", ForeignKey("users.id", ondelete="CASCADE"), index=True),
    _text("sealed", None),  # encrypted with the zone's key
    Column("expires_at", BigInteger, nullable=False, server_default="0"),  # 0: never
    Column("one_time", Integer, nullable=False, server_default="0"),
)

user_auths = Table(
    "user_auths",
    metadata,
    _id("user_id", ForeignKey("users.id", ondelete="CASCADE")),
    _text("name", None),  # distinguished name or another outside identity
    _text("create_time"),
    PrimaryKeyConstraint("user_id", "name"),
)

group_members = Table(
    "group_members",
    metadata,
    _id("group_id", ForeignKey("users.id", ondelete="CASCADE")),
    _id("user_id", ForeignKey("users.id", ondelete="CASCADE"), index=True),
    *_times(),
    PrimaryKeyConstraint("group_id", "user_id"),  # a user is also the one member of itself
    sqlite_with_rowid=False,
)

tokens = Table(
    "tokens",
    metadata,
    _text("namespace", None),
    _id("id"),
    _text("name", None),
    _text("value"),
    _text("value2"),
    _text("value3"),
    _text("comment"),
    *_times(),
    PrimaryKeyConstraint("namespace", "id", "name"),
)

resources = Table(
    "resources",
    metadata,
    _id("id", primary_key=True),
    _text("name", None),
    _text("zone", None),
    _text("type", None),
    _text("class", "cache"),
    _text("host"),
    _text("vault_path"),
    _text("status"),
    _text("context"),
    _text("info"),
    _text("comment"),
    _text("free_space"),
    _text("free_space_time"),
    Column("parent_id", EntityId, ForeignKey("resources.id")),
    _text("parent_context"),
    _text("medium"),
    _text("site"),
    _text("modify_millis", "000"),
    *_times(),
    UniqueConstraint("zone", "name"),
)

acls = Table(
    "acls",
    metadata,
    _id("id", primary_key=True),
    _text("fingerprint", None, unique=True),  # of the sorted (user, level) pairs
)

acl_entries = Table(
    "acl_entries",
    metadata,
    _id("acl_id", ForeignKey("acls.id")),
    _id("user_id"),  # no foreign key: removing a user hides its entries, it does not rewrite every set
    Column("level", Integer, nullable=False),
    PrimaryKeyConstraint("acl_id", "user_id"),
    Index("ix_acl_entries_user_level", "user_id", "level", "acl_id"),
    sqlite_with_rowid=False,
)

collections = Table(
    "collections",
    metadata,
    _id("id", primary_key=True),
    _text("path", None, unique=True),
    _text("parent_path", None, index=True),
    _text("owner_name", None),
    _text("owner_zone", None),
    _id("acl_id", ForeignKey("acls.id"), index=True),
    Column("inherit", Integer, nullable=False, server_default="0"),
    _text("type"),
    _text("info1"),
    _text("info2"),
    _text("comment"),
    *_times(),
)

data_objects = Table(
    "data_objects",
    metadata,
    _id("id", primary_key=True),
    _id("collection_id", ForeignKey("collections.id")),
    _text("name", None),
    _text("owner_name", None),
    _text("owner_zone", None),
    _id("acl_id", ForeignKey("acls.id"), index=True),
    Column("version", BigInteger, nullable=False, server_default="0"),  # grows with each change of content
    UniqueConstraint("collection_id", "name"),
)

replicas = Table(
    "replicas",
    metadata,
    _id("data_id", ForeignKey("data_objects.id")),
    Column("number", Integer, nullable=False, autoincrement=False),
    _id("resource_id", ForeignKey("resources.id")),
    _text("physical_path"),  # empty: the resource derives it from the logical path
    _text("staged_as"),  # not empty: the bytes are in the staging area under this name
    Column("size_bytes", BigInteger, nullable=False, server_default="0"),
    Column("status", Integer, nullable=False),
    _text("checksum"),
    _text("data_type", "generic"),
    _text("mode"),
    _text("comments"),
    _text("expiry_time", "00000000000"),
    _text("status_note"),
    *_times(),
    _text("access_time"),
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
    _id("id", primary_key=True),
    _text("attribute", None),
    _text("value", None),
    _text("unit"),
    Column("number", Double),  # the value where it is a number, so that ranges use an index
    _text("digest", None, unique=True),  # of the three texts: a value may be too long for an index
    *_times(),
    Index("ix_avus_attribute_number", "attribute", "number"),
)
Index("ix_avus_attribute_value", avus.c.attribute, avus.c.value).ddl_if(dialect="sqlite")

avu_links = Table(
    "avu_links",
    metadata,
    _id("entity_id"),
    _id("avu_id", ForeignKey("avus.id"), index=True),
    *_times(),
    PrimaryKeyConstraint("entity_id", "avu_id"),
    sqlite_with_rowid=False,
)

specific_queries = Table(
    "specific_queries",
    metadata,
    _text("alias", None, primary_key=True),
    _text("sql", None),
    _text("create_time"),
)

quotas = Table(
    "quotas",
    metadata,
    _id("user_id", ForeignKey("users.id", ondelete="CASCADE")),
    _id("resource_id"),  # 0: all of them together
    Column("limit_bytes", BigInteger, nullable=False),
    Column("over_bytes", BigInteger, nullable=False, server_default="0"),
    _text("modify_time"),
    PrimaryKeyConstraint("user_id", "resource_id"),
)

grid_configuration = Table(
    "grid_configuration",
    metadata,
    _text("namespace", None),
    _text("option_name", None),
    _text("option_value"),
    PrimaryKeyConstraint("namespace", "option_name"),
)

leases = Table(
    "leases",
    metadata,
    _id("id", primary_key=True),
    _text("host", None),
    _text("boot_id", None),
    Column("pid", Integer, nullable=False),
    _text("start_time", None),  # of the process, in clock ticks since boot: a pid is used again
    _text("role", None),
    Column("renewed_at", Double, nullable=False),
)

open_writes = Table(
    "open_writes",
    metadata,
    _text("token", None, primary_key=True),
    _id("data_id", index=True),
    Column("replica_number", Integer, nullable=False),
    _id("lease_id", index=True),
    _text("staged_as", None),
    Column("is_new", Integer, nullable=False),  # the replica did not exist before this write
    _text("previous"),  # statuses to go back to, as JSON
    Column("opened_at", Double, nullable=False),
    UniqueConstraint("data_id"),  # one writer of an object; parallel streams share its token
)

vault_tasks = Table(
    "vault_tasks",
    metadata,
    _id("id", primary_key=True),  # tasks of a resource are done in the order of their ids
    _id("resource_id"),
    _text("kind", None),  # unlink, unlink_staged, move, remove_folder
    _text("path", None),
    _text("target"),
)

jobs = Table(
    "jobs",
    metadata,
    _id("id", primary_key=True),
    _text("name", None),
    _text("rule_id", None),
    _text("body_id", None),
    _text("key", None),
    Column("bundle_generation", Integer, nullable=False),
    _text("user_name", None),
    _text("user_zone", None),
    _text("captured", "{}"),  # typed values the body uses, as JSON
    _text("state", "waiting"),  # waiting, running, done, dead, paused, cancelled
    Column("not_before", Double, nullable=False),
    Column("deadline", Double),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("max_attempts", Integer, nullable=False, server_default="1"),
    Column("backoff_s", Double, nullable=False, server_default="0"),
    Column("backoff_max_s", Double, nullable=False, server_default="0"),
    Column("lease_id", BigInteger),
    Column("leased_until", Double),
    _text("last_failure"),
    Column("created_at", Double, nullable=False),
    Column("finished_at", Double),
    Column("priority", Integer, nullable=False, server_default="5"),  # 1 to 9, 9 first
    Column(
        "giving_up", Integer, nullable=False, server_default="0"
    ),  # its last attempt failed, for `last_failure`
    _text("lane"),  # work of one rule, or of one rule on one resource: one lane never starves another
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
    _id("job_id"),
    _text("token", None),
    PrimaryKeyConstraint("job_id", "token"),
)

decisions = Table(
    "decisions",
    metadata,
    _id("id", primary_key=True),
    Column("decided_at", Double, nullable=False),
    _text("event", None),
    _text("subject"),
    _text("actor"),
    _text("decision", None),  # allowed, refused, failed
    _text("code"),
    _text("rule"),
    _text("sentence"),
    _text("request_id"),
    Column("bundle_generation", Integer, nullable=False),
)
Index("ix_decisions_subject", decisions.c.subject, decisions.c.id)

outbox = Table(
    "outbox",
    metadata,
    _id("id", primary_key=True),
    Column("recorded_at", Double, nullable=False),
    _text("event", None),
    _id("subject_id"),
    _text("subject"),
    _text("actor"),
    _text("details", "{}"),
    Column("claimed_by", BigInteger),
)

policy_bundles = Table(
    "policy_bundles",
    metadata,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    _text("origin", None),  # the file it was read from, or `pushed`
    _text("digest", None),
    _text("sources", None),  # file name to text, as JSON
    Column("activated_at", Double, nullable=False),
    Column("active", Integer, nullable=False, server_default="0"),
    _text("manifest", "{}"),  # file name to digest, policy, version, grants and stewards, as JSON
    _text("tests", "{}"),  # file name to the report of its tests, as JSON
    _text("checked"),  # the checked form of the sources; empty when there is none
    _text("pusher"),
)

frozen = Table(
    "frozen",
    metadata,
    _id("root_id"),  # the collection that was frozen
    _id("entity_id"),
    Column("is_collection", Integer, nullable=False),
    _id("acl_id"),  # what the entity had before
    PrimaryKeyConstraint("root_id", "entity_id"),
)

trashed = Table(
    "trashed",
    metadata,
    _text("path", None, primary_key=True),  # of what was put into the trash; things below it are not listed
    _text("origin", None),
    Column("trashed_at", Double, nullable=False),
)

promises = Table(
    "promises",
    metadata,
    _id("data_id"),
    _text("keep_id", None),
    _text("reason"),  # why the promise is not met; empty when it is
    Column("attempts", Integer, nullable=False, server_default="0"),
    _text("held"),  # numbers of the replicas that satisfy it, which may not be trimmed
    Column("checked_at", Double, nullable=False),
    Column("next_at", Double, nullable=False),
    PrimaryKeyConstraint("data_id", "keep_id"),
    Index("ix_promises_next_at", "next_at"),
)

keep_queue = Table(
    "keep_queue",
    metadata,
    _id("data_id", primary_key=True),  # objects that changed since their promises were looked at
    Column("queued_at", Double, nullable=False),
)

periodic = Table(
    "periodic",
    metadata,
    _text("name", None, primary_key=True),  # of a sweep, or of the slow pass over all promises
    Column("next_at", Double, nullable=False, server_default="0"),
    _text("position"),
    Column("lease_id", BigInteger),
    Column("leased_until", Double, nullable=False, server_default="0"),
    Column("last_run_at", Double, nullable=False, server_default="0"),
    _text("last_result"),
)
