"""Bookkeeping of the trees over stored chunks of HDF5 contents: a dataset in pages of digests, with where each chunk is."""

import json
import struct
from typing import Final

from grid.catalog.database import Transaction
from provenance.chunks import Chunk, ChunkTree, Dataset

PAGE: Final = 4096
_RECORD: Final = struct.Struct(">QQI32s")
ATTRIBUTES: Final = ""
"""The name under which the leaf of all attributes is kept; no dataset has it."""


def save(tx: Transaction, data_id: int, version: int, tree: ChunkTree) -> None:
    """Keep the tree of a content instead of any earlier one."""
    tx.run("DELETE FROM chunk_leaves WHERE data_id = :id", {"id": data_id})
    rows = [
        {
            "id": data_id,
            "version": version,
            "dataset": ATTRIBUTES,
            "page": 0,
            "about": "{}",
            "records": tree.attributes,
        }
    ]
    for dataset in tree.datasets:
        about = json.dumps(dict(dataset.about), separators=(",", ":"))
        for page in range(max(1, -(-len(dataset.chunks) // PAGE))):
            part = dataset.chunks[page * PAGE : (page + 1) * PAGE]
            records = b"".join(_RECORD.pack(one.offset, one.length, one.flags, one.leaf) for one in part)
            rows.append(
                {
                    "id": data_id,
                    "version": version,
                    "dataset": dataset.path,
                    "page": page,
                    "about": about,
                    "records": records,
                }
            )
    tx.run_many(
        "INSERT INTO chunk_leaves (data_id, version, dataset, page, about, records)"
        " VALUES (:id, :version, :dataset, :page, :about, :records)",
        rows,
    )


def of_object(tx: Transaction, data_id: int) -> ChunkTree | None:
    """The tree of an object's present content; None where none was made."""
    rows = tx.all(
        "SELECT c.dataset, c.about, c.records FROM chunk_leaves c JOIN data_objects d ON d.id = c.data_id"
        " AND d.version = c.version WHERE c.data_id = :id ORDER BY c.dataset, c.page",
        {"id": data_id},
    )
    attributes, abouts, found = b"", dict[str, str](), dict[str, list[Chunk]]()
    for dataset, about, records in rows:
        if dataset == ATTRIBUTES:
            attributes = bytes(records)
            continue
        abouts.setdefault(dataset, about)
        found.setdefault(dataset, []).extend(Chunk(*record) for record in _RECORD.iter_unpack(bytes(records)))
    if not attributes:
        return None
    datasets = [Dataset(path, json.loads(abouts[path]), tuple(chunks)) for path, chunks in found.items()]
    return ChunkTree(tuple(sorted(datasets, key=lambda one: one.path)), attributes)
