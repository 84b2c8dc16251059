"""Bookkeeping of scheduled work: rows that workers lease, run and mark.

At least once: a worker that vanishes lets its lease run out and another takes the job.
"""

import json
import random
from dataclasses import dataclass
from typing import Any, Final

from grid.catalog.database import Row, Transaction

LEASE_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a `schedule` statement asks for. Times are seconds since 1970 or lengths in seconds."""

    name: str
    rule_id: str
    body_id: str
    key: str
    bundle_generation: int
    user_name: str
    user_zone: str
    captured: dict[str, Any]
    not_before: float
    deadline: float | None
    max_attempts: int
    backoff_s: float
    backoff_max_s: float


@dataclass(frozen=True, slots=True)
class Job:
    """A job that this worker has leased."""

    id: int
    name: str
    rule_id: str
    body_id: str
    key: str
    bundle_generation: int
    user_name: str
    user_zone: str
    captured: dict[str, Any]
    attempts: int
    max_attempts: int
    backoff_s: float
    backoff_max_s: float
    deadline: float | None


def insert(tx: Transaction, job: NewJob) -> int:
    """Add a job; the same body and key waiting already is left as it is. Returns its id, 0 if it was there."""
    job_id = tx.new_id()
    added = tx.run(
        "INSERT INTO jobs (id, name, rule_id, body_id, key, bundle_generation, user_name, user_zone, captured,"
        " state, not_before, deadline, max_attempts, backoff_s, backoff_max_s, created_at)"
        " VALUES (:id, :name, :rule, :body, :key, :generation, :user, :zone, :captured, 'waiting', :not_before,"
        " :deadline, :attempts, :backoff, :backoff_max, :now)"
        " ON CONFLICT (body_id, key) WHERE state = 'waiting' DO NOTHING",
        {
            "id": job_id,
            "name": job.name,
            "rule": job.rule_id,
            "body": job.body_id,
            "key": job.key or f"job {job_id}",
            "generation": job.bundle_generation,
            "user": job.user_name,
            "zone": job.user_zone,
            "captured": json.dumps(job.captured),
            "not_before": job.not_before,
            "deadline": job.deadline,
            "attempts": job.max_attempts,
            "backoff": job.backoff_s,
            "backoff_max": job.backoff_max_s,
            "now": tx.now,
        },
    )
    return job_id if added else 0


_COLUMNS: Final = (
    "id, name, rule_id, body_id, key, bundle_generation, user_name, user_zone, captured, attempts, max_attempts,"
    " backoff_s, backoff_max_s, deadline"
)


def _job(row: Row) -> Job:
    return Job(
        row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], json.loads(row[8]), row[9], row[10], row[11],
        row[12], row[13],
    )  # fmt: skip


def something_due(tx: Transaction) -> bool:
    """Whether `claim` would find work; a read, so that idle workers write nothing."""
    return (
        tx.one(
            "SELECT 1 FROM jobs WHERE (state = 'waiting' AND not_before <= :now)"
            " OR (state = 'running' AND leased_until < :now) LIMIT 1",
            {"now": tx.now},
        )
        is not None
    )


def claim(tx: Transaction, lease_id: int) -> Job | None:
    """Lease the job that has been due for longest."""
    lock = "" if tx.database.is_sqlite else " FOR UPDATE SKIP LOCKED"
    job_id = tx.value(
        "SELECT id FROM jobs WHERE (state = 'waiting' AND not_before <= :now)"
        f" OR (state = 'running' AND leased_until < :now) ORDER BY not_before, id LIMIT 1{lock}",
        {"now": tx.now},
    )
    if job_id is None:
        return None
    tx.run(
        "UPDATE jobs SET state = 'running', attempts = attempts + 1, lease_id = :lease, leased_until = :until"
        " WHERE id = :id",
        {"lease": lease_id, "until": tx.now + LEASE_S, "id": job_id},
    )
    row = tx.one(f"SELECT {_COLUMNS} FROM jobs WHERE id = :id", {"id": job_id})
    return None if row is None else _job(row)


def finish(tx: Transaction, job_id: int, lease_id: int) -> bool:
    """Mark done; False when the lease was lost to another worker."""
    return (
        tx.run(
            "UPDATE jobs SET state = 'done', finished_at = :now, last_failure = ''"
            " WHERE id = :id AND lease_id = :lease AND state = 'running'",
            {"now": tx.now, "id": job_id, "lease": lease_id},
        )
        == 1
    )


def fail(tx: Transaction, job: Job, lease_id: int, reason: str, *, final: bool) -> bool:
    """Put back with back-off, or give up; says whether it was given up.

    The delay doubles from `backoff_s` to `backoff_max_s` with full jitter drawn from the job and the attempt, so
    that a run can be repeated.
    """
    exhausted = final or job.attempts >= job.max_attempts
    jitter = random.Random(f"{job.id}:{job.attempts}").uniform(0.5, 1.0)
    delay = min(job.backoff_s * 2 ** (job.attempts - 1), job.backoff_max_s or job.backoff_s) * jitter
    if job.deadline is not None and tx.now + delay > job.deadline:
        exhausted = True
    tx.run(
        "UPDATE jobs SET state = :state, last_failure = :reason, not_before = :next, finished_at = :finished"
        " WHERE id = :id AND lease_id = :lease",
        {
            "state": "dead" if exhausted else "waiting",
            "reason": reason[:2000],
            "next": tx.now + delay,
            "finished": tx.now if exhausted else None,
            "id": job.id,
            "lease": lease_id,
        },
    )
    return exhausted


def dead_letter(
    tx: Transaction, name: str, rule_id: str, user: tuple[str, str], generation: int, reason: str
) -> int:
    """Record an `after` rule that failed, so that a steward finds it."""
    job_id = tx.new_id()
    tx.run(
        "INSERT INTO jobs (id, name, rule_id, body_id, key, bundle_generation, user_name, user_zone, state,"
        " not_before, last_failure, created_at, finished_at)"
        " VALUES (:id, :name, :rule, '', :key, :generation, :user, :zone, 'dead', :now, :reason, :now, :now)",
        {
            "id": job_id,
            "name": name,
            "rule": rule_id,
            "key": f"job {job_id}",
            "generation": generation,
            "user": user[0],
            "zone": user[1],
            "now": tx.now,
            "reason": reason[:2000],
        },
    )
    return job_id


def counts(tx: Transaction) -> dict[str, int]:
    """How many jobs are in each state."""
    return {row[0]: int(row[1]) for row in tx.all("SELECT state, count(*) FROM jobs GROUP BY state")}


def dead(tx: Transaction, *, limit: int = 20) -> list[tuple[int, str, str]]:
    """(id, name, last failure) of the latest jobs that were given up."""
    rows = tx.all(
        "SELECT id, name, last_failure FROM jobs WHERE state = 'dead' ORDER BY id DESC LIMIT :limit",
        {"limit": limit},
    )
    return [(row[0], row[1], row[2]) for row in rows]


def is_idle(tx: Transaction) -> bool:
    """Whether nothing waits and nothing runs."""
    return tx.one("SELECT 1 FROM jobs WHERE state IN ('waiting', 'running') LIMIT 1") is None
