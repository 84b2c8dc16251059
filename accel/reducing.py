"""Frames of a stored file through a kernel, in parts that are kept: what was done stays done when a process ends in the middle.

Never more than a batch of frames is in memory, and the results of one part.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel.apart import HALVES, Apart, Recipe
from accel.errors import KernelEnded
from accel.frames import Frames
from accel.kernel import Bound, Results
from accel.nexus import Origin, write
from accel.pictures import draw
from accel.running import Runner
from accel.series import Damage, Series, invalid

BATCH_BYTES: Final = 256 << 20
MOST_BATCH: Final = 64
PARTS: Final = 16
"""Batches in a part, for kernels that make few bytes of each frame."""

_log = logging.getLogger("beamgrid.accel")

Progress = Callable[[int, int], None]
"""Frames that are done, and all of them; may raise to end the work, which can be taken up again."""


@dataclass(frozen=True, slots=True)
class Part:
    """Frames that are reduced and kept together."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Made:
    """A part that is done.

    Attributes:
        damaged: the frames that were not there as they were meant.
        runs_on: the device, or `NumPy`; `problem` says why where that is not what there was.
    """

    results: Results
    damaged: list[Damage]
    runs_on: str
    problem: str


@dataclass(frozen=True, slots=True)
class Reduced:
    """What was made.

    Attributes:
        file: the NeXus file.
        picture: the PNG.
        frames: how many.
        damaged: those that were not there as they were meant.
        runs_on: the device, or `NumPy`; `problem` says why where that is not what there was.
        figures: mean, least and most of the numbers of frames, as texts.
    """

    file: Path
    picture: Path
    frames: int
    damaged: tuple[Damage, ...]
    runs_on: str
    problem: str
    figures: dict[str, str]


