"""A PostgreSQL server of our own: on a free port, in a scratch folder, gone afterwards."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

USER = "beamgrid"


@dataclass(frozen=True)
class Postgres:
    """`address` is an SQLAlchemy URL without a database; `pid` that of the first process."""

    address: str
    pid: int

    def new_database(self, name: str, *, template: str = "template1") -> str:
        """Make a database like another one, which is empty where none is named; its URL."""
        import psycopg

        with psycopg.connect(
            f"{self.address.replace('+psycopg', '')}/postgres", autocommit=True
        ) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return f"{self.address}/{name}"

    def cpu_s(self) -> float:
        """CPU seconds of all its processes so far, those that have ended included."""
        ticks = os.sysconf("SC_CLK_TCK")
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        total = sum(int(fields[index]) for index in (11, 12, 13, 14)) / ticks
        for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            try:
                total += int(Path(f"/proc/{child}/schedstat").read_text().split()[0]) / 1e9
            except OSError:
                pass  # it ended just now, and is counted with the first process next time
        return total


def binaries() -> Path | None:
    """Where the server's programs are; None where none is installed."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).parent if found else None


@contextmanager
def own_postgres(*settings: str) -> Iterator[Postgres]:
    """Run a server for the block.

    Args:
        settings: of the server, such as `fsync=off`; those that it comes with otherwise.

    Raises:
        FileNotFoundError: none is installed.
    """
    programs = binaries()
    if programs is None:
        raise FileNotFoundError("no PostgreSQL server is installed (sudo apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="bg-pg-"))
    folder.chmod(0o755)
    run: dict[str, Any] = {"check": True, "capture_output": True, "cwd": str(folder)}
    if os.geteuid() == 0:  # PostgreSQL refuses root
        run |= {"user": "nobody", "group": "nogroup", "extra_groups": []}
        shutil.chown(folder, "nobody", "nogroup")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    subprocess.run(
        [str(programs / "initdb"), "-D", str(data), "-U", USER, "-A", "trust", "-E", "UTF8"], **run
    )
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c max_connections=200"
    options += "".join(f" -c {setting}" for setting in settings)
    control = [str(programs / "pg_ctl"), "-D", str(data)]
    subprocess.run([*control, "-w", "-l", str(folder / "log"), "-o", options, "start"], **run)
    try:
        pid = int((data / "postmaster.pid").read_text().split()[0])
        yield Postgres(f"postgresql+psycopg://{USER}@127.0.0.1:{port}", pid)
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **run)
        shutil.rmtree(folder, ignore_errors=True)
