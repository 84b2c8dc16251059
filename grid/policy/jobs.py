"""Scheduled work: a process that leases jobs from the catalog and runs their bodies, sweeps and promises.

At least once: a body whose worker vanished runs again, so everything it does is repeatable, and each call of a
microservice carries a token that is the same in every attempt. A job runs the policy it was scheduled by, with that
policy's rights. Several threads work side by side, and no lane of jobs may take them all.
"""

import logging
import signal
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from grid.catalog import jobs, periodic
from grid.catalog.database import Database, Transaction
from grid.catalog.jobs import Job
from grid.errors import CatalogBusy, CatalogUnavailable, GridError, NotFound, RuleBroken
from grid.model import Caller
from grid.namespace import Event, Namespace
from grid.namespace.steps import reached
from grid.policy import attributes
from grid.policy.bundles import CheckedBundle
from grid.policy.engine import PolicyEngine, rule_caller
from grid.policy.host import failure_of
from grid.policy.job_effects import JobEffects, Once
from grid.policy.keeping import Keeper
from grid.policy.services import MicroserviceHost
from grid.policy.sweeps import SweepRunner
from rules import Entity, Frame, JobRequest, RuleFailed
from rules.compiler import compile_body
from rules.core import Body, ScheduledBody
from rules.runtime import frame_slots, thawed

IDLE_S: Final = 0.2
TIDY_EVERY_S: Final = 600.0
RENEW_EVERY_S: Final = 60.0
JOB_STEPS: Final = 1_000_000

_log = logging.getLogger("beamgrid.jobs")


