"""One stream in the process that carries it: everything that it needs, from its spool to its end."""

import hashlib
import logging
import math
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from accel.apart import Recipe
from accel.errors import FramesRefused
from accel.parameters import read_parameters, resolved
from accel.reducing import batch_of
from grid import paths
from grid.catalog import streams as rows
from grid.catalog.database import Database
from grid.catalog.streams import StreamRow
from grid.errors import CatalogBusy, CatalogUnavailable, GridError
from grid.model import Caller
from grid.namespace import Event, Namespace, WriteRequest
from grid.policy.engine import PolicyEngine
from grid.policy.host import record_signal
from grid.policy.services import MicroserviceHost
from grid.streams.closing import Closing, Ended
from grid.streams.deciding import FrameRules
from grid.streams.facts import KernelKey
from grid.streams.feedback import Feedback
from grid.streams.figures import Figures
from grid.streams.intake import DectrisIntake, Intake, OwnIntake
from grid.streams.journal import Journal, Left
from grid.streams.kernels import StreamKernel, forget
from grid.streams.messages import Start
from grid.streams.parts import Parts
from grid.streams.passing import StreamSettings
from grid.streams.pipeline import Pipeline
from grid.streams.received import DECTRIS
from grid.streams.spool import Spool, segments
from microservices import Grid, MicroserviceError
from microservices.reduction import beside, content_of, image_of, kernel_named, parameters_of
from provenance.frames import BatchSigner, FrameTree
from provenance.notes import NoteSigner
from rules import Entity

TELL_EVERY_S: Final = 0.25

CREDIT: Final = 64
"""Frames that may be on their way from a program."""

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
    """Everything that one stream needs, for as long as it is carried."""

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
        self._tree = FrameTree(self._id)
        self._parts = Parts(namespace, row, self._caller, self._tree)
        self._folder = self._parts.folder
        self._journal = Journal(self._folder)
        self._spool = Spool(self._folder, self._parts.driver.take_room_aside)
        self._feedback = Feedback(self._id, zone.listen)
        self._intake: Intake | None = None
        self._state = rows.OPEN
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name=f"stream-{row.id}-tick", daemon=True)
        self._captured = self._captures()
        self._rules = self._made_rules()

    def __enter__(self) -> "Carriage":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._ticker.ident is not None:
            self._ticker.join(timeout=5)
        self._rules.close()
        self._feedback.close()
        self._journal.close()
        self._spool.close()
        if self._intake is not None:
            self._intake.close()
        self._parts.settle()

    def carry(self) -> None:
        """From where it stands to its end."""
        row, left = self._row, Left(self._folder, self._id)
        key = self._zone.instrument_key(row.path)
        signer = BatchSigner(self._id, key, left.last_note) if key is not None else None
        self._intake = self._made_intake()
        master = self._reserved_name(left)
        pipeline = self._carried.pipeline = Pipeline(
            self._id, self._settings, self._intake, self._parts, self._spool, self._journal, self._tree, self._rules, self._figures, signer,
            self._stored,
        )  # fmt: skip
        forget(self._folder / "kernels", {number for number, _ in segments(self._folder)})
        self._ticker.start()
        try:
            if left.beginning is not None:
                pipeline.resume(left)
            outcome = pipeline.run()
        finally:
            if master is not None:
                master.abandon()
        self._state = rows.CLOSING
        self._tell()
        ended = Ended(
            row, self._caller, self._folder, self._id, outcome, self._parts, self._tree, self._rules, self._figures, self._captured.get("beamline", ""),
            key is not None,
        )  # fmt: skip
        closing = Closing(self._zone.namespace, self._zone.host)
        result = closing.close(ended)
        self._ended.set()
        self._ticker.join(timeout=5)
        self._tell()
        closing.over(ended, result)
        self._feedback.tell(
            "end", {"reason": outcome.reason, **{name: result[name] for name in ("frames", "stored")}}
        )
        shutil.rmtree(self._folder, ignore_errors=True)

    def _reserved_name(self, left: Left) -> Any:
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
        assert self._intake is not None, "it is open"
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

    def _captures(self) -> Mapping[str, str]:
        """The captures of the first location that a rule on frames names."""
        active = self._zone.policy.bundle.current.active
        for phase, event in (
            ("during", "frame arrive"),
            ("before", "frame store"),
            ("during", "stream progress"),
            ("after", "stream end"),
        ):
            for _, at in active.candidates(phase, event, self._row.path):
                return at
        return {}

    def _made_rules(self) -> FrameRules:
        row, caller = self._row, self._caller
        collection = paths.split(row.path)[0]
        zone = self._zone.namespace.context.zone
        stream = Entity(
            "Stream",
            row.id,
            self._id,
            {"id": self._id, "detector": row.detector, "object": Entity("Object", row.path, row.path)},
        )
        context = {
            "actor": Entity("User", caller.user.name, caller.user.name, {"type": caller.user.type}), "zone": Entity("Zone", zone, zone, {"name": zone}),
            "client": Entity("Client", caller.address, caller.address, {"address": caller.address}),
            "object": Entity("Object", row.path, row.path, {"path": row.path}), "collection": Entity("Collection", collection, collection),
        }  # fmt: skip
        return FrameRules(
            self._zone.policy, self._zone.database, row.path, stream, context, str(row.settings.get("channel", "")), self._made_kernel, self._emitted,
            self._figures,
        )  # fmt: skip

    def _made_kernel(self, key: KernelKey, start: Start) -> StreamKernel:
        """A kernel that a rule asks for, with its parameters.

        Raises:
            AccelError: there is none, or it cannot be made for these frames.
        """
        said, params, settings = key
        grid, path = self._zone.host.grid_of(self._caller), self._row.path
        try:
            name, text = kernel_named(grid, said)
            known = parameters_of(name, text)
            stored = content_of(grid, beside(path, settings)).decode("utf-8", "replace") if settings else ""
            given: dict[str, Any] = read_parameters(stored)
            given |= {
                one: int(value) if value == int(value) else value
                for one, value in params
                if math.isfinite(value)
            }
            mask = next((image for (kind, _), image in start.images.items() if kind == "pixel_mask"), None)
            takes_mask = any(one.name == "mask" and one.kind == "image" for one in known)
            if mask is not None and takes_mask and "mask" not in given:
                given["mask"] = "pixel_mask"
            found = resolved(
                known,
                given,
                lambda one: content_of(grid, beside(path, one)),
                lambda one: self._image(grid, one, mask),
            )
        except (GridError, MicroserviceError) as error:
            raise FramesRefused(str(error)) from error
        recipe = Recipe(name, text, start.shape, start.dtype.name, found)
        folder = self._folder / "kernels" / f"{said.split(' ')[0]}-{_short(key)}"
        return StreamKernel(recipe, folder, batch_of(start.shape, start.dtype.itemsize))

    def _image(self, grid: Grid, named: str, mask: Any) -> Any:
        if named == "pixel_mask" and mask is not None:
            return mask
        if "::" not in named:
            raise FramesRefused(
                f"found the image `{named}`; `pixel_mask`, which the detector sends, or FILE::/path/of/dataset was expected"
            )
        return image_of(grid, self._row.path, None, named)


def _short(key: KernelKey) -> str:
    return hashlib.sha256(repr(key).encode()).hexdigest()[:12]
