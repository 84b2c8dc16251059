"""Bookkeeping of promises about copies: what is met, what is not and why, and which replicas may not go."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from grid.catalog.database import Transaction

COORDINATION: Final = "coordinating resources"
"""What copies that a tree of resources wants are recorded under, beside the promises."""


@dataclass(frozen=True, slots=True)
class PromiseState:
    """How one object stands with one `keep`: why it is not met (empty when it is), how often that was tried."""

    data_id: int
    keep_id: str
    reason: str
    attempts: int
    held: tuple[int, ...]
    checked_at: float


def queue(tx: Transaction, data_id: int) -> None:
    """Note that an object changed, so that its promises are looked at."""
    tx.run(
        "INSERT INTO keep_queue (data_id, queued_at) VALUES (:id, :now) ON CONFLICT (data_id) DO NOTHING",
        {"id": data_id, "now": tx.now},
    )


def queue_resource(tx: Transaction, resource_id: int) -> None:
    """Note every object with a replica on a resource."""
    tx.run(
        "INSERT INTO keep_queue (data_id, queued_at) SELECT DISTINCT data_id, CAST(:now AS DOUBLE PRECISION) FROM replicas"
        " WHERE resource_id = :id ON CONFLICT (data_id) DO NOTHING",
        {"id": resource_id, "now": tx.now},
    )


def take_queued(tx: Transaction, *, limit: int) -> list[int]:
    """Take the objects that changed, oldest first."""
    rows = tx.all("SELECT data_id FROM keep_queue ORDER BY queued_at, data_id LIMIT :n", {"n": limit})
    tx.run_many("DELETE FROM keep_queue WHERE data_id = :id", [{"id": row[0]} for row in rows])
    return [int(row[0]) for row in rows]


def has_queued(tx: Transaction) -> bool:
    return tx.one("SELECT 1 FROM keep_queue LIMIT 1") is not None


def due(tx: Transaction, *, limit: int) -> list[int]:
    """Objects whose promises have to be looked at again by now: unmet ones, and those that change with time."""
    rows = tx.all(
        "SELECT DISTINCT data_id FROM promises WHERE next_at <= :now ORDER BY data_id LIMIT :n",
        {"now": tx.now, "n": limit},
    )
    return [int(row[0]) for row in rows]


def record(
    tx: Transaction, data_id: int, keep_id: str, *, reason: str, held: Iterable[int], next_at: float
) -> None:
    """Note how an object stands with a `keep`; an unmet promise counts one more attempt."""
    tx.run(
        "INSERT INTO promises (data_id, keep_id, reason, attempts, held, checked_at, next_at)"
        " VALUES (:id, :keep, :reason, :unmet, :held, :now, :next) ON CONFLICT (data_id, keep_id) DO UPDATE SET"
        " reason = excluded.reason, attempts = CASE WHEN excluded.reason = '' THEN 0 ELSE promises.attempts + 1 END,"
        " held = excluded.held, checked_at = excluded.checked_at, next_at = excluded.next_at",
        {
            "id": data_id,
            "keep": keep_id,
            "reason": reason,
            "unmet": int(bool(reason)),
            "held": ",".join(str(number) for number in sorted(held)),
            "now": tx.now,
            "next": next_at,
        },
    )


def forget(tx: Transaction, data_id: int, keep_ids: Iterable[str] | None = None) -> None:
    """Drop what is known of an object, or only of some promises."""
    if keep_ids is None:
        tx.run("DELETE FROM promises WHERE data_id = :id", {"id": data_id})
        return
    tx.run_many(
        "DELETE FROM promises WHERE data_id = :id AND keep_id = :keep",
        [{"id": data_id, "keep": keep_id} for keep_id in keep_ids],
    )


def _state(row: tuple[object, ...]) -> PromiseState:
    held = tuple(int(part) for part in str(row[4]).split(",") if part)
    return PromiseState(
        int(str(row[0])), str(row[1]), str(row[2]), int(str(row[3])), held, float(str(row[5]))
    )


def of_object(tx: Transaction, data_id: int) -> list[PromiseState]:
    rows = tx.all(
        "SELECT data_id, keep_id, reason, attempts, held, checked_at FROM promises WHERE data_id = :id ORDER BY keep_id",
        {"id": data_id},
    )
    return [_state(row) for row in rows]


def holders(tx: Transaction, data_id: int, number: int) -> list[str]:
    """The promises that a replica satisfies."""
    return [state.keep_id for state in of_object(tx, data_id) if number in state.held]


def unmet(tx: Transaction, *, limit: int) -> list[PromiseState]:
    """Promises that are not met, those tried most often first."""
    rows = tx.all(
        "SELECT data_id, keep_id, reason, attempts, held, checked_at FROM promises WHERE reason <> ''"
        " ORDER BY attempts DESC, data_id LIMIT :n",
        {"n": limit},
    )
    return [_state(row) for row in rows]


def unmet_count(tx: Transaction) -> int:
    """How many promises are not met."""
    return int(tx.value("SELECT count(*) FROM promises WHERE reason <> ''"))


def keep_only(tx: Transaction, keep_ids: list[str]) -> None:
    """Drop what is known of promises that no policy makes any more: they hold nothing from then on."""
    for (keep_id,) in tx.all("SELECT DISTINCT keep_id FROM promises"):
        if keep_id not in keep_ids:
            tx.run("DELETE FROM promises WHERE keep_id = :keep", {"keep": keep_id})
