"""Counters that processes share."""

import os
import threading

from grid.server.counters import BUCKETS_S, OUTCOMES, Counters

STAT, UNKNOWN = 633, 999_999


def test_the_processes_are_summed_and_latencies_are_cumulative() -> None:
    counters = Counters(2)
    pid = os.fork()
    if not pid:
        counters.at(1).note(STAT, OUTCOMES.index("refused"), 0.002, 0, 0)
        os._exit(0)
    counters.at(0).note(STAT, OUTCOMES.index("ok"), 0.0001, 3, 4)
    counters.at(0).note(STAT, OUTCOMES.index("ok"), 100.0, 0, 0)
    os.waitpid(pid, 0)
    (stat,) = counters.totals()
    assert stat.name == "OBJ_STAT_AN"
    assert dict(zip(OUTCOMES, stat.outcomes, strict=True)) == {"ok": 2, "error": 0, "refused": 1}
    assert stat.latencies == (1, 1, *(2 for _ in BUCKETS_S[2:]), 3)
    assert (round(stat.seconds, 4), stat.bytes_in, stat.bytes_out) == (100.0021, 3, 4)


def test_an_unknown_number_has_a_row_of_its_own() -> None:
    counters = Counters(1)
    counters.at(0).note(UNKNOWN, OUTCOMES.index("error"), 0.0, 0, 0)
    assert [(api.name, api.outcomes) for api in counters.totals()] == [("unknown", (0, 1, 0))]


def test_threads_lose_no_count() -> None:
    counters = Counters(1)
    tally = counters.at(0)

    def count() -> None:
        for _ in range(5000):
            tally.note(STAT, 0, 0.001, 1, 0)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (stat,) = counters.totals()
    assert (stat.outcomes[0], stat.bytes_in, stat.latencies[-1]) == (20_000, 20_000, 20_000)
