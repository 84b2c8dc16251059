"""XRootD servers for the tests: on loopback, as another user than root, with or without a key."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

STARTS = 3


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class XrootdServer:
    """A server and its folders; `kill` and `start` may be repeated."""

    folder: Path
    port: int
    keytab: str = ""
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        config = self.folder / "xrootd.cfg"
        lines = [
            "all.export /", f"oss.localroot {self.data}", f"all.adminpath {self.folder}/admin", f"all.pidpath {self.folder}/admin",
            "xrd.allow host localhost", "xrootd.chksum max 2 adler32", "ofs.tpc ttl 60 60 xfr 4 pgm /usr/bin/xrdcp --server",
        ]  # fmt: skip
        if self.keytab:
            lines += [
                "xrootd.seclib libXrdSec.so",
                f"sec.protocol sss -s {self.keytab}",
                "sec.protbind * only sss",
            ]
        config.write_text("\n".join(lines) + "\n")
        command = [
            "xrootd",
            "-c",
            str(config),
            "-l",
            str(self.folder / "log"),
            "-I",
            "v4",
            "-p",
            str(self.port),
            "-n",
            "t",
        ]
        if os.geteuid() == 0:
            command += ["-R", "xrootd"]
            subprocess.run(["chown", "-R", "xrootd", str(self.folder)], check=True)
        for _ in range(STARTS):
            if self._begins(command):
                return
        raise AssertionError(f"the server crashed {STARTS} times while it started:\n{self.log()}")

    def _begins(self, command: list[str]) -> bool:
        """Start the process, and wait until it listens; False where it crashes before that, as XRootD 5.5 seldom does."""
        self.process = subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return True
            except OSError:
                if self.process.poll() == -signal.SIGSEGV:
                    print(f"the server crashed while it started:\n{self.log()}")
                    return False
                assert self.process.poll() is None, self.log()
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.05)

    def log(self) -> str:
        return "\n".join(
            file.read_text(errors="replace")[-3000:] for file in self.folder.rglob("log") if file.is_file()
        )

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


@contextmanager
def own_server(folder: Path, *, keytab: str = "") -> Iterator[XrootdServer]:
    """A server of one's own; skips where XRootD is not installed."""
    if shutil.which("xrootd") is None:
        pytest.skip(
            "XRootD is not installed (sudo apt-get install xrootd-server xrootd-client xrootd-server-plugins)"
        )
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/") and parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o055)
    server = XrootdServer(folder, free_port(), keytab)
    (folder / "data").mkdir(exist_ok=True)
    (folder / "admin").mkdir(exist_ok=True)
    server.start()
    try:
        yield server
    finally:
        server.kill()
