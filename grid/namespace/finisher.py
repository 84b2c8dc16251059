"""Makes the vaults match the catalog: moves staged files to their places, and does the noted work on files.

The catalog is the truth; everything here is idempotent and may be done by any process at any time. Work on one
catalog happens inside a write transaction, so two processes never do it at once, in the order of the tasks:
renames and removals first, then placements, which therefore always land in the tree as the catalog has it.
"""

import json
import logging
import threading
import time
from typing import Final

from grid.catalog import journal, leases, tape, trees
from grid.catalog import objects as object_rows
from grid.catalog.database import Transaction
from grid.catalog.journal import VaultTask
from grid.errors import GridError
from grid.model import Replica
from grid.namespace import steps
from grid.namespace.context import NamespaceContext
from grid.namespace.storage import Tree
from resources import FileMissing, ResourceError, VaultPath

BATCH: Final = 200
ACCESS_RESOLUTION_S: Final = 3600.0
_ORPHAN_AGE_S: Final = 3600.0

_log = logging.getLogger("beamgrid.finisher")


class Finisher:
    """One per process; `wake` after a commit that left something to do."""

    def __init__(self, context: NamespaceContext, *, interval_s: float = 0.05) -> None:
        self._context = context
        self._interval_s = interval_s
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._turn = threading.Lock()
        self._accessed: dict[tuple[int, int], str] = {}
        self.last_error = ""

    def place_soon(self) -> None:
        """Say that a commit left a file in the staging area; many are placed together, a moment later.

        Whoever reads it meanwhile finds it under its staged name.
        """
        self._wanted.set()

    def settle(self) -> None:
        """Do what the last commit left, now; with others' leftovers when several ask at once.

        When that is not possible (a vault that is away), the background thread goes on trying.
        """
        try:
            with self._turn:
                if self.finish(sure=True) >= BATCH:
                    self.wake()
        except GridError as error:
            self.last_error = str(error)
            _log.warning("files could not be put in order yet: %s", error)
            self.wake()

    def note_access(self, replica: Replica) -> None:
        """Remember that a replica was read; written in batches, and at most once an hour for each."""
        now = time.time()
        if now - float(replica.access_time or 0) > ACCESS_RESOLUTION_S:
            self._accessed[replica.data_id, replica.number] = f"{int(now):011d}"
            self.wake()

    def write_access_times(self) -> int:
        """Write what `note_access` remembered; says how many replicas that were."""
        accessed, self._accessed = self._accessed, {}
        if accessed:
            with self._context.database.write(durable=False) as tx:
                object_rows.set_access_times(tx, accessed)
        return len(accessed)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="finisher", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._wanted.set()

    def stop(self) -> None:
        """Do what is left and end."""
        self._stopping.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if not self._stopping.is_set():
                time.sleep(self._interval_s)  # so that one transaction serves many puts
            try:
                with self._turn:
                    while self.finish() >= BATCH:
                        pass
                self.write_access_times()
            except GridError as error:
                self.last_error = str(error)
                _log.warning("files could not be put in order yet: %s", error)
                if not self._stopping.wait(1.0):
                    self._wanted.set()
            if self._stopping.is_set():
                return

    def finish(self, *, sure: bool = False) -> int:
        """Do one batch; says how many steps there were, so that fewer than `BATCH` means: all.

        Args:
            sure: there is something to do, as after a commit of one's own; saves looking first.
        """
        database = self._context.database
        if not sure:
            with database.read() as tx:
                if not journal.has_vault_tasks(tx) and not object_rows.staged_replicas(tx, limit=1):
                    return 0
        with database.write(durable=False) as tx:
            tree = self._context.storage.tree(tx)
            tasks = journal.vault_tasks(tx, limit=BATCH)
            blocked: set[int] = set()
            for task in tasks:
                self._do_task(tx, tree, task, blocked)
            count = len(tasks)
            if count < BATCH:
                count += self._place_batch(tx, tree, blocked)
        return count

    def _do_task(self, tx: Transaction, tree: Tree, task: VaultTask, blocked: set[int]) -> None:
        resource = tree.by_id.get(task.resource_id)
        if resource is None:
            journal.vault_task_done(tx, task.id)
            return
        if task.resource_id in blocked:
            return
        try:
            driver = self._context.storage.driver(resource)
            steps.reached("task.before")
            if task.kind == "unlink":
                driver.unlink(VaultPath.of(task.path))
            elif task.kind == "unlink_staged":
                driver.unlink_staged(task.path)
            elif task.kind == "move":
                driver.move(VaultPath.of(task.path), VaultPath.of(task.target))
            else:
                driver.remove_folder(VaultPath.of(task.path))
            steps.reached("task.done")
        except (ResourceError, GridError) as error:
            # later work on this resource waits, so that its order is kept
            blocked.add(task.resource_id)
            self.last_error = str(error)
            _log.warning("task %d (%s %s) waits: %s", task.id, task.kind, task.path, error)
            return
        journal.vault_task_done(tx, task.id)
        steps.reached("task.after")

    def _place_batch(self, tx: Transaction, tree: Tree, blocked: set[int]) -> int:
        staged = object_rows.staged_replicas(tx, limit=BATCH)
        placed: dict[int, list[tuple[Replica, VaultPath]]] = {}
        for replica, path in staged:
            if replica.resource_id in blocked:
                continue
            place = self._context.storage.place_of(path)
            try:
                driver = self._context.storage.driver(tree.by_id[replica.resource_id])
                steps.reached("place.before")
                driver.place(replica.staged_as, place)
                steps.reached("place.renamed")
            except FileMissing as error:
                _log.error("the bytes of %s are missing: %s", path, error)
                continue
            except (ResourceError, GridError) as error:
                self.last_error = str(error)
                _log.warning("%s stays in the staging area: %s", path, error)
                continue
            placed.setdefault(replica.resource_id, []).append((replica, place))
        for resource_id, entries in placed.items():
            try:
                self._context.storage.driver(tree.by_id[resource_id]).sync_places(
                    [place for _, place in entries]
                )
            except (ResourceError, GridError) as error:
                self.last_error = str(error)  # they are placed, but not for good: all of it is done again
                _log.warning("%d files on %s are placed again: %s", len(entries), resource_id, error)
                continue
            if tree.by_id[resource_id].type == "tape":
                tape.land(tx, resource_id, [replica.data_id for replica, _ in entries])
            tx.run_many(
                "UPDATE replicas SET staged_as = '' WHERE data_id = :id AND number = :n AND staged_as = :s",
                [{"id": r.data_id, "n": r.number, "s": r.staged_as} for r, _ in entries],
            )
        steps.reached("place.after")
        return len(staged) if placed else 0

    def recover(self) -> None:
        """What a starting process does: void dead leases, undo their open writes, finish what they left."""
        context = self._context
        with context.database.write() as tx:
            for lease_id in leases.void_leases(tx):
                if lease_id != context.lease_id:
                    leases.give_back(tx, lease_id)
            for entry in leases.orphaned_opens(tx):
                undo_open(tx, entry)
            trees.forget_streams(tx)
        while self.finish() >= BATCH:
            pass

    def sweep_staging(self) -> int:
        """Remove staged files that nothing refers to, an hour after their last change."""
        removed = 0
        with self._context.database.read() as tx:
            tree = self._context.storage.tree(tx)
        for resource in tree.by_id.values():
            if tree.children(resource.id) or resource.name == "bundleResc":
                continue
            try:
                driver = self._context.storage.driver(resource)
                old = [n for n, changed in driver.staged_names() if time.time() - changed > _ORPHAN_AGE_S]
                for name in old:
                    with self._context.database.read() as tx:
                        used = tx.one(
                            "SELECT 1 FROM replicas WHERE staged_as = :n UNION ALL"
                            " SELECT 1 FROM open_writes WHERE staged_as = :n LIMIT 1",
                            {"n": name},
                        )
                    if used is None:
                        driver.unlink_staged(name)
                        removed += 1
            except (ResourceError, GridError) as error:
                _log.info("the staging area of %s was not swept: %s", resource.name, error)
        return removed


def undo_open(tx: Transaction, entry: leases.OpenWrite) -> None:
    """Bring a data object back to the state before a write that will not be finished."""
    leases.delete_open(tx, entry.token)
    row = tx.one(
        "SELECT resource_id FROM replicas WHERE data_id = :id AND number = :n",
        {"id": entry.data_id, "n": entry.replica_number},
    )
    if row is not None and entry.staged_as:
        journal.add_vault_task(tx, int(row[0]), "unlink_staged", entry.staged_as)
    previous: dict[str, int] = json.loads(entry.previous or "{}")
    if entry.is_new:
        object_rows.delete_replica(tx, entry.data_id, entry.replica_number)
    for number, status in previous.items():
        object_rows.update_replica(tx, entry.data_id, int(number), status=status)
    if entry.is_new and not previous:
        object_rows.delete_object(tx, entry.data_id)
