"""Fixtures: real zones served by real processes, on SQLite and on PostgreSQL of the tests' own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.postgres import Postgres, binaries, own_postgres
from grid import app, config
from grid.app import Zone
from tests.tables import database_with_tables, tables_are_there

SOAK = os.environ.get("BEAMGRID_SOAK") == "1"
DATA = Path(os.environ["BEAMGRID_TEST_DATA"]) if os.environ.get("BEAMGRID_TEST_DATA") else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if SOAK:
        return
    for item in items:
        if "soak" in item.keywords:
            item.add_marker(
                pytest.mark.skip(reason="the full count runs in ./run soak; a share of it runs here")
            )


@pytest.fixture
def captures() -> Path:
    if DATA is None or not (DATA / "irods-wire-captures").is_dir():
        pytest.skip("BEAMGRID_TEST_DATA does not name the folder with the captures")
    return DATA / "irods-wire-captures"


@dataclass
class Served:
    """A zone and its server process."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    zone: str = "tempZone"

    def session(self, user: str = "rods", password: str = "rods", **options: object):
        from irods.session import iRODSSession

        return iRODSSession(
            host="127.0.0.1", port=self.port, user=user, password=password, zone=self.zone, **options
        )

    def connect(self, timeout: float = 10) -> socket.socket:
        peer = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        peer.settimeout(timeout)
        return peer

    @property
    def log(self) -> str:
        return (self.folder.parent / f"{self.folder.name}.log").read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            os.killpg(self.process.pid, number) if number == signal.SIGKILL else self.process.send_signal(
                number
            )
        return self.process.wait(timeout=30)


def make_zone(folder: Path, catalog: str = "", policy: str = "") -> None:
    """A zone whose catalog is one of SQLite, or in a `new_database`."""
    with tables_are_there(folder, catalog):
        app.initialise(
            folder, zone="tempZone", admin="rods", password="rods", host="127.0.0.1", port=0, catalog=catalog, policy=policy,
        )  # fmt: skip


def serve(folder: Path, *, env: dict[str, str] | None = None, workers: int = 1) -> Served:
    log = (folder.parent / f"{folder.name}.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "grid.cli.main", "serve", str(folder), "--allow-root", "--workers", str(workers)],
        stderr=log, env={**os.environ, **(env or {})}, start_new_session=True,
    )  # fmt: skip
    log.close()
    port_file = folder / "run/port"
    deadline = time.monotonic() + 30
    while not (port_file.exists() and port_file.read_text().strip()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError((folder.parent / f"{folder.name}.log").read_text())
        time.sleep(0.02)
    port = int(port_file.read_text())
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return Served(folder, port, process)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


# -- PostgreSQL of our own ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that the tests started; each use makes a database of its own."""
    if binaries() is None:
        pytest.skip("no PostgreSQL server is installed (sudo apt-get install postgresql)")
    with own_postgres("fsync=off") as running:  # tests kill processes; none cuts the power
        yield running


_databases = iter(range(1, 100_000))


def new_database(server: Postgres) -> str:
    """A database for `make_zone`."""
    return database_with_tables(server, f"t{os.getpid()}_{next(_databases)}")


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest) -> str:
    """A catalog address of each kind; SQLite's is empty, the zone's own default."""
    return "" if request.param == "sqlite" else new_database(request.getfixturevalue("postgres"))


@pytest.fixture
def zone(tmp_path: Path, catalog_url: str) -> Iterator[Zone]:
    """A zone opened in this process, with a lease and no server, on either database."""
    make_zone(tmp_path / "zone", catalog_url)
    opened = app.open_zone(tmp_path / "zone", role="test")
    yield opened
    opened.close()


@pytest.fixture
def sqlite_zone(tmp_path: Path) -> Iterator[Zone]:
    make_zone(tmp_path / "zone")
    opened = app.open_zone(tmp_path / "zone", role="test")
    yield opened
    opened.close()


@pytest.fixture
def rods(zone: Zone):
    return zone.namespace.users.caller("rods", "tempZone")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One served zone that tests share; each works in collections of its own."""
    folder = tmp_path_factory.mktemp("served") / "zone"
    make_zone(folder)
    running = serve(folder, workers=2)
    yield running
    assert running.stop() == 0


@pytest.fixture
def home(served: Served, request: pytest.FixtureRequest) -> str:
    """A fresh collection in the shared zone."""
    import uuid

    path = f"/tempZone/home/rods/{uuid.uuid4().hex[:12]}"
    with served.session() as session:
        session.collections.create(path)
    return path


def settings_of(folder: Path) -> config.Settings:
    return config.load(folder)
