"""Streams of detector frames: who opened them, which gateway looks after them, and how they stand."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grid.catalog import leases
from grid.catalog.database import Row, Transaction

_COLUMNS: Final = (
    "id, path, detector, scan, format, source, resource, reservation, token, user_name, user_zone, settings, state, reason, figures, files, result,"
    " stop, lease_id, attempts, asked_at, began_at, ended_at"
)
WAITING, OPEN, RECEIVING, CLOSING, DONE, FAILED = "waiting", "open", "receiving", "closing", "done", "failed"
ALIVE: Final = (WAITING, OPEN, RECEIVING, CLOSING)
_ALIVE: Final = "state IN ('waiting', 'open', 'receiving', 'closing')"
MOST_ATTEMPTS: Final = 5
RESERVED_S: Final = 3600.0
"""So long is the room of a stream kept that nobody speaks for any more."""


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A stream. Times in s since the epoch; `settings`, `figures`, `files` and `result` as JSON says them."""

    id: int
    path: str
    detector: str
    scan: str
    format: str
    source: str
    resource: str
    reservation: str
    token: str
    user_name: str
    user_zone: str
    settings: Mapping[str, Any]
    state: str
    reason: str
    figures: Mapping[str, Any]
    files: Sequence[Mapping[str, Any]]
    result: Mapping[str, Any]
    stop: bool
    lease_id: int | None
    attempts: int
    asked_at: float
    began_at: float
    ended_at: float

    @property
    def is_alive(self) -> bool:
        return self.state in ALIVE


def _stream(row: Row) -> StreamRow:
    found = list(row)
    for place in (11, 14, 15, 16):
        found[place] = json.loads(found[place])
    found[17] = bool(found[17])
    return StreamRow(*found)


def ask(
    tx: Transaction, path: str, detector: str, user: tuple[str, str], *, format: str, source: str, resource: str, reservation: str, token: str,
    scan: str, settings: Mapping[str, Any],
) -> int:  # fmt: skip
    """Open a stream; a gateway takes it."""
    stream_id = tx.new_id()
    tx.run(
        "INSERT INTO streams (id, path, detector, scan, format, source, resource, reservation, token, user_name, user_zone, settings, state, asked_at)"
        " VALUES (:id, :path, :detector, :scan, :format, :source, :resource, :reservation, :token, :user, :zone, :settings, 'waiting', :now)",
        {"id": stream_id, "path": path, "detector": detector, "scan": scan, "format": format, "source": source, "resource": resource,
         "reservation": reservation, "token": token, "user": user[0], "zone": user[1], "settings": json.dumps(settings), "now": tx.now},
    )  # fmt: skip
    return stream_id


def by_id_or_none(tx: Transaction, stream_id: int) -> StreamRow | None:
    row = tx.one(f"SELECT {_COLUMNS} FROM streams WHERE id = :id", {"id": stream_id})
    return None if row is None else _stream(row)


def alive_at_or_none(tx: Transaction, path: str) -> StreamRow | None:
    """The stream that writes at a path."""
    row = tx.one(f"SELECT {_COLUMNS} FROM streams WHERE path = :path AND {_ALIVE}", {"path": path})
    return None if row is None else _stream(row)


def of_scan(tx: Transaction, scan: str) -> list[StreamRow]:
    """The streams whose detectors are joined; the first one that was opened first."""
    return [
        _stream(row)
        for row in tx.all(f"SELECT {_COLUMNS} FROM streams WHERE scan = :scan ORDER BY id", {"scan": scan})
    ]


def listed(tx: Transaction, *, user: tuple[str, str] | None, alive_only: bool, limit: int) -> list[StreamRow]:
    """The latest first; of everybody without a user."""
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM streams WHERE (:all = 1 OR (user_name = :name AND user_zone = :zone)) AND (:alive = 0 OR {_ALIVE})"
        " ORDER BY id DESC LIMIT :n",
        {"all": int(user is None), "name": user[0] if user else "", "zone": user[1] if user else "", "alive": int(alive_only), "n": limit},
    )  # fmt: skip
    return [_stream(row) for row in rows]


def something_waits(tx: Transaction, lease_id: int) -> bool:
    """Whether there may be a stream to take."""
    return tx.value(
        f"SELECT 1 FROM streams WHERE {_ALIVE} AND (lease_id IS NULL OR lease_id <> :lease) LIMIT 1", {"lease": lease_id}
    ) is not None  # fmt: skip


