"""Coordinating resources: each asks its children to vote, and passes the best vote up. Pure.

A vote is a weight from 0 to above 1, and the leaf it is for. Leaves vote by whether they are up, have room, and hold a
good copy; the kinds of nodes weigh, draw, rotate or compare what their children say.

Source of kinds, weights and contexts: the resource plug-ins `passthru`, `random`, `round_robin`, `load_balanced`,
`deferred`, `replication`, `compound`, iRODS 5.0.2, and the manual's chapter on composable resources.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from resources.context import Kind

CREATE, OPEN, WRITE = "create", "open", "write"

CONTEXTS: Final[Mapping[str, Mapping[str, Kind]]] = {
    "passthru": {"read": "number", "write": "number"},
    "compound": {"auto_repl": ("on", "off")},
    "replication": {"read": ("best", "random")},
    "random": {}, "round_robin": {}, "deferred": {}, "load_balanced": {},
}  # fmt: skip
"""Kind of a coordinating resource to what its context string may say."""

PLACES: Final = ("cache", "archive")
"""What a child of a compound resource is, by its parent context."""

_STATES: Final = {"good": 1.0, "offline": 0.5, "stale": 0.25}


@dataclass(frozen=True, slots=True)
class Node:
    """A resource of a tree.

    Attributes:
        id: of the resource.
        name: of the resource.
        kind: a kind of `CONTEXTS`; anything else is a leaf.
        is_down: marked down.
        free_bytes: room as far as it is known.
        keep_free: room that has to be left after a new file, in bytes.
        largest: the largest file it takes, in bytes; None for any.
        settings: its context string as values.
        place: `cache` or `archive` below a compound resource.
        load: how busy a leaf is, in any unit.
        children: below it, in order.
    """

    id: int
    name: str
    kind: str
    is_down: bool = False
    free_bytes: int | None = None
    keep_free: int = 0
    largest: int | None = None
    settings: Mapping[str, int | float | str] = field(default_factory=dict)
    place: str = ""
    load: float = 0.0
    children: tuple["Node", ...] = ()

    @property
    def is_leaf(self) -> bool:
        return self.kind not in CONTEXTS

    def leaves(self) -> Iterator["Node"]:
        """The storage resources at or below it."""
        if self.is_leaf:
            yield self
        for child in self.children:
            yield from child.leaves()


@dataclass(frozen=True, slots=True)
class Ask:
    """What a vote is about.

    Attributes:
        operation: `create`, `open` or `write`.
        size: of a new file in bytes.
        holders: leaves that hold a replica: `good`, `offline` (on tape) or `stale`.
    """

    operation: str
    size: int = 0
    holders: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Vote:
    weight: float
    leaf: Node


class Ballot:
    """Counts votes; remembers whose turn it is."""

    def __init__(self, chance: random.Random | None = None) -> None:
        self._chance = chance or random.Random()
        self._turns: dict[int, itertools.count[int]] = {}

    def vote(self, node: Node, ask: Ask) -> Vote | None:
        """The best vote at or below a node; None when nobody can."""
        if node.is_down:
            return None
        if node.is_leaf:
            return _leaf(node, ask)
        return _KINDS[node.kind](self, node, ask)

    def _votes(self, node: Node, ask: Ask) -> list[Vote]:
        return [
            found
            for child in node.children
            if (found := self.vote(child, ask)) is not None and found.weight > 0
        ]

    def best(self, node: Node, ask: Ask) -> Vote | None:
        """The first of the highest votes."""
        return max(self._votes(node, ask), key=lambda vote: vote.weight, default=None)

    def passthru(self, node: Node, ask: Ask) -> Vote | None:
        found = self.best(node, ask)
        factor = float(node.settings.get("read" if ask.operation == OPEN else "write", 1.0))
        return None if found is None else Vote(found.weight * factor, found.leaf)

    def random(self, node: Node, ask: Ask) -> Vote | None:
        if ask.operation != CREATE:
            return self.best(node, ask)
        votes = self._votes(node, ask)
        return self._chance.choice(votes) if votes else None

    def round_robin(self, node: Node, ask: Ask) -> Vote | None:
        """Each process rotates for itself, from a place drawn by chance: together they are even."""
        if ask.operation != CREATE or not node.children:
            return self.best(node, ask)
        turns = self._turns.setdefault(node.id, itertools.count(self._chance.randrange(len(node.children))))
        begin = next(turns) % len(node.children)
        for child in (*node.children[begin:], *node.children[:begin]):
            found = self.vote(child, ask)
            if found is not None and found.weight > 0:
                return found
        return None

    def load_balanced(self, node: Node, ask: Ask) -> Vote | None:
        if ask.operation != CREATE:
            return self.best(node, ask)
        return min(self._votes(node, ask), key=lambda vote: (vote.leaf.load, -vote.weight), default=None)

    def replication(self, node: Node, ask: Ask) -> Vote | None:
        if ask.operation == OPEN and node.settings.get("read") == "random":
            votes = self._votes(node, ask)
            good = [vote for vote in votes if ask.holders.get(vote.leaf.id) == "good"]
            return self._chance.choice(good or votes) if votes else None
        return self.best(node, ask)

    def compound(self, node: Node, ask: Ask) -> Vote | None:
        cache, archive = _part(node, "cache"), _part(node, "archive")
        found = self.vote(cache, ask) if cache is not None else None
        if ask.operation == CREATE or (found is not None and ask.holders.get(found.leaf.id) != "stale"):
            return found
        kept = self.vote(archive, ask) if archive is not None else None
        return found if kept is None else Vote(kept.weight / 2, kept.leaf)

    def missing(self, root: Node, ask: Ask) -> list[Node]:
        """The leaves that still want a good copy of what one of the tree's leaves holds: siblings and archives."""
        found: list[Node] = []
        self._missing(root, ask, found)
        return found

    def _missing(self, node: Node, ask: Ask, found: list[Node]) -> None:
        if node.is_leaf or not _holds(node, ask):
            return
        wanting: Sequence[Node] = ()
        if node.kind == "replication":
            wanting = [child for child in node.children if not _holds(child, ask)]
        elif node.kind == "compound" and node.settings.get("auto_repl", "on") == "on":
            archive = _part(node, "archive")
            wanting = [archive] if archive is not None and not _holds(archive, ask) else ()
        for child in wanting:
            vote = self.vote(child, Ask(CREATE, ask.size))
            known = next(
                (leaf for leaf in child.leaves() if leaf.id in ask.holders and not leaf.is_down), None
            )
            if known is not None or vote is not None:
                found.append(known if known is not None else vote.leaf)  # type: ignore[union-attr]
        for child in node.children:
            self._missing(child, ask, found)


