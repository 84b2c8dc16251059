"""Bookkeeping of the statements that a zone makes: asked for in the outbox, signed, logged, handed on."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grid.catalog import leases
from grid.catalog.database import Transaction
from grid.catalog.statement_tables import STATEMENT_WANTED

SIGNED, LOGGED, REFUSED = "signed", "logged", "refused"

SEQUENCER: Final = "sequencer"
"""The duty of signing and logging."""


@dataclass(frozen=True, slots=True)
class WantedSubject:
    """What a statement is to be about.

    Attributes:
        id: of the object or collection, 0 for what has none any more.
        path: as it was then.
        version: of an object's content; None for a collection, and for what is known by its digests.
        digest: algorithm to hexadecimal digits, where it cannot be looked up later.
    """

    id: int
    path: str
    version: int | None = None
    digest: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class WantedStatement:
    """A statement that was asked for: an outbox row."""

    id: int
    asked_at: float
    kind: str
    subjects: tuple[WantedSubject, ...]
    predicate: Mapping[str, Any]
    inputs: tuple[WantedSubject, ...] = ()


def want(
    tx: Transaction,
    kind: str,
    subjects: Sequence[WantedSubject],
    predicate: Mapping[str, Any],
    *,
    actor: str,
    inputs: Sequence[WantedSubject] = (),
) -> int:
    """Ask for a statement, in the transaction of what it is about; returns its id."""
    number = tx.spare_id()
    details = {
        "kind": kind, "subjects": [_plain(one) for one in subjects], "predicate": dict(predicate),
        "inputs": [_plain(one) for one in inputs],
    }  # fmt: skip
    tx.run(
        "INSERT INTO outbox (id, recorded_at, event, subject_id, subject, actor, details)"
        " VALUES (:id, :now, :event, :subject_id, :subject, :actor, :details)",
        {
            "id": number, "now": tx.now, "event": STATEMENT_WANTED, "subject_id": subjects[0].id, "subject": subjects[0].path,
            "actor": actor, "details": json.dumps(details, separators=(",", ":")),
        },
    )  # fmt: skip
    return number


def _plain(one: WantedSubject) -> dict[str, Any]:
    digest = dict(one.digest) if one.digest is not None else None
    return {"id": one.id, "path": one.path, "version": one.version, "digest": digest}


def version_of(tx: Transaction, data_id: int) -> int | None:
    """The version of an object's content; None where there is no such object."""
    found = tx.value("SELECT version FROM data_objects WHERE id = :id", {"id": data_id})
    return None if found is None else int(found)


def wanted(tx: Transaction, *, after: int, limit: int) -> list[WantedStatement]:
    """Statements that were asked for and that nobody has made, in order."""
    rows = tx.all(
        f"SELECT id, recorded_at, details FROM outbox WHERE claimed_by IS NULL AND event = '{STATEMENT_WANTED}'"
        " AND id > :after ORDER BY id LIMIT :limit",
        {"after": after, "limit": limit},
    )
    found = []
    for number, asked_at, text in rows:
        said = json.loads(text)
        subjects, inputs = (
            tuple(WantedSubject(one["id"], one["path"], one["version"], one["digest"]) for one in said[name])
            for name in ("subjects", "inputs")
        )
        found.append(
            WantedStatement(int(number), float(asked_at), said["kind"], subjects, said["predicate"], inputs)
        )
    return found


@dataclass(frozen=True, slots=True)
class MadeStatement:
    """A statement that was signed, or refused with a reason."""

    wanted: WantedStatement
    envelope: bytes | None
    salt: bytes = b""
    promise: str = ""
    reason: str = ""


