"""The spool and the journal: what was synced is there, whatever was not."""

import random
from pathlib import Path

import pytest

from grid.streams import dectris, framed
from grid.streams.journal import Entry, Fate, Journal, Left, damaged, ranges
from grid.streams.messages import Image, Start
from grid.streams.received import Received, leaf_of, read
from grid.streams.spool import Spool, replay, segments
from grid.streams.words import DECTRIS, OWN
from resources import OutOfSpace
from tests.unit.grid.streams.sending import series

STEP = 1 << 14


def received(format: str, count: int = 12) -> list[Received]:
    begun: Start | None = None
    found = []
    for message in series(count, 0):
        parts = (
            [dectris.encoded(message)]
            if format == DECTRIS
            else [bytes(part) for part in framed.encoded(message)]
        )
        one = read(format, parts, begun)
        begun = one.message if isinstance(one.message, Start) else begun
        found.append(one)
    return found


def written(folder: Path, format: str, room: list[int] | None = None) -> list[Received]:
    """Two segments, each with the beginning and half of the frames."""
    taken = room if room is not None else [0]

    def take(count: int) -> None:
        taken[0] += count

    spool, (first, *images) = Spool(folder, take, STEP), received(format)[:-1]
    for half in (images[:6], images[6:]):
        spool.begin()
        spool.append(first)
        for one in half:
            assert isinstance(one.message, Image)
            spool.append(one, leaf_of("z/1", one.message))
    spool.sync()
    spool.close()
    return images


@pytest.mark.parametrize("format", [DECTRIS, OWN])
def test_what_was_written_is_read_again(tmp_path: Path, format: str) -> None:
    room = [0]
    images = written(tmp_path, format, room)
    assert room[0] == sum(path.stat().st_size for _, path in segments(tmp_path)), (
        "its room is that of its files"
    )
    found = [one for one in replay(tmp_path, "z/1") if isinstance(one.received.message, Image)]
    assert [(one.segment, one.received.message) for one in found] == [
        (1 + n // 6, one.message) for n, one in enumerate(images)
    ]
    assert [one for one in replay(tmp_path, "z/2") if isinstance(one.received.message, Image)] == [], (
        "leaves of another stream"
    )
    again = Spool(tmp_path, lambda count: room.__setitem__(0, room[0] + count), STEP)
    again.drop(1)
    assert again.begin() == 3
    again.drop(2)
    assert room[0] == 0, "an empty segment takes no room yet"


@pytest.mark.parametrize("format", [DECTRIS, OWN])
def test_a_segment_ends_with_its_last_whole_record(tmp_path: Path, format: str) -> None:
    """Any byte of a record that is not as it was written ends the segment there; what came before stays."""
    images = written(tmp_path, format)
    path = segments(tmp_path)[0][1]
    whole, seed = path.read_bytes(), random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    used = len(whole.rstrip(b"\0"))
    for _ in range(60):
        place = chance.randrange(used)
        hurt = bytearray(whole)
        hurt[place] ^= 1 << chance.randrange(8)
        path.write_bytes(hurt)
        found = [
            one
            for one in replay(tmp_path, "z/1")
            if one.segment == 1 and isinstance(one.received.message, Image)
        ]
        assert [one.received.message for one in found] == [one.message for one in images[: len(found)]]
        assert len(found) < 6, place
    path.write_bytes(whole[: used // 2])
    assert len(list(replay(tmp_path, "z/1"))) < 14


def test_without_room_nothing_is_written(tmp_path: Path) -> None:
    def none(count: int) -> None:
        raise OutOfSpace("there is none")

    spool = Spool(tmp_path, none, STEP)
    spool.begin()
    with pytest.raises(OutOfSpace):
        spool.append(received(DECTRIS)[0])
    assert list(replay(tmp_path, "z/1")) == []


def test_the_journal_says_what_became_of_frames(tmp_path: Path) -> None:
    journal, (first, *_) = Journal(tmp_path), received(DECTRIS)
    journal.begin(first)
    journal.add([Entry(0, Fate.STORED, b"\1" * 32), Entry(1, Fate.STORED, b"\2" * 32)])
    journal.add([Entry(1, Fate.VETOED, b"\2" * 32)])
    journal.add_note("note\n", [(0, 1), (5, 5)])
    journal.sync()
    journal.close()
    with (tmp_path / "frames").open("ab") as file:
        file.write(b"half an entry")
    with (tmp_path / "notes").open("ab") as file:
        file.write(b'{"note": "ha')
    left = Left(tmp_path, "z/1")
    assert left.beginning is not None
    assert left.beginning.parts == first.parts
    assert left.fates.tolist() == [Fate.STORED, Fate.VETOED]
    assert [number in left.signed for number in range(7)] == [True, True, False, False, False, True, False]
    assert left.end is None
    again = Journal(tmp_path)
    again.add([Entry(2, Fate.DROPPED, b"\3" * 32)])
    again.end("it was stopped")
    again.close()
    assert left.fates.tolist() == [Fate.STORED, Fate.VETOED, Fate.DROPPED]
    assert left.end == "it was stopped"


def test_numbers_are_told_as_runs() -> None:
    assert ranges([]) == []
    assert ranges([5, 1, 2, 3, 9, 8]) == [(1, 3), (5, 5), (8, 9)]


def test_frames_that_cannot_be_decoded_stay_in_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert list(damaged(tmp_path)) == []
    journal.add_damaged(3, b"three")
    journal.add_damaged(1, b"")
    journal.sync()
    journal.close()
    with (tmp_path / "damaged").open("ab") as file:
        file.write(
            bytes(7) + b"\x09" + bytes(7) + b"\x64" + b"cut"
        )  # frame 9, of which a crash left 3 of 100 bytes
    assert list(damaged(tmp_path)) == [(3, b"three"), (1, b"")]
    again = Journal(tmp_path)
    again.add_damaged(4, b"four")
    again.close()
    assert list(damaged(tmp_path)) == [(3, b"three"), (1, b""), (4, b"four")]
