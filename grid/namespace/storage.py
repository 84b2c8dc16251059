"""Resources as the operations use them: names to leaves, leaves to drivers, replicas to open files."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Final

from grid.catalog import leases, space
from grid.catalog import objects as object_rows
from grid.catalog import resources as resource_rows
from grid.catalog.database import Database, Transaction
from grid.codes import Status
from grid.errors import (
    GridError,
    InvalidArgument,
    NoGoodReplica,
    NotFound,
    NotOnline,
    QuotaExceeded,
    ResourceUnavailable,
    StorageFailed,
    StorageFull,
)
from grid.model import COORDINATING_TYPES, STORAGE_TYPES, Caller, DataObject, Replica, ReplicaStatus, Resource
from grid.namespace.ports import DriverFactory
from resources import (
    Driver,
    FileMissing,
    Offline,
    OutOfSpace,
    ResourceError,
    StoredFile,
    VaultPath,
)
from resources.buffer import BufferDriver
from resources.context import COMMON, ContextError, Value, read
from resources.coordination import CONTEXTS, CREATE, OPEN, Ballot, Node, cache_in_front_of, refusal
from resources.coordination import Ask as VoteAsk
from resources.disk import RegisteredFiles
from resources.remote import There, Vault
from resources.tape.driver import NotResident
from resources.wrappers import innermost, reserved
from resources.xrootd import server_of

_CHECK_EVERY_S: Final = 1.0
_ENOSPC: Final = 28


def as_grid_error(error: ResourceError) -> GridError:
    """What a storage error means to the grid's callers."""
    if isinstance(error, NotResident):
        return NotOnline(f"{error}: ask for it with `istage request`")
    if isinstance(error, ContextError):
        return InvalidArgument(str(error))
    if isinstance(error, OutOfSpace):
        return StorageFull(f"the storage is full: {error}", status=int(Status.UNIX_FILE_WRITE_ERR) - _ENOSPC)
    if isinstance(error, Offline):
        return ResourceUnavailable(str(error))
    if isinstance(error, FileMissing):
        return StorageFailed(str(error), status=int(Status.UNIX_FILE_OPEN_ERR) - 2)
    return StorageFailed(str(error))


@contextmanager
def storage_errors() -> Iterator[None]:
    """Let storage errors leave the block as the grid's."""
    try:
        yield
    except ResourceError as error:
        raise as_grid_error(error) from error


