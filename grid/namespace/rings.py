"""Buffers that bytes arrive in while those before them are still written and hashed: a ring for each large write, kept for the next one.

Memory that is used again is there already; fresh memory costs about as much as receiving into it.
"""

import threading
from typing import Final

from resources.aligned import aligned_buffer

BUFFER_BYTES: Final = 4 << 20
BEHIND_BYTES: Final = 1 << 20
"""So many bytes are written by another thread while the next arrive."""

DEPTH: Final = 3
"""So many writes of one file are under way at once."""

MOST_RINGS: Final = 64
"""In this process at once: 1 GiB. Further writes have buffers for one request only."""

_KEPT: Final = 4


class Ring:
    """Buffers in turn; one comes again once `DEPTH` more were written."""

    def __init__(self) -> None:
        self._buffers = [aligned_buffer(BUFFER_BYTES) for _ in range(DEPTH + 1)]
        self._turn = 0

    def next(self, count: int) -> memoryview:
        """Room for so many bytes, or for as many as a buffer has."""
        self._turn = (self._turn + 1) % len(self._buffers)
        return self._buffers[self._turn][:count]


class Rings:
    """The rings of this process; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[Ring] = []
        self._lent = 0

    def lend(self) -> Ring | None:
        """A ring that nobody else has; None where there are too many."""
        with self._lock:
            if self._lent >= MOST_RINGS:
                return None
            self._lent += 1
            return self._free.pop() if self._free else Ring()

    def take_back(self, ring: Ring) -> None:
        """A ring that nothing is under way in any more."""
        with self._lock:
            self._lent -= 1
            if len(self._free) < _KEPT:
                self._free.append(ring)


RINGS: Final = Rings()
