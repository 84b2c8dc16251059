"""What is made of a stream when nothing more comes: reduced files, the file that joins the frames, the instrument's statement, the rules told."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from accel.errors import AccelError
from accel.kernel import Bound
from accel.nexus import Origin
from grid import paths
from grid.catalog import streams as rows
from grid.catalog.streams import StreamRow
from grid.errors import GridError
from grid.model import Caller
from grid.namespace import Event, Namespace, OpenForWriting, WriteRequest
from grid.policy.services import MicroserviceHost
from grid.streams.deciding import FrameRules
from grid.streams.fates import Fates, fates_of
from grid.streams.figures import Figures
from grid.streams.joining import join
from grid.streams.journal import Fate, damaged, notes
from grid.streams.kernels import composed
from grid.streams.master import DetectorFrames, ScanFacts, write_master
from grid.streams.messages import Start
from grid.streams.parts import Parts
from grid.streams.passing import Outcome
from grid.streams.regions import compose
from microservices.reduction import identity, tell
from provenance.frames import note_digest
from provenance.notes import decoded

PROGRAM: Final = "beamgrid"

MOST_RANGES: Final = 1000
"""So many runs of numbers are listed where people and statements name frames; the stream's own file says it of every frame."""

_TOLD: Final = (Fate.VETOED, Fate.DAMAGED, Fate.DROPPED)

_log = logging.getLogger("beamgrid.streams")


@dataclass(frozen=True, slots=True)
class Ended:
    """A stream whose frames are all in their files.

    Attributes:
        row: the stream.
        caller: who opened it.
        folder: of its spool and journal.
        beamline: where the detector is, empty where nobody knows.
        signs: the instrument has a key here.
        name: the stream's own file, whose name is held; None where it may be there already.
    """

    row: StreamRow
    caller: Caller
    folder: Path
    stream_id: str
    outcome: Outcome
    parts: Parts
    rules: FrameRules
    figures: Figures
    beamline: str
    signs: bool
    name: OpenForWriting | None