@dataclass(frozen=True, slots=True)
class Tree:
    """All resources at one moment."""

    by_id: Mapping[int, Resource]
    ballot: Ballot = field(default_factory=Ballot)
    load: Mapping[int, float] = field(default_factory=dict)

    def named(self, name: str) -> Resource:
        """The resource of a name, or the leaf of a hierarchy `root;...;leaf`.

        Raises:
            NotFound: there is none (-78000).
        """
        wanted = name.rpartition(";")[2]
        for resource in self.by_id.values():
            if resource.name == wanted:
                return resource
        raise NotFound(f"there is no resource `{name}`", status=Status.SYS_RESC_DOES_NOT_EXIST)

    def root_named(self, name: str) -> Resource:
        """The resource of a name, which clients may address only when it is no child (-1816000)."""
        resource = self.named(name)
        if resource.parent_id is not None and ";" not in name:
            raise InvalidArgument(
                f"`{name}` is a part of `{self.hierarchy(resource.id)}`; address the first of these",
                status=Status.DIRECT_CHILD_ACCESS,
            )
        return resource

    def hierarchy(self, resource_id: int) -> str:
        return resource_rows.hierarchy(self.by_id, resource_id)

    def children(self, resource_id: int) -> list[Resource]:
        found = [resource for resource in self.by_id.values() if resource.parent_id == resource_id]
        return sorted(found, key=lambda resource: resource.id)

    def leaves(self, resource: Resource) -> list[Resource]:
        """The storage resources at or below one, in order of their ids."""
        if resource.type in STORAGE_TYPES:
            return [resource]
        return [leaf for child in self.children(resource.id) for leaf in self.leaves(child)]

    def is_within(self, resource_id: int, ancestor_id: int) -> bool:
        current: int | None = resource_id
        while current is not None:
            if current == ancestor_id:
                return True
            current = self.by_id[current].parent_id if current in self.by_id else None
        return False

    def is_down(self, resource: Resource) -> bool:
        current: Resource | None = resource
        while current is not None:
            if current.is_down:
                return True
            current = self.by_id.get(current.parent_id) if current.parent_id is not None else None
        return False

    def root_of(self, resource_id: int) -> Resource:
        """The resource at the top of the tree that one is in."""
        current = self.by_id[resource_id]
        while current.parent_id is not None and current.parent_id in self.by_id:
            current = self.by_id[current.parent_id]
        return current

    def node(self, resource: Resource) -> Node:
        """A resource and what is below it, as the ballot sees it."""
        coordinates = resource.type in COORDINATING_TYPES
        settings = _settings(resource.type if coordinates else "", resource.context)
        return Node(
            resource.id, resource.name, resource.type, resource.is_down,
            int(resource.free_space) if resource.free_space.isdigit() else None,
            int(settings.get("minimum_free_space_for_create_in_bytes", 0)),
            int(settings["maximum_file_size"]) if "maximum_file_size" in settings else None, settings,
            resource.parent_context.strip().lower(), self.load.get(resource.id, 0.0),
            tuple(self.node(child) for child in self.children(resource.id)) if coordinates else (),
        )  # fmt: skip

    def leaf_for_writing(self, resource: Resource, size_bytes: int) -> Resource:
        """The leaf that takes new bytes, by the votes of the tree at a resource.

        Raises:
            ResourceUnavailable: all are down.
            QuotaExceeded: none has the room its context demands, or takes a file so large (-311000).
            InvalidArgument: a coordinating resource without children.
        """
        node = self.node(resource)
        if self.is_down(resource):
            raise ResourceUnavailable(f"`{resource.name}` is marked down", status=Status.SYS_RESC_IS_DOWN)
        chosen = self.ballot.vote(node, VoteAsk(CREATE, size_bytes))
        if chosen is not None:
            return self.by_id[chosen.leaf.id]
        why = {refusal(leaf, size_bytes) for leaf in node.leaves() if not self.is_down(self.by_id[leaf.id])}
        if not self.leaves(resource):
            raise InvalidArgument(
                f"`{resource.name}` has no storage resource below it", status=Status.NO_NEXT_RESC_FOUND
            )
        if not why:
            raise ResourceUnavailable(f"`{resource.name}` is marked down", status=Status.SYS_RESC_IS_DOWN)
        if "" in why:
            raise ResourceUnavailable(
                f"`{resource.name}` has no child that takes new data; a compound resource needs one with the context `cache`",
                status=Status.NO_NEXT_RESC_FOUND,
            )
        raise QuotaExceeded(
            f"`{resource.name}` takes no file of {size_bytes} bytes: it is too large, or less room than asked for would be"
            " left",
            status=Status.USER_FILE_TOO_LARGE,
        )

    def best_of(self, replicas: list[Replica]) -> Replica:
        """The replica to read among some, by the votes of the trees they are in; those on disk before those on tape."""
        roots = {self.root_of(replica.resource_id).id for replica in replicas}
        if all(self.by_id[root].type in STORAGE_TYPES for root in roots):
            return min(
                replicas, key=lambda r: (r.is_offline, self.by_id[r.resource_id].type == "tape", r.number)
            )
        holders = {r.resource_id: "offline" if r.is_offline else "good" for r in replicas}
        votes = [
            vote
            for root in sorted(roots)
            if (vote := self.ballot.vote(self.node(self.by_id[root]), VoteAsk(OPEN, 0, holders))) is not None
        ]
        if not votes:
            return replicas[0]
        best = max(votes, key=lambda vote: vote.weight).leaf.id
        return next(replica for replica in replicas if replica.resource_id == best)

    def copies_missing(self, found: DataObject) -> list[Resource]:
        """The leaves that the trees of an object's good replicas still want a copy on."""
        good = [r for r in found.replicas if r.status is ReplicaStatus.GOOD]
        roots = {self.root_of(replica.resource_id).id for replica in good}
        states = {r.resource_id: "stale" for r in found.replicas} | {
            r.resource_id: "offline" if r.is_offline else "good" for r in good
        }
        ask = VoteAsk(CREATE, max((r.size_bytes for r in good), default=0), states)
        return [
            self.by_id[leaf.id]
            for root in sorted(roots)
            if self.by_id[root].type in COORDINATING_TYPES
            for leaf in self.ballot.missing(self.node(self.by_id[root]), ask)
        ]

    def cache_for(self, resource_id: int, size_bytes: int) -> Resource | None:
        """The cache leaf to stage to, of a compound resource in whose archive a resource is; None outside of one."""
        root = self.root_of(resource_id)
        if root.type not in COORDINATING_TYPES:
            return None
        cache = cache_in_front_of(self.node(root), resource_id)
        vote = self.ballot.vote(cache, VoteAsk(CREATE, size_bytes)) if cache is not None else None
        return None if vote is None else self.by_id[vote.leaf.id]