class JobWorker:
    """Runs jobs, sweeps and promises until told to stop."""

    def __init__(
        self,
        database: Database,
        policy: PolicyEngine,
        host: MicroserviceHost,
        namespace: Namespace,
        *,
        threads: int = 1,
    ) -> None:
        self._database = database
        self._policy = policy
        self._host = host
        self._namespace = namespace
        self._threads = threads
        self._stopping = threading.Event()
        self._running: set[int] = set()
        self._keeper = Keeper(database, namespace, policy)
        self._sweeps = SweepRunner(database, policy.zone, policy.timezone)

    def run(self) -> None:
        """Serve until SIGTERM."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())
        signal.signal(signal.SIGHUP, lambda *_: self._policy.forget())
        others = [
            threading.Thread(target=self._loop, name=f"job-{n}", daemon=True) for n in range(1, self._threads)
        ]
        for thread in others:
            thread.start()
        self._loop(first=True)
        for thread in others:
            thread.join(timeout=30)

    def _loop(self, *, first: bool = False) -> None:
        next_tidying = time.monotonic() + TIDY_EVERY_S
        next_renewal = time.monotonic() + RENEW_EVERY_S
        while not self._stopping.is_set():
            try:
                worked = self.run_one()
                if first:
                    worked = self.run_periodic() or worked
                    if time.monotonic() >= next_tidying:
                        self._namespace.finisher.recover()
                        self._namespace.finisher.sweep_staging()
                        next_tidying = time.monotonic() + TIDY_EVERY_S
                    if time.monotonic() >= next_renewal:
                        self._renew()
                        next_renewal = time.monotonic() + RENEW_EVERY_S
            except (CatalogBusy, CatalogUnavailable) as error:
                _log.warning("jobs wait for the catalog: %s", error)
                self._stopping.wait(1.0)
                continue
            if not worked:
                self._stopping.wait(IDLE_S)

    def _renew(self) -> None:
        if self._running:
            with self._database.write(durable=False) as tx:
                jobs.renew(tx, list(self._running), self._namespace.context.lease_id)

    # -- jobs ------------------------------------------------------------------------------------------------

    def run_one(self) -> bool:
        """Run one job that is due; False when none is."""
        lease_id = self._namespace.context.lease_id
        with self._database.read() as tx:
            if not jobs.something_due(tx):
                return False
        with self._database.write(durable=False) as tx:
            job = jobs.claim(tx, lease_id, per_lane=max(1, self._threads // 2))
        if job is None:
            return False
        self._running.add(job.id)
        try:
            self._work(job, lease_id)
        finally:
            self._running.discard(job.id)
        return True

    def _work(self, job: Job, lease_id: int) -> None:
        reached("job.claimed")
        if not job.giving_up:
            failure = self._failure(job)
            if failure is None:
                reached("job.finish.before")
                with self._database.write() as tx:
                    if jobs.finish(tx, job.id, lease_id):
                        self._tell(tx, "done", job)
                reached("job.finish.after")
                return
            final = failure.kind != "retryable" and failure.kind != "refused"
            with self._database.write() as tx:
                waits = jobs.put_back(tx, job, lease_id, f"{failure.code}: {failure}", final=final)
            _log.warning("job %d (%s) failed%s: %s", job.id, job.name, "" if waits else ", given up", failure)
            if waits:
                return
        reached("job.give_up.before")
        self._give_up(job)
        reached("job.give_up.after")
        with self._database.write() as tx:
            if jobs.bury(tx, job.id, lease_id):
                self._tell(tx, "dead", job)

    def _failure(self, job: Job) -> RuleFailed | None:
        """Run the body; how it failed, if it did."""
        if job.ends_its_workers:
            return RuleFailed(
                "WORKER_ENDED", f"{job.attempts - 1} workers ended in the middle of it", job.rule_id, "final"
            )
        try:
            self._run_body(job)
        except RuleFailed as error:
            return error
        except (CatalogBusy, CatalogUnavailable):
            raise
        except GridError as error:
            return failure_of(error)
        return None

    def _tell(self, tx: Transaction, verb: str, job: Job) -> None:
        """Let the rules on the end of scheduled work see it."""
        facts = {"job": {"id": job.id, "name": job.name, "attempts": job.attempts}}
        self._policy.after(tx, Event("job", verb, self.service_caller(f"job {job.id}"), "", job.id, facts))

    def _run_body(self, job: Job) -> None:
        bundle, scheduled = self._scheduled(job)
        frame = self._frame(job, bundle, scheduled.body)
        if frame is None:
            _log.info("job %d (%s) has nothing left to work on", job.id, job.name)
            return
        compile_body(scheduled.body)(frame)

    def _give_up(self, job: Job) -> None:
        try:
            bundle, scheduled = self._scheduled(job)
            frame = self._frame(job, bundle, scheduled.give_up)
            if frame is not None and scheduled.give_up.steps:
                compile_body(scheduled.give_up)(frame)
        except (RuleFailed, GridError) as error:
            _log.error("what job %d (%s) does on giving up failed: %s", job.id, job.name, error)

    def _scheduled(self, job: Job) -> tuple[CheckedBundle, ScheduledBody]:
        bundle = self._policy.at_generation(job.bundle_generation)
        scheduled = bundle.active.scheduled(job.body_id)
        if scheduled is None:
            raise RuleBroken(
                f"the policy of generation {job.bundle_generation} has no `{job.body_id}` any more"
            )
        return bundle, scheduled

    def _frame(self, job: Job, bundle: CheckedBundle, body: Body) -> Frame | None:
        """The values the job took along, as they are now; None when what it was about is gone."""
        captured = job.captured
        slots: list[Any] = [None] * len(body.names)
        for slot, value in captured.get("slots", {}).items():
            thing = thawed(value)
            if (
                isinstance(thing, Entity)
                and thing.kind in ("Object", "Collection")
                and isinstance(thing.key, int)
            ):
                facts = self._fresh(thing)
                if not facts:
                    return None
                thing = Entity(thing.kind, thing.key, str(facts["path"]), facts)
            slots[int(slot)] = thing
        return Frame(
            job.rule_id, slots, captured.get("at", {}), datetime.now(UTC), self._effects(job, bundle),
            self._policy.timezone, token=f"job {job.id}", steps=JOB_STEPS, rows=100_000,
        )  # fmt: skip

    def _fresh(self, entity: Entity) -> dict[str, Any]:
        with self._database.read() as tx:
            return attributes.facts_of(tx, entity.kind, entity.key)

    def _effects(self, job: Job, bundle: CheckedBundle) -> JobEffects:
        users = self._namespace.users
        try:
            caller = users.caller(job.user_name, job.user_zone, request_id=f"job {job.id}")
        except NotFound as error:
            raise RuleBroken(f"the user of the job was removed: {error}") from error
        return self.effects(caller, bundle, job.rule_id, Once(job.id))

    def effects(
        self, caller: Caller, bundle: CheckedBundle, rule_id: str, once: Once | None = None
    ) -> JobEffects:
        """What the body of a rule may do for a caller, with the rights that its policy was granted.

        Args:
            caller: on whose behalf.
            bundle: the policy.
            rule_id: the rule, promise or sweep.
            once: what earlier attempts of the same job did; None where nothing is attempted again.
        """
        once = once or Once()

        def schedule(tx: Any, request: JobRequest) -> None:
            self._policy.schedule(tx, request, bundle.generation, caller)

        def on_signal(name: str, carried: Any) -> None:
            self.signal(name, carried, caller, bundle, once)

        acting = replace(rule_caller(caller, bundle, rule_id), request_id=caller.request_id)
        return JobEffects(
            self._namespace, acting, self._host, schedule, on_signal, bundle.active.metadata, once
        )

    # -- signals ---------------------------------------------------------------------------------------------

    def signal(self, name: str, carried: Any, caller: Caller, bundle: CheckedBundle, once: Once) -> None:
        """Run the rules on a signal."""
        for active in bundle.active.signals.get(name, ()):
            entities = {
                "signal": dict(carried), "actor": Entity("User", caller.user.name, caller.user.name),
                "zone": Entity("Zone", self._policy.zone, self._policy.zone, {"name": self._policy.zone}),
            }  # fmt: skip
            frame = Frame(
                active.rule.id, frame_slots(active.rule.body, entities), {}, datetime.now(UTC),
                self.effects(caller, bundle, active.rule.id, once), self._policy.timezone,
                token=f"signal {caller.request_id}", steps=JOB_STEPS,
            )  # fmt: skip
            if active.compiled.guards(frame):
                active.compiled.body(frame)
            else:
                active.compiled.otherwise(frame)

    # -- sweeps and promises ---------------------------------------------------------------------------------

    def run_periodic(self) -> bool:
        """Run the sweeps and promises that are due; False when none was."""
        bundle = self._policy.bundle.current
        worked = self._keeper.run_some(bundle)
        for sweep in bundle.active.sweeps:
            now = datetime.now(UTC)
            if not self._sweeps.is_open(sweep, now) or not self._due(sweep.id):
                continue
            with self._database.write(durable=False) as tx:
                turn = periodic.take(tx, sweep.id, self._namespace.context.lease_id)
            if turn is None:
                continue
            report = self._sweeps.run(
                sweep, self.effects(self.service_caller(f"sweep {sweep.id}"), bundle, sweep.id), now=now
            )
            with self._database.write() as tx:
                every = self._sweeps.every(sweep).total_seconds()
                periodic.done(tx, sweep.id, next_at=now.timestamp() + every, result=report.summary)
            _log.info("sweep %s: %s", sweep.id, report.summary)
            worked = True
        return worked

    def _due(self, name: str) -> bool:
        with self._database.read() as tx:
            next_at = tx.value("SELECT next_at FROM periodic WHERE name = :name", {"name": name})
            return next_at is None or float(next_at) <= tx.now

    def service_caller(self, request_id: str) -> Caller:
        """On whose behalf periodic work runs: the zone's first administrator."""
        caller = self._namespace.users.service_caller(request_id)
        if caller is None:
            raise RuleBroken("the zone has no administrator on whose behalf a sweep could run")
        return caller
