"""The files that hold the frames of a stream: HDF5, the chunks as they came, readable while they grow.

    /entry/data/data              (rows, y, x), a chunk for each frame; `data_CHANNEL` where there are several channels
    /entry/data/frame_number      (rows,) the number of the frame in the row
    /entry/data/start_time        (rows,) s since the beginning of the series, NaN where the detector does not say

Rows are in the order in which frames came. Everything is there before the first reader may open the file (HDF5's SWMR); a file whose writer died is made
again from the spool.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import hdf5plugin
import numpy

from accel.series import invalid
from grid.streams.messages import BSLZ4, LZ4, Image, Payload, Start
from grid.streams.received import leaf_of

GROUP: Final = "/entry/data"


@dataclass(frozen=True, slots=True)
class Row:
    """A frame that is to be written, and its leaf."""

    image: Image
    leaf: bytes


def dataset_of(start: Start, channel: str) -> str:
    """The name of a channel's dataset."""
    return "data" if len(start.channels) == 1 else f"data_{channel}"


class DataFile:
    """A file that grows. For one thread.

    Args:
        path: an empty file, or none.
        start: the series.
        encoding: of the frames of the whole file.
        stream_id: of the stream that they are of.
    """

    def __init__(self, path: Path, start: Start, encoding: int, stream_id: str) -> None:
        self.rows = 0
        self._file = h5py.File(path, "w", libver=("v110", "v110"))
        entry = _group(self._file, "entry", "NXentry")
        data = _group(entry, "data", "NXdata")
        data.attrs["signal"] = dataset_of(start, start.channels[0])
        self._file.attrs["default"], entry.attrs["default"] = "entry", "data"
        self._file.attrs["NX_class"], self._file.attrs["stream_id"] = "NXroot", stream_id
        filters = {LZ4: dict(hdf5plugin.LZ4()), BSLZ4: dict(hdf5plugin.Bitshuffle(cname="lz4"))}.get(
            encoding, {}
        )
        shape = start.shape
        self._data = {
            channel: data.create_dataset(
                dataset_of(start, channel), (0, *shape), start.dtype, maxshape=(None, *shape), chunks=(1, *shape), fillvalue=invalid(start.dtype), **filters
            )
            for channel in start.channels
        }  # fmt: skip
        for channel, dataset in self._data.items():
            dataset.attrs["units"], dataset.attrs["long_name"] = "counts", channel
        self._numbers = data.create_dataset(
            "frame_number", (0,), numpy.uint64, maxshape=(None,), chunks=(1024,)
        )
        self._times = data.create_dataset(
            "start_time", (0,), numpy.float64, maxshape=(None,), chunks=(1024,), fillvalue=numpy.nan
        )
        self._times.attrs["units"] = "s"
        self._file.swmr_mode = True

    def add(self, rows: Sequence[Row]) -> None:
        """Write frames, and let readers see them."""
        begin, end = self.rows, self.rows + len(rows)
        for dataset in self._data.values():
            dataset.resize(end, axis=0)
        for place, row in enumerate(rows, begin):
            for channel, payload in row.image.channels.items():
                self._data[channel].id.write_direct_chunk((place, 0, 0), payload.data)
        for dataset, values in (
            (self._numbers, [row.image.number for row in rows]),
            (self._times, [row.image.times[0] if row.image.times else numpy.nan for row in rows]),
        ):
            dataset.resize(end, axis=0)
            dataset[begin:end] = numpy.array(values, dataset.dtype)
        self.rows = end

    def flush(self) -> None:
        """Let readers see what was written."""
        for dataset in (*self._data.values(), self._numbers, self._times):
            dataset.id.flush()

    def close(self) -> None:
        self._file.close()


def fits(image: Image, start: Start) -> str:
    """Why an image is none of its series; empty where it is one."""
    if set(image.channels) != set(start.channels):
        return f"found the channels {', '.join(image.channels)}; {', '.join(start.channels)} were expected"
    kinds = {one.encoding for one in image.channels.values()}
    if len(kinds) != 1:
        return "found channels that are encoded differently"
    for name, one in image.channels.items():
        if one.shape != start.shape or one.dtype != start.dtype:
            return f"found {one.dtype} with the shape {one.shape} in {name}; {start.dtype} with {start.shape} was expected"
    return ""


def stored_frames(path: Path, stream_id: str) -> Iterator[tuple[int, bytes]]:
    """The number of every frame of a closed file, and the leaf that its bytes have as they are stored."""
    with h5py.File(path, "r") as file:
        data = file[GROUP]
        stored = {
            name.removeprefix("data").removeprefix("_"): item
            for name, item in data.items()
            if name == "data" or name.startswith("data_")
        }
        kinds = {channel: _encoding(item) for channel, item in stored.items()}
        for row, number in enumerate(data["frame_number"][...].tolist()):
            channels = {}
            for channel, item in stored.items():
                _, content = item.id.read_direct_chunk((row, 0, 0))
                channels[channel] = Payload(memoryview(content), item.shape[1:], item.dtype, kinds[channel])
            yield number, leaf_of(stream_id, Image("", number, channels))


def _encoding(dataset: Any) -> int:
    """How the chunks of a dataset are encoded."""
    plan = dataset.id.get_create_plist()
    numbers = [plan.get_filter(one)[0] for one in range(plan.get_nfilters())]
    return {32004: LZ4, 32008: BSLZ4}.get(numbers[0], 0) if numbers else 0


def _group(parent: Any, name: str, nx_class: str) -> Any:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    return group
