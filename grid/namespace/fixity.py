"""Whether replicas still are what was recorded of them: reading, comparing, naming the bad one, repairing it."""

from dataclasses import dataclass
from typing import Final, Protocol

from grid import paths
from grid.catalog import objects as object_rows
from grid.catalog import promises
from grid.errors import ChecksumMismatch, GridError, NoGoodReplica, NotFound
from grid.model import Access, Caller, DataObject, Replica, ReplicaStatus, Resource
from grid.namespace import trees
from grid.namespace.context import NamespaceContext
from grid.namespace.digests import ALGORITHMS, from_hex, of_file, scheme_of
from grid.namespace.found import object_facts
from grid.namespace.ports import Event
from grid.namespace.replicas import Replicas
from grid.namespace.storage import Tree, storage_errors
from provenance.blocks import BlockTree
from resources import ResourceError, StoredFile
from resources.remote import look

SAME, BAD, UNREADABLE, ON_TAPE, NOT_GOOD, REPAIRED = (
    "same",
    "bad",
    "unreadable",
    "on tape",
    "not good",
    "repaired",
)
UNRECORDED: Final = "recorded now"


class Pace(Protocol):
    """Lets bytes pass at a rate, in bytes/s."""

    rate: float

    def __call__(self, count: int) -> None:
        """So many more passed; may wait."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one replica.

    `what` is `same`, `recorded now` (there was no checksum to compare with), `bad`, `unreadable`, `repaired`, `on tape`
    or `not good` (it was not read).
    """

    path: str
    number: int
    resource: str
    what: str
    reason: str = ""
    read_bytes: int = 0

    @property
    def is_bad(self) -> bool:
        return self.what in (BAD, UNREADABLE)


