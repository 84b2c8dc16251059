"""Drivers around drivers: retrying what may pass, keeping to limits, failing on purpose."""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from resources.buffer import BufferDriver
from resources.errors import PermanentResourceError, ResourceError, TransientResourceError
from resources.limits import OwnUse, Use
from resources.protocol import Capabilities, Driver, StagedFile, Stat, StoredFile, VaultPath

T = TypeVar("T")
File = StagedFile | StoredFile

_ONCE: Final = frozenset({"stage", "stage_copy"})
"""What is not success when it was done already."""

LOOK_EVERY_S: Final = 0.05
PATIENCE_S: Final = 60.0


class Wrapper:
    """A driver whose every call, and those of its files, go through `around`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.capabilities = Capabilities(False, driver.capabilities.survives_restart)

    @property
    def inner(self) -> Driver:
        """The driver that is wrapped."""
        return self._driver

    def around(self, what: str, run: Callable[[], T]) -> T:
        """Make one call; `what` is the method's name."""
        return run()

    def passed(self, count: int) -> None:
        """So many bytes were read or written."""

    def opened(self) -> None:
        """A file was opened."""

    def closed(self) -> None:
        """A file was closed."""

    def with_reservation(self, reservation: str) -> "Wrapper":
        """The same around a driver whose writes are paid out of a reservation.

        Raises:
            PermanentResourceError: there are none on this resource.
        """
        other = copy.copy(self)
        other._driver = reserved(self._driver, reservation)
        return other

    def _file(self, what: str, run: Callable[[], File]) -> "WrappedFile":
        self.opened()
        try:
            return WrappedFile(self, self.around(what, run))
        except BaseException:
            self.closed()
            raise

    def check(self) -> None:
        self.around("check", self._driver.check)

    def free_bytes(self) -> int | None:
        return self.around("free_bytes", self._driver.free_bytes)

    def physical_path(self, place: VaultPath) -> str:
        return self._driver.physical_path(place)

    def stage(self, name: str, size_bytes: int = -1) -> "WrappedFile":
        return self._file("stage", lambda: self._driver.stage(name, size_bytes))

    def open_staged(self, name: str, size_bytes: int = -1) -> "WrappedFile":
        return self._file("open_staged", lambda: self._driver.open_staged(name, size_bytes))

    def stage_copy(self, source: VaultPath | str, name: str) -> "WrappedFile":
        return self._file("stage_copy", lambda: self._driver.stage_copy(source, name))

    def place(self, name: str, place: VaultPath) -> None:
        self.around("place", lambda: self._driver.place(name, place))

    def sync_places(self, places: list[VaultPath]) -> None:
        self.around("sync_places", lambda: self._driver.sync_places(places))

    def open(self, place: VaultPath) -> "WrappedFile":
        return self._file("open", lambda: self._driver.open(place))

    def open_staged_for_reading(self, name: str) -> "WrappedFile":
        return self._file("open_staged_for_reading", lambda: self._driver.open_staged_for_reading(name))

    def stat(self, place: VaultPath) -> Stat:
        return self.around("stat", lambda: self._driver.stat(place))

    def move(self, source: VaultPath, target: VaultPath) -> None:
        self.around("move", lambda: self._driver.move(source, target))

    def unlink(self, place: VaultPath) -> None:
        self.around("unlink", lambda: self._driver.unlink(place))

    def unlink_staged(self, name: str) -> None:
        self.around("unlink_staged", lambda: self._driver.unlink_staged(name))

    def remove_folder(self, place: VaultPath) -> None:
        self.around("remove_folder", lambda: self._driver.remove_folder(place))

    def staged_names(self) -> list[tuple[str, float]]:
        return self.around("staged_names", self._driver.staged_names)


def reserved(driver: Driver, reservation: str) -> Driver:
    """A driver whose writes are paid out of a reservation.

    Raises:
        PermanentResourceError: there are none on this resource.
    """
    found: Driver
    if isinstance(driver, (BufferDriver, Wrapper)):
        found = driver.with_reservation(reservation)
        return found
    raise PermanentResourceError(
        f"the reservation `{reservation}` is none of this resource, which is no buffer"
    )


