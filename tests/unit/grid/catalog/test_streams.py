"""Rows of streams, on either database."""

from grid.app import Zone
from grid.catalog import leases
from grid.catalog import streams as rows
from tests.unit.grid.streams.sending import HOME, ask, status


def test_a_gateway_looks_after_a_stream_until_it_dies(zone: Zone, rods) -> None:
    number, mine = ask(zone, rods)["stream"], zone.namespace.context.lease_id
    with zone.database.write() as tx:
        other = leases.take(tx, "another")
        assert rows.something_waits(tx, mine)
        taken = rows.take(tx, mine)
        assert (taken.id, taken.attempts, taken.settings["when_slow"]) == (number, 1, "wait")
        assert rows.take(tx, mine) is None, "one is taken once"
        assert rows.take(tx, other) is None, "who has it lives"
        assert rows.tell(tx, number, mine, rows.RECEIVING, {"kept": 3}) is False
        assert rows.tell(tx, number, other, rows.RECEIVING, {}) is None, "it is not that one's"
        assert rows.note_files(tx, number, mine, [{"segment": 1, "path": "x"}])
        assert not rows.note_files(tx, number, other, [])
        assert rows.ask_to_stop(tx, number)
        assert rows.tell(tx, number, mine, rows.RECEIVING, {"kept": 4}) is True
        leases.give_back(tx, mine)
        again = rows.take(tx, other)
        assert (again.id, again.attempts, again.files) == (number, 2, [{"segment": 1, "path": "x"}])
        rows.put_back(tx, number, other)
        assert rows.by_id_or_none(tx, number).attempts == 1, "that attempt did not count"


def test_a_stream_that_ends_gateways_is_given_up_and_may_be_taken_up_again(zone: Zone, rods) -> None:
    number, mine = ask(zone, rods)["stream"], zone.namespace.context.lease_id
    with zone.database.write() as tx:
        tx.run("UPDATE streams SET attempts = 5")
        assert rows.take(tx, mine) is None
    assert "5 gateways ended" in status(zone, rods, number)["reason"]
    with zone.database.write() as tx:
        assert rows.reopen(tx, number)
        assert not rows.reopen(tx, number)
        assert rows.take(tx, mine).id == number
        assert rows.end(tx, number, rows.DONE, "", {"frames": 2})
        assert not rows.end(tx, number, rows.FAILED, "", {})
        assert not rows.ask_to_stop(tx, number)


def test_streams_are_found_by_path_and_scan(zone: Zone, rods) -> None:
    first = ask(zone, rods, path=f"{HOME}/a.nxs", scan=f"{HOME}/s.nxs")["stream"]
    second = ask(zone, rods, path=f"{HOME}/b.nxs", scan=f"{HOME}/s.nxs")["stream"]
    with zone.database.read() as tx:
        assert rows.alive_at_or_none(tx, f"{HOME}/b.nxs").id == second
        assert [one.id for one in rows.of_scan(tx, f"{HOME}/s.nxs")] == [first, second]
        assert [one.id for one in rows.listed(tx, user=("rods", "tempZone"), alive_only=True, limit=9)] == [
            second,
            first,
        ]
        assert rows.listed(tx, user=("anna", "tempZone"), alive_only=True, limit=9) == []
    with zone.database.write() as tx:
        rows.end(tx, second, rows.DONE, "", {})
    with zone.database.read() as tx:
        assert rows.alive_at_or_none(tx, f"{HOME}/b.nxs") is None
        assert len(rows.listed(tx, user=None, alive_only=False, limit=9)) == 2


def test_streams_that_ended_well_are_forgotten_after_a_while(zone: Zone, rods) -> None:
    numbers = [ask(zone, rods, path=f"{HOME}/{name}.nxs")["stream"] for name in "abc"]
    with zone.database.write() as tx:
        rows.end(tx, numbers[0], rows.DONE, "", {})
        rows.end(tx, numbers[1], rows.FAILED, "its spool is kept", {})
        assert rows.tidy(tx, 60.0) == 0
        tx.run("UPDATE streams SET ended_at = ended_at - 100 WHERE ended_at > 0")
        assert rows.tidy(tx, 60.0) == 1
        assert [rows.by_id_or_none(tx, one) is not None for one in numbers] == [False, True, True]
