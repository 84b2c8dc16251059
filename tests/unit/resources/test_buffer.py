"""A bounded vault: the bound holds whatever is done, reservations are kept, nothing is counted twice."""

import threading
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from resources import OutOfSpace, VaultPath
from resources.buffer import BufferDriver, BufferFile, MemoryAccount, Pool
from resources.disk import DiskDriver
from resources.disk_file import DiskFile
from resources.testing import DriverSuite, read_all

CAPACITY = 6400


def make(folder: Path, capacity: int = CAPACITY) -> tuple[BufferDriver, MemoryAccount]:
    DiskDriver.create(str(folder), 7)
    account = MemoryAccount(capacity)
    return BufferDriver(str(folder), 7, account, capacity), account


class TestBuffer(DriverSuite):
    def make(self, tmp_path: Path) -> BufferDriver:
        return make(tmp_path / "vault", 1 << 30)[0]


def held(folder: Path) -> int:
    return sum(
        file.stat().st_size for file in folder.rglob("*") if file.is_file() and file.name != "resource-id"
    )


def write(driver: BufferDriver, name: str, size: int) -> None:
    file = driver.stage(name)
    try:
        file.write(b"x" * size, 0)
    finally:
        file.close()


def test_what_does_not_fit_is_refused_before_it_is_written(tmp_path: Path) -> None:
    driver, account = make(tmp_path / "v")
    write(driver, "a", 6000)
    with pytest.raises(OutOfSpace, match=r"\d+ bytes are free; \d+ are wanted"):
        write(driver, "b", 500)
    assert held(tmp_path / "v") == 6000
    driver.unlink_staged("b")
    write(driver, "c", 400)
    assert held(tmp_path / "v") == CAPACITY
    driver.unlink_staged("a")
    driver.settle()
    assert account.taken <= 400 + CAPACITY // 64
    assert driver.free_bytes() == CAPACITY - 400


def test_a_reservation_is_kept_for_who_has_it(tmp_path: Path) -> None:
    driver, account = make(tmp_path / "v")
    account.reserve("stream", 5000)
    write(driver, "a", 1300)
    with pytest.raises(OutOfSpace):
        write(driver, "b", 500)
    mine = driver.with_reservation("stream")
    write(mine, "frames", 4000)
    assert read_all(mine.open_staged_for_reading("frames")) == b"x" * 4000
    with pytest.raises(OutOfSpace, match="are to be reserved"):
        account.reserve("another", 5000)
    with pytest.raises(OutOfSpace, match="are to be reserved"):
        account.reserve("negative", -1)


def test_copies_are_paid_for_and_replaced_files_are_not_any_more(tmp_path: Path) -> None:
    driver, _ = make(tmp_path / "v")
    place = VaultPath.of("/a")
    write(driver, "one", 3000)
    driver.place("one", place)
    with pytest.raises(OutOfSpace):
        driver.stage_copy(place, "copy").truncate(4000)
    driver.unlink_staged("copy")
    write(driver, "two", 1000)
    driver.place("two", place)
    driver.place("two", place)
    driver.unlink(place)
    driver.unlink(place)
    driver.settle()
    assert driver.free_bytes() == CAPACITY


def test_two_processes_share_an_account(tmp_path: Path) -> None:
    account = MemoryAccount(100)
    one, two = Pool(account, 30), Pool(account, 30)
    one.spend(10)
    two.spend(40)
    with pytest.raises(OutOfSpace):
        two.spend(40)
    one.recover(10)
    one.settle()
    two.spend(30)
    assert account.taken == 100


class Buffer(RuleBasedStateMachine):
    """Any order of writing, growing, cutting, copying, placing and removing keeps the bound and loses no byte of it."""

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.driver, self.account = make(Path(self.folder.name) / "v")
        self.count = 0
        self.staged: list[str] = []

    @rule(size=st.integers(0, 3000))
    def write(self, size: int) -> None:
        self.count += 1
        self.staged.append(f"n{self.count}")
        try:
            write(self.driver, self.staged[-1], size)
        except OutOfSpace:
            pass

    @rule(size=st.integers(0, 3000))
    def cut(self, size: int) -> None:
        if self.staged:
            file = self.driver.open_staged(self.staged[-1])
            try:
                file.truncate(size)
            except OutOfSpace:
                pass
            file.close()

    @rule(place=st.sampled_from(("/a", "/b", "/c/d")))
    def place(self, place: str) -> None:
        if self.staged:
            self.driver.place(self.staged.pop(), VaultPath.of(place))

    @rule(place=st.sampled_from(("/a", "/b", "/c/d")))
    def remove(self, place: str) -> None:
        self.driver.unlink(VaultPath.of(place))

    @rule()
    def discard(self) -> None:
        if self.staged:
            self.driver.unlink_staged(self.staged.pop())
        self.driver.settle()

    @invariant()
    def the_bound_holds(self) -> None:
        if hasattr(self, "driver"):
            on_disk = held(Path(self.folder.name))
            assert on_disk <= CAPACITY
            assert self.account.taken == on_disk + self.driver.unspent_bytes

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestAnyOrder = Buffer.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_streams_that_grow_one_file_pay_for_it_once(tmp_path: Path) -> None:
    DiskDriver.create(str(tmp_path / "vault"), 7)
    account = MemoryAccount(1_000_000)
    driver = BufferDriver(str(tmp_path / "vault"), 7, account, 1_000_000)
    driver._pool = Pool(account, 1)
    first, second = driver.stage("a"), driver.open_staged("a")
    barrier = threading.Barrier(2)

    def write(file: BufferFile, begin: int) -> None:
        barrier.wait()
        for offset in range(begin, 400_000, 20_000):
            file.write(b"x" * 10_000, offset)

    threads = [
        threading.Thread(target=write, args=(file, begin)) for file, begin in ((first, 0), (second, 10_000))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert account.taken == 400_000
    first.truncate(100_000)
    first.close()
    second.close()
    second.close()
    assert account.taken - driver.unspent_bytes == 100_000
    driver.unlink_staged("a")
    assert account.taken - driver.unspent_bytes == 0


def test_what_was_paid_for_and_not_written_comes_back(tmp_path: Path, monkeypatch) -> None:
    DiskDriver.create(str(tmp_path / "vault"), 7)
    account = MemoryAccount(1_000_000)
    driver = BufferDriver(str(tmp_path / "vault"), 7, account, 1_000_000)
    file = driver.stage("a")

    def full(self: DiskFile, data: object, offset: int) -> int:
        raise OutOfSpace("the disk under the buffer is full")

    monkeypatch.setattr(DiskFile, "write", full)
    with pytest.raises(OutOfSpace):
        file.write(b"x" * 5000, 0)
    file.close()
    assert account.taken - driver.unspent_bytes == 0
