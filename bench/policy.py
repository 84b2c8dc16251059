"""The policy engine: what an event costs, how that grows with rules, jobs and objects. Thread CPU time, medians."""

import gc
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench import rows, server
from grid import app
from grid.app import Zone
from grid.catalog import jobs
from grid.model import Caller
from grid.namespace.ports import Event
from grid.policy import bundles
from grid.policy.bundles import examined
from grid.policy.explain import EffectRecorder
from grid.policy.sweeps import SweepRunner

HEAD = 'policy bench.rules version 1\ncode NO kind refused "no"\n'
EIGHT = (
    'location raw = "/bench/data/{kind}/{beamline}/{visit}/raw/**"\n'
    'rule "eight conditions" id eight before object create at raw\n'
    '  when at.kind = "visitor" when at.beamline in ["nanomax", "balder"] when object.expected_size > 1 B\n'
    '  when object.expected_size < 1 TB when not object.closed when at.visit != "none" when object.expected_size != 7 B\n'
    '  when at.kind != "staff" { let size = object.expected_size }\n'
)
PATH = "/bench/data/visitor/nanomax/v1/raw/a.h5"


def cpu_us(work: Callable[[], object], count: int = 2000) -> tuple[float, float]:
    """Median and 99th percentile of the thread's CPU time of one call, in microseconds."""
    for _ in range(200):
        work()
    times = []
    for _ in range(count):
        began = time.thread_time_ns()
        work()
        times.append((time.thread_time_ns() - began) / 1000)
    times.sort()
    return times[len(times) // 2], times[int(len(times) * 0.99)]


def batch_us(work: Callable[[], object], count: int = 200, of: int = 100) -> float:
    """Median of the thread's CPU time of one call where that is about what reading the clock costs, in microseconds."""
    times = []
    for _ in range(count):
        began = time.thread_time_ns()
        for _ in range(of):
            work()
        times.append((time.thread_time_ns() - began) / 1000 / of)
    return statistics.median(times)


def zone(folder: Path) -> Zone:
    app.initialise(folder, zone="bench", admin="rods", password="rods", host="127.0.0.1", port=0)
    return app.open_zone(folder, role="bench")


def events(open_zone: Zone) -> None:
    """An enforcement point with eight conditions, and an event for which there is no rule."""
    bundles.activate(open_zone.database, "bench", {"p.policy": HEAD + EIGHT}, origin="file")
    open_zone.policy.refresh()
    caller = open_zone.namespace.users.caller("rods", "bench")
    facts = {"object": {"path": PATH, "expected_size": 4096, "closed": False}}

    def point() -> None:
        open_zone.policy.before(
            Event("object", "create", caller, PATH, 0, facts, {"replica.resource": "demoResc"})
        )

    def made() -> None:
        Event("object", "create", caller, PATH, 0, facts, {"replica.resource": "demoResc"})

    def unconcerned() -> None:
        open_zone.policy.before(Event("object", "delete", caller, PATH, 0, facts))

    median, p99 = batch_us(point), cpu_us(point)[1]
    print(
        f"event with a cached location and eight conditions: {median:.1f} us median, {p99:.1f} us p99 (limit 10 and 30)"
    )
    print(f"  of that, making the event itself: {batch_us(made):.2f} us")
    print(f"event for which there is no rule, made and asked about: {batch_us(unconcerned):.2f} us (limit 1)")


def many(count: int) -> str:
    parts = [HEAD]
    for number in range(count):
        parts.append(f'location l{number} = "/bench/data/b{number % max(count // 10, 1)}/{{visit}}/raw/**"\n')
        parts.append(
            f'rule "number {number}" id r{number} before object create at l{number}\n'
            f'  when at.visit != "v{number}" and object.expected_size > {number % 100 + 1} TB {{ refuse "no" code NO }}\n'
        )
    return "".join(parts)


def one_event(open_zone: Zone, caller: Caller, path: str) -> float:
    """The median cost of one creation at a path."""
    facts = {"object": {"path": path, "expected_size": 4096, "closed": False}}
    return cpu_us(lambda: open_zone.policy.before(Event("object", "create", caller, path, 0, facts)))[0]


def scale(open_zone: Zone, largest: int) -> None:
    """Checking and loading many rules, and what an event costs among them: alternating, for the machine has phases."""
    caller = open_zone.namespace.users.caller("rods", "bench")
    loaded: dict[int, bundles.ActiveBundle] = {}
    for count in (10, largest // 10, largest):
        text = many(count)
        began = time.thread_time()
        found = examined({"p.policy": text}, "bench")[2]
        checked = time.thread_time() - began
        assert not found, found[:1]
        bundles.activate(open_zone.database, "bench", {"p.policy": text}, origin="file")
        loaded[count] = bundles.ActiveBundle(open_zone.database, "bench")
        began = time.thread_time()
        loaded[count].refresh()
        loading = time.thread_time() - began
        print(
            f"{count:>6} rules: {checked / count * 1000:.2f} ms a rule to check (limit 3), {loading:.2f} s to load (limit 3)"
        )
    gc.collect()
    gc.freeze()  # as a server does once its policy is loaded
    costs: dict[int, list[float]] = {count: [] for count in loaded}
    usual, bundles.REFRESH_S = bundles.REFRESH_S, 1e9  # each stays with its own generation
    for _ in range(7):
        for count, bundle in loaded.items():
            open_zone.policy.bundle = bundle
            costs[count].append(one_event(open_zone, caller, "/bench/data/b0/v/raw/x"))
    bundles.REFRESH_S = usual
    open_zone.policy.forget()
    medians = {count: statistics.median(times) for count, times in costs.items()}
    shown = ", ".join(f"{cost:.1f} us among {count}" for count, cost in medians.items())
    print(f"an event: {shown}; {medians[largest] / medians[10]:.2f} x (limit 1.5)")


def waiting_jobs(open_zone: Zone, count: int) -> None:
    """The next job that is due, among few and among many that wait."""
    connection = sqlite3.connect(open_zone.folder / "catalog.sqlite", timeout=60)
    costs = []
    lease = open_zone.namespace.context.lease_id
    first = 10**9
    for waiting in (1_000, count):
        with connection:
            connection.executemany(
                "INSERT INTO jobs (id, name, rule_id, body_id, key, bundle_generation, user_name, user_zone, not_before,"
                " created_at, lane) VALUES (?, 'w', 'r', 'b', ?, 1, 'rods', 'bench', ?, 0, ?)",
                ((first + i, str(first + i), 9e9 if i % 2 else 1.0, f"lane{i % 20}") for i in range(waiting)),
            )
        first += waiting

        def claim() -> None:
            with open_zone.database.write(durable=False) as tx:
                job = jobs.claim(tx, lease, per_lane=10**9)
                assert job is not None

        costs.append(cpu_us(claim, 300)[0])
        with connection:  # else the second measurement would find what the first left running
            connection.execute("UPDATE jobs SET state = 'waiting' WHERE state = 'running'")
    connection.close()
    print(
        f"claiming a job among {count:,} that wait: {costs[1]:.0f} us, {costs[1] / costs[0]:.2f} x among 1,000"
    )


def swept(open_zone: Zone, count: int) -> None:
    """A sweep that matches 1,000 objects, in a zone of few and of many."""
    connection = sqlite3.connect(open_zone.folder / "catalog.sqlite", timeout=60)
    home, acl = connection.execute(
        "SELECT id, acl_id FROM collections WHERE path = '/bench/home/rods'"
    ).fetchone()
    resource = connection.execute("SELECT id FROM resources WHERE name = 'demoResc'").fetchone()[0]
    text = (
        HEAD + 'location home = "/bench/home/rods/**"\nsweep "old" id old every 1 hour over replica at home\n'
        '  when replica.last_read_at < time("2001-01-01T00:00Z")\n  order by replica.last_read_at ascending { note "x" }\n'
    )
    bundles.activate(open_zone.database, "bench", {"p.policy": text}, origin="file")
    open_zone.policy.refresh()
    (sweep,) = open_zone.policy.bundle.current.active.sweeps
    runner = SweepRunner(open_zone.database, "bench", open_zone.policy.timezone)
    costs, first = [], 2 * 10**9
    for total in (10_000, count):
        made = total if not costs else total - 10_000
        with connection:
            connection.executemany(
                "INSERT INTO data_objects (id, collection_id, name, owner_name, owner_zone, acl_id) VALUES (?, ?, ?, 'rods', 'bench', ?)",
                ((first + i, home, f"f{first + i}", acl) for i in range(made)),
            )
            connection.executemany(
                "INSERT INTO replicas (data_id, number, resource_id, status, access_time) VALUES (?, 0, ?, 1, ?)",
                (
                    (first + i, resource, "00900000000" if not costs and i < 1000 else "01700000000")
                    for i in range(made)
                ),
            )
        first += made
        began = time.thread_time()
        report = runner.run(sweep, EffectRecorder(open_zone.database), now=datetime.now(UTC), act=False)
        costs.append(time.thread_time() - began)
        assert len(report.acted_on) == 1000, len(report.acted_on)
    connection.close()
    print(
        f"a sweep that matches 1,000 of {count:,} objects: {costs[1]:.2f} s, {costs[1] / costs[0]:.1f} x among 10,000"
    )


def puts() -> None:
    """A put with a policy beside one without, alternating; job workers idle."""
    policies = {
        "no policy": "",
        "another location": HEAD + EIGHT,
        "a matching rule": HEAD
        + EIGHT.replace("/bench/data/{kind}/{beamline}/{visit}/raw/**", "/bench/home/{kind}/{visit}/**")
        .replace('when at.kind = "visitor"', "")
        .replace('when at.beamline in ["nanomax", "balder"]', ""),
    }
    with server.own() as plain, server.own() as elsewhere, server.own() as matching:
        targets = {"no policy": plain, "another location": elsewhere, "a matching rule": matching}
        for name, target in targets.items():
            assert target.folder is not None
            if policies[name]:
                opened = app.open_zone(target.folder)
                bundles.activate(opened.database, "bench", {"p.policy": policies[name]}, origin="pushed")
                opened.close()
        costs: dict[str, list[float]] = {name: [] for name in targets}
        for _ in range(9):
            for name, target in targets.items():
                before = target.cpu_s()
                count = rows.single_put(target)
                time.sleep(0.2)
                costs[name].append((target.cpu_s() - before) / count * 1000)
        base = statistics.median(costs["no policy"])
        for name, limit in (("another location", 1.05), ("a matching rule", 1.15)):
            ratio = statistics.median(costs[name]) / base
            print(f"put of 4 KiB, {name}: {ratio:.2f} x the CPU of one without policy (limit {limit})")


def run(rules: int, objects: int) -> None:
    with tempfile.TemporaryDirectory(prefix="beamgrid-bench-") as scratch:
        opened = zone(Path(scratch) / "zone")
        events(opened)
        scale(opened, rules)
        waiting_jobs(opened, objects)
        swept(opened, objects)
        opened.close()
    puts()