class Closing:
    """Makes what is left to be made. Everything may be done again.

    Args:
        namespace: whose objects are made.
        host: gives the grid as callers may use it.
    """

    def __init__(self, namespace: Namespace, host: MicroserviceHost) -> None:
        self._namespace = namespace
        self._host = host

    def close(self, ended: Ended) -> dict[str, Any]:
        """Make it; returns what is told of it.

        Raises:
            GridError: the policy, the rights or the storage say no.
        """
        start = ended.outcome.start
        if start is None:
            return {"frames": 0, "stored": 0, "files": [], "products": []}
        fates = fates_of(ended.folder, ended.stream_id, ended.outcome.count)
        root = fates.root
        products, kernels = self._products(ended)
        files = ended.parts.numbers()
        detector = DetectorFrames(
            name_of(ended.row.detector), ended.stream_id, start, files, fates.fates, fates.leaves, damaged(ended.folder),
            [one["note"] for one in notes(ended.folder)],
        )  # fmt: skip
        self._write(
            ended, ended.row.path, lambda path: write_master(path, [detector], self._facts(ended)), ended.name
        )
        result: dict[str, Any] = {
            "path": ended.row.path, "frames": ended.outcome.count, "stored": sum(len(numbers) for _, numbers in files),
            "lost": fates.of(Fate.MISSING)[:MOST_RANGES],
            "fates": {fate.name.lower(): fates.of(fate)[:MOST_RANGES] for fate in _TOLD if fates.count(fate)},
            "counts": {fate.name.lower(): fates.count(fate) for fate in Fate}, "files": [one["path"] for one in ended.parts.closed], "products": products,
            "root": root.hex(), "statement": self._state(ended, start, root, fates), "kernels": kernels, "device": ended.figures.runs_on,
        }  # fmt: skip
        self._joined(ended)
        return result

    def over(self, ended: Ended, result: Mapping[str, Any]) -> None:
        """Say that it is over, in the transaction in which the rules are told."""
        row, context, snapshot = ended.row, self._namespace.context, ended.figures.snapshot(0.0)
        said = {
            "id": ended.stream_id, "detector": row.detector, "object": {"path": row.path}, "products": list(result.get("products", [])),
            "frames": result.get("frames", 0), "hit_rate": snapshot["hit_rate"], "kept_fraction": snapshot["kept_fraction"],
            "device": ended.figures.runs_on, "kernel": next(iter(result.get("kernels", [])), None),
        }  # fmt: skip
        with context.database.write() as tx:
            if rows.end(tx, row.id, rows.DONE, ended.outcome.reason, result) and result.get("frames"):
                found = context.data_object(tx, row.path)
                event = Event(
                    "stream",
                    "end",
                    ended.caller,
                    row.path,
                    found.id,
                    {"stream": said, "object": {"id": found.id}},
                )
                context.happened(tx, event, frames=result["frames"], stored=result["stored"])

    # -- the file that joins the frames ----------------------------------------------------------------------

    def _facts(self, ended: Ended) -> ScanFacts:
        began, now = datetime.fromtimestamp(ended.row.began_at or ended.row.asked_at, UTC), datetime.now(UTC)
        arm = str(ended.outcome.start.facts.get("arm_date", "")) if ended.outcome.start is not None else ""
        return ScanFacts(
            paths.split(ended.row.path)[1],
            ended.beamline,
            arm or _iso(began),
            _iso(now),
            (PROGRAM, version(PROGRAM)),
        )

    def _write(
        self, ended: Ended, target: str, make: Callable[[Path], None], held: OpenForWriting | None = None
    ) -> None:
        """Have a file made, and make it an object; one that is there already is replaced, since it was ours."""
        work = ended.folder / "work"
        work.mkdir(exist_ok=True)
        file = work / paths.split(target)[1]
        file.unlink(missing_ok=True)
        make(file)
        self._put(ended, target, file, held)

    def _put(self, ended: Ended, target: str, file: Path, held: OpenForWriting | None = None) -> None:
        request = WriteRequest(
            resource_name=ended.row.resource,
            reservation=ended.parts.reservation,
            size_bytes=file.stat().st_size,
        )
        opened = held or self._namespace.objects.open_for_writing(ended.caller, target, request)
        try:
            with file.open("rb") as source:
                while piece := source.read(4 << 20):
                    opened.write(piece)
        except BaseException:
            opened.abandon()
            raise
        opened.commit()
        file.unlink()

    def _joined(self, ended: Ended) -> None:
        """The file that joins several detectors, made by the last one that is over."""
        row, context = ended.row, self._namespace.context
        if not row.scan:
            return
        with context.database.read() as tx:
            streams = rows.of_scan(tx, row.scan)
        others = [one for one in streams if one.id != row.id]
        if any(one.is_alive for one in others):
            return
        done = [one.path for one in streams if one.id == row.id or one.state == rows.DONE]
        self._write(
            ended, row.scan, lambda path: join(path, done, self._namespace, ended.caller, self._facts(ended))
        )

    # -- what was made of the frames -------------------------------------------------------------------------

    def _products(self, ended: Ended) -> tuple[list[str], list[str]]:
        """Reduced files and regions beside the stream's; returns their paths, and the kernels."""
        found, kernels = list[str](), list[str]()
        makes: list[Callable[[], list[str]]] = [
            partial(self._product, ended, folder, bound, kernels) for folder, bound in ended.rules.products()
        ]
        makes.append(partial(self._regions, ended))
        for make in makes:
            try:
                found += make()
            except (AccelError, GridError) as error:
                ended.figures.problem = f"what was made of the frames could not all be stored: {error}"
                _log.error("stream %s: %s", ended.stream_id, ended.figures.problem)
        return found, kernels

    def _product(
        self, ended: Ended, folder: Path, kernel: Callable[[], Bound], kernels: list[str]
    ) -> list[str]:
        """What a kernel found; its name is put to those of `kernels`."""
        bound, work, date = kernel(), ended.folder / "work", _iso(datetime.now(UTC))
        work.mkdir(exist_ok=True)

        def origin(on: str) -> Origin:
            return Origin(ended.row.path, "/entry/data/data", "", date, on, (PROGRAM, version(PROGRAM)))

        made = composed(folder, bound, work, origin)
        if made is None:
            return []
        targets = [_beside(ended, f"{bound.kernel.name}.{kind}") for kind in ("nxs", "png")]
        for target, file in zip(targets, (made.file, made.picture), strict=True):
            self._put(ended, target, file)
        inputs = [one["path"] for one in ended.parts.closed]
        tell(self._host.grid_of(ended.caller), targets, ended.row.path, inputs, bound, made)
        kernels.append(identity(bound.kernel))
        return targets

    def _regions(self, ended: Ended) -> list[str]:
        """The file with the regions that rules wanted kept."""
        work, target = ended.folder / "work", _beside(ended, "regions.nxs")
        work.mkdir(exist_ok=True)
        file = work / paths.split(target)[1]
        count = compose(ended.rules.regions(), file, ended.row.path)
        if not count:
            return []
        self._put(ended, target, file)
        self._host.grid_of(ended.caller).describe(
            target, {"derived_from": ended.row.path, "regions": str(count)}
        )
        return [target]

    # -- the instrument's statement --------------------------------------------------------------------------

    def _state(self, ended: Ended, start: Start, root: bytes, fates: Fates) -> int:
        """Ask for it; returns its number, 0 where the instrument has no key here."""
        if not ended.signs:
            return 0
        said = {
            "beamline": ended.beamline or "unknown", "instrument": ended.row.detector, "stream_id": ended.stream_id,
            "serial": str(start.facts.get("detector_serial_number") or ""), "frames": ended.outcome.count,
            "lost_frames": fates.count(Fate.MISSING), "vetoed_frames": fates.count(Fate.VETOED), "fates": {"sha256": fates.digest},
            "batches": [note_digest(decoded(one["note"])).hex() for one in notes(ended.folder)], "definition": "NXmx",
        }  # fmt: skip
        for name, fate in (("lost", Fate.MISSING), ("vetoed", Fate.VETOED)):
            if len(runs := fates.of(fate)) <= MOST_RANGES:
                said[name] = [list(one) for one in runs]
        stored = [one["path"] for one in ended.parts.closed]
        return self._namespace.stating.of_frames(ended.caller, ended.row.path, root.hex(), stored, said)


def _beside(ended: Ended, ending: str) -> str:
    """The path of a file that belongs to the stream's own."""
    collection, name = paths.split(ended.row.path)
    return paths.join(collection, f"{Path(name).stem}.{ending}")


def name_of(detector: str) -> str:
    """A detector's name as a name in a file."""
    kept = "".join(one if one.isalnum() else "_" for one in detector)
    return kept if kept[:1].isalpha() else f"detector_{kept}"


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
