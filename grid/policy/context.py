"""What rules see of an event: its entities, each made when a rule first uses it."""

from collections.abc import Mapping
from typing import Any, Final

from grid import paths
from grid.namespace.ports import Event
from rules import Entity
from rules.events import EVENTS

_NAMED_IN_LOCATIONS: Final = {
    "proposal": "Proposal",
    "visit": "Visit",
    "session": "Session",
    "publication": "Publication",
}
_ENTITIES: Final = {"owner": "User", "resource": "Resource", "source": "Resource", "subject": "Principal"}
_TREE_NOUNS: Final = frozenset({"collection", "session", "visit", "proposal", "publication"})


class EventContext:
    """The entities of one event, each made when a rule first uses it."""

    __slots__ = ("_event", "_known", "_zone")

    def __init__(self, event: Event, zone: str) -> None:
        self._event = event
        self._zone = zone
        self._known: dict[str, Any] = {}

    def at(self, captures: Mapping[str, str]) -> "_ContextAt":
        return _ContextAt(self, captures)

    def get(self, name: str) -> Any:
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._make(name)
        return known

    def _make(self, name: str) -> Any:
        event = self._event
        if name == "actor":
            return Entity(
                "User", event.caller.user.name, event.caller.user.name, {"type": event.caller.user.type}
            )
        if name == "zone":
            return Entity("Zone", self._zone, self._zone, {"name": self._zone})
        if name == "client":
            return Entity(
                "Client", event.caller.address, event.caller.address, {"address": event.caller.address}
            )
        facts = event.facts.get(name)
        if name in ("object", "collection"):
            return self._subject(name, facts)
        declared = EVENTS.get(event.name)
        kind = declared.context.get(name) if declared is not None else None
        if kind is None or (facts is None and event.noun != name):
            return None
        return Entity(
            kind, str((facts or {}).get("id", event.subject_id)), event.path or name, _facts(facts or {})
        )

    def _subject(self, name: str, facts: Mapping[str, Any] | None) -> Entity | None:
        event = self._event
        of_object = event.noun not in _TREE_NOUNS and "collection" not in event.facts
        if name == "object":
            if not of_object and facts is None:
                return None
            own = _facts(facts or {})
            key = (
                event.subject_id
                if event.subject_id and event.noun in ("object", "replica", "metadata", "access")
                else 0
            )
            key = int(own.get("id") or key)
            return Entity(
                "Object",
                key or event.path,
                event.path,
                {**own, "path": event.path} if key else {**self._of_a_new_object(), **own},
            )
        if facts is not None or not of_object:
            own = _facts(facts or {})
            key = int(own.get("id") or event.subject_id)
            return Entity(
                "Collection",
                key or event.path,
                event.path,
                own if key else {**self._of_anything_new(), **own},
            )
        parent = paths.split(event.path)[0] if event.path else ""
        return Entity("Collection", parent, parent)

    def _of_anything_new(self) -> dict[str, Any]:
        """What is known of something that the catalog does not hold yet."""
        event, actor = self._event, self._event.caller.user.name
        return {
            "path": event.path,
            "name": paths.split(event.path)[1] if event.path else "",
            "owner": Entity("User", actor, actor),
        }

    def _of_a_new_object(self) -> dict[str, Any]:
        parent = paths.split(self._event.path)[0] if self._event.path else ""
        return {
            **self._of_anything_new(),
            "collection": Entity("Collection", parent, parent),
            "size": 0,
            "copies": 0,
            "checksummed": False,
        }


class _ContextAt(Mapping[str, Any]):
    """An event's entities together with those that the captures of a rule's location name."""

    __slots__ = ("_captures", "_context")

    def __init__(self, context: EventContext, captures: Mapping[str, str]) -> None:
        self._context = context
        self._captures = captures

    def __getitem__(self, name: str) -> Any:
        kind = _NAMED_IN_LOCATIONS.get(name)
        key = self._captures.get(name) if kind is not None else None
        if kind is None or key is None:
            return self._context.get(name)
        facts = {"id": key, **{n: self._captures[n] for n in ("proposal", "beamline") if n in self._captures}}
        return Entity(kind, key, key, facts)

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0


def _facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of an operation as rules see them: names of users and resources are these."""
    found = dict(facts)
    for name, kind in _ENTITIES.items():
        value = found.get(name)
        if isinstance(value, str):
            found[name] = Entity(kind, value, value)
    return found
