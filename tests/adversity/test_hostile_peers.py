"""Peers that stall, cut, split and lie, against a real server; and real clients through a bad network."""

import os
import random
import socket
import threading
import time
from pathlib import Path

import pytest

from grid.wire import native
from grid.wire.framing import frame
from tests.conftest import SOAK, Served
from tests.system.test_server import Raw

SEED = int(os.environ.get("BEAMGRID_FUZZ_SEED", random.SystemRandom().randrange(10**6)))
COUNT = 4000 if SOAK else 200  # a share of 200; 4,000 in ./run soak


@pytest.mark.parametrize("logged_in", [False, True])
def test_damaged_frames_never_stop_the_server(served: Served, logged_in: bool) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    good = [
        frame("RODS_API_REQ", native.encode("DataObjInp_PI", {"objPath": "/tempZone/home/rods"}), number=633),
        frame("RODS_API_REQ", native.encode("GenQueryInp_PI", {"maxRows": 5}), number=702),
        frame(
            "RODS_API_REQ", native.encode("CollInpNew_PI", {"collName": "/tempZone/home/rods/fz"}), number=681
        ),
        frame("RODS_API_REQ", b"\0" * 40, stream_bytes=20, number=676) + b"x" * 20,
    ]
    for _ in range(COUNT // 10):
        raw = Raw(served)
        raw.start()
        if logged_in:
            raw.login()
        raw.peer.settimeout(0.3)
        try:
            for _ in range(10):
                data = bytearray(chance.choice(good))
                for _ in range(chance.randint(1, 6)):
                    data[chance.randrange(len(data))] = chance.randrange(256)
                if chance.random() < 0.3:
                    data = data[: chance.randrange(1, len(data))]
                raw.peer.sendall(data)
                raw.peer.recv(65536)
        except OSError:
            pass  # the server closed a connection whose stream cannot be trusted, or waits for the rest
        raw.peer.close()
    assert served.process.poll() is None
    with served.session() as session:
        assert session.collections.exists("/tempZone/home/rods")
    assert "process" not in [line for line in served.log.splitlines() if "died" in line]


class Proxy:
    """A network between a client and the server that splits, delays and may cut what passes."""

    def __init__(self, served: Served, *, cut_after: int | None = None) -> None:
        self._served = served
        self._cut_after = cut_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._served.port))
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        passed = 0
        try:
            while data := source.recv(4096):
                for start in range(0, len(data), 97):
                    target.sendall(data[start : start + 97])
                    passed += 97
                    if self._cut_after is not None and passed > self._cut_after:
                        source.close()
                        target.close()
                        return
                    if start % 970 == 0:
                        time.sleep(0.0005)
        except OSError:
            pass  # one of the two ends is gone
        finally:
            for peer in (source, target):
                try:
                    peer.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # closed already

    def close(self) -> None:
        self._listener.close()


def test_a_client_behind_a_network_that_splits_everything(served: Served, home: str) -> None:
    proxy = Proxy(served)
    data = os.urandom(200_000)
    with Served(served.folder, proxy.port, served.process).session() as session:
        with session.data_objects.open(f"{home}/a", "w") as file:
            file.write(data)
        assert session.data_objects.open(f"{home}/a", "r").read() == data
    proxy.close()


def test_an_upload_that_is_cut_leaves_nothing_and_can_be_repeated(served: Served, home: str) -> None:
    proxy = Proxy(served, cut_after=60_000)
    cut = Served(served.folder, proxy.port, served.process)
    with (
        pytest.raises(Exception),
        cut.session() as session,
        session.data_objects.open(f"{home}/a", "w") as file,
    ):
        file.write(os.urandom(500_000))
    proxy.close()
    with served.session() as session:
        deadline = time.monotonic() + 15
        while session.data_objects.exists(f"{home}/a") and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not session.data_objects.exists(f"{home}/a")
        with session.data_objects.open(f"{home}/a", "w") as file:
            file.write(b"whole")
        assert session.data_objects.open(f"{home}/a", "r").read() == b"whole"


def test_idle_sessions_cost_little_memory(served: Served) -> None:
    """1,000 authenticated sessions here; ten thousand, in one worker, in ./run soak."""
    idle_sessions(served, 1000, 40 << 20)


@pytest.mark.soak
def test_ten_thousand_idle_sessions_fit_in_200_mib(tmp_path) -> None:
    from tests.conftest import make_zone, serve

    make_zone(tmp_path / "zone")
    running = serve(tmp_path / "zone", workers=1)
    try:
        idle_sessions(running, 10_000, 200 << 20, whole=True)
    finally:
        running.stop()


def worker_memory(served: Served) -> int:
    pids = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children").read_text().split()
    return max(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 for pid in pids)


def idle_sessions(served: Served, count: int, limit: int, *, whole: bool = False) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    before = worker_memory(served)
    sessions = []
    for _ in range(count):
        raw = Raw(served)
        raw.start()
        assert raw.login() == 0
        sessions.append(raw)
    used = worker_memory(served) - (0 if whole else before)
    assert sessions[0].ask(633, "DataObjInp_PI", {"objPath": "/tempZone"}) == 2
    assert sessions[-1].ask(633, "DataObjInp_PI", {"objPath": "/tempZone"}) == 2
    for raw in sessions:
        raw.peer.close()
    print(f"{count} idle sessions: {used >> 20} MiB")
    assert used < limit
