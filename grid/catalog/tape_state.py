"""One tape library's state in the catalog; implements the library's `TapeState`.

Sums of what is queued are kept by cartridge and user, so that choosing a cartridge and telling a user where in the
queue a request stands cost the same among a thousand requests and a million.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from grid import paths
from grid.catalog import journal, promises
from grid.catalog.database import Database, Row, Transaction
from grid.catalog.tape import REQUEST, as_request, request_or_none
from grid.model import TAPE, TAPE_AND_DISK, ReplicaStatus
from resources.tape.media import Entry
from resources.tape.scheduler import Waiting, Wanted
from resources.tape.state import ACTIVE, OVER, Ask, Cartridge, Landed, Moment, Request

_ENTRY: Final = "file_id, name, cartridge, container, offset_bytes, start, size_bytes, digest"
_CHANGEABLE: Final = frozenset(
    {"capacity_bytes", "used_bytes", "deleted_bytes", "mounts", "condition", "bad_blocks"}
)
_SERVICE: Final = "tape library"


Over = Callable[[Transaction, int, Request], None]
"""Told of a resource's request that is over."""


class CatalogTapeState:
    """One library's state.

    Args:
        database: the zone's catalog.
        resource_id: the tape resource.
        zone: the zone's name, which is no part of a place in a vault.
        library_time: the library's time at a wall's time.
        over: told, inside the transaction, of every recall that is over.
    """

    def __init__(
        self, database: Database, resource_id: int, zone: str, library_time: Callable[[float], float] = float,
        over: Over | None = None,
    ) -> None:  # fmt: skip
        self._over = over
        self._library_time = library_time
        self._database = database
        self._id = resource_id
        self._zone = zone

    def _of(self, **values: Any) -> dict[str, Any]:
        return {"resource": self._id, **values}

    # -- cartridges ------------------------------------------------------------------------------------------

    def cartridges(self) -> list[Cartridge]:
        with self._database.read() as tx:
            rows = tx.all(
                "SELECT label, capacity_bytes, used_bytes, deleted_bytes, mounts, condition, bad_blocks"
                " FROM tape_cartridges WHERE resource_id = :resource ORDER BY label",
                self._of(),
            )
        return [
            Cartridge(row[0], row[1], row[2], row[3], row[4], row[5], tuple(json.loads(row[6])))
            for row in rows
        ]

    def save_cartridge(self, cartridge: Cartridge) -> None:
        with self._database.write(durable=False) as tx:
            tx.run(
                "INSERT INTO tape_cartridges (resource_id, label, capacity_bytes, used_bytes, deleted_bytes, mounts,"
                " condition, bad_blocks) VALUES (:resource, :label, :capacity, :used, :deleted, :mounts, :condition, :bad)"
                " ON CONFLICT (resource_id, label) DO UPDATE SET capacity_bytes = excluded.capacity_bytes,"
                " used_bytes = excluded.used_bytes, deleted_bytes = excluded.deleted_bytes, mounts = excluded.mounts,"
                " condition = excluded.condition, bad_blocks = excluded.bad_blocks",
                self._of(
                    label=cartridge.label, capacity=cartridge.capacity_bytes, used=cartridge.used_bytes,
                    deleted=cartridge.deleted_bytes, mounts=cartridge.mounts, condition=cartridge.condition,
                    bad=json.dumps(cartridge.bad_blocks),
                ),
            )  # fmt: skip

    def change_cartridge(self, label: str, changes: Mapping[str, Any], *, only_if: str = "") -> bool:
        assert changes.keys() <= _CHANGEABLE, "attributes of a cartridge"
        values = {key: json.dumps(v) if key == "bad_blocks" else v for key, v in changes.items()}
        where = " AND condition = :only_if" if only_if else ""
        with self._database.write(durable=False) as tx:
            return bool(
                tx.run(
                    f"UPDATE tape_cartridges SET {', '.join(f'{key} = :{key}' for key in values)}"
                    f" WHERE resource_id = :resource AND label = :label{where}",
                    self._of(label=label, only_if=only_if, **values),
                )
            )

    # -- files -----------------------------------------------------------------------------------------------

    def landed(self, limit: int) -> list[Landed]:
        with self._database.read() as tx:
            rows = tx.all(
                "SELECT d.id, d.version, c.path, d.name, r.size_bytes, l.since FROM tape_landing l"
                " JOIN data_objects d ON d.id = l.data_id JOIN collections c ON c.id = d.collection_id"
                " JOIN replicas r ON r.data_id = d.id AND r.resource_id = l.resource_id"
                " WHERE l.resource_id = :resource AND r.staged_as = '' AND r.status = :good"
                " ORDER BY l.since LIMIT :n",
                self._of(good=int(ReplicaStatus.GOOD), n=limit),
            )
        return [self._landed(row) for row in rows]

    def _landed(self, row: Row) -> Landed:
        path = paths.join(row[2], row[3])
        return Landed(
            f"{row[0]}v{row[1]}",
            path,
            path[len(self._zone) + 1 :],
            int(row[4]),
            self._library_time(float(row[5])),
        )

    def written(self, entries: Sequence[Entry], swap: Callable[[Landed, Entry], bool], now: float) -> None:
        """See `TapeState`.

        Where files are is recorded before the disk's copies go, in a transaction of its own: a stub never points to what is
        not known. A crash in between leaves files that are known and still on disk, which `Library.recover` goes on with.
        """
        with self._database.write() as tx:
            for entry in entries:
                self._insert(tx, entry)
        gone: list[str] = []
        with self._database.write() as tx:
            for entry in entries:
                if not self._settled(tx, entry, swap):
                    gone.append(entry.file_id)
            tx.run(
                "DELETE FROM tape_landing WHERE resource_id = :resource AND NOT EXISTS (SELECT 1 FROM replicas r"
                " WHERE r.data_id = tape_landing.data_id AND r.resource_id = tape_landing.resource_id)",
                self._of(),
            )  # what was removed before it was written
        self.forget(gone)

    def _insert(self, tx: Transaction, entry: Entry) -> None:
        tx.run(
            f"INSERT INTO tape_entries (resource_id, data_id, {_ENTRY}) VALUES (:resource, :data, :file, :name,"
            " :cartridge, :container, :offset, :start, :size, :digest) ON CONFLICT (resource_id, file_id) DO NOTHING",
            self._of(
                data=int(entry.file_id.partition("v")[0]), file=entry.file_id, name=entry.name, cartridge=entry.cartridge,
                container=entry.container, offset=entry.offset, start=entry.start, size=entry.size, digest=entry.digest,
            ),
        )  # fmt: skip

    def _settled(self, tx: Transaction, entry: Entry, swap: Callable[[Landed, Entry], bool]) -> bool:
        """Take the disk's copy of a recorded file away; False when it changed, so that what is on tape is of no use."""
        data_id = int(entry.file_id.partition("v")[0])
        row = tx.one(
            "SELECT d.id, d.version, c.path, d.name, r.size_bytes, l.since, r.number FROM tape_landing l"
            " JOIN data_objects d ON d.id = l.data_id JOIN collections c ON c.id = d.collection_id"
            " JOIN replicas r ON r.data_id = d.id AND r.resource_id = l.resource_id"
            " WHERE l.resource_id = :resource AND l.data_id = :id AND r.staged_as = '' AND r.status = :good",
            self._of(id=data_id, good=int(ReplicaStatus.GOOD)),
        )
        if row is None:
            return False
        landed = self._landed(row[:6])
        if landed.file_id != entry.file_id or not swap(landed, entry):
            return False  # it changed, or is on its way to another place: it is written again
        tx.run(
            "DELETE FROM tape_landing WHERE resource_id = :resource AND data_id = :id", self._of(id=data_id)
        )
        self._note_residency(tx, data_id, TAPE)
        promises.queue(tx, data_id)
        told = {"replica": int(row[6]), "cartridge": entry.cartridge, "position": entry.start}
        journal.record_event(tx, "replica archive", data_id, landed.name, _SERVICE, told)
        return True

    def _note_residency(self, tx: Transaction, data_id: int, residency: str) -> None:
        tx.run(
            "UPDATE replicas SET status_note = :note WHERE data_id = :id AND resource_id = :resource",
            self._of(note=residency, id=data_id),
        )

    def entry(self, file_id: str) -> Entry | None:
        with self._database.read() as tx:
            return self._entry(tx, file_id)

    def _entry(self, tx: Transaction, file_id: str) -> Entry | None:
        row = tx.one(
            f"SELECT {_ENTRY} FROM tape_entries WHERE resource_id = :resource AND file_id = :file",
            self._of(file=file_id),
        )
        return None if row is None else Entry(*row)

    def entries(self, cartridge: str) -> list[Entry]:
        with self._database.read() as tx:
            rows = tx.all(
                f"SELECT {_ENTRY} FROM tape_entries WHERE resource_id = :resource AND cartridge = :label ORDER BY start",
                self._of(label=cartridge),
            )
        return [Entry(*row) for row in rows]

    def forget(self, file_ids: Iterable[str]) -> None:
        file_ids = list(file_ids)
        if not file_ids:
            return
        with self._database.write() as tx:
            for file_id in file_ids:
                entry = self._entry(tx, file_id)
                if entry is None:
                    continue
                tx.run(
                    "DELETE FROM tape_entries WHERE resource_id = :resource AND file_id = :file",
                    self._of(file=file_id),
                )
                tx.run(
                    "UPDATE tape_cartridges SET deleted_bytes = deleted_bytes + :size WHERE resource_id = :resource"
                    " AND label = :label",
                    self._of(size=entry.size, label=entry.cartridge),
                )

    def moved(self, entries: Sequence[Entry]) -> None:
        with self._database.write() as tx:
            for entry in entries:
                tx.run(
                    "UPDATE tape_entries SET cartridge = :cartridge, container = :container, offset_bytes = :offset,"
                    " start = :start WHERE resource_id = :resource AND file_id = :file",
                    self._of(
                        cartridge=entry.cartridge, container=entry.container, offset=entry.offset, start=entry.start,
                        file=entry.file_id,
                    ),
                )  # fmt: skip

    def damaged(self, file_ids: Iterable[str], reason: str) -> None:
        with self._database.write() as tx:
            for file_id in file_ids:
                row = tx.one(
                    "DELETE FROM tape_entries WHERE resource_id = :resource AND file_id = :file RETURNING data_id, name",
                    self._of(file=file_id),
                )
                if row is None:
                    continue
                tx.run(
                    "UPDATE replicas SET status = :stale, status_note = '', comments = :why WHERE data_id = :id"
                    " AND resource_id = :resource",
                    self._of(stale=int(ReplicaStatus.STALE), why=reason, id=int(row[0])),
                )
                promises.queue(tx, int(row[0]))
                journal.record_event(tx, "replica damaged", int(row[0]), row[1], _SERVICE, {"reason": reason})

    # -- recalls ---------------------------------------------------------------------------------------------

    def ask(self, file_id: str, ask: Ask, now: float, estimate: Callable[[], float]) -> Request:
        expected = estimate()
        with self._database.write() as tx:
            known = tx.one(
                f"SELECT {REQUEST} FROM tape_requests WHERE resource_id = :resource AND file_id = :file"
                " AND state IN ('queued', 'mounting', 'positioning', 'reading') AND user_name = :user",
                self._of(file=file_id, user=ask.user),
            )
            if known is not None:
                return as_request(known)
            entry = self._entry(tx, file_id)
            mounts = int(
                tx.value("SELECT mounts FROM tape_libraries WHERE resource_id = :resource", self._of()) or 0
            )
            made = Request(
                tx.new_id(), file_id, entry.name if entry else "", entry.cartridge if entry else "",
                entry.start if entry else 0, entry.size if entry else 0, ask.user, ask.priority,
                "queued" if entry else "rejected", "" if entry else f"`{file_id}` is on no cartridge", now, mounts,
                expected if entry else 0.0, finished_at=0.0 if entry else now,
            )  # fmt: skip
            tx.run(
                f"INSERT INTO tape_requests (resource_id, {REQUEST}, pin_s) VALUES (:resource, :id, :file, :name,"
                " :cartridge, :start, :size, :user, :priority, :state, :reason, :asked, :mounts, :estimate, 0, :finished,"
                " 0, 0, :pin)",
                self._of(
                    id=made.id, file=file_id, name=made.name, cartridge=made.cartridge, start=made.start, size=made.size,
                    user=ask.user, priority=ask.priority, state=made.state, reason=made.reason, asked=now, mounts=mounts,
                    estimate=made.estimate_at, finished=made.finished_at, pin=ask.pin_s,
                ),
            )  # fmt: skip
            if made.state == "queued":
                self._count(tx, made, 1)
        return made

    def _count(self, tx: Transaction, request: Request, sign: int) -> None:
        key = self._of(cartridge=request.cartridge, user=request.user, n=sign, size=sign * request.size)
        tx.run(
            "INSERT INTO tape_waiting (resource_id, cartridge, user_name, requests, size_bytes)"
            " VALUES (:resource, :cartridge, :user, :n, :size) ON CONFLICT (resource_id, cartridge, user_name)"
            " DO UPDATE SET requests = tape_waiting.requests + excluded.requests,"
            " size_bytes = tape_waiting.size_bytes + excluded.size_bytes",
            key,
        )
        if sign < 0:
            tx.run(
                "DELETE FROM tape_waiting WHERE resource_id = :resource AND cartridge = :cartridge AND user_name = :user"
                " AND requests <= 0",
                key,
            )

    def request(self, request_id: int) -> Request | None:
        with self._database.read() as tx:
            found = request_or_none(tx, request_id)
        return None if found is None else found[1]

    def requests(self, states: Sequence[str], *, user: str = "", limit: int = 1000) -> list[Request]:
        names = ", ".join(f":s{n}" for n in range(len(states)))
        mine = " AND user_name = :user" if user else ""
        with self._database.read() as tx:
            rows = tx.all(
                f"SELECT {REQUEST} FROM tape_requests WHERE resource_id = :resource AND state IN ({names}){mine}"
                " ORDER BY id LIMIT :n",
                self._of(user=user, n=limit, **{f"s{n}": state for n, state in enumerate(states)}),
            )
        return [as_request(row) for row in rows]

    def waiting(self) -> list[Waiting]:
        with self._database.read() as tx:
            rows = tx.all(
                "SELECT cartridge, user_name, requests, size_bytes FROM tape_waiting WHERE resource_id = :resource",
                self._of(),
            )
            sums: dict[str, dict[str, int]] = {}
            sizes: dict[str, int] = {}
            for cartridge, user, requests, size in rows:
                sums.setdefault(cartridge, {})[user] = int(requests)
                sizes[cartridge] = sizes.get(cartridge, 0) + int(size)
            found = []
            for cartridge, users in sorted(sums.items()):
                key = self._of(label=cartridge)
                oldest = tx.one(
                    "SELECT requested_at, mounts_before FROM tape_requests WHERE resource_id = :resource"
                    " AND state = 'queued' AND cartridge = :label ORDER BY id LIMIT 1",
                    key,
                )
                if oldest is None:
                    continue
                urgent = tx.value(
                    "SELECT priority FROM tape_requests WHERE resource_id = :resource AND state = 'queued'"
                    " AND cartridge = :label ORDER BY priority DESC LIMIT 1",
                    key,
                )
                found.append(
                    Waiting(
                        cartridge,
                        sum(users.values()),
                        sizes[cartridge],
                        float(oldest[0]),
                        int(oldest[1]),
                        int(urgent),
                        users,
                    )
                )
        return found

    def ahead(self, request: Request) -> int:
        with self._database.read() as tx:
            return int(
                tx.value(
                    "SELECT count(*) FROM tape_requests WHERE resource_id = :resource AND state = 'queued'"
                    " AND cartridge = :label AND start < :start",
                    self._of(label=request.cartridge, start=request.start),
                )
            )

    def wave(self, cartridge: str) -> list[Wanted]:
        with self._database.read() as tx:
            rows = tx.all(
                "SELECT id, cartridge, start, size_bytes, user_name, priority, requested_at, mounts_before"
                " FROM tape_requests WHERE resource_id = :resource AND state = 'queued' AND cartridge = :label",
                self._of(label=cartridge),
            )
        return [Wanted(*row) for row in rows]

    def progress(self, request_ids: Sequence[int], state: str, *, reason: str = "", now: float = 0.0) -> None:
        with self._database.write(durable=state in OVER) as tx:
            mounts = int(
                tx.value("SELECT mounts FROM tape_libraries WHERE resource_id = :resource", self._of()) or 0
            )
            for request_id in request_ids:
                self._progress(tx, request_id, state, reason, now, mounts)

    def _progress(
        self, tx: Transaction, request_id: int, state: str, reason: str, now: float, mounts: int
    ) -> None:
        row = tx.one(f"SELECT {REQUEST}, pin_s FROM tape_requests WHERE id = :id", {"id": request_id})
        if row is None or row[8] in OVER:
            return
        known = as_request(row[:17])
        changed = replace(known, state=state, reason=reason)
        if state == "mounting":
            changed = replace(changed, started_at=now, mounts_at_start=mounts)
        if state in OVER:
            changed = replace(
                changed, finished_at=now, pin_until=now + float(row[17]) if state == "done" else 0.0
            )
        tx.run(
            "UPDATE tape_requests SET state = :state, reason = :reason, started_at = :started, finished_at = :finished,"
            " pin_until = :pin, mounts_at_start = :mounts WHERE id = :id",
            {
                "state": state, "reason": reason, "started": changed.started_at, "finished": changed.finished_at,
                "pin": changed.pin_until, "mounts": changed.mounts_at_start, "id": request_id,
            },
        )  # fmt: skip
        if known.state == "queued" and state != "queued":
            self._count(tx, known, -1)
        elif known.state != "queued" and state == "queued":
            self._count(tx, known, 1)
        if state in OVER:
            self._tell(tx, changed)

    def _tell(self, tx: Transaction, request: Request) -> None:
        """The event of an arrival, or of one that does not come."""
        data_id = int(request.file_id.partition("v")[0])
        if request.state == "done":
            self._note_residency(tx, data_id, TAPE_AND_DISK)
        told = {"request": request.id, "reason": request.reason, "cartridge": request.cartridge}
        journal.record_event(tx, f"replica recall {request.state}", data_id, request.name, request.user, told)
        if self._over is not None:
            self._over(tx, self._id, request)

    def evicted(self, file_ids: Sequence[str]) -> None:
        """Recalled files left the disk again."""
        with self._database.write(durable=False) as tx:
            for file_id in file_ids:
                tx.run(
                    "UPDATE replicas SET status_note = :note WHERE data_id = :id AND resource_id = :resource"
                    " AND status_note = :both",
                    self._of(note=TAPE, both=TAPE_AND_DISK, id=int(file_id.partition("v")[0])),
                )

    def is_pinned(self, file_id: str, now: float) -> bool:
        active = ", ".join(f"'{state}'" for state in ACTIVE)
        with self._database.read() as tx:
            return (
                tx.one(
                    "SELECT 1 FROM tape_requests WHERE resource_id = :resource AND file_id = :file"
                    f" AND (state IN ({active}) OR (state = 'done' AND pin_until > :now)) LIMIT 1",
                    self._of(file=file_id, now=now),
                )
                is not None
            )

    # -- the library -----------------------------------------------------------------------------------------

    def mounts(self) -> int:
        with self._database.read() as tx:
            return int(
                tx.value("SELECT mounts FROM tape_libraries WHERE resource_id = :resource", self._of()) or 0
            )

    def mounted(self, cartridge: str) -> None:
        with self._database.write(durable=False) as tx:
            tx.run("UPDATE tape_libraries SET mounts = mounts + 1 WHERE resource_id = :resource", self._of())
            tx.run(
                "UPDATE tape_cartridges SET mounts = mounts + 1 WHERE resource_id = :resource AND label = :label",
                self._of(label=cartridge),
            )

    def show(self, moment: Moment) -> None:
        shown = json.dumps(
            {
                "at": moment.at,
                "mounts": moment.mounts,
                "drives": [dict(d) for d in moment.drives],
                "robot": moment.robot,
            }
        )
        with self._database.write(durable=False) as tx:
            tx.run(
                "UPDATE tape_libraries SET moment = :moment WHERE resource_id = :resource",
                self._of(moment=shown),
            )
