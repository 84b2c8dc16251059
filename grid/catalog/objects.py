"""Statements on data objects and their replicas."""

from collections.abc import Mapping

from grid import paths
from grid.catalog.database import Row, Transaction
from grid.model import DataObject, Replica, ReplicaStatus

_OBJECT = "d.id, d.collection_id, d.name, d.owner_name, d.owner_zone, d.acl_id"
_REPLICA = (
    "r.data_id, r.number, r.resource_id, r.physical_path, r.staged_as, r.size_bytes, r.status, r.checksum,"
    " r.data_type, r.mode, r.comments, r.create_time, r.modify_time, r.access_time, r.status_note"
)


def _replica(row: Row) -> Replica:
    return Replica(
        row[0], row[1], row[2], row[3], row[4], row[5], ReplicaStatus(row[6]), row[7], row[8], row[9], row[10],
        row[11], row[12], row[13], row[14],
    )  # fmt: skip


def _assemble(rows: list[Row], collection_path: str) -> DataObject:
    first = rows[0]
    replicas = tuple(_replica(row[6:21]) for row in rows if row[6] is not None)
    return DataObject(
        first[0], first[1], paths.join(collection_path, first[2]), first[3], first[4], first[5], replicas
    )


def by_path_or_none(tx: Transaction, path: str) -> DataObject | None:
    """A data object with its replicas."""
    collection, name = paths.split(path)
    rows = tx.all(
        f"SELECT {_OBJECT}, {_REPLICA} FROM collections c JOIN data_objects d ON d.collection_id = c.id"
        " LEFT JOIN replicas r ON r.data_id = d.id WHERE c.path = :collection AND d.name = :name ORDER BY r.number",
        {"collection": collection, "name": name},
    )
    return _assemble(rows, collection) if rows else None


def by_id_or_none(tx: Transaction, data_id: int) -> DataObject | None:
    rows = tx.all(
        f"SELECT {_OBJECT}, {_REPLICA}, c.path FROM data_objects d JOIN collections c ON c.id = d.collection_id"
        " LEFT JOIN replicas r ON r.data_id = d.id WHERE d.id = :id ORDER BY r.number",
        {"id": data_id},
    )
    return _assemble(rows, rows[0][21]) if rows else None


def lock(tx: Transaction, data_id: int) -> bool:
    """Keep others from changing the object until this transaction ends; False when it is gone."""
    return (
        tx.one(f"SELECT id FROM data_objects WHERE id = :id{tx.database.for_update}", {"id": data_id})
        is not None
    )


def name_taken(tx: Transaction, collection_id: int, name: str) -> bool:
    return (
        tx.one(
            "SELECT 1 FROM data_objects WHERE collection_id = :id AND name = :name",
            {"id": collection_id, "name": name},
        )
        is not None
    )


def below(
    tx: Transaction, path: str, *, limit: int, after: tuple[str, str] = ("", "")
) -> list[tuple[int, str]]:
    """Up to `limit` (id, path) of objects in the tree at `path`, in order of collection and name.

    `after` is the (collection, name) of the last one seen.
    """
    low, high = paths.subtree_bounds(path)
    rows = tx.all(
        "SELECT d.id, c.path, d.name FROM collections c JOIN data_objects d ON d.collection_id = c.id"
        " WHERE (c.path = :path OR (c.path >= :low AND c.path < :high))"
        " AND (c.path > :coll OR (c.path = :coll AND d.name > :name)) ORDER BY c.path, d.name LIMIT :limit",
        {"path": path, "low": low, "high": high, "coll": after[0], "name": after[1], "limit": limit},
    )
    return [(row[0], paths.join(row[1], row[2])) for row in rows]


def insert_object(tx: Transaction, data_object: DataObject) -> None:
    tx.run(
        "INSERT INTO data_objects (id, collection_id, name, owner_name, owner_zone, acl_id)"
        " VALUES (:id, :collection, :name, :owner, :zone, :acl)",
        {
            "id": data_object.id,
            "collection": data_object.collection_id,
            "name": paths.split(data_object.path)[1],
            "owner": data_object.owner_name,
            "zone": data_object.owner_zone,
            "acl": data_object.acl_id,
        },
    )