def innermost(driver: Driver) -> Driver:
    """The driver inside all wrappers."""
    while isinstance(driver, Wrapper):
        driver = driver.inner
    return driver


class WrappedFile:
    """An open file of a wrapped driver."""

    def __init__(self, wrapper: Wrapper, file: File) -> None:
        self._wrapper = wrapper
        self._file = file
        self._is_open = True

    def _staged(self) -> StagedFile:
        return self._file  # type: ignore[return-value]  # writing is asked only of what was opened for it

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> int:
        count = self._wrapper.around("write", lambda: self._staged().write(data, offset))
        self._wrapper.passed(count)
        return count

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> int:
        count = self._wrapper.around("read_into", lambda: self._file.read_into(buffer, offset))
        self._wrapper.passed(count)
        return count

    def size(self) -> int:
        return self._wrapper.around("size", self._file.size)

    def truncate(self, size_bytes: int) -> None:
        self._wrapper.around("truncate", lambda: self._staged().truncate(size_bytes))

    def sync(self) -> None:
        self._wrapper.around("sync", lambda: self._staged().sync())

    def descriptor(self) -> int | None:
        return None  # bytes that go past us could not be counted, retried or spoiled

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._file.close()
            self._wrapper.closed()


class Retrying(Wrapper):
    """Tries again what failed with an error that may pass; every call of a driver may be repeated but making a staged file.

    Args:
        driver: what is asked.
        attempts: how often at the most.
        pause_s: before the second attempt; twice as long before each further one.
        sleep: how to wait.
    """

    def __init__(
        self,
        driver: Driver,
        *,
        attempts: int = 3,
        pause_s: float = 0.2,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(driver)
        self._attempts = attempts
        self._pause_s = pause_s
        self._sleep = sleep

    def around(self, what: str, run: Callable[[], T]) -> T:
        for attempt in range(1, self._attempts if what not in _ONCE else 1):
            try:
                return run()
            except ResourceError as error:
                if not error.retry:
                    raise
                self._sleep(self._pause_s * 2 ** (attempt - 1))
        return run()


class Limited(Wrapper):
    """Keeps to a rate, and to a number of open files.

    Args:
        driver: what is asked.
        rate: bytes/s, reading and writing together; 0 for any.
        files: open at once; 0 for any. Who asks for one more waits, `PATIENCE_S` at the longest.
        use: shared by all who keep to these limits together.
        sleep: how to wait.
    """

    def __init__(
        self, driver: Driver, *, rate: float = 0, files: int = 0, use: Use | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        super().__init__(driver)
        self._rate = rate
        self._files = files
        self._use = use or OwnUse()
        self._sleep = sleep

    def passed(self, count: int) -> None:
        wait = self._use.turn(count, self._rate) if self._rate else 0.0
        if wait > 0:
            self._sleep(wait)

    def opened(self) -> None:
        if not self._files:
            return
        waited = 0.0
        while not self._use.enter(self._files):
            if waited >= PATIENCE_S:
                raise TransientResourceError(
                    f"{self._files} files are open, as many as may be; nobody closed one in {PATIENCE_S:.0f} s"
                )
            self._sleep(LOOK_EVERY_S)
            waited += LOOK_EVERY_S

    def closed(self) -> None:
        if self._files:
            self._use.leave()


class Faulty(Wrapper):
    """Fails on purpose: at a given call, or cut off in the middle of a write.

    Args:
        driver: what is asked when nothing is to fail.
    """

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver)
        self._plan: dict[str, list[ResourceError | None]] = {}
        self.calls: list[str] = []

    def fail(self, what: str, error: ResourceError, *, after: int = 0, times: int = 1) -> None:
        """Let a method fail `times` times, after so many calls that go well."""
        self._plan[what] = [None] * after + [error] * times

    def around(self, what: str, run: Callable[[], T]) -> T:
        self.calls.append(what)
        planned = self._plan.get(what)
        error = planned.pop(0) if planned else None
        if error is not None:
            raise error
        return run()


@contextmanager
def spoiled(driver: Faulty, what: str, error: ResourceError) -> Iterator[None]:
    """Let a method fail every time, until the block ends."""
    driver.fail(what, error, times=1 << 20)
    try:
        yield
    finally:
        driver.fail(what, error, times=0)
