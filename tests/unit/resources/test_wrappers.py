"""Wrapped drivers are drivers; retries, limits and faults do what they say."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from resources import (
    Denied,
    Driver,
    FileMissing,
    Offline,
    OutOfSpace,
    PermanentResourceError,
    TransientResourceError,
    VaultPath,
)
from resources.buffer import BufferDriver, MemoryAccount
from resources.disk import DiskDriver
from resources.limits import OwnUse
from resources.memory import MemoryDriver
from resources.testing import DriverSuite, read_all
from resources.wrappers import Faulty, Limited, Retrying, spoiled


class TestRetrying(DriverSuite):
    def make(self, tmp_path: Path) -> Driver:
        return Retrying(DiskDriver.create(str(tmp_path / "vault"), 7))


class TestLimited(DriverSuite):
    def make(self, tmp_path: Path) -> Driver:
        return Limited(MemoryDriver(), rate=1e12, files=50)


class TestFaulty(DriverSuite):
    def make(self, tmp_path: Path) -> Driver:
        return Faulty(MemoryDriver())


def store(driver: Driver, name: str = "n", data: bytes = b"data") -> VaultPath:
    place = VaultPath.of(f"/{name}")
    file = driver.stage(name)
    try:
        file.write(data, 0)
        file.sync()
    finally:
        file.close()
    driver.place(name, place)
    return place


@pytest.mark.parametrize("what", ["write", "sync", "place", "open", "read_into", "stat", "unlink", "check"])
def test_what_may_pass_is_tried_again(what: str) -> None:
    faulty, slept = Faulty(MemoryDriver()), list[float]()
    driver = Retrying(faulty, attempts=4, sleep=slept.append)
    faulty.fail(what, TransientResourceError("a hiccup"), times=3)
    place = store(driver)
    assert read_all(driver.open(place)) == b"data"
    driver.stat(place)
    driver.check()
    driver.unlink(place)
    assert slept == [0.2, 0.4, 0.8]


@pytest.mark.parametrize(
    ("error", "attempts"),
    [(Offline("gone"), 3), (Denied("no"), 1), (OutOfSpace("full"), 1), (FileMissing("none"), 1)],
)
def test_what_does_not_pass_is_said(error: Exception, attempts: int) -> None:
    faulty = Faulty(MemoryDriver())
    driver = Retrying(faulty, attempts=3, sleep=lambda _: None)
    place = store(driver)
    with spoiled(faulty, "open", error), pytest.raises(type(error)):  # type: ignore[arg-type]
        driver.open(place)
    assert faulty.calls.count("open") == attempts
    assert read_all(driver.open(place)) == b"data"


def test_making_a_staged_file_is_not_tried_twice() -> None:
    faulty = Faulty(MemoryDriver())
    faulty.fail("stage", TransientResourceError("a hiccup"))
    with pytest.raises(TransientResourceError):
        Retrying(faulty, sleep=lambda _: None).stage("n")


def test_a_rate_is_kept_by_all_together() -> None:
    now, slept = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    driver = Limited(MemoryDriver(), rate=1000, use=OwnUse(lambda: now[0]), sleep=sleep)
    store(driver, "a", b"x" * 500)
    store(driver, "b", b"x" * 1500)
    assert now[0] == pytest.approx(2.0)


def test_one_file_too_many_waits() -> None:
    driver = Limited(MemoryDriver(), files=1)
    first = driver.stage("a")
    done = threading.Event()

    def second() -> None:
        driver.stage("b").close()
        done.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert not done.wait(0.2)
    first.close()
    first.close()
    assert done.wait(10)
    thread.join()


def test_a_file_that_could_not_be_opened_takes_no_place() -> None:
    driver = Limited(MemoryDriver(), files=1)
    for _ in range(3):
        with pytest.raises(FileMissing):
            driver.open(VaultPath.of("/nothing"))
    driver.stage("a").close()


@pytest.mark.parametrize("make", [Retrying, Limited, Faulty])
def test_bytes_do_not_go_past_a_wrapper(make: Callable[[Driver], Driver], tmp_path: Path) -> None:
    driver = make(DiskDriver.create(str(tmp_path / "vault"), 7))
    assert not driver.capabilities.has_descriptors
    assert driver.open(store(driver)).descriptor() is None


def test_who_waits_for_a_place_gives_up_one_day() -> None:
    waited = list[float]()
    driver = Limited(MemoryDriver(), files=1, sleep=waited.append)
    held = driver.stage("a")
    with pytest.raises(TransientResourceError, match="1 files are open, as many as may be"):
        driver.stage("b")
    assert sum(waited) == pytest.approx(60.0, abs=0.1)
    held.close()
    driver.stage("b").close()


def test_room_can_be_reserved_through_wrappers_and_only_on_buffers(tmp_path: Path) -> None:
    account = MemoryAccount(1000)
    DiskDriver.create(str(tmp_path / "vault"), 7)
    driver = Limited(BufferDriver(str(tmp_path / "vault"), 7, account, 1000), files=4)
    account.reserve("key", 600)
    file = driver.with_reservation("key").stage("a", 600)
    file.write(b"x" * 500, 0)
    file.close()
    assert (account.reserved["key"], account.taken) == (100, 500)
    with pytest.raises(PermanentResourceError, match="which is no buffer"):
        Retrying(MemoryDriver()).with_reservation("key")
