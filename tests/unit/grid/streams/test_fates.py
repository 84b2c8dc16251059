"""What became of every frame, put together from the journal."""

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from grid.streams.fates import fates_of, root_of
from grid.streams.frame_numbers import FrameNumbers
from grid.streams.journal import Entry, Fate, Journal, entries, ranges
from provenance import merkle
from provenance.frames import MISSING, frame_leaf

STREAM = "z/7"


def test_the_last_word_counts_and_what_is_missing_has_its_leaf(tmp_path: Path) -> None:
    journal, leaves = Journal(tmp_path), {n: frame_leaf(STREAM, n, b"frame %d" % n) for n in (0, 1, 3)}
    journal.add([Entry(3, Fate.STORED, leaves[3]), Entry(0, Fate.STORED, leaves[0])])
    journal.add([Entry(1, Fate.DROPPED, leaves[1]), Entry(3, Fate.VETOED, leaves[3])])
    journal.close()
    with (tmp_path / "frames").open("ab") as file:
        file.write(bytes(48) + b"\xff" * 48 + b"torn")  # what a crash may leave
    found = fates_of(tmp_path, STREAM, 5)
    assert found.fates.tolist() == [Fate.STORED, Fate.DROPPED, Fate.MISSING, Fate.VETOED, Fate.MISSING]
    assert (found.of(Fate.MISSING), found.of(Fate.VETOED), found.count(Fate.DAMAGED)) == (
        [(2, 2), (4, 4)],
        [(3, 3)],
        0,
    )
    expected = [leaves.get(number, frame_leaf(STREAM, number, b"", MISSING)) for number in range(5)]
    assert [one.tobytes() for one in found.leaves] == expected
    assert found.root == merkle.root_of(expected)


@given(st.permutations(range(20)), st.sets(st.integers(0, 19), max_size=5))
def test_the_order_of_arrival_does_not_matter(order: list[int], lost: set[int]) -> None:
    roots = []
    for numbers in (order, range(20)):
        with TemporaryDirectory() as folder:
            journal = Journal(Path(folder))
            came = [number for number in numbers if number not in lost]
            journal.add(
                Entry(number, Fate.STORED, frame_leaf(STREAM, number, b"frame %d" % number))
                for number in came
            )
            journal.close()
            found = fates_of(Path(folder), STREAM, 20)
            assert [
                number for first, last in found.of(Fate.MISSING) for number in range(first, last + 1)
            ] == sorted(lost)
            roots.append(found.root)
    assert roots[0] == roots[1]


def test_a_journal_is_read_some_at_a_time(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("grid.streams.journal.READ_ENTRIES", 10)
    monkeypatch.setattr("grid.streams.fates._READ", 7)
    journal = Journal(tmp_path)
    for number in range(95):
        journal.add([Entry(number, Fate.STORED, frame_leaf(STREAM, number, b"x"))])
    journal.close()
    assert [len(some) for some in entries(tmp_path)] == [10] * 9 + [5]
    found = fates_of(tmp_path, STREAM, 95)
    assert found.root == root_of(found.leaves) == merkle.root_of([one.tobytes() for one in found.leaves])


def test_a_stream_without_frames_has_no_fates(tmp_path: Path) -> None:
    found = fates_of(tmp_path, STREAM, 0)
    assert (len(found.fates), found.root) == (0, merkle.EMPTY_ROOT)


@given(st.lists(st.integers(0, 60)))
def test_ranges_hold_the_numbers_and_no_others(numbers: list[int]) -> None:
    found = ranges(numbers)
    assert [n for first, last in found for n in range(first, last + 1)] == sorted(set(numbers))
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(found))


@given(st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 50)), max_size=20))
def test_numbers_are_in_a_set_once_put_there(runs: list[tuple[int, int]]) -> None:
    found, expected = FrameNumbers(), set[int]()
    for first, length in runs:
        found.add(first, first + length)
        expected |= set(range(first, first + length + 1))
    assert all((number in found) == (number in expected) for number in range(9100))
