"""New data objects, as one statement on PostgreSQL and as few as SQLite allows.

Every round trip to a database server costs as much as the work in it, so what makes an object visible (the fence,
the look at its place, object, replica, collection time and event) is one statement there. SQLite has no statements
that change several tables, and no round trips.
"""

import json
from dataclasses import dataclass
from typing import Any

from grid import paths
from grid.catalog import collections as collection_rows
from grid.catalog import leases
from grid.catalog import objects as object_rows
from grid.catalog.database import Transaction
from grid.catalog.leases import OpenWrite
from grid.model import Collection, DataObject, Replica


@dataclass(frozen=True, slots=True)
class Outboxed:
    """The event that tells of a change, recorded with it."""

    event: str
    actor: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewObject:
    """An object to register where a decision found room for it.

    Attributes:
        parent: the collection as the decision saw it; another access set or inheritance since then is a change.
        acl_id: the object's own access set.
        lease_id: the process's lease, which has to be in the catalog still; 0 for none.
    """

    path: str
    parent: Collection
    owner_name: str
    owner_zone: str
    acl_id: int
    replica: Replica
    lease_id: int


_ROOM = (
    " FROM collections c WHERE c.path = :collection AND c.acl_id = :parent_acl AND c.inherit = :inherit"
    " AND NOT EXISTS (SELECT 1 FROM collections x WHERE x.path = :path)"
    " AND NOT EXISTS (SELECT 1 FROM data_objects d WHERE d.collection_id = c.id AND d.name = :name)"
    " AND (:lease = 0 OR EXISTS (SELECT 1 FROM leases l WHERE l.id = :lease))"
)
_OBJECT = "INSERT INTO data_objects (id, collection_id, name, owner_name, owner_zone, acl_id)"
_REPLICA = (
    "INSERT INTO replicas (data_id, number, resource_id, physical_path, staged_as, size_bytes, status, checksum,"
    " data_type, mode, comments, create_time, modify_time, access_time) SELECT id, 0, :resource, :physical,"
    " :staged, :size, :status, :checksum, :type, :mode, :comments, :created, :modified, :accessed FROM made"
)
_MADE = (
    f"WITH made AS ({_OBJECT} SELECT nextval('entity_ids'), c.id, :name, :owner, :zone, :acl{_ROOM}"
    f" RETURNING id, collection_id), stored AS ({_REPLICA})"
)
_PUT = (
    f"{_MADE}, touched AS (UPDATE collections SET modify_time = :created FROM made"
    " WHERE collections.id = made.collection_id AND modify_time <> :created),"
    " told AS (INSERT INTO outbox (id, recorded_at, event, subject_id, subject, actor, details)"
    " SELECT nextval('entity_ids'), :now, :event, id, :path, :actor, :details FROM made) SELECT id FROM made"
)
_OPEN = (
    f"{_MADE} INSERT INTO open_writes (token, data_id, replica_number, lease_id, staged_as, is_new, previous,"
    " opened_at, reservation) SELECT :token, id, 0, :lease, :writing, 1, '{}', :now, :reservation FROM made"
    " RETURNING data_id"
)
_CLOSE = (
    "WITH closed AS (DELETE FROM open_writes WHERE token = :token"
    " AND (:lease = 0 OR EXISTS (SELECT 1 FROM leases l WHERE l.id = :lease)) RETURNING data_id),"
    " stored AS (UPDATE replicas SET status = 1, staged_as = :staged, size_bytes = :size, checksum = :checksum,"
    " modify_time = :modified, access_time = :modified FROM closed"
    " WHERE replicas.data_id = closed.data_id AND number = :number RETURNING replicas.data_id),"
    " counted AS (UPDATE data_objects SET version = version + 1 FROM stored WHERE id = stored.data_id"
    " RETURNING id, collection_id), touched AS (UPDATE collections SET modify_time = :modified FROM counted"
    " WHERE collections.id = counted.collection_id AND modify_time <> :modified),"
    " told AS (INSERT INTO outbox (id, recorded_at, event, subject_id, subject, actor, details)"
    " SELECT nextval('entity_ids'), :now, :event, id, :path, :actor, :details FROM counted) SELECT id FROM counted"
)


def _parameters(tx: Transaction, new: NewObject) -> dict[str, Any]:
    collection, name = paths.split(new.path)
    replica = new.replica
    return {
        "path": new.path, "collection": collection, "name": name, "parent_acl": new.parent.acl_id,
        "inherit": int(new.parent.inherit), "lease": new.lease_id, "owner": new.owner_name, "zone": new.owner_zone,
        "acl": new.acl_id, "resource": replica.resource_id, "physical": replica.physical_path,
        "staged": replica.staged_as, "size": replica.size_bytes, "status": int(replica.status),
        "checksum": replica.checksum, "type": replica.data_type, "mode": replica.mode, "comments": replica.comments,
        "created": replica.create_time, "modified": replica.modify_time, "accessed": replica.access_time,
        "now": tx.now,
    }  # fmt: skip


