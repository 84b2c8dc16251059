"""The chain behind a content: the statements about it and about everything it was made from, in order.

Contents are matched by digest, never by name. Statements that say that two digests are of the same bytes or frames join them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from provenance.errors import Malformed
from provenance.judging import Step
from provenance.predicates import PREDICATES
from provenance.statements import PLACE, TREE, Statement
from provenance.states import (
    BAD_SIGNATURE,
    EQUIVOCATION,
    MISSING_EVIDENCE,
    UNKNOWN_SIGNER,
    UNSIGNED,
    VERIFIED,
)

MOST_STEPS: Final = 10_000

Judged = Callable[[int, Statement | Malformed, str], Step]
"""Judges the statement at a place in the evidence as one about a content."""


@dataclass(frozen=True, slots=True)
class Link:
    """A step of the chain with what it was made from: digests of trees."""

    step: Step
    place: int
    root: str
    inputs: tuple[str, ...] = ()


def inputs_of(statement: Statement) -> list[tuple[str, str]]:
    """Name and tree of everything that a step was made from; no tree where it does not say."""
    if statement.kind == "" or not PREDICATES[statement.kind].makes:
        return []
    return [(one["name"], one["digest"].get(TREE, "")) for one in statement.predicate.get("inputs", [])]


def roots_of(statement: Statement) -> set[str]:
    """The trees, or places, that a statement is about."""
    return {
        subject.digest[name]
        for subject in statement.subjects
        for name in (TREE, PLACE)
        if name in subject.digest
    }


class Graph:
    """Walks from a content to where it came from.

    Args:
        statements: of the evidence, as they were read, in its order.
        judged: judges one.
        trusted: whether a statement at a place was signed by anybody whom the root knows.
    """

    def __init__(
        self,
        statements: Sequence[Statement | Malformed],
        judged: Judged,
        trusted: Callable[[int], bool],
    ) -> None:
        self._statements = statements
        self._judged = judged
        self._about: dict[str, list[int]] = {}
        for place, statement in enumerate(statements):
            if isinstance(statement, Statement):
                for root in roots_of(statement):
                    self._about.setdefault(root, []).append(place)
        self._trusted = [
            one for place, one in enumerate(statements) if isinstance(one, Statement) and trusted(place)
        ]
        self._same = self._linked()

    def _linked(self) -> dict[str, set[str]]:
        """Trees of the same bytes or frames, as far as that was verified."""
        same: dict[str, set[str]] = {}
        for place, statement in enumerate(self._statements):
            if not isinstance(statement, Statement) or statement.kind != "digest-link":
                continue
            roots = roots_of(statement)
            if len(roots) > 1 and all(
                self._judged(place, statement, root).state == VERIFIED for root in roots
            ):
                joined = set(roots).union(*(same.get(root, set()) for root in roots))
                for root in joined:
                    same[root] = joined
        return same

    def group(self, root: str) -> set[str]:
        """The trees of the same bytes or frames as this one, itself included."""
        return self._same.get(root, {root})

    def knows(self, root: str) -> bool:
        """Whether any statement is about a content."""
        return any(one in self._about for one in self.group(root))

    def behind(self, root: str) -> list[Link]:
        """The chain behind a content, what was first first; each statement once."""
        found: list[Link] = []
        there: set[int] = set()
        seen: set[str] = set()
        done: set[str] = set()
        waiting: list[tuple[str, bool]] = [(root, False)]
        while waiting:  # no recursion: a chain may be long, and a hostile one a circle
            one, entered = waiting.pop()
            members = frozenset(self.group(one))
            if entered:
                links = self._links(one, members, there, done)
                there.update(link.place for link in links)
                done |= members
                found += links
                continue
            if members & seen:
                continue
            seen |= members
            waiting.append((one, True))
            for _, place in self._own(members):
                statement = self._statements[place]
                if isinstance(statement, Statement):
                    waiting += [
                        (tree, False) for _, tree in inputs_of(statement) if tree and self.knows(tree)
                    ]
            if len(found) + len(waiting) > MOST_STEPS:
                raise Malformed(f"the chain has more than {MOST_STEPS} steps")
        return found

    def _own(self, members: Iterable[str]) -> list[tuple[str, int]]:
        """The statements about a content, in order: how it was made, what its digests are, what became of it."""
        places = {
            place: root for root in sorted(members, reverse=True) for place in self._about.get(root, ())
        }

        def order(place: int) -> tuple[int, str, str, bytes]:
            statement = self._statements[place]
            assert isinstance(statement, Statement), "others are not in the index"
            makes = statement.kind != "" and PREDICATES[statement.kind].makes
            rank = 0 if makes else 1 if statement.kind == "digest-link" else 2
            return (
                rank,
                str(statement.predicate.get("time", "")),
                statement.predicate_type,
                str(statement.predicate).encode(),
            )

        return [(places[place], place) for place in sorted(places, key=order)]

    def _links(self, root: str, members: frozenset[str], there: set[int], done: set[str]) -> list[Link]:
        """The steps about a content, those that are there already left out; `done` are the contents behind which everything was looked at."""
        links: list[Link] = []
        for tree, place in self._own(members):
            statement = self._statements[place]
            assert isinstance(statement, Statement), "others are not in the index"
            inputs = inputs_of(statement)
            step = self._contradicted(self._judged(place, statement, tree), statement)
            for name, one in inputs:
                if not one or not self.knows(one):
                    links.append(_missing(name, step, "and the evidence says nothing of it"))
                elif one not in done:
                    links.append(
                        _missing(name, step, "which goes round in a circle: it is said to be made of itself")
                    )
            if place not in there:
                links.append(Link(step, place, tree, tuple(one for _, one in inputs)))
        return self._counted(root, links)

    def _counted(self, root: str, links: list[Link]) -> list[Link]:
        """Where somebody who may says how a content was made, what strangers say beside it does not count; where nobody does, that is said."""
        making = [link for link in links if link.step.kind in PREDICATES and PREDICATES[link.step.kind].makes]
        if any(link.step.state == VERIFIED for link in making):
            return [
                replace(link, step=replace(link.step, counts=False))
                if link.step.state in (UNKNOWN_SIGNER, UNSIGNED) and link.place >= 0
                else link
                for link in links
            ]
        if making or not links or any(link.step.state in (UNKNOWN_SIGNER, UNSIGNED) for link in links):
            return links
        names = next((link.step.names for link in links if link.step.names), ())
        reason = "the facility vouches for it from here on; no statement says how it was made"
        return [Link(Step("origin", "", "", UNSIGNED, reason, {}, names), -1, root), *links]

    def _contradicted(self, step: Step, statement: Statement) -> Step:
        """The same step, unless another statement that counts says something else of the same measurement."""
        if statement.kind != "acquisition" or step.state in (BAD_SIGNATURE, UNKNOWN_SIGNER):
            return step
        stream = statement.predicate["stream_id"]
        said = {subject.name: subject.digest.get(TREE) for subject in statement.subjects}
        for other in self._trusted:
            if other.kind != "acquisition":
                continue
            if other.predicate["stream_id"] != stream:
                if roots_of(other) & roots_of(statement):
                    reason = f"the same content was signed as the streams `{stream}` and `{other.predicate['stream_id']}`"
                    return replace(step, state=EQUIVOCATION, reason=reason)
                continue
            for subject in other.subjects:
                if said.get(subject.name, subject.digest.get(TREE)) != subject.digest.get(TREE):
                    reason = (
                        f"two statements of the stream `{stream}` say different things of `{subject.name}`"
                    )
                    return replace(step, state=EQUIVOCATION, reason=reason)
        return step


def _missing(name: str, step: Step, why: str) -> Link:
    reason = f"`{name}` was read for the step `{step.kind}`, {why}"
    return Link(Step("input", "", "", MISSING_EVIDENCE, reason, {}, (name,)), -1, "")
