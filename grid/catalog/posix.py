"""Bookkeeping of the owners and modes that policy wants of folders in vaults."""

from typing import Any

from grid.catalog.database import Transaction


def record(
    tx: Transaction, collection_id: int, resource_id: int, *, mode: int, gid: int | None, drift: str
) -> None:
    """Note what is wanted of a collection's folder on a resource, and how it is otherwise."""
    tx.run(
        "INSERT INTO posix_folders (collection_id, resource_id, mode, gid, drift, checked_at)"
        " VALUES (:collection, :resource, :mode, :gid, :drift, :now) ON CONFLICT (collection_id, resource_id)"
        " DO UPDATE SET mode = excluded.mode, gid = excluded.gid, drift = excluded.drift, checked_at = excluded.checked_at",
        {
            "collection": collection_id,
            "resource": resource_id,
            "mode": mode,
            "gid": gid,
            "drift": drift,
            "now": tx.now,
        },
    )


def drifted(tx: Transaction, *, limit: int) -> list[dict[str, Any]]:
    """Folders that are not as policy wants them, by path."""
    rows = tx.all(
        "SELECT c.path, s.name, p.mode, p.gid, p.drift FROM posix_folders p JOIN collections c ON c.id = p.collection_id"
        " JOIN resources s ON s.id = p.resource_id WHERE p.drift <> '' ORDER BY c.path, s.name LIMIT :n",
        {"n": limit},
    )
    return [
        {"path": row[0], "resource": row[1], "wanted": f"mode {row[2]:o}, group {row[3]}", "found": row[4]}
        for row in rows
    ]


def group_number(tx: Transaction, name: str, zone: str) -> int | None:
    """The POSIX group of a group or user; None where the administrators gave none."""
    found = tx.value(
        "SELECT posix_gid FROM users WHERE name = :name AND zone = :zone", {"name": name, "zone": zone}
    )
    return None if found is None else int(found)
