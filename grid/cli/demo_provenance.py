"""`./run demo provenance`: a scan is signed by its instrument, stored, copied, logged, altered in the vault, and judged."""

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from grid.cli.demo import Person, heading, scans, served_zone

PLACE: Final = "/demo/home/rods"
KEY: Final = "demo/nanomax/eiger2x1m#2026a"
LOG: Final = "demo.example/prov/2026"
OFFSET: Final = 1_500_000


def main() -> int:
    """Run it: about fifteen seconds."""
    started = time.monotonic()
    scan = scans()[0]
    folder = Path(tempfile.mkdtemp(prefix="beamgrid-demo-"))
    os.environ["BEAMGRID_BLOCK_TREES"] = "on"
    try:
        with served_zone(folder) as port:
            rods = Person(folder, "rods", "rods-demo", port)
            file = folder / scan.name
            shutil.copy(scan, file)
            heading(
                "The facility has a root of three keys, of which two sign; it gives an instrument a key for its beamline"
            )
            rods.types("beamgrid keys init keys --zone demo --keys 3 --threshold 2", folder=folder)
            rods.types(f"beamgrid keys issue keys {KEY} --role instrument --scope {PLACE}", folder=folder)
            heading("The detector's receiver signs the scan before anybody else touches a byte")
            rods.types(
                f"beamgrid sign acquisition {scan.name} --as {PLACE}/{scan.name} --key keys/private/demo_nanomax_eiger2x1m_2026a.key"
                " --beamline nanomax --instrument eiger2x1m --stream scan101 --authority keys",
                folder=folder,
            )
            heading(
                "It is stored, and the zone sees the same tree over its blocks while the bytes pass; a copy is made"
            )
            rods.prepare(f"iadmin mkresc second unixfilesystem localhost:{folder}/second")
            rods.types(f"iput {scan.name} {PLACE}/{scan.name}", folder=folder)
            rods.types(f"ichksum --tree {PLACE}/{scan.name}")
            rods.prepare(f"irepl -R second {PLACE}/{scan.name}")
            heading("Without a log nobody but the signer says since when there is such a statement")
            _judged(rods, folder, 20)
            heading("The facility's log takes it in: anybody may copy the log and check that it only grows")
            rods.types(f"beamgrid keys issue keys {LOG} --role log", folder=folder)
            rods.types(
                f"beamgrid log append log {scan.name}.evidence.json --key keys/private/{LOG.replace('/', '_')}.key --authority keys",
                folder=folder,
            )
            rods.types("beamgrid log check log", folder=folder)
            heading(
                "The zone believes the root too: the evidence is attached to the scan, once it was judged"
            )
            shutil.copytree(
                folder / "keys", folder / "zone/authority", ignore=shutil.ignore_patterns("private")
            )
            rods.types(f"iprov attach {PLACE}/{scan.name} {scan.name}.evidence.json", folder=folder)
            rods.types(f"iprov export {PLACE}/{scan.name} {scan.name}.evidence.json", folder=folder)
            heading(
                "Whoever has the file, its evidence and the root can judge it, without the grid and without the log"
            )
            _judged(rods, folder, 0)
            heading(f"Somebody with access to the disk changes one byte, at {OFFSET:,}")
            _flip(folder / f"zone/vault/home/rods/{scan.name}")
            rods.prepare(f"iget -f -R demoResc {PLACE}/{scan.name} {file}")
            _judged(rods, folder, 40)
            heading(
                "The zone finds it too, names the bytes, and makes the replica good again from the other one"
            )
            rods.prepare("iscrub start demoResc --repair")
            _until_done(rods)
            rods.types("iscrub show " + _latest(rods))
            rods.prepare(f"iget -f -R demoResc {PLACE}/{scan.name} {file}")
            _judged(rods, folder, 0)
        print(f"\nThe demo took {time.monotonic() - started:.0f} s and left nothing running.")
    finally:
        del os.environ["BEAMGRID_BLOCK_TREES"]
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _judged(rods: Person, folder: Path, status: int) -> None:
    command = f"beamgrid verify {scans()[0].name} --root keys/root.json --as {PLACE}/{scans()[0].name}"
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


def _until_done(rods: Person) -> None:
    deadline = time.monotonic() + 60
    while " done " not in rods.ask("iscrub show").stdout:
        if time.monotonic() > deadline:
            raise SystemExit("the demo failed: the scrub did not end within a minute")
        time.sleep(0.3)
