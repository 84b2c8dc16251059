"""Storage drivers beside the tools of their storage: 1 GiB from memory, without the grid; medians of alternations."""

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from resources import Driver, VaultPath
from resources.aligned import aligned_buffer
from resources.disk import DiskDriver
from tests.xrootd_server import own_server

ROUNDS = 5
PIECE = 8 << 20


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def write(driver: Driver, data: memoryview) -> None:
    file = driver.stage("bench", len(data))
    for begin in range(0, len(data), PIECE):
        file.write(data[begin : begin + PIECE], begin)
    file.sync()
    file.close()
    driver.place("bench", VaultPath.of("/bench"))


def cold(path: Path) -> None:
    """Have a file's bytes read from the disk, not from memory."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def read(driver: Driver, buffer: memoryview) -> None:
    file = driver.open(VaultPath.of("/bench"))
    offset = 0
    while count := file.read_into(buffer, offset):
        offset += count
    file.close()


def synced(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def compare(
    name: str, pairs: list[tuple[str, Callable[[], object], Callable[[], object]]], limits: dict[str, str]
) -> None:
    times: dict[str, tuple[list[float], list[float]]] = {what: ([], []) for what, _, _ in pairs}
    for _ in range(ROUNDS):
        for what, ours, theirs in pairs:
            times[what][0].append(timed(ours))
            times[what][1].append(timed(theirs))
    for what, (ours, theirs) in times.items():
        ratio = statistics.median(ours) / statistics.median(theirs)
        print(f"{name} {what}: {ratio:.2f} x the time of {limits[what]}")


def run(size: int) -> None:
    data, part = aligned_buffer(size), os.urandom(16 << 20)
    for begin in range(0, size, len(part)):
        data[begin : begin + len(part)] = part[: size - begin]
    buffer = memoryview(bytearray(PIECE))
    with tempfile.TemporaryDirectory(prefix="beamgrid-bench-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        source, copy = folder / "source", folder / "copy"
        source.write_bytes(data)
        disk = DiskDriver.create(f"{folder}/vault", 1)

        def cp() -> None:
            subprocess.run(["cp", str(source), str(folder / "new")], check=True)
            synced(folder / "new")
            (folder / "new").replace(copy)  # as a file is replaced in a vault

        def cat() -> None:
            cold(copy)
            subprocess.run(["cat", str(copy)], check=True, stdout=subprocess.DEVNULL)

        for _ in range(3):  # memory that the machine has not given out yet costs several times as much
            cp()
            write(disk, data)
        compare(
            "disk", [("write", lambda: write(disk, data), cp), ("read", lambda: (cold(folder / "vault/bench"), read(disk, buffer)), cat)],
            {"write": "cp and fsync (limit 1.15)", "read": "cat to nothing, both from the disk"},
        )  # fmt: skip
        if shutil.which("xrdcp") is None:
            print("xrootd: xrdcp is not installed")
            return
        from resources.xrootd import XrootdDriver

        (folder / "xrootd").mkdir()
        with own_server(folder / "xrootd") as server:
            driver = XrootdDriver.create(server.address, "/vault", 2)
            url, files = f"root://{server.address}//copy", driver._fs

            def put() -> None:
                subprocess.run(
                    ["xrdcp", "-f", "-s", str(source), f"root://{server.address}//new"], check=True
                )
                files.rm("/copy")
                files.mv("/new", "/copy")  # as a file is replaced in a vault

            def put_over() -> None:
                subprocess.run(["xrdcp", "-f", "-s", str(source), url], check=True)

            def get() -> None:
                subprocess.run(["xrdcp", "-f", "-s", url, "/dev/null"], check=True)

            put()
            write(driver, data)
            compare(
                "xrootd", [("write", lambda: write(driver, data), put), ("read", lambda: read(driver, buffer), get)],
                {"write": "xrdcp, which replaces the file as well (limit 1/0.9 = 1.11; ours is synced)", "read": "xrdcp (limit 1.11)"},
            )  # fmt: skip
            compare(
                "xrootd", [("write", lambda: write(driver, data), put_over)],
                {"write": "xrdcp, which removes the old file before it begins"},
            )  # fmt: skip
