"""Bookkeeping of scheduled work: rows that workers lease, run and mark.

At least once: a worker that vanishes lets its lease run out and another takes the job.
"""

import json
import random
from dataclasses import dataclass
from typing import Any, Final

from grid.catalog.database import Row, Transaction

LEASE_S: Final = 300.0
VANISHINGS: Final = 5
"""How often more than its attempts a job is begun whose workers end in the middle of it."""


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
    lane: str = ""
    priority: int = 5


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
    lane: str
    priority: int
    state: str
    not_before: float
    last_failure: str
    created_at: float
    giving_up: int

    @property
    def ends_its_workers(self) -> bool:
        """Whether so many workers ended in the middle of it that it is to blame."""
        return self.attempts > self.max_attempts + VANISHINGS


def insert(tx: Transaction, job: NewJob) -> int:
    """Add a job; the same body and key waiting already is left as it is. Returns its id, 0 if it was there."""
    job_id = tx.new_id()
    added = tx.run(
        "INSERT INTO jobs (id, name, rule_id, body_id, key, bundle_generation, user_name, user_zone, captured,"
        " state, not_before, deadline, max_attempts, backoff_s, backoff_max_s, created_at, lane, priority)"
        " VALUES (:id, :name, :rule, :body, :key, :generation, :user, :zone, :captured, 'waiting', :not_before,"
        " :deadline, :attempts, :backoff, :backoff_max, :now, :lane, :priority)"
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
            "lane": job.lane or job.rule_id,
            "priority": job.priority,
        },
    )
    return job_id if added else 0


_COLUMNS: Final = (
    "id, name, rule_id, body_id, key, bundle_generation, user_name, user_zone, captured, attempts, max_attempts,"
    " backoff_s, backoff_max_s, deadline, lane, priority, state, not_before, last_failure, created_at,"
    " giving_up"
)


def _job(row: Row) -> Job:
    return Job(
        row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], json.loads(row[8]), row[9], row[10], row[11],
        *row[12:21],
    )  # fmt: skip


def something_due(tx: Transaction) -> bool:
    """Whether `claim` may find work; a read, so that idle workers write nothing."""
    return (
        tx.one(
            "SELECT 1 FROM jobs WHERE state = 'waiting' AND not_before <= :now"
            " UNION ALL SELECT 1 FROM jobs WHERE state = 'running' AND leased_until < :now LIMIT 1",
            {"now": tx.now},
        )
        is not None
    )


_LANES: Final = (
    "WITH RECURSIVE lanes (lane) AS (SELECT MIN(lane) FROM jobs WHERE state = 'waiting' UNION ALL"
    " SELECT (SELECT MIN(j.lane) FROM jobs j WHERE j.state = 'waiting' AND j.lane > lanes.lane) FROM lanes"
    " WHERE lanes.lane IS NOT NULL)"
    " SELECT lane FROM lanes WHERE lane IS NOT NULL"
)
_HEAD: Final = (
    "SELECT id, not_before FROM jobs WHERE state = 'waiting' AND lane = :lane AND priority = :priority"
    " AND not_before <= :now ORDER BY not_before, id LIMIT 1"
)


def claim(tx: Transaction, lease_id: int, *, per_lane: int = 2) -> Job | None:
    """Lease the due job of the highest priority that has waited longest, of a lane that is not busy.

    Costs a few index look-ups for each lane, however many jobs wait: a lane in which `per_lane` jobs run is left
    alone, so that one long job, or one target that does not answer, never keeps the others waiting.
    """
    lock = "" if tx.database.is_sqlite else " FOR UPDATE SKIP LOCKED"
    expired = tx.value(
        f"SELECT id FROM jobs WHERE state = 'running' AND leased_until < :now ORDER BY leased_until LIMIT 1{lock}",
        {"now": tx.now},
    )
    if expired is not None:
        return _leased(tx, int(expired), lease_id)
    busy = {
        row[0]: int(row[1])
        for row in tx.all("SELECT lane, count(*) FROM jobs WHERE state = 'running' GROUP BY lane")
    }
    lanes = [row[0] for row in tx.all(_LANES) if busy.get(row[0], 0) < per_lane]
    for priority in range(9, 0, -1):
        heads: list[tuple[float, int]] = []
        for lane in lanes:
            head = tx.one(_HEAD + lock, {"lane": lane, "priority": priority, "now": tx.now})
            if head is not None:
                heads.append((float(head[1]), int(head[0])))
        if heads:
            return _leased(tx, min(heads)[1], lease_id)
    return None


def _leased(tx: Transaction, job_id: int, lease_id: int) -> Job | None:
    tx.run(
        "UPDATE jobs SET state = 'running', attempts = attempts + 1, lease_id = :lease, leased_until = :until"
        " WHERE id = :id",
        {"lease": lease_id, "until": tx.now + LEASE_S, "id": job_id},
    )
    return by_id_or_none(tx, job_id)


def by_id_or_none(tx: Transaction, job_id: int) -> Job | None:
    row = tx.one(f"SELECT {_COLUMNS} FROM jobs WHERE id = :id", {"id": job_id})
    return None if row is None else _job(row)


def listed(tx: Transaction, *, states: tuple[str, ...], user_name: str = "", limit: int = 200) -> list[Job]:
    """Jobs in some states, those due first first; of one user when a name is given."""
    names = ", ".join(f":s{index}" for index in range(len(states)))
    parameters: dict[str, Any] = {f"s{index}": state for index, state in enumerate(states)}
    mine = " AND user_name = :user" if user_name else ""
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM jobs WHERE state IN ({names}){mine} ORDER BY not_before, id LIMIT :limit",
        {**parameters, "user": user_name, "limit": limit},
    )
    return [_job(row) for row in rows]


