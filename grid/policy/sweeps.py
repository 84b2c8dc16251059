"""Sweeps: periodic work on what matches, as one query with its order and limit.

The guards that the catalog can answer are the query's conditions; the rest are evaluated on what it gives, page by
page, until the stop amount is reached. Nothing goes through the whole zone.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

from grid.catalog.database import Database
from grid.policy import finding
from grid.policy.predicates import Predicate, Translator
from rules import Effects, Entity, Frame, RuleFailed, core, interpreter
from rules.runtime import STEPS, frame_slots

PAGE: Final = 500
MOST: Final = 100_000
_JOB_STEPS: Final = 1_000_000

_log = logging.getLogger("beamgrid.sweeps")


@dataclass(slots=True)
class SweepReport:
    """What one run of a sweep did, or would do."""

    examined: int = 0
    acted_on: list[str] = field(default_factory=list)
    total_bytes: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        failed = f", {len(self.failures)} failed" if self.failures else ""
        return f"{len(self.acted_on)} of {self.examined} looked at{failed}"


class SweepRunner:
    """Runs sweeps over one catalog."""

    def __init__(self, database: Database, zone: str, timezone: ZoneInfo) -> None:
        self._database = database
        self._zone = zone
        self._timezone = timezone

    def is_open(self, sweep: core.Sweep, now: datetime) -> bool:
        """Whether a sweep may run at this time of day, by the zone's clock."""
        if sweep.between is None:
            return True
        begin, end = sweep.between
        at = now.astimezone(self._timezone).strftime("%H:%M")
        return begin <= at < end if begin <= end else at >= begin or at < end

    def every(self, sweep: core.Sweep) -> timedelta:
        """How often a sweep runs."""
        length: timedelta = interpreter.evaluate(
            self._plain_frame(sweep, datetime.now(UTC), None), sweep.every
        )
        return length

    def run(
        self, sweep: core.Sweep, host: Effects, *, now: datetime | None = None, act: bool = True
    ) -> SweepReport:
        """Do a sweep's work on everything that matches, in its order, up to its amount.

        Args:
            sweep: the sweep.
            host: what its body works with.
            now: the time it is judged by.
            act: run the body; without it the report says what would be acted on.
        """
        now = now or datetime.now(UTC)
        report = SweepReport()
        slot = next(number for number, name in enumerate(sweep.body.names) if name == sweep.over)
        limit = self._limit(sweep, host, now)
        taken = 0
        enough = None if sweep.until_is_size else limit
        for entity in self._matching(sweep, slot, host, now, report, enough):
            if limit is not None and taken >= limit:
                break
            path = finding.path_of(sweep.over.capitalize(), entity.name)
            at = sweep.pattern.match(path) if sweep.pattern is not None else {}
            if at is None:
                continue
            frame = self._frame(sweep, entity, at, now, host)
            try:
                if not all(interpreter.holds(frame, guard) for guard in sweep.guards):
                    continue
                size = (
                    int(entity.facts.get("size") or host.attribute(entity, "size") or 0)
                    if sweep.until_is_size
                    else 0
                )
                if act:
                    interpreter.run(frame, sweep.body.steps, deciding=False)
            except RuleFailed as failure:
                report.failures.append(f"{path}: {failure}")
                _log.warning("sweep %s failed for %s: %s", sweep.id, path, failure)
                continue
            report.acted_on.append(entity.name)
            report.total_bytes += size
            taken += size if sweep.until_is_size else 1
        return report

    def _limit(self, sweep: core.Sweep, host: Effects, now: datetime) -> int | None:
        if sweep.until is None:
            return None
        return int(interpreter.evaluate(self._plain_frame(sweep, now, host), sweep.until))

    def _matching(
        self,
        sweep: core.Sweep,
        slot: int,
        host: Effects,
        now: datetime,
        report: SweepReport,
        enough: int | None,
    ) -> Iterator[Entity]:
        kind = sweep.over.capitalize()
        translator = Translator(kind, slot, self._plain_frame(sweep, now, host))
        predicate = Predicate()
        translator.guards(predicate, sweep.guards)
        if sweep.pattern is not None:
            predicate.at(kind, sweep.pattern, {})
        order = translator.order(sweep.order) if sweep.order is not None else ""
        direction = " DESC" if sweep.descending else " ASC"
        ordered = f"{order}{direction}" if order else ""
        offset = 0
        # everything is read before anything is acted on: what was acted on may not match any more, and pages shift
        found: list[Entity] = []
        while offset < MOST:
            with self._database.read() as tx:
                page = finding.select(tx, kind, predicate, order=ordered, limit=PAGE, offset=offset)
            found += page
            offset += PAGE
            if len(page) < PAGE or (enough is not None and predicate.exact and len(found) >= enough):
                break
        report.examined = len(found)
        yield from found

    def _plain_frame(self, sweep: core.Sweep, now: datetime, host: Effects | None) -> Frame:
        slots: list[Any] = frame_slots(
            sweep.body, {"zone": Entity("Zone", self._zone, self._zone, {"name": self._zone})}
        )
        return Frame(sweep.id, slots, {}, now, cast("Effects", host), self._timezone)

    def _frame(
        self, sweep: core.Sweep, entity: Entity, at: Mapping[str, str], now: datetime, host: Effects
    ) -> Frame:
        zone = Entity("Zone", self._zone, self._zone, {"name": self._zone})
        actor = Entity("User", "sweep", "sweep")
        slots = frame_slots(sweep.body, {sweep.over: entity, "zone": zone, "actor": actor})
        frame = Frame(sweep.id, slots, at, now, host, self._timezone, token=f"{sweep.id}/{entity.key}")
        frame.steps = max(STEPS, _JOB_STEPS)
        return frame
