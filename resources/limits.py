"""Who uses a resource how much right now: what those who keep to its limits together have to know of each other."""

import threading
import time
from collections.abc import Callable
from typing import Protocol


class Use(Protocol):
    """The use of one resource by everybody who keeps to its limits; every call is atomic."""

    def turn(self, count: int, rate: float) -> float:
        """Queue bytes behind those of everybody else; returns in how many s they have passed, at `rate` bytes/s."""

    def enter(self, files: int) -> bool:
        """Open one more file where fewer than `files` are open; False when there are as many."""

    def leave(self) -> None:
        """One file is open no more."""


class OwnUse:
    """The use by one process that has a resource to itself.

    Args:
        clock: a time in s that only grows.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._free_at = 0.0
        self._files = 0
        self._lock = threading.Lock()

    def turn(self, count: int, rate: float) -> float:
        with self._lock:  # each waits for its own turn: the sum keeps to the rate
            now = self._clock()
            self._free_at = max(self._free_at, now) + count / rate
            return self._free_at - now

    def enter(self, files: int) -> bool:
        with self._lock:
            if self._files >= files:
                return False
            self._files += 1
            return True

    def leave(self) -> None:
        with self._lock:
            self._files -= 1
