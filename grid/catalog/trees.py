"""Bookkeeping of block trees: those of contents, and what each stream of an open write saw."""

from grid.catalog.database import Transaction
from provenance.blocks import BlockTree


def save(tx: Transaction, data_id: int, tree: BlockTree) -> None:
    """Record the tree of an object's content as it is in this transaction."""
    tx.run(
        "INSERT INTO block_trees (data_id, version, size_bytes, level, digests)"
        " SELECT id, version, :size, :level, :digests FROM data_objects WHERE id = :id"
        " ON CONFLICT (data_id) DO UPDATE SET version = excluded.version, size_bytes = excluded.size_bytes,"
        " level = excluded.level, digests = excluded.digests",
        {"id": data_id, "size": tree.size_bytes, "level": tree.level, "digests": tree.encoded()},
    )


def of_object(tx: Transaction, data_id: int) -> BlockTree | None:
    """The tree of an object's present content; None where there is none."""
    row = tx.one(
        "SELECT t.size_bytes, t.level, t.digests FROM block_trees t JOIN data_objects d ON d.id = t.data_id"
        " AND d.version = t.version WHERE t.data_id = :id",
        {"id": data_id},
    )
    return None if row is None else BlockTree.decoded(int(row[0]), int(row[1]), bytes(row[2]))


def begin_stream(tx: Transaction, token: str, stream: str) -> None:
    """A further stream of an open write has begun."""
    tx.run(
        "INSERT INTO write_leaves (token, stream) VALUES (:token, :stream)",
        {"token": token, "stream": stream},
    )


def end_stream(tx: Transaction, token: str, stream: str, records: bytes) -> None:
    """A stream has ended, and saw this."""
    tx.run(
        "UPDATE write_leaves SET records = :records WHERE token = :token AND stream = :stream",
        {"token": token, "stream": stream, "records": records},
    )


def streams(tx: Transaction, token: str) -> list[bytes | None]:
    """What each further stream of an open write saw; None for one that goes on."""
    rows = tx.all("SELECT records FROM write_leaves WHERE token = :token", {"token": token})
    return [None if row[0] is None else bytes(row[0]) for row in rows]


def forget_streams(tx: Transaction, token: str = "") -> None:
    """Those of an open write, or without one those of all that are not open any more."""
    where = (
        "token = :token"
        if token
        else "NOT EXISTS (SELECT 1 FROM open_writes w WHERE w.token = write_leaves.token)"
    )
    tx.run(f"DELETE FROM write_leaves WHERE {where}", {"token": token})
