"""`iput -k` and `-K` beside what one core's SHA-256 does: client and server hash on the same cores."""

import hashlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.server import Target

ROUNDS = 5


class Shell:
    """The i-commands of one user of a server."""

    def __init__(self, target: Target, folder: Path) -> None:
        folder.mkdir()
        self.home = f"/{target.zone}/home/{target.user}/"
        self._env = {
            **os.environ, "IRODS_ENVIRONMENT_FILE": str(folder / "env.json"), "IRODS_AUTHENTICATION_FILE": str(folder / "A"),
        }  # fmt: skip
        self.run(
            "iinit", "--host", target.host, "--port", str(target.port), "--user", target.user, "--zone", target.zone,
            given=target.password,
        )  # fmt: skip

    def run(self, program: str, *arguments: str, given: str = "") -> None:
        """Run one; what it says is not shown."""
        command = [str(Path(sys.executable).parent / program), *arguments]
        subprocess.run(
            command, env=self._env, input=f"{given}\n".encode(), check=True, stdout=subprocess.DEVNULL
        )


def sha256_rate(data: memoryview) -> float:
    """Bytes a second of one core."""
    began = time.monotonic()
    hashlib.sha256(data)
    return len(data) / (time.monotonic() - began)


def busy_s() -> float:
    """CPU seconds of everything on this machine so far, the kernel's own threads among it, which write to the disk."""
    user, nice, system, _idle, _wait, irq, soft, *_ = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def run(target: Target, size: int) -> None:
    data = memoryview(os.urandom(16 << 20) * (size // (16 << 20)))
    with tempfile.TemporaryDirectory(prefix="beamgrid-bench-") as scratch:
        folder = Path(scratch)
        (folder / "large").write_bytes(data)
        shell = Shell(target, folder / "shell")
        rates: dict[str, list[float]] = {"-k": [], "-K": [], "sha256": []}
        shares: dict[str, list[float]] = {"-k": [], "-K": []}
        busy: dict[str, list[float]] = {"-k": [], "-K": []}
        # the same two objects are overwritten, one right after the other: memory that was free for a second has to be fetched from a
        # virtual machine's host again, which costs more than all that is measured here; the first rounds fetch it
        for number in range(-2, ROUNDS):
            rates["sha256"].append(sha256_rate(data))
            for option in ("-k", "-K"):
                server, client = target.cpu_s(), resource.getrusage(resource.RUSAGE_CHILDREN)
                began, before = time.monotonic(), busy_s()
                shell.run("iput", "-f", option, f"{folder}/large", f"{shell.home}l{option}")
                spent = time.monotonic() - began
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu = (
                    target.cpu_s()
                    - server
                    + after.ru_utime
                    + after.ru_stime
                    - client.ru_utime
                    - client.ru_stime
                )
                if number >= 0:
                    rates[option].append(size / spent)
                    shares[option].append(cpu / 2 / spent)
                    busy[option].append((busy_s() - before) / 2 / spent)
        with target.session() as session:
            for option in shares:
                session.data_objects.unlink(f"{shell.home}l{option}", force=True)
        core = statistics.median(rates["sha256"])
        for option, limit in (("-k", 0.6), ("-K", 0.45)):
            rate = statistics.median(rates[option])
            print(
                f"iput {option} of {size >> 20} MiB: {rate / core:.2f} of one core's SHA-256 (limit {limit}), or"
                f" {statistics.median(shares[option]):.2f} of what two cores could do with the CPU that it took (limit 0.8); the"
                f" machine was {statistics.median(busy[option]):.2f} busy"
            )
