"""What is made of a stream when nothing more comes: reduced files, the file that joins the frames, the instrument's statement, the rules told."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from accel.errors import AccelError
from accel.nexus import Origin
from grid import paths
from grid.catalog import streams as rows
from grid.catalog.streams import StreamRow
from grid.errors import GridError
from grid.model import Caller
from grid.namespace import Event, Namespace, WriteRequest
from grid.policy.services import MicroserviceHost
from grid.streams.deciding import FrameRules
from grid.streams.figures import Figures
from grid.streams.joining import join
from grid.streams.journal import Fate, notes, ranges
from grid.streams.kernels import StreamKernel, composed
from grid.streams.master import DetectorFrames, ScanFacts, write_master
from grid.streams.messages import Start
from grid.streams.parts import Parts
from grid.streams.passing import Outcome
from provenance import jcs, merkle
from provenance.frames import FrameTree, note_digest
from provenance.notes import decoded

PROGRAM: Final = "beamgrid"
INSTRUMENT: Final = "instrument"

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
    """

    row: StreamRow
    caller: Caller
    folder: Path
    stream_id: str
    outcome: Outcome
    parts: Parts
    tree: FrameTree
    rules: FrameRules
    figures: Figures
    beamline: str
    signs: bool


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
        leaves, missing = ended.tree.closed(ended.outcome.count)
        root = merkle.root_of(leaves)
        products = self._products(ended, start)
        files = ended.parts.numbers()
        detector = self._detector(ended, start, files, leaves)
        self._write(ended, ended.row.path, lambda path: write_master(path, [detector], self._facts(ended)))
        statement = self._state(ended, start, root, missing, files)
        result: dict[str, Any] = {
            "path": ended.row.path, "frames": ended.outcome.count, "stored": sum(len(numbers) for _, numbers in files), "lost": ranges(missing),
            "fates": {fate.name.lower(): ranges(n for n, f in ended.outcome.fates.items() if f is fate) for fate in set(ended.outcome.fates.values())},
            "files": [one["path"] for one in ended.parts.closed], "products": products, "root": root.hex(), "statement": statement,
            "kernels": [" ".join(key[0].split()) for key in ended.rules.kernels], "device": ended.figures.runs_on,
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

    def _detector(
        self, ended: Ended, start: Start, files: Sequence[tuple[str, Sequence[int]]], leaves: Sequence[bytes]
    ) -> DetectorFrames:
        return DetectorFrames(
            name_of(ended.row.detector), ended.stream_id, start, files, ended.outcome.fates, ended.outcome.count, ended.outcome.damaged, b"".join(leaves),
            [one["note"] for one in notes(ended.folder)],
        )  # fmt: skip

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

    def _write(self, ended: Ended, target: str, make: Callable[[Path], None]) -> None:
        """Have a file made, and make it an object; one that is there already is replaced, since it was ours."""
        work = ended.folder / "work"
        work.mkdir(exist_ok=True)
        file = work / paths.split(target)[1]
        file.unlink(missing_ok=True)
        make(file)
        self._put(ended, target, file)

    def _put(self, ended: Ended, target: str, file: Path) -> None:
        request = WriteRequest(
            resource_name=ended.row.resource,
            reservation=ended.parts.reservation,
            size_bytes=file.stat().st_size,
        )
        opened = self._namespace.objects.open_for_writing(ended.caller, target, request)
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

    # -- what kernels made -----------------------------------------------------------------------------------

    def _products(self, ended: Ended, start: Start) -> list[str]:
        """Reduced files beside the stream's; returns their paths."""
        found: list[str] = []
        for kernel in ended.rules.kernels.values():
            try:
                found += self._product(ended, start, kernel)
            except (AccelError, GridError) as error:
                ended.figures.problem = f"what `{kernel.bound.kernel.name}` made could not be stored: {error}"
                _log.error("stream %s: %s", ended.stream_id, ended.figures.problem)
        return found

    def _product(self, ended: Ended, start: Start, kernel: StreamKernel) -> list[str]:
        bound, work = kernel.bound, ended.folder / "work"
        work.mkdir(exist_ok=True)
        collection, name = paths.split(ended.row.path)
        date = _iso(datetime.now(UTC))

        def origin(on: str) -> Origin:
            return Origin(ended.row.path, "/entry/data/data", "", date, on, (PROGRAM, version(PROGRAM)))

        made = composed(kernel, work, origin, ended.rules.damaged)
        if made is None:
            return []
        stem = paths.join(collection, f"{Path(name).stem}.{bound.kernel.name}")
        targets = [f"{stem}.nxs", f"{stem}.png"]
        grid = self._host.grid_of(ended.caller)
        said = {
            "derived_from": ended.row.path, "kernel": f"{bound.kernel.name} {bound.kernel.version} {bound.kernel.digest}", "frames": str(made.frames),
            "device": made.runs_on,
        }  # fmt: skip
        for target, file in zip(targets, (made.file, made.picture), strict=True):
            self._put(ended, target, file)
            grid.describe(target, said)
        grid.describe(
            targets[0], {f"{bound.kernel.name}.{key}": value for key, value in made.figures.items()}
        )
        facts = {name: value if isinstance(value, str | int | float | bool) else json.dumps(value, default=str) for name, value in bound.parameters.items() if value is not None}  # fmt: skip
        grid.reduction_made([one["path"] for one in ended.parts.closed], targets, {
            "kernel": {"name": bound.kernel.name, "version": bound.kernel.version, "source": bound.kernel.digest}, "device": {"kind": made.runs_on},
            "parameters": facts, "parameters_digest": hashlib.sha256(jcs.encode(facts)).hexdigest(), "frames_used": made.frames - len(made.damaged),
            "frames_skipped": len(made.damaged), "floats": bound.kernel.tolerance or "exact",
        })  # fmt: skip
        return targets

    # -- the instrument's statement --------------------------------------------------------------------------

    def _state(
        self,
        ended: Ended,
        start: Start,
        root: bytes,
        missing: Sequence[int],
        files: Sequence[tuple[str, Sequence[int]]],
    ) -> int:
        """Ask for it; returns its number, 0 where the instrument has no key here."""
        if not ended.signs:
            return 0
        said = {
            "beamline": ended.beamline or "unknown", "instrument": ended.row.detector, "stream_id": ended.stream_id,
            "serial": str(start.facts.get("detector_serial_number") or ""), "frames": ended.outcome.count, "lost": [list(one) for one in ranges(missing)],
            "vetoed": [list(one) for one in ranges(n for n, fate in ended.outcome.fates.items() if fate is Fate.VETOED)],
            "batches": [note_digest(decoded(one["note"])).hex() for one in notes(ended.folder)], "definition": "NXmx",
        }  # fmt: skip
        stored = [one["path"] for one in ended.parts.closed]
        return self._namespace.stating.of_frames(ended.caller, ended.row.path, root.hex(), stored, said)


def name_of(detector: str) -> str:
    """A detector's name as a name in a file."""
    kept = "".join(one if one.isalnum() else "_" for one in detector)
    return kept if kept[:1].isalpha() else f"detector_{kept}"


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
