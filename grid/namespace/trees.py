"""Copies compared with the block tree of their content: whether they are it, and where they are not."""

from collections.abc import Iterator

from grid.catalog import trees
from grid.catalog.database import Database
from grid.model import Caller, DataObject
from grid.namespace.context import NamespaceContext
from grid.namespace.storage import Tree, storage_errors
from provenance.blocks import BlockTree, tree_of
from resources import StagedFile, StoredFile
from resources.aligned import aligned_buffer

PIECE_BYTES = 4 << 20
MOST_NAMED = 3


def recorded(database: Database, data_id: int) -> BlockTree | None:
    """The tree of an object's present content; None where none was made."""
    with database.read() as tx:
        return trees.of_object(tx, data_id)


def of_file(file: StoredFile | StagedFile) -> BlockTree:
    """The tree over a file, which is read from its beginning."""
    return tree_of(_pieces(file))


def of_content(
    context: NamespaceContext, caller: Caller, tree: Tree, found: DataObject, *, admin: bool
) -> BlockTree:
    """The tree over an object's content, which is read. Raises as opening it."""
    source = context.storage.pick_for_reading(tree, found)
    file = context.open_replica(caller, tree, source, found.path, admin=admin)
    try:
        return of_file(file)
    finally:
        file.close()


def _pieces(file: StoredFile | StagedFile) -> Iterator[memoryview]:
    buffer, offset = aligned_buffer(PIECE_BYTES), 0
    with storage_errors():
        while count := file.read_into(buffer, offset):
            yield buffer[:count]
            offset += count


def difference(expected: BlockTree, found: BlockTree) -> str:
    """Where a copy is not what is recorded, in words; empty where it is."""
    runs = expected.differing(found)
    if not runs and expected.size_bytes == found.size_bytes:
        return ""
    named = ", ".join(f"{offset} to {offset + length - 1}" for offset, length in runs[:MOST_NAMED])
    more = f" and {len(runs) - MOST_NAMED} more" if len(runs) > MOST_NAMED else ""
    return f"bytes {named}{more} are not those that were stored"
