"""Bookkeeping of signed statements about data objects, as they were attached."""

from typing import Any

from grid.catalog.database import Transaction


def add(tx: Transaction, data_id: int, evidence: bytes, *, state: str, by: str) -> int:
    """Keep evidence about an object; returns its id. The same evidence twice is kept once."""
    known = tx.value(
        "SELECT id FROM attestations WHERE data_id = :data AND evidence = :evidence",
        {"data": data_id, "evidence": evidence},
    )
    if known is not None:
        return int(known)
    number = tx.new_id()
    tx.run(
        "INSERT INTO attestations (id, data_id, evidence, state, added_by, added_at)"
        " VALUES (:id, :data, :evidence, :state, :by, :now)",
        {"id": number, "data": data_id, "evidence": evidence, "state": state, "by": by, "now": tx.now},
    )
    return number


def of_object(tx: Transaction, data_id: int) -> list[dict[str, Any]]:
    """What was attached, the oldest first."""
    rows = tx.all(
        "SELECT id, evidence, state, added_by, added_at FROM attestations WHERE data_id = :data ORDER BY id",
        {"data": data_id},
    )
    return [
        {"id": int(row[0]), "evidence": bytes(row[1]), "state": row[2], "by": row[3], "at": float(row[4])}
        for row in rows
    ]
