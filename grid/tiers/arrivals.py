"""What came back from tape is told to the rules: `after replica stage`."""

import logging

from grid.catalog import objects as object_rows
from grid.catalog.database import Transaction
from grid.errors import NotFound
from grid.model import Caller
from grid.namespace import Namespace
from grid.namespace.found import object_facts
from grid.namespace.ports import Event
from resources.tape.state import Request

_log = logging.getLogger("beamgrid.tape")


class Arrivals:
    """Tells the policy of recalls that are done."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    def __call__(self, tx: Transaction, resource_id: int, request: Request) -> None:
        """Tell of one, inside the transaction in which it is over; what failed or was cancelled arrived nowhere."""
        if request.state != "done":
            return
        found = object_rows.by_id_or_none(tx, int(request.file_id.partition("v")[0]))
        caller = self._asked_by(request.user)
        if found is None or caller is None:
            return
        tree = self._namespace.context.storage.tree(tx)
        facts = {
            "object": object_facts(found, tree),
            "replica": {
                "purpose": "stage",
                "resource": tree.by_id[resource_id].name,
                "size": request.size,
                "cartridge": request.cartridge,
            },
        }
        event = Event("replica", "stage", caller, found.path, found.id, facts)
        self._namespace.context.policy.after(tx, event)

    def _asked_by(self, user: str) -> Caller | None:
        """Who asked, as rules see them; nobody where that user was removed meanwhile."""
        name, _, zone = user.partition("#")
        try:
            return self._namespace.users.caller(name, zone)
        except NotFound:
            return None
