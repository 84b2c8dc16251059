"""How much room resources have: written into the catalog for those whose context string says `measure=on`.

Votes, rules and promises go by what the catalog says. Without the setting that is what an administrator said.
"""

import logging
import threading
import time
from typing import Final

from grid.catalog import resources as resource_rows
from grid.catalog.database import Database
from grid.errors import CatalogBusy, CatalogUnavailable, GridError
from grid.model import STORAGE_TYPES
from grid.namespace.storage import Storage
from resources import ResourceError
from resources.context import ContextError, pairs

MEASURE_EVERY_S: Final = 60.0

_log = logging.getLogger("beamgrid.space")


class SpaceMeter:
    """Asks storage resources for their room."""

    def __init__(self, database: Database, storage: Storage) -> None:
        self._database = database
        self._storage = storage

    def run(self, stopping: threading.Event) -> None:
        """Measure every minute until told to stop."""
        while True:
            try:
                self.step()
            except (CatalogBusy, CatalogUnavailable) as error:
                _log.warning("room was not measured: %s", error)
            if stopping.wait(MEASURE_EVERY_S):
                return

    def step(self) -> int:
        """Measure once; returns how many resources have another room than before."""
        with self._database.read() as tx:
            known = resource_rows.all_by_id(tx)
        changed: dict[int, str] = {}
        for resource in known.values():
            if resource.type not in STORAGE_TYPES or resource.is_down or not _is_asked(resource.context):
                continue
            try:
                free = self._storage.driver(resource).free_bytes()
            except (GridError, ResourceError) as error:
                _log.warning("the room of %s cannot be measured: %s", resource.name, error)
                continue
            if free is not None and str(max(free, 0)) != resource.free_space:
                changed[resource.id] = str(max(free, 0))
        if changed:
            with self._database.write(durable=False) as tx:
                for resource_id, text in changed.items():
                    now = f"{int(time.time()):011d}"
                    resource_rows.update(tx, resource_id, {"free_space": text, "free_space_time": now})
        return len(changed)


def _is_asked(context: str) -> bool:
    try:
        return pairs(context).get("measure") == "on"
    except ContextError:
        return False  # from before context strings were checked
