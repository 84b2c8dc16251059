"""What evidence says of a content: every step behind it judged, and until which of them it can be trusted.

A content is verified if somebody who may says how it was made, and everything it was made from is verified too. The content itself is compared with the
tree that statements name: as a whole, or one stored chunk of it. Equal input gives an equal verdict: no network is asked, and no clock unless the
reader names a time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from provenance.authority import Authority
from provenance.blocks import BlockTree
from provenance.dsse import Envelope
from provenance.errors import Malformed, ProofRefused
from provenance.evidence import Evidence
from provenance.graph import Graph, Link
from provenance.judging import Judge, Step, Wanted
from provenance.statements import TREE, Statement, Subject, read
from provenance.states import (
    BAD_SIGNATURE,
    EXIT,
    MISSING_EVIDENCE,
    NOT_LOGGED,
    SEVERITY,
    TAMPERED,
    UNKNOWN_SIGNER,
    UNSIGNED,
    VERIFIED,
)

NOT_COVERED: Final = "Not covered by any signature: identity and preparation of the sample, and whether the instrument measured what it should."

_PLAIN: Final = Wanted()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of one content.

    Attributes:
        root: of its tree.
        state: the most severe one among the steps.
        reason: that step's, in words.
        links: the steps, what was first first, with what each was made from.
        trusted_until: the number of the last step, from 1, until which all are verified; 0 for none.
    """

    root: str
    state: str
    reason: str
    links: tuple[Link, ...]
    trusted_until: int

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(link.step for link in self.links)

    @property
    def exit_status(self) -> int:
        return EXIT[self.state]

    @property
    def boundary(self) -> int:
        """The number of the first step, from 1, that is not verified; 0 where all are."""
        return next((n for n, s in enumerate(self.steps, 1) if s.counts and s.state != VERIFIED), 0)

    def graph(self) -> list[list[int]]:
        """What each step rests on: the numbers, from 1, of those that made what it is about, or what it was made from."""
        made: dict[str, int] = {}
        found: list[list[int]] = []
        for number, link in enumerate(self.links, 1):
            before = [made[root] for root in (link.root, *link.inputs) if root in made]
            found.append(sorted(set(before)))
            if link.root:
                made[link.root] = number
        return found

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "root": self.root, "state": self.state, "reason": self.reason, "trusted_until": self.trusted_until,
            "boundary": self.boundary, "steps": [_as_json(step) for step in self.steps], "not_covered": NOT_COVERED,
        }  # fmt: skip


def _as_json(step: Step) -> dict[str, Any]:
    return {
        "kind": step.kind, "signer": step.signer, "time": step.time, "state": step.state, "reason": step.reason,
        "names": list(step.names), "witnessed": list(step.witnessed), "counts": step.counts,
    }  # fmt: skip


def judge(
    found: BlockTree, name: str, evidence: Evidence, authority: Authority, wanted: Wanted = _PLAIN
) -> Verdict:
    """Judge a file.

    Args:
        found: the tree over the file as it is.
        name: the logical path that it should be. Contents are matched by digest, so one that was renamed is still itself; but one that lies
            where another was signed is not.
        evidence: what there is.
        authority: whose keys are believed.
        wanted: what is asked for beside.
    """
    case = _Case(evidence, authority, wanted)
    root = found.root.hex()
    if not case.graph.knows(root) or (name and case.is_signed_otherwise(name, root)):
        return case.nothing_said(root, name, lambda subject: _where(found, subject, evidence))
    return case.verdict(root)


def judge_chunk(
    read: Callable[[int, int], bytes],
    dataset: str,
    index: int,
    evidence: Evidence,
    authority: Authority,
    wanted: Wanted = _PLAIN,
) -> Verdict:
    """Judge one stored chunk of an HDF5 file, of which nothing else is read.

    Args:
        read: gives up to so many bytes of the file at an offset.
        dataset: its path in the file; the only one that the evidence has a proof of, where empty.
        index: of the chunk in the dataset, in row-major order; a frame, where chunks are frames.
        evidence: what there is.
        authority: whose keys are believed.
        wanted: what is asked for beside.
    """
    case = _Case(evidence, authority, wanted)
    able = [one for one in evidence.chunks if one.index == index and dataset in ("", one.path)]
    if not able:
        reason = f"the evidence does not say where chunk {index}{f' of `{dataset}`' if dataset else ''} is, and what it should be"
        return Verdict("", MISSING_EVIDENCE, reason, (), 0)
    if len({one.path for one in able}) > 1:
        raise Malformed(
            f"the evidence has a chunk {index} of {', '.join(one.path for one in able)}; say which dataset"
        )
    proof, root = able[0], able[0].root.hex()
    try:
        difference = proof.differs(read)
    except ProofRefused as error:
        return Verdict(root, BAD_SIGNATURE, f"the proof of chunk {index} does not hold: {error}", (), 0)
    if not case.graph.knows(root):
        reason = "the chunk is in a tree of which no statement says anything"
        return Verdict(root, MISSING_EVIDENCE, reason, (), 0)
    verdict = case.verdict(root)
    if not difference:
        return verdict
    if verdict.state in (BAD_SIGNATURE, UNKNOWN_SIGNER):
        return verdict
    return Verdict(root, TAMPERED, difference, verdict.links, 0)