def batch_of(shape: tuple[int, int], itemsize: int) -> int:
    """How many frames are in memory at once."""
    return max(1, min(MOST_BATCH, BATCH_BYTES // (shape[0] * shape[1] * itemsize)))


def parts_of(bound: Bound, count: int) -> list[Part]:
    """How frames are cut into parts."""
    batch = batch_of(bound.frame_shape, bound.dtype.itemsize)
    heavy = any(
        (len(product.shape) == 2 and not product.of_all) or product.listed for product in bound.products
    )
    length = batch if heavy else batch * PARTS
    return [Part(begin, min(begin + length, count)) for begin in range(0, count, length)]


class Kernels:
    """A kernel that is ready for batches: in a process of its own, by NumPy in this one where that process dies of a kernel of ours.

    Args:
        recipe: the kernel.
        bound: the same, where it is made in this process already.
        device: whether one may be used.
        frame_s: the time that a frame may take.
        batch: frames that are handed over at once, at the most; 0 for as many as are good.
    """

    def __init__(
        self,
        recipe: Recipe,
        bound: Bound | None = None,
        *,
        device: bool = True,
        frame_s: float = 30.0,
        batch: int = 0,
    ) -> None:
        self._recipe = recipe
        self._batch = batch or batch_of(recipe.shape, numpy.dtype(recipe.dtype).itemsize)
        self._made = bound
        self._frames = numpy.empty((HALVES, 0, *recipe.shape), recipe.dtype)
        self._apart: Apart | None = None
        self.runs_on, self.problem = "NumPy", ""
        try:
            self._apart = Apart(recipe, self._batch, device=device, frame_s=frame_s)
        except KernelEnded as error:
            self._give_up(error)
        else:
            self._frames = self._apart.frames
            self.runs_on, self.problem = self._apart.runs_on, self._apart.problem

    @property
    def frames(self) -> Frames:
        """Where frames are to be put: (halves, batch, rows, columns). Another place after each `finished`."""
        return self._frames

    def close(self) -> None:
        """End its process."""
        self._frames = numpy.empty((HALVES, 0, *self._recipe.shape), self._recipe.dtype)
        if self._apart is not None:
            self._apart.close()
            self._apart = None

    def part(self, series: Series, part: Part, tell: Callable[[int], None]) -> Made:
        """The results of a part.

        Raises:
            KernelEnded: a kernel by a user took too much.
            OSError: the file cannot be read.
        """
        found: list[Results] = []
        damaged: list[Damage] = []
        waiting: tuple[int, int, int] | None = None
        for number, begin in enumerate(range(part.begin, part.end, self._batch)):
            half, length = number % HALVES, min(self._batch, part.end - begin)
            damaged += series.read(begin, self._frames[half, :length])
            if waiting is not None:
                found.append(self.finished(*waiting))
                tell(waiting[2] + waiting[1])
            waiting = (half, length, begin)
            self.start(*waiting)
        if waiting is not None:
            found.append(self.finished(*waiting))
            tell(part.end)
        return Made(self.bound.together(found), damaged, self.runs_on, self.problem)

    def start(self, half: int, length: int, begin: int) -> None:
        """Have the first so many frames of a half worked on; `begin` is the number of the first one.

        Raises:
            KernelEnded: a kernel by a user cannot go on.
        """
        if self._apart is not None:
            try:
                self._apart.start(half, length, begin)
            except KernelEnded as error:
                self._give_up(error)

    def finished(self, half: int, length: int, begin: int) -> Results:
        """What was found in the frames that were started.

        Raises:
            KernelEnded: a kernel by a user took too much.
        """
        if self._apart is not None:
            try:
                found = self._apart.results()
                self.runs_on, self.problem = self._apart.runs_on, self._apart.problem
                return found
            except KernelEnded as error:
                self._give_up(error)
        return Runner(None).run(self.bound, self._frames[half, :length], begin)

    @property
    def bound(self) -> Bound:
        """The kernel in this process; making it may take a second."""
        if self._made is None:
            self._made = self._recipe.bind()
        return self._made

    def _give_up(self, error: KernelEnded) -> None:
        """Let NumPy serve from here on; a kernel by a user is ended instead."""
        if self._recipe.text:
            raise error
        own = numpy.empty((HALVES, self._batch, *self._recipe.shape), self._recipe.dtype)
        own[:, : self._frames.shape[1]] = self._frames
        self._frames = own
        if self._apart is not None:
            self._apart.close()
            self._apart = None
        self.runs_on, self.problem = "NumPy", f"the device's process ended: {error}"
        _log.error("%s; NumPy serves instead", self.problem)


# -- what is kept between attempts ---------------------------------------------------------------------------


_NOTE: Final = "note of the part"


class Kept:
    """Results of parts in a folder: each is there as a whole or not at all.

    Args:
        folder: for one kernel with its parameters on one content; made where it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def has(self, part: Part) -> bool:
        """Whether a part is done."""
        return self._path(part).exists()

    def keep(self, part: Part, made: Made) -> None:
        """Keep a part that is done."""
        path = self._path(part)
        waiting = path.with_suffix(".waiting")
        note = {
            "damaged": [[one.frame, one.reason] for one in made.damaged],
            "runs_on": made.runs_on,
            "problem": made.problem,
        }
        with waiting.open("wb") as file:
            everything: dict[str, Any] = {**made.results, _NOTE: numpy.array(json.dumps(note))}
            numpy.savez(file, **everything)
            file.flush()
            os.fsync(file.fileno())
        waiting.replace(path)

    def load(self, part: Part, *, note_only: bool = False) -> Made:
        """A part that is done; without its results where only the note of it is asked for."""
        with numpy.load(self._path(part), allow_pickle=False) as file:
            note = json.loads(str(file[_NOTE]))
            results = {} if note_only else {name: file[name] for name in file.files if name != _NOTE}
        damaged = [Damage(frame, reason) for frame, reason in note["damaged"]]
        return Made(results, damaged, note["runs_on"], note["problem"])

    def _path(self, part: Part) -> Path:
        return self._folder / f"part-{part.begin:09}-{part.end:09}.npz"


def assemble(
    kept: Kept, folder: Path, bound: Bound, origin: Callable[[str], Origin], series: Series
) -> Reduced:
    """The files from parts that are all done.

    Args:
        kept: the parts.
        folder: where the files go, as `reduced.nxs` and `reduced.png`.
        bound: the kernel.
        origin: what is written of it, given what the parts were made on.
        series: the frames.
    """
    wanted = parts_of(bound, series.count)
    first = numpy.full((1, *series.shape), invalid(series.dtype), series.dtype)
    if series.count:
        series.read(0, first)
    notes = [kept.load(part, note_only=True) for part in wanted]
    return compose(folder, bound, origin, series.count, first[0], notes, (kept.load(part) for part in wanted))


def compose(
    folder: Path, bound: Bound, origin: Callable[[str], Origin], count: int, first: Frames, notes: Sequence[Made], parts: Iterable[Made],
    numbers: NDArray[Any] | None = None,
) -> Reduced:  # fmt: skip
    """The files from what was made of frames, in order.

    Args:
        folder: where the files go, as `reduced.nxs` and `reduced.png`.
        bound: the kernel.
        origin: what is written of it, given what the parts were made on.
        count: how many frames.
        first: one of them, (rows, columns), for the picture.
        notes: the parts, with or without their results.
        parts: the parts, each taken once.
        numbers: of the frames, where they are not 0 to `count`.
    """
    said = origin(", ".join(dict.fromkeys(note.runs_on for note in notes)))
    sums: dict[str, Any] = {}

    def seen() -> Iterator[tuple[Results, list[Damage]]]:
        for made in parts:
            for product in bound.products:
                if product.axis is not None and product.name in made.results:
                    values = made.results[product.name]
                    known, number = sums.get(product.name, (0.0, 0))
                    there = numpy.isfinite(values)
                    sums[product.name] = known + numpy.where(there, values, 0).sum(axis=0), number + there.sum(axis=0)  # fmt: skip
            yield made.results, made.damaged

    file, picture = folder / "reduced.nxs", folder / "reduced.png"
    small = write(file, bound, said, count, seen(), numbers)
    curves = {
        name: total / numpy.where(number == 0, numpy.nan, number) for name, (total, number) in sums.items()
    }
    draw(
        picture,
        f"{bound.kernel.name} {bound.kernel.version} of {said.path}, {count} frames",
        first,
        bound,
        small,
        curves,
    )
    damaged = tuple(one for note in notes for one in note.damaged)
    problem = next((note.problem for note in notes if note.problem), "")
    return Reduced(file, picture, count, damaged, said.runs_on, problem, figures_of(bound, small))


def figures_of(bound: Bound, small: Results) -> dict[str, str]:
    """Mean, least and most of the numbers of frames, as texts."""
    found = {}
    for product in bound.products:
        values = small.get(product.name)
        if values is None or product.shape or product.of_all or product.listed or not len(values):
            continue
        finite = values[numpy.isfinite(values)] if values.dtype.kind == "f" else values
        if len(finite):
            found[f"{product.name}.mean"] = f"{float(finite.mean()):.6g}"
            found[f"{product.name}.min"], found[f"{product.name}.max"] = (
                f"{finite.min():.6g}",
                f"{finite.max():.6g}",
            )
    return found


def reduce(
    series: Series, recipe: Recipe, kept: Kept, folder: Path, origin: Callable[[str], Origin], progress: Progress, *, device: bool = True, frame_s: float = 30.0
) -> Reduced:  # fmt: skip
    """Reduce a series here, one part after the other; parts that are kept are not made again.

    Args:
        series: the frames.
        recipe: the kernel.
        kept: the parts.
        folder: where the files go.
        origin: what is written of it, given what it ran on.
        progress: is told, and may raise.
        device: whether one may be used.
        frame_s: the time that a frame may take.
    """
    bound = recipe.bind()
    missing = [part for part in parts_of(bound, series.count) if not kept.has(part)]
    if missing:
        kernels = Kernels(recipe, bound, device=device, frame_s=frame_s)
        try:
            for part in missing:
                kept.keep(part, kernels.part(series, part, lambda done: progress(done, series.count)))
        finally:
            kernels.close()
    progress(series.count, series.count)
    return assemble(kept, folder, bound, origin, series)
