"""What the processes of a zone have done, counted in memory that they share.

The parent makes the memory before it forks; each child writes only in the rows of its own place, so that counting
needs no lock between processes. A child that is started again goes on in the rows of the one that died.
"""

import bisect
import mmap
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from grid.codes import APIS

BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Upper bounds of the latencies that are told apart, in seconds."""
OUTCOMES: Final = ("ok", "error", "refused")

_NUMBERS: Final = tuple(sorted(APIS))
_ROW_OF: Final = {number: row for row, number in enumerate(_NUMBERS)}
_OTHER: Final = len(_NUMBERS)
_TIME_US: Final = len(OUTCOMES)
_BYTES_IN: Final = _TIME_US + 1
_BYTES_OUT: Final = _TIME_US + 2
_FIRST_BUCKET: Final = _TIME_US + 3
_WIDTH: Final = _FIRST_BUCKET + len(BUCKETS_S) + 1
_PLACE: Final = _WIDTH * (len(_NUMBERS) + 1)


@dataclass(frozen=True, slots=True)
class ApiCounts:
    """What was asked of one API since the zone was started.

    `outcomes` in the order of `OUTCOMES`; `latencies` are requests up to each bound of `BUCKETS_S`, those of lower
    bounds included, and all; `seconds` are their sum.
    """

    name: str
    outcomes: tuple[int, ...]
    latencies: tuple[int, ...]
    seconds: float
    bytes_in: int
    bytes_out: int


class Counters:
    """The counters of all processes of a zone.

    Args:
        places: how many processes count at a time.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._numbers = memoryview(mmap.mmap(-1, places * _PLACE * 8)).cast("Q")

    def at(self, place: int) -> "Tally":
        """Where the process at a place counts."""
        return Tally(self._numbers[place * _PLACE : (place + 1) * _PLACE])

    def totals(self) -> Iterator[ApiCounts]:
        """The sums over all processes, of every API that was asked for."""
        for row in range(_OTHER + 1):
            first = row * _WIDTH
            starts = [place * _PLACE + first for place in range(self._places)]
            sums = [sum(self._numbers[start + column] for start in starts) for column in range(_WIDTH)]
            outcomes = tuple(sums[:_TIME_US])
            if not any(outcomes):
                continue
            name = APIS[_NUMBERS[row]].name if row < _OTHER else "unknown"
            below, latencies = 0, []
            for count in sums[_FIRST_BUCKET:]:
                below += count
                latencies.append(below)
            yield ApiCounts(
                name, outcomes, tuple(latencies), sums[_TIME_US] / 1e6, sums[_BYTES_IN], sums[_BYTES_OUT]
            )


class Tally:
    """Counts the requests of one process; any of its threads may."""

    def __init__(self, numbers: memoryview) -> None:
        self._numbers = numbers
        self._lock = threading.Lock()

    def note(self, number: int, outcome: int, seconds: float, bytes_in: int, bytes_out: int) -> None:
        """Count one request.

        Args:
            number: of the API.
            outcome: its place in `OUTCOMES`.
            seconds: from the whole message to the reply, without sending its bytes.
            bytes_in: of the request's byte stream.
            bytes_out: of the reply's.
        """
        first = _ROW_OF.get(number, _OTHER) * _WIDTH
        bucket = first + _FIRST_BUCKET + bisect.bisect_left(BUCKETS_S, seconds)
        numbers = self._numbers
        with self._lock:
            numbers[first + outcome] += 1
            numbers[first + _TIME_US] += int(seconds * 1e6)
            numbers[first + _BYTES_IN] += bytes_in
            numbers[first + _BYTES_OUT] += bytes_out
            numbers[bucket] += 1
