"""What provenance costs: trees while bytes pass, roots, signing and logging, and judging a file; ratios in one run."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench import server
from bench.checksums import Shell
from bench.rows import home, put_request
from grid.catalog import statements
from grid.catalog.database import Database
from grid.catalog.statements import WantedSubject
from provenance import merkle, receipts
from provenance.keyfiles import FileKey
from provenance.log import LogWriter, entry_of
from provenance.signing import Acquisition, sign_files
from provenance.statements import Statement, Subject, read

ROUNDS = 5
BATCH = 1000


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def run(size: int, most: int) -> None:
    """Print every row.

    Args:
        size: of the file that is put, in bytes.
        most: entries of the large log.
    """
    roots()
    with tempfile.TemporaryDirectory(prefix="beamgrid-bench-") as scratch:
        signing(Path(scratch) / "signing")
        growth(Path(scratch) / "growth", most)
        judging(Path(scratch) / "judging")
    served()
    small_puts()
    puts(size)


def roots() -> None:
    leaves = [number.to_bytes(32, "big") for number in range(1_000_000)]
    took = statistics.median(timed(lambda: merkle.root_of(leaves)) for _ in range(ROUNDS))
    print(f"root over 1,000,000 digests: {took:.2f} s (limit 1)")


def _statement(number: int) -> Statement:
    subject = Subject(f"/bench/data/f{number}", {"merkle_sha256": number.to_bytes(32, "big").hex()})
    said = {
        "time": "2026-11-21T10:00:00Z",
        "actor": "bench",
        "beamline": "b",
        "instrument": "i",
        "stream_id": str(number),
    }
    return Statement.of("acquisition", [subject], said)


def signing(folder: Path) -> None:
    """Statements signed, logged in batches of one second's worth, and given receipts."""
    folder.mkdir()
    key, log_key = (
        FileKey.make(folder / "a.key", "bench/a"),
        FileKey.make(folder / "l.key", "bench.example/prov"),
    )
    writer = LogWriter(folder / "log", folder / "state", log_key)

    def work() -> None:
        for begin in range(0, 10 * BATCH, 200):
            signed = [_statement(number).envelope().signed(key) for number in range(begin, begin + 200)]
            first, state = writer.append([entry_of(one, read(one)) for one in signed])
            note = state.note().signed(log_key)
            for one in receipts.receipts(writer.tiles, range(first, first + 200), note):
                one.encoded()

    began = time.process_time()
    took = timed(work)
    print(
        f"10,000 statements signed, logged 200 at a time, with receipts: {took:.1f} s, {time.process_time() - began:.1f} s of CPU"
        " (limit 60 on one core)"
    )


def growth(folder: Path, most: int) -> None:
    folder.mkdir()
    writer = LogWriter(folder / "log", folder / "state", FileKey.make(folder / "l.key", "bench.example/prov"))
    entry = b"x" * 200

    def cost() -> float:
        return statistics.median(timed(lambda: writer.append([entry] * 100)) for _ in range(ROUNDS))

    writer.append([entry] * 1000)
    small = cost()
    for _ in range(most // 100_000):
        writer.append([entry] * 100_000)
    print(
        f"100 entries into a log of {most:,}: {cost() / small:.2f} x the time of those into one of 1,000 (flat)"
    )


def judging(folder: Path) -> None:
    """A process that judges one frame of an HDF5 file beside one that only loads what judging needs."""
    folder.mkdir()
    from provenance.chunks import Chunk, ChunkTree, Dataset, chunk_leaf
    from provenance.keyring import Keyring
    from provenance.statements import TREE

    program, frames, size = [sys.executable, "-m", "provenance"], 100_000, 1 << 20
    file, keys = folder / "frames", folder / "keys"
    data = os.urandom(size)
    file.write_bytes(data)
    ring = Keyring.create(keys, "bench", keys=1, threshold=1)
    key = FileKey.make(folder / "a.key", "bench/a")
    leaf = chunk_leaf("/data", 7, 0, data)
    tree = ChunkTree.of([Dataset("/data", {}, (Chunk(0, size, 0, leaf),) * frames)], {})
    given = sign_files([("/bench/frame", file)], Acquisition("b", "i", "s"), key)
    said = {"time": "2026-11-21T10:00:00Z", "actor": "bench", "same": "stored chunks"}
    link = Statement.of(
        "digest-link",
        [Subject("/bench/frame", {TREE: root.hex()}) for root in (given.trees[0].root, tree.root)],
        said,
    )
    given = replace(
        given,
        root=ring.root_envelope(),
        statements=(*given.statements, link.envelope().signed(key)),
        chunks=(tree.proof("/data", 7),),
    )
    proof = folder / "frames.evidence.json"
    proof.write_bytes(given.encoded())
    verify = [
        *program,
        "verify",
        str(file),
        "--frame",
        "7",
        "--evidence",
        str(proof),
        "--root",
        str(keys / "root.json"),
    ]
    imports = [sys.executable, "-c", "import provenance.commands"]

    def took(command: list[str]) -> float:
        return timed(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=False))

    ratios = [took(verify) / took(imports) for _ in range(2 * ROUNDS)]
    print(
        f"a process that judges one frame of {frames:,}: {statistics.median(ratios):.2f} x one that loads what that needs (limit 2)"
    )


