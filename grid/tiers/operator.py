"""The process that moves the robots: elected by lease for each tape library, so that there is one at a time."""

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from grid.catalog import resources as resource_rows
from grid.catalog import tape
from grid.errors import CatalogBusy, CatalogUnavailable, GridError
from grid.model import Resource
from grid.namespace.context import NamespaceContext
from grid.tiers.arrivals import Arrivals
from grid.tiers.libraries import Libraries, library_settings
from resources import ResourceError
from resources.tape.driver import TapeDriver
from resources.tape.library import Library
from resources.tape.media import Media
from resources.tape.state import Cartridge

T = TypeVar("T")

LOOK_EVERY_S: Final = 0.2
_ELECT_EVERY_S: Final = 2.0

_log = logging.getLogger("beamgrid.tape")


class TapeOperator:
    """Steps the libraries of which this process was elected."""

    def __init__(
        self, context: NamespaceContext, libraries: Libraries, arrivals: Arrivals, lease_id: int
    ) -> None:
        self._context = context
        self._database = context.database
        self._storage = context.storage
        self._libraries = libraries
        self._lease_id = lease_id
        self._arrivals = arrivals
        self._at_work: dict[int, tuple[str, Library]] = {}
        self._elected_at = -math.inf
        self._mine: list[Resource] = []

    def run(self, stopping: threading.Event) -> None:
        """Work until told to stop; a catalog that is away is waited for."""
        while not stopping.is_set():
            try:
                pause = self.step()
            except (CatalogBusy, CatalogUnavailable) as error:
                _log.warning("the tape libraries wait for the catalog: %s", error)
                pause = 1.0
            except (GridError, ResourceError) as error:
                _log.error("a tape library cannot go on: %s", error)
                pause = 1.0
            stopping.wait(pause)

    def step(self) -> float:
        """Step every library once; returns how long there is nothing to do, in s."""
        if time.monotonic() - self._elected_at > _ELECT_EVERY_S:
            self._elect()
        pause = LOOK_EVERY_S
        for resource in self._mine:
            library = self._library(resource)
            with self._database.read() as tx:
                faults = tape.faults(tx, resource.id)
            _apply(library, faults)
            due = library.step()
            if due < math.inf:
                factor = library_settings(resource).clock_factor
                pause = min(pause, max((due - self._libraries.clock(resource).now()) / factor, 0.001))
        return pause

    def _elect(self) -> None:
        with self._database.read() as tx:
            tapes = [r for r in resource_rows.all_by_id(tx).values() if r.type == "tape" and not r.is_down]
        if tapes:
            with self._database.write(durable=False) as tx:
                self._mine = [r for r in tapes if tape.elect(tx, r.id, self._lease_id)]
        else:
            self._mine = []
        for gone in self._at_work.keys() - {r.id for r in self._mine}:
            del self._at_work[gone]
        self._elected_at = time.monotonic()

    def _library(self, resource: Resource) -> Library:
        known = self._at_work.get(resource.id)
        if known is not None and known[0] == resource.context:
            return known[1]
        wanted, state = library_settings(resource), self._libraries.state(resource, self._arrivals)
        driver, media = self._storage.driver(resource), Media(wanted.folder)
        assert isinstance(driver, TapeDriver), "the driver of a tape resource"
        driver.on_evict = lambda file_id: state.evicted([file_id])
        there = {cartridge.label for cartridge in state.cartridges()}
        for label in media.labels():
            if label not in there:
                state.save_cartridge(Cartridge(label, media.capacity(label), media.used(label)))
        library = Library(
            wanted.model, media, state, driver, self._libraries.clock(resource), wanted.settings, self._carried_out,
        )  # fmt: skip
        library.recover()
        self._at_work[resource.id] = (resource.context, library)
        _log.info("this process moves the robot of %s", resource.name)
        return library

    def _carried_out(self, function: Callable[..., T], *arguments: object) -> T:
        """Have cartridges read and written beside the storage where the zone's settings name somebody who does that."""
        computing = self._context.computing
        if computing is None:
            return function(*arguments)
        try:
            return computing.run(function, *arguments)
        except GridError as error:
            _log.warning("cartridges are read by this process: %s", error)
            return function(*arguments)


def _apply(library: Library, faults: dict[str, str]) -> None:
    library.robot_fault = faults.get("robot", "")
    for drive in library.drives:
        if drive.fault != faults.get(drive.name, ""):
            library.fail_drive(drive.name, faults.get(drive.name, ""))
