"""Reductions that were asked for: who works on them, how far they are, and what came of them."""

from dataclasses import dataclass
from typing import Final

from grid.catalog import leases
from grid.catalog.database import Row, Transaction

_COLUMNS: Final = "id, path, dataset, kernel, parameters, target, user_name, user_zone, state, reason, result, frames, done, attempts, asked_at, due_at, began_at, ended_at"
MOST_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Reduction:
    """A reduction. `kernel` is name, version and digest; `parameters` the text of a TOML file; `result` is JSON; times in s since the epoch."""

    id: int
    path: str
    dataset: str
    kernel: str
    parameters: str
    target: str
    user_name: str
    user_zone: str
    state: str
    reason: str
    result: str
    frames: int
    done: int
    attempts: int
    asked_at: float
    due_at: float
    began_at: float
    ended_at: float


def _reduction(row: Row) -> Reduction:
    return Reduction(*row)


def ask(
    tx: Transaction, path: str, dataset: str, kernel: str, parameters: str, target: str, user: tuple[str, str]
) -> int:
    """Queue a reduction."""
    reduction_id = tx.new_id()
    tx.run(
        "INSERT INTO reductions (id, path, dataset, kernel, parameters, target, user_name, user_zone, state, asked_at)"
        " VALUES (:id, :path, :dataset, :kernel, :parameters, :target, :user, :zone, 'queued', :now)",
        {"id": reduction_id, "path": path, "dataset": dataset, "kernel": kernel, "parameters": parameters, "target": target,
         "user": user[0], "zone": user[1], "now": tx.now},
    )  # fmt: skip
    return reduction_id


def by_id_or_none(tx: Transaction, reduction_id: int) -> Reduction | None:
    row = tx.one(f"SELECT {_COLUMNS} FROM reductions WHERE id = :id", {"id": reduction_id})
    return None if row is None else _reduction(row)


def listed(tx: Transaction, *, user: tuple[str, str] | None, open_only: bool, limit: int) -> list[Reduction]:
    """The latest first; of everybody without a user."""
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM reductions WHERE (:all = 1 OR (user_name = :name AND user_zone = :zone))"
        " AND (:open = 0 OR state IN ('queued', 'running')) ORDER BY id DESC LIMIT :n",
        {"all": int(user is None), "name": user[0] if user else "", "zone": user[1] if user else "", "open": int(open_only), "n": limit},
    )  # fmt: skip
    return [_reduction(row) for row in rows]


def something_waits(tx: Transaction) -> bool:
    return tx.value(
        "SELECT 1 FROM reductions WHERE state IN ('queued', 'running') AND due_at <= :now LIMIT 1", {"now": tx.now}
    ) is not None  # fmt: skip


def take(tx: Transaction, lease_id: int) -> Reduction | None:
    """The next one that nobody who lives works on; this process does from now on.

    Those of users for whom nobody works go first. One whose processes died too often is failed: it may be what they died of.
    """
    for row in tx.all(
        f"SELECT id, lease_id, attempts FROM reductions WHERE state = 'running'{tx.database.for_update}"
    ):
        if row[1] == lease_id or (row[1] is not None and not leases.lease_is_void(tx, int(row[1]))):
            continue
        if row[2] < MOST_ATTEMPTS:
            return _taken(tx, int(row[0]), lease_id)
        end(tx, int(row[0]), "failed", f"{row[2]} processes ended while they worked on it", "")
    unserved = (
        " AND NOT EXISTS (SELECT 1 FROM reductions r WHERE r.state = 'running' AND r.user_name = reductions.user_name"
        " AND r.user_zone = reductions.user_zone)"
    )
    for more in (unserved, ""):
        found = tx.value(
            f"SELECT id FROM reductions WHERE state = 'queued' AND due_at <= :now{more} ORDER BY id LIMIT 1{tx.database.for_update}",
            {"now": tx.now},
        )
        if found is not None:
            return _taken(tx, int(found), lease_id)
    return None


def _taken(tx: Transaction, reduction_id: int, lease_id: int) -> Reduction | None:
    tx.run(
        "UPDATE reductions SET state = 'running', lease_id = :lease, attempts = attempts + 1, began_at = :now WHERE id = :id",
        {"lease": lease_id, "now": tx.now, "id": reduction_id},
    )
    return by_id_or_none(tx, reduction_id)


def advance(tx: Transaction, reduction_id: int, lease_id: int, done: int, frames: int) -> bool:
    """Note how far it is; False when it was cancelled, or belongs to somebody else."""
    return (
        tx.run(
            "UPDATE reductions SET done = :done, frames = :frames WHERE id = :id AND state = 'running' AND lease_id = :lease",
            {"done": done, "frames": frames, "id": reduction_id, "lease": lease_id},
        )
        == 1
    )


def put_back(tx: Transaction, reduction_id: int, reason: str, *, wait_s: float = 0.0) -> None:
    """Queue it again, after a while: what it needs is not there for the moment. That attempt does not count."""
    tx.run(
        "UPDATE reductions SET state = 'queued', lease_id = NULL, reason = :reason, attempts = attempts - 1, due_at = :due"
        " WHERE id = :id AND state = 'running'",
        {"reason": reason, "due": tx.now + wait_s, "id": reduction_id},
    )


def end(tx: Transaction, reduction_id: int, state: str, reason: str, result: str) -> bool:
    """Say that it is over; False where it was over already."""
    return (
        tx.run(
            "UPDATE reductions SET state = :state, reason = :reason, result = :result, ended_at = :now, lease_id = NULL"
            " WHERE id = :id AND state IN ('queued', 'running')",
            {"state": state, "reason": reason, "result": result, "now": tx.now, "id": reduction_id},
        )
        == 1
    )


def tidy(tx: Transaction, older_than_s: float) -> int:
    """Forget what has been over for so long; returns how many there were."""
    return tx.run(
        "DELETE FROM reductions WHERE ended_at > 0 AND ended_at < :before", {"before": tx.now - older_than_s}
    )
