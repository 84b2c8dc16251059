"""The nouns of the grid as values."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class ReplicaStatus(IntEnum):
    """Life cycle of a replica. Source: `irods::replica` status values, iRODS 5.0.2."""

    STALE = 0
    GOOD = 1
    INTERMEDIATE = 2
    READ_LOCKED = 3
    WRITE_LOCKED = 4


class Access(IntEnum):
    """Access levels; a level includes all below it. Source: `access_type` tokens, iRODS 5.0.2."""

    NULL = 1000
    EXECUTE = 1010
    READ_ANNOTATION = 1020
    READ_SYSTEM_METADATA = 1030
    READ_METADATA = 1040
    READ = 1050
    WRITE_ANNOTATION = 1060
    CREATE_METADATA = 1070
    MODIFY_METADATA = 1080
    DELETE_METADATA = 1090
    ADMINISTER_OBJECT = 1100
    CREATE_OBJECT = 1110
    WRITE = 1120
    DELETE = 1130
    CREATE_TOKEN = 1140
    DELETE_TOKEN = 1150
    CURATE = 1160
    OWN = 1200


ACCESS_TOKENS = {
    Access.NULL: "null",
    Access.EXECUTE: "execute",
    Access.READ_ANNOTATION: "read annotation",
    Access.READ_SYSTEM_METADATA: "read system metadata",
    Access.READ_METADATA: "read_metadata",
    Access.READ: "read_object",
    Access.WRITE_ANNOTATION: "write annotation",
    Access.CREATE_METADATA: "create_metadata",
    Access.MODIFY_METADATA: "modify_metadata",
    Access.DELETE_METADATA: "delete_metadata",
    Access.ADMINISTER_OBJECT: "administer object",
    Access.CREATE_OBJECT: "create_object",
    Access.WRITE: "modify_object",
    Access.DELETE: "delete_object",
    Access.CREATE_TOKEN: "create token",
    Access.DELETE_TOKEN: "delete token",
    Access.CURATE: "curate",
    Access.OWN: "own",
}
"""Level to the name that the catalog and the wire use."""

ACCESS_BY_NAME = {
    **{name: level for level, name in ACCESS_TOKENS.items()},
    **{name.replace(" ", "_"): level for level, name in ACCESS_TOKENS.items()},
    **{name.replace("_", " "): level for level, name in ACCESS_TOKENS.items()},
    "read": Access.READ,
    "write": Access.WRITE,
}


@dataclass(frozen=True, slots=True)
class User:
    """A user or a group of the zone, or a known user of another one."""

    id: int
    name: str
    zone: str
    type: str

    @property
    def is_admin(self) -> bool:
        return self.type == "rodsadmin"

    @property
    def is_group(self) -> bool:
        return self.type == "rodsgroup"

    @property
    def full_name(self) -> str:
        return f"{self.name}#{self.zone}"


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf an operation runs.

    `principals` are the ids whose rights count: the user's own and those of its groups. `rights_of_rules`
    is set while a rule's own statements run: they act with the rights granted to their policy, which are those of the
    locations in `granted`, or everywhere when that is None.
    """

    user: User
    principals: tuple[int, ...]
    groups: tuple[str, ...]
    proxy: User
    address: str = ""
    request_id: str = ""
    rights_of_rules: bool = False
    granted: tuple[Any, ...] | None = None

    def may_act_at(self, path: str) -> bool:
        """Whether the rights of a rule reach a path; everywhere, unless its policy was granted locations."""
        return self.granted is None or any(pattern.match(path) is not None for pattern in self.granted)

    @property
    def is_admin(self) -> bool:
        return self.user.is_admin


@dataclass(frozen=True, slots=True)
class Avu:
    """An attribute, its value and its unit."""

    attribute: str
    value: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Collection:
    """A node of the tree."""

    id: int
    path: str
    owner_name: str
    owner_zone: str
    acl_id: int
    inherit: bool
    type: str
    info1: str
    info2: str
    create_time: str
    modify_time: str


@dataclass(frozen=True, slots=True)
class Replica:
    """One copy of a data object's bytes.

    `staged_as` names the file in the resource's staging area while the bytes have not been moved to
    `physical_path` yet; empty afterwards. `residency` is `tape` or `tape+disk` once a tape resource has the bytes on a
    cartridge, verified; empty for bytes on disk.
    """

    data_id: int
    number: int
    resource_id: int
    physical_path: str
    staged_as: str
    size_bytes: int
    status: ReplicaStatus
    checksum: str
    data_type: str
    mode: str
    comments: str
    create_time: str
    modify_time: str
    access_time: str
    residency: str = ""

    @property
    def is_offline(self) -> bool:
        """Whether the bytes are on tape only."""
        return self.residency == TAPE


@dataclass(frozen=True, slots=True)
class DataObject:
    """A named sequence of bytes and its replicas, ordered by number."""

    id: int
    collection_id: int
    path: str
    owner_name: str
    owner_zone: str
    acl_id: int
    replicas: tuple[Replica, ...] = field(default=())

    @property
    def is_locked(self) -> bool:
        return any(
            r.status in (ReplicaStatus.INTERMEDIATE, ReplicaStatus.WRITE_LOCKED) for r in self.replicas
        )

    def best_replica(self) -> Replica | None:
        """The first good one, or the lowest-numbered one when none is good."""
        for replica in self.replicas:
            if replica.status is ReplicaStatus.GOOD:
                return replica
        return self.replicas[0] if self.replicas else None


@dataclass(frozen=True, slots=True)
class Resource:
    """A storage resource, or a node that coordinates others."""

    id: int
    name: str
    type: str
    host: str
    vault_path: str
    status: str
    context: str
    parent_id: int | None
    parent_context: str
    free_space: str
    medium: str = ""
    site: str = ""

    @property
    def is_down(self) -> bool:
        return self.status == "down"

    def counts(self, replica: Replica) -> bool:
        """Whether a good replica here can be relied on: one for tape only once it was written there and read again."""
        return replica.status is ReplicaStatus.GOOD and (self.type != "tape" or bool(replica.residency))


TAPE, TAPE_AND_DISK = "tape", "tape+disk"

VAULT_TYPES = frozenset({"unixfilesystem", "buffer", "tape"})
"""Storage resources that have a vault folder."""

STORAGE_TYPES = VAULT_TYPES | {"memory", "xrootd"}
"""Resource types that hold bytes; every other known type coordinates children."""

COORDINATING_TYPES = frozenset(
    {"passthru", "replication", "random", "deferred", "compound", "load_balanced", "round_robin"}
)
