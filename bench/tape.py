"""The tape library's order of work, in simulated time: exact, and the same on every machine; and how long its queue may be.

Recalls: 1,000 files over 20 cartridges, asked for in bursts by five users, one of whom asks for half; total drive time
(mounting, locating, reading, unloading) against first come first served with the same drive, and for few requests on one cartridge against the
best of all orders.
"""

import math
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from grid import app
from resources.tape import DriveModel, VirtualClock
from resources.tape.drives import Settings
from resources.tape.library import Library
from resources.tape.media import Entry, Media, Source
from resources.tape.scheduler import Wanted, optimal, ordered, tour_s
from resources.tape.state import Ask, Cartridge, Landed, MemoryTapeState

SEED = 20261121
MODEL = DriveModel()


class NoShelf:
    """No bytes: only time is judged."""

    def __init__(self) -> None:
        self.there: set[str] = set()

    def open_landed(self, landed: Landed) -> Source:
        return _Nothing()

    def swap(self, landed: Landed, entry: Entry) -> bool:
        return True

    def receive(self, entry: Entry, blocks: Iterator[memoryview]) -> None:
        self.there.add(entry.file_id)

    def make_room(self, size: int, is_pinned: Callable[[str], bool]) -> bool:
        return True

    def removed(self, forget: object) -> None:
        return None

    def holds(self, file_id: str) -> bool:
        return False


class _Nothing:
    def read_into(self, buffer: bytearray | memoryview, offset: int) -> int:
        return len(buffer)


class NoMedia(Media):
    """Cartridges without bytes."""

    def __init__(self) -> None:
        super().__init__("")
        self.ends: dict[str, int] = {}

    def labels(self) -> list[str]:
        return []

    def append(self, label, files):  # type: ignore[no-untyped-def]
        entries, at = [], self.ends.get(label, 0)
        for file_id, name, _, size in files:
            entries.append(Entry(file_id, name, label, 1, at, at, size, ""))
            at += size
        self.ends[label] = at
        return entries

    def used(self, label: str) -> int:
        return self.ends.get(label, 0)

    def is_whole(self, entry: Entry, bad_blocks: object = ()) -> bool:
        return True

    def read(self, entry: Entry, bad_blocks: object = ()) -> Iterator[memoryview]:
        return iter(())


def arrivals(seed: int = SEED) -> list[tuple[float, Entry, str]]:
    """The published generator: when which file is asked for by whom."""
    rng = random.Random(seed)
    found: list[tuple[float, Entry, str]] = []
    moment = 0.0
    while len(found) < 1000:
        moment += rng.expovariate(1 / 1800)
        burst = min(rng.choice((1, 5, 20, 100, 250)), 1000 - len(found))
        user = rng.choice(("bulk", "bulk", "bulk", "anna", "berit", "carl", "dora"))
        for _ in range(burst):
            size = int(rng.lognormvariate(math.log(2e9), 1.0))
            entry = Entry(
                f"f{len(found)}", "", f"A{rng.randrange(20):05d}", 1, 0,
                rng.randrange(MODEL.capacity_bytes - 200_000_000_000), size, "",
            )  # fmt: skip
            found.append((moment + rng.random() * 10, entry, user))
    return sorted(found, key=lambda one: one[0])


def library(state: MemoryTapeState, clock: VirtualClock, settings: Settings) -> Library:
    return Library(MODEL, NoMedia(), state, NoShelf(), clock, settings)


def simulate(
    asked: Sequence[tuple[float, Entry, str]], *, drives: int = 1, patience: int = 20
) -> tuple[Library, MemoryTapeState]:
    """Let a library serve what is asked for as it is asked for."""
    state, clock = MemoryTapeState(), VirtualClock()
    for number in range(20):
        state.save_cartridge(Cartridge(f"A{number:05d}", MODEL.capacity_bytes, 1))
    made = library(state, clock, Settings(drives=drives, patience=patience))
    waiting = list(asked)
    while True:
        while waiting and waiting[0][0] <= clock.now():
            _, entry, user = waiting.pop(0)
            state._entries[entry.file_id] = entry
            state.ask(entry.file_id, Ask(user), clock.now(), lambda: 0.0)
        due = min(made.step(), waiting[0][0] if waiting else math.inf)
        if due == math.inf:
            return made, state
        clock.sleep(due - clock.now())


def first_come(asked: Sequence[tuple[float, Entry, str]]) -> float:
    """Drive time when each file is read in the order in which it was asked for."""
    total, mounted, at = 0.0, "", 0
    for _, entry, _ in asked:
        if entry.cartridge != mounted:
            total += (MODEL.dismount_s(at) if mounted else 0.0) + MODEL.mount_s()
            mounted, at = entry.cartridge, 0
        total += MODEL.locate_s(at, entry.start) + MODEL.stream_s(entry.size)
        at = entry.start + entry.size
    return total


def longest_wait(state: MemoryTapeState) -> int:
    """The most mounts of other cartridges that a request waited for."""
    return (
        max(one.mounts_at_start - one.mounts_before for one in state._requests.values())
        if state._requests
        else 0
    )