_Kind = Callable[[Ballot, Node, Ask], Vote | None]
_KINDS: Final[Mapping[str, _Kind]] = {
    "passthru": Ballot.passthru, "random": Ballot.random, "round_robin": Ballot.round_robin, "deferred": Ballot.best,
    "load_balanced": Ballot.load_balanced, "replication": Ballot.replication, "compound": Ballot.compound,
}  # fmt: skip


def _leaf(node: Node, ask: Ask) -> Vote | None:
    if ask.operation == CREATE:
        return Vote(1.0, node) if refusal(node, ask.size) == "" else None
    weight = _STATES.get(ask.holders.get(node.id, ""), 0.0)
    return Vote(weight, node) if weight else None


def refusal(node: Node, size: int) -> str:
    """Why a leaf does not take a new file: `down`, `full`, `too large`; empty when it does."""
    if node.is_down:
        return "down"
    if node.largest is not None and size > node.largest:
        return "too large"
    if node.keep_free and node.free_bytes is not None and node.free_bytes - max(size, 0) < node.keep_free:
        return "full"
    return ""


def _part(node: Node, place: str) -> Node | None:
    return next((child for child in node.children if child.place == place), None)


def _holds(node: Node, ask: Ask) -> bool:
    return any(ask.holders.get(leaf.id) in ("good", "offline") for leaf in node.leaves())


def cache_in_front_of(root: Node, leaf_id: int) -> Node | None:
    """The cache of the compound resource whose archive a leaf is in; None where there is none."""
    for node in _nodes(root):
        if node.kind == "compound":
            archive = _part(node, "archive")
            if archive is not None and any(leaf.id == leaf_id for leaf in archive.leaves()):
                return _part(node, "cache")
    return None


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _nodes(child)