class Fixity:
    """Operations that compare bytes with what the catalog says of them."""

    def __init__(self, context: NamespaceContext, replicas: Replicas) -> None:
        self._context = context
        self._replicas = replicas

    def verify(
        self, caller: Caller, text: str, number: int, *, pace: Pace | None = None, repair: bool = False
    ) -> Outcome:
        """Read one replica and compare it with its recorded checksum; a bad one is stale from then on.

        Args:
            caller: on whose behalf.
            text: path of the data object.
            number: of the replica.
            pace: called with each count of bytes that were read; may wait.
            repair: make a bad one good again from another good replica.

        Raises:
            NotFound, AccessDenied, PolicyDenied: as reading.
            NoGoodReplica: there is no replica of that number.
        """
        path = self._context.path(text).text
        found, tree = self._context.load(path, caller, Access.READ, caller.is_admin)
        replica = next((r for r in found.replicas if r.number == number), None)
        if replica is None:
            raise NoGoodReplica(f"`{paths.printable(path)}` has no replica {number}")
        resource = tree.by_id[replica.resource_id]
        if replica.status is not ReplicaStatus.GOOD:
            return Outcome(path, number, resource.name, NOT_GOOD)
        if replica.is_offline:
            return Outcome(path, number, resource.name, ON_TAPE)
        facts = {
            "object": object_facts(found, tree),
            "replica": {"number": number, "resource": resource.name},
        }
        event = Event("replica", "verify", caller, path, found.id, facts)
        self._context.policy.before(event)
        outcome, digest = self._compared(found, tree, replica, resource, pace)
        self._record(event, found, replica, outcome, digest)
        return self._repaired(caller, outcome, resource) if outcome.is_bad and repair else outcome

    def _compared(
        self, found: DataObject, tree: Tree, replica: Replica, resource: Resource, pace: Pace | None
    ) -> tuple[Outcome, str]:
        path = found.path
        blocks = trees.recorded(self._context.database, found.id)
        elsewhere = self._seen_elsewhere(found, replica, resource, pace)
        if elsewhere is not None and (
            blocks is None or elsewhere[:2] == (replica.size_bytes, replica.checksum)
        ):
            return self._judged(path, replica, resource, *elsewhere)
        try:
            file = self._context.storage.open_for_reading(self._context.database, tree, replica, path)
            paced = _Paced(file, pace)
            try:
                with storage_errors():
                    size = file.size()
                    digest = of_file(paced, scheme_of(replica.checksum) if replica.checksum else "sha2")
                same = size == replica.size_bytes and digest == replica.checksum
                where = "" if blocks is None or same else trees.difference(blocks, trees.of_file(paced))
            finally:
                file.close()
        except GridError as error:
            if error.retry:
                raise  # the storage is away, which says nothing of the bytes
            return Outcome(path, replica.number, resource.name, UNREADABLE, str(error)), ""
        return self._judged(path, replica, resource, size, digest, paced.count, where)

    def _seen_elsewhere(
        self, found: DataObject, replica: Replica, resource: Resource, pace: Pace | None
    ) -> tuple[int, str, int] | None:
        """Size, checksum and bytes read by who computes beside the storage; None where it has to be done here."""
        computing, file = (
            self._context.computing,
            self._context.storage.file_of(resource, replica, found.path),
        )
        if computing is None or file is None:
            return None
        scheme = scheme_of(replica.checksum) if replica.checksum else "sha2"
        try:
            seen = computing.run(look, file, ALGORITHMS[scheme], pace.rate if pace is not None else 0.0)
        except ResourceError:
            return None  # it may be on its way between two names: here one looks in both
        return seen.size, from_hex(scheme, seen.digest), seen.size

    def _judged(
        self, path: str, replica: Replica, resource: Resource, size: int, digest: str, read_bytes: int,
        where: str = "",
    ) -> tuple[Outcome, str]:  # fmt: skip
        if size != replica.size_bytes:
            reason = f"the file has {size} bytes, the catalog says {replica.size_bytes}"
        elif replica.checksum and digest != replica.checksum:
            reason = f"computed {digest}, recorded {replica.checksum}"
        elif where:
            reason = where
            where = ""
        else:
            what = SAME if replica.checksum else UNRECORDED
            return Outcome(path, replica.number, resource.name, what, read_bytes=read_bytes), digest
        reason = f"{reason}; {where}" if where else reason
        return Outcome(path, replica.number, resource.name, BAD, reason, read_bytes), digest

    def _record(
        self, event: Event, found: DataObject, replica: Replica, outcome: Outcome, digest: str
    ) -> None:
        key = {"id": found.id, "n": replica.number, "m": replica.modify_time}
        with self._context.database.write() as tx:
            if outcome.is_bad:
                changed = tx.run(
                    "UPDATE replicas SET status = :stale, comments = :why WHERE data_id = :id AND number = :n"
                    " AND modify_time = :m AND status = :good",
                    {
                        **key,
                        "stale": int(ReplicaStatus.STALE),
                        "good": int(ReplicaStatus.GOOD),
                        "why": outcome.reason[:900],
                    },
                )
                if changed:
                    promises.queue(tx, found.id)
            elif outcome.what == UNRECORDED:
                tx.run(
                    "UPDATE replicas SET checksum = :c WHERE data_id = :id AND number = :n AND modify_time = :m"
                    " AND checksum = ''",
                    {**key, "c": digest},
                )
            self._context.happened(
                tx, event, number=replica.number, outcome=outcome.what, reason=outcome.reason
            )

    def _repaired(self, caller: Caller, outcome: Outcome, resource: Resource) -> Outcome:
        with self._context.database.read() as tx:
            hierarchy = self._context.storage.tree(tx).hierarchy(resource.id)
        try:
            self._replicas.replicate(caller, outcome.path, hierarchy, update=True)
        except (NoGoodReplica, ChecksumMismatch) as error:
            return Outcome(
                outcome.path, outcome.number, outcome.resource, outcome.what,
                f"{outcome.reason}; it could not be repaired: {error}", outcome.read_bytes,
            )  # fmt: skip
        return Outcome(
            outcome.path, outcome.number, outcome.resource, REPAIRED, outcome.reason, outcome.read_bytes
        )

    def tree(self, caller: Caller, text: str) -> BlockTree:
        """The tree over the blocks of an object's content.

        Raises:
            NotFound: no such object, or none was made of this content.
            AccessDenied, PolicyDenied: as looking at it.
        """
        path = self._context.path(text).text
        found, resources = self._context.load(path, caller, Access.READ, caller.is_admin)
        facts = {"object": object_facts(found, resources)}
        self._context.policy.witness(Event("object", "stat", caller, path, found.id, facts))
        tree = trees.recorded(self._context.database, found.id)
        if tree is None:
            raise NotFound(
                f"`{paths.printable(path)}` has no block tree; the setting `block_trees` has one made of what is stored"
            )
        return tree

    def mark_damaged(self, caller: Caller, text: str, number: int, reason: str) -> None:
        """Say that a replica is not good any more; one that is not, or is gone, stays as it is."""
        path = self._context.path(text).text
        found, tree = self._context.load(path, caller, Access.WRITE, caller.is_admin)
        replica = next((r for r in found.replicas if r.number == number), None)
        if replica is None or replica.status is not ReplicaStatus.GOOD:
            return
        name = tree.by_id[replica.resource_id].name
        event = Event(
            "replica", "verify", caller, path, found.id, {"replica": {"number": number, "resource": name}}
        )
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            object_rows.update_replica(tx, found.id, number, status=int(ReplicaStatus.STALE), comments=reason)
            promises.queue(tx, found.id)
            self._context.happened(tx, event, number=number, outcome=BAD, reason=reason)


class _Paced:
    """A file that tells how much of it was read."""

    def __init__(self, file: StoredFile, pace: Pace | None) -> None:
        self._file = file
        self._pace = pace
        self.count = 0

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> int:
        count = self._file.read_into(buffer, offset)
        self.count += count
        if self._pace is not None:
            self._pace(count)
        return count

    def size(self) -> int:
        return self._file.size()

    def descriptor(self) -> int | None:
        return None

    def close(self) -> None:
        self._file.close()
