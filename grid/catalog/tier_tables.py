"""The tables of storage tiers: tape libraries, what is on cartridges, recalls; passes that read a resource."""

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, PrimaryKeyConstraint, Table

from grid.catalog.tables import id_column, metadata, text_column

tape_libraries = Table(
    "tape_libraries",
    metadata,
    id_column("resource_id", primary_key=True),
    Column("created_at", Double, nullable=False),  # where the library's own time begins
    Column("mounts", Integer, nullable=False, server_default="0"),
    text_column("moment", "{}"),  # how drives and robot are, as JSON
    text_column("faults", "{}"),  # drive or `robot` to what is wrong with it, as JSON
    Column("lease_id", BigInteger),  # of the process that moves the robot
)

tape_cartridges = Table(
    "tape_cartridges",
    metadata,
    id_column("resource_id"),
    text_column("label", None),
    Column("capacity_bytes", BigInteger, nullable=False),
    Column("used_bytes", BigInteger, nullable=False, server_default="0"),
    Column("deleted_bytes", BigInteger, nullable=False, server_default="0"),
    Column("mounts", Integer, nullable=False, server_default="0"),
    text_column("condition", "good"),
    text_column("bad_blocks", "[]"),
    PrimaryKeyConstraint("resource_id", "label"),
)

tape_landing = Table(
    "tape_landing",  # objects whose bytes wait on a library's disk to be written
    metadata,
    id_column("resource_id"),
    id_column("data_id"),
    Column("since", Double, nullable=False),
    PrimaryKeyConstraint("resource_id", "data_id"),
)

tape_entries = Table(
    "tape_entries",
    metadata,
    id_column("resource_id"),
    text_column("file_id", None),
    id_column("data_id"),
    text_column("name", None),
    text_column("cartridge", None),
    Column("container", Integer, nullable=False),
    Column("offset_bytes", BigInteger, nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    text_column("digest", None),
    PrimaryKeyConstraint("resource_id", "file_id"),
    Index("ix_tape_entries_cartridge", "resource_id", "cartridge", "start"),
)

tape_requests = Table(
    "tape_requests",
    metadata,
    id_column("id", primary_key=True),
    id_column("resource_id"),
    text_column("file_id", None),
    text_column("name", None),
    text_column("cartridge"),
    Column("start", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    text_column("user_name", None),
    Column("priority", Integer, nullable=False),
    text_column("state", None),
    text_column("reason"),
    Column("requested_at", Double, nullable=False),
    Column("mounts_before", Integer, nullable=False),
    Column("estimate_at", Double, nullable=False),
    Column("started_at", Double, nullable=False, server_default="0"),
    Column("finished_at", Double, nullable=False, server_default="0"),
    Column("pin_until", Double, nullable=False, server_default="0"),
    Column("mounts_at_start", Integer, nullable=False, server_default="0"),
    Column("pin_s", Double, nullable=False),
    Index("ix_tape_requests_cartridge", "resource_id", "state", "cartridge", "start"),
    Index("ix_tape_requests_oldest", "resource_id", "state", "cartridge", "id"),
    Index("ix_tape_requests_urgent", "resource_id", "state", "cartridge", "priority"),
    Index("ix_tape_requests_file", "resource_id", "file_id", "state"),
    Index("ix_tape_requests_user", "user_name", "state", "id"),
)

tape_waiting = Table(
    "tape_waiting",  # what is queued, summed up: a choice costs nothing with the number of requests
    metadata,
    id_column("resource_id"),
    text_column("cartridge", None),
    text_column("user_name", None),
    Column("requests", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    PrimaryKeyConstraint("resource_id", "cartridge", "user_name"),
)

scrubs = Table(
    "scrubs",  # passes over a resource that read everything on it
    metadata,
    id_column("id", primary_key=True),
    id_column("resource_id"),
    text_column("state", None),  # running, done, stopped
    Column("rate", Double, nullable=False),  # bytes/s at the most
    Column("repair", Integer, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("finished_at", Double, nullable=False, server_default="0"),
    Column("position", BigInteger, nullable=False, server_default="0"),  # the last object that was looked at
    Column("checked", BigInteger, nullable=False, server_default="0"),
    Column("read_bytes", BigInteger, nullable=False, server_default="0"),
    Column("bad", BigInteger, nullable=False, server_default="0"),
    Column("repaired", BigInteger, nullable=False, server_default="0"),
    Column("skipped", BigInteger, nullable=False, server_default="0"),
    Column("lease_id", BigInteger),
)

scrub_findings = Table(
    "scrub_findings",
    metadata,
    id_column("scrub_id"),
    text_column("path", None),
    Column("number", Integer, nullable=False),
    text_column("outcome", None),
    text_column("reason"),
    PrimaryKeyConstraint("scrub_id", "path", "number"),
)

space = Table(
    "space",  # what is spoken for on bounded resources
    metadata,
    id_column("resource_id", primary_key=True),
    Column("used_bytes", BigInteger, nullable=False, server_default="0"),
    Column("counted_at", Double, nullable=False, server_default="0"),
)

space_reservations = Table(
    "space_reservations",
    metadata,
    text_column("key", None, primary_key=True),
    id_column("resource_id"),
    text_column("owner", None),
    Column("bytes", BigInteger, nullable=False),  # still to be taken
    Column("until", Double, nullable=False),
    Column("created_at", Double, nullable=False),
    Index("ix_space_reservations_resource", "resource_id", "until"),
)

posix_folders = Table(
    "posix_folders",  # what policy wants of the folders that collections have in vaults
    metadata,
    id_column("collection_id"),
    id_column("resource_id"),
    Column("mode", Integer, nullable=False),
    Column("gid", Integer),
    text_column("drift"),  # how the folder is otherwise, and why; empty when it is as wanted
    Column("checked_at", Double, nullable=False),
    PrimaryKeyConstraint("collection_id", "resource_id"),
)

resource_use = Table(
    "resource_use",  # until when what was queued for a resource with a limited rate takes
    metadata,
    id_column("resource_id", primary_key=True),
    Column("free_at", Double, nullable=False, server_default="0"),
)

resource_files = Table(
    "resource_files",  # files that are open on resources with a limited number of them
    metadata,
    id_column("resource_id"),
    id_column("lease_id"),
    Column("files", Integer, nullable=False),
    PrimaryKeyConstraint("resource_id", "lease_id"),
)

block_trees = Table(
    "block_trees",  # digests over the blocks of contents; those of an earlier version count for nothing
    metadata,
    id_column("data_id", primary_key=True),
    Column("version", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("level", Integer, nullable=False),  # each digest stands for 2**level blocks
    Column("digests", LargeBinary, nullable=False),
)

write_leaves = Table(
    "write_leaves",  # what each further stream of an open write saw; NULL while it goes on
    metadata,
    text_column("token", None),
    text_column("stream", None),
    Column("records", LargeBinary),
    PrimaryKeyConstraint("token", "stream"),
)

attestations = Table(
    "attestations",  # evidence about contents, as it was attached
    metadata,
    id_column("id", primary_key=True),
    id_column("data_id", index=True),
    Column("evidence", LargeBinary, nullable=False),
    text_column("state", None),  # the verdict when it was attached
    text_column("added_by", None),
    Column("added_at", Double, nullable=False),
)