def renew(tx: Transaction, job_ids: list[int], lease_id: int) -> None:
    """Keep the leases of jobs that are still being worked on."""
    tx.run_many(
        "UPDATE jobs SET leased_until = :until WHERE id = :id AND lease_id = :lease AND state = 'running'",
        [{"until": tx.now + LEASE_S, "id": job_id, "lease": lease_id} for job_id in job_ids],
    )


def change_state(tx: Transaction, job_id: int, wanted: str) -> str | None:
    """Do what somebody asks of a job: `retry`, `pause`, `cancel` or `drop`; the state it has then, None when it may not.

    A retry starts the attempts anew; a running job is left to its worker.
    """
    allowed = {
        "retry": ("dead", "paused", "cancelled", "waiting"), "pause": ("waiting",),
        "cancel": ("waiting", "paused"), "drop": ("dead", "cancelled", "done"),
    }[wanted]  # fmt: skip
    state = tx.value("SELECT state FROM jobs WHERE id = :id", {"id": job_id})
    if state not in allowed:
        return None
    if wanted == "drop":
        tx.run("DELETE FROM jobs WHERE id = :id", {"id": job_id})
        _forget_effects(tx, job_id)
        return "dropped"
    becomes = {"retry": "waiting", "pause": "paused", "cancel": "cancelled"}[wanted]
    tx.run(
        "UPDATE jobs SET state = :state, attempts = CASE WHEN :again = 1 THEN 0 ELSE attempts END,"
        " not_before = CASE WHEN :again = 1 THEN :now ELSE not_before END,"
        " deadline = CASE WHEN :again = 1 THEN NULL ELSE deadline END, lease_id = NULL, giving_up = 0 WHERE id = :id",
        {"state": becomes, "again": int(wanted == "retry"), "now": tx.now, "id": job_id},
    )
    return becomes


def modify(
    tx: Transaction, job_id: int, *, priority: int | None = None, not_before: float | None = None
) -> bool:
    """Change when a job runs; False when it is not waiting or paused."""
    return (
        tx.run(
            "UPDATE jobs SET priority = COALESCE(:priority, priority), not_before = COALESCE(:due, not_before)"
            " WHERE id = :id AND state IN ('waiting', 'paused')",
            {"priority": priority, "due": not_before, "id": job_id},
        )
        == 1
    )


def done_once(tx: Transaction, job_id: int, token: str) -> bool:
    """Note what a job is about to do in this transaction; False when an earlier attempt did it."""
    added = tx.run(
        "INSERT INTO job_effects (job_id, token) VALUES (:id, :token) ON CONFLICT (job_id, token) DO NOTHING",
        {"id": job_id, "token": token},
    )
    return added == 1


def _forget_effects(tx: Transaction, job_id: int) -> None:
    tx.run("DELETE FROM job_effects WHERE job_id = :id", {"id": job_id})


def finish(tx: Transaction, job_id: int, lease_id: int) -> bool:
    """Mark done; False when the lease was lost to another worker."""
    done = tx.run(
        "UPDATE jobs SET state = 'done', finished_at = :now, last_failure = ''"
        " WHERE id = :id AND lease_id = :lease AND state = 'running'",
        {"now": tx.now, "id": job_id, "lease": lease_id},
    )
    if done == 1:
        _forget_effects(tx, job_id)
    return done == 1


def put_back(tx: Transaction, job: Job, lease_id: int, reason: str, *, final: bool) -> bool:
    """Let a job that failed wait for its next attempt; False, and `giving_up`, when there is none.

    The delay doubles from `backoff_s` to `backoff_max_s` with full jitter drawn from the job and the attempt, so
    that a run can be repeated.
    """
    exhausted = final or job.attempts >= job.max_attempts
    jitter = random.Random(f"{job.id}:{job.attempts}").random()
    delay = min(job.backoff_s * 2.0 ** min(job.attempts - 1, 60), job.backoff_max_s or job.backoff_s) * jitter
    if job.deadline is not None and tx.now + delay > job.deadline:
        exhausted = True
    tx.run(
        "UPDATE jobs SET state = :state, last_failure = :reason, not_before = :next, giving_up = :given_up"
        " WHERE id = :id AND lease_id = :lease AND state = 'running'",
        {
            "state": "running" if exhausted else "waiting",
            "reason": reason[:2000],
            "next": tx.now + delay,
            "given_up": int(exhausted),
            "id": job.id,
            "lease": lease_id,
        },
    )
    return not exhausted


def bury(tx: Transaction, job_id: int, lease_id: int) -> bool:
    """Mark a job that is being given up as dead; False when the lease was lost to another worker."""
    buried = tx.run(
        "UPDATE jobs SET state = 'dead', finished_at = :now, giving_up = 0"
        " WHERE id = :id AND lease_id = :lease AND state = 'running'",
        {"now": tx.now, "id": job_id, "lease": lease_id},
    )
    if buried == 1:
        _forget_effects(tx, job_id)
    return buried == 1


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


def about(tx: Transaction, path: str, *, limit: int) -> list[dict[str, Any]]:
    """Work that waits, runs or was given up and has a path among its values."""
    rows = tx.all(
        "SELECT id, name, rule_id, state, not_before, attempts, last_failure FROM jobs"
        " WHERE state IN ('waiting', 'running', 'dead', 'paused') AND captured LIKE :path ESCAPE '!'"
        " ORDER BY not_before LIMIT :n",
        {
            "path": "%"
            + json.dumps(path)[1:-1].replace("!", "!!").replace("%", "!%").replace("_", "!_")
            + '"%',
            "n": limit,
        },
    )
    names = ("id", "name", "rule", "state", "not_before", "attempts", "last_failure")
    return [dict(zip(names, row, strict=True)) for row in rows]
