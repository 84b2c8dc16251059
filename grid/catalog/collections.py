"""Statements on collections."""

from grid import paths
from grid.catalog.database import Row, Transaction
from grid.model import Collection

_COLUMNS = "id, path, owner_name, owner_zone, acl_id, inherit, type, info1, info2, create_time, modify_time"


def _collection(row: Row) -> Collection:
    return Collection(
        row[0], row[1], row[2], row[3], row[4], bool(row[5]), row[6], row[7], row[8], row[9], row[10]
    )


def by_path_or_none(tx: Transaction, path: str, *, lock: bool = False) -> Collection | None:
    """The collection at a path; `lock` keeps others from changing it until this transaction ends."""
    suffix = tx.database.for_update if lock else ""
    row = tx.one(f"SELECT {_COLUMNS} FROM collections WHERE path = :path{suffix}", {"path": path})
    return None if row is None else _collection(row)


def room_for(tx: Transaction, collection: str, name: str, path: str) -> tuple[Collection, bool, bool] | None:
    """What a new object's place is like, in one look.

    Returns:
        The collection it goes into, whether the path is a collection, and whether the name is a data object; None
        when the collection is not there.
    """
    row = tx.one(
        f"SELECT {_COLUMNS}, EXISTS (SELECT 1 FROM collections x WHERE x.path = :path),"
        " EXISTS (SELECT 1 FROM data_objects d WHERE d.collection_id = collections.id AND d.name = :name)"
        " FROM collections WHERE path = :collection",
        {"collection": collection, "name": name, "path": path},
    )
    return None if row is None else (_collection(row), bool(row[11]), bool(row[12]))


def by_id_or_none(tx: Transaction, collection_id: int) -> Collection | None:
    row = tx.one(f"SELECT {_COLUMNS} FROM collections WHERE id = :id", {"id": collection_id})
    return None if row is None else _collection(row)


def insert(tx: Transaction, collection: Collection) -> None:
    tx.run(
        "INSERT INTO collections (id, path, parent_path, owner_name, owner_zone, acl_id, inherit, type, info1,"
        " info2, comment, create_time, modify_time) VALUES (:id, :path, :parent, :owner, :zone, :acl, :inherit,"
        " :type, :info1, :info2, '', :created, :modified)",
        {
            "id": collection.id,
            "path": collection.path,
            "parent": paths.split(collection.path)[0] if collection.path != "/" else "/",
            "owner": collection.owner_name,
            "zone": collection.owner_zone,
            "acl": collection.acl_id,
            "inherit": int(collection.inherit),
            "type": collection.type,
            "info1": collection.info1,
            "info2": collection.info2,
            "created": collection.create_time,
            "modified": collection.modify_time,
        },
    )


def has_content(tx: Transaction, collection: Collection) -> bool:
    return (
        tx.one(
            "SELECT 1 FROM data_objects WHERE collection_id = :id"
            " UNION ALL SELECT 1 FROM collections WHERE parent_path = :path AND path <> '/' LIMIT 1",
            {"id": collection.id, "path": collection.path},
        )
        is not None
    )


def subtree(tx: Transaction, path: str) -> list[Collection]:
    """The collection and everything below it, parents before children."""
    low, high = paths.subtree_bounds(path)
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM collections WHERE path = :path OR (path >= :low AND path < :high) ORDER BY path",
        {"path": path, "low": low, "high": high},
    )
    return [_collection(row) for row in rows]


def touch(tx: Transaction, collection_id: int, timestamp: str) -> None:
    """Set the modification time, once a second at most: a put into a busy collection costs no write."""
    tx.run(
        "UPDATE collections SET modify_time = :now WHERE id = :id AND modify_time <> :now",
        {"now": timestamp, "id": collection_id},
    )


def set_modify_time(tx: Transaction, collection_id: int, timestamp: str) -> None:
    tx.run("UPDATE collections SET modify_time = :t WHERE id = :id", {"t": timestamp, "id": collection_id})


def set_inherit(tx: Transaction, collection_id: int, inherit: bool) -> None:
    tx.run("UPDATE collections SET inherit = :i WHERE id = :id", {"i": int(inherit), "id": collection_id})


def set_acl(tx: Transaction, collection_id: int, acl_id: int) -> None:
    tx.run("UPDATE collections SET acl_id = :acl WHERE id = :id", {"acl": acl_id, "id": collection_id})


def set_owner(tx: Transaction, collection_id: int, name: str, zone: str) -> None:
    tx.run(
        "UPDATE collections SET owner_name = :name, owner_zone = :zone WHERE id = :id",
        {"name": name, "zone": zone, "id": collection_id},
    )


def set_type(tx: Transaction, collection_id: int, kind: str, info1: str, info2: str) -> None:
    tx.run(
        "UPDATE collections SET type = :kind, info1 = :info1, info2 = :info2 WHERE id = :id",
        {"kind": kind, "info1": info1, "info2": info2, "id": collection_id},
    )


def delete(tx: Transaction, collection_id: int) -> None:
    tx.run("DELETE FROM avu_links WHERE entity_id = :id", {"id": collection_id})
    tx.run("DELETE FROM collections WHERE id = :id", {"id": collection_id})


def move_subtree(tx: Transaction, old: str, new: str, timestamp: str) -> None:
    """Give a collection and everything below it new paths."""
    low, high = paths.subtree_bounds(old)
    parameters = {"old": old, "new": new, "skip": len(old) + 1, "low": low, "high": high, "now": timestamp}
    tx.run(
        "UPDATE collections SET path = :new || substr(path, :skip), parent_path = :new || substr(parent_path, :skip)"
        " WHERE path >= :low AND path < :high",
        parameters,
    )
    parameters["parent"] = paths.split(new)[0]
    tx.run(
        "UPDATE collections SET path = :new, parent_path = :parent, modify_time = :now WHERE path = :old",
        parameters,
    )