def insert_replica(tx: Transaction, replica: Replica) -> None:
    tx.run(
        "INSERT INTO replicas (data_id, number, resource_id, physical_path, staged_as, size_bytes, status, checksum,"
        " data_type, mode, comments, create_time, modify_time, access_time) VALUES (:data_id, :number, :resource,"
        " :path, :staged, :size, :status, :checksum, :type, :mode, :comments, :created, :modified, :accessed)",
        {
            "data_id": replica.data_id,
            "number": replica.number,
            "resource": replica.resource_id,
            "path": replica.physical_path,
            "staged": replica.staged_as,
            "size": replica.size_bytes,
            "status": int(replica.status),
            "checksum": replica.checksum,
            "type": replica.data_type,
            "mode": replica.mode,
            "comments": replica.comments,
            "created": replica.create_time,
            "modified": replica.modify_time,
            "accessed": replica.access_time,
        },
    )


REPLICA_FIELDS = frozenset(
    {
        "resource_id", "physical_path", "staged_as", "size_bytes", "status", "checksum", "data_type", "mode",
        "comments", "expiry_time", "status_note", "create_time", "modify_time", "access_time",
    }
)  # fmt: skip
"""The columns that `update_replica` may set."""


def update_replica(tx: Transaction, data_id: int, number: int, **changes: object) -> int:
    """Set columns of one replica, or of all with `number` -1; says how many rows it touched."""
    unknown = changes.keys() - REPLICA_FIELDS
    if unknown:
        raise ValueError(f"replicas have no column {sorted(unknown)}")
    if changes.get("staged_as"):
        changes["status_note"] = ""  # new bytes are on no tape yet
    assignments = ", ".join(f"{name} = :{name}" for name in changes)
    where = "data_id = :data_id" if number < 0 else "data_id = :data_id AND number = :number"
    return tx.run(
        f"UPDATE replicas SET {assignments} WHERE {where}", {**changes, "data_id": data_id, "number": number}
    )


def content_changed(tx: Transaction, data_id: int) -> None:
    """Count one more version of the object's content."""
    tx.run("UPDATE data_objects SET version = version + 1 WHERE id = :id", {"id": data_id})


def set_acl(tx: Transaction, data_id: int, acl_id: int) -> None:
    tx.run("UPDATE data_objects SET acl_id = :acl WHERE id = :id", {"acl": acl_id, "id": data_id})


def set_owner(tx: Transaction, data_id: int, name: str, zone: str) -> None:
    tx.run(
        "UPDATE data_objects SET owner_name = :name, owner_zone = :zone WHERE id = :id",
        {"name": name, "zone": zone, "id": data_id},
    )


def move(tx: Transaction, data_id: int, collection_id: int, name: str) -> None:
    tx.run(
        "UPDATE data_objects SET collection_id = :collection, name = :name WHERE id = :id",
        {"collection": collection_id, "name": name, "id": data_id},
    )


def delete_replica(tx: Transaction, data_id: int, number: int) -> int:
    return tx.run(
        "DELETE FROM replicas WHERE data_id = :id AND number = :number", {"id": data_id, "number": number}
    )


def delete_object(tx: Transaction, data_id: int) -> None:
    """Remove an object with everything that hangs on it in the catalog."""
    parameters = {"id": data_id}
    tx.run("DELETE FROM open_writes WHERE data_id = :id", parameters)
    tx.run("DELETE FROM avu_links WHERE entity_id = :id", parameters)
    tx.run("DELETE FROM replicas WHERE data_id = :id", parameters)
    tx.run("DELETE FROM block_trees WHERE data_id = :id", parameters)
    tx.run("DELETE FROM attestations WHERE data_id = :id", parameters)
    tx.run("DELETE FROM chunk_leaves WHERE data_id = :id", parameters)
    tx.run("DELETE FROM data_objects WHERE id = :id", parameters)


def set_access_times(tx: Transaction, times: Mapping[tuple[int, int], str]) -> None:
    """Set when replicas were last read: (object id, replica number) to time."""
    tx.run_many(
        "UPDATE replicas SET access_time = :at WHERE data_id = :id AND number = :number",
        [{"at": at, "id": data_id, "number": number} for (data_id, number), at in times.items()],
    )


def staged_replicas(tx: Transaction, *, limit: int) -> list[tuple[Replica, str]]:
    """Replicas that are good or stale but whose file still lies in the staging area, with the object's path."""
    rows = tx.all(
        f"SELECT {_REPLICA}, c.path, d.name FROM replicas r JOIN data_objects d ON d.id = r.data_id"
        " JOIN collections c ON c.id = d.collection_id"
        " WHERE r.staged_as <> '' AND r.status IN (0, 1) LIMIT :limit",
        {"limit": limit},
    )
    return [(_replica(row[:15]), paths.join(row[15], row[16])) for row in rows]
