"""Kernels on a stream: frames decoded once, each kernel in a process of its own, what was made kept until the stream ends."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel import chunks
from accel.apart import Recipe
from accel.chunks import ChunkDamaged
from accel.frames import Frames
from accel.kernel import Bound, Results
from accel.nexus import Origin
from accel.reducing import Kernels, Made, Reduced, compose
from accel.series import Damage, invalid
from grid.streams.dectris import FILTERS
from grid.streams.messages import Image

KEEP_FRAMES: Final = 2048
KEEP_BYTES: Final = 64 << 20
DECODERS: Final = 2
FIRST_FILE: Final = "first.npy"
_NUMBERS: Final = "numbers of the frames"
_NOTE: Final = "note of the frames"

KernelKey = tuple[str, tuple[tuple[str, float], ...], str]
"""Name, version and digest; parameters; the file with more of them."""


class Decoder:
    """Pixels of frames, by threads.

    Args:
        channel: which one is looked at.
    """

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._pool = ThreadPoolExecutor(DECODERS, "stream-decode")

    def decode(self, images: Sequence[Image], into: Frames) -> dict[int, str]:
        """Frames as they were measured; one that is damaged has no valid pixel. Returns why, by number."""
        found = self._pool.map(self._one, images, into)
        return {image.number: why for image, why in zip(images, found, strict=True) if why}

    def _one(self, image: Image, into: NDArray[Any]) -> str:
        payload = image.channels[self._channel]
        try:
            chunks.decode(payload.data, FILTERS[payload.encoding], into)
        except ChunkDamaged as error:
            into[...] = invalid(into.dtype)
            return str(error)
        return ""

    def close(self) -> None:
        self._pool.shutdown()


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames that a kernel looked at together, and what it found."""

    numbers: NDArray[Any]
    results: Results
    damaged: Mapping[int, str]


class StreamKernel:
    """One kernel on one stream.

    Args:
        recipe: the kernel.
        folder: where its results are kept.
        batch: frames that are given together, at the most.
    """

    def __init__(self, recipe: Recipe, folder: Path, batch: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._kernels = Kernels(recipe, batch=batch)
        self.bound: Bound = self._kernels.bound
        self._waiting: list[Batch] = []
        self._frames = self._bytes = 0
        self._segment = 0
        self._pieces = 0

    @property
    def runs_on(self) -> str:
        return self._kernels.runs_on

    @property
    def problem(self) -> str:
        return self._kernels.problem

    @property
    def frames(self) -> Frames:
        """Where frames go: (frames, rows, columns)."""
        half: Frames = self._kernels.frames[0]
        return half

    def run(self, numbers: Sequence[int], damaged: Mapping[int, str], segment: int) -> Results:
        """Work on the first of `frames`; what is found is kept.

        Args:
            numbers: of those frames.
            damaged: those of them that could not be decoded, and why.
            segment: of the spool, in which all of them are.

        Raises:
            KernelEnded: it took too much, and will not be asked again.
        """
        count, first = len(numbers), self.folder / FIRST_FILE
        if not first.exists():
            numpy.save(first, self.frames[0])
        self._kernels.start(0, count, numbers[0])
        found = self._kernels.finished(0, count, numbers[0])
        if segment != self._segment:
            self.flush()
            self._segment, self._pieces = segment, 0
        self._waiting.append(Batch(numpy.array(numbers, numpy.uint64), found, damaged))
        self._frames += count
        self._bytes += sum(array.nbytes for array in found.values())
        if self._frames >= KEEP_FRAMES or self._bytes >= KEEP_BYTES:
            self.flush()
        return found

    def flush(self) -> None:
        """Put what was found into a file."""
        if not self._waiting:
            return
        self._pieces += 1
        together = self.bound.together([one.results for one in self._waiting])
        damaged = {str(number): why for one in self._waiting for number, why in one.damaged.items()}
        note = json.dumps([self.runs_on, self.problem, damaged])
        everything: dict[str, Any] = {
            **together, _NUMBERS: numpy.concatenate([one.numbers for one in self._waiting]), _NOTE: numpy.array(note),
        }  # fmt: skip
        path = self.folder / f"{self._segment:06}-{self._pieces:06}.npz"
        keep(path, everything)
        self._waiting, self._frames, self._bytes = [], 0, 0

    def close(self) -> None:
        self._kernels.close()


def keep(path: Path, arrays: Mapping[str, Any]) -> None:
    """Put arrays into a file that is there as a whole, on stable storage, or not at all."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        numpy.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def forget(folder: Path, segments: set[int]) -> None:
    """Remove what was made of segments whose frames are going to be looked at again."""
    for path in folder.glob("*/*.npz"):
        if int(path.name[:6]) in segments:
            path.unlink()


def composed(made: Path, bound: Bound, folder: Path, origin: Callable[[str], Origin]) -> Reduced | None:
    """The files with everything that a kernel made; None where it made nothing.

    Args:
        made: the folder of its `StreamKernel`, which was flushed.
        bound: the kernel.
        folder: where the files go.
        origin: what is written of it.
    """
    paths = sorted(made.glob("*.npz"))
    if not paths:
        return None
    notes, numbers = [], []
    for path in paths:
        with numpy.load(path, allow_pickle=False) as file:
            runs_on, problem, damaged = json.loads(str(file[_NOTE]))
            own = file[_NUMBERS]
        hurt = [Damage(int(number), why) for number, why in damaged.items()]
        notes.append(Made({}, hurt, runs_on, problem))
        numbers.append(own)

    def parts() -> Iterator[Made]:
        for path, note in zip(paths, notes, strict=True):
            with numpy.load(path, allow_pickle=False) as file:
                found = {name: file[name] for name in file.files if name not in (_NUMBERS, _NOTE)}
            yield Made(found, note.damaged, note.runs_on, note.problem)

    together = numpy.concatenate(numbers)
    first = numpy.load(made / FIRST_FILE, allow_pickle=False)
    return compose(folder, bound, origin, len(together), first, notes, parts(), together)
