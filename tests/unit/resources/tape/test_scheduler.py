"""Orders, choices and bounds, as data and as properties."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.tape import DriveModel
from resources.tape.scheduler import Waiting, Wanted, next_cartridge, optimal, ordered, split_wave, tour_s

MODEL = DriveModel()
HERE = st.integers(0, MODEL.capacity_bytes - 10**11)
REQUESTS = st.lists(st.tuples(HERE, st.integers(1, 10**11)), max_size=6).map(
    lambda found: [Wanted(n, "A", start, size) for n, (start, size) in enumerate(found)]
)


def test_a_tape_is_written_there_and_back() -> None:
    wrap = MODEL.capacity_bytes / MODEL.wraps
    assert MODEL.along(0) == 0
    assert MODEL.along(int(wrap * 0.5)) == pytest.approx(MODEL.length / 2, rel=1e-6)
    assert MODEL.along(int(wrap) - 1) == pytest.approx(MODEL.length, rel=1e-6)
    assert MODEL.along(int(wrap * 1.75)) == pytest.approx(MODEL.length / 4, rel=1e-6)


def test_reading_on_costs_no_locate_and_near_files_are_read_through() -> None:
    assert MODEL.locate_s(1000, 1000) == 0
    assert MODEL.locate_s(0, 400_000_000) == pytest.approx(1.0)
    assert MODEL.locate_s(400_000_000, 0) > MODEL.locate_overhead
    far = int(MODEL.capacity_bytes / MODEL.wraps)
    assert MODEL.locate_s(0, far) == pytest.approx(MODEL.locate_overhead + MODEL.length / MODEL.locate_speed)


def test_a_source_that_is_too_slow_makes_the_tape_hitch() -> None:
    count = 10_000_000_000
    assert MODEL.stream_s(count, 200e6) == pytest.approx(50)
    assert MODEL.stream_s(count, 50e6) > 200
    assert MODEL.stream_s(count) == pytest.approx(25)


@pytest.mark.parametrize("name", ["stream_rate", "length", "wraps", "capacity_bytes"])
def test_a_drive_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"as `{name}` of a tape drive; a positive number was expected"):
        DriveModel(**{name: 0})


@given(REQUESTS)
def test_an_order_holds_every_request_once_and_is_near_the_best(requests: list[Wanted]) -> None:
    found = ordered(MODEL, requests)
    assert sorted(found, key=lambda w: w.id) == requests
    assert tour_s(MODEL, found) <= 1.1 * tour_s(MODEL, optimal(MODEL, requests)) + 1e-6


def waiting(
    label: str, *, before: int = 0, since: float = 0.0, priority: int = 5, users: dict[str, int] | None = None
) -> Waiting:
    found = users or {"anna": 1}
    return Waiting(label, sum(found.values()), 10**9, since, before, priority, found)


@pytest.mark.parametrize(("cartridges", "mounts", "chosen"), [
    ([waiting("A", since=5), waiting("B", since=1)], 0, "B"),
    ([waiting("A", priority=9), waiting("B", since=-100)], 0, "A"),
    ([waiting("A", users={"bulk": 5000}), waiting("B", users={"anna": 1})], 0, "B"),
    ([waiting("A", before=0, since=9), waiting("B", before=45, priority=9)], 50, "A"),
])  # fmt: skip
def test_which_cartridge_is_next(cartridges: list[Waiting], mounts: int, chosen: str) -> None:
    found = next_cartridge(cartridges, mounts=mounts, patience=50, served={"bulk": 400}, now=100)
    assert found is not None
    assert found.cartridge == chosen


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), max_size=120), st.integers(10, 15))
def test_nobody_waits_longer_than_the_bound(arrivals: list[tuple[int, int]], patience: int) -> None:
    """Ten cartridges; before each mount some requests come, always for a few popular and urgent ones too."""
    queued: dict[str, list[tuple[int, int]]] = {}
    worst = 0
    for mounts in range(200):
        for label, priority in [*arrivals[mounts * 3 : mounts * 3 + 3], (0, 9), (1, 9)]:
            queued.setdefault(f"C{label}", []).append((mounts, priority))
        there = [
            Waiting(
                label,
                len(found),
                1,
                float(found[0][0]),
                min(b for b, _ in found),
                max(p for _, p in found),
                {"u": 1},
            )
            for label, found in queued.items()
        ]
        chosen = next_cartridge(there, mounts=mounts, patience=patience, served={}, now=float(mounts))
        assert chosen is not None
        worst = max(worst, mounts - min(before for before, _ in queued.pop(chosen.cartridge)))
    assert worst <= patience


def test_a_few_files_do_not_wait_for_somebody_elses_many() -> None:
    many = [Wanted(n, "A", n * 10**10, 10**10, "bulk") for n in range(1000)]
    few = [Wanted(5000, "A", 10**12, 10**9, "anna")]
    first, rest = split_wave(MODEL, [*many, *few], longest_s=600)
    assert (first, len(rest)) == (few, 1000)
    assert split_wave(MODEL, few, longest_s=600) == (few, [])
    assert math.isfinite(tour_s(MODEL, ordered(MODEL, many)))