def small_cases(count: int = 200, seed: int = SEED) -> list[float]:
    """Drive time against the best of all orders, for 2 to 8 requests on one cartridge."""
    rng = random.Random(seed)
    ratios = []
    for _ in range(count):
        requests = [
            Wanted(
                n,
                "A",
                rng.randrange(MODEL.capacity_bytes - 10**11),
                int(rng.lognormvariate(math.log(2e9), 1.0)),
            )
            for n in range(rng.randint(2, 7))
        ]
        ratios.append(tour_s(MODEL, ordered(MODEL, requests)) / tour_s(MODEL, optimal(MODEL, requests)))
    return ratios


def writing() -> float:
    """The streaming rate that 10,000 files of 1 MB are written at, as a share of the drive's."""
    state, clock = MemoryTapeState(), VirtualClock()
    state.save_cartridge(Cartridge("A00000", MODEL.capacity_bytes))
    for number in range(10_000):
        state.land(Landed(f"f{number}", f"{number}", "", 1_000_000, 0.0))
    made = library(state, clock, Settings(drives=1))
    spent = 0.0
    while (due := made.step()) != math.inf:
        phase = made.drives[0].phases[0]
        if phase.what.startswith("writing"):
            spent += due - clock.now()
        clock.sleep(due - clock.now())
    return 10_000 * 1_000_000 / spent / MODEL.stream_rate


def long_queue(count: int) -> tuple[float, float]:
    """Median ms that the status of one request takes, among 1,000 that wait and among many."""
    with tempfile.TemporaryDirectory(prefix="beamgrid-bench-") as scratch:
        app.initialise(
            Path(scratch) / "zone", zone="bench", admin="rods", password="rods", host="127.0.0.1", port=0
        )
        zone = app.open_zone(Path(scratch) / "zone", role="bench")
        rods = zone.namespace.users.caller("rods", "bench")
        zone.namespace.administration.add_resource(
            rods, "tape", "tape", f"localhost:{scratch}/tape", "cartridges=1"
        )
        with zone.database.read() as tx:
            resource = tx.value("SELECT id FROM resources WHERE name = 'tape'")
        medians = []
        connection = sqlite3.connect(Path(scratch) / "zone/catalog.sqlite", timeout=60)
        made = 0
        for total in (1_000, count):
            with connection:
                connection.executemany(
                    "INSERT INTO tape_requests (id, resource_id, file_id, name, cartridge, start, size_bytes, user_name, priority,"
                    " state, requested_at, mounts_before, estimate_at, pin_s) VALUES (?, ?, ?, '/bench/x', ?, ?, 1000000, ?, 5,"
                    " 'queued', ?, 0, 0, 0)",
                    (
                        (
                            10**9 + n,
                            resource,
                            f"{n}v1",
                            f"T{n % 200:05d}",
                            n * 1_000_000,
                            f"user{n % 50}#bench",
                            float(n),
                        )
                        for n in range(made, total)
                    ),
                )
                connection.execute("DELETE FROM tape_waiting")
                connection.execute(
                    "INSERT INTO tape_waiting SELECT resource_id, cartridge, user_name, count(*), sum(size_bytes)"
                    " FROM tape_requests GROUP BY resource_id, cartridge, user_name"
                )
            made = total
            rng, times = random.Random(1), []
            for _ in range(101):
                request = 10**9 + rng.randrange(total)
                began = time.thread_time()
                zone.namespace.recalls.status(rods, request)
                times.append((time.thread_time() - began) * 1000)
            medians.append(statistics.median(times))
        connection.close()
        zone.close()
    return medians[0], medians[1]


def run(count: int) -> None:
    asked = arrivals()
    began = time.thread_time()
    made, state = simulate(asked)
    spent = time.thread_time() - began
    ours, theirs = sum(drive.busy_s for drive in made.drives), first_come(asked)
    print(
        f"1,000 recalls over 20 cartridges, seed {SEED}: {ours / 3600:.1f} h of drive time, {state.mounts()} mounts"
    )
    print(f"  against first come first served ({theirs / 3600:.1f} h): {ours / theirs:.3f} x (aim 0.35)")
    print(f"  most mounts of other cartridges that a request waited for: {longest_wait(state)} (bound 20)")
    print(f"  decided in {spent * 1000 / len(asked):.2f} ms of CPU a recall")
    ratios = small_cases()
    print(
        f"2 to 7 requests on one cartridge against the best of all orders: {statistics.mean(ratios):.4f} x on average,"
        f" {max(ratios):.4f} x at worst of {len(ratios)} (aim 1.1)"
    )
    few, many = long_queue(count)
    print(
        f"status of a request among {count:,} over 200 cartridges: {many:.2f} ms (limit 5), among 1,000: {few:.2f} ms"
    )
    print(f"10,000 files of 1 MB written: {writing():.3f} of the streaming rate (limit 0.9)")
