"""The frames of an HDF5 dataset, some at a time: their chunks read where they lie and decoded in threads.

A frame whose chunk is damaged or was never written becomes one without a valid pixel, and is named; the others are as they are.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel.chunks import ChunkDamaged, Filter, decode
from accel.errors import FramesRefused
from accel.frames import Frames, check_form

ReadAt = Callable[[int, int], bytes]
"""Offset and count to bytes of the file; fewer only at its end."""

MOST_CHUNK: Final = 1 << 30
LEAST_SIDE: Final = 8
"""Tables of numbers are no frames."""

MOST_FRAMES: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Damage:
    """A frame that is not there as it was meant, and why."""

    frame: int
    reason: str


class Series:
    """Frames of a dataset.

    Args:
        dataset: of h5py, (frames, rows, columns) or one frame of (rows, columns).
        read_at: the bytes of the file that it is in.
        threads: that decode.

    Raises:
        FramesRefused: it holds no frames that kernels work on.
    """

    def __init__(self, dataset: Any, read_at: ReadAt, threads: int = 2) -> None:
        if dataset.ndim not in (2, 3):
            raise FramesRefused(
                f"`{dataset.name}` has {dataset.ndim} dimensions; frames have 2, or 3 with their number"
            )
        self.shape: tuple[int, int] = tuple(dataset.shape[-2:])
        self.dtype: numpy.dtype[Any] = dataset.dtype.newbyteorder("=")
        check_form(self.shape, self.dtype)
        self.count = dataset.shape[0] if dataset.ndim == 3 else 1
        if self.count > MOST_FRAMES:
            raise FramesRefused(
                f"`{dataset.name}` has {self.count} frames; {MOST_FRAMES} at the most are looked at"
            )
        self.name = str(dataset.name)
        self._dataset = dataset
        self._read_at = read_at
        self._pool = ThreadPoolExecutor(threads, "decode")
        self._direct = self._is_direct()
        self._filters = _filters(dataset)

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown()

    def read(self, first: int, into: Frames) -> list[Damage]:
        """Frames from a number on, into an array of so many.

        Raises:
            OSError: the file cannot be read.
        """
        if self._direct:
            found = list(self._pool.map(lambda n: self._stored(first + n, into[n]), range(len(into))))
            return [one for one in found if one is not None]
        return self._through_hdf5(first, into)

    def _is_direct(self) -> bool:
        dataset = self._dataset
        if not dataset.dtype.isnative or dataset.is_virtual or dataset.external:
            return False
        return bool(dataset.chunks in ((1, *self.shape), self.shape))

    def _stored(self, frame: int, into: NDArray[Any]) -> Damage | None:
        try:
            place = (frame, 0, 0) if self._dataset.ndim == 3 else (0, 0)
            info = self._dataset.id.get_chunk_info_by_coord(place)
            if info.byte_offset is None:
                into[...] = self._dataset.fillvalue
                return None
            if not 0 <= info.size <= MOST_CHUNK:
                raise ChunkDamaged(f"its chunk says that it has {info.size} bytes")
            data = self._read_at(info.byte_offset, info.size)
            if len(data) != info.size:
                raise ChunkDamaged(f"the file ends after {len(data)} of its chunk's {info.size} bytes")
            used = [one for n, one in enumerate(self._filters) if not info.filter_mask >> n & 1]
            if not all(one.is_known for one in used):
                into[...] = self._dataset[frame] if self._dataset.ndim == 3 else self._dataset[...]
                return None
            decode(data, used, into)
        except (ChunkDamaged, RuntimeError, ValueError) as error:
            into[...] = invalid(self.dtype)
            return Damage(frame, str(error)[:300])
        return None

    def _through_hdf5(self, first: int, into: Frames) -> list[Damage]:
        """With the library's own filters; a frame at a time where several together cannot be read."""
        dataset = self._dataset if self._dataset.ndim == 3 else self._dataset[None]
        try:
            into[...] = dataset[first : first + len(into)]
            return []
        except (OSError, RuntimeError, ValueError):
            damaged = []
            for number in range(len(into)):
                try:
                    into[number] = dataset[first + number]
                except (OSError, RuntimeError, ValueError) as error:
                    into[number] = invalid(self.dtype)
                    damaged.append(Damage(first + number, str(error)[:300]))
            return damaged


def invalid(dtype: numpy.dtype[Any]) -> Any:
    """A pixel of a type that does not count."""
    return numpy.nan if dtype.kind == "f" else -1 if dtype.kind == "i" else numpy.iinfo(dtype).max


def _filters(dataset: Any) -> list[Filter]:
    plan = dataset.id.get_create_plist()
    found = [plan.get_filter(number) for number in range(plan.get_nfilters())]
    return [Filter(int(code), tuple(int(one) for one in values)) for code, _, values, _ in found]


def local(path: str | os.PathLike[str]) -> ReadAt:
    """The bytes of a file of this machine."""
    with open(path, "rb") as file:
        kept = os.dup(file.fileno())
    return _Kept(kept)


class _Kept:
    """An open file, closed with the last reference to it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, offset: int, count: int) -> bytes:
        return os.pread(self._descriptor, count, offset)

    def __del__(self) -> None:
        os.close(self._descriptor)


def find_frames(file: Any, wanted: str = "") -> Any:
    """The dataset of frames in an open HDF5 file: the one that is named, the default plot's signal, or the only one that can be.

    Raises:
        FramesRefused: there is none, or there are several; the message names them.
    """
    import h5py

    if wanted:
        named = file.get(wanted)
        if not isinstance(named, h5py.Dataset):
            raise FramesRefused(f"the file has no dataset `{wanted}`")
        return named
    found: dict[int, dict[int, Any]] = {2: {}, 3: {}}

    def visit(name: str) -> None:
        item = file.get(name)
        if (
            isinstance(item, h5py.Dataset)
            and item.ndim in found
            and item.dtype.kind in "uif"
            and min(item.shape[-2:]) >= LEAST_SIDE
        ):
            place = h5py.h5o.get_info(item.id).addr  # one dataset may have several names
            found[item.ndim].setdefault(place, item)

    file.visit_links(visit)
    unique = {str(item.name): item for item in (found[3] or found[2]).values()}
    if len(unique) > 1:
        plotted = _default_signal(file)
        if plotted in unique:
            return unique[plotted]  # what the file is for
    if len(unique) != 1:
        names = ", ".join(list(unique)[:10]) or "none"
        raise FramesRefused(
            f"the file has {len(unique)} datasets of frames ({names}); say which one with its path"
        )
    return next(iter(unique.values()))


def _default_signal(file: Any) -> str:
    """The path of what the file says is to be plotted. Source: NeXus, attributes `default` and `signal`."""
    group = file
    for _ in range(8):
        name = group.attrs.get("default", "")
        inner = group.get(name) if isinstance(name, str) and name else None
        if inner is None or not hasattr(inner, "attrs"):
            break
        group = inner
    signal = group.attrs.get("signal", "")
    found = group.get(signal) if isinstance(signal, str) and signal and hasattr(group, "get") else None
    return str(found.name) if found is not None else ""
