"""`./run demo provenance`: a scan is signed by its instrument, stored, copied, logged, altered in the vault, and judged."""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from grid.cli.demo import Person, heading, scans, served_zone

PLACE: Final = "/demo/home/rods"
KEY: Final = "demo/nanomax/eiger2x1m#2026a"
OFFSET: Final = 1_500_000


def main() -> int:
    """Run it: about fifteen seconds."""
    started = time.monotonic()
    scan = scans()[0]
    folder = Path(tempfile.mkdtemp(prefix="beamgrid-demo-"))
    try:
        with served_zone(folder) as port:
            rods = Person(folder, "rods", "rods-demo", port)
            file, authority = folder / scan.name, "zone/authority"
            shutil.copy(scan, file)
            heading("A new zone has a root of keys, and its services sign by policy; in part:")
            for line in (folder / "zone/policy/provenance.policy").read_text().split("rule ")[1].splitlines():
                print(f"  {line}")
            heading("The root gives an instrument a key for its beamline")
            rods.types(
                f"beamgrid keys issue {authority} {KEY} --role instrument --scope {PLACE}", folder=folder
            )
            heading("The detector's receiver signs the scan before anybody else touches a byte")
            rods.types(
                f"beamgrid sign acquisition {scan.name} --as {PLACE}/{scan.name} --key {authority}/private/demo_nanomax_eiger2x1m_2026a.key"
                f" --beamline nanomax --instrument eiger2x1m --stream scan101 --authority {authority}",
                folder=folder,
            )
            heading("It is stored; the zone checks the instrument's evidence, and makes a copy")
            rods.prepare(f"iadmin mkresc second unixfilesystem localhost:{folder}/second")
            rods.types(f"iput {scan.name} {PLACE}/{scan.name}", folder=folder)
            rods.types(f"iprov attach {PLACE}/{scan.name} {scan.name}.evidence.json", folder=folder)
            rods.prepare(f"irepl -R second {PLACE}/{scan.name}")
            heading(
                "Within a second everything is signed and in the zone's log, which anybody may copy and check"
            )
            _until(rods, f"iprov log {PLACE}/{scan.name}", lambda text: text.count(" logged ") == 5)
            rods.types(f"iprov log {PLACE}/{scan.name}")
            rods.types("beamgrid log check zone/provenance/log", folder=folder)
            heading(
                "Whoever has the file, its evidence and the root can judge it, without the grid and without the log"
            )
            rods.types(f"iprov export {PLACE}/{scan.name} {scan.name}.evidence.json", folder=folder)
            _judged(rods, folder, 0)
            heading("One chunk of one dataset is judged from its own bytes alone")
            rods.types(f"iprov export {PLACE}/{scan.name} {scan.name}.evidence.json --frame 0", folder=folder)
            rods.types(f"beamgrid verify {scan.name} --root {authority}/root.json --frame 0", folder=folder)
            heading(f"Somebody with access to the disk changes one byte, at {OFFSET:,}")
            _flip(folder / f"zone/vault/home/rods/{scan.name}")
            rods.prepare(f"iget -f -R demoResc {PLACE}/{scan.name} {file}")
            _judged(rods, folder, 40)
            heading(
                "The zone finds it too, names the bytes, and makes the replica good again from the other one"
            )
            rods.prepare("iscrub start demoResc --repair")
            _until(rods, "iscrub show", lambda text: " done " in text)
            rods.types("iscrub show " + _latest(rods))
            rods.prepare(f"iget -f -R demoResc {PLACE}/{scan.name} {file}")
            _judged(rods, folder, 0)
        print(f"\nThe demo took {time.monotonic() - started:.0f} s and left nothing running.")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _judged(rods: Person, folder: Path, status: int) -> None:
    command = (
        f"beamgrid verify {scans()[0].name} --root zone/authority/root.json --as {PLACE}/{scans()[0].name}"
    )
    found = rods.types(command, expect_refusal=status != 0, folder=folder)
    if found != status:
        raise SystemExit(f"the demo failed: the verdict ended with {found}, not {status}")


def _flip(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(OFFSET)
        byte = opened.read(1)[0]
        opened.seek(OFFSET)
        opened.write(bytes([byte ^ 1]))


def _latest(rods: Person) -> str:
    return rods.ask("iscrub show").stdout.split()[0]


def _until(rods: Person, command: str, is_so: Callable[[str], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so(rods.ask(command).stdout):
        if time.monotonic() > deadline:
            raise SystemExit(f"the demo failed: `{command}` did not show it within a minute")
        time.sleep(0.3)
