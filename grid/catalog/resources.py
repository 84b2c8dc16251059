"""Statements on resources."""

from collections.abc import Mapping

from grid.catalog.database import Row, Transaction
from grid.model import Resource

_COLUMNS = (
    "id, name, type, host, vault_path, status, context, parent_id, parent_context, free_space, medium, site"
)


def _resource(row: Row) -> Resource:
    return Resource(*row)


def all_by_id(tx: Transaction) -> dict[int, Resource]:
    """Every resource; there are few."""
    return {row[0]: _resource(row) for row in tx.all(f"SELECT {_COLUMNS} FROM resources")}


def by_name_or_none(tx: Transaction, name: str) -> Resource | None:
    row = tx.one(f"SELECT {_COLUMNS} FROM resources WHERE name = :name", {"name": name})
    return None if row is None else _resource(row)


def insert(tx: Transaction, resource: Resource, zone: str) -> None:
    tx.run(
        "INSERT INTO resources (id, name, zone, type, host, vault_path, status, context, parent_context, free_space,"
        " medium, create_time, modify_time) VALUES (:id, :name, :zone, :type, :host, :vault, :status, :context, '', :free,"
        " :medium, :now, :now)",
        {
            "id": resource.id,
            "name": resource.name,
            "zone": zone,
            "type": resource.type,
            "host": resource.host,
            "vault": resource.vault_path,
            "status": resource.status,
            "context": resource.context,
            "free": resource.free_space,
            "medium": resource.medium,
            "now": tx.timestamp,
        },
    )


RESOURCE_FIELDS = frozenset(
    {
        "name", "type", "host", "vault_path", "status", "context", "info", "comment", "free_space",
        "free_space_time", "parent_id", "parent_context", "medium", "site",
    }
)  # fmt: skip
"""The columns that `update` may set."""


def update(tx: Transaction, resource_id: int, changes: Mapping[str, object]) -> None:
    unknown = changes.keys() - RESOURCE_FIELDS
    if unknown:
        raise ValueError(f"resources have no column {sorted(unknown)}")
    assignments = ", ".join(f"{name} = :{name}" for name in changes)
    tx.run(
        f"UPDATE resources SET {assignments}, modify_time = :now WHERE id = :id",
        {**changes, "now": tx.timestamp, "id": resource_id},
    )


def delete(tx: Transaction, resource_id: int) -> None:
    tx.run("DELETE FROM avu_links WHERE entity_id = :id", {"id": resource_id})
    tx.run("DELETE FROM resources WHERE id = :id", {"id": resource_id})


def holds_replicas(tx: Transaction, resource_id: int) -> bool:
    return tx.one("SELECT 1 FROM replicas WHERE resource_id = :id LIMIT 1", {"id": resource_id}) is not None


def hierarchy(resources: Mapping[int, Resource], resource_id: int) -> str:
    """The names from the root to a resource, joined by `;`."""
    names: list[str] = []
    current: int | None = resource_id
    while current is not None and current in resources and len(names) < 64:
        names.append(resources[current].name)
        current = resources[current].parent_id
    return ";".join(reversed(names))
