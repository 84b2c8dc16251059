"""Process leases, and the open writes that hang on them.

A lease belongs to a server process; it renews one row, single opens renew nothing. A lease is void at once when
its process is known dead on this host, and after `SILENCE_S` of silence elsewhere. What a void lease held is
given back by whoever finds it.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from grid.catalog.database import Transaction

RENEW_EVERY_S: Final = 5.0
SILENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class OpenWrite:
    """A replica that some connection of some process is writing."""

    token: str
    data_id: int
    replica_number: int
    lease_id: int
    staged_as: str
    is_new: bool
    previous: str
    opened_at: float
    reservation: str = ""

    def of(self, data_id: int) -> "OpenWrite":
        """The same for an object whose id is known only now."""
        return replace(self, data_id=data_id)


def boot_id() -> str:
    """What tells this run of the machine from the last one; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def process_start(pid: int) -> str:
    """When a process of this host began, in clock ticks since boot; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def take(tx: Transaction, role: str) -> int:
    """A lease for this process."""
    lease_id = tx.new_id()
    tx.run(
        "INSERT INTO leases (id, host, boot_id, pid, start_time, role, renewed_at)"
        " VALUES (:id, :host, :boot, :pid, :start, :role, :now)",
        {
            "id": lease_id,
            "host": os.uname().nodename,
            "boot": boot_id(),
            "pid": os.getpid(),
            "start": process_start(os.getpid()),
            "role": role,
            "now": tx.now,
        },
    )
    return lease_id


def renew(tx: Transaction, lease_id: int) -> bool:
    """Say that the process lives; False when its lease was declared void meanwhile."""
    return tx.run("UPDATE leases SET renewed_at = :now WHERE id = :id", {"now": tx.now, "id": lease_id}) == 1


def give_back(tx: Transaction, lease_id: int) -> None:
    tx.run("DELETE FROM leases WHERE id = :id", {"id": lease_id})


def is_held(tx: Transaction, lease_id: int) -> bool:
    """The fencing check of a commit: whether the lease is still in the catalog."""
    return tx.one("SELECT 1 FROM leases WHERE id = :id", {"id": lease_id}) is not None


def _is_void(row: tuple[object, ...], now: float) -> bool:
    host, boot, pid, start, renewed = row
    if host == os.uname().nodename:
        if boot != boot_id():
            return True
        return process_start(int(str(pid))) != start
    return now - float(str(renewed)) > SILENCE_S


def lease_is_void(tx: Transaction, lease_id: int) -> bool:
    """Whether whoever held this lease is gone."""
    row = tx.one(
        "SELECT host, boot_id, pid, start_time, renewed_at FROM leases WHERE id = :id", {"id": lease_id}
    )
    return row is None or _is_void(row, tx.now)


def somebody_lives(tx: Transaction) -> bool:
    """Whether any process of the zone holds a lease that is not void."""
    rows = tx.all("SELECT host, boot_id, pid, start_time, renewed_at FROM leases")
    return any(not _is_void(row, tx.now) for row in rows)


def void_leases(tx: Transaction) -> list[int]:
    """The leases whose processes are gone."""
    rows = tx.all("SELECT id, host, boot_id, pid, start_time, renewed_at FROM leases")
    return [row[0] for row in rows if _is_void(row[1:], tx.now)]


def _open_write(row: tuple[object, ...]) -> OpenWrite:
    return OpenWrite(
        str(row[0]), int(str(row[1])), int(str(row[2])), int(str(row[3])), str(row[4]), bool(row[5]), str(row[6]),
        float(str(row[7])), str(row[8]),
    )  # fmt: skip


_COLUMNS: Final = (
    "token, data_id, replica_number, lease_id, staged_as, is_new, previous, opened_at, reservation"
)


def insert_open(tx: Transaction, entry: OpenWrite) -> None:
    tx.run(
        f"INSERT INTO open_writes ({_COLUMNS})"
        " VALUES (:token, :data, :number, :lease, :staged, :new, :previous, :opened, :reservation)",
        {
            "token": entry.token,
            "data": entry.data_id,
            "number": entry.replica_number,
            "lease": entry.lease_id,
            "staged": entry.staged_as,
            "new": int(entry.is_new),
            "previous": entry.previous,
            "opened": entry.opened_at,
            "reservation": entry.reservation,
        },
    )


def open_writes_by_resource(tx: Transaction) -> dict[int, float]:
    """How many replicas are open for writing, by resource."""
    rows = tx.all(
        "SELECT r.resource_id, count(*) FROM open_writes w JOIN replicas r ON r.data_id = w.data_id"
        " AND r.number = w.replica_number GROUP BY r.resource_id"
    )
    return {int(row[0]): float(row[1]) for row in rows}


def open_of_object(tx: Transaction, data_id: int) -> OpenWrite | None:
    row = tx.one(f"SELECT {_COLUMNS} FROM open_writes WHERE data_id = :id", {"id": data_id})
    return None if row is None else _open_write(row)


def open_by_token(tx: Transaction, token: str) -> OpenWrite | None:
    row = tx.one(f"SELECT {_COLUMNS} FROM open_writes WHERE token = :token", {"token": token})
    return None if row is None else _open_write(row)


def orphaned_opens(tx: Transaction) -> list[OpenWrite]:
    """Open writes whose lease is not in the catalog any more."""
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM open_writes WHERE NOT EXISTS"
        " (SELECT 1 FROM leases l WHERE l.id = open_writes.lease_id)"
    )
    return [_open_write(row) for row in rows]


def delete_open(tx: Transaction, token: str) -> bool:
    return tx.run("DELETE FROM open_writes WHERE token = :token", {"token": token}) == 1