def claim(tx: Transaction, made: Sequence[MadeStatement], lease_id: int) -> None:
    """Take outbox rows and keep what was made of them: both or neither; a row that somebody took already stays his."""
    for one in made:
        taken = tx.run(
            "UPDATE outbox SET claimed_by = :lease WHERE id = :id AND claimed_by IS NULL",
            {"lease": lease_id, "id": one.wanted.id},
        )
        if not taken:
            continue
        tx.run(
            "INSERT INTO statements (id, kind, path, made_at, state, reason, envelope, salt, promise)"
            " VALUES (:id, :kind, :path, :now, :state, :reason, :envelope, :salt, :promise)",
            {
                "id": one.wanted.id, "kind": one.wanted.kind, "path": one.wanted.subjects[0].path, "now": tx.now,
                "state": SIGNED if one.envelope is not None else REFUSED, "reason": one.reason,
                "envelope": one.envelope, "salt": one.salt, "promise": one.promise,
            },
        )  # fmt: skip
        for is_input, several in ((0, one.wanted.subjects), (1, one.wanted.inputs)):
            tx.run_many(
                "INSERT INTO statement_subjects (statement_id, subject_id, is_input) VALUES (:statement, :subject, :input)",
                [
                    {"statement": one.wanted.id, "subject": subject, "input": is_input}
                    for subject in sorted({found.id for found in several if found.id})
                ],
            )


def keep_signed(
    tx: Transaction, kind: str, path: str, envelope: bytes, *, salt: bytes = b"", subject_id: int = 0
) -> None:
    """Keep a statement that somebody else signed, to be logged; twice is once.

    Args:
        tx: the transaction.
        kind: its predicate.
        path: what it is about, or what it is found by.
        envelope: as it was signed.
        salt: empty for what is public.
        subject_id: the object that it is about, if it is one.
    """
    known = tx.one(
        "SELECT 1 FROM statements WHERE path = :path AND kind = :kind AND envelope = :envelope",
        {"path": path, "kind": kind, "envelope": envelope},
    )
    if known is not None:
        return
    number = tx.new_id()
    tx.run(
        "INSERT INTO statements (id, kind, path, made_at, state, envelope, salt)"
        " VALUES (:id, :kind, :path, :now, :state, :envelope, :salt)",
        {
            "id": number, "kind": kind, "path": path, "now": tx.now, "state": SIGNED, "envelope": envelope, "salt": salt,
        },
    )  # fmt: skip
    if subject_id:
        tx.run(
            "INSERT INTO statement_subjects (statement_id, subject_id) VALUES (:statement, :subject)",
            {"statement": number, "subject": subject_id},
        )


def signed_about(tx: Transaction, kind: str, path: str) -> list[bytes]:
    """The envelopes of one kind about something, the oldest first."""
    rows = tx.all(
        "SELECT envelope FROM statements WHERE path = :path AND kind = :kind AND envelope IS NOT NULL ORDER BY id",
        {"path": path, "kind": kind},
    )
    return [bytes(row[0]) for row in rows]


def signed(tx: Transaction, *, limit: int) -> list[tuple[int, bytes, bytes]]:
    """Statements that are to be logged, in order: id, envelope, salt."""
    rows = tx.all(
        f"SELECT id, envelope, salt FROM statements WHERE state = '{SIGNED}' ORDER BY id LIMIT :limit",
        {"limit": limit},
    )
    return [(int(row[0]), bytes(row[1]), bytes(row[2] or b"")) for row in rows]


def refuse(tx: Transaction, number: int, reason: str) -> None:
    """Say that a statement is not going to be logged, and why."""
    tx.run(
        f"UPDATE statements SET state = '{REFUSED}', reason = :reason, promise = '' WHERE id = :id AND state = '{SIGNED}'",
        {"id": number, "reason": reason},
    )


def logged_size(tx: Transaction, origin: str) -> int:
    """How many entries of the log the catalog knows."""
    return int(tx.value("SELECT max(size) FROM checkpoints WHERE origin = :origin", {"origin": origin}) or 0)


