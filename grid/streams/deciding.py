"""The rules of a zone on a stream: what they see of a frame, what they have kernels find in it, and what becomes of it.

`during frame arrive` runs for every frame, with what kernels found in it; `before frame store` says whether a frame that was vetoed may go. A frame goes
only where every rule that was asked about it refused it with `FRAME_VETOED`: a rule that fails, or refuses for another reason, keeps it. Facts of the catalog
that rules ask for are looked up once a second.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from accel.kernel import Bound
from grid.catalog.database import Database
from grid.policy.context import EventContext
from grid.policy.engine import PolicyEngine
from grid.streams.facts import NeedsKernel, StreamFacts
from grid.streams.figures import Figures
from grid.streams.kernels import Decoder
from grid.streams.making import KernelMaker
from grid.streams.messages import Image, Start
from grid.streams.passing import Verdict
from grid.streams.reducing import Reducing, Reduction
from grid.streams.regions import Region, Regions, region_of
from rules import Entity, Frame, Refused, RuleFailed
from rules.index import Candidate
from rules.runtime import frame_slots

VETOED_CODE: Final = "FRAME_VETOED"
REGIONS_FOLDER: Final = "regions"
EVENTS: Final = (
    ("during", "frame arrive"), ("before", "frame store"), ("during", "stream progress"), ("after", "stream end"),
)  # fmt: skip
Told = Callable[[str, Mapping[str, Any]], None]

_log = logging.getLogger("beamgrid.streams")


@dataclass(slots=True)
class _Rule:
    """A rule with everything that is the same for all frames."""

    candidate: Candidate
    facts: StreamFacts
    slots: list[Any]
    places: dict[str, int] = field(default_factory=dict)


class FrameRules:
    """Reduces frames and decides about them, as the policy says.

    Args:
        policy: of the zone.
        database: the catalog.
        path: of the stream's file.
        stream: the stream as rules see it; its facts are kept right here.
        context: the other entities that rules see.
        channel: of the images that kernels look at; the first one where it is empty.
        maker: makes kernels ready.
        folder: where what is made of frames is kept until the stream ends.
        tell: is told what rules emit, and what was found.
        figures: counts.
    """

    def __init__(
        self, policy: PolicyEngine, database: Database, path: str, stream: Entity, context: EventContext, channel: str, maker: KernelMaker, folder: Path,
        tell: Told, figures: Figures,
    ) -> None:  # fmt: skip
        self._policy = policy
        self._database = database
        self._path = path
        self._stream = stream
        self._context = context
        self._channel = channel
        self._maker = maker
        self._folder = folder
        self._tell = tell
        self._figures = figures
        self._generation = -1
        self._arrive: list[_Rule] = []
        self._store: list[_Rule] = []
        self._progress: list[_Rule] = []
        self._shape = (0, 0)
        self._reducing: Reducing | None = None
        self._regions: Regions | None = None
        self._cut: dict[int, list[Region]] = {}
        self._kept = self._hits = self._reduced = self._frames = 0
        self._told_wrong: set[str] = set()

    # -- as the pipeline's judge -----------------------------------------------------------------------------

    def begin(self, start: Start) -> None:
        self._shape = start.shape
        decoder = Decoder(self._channel or start.channels[0])
        self._reducing = Reducing(self._maker, decoder, start, self._figures, self._wrong)
        self._regions = Regions(self._folder / REGIONS_FOLDER, decoder, start)
        self._renew()

    @property
    def is_needed(self) -> bool:
        self._renew()
        return bool(self._arrive or self._store)

    def judge(self, images: Sequence[Image], segment: int, *, reduce: bool) -> list[Verdict]:
        """As `Judge`; frames of one segment."""
        if not reduce:
            return [self._without_kernels(image) for image in images]
        assert self._reducing is not None, "a series began"
        reduction = self._reducing.begin(images, segment)
        while True:
            try:
                found = self.decide(images, reduction)
                break
            except NeedsKernel as need:
                reduction.look_also(need.key)
        self._cut_out(images, found, segment)
        self._report(images, found)
        return found

    def end(self) -> None:
        if self._reducing is not None and self._regions is not None:
            self._reducing.flush()
            self._regions.flush()

    def decide(self, images: Sequence[Image], reduction: Reduction) -> list[Verdict]:
        """What the rules say of frames, given what kernels found in them.

        Raises:
            NeedsKernel: a rule asks for a kernel that did not look at them; nothing was decided.
        """
        assert self._reducing is not None, "a series began"
        now = time.monotonic()
        facts = [rule.facts for rule in (*self._arrive, *self._store)]
        for one in facts:
            one.now, one.results, one.runs_on, one.broken = (
                now,
                reduction.results,
                self._reducing.runs_on,
                self._reducing.broken,
            )
        before = (self._kept, self._hits, self._reduced, self._frames)
        self._cut = {}
        try:
            return [self._one(image, place, reduction.damaged) for place, image in enumerate(images)]
        except NeedsKernel:
            self._kept, self._hits, self._reduced, self._frames = before
            for one in facts:
                one.emitted.clear()
            raise

    def _cut_out(self, images: Sequence[Image], found: list[Verdict], segment: int) -> None:
        """Keep the regions that rules named."""
        for place, wanted in self._cut.items():
            assert self._regions is not None, "a series began"
            if why := self._regions.keep(images[place], wanted, segment):
                found[place] = Verdict(damaged=why)

    def _without_kernels(self, image: Image) -> Verdict:
        """A frame for which there is no time: vetoed."""
        frame = Entity(
            "Frame", image.number, str(image.number), {"number": image.number, "hits": 0, "vetoed": True}
        )
        drop = self._may_go(frame)
        self._count(0, drop)
        return Verdict(0, True, drop)

    def _one(self, image: Image, place: int, damaged: Mapping[int, str]) -> Verdict:
        if image.number in damaged:
            self._frames += 1
            return Verdict(damaged=damaged[image.number])
        facts = {"number": image.number, "hits": 0, "vetoed": False}
        frame = Entity("Frame", image.number, "", facts)
        self._now_of(self._stream)
        values: dict[str, Any] = {}
        now = datetime.now(UTC)
        for rule in self._arrive:
            rule.facts.place = place
            emitted = len(rule.facts.emitted)
            self._run(rule, frame, now, values)
            for name, carried in rule.facts.emitted[emitted:]:
                if carried.get("frame", image.number) != image.number:
                    continue
                if name == "veto":
                    values["frame.vetoed"] = True
                elif name == "region":
                    self._want(rule, place, carried)
        facts["hits"], facts["vetoed"] = (
            int(values.get("frame.hits", 0)),
            bool(values.get("frame.vetoed", False)),
        )
        drop = bool(facts["vetoed"]) and self._may_go(frame)
        self._count(int(facts["hits"]) if not facts["vetoed"] else 0, drop)
        return Verdict(int(facts["hits"]), bool(facts["vetoed"]), drop)

    def _want(self, rule: _Rule, place: int, said: Mapping[str, Any]) -> None:
        """Note a region that a rule wants kept."""
        try:
            self._cut.setdefault(place, []).append(region_of(said, self._shape))
        except ValueError as error:
            self._wrong(rule.candidate[0].rule.id, str(error))

    def _count(self, hits: int, drop: bool) -> None:
        self._frames += 1
        self._reduced += 1
        self._kept += not drop
        self._hits += hits > 0

    def _now_of(self, stream: Entity) -> None:
        """The stream as it is before this frame."""
        facts = stream.facts
        facts["frames"] = self._frames
        facts["kept_fraction"] = self._kept / self._frames if self._frames else 1.0
        facts["hit_rate"] = self._hits / self._reduced if self._reduced else 0.0

    def _evaluated(self, rule: _Rule, frame: Entity, now: datetime, values: dict[str, Any]) -> None:
        """Run a rule on a frame.

        Raises:
            RuleFailed: it refused, or could not go on.
        """
        active, at = rule.candidate
        slots = rule.slots.copy()
        place = rule.places.get("frame")
        if place is not None:
            slots[place] = frame
        run = Frame(active.rule.id, slots, at, now, rule.facts, self._policy.timezone)
        run.event_values = values
        compiled = active.compiled
        if compiled.guards(run):
            compiled.body(run)
        else:
            compiled.otherwise(run)

    def _run(self, rule: _Rule, frame: Entity, now: datetime, values: dict[str, Any]) -> None:
        """One `during` rule on a frame; one that fails does nothing."""
        try:
            self._evaluated(rule, frame, now, values)
        except RuleFailed as failure:
            self._wrong(rule.candidate[0].rule.id, str(failure))

    def _may_go(self, frame: Entity) -> bool:
        """Whether the rules let a vetoed frame be dropped."""
        now, refused = datetime.now(UTC), False
        for rule in self._store:
            try:
                self._evaluated(rule, frame, now, {})
            except RuleFailed as failure:
                if not isinstance(failure, Refused) or failure.code != VETOED_CODE:
                    self._wrong(rule.candidate[0].rule.id, f"frames are kept: {failure}")
                    return False
                refused = True
        return refused

    def _wrong(self, rule: str, what: str) -> None:
        """Say what a rule or a kernel stumbled over, once."""
        if (said := f"{rule}: {what}") not in self._told_wrong and len(self._told_wrong) < 100:
            self._told_wrong.add(said)
            self._figures.problem = said
            _log.warning("on the stream to %s: %s", self._path, said)
            self._tell("problem", {"rule": rule, "text": what})

    # -- what is made of frames ------------------------------------------------------------------------------

    def products(self) -> Iterator[tuple[Path, Callable[[], Bound]]]:
        """As `Reducing.products`; none where no series began."""
        return iter(()) if self._reducing is None else self._reducing.products()

    def regions(self) -> Path:
        """The folder with the regions that were kept."""
        return self._folder / REGIONS_FOLDER

    def close(self) -> None:
        """End the kernels' processes."""
        if self._reducing is not None:
            self._reducing.close()

    # -- rules -----------------------------------------------------------------------------------------------

    def _renew(self) -> None:
        """Take over a policy that was changed meanwhile."""
        bundle = self._policy.bundle.current
        if bundle.generation == self._generation:
            return
        self._generation = bundle.generation
        self._arrive = self._rules("during", "frame arrive")
        self._store = self._rules("before", "frame store")
        self._progress = self._rules("during", "stream progress")

    def captures(self) -> Mapping[str, str]:
        """The captures of the first location that a rule on frames names."""
        active = self._policy.bundle.current.active
        for phase, event in EVENTS:
            for _, at in active.candidates(phase, event, self._path):
                return at
        return {}

    def _rules(self, phase: str, event: str) -> list[_Rule]:
        found = []
        for active, at in self._policy.bundle.current.active.candidates(phase, event, self._path):
            body = active.rule.body
            names = {body.names[slot]: slot for slot, _ in body.entities}
            facts, slots = (
                StreamFacts(self._database, self._path, at),
                frame_slots(body, self._context.at(at)),
            )
            if "stream" in names:
                slots[names["stream"]] = self._stream
            found.append(_Rule((active, at), facts, slots, names))
        return found

    def progress(self) -> None:
        """Run the `during stream progress` rules; called now and then, by the thread that judges or another one."""
        now, values = datetime.now(UTC), dict[str, Any]()
        snapshot = Entity("Stream", self._stream.key, self._stream.name, dict(self._stream.facts))
        self._now_of(snapshot)
        for rule in self._progress:
            rule.facts.now = time.monotonic()
            place = rule.places.get("stream")
            if place is not None:
                rule.slots[place] = snapshot
            self._run(rule, Entity("Frame", self._frames, "", {"number": self._frames}), now, values)
            for name, carried in rule.facts.emitted:
                self._tell(name, carried)
            rule.facts.emitted.clear()

    def _report(self, images: Sequence[Image], found: Sequence[Verdict]) -> None:
        """Count, and tell who listens."""
        reduced = sum(not one.damaged for one in found)
        self._figures.add(reduced=reduced, hits=sum(one.hits > 0 and not one.vetoed for one in found))
        self._tell(
            "frames", {"first": images[0].number, "last": images[-1].number, "hits": [one.hits for one in found],
                       "vetoed": [image.number for image, one in zip(images, found, strict=True) if one.vetoed]},
        )  # fmt: skip
        for rule in (*self._arrive, *self._store):
            for name, carried in rule.facts.emitted:
                self._tell(name, carried)
            rule.facts.emitted.clear()
