"""The process that carries streams: takes those that were opened, and those whose gateway died; each has threads of its own."""

import logging
import threading
import time
from typing import Final

from grid.catalog import streams as rows
from grid.catalog.database import Database
from grid.errors import CatalogBusy, CatalogUnavailable, GridError
from grid.namespace import Namespace
from grid.policy.engine import PolicyEngine
from grid.policy.services import MicroserviceHost
from grid.streams.carriage import Carriage, Carried, InstrumentKey, Zone
from grid.streams.errors import StreamError
from resources import ResourceError

LOOK_EVERY_S: Final = 0.25
MOST_STREAMS: Final = 16
TIDY_EVERY_S: Final = 3600.0
KEPT_S: Final = 90 * 86_400.0
"""So long is said how a stream went."""

_log = logging.getLogger("beamgrid.streams")


class Gateway:
    """Carries streams until it is told to end; then others go on with them.

    Args:
        database: the catalog.
        namespace: whose objects the frames become.
        policy: the rules.
        host: gives the grid as callers may use it.
        lease_id: of this process.
        listen: the address on which senders and listeners find it.
        instrument_key: the key that signs for the detector at a path, if there is one.
    """

    def __init__(
        self, database: Database, namespace: Namespace, policy: PolicyEngine, host: MicroserviceHost, lease_id: int, listen: str,
        instrument_key: InstrumentKey,
    ) -> None:  # fmt: skip
        self._database = database
        self._lease_id = lease_id
        self._zone = Zone(database, namespace, policy, host, lease_id, listen, instrument_key)
        self._carried: dict[int, Carried] = {}

    def run(self, stopping: threading.Event) -> None:
        """Work until told to stop."""
        next_tidying = time.monotonic()
        while not stopping.wait(LOOK_EVERY_S):
            try:
                if time.monotonic() >= next_tidying:
                    next_tidying += TIDY_EVERY_S
                    self.tidy()
                self.step()
            except (CatalogBusy, CatalogUnavailable) as error:
                _log.warning("streams wait for the catalog: %s", error)
        for one in self._carried.values():
            one.leaving.set()
            if one.pipeline is not None:
                one.pipeline.abandon("this gateway ends; another one goes on")
        for one in self._carried.values():
            if one.thread is not None:
                one.thread.join(timeout=10)

    def tidy(self) -> None:
        """Forget what was over long ago."""
        with self._database.write(durable=False) as tx:
            rows.tidy(tx, KEPT_S)

    def step(self) -> bool:
        """Take a stream where one waits; False where none does."""
        self._carried = {
            number: one
            for number, one in self._carried.items()
            if one.thread is not None and one.thread.is_alive()
        }
        if len(self._carried) >= MOST_STREAMS:
            return False
        with self._database.read() as tx:
            if not rows.something_waits(tx, self._lease_id):
                return False
        with self._database.write(durable=False) as tx:
            row = rows.take(tx, self._lease_id)
        if row is None:
            return False
        carried = Carried(row)
        carried.thread = threading.Thread(
            target=self._carry, args=(carried,), name=f"stream-{row.id}", daemon=True
        )
        self._carried[row.id] = carried
        carried.thread.start()
        return True

    def _carry(self, carried: Carried) -> None:
        row = carried.row
        try:
            with Carriage(self._zone, carried) as carriage:
                carriage.carry()
        except (StreamError, GridError, ResourceError, OSError) as error:
            self._over(carried, str(error))
        except Exception as error:  # of a library: this stream ends, the others go on
            _log.exception("stream %d failed", row.id)
            self._over(carried, f"{type(error).__name__}: {error}")

    def _over(self, carried: Carried, reason: str) -> None:
        """A stream that cannot go on here."""
        with self._database.write() as tx:
            if carried.leaving.is_set():
                rows.put_back(tx, carried.row.id, self._lease_id)
            else:
                rows.end(tx, carried.row.id, rows.FAILED, reason, {})
        if not carried.leaving.is_set():
            _log.error("stream %d to %s failed: %s", carried.row.id, carried.row.path, reason)