def keep_logged(
    tx: Transaction, origin: str, size: int, note: str, places: Iterable[tuple[int, int, bytes]]
) -> None:
    """Note where statements are in the log: id, index, and the path of digests to the root of this state."""
    known = tx.value(
        "SELECT id FROM checkpoints WHERE origin = :origin AND size = :size", {"origin": origin, "size": size}
    )
    checkpoint = int(known) if known is not None else tx.new_id()
    if known is None:
        tx.run(
            "INSERT INTO checkpoints (id, origin, size, note, made_at) VALUES (:id, :origin, :size, :note, :now)",
            {"id": checkpoint, "origin": origin, "size": size, "note": note, "now": tx.now},
        )
    tx.run_many(
        f"UPDATE statements SET state = '{LOGGED}', log_index = :place, proof = :proof, checkpoint_id = :checkpoint,"
        " promise = '' WHERE id = :id",
        [{"id": number, "place": place, "proof": proof, "checkpoint": checkpoint} for number, place, proof in places],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class KeptStatement:
    """A statement as the catalog has it.

    `proof` are the digests of its path, one after the other; `note` the checkpoint that it leads to, with its signatures.
    """

    id: int
    kind: str
    path: str
    made_at: float
    state: str
    reason: str
    envelope: bytes
    salt: bytes
    promise: str
    index: int | None
    proof: bytes
    note: str


_KEPT: Final = (
    "SELECT s.id, s.kind, s.path, s.made_at, s.state, s.reason, s.envelope, s.salt, s.promise, s.log_index, s.proof, c.note"
    " FROM statements s LEFT JOIN checkpoints c ON c.id = s.checkpoint_id"
)


def _kept(row: tuple[Any, ...]) -> KeptStatement:
    return KeptStatement(
        int(row[0]), row[1], row[2], float(row[3]), row[4], row[5], bytes(row[6] or b""), bytes(row[7] or b""), row[8],
        None if row[9] is None else int(row[9]), bytes(row[10] or b""), row[11] or "",
    )  # fmt: skip


def about(tx: Transaction, subject_id: int) -> list[KeptStatement]:
    """The statements about an object or collection, the oldest first, those included that were refused."""
    rows = tx.all(
        f"{_KEPT} JOIN statement_subjects t ON t.statement_id = s.id WHERE t.subject_id = :id AND t.is_input = 0 ORDER BY s.id",
        {"id": subject_id},
    )
    return [_kept(row) for row in rows]


def inputs_of(tx: Transaction, statement_id: int) -> list[int]:
    """The objects that a statement's subjects were made from, by id."""
    rows = tx.all(
        "SELECT subject_id FROM statement_subjects WHERE statement_id = :id AND is_input = 1 ORDER BY subject_id",
        {"id": statement_id},
    )
    return [int(row[0]) for row in rows]


def listed(tx: Transaction, *, state: str = "", limit: int) -> list[KeptStatement]:
    """The latest statements, the newest first."""
    where = "WHERE s.state = :state" if state else ""
    rows = tx.all(f"{_KEPT} {where} ORDER BY s.id DESC LIMIT :limit", {"state": state, "limit": limit})
    return [_kept(row) for row in rows]


def counts(tx: Transaction) -> dict[str, int]:
    """How many statements wait, are signed, logged, refused."""
    found = {"wanted": 0, SIGNED: 0, LOGGED: 0, REFUSED: 0}
    found |= {row[0]: int(row[1]) for row in tx.all("SELECT state, count(*) FROM statements GROUP BY state")}
    found["wanted"] = int(
        tx.value(f"SELECT count(*) FROM outbox WHERE claimed_by IS NULL AND event = '{STATEMENT_WANTED}'")
    )
    return found


def cosigned(tx: Transaction, origin: str, size: int, note: str, witnesses: int) -> None:
    """Keep a checkpoint with the cosignatures that came in."""
    values = {"note": note, "count": witnesses, "origin": origin, "size": size}
    known = tx.run(
        "UPDATE checkpoints SET note = :note, cosigned = :count WHERE origin = :origin AND size = :size",
        values,
    )
    if not known:  # somebody else added to the log
        tx.run(
            "INSERT INTO checkpoints (id, origin, size, note, made_at, cosigned) VALUES (:id, :origin, :size, :note, :now, :count)",
            {**values, "id": tx.new_id(), "now": tx.now},
        )


def newest_cosigned(tx: Transaction) -> str:
    """The latest checkpoint that witnesses have seen; empty where there is none."""
    return str(tx.value("SELECT note FROM checkpoints WHERE cosigned > 0 ORDER BY size DESC LIMIT 1") or "")


def erasing(tx: Transaction, path: str, root: str, checksum: str, size: int) -> int:
    """Keep the digests of a content that is about to be erased; returns the id of what was kept."""
    number = tx.new_id()
    tx.run(
        "INSERT INTO erased (id, path, root, checksum, size_bytes, erased_at) VALUES (:id, :path, :root, :sum, :size, :now)",
        {"id": number, "path": path, "root": root, "sum": checksum, "size": size, "now": tx.now},
    )
    return number


def forget_salts(tx: Transaction, subject_id: int) -> None:
    """Destroy the salts of what was stated about something that was erased: nobody can tell any more what the log's entries are about.

    What is not logged yet stays out of the log, which would tell it without a salt.
    """
    tx.run(
        "UPDATE statements SET salt = NULL, promise = '',"
        f" reason = CASE WHEN state = '{SIGNED}' THEN 'erased before it was logged' ELSE reason END,"
        f" state = CASE WHEN state = '{SIGNED}' THEN '{REFUSED}' ELSE state END"
        " WHERE salt IS NOT NULL AND id IN (SELECT statement_id FROM statement_subjects WHERE subject_id = :id AND is_input = 0)",
        {"id": subject_id},
    )


def not_erased(tx: Transaction, number: int) -> None:
    """What was about to be erased is still there."""
    tx.run("DELETE FROM erased WHERE id = :id AND statement_id IS NULL", {"id": number})


@dataclass(frozen=True, slots=True)
class Erased:
    """What is kept of a content that was erased."""

    id: int
    path: str
    root: str
    checksum: str


def erased_below(tx: Transaction, path: str, *, after: int, limit: int) -> list[Erased]:
    """What was erased below a collection, and no statement was asked for yet, in order."""
    rows = tx.all(
        "SELECT id, path, root, checksum FROM erased WHERE path > :low AND path < :high AND statement_id IS NULL AND id > :after"
        " ORDER BY id LIMIT :limit",
        {"low": f"{path}/", "high": f"{path}0", "after": after, "limit": limit},
    )
    return [Erased(int(row[0]), row[1], row[2], row[3]) for row in rows]


def erasure_wanted(tx: Transaction, found: Sequence[Erased], statement_id: int) -> None:
    """Note which statement tells of erased contents, so that none is asked for twice."""
    tx.run_many(
        "UPDATE erased SET statement_id = :statement WHERE id = :id",
        [{"statement": statement_id, "id": one.id} for one in found],
    )


def erased_before(tx: Transaction, root: str, checksum: str) -> float | None:
    """When a content was last erased, in seconds since the epoch; None where it never was."""
    found = tx.value(
        "SELECT max(erased_at) FROM erased WHERE root = :root OR (checksum = :sum AND checksum <> '')",
        {"root": root, "sum": checksum},
    )
    return None if found is None else float(found)


def elect(tx: Transaction, duty: str, lease_id: int) -> bool:
    """Become the process with a duty, unless another one that lives has it."""
    tx.run("INSERT INTO duties (name) VALUES (:name) ON CONFLICT (name) DO NOTHING", {"name": duty})
    holder = tx.value(
        f"SELECT lease_id FROM duties WHERE name = :name{tx.database.for_update}", {"name": duty}
    )
    if holder is not None and holder != lease_id and not leases.lease_is_void(tx, int(holder)):
        return False
    if holder != lease_id:
        tx.run("UPDATE duties SET lease_id = :lease WHERE name = :name", {"lease": lease_id, "name": duty})
    return True


def has_duty(tx: Transaction, duty: str, lease_id: int) -> bool:
    """The fencing check of who has a duty: whether it is still this process, and its lease in the catalog."""
    holder = tx.value(
        f"SELECT lease_id FROM duties WHERE name = :name{tx.database.for_update}", {"name": duty}
    )
    return holder == lease_id and leases.is_held(tx, lease_id)
