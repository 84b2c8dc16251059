"""Bookkeeping that records what happened: decisions, the outbox, files to unlink, policy bundles."""

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
            "id": tx.new_id(),
            "now": tx.now,
            "event": event,
            "subject_id": subject_id,
            "subject": subject,
            "actor": actor,
            "details": json.dumps(details, separators=(",", ":")) if details else "{}",
        },
    )


def add_unlink(tx: Transaction, resource_id: int, path: str) -> int:
    """Note a file that nothing will refer to once this transaction is committed."""
    entry = tx.new_id()
    tx.run(
        "INSERT INTO unlinks (id, resource_id, path) VALUES (:id, :resource, :path)",
        {"id": entry, "resource": resource_id, "path": path},
    )
    return entry


def pending_unlinks(tx: Transaction, *, limit: int) -> list[tuple[int, int, str]]:
    """(entry, resource id, path) of files still to be unlinked."""
    rows = tx.all("SELECT id, resource_id, path FROM unlinks ORDER BY id LIMIT :limit", {"limit": limit})
    return [(row[0], row[1], row[2]) for row in rows]


def unlinked(tx: Transaction, entries: list[int]) -> None:
    tx.run_many("DELETE FROM unlinks WHERE id = :id", [{"id": entry} for entry in entries])


@dataclass(frozen=True, slots=True)
class Bundle:
    """The policy sources a zone runs."""

    generation: int
    origin: str
    digest: str
    sources: dict[str, str]


def active_generation(tx: Transaction) -> int:
    """The number of the active bundle; 0 when there is none."""
    return int(tx.value("SELECT COALESCE(MAX(generation), 0) FROM policy_bundles WHERE active = 1"))


def bundle(tx: Transaction, generation: int) -> Bundle | None:
    row = tx.one(
        "SELECT generation, origin, digest, sources FROM policy_bundles WHERE generation = :g",
        {"g": generation},
    )
    return None if row is None else Bundle(row[0], row[1], row[2], json.loads(row[3]))


def activate_bundle(tx: Transaction, origin: str, digest: str, sources: dict[str, str]) -> int:
    """Make these sources the zone's policy; the same digest active already stays as it is."""
    current = active_generation(tx)
    known = bundle(tx, current) if current else None
    if known is not None and known.digest == digest:
        return current
    generation = int(tx.value("SELECT COALESCE(MAX(generation), 0) + 1 FROM policy_bundles"))
    tx.run("UPDATE policy_bundles SET active = 0 WHERE active = 1")
    tx.run(
        "INSERT INTO policy_bundles (generation, origin, digest, sources, activated_at, active)"
        " VALUES (:g, :origin, :digest, :sources, :now, 1)",
        {"g": generation, "origin": origin, "digest": digest, "sources": json.dumps(sources), "now": tx.now},
    )
    return generation


def entity_counts(tx: Transaction) -> dict[str, int]:
    """How much the zone holds."""
    row = tx.one(
        "SELECT (SELECT count(*) FROM collections), (SELECT count(*) FROM data_objects),"
        " (SELECT count(*) FROM replicas), (SELECT COALESCE(sum(size_bytes), 0) FROM replicas),"
        " (SELECT count(*) FROM users WHERE type <> 'rodsgroup'), (SELECT count(*) FROM open_writes),"
        " (SELECT count(*) FROM unlinks), (SELECT count(*) FROM outbox WHERE claimed_by IS NULL),"
        " (SELECT count(*) FROM decisions)"
    )
    names = (
        "collections", "data_objects", "replicas", "replica_bytes", "users", "open_writes", "files_to_unlink",
        "outbox", "decisions",
    )  # fmt: skip
    return dict(zip(names, (int(value) for value in row or ()), strict=True))
