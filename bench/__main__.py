"""`./run bench [NAME]`: medians of five alternations, as ratios and server CPU.

NAME is `rows`, `stream`, `growth`, `policy`, `tape`, `drivers`, `checksums`, `provenance`, `kernels` or `frames`; the first three without one. `--other HOST:PORT` measures a second server of the
same account and zone names in the same run, alternating; `--target HOST:PORT` measures that one instead of ours.
"""

import argparse
import contextlib
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

from bench import checksums, drivers, frames, kernels, policy, provenance, rows, server, tape
from bench.postgres import own_postgres
from bench.server import Target

ALTERNATIONS = 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument(
        "name",
        nargs="?",
        choices=(
            "rows",
            "stream",
            "growth",
            "policy",
            "tape",
            "drivers",
            "checksums",
            "provenance",
            "kernels",
            "frames",
        ),
    )
    parser.add_argument("--target", metavar="HOST:PORT", help="measure this server instead of our own")
    parser.add_argument("--other", metavar="HOST:PORT", help="measure this one beside it")
    parser.add_argument("--user", default="rods")
    parser.add_argument("--password", default="rods")
    parser.add_argument("--zone", default="tempZone")
    parser.add_argument(
        "--postgres",
        action="store_true",
        help="our server's catalog on a PostgreSQL of its own, whose CPU counts",
    )
    parser.add_argument("--objects", type=int, default=1_000_000, help="size of the grown zone")
    parser.add_argument("--size-mib", type=int, default=1024, help="size of the streamed object")
    parser.add_argument("--rules", type=int, default=10_000, help="rules of the largest policy")
    given = parser.parse_args()
    if given.name == "policy":
        policy.run(given.rules, given.objects)
        return
    if given.name == "drivers":
        drivers.run(given.size_mib << 20)
        return
    if given.name == "frames":
        frames.run()
        return
    if given.name == "kernels":
        kernels.run()
        return
    if given.name == "provenance":
        provenance.run(given.size_mib << 20, given.objects)
        return
    if given.name == "tape":
        tape.run(given.objects)
        return

    def elsewhere(address: str) -> Target:
        host, _, port = address.partition(":")
        return Target(host, int(port), given.user, given.password, given.zone)

    with contextlib.ExitStack() as stack:
        database = stack.enter_context(own_postgres()) if given.postgres else None
        ours = elsewhere(given.target) if given.target else stack.enter_context(server.own(database=database))
        other = elsewhere(given.other) if given.other else None
        if given.name in (None, "rows"):
            compare_rows(ours, other, on_postgres=given.postgres)
        if given.name in (None, "stream"):
            stream(ours, other, given.size_mib << 20)
        if given.name == "checksums":
            checksums.run(ours, given.size_mib << 20)
        if given.name in (None, "growth") and ours.folder is not None and database is None:
            growth(ours, given.objects)


def compare_rows(ours: Target, other: Target | None, *, on_postgres: bool) -> None:
    print(f"{'work':<36}{'per s':>9}{'CPU ms':>9}{'limit':>7}{'ratio':>9}")
    for row in rows.ROWS:
        rates: dict[int, list[float]] = {0: [], 1: []}
        cpu: list[float] = []
        for _ in range(ALTERNATIONS):
            for index, target in enumerate(t for t in (ours, other) if t is not None):
                before, started = target.cpu_s(), time.perf_counter()
                count = row.work(target)
                rates[index].append(count / (time.perf_counter() - started))
                if index == 0 and target.pid:
                    time.sleep(0.05)
                    cpu.append((target.cpu_s() - before) / count * 1000)
        rate = statistics.median(rates[0])
        used = f"{statistics.median(cpu):.2f}" if cpu else "-"
        allowed = row.postgres_limit_ms or row.limit_ms if on_postgres else row.limit_ms
        limit = f"{allowed}" if allowed else "-"
        ratio = f"{rate / statistics.median(rates[1]):.1f} x" if rates[1] else "-"
        print(f"{row.name:<36}{rate:>9.0f}{used:>9}{limit:>7}{ratio:>9}", flush=True)