def served() -> None:
    """Statements that a served zone is asked for, until they are in its log with their receipts kept."""
    with server.own(signing=True) as target:
        assert target.folder is not None, "it is ours"
        database = Database(f"sqlite:///{target.folder}/catalog.sqlite")
        digests = [{"merkle_sha256": number.to_bytes(32, "big").hex()} for number in range(10 * BATCH)]
        began = time.perf_counter()
        for begin in range(0, len(digests), BATCH):
            with database.write() as tx:
                for number in range(begin, begin + BATCH):
                    subject = WantedSubject(0, f"/bench/home/rods/f{number}", digest=digests[number])
                    statements.want(tx, "ingest", [subject], {"checked": "none"}, actor="bench")
        while True:
            with database.read() as tx:
                found = statements.counts(tx)
            if found["logged"] >= len(digests):
                break
            time.sleep(0.1)
        took = time.perf_counter() - began
        database.close()
    print(f"10,000 statements asked of a served zone, signed, logged, receipts kept: {took:.1f} s (limit 60)")


def small_puts(count: int = 300) -> None:
    """Small files put into a zone that signs and into one that does not, in turns."""
    with server.own() as plain, server.own(signing=True) as signing:
        spent: dict[str, list[float]] = {"plain": [], "signing": []}
        clients = {
            "plain": (server.RawClient(plain), home(plain)),
            "signing": (server.RawClient(signing), home(signing)),
        }
        for turn in range(2 * ROUNDS):
            for name, (client, path) in clients.items():
                began = time.perf_counter()
                for number in range(count):
                    client.send(put_request(f"{path}/t{turn}-{number}", b"x" * 4096))
                if turn:
                    spent[name].append(time.perf_counter() - began)
        ratio = statistics.median(spent["signing"]) / statistics.median(spent["plain"])
    print(f"puts of 4 KiB into a zone that signs: {ratio:.2f} x the time of those into one that does not")


def puts(size: int) -> None:
    """A put with a tree, with a checksum, and with both."""
    data = os.urandom(16 << 20) * (size // (16 << 20))
    with tempfile.TemporaryDirectory(prefix="beamgrid-bench-") as scratch:
        (Path(scratch) / "large").write_bytes(data)
        del data
        with server.own() as plain:
            os.environ["BEAMGRID_BLOCK_TREES"] = "on"
            with server.own() as treed:
                del os.environ["BEAMGRID_BLOCK_TREES"]
                ways = {
                    "checksum": (Shell(plain, Path(scratch) / "plain"), "-k"),
                    "tree": (Shell(treed, Path(scratch) / "treed"), "-N1"),
                    "both": (Shell(treed, Path(scratch) / "both"), "-k"),
                }
                rates: dict[str, list[float]] = {way: [] for way in ways}
                for number in range(-1, ROUNDS):
                    for way, (shell, option) in ways.items():
                        spent = timed(
                            lambda shell=shell, option=option, way=way: shell.run(  # type: ignore[misc]
                                "iput", "-f", option, f"{scratch}/large", shell.home + way
                            )
                        )
                        if number >= 0:
                            rates[way].append(size / spent)
    alone = statistics.median(rates["checksum"])
    for way, limit in (("tree", 0.9), ("both", 0.65)):
        print(
            f"iput of {size >> 20} MiB with {'a tree' if way == 'tree' else 'a tree and a checksum'}:"
            f" {statistics.median(rates[way]) / alone:.2f} of the rate with a checksum (limit {limit})"
        )
