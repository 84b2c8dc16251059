"""Streams for tests: simulated series, senders, and a zone that carries them in this process."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hdf5plugin
import numpy
import zmq

from accel.simulator import Simulator
from grid.app import Zone
from grid.catalog import streams as rows
from grid.model import Caller
from grid.streams import dectris
from grid.streams.gateway import Gateway
from grid.streams.messages import BSLZ4, LZ4, RAW, End, Image, Message, Payload, Start

HOME = "/tempZone/home/rods"
MASTER = f"{HOME}/scan1.nxs"
SHAPE = (48, 60)
SIMULATED = Simulator(shape=SHAPE, gap=4, peaks=5)
FACTS = {
    "detector_description": "simulated", "detector_serial_number": "S-1", "pixel_size_x": 7.5e-5, "pixel_size_y": 7.5e-5, "sensor_thickness": 4.5e-4,
    "sensor_material": "Si", "count_time": 0.01, "frame_time": 0.01, "beam_center_x": 30.0, "beam_center_y": 24.0, "incident_wavelength": 1.0,
    "detector_translation": [0.0, 0.0, 0.2],
}  # fmt: skip


def frames(count: int) -> numpy.ndarray:
    mean = SIMULATED.mean()
    return numpy.stack([SIMULATED.frame(n, mean) for n in range(count)])


def encoded(frame: numpy.ndarray, encoding: int) -> bytes:
    """A frame's bytes as a detector has them: those of the chunk that HDF5's filter makes."""
    if encoding == RAW:
        return frame.tobytes()
    import io

    import h5py

    filters = {LZ4: dict(hdf5plugin.LZ4()), BSLZ4: dict(hdf5plugin.Bitshuffle(cname="lz4"))}[encoding]
    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        dataset = made.create_dataset("x", data=frame[None], chunks=(1, *frame.shape), **filters)
        return bytes(dataset.id.read_direct_chunk((0, 0, 0))[1])


def image(number: int, frame: numpy.ndarray, encoding: int = BSLZ4, series: str = "s1") -> Image:
    payload = Payload(memoryview(encoded(frame, encoding)), frame.shape, frame.dtype, encoding)
    return Image(series, number, {"threshold_1": payload}, (number * 0.01, number * 0.01 + 0.009))


def start(count: int, dtype: Any = None, series: str = "s1", **images: Any) -> Start:
    kind = numpy.dtype(dtype or frames(1).dtype)
    return Start(
        series,
        count,
        ("threshold_1",),
        SHAPE,
        kind,
        FACTS,
        {(name, "threshold_1"): array for name, array in images.items()},
    )


def series(count: int, encoding: int = BSLZ4) -> list[Message]:
    stack = frames(count)
    mask = SIMULATED.mask().astype(numpy.uint32)
    return [
        start(count, stack.dtype, pixel_mask=mask),
        *(image(n, stack[n], encoding) for n in range(count)),
        End("s1"),
    ]


class Detector:
    """Binds a socket and sends messages, as a detector does."""

    def __init__(self) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.PUSH)
        self.socket.setsockopt(zmq.SNDHWM, 4)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDTIMEO, 60_000)  # a test that goes wrong ends
        self.socket.bind("tcp://127.0.0.1:*")
        self.address = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def send(self, messages: Sequence[Message | bytes], rate: float = 0.0) -> None:
        for message in messages:
            self.socket.send(message if isinstance(message, bytes) else dectris.encoded(message))
            if rate:
                time.sleep(1 / rate)

    def close(self) -> None:
        self.socket.close()
        self.context.term()


class Carried:
    """A gateway in this process, and questions to the zone."""

    def __init__(self, zone: Zone, instrument_key: Any = lambda path: None) -> None:
        self.zone = zone
        self.gateway = Gateway(
            zone.database, zone.namespace, zone.policy, zone.host, zone.namespace.context.lease_id, "127.0.0.1", instrument_key
        )  # fmt: skip
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.gateway.run, args=(self._stopping,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=20)


def ask(zone: Zone, caller: Caller, **said: Any) -> dict[str, Any]:
    return zone.host.call(caller, "stream_open", {"path": MASTER, "detector": "eiger", **said})


def status(zone: Zone, caller: Caller, number: int) -> dict[str, Any]:
    return zone.host.call(caller, "stream_status", {"streams": [number]})[0]


def until(zone: Zone, caller: Caller, number: int, reached: Any, timeout_s: float = 60.0) -> dict[str, Any]:
    """How a stream stands when something is so."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = status(zone, caller, number)
        if reached(found):
            return found
        time.sleep(0.05)
    raise AssertionError(f"not reached: {found}")


def over(zone: Zone, caller: Caller, number: int, timeout_s: float = 60.0) -> dict[str, Any]:
    return until(zone, caller, number, lambda found: found["state"] not in rows.ALIVE, timeout_s)


def local_copy(zone: Zone, caller: Caller, folder: Path, collection: str = HOME) -> Path:
    """Everything of a collection in a folder of this machine."""
    folder.mkdir(exist_ok=True)
    zone.namespace.finisher.finish()
    with zone.database.read() as tx:
        names = [row[0] for row in tx.all(
            "SELECT d.name FROM data_objects d JOIN collections c ON c.id = d.collection_id WHERE c.path = :path", {"path": collection}
        )]  # fmt: skip
    for name in names:
        opened = zone.namespace.objects.open_for_reading(caller, f"{collection}/{name}")
        (folder / name).write_bytes(opened.read_at(0, opened.size()))
        opened.close()
    return folder
