"""Rules that can never apply, and rules and promises that contradict each other.

Guards are put into disjunctive normal form over atoms: a comparison of something with a constant, membership in a
list of constants, existence. For each thing compared, the values that are left decide whether a case can happen.
What cannot be read so is an atom of its own that may be true or false; a finding that depends on one is a warning.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from rules.core import (
    Guard,
    Keep,
    Op,
    Place,
    Policy,
    Promise,
    Rule,
    Step,
    Sweep,
    items_of,
    walk_steps,
)
from rules.diagnostics import Finding
from rules.locations import Pattern

NOWHERE: Final = Pattern("nowhere", "/-", ("-",), False, {})
MAX_CASES: Final = 64
_FLIPPED: Final = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "le": "gt", "gt": "le"}
_MIRRORED: Final = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}


@dataclass(frozen=True, slots=True)
class Atom:
    """`thing operator value`; an opaque one has the operator `holds` and the values True and False."""

    thing: str
    operator: str
    value: Any


Case = tuple[Atom, ...]
_Item = Rule | Keep | Sweep


def _name(op: Op) -> str:
    """What tells an expression from another, whatever its place in the text."""
    if op.name == "slot":
        return f"${op.data}"
    inner = ",".join(_name(arg) for arg in op.args)
    data = op.data[0] if op.name in ("load", "meta") else op.data
    return f"{op.name}[{data}]({inner})"


def cases(op: Op, wanted: bool = True) -> list[Case] | None:
    """The disjunctive normal form of a condition; None when it has too many cases."""
    if op.name == "not":
        return cases(op.args[0], not wanted)
    if op.name in ("and", "or"):
        parts = [cases(arg, wanted) for arg in op.args]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        if (op.name == "and") != wanted:
            return list(itertools.chain.from_iterable(known))
        joined = [tuple(itertools.chain.from_iterable(choice)) for choice in _product(known)]
        return joined if len(joined) < MAX_CASES else None
    return [_atom(op, wanted)]


def _product(parts: list[list[Case]]) -> Iterator[tuple[Case, ...]]:
    return itertools.islice(itertools.product(*parts), MAX_CASES)


def _atom(op: Op, wanted: bool) -> Case:
    if op.name == "const":
        return () if bool(op.data) is wanted else (Atom("always", "eq", True), Atom("always", "eq", False))
    if op.name in _FLIPPED and _plain(op.args[1]):
        return (Atom(_name(op.args[0]), op.name if wanted else _FLIPPED[op.name], op.args[1].data),)
    if op.name in _FLIPPED and _plain(op.args[0]):
        name = _MIRRORED[op.name]
        return (Atom(_name(op.args[1]), name if wanted else _FLIPPED[name], op.args[0].data),)
    if op.name == "in" and op.args[1].name == "list" and all(_plain(item) for item in op.args[1].args):
        values = frozenset(item.data for item in op.args[1].args)
        return (Atom(_name(op.args[0]), "in" if wanted else "out", values),)
    return (Atom(_name(op), "holds", wanted),)


def _plain(op: Op) -> bool:
    return op.name == "const" and isinstance(op.data, (str, int, float, bool, timedelta))


def possible(case: Iterable[Atom]) -> bool:
    """Whether all atoms of a case can hold together."""
    by_thing: dict[str, list[Atom]] = {}
    for atom in case:
        by_thing.setdefault(atom.thing, []).append(atom)
    return all(_together(atoms) for atoms in by_thing.values())


def _together(atoms: list[Atom]) -> bool:
    holds = {atom.value for atom in atoms if atom.operator == "holds"}
    if len(holds) > 1:
        return False
    exact: set[Any] | None = None
    for atom in atoms:
        if atom.operator in ("eq", "in"):
            values = {atom.value} if atom.operator == "eq" else set(atom.value)
            exact = values if exact is None else exact & values
    if exact is not None:
        return any(all(_allows(atom, value) for atom in atoms) for value in exact)
    low, high = (
        [a for a in atoms if a.operator in ("gt", "ge")],
        [a for a in atoms if a.operator in ("lt", "le")],
    )
    return all(_below(one, two) for one in low for two in high)


def _below(low: Atom, high: Atom) -> bool:
    try:
        if low.operator == "ge" and high.operator == "le":
            return bool(low.value <= high.value)
        return bool(low.value < high.value)
    except TypeError:
        return True


def _allows(atom: Atom, value: Any) -> bool:
    try:
        checks: dict[str, Callable[[], bool]] = {
            "eq": lambda: value == atom.value, "ne": lambda: value != atom.value, "lt": lambda: value < atom.value,
            "le": lambda: value <= atom.value, "gt": lambda: value > atom.value, "ge": lambda: value >= atom.value,
            "in": lambda: value in atom.value, "out": lambda: value not in atom.value, "holds": lambda: True,
        }  # fmt: skip
        return bool(checks[atom.operator]())
    except TypeError:
        return True


def _guard_cases(guards: tuple[Guard, ...]) -> list[Case] | None:
    parts = [cases(guard.condition, guard.wanted) for guard in guards]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    joined = [tuple(itertools.chain.from_iterable(choice)) for choice in _product(known)]
    return joined if len(joined) < MAX_CASES else None


def overlap(one: tuple[Guard, ...], other: tuple[Guard, ...]) -> tuple[bool, bool]:
    """Whether two lists of guards may hold together, and whether that is certain to be readable."""
    left, right = _guard_cases(one), _guard_cases(other)
    if left is None or right is None:
        return True, False
    together = [pair for pair in itertools.product(left, right) if possible((*pair[0], *pair[1]))]
    certain = any(all(atom.operator != "holds" for atom in (*a, *b)) for a, b in together)
    return bool(together), certain


def find(policy: Policy) -> list[Finding]:
    """Everything of a policy that is unreachable or contradicts something else in it."""
    between = [finding for _, finding in _contradictions([policy])]
    return [*_unreachable(policy), *between]


def across(policies: Sequence[Policy]) -> list[tuple[int, Finding]]:
    """What of different policies contradicts each other.

    Returns:
        Findings, each with the number of the policy that its place is in.
    """
    numbers = {policy.name: number for number, policy in enumerate(policies)}
    return [
        (numbers[second], finding)
        for (first, second), finding in _contradictions(policies)
        if first != second
    ]


def _contradictions(policies: Sequence[Policy]) -> Iterator[tuple[tuple[str, str], Finding]]:
    """Findings, each with the names of the two policies it is about; it stands in the second."""
    rules = [rule for policy in policies for rule in policy.rules]
    keeps = [keep for policy in policies for keep in policy.keeps]
    sweeps = [sweep for policy in policies for sweep in policy.sweeps]
    yield from _overlapping_sets(rules)
    yield from _opposed_promises(keeps)
    yield from _deletions([*rules, *sweeps], keeps)


def _between(one: _Item, other: _Item) -> tuple[str, str]:
    return _policy_of(one), _policy_of(other)


def _policy_of(item: _Item) -> str:
    return item.id.rpartition("/")[0]


def _shown(item: _Item, beside: _Item) -> str:
    """The title, with the policy's name where it is another one than that of `beside`."""
    place = "" if _policy_of(item) == _policy_of(beside) else f" of `{_policy_of(item)}`"
    return f"`{item.title}`{place}"