def take(tx: Transaction, lease_id: int) -> StreamRow | None:
    """A stream that no gateway who lives looks after; this process does from now on.

    One whose gateways died too often is failed: it may be what they died of. What it had stored stays in its spool.
    """
    for row in tx.all(
        f"SELECT id, lease_id, attempts FROM streams WHERE {_ALIVE} ORDER BY id{tx.database.for_update}"
    ):
        if row[1] == lease_id or (row[1] is not None and not leases.lease_is_void(tx, int(row[1]))):
            continue
        if row[2] >= MOST_ATTEMPTS:
            end(
                tx,
                int(row[0]),
                FAILED,
                f"{row[2]} gateways ended while they looked after it; its spool is kept",
                {},
            )
            continue
        tx.run(
            "UPDATE streams SET lease_id = :lease, attempts = attempts + 1 WHERE id = :id",
            {"lease": lease_id, "id": row[0]},
        )
        return by_id_or_none(tx, int(row[0]))
    return None


def put_back(tx: Transaction, stream_id: int, lease_id: int) -> None:
    """Let another gateway go on: this one is told to end. That attempt does not count."""
    tx.run(
        "UPDATE streams SET lease_id = NULL, attempts = attempts - 1 WHERE id = :id AND lease_id = :lease",
        {"id": stream_id, "lease": lease_id},
    )


def tell(
    tx: Transaction, stream_id: int, lease_id: int, state: str, figures: Mapping[str, Any]
) -> bool | None:
    """Note how it stands, and keep its room; whether it is to stop, None where it is not this gateway's any more."""
    changed = tx.run(
        "UPDATE streams SET state = :state, figures = :figures, began_at = CASE WHEN began_at = 0 THEN :now ELSE began_at END"
        f" WHERE id = :id AND lease_id = :lease AND {_ALIVE}",
        {"state": state, "figures": json.dumps(figures), "now": tx.now, "id": stream_id, "lease": lease_id},
    )
    if changed != 1:
        return None
    tx.run(
        "UPDATE space_reservations SET until = :until WHERE key IN (SELECT reservation FROM streams WHERE id = :id AND reservation <> '')",
        {"until": tx.now + RESERVED_S, "id": stream_id},
    )
    return bool(tx.value("SELECT stop FROM streams WHERE id = :id", {"id": stream_id}))


def note_files(tx: Transaction, stream_id: int, lease_id: int, files: Sequence[Mapping[str, Any]]) -> bool:
    """Note which data files are closed and safe; False where it is not this gateway's any more."""
    return (
        tx.run(
            f"UPDATE streams SET files = :files WHERE id = :id AND lease_id = :lease AND {_ALIVE}",
            {"files": json.dumps(list(files)), "id": stream_id, "lease": lease_id},
        )
        == 1
    )


def ask_to_stop(tx: Transaction, stream_id: int) -> bool:
    """Have it end with what came so far; False where it is over. One that no gateway took yet is over at once."""
    tx.run("UPDATE streams SET stop = 1 WHERE id = :id", {"id": stream_id})
    row = tx.one(f"SELECT state, lease_id FROM streams WHERE id = :id AND {_ALIVE}", {"id": stream_id})
    if row is not None and row[0] == WAITING and row[1] is None:
        end(tx, stream_id, DONE, "stopped before a gateway took it", {})
    return row is not None


def end(tx: Transaction, stream_id: int, state: str, reason: str, result: Mapping[str, Any]) -> bool:
    """Say that it is over, and give its room back; False where it was over already."""
    ended = tx.run(
        f"UPDATE streams SET state = :state, reason = :reason, result = :result, ended_at = :now, lease_id = NULL WHERE id = :id AND {_ALIVE}",
        {"state": state, "reason": reason, "result": json.dumps(result), "now": tx.now, "id": stream_id},
    )
    if ended:
        tx.run(
            "DELETE FROM space_reservations WHERE key IN (SELECT reservation FROM streams WHERE id = :id AND reservation <> '')",
            {"id": stream_id},
        )
    return ended == 1


def reopen(tx: Transaction, stream_id: int) -> bool:
    """Have one that failed taken up again; False where it did not fail."""
    return (
        tx.run(
            "UPDATE streams SET state = 'waiting', reason = '', attempts = 0, stop = 0, lease_id = NULL, ended_at = 0 WHERE id = :id AND state = 'failed'",
            {"id": stream_id},
        )
        == 1
    )


def tidy(tx: Transaction, older_than_s: float) -> int:
    """Forget streams that ended well so long ago; returns how many. One that failed has frames in its spool, and is not forgotten."""
    return tx.run(
        "DELETE FROM streams WHERE state = 'done' AND ended_at < :before", {"before": tx.now - older_than_s}
    )
