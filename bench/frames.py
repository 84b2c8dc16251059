"""What a stream of detector frames costs, beside what its stages and its sender need of two cores.

A gateway and a detector run as processes of their own. Each row is a kind of frames, stored only or reduced and judged by rules as well; what is printed are
medians over rounds: the frames a second that a stream takes when the detector sends as fast as they are taken, and that rate as a share of 2 / (CPU seconds
of a frame in all processes), which is the most that two cores can do.
"""

import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy
import zmq

from accel.shipped import SHIPPED
from accel.simulator import Simulator
from grid import app
from grid.app import Zone
from grid.model import Caller
from grid.namespace import Event
from grid.policy.context import EventContext
from grid.streams import dectris
from grid.streams.deciding import FrameRules
from grid.streams.facts import NeedsKernel
from grid.streams.figures import Figures
from grid.streams.kernels import KernelKey
from grid.streams.making import KernelMaker
from grid.streams.messages import BSLZ4, RAW, End, Image, Payload, Start
from grid.streams.reducing import Reduction
from grid.streams.replaying import Replay
from rules import Entity

ROUNDS = 3
SECONDS = 6.0
PATH = "/tempZone/home/rods/visit1/scan.nxs"
WARM = 0.25
"""Share of a run before what is measured."""

SAMPLE = Path(".samples/bitshuffle.h5")
POLICY = """
policy bench.frames version 1 { owner "bench" }
location raw = "/tempZone/home/rods/{visit}/{scan}.nxs"

rule "frames are looked at" id look
  during frame arrive at raw {
    do run_kernel(stream, trusted_kernel("hits", "HITS")) giving r
    set frame.hits to r.peaks
    if r.peaks < metadata "veto_threshold" of visit default 0 {
      emit veto(frame: frame.number, reason: "few")
    }
}
rule "vetoed frames go" id drop
  before frame store at raw
  when frame.vetoed {
    refuse "vetoed" code FRAME_VETOED
}
"""
CARRYING = (
    "import signal, sys, threading\n"
    "from pathlib import Path\n"
    "from grid import app, background\n"
    "zone = app.open_zone(Path(sys.argv[1]), role='streams')\n"
    "zone.policy.refresh()\n"
    "stopping = threading.Event()\n"
    "signal.signal(signal.SIGTERM, lambda *_: stopping.set())\n"
    "background.carry_streams(zone, stopping)\n"
)


@dataclass(frozen=True)
class Kind:
    """A kind of frames: one that is sent again and again, as it comes and decoded."""

    name: str
    shape: tuple[int, int]
    dtype: str
    payloads: tuple[bytes, ...]
    encoding: int

    @property
    def bytes(self) -> int:
        return sum(map(len, self.payloads)) // len(self.payloads)


class Sent:
    """Frames of a kind, one after the other."""

    def __init__(self, kind: Kind, count: int) -> None:
        self._kind = kind
        self.count = count

    def messages(self) -> Iterator[bytes]:
        kind, dtype = self._kind, numpy.dtype(self._kind.dtype)
        yield dectris.encoded(Start("bench", 0, ("threshold_1",), kind.shape, dtype))
        for number in range(self.count):
            data = memoryview(kind.payloads[number % len(kind.payloads)])
            yield dectris.encoded(
                Image("bench", number, {"threshold_1": Payload(data, kind.shape, dtype, kind.encoding)})
            )
        yield dectris.encoded(End("bench"))


def _compressed(frames: Any) -> tuple[bytes, ...]:
    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        data = made.create_dataset(
            "x", data=frames, chunks=(1, *frames.shape[1:]), **hdf5plugin.Bitshuffle(cname="lz4")
        )
        return tuple(bytes(data.id.read_direct_chunk((number, 0, 0))[1]) for number in range(len(frames)))


def kinds() -> list[Kind]:
    """Sparse and bright frames, compressed and raw; real ones where there are some."""
    made = Simulator(background=0.02, rings=())
    mean = made.mean()
    sparse = numpy.stack([made.frame(number, mean) for number in range(16)])
    bright = numpy.random.default_rng(1).poisson(40.0, (8, *made.shape)).astype("u2")
    found = [
        Kind("sparse, 0.5 Mpx u2, compressed", made.shape, "uint16", _compressed(sparse), BSLZ4),
        Kind("bright, 0.5 Mpx u2, compressed", made.shape, "uint16", _compressed(bright), BSLZ4),
        Kind(
            "bright, 0.5 Mpx u2, raw", made.shape, "uint16", tuple(frame.tobytes() for frame in bright), RAW
        ),
    ]
    if SAMPLE.exists():
        with h5py.File(SAMPLE) as file:
            data = (
                next(item for item in file.values() if isinstance(item, h5py.Dataset))
                if "entry" not in file
                else _only(file)
            )
            real = data[0] if data.ndim == 3 else data[()]
        frames = real[None].astype("u4")
        found += [
            Kind("real Eiger, 4.5 Mpx u4, compressed", real.shape, "uint32", _compressed(frames), BSLZ4),
            Kind("real Eiger, 4.5 Mpx u4, raw", real.shape, "uint32", (frames[0].tobytes(),), RAW),
        ]
    return found