def _insert(tx: Transaction, new: NewObject, parameters: dict[str, Any]) -> int | None:
    """Object and replica, by the statements that SQLite has; None when the place is not as it was."""
    collection_id = tx.value(f"SELECT c.id{_ROOM}", parameters)
    if collection_id is None:
        return None
    data_id = tx.new_id()
    made = DataObject(
        data_id, int(collection_id), new.path, new.owner_name, new.owner_zone, new.acl_id, (new.replica,)
    )
    object_rows.insert_object(tx, made)
    tx.run(
        _REPLICA.replace("SELECT id,", "VALUES (:made,").replace(" FROM made", ")"),
        {**parameters, "made": data_id},
    )
    return data_id


def put(tx: Transaction, new: NewObject, told: Outboxed) -> int | None:
    """Register an object whose bytes are on stable storage, with the event that tells of it.

    Returns:
        Its id; None when the collection, its rights, the name or the lease are not as they were decided on, and
        then nothing has changed.
    """
    parameters = _parameters(tx, new)
    outbox = _outbox(told)
    if not tx.database.is_sqlite:
        made = tx.value(_PUT, {**parameters, **outbox})
        return None if made is None else int(made)
    data_id = _insert(tx, new, parameters)
    if data_id is not None:
        collection_rows.touch(tx, new.parent.id, tx.timestamp)
        _tell(tx, data_id, new.path, outbox)
    return data_id


def open_new(tx: Transaction, new: NewObject, entry: OpenWrite) -> int | None:
    """Register an object that is about to be written, and who writes it; see `put` for None."""
    parameters = _parameters(tx, new)
    if not tx.database.is_sqlite:
        opened = {
            **parameters,
            "token": entry.token,
            "writing": entry.staged_as,
            "reservation": entry.reservation,
        }
        made = tx.value(_OPEN, opened)
        return None if made is None else int(made)
    data_id = _insert(tx, new, parameters)
    if data_id is not None:
        leases.insert_open(tx, entry.of(data_id))
    return data_id


@dataclass(frozen=True, slots=True)
class FinishedWrite:
    """The first content of an object: its replica becomes good at its staged name."""

    path: str
    entry: OpenWrite
    size_bytes: int
    checksum: str
    lease_id: int


def close_new(tx: Transaction, write: FinishedWrite, told: Outboxed) -> bool:
    """Make the only replica of a new object good; False when the write or the lease is not there any more."""
    entry = write.entry
    parameters = {
        "token": entry.token, "lease": write.lease_id, "staged": entry.staged_as, "size": write.size_bytes,
        "checksum": write.checksum, "modified": tx.timestamp, "number": entry.replica_number, "now": tx.now,
        "path": write.path,
    }  # fmt: skip
    outbox = _outbox(told)
    if not tx.database.is_sqlite:
        return tx.value(_CLOSE, {**parameters, **outbox}) is not None
    if write.lease_id and not leases.is_held(tx, write.lease_id):
        return False
    if not leases.delete_open(tx, entry.token):
        return False
    stored = tx.run(
        "UPDATE replicas SET status = 1, staged_as = :staged, size_bytes = :size, checksum = :checksum,"
        " modify_time = :modified, access_time = :modified WHERE data_id = :id AND number = :number",
        {**parameters, "id": entry.data_id},
    )
    if not stored:
        return False
    collection_id = tx.value(
        "UPDATE data_objects SET version = version + 1 WHERE id = :id RETURNING collection_id",
        {"id": entry.data_id},
    )
    collection_rows.touch(tx, int(collection_id), tx.timestamp)
    _tell(tx, entry.data_id, write.path, outbox)
    return True


def _outbox(told: Outboxed) -> dict[str, Any]:
    details = json.dumps(told.details, separators=(",", ":"))
    return {"event": told.event, "actor": told.actor, "details": details}


def _tell(tx: Transaction, data_id: int, path: str, outbox: dict[str, Any]) -> None:
    tx.run(
        "INSERT INTO outbox (id, recorded_at, event, subject_id, subject, actor, details)"
        " VALUES (:id, :now, :event, :subject, :path, :actor, :details)",
        {"id": tx.spare_id(), "now": tx.now, "subject": data_id, "path": path, **outbox},
    )