def _same_storage(made: Resource, resource: Resource) -> bool:
    """Whether a driver that was made for a resource still fits it."""
    if made.type == "memory":
        return True  # its files live as long as the driver does
    return (made.vault_path, made.host, made.context) == (
        resource.vault_path,
        resource.host,
        resource.context,
    )


def _take_over(driver: Driver, before: Driver | None) -> None:
    new, old = innermost(driver), None if before is None else innermost(before)
    if isinstance(new, BufferDriver) and isinstance(old, BufferDriver):
        new.take_over(old)


@lru_cache(maxsize=1024)
def _settings(kind: str, context: str) -> Mapping[str, Value]:
    """A context string as values; one from before it was checked says nothing where it says nonsense."""
    try:
        return read(context, CONTEXTS[kind] if kind else COMMON)
    except ContextError:
        return {}


class Storage:
    """The drivers of this process, and what opens replicas."""

    def __init__(self, zone: str, default_resource: str, factory: DriverFactory) -> None:
        self._zone = zone
        self.default_resource = default_resource
        self._factory = factory
        self._drivers: dict[int, tuple[Resource, Driver]] = {}
        self._checked: dict[int, float] = {}
        self._lock = threading.Lock()
        self._ballot = Ballot()

    def tree(self, tx: Transaction) -> Tree:
        known = resource_rows.all_by_id(tx)
        busy = any(resource.type == "load_balanced" for resource in known.values())
        return Tree(known, self._ballot, leases.open_writes_by_resource(tx) if busy else {})

    def driver(self, resource: Resource, *, check: bool = True) -> Driver:
        """The driver of a leaf, looked at again once a second.

        Raises:
            ResourceUnavailable: its vault is not there or not the right one.
        """
        if resource.type in COORDINATING_TYPES:
            raise InvalidArgument(f"`{resource.name}` holds no files itself", status=Status.HIERARCHY_ERROR)
        with self._lock:
            made, driver = self._drivers.get(resource.id) or (None, None)
            if made is None or driver is None or not _same_storage(made, resource):
                driver, before = self._factory(resource), driver
                _take_over(driver, before)
                self._drivers[resource.id] = resource, driver
        if check and time.monotonic() - self._checked.get(resource.id, -10.0) > _CHECK_EVERY_S:
            with storage_errors():
                driver.check()
            self._checked[resource.id] = time.monotonic()
        return driver

    def driver_for(self, database: Database, caller: Caller, resource: Resource, reservation: str) -> Driver:
        """The driver for who writes, out of a reservation where one is named.

        Raises:
            NotFound: the caller has no such reservation on this resource.
            ResourceUnavailable: as `driver`.
        """
        driver = self.driver(resource)
        if not reservation:
            return driver
        with database.read() as tx:
            found = space.reservation_or_none(tx, reservation)
        mine = found is not None and (caller.is_admin or found[1] == caller.user.full_name)
        if found is None or not mine or found[0] != resource.id:
            raise NotFound(f"you have no reservation `{reservation}` on `{resource.name}`, or it has ended")
        with storage_errors():
            return reserved(driver, reservation)

    def place_of(self, path: str) -> VaultPath:
        """Where the bytes of a logical path lie in any vault: the path without its zone."""
        return VaultPath.of(path[len(self._zone) + 1 :])

    def physical_path(self, resource: Resource, replica: Replica, path: str) -> str:
        """Where a replica's bytes lie, or will lie, as an administrator reads it."""
        if replica.physical_path:
            return replica.physical_path
        return self.driver(resource, check=False).physical_path(self.place_of(path))

    def _is_limited(self, resource: Resource) -> bool:
        said = _settings("", resource.context)
        return "max_rate" in said or "max_open" in said

    def vault_of(self, resource: Resource) -> Vault | None:
        """A resource as another process can reach it; None for one that is here only, or whose limits only drivers here keep to."""
        if self._is_limited(resource):
            return None
        if resource.type == "xrootd":
            return Vault(
                "xrootd", resource.vault_path, resource.id, *server_of(resource.host, resource.context)
            )
        kind = {"unixfilesystem": "disk", "buffer": "disk", "tape": "tape"}.get(resource.type)
        return None if kind is None else Vault(kind, resource.vault_path, resource.id)

    def file_of(self, resource: Resource, replica: Replica, path: str) -> There | None:
        """A replica's file as another process can read it; None for one that is here only."""
        vault = self.vault_of(resource)
        if vault is None:
            return None
        return There(vault, self.place_of(path).text, replica.staged_as, replica.physical_path)

    def pick_for_reading(
        self,
        tree: Tree,
        found: DataObject,
        *,
        resource_name: str = "",
        replica_number: int | None = None,
        preferred_name: str = "",
    ) -> Replica:
        """The replica that serves a read.

        Raises:
            NoGoodReplica: none matches (-164000, -168000), or none that is up is good.
            Locked status comes from the caller, which knows about tokens.
        """
        if replica_number is not None:
            for replica in found.replicas:
                if replica.number == replica_number:
                    return replica
            raise NoGoodReplica(
                f"`{found.path}` has no replica {replica_number}", status=Status.SYS_REPLICA_DOES_NOT_EXIST
            )
        candidates = list(found.replicas)
        if resource_name:
            wanted = tree.named(resource_name)
            candidates = [r for r in candidates if tree.is_within(r.resource_id, wanted.id)]
            if not candidates:
                raise NoGoodReplica(
                    f"`{found.path}` has no replica on `{resource_name}`",
                    status=Status.SYS_REPLICA_INACCESSIBLE,
                )
        usable = [r for r in candidates if not tree.is_down(tree.by_id[r.resource_id])]
        if not usable:
            raise NoGoodReplica(
                f"every resource that holds `{found.path}` is marked down",
                status=Status.SYS_REPLICA_INACCESSIBLE,
            )
        good = [r for r in usable if r.status is ReplicaStatus.GOOD]
        if preferred_name:
            preferred = tree.named(preferred_name)
            good = [r for r in good if tree.is_within(r.resource_id, preferred.id)] or good
        return tree.best_of(good) if len(good) > 1 else (good or usable)[0]

    def open_for_reading(self, database: Database, tree: Tree, replica: Replica, path: str) -> StoredFile:
        """Open a replica's bytes, wherever they are between staging area and logical place.

        Raises:
            ResourceUnavailable, StorageFailed: as the storage says.
        """
        resource = tree.by_id[replica.resource_id]
        driver = self.driver(resource)
        if replica.physical_path:
            with storage_errors():
                return RegisteredFiles.open(replica.physical_path)
        attempts: list[Callable[[], StoredFile]] = []
        if replica.staged_as:
            attempts.append(partial(driver.open_staged_for_reading, replica.staged_as))
        attempts.append(partial(driver.open, self.place_of(path)))
        for _ in range(3):
            for attempt in attempts:
                try:
                    with storage_errors():
                        return attempt()
                except StorageFailed as error:
                    if not isinstance(error.__cause__, FileMissing):
                        raise
            # the file is on its way between two names: whoever moves it does so inside a short transaction
            with database.read() as tx:
                current = object_rows.by_id_or_none(tx, replica.data_id)
            again = (
                next((r for r in current.replicas if r.number == replica.number), None) if current else None
            )
            if current is None or again is None:
                break
            attempts = [partial(driver.open, self.place_of(current.path))]
            if again.staged_as:
                attempts.insert(0, partial(driver.open_staged_for_reading, again.staged_as))
            time.sleep(0.02)
        raise StorageFailed(
            f"the file of replica {replica.number} of `{path}` is missing on `{resource.name}`",
            status=int(Status.UNIX_FILE_OPEN_ERR) - 2,
        )
