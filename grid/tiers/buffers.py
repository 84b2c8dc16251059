"""Bounded resources at work: their accounts, the eviction of what has its copies elsewhere, the counting anew."""

import logging
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any, Final

from grid import paths
from grid.catalog import leases, promises, space
from grid.catalog import resources as resource_rows
from grid.catalog.database import Database
from grid.catalog.space import CatalogAccount
from grid.errors import CatalogBusy, CatalogUnavailable, GridError
from grid.model import Resource
from grid.namespace import Namespace
from grid.namespace.replicas import TrimRequest
from resources import ResourceError, context
from resources.buffer import BufferDriver
from resources.disk import CONTEXT as DISK_CONTEXT
from resources.layout import Layout
from resources.wrappers import innermost

KNOWN: Final[dict[str, context.Kind]] = {
    **DISK_CONTEXT, "capacity": "bytes", "evict_above": "number", "evict_to": "number",
}  # fmt: skip
"""What a buffer's context string may say; the shares are of the capacity, from 0 to 1."""

LOOK_EVERY_S: Final = 2.0
TIDY_EVERY_S: Final = 3600.0
PAGE: Final = 200

_log = logging.getLogger("beamgrid.buffer")


@dataclass(frozen=True, slots=True)
class BufferSettings:
    """A buffer's context string as values: eviction begins above one share of the capacity and ends at another."""

    capacity_bytes: int
    evict_above: float = 0.9
    evict_to: float = 0.8
    layout: Layout = field(default_factory=Layout)


def buffer_settings(resource: Resource) -> BufferSettings:
    """What a buffer's context string says.

    Raises:
        ContextError: nonsense, or no capacity.
    """
    said: dict[str, Any] = context.read(resource.context, KNOWN)
    if not said.get("capacity"):
        raise context.ContextError(
            f"found no `capacity` in the context string of the buffer `{resource.name}`, such as 2 TB"
        )
    above, to = said.get("evict_above", 0.9), said.get("evict_to", min(0.8, said.get("evict_above", 0.9)))
    if not to <= above <= 1:
        raise context.ContextError(
            f"found `evict_to` {to} and `evict_above` {above}; the first is to be the smaller, and 1 the largest"
        )
    return BufferSettings(said["capacity"], above, to, Layout.of(said))


def buffer_driver(resource: Resource, database: Database) -> BufferDriver:
    wanted = buffer_settings(resource)
    account = CatalogAccount(database, resource.id, wanted.capacity_bytes)
    return BufferDriver(resource.vault_path, resource.id, account, wanted.capacity_bytes, wanted.layout)


class BufferKeeper:
    """Keeps buffers below their marks, and their accounts right."""

    def __init__(self, database: Database, namespace: Namespace) -> None:
        self._database = database
        self._namespace = namespace
        self._tidied: dict[int, float] = {}

    def run(self, stopping: threading.Event) -> None:
        """Work until told to stop."""
        while not stopping.wait(LOOK_EVERY_S):
            try:
                self.step()
            except (CatalogBusy, CatalogUnavailable) as error:
                _log.warning("buffers wait for the catalog: %s", error)
            except (GridError, ResourceError) as error:
                _log.error("a buffer cannot be looked after: %s", error)

    def step(self) -> int:
        """Look at every buffer; returns how many replicas were evicted."""
        return sum(self._look(resource) for resource in self._buffers())

    def _buffers(self) -> list[Resource]:
        with self._database.read() as tx:
            return [r for r in resource_rows.all_by_id(tx).values() if r.type == "buffer" and not r.is_down]

    def _driver(self, resource: Resource) -> BufferDriver:
        driver = innermost(self._namespace.context.storage.driver(resource))
        assert isinstance(driver, BufferDriver), "the driver of a buffer"
        return driver

    def _look(self, resource: Resource) -> int:
        driver = self._driver(resource)
        driver.settle()
        if time.monotonic() - self._tidied.get(resource.id, -TIDY_EVERY_S) >= TIDY_EVERY_S:
            self._tidied[resource.id] = time.monotonic()
            with self._database.write(durable=False) as tx:
                space.forget_ended(tx)
        wanted = buffer_settings(resource)
        with self._database.read() as tx:
            free = space.free_bytes(tx, resource.id, wanted.capacity_bytes)
        if wanted.capacity_bytes - free <= wanted.evict_above * wanted.capacity_bytes:
            return 0
        return self.evict(resource, int((1 - wanted.evict_to) * wanted.capacity_bytes) - free)

    def evict(self, resource: Resource, count: int) -> int:
        """Let replicas go that have a copy elsewhere and that no promise holds, until so many bytes are free."""
        administrator = self._namespace.users.service_caller(f"eviction from {resource.name}")
        if administrator is None:
            return 0
        with self._database.read() as tx:
            found = space.evictable(tx, resource.id, limit=PAGE)
            held = {entry[:1] + entry[3:4] for entry in found if promises.holders(tx, entry[0], entry[3])}
        caller = replace(administrator, rights_of_rules=True)
        evicted = 0
        for data_id, collection, name, number, size in found:
            if count <= 0:
                break
            if (data_id, number) in held:
                continue
            try:
                self._namespace.replicas.trim(
                    caller, paths.join(collection, name), TrimRequest(replica_number=number)
                )
            except GridError as error:
                _log.info("%s/%s stays on %s: %s", collection, name, resource.name, error)
                continue
            evicted += 1
            count -= size
        if evicted:
            _log.info("%d replicas left %s", evicted, resource.name)
        return evicted

    def recount_all(self) -> None:
        """What a starting zone does, where no process serves it yet: what processes that died had taken and not spent comes back.

        A vault that is away keeps its account as it is, which errs on the side of the bound.
        """
        with self._database.read() as tx:
            if leases.somebody_lives(tx):
                return
        for resource in self._buffers():
            try:
                off = self.recount(resource)
            except (GridError, ResourceError) as error:
                _log.warning("what %s holds was not counted: %s", resource.name, error)
                continue
            if off:
                _log.info("the account of %s was %d bytes off", resource.name, off)

    def recount(self, resource: Resource) -> int:
        """Count what a buffer holds; only while no other process writes to it. Returns by how many bytes it was off."""
        driver = self._driver(resource)
        staged = 0
        for name, _ in driver.staged_names():
            file = driver.open_staged_for_reading(name)
            staged += file.size()
            file.close()
        with self._database.write() as tx:
            return space.recount(
                tx,
                resource.id,
                staged_bytes=staged + driver.bytes_aside(),
                unspent_bytes=driver.unspent_bytes,
            )
