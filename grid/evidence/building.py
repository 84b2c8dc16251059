"""Statements made of what was asked for: subjects get the digests of their contents, and predicates what the zone knows."""

import base64
import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grid.catalog import attestations, statements, trees
from grid.catalog import objects as object_rows
from grid.catalog.database import Transaction
from grid.catalog.statements import WantedStatement, WantedSubject
from provenance import evidence
from provenance.authority import Authority
from provenance.blocks import BlockTree
from provenance.errors import ProvenanceError
from provenance.statements import PLACE, TREE, Statement, Subject
from provenance.verdict import judge

_log = logging.getLogger("beamgrid.evidence")


class NotSignable(Exception):
    """What a statement was to be about is not there any more; the message says why."""


class TreeMissing(Exception):
    """A content has no tree yet."""

    def __init__(self, data_id: int) -> None:
        super().__init__(f"object {data_id} has no tree yet")
        self.data_id = data_id


def written_time(seconds: float) -> str:
    """A moment as statements have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def place_digest(path: str) -> str:
    """What stands for a collection, whose content is not one."""
    return hashlib.sha256(path.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Builder:
    """Makes the statements of one zone."""

    zone: str
    authority: Authority

    def statement(self, tx: Transaction, wanted: WantedStatement, actor: str) -> Statement:
        """The statement that was asked for.

        Raises:
            NotSignable: a content was removed, or replaced by another.
            TreeMissing: it cannot be made before a tree is.
            Malformed: what was asked for is no such statement.
        """
        subjects = [self._subject(tx, one) for one in wanted.subjects]
        predicate: dict[str, Any] = {
            "time": written_time(wanted.asked_at), "actor": actor, "zone": self.zone, **wanted.predicate,
        }  # fmt: skip
        if wanted.inputs:
            found = [self._subject(tx, one) for one in wanted.inputs]
            predicate["inputs"] = [{"name": one.name, "digest": dict(one.digest)} for one in found]
        if wanted.kind == "ingest":
            predicate |= self._checked(tx, wanted.subjects[0]) | _come_back(tx, subjects)
        rests = sorted({digest for one in wanted.subjects for digest in _last(tx, one.id, wanted.id)})
        if rests:
            predicate["previous"] = rests
        return Statement.of(wanted.kind, subjects, predicate)

    def _subject(self, tx: Transaction, one: WantedSubject) -> Subject:
        if one.digest:
            return Subject(one.path, one.digest)
        if one.version is None:
            return Subject(one.path, {PLACE: place_digest(one.path)})
        found = object_rows.by_id_or_none(tx, one.id)
        if found is None:
            raise NotSignable(f"`{one.path}` was removed before it was signed")
        if statements.version_of(tx, one.id) != one.version:
            raise NotSignable(f"the content of `{one.path}` was replaced before it was signed")
        tree = trees.of_object(tx, one.id)
        if tree is None:
            raise TreeMissing(one.id)
        best = found.best_replica()
        sha256 = _sha256(best.checksum if best is not None else "")
        digest = {TREE: tree.root.hex(), **({"sha256": sha256} if sha256 else {})}
        return Subject(one.path, digest, {"tree": "blocks-1MiB", "bytes": tree.size_bytes})

    def _checked(self, tx: Transaction, one: WantedSubject) -> dict[str, str]:
        """What an ingest found of the instrument's own statement."""
        tree = trees.of_object(tx, one.id)
        attached = attestations.of_object(tx, one.id)
        if tree is None or not attached:
            return {"checked": "none"}
        return {"checked": self._judged(tree, one.path, attached)}

    def _judged(self, tree: BlockTree, path: str, attached: list[dict[str, Any]]) -> str:
        try:
            given = evidence.joined([evidence.decoded(found["evidence"]) for found in attached])
            return judge(tree, path, given, self.authority).state
        except ProvenanceError as error:
            return f"malformed: {error}"


def _come_back(tx: Transaction, subjects: Sequence[Subject]) -> dict[str, str]:
    """What there is to say of contents that were erased from the zone, and have come back."""
    times = []
    for one in subjects:
        erased = statements.erased_before(tx, one.digest[TREE], _checksum(one.digest.get("sha256", "")))
        if erased is not None:
            _log.warning("`%s` holds a content that was erased at %s", one.name, written_time(erased))
            times.append(erased)
    return {"erased_before": written_time(max(times))} if times else {}


def _checksum(sha256: str) -> str:
    return f"sha2:{base64.b64encode(bytes.fromhex(sha256)).decode()}" if sha256 else ""


def _sha256(checksum: str) -> str:
    scheme, _, digest = checksum.partition(":")
    return base64.b64decode(digest).hex() if scheme == "sha2" and digest else ""


def _last(tx: Transaction, subject_id: int, before: int) -> list[str]:
    """The digest of the envelope of the last statement about something, if there is one."""
    if not subject_id:
        return []
    made = [one for one in statements.about(tx, subject_id) if one.envelope and one.id < before]
    return [hashlib.sha256(made[-1].envelope).hexdigest()] if made else []
