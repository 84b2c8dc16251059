"""Things of the catalog as entities, page by page: what `find` looks through and `sweep` acts on."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from grid import paths
from grid.catalog.database import Row, Transaction
from grid.policy.predicates import REPLICAS_BY_AGE, TABLES, Predicate, Translator
from rules import Entity, Found

_SELECTED: Final[Mapping[str, str]] = {
    "Object": "d.id, c.path, d.name, c.id",
    "Collection": "c.id, c.path",
    "Replica": "r.data_id, r.number, c.path, d.name, r.size_bytes, s.name, s.medium",
    "Resource": "s.id, s.name",
}
_KEY: Final[Mapping[str, str]] = {
    "Object": "d.id", "Collection": "c.id", "Replica": "r.data_id, r.number", "Resource": "s.id",
}  # fmt: skip


def entity(kind: str, row: Row) -> Entity:
    """A row as the entity that rules see."""
    if kind == "Object":
        collection = Entity("Collection", row[3], row[1])
        return Entity("Object", row[0], paths.join(row[1], row[2]), {"collection": collection})
    if kind == "Collection":
        return Entity("Collection", row[0], row[1])
    if kind == "Resource":
        return Entity("Resource", row[1], row[1])
    path = paths.join(row[2], row[3])
    facts: dict[str, Any] = {
        "object": Entity("Object", row[0], path), "number": row[1], "size": row[4],
        "resource": Entity("Resource", row[5], row[5]), "medium": row[6],
    }  # fmt: skip
    return Entity("Replica", f"{row[0]}.{row[1]}", f"{path} {row[1]}", facts)


def path_of(kind: str, name: str) -> str:
    """The path that locations are matched with, of an entity's name."""
    return name.rpartition(" ")[0] if kind == "Replica" else name


def select(
    tx: Transaction, kind: str, predicate: Predicate, *, order: str = "", limit: int, offset: int = 0
) -> list[Entity]:
    """Up to `limit` things that satisfy a predicate, by id unless another order is given."""
    ordered = f"{order}, {_KEY[kind]}" if order else _KEY[kind]
    tables = f"{REPLICAS_BY_AGE} AND" if predicate.by_age else f"{TABLES[kind]} WHERE"
    rows = tx.all(
        f"SELECT {_SELECTED[kind]} FROM {tables} {predicate.where} ORDER BY {ordered}"
        " LIMIT :page_limit OFFSET :page_offset",
        {**predicate.parameters, "page_limit": limit, "page_offset": offset},
    )
    return [entity(kind, row) for row in rows]


def candidates(tx: Transaction, found: Found, rows: int) -> Sequence[Entity]:
    """What `find` has to look at: narrowed by location and by what the catalog can answer of its condition."""
    predicate = Predicate()
    if found.condition is not None:
        Translator(found.kind, found.slot, found.frame).condition(predicate, found.condition, True)
    if found.pattern is not None and found.kind != "Resource":
        predicate.at(found.kind, found.pattern, found.bound)
    entities = select(tx, found.kind, predicate, limit=rows + 1)
    if found.pattern is None:
        return entities
    return [e for e in entities if _at(found, path_of(found.kind, e.name))]


def _at(found: Found, path: str) -> bool:
    at = found.pattern.match(path) if found.pattern is not None else None
    return at is not None and all(at.get(name, value) == value for name, value in found.bound.items())
