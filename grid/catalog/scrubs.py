"""Bookkeeping of scrubs: passes over a resource that read everything on it."""

from dataclasses import dataclass
from typing import Any, Final

from grid.catalog import leases
from grid.catalog.database import Row, Transaction

_COLUMNS: Final = "id, resource_id, state, rate, repair, started_at, finished_at, position, checked, read_bytes, bad, repaired, skipped"


@dataclass(frozen=True, slots=True)
class Scrub:
    """A pass. `rate` is in bytes/s; `position` is the last object that was looked at; the rest are counts."""

    id: int
    resource_id: int
    state: str
    rate: float
    repair: int
    started_at: float
    finished_at: float
    position: int
    checked: int
    read_bytes: int
    bad: int
    repaired: int
    skipped: int


def _scrub(row: Row) -> Scrub:
    return Scrub(*row)


def start(tx: Transaction, resource_id: int, *, rate: float, repair: bool) -> int:
    """Begin a pass; one that runs over the resource already is given back."""
    known = tx.value(
        "SELECT id FROM scrubs WHERE resource_id = :id AND state = 'running' LIMIT 1", {"id": resource_id}
    )
    if known is not None:
        return int(known)
    scrub_id = tx.new_id()
    tx.run(
        "INSERT INTO scrubs (id, resource_id, state, rate, repair, started_at) VALUES (:id, :resource, 'running', :rate,"
        " :repair, :now)",
        {"id": scrub_id, "resource": resource_id, "rate": rate, "repair": int(repair), "now": tx.now},
    )
    return scrub_id


def listed(tx: Transaction, *, limit: int) -> list[Scrub]:
    """The latest first."""
    rows = tx.all(f"SELECT {_COLUMNS} FROM scrubs ORDER BY id DESC LIMIT :n", {"n": limit})
    return [_scrub(row) for row in rows]


def by_id_or_none(tx: Transaction, scrub_id: int) -> Scrub | None:
    row = tx.one(f"SELECT {_COLUMNS} FROM scrubs WHERE id = :id", {"id": scrub_id})
    return None if row is None else _scrub(row)


def findings(tx: Transaction, scrub_id: int) -> list[dict[str, Any]]:
    """Replicas that were not as recorded, by path."""
    rows = tx.all(
        "SELECT path, number, outcome, reason FROM scrub_findings WHERE scrub_id = :id ORDER BY path, number",
        {"id": scrub_id},
    )
    return [{"path": row[0], "replica": row[1], "outcome": row[2], "reason": row[3]} for row in rows]


def take(tx: Transaction, lease_id: int) -> Scrub | None:
    """A pass that nobody who lives is at; this process is, from now on."""
    for row in tx.all(
        f"SELECT id, lease_id FROM scrubs WHERE state = 'running' ORDER BY id{tx.database.for_update}"
    ):
        held = row[1] is not None and row[1] != lease_id and not leases.lease_is_void(tx, int(row[1]))
        if not held:
            tx.run("UPDATE scrubs SET lease_id = :lease WHERE id = :id", {"lease": lease_id, "id": row[0]})
            return by_id_or_none(tx, int(row[0]))
    return None


def next_replicas(tx: Transaction, scrub: Scrub, *, limit: int) -> list[tuple[int, str, str, int]]:
    """(object, collection, name, replica number) of the next replicas of the resource, in the order of objects."""
    rows = tx.all(
        "SELECT r.data_id, c.path, d.name, r.number FROM replicas r JOIN data_objects d ON d.id = r.data_id"
        " JOIN collections c ON c.id = d.collection_id WHERE r.resource_id = :resource AND r.data_id > :after"
        " ORDER BY r.data_id LIMIT :n",
        {"resource": scrub.resource_id, "after": scrub.position, "n": limit},
    )
    return [(int(row[0]), row[1], row[2], int(row[3])) for row in rows]


def advance(
    tx: Transaction, scrub_id: int, position: int, *, read_bytes: int, bad: int, repaired: int, skipped: int
) -> bool:
    """Note one more replica; False when the pass was stopped meanwhile."""
    return (
        tx.run(
            "UPDATE scrubs SET position = :at, checked = checked + 1, read_bytes = read_bytes + :read, bad = bad + :bad,"
            " repaired = repaired + :repaired, skipped = skipped + :skipped WHERE id = :id AND state = 'running'",
            {
                "at": position, "read": read_bytes, "bad": bad, "repaired": repaired, "skipped": skipped, "id": scrub_id,
            },
        )
        == 1
    )  # fmt: skip


def found(tx: Transaction, scrub_id: int, path: str, number: int, outcome: str, reason: str) -> None:
    tx.run(
        "INSERT INTO scrub_findings (scrub_id, path, number, outcome, reason) VALUES (:id, :path, :n, :what, :why)"
        " ON CONFLICT (scrub_id, path, number) DO UPDATE SET outcome = excluded.outcome, reason = excluded.reason",
        {"id": scrub_id, "path": path, "n": number, "what": outcome, "why": reason},
    )


def end(tx: Transaction, scrub_id: int, state: str) -> None:
    tx.run(
        "UPDATE scrubs SET state = :state, finished_at = :now, lease_id = NULL WHERE id = :id AND state = 'running'",
        {"state": state, "now": tx.now, "id": scrub_id},
    )
