"""Carries out the reductions that were asked for, with the rights of who asked; another process takes over what one that died was at."""

import json
import logging
import threading
import time
import tomllib
from typing import Final

from grid.catalog import reductions
from grid.catalog.database import Database
from grid.catalog.reductions import Reduction
from grid.errors import CatalogBusy, CatalogUnavailable, GridError, NotFound
from grid.model import Caller
from grid.namespace import Namespace
from grid.policy.services import MicroserviceHost
from microservices import MicroserviceError
from microservices.reduction import Wanted, reduce_object

LOOK_EVERY_S: Final = 0.5
TIDY_EVERY_S: Final = 3600.0
KEPT_S: Final = 90 * 86_400.0
"""How long reductions that are over are shown."""

WORK_KEPT_S: Final = 7 * 86_400.0
"""Parts of a reduction that nobody went on with."""

WAIT_S: Final = 15.0
"""What is not there, such as a file on tape, is looked for again after so long."""

_log = logging.getLogger("beamgrid.reductions")


class _Given(Exception):
    """The reduction is not this process's any more: it was cancelled, or the process is to end."""


class Reducer:
    """Works on one reduction at a time.

    Args:
        database: the catalog.
        namespace: who asked is one of its users.
        host: gives the grid as they may use it.
        lease_id: of this process.
    """

    def __init__(
        self, database: Database, namespace: Namespace, host: MicroserviceHost, lease_id: int
    ) -> None:
        self._database = database
        self._namespace = namespace
        self._host = host
        self._lease_id = lease_id

    def run(self, stopping: threading.Event) -> None:
        """Work until told to stop."""
        next_tidying = time.monotonic()
        while not stopping.is_set():
            try:
                if time.monotonic() >= next_tidying:
                    next_tidying += TIDY_EVERY_S
                    self.tidy()
                worked = self.step(stopping)
            except (CatalogBusy, CatalogUnavailable) as error:
                _log.warning("reductions wait for the catalog: %s", error)
                worked = False
            if not worked:
                stopping.wait(LOOK_EVERY_S)

    def tidy(self) -> None:
        """Forget what was over long ago."""
        with self._database.write(durable=False) as tx:
            reductions.tidy(tx, KEPT_S)
        self._host.forget_work(WORK_KEPT_S)

    def step(self, stopping: threading.Event | None = None) -> bool:
        """Carry one out; False when none waits."""
        with self._database.read() as tx:
            if not reductions.something_waits(tx):
                return False
        with self._database.write(durable=False) as tx:
            taken = reductions.take(tx, self._lease_id)
        if taken is None:
            return False
        try:
            state, reason, result = self._outcome(taken, stopping or threading.Event())
        except _Given:
            return True
        with self._database.write() as tx:
            reductions.end(tx, taken.id, state, reason, result)
        return True

    def _outcome(self, taken: Reduction, stopping: threading.Event) -> tuple[str, str, str]:
        """State, reason and result; what may be better later is queued again."""

        def progress(done: int, frames: int) -> None:
            with self._database.write(durable=False) as tx:
                if not reductions.advance(tx, taken.id, self._lease_id, done, frames):
                    raise _Given
            if stopping.is_set():
                with self._database.write(durable=False) as tx:
                    reductions.put_back(tx, taken.id, "the server was stopped")
                raise _Given

        try:
            caller = self._caller(taken)
            said = tomllib.loads(taken.parameters)
            wanted = Wanted(
                taken.path, taken.dataset, taken.kernel, said, taken.target, attempts=f"reduction {taken.id}"
            )
            found = reduce_object(self._host.grid_of(caller), wanted, progress)
        except (MicroserviceError, GridError) as error:
            if error.retry:
                with self._database.write(durable=False) as tx:
                    reductions.put_back(tx, taken.id, str(error), wait_s=WAIT_S)
                raise _Given from error
            return "failed", str(error), ""
        except _Given:
            raise
        except Exception as error:  # HDF5 raises errors of any kind on files that are damaged; the others wait for this thread
            _log.exception("reduction %d of `%s` failed", taken.id, taken.path)
            return "failed", f"{type(error).__name__}: {error}", ""
        return "done", found["problem"], json.dumps(found)

    def _caller(self, taken: Reduction) -> Caller:
        """Who asked, with the rights of now."""
        try:
            return self._namespace.users.caller(
                taken.user_name, taken.user_zone, request_id=f"reduction {taken.id}"
            )
        except NotFound as error:
            raise MicroserviceError(
                f"`{taken.user_name}#{taken.user_zone}`, who asked, is no user any more"
            ) from error
