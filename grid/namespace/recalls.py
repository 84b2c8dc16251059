"""Bringing back what is on tape: asked for by people and rules, and by opens that find nothing on disk."""

import time
from typing import Any, Final

from grid import paths
from grid.catalog import tape
from grid.catalog.database import Transaction
from grid.errors import AccessDenied, InvalidArgument, NotFound, NotOnline
from grid.model import Access, Caller, DataObject, Replica, ReplicaStatus, Resource
from grid.namespace.context import NamespaceContext
from grid.namespace.ports import Event, RecallDesk
from grid.namespace.storage import Tree
from resources import FileMissing
from resources.tape.driver import Residency, TapeDriver
from resources.tape.state import ACTIVE, OVER, Request

_LOOK_EVERY_S: Final = 0.1


class Recalls:
    """Operations on what tape libraries hold."""

    def __init__(self, context: NamespaceContext, desk: RecallDesk) -> None:
        self._context = context
        self._desk = desk

    def ask(
        self, caller: Caller, text: str, *, priority: int = 5, pin_s: float | None = None, admin: bool = False
    ) -> dict[str, Any]:
        """Ask for a data object to be brought back from tape.

        Args:
            caller: who asks, and has to be allowed to read it.
            text: its path.
            priority: 1 to 9, 9 first.
            pin_s: how long it stays on disk after it arrived, in s of the library's time; as the resource says without.
            admin: with an administrator's rights.

        Returns:
            How the request stands; `state` is `done` at once for what is on disk.

        Raises:
            NotFound, AccessDenied, PolicyDenied: as reading.
            InvalidArgument: a priority that is none.
        """
        if not 1 <= priority <= 9:
            raise InvalidArgument(f"the priority is {priority}; 1 to 9 were expected")
        path = self._context.path(text).text
        found, tree = self._context.load(path, caller, Access.READ, admin)
        on_disk = self._online(found, tree)
        if on_disk:
            return {"request": 0, "path": path, "state": "done", "reason": f"it is on disk, on `{on_disk}`"}
        for replica in found.replicas:
            resource = tree.by_id[replica.resource_id]
            if replica.status is ReplicaStatus.GOOD and replica.residency and not tree.is_down(resource):
                return self._asked(caller, found, replica, resource, priority, pin_s)
        raise NotFound(f"`{paths.printable(path)}` has no good replica, on disk or on tape")

    def _online(self, found: DataObject, tree: Tree) -> str:
        """The resource that has a good replica on its disk; empty when there is none."""
        for replica in found.replicas:
            resource = tree.by_id[replica.resource_id]
            if replica.status is not ReplicaStatus.GOOD or tree.is_down(resource):
                continue
            if not replica.residency or (not replica.is_offline and self._residency(resource, found).on_disk):
                return resource.name
        return ""

    def _residency(self, resource: Resource, found: DataObject) -> Residency:
        driver = self._context.storage.driver(resource)
        assert isinstance(driver, TapeDriver), "only tape resources have replicas that are on tape"
        try:
            return driver.residency(self._context.storage.place_of(found.path))
        except FileMissing:
            raise NotOnline(
                f"`{paths.printable(found.path)}` is on its way to another path; try again"
            ) from None

    def _asked(
        self,
        caller: Caller,
        found: DataObject,
        replica: Replica,
        resource: Resource,
        priority: int,
        pin_s: float | None,
    ) -> dict[str, Any]:
        facts = {
            "object": {"id": found.id, "path": found.path, "size": replica.size_bytes},
            "replica": {"purpose": "stage", "resource": resource.name, "size": replica.size_bytes},
        }
        event = Event("replica", "recall", caller, found.path, found.id, facts)
        self._context.policy.before(event)
        file_id = self._residency(resource, found).file_id
        request = self._desk.ask(resource, file_id, caller.user.full_name, priority, pin_s)
        with self._context.database.write() as tx:
            self._context.happened(tx, event, request=request.id, resource=resource.name)
        return {**self._desk.standing(resource, request), "path": found.path}

    def bring(self, caller: Caller, path: str, admin: bool = False) -> None:
        """Ask for what an open found on tape only, and wait for it where its resource says so.

        Raises:
            NotOnline: it is asked for and not there yet; the message says when it is expected.
        """
        standing = self.ask(caller, path, admin=admin)
        if standing["state"] == "done":
            return
        with self._context.database.read() as tx:
            resource = self._context.storage.tree(tx).named(standing["resource"])
        deadline = time.monotonic() + self._desk.wait_s(resource)
        while time.monotonic() < deadline:
            ended = self._desk.over(resource, standing["request"])
            if ended is not None:
                if ended.state == "done":
                    return
                raise NotOnline(
                    f"`{paths.printable(path)}` could not be brought back from tape: {ended.reason}"
                )
            time.sleep(_LOOK_EVERY_S)
        raise NotOnline(
            f"`{paths.printable(path)}` is on tape, on cartridge {standing['cartridge']}; request {standing['request']} is"
            f" {standing['state']} with {standing['before']} before it, expected in about"
            f" {round(standing['expected_in_s'] or 0)} s: open it again then, or watch `istage status`"
        )

    def _mine(self, tx: Transaction, caller: Caller, request_id: int) -> tuple[Resource, Request]:
        found = tape.request_or_none(tx, request_id)
        if found is None or not (caller.is_admin or found[1].user == caller.user.full_name):
            raise NotFound(f"there is no staging request {request_id} of yours")
        return self._context.storage.tree(tx).by_id[found[0]], found[1]

    def status(self, caller: Caller, request_id: int) -> dict[str, Any]:
        """How one request stands.

        Raises:
            NotFound: there is none of the caller's.
        """
        with self._context.database.read() as tx:
            resource, request = self._mine(tx, caller, request_id)
        return self._desk.standing(resource, request)

    def listed(self, caller: Caller, *, everybodys: bool, ended: bool, limit: int) -> list[dict[str, Any]]:
        """How requests stand, the latest first: one's own, or for administrators everybody's.

        Raises:
            AccessDenied: everybody's, for who is no administrator.
        """
        if everybodys and not caller.is_admin:
            raise AccessDenied("only administrators see the requests of others")
        with self._context.database.read() as tx:
            tree = self._context.storage.tree(tx)
            user = "" if everybodys else caller.user.full_name
            found = tape.requests_of(tx, user, states=(*ACTIVE, *OVER) if ended else ACTIVE, limit=limit)
        return [self._desk.standing(tree.by_id[r], one) for r, one in found if r in tree.by_id]

    def cancel(self, caller: Caller, request_id: int, reason: str = "") -> dict[str, Any]:
        """End a request that is not over; one that is stays as it is.

        Raises:
            NotFound: there is none of the caller's.
        """
        with self._context.database.read() as tx:
            resource, _ = self._mine(tx, caller, request_id)
        self._desk.end(resource, request_id, reason or f"cancelled by {caller.user.full_name}")
        return self.status(caller, request_id)

    def pin(self, caller: Caller, request_id: int, seconds: float) -> dict[str, Any]:
        """Keep what came back, or is to come back, on disk for so long from now, or with 0 no longer.

        Raises:
            NotFound: there is no such request of the caller's.
            InvalidArgument: a time below zero, or above ten years.
        """
        if not 0 <= seconds <= 10 * 365 * 86_400:
            raise InvalidArgument(f"found {seconds} s to pin for; 0 to ten years were expected")
        with self._context.database.read() as tx:
            resource, _ = self._mine(tx, caller, request_id)
        until = self._desk.pin_until(resource, seconds)
        with self._context.database.write() as tx:
            tape.set_pin(tx, request_id, until, until - self._desk.pin_until(resource, 0))
        return self.status(caller, request_id)
