"""Statements on metadata: AVUs are stored once and linked to what they describe."""

import hashlib
import math
from datetime import UTC, datetime

from grid.catalog.database import Transaction
from grid.model import Avu


def number_of(value: str) -> float | None:
    """The value as a finite number, for the indexed column; None when it is none."""
    if not value or len(value) > 40 or value[0] not in "+-.0123456789":
        return None
    try:
        number = float(value)
    except ValueError:
        return _instant(value)
    return number if math.isfinite(number) and "_" not in value else None


def _instant(value: str) -> float | None:
    """Seconds since 1970 of a date or time such as `2026-03-02T10:00Z`, so that ranges of times use the index, too."""
    if len(value) < 10 or value[4] != "-":
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def digest_of(avu: Avu) -> str:
    """What tells this triple from every other one."""
    text = f"{len(avu.attribute)}:{avu.attribute}{len(avu.value)}:{avu.value}{avu.unit}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:40]


def find_or_make(tx: Transaction, avu: Avu) -> int:
    """The id of this triple."""
    digest = digest_of(avu)
    known = tx.value("SELECT id FROM avus WHERE digest = :digest", {"digest": digest})
    if known is not None:
        return int(known)
    return int(
        tx.value(
            "INSERT INTO avus (id, attribute, value, unit, number, digest, create_time, modify_time)"
            " VALUES (:id, :a, :v, :u, :n, :digest, :now, :now)"
            " ON CONFLICT (digest) DO UPDATE SET digest = excluded.digest RETURNING id",
            {
                "id": tx.new_id(),
                "a": avu.attribute,
                "v": avu.value,
                "u": avu.unit,
                "n": number_of(avu.value),
                "digest": digest,
                "now": tx.timestamp,
            },
        )
    )


def made_at(tx: Transaction, entity_id: int, avu_id: int) -> str:
    """When an AVU was attached; empty when it is not."""
    return str(
        tx.value(
            "SELECT create_time FROM avu_links WHERE entity_id = :e AND avu_id = :a",
            {"e": entity_id, "a": avu_id},
        )
        or ""
    )


def link(tx: Transaction, entity_id: int, avu_id: int, *, made_at: str = "") -> bool:
    """Attach; False when it was attached already. A replacement keeps the time of what it replaces."""
    return (
        tx.run(
            "INSERT INTO avu_links (entity_id, avu_id, create_time, modify_time) VALUES (:e, :a, :made, :now)"
            " ON CONFLICT (entity_id, avu_id) DO NOTHING",
            {"e": entity_id, "a": avu_id, "made": made_at or tx.timestamp, "now": tx.timestamp},
        )
        == 1
    )


def unlink(tx: Transaction, entity_id: int, avu_id: int) -> bool:
    return (
        tx.run("DELETE FROM avu_links WHERE entity_id = :e AND avu_id = :a", {"e": entity_id, "a": avu_id})
        == 1
    )


def of_entity(tx: Transaction, entity_id: int) -> list[tuple[int, Avu]]:
    """(AVU id, AVU) of everything attached, by attribute, value and unit."""
    rows = tx.all(
        "SELECT a.id, a.attribute, a.value, a.unit FROM avu_links l JOIN avus a ON a.id = l.avu_id"
        " WHERE l.entity_id = :e ORDER BY a.attribute, a.value, a.unit",
        {"e": entity_id},
    )
    return [(row[0], Avu(row[1], row[2], row[3])) for row in rows]


def values_of(tx: Transaction, entity_id: int, attribute: str) -> list[str]:
    rows = tx.all(
        "SELECT a.value FROM avu_links l JOIN avus a ON a.id = l.avu_id"
        " WHERE l.entity_id = :e AND a.attribute = :a ORDER BY a.id",
        {"e": entity_id, "a": attribute},
    )
    return [row[0] for row in rows]


def of_collections_with(tx: Transaction, prefix: str) -> list[tuple[str, str, str]]:
    """(collection, attribute, value) of metadata of collections whose attribute begins with a prefix."""
    rows = tx.all(
        "SELECT c.path, a.attribute, a.value FROM avus a JOIN avu_links l ON l.avu_id = a.id JOIN collections c ON c.id = l.entity_id"
        " WHERE a.attribute >= :from AND a.attribute < :until ORDER BY c.path, a.attribute, a.id",
        {"from": prefix, "until": prefix[:-1] + chr(ord(prefix[-1]) + 1)},
    )
    return [(row[0], row[1], row[2]) for row in rows]


def delete_unused(tx: Transaction) -> int:
    """Remove the AVUs that describe nothing; says how many there were."""
    return tx.run("DELETE FROM avus WHERE NOT EXISTS (SELECT 1 FROM avu_links l WHERE l.avu_id = avus.id)")
