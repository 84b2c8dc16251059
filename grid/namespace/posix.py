"""Owners and modes of the folders that collections have in vaults, for those who read these over NFS."""

import re
from typing import Final

from grid import paths
from grid.catalog import posix
from grid.errors import GridError, InvalidArgument, NotFound
from grid.model import VAULT_TYPES, Access, Caller
from grid.namespace.context import NamespaceContext
from grid.namespace.ports import Event
from resources import ResourceError
from resources.disk import DiskDriver
from resources.wrappers import innermost

_MODE: Final = re.compile(r"[0-7]{3,4}")


class PosixFolders:
    """Operations on what file systems show of a zone."""

    def __init__(self, context: NamespaceContext) -> None:
        self._context = context

    def set(self, caller: Caller, text: str, mode_text: str, group: str) -> list[str]:
        """Give the folders of a collection, on every resource with a vault, a mode and a group.

        What the server may not change is recorded as drift, which `beamgrid status` shows; nothing fails for it.

        Args:
            caller: who asks: an owner of the collection, or a rule.
            text: path of the collection.
            mode_text: octal, such as 2770.
            group: a group or user that the administrators gave a `posix_gid`.

        Returns:
            Where folders are otherwise, `resource: how`.

        Raises:
            NotFound: no such collection, or no such group.
            InvalidArgument: a mode that is none.
        """
        if not _MODE.fullmatch(mode_text):
            raise InvalidArgument(f"found the mode `{mode_text}`; an octal one such as 2770 was expected")
        path = self._context.path(text).text
        with self._context.database.read() as tx:
            collection = self._context.collection(tx, path)
            if not caller.rights_of_rules:
                self._context.require(tx, collection.acl_id, caller, Access.OWN, path, caller.is_admin)
            gid = posix.group_number(tx, group, self._context.zone)
            tree = self._context.storage.tree(tx)
            if tx.one("SELECT 1 FROM users WHERE name = :n", {"n": group}) is None:
                raise NotFound(f"there is no group `{group}`")
        event = Event("collection", "change", caller, path, collection.id, {"collection": {"path": path}})
        self._context.policy.before(event)
        mode, place = int(mode_text, 8), self._context.storage.place_of(path)
        drifts: dict[int, str] = {}
        for resource in tree.by_id.values():
            if resource.type not in VAULT_TYPES or resource.name == "bundleResc" or tree.is_down(resource):
                continue
            try:
                driver = innermost(self._context.storage.driver(resource))
                assert isinstance(driver, DiskDriver), "what has a vault folder"
                drift = driver.set_posix(place, mode=mode, gid=gid)
                drifts[resource.id] = drift or ("" if gid is not None else f"`{group}` has no posix_gid")
            except (ResourceError, GridError) as error:
                drifts[resource.id] = str(error)
        with self._context.database.write() as tx:
            for resource_id, drift in drifts.items():
                posix.record(tx, collection.id, resource_id, mode=mode, gid=gid, drift=drift)
            self._context.happened(tx, event, mode=mode_text, group=group)
        return [f"{tree.by_id[number].name}: {drift}" for number, drift in drifts.items() if drift]

    def drifted(self) -> list[dict[str, object]]:
        """Folders that are not as policy wants them."""
        with self._context.database.read() as tx:
            return [{**one, "path": paths.printable(one["path"])} for one in posix.drifted(tx, limit=100)]
