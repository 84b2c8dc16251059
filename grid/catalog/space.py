"""Bookkeeping of bounded resources: what is taken, what is reserved and until when."""

from datetime import UTC, datetime
from typing import Any

from grid.catalog.database import Database, Transaction
from resources import OutOfSpace


class CatalogAccount:
    """The space of one bounded resource, in the catalog; implements the buffer's `SpaceAccount`."""

    def __init__(self, database: Database, resource_id: int, capacity_bytes: int) -> None:
        self._database = database
        self._id = resource_id
        self._capacity = capacity_bytes

    def take(self, count: int, reservation: str = "") -> None:
        with self._database.write(durable=False) as tx:
            _lock(tx, self._id)
            kept = self._kept_where_enough(tx, count, reservation)
            if kept:
                tx.run(
                    "UPDATE space_reservations SET bytes = :left WHERE key = :key",
                    {"left": max(kept - count, 0), "key": reservation},
                )
            tx.run(
                "UPDATE space SET used_bytes = used_bytes + :n WHERE resource_id = :id",
                {"n": count, "id": self._id},
            )

    def _kept_where_enough(self, tx: Transaction, count: int, reservation: str) -> int:
        """What a reservation still keeps, where it and what is free are enough."""
        kept = _kept(tx, self._id, reservation)
        free = free_bytes(tx, self._id, self._capacity)
        if count > kept + free:
            raise OutOfSpace(
                f"{_shown(free)} of {_shown(self._capacity)} bytes are free; {_shown(count)} are wanted"
                f"{_more(tx, self._id)}"
            )
        return kept

    def require(self, count: int, reservation: str = "") -> None:
        with self._database.read() as tx:
            self._kept_where_enough(tx, count, reservation)

    def give(self, count: int) -> None:
        with self._database.write(durable=False) as tx:
            tx.run(
                "UPDATE space SET used_bytes = used_bytes - :n WHERE resource_id = :id",
                {"n": count, "id": self._id},
            )

    def free(self) -> int:
        with self._database.read() as tx:
            return free_bytes(tx, self._id, self._capacity)


def _lock(tx: Transaction, resource_id: int) -> None:
    """Let nobody else take of a resource until this transaction ends: what is free is looked at and used in one piece."""
    tx.one(f"SELECT 1 FROM space WHERE resource_id = :id{tx.database.for_update}", {"id": resource_id})


def _shown(count: int) -> str:
    return f"{max(count, 0):,}"


def _kept(tx: Transaction, resource_id: int, key: str) -> int:
    if not key:
        return 0
    return int(
        tx.value(
            "SELECT bytes FROM space_reservations WHERE key = :key AND resource_id = :id AND until > :now",
            {"key": key, "id": resource_id, "now": tx.now},
        )
        or 0
    )


def _more(tx: Transaction, resource_id: int) -> str:
    """When a reservation ends, so that there may be more; nothing where there is none."""
    ends = tx.value(
        "SELECT min(until) FROM space_reservations WHERE resource_id = :id AND until > :now AND bytes > 0",
        {"id": resource_id, "now": tx.now},
    )
    if ends is None:
        return "; more when files are evicted or removed"
    return f"; a reservation ends at {datetime.fromtimestamp(float(ends), UTC).isoformat(timespec='seconds')}"


def free_bytes(tx: Transaction, resource_id: int, capacity_bytes: int) -> int:
    """Bytes that are neither taken nor reserved; below zero where the bound was made smaller."""
    row = tx.one(
        "SELECT used_bytes, (SELECT COALESCE(sum(bytes), 0) FROM space_reservations v WHERE v.resource_id = s.resource_id"
        " AND v.until > :now) FROM space s WHERE resource_id = :id",
        {"id": resource_id, "now": tx.now},
    )
    used, reserved = (int(row[0]), int(row[1])) if row is not None else (0, 0)
    return capacity_bytes - used - reserved


def open_account(tx: Transaction, resource_id: int) -> None:
    """Begin to count what a new resource holds."""
    tx.run(
        "INSERT INTO space (resource_id) VALUES (:id) ON CONFLICT (resource_id) DO NOTHING",
        {"id": resource_id},
    )


