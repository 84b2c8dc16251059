"""Drivers around drivers: retrying what may pass, keeping to limits, failing on purpose."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from resources.errors import ResourceError
from resources.protocol import Capabilities, Driver, StagedFile, Stat, StoredFile, VaultPath

T = TypeVar("T")
File = StagedFile | StoredFile

_ONCE: Final = frozenset({"stage", "stage_copy"})
"""What is not success when it was done already."""


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

    def stage(self, name: str) -> "WrappedFile":
        return self._file("stage", lambda: self._driver.stage(name))

    def open_staged(self, name: str) -> "WrappedFile":
        return self._file("open_staged", lambda: self._driver.open_staged(name))

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
    """Keeps to a rate, and to a number of open files, for this process.

    Args:
        driver: what is asked.
        rate: bytes/s, reading and writing together; 0 for any.
        files: open at once; 0 for any. Who asks for one more waits.
        clock: a time in s that only grows.
        sleep: how to wait.
    """

    def __init__(
        self, driver: Driver, *, rate: float = 0, files: int = 0, clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        super().__init__(driver)
        self._rate = rate
        self._slots = threading.BoundedSemaphore(files) if files else None
        self._clock = clock
        self._sleep = sleep
        self._free_at = 0.0
        self._lock = threading.Lock()

    def passed(self, count: int) -> None:
        if not self._rate:
            return
        with self._lock:  # each waits for its own turn: the sum keeps to the rate
            now = self._clock()
            self._free_at = max(self._free_at, now) + count / self._rate
            wait = self._free_at - now
        if wait > 0:
            self._sleep(wait)

    def opened(self) -> None:
        if self._slots is not None:
            self._slots.acquire()

    def closed(self) -> None:
        if self._slots is not None:
            self._slots.release()


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
