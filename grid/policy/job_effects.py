"""What scheduled work may do: the zone's operations, with the rights of the policy that scheduled it.

Operations can be repeated: what is so already stays as it is. What cannot, such as a note, is done once for a job.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from grid.catalog import jobs, journal
from grid.catalog.database import Transaction
from grid.errors import GridError
from grid.model import Avu, Caller
from grid.namespace import MetadataOperation, Namespace
from grid.namespace import Subject as MetadataSubject
from grid.namespace.steps import reached
from grid.policy import attributes
from grid.policy.host import (
    CatalogFacts,
    MicroserviceRunner,
    Schedule,
    Signal,
    check_type,
    failure_of,
    record_signal,
)
from grid.policy.lookups import ANSWERS
from rules import Entity, JobRequest, RuleFailed
from rules.values import as_text


class Once:
    """What a job did that doing again would repeat: notes, signals, work it scheduled.

    An effect is known by what it says and, among equal ones, by its number within the attempt.
    """

    def __init__(self, job_id: int = 0) -> None:
        self._job_id = job_id
        self._seen: Counter[str] = Counter()

    def is_new(self, tx: Transaction, effect: str) -> bool:
        """Whether no earlier attempt did this; noted in the transaction that does it."""
        if not self._job_id:
            return True
        digest = hashlib.sha256(effect.encode("utf-8", "surrogatepass")).hexdigest()
        self._seen[digest] += 1
        return jobs.done_once(tx, self._job_id, f"{digest}.{self._seen[digest]}")


@contextmanager
def _effect() -> Iterator[None]:
    """An effect of a scheduled body, at which the crash tests may end the worker."""
    reached("job.effect.before")
    yield
    reached("job.effect.after")


class JobEffects(CatalogFacts):
    """What a scheduled body, a signal's rule or a sweep may do: operations, with the rights of the policy."""

    def __init__(
        self, namespace: Namespace, caller: Caller, runner: MicroserviceRunner, schedule: Schedule, signal: Signal,
        types: Mapping[tuple[str, str], str], once: Once,
    ) -> None:  # fmt: skip
        super().__init__(namespace.context.database.read)
        self._once = once
        self._namespace = namespace
        self._caller = caller
        self._runner = runner
        self._schedule = schedule
        self._signal = signal
        self._types = types

    def _subject(self, entity: Entity) -> MetadataSubject:
        if entity.kind in ("Object", "Collection"):
            with self._namespace.context.database.read() as tx:
                path = attributes.path_of(tx, entity)
            if not path:
                raise RuleFailed("FAILED", f"`{entity.name}` is not there any more", "effect", "final")
            return MetadataSubject(entity.kind.lower(), path)
        return MetadataSubject({"Group": "user"}.get(entity.kind, entity.kind.lower()), entity.name)

    def set_metadata(self, entity: Entity, attribute: str, value: str, unit: str) -> None:
        check_type(self._types, entity.kind, attribute, value)
        if not value:
            self.remove_metadata(entity, attribute)
            return
        self._apply(self._subject(entity), [MetadataOperation("set", Avu(attribute, value, unit))])

    def remove_metadata(self, entity: Entity, attribute: str) -> None:
        subject = self._subject(entity)
        held = self._namespace.metadata.of(self._caller, subject)
        operations = [MetadataOperation("remove", avu) for avu in held if avu.attribute == attribute]
        if operations:
            self._apply(subject, operations)

    def _apply(self, subject: MetadataSubject, operations: list[MetadataOperation]) -> None:
        try:
            with _effect():
                self._namespace.metadata.apply(self._caller, subject, operations)
        except GridError as error:
            raise failure_of(error) from error

    def set_attribute(self, entity: Entity, name: str, value: Any) -> None:
        if name == "visibility":
            self.set_metadata(entity, "visibility", as_text(value), "")
            return
        subject = self._subject(entity)
        try:
            with _effect():
                self._namespace.administration.change_owner(self._caller, subject.name, as_text(value))
        except GridError as error:
            raise failure_of(error) from error

    def call(self, name: str, arguments: Mapping[str, Any], token: str) -> Any:
        if name in ANSWERS:
            return self.look_up(name, arguments)
        try:
            with _effect():
                return self._runner.run(self._caller, name, arguments)
        except GridError as error:
            raise failure_of(error) from error

    def schedule(self, job: JobRequest) -> None:
        with _effect(), self._namespace.context.database.write() as tx:
            if self._once.is_new(tx, f"schedule {job.body_id} {job.key}"):
                self._schedule(tx, job)

    def emit(self, name: str, carried: Mapping[str, Any]) -> None:
        said = {key: as_text(value) for key, value in carried.items()}
        with _effect(), self._namespace.context.database.write() as tx:
            if self._once.is_new(tx, f"emit {name} {json.dumps(said, sort_keys=True)}"):
                record_signal(tx, name, carried, self._caller.user.full_name)
        self._signal(name, carried)

    def note(self, text: str) -> None:
        with _effect(), self._namespace.context.database.write(durable=False) as tx:
            if self._once.is_new(tx, f"note {text}"):
                journal.record_event(tx, "rule note", 0, "", self._caller.user.full_name, {"text": text})