def recount(tx: Transaction, resource_id: int, *, staged_bytes: int, unspent_bytes: int) -> int:
    """Set what is taken to what replicas and staged files are, and what processes hold ready; returns by how much it was off."""
    held = int(
        tx.value(
            "SELECT COALESCE(sum(size_bytes), 0) FROM replicas WHERE resource_id = :id AND staged_as = ''",
            {"id": resource_id},
        )
    )
    known = int(tx.value("SELECT used_bytes FROM space WHERE resource_id = :id", {"id": resource_id}) or 0)
    counted = held + staged_bytes + unspent_bytes
    tx.run(
        "UPDATE space SET used_bytes = :n, counted_at = :now WHERE resource_id = :id",
        {"n": counted, "now": tx.now, "id": resource_id},
    )
    return known - counted


def reserve(
    tx: Transaction, key: str, resource_id: int, owner: str, count: int, until: float, capacity: int
) -> None:
    """Keep bytes for an owner.

    Raises:
        OutOfSpace: there are not so many; with what is free, and when more will be.
    """
    _lock(tx, resource_id)
    free = free_bytes(tx, resource_id, capacity)
    if count > free:
        raise OutOfSpace(
            f"{_shown(free)} of {_shown(capacity)} bytes are free; {_shown(count)} are to be reserved{_more(tx, resource_id)}"
        )
    tx.run(
        "INSERT INTO space_reservations (key, resource_id, owner, bytes, until, created_at)"
        " VALUES (:key, :id, :owner, :n, :until, :now)",
        {"key": key, "id": resource_id, "owner": owner, "n": count, "until": until, "now": tx.now},
    )


def release(tx: Transaction, key: str, *, owner: str = "") -> bool:
    """Give up a reservation, of an owner if one is named; False when there is none."""
    mine = " AND owner = :owner" if owner else ""
    return tx.run(f"DELETE FROM space_reservations WHERE key = :key{mine}", {"key": key, "owner": owner}) == 1


def reservation_or_none(tx: Transaction, key: str) -> tuple[int, str] | None:
    """The resource and the owner of a reservation that has not ended."""
    row = tx.one(
        "SELECT resource_id, owner FROM space_reservations WHERE key = :key AND until > :now",
        {"key": key, "now": tx.now},
    )
    return None if row is None else (int(row[0]), str(row[1]))


def reservations(tx: Transaction, resource_id: int) -> list[dict[str, Any]]:
    rows = tx.all(
        "SELECT key, owner, bytes, until FROM space_reservations WHERE resource_id = :id AND until > :now ORDER BY until",
        {"id": resource_id, "now": tx.now},
    )
    return [{"key": row[0], "owner": row[1], "bytes": int(row[2]), "until": float(row[3])} for row in rows]


def forget_ended(tx: Transaction) -> None:
    tx.run("DELETE FROM space_reservations WHERE until <= :now", {"now": tx.now})


def evictable(tx: Transaction, resource_id: int, *, limit: int) -> list[tuple[int, str, str, int, int]]:
    """(object, collection, name, replica number, bytes) of what has a good copy elsewhere and no promise holds it here.

    The least lately read first. A copy for tape counts once it is on tape.
    """
    rows = tx.all(
        "SELECT r.data_id, c.path, d.name, r.number, r.size_bytes FROM replicas r"
        " JOIN data_objects d ON d.id = r.data_id JOIN collections c ON c.id = d.collection_id"
        " WHERE r.resource_id = :id AND r.status IN (0, 1) AND r.staged_as = ''"
        " AND EXISTS (SELECT 1 FROM replicas o JOIN resources s ON s.id = o.resource_id WHERE o.data_id = r.data_id"
        " AND o.resource_id <> r.resource_id AND o.status = 1 AND s.type <> 'buffer' AND s.status <> 'down'"
        " AND (s.type <> 'tape' OR o.status_note <> ''))"
        " ORDER BY r.access_time LIMIT :n",
        {"id": resource_id, "n": limit},
    )
    return [(int(row[0]), row[1], row[2], int(row[3]), int(row[4])) for row in rows]
