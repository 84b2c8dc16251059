"""Reading ahead: the same bytes in the same order, whoever goes on and whoever jumps; an error is that of the piece that it befell."""

import random
import threading
from dataclasses import dataclass

from resources.read_ahead import AHEAD, FROM_BYTES, ReadAhead

DATA = random.Random(7).randbytes(11 * FROM_BYTES + 12345)


@dataclass
class Status:
    ok: bool = True


class Source:
    """Answers from other threads, the later asked sometimes first."""

    def __init__(self, *, fails_at: int = -1, refuses_at: int = -1) -> None:
        self.asked: list[int] = []
        self._fails_at, self._refuses_at = fails_at, refuses_at

    def __call__(self, offset: int, count: int, answered) -> Status:
        self.asked.append(offset)
        if offset == self._refuses_at:
            return Status(False)
        status = Status(offset != self._fails_at)
        delay = 0.01 if len(self.asked) % 2 else 0.0
        threading.Timer(
            delay, answered, (status, DATA[offset : offset + count] if status.ok else None, None)
        ).start()
        return Status()


def read(source: Source, offsets: list[int], count: int) -> tuple[bytes, list[bool]]:
    ahead, found, states = ReadAhead(source), b"", []
    for offset in offsets:
        status, piece = ahead.take(offset, count) or (Status(), DATA[offset : offset + count])
        states.append(status.ok)
        found += piece
        if len(piece) == count:
            ahead.went_on(offset + count, count, len(DATA))
    ahead.forget()
    return found, states


def test_who_goes_on_gets_what_was_asked_for_before() -> None:
    source = Source()
    found, _ = read(source, list(range(0, len(DATA), FROM_BYTES)), FROM_BYTES)
    assert found == DATA
    assert source.asked == sorted(set(source.asked)), "each piece once"
    assert len(source.asked) >= 11 - AHEAD


def test_who_jumps_is_not_read_ahead_for() -> None:
    source, places = Source(), [5 * FROM_BYTES, FROM_BYTES, 9 * FROM_BYTES, 3 * FROM_BYTES]
    found, _ = read(source, places, FROM_BYTES)
    assert found == b"".join(DATA[place : place + FROM_BYTES] for place in places)
    assert source.asked == []


def test_small_pieces_are_not_read_ahead() -> None:
    source = Source()
    assert read(source, list(range(0, 100_000, 1000)), 1000)[0] == DATA[:100_000]
    assert source.asked == []


def test_an_error_belongs_to_its_piece() -> None:
    source = Source(fails_at=3 * FROM_BYTES)
    _, states = read(source, [n * FROM_BYTES for n in range(6)], FROM_BYTES)
    assert states == [True, True, True, False, True, True]


def test_what_cannot_be_asked_for_is_read_when_it_is_wanted() -> None:
    found, states = read(Source(refuses_at=2 * FROM_BYTES), [n * FROM_BYTES for n in range(5)], FROM_BYTES)
    assert (found, all(states)) == (DATA[: 5 * FROM_BYTES], True)
