"""Parts of frames that rules want kept: cut out while the frames pass, whatever becomes of these, and put into a file of their own at the end.

/entry/region_ROWSxCOLUMNS/data            (regions, rows, columns), all regions of one size, in the order in which their frames came
/entry/region_ROWSxCOLUMNS/frame_number    (regions,) of which frame each is
/entry/region_ROWSxCOLUMNS/top, left       (regions,) its first row and column
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import hdf5plugin
import numpy
from numpy.typing import NDArray

from grid.streams.kernels import KEEP_BYTES, Decoder, keep
from grid.streams.messages import Image, Start

_PLACES: Final = ("frame_number", "top", "left")


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a frame, in pixels."""

    top: int
    left: int
    rows: int
    columns: int


def region_of(said: Mapping[str, Any], shape: tuple[int, int]) -> Region:
    """The region that a rule names; what it leaves out reaches from the first pixel, or to the last.

    Raises:
        ValueError: it is not within the frame.
    """
    top, left = int(said.get("top", 0)), int(said.get("left", 0))
    rows, columns = int(said.get("rows", shape[0] - top)), int(said.get("columns", shape[1] - left))
    fits = top >= 0 and left >= 0 and rows > 0 and columns > 0
    if not fits or top + rows > shape[0] or left + columns > shape[1]:
        raise ValueError(
            f"found a region of {rows} x {columns} pixels from {top}, {left}; one within {shape[0]} x {shape[1]} was expected"
        )
    return Region(top, left, rows, columns)


class Regions:
    """The regions of one stream. For one thread.

    Args:
        folder: where they are kept until the end.
        decoder: of the channel that they are cut out of.
        start: the series.
    """

    def __init__(self, folder: Path, decoder: Decoder, start: Start) -> None:
        self._folder = folder
        self._decoder = decoder
        self._frame = numpy.empty((1, *start.shape), start.dtype)
        self._waiting: list[tuple[int, Region, NDArray[Any]]] = []
        self._bytes = 0
        self._segment = self._pieces = 0

    def keep(self, image: Image, regions: list[Region], segment: int) -> str:
        """Cut regions out of a frame; returns why that cannot be, where it cannot."""
        if segment != self._segment:
            self.flush()
            self._segment, self._pieces = segment, 0
        damaged = self._decoder.decode([image], self._frame)
        if damaged:
            return damaged[image.number]
        for one in regions:
            part = self._frame[0, one.top : one.top + one.rows, one.left : one.left + one.columns].copy()
            self._waiting.append((image.number, one, part))
            self._bytes += part.nbytes
        if self._bytes >= KEEP_BYTES:
            self.flush()
        return ""

    def flush(self) -> None:
        """Put what was cut out into a file."""
        if not self._waiting:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._pieces += 1
        sizes: dict[str, list[tuple[int, Region, NDArray[Any]]]] = defaultdict(list)
        for one in self._waiting:
            sizes[f"{one[1].rows}x{one[1].columns}"].append(one)
        arrays: dict[str, Any] = {}
        for size, own in sizes.items():
            arrays[f"{size}/data"] = numpy.stack([part for _, _, part in own])
            for place, name in enumerate(_PLACES):
                values = [(number, one.top, one.left)[place] for number, one, _ in own]
                arrays[f"{size}/{name}"] = numpy.array(values, numpy.uint64)
        path = self._folder / f"{self._segment:06}-{self._pieces:06}.npz"
        keep(path, arrays)
        self._waiting, self._bytes = [], 0


def compose(folder: Path, target: Path, source: str) -> int:
    """Write the file with all regions that were kept; returns how many there are, and writes none without any.

    Args:
        folder: where they were kept.
        target: a new file.
        source: path of the stream's file.
    """
    count, pieces = 0, sorted(folder.glob("*.npz"))
    if not pieces:
        return 0
    with h5py.File(target, "w", libver=("v110", "v110")) as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry["title"] = f"regions of {source}"
        for path in pieces:
            with numpy.load(path, allow_pickle=False) as piece:
                for size in sorted({name.partition("/")[0] for name in piece.files}):
                    count += _add(entry, size, {one: piece[f"{size}/{one}"] for one in ("data", *_PLACES)})
        entry.attrs["default"] = next(name for name in entry if name.startswith("region_"))
        file.attrs.update({"NX_class": "NXroot", "default": "entry"})
    return count


def _add(entry: Any, size: str, arrays: Mapping[str, NDArray[Any]]) -> int:
    """Append regions of one size."""
    name = f"region_{size}"
    if name not in entry:
        group = entry.create_group(name)
        group.attrs.update({"NX_class": "NXdata", "signal": "data", "axes": ["frame_number", ".", "."]})
        for one, values in arrays.items():
            squeezed = dict(hdf5plugin.Bitshuffle(cname="lz4")) if one == "data" else {}
            chunk = (1, *values.shape[1:]) if one == "data" else (1024,)
            group.create_dataset(
                one, (0, *values.shape[1:]), values.dtype, maxshape=(None, *values.shape[1:]), chunks=chunk, **squeezed
            )  # fmt: skip
        group["data"].attrs.update({"units": "counts", "long_name": f"regions of {size} pixels"})
    begin, own = len(entry[name]["data"]), len(arrays["data"])
    for one, values in arrays.items():
        entry[name][one].resize(begin + own, axis=0)
        entry[name][one][begin:] = values
    return own
