"""Data objects as they are found: by their paths, with what rules may read of them."""

from grid import paths
from grid.catalog import objects as object_rows
from grid.catalog.database import Transaction
from grid.errors import NotFound
from grid.model import DataObject, ReplicaStatus
from grid.namespace.storage import Tree


def find(tx: Transaction, path: str) -> DataObject:
    """The data object at a path.

    Raises:
        NotFound: there is none (-808000).
    """
    found = object_rows.by_path_or_none(tx, path)
    if found is None:
        raise NotFound(f"there is no data object `{paths.printable(path)}`")
    return found


def object_facts(found: DataObject, tree: Tree) -> dict[str, object]:
    """What rules may read of a data object."""
    replica = found.best_replica()
    closed = replica is not None and replica.status in (ReplicaStatus.GOOD, ReplicaStatus.STALE)
    return {
        "id": found.id,
        "path": found.path,
        "owner": found.owner_name,
        "size": replica.size_bytes if replica else 0,
        "checksum": (replica.checksum or None) if replica else None,
        "closed": closed,
        "copies": len(found.replicas),
        "resource": tree.by_id[replica.resource_id].name if replica else "",
    }


def decided_by(found: DataObject) -> tuple[object, ...]:
    """What a decision about an existing object may have relied on."""
    replicas = tuple((r.number, r.resource_id, r.size_bytes, r.status, r.checksum) for r in found.replicas)
    return found.owner_name, found.acl_id, replicas
