"""The server to measure: one of our own, or any that speaks the protocol, by address."""

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from irods.session import iRODSSession

from bench.postgres import Postgres
from grid.wire import auth, native, xml
from grid.wire.framing import Limits, frame, parse_header

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Target:
    """Where to connect, and whose CPU time counts (none for a server that is not ours)."""

    host: str
    port: int
    user: str
    password: str
    zone: str
    pid: int = 0
    folder: Path | None = None
    database: Postgres | None = None

    def session(self) -> iRODSSession:
        return iRODSSession(
            host=self.host, port=self.port, user=self.user, password=self.password, zone=self.zone
        )

    def cpu_s(self) -> float:
        """CPU seconds of the server's processes so far, by /proc's clock ticks (10 ms)."""
        if not self.pid:
            return 0.0
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        total = 0.0
        for pid in children:
            with contextlib.suppress(OSError):
                times = Path(f"/proc/{pid}/schedstat").read_text().split()
                total += int(times[0]) / 1e9
                for task in Path(f"/proc/{pid}/task").iterdir():
                    if task.name != pid:
                        total += int((task / "schedstat").read_text().split()[0]) / 1e9
        return total + (self.database.cpu_s() if self.database else 0.0)


@contextlib.contextmanager
def own(workers: int = 1, database: Postgres | None = None, *, signing: bool = False) -> Iterator[Target]:
    """A fresh zone of our own in a scratch folder, on SQLite or in a new database of a PostgreSQL server; with `signing` as a new zone is."""
    catalog = database.new_database(f"bench{time.time_ns()}") if database else ""
    folder = Path(tempfile.mkdtemp(prefix="beamgrid-bench-"))
    password = folder / "password"
    password.write_text("rods")
    command = [sys.executable, "-m", "grid.cli.main"]
    made = [*command, "init", str(folder / "zone"), "--zone", "bench", "--admin", "rods", "--port", "0"]
    made += [] if signing else ["--no-signing"]
    made += ["--password-file", str(password)] + (["--catalog", catalog] if catalog else [])
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
    log = (folder / "log").open("wb")
    server = subprocess.Popen(
        [*command, "serve", str(folder / "zone"), "--allow-root", "--workers", str(workers)], stderr=log
    )
    try:
        port = folder / "zone/run/port"
        while not port.exists():
            if server.poll() is not None:
                raise SystemExit((folder / "log").read_text())
            time.sleep(0.05)
        time.sleep(1.0)
        yield Target(
            "127.0.0.1", int(port.read_text()), "rods", "rods", "bench", server.pid, folder / "zone", database
        )
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


class RawClient:
    """A client in native encoding that costs next to nothing itself."""

    def __init__(self, target: Target) -> None:
        self._peer = socket.create_connection((target.host, target.port))
        self._peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = memoryview(bytearray(1 << 20))
        pack = {
            "irodsProt": 0, "proxyUser": target.user, "proxyRcatZone": target.zone, "clientUser": target.user,
            "clientRcatZone": target.zone, "relVersion": "rods5.0.2", "apiVersion": "d",
        }  # fmt: skip
        self._peer.sendall(frame("RODS_CONNECT", xml.encode("StartupPack_PI", pack)))
        self.reply()
        self._peer.sendall(frame("RODS_API_REQ", number=703))
        self.reply()
        challenge = native.decode("authRequestOut_PI", self.body)["challenge"]
        answer = {
            "response": auth.response(challenge, target.password),
            "username": f"{target.user}#{target.zone}",
        }
        self.send(frame("RODS_API_REQ", native.encode("authResponseInp_PI", answer), number=704))

    def send(self, request: bytes) -> int:
        self._peer.sendall(request)
        return self.reply()

    def _exactly(self, count: int) -> bytes:
        data = bytearray(count)
        view = memoryview(data)
        while view:
            got = self._peer.recv_into(view, len(view), socket.MSG_WAITALL)
            if not got:
                raise SystemExit("the server closed the connection")
            view = view[got:]
        return bytes(data)

    def _discard(self, count: int) -> None:
        while count:
            got = self._peer.recv_into(self._buffer, min(count, len(self._buffer)), socket.MSG_WAITALL)
            if not got:
                raise SystemExit("the server closed the connection")
            count -= got

    def reply(self) -> int:
        length = struct.unpack(">I", self._exactly(4))[0]
        header = parse_header(self._exactly(length), Limits())
        self.body = self._exactly(header.message_bytes)
        self._exactly(header.error_bytes)
        self.stream_bytes = header.stream_bytes
        if header.stream_bytes:
            self._discard(header.stream_bytes)
        return header.number

    def close(self) -> None:
        self._peer.sendall(frame("RODS_DISCONNECT"))
        self._peer.close()