def _only(file: Any) -> Any:
    from accel.series import find_frames

    return find_frames(file)


def run() -> None:
    """Print every row."""
    print(
        f"{'':46}{'frames/s':>10}{'GB/s':>8}{'CPU ms a frame':>16}{'of two cores':>14}   stages, ms a frame"
    )
    known, sustained = kinds(), 0.0
    for kind in known:
        for reduced in (False, True):
            rounds = [_round(kind, reduced) for _ in range(ROUNDS)]
            rate, cost, share = (statistics.median(column) for column in list(zip(*rounds, strict=True))[:3])
            name = f"{kind.name}, {'reduced and judged' if reduced else 'stored'}"
            stages = ", ".join(
                f"{stage} {statistics.median(one[3].get(stage, 0.0) for one in rounds):.2f}"
                for stage in rounds[0][3]
            )
            print(
                f"{name:46}{rate:>10,.0f}{rate * kind.bytes / 1e9:>8.2f}{cost * 1e3:>16.2f}{share:>14.2f}   {stages}",
                flush=True,
            )
            sustained = sustained or (rate if reduced else 0.0)
    took = statistics.median(_rules() for _ in range(ROUNDS))
    print(f"rules on a frame, with what a kernel found and metadata of the visit: {took:.1f} us")
    waits = [wait for _ in range(ROUNDS) for wait in _feedback(known[0], sustained / 2)]
    print(
        f"feedback after a frame was sent, at {sustained / 2:,.0f} frames/s: median {statistics.median(waits) * 1e3:.1f} ms"
    )


def _rules() -> float:
    """us that the rules take for a frame, without its kernel."""
    with tempfile.TemporaryDirectory(prefix="beamgrid-bench-") as folder:
        app.initialise(
            Path(folder) / "zone", zone="tempZone", admin="rods", password="rods", host="127.0.0.1", port=0
        )
        zone = app.open_zone(Path(folder) / "zone", role="bench")
        try:
            _load_policy(zone)
            rules, images = _frame_rules(zone), [Image("s", number, {}) for number in range(64)]
            seen = Seen()
            seen.results[_asked(rules)] = {"pixels": numpy.arange(64, dtype=numpy.uint64)}
            began = time.perf_counter()
            for _ in range(100):
                rules.decide(images, seen)
            return (time.perf_counter() - began) / 6400 * 1e6
        finally:
            zone.close()


class Seen(Reduction):
    """What a kernel found that ran before."""

    def __init__(self) -> None:
        self.results, self.damaged = {}, {}


def _frame_rules(zone: Zone) -> FrameRules:
    rods = zone.namespace.users.caller("rods", "tempZone")
    stream = Entity("Stream", 1, "s", {"id": "s", "detector": "eiger"})
    context, made = EventContext(Event("frame", "arrive", rods, PATH), "tempZone"), zone.folder / "made"
    rules = FrameRules(
        zone.policy, zone.database, PATH, stream, context, "", KernelMaker(zone.host.grid_of(rods), PATH, made), made, lambda kind, said: None, Figures()
    )  # fmt: skip
    rules.begin(Start("s", 0, ("x",), (8, 8), numpy.dtype("u2")))
    return rules


def _asked(rules: FrameRules) -> KernelKey:
    """The kernel that the rules ask for."""
    try:
        rules.decide([Image("s", 0, {})], Seen())
    except NeedsKernel as need:
        return need.key
    raise AssertionError("the policy asks for one")


def _feedback(kind: Kind, rate: float) -> list[float]:
    """s from a frame's sending until a subscriber knows what was found in it."""
    sent: dict[int, float] = {}
    with _carried(True) as (zone, _):
        replay = Replay("tcp://127.0.0.1:*")
        rods = zone.namespace.users.caller("rods", "tempZone")
        number = _opened(zone, rods, replay.address)
        context = zmq.Context()
        socket = context.socket(zmq.SUB)
        socket.setsockopt(zmq.SUBSCRIBE, b"frames")
        socket.connect(_status(zone, rods, number)["figures"]["feedback"])
        time.sleep(0.3)
        count = int(rate * SECONDS / 2)
        sender = threading.Thread(
            target=replay.send, args=(Sent(kind, count), rate, lambda one: sent.setdefault(one - 1, time.monotonic()))
        )  # fmt: skip
        sender.start()
        waits: list[float] = []
        last = -1
        while last < count - 1 and socket.poll(10_000):
            said, now = json.loads(socket.recv_multipart()[1]), time.monotonic()
            waits += [
                now - sent[one]
                for one in range(said["first"], said["last"] + 1)
                if one in sent and one > rate
            ]
            last = said["last"]
        sender.join()
        replay.close()
        socket.close()
        context.term()
        while _status(zone, rods, number)["state"] not in ("done", "failed"):
            time.sleep(0.05)
    return waits