def _unreachable(policy: Policy) -> Iterator[Finding]:
    for item in items_of(policy):
        found = _guard_cases(item.guards)
        if found is not None and not any(possible(case) for case in found):
            yield Finding(
                "E501", f"`{item.title}` can never apply: its conditions exclude each other", item.span
            )


def _overlapping_sets(rules: Iterable[Rule]) -> Iterator[tuple[tuple[str, str], Finding]]:
    setting: dict[tuple[str, str, str], list[tuple[Rule, Op]]] = {}
    for rule in rules:
        for target, value in _sets(rule).items():
            setting.setdefault((rule.phase, rule.event, target), []).append((rule, value))
    for (_, _, target), entries in setting.items():
        for (one, mine), (other, theirs) in _near(entries):
            if _name(mine) == _name(theirs) or not _same_place(one.pattern, other.pattern):
                continue
            together, certain = overlap(one.guards, other.guards)
            if together:
                yield _between(one, other), Finding(
                    "E510" if certain or not (one.guards or other.guards) else "W510",
                    f"{_shown(one, other)} and `{other.title}` both set {target}, to different values",
                    other.span, "order never matters, so only one rule may set it where both apply",
                )  # fmt: skip


def _near(entries: list[tuple[Rule, Op]]) -> Iterator[tuple[tuple[Rule, Op], tuple[Rule, Op]]]:
    """Pairs whose locations may have something in common, in the order of the text: the literal beginnings agree."""
    placed = sorted(enumerate(entries), key=lambda entry: _beginning(entry[1][0]))
    for index, (first, one) in enumerate(placed):
        beginning = _beginning(one[0])
        for second, other in placed[index + 1 :]:
            if not _beginning(other[0]).startswith(beginning):
                break
            yield (one, other) if first < second else (other, one)


