"""The tape resource passes the suite of every driver with all bytes on cartridges; stubs, recalls, the shelf's bound."""

import os
from pathlib import Path

import pytest

from resources import FileMissing, PlaceTaken, VaultPath
from resources.disk import DiskFile
from resources.tape import DriveModel, VirtualClock
from resources.tape.driver import NotResident, TapeDriver
from resources.tape.drives import Settings
from resources.tape.library import Library
from resources.tape.media import Media
from resources.tape.state import Ask, Cartridge, Landed, MemoryTapeState
from resources.testing import DriverSuite, read_all

MODEL = DriveModel(capacity_bytes=10_000_000)


class WaitingTape(TapeDriver):
    """Writes to tape whatever is placed, at once, and waits for what is opened: in a time of its own."""

    def begin(self, folder: Path) -> "WaitingTape":
        self.state, self.media = MemoryTapeState(), Media(str(folder / "library"))
        for label in ("A00001", "A00002"):
            self.media.add(label, MODEL.capacity_bytes)
            self.state.save_cartridge(Cartridge(label, MODEL.capacity_bytes))
        settings = Settings(batch_bytes=1, batch_age_s=0)
        self.library = Library(MODEL, self.media, self.state, self, VirtualClock(), settings)
        self.count = 0
        return self

    def place(self, name: str, place: VaultPath) -> None:
        super().place(name, place)
        if self.residency(place).on_tape:
            return
        self.count += 1
        size = self.stat(place).size_bytes
        self.state.land(Landed(f"f{self.count}", place.text, place.text, size, self.count))
        self.library.run_until_idle()
        assert self.residency(place) == self.residency(place).__class__(False, f"f{self.count}")

    def open(self, place: VaultPath) -> DiskFile:
        try:
            return super().open(place)
        except NotResident as error:
            self.state.ask(error.file_id, Ask(), 0.0, lambda: 0.0)
            self.library.run_until_idle()
            return super().open(place)

    def stage_copy(self, source: VaultPath | str, name: str) -> DiskFile:
        if isinstance(source, VaultPath):
            self.open(source).close()
        return super().stage_copy(source, name)


def make(tmp_path: Path) -> WaitingTape:
    made = WaitingTape.create(str(tmp_path / "vault"), 7)
    return WaitingTape(made._vault, 7).begin(tmp_path)


class TestTape(DriverSuite):
    def make(self, tmp_path: Path) -> WaitingTape:
        return make(tmp_path)


@pytest.fixture
def tape(tmp_path: Path) -> WaitingTape:
    return make(tmp_path)


def put(tape: WaitingTape, path: str, data: bytes, name: str = "n1") -> VaultPath:
    return TestTape().put(tape, path, data, name)


def test_the_bytes_leave_the_disk_and_come_back_from_the_containers(
    tape: WaitingTape, tmp_path: Path
) -> None:
    place = put(tape, "/home/anna/a", b"hello" * 1000)
    vault = tmp_path / "vault"
    assert [
        p for p in vault.rglob("*") if p.is_file() and not p.is_symlink() and p.stat().st_size > 100
    ] == []
    assert os.readlink(vault / "home/anna/a") == "tape:f1:5000"
    assert tape.stat(place).size_bytes == 5000
    with pytest.raises(NotResident, match="`home/anna/a` is on tape"):
        TapeDriver.open(tape, place)
    (container,) = (tmp_path / "library").rglob("*.data")
    assert container.read_bytes() == b"hello" * 1000
    assert read_all(tape.open(place)) == b"hello" * 1000
    tape.evict("f1")
    container.write_bytes(b"hellO" * 1000)
    with pytest.raises(NotResident):
        tape.open(place)
    (failed,) = tape.state.requests(("failed",))
    assert "`f1` on `A00001` is not what was written" in failed.reason
    assert tape.state.lost["f1"] == failed.reason


def test_a_stub_goes_where_its_file_goes_and_what_is_removed_is_forgotten(tape: WaitingTape) -> None:
    first = put(tape, "/x/a", b"1")
    tape.move(VaultPath.of("/x"), VaultPath.of("/y"))
    with pytest.raises(FileMissing):
        tape.stat(first)
    moved = VaultPath.of("/y/a")
    assert read_all(tape.open(moved)) == b"1"
    put(tape, "/y/a", b"22", "n2")
    tape.library.step()
    assert tape.state.entry("f1") is None
    assert not tape.holds("f1")
    tape.unlink(moved)
    tape.library.step()
    assert tape.state.entry("f2") is None
    assert next(c for c in tape.state.cartridges() if c.used_bytes).deleted_bytes == 3


def test_what_came_back_is_bounded_and_pins_hold(tape: WaitingTape) -> None:
    places = [put(tape, f"/{n}", bytes([n]) * 100, f"n{n}") for n in range(4)]
    tape._recalled_bytes = 250
    for number, place in enumerate(places[:2]):
        tape.state.ask(f"f{number + 1}", Ask(pin_s=1e9), 0.0, lambda: 0.0)
        tape.library.run_until_idle()
        tape.open(place).close()
    request = tape.state.ask("f3", Ask(user="late"), 0.0, lambda: 0.0)
    tape.library.run_until_idle()
    waiting = tape.state.request(request.id)
    assert waiting is not None
    assert (waiting.state, waiting.reason, tape.holds("f3")) == (
        "queued", "no room on the library's disk: everything on it is pinned", False,
    )  # fmt: skip
    assert sum(f.stat().st_size for f in (Path(tape._vault) / ".beamgrid/recalled").iterdir()) <= 250


def test_a_link_that_somebody_laid_into_the_vault_is_not_followed(tape: WaitingTape, tmp_path: Path) -> None:
    os.symlink("/etc/passwd", tmp_path / "vault/passwd")
    with pytest.raises(PlaceTaken, match="a link that this library did not make"):
        tape.open(VaultPath.of("/passwd"))