def _opened(zone: Zone, rods: Caller, address: str) -> int:
    """A stream that a gateway took."""
    said = {"path": PATH, "detector": "eiger", "source": address, "part_bytes": 256 << 20}
    number = int(zone.host.call(rods, "stream_open", said)["stream"])
    while not _status(zone, rods, number)["figures"].get("feedback"):
        time.sleep(0.05)
    return number


@contextlib.contextmanager
def _carried(reduced: bool) -> Iterator[tuple[Zone, int]]:
    """A zone, and the process of its gateway."""
    with tempfile.TemporaryDirectory(prefix="beamgrid-bench-") as folder:
        path = Path(folder) / "zone"
        app.initialise(path, zone="tempZone", admin="rods", password="rods", host="127.0.0.1", port=0)
        zone = app.open_zone(path, role="bench")
        try:
            zone.namespace.collections.create(
                zone.namespace.users.caller("rods", "tempZone"), "/tempZone/home/rods/visit1"
            )
            if reduced:
                _load_policy(zone)
            gateway = subprocess.Popen([sys.executable, "-c", CARRYING, str(path)])
            try:
                yield zone, gateway.pid
            finally:
                gateway.terminate()
                gateway.wait()
        finally:
            zone.close()


def _load_policy(zone: Zone) -> None:
    (zone.folder / "p.policy").write_text(POLICY.replace("HITS", SHIPPED["hits"].KERNEL.version))
    zone.policy.load_file(zone.folder, "p.policy")
    zone.policy.refresh()


def _round(kind: Kind, reduced: bool) -> tuple[float, float, float, dict[str, float]]:
    """Frames a second, CPU seconds of a frame, their product as a share of two cores, and ms of a frame by stage."""
    with _carried(reduced) as (zone, gateway):
        return _measured(zone, kind, gateway)


def _measured(zone: Zone, kind: Kind, gateway: int) -> tuple[float, float, float, dict[str, float]]:
    rods = zone.namespace.users.caller("rods", "tempZone")
    sender = subprocess.Popen(
        [sys.executable, "-m", "bench.frames", "send", kind.name], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )  # fmt: skip
    assert sender.stdout is not None
    assert sender.stdin is not None
    address = sender.stdout.readline().strip()
    number = _opened(zone, rods, address)
    sender.stdin.write("go\n")
    sender.stdin.flush()
    try:
        before = _reached(zone, rods, number, SECONDS * WARM)
        cpu = _cpu(gateway) + _cpu(sender.pid)
        after = _reached(zone, rods, number, SECONDS * (1 - WARM))
        spent = _cpu(gateway) + _cpu(sender.pid) - cpu
        found, begun = after[1], before[1]
        frames, seconds = found["kept"] - begun["kept"], after[0] - before[0]
        stages = {
            stage: (busy - begun["busy_s"].get(stage, 0.0)) / max(frames, 1) * 1e3
            for stage, busy in found["busy_s"].items()
        }
        return frames / seconds, spent / frames, spent / seconds / 2, stages
    finally:
        zone.host.call(rods, "stream_stop", {"streams": [number]})
        sender.kill()
        sender.wait()
        while _status(zone, rods, number)["state"] not in ("done", "failed"):
            time.sleep(0.05)


def _status(zone: Zone, caller: Caller, number: int) -> dict[str, Any]:
    found: dict[str, Any] = zone.host.call(caller, "stream_status", {"streams": [number]})[0]
    return found


def _reached(zone: Zone, caller: Caller, number: int, seconds: float) -> tuple[float, dict[str, Any]]:
    """The moment of a fresh report after so many seconds of frames, and what it says."""
    while _status(zone, caller, number)["figures"].get("kept", 0) == 0:
        time.sleep(0.01)
    time.sleep(seconds)
    known = _status(zone, caller, number)["figures"]
    while (found := _status(zone, caller, number)["figures"]) == known:
        time.sleep(0.002)
    return time.monotonic(), found


def _cpu(pid: int) -> float:
    """CPU seconds of a process and its children so far."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0.0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(folder.name) == pid or int(fields[1]) == pid:
            total += (int(fields[11]) + int(fields[12])) / ticks
    return total


def _send(name: str) -> None:
    kind = next(one for one in kinds() if one.name == name)
    replay = Replay("tcp://127.0.0.1:*")
    print(replay.address, flush=True)
    sys.stdin.readline()
    replay.send(Sent(kind, 10_000_000), 0.0, lambda sent: None)


if __name__ == "__main__":
    _send(sys.argv[2])
