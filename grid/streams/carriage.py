"""One stream in the process that carries it: everything that it needs, from its spool to its end."""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from grid.catalog import streams as rows
from grid.catalog.database import Database
from grid.catalog.streams import StreamRow
from grid.errors import CatalogBusy, CatalogUnavailable
from grid.model import Caller
from grid.namespace import Event, Namespace, OpenForWriting, WriteRequest
from grid.policy.context import EventContext
from grid.policy.engine import PolicyEngine
from grid.policy.host import record_signal
from grid.policy.services import MicroserviceHost
from grid.streams.client import SILENT_S
from grid.streams.closing import Closing, Ended
from grid.streams.deciding import FrameRules
from grid.streams.feedback import Feedback
from grid.streams.figures import Figures
from grid.streams.intake import DectrisIntake, Intake, OwnIntake
from grid.streams.journal import Journal, Left
from grid.streams.kernels import forget
from grid.streams.making import KernelMaker
from grid.streams.parts import Parts
from grid.streams.passing import StreamSettings
from grid.streams.pipeline import SYNC_S, Pipeline
from grid.streams.spool import Spool, segments
from grid.streams.words import DECTRIS
from provenance.frames import BatchSigner
from provenance.notes import NoteSigner
from rules import Entity

TELL_EVERY_S: Final = 0.25

CREDIT: Final = 64
"""Frames that may be on their way from a program."""

GOODBYE_S: Final = 3 * SILENT_S

MADE_FOLDER: Final = "made"

SIGNALS: Final = frozenset({"steward_alert", "mail", "raw_file_ready"})
"""What rules emit for others than the instrument; it goes where signals of other rules go."""

InstrumentKey = Callable[[str], NoteSigner | None]

_log = logging.getLogger("beamgrid.streams")


@dataclass(slots=True)
class Carried:
    """A stream in this process."""

    row: StreamRow
    thread: threading.Thread | None = None
    pipeline: Pipeline | None = None
    leaving: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Zone:
    """What the streams of a zone share.

    Attributes:
        listen: the address on which senders and listeners find the process.
        instrument_key: the key that signs for the detector at a path, if there is one.
    """

    database: Database
    namespace: Namespace
    policy: PolicyEngine
    host: MicroserviceHost
    lease_id: int
    listen: str
    instrument_key: InstrumentKey


