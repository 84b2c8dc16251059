"""Bookkeeping of periodic work: when each sweep is next, who runs it, and where a slow pass stands."""

from dataclasses import dataclass
from typing import Final

from grid.catalog.database import Transaction

LEASE_S: Final = 300.0
ALL_PROMISES: Final = "all promises"
"""The slow pass over every object's promises."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Periodic work that this process may do now."""

    name: str
    position: str


def take(tx: Transaction, name: str, lease_id: int) -> Turn | None:
    """Lease some periodic work when it is due and nobody does it."""
    tx.run(
        "INSERT INTO periodic (name, next_at) VALUES (:name, 0) ON CONFLICT (name) DO NOTHING", {"name": name}
    )
    row = tx.one(
        "UPDATE periodic SET lease_id = :lease, leased_until = :until WHERE name = :name AND next_at <= :now"
        " AND leased_until < :now RETURNING position",
        {"lease": lease_id, "until": tx.now + LEASE_S, "name": name, "now": tx.now},
    )
    return None if row is None else Turn(name, row[0])


def begin_again(tx: Transaction, name: str) -> None:
    """Let periodic work start from its beginning, now; one that is under way goes on first."""
    tx.run("UPDATE periodic SET next_at = 0, position = '' WHERE name = :name", {"name": name})


def done(tx: Transaction, name: str, *, next_at: float, position: str = "", result: str = "") -> None:
    """Give the work back, with when it is next, where it stands, and what came of it."""
    tx.run(
        "UPDATE periodic SET next_at = :next, position = :position, last_run_at = :now, last_result = :result,"
        " lease_id = NULL, leased_until = 0 WHERE name = :name",
        {"next": next_at, "position": position, "result": result, "now": tx.now, "name": name},
    )


def listed(tx: Transaction) -> list[tuple[str, float, float, str]]:
    """(name, next time, last time, last result) of everything periodic."""
    rows = tx.all("SELECT name, next_at, last_run_at, last_result FROM periodic ORDER BY name")
    return [(row[0], float(row[1]), float(row[2]), row[3]) for row in rows]
