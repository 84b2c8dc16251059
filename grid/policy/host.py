"""What rules run with: facts from the catalog, effects through the operations.

Guards and `before` rules get `CatalogFacts`, which notes what it said. `after` rules get `AfterEffects`, inside the
operation's transaction; jobs, signals and sweeps get those of `job_effects.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from grid.catalog import avus, journal
from grid.catalog.database import Database, Transaction
from grid.errors import GridError, PolicyDenied
from grid.model import Avu, Caller
from grid.namespace.ports import ReliedFact
from grid.policy import attributes, finding
from grid.policy.lookups import ANSWERS
from rules import Entity, Found, JobRequest, RuleFailed
from rules.values import NotReadable, as_text, read

OpenTransaction = Callable[[], AbstractContextManager[Transaction]]


class MicroserviceRunner(Protocol):
    """Runs a microservice for a rule, with the rights of the caller that it is given."""

    def run(self, caller: Caller, name: str, arguments: Mapping[str, Any]) -> Any: ...


def look(tx: Transaction, kind: str, *key: Any) -> Any:
    """Something that a decision may rely on: `metadata`, `members` or `attribute`."""
    if kind == "metadata":
        entity_id = attributes.id_of(tx, str(key[0]), key[1])
        values = avus.values_of(tx, entity_id, str(key[2])) if entity_id is not None else []
        return values[0] if values else None
    if kind == "members":
        return attributes.members(tx, str(key[0]))
    return attributes.facts_of(tx, str(key[0]), key[1]).get(str(key[2]))


class CatalogFacts:
    """Answers guards from the catalog."""

    def __init__(self, transaction: OpenTransaction, relied_on: list[ReliedFact] | None = None) -> None:
        self._transaction = transaction
        self._relied_on = relied_on

    def _look(self, kind: str, *key: Any) -> Any:
        with self._transaction() as tx:
            value = look(tx, kind, *key)
        if self._relied_on is not None:
            self._relied_on.append(ReliedFact(kind, key, value))
        return value

    def attribute(self, entity: Entity, name: str) -> Any:
        if entity.kind in ("Object", "Collection", "Replica", "Resource", "User", "Group"):
            return self._look("attribute", entity.kind, entity.key, name)
        if entity.kind == "Kernel":
            return dict(zip(("name", "version", "digest"), entity.name.split(" "), strict=False)).get(name)
        return None

    def metadata(self, entity: Entity, attribute: str) -> str | None:
        found: str | None = self._look("metadata", entity.kind, entity.key, attribute)
        return found

    def look_up(self, name: str, arguments: Mapping[str, Any]) -> Any:
        if name == "members":
            return self._look("members", as_text(arguments["group"]))
        answer = ANSWERS.get(name)
        if answer is None:
            raise RuleFailed("NO_IMPLEMENTATION", f"this zone has no `{name}`", name)
        with self._transaction() as tx:
            return answer(tx, arguments)

    def candidates(self, found: Found, rows: int) -> Sequence[Entity]:
        with self._transaction() as tx:
            return finding.candidates(tx, found, rows)

    # a `before` rule may note and emit; both are effects of nobody's zone

    def emit(self, name: str, carried: Mapping[str, Any]) -> None:
        raise RuleFailed("RULE_ERROR", "emitting needs a transaction", name)

    def note(self, text: str) -> None:
        return None

    def set_metadata(self, entity: Entity, attribute: str, value: str, unit: str) -> None:
        raise RuleFailed("RULE_ERROR", "a decision changes nothing", attribute)

    def remove_metadata(self, entity: Entity, attribute: str) -> None:
        raise RuleFailed("RULE_ERROR", "a decision changes nothing", attribute)

    def set_attribute(self, entity: Entity, name: str, value: Any) -> None:
        raise RuleFailed("RULE_ERROR", "a decision changes nothing", name)

    def call(self, name: str, arguments: Mapping[str, Any], token: str) -> Any:
        if name == "choose":
            return self.look_up(name, arguments)
        raise RuleFailed("RULE_ERROR", "a decision changes nothing", name)

    def schedule(self, job: JobRequest) -> None:
        raise RuleFailed("RULE_ERROR", "a decision changes nothing", job.name)


class DecisionFacts(CatalogFacts):
    """Answers `before` rules; what they emit and note is recorded beside the operation."""

    def __init__(self, database: Database, relied_on: list[ReliedFact], actor: str) -> None:
        super().__init__(database.read, relied_on)
        self._database = database
        self._actor = actor

    def emit(self, name: str, carried: Mapping[str, Any]) -> None:
        with self._database.write(durable=False) as tx:
            record_signal(tx, name, carried, self._actor)

    def note(self, text: str) -> None:
        with self._database.write(durable=False) as tx:
            journal.record_event(tx, "rule note", 0, "", self._actor, {"text": text})


def record_signal(tx: Transaction, name: str, carried: Mapping[str, Any], actor: str) -> None:
    details = {key: as_text(value) for key, value in carried.items()}
    journal.record_event(tx, f"rule emit {name}", 0, details.get("subject", ""), actor, details)


Schedule = Callable[[Transaction, JobRequest], None]
Signal = Callable[[str, Mapping[str, Any]], None]


class AfterEffects(CatalogFacts):
    """What an `after` rule may do, inside the operation's transaction."""

    def __init__(
        self,
        tx: Transaction,
        caller: Caller,
        runner: MicroserviceRunner,
        schedule: Schedule,
        types: Mapping[tuple[str, str], str],
    ) -> None:
        super().__init__(lambda: _same(tx))
        self._tx = tx
        self._caller = caller
        self._runner = runner
        self._schedule = schedule
        self._types = types

    def _entity_id(self, entity: Entity) -> int:
        found = attributes.id_of(self._tx, entity.kind, entity.key)
        if found is None:
            raise RuleFailed("FAILED", f"`{entity.name}` is not there any more", "effect", "final")
        path = (
            attributes.path_of(self._tx, entity) if entity.kind in ("Object", "Collection") else entity.name
        )
        if not self._caller.may_act_at(path):
            raise RuleFailed("FAILED", f"the policy was not granted rights at `{path}`", "effect", "final")
        return found

    def set_metadata(self, entity: Entity, attribute: str, value: str, unit: str) -> None:
        check_type(self._types, entity.kind, attribute, value)
        entity_id = self._entity_id(entity)
        self.remove_metadata(entity, attribute)
        if value:
            avus.link(self._tx, entity_id, avus.find_or_make(self._tx, Avu(attribute, value, unit)))

    def remove_metadata(self, entity: Entity, attribute: str) -> None:
        entity_id = self._entity_id(entity)
        for avu_id, avu in avus.of_entity(self._tx, entity_id):
            if avu.attribute == attribute:
                avus.unlink(self._tx, entity_id, avu_id)

    def set_attribute(self, entity: Entity, name: str, value: Any) -> None:
        if name == "visibility":
            self.set_metadata(entity, "visibility", as_text(value), "")
            return
        path = attributes.path_of(self._tx, entity)
        self._run("set_owner", {"path": path, "owner": as_text(value)})

    def call(self, name: str, arguments: Mapping[str, Any], token: str) -> Any:
        if name in ANSWERS:
            return self.look_up(name, arguments)
        return self._run(name, arguments)

    def _run(self, name: str, arguments: Mapping[str, Any]) -> Any:
        try:
            return self._runner.run(self._caller, name, arguments)
        except GridError as error:
            raise failure_of(error) from error

    def schedule(self, job: JobRequest) -> None:
        self._schedule(self._tx, job)

    def emit(self, name: str, carried: Mapping[str, Any]) -> None:
        record_signal(self._tx, name, carried, self._caller.user.full_name)

    def note(self, text: str) -> None:
        journal.record_event(self._tx, "rule note", 0, "", self._caller.user.full_name, {"text": text})


def check_type(types: Mapping[tuple[str, str], str], kind: str, attribute: str, value: str) -> None:
    """Refuse a metadata value that is not of its declared type.

    Raises:
        RuleFailed: with the code `META_TYPE`.
    """
    declared = types.get((attribute, kind))
    if declared is not None and value:
        try:
            read(value, declared)
        except NotReadable as error:
            raise RuleFailed("META_TYPE", f'metadata "{attribute}": {error}', "effect", "refused") from None


def failure_of(error: GridError) -> RuleFailed:
    """A grid error as the language's failure: whether trying again can help is the error's own word."""
    if isinstance(error, PolicyDenied):
        return RuleFailed(error.code or "REFUSED", str(error), error.rule, "final")
    return RuleFailed(
        "BUSY" if error.retry else "FAILED", str(error), "effect", "retryable" if error.retry else "final"
    )


@contextmanager
def _same(tx: Transaction) -> Any:
    yield tx
