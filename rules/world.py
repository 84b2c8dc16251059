"""A small world for tests of policies: things in memory, a virtual clock, stubs for microservices.

It implements the host that rules run with, so the rules are the real ones. What a test does not give has the value
that a fresh thing has; what cannot be known so is an error that says what to add to the test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from rules.declarations import Declarations
from rules.diagnostics import RuleFailed
from rules.host import Found, JobRequest
from rules.types import Type
from rules.values import Entity, as_text

_FRESH: Final[dict[str, Any]] = {
    "Bool": False, "Int": 0, "Size": 0, "Fraction": 0.0, "Decimal": 0.0, "Text": "", "List": [],
}  # fmt: skip
_NAMED_AFTER: Final = {
    "service_group": ("Group", "{}-service"), "service_of": ("User", "{}-service"), "group_of": ("Group", "{}-group"),
    "team_of": ("Group", "{}-group"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Called:
    name: str
    arguments: Mapping[str, Any]


@dataclass(slots=True)
class PlannedJob:
    """Scheduled work of a test: what was asked, and how far it is."""

    request: JobRequest
    due: float
    attempts: int = 0
    state: str = "waiting"
    last_failure: str = ""


@dataclass(slots=True)
class World:
    """Everything that a test gives and everything that happened."""

    declarations: Declarations
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    things: dict[tuple[str, str], Entity] = field(default_factory=dict)
    described: dict[tuple[str, int | str], dict[str, str]] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    stubs: dict[str, Any] = field(default_factory=dict)
    failing: dict[str, str] = field(default_factory=dict)
    calls: list[Called] = field(default_factory=list)
    emitted: list[Called] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    jobs: list[PlannedJob] = field(default_factory=list)
    unanswered: set[str] = field(default_factory=set)

    # -- things ----------------------------------------------------------------------------------------------

    def thing(self, kind: str, name: str) -> Entity:
        """The entity of a kind and name; made when it is not there."""
        known = self.things.get((kind, name))
        if known is None:
            known = self.things[kind, name] = Entity(kind, name, name)
        return known

    def give(self, kind: str, name: str, facts: Mapping[str, Any]) -> Entity:
        """A thing with facts; what its kind has no attribute for is metadata."""
        entity = self.thing(kind, name)
        attributes = self.declarations.entities.get(kind, {})
        for key, value in facts.items():
            if key == "groups":
                for group in value:
                    self.members.setdefault(as_text(group), set()).add(name)
            elif key in attributes:
                entity.facts[key] = self._fact(attributes[key], value)
            else:
                self.described.setdefault((kind, entity.key), {})[key] = as_text(value)
        return entity

    def _fact(self, wanted: Type, value: Any) -> Any:
        if isinstance(value, str) and wanted.name in self.declarations.entities:
            return self.thing(wanted.name, value)
        return value

    # -- what rules ask --------------------------------------------------------------------------------------

    def attribute(self, entity: Entity, name: str) -> Any:
        wanted = self.declarations.entities.get(entity.kind, {}).get(name)
        if name == "id" and wanted is not None and wanted.name == "Int":
            return 10_000 + list(self.things.values()).index(self.thing(entity.kind, entity.name))
        if name in ("name", "id", "path"):
            return entity.name.rpartition("/")[2] if name == "name" else entity.name
        if name == "medium" and entity.kind == "Replica":
            resource = entity.facts.get("resource")
            return resource.facts.get("medium") if isinstance(resource, Entity) else None
        if wanted is None or wanted.option:
            return None
        if wanted.words is not None:
            return "private" if "private" in wanted.words else None
        if wanted.name in self.declarations.entities:
            return self.thing(wanted.name, f"{entity.name}.{name}")
        return _FRESH.get(wanted.name)

    def metadata(self, entity: Entity, attribute: str) -> str | None:
        return self.described.get((entity.kind, entity.key), {}).get(attribute)

    def look_up(self, name: str, arguments: Mapping[str, Any]) -> Any:
        if name in self.failing:
            raise self._failure(name)
        if name in self.stubs:
            return self.stubs[name]
        values = [as_text(value) for value in arguments.values()]
        if name in _NAMED_AFTER:
            kind, pattern = _NAMED_AFTER[name]
            return self.thing(kind, pattern.format(values[0]))
        if name == "members":
            return [self.thing("User", user) for user in sorted(self.members.get(values[0], ()))]
        if name == "has_metadata":
            subject = arguments["subject"]
            key = (subject.kind, subject.key) if isinstance(subject, Entity) else ("Collection", subject)
            return values[1] in self.described.get(key, {})
        if name == "industrial_proposals":
            return []
        self.unanswered.add(name)
        raise RuleFailed(
            "NO_IMPLEMENTATION",
            f"a test cannot know `{name}`; add `given microservice {name} returns ...`",
            "test",
        )

    def _failure(self, name: str) -> RuleFailed:
        code = self.failing[name]
        declared = self.declarations.codes.get(code)
        return RuleFailed(
            code, f"`{name}` fails in this test", "test", declared.kind if declared else "final"
        )

    def candidates(self, found: Found, rows: int) -> Sequence[Entity]:
        entities = [e for (kind, _), e in sorted(self.things.items()) if kind == found.kind]
        if found.pattern is None:
            return entities[:rows]
        fitting = []
        for entity in entities:
            at = found.pattern.match(entity.name)
            if at is not None and all(at.get(name, value) == value for name, value in found.bound.items()):
                fitting.append(entity)
        return fitting[:rows]

    # -- what rules do ---------------------------------------------------------------------------------------

    def set_metadata(self, entity: Entity, attribute: str, value: str, unit: str) -> None:
        self.described.setdefault((entity.kind, entity.key), {})[attribute] = value
        self.changes.append(f'metadata "{attribute}" of {entity.name} is now `{value}`')

    def remove_metadata(self, entity: Entity, attribute: str) -> None:
        if self.described.get((entity.kind, entity.key), {}).pop(attribute, None) is not None:
            self.changes.append(f'metadata "{attribute}" of {entity.name} was removed')

    def set_attribute(self, entity: Entity, name: str, value: Any) -> None:
        self.thing(entity.kind, entity.name).facts[name] = value
        self.changes.append(f"{name} of {entity.name} is now `{as_text(value)}`")

    def call(self, name: str, arguments: Mapping[str, Any], token: str) -> Any:
        self.calls.append(Called(name, arguments))
        if name in self.failing:
            raise self._failure(name)
        if name in self.stubs:
            return self.stubs[name]
        if name == "choose":
            offered = list(arguments["from"])
            if not offered:
                raise RuleFailed("NO_RESOURCE", "there is nothing to choose from", "test", "retryable")
            return min(offered, key=lambda resource: (resource.facts.get("fill", 0.0), str(resource.key)))
        signature = self.declarations.microservices.get(name)
        return self._placeholder(signature.result, name) if signature and signature.result else None

    def _placeholder(self, wanted: Type, name: str) -> Any:
        if wanted.name in self.declarations.entities:
            facts = {
                attribute: self.now if of.name == "Time" else _FRESH.get(of.name)
                for attribute, of in self.declarations.entities[wanted.name].items()
                if not of.option
            }
            return Entity(wanted.name, f"of {name}", f"{wanted.name.lower()} of {name}", facts)
        return (
            self.now if wanted.name == "Time" else _FRESH.get(wanted.name, f"{wanted.name.lower()} of {name}")
        )

    def schedule(self, job: JobRequest) -> None:
        for planned in self.jobs:
            if (planned.request.body_id, planned.request.key, planned.state) == (
                job.body_id,
                job.key,
                "waiting",
            ):
                return
        self.jobs.append(PlannedJob(job, job.not_before))

    def emit(self, name: str, carried: Mapping[str, Any]) -> None:
        self.emitted.append(Called(name, carried))

    def note(self, text: str) -> None:
        self.notes.append(text)
