"""Rows of reductions and of released kernels, on either database."""

import pytest

from grid.app import Zone
from grid.catalog import kernels, leases, reductions
from grid.errors import NotFound
from grid.reductions.reducing import Reducer
from tests.unit.grid.reductions.test_reductions import SCAN, ask, put, scan, user


@pytest.fixture
def stored(zone: Zone, rods) -> Zone:
    put(zone, rods, SCAN, scan(2))
    return zone


def test_a_user_who_asks_for_much_does_not_hold_up_others(stored: Zone, rods) -> None:
    anna = user(stored, rods, "anna")
    first = [ask(stored, rods)["reduction"] for _ in range(3)]
    put(stored, anna, "/tempZone/home/anna/scan.h5", scan(2))
    (hers,) = (
        one["reduction"]
        for one in stored.host.call(
            anna, "reduce_request", {"paths": ["/tempZone/home/anna/scan.h5"], "kernel": "hits"}
        )
    )
    lease = stored.namespace.context.lease_id
    with stored.database.write() as tx:
        taken = [reductions.take(tx, lease).id for _ in range(4)]
    assert taken == [first[0], hers, *first[1:]]


def test_what_is_over_is_forgotten_in_the_end(stored: Zone, rods) -> None:
    old, new, waiting = (ask(stored, rods)["reduction"] for _ in range(3))
    with stored.database.write() as tx:
        reductions.end(tx, old, "failed", "x", "")
        reductions.end(tx, new, "failed", "x", "")
        tx.run("UPDATE reductions SET ended_at = ended_at - 8000000 WHERE id = :id", {"id": old})
    Reducer(stored.database, stored.namespace, stored.host, stored.namespace.context.lease_id).tidy()
    found = stored.host.call(rods, "reduce_status", {"ended": True})
    assert [one["reduction"] for one in found] == [waiting, new]


def test_who_works_on_one_is_noted_until_it_is_over(stored: Zone, rods) -> None:
    number, mine = ask(stored, rods)["reduction"], stored.namespace.context.lease_id
    with stored.database.write() as tx:
        other = leases.take(tx, "another")
        assert reductions.take(tx, mine).id == number
        assert reductions.take(tx, other) is None, "somebody who lives is at it"
        assert reductions.advance(tx, number, mine, 1, 2)
        assert not reductions.advance(tx, number, other, 1, 2)
        reductions.put_back(tx, number, "away", wait_s=100.0)
        assert not reductions.something_waits(tx)
        tx.run("UPDATE reductions SET due_at = 0")
        assert reductions.take(tx, other).attempts == 1, "that attempt did not count"
        assert reductions.end(tx, number, "done", "", "{}")
        assert not reductions.end(tx, number, "failed", "", "")
        assert not reductions.advance(tx, number, other, 2, 2)


def test_a_kernel_is_released_once_and_withdrawn(zone: Zone) -> None:
    with zone.database.write() as tx:
        number = kernels.release(tx, "k", "1", "d", "words", "text", "rods#tempZone")
        assert (kernels.usable(tx, "k", "1", "d").id, kernels.usable(tx, "k", "1").text) == (number, "text")
        with pytest.raises(NotFound, match="has the digest d, not e"):
            kernels.usable(tx, "k", "1", "e")
        kernels.withdraw(tx, number)
        with pytest.raises(NotFound, match="was withdrawn"):
            kernels.usable(tx, "k", "1")
        assert [one.name for one in kernels.listed(tx)] == ["k"]
