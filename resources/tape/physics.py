"""How long a tape drive takes: a serpentine tape, a drive that streams or back-hitches, a robot's arm.

The defaults are of the order of the figures published for LTO-9: 18 TB native on 1,035 m, written in 280 wraps, 400 MB/s;
about 15 s from insertion to ready; an average access of about a minute. Every one is a setting.

Source: the LTO programme's generation 9 figures (capacity, rate, length, wraps); the times are typical of vendors'
full-height data sheets, not those of one product.
"""

import time
from dataclasses import dataclass, fields
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DriveModel:
    """A drive, its cartridges and the robot that changes them. Lengths in m, times in s, rates in bytes/s.

    Attributes:
        capacity_bytes: of one cartridge, native.
        stream_rate: while the drive streams.
        lowest_stream_rate: a slower source makes the tape stop and back-hitch.
        length: of the tape that is written on.
        wraps: end-to-end passes; even ones go away from the beginning, odd ones come back.
        locate_speed: along the tape while looking for a position.
        locate_overhead: to stop, settle on the track and find the block, for each locate.
        load: from insertion until the drive is ready, at the beginning of the tape.
        unload: from rewound until the cartridge can be taken.
        exchange: the robot's arm from drive to slot and back.
        back_hitch: to stop, go back and begin again after the stream ran dry.
        file_mark: to write a file mark and flush.
    """

    capacity_bytes: int = 18_000_000_000_000
    stream_rate: float = 400e6
    lowest_stream_rate: float = 112e6
    length: float = 1035.0
    wraps: int = 280
    locate_speed: float = 9.0
    locate_overhead: float = 2.5
    load: float = 15.0
    unload: float = 20.0
    exchange: float = 12.0
    back_hitch: float = 3.0
    file_mark: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ValueError(
                    f"found {value} as `{field.name}` of a tape drive; a positive number was expected"
                )

    def along(self, position: int) -> float:
        """How far from the beginning of the tape a byte position lies, in metres."""
        wrap_bytes = self.capacity_bytes / self.wraps
        wrap, rest = divmod(position, wrap_bytes)
        part = rest / wrap_bytes * self.length
        return self.length - part if int(wrap) % 2 else part

    def locate_s(self, at: int, to: int) -> float:
        """From one byte position to another: on the same wrap reading through may be quicker than a locate."""
        if at == to:
            return 0.0
        found = self.locate_overhead + abs(self.along(at) - self.along(to)) / self.locate_speed
        return min(found, (to - at) / self.stream_rate) if to > at else found

    def stream_s(self, count: int, rate: float | None = None) -> float:
        """To read or write so many bytes; from a source that is too slow with back-hitches in between.

        A buffer of a second's worth of streaming is emptied, and filled again while the tape goes back.
        """
        if rate is None or rate >= self.stream_rate:
            return count / self.stream_rate
        if rate >= self.lowest_stream_rate:
            return count / rate  # the drive slows down with its source
        streamed = self.lowest_stream_rate  # bytes between two stops
        return count / rate + count / streamed * self.back_hitch * (1 - rate / self.lowest_stream_rate)

    def mount_s(self) -> float:
        """From the slot until the drive is ready."""
        return self.exchange + self.load

    def dismount_s(self, at: int) -> float:
        """Back to the slot: rewind, unload, exchange."""
        rewind = self.along(at) / self.locate_speed + (self.locate_overhead if at else 0.0)
        return rewind + self.unload + self.exchange


class Clock(Protocol):
    """The library's time, in seconds since 1970."""

    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None:
        """Let so many of the library's seconds pass."""


class RealClock:
    """Time that passes `factor` times as quickly as the wall's; a wall clock that jumps later does not matter.

    Args:
        factor: how much quicker.
        began: the wall's time at which both were the same; now without.
        wall: the wall's time now.
    """

    def __init__(self, factor: float = 1.0, *, began: float | None = None, wall: float | None = None) -> None:
        if not factor > 0:
            raise ValueError(f"found {factor} as the factor of a clock; a positive number was expected")
        self._factor = factor
        self._began = time.monotonic()
        now = time.time() if wall is None else wall
        since = now if began is None else began
        self._since = since
        self._then = self.at(now)

    def now(self) -> float:
        return self._then + (time.monotonic() - self._began) * self._factor

    def at(self, wall: float) -> float:
        """The library's time at a wall's time."""
        return self._since + max(wall - self._since, 0.0) * self._factor

    def sleep(self, seconds: float) -> None:
        time.sleep(max(seconds, 0.0) / self._factor)


class VirtualClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += max(seconds, 0.0)
