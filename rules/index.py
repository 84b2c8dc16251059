"""Which rules concern an event: by phase and event, then by location, through a tree of path components.

The answer for a collection is kept, because objects come in collections: what everything in it has in common is
matched once, and only patterns that end at the object itself are matched for each. Rules are compiled when they are
first needed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from rules.compiler import CompiledRule, compile_rule
from rules.core import Body, Keep, Policy, Rule, ScheduledBody, Sweep, walk_steps
from rules.locations import Capture, Pattern

_REMEMBERED: Final = 4096
_NOTHING: Final[Mapping[str, str]] = {}


class ActiveRule:
    """A rule of an active bundle; compiled at its first use."""

    __slots__ = ("_compiled", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._compiled: CompiledRule | None = None

    @property
    def compiled(self) -> CompiledRule:
        if self._compiled is None:
            self._compiled = compile_rule(self.rule)
        return self._compiled


Candidate = tuple[ActiveRule, Mapping[str, str]]


@dataclass(slots=True)
class _Node:
    """One level of paths: what may follow, and the rules whose pattern ends here."""

    literals: dict[str, "_Node"] = field(default_factory=dict)
    captures: list[tuple[Capture, Pattern, "_Node"]] = field(default_factory=list)
    below: list[ActiveRule] = field(default_factory=list)
    exact: list[ActiveRule] = field(default_factory=list)

    def child(self, component: str | Capture, pattern: Pattern) -> "_Node":
        if isinstance(component, str):
            return self.literals.setdefault(component, _Node())
        for capture, owner, node in self.captures:
            if (capture.before, capture.after) == (component.before, component.after) and owner is pattern:
                return node
        node = _Node()
        self.captures.append((component, pattern, node))
        return node

    def following(self, part: str) -> Iterable["_Node"]:
        literal = self.literals.get(part)
        if literal is not None:
            yield literal
        for capture, pattern, node in self.captures:
            if pattern.may_be(capture, part):
                yield node


class _Place:
    """The rules of one phase and event."""

    def __init__(self) -> None:
        self.everywhere: list[ActiveRule] = []
        self._root = _Node()
        self._known: dict[str, tuple[tuple[Candidate, ...], tuple[_Node, ...]]] = {}

    def add(self, active: ActiveRule) -> None:
        pattern = active.rule.pattern
        if pattern is None:
            self.everywhere.append(active)
            return
        node = self._root
        for component in pattern.components:
            node = node.child(component, pattern)
        (node.below if pattern.open_end else node.exact).append(active)

    def at(self, path: str) -> list[Candidate]:
        parent, _, name = path.rpartition("/")
        known = self._known.get(parent)
        if known is None:
            known = self._look(parent)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[parent] = known
        candidates, ends = known
        if not ends:
            return list(candidates)
        found = list(candidates)
        for node in ends:
            for last in node.following(name):
                for active in (*last.below, *last.exact):
                    pattern = active.rule.pattern
                    at = pattern.match(path) if pattern is not None else None
                    if at is not None:
                        found.append((active, at))
        return found

    def _look(self, parent: str) -> tuple[tuple[Candidate, ...], tuple[_Node, ...]]:
        found: list[Candidate] = [(active, _NOTHING) for active in self.everywhere]
        level = [self._root]
        for part in parent.strip("/").split("/") if parent.strip("/") else []:
            level = [following for node in level for following in node.following(part)]
            for node in level:
                for active in node.below:
                    pattern = active.rule.pattern
                    at = pattern.match(parent) if pattern is not None else None
                    if at is not None:
                        found.append((active, at))
        return tuple(found), tuple(node for node in level if node.literals or node.captures)

    def touches_below(self, path: str) -> bool:
        return bool(self.everywhere) or _touches(
            self._root, path.strip("/").split("/") if path.strip("/") else []
        )


def _touches(node: _Node, parts: list[str]) -> bool:
    """Whether anything in the tree at a collection may lie at some pattern."""
    if node.below or not parts:
        return bool(node.below or node.exact or node.literals or node.captures)
    return any(_touches(following, parts[1:]) for following in node.following(parts[0]))


class ActivePolicies:
    """The checked policies of one bundle, ready to answer."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self.policies = tuple(policies)
        self._places: dict[tuple[str, str], _Place] = {}
        self.signals: dict[str, list[ActiveRule]] = {}
        self.keeps: tuple[Keep, ...] = tuple(keep for policy in self.policies for keep in policy.keeps)
        self.sweeps: tuple[Sweep, ...] = tuple(sweep for policy in self.policies for sweep in policy.sweeps)
        self.metadata = {(a, e): t for policy in self.policies for a, e, t in policy.metadata}
        self.attributes = {(e, a): t for policy in self.policies for e, a, t in policy.attributes}
        self.codes = {
            name: (kind, message) for policy in self.policies for name, kind, message in policy.codes
        }
        self._rules = [ActiveRule(rule) for policy in self.policies for rule in policy.rules]
        self._bodies: dict[str, ScheduledBody] | None = None
        self._guarding, self._hiding = _Place(), _Place()
        for active in self._rules:
            self._add(active)
            self._note_guarding(active)

    def _add(self, active: ActiveRule) -> None:
        rule = active.rule
        if rule.phase == "on":
            self.signals.setdefault(rule.event.partition(" ")[2], []).append(active)
            return
        self._places.setdefault((rule.phase, rule.event), _Place()).add(active)

    def _note_guarding(self, active: ActiveRule) -> None:
        """Remember rules that refuse something: what they guard does not leave their location unasked."""
        rule = active.rule
        steps = walk_steps((*rule.body.steps, *rule.otherwise.steps))
        refuses = any(step.name in ("refuse", "require", "fail") for step in steps)
        if rule.phase != "before" or rule.pattern is None or not refuses or rule.event == "object create":
            return
        self._guarding.add(active)
        if rule.event in ("object read", "object copy"):
            self._hiding.add(active)

    def left_behind(self, source: str, target: str, *, copied: bool) -> list[str]:
        """The rules and promises that hold at one path and would not at another.

        A copy leaves only those behind that decide about reading: the original stays where it is.
        """
        place = self._hiding if copied else self._guarding
        found = [
            active.rule.id
            for active, _ in place.at(source)
            if active.rule.pattern is not None and active.rule.pattern.match(target) is None
        ]
        if not copied:
            found += [
                k.id
                for k in self.keeps
                if k.pattern.match(source) is not None and k.pattern.match(target) is None
            ]
        return found

    def guards_below(self, path: str) -> bool:
        """Whether something in the tree at a collection may be guarded by a rule or promise."""
        return self._guarding.touches_below(path) or any(
            keep.pattern.touches_below(path) for keep in self.keeps
        )

    @property
    def rules(self) -> list[ActiveRule]:
        return self._rules

    def candidates(self, phase: str, event: str, path: str) -> list[Candidate]:
        """The rules of a phase and event at a path, with the captures of their locations."""
        place = self._places.get((phase, event))
        return place.at(path) if place is not None else []

    def has(self, phase: str, event: str) -> bool:
        return (phase, event) in self._places

    def touches_below(self, phase: str, event: str, path: str) -> bool:
        """Whether a rule may apply to something in the tree at a collection."""
        place = self._places.get((phase, event))
        return place is not None and place.touches_below(path)

    def scheduled(self, body_id: str) -> ScheduledBody | None:
        """The scheduled work of an id."""
        if self._bodies is None:
            bodies: list[Body] = [body for a in self._rules for body in (a.rule.body, a.rule.otherwise)]
            bodies += [sweep.body for sweep in self.sweeps]
            self._bodies = {}
            for body in bodies:
                for step in walk_steps(body.steps):
                    if isinstance(step.data, ScheduledBody):
                        self._bodies[step.data.body.id] = step.data
        return self._bodies.get(body_id)

    def rule(self, rule_id: str) -> ActiveRule | None:
        return next((active for active in self._rules if active.rule.id == rule_id), None)
