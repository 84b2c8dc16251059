"""Scrubs at work: a resource is read at a bounded rate, bad replicas are named, marked and, if asked for, repaired."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from grid import paths
from grid.catalog import scrubs
from grid.catalog.database import Database
from grid.catalog.scrubs import Scrub
from grid.errors import CatalogBusy, CatalogUnavailable, GridError, NotFound
from grid.model import Caller
from grid.namespace import Namespace
from grid.namespace.fixity import NOT_GOOD, ON_TAPE, REPAIRED, UNRECORDED

LOOK_EVERY_S = 1.0
PAGE = 100

_log = logging.getLogger("beamgrid.scrub")


class Pacer:
    """Lets bytes pass at a rate, in bytes/s, measured since it was made."""

    def __init__(self, rate: float, sleep: Callable[[float], None] = time.sleep) -> None:
        self.rate = rate
        self._sleep = sleep
        self._began = time.monotonic()
        self._passed = 0

    def __call__(self, count: int) -> None:
        self._passed += count
        ahead = self._passed / self.rate - (time.monotonic() - self._began)
        if ahead > 0:
            self._sleep(min(ahead, 60.0))


class Scrubber:
    """Carries on the passes that nobody else carries on."""

    def __init__(self, database: Database, namespace: Namespace, lease_id: int) -> None:
        self._database = database
        self._namespace = namespace
        self._lease_id = lease_id

    def run(self, stopping: threading.Event) -> None:
        """Work until told to stop."""
        while not stopping.is_set():
            try:
                worked = self.step(stopping)
            except (CatalogBusy, CatalogUnavailable) as error:
                _log.warning("scrubs wait for the catalog: %s", error)
                worked = False
            if not worked:
                stopping.wait(LOOK_EVERY_S)

    def step(self, stopping: threading.Event | None = None) -> bool:
        """Read a page of replicas; False when there was nothing to do."""
        with self._database.read() as tx:
            if not any(one.state == "running" for one in scrubs.listed(tx, limit=100)):
                return False
        caller = self._namespace.users.service_caller("scrub")
        if caller is None:
            return False  # the passes wait until there is somebody on whose behalf to read
        with self._database.write(durable=False) as tx:
            scrub = scrubs.take(tx, self._lease_id)
        if scrub is None:
            return False
        with self._database.read() as tx:
            page = scrubs.next_replicas(tx, scrub, limit=PAGE)
        if not page:
            with self._database.write() as tx:
                scrubs.end(tx, scrub.id, "done")
            return True
        caller = replace(caller, request_id=f"scrub {scrub.id}")
        pace = Pacer(scrub.rate)
        for data_id, collection, name, number in page:
            if stopping is not None and stopping.is_set():
                return True
            if not self._look(scrub, caller, paths.join(collection, name), data_id, number, pace):
                return True
        return True

    def _look(self, scrub: Scrub, caller: Caller, path: str, data_id: int, number: int, pace: Pacer) -> bool:
        """Read one replica and note what came of it; False when the pass was stopped, or has to wait."""
        what, reason, read_bytes = "", "", 0
        try:
            found = self._namespace.fixity.verify(caller, path, number, pace=pace, repair=bool(scrub.repair))
            what, reason, read_bytes = found.what, found.reason, found.read_bytes
        except NotFound:
            what = NOT_GOOD  # removed, or renamed, since the page was read
        except GridError as error:
            if error.retry:
                _log.warning("scrub %d waits: %s", scrub.id, error)
                time.sleep(LOOK_EVERY_S)
                return False
            what, reason = "unreadable", str(error)
        bad, repaired, skipped = what in ("bad", "unreadable"), what == REPAIRED, what in (NOT_GOOD, ON_TAPE)
        with self._database.write(durable=False) as tx:
            if bad or repaired or what == UNRECORDED:
                scrubs.found(tx, scrub.id, path, number, what, reason)
            return scrubs.advance(
                tx,
                scrub.id,
                data_id,
                read_bytes=read_bytes,
                bad=int(bad),
                repaired=int(repaired),
                skipped=int(skipped),
            )
