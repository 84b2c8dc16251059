"""Facts of the grid's things as rules read them, one look into the catalog for everything of one thing.

Keys: a data object or collection by its id, or by its path where the id is not known; a replica by `ID.NUMBER`;
resources, users and groups by name.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from grid import paths
from grid.catalog import avus, trash
from grid.catalog import collections as collection_rows
from grid.catalog import objects as object_rows
from grid.catalog import resources as resource_rows
from grid.catalog import users as user_rows
from grid.catalog.database import Transaction
from grid.model import DataObject, Replica, ReplicaStatus
from rules import Entity

_STATES: Final = {0: "stale", 1: "good", 2: "intermediate", 3: "good", 4: "good"}


def time_of(text: str) -> datetime | None:
    """A catalog time; None when it is not set."""
    return datetime.fromtimestamp(int(text), UTC) if text and text.isdigit() and int(text) else None


def user(name: str) -> Entity:
    return Entity("User", name, name)


def resource(name: str) -> Entity:
    return Entity("Resource", name, name)


def data_object(found: DataObject) -> Entity:
    """A data object as an entity, with what its row says."""
    return Entity("Object", found.id, found.path)


def replica(found: DataObject, one: Replica) -> Entity:
    return Entity(
        "Replica", f"{found.id}.{one.number}", f"{found.path} {one.number}", {"object": data_object(found)}
    )


def path_of(tx: Transaction, entity: Entity) -> str:
    """Where an object or collection is now; empty when it is gone."""
    if isinstance(entity.key, str):
        return entity.key
    if entity.kind == "Object":
        found = object_rows.by_id_or_none(tx, entity.key)
        return found.path if found is not None else ""
    collection = collection_rows.by_id_or_none(tx, entity.key)
    return collection.path if collection is not None else ""


def id_of(tx: Transaction, kind: str, key: int | str) -> int | None:
    """The catalog id of what an entity stands for; None when it is not there."""
    if isinstance(key, int):
        return key or None
    if kind == "Object":
        found = object_rows.by_path_or_none(tx, key)
        return found.id if found is not None else None
    if kind == "Collection":
        collection = collection_rows.by_path_or_none(tx, key)
        return collection.id if collection is not None else None
    if kind == "Resource":
        one = resource_rows.by_name_or_none(tx, key)
        return one.id if one is not None else None
    if kind in ("User", "Group"):
        row = tx.one("SELECT id FROM users WHERE name = :name", {"name": key.partition("#")[0]})
        return int(row[0]) if row is not None else None
    return None


def _object(tx: Transaction, key: int | str) -> dict[str, Any] | None:
    found = (
        object_rows.by_id_or_none(tx, key) if isinstance(key, int) else object_rows.by_path_or_none(tx, key)
    )
    if found is None:
        return None
    best = found.best_replica()
    names = {number: one.name for number, one in resource_rows.all_by_id(tx).items()}
    collection, name = paths.split(found.path)
    facts: dict[str, Any] = {
        "id": found.id, "path": found.path, "name": name, "owner": user(found.owner_name),
        "copies": len(found.replicas), "collection": Entity("Collection", found.collection_id, collection),
        "closed": best is not None and best.status in (ReplicaStatus.GOOD, ReplicaStatus.STALE),
        "checksum": None, "checksummed": False, "size": 0, "expected_size": 0,
    }  # fmt: skip
    trashed = trash.trashed_at_or_none(tx, found.path) if "/trash/" in found.path else None
    facts["trashed_at"] = datetime.fromtimestamp(trashed, UTC) if trashed is not None else None
    if best is not None:
        facts |= {
            "size": best.size_bytes, "expected_size": best.size_bytes, "checksum": best.checksum or None,
            "checksummed": bool(best.checksum), "closed_at": time_of(best.modify_time),
            "created_at": time_of(best.create_time), "resource": resource(names.get(best.resource_id, "")),
            "data_type": best.data_type, "physical_path": best.physical_path,
        }  # fmt: skip
    return facts


def _collection(tx: Transaction, key: int | str) -> dict[str, Any] | None:
    if isinstance(key, int):
        found = collection_rows.by_id_or_none(tx, key)
    else:
        found = collection_rows.by_path_or_none(tx, key)
    if found is None:
        return None
    values = avus.values_of(tx, found.id, "visibility")
    return {
        "id": found.id, "path": found.path, "name": paths.split(found.path)[1], "owner": user(found.owner_name),
        "created_at": time_of(found.create_time), "inherit": found.inherit,
        "visibility": values[0] if values else "private",
    }  # fmt: skip


def _replica(tx: Transaction, key: int | str) -> dict[str, Any] | None:
    data_id, _, number = str(key).partition(".")
    found = object_rows.by_id_or_none(tx, int(data_id)) if data_id.isdigit() else None
    if found is None:
        return None
    # of a replica that an event only says was made, the number is the latest
    wanted = int(number) if number else max((r.number for r in found.replicas), default=-1)
    one = next((r for r in found.replicas if r.number == wanted), None)
    if one is None:
        return None
    leaf = resource_rows.all_by_id(tx).get(one.resource_id)
    return {
        "id": str(key), "number": one.number, "object": data_object(found), "size": one.size_bytes,
        "resource": resource(leaf.name if leaf else ""), "medium": leaf.medium if leaf else None,
        "state": _STATES.get(int(one.status), "good"), "last_read_at": time_of(one.access_time),
        "created_at": time_of(one.create_time), "purpose": "initial" if one.number == 0 else "copy",
    }  # fmt: skip


def _resource(tx: Transaction, key: int | str) -> dict[str, Any] | None:
    found = resource_rows.by_name_or_none(tx, str(key))
    if found is None:
        return None
    held = int(
        tx.value(
            "SELECT COALESCE(SUM(size_bytes), 0) FROM replicas WHERE resource_id = :id", {"id": found.id}
        )
    )
    free = int(found.free_space) if found.free_space.isdigit() else 0
    return {
        "id": found.id, "name": found.name, "medium": found.medium, "site": found.site, "zone": "home",
        "free": free, "fill": held / (held + free) if held + free else 0.0, "up": not found.is_down,
    }  # fmt: skip


def _user(tx: Transaction, key: int | str) -> dict[str, Any] | None:
    row = tx.one("SELECT id, name, type FROM users WHERE name = :name", {"name": str(key).partition("#")[0]})
    return {"id": row[0], "name": row[1], "type": row[2]} if row is not None else None


_READERS: Final[dict[str, Callable[[Transaction, int | str], dict[str, Any] | None]]] = {
    "Object": _object, "Collection": _collection, "Replica": _replica, "Resource": _resource, "User": _user,
    "Group": _user,
}  # fmt: skip


def facts_of(tx: Transaction, kind: str, key: int | str) -> dict[str, Any]:
    """Everything the catalog says of a thing; empty when it is not there, or of a kind it does not keep."""
    reader = _READERS.get(kind)
    return (reader(tx, key) if reader is not None else None) or {}


def members(tx: Transaction, group: str) -> list[Entity]:
    """The members of a group, by name; none when there is no such group."""
    row = tx.one("SELECT id FROM users WHERE name = :name AND type = 'rodsgroup'", {"name": group})
    return [user(found.name) for found in user_rows.members(tx, row[0])] if row is not None else []
