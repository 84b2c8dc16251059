"""Bookkeeping of limits that the processes of a zone keep to together: the bytes that pass, the files that are open."""

import threading
from collections.abc import Callable
from typing import Final

from grid.catalog import leases
from grid.catalog.database import Database, Transaction

PIECE_S: Final = 0.25
"""A process queues the bytes of so long at once, so that a small read costs no look at the catalog."""

LONGEST_S: Final = 600.0
"""Nothing is queued further ahead than this; what says so was left by a clock that has been set back."""


class CatalogUse:
    """The use of one resource by all processes; implements the wrappers' `Use`.

    Args:
        database: the zone's catalog.
        resource_id: the resource.
        lease: this process's lease, which its open files hang on.
    """

    def __init__(self, database: Database, resource_id: int, lease: Callable[[], int]) -> None:
        self._database = database
        self._id = resource_id
        self._lease = lease
        self._left = 0
        self._lock = threading.Lock()

    def turn(self, count: int, rate: float) -> float:
        with self._lock:
            wanted = count - self._left
            if wanted <= 0:
                self._left -= count
                return 0.0
            piece = max(wanted, int(rate * PIECE_S))
            with self._database.write(durable=False) as tx:
                begins, now = self._begins(tx), tx.now
                tx.run(
                    "UPDATE resource_use SET free_at = :at WHERE resource_id = :id",
                    {"at": begins + piece / rate, "id": self._id},
                )
            self._left = piece - wanted
            return begins - now + wanted / rate

    def _begins(self, tx: Transaction) -> float:
        tx.run(
            "INSERT INTO resource_use (resource_id) VALUES (:id) ON CONFLICT (resource_id) DO NOTHING",
            {"id": self._id},
        )
        free_at = float(
            tx.value(
                f"SELECT free_at FROM resource_use WHERE resource_id = :id{tx.database.for_update}",
                {"id": self._id},
            )
        )
        return free_at if tx.now < free_at < tx.now + LONGEST_S else tx.now

    def enter(self, files: int) -> bool:
        with self._database.write(durable=False) as tx:
            self._begins(tx)  # nobody else counts until this transaction ends
            if self._open(tx) >= files:
                self._forget_dead(tx)
                if self._open(tx) >= files:
                    return False
            tx.run(
                "INSERT INTO resource_files (resource_id, lease_id, files) VALUES (:id, :lease, 1)"
                " ON CONFLICT (resource_id, lease_id) DO UPDATE SET files = resource_files.files + 1",
                {"id": self._id, "lease": self._lease()},
            )
            return True

    def _open(self, tx: Transaction) -> int:
        return int(
            tx.value(
                "SELECT COALESCE(sum(files), 0) FROM resource_files WHERE resource_id = :id", {"id": self._id}
            )
        )

    def _forget_dead(self, tx: Transaction) -> None:
        """Files that were open in processes that are gone."""
        for (lease_id,) in tx.all(
            "SELECT lease_id FROM resource_files WHERE resource_id = :id", {"id": self._id}
        ):
            if lease_id != self._lease() and leases.lease_is_void(tx, int(lease_id)):
                tx.run("DELETE FROM resource_files WHERE lease_id = :lease", {"lease": lease_id})

    def leave(self) -> None:
        with self._database.write(durable=False) as tx:
            tx.run(
                "UPDATE resource_files SET files = files - 1 WHERE resource_id = :id AND lease_id = :lease AND files > 0",
                {"id": self._id, "lease": self._lease()},
            )
