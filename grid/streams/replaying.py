"""A detector that is not there: frames of an HDF5 file, a captured series, or simulated ones, sent as a detector sends them."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import h5py
import hdf5plugin  # noqa: F401
import numpy
import zmq

from accel.chunks import BITSHUFFLE
from accel.chunks import LZ4 as LZ4_FILTER
from accel.series import Series, find_frames, local
from accel.simulator import Simulator
from grid.streams import dectris
from grid.streams.errors import MessageRefused, StreamFailed
from grid.streams.messages import BSLZ4, LZ4, RAW, End, Image, Payload, Start, pixel_type

CHANNEL: Final = "threshold_1"
AHEAD: Final = 16
"""Messages that wait in the sender, at the most: what does not take them is felt here."""

GONE_S: Final = 30.0

Progress = Callable[[int], None]


class Source(Protocol):
    """A series to be sent.

    Attributes:
        count: frames in it.
    """

    count: int

    def messages(self) -> Iterator[bytes]:
        """The messages, encoded, in order."""


class FileSource:
    """The frames of an HDF5 file, compressed as they are stored where a detector could have sent them so.

    Args:
        path: the file.
        dataset: in it; the only one there is where it is empty.
        series: what tells it from others.
    """

    def __init__(self, path: Path, dataset: str, series: str) -> None:
        self._file = h5py.File(path, "r")
        self._data = find_frames(self._file, dataset)
        self._series = Series(self._data, local(path))
        self.count = self._series.count
        self._name = series

    def messages(self) -> Iterator[bytes]:
        shape, dtype = self._series.shape, pixel_type(self._series.dtype.name)
        mask = next(
            (
                item[()]
                for name in ("pixel_mask", "mask")
                for item in self._found(name)
                if item.shape == shape
            ),
            None,
        )
        images = {("pixel_mask", CHANNEL): mask.astype(numpy.uint32)} if mask is not None else {}
        facts = {
            "detector_description": f"frames of {Path(self._file.filename).name}",
            "count_time": 0.0,
            "frame_time": 0.0,
        }
        yield dectris.encoded(Start(self._name, self.count, (CHANNEL,), shape, dtype, facts, images))
        encoding = self._encoding()
        for number in range(self.count):
            yield dectris.encoded(
                Image(
                    self._name,
                    number,
                    {CHANNEL: Payload(self._frame(number, encoding), shape, dtype, encoding)},
                )
            )
        yield dectris.encoded(End(self._name))

    def _found(self, name: str) -> list[Any]:
        found: list[Any] = []
        self._file.visititems(
            lambda path, item: (
                found.append(item)
                if isinstance(item, h5py.Dataset) and path.rpartition("/")[2] == name
                else None
            )
        )
        return found

    def _encoding(self) -> int:
        if self._data.chunks != (1, *self._series.shape):
            return RAW
        plan = self._data.id.get_create_plist()
        filters = [plan.get_filter(number) for number in range(plan.get_nfilters())]
        if len(filters) != 1:
            return RAW
        number, _, values, _ = filters[0]
        return (
            LZ4
            if number == LZ4_FILTER
            else BSLZ4
            if number == BITSHUFFLE and len(values) > 4 and values[4] == 2
            else RAW
        )

    def _frame(self, number: int, encoding: int) -> memoryview:
        if encoding != RAW:
            return memoryview(self._data.id.read_direct_chunk((number, 0, 0))[1])
        into = numpy.empty((1, *self._series.shape), self._series.dtype)
        self._series.read(number, into)
        return memoryview(into.reshape(-1).view(numpy.uint8).data)


class CapturedSource:
    """Captured messages, a file each (`*.cbor`, in the order of their names), sent as they are; a beginning is made where the capture has none.

    Args:
        folder: with the files.
        repeat: send the images so often, under numbers that go on.
    """

    def __init__(self, folder: Path, repeat: int = 1) -> None:
        self._paths = sorted(folder.glob("*.cbor"))
        if not self._paths:
            raise StreamFailed(f"`{folder}` holds no captured messages (*.cbor)")
        self._repeat = repeat
        self._images: list[Image] = []
        self._start: Start | None = None
        for path in self._paths:
            try:
                found = dectris.message_of(path.read_bytes())
            except MessageRefused as error:
                raise StreamFailed(f"`{path}` is no message of a detector: {error}") from error
            if isinstance(found, Start):
                self._start = found
            elif isinstance(found, Image):
                self._images.append(found)
        if not self._images:
            raise StreamFailed(f"`{folder}` holds no images")
        self.count = len(self._images) * repeat

    def messages(self) -> Iterator[bytes]:
        first = self._images[0]
        one = next(iter(first.channels.values()))
        if self._start is not None and self._repeat == 1:
            yield from (path.read_bytes() for path in self._paths)
            return
        facts = self._start.facts if self._start is not None else {"detector_description": "captured series"}
        images = self._start.images if self._start is not None else {}
        yield dectris.encoded(
            Start(first.series, self.count, tuple(first.channels), one.shape, one.dtype, facts, images)
        )
        for turn in range(self._repeat):
            for image in self._images:
                number = turn * len(self._images) + image.number
                yield dectris.encoded(
                    Image(image.series, number, image.channels, image.times, image.user_data)
                )
        yield dectris.encoded(End(first.series))


class SimulatedSource:
    """Frames of `accel.simulator`, uncompressed.

    Args:
        simulator: what makes them.
        count: how many.
        series: what tells it from others.
        kept: so many different frames are made, and sent in turn.
    """

    def __init__(self, simulator: Simulator, count: int, series: str, kept: int = 64) -> None:
        self._simulator = simulator
        self._name = series
        self._kept = min(kept, count)
        self.count = count

    def messages(self) -> Iterator[bytes]:
        made, mean = self._simulator, self._simulator.mean()
        dtype = pixel_type(made.dtype)
        rows, columns = made.shape
        facts = {
            "detector_description": "simulated", "pixel_size_x": made.pixel, "pixel_size_y": made.pixel, "incident_wavelength": made.wavelength * 1e10,
            "beam_center_x": columns / 2, "beam_center_y": rows / 2, "detector_translation": [0.0, 0.0, made.distance], "count_time": 0.0, "frame_time": 0.0,
            "sensor_material": "Si", "sensor_thickness": 4.5e-4,
        }  # fmt: skip
        images = {("pixel_mask", CHANNEL): made.mask().astype(numpy.uint32)}
        yield dectris.encoded(Start(self._name, self.count, (CHANNEL,), made.shape, dtype, facts, images))
        frames = [made.frame(number, mean) for number in range(self._kept)]
        for number in range(self.count):
            data = memoryview(frames[number % self._kept].reshape(-1).view(numpy.uint8).data)
            yield dectris.encoded(Image(self._name, number, {CHANNEL: Payload(data, made.shape, dtype, RAW)}))
        yield dectris.encoded(End(self._name))


class Replay:
    """Listens as a detector does, and sends a series to who connects.

    Args:
        address: to listen on, such as `tcp://127.0.0.1:31001`.
    """

    def __init__(self, address: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, AHEAD)
        self._socket.setsockopt(zmq.LINGER, int(GONE_S * 1000))
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            self._socket.close()
            self._context.term()
            raise StreamFailed(f"`{address}` cannot be listened on: {error}") from error
        self.address: str = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def send(self, source: Source, rate: float, sent: Progress) -> None:
        """Send a series; waits while nobody takes it.

        Args:
            source: the series.
            rate: frames a second, 0 for as fast as they are taken.
            sent: is told how many frames were.
        """
        begun: float | None = None
        for place, message in enumerate(source.messages()):
            if begun is not None and rate:
                time.sleep(max(begun + (place - 1) / rate - time.monotonic(), 0.0))
            self._socket.send(message, copy=False)
            if begun is None:
                begun = time.monotonic()
            sent(min(place, source.count))

    def close(self) -> None:
        """Wait until what was sent is taken, and end."""
        self._socket.close()
        self._context.term()
