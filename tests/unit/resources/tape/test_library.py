"""A library at work in a time of its own: faults, restarts, repacking, estimates."""

import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resources import FileMissing, OutOfSpace, PlaceTaken
from resources.tape import DriveModel, RealClock, VirtualClock
from resources.tape.drives import Settings, estimate_s
from resources.tape.library import Library
from resources.tape.media import BadBlock, Entry, Media, Source
from resources.tape.state import Ask, Cartridge, Landed, MemoryTapeState, Request, rebuilt

MODEL = DriveModel(capacity_bytes=1_000_000, wraps=10, stream_rate=10_000, lowest_stream_rate=1_000)


class MemoryShelf:
    """A library's disk as a dictionary."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.recalled: dict[str, bytes] = {}

    def open_landed(self, landed: Landed) -> Source:
        if landed.file_id not in self.files:
            raise FileMissing(landed.place)
        data = io.BytesIO(self.files[landed.file_id])

        class Reader:
            def read_into(self, buffer: bytearray | memoryview, offset: int) -> int:
                data.seek(offset)
                return data.readinto(buffer)

        return Reader()

    def swap(self, landed: Landed, entry: Entry) -> bool:
        return self.files.pop(landed.file_id, None) is not None

    def receive(self, entry: Entry, blocks: Iterator[memoryview]) -> None:
        self.recalled[entry.file_id] = b"".join(bytes(block) for block in blocks)

    def make_room(self, size: int, is_pinned: Callable[[str], bool]) -> bool:
        return True

    def removed(self, forget: Callable[[list[str]], None]) -> None:
        return None

    def holds(self, file_id: str) -> bool:
        return file_id in self.recalled


class Tape:
    """A library with three cartridges and everything it needs."""

    def __init__(self, folder: Path, **settings: float) -> None:
        self.media, self.state, self.shelf, self.clock = (
            Media(str(folder)),
            MemoryTapeState(),
            MemoryShelf(),
            VirtualClock(1000.0),
        )
        for label in ("A1", "A2", "A3"):
            if label not in self.media.labels():
                self.media.add(label, MODEL.capacity_bytes)
            self.state.save_cartridge(Cartridge(label, MODEL.capacity_bytes))
        chosen = {"batch_bytes": 1, "batch_age_s": 0.0, "container_bytes": 50_000, **settings}
        self.library = Library(MODEL, self.media, self.state, self.shelf, self.clock, Settings(**chosen))  # type: ignore[arg-type]

    def land(self, name: str, data: bytes) -> None:
        self.shelf.files[name] = data
        self.state.land(Landed(name, f"/z/{name}", name, len(data), self.clock.now()))

    def ask(self, name: str, user: str = "anna", **ask: int) -> Request:
        entry = self.state.entry(name)
        return self.state.ask(
            name, Ask(user, **ask), self.clock.now(),
            lambda: self.clock.now() + estimate_s(MODEL, self.state, entry, 2) if entry else 0.0,
        )  # fmt: skip

    def now(self, request: Request) -> Request:
        found = self.state.request(request.id)
        assert found is not None
        return found


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    made = Tape(tmp_path)
    for number in range(12):
        made.land(f"f{number:02d}", bytes([number]) * 10_000)
    made.library.run_until_idle()
    return made


def test_small_files_are_packed_and_the_disk_keeps_them_until_they_were_read_again(tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    tape.land("a", b"x" * 500)
    tape.land("b", b"y" * 500)
    while "verifying" not in str(tape.library.drives[0].view()["doing"]):
        tape.clock.sleep(tape.library.step() - tape.clock.now())
    assert len(list(tmp_path.rglob("*.index"))) == 1
    assert set(tape.shelf.files) == {"a", "b"}
    tape.library.run_until_idle()
    assert tape.shelf.files == {}
    assert [(e.file_id, e.start, e.size) for e in tape.state.entries("A1")] == [
        ("a", 0, 500),
        ("b", 500, 500),
    ]


def test_a_container_is_on_the_tape_whole_or_not_at_all(tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    tape.land("a", b"x" * 500)
    tape.shelf.files["a"] = b"x" * 400  # it changed under the drive
    tape.library.step()
    for _ in range(4):
        tape.clock.sleep(100)
        tape.library.step()
    assert tape.state.entry("a") is None
    assert tape.media.used("A1") == 0
    (tmp_path / "A1/000001.data").write_bytes(b"cut off")
    assert tape.media.containers("A1") == []
    tape.shelf.files["a"] = b"z" * 500
    tape.library.run_until_idle()
    assert (tmp_path / "A1/000001.data").read_bytes() == b"z" * 500


def test_one_mount_serves_all_that_waits_and_every_phase_is_shown(tape: Tape) -> None:
    before = tape.state.mounts()
    tape.library.drives[0].cartridge = tape.library.drives[1].cartridge = ""
    requests = [tape.ask(f"f{number:02d}") for number in range(1, 12, 2)]
    states = set()
    while (due := tape.library.step()) != math.inf:
        states |= {tape.now(r).state for r in requests}
        tape.clock.sleep(due - tape.clock.now())
    assert {tape.now(r).state for r in requests} == {"done"}
    assert states >= {"mounting", "positioning", "reading", "done"}
    assert tape.state.mounts() - before == len({r.cartridge for r in requests})
    assert tape.shelf.recalled["f03"] == bytes([3]) * 10_000
    assert all(tape.now(r).pin_until > tape.clock.now() for r in requests)
    for r in requests:
        found = tape.now(r)
        assert abs(found.estimate_at - found.finished_at) < 400


def test_a_cancelled_request_is_not_read(tape: Tape) -> None:
    request, other = tape.ask("f01"), tape.ask("f02")
    tape.library.step()
    tape.state.progress([request.id], "cancelled", now=tape.clock.now())
    tape.library.run_until_idle()
    assert (tape.now(request).state, tape.now(other).state) == ("cancelled", "done")
    assert "f01" not in tape.shelf.recalled


def test_asking_twice_is_one_request_and_what_is_on_no_tape_is_rejected(tape: Tape) -> None:
    assert tape.ask("f01") == tape.ask("f01")
    assert tape.ask("f01", user="berit") != tape.ask("f01")
    nothing = tape.ask("nothing")
    assert (nothing.state, nothing.reason) == ("rejected", "`nothing` is on no cartridge")


def test_a_bad_block_fails_its_file_alone_and_names_it(tape: Tape) -> None:
    (label,) = {e.cartridge for e in [tape.state.entry("f01")] if e}
    entry = tape.state.entry("f01")
    assert entry is not None
    known = next(c for c in tape.state.cartridges() if c.label == label)
    tape.state.save_cartridge(
        Cartridge(label, known.capacity_bytes, known.used_bytes, bad_blocks=(entry.start + 5,))
    )
    bad, fine = tape.ask("f01"), tape.ask("f02")
    tape.library.run_until_idle()
    assert (tape.now(bad).state, tape.now(bad).reason) == (
        "failed",
        f"bad block at position {entry.start + 5} of `{label}`",
    )
    assert tape.now(fine).state == "done"
    assert set(tape.state.lost) == {"f01"}


def test_a_lost_cartridge_fails_what_waits_for_it(tape: Tape) -> None:
    request = tape.ask("f01")
    tape.state.save_cartridge(Cartridge(request.cartridge, MODEL.capacity_bytes, condition="lost"))
    tape.library.run_until_idle()
    assert tape.now(request).reason == f"the cartridge `{request.cartridge}` is lost"


def test_a_stuck_drive_gives_its_work_back(tape: Tape) -> None:
    request = tape.ask("f01")
    tape.library.step()
    (drive,) = [d for d in tape.library.drives if d.serving]
    tape.library.fail_drive(drive.name, "stuck")
    assert (tape.now(request).state, tape.now(request).reason) == ("queued", f"{drive.name}: stuck")
    tape.library.run_until_idle()
    assert tape.now(request).state == "done"
    assert drive.view()["doing"] == "stuck"


def test_a_jammed_robot_leaves_what_is_mounted_at_work(tape: Tape) -> None:
    mounted = {d.cartridge for d in tape.library.drives}
    tape.library.robot_fault = "jammed"
    requests = [tape.ask(f"f{number:02d}") for number in range(12)]
    tape.library.run_until_idle()
    for request in requests:
        assert tape.now(request).state == ("done" if request.cartridge in mounted else "queued")
    tape.library.robot_fault = ""
    tape.library.run_until_idle()
    assert {tape.now(r).state for r in requests} == {"done"}


def test_a_full_cartridge_is_followed_by_the_next(tmp_path: Path) -> None:
    tape = Tape(tmp_path, container_bytes=400_000)
    for number in range(25):
        tape.land(f"f{number:02d}", bytes([number]) * 100_000)
    tape.library.run_until_idle()
    assert tape.shelf.files == {}
    assert sorted(c.used_bytes for c in tape.state.cartridges()) == [500_000, 1_000_000, 1_000_000]


def test_a_protected_cartridge_is_read_not_written(tape: Tape) -> None:
    for label in ("A1", "A2"):
        tape.state.save_cartridge(
            Cartridge(label, MODEL.capacity_bytes, tape.media.used(label), condition="protected")
        )
    tape.land("new", b"n" * 100)
    request = tape.ask("f01")
    tape.library.run_until_idle()
    assert tape.now(request).state == "done"
    assert tape.state.entry("new") is not None
    assert [e.file_id for e in tape.state.entries("A3")] == ["new"]


def test_what_was_under_way_at_a_crash_is_asked_for_again(tape: Tape) -> None:
    request = tape.ask("f01")
    tape.library.step()
    again = Library(MODEL, tape.media, tape.state, tape.shelf, tape.clock, Settings())
    again.recover()
    assert (tape.now(request).state, tape.now(request).reason) == ("queued", "the library was started again")
    again.run_until_idle()
    assert tape.now(request).state == "done"


def test_the_library_is_rebuilt_from_the_cartridges_alone(tape: Tape) -> None:
    cartridges, entries = rebuilt(tape.media)
    assert [(c.label, c.used_bytes) for c in cartridges] == [
        (c.label, c.used_bytes) for c in tape.state.cartridges()
    ]
    assert sorted(entries, key=lambda e: e.file_id) == [tape.state.entry(f"f{n:02d}") for n in range(12)]


def test_repacking_leaves_out_what_nobody_wants(tape: Tape) -> None:
    label = max(tape.state.cartridges(), key=lambda c: c.used_bytes).label
    on_it = [e.file_id for e in tape.state.entries(label)]
    tape.state.forget(on_it[:2])
    assert next(c for c in tape.state.cartridges() if c.label == label).deleted_bytes == 20_000
    assert tape.library.repack(label) == 10_000 * (len(on_it) - 2)
    assert tape.media.used(label) == 0
    request = tape.ask(on_it[3])
    assert request.cartridge != label
    tape.library.run_until_idle()
    assert tape.shelf.recalled[on_it[3]] == bytes([int(on_it[3][1:])]) * 10_000


def test_repacking_without_room_or_with_damage_erases_nothing(tape: Tape, tmp_path: Path) -> None:
    label = max(tape.state.cartridges(), key=lambda c: c.used_bytes).label
    others = [c for c in tape.state.cartridges() if c.label != label]
    for known in others:
        tape.state.save_cartridge(
            Cartridge(known.label, known.capacity_bytes, known.used_bytes, condition="protected")
        )
    with pytest.raises(OutOfSpace, match="no other cartridge has"):
        tape.library.repack(label)
    for known in others:
        tape.state.save_cartridge(known)
    data = tmp_path / label / "000001.data"
    data.write_bytes(b"?" * data.stat().st_size)
    with pytest.raises(BadBlock, match="nothing was erased"):
        tape.library.repack(label)
    assert tape.media.used(label) > 0


@pytest.mark.parametrize("label", ["", "a1", "A123456789", "../A1", "A 1"])
def test_a_label_that_is_none_is_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(PlaceTaken, match="is no label"):
        Media(str(tmp_path)).add(label, 1)


def test_a_clock_a_million_times_as_quick() -> None:
    clock = RealClock(1e6)
    before = clock.now()
    clock.sleep(10_000)
    assert clock.now() - before >= 10_000
    with pytest.raises(ValueError, match="a positive number was expected"):
        RealClock(0)
