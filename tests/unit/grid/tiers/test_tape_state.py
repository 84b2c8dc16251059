"""A library's state in memory and in the catalog says the same: one suite for both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from grid import app
from grid.catalog import tape
from grid.catalog.tape_state import CatalogTapeState
from resources.tape.media import Entry
from resources.tape.state import Ask, Cartridge, Landed, MemoryTapeState, Moment, Request, TapeState
from tests.conftest import make_zone, new_database


def entry(number: int, cartridge: str = "A1", start: int = 0) -> Entry:
    return Entry(f"{number}v0", f"/z/{number}", cartridge, 1, start, start, 1000, "d")


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TapeState]:
    if request.param == "memory":
        yield filled(MemoryTapeState())
        return
    catalog = "" if request.param == "sqlite" else new_database(request.getfixturevalue("postgres"))
    make_zone(tmp_path / "zone", catalog)
    zone = app.open_zone(tmp_path / "zone", role="test")
    rods = zone.namespace.users.caller("rods", "tempZone")
    resource = zone.namespace.administration.add_resource(
        rods, "t", "tape", f"localhost:{tmp_path}/t", "cartridges=1"
    )
    with zone.database.write() as tx:
        tape.elect(tx, resource.id, zone.namespace.context.lease_id)
    yield filled(CatalogTapeState(zone.database, resource.id, "tempZone"))
    zone.close()


def filled(state: TapeState) -> TapeState:
    """Two cartridges with four files."""
    for label in ("A1", "A2"):
        state.save_cartridge(Cartridge(label, 10_000))
    for number, (label, start) in enumerate([("A1", 0), ("A1", 5000), ("A2", 100), ("A1", 2000)]):
        hold(state, entry(number, label, start))
    return state


def hold(state: TapeState, one: Entry) -> None:
    """Put a file on a cartridge."""
    if isinstance(state, MemoryTapeState):
        state.land(Landed(one.file_id, one.name, one.name, one.size, 0.0))
        state.written([one], lambda landed, entry: True, 0.0)
    else:
        assert isinstance(state, CatalogTapeState)
        with state._database.write() as tx:
            state._insert(tx, one)


def ask(state: TapeState, number: int, user: str = "anna", priority: int = 5, now: float = 10.0) -> Request:
    return state.ask(f"{number}v0", Ask(user, priority, 100.0), now, lambda: now + 60)


def test_what_is_on_a_cartridge_by_position(state: TapeState) -> None:
    assert [e.start for e in state.entries("A1")] == [0, 2000, 5000]
    assert state.entry("1v0") == entry(1, "A1", 5000)
    assert state.entry("9v0") is None
    state.moved([entry(1, "A2", 700), entry(9, "A2", 900)])
    assert [e.start for e in state.entries("A2")] == [100, 700]
    state.forget(["1v0", "9v0"])
    assert state.entry("1v0") is None
    assert [c.deleted_bytes for c in state.cartridges()] == [0, 1000]
    state.damaged(["0v0"], "gone")
    assert state.entry("0v0") is None


def test_the_life_of_a_request(state: TapeState) -> None:
    asked = ask(state, 0)
    assert (asked.state, asked.cartridge, asked.start, asked.estimate_at) == ("queued", "A1", 0, 70.0)
    assert ask(state, 0) == asked
    for step in ("mounting", "positioning", "reading"):
        state.progress([asked.id], step, now=20.0)
        assert state.request(asked.id).state == step  # type: ignore[union-attr]
        assert state.is_pinned("0v0", 20.0)
    state.progress([asked.id], "done", now=30.0)
    done = state.request(asked.id)
    assert done is not None
    assert (done.state, done.started_at, done.finished_at, done.pin_until) == ("done", 20.0, 30.0, 130.0)
    assert (state.is_pinned("0v0", 129.0), state.is_pinned("0v0", 131.0)) == (True, False)
    state.progress([asked.id], "queued", now=40.0)
    assert state.request(asked.id) == done, "what is over stays so"
    assert ask(state, 0).id != asked.id


def test_what_is_on_no_cartridge_is_rejected(state: TapeState) -> None:
    refused = ask(state, 9)
    assert (refused.state, refused.reason, refused.finished_at) == (
        "rejected",
        "`9v0` is on no cartridge",
        10.0,
    )
    assert state.waiting() == []


def test_what_waits_is_summed_up(state: TapeState) -> None:
    state.mounted("A2")
    first, second, third = (
        ask(state, 0, now=5.0),
        ask(state, 1, "berit", 9, now=6.0),
        ask(state, 3, "berit", now=7.0),
    )
    ask(state, 2, now=8.0)
    one, two = state.waiting()
    assert (one.cartridge, one.requests, one.size, one.since, one.mounts_before, one.priority) == (
        "A1",
        3,
        3000,
        5.0,
        1,
        9,
    )
    assert dict(one.users) == {"anna": 1, "berit": 2}
    assert (two.cartridge, two.requests) == ("A2", 1)
    assert [state.ahead(r) for r in (first, third, second)] == [0, 1, 2]
    assert sorted(w.id for w in state.wave("A1")) == sorted(r.id for r in (first, second, third))
    state.progress([first.id, second.id], "mounting", now=9.0)
    (one, two) = state.waiting()
    assert (one.requests, one.size, dict(one.users), one.priority) == (1, 1000, {"berit": 1}, 5)
    state.progress([first.id], "queued", reason="no", now=9.5)
    state.progress([third.id], "cancelled", now=9.6)
    (one, two) = state.waiting()
    assert (one.requests, dict(one.users), one.since) == (1, {"anna": 1}, 5.0)


def test_requests_by_state_and_user(state: TapeState) -> None:
    first, second = ask(state, 0), ask(state, 1, "berit")
    state.progress([second.id], "cancelled", now=11.0)
    assert [r.id for r in state.requests(("queued",))] == [first.id]
    assert [r.id for r in state.requests(("queued", "cancelled"), user="berit")] == [second.id]
    assert [r.id for r in state.requests(("queued", "cancelled"), limit=1)] == [first.id]


def test_mounts_are_counted(state: TapeState, tmp_path: Path) -> None:
    for label in ("A1", "A1", "A2"):
        state.mounted(label)
    assert state.mounts() == 3
    assert [c.mounts for c in state.cartridges()] == [2, 1]
    asked = ask(state, 0)
    assert asked.mounts_before == 3
    state.progress([asked.id], "mounting", now=1.0)
    assert state.request(asked.id).mounts_at_start == 3  # type: ignore[union-attr]
    state.show(Moment(1.0, 3, ({"drive": "d1"},), "ready"))


def test_a_cartridge_changes_in_what_is_said_and_only_if_it_is_as_expected(state: TapeState) -> None:
    state.change_cartridge("A1", {"condition": "lost", "bad_blocks": (7, 9)})
    state.change_cartridge("A1", {"used_bytes": 5_000})
    assert not state.change_cartridge("A1", {"condition": "full"}, only_if="good")
    assert not state.change_cartridge("none", {"condition": "full"})
    assert state.change_cartridge("A2", {"condition": "full"}, only_if="good")
    found = {c.label: (c.condition, c.used_bytes, c.bad_blocks) for c in state.cartridges()}
    assert found["A1"] == ("lost", 5_000, (7, 9))
    assert found["A2"][0] == "full"
