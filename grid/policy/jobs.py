"""Scheduled work: a process that leases jobs from the catalog and runs their bodies.

At least once: a body whose worker vanished runs again, so everything it does is repeatable. A job runs the
policy it was scheduled by, with that policy's rights.
"""

import logging
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from grid.catalog import collections as collection_rows
from grid.catalog import jobs
from grid.catalog import objects as object_rows
from grid.catalog.database import Database
from grid.catalog.jobs import Job
from grid.errors import CatalogBusy, CatalogUnavailable, GridError, NotFound, RuleBroken
from grid.model import Avu, Caller
from grid.namespace import MetadataOperation, Namespace
from grid.namespace import Subject as MetadataSubject
from grid.namespace.data_objects import object_facts
from grid.policy.engine import PolicyEngine
from grid.policy.services import MicroserviceHost
from rules import Frame, JobRequest, Refused, RuleError, Subject

IDLE_S: Final = 0.2
SWEEP_EVERY_S: Final = 600.0

_log = logging.getLogger("beamgrid.jobs")


class JobWorker:
    """Runs jobs until told to stop."""

    def __init__(
        self,
        database: Database,
        policy: PolicyEngine,
        host: MicroserviceHost,
        namespace: Namespace,
        timezone: str,
    ) -> None:
        self._database = database
        self._policy = policy
        self._host = host
        self._namespace = namespace
        self._timezone = timezone
        self._stopping = threading.Event()

    def run(self) -> None:
        """Serve until SIGTERM."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())
        signal.signal(signal.SIGHUP, lambda *_: self._policy.forget())
        next_sweep = time.monotonic() + SWEEP_EVERY_S
        while not self._stopping.is_set():
            try:
                worked = self.run_one()
                if time.monotonic() >= next_sweep:
                    self._namespace.finisher.recover()
                    self._namespace.finisher.sweep_staging()
                    next_sweep = time.monotonic() + SWEEP_EVERY_S
            except (CatalogBusy, CatalogUnavailable) as error:
                _log.warning("jobs wait for the catalog: %s", error)
                self._stopping.wait(1.0)
                continue
            if not worked:
                self._stopping.wait(IDLE_S)

    def run_one(self) -> bool:
        """Run the job that has been due for longest; False when none is due."""
        lease_id = self._namespace.context.lease_id
        with self._database.read() as tx:
            if not jobs.something_due(tx):
                return False
        with self._database.write(durable=False) as tx:
            job = jobs.claim(tx, lease_id)
        if job is None:
            return False
        try:
            self._run_body(job)
        except (Refused, RuleError, GridError) as error:
            with self._database.write() as tx:
                final = not _may_help(error)
                given_up = jobs.fail(tx, job, lease_id, str(error), final=final)
            _log.warning(
                "job %d (%s) failed%s: %s", job.id, job.name, ", given up" if given_up else "", error
            )
            return True
        with self._database.write() as tx:
            jobs.finish(tx, job.id, lease_id)
        return True

    def _run_body(self, job: Job) -> None:
        policy = self._policy.at_generation(job.bundle_generation)
        body = policy.bodies.get(job.body_id)
        if body is None:
            raise RuleBroken(
                f"the policy of generation {job.bundle_generation} has no `{job.body_id}` any more"
            )
        caller = self._caller(job)
        subjects, entities = self._subjects(job.captured.get("subjects", {}))
        if job.captured.get("subjects") and not subjects:
            _log.info("job %d (%s) has nothing left to work on", job.id, job.name)
            return
        frame = Frame(
            rule=job.rule_id,
            entities=entities,
            subjects=subjects,
            at=job.captured.get("at", {}),
            actor=job.captured.get("actor", ""),
            zone=self._namespace.context.zone,
            now=time.time(),
            reader=_JobWriter(self._namespace, self._host, caller),
            timezone=self._timezone,
            locals=dict(job.captured.get("locals", {})),
        )
        for statement in body:
            statement(frame)

    def _caller(self, job: Job) -> Caller:
        users = self._namespace.users
        try:
            caller = users.caller(job.user_name, job.user_zone, request_id=f"job {job.id}")
        except NotFound as error:
            raise RuleBroken(f"the user of the job was removed: {error}") from error
        return replace(caller, rights_of_rules=True)

    def _subjects(
        self, captured: Mapping[str, Any]
    ) -> tuple[dict[str, Subject], dict[str, Mapping[str, Any]]]:
        """The job's subjects as they are now; what was removed is not among them."""
        subjects: dict[str, Subject] = {}
        entities: dict[str, Mapping[str, Any]] = {}
        with self._database.read() as tx:
            for name, (kind, entity_id, _) in captured.items():
                if kind == "object":
                    found = object_rows.by_id_or_none(tx, entity_id)
                    if found is not None:
                        subjects[name] = Subject(kind, found.id, found.path)
                        entities[name] = object_facts(found, self._namespace.context.storage.tree(tx))
                else:
                    collection = collection_rows.by_id_or_none(tx, entity_id)
                    if collection is not None:
                        subjects[name] = Subject(kind, collection.id, collection.path)
                        entities[name] = {
                            "id": collection.id, "path": collection.path, "owner": collection.owner_name,
                        }  # fmt: skip
        return subjects, entities


def _may_help(error: Exception) -> bool:
    """Whether trying again later can change anything."""
    return not isinstance(error, (RuleError, RuleBroken))


class _JobWriter:
    """What a scheduled body may do."""

    def __init__(self, namespace: Namespace, host: MicroserviceHost, caller: Caller) -> None:
        self._namespace = namespace
        self._host = host
        self._caller = caller

    def metadata(self, subject: Subject, attribute: str) -> str | None:
        held = self._namespace.metadata.of(self._caller, MetadataSubject(subject.kind, subject.path))
        return next((avu.value for avu in held if avu.attribute == attribute), None)

    def members(self, group: str) -> frozenset[str]:
        return self._namespace.users.member_names(group)

    def set_metadata(self, subject: Subject, attribute: str, value: str, unit: str) -> None:
        if not value:
            return
        self._namespace.metadata.apply(
            self._caller,
            MetadataSubject(subject.kind, subject.path),
            [MetadataOperation("set", Avu(attribute, value, unit))],
        )

    def set_owner(self, subject: Subject, owner: str) -> None:
        self._namespace.administration.change_owner(self._caller, subject.path, owner)

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        return self._host.run(self._caller, name, arguments)

    def schedule(self, job: JobRequest) -> None:
        raise RuleBroken("scheduled work cannot schedule more")