class Carriage:
    """Everything that one stream needs, for as long as it is carried.

    Raises:
        GridError, StreamError, OSError: it cannot be carried here.
    """

    def __init__(self, zone: Zone, carried: Carried) -> None:
        self._zone = zone
        self._carried = carried
        self._row = row = carried.row
        namespace = zone.namespace
        self._caller: Caller = namespace.users.caller(
            row.user_name, row.user_zone, request_id=f"stream {row.id}"
        )
        self._id = f"{namespace.context.zone}/{row.id}"
        self._settings = StreamSettings(
            **{
                name: value
                for name, value in row.settings.items()
                if name in StreamSettings.__dataclass_fields__
            }
        )
        self._figures = Figures()
        self._state = rows.OPEN
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name=f"stream-{row.id}-tick", daemon=True)
        self._parts = Parts(namespace, row, self._caller, self._id)
        self._folder = self._parts.folder
        with ExitStack() as opened:
            self._intake = self._made_intake()
            opened.callback(self._say_goodbye)
            opened.callback(self._parts.settle)
            self._spool = Spool(self._folder, self._parts.driver.take_room_aside)
            opened.callback(self._spool.close)
            self._journal = Journal(self._folder)
            opened.callback(self._journal.close)
            self._feedback = Feedback(self._id, zone.listen)
            opened.callback(self._feedback.close)
            self._rules = self._made_rules()
            opened.callback(self._rules.close)
            self._opened = opened.pop_all()

    def __enter__(self) -> "Carriage":
        return self

    def __exit__(self, *_: object) -> None:
        self._end_ticker()
        self._opened.close()

    def _say_goodbye(self) -> None:
        """Wait a moment for a program whose last answer was lost with another gateway: everything is stored, and it asks for that again."""
        deadline = time.monotonic() + GOODBYE_S
        while self._intake.is_owed and time.monotonic() < deadline and not self._carried.leaving.wait(SYNC_S):
            self._intake.answer()
        self._intake.close()

    def _end_ticker(self) -> None:
        self._ended.set()
        if self._ticker.ident is not None:
            self._ticker.join(timeout=5)

    def carry(self) -> None:
        """From where it stands to its end."""
        row, left = self._row, Left(self._folder, self._id)
        key = self._zone.instrument_key(row.path)
        signer = BatchSigner(self._id, key, left.last_note) if key is not None else None
        master = self._reserved_name(left)
        try:
            pipeline = self._carried.pipeline = Pipeline(
                self._id, self._settings, self._intake, self._parts, self._spool, self._journal, self._rules, self._figures, signer, self._stored
            )  # fmt: skip
            forget(self._folder / MADE_FOLDER, {number for number, _ in segments(self._folder)})
            self._ticker.start()
            if left.beginning is not None:
                pipeline.resume(left)
            outcome = pipeline.run()
            self._state = rows.CLOSING
            self._tell()
            ended = Ended(
                row, self._caller, self._folder, self._id, outcome, self._parts, self._rules, self._figures,
                self._rules.captures().get("beamline", ""), key is not None, master,
            )  # fmt: skip
            closing = Closing(self._zone.namespace, self._zone.host)
            result = closing.close(ended)
        finally:
            if master is not None:
                master.abandon()
        self._end_ticker()
        self._tell()
        closing.over(ended, result)
        self._feedback.tell(
            "end", {"reason": outcome.reason, **{name: result[name] for name in ("frames", "stored")}}
        )
        shutil.rmtree(self._folder, ignore_errors=True)

    def _reserved_name(self, left: Left) -> OpenForWriting | None:
        """Hold the name of the file that is made at the end, so that nobody else takes it; the policy says whether it may be made."""
        if left.end is not None:
            return None  # it may be there already
        request = WriteRequest(
            exclusive=True, resource_name=self._row.resource, reservation=self._parts.reservation
        )
        return self._zone.namespace.objects.open_for_writing(self._caller, self._row.path, request)

    def _made_intake(self) -> Intake:
        row = self._row
        if row.format == DECTRIS:
            return DectrisIntake(row.source or f"tcp://{self._zone.listen}:*", bind=not row.source)
        before = str(
            row.figures.get("address") or f"tcp://{self._zone.listen}:*"
        )  # who sends finds it there again
        return OwnIntake(before, row.id, row.token, credit=CREDIT)

    # -- telling ---------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Say how it stands, keep its room, look whether it is to stop."""
        while not self._ended.wait(TELL_EVERY_S):
            try:
                self._rules.progress()
                self._tell()
            except (CatalogBusy, CatalogUnavailable) as error:
                _log.warning("stream %d cannot say how it stands: %s", self._row.id, error)

    def _tell(self) -> None:
        pipeline, zone = self._carried.pipeline, self._zone
        assert pipeline is not None, "it is carried"
        if self._state == rows.OPEN and pipeline.has_begun:
            self._state = rows.RECEIVING
        said = {
            **self._figures.snapshot(time.monotonic()), "waiting": pipeline.waiting, "address": self._intake.address, "feedback": self._feedback.address,
            "events": self._feedback.url, "growing": pipeline.growing, "free_bytes": self._parts.driver.free_bytes(),
        }  # fmt: skip
        with self._zone.database.write(durable=False) as tx:
            stop = rows.tell(tx, self._row.id, zone.lease_id, self._state, said)
        self._feedback.tell("progress", said)
        if stop is None and not self._ended.is_set():
            self._carried.leaving.set()
            pipeline.abandon("another gateway looks after it")
        elif stop:
            pipeline.stop()

    def _stored(self, images: Any) -> None:
        """Tell the `after frame store` rules of frames."""
        if not self._zone.policy.bundle.current.active.candidates("after", "frame store", self._row.path):
            return
        with self._zone.database.write(durable=False) as tx:
            for image in images:
                facts = {
                    "frame": {"id": image.number, "number": image.number},
                    "stream": {"id": self._id, "detector": self._row.detector},
                }
                self._zone.policy.after(tx, Event("frame", "store", self._caller, self._row.path, 0, facts))

    def _emitted(self, name: str, carried: Mapping[str, Any]) -> None:
        """What a rule emitted, to who listens; what is for stewards also where they look."""
        self._feedback.tell(
            name,
            {
                key: value if isinstance(value, str | int | float | bool | list | None) else str(value)
                for key, value in carried.items()
            },
        )
        if name in SIGNALS:
            with self._zone.database.write(durable=False) as tx:
                record_signal(tx, name, carried, self._caller.user.full_name)

    # -- rules and kernels -----------------------------------------------------------------------------------

    def _made_rules(self) -> FrameRules:
        row, zone = self._row, self._zone
        said = {
            "id": self._id,
            "detector": row.detector,
            "object": Entity("Object", row.path, row.path),
        }
        event = Event("frame", "arrive", self._caller, row.path, 0, {})
        made = self._folder / MADE_FOLDER
        return FrameRules(
            zone.policy, zone.database, row.path, Entity("Stream", row.id, self._id, said), EventContext(event, zone.namespace.context.zone),
            str(row.settings.get("channel", "")), KernelMaker(zone.host.grid_of(self._caller), row.path, made), made, self._emitted, self._figures,
        )  # fmt: skip