class _Case:
    """Evidence as it was read, with its graph."""

    def __init__(self, evidence: Evidence, authority: Authority, wanted: Wanted) -> None:
        self.evidence = evidence
        self._authority = authority
        self._statements = [_read(envelope) for envelope in evidence.statements]
        self._judge = Judge(evidence, authority, wanted)
        self._known: dict[tuple[int, str], Step] = {}
        self.graph = Graph(self._statements, self._step, self._is_trusted)

    def _step(self, place: int, statement: Statement | Malformed, root: str) -> Step:
        known = self._known.get((place, root))
        if known is None:
            known = self._known[place, root] = self._judge.step(place, statement, root)
        return known

    def _is_trusted(self, place: int) -> bool:
        return bool(self._authority.signers(self.evidence.statements[place]))

    def is_signed_otherwise(self, name: str, root: str) -> bool:
        """Whether somebody whom the root knows signed some content under a name, and this one never."""
        about = [
            (place, subject)
            for place, statement in enumerate(self._statements)
            if isinstance(statement, Statement)
            for subject in statement.subjects
            if subject.name == name
        ]
        members = self.graph.group(root)
        if any(subject.digest.get(TREE) in members for _, subject in about):
            return False
        return any(self._is_trusted(place) for place, _ in about)

    def verdict(self, root: str) -> Verdict:
        """Of a content that statements are about."""
        links = self.graph.behind(root)
        # what cannot be read could be about anything, and is told
        links += [
            Link(self._step(place, statement, root), place, root)
            for place, statement in enumerate(self._statements)
            if isinstance(statement, Malformed)
        ]
        counted = [link.step for link in links if link.step.counts]
        first = min(counted, key=lambda step: SEVERITY[step.state])
        trusted = 0
        for number, link in enumerate(links, 1):
            if link.step.counts and link.step.state != VERIFIED:
                break
            trusted = number
        return Verdict(root, first.state, first.reason, tuple(links), trusted)

    def nothing_said(self, root: str, name: str, where: Callable[[Subject], str]) -> Verdict:
        """No statement is about this content here: it was changed or exchanged, where one is about its path, or was never signed."""
        about = [
            (place, statement, subject)
            for place, statement in enumerate(self._statements)
            if isinstance(statement, Statement)
            for subject in statement.subjects
        ]
        names = {subject.name for _, _, subject in about}
        if not name and len(names) > 1:
            reason = f"no statement is about this content, and the evidence is about {len(names)} others; say which it should be"
            return Verdict(root, UNSIGNED, reason, (), 0)
        steps = [
            (self._step(place, statement, subject.digest[TREE]), place, subject)
            for place, statement, subject in about
            if TREE in subject.digest and name in ("", subject.name)
        ]
        able = [one for one in steps if one[0].state not in (BAD_SIGNATURE, UNKNOWN_SIGNER)]
        for step, place, subject in able or steps:
            link = (Link(step, place, subject.digest[TREE]),)
            if step.state in (BAD_SIGNATURE, UNKNOWN_SIGNER):
                return Verdict(root, step.state, step.reason, link, 0)
            return Verdict(root, TAMPERED, where(subject), link, 0)
        for statement in self._statements:
            if isinstance(statement, Malformed):
                return Verdict(root, BAD_SIGNATURE, str(statement), (), 0)
        return Verdict(root, UNSIGNED, "no statement is about this content", (), 0)


def _read(envelope: Envelope) -> Statement | Malformed:
    try:
        return read(envelope)
    except Malformed as error:
        return error


def _where(found: BlockTree, subject: Subject, evidence: Evidence) -> str:
    expected = evidence.tree(subject.digest[TREE])
    if expected is None:
        return f"it is not the content that was signed as `{subject.name}`; the evidence holds no tree that tells where"
    if expected.level != found.level:
        return f"it is not the content that was signed as `{subject.name}`: it has {found.size_bytes} bytes, not {expected.size_bytes}"
    runs = expected.differing(found)
    named = ", ".join(
        f"block {offset // found.run_bytes} (bytes {offset} to {offset + length - 1})"
        for offset, length in runs[:3]
    )
    more = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
    return f"{named}{more} differ from what was signed as `{subject.name}`"


__all__ = ["EXIT", "NOT_COVERED", "NOT_LOGGED", "VERIFIED", "Verdict", "Wanted", "judge", "judge_chunk"]
