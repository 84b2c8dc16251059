"""Bookkeeping of tape libraries: who moves the robot, what is out of order, recalls, what waits to be written."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from grid.catalog import leases
from grid.catalog.database import Row, Transaction
from resources.tape.state import Request

REQUEST: Final = (
    "id, file_id, name, cartridge, start, size_bytes, user_name, priority, state, reason, requested_at, mounts_before,"
    " estimate_at, started_at, finished_at, pin_until, mounts_at_start"
)


def land(tx: Transaction, resource_id: int, data_ids: Iterable[int]) -> None:
    """Objects came to the disk of a library and wait to be written."""
    tx.run_many(
        "INSERT INTO tape_landing (resource_id, data_id, since) VALUES (:resource, :id, :now)"
        " ON CONFLICT (resource_id, data_id) DO UPDATE SET since = excluded.since",
        [{"resource": resource_id, "id": data_id, "now": tx.now} for data_id in data_ids],
    )


def elect(tx: Transaction, resource_id: int, lease_id: int) -> bool:
    """Become the process that moves a library's robot, unless another one that lives is."""
    tx.run(
        "INSERT INTO tape_libraries (resource_id, created_at) VALUES (:id, :now) ON CONFLICT (resource_id) DO NOTHING",
        {"id": resource_id, "now": tx.now},
    )
    row = tx.one(
        f"SELECT lease_id FROM tape_libraries WHERE resource_id = :id{tx.database.for_update}",
        {"id": resource_id},
    )
    holder = row[0] if row is not None else None
    if holder is not None and holder != lease_id and not leases.lease_is_void(tx, int(holder)):
        return False
    if holder != lease_id:
        tx.run(
            "UPDATE tape_libraries SET lease_id = :lease WHERE resource_id = :id",
            {"lease": lease_id, "id": resource_id},
        )
    return True


def created_at(tx: Transaction, resource_id: int) -> float:
    """Where a library's own time begins; now, for one that was never at work."""
    found = tx.value("SELECT created_at FROM tape_libraries WHERE resource_id = :id", {"id": resource_id})
    return tx.now if found is None else float(found)


def faults(tx: Transaction, resource_id: int) -> dict[str, str]:
    """What operators said is wrong: a drive's name or `robot` to the fault."""
    found: dict[str, str] = json.loads(
        tx.value("SELECT faults FROM tape_libraries WHERE resource_id = :id", {"id": resource_id}) or "{}"
    )
    return found


def set_fault(tx: Transaction, resource_id: int, part: str, fault: str) -> None:
    """Say that a drive or the `robot` is at fault, or with an empty text that it is mended."""
    known = faults(tx, resource_id)
    known[part] = fault
    tx.run(
        "UPDATE tape_libraries SET faults = :faults WHERE resource_id = :id",
        {"faults": json.dumps({name: text for name, text in known.items() if text}), "id": resource_id},
    )


def moment(tx: Transaction, resource_id: int) -> dict[str, Any]:
    """How drives and robot were at the last step; empty before the first."""
    found: dict[str, Any] = json.loads(
        tx.value("SELECT moment FROM tape_libraries WHERE resource_id = :id", {"id": resource_id}) or "{}"
    )
    return found


def as_request(row: Row) -> Request:
    return Request(*row)


def request_or_none(tx: Transaction, request_id: int) -> tuple[int, Request] | None:
    """A recall with the resource of its library."""
    row = tx.one(f"SELECT resource_id, {REQUEST} FROM tape_requests WHERE id = :id", {"id": request_id})
    return None if row is None else (int(row[0]), as_request(row[1:]))


def requests_of(
    tx: Transaction, user: str, *, states: Sequence[str], limit: int
) -> list[tuple[int, Request]]:
    """Recalls of a user, or with an empty name of all, the latest first, each with its library's resource."""
    names = ", ".join(f":s{n}" for n in range(len(states)))
    mine = "user_name = :user AND " if user else ""
    rows = tx.all(
        f"SELECT resource_id, {REQUEST} FROM tape_requests WHERE {mine}state IN ({names}) ORDER BY id DESC LIMIT :n",
        {"user": user, "n": limit, **{f"s{n}": state for n, state in enumerate(states)}},
    )
    return [(int(row[0]), as_request(row[1:])) for row in rows]


def set_pin(tx: Transaction, request_id: int, until: float, pin_s: float) -> None:
    """Change how long a recalled file stays on disk."""
    tx.run(
        "UPDATE tape_requests SET pin_s = :pin, pin_until = CASE WHEN state = 'done' THEN :until ELSE pin_until END"
        " WHERE id = :id",
        {"pin": pin_s, "until": until, "id": request_id},
    )


def request_counts(tx: Transaction) -> dict[tuple[int, str], int]:
    """How many recalls are under way, by tape resource and state."""
    rows = tx.all(
        "SELECT resource_id, state, count(*) FROM tape_requests WHERE finished_at = 0 GROUP BY resource_id, state"
    )
    return {(int(row[0]), str(row[1])): int(row[2]) for row in rows}


def estimate_errors(tx: Transaction, resource_id: int, *, limit: int = 1000) -> list[float]:
    """Of the latest recalls that arrived: when they did less when they were said to, in s of the library's time."""
    rows = tx.all(
        "SELECT finished_at - estimate_at FROM tape_requests WHERE resource_id = :id AND state = 'done'"
        " ORDER BY id DESC LIMIT :n",
        {"id": resource_id, "n": limit},
    )
    return [float(row[0]) for row in rows]