def _beginning(rule: Rule) -> str:
    return rule.pattern.prefix.rstrip("/") + "/" if rule.pattern is not None else ""


def _same_place(one: Pattern | None, other: Pattern | None) -> bool:
    return one is None or other is None or one.overlaps(other)


def _sets(rule: Rule) -> dict[str, Op]:
    """What a rule sets whenever it applies: target to value."""
    found: dict[str, Op] = {}
    for step in rule.body.steps:
        if step.name == "set_event":
            found[f"`{step.data}`"] = step.args[0]
        elif step.name in ("set_meta", "set_attribute"):
            kind = "metadata" if step.name == "set_meta" else "attribute"
            found[f"{kind} `{step.data}` of {_subject(rule, step)}"] = step.args[1]
    return found


def _subject(rule: Rule, step: Step) -> str:
    op = step.args[0]
    return f"`{rule.body.names[op.data]}`" if op.name == "slot" else _name(op)


def _opposed_promises(keeps: Iterable[Keep]) -> Iterator[tuple[tuple[str, str], Finding]]:
    for one, other in itertools.permutations(keeps, 2):
        if not one.pattern.overlaps(other.pattern):
            continue
        together, certain = overlap(one.guards, other.guards)
        if not together:
            continue
        for wanted, forbidden in itertools.product(one.promises, other.promises):
            if wanted.count and not forbidden.count and _only_within(wanted, forbidden):
                yield _between(one, other), Finding(
                    "E511" if certain or not (one.guards or other.guards) else "W511",
                    f"{_shown(one, other)} wants {wanted.written}, which `{other.title}` forbids",
                    forbidden.span, "say with `unless` in one of them where the other counts",
                )  # fmt: skip


def _only_within(wanted: Promise, forbidden: Promise) -> bool:
    """Whether every resource that may satisfy one promise is forbidden by the other."""
    inside = place_cases(wanted.place, True)
    outside = place_cases(forbidden.place, False)
    return not any(possible((*a, *b)) for a in inside for b in outside)


def place_cases(place: Place, wanted: bool) -> list[Case]:
    """The disjunctive normal form of a condition on resources."""
    if place.kind == "is":
        return [
            (Atom(place.attribute, "eq" if (place.operator == "=") == wanted else "ne", place.values[0]),)
        ]
    if place.kind == "in":
        return [(Atom(place.attribute, "in" if wanted else "out", frozenset(place.values)),)]
    if place.kind == "not":
        return place_cases(place.parts[0], not wanted)
    left, right = place.parts
    if place.kind == "except":
        return place_cases(Place("and", parts=(left, Place("not", parts=(right,)))), wanted)
    mine, theirs = place_cases(left, wanted), place_cases(right, wanted)
    if (place.kind == "and") == wanted:
        return [(*a, *b) for a, b in itertools.islice(itertools.product(mine, theirs), MAX_CASES)]
    return mine + theirs


def _deletions(
    deleting: Iterable[Rule | Sweep], keeps: Sequence[Keep]
) -> Iterator[tuple[tuple[str, str], Finding]]:
    for item in deleting:
        if not any(step.name == "do" and step.data.name == "erase" for step in walk_steps(item.body.steps)):
            continue
        for keep in keeps:
            if any(p.count for p in keep.promises) and _same_place(item.pattern, keep.pattern) and overlap(
                item.guards, keep.guards
            )[0]:  # fmt: skip
                yield _between(keep, item), Finding(
                    "E512", f"`{item.title}` erases what {_shown(keep, item)} still promises copies of", item.span,
                    "say with `unless` where the promise ends",
                )  # fmt: skip


__all__ = ["NOWHERE", "Atom", "Keep", "across", "cases", "find", "overlap", "place_cases", "possible"]