def stream(ours: Target, other: Target | None, size_bytes: int) -> None:
    with tempfile.TemporaryDirectory(dir=ours.folder) as scratch:
        measured = [rows.stream(ours, size_bytes, Path(scratch)) for _ in range(ALTERNATIONS)]
        write = statistics.median(m["write"] / m["cp"] for m in measured)
        read = statistics.median(m["read"] / m["loopback"] for m in measured)
        print(f"stream write of {size_bytes >> 20} MiB: {write:.2f} of cp (limit 0.23)")
        print(f"stream read of {size_bytes >> 20} MiB: {read:.2f} of raw loopback (limit 0.35)")
        if other is not None:
            theirs = [rows.stream(other, size_bytes, Path(scratch)) for _ in range(ALTERNATIONS)]
            for what in ("write", "read"):
                mine = statistics.median(m[what] for m in measured)
                print(f"  {what}: {mine / statistics.median(m[what] for m in theirs):.1f} x the other server")


def growth(ours: Target, objects: int) -> None:
    """The same look-up, page and put in a zone of 1,000 objects and of `objects`."""
    small, large = rows.home(ours), rows.home(ours)
    rows.fill(ours, small, 1000)
    rows.fill(ours, large, 1)
    assert ours.folder is not None, "growth fills the catalog of our own server"
    catalog = ours.folder / "catalog.sqlite"
    before, started = catalog_bytes(catalog), time.perf_counter()
    grow(catalog, large, objects)
    each = (catalog_bytes(catalog) - before) / objects
    print(
        f"grown to {objects:,} objects in {time.perf_counter() - started:.0f} s; an object with one replica and no metadata takes"
        f" {each:.0f} bytes of the catalog, indexes included"
    )
    costs: dict[str, list[float]] = {small: [], large: []}
    steps = {path: rows.lookup(ours, path) for path in costs}
    for _ in range(ALTERNATIONS):
        for path, step in steps.items():
            before = ours.cpu_s()
            for _ in range(100):
                step()
            time.sleep(0.05)
            costs[path].append(ours.cpu_s() - before)
    ratio = statistics.median(costs[large]) / statistics.median(costs[small])
    print(f"look-up, page and put at {objects:,} objects: {ratio:.2f} x the CPU of 1,000 (limit 1.5)")


def catalog_bytes(catalog: Path) -> int:
    """The size of an SQLite catalog, what is only in its log included."""
    with contextlib.closing(sqlite3.connect(catalog, timeout=60)) as connection:
        pages, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
        )
    return int(pages * size)


def grow(catalog: Path, path: str, objects: int) -> None:
    """Rows as puts would have made them, written straight into the catalog: only their number matters here."""
    connection = sqlite3.connect(catalog, timeout=60)
    collection, acl = connection.execute(
        "SELECT id, acl_id FROM collections WHERE path = ?", (path,)
    ).fetchone()
    resource = connection.execute("SELECT id FROM resources WHERE name = 'demoResc'").fetchone()[0]
    with connection:
        first = connection.execute(
            "UPDATE id_sequence SET next_id = next_id + ? RETURNING next_id", (objects,)
        ).fetchone()[0] - objects  # fmt: skip
        connection.executemany(
            "INSERT INTO data_objects (id, collection_id, name, owner_name, owner_zone, acl_id) VALUES (?, ?, ?, 'rods', 'bench', ?)",
            ((first + i, collection, f"f{i + 1:06}", acl) for i in range(objects)),
        )
        connection.executemany(
            "INSERT INTO replicas (data_id, number, resource_id, status) VALUES (?, 0, ?, 1)",
            ((first + i, resource) for i in range(objects)),
        )
    connection.close()


if __name__ == "__main__":
    main()
