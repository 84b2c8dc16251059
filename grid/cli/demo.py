"""`./run demo`: a zone that takes in real scans under a policy and hands them back to a stock client.

Everything happens in a scratch folder and ends with the program; nothing is left running.
"""

import contextlib
import hashlib
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from irods.session import iRODSSession

import policies
from grid.app import open_zone, wait_until_idle

VISIT: Final = "/demo/data/visitor/nanomax/20260001/20260302"
FILES: Final = (
    "scan101.nxs",
    "USAXS_flyScan_GC_M4_NewD_15.h5",
    "S2p5min_00070_00001.h5",
    "DLS_i03_i04_NXmx_Therm_6_2.nxs",
    "example_mapping.nxs",
    "33id_spec_22_2D.hdf5",
)
_BIN: Final = Path(sys.executable).parent


_STRICTER = """policy demo.stricter version 1 for zone "demo"
code TOO_LARGE kind refused "too large"
location raw = "/demo/data/{user_type}/{beamline}/{proposal}/{visit}/raw/**"
rule "no large files" id no_large before object create at raw when object.expected_size > 1 MB {
  refuse "{size_text(object.expected_size)} is too much" code TOO_LARGE
}
"""


def heading(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}")


class Person:
    """Somebody at a terminal, with an environment of their own."""

    def __init__(self, folder: Path, name: str, password: str, port: int) -> None:
        self.name = name
        self._environment = {
            **os.environ,
            "IRODS_ENVIRONMENT_FILE": str(folder / f"{name}.json"),
            "IRODS_AUTHENTICATION_FILE": str(folder / f"{name}.A"),
        }
        self._quiet(f"iinit --host 127.0.0.1 --port {port} --user {name} --zone demo", given=password + "\n")

    def _start(
        self, command: str, given: str, folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        program, *arguments = shlex.split(command)
        return subprocess.run(
            [str(_BIN / program), *arguments], env=self._environment, input=given, text=True, capture_output=True, cwd=folder,
            check=False,
        )  # fmt: skip

    def ask(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run and give back what it said."""
        return self._start(command, "")

    def _quiet(self, command: str, given: str = "") -> None:
        done = self._start(command, given)
        if done.returncode:
            raise SystemExit(f"the demo failed at `{command}`:\n{done.stdout}{done.stderr}")

    def prepare(self, command: str) -> None:
        """Run without showing anything."""
        self._quiet(command)

    def types(
        self, command: str, *, expect_refusal: bool = False, lines: int = 40, folder: Path | None = None
    ) -> int:
        """Run and show it as a terminal would; returns the exit status."""
        print(f"{self.name}$ {command}")
        done = self._start(command, "", folder)
        shown = (done.stdout + done.stderr).splitlines()
        for line in shown[:lines]:
            print(f"  {line}")
        if len(shown) > lines:
            print(f"  ... {len(shown) - lines} more lines")
        if bool(done.returncode) is not expect_refusal:
            raise SystemExit(f"the demo failed: `{command}` ended with {done.returncode}")
        return done.returncode


@contextlib.contextmanager
def served_zone(folder: Path, *names: str) -> Iterator[int]:
    """A fresh zone `demo`, under what a new zone has and further shipped policies, and its server; yields the port."""
    beamgrid = [sys.executable, "-m", "grid.cli.main"]
    password = folder / "password"
    password.write_text("rods-demo\n")
    subprocess.run(
        [*beamgrid, "init", str(folder / "zone"), "--zone", "demo", "--admin", "rods", "--password-file",
         str(password), "--port", "0"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    for name in names:
        (folder / "zone/policy" / name).write_text(policies.text(name))
    log = (folder / "server.log").open("wb")
    server = subprocess.Popen([*beamgrid, "serve", str(folder / "zone"), "--allow-root"], stderr=log)
    try:
        port_file = folder / "zone/run/port"
        deadline = time.monotonic() + 30
        while not port_file.exists():
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the server did not start:\n{(folder / 'server.log').read_text()}")
            time.sleep(0.05)
        yield int(port_file.read_text())
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)
        log.close()


def scans() -> list[Path]:
    """The real NeXus and HDF5 files of the demo, from the `punx` package.

    Raises:
        SystemExit: the package is not installed.
    """
    found = importlib.util.find_spec("punx")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("the scans are missing: run ./run setup")
    folder = Path(found.submodule_search_locations[0]) / "data"
    return [folder / name for name in FILES if (folder / name).exists()]


def set_up(rods: Person, folder: Path) -> None:
    """The users, groups, second resource and visit that the policy speaks of."""
    for command in (
        "iadmin mkuser nanomax-daq rodsuser",
        "iadmin moduser nanomax-daq password daq-demo",
        "iadmin mkuser anna rodsuser",
        "iadmin moduser anna password anna-demo",
        "iadmin mkgroup nanomax-service",
        "iadmin atg nanomax-service nanomax-daq",
        "iadmin mkgroup p20260001-group",
        "iadmin atg p20260001-group anna",
        f"iadmin mkresc archiveResc unixfilesystem localhost:{folder}/archive",
        f"imkdir -p {VISIT}/raw",
        f"ichmod own nanomax-daq {VISIT}/raw",
        f"ichmod read p20260001-group {VISIT}/raw",
        f"ichmod write anna {VISIT}/raw",
        f"ichmod inherit {VISIT}/raw",
    ):
        rods.prepare(command)


def wait_for_jobs(folder: Path) -> None:
    """Wait until the scheduled work is done."""
    zone = open_zone(folder / "zone")
    try:
        if not wait_until_idle(zone, timeout_s=60):
            raise SystemExit("the scheduled work did not end within a minute")
    finally:
        zone.close()


def read_back(port: int, original: Path) -> None:
    """Compare what plain python-irodsclient reads with the file on disk."""
    with iRODSSession(host="127.0.0.1", port=port, user="anna", password="anna-demo", zone="demo") as session:
        with session.data_objects.open(f"{VISIT}/raw/{original.name}", "r") as found:
            there = hashlib.sha256(found.read()).hexdigest()
        here = hashlib.sha256(original.read_bytes()).hexdigest()
    print(f"  python-irodsclient read {original.stat().st_size:,} bytes, SHA-256 {there[:16]}...")
    if there != here:
        raise SystemExit("the bytes differ from the original")
    print("  the same bytes as the original file")


def main() -> int:
    """Run the demo that the command line names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name == "tiers":
        from grid.cli import demo_tiers

        return demo_tiers.main()
    if name == "kernels":
        from grid.cli import demo_kernels

        return demo_kernels.main()
    if name == "provenance":
        from grid.cli import demo_provenance

        return demo_provenance.main()
    if name == "stream":
        from grid.cli import demo_streams

        return demo_streams.main()
    if name:
        print(
            f"demo: found `{name}`; nothing, `kernels`, `provenance`, `stream` or `tiers` was expected",
            file=sys.stderr,
        )
        return 2
    return basic()


def basic() -> int:
    """A zone that takes in real scans under a policy."""
    started = time.monotonic()
    files = scans()
    folder = Path(tempfile.mkdtemp(prefix="beamgrid-demo-"))
    try:
        heading("A zone `demo`, served on this machine under a policy; in part:")
        text = policies.text("demo.policy")
        for line in text.split("rule ")[1].splitlines():
            print("  rule " + line if line.startswith('"') else "  " + line)
        with served_zone(folder, "demo.policy") as port:
            rods = Person(folder, "rods", "rods-demo", port)
            set_up(rods, folder)
            daq = Person(folder, "nanomax-daq", "daq-demo", port)
            anna = Person(folder, "anna", "anna-demo", port)
            heading(f"The beamline's service account stores {len(files)} real scans")
            daq.types(f"iput -K {' '.join(f.name for f in files)} {VISIT}/raw", folder=files[0].parent)
            heading("A visitor may not: the rule says why, and the decision is on record")
            anna.types(
                f"iput {files[0].name} {VISIT}/raw/mine.nxs", expect_refusal=True, folder=files[0].parent
            )
            heading("Raw data is write-once, for its owner too")
            daq.types(
                f"iput -f {files[0].name} {VISIT}/raw/scan101.nxs",
                expect_refusal=True,
                folder=files[0].parent,
            )
            wait_for_jobs(folder)
            heading("Scheduled work has described the files and made a second replica")
            anna.types(f"ils -L {VISIT}/raw")
            anna.types(f"imeta ls -d {VISIT}/raw/scan101.nxs")
            heading("Which scans were taken between 1 and 30 keV?")
            anna.types(
                "iquest \"select DATA_NAME, META_DATA_ATTR_VALUE where META_DATA_ATTR_NAME = 'energy'"
                " and META_DATA_ATTR_VALUE n>= '1' and META_DATA_ATTR_VALUE n<= '30'\""
            )
            heading("A policy has tests of its own, and they run without a zone")
            rods.types("beamgrid policy test demo.policy", folder=folder / "zone/policy")
            heading("Why was anna refused? Every condition with its value")
            rods.types(
                f"beamgrid policy explain {folder}/zone --event 'object create' --path {VISIT}/raw/mine.nxs --as anna"
            )
            heading("What would a stricter policy change? Nothing is changed by asking")
            (folder / "stricter.policy").write_text(_STRICTER)
            rods.types(
                f"beamgrid policy dryrun {folder}/zone demo.policy provenance.policy ../../stricter.policy",
                folder=folder / "zone/policy",
            )
            heading("The files come back to a stock client")
            read_back(port, files[0])
        heading("Try next")
        print(f"  {_BIN}/beamgrid init ./zone --zone demo --admin rods")
        print(f"  {_BIN}/beamgrid serve ./zone        then, in another terminal: {_BIN}/iinit")
        print("  docs/tutorials/first-zone.md explains each step")
        print(f"\nThe demo took {time.monotonic() - started:.0f} s and left nothing running.")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
