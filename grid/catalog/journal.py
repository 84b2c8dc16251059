"""Bookkeeping that records what happened: decisions, the outbox, work on files."""

import json
from dataclasses import dataclass
from typing import Any

from grid.catalog.database import Transaction


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy said about one operation."""

    event: str
    subject: str
    actor: str
    decision: str
    code: str
    rule: str
    sentence: str
    request_id: str
    bundle_generation: int


def record_decision(tx: Transaction, decision: Decision, decision_id: int = 0) -> int:
    """Add a decision record; returns its id."""
    decision_id = decision_id or tx.new_id()
    tx.run(
        "INSERT INTO decisions (id, decided_at, event, subject, actor, decision, code, rule, sentence, request_id,"
        " bundle_generation) VALUES (:id, :now, :event, :subject, :actor, :decision, :code, :rule, :sentence,"
        " :request, :generation)",
        {
            "id": decision_id,
            "now": tx.now,
            "event": decision.event,
            "subject": decision.subject,
            "actor": decision.actor,
            "decision": decision.decision,
            "code": decision.code,
            "rule": decision.rule,
            "sentence": decision.sentence,
            "request": decision.request_id,
            "generation": decision.bundle_generation,
        },
    )
    return decision_id


def record_event(
    tx: Transaction, event: str, subject_id: int, subject: str, actor: str, details: dict[str, Any]
) -> None:
    """Add an outbox entry, in the transaction of what it tells."""
    tx.run(
        "INSERT INTO outbox (id, recorded_at, event, subject_id, subject, actor, details)"
        " VALUES (:id, :now, :event, :subject_id, :subject, :actor, :details)",
        {
            "id": tx.spare_id(),
            "now": tx.now,
            "event": event,
            "subject_id": subject_id,
            "subject": subject,
            "actor": actor,
            "details": json.dumps(details, separators=(",", ":")) if details else "{}",
        },
    )


@dataclass(frozen=True, slots=True)
class VaultTask:
    """What is still to be done to a resource's files so that they match the catalog.

    `kind` is `unlink`, `unlink_staged`, `move` or `remove_folder`; paths are logical ones without their zone,
    absolute physical ones, or names in the staging area.
    """

    id: int
    resource_id: int
    kind: str
    path: str
    target: str = ""


def add_vault_task(tx: Transaction, resource_id: int, kind: str, path: str, target: str = "") -> None:
    """Note work on files, in the transaction that makes it necessary."""
    tx.run(
        "INSERT INTO vault_tasks (id, resource_id, kind, path, target) VALUES (:id, :resource, :kind, :path, :target)",
        {"id": tx.new_id(), "resource": resource_id, "kind": kind, "path": path, "target": target},
    )


def vault_tasks(tx: Transaction, *, limit: int) -> list[VaultTask]:
    """The oldest tasks, in the order in which they have to be done; others are kept from taking them."""
    rows = tx.all(
        f"SELECT id, resource_id, kind, path, target FROM vault_tasks ORDER BY id LIMIT :limit{tx.database.for_update}",
        {"limit": limit},
    )
    return [VaultTask(*row) for row in rows]


def has_vault_tasks(tx: Transaction) -> bool:
    return tx.one("SELECT 1 FROM vault_tasks LIMIT 1") is not None


def vault_task_done(tx: Transaction, task_id: int) -> None:
    tx.run("DELETE FROM vault_tasks WHERE id = :id", {"id": task_id})


def entity_counts(tx: Transaction) -> dict[str, int]:
    """How much the zone holds."""
    row = tx.one(
        "SELECT (SELECT count(*) FROM collections), (SELECT count(*) FROM data_objects),"
        " (SELECT count(*) FROM replicas), (SELECT COALESCE(sum(size_bytes), 0) FROM replicas),"
        " (SELECT count(*) FROM users WHERE type <> 'rodsgroup'), (SELECT count(*) FROM open_writes),"
        " (SELECT count(*) FROM vault_tasks), (SELECT count(*) FROM outbox WHERE claimed_by IS NULL),"
        " (SELECT count(*) FROM decisions)"
    )
    names = (
        "collections", "data_objects", "replicas", "replica_bytes", "users", "open_writes", "vault_tasks",
        "outbox", "decisions",
    )  # fmt: skip
    return dict(zip(names, (int(value) for value in row or ()), strict=True))


def queue_lengths(tx: Transaction) -> dict[str, int]:
    """What waits to be done, without counting what the zone holds."""
    row = tx.one(
        "SELECT (SELECT count(*) FROM open_writes), (SELECT count(*) FROM vault_tasks),"
        " (SELECT count(*) FROM outbox WHERE claimed_by IS NULL), (SELECT count(*) FROM keep_queue)"
    )
    names = ("open_writes", "vault_tasks", "outbox", "promises_to_check")
    return dict(zip(names, (int(value) for value in row or ()), strict=True))


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A decision as it was recorded."""

    id: int
    decided_at: float
    event: str
    subject: str
    actor: str
    decision: str
    code: str
    rule: str
    sentence: str
    bundle_generation: int


_DECISION = "id, decided_at, event, subject, actor, decision, code, rule, sentence, bundle_generation"


def recent_decisions(
    tx: Transaction, *, limit: int, refused_only: bool = False, path: str = "", actor: str = ""
) -> list[DecisionRecord]:
    """The latest decisions, newest first; of a user, and about a path and what lies below it, when these are given."""
    conditions, values = (
        ["1 = 1"],
        {"n": limit, "actor": actor, "path": path, "low": f"{path}/", "high": f"{path}0"},
    )
    if refused_only:
        conditions.append("decision <> 'allowed'")
    if path:
        conditions.append("(subject = :path OR (subject >= :low AND subject < :high))")
    if actor:
        conditions.append("actor = :actor")
    where = " AND ".join(conditions)
    rows = tx.all(f"SELECT {_DECISION} FROM decisions WHERE {where} ORDER BY id DESC LIMIT :n", values)
    return [DecisionRecord(*row) for row in rows]


def decisions_about(tx: Transaction, path: str, *, limit: int) -> list[dict[str, Any]]:
    """What the policy decided about a path, newest first."""
    rows = tx.all(
        f"SELECT {_DECISION} FROM decisions WHERE subject = :path ORDER BY id DESC LIMIT :n",
        {"path": path, "n": limit},
    )
    names = _DECISION.split(", ")
    return [dict(zip(names, row, strict=True)) for row in rows]
