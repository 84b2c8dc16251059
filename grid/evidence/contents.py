"""What who signs has to know of contents: their trees, and whether they are for everybody."""

import logging

from grid import paths
from grid.catalog import avus
from grid.catalog import collections as collection_rows
from grid.catalog import objects as object_rows
from grid.errors import GridError
from grid.namespace import Namespace, trees
from provenance.blocks import BlockTree

_log = logging.getLogger("beamgrid.evidence")


class Contents:
    """Contents of one zone."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._context = namespace.context

    def tree(self, data_id: int) -> BlockTree | None:
        """Read an object and make its tree; None where it is gone or cannot be read now."""
        caller = self._namespace.users.service_caller("statements")
        with self._context.database.read() as tx:
            found = object_rows.by_id_or_none(tx, data_id)
            tree = self._context.storage.tree(tx)
        if found is None or caller is None:
            return None
        try:
            return trees.of_content(self._context, caller, tree, found, admin=True)
        except GridError as error:
            _log.warning("`%s` cannot be read to be signed yet: %s", found.path, error)
            return None

    def is_public(self, path: str) -> bool:
        """Whether what lies at a path was opened to everybody: its collection, or one above, says so."""
        with self._context.database.read() as tx:
            while path and path != "/":
                found = collection_rows.by_path_or_none(tx, path)
                values = avus.values_of(tx, found.id, "visibility") if found is not None else []
                if values:
                    return values[0] == "open"
                path = paths.split(path)[0]
        return False
