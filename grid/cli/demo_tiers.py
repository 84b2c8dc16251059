"""`./run demo tiers`: a scan goes to the buffer, to disk and to tape, is trimmed, asked for, watched, and arrives."""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import policies
from grid.cli.demo import Person, heading, scans, served_zone

PLACE: Final = "/demo/data/nanomax"
FACTOR: Final = 30
_LIBRARY: Final = f"drives=1;cartridges=4;capacity=2 GB;clock_factor={FACTOR};batch=1;batch_age=0"


def main() -> int:
    """Run it; the library's time passes thirty times as quickly as the wall's."""
    started = time.monotonic()
    scan = scans()[0]
    folder = Path(tempfile.mkdtemp(prefix="beamgrid-demo-"))
    try:
        heading("A zone with a buffer, a disk and a tape library, under this policy:")
        for line in policies.text("tiers.policy").splitlines()[2:13]:
            print(f"  {line}")
        with served_zone(folder, "tiers.policy") as port:
            rods = Person(folder, "rods", "rods-demo", port)
            _resources(rods, folder)
            heading("A scan is put: it lands on the buffer, and its promises are kept at once")
            rods.types(f"iput -K {scan.name} {PLACE}", folder=scan.parent)
            _wait(rods, f"ils -l {PLACE}", lambda text: "[tape]" in text and "demoResc" in text)
            rods.types(f"ils -l {PLACE}")
            heading("The library: the bytes are on a cartridge, and were read again before they counted")
            rods.types("itape")
            heading("The disk's copy is promised for 90 days, so it cannot be trimmed")
            rods.types(f"itrim -S demoResc -N 1 {PLACE}/{scan.name}", expect_refusal=True)
            heading("Under a policy that keeps tape only, the buffer and the disk let go of it")
            short = policies.text("tiers.policy").replace(
                "  1 copy on medium = disk for 90 days after object.closed_at\n", ""
            )
            (folder / "tape_only.policy").write_text(short.replace("on disk for 90 days, on tape", "on tape"))
            rods.types(f"beamgrid policy push {folder}/zone {folder}/tape_only.policy")
            _wait(rods, f"itrim -S demoResc -N 1 {PLACE}/{scan.name}", lambda _: True)
            rods.types(f"itrim -S fast -N 1 {PLACE}/{scan.name}")
            rods.types(f"ils -l {PLACE}")
            heading("Somebody wants it: opening says where it is and makes the request")
            rods.types(f"iget -f {PLACE}/{scan.name} {folder}/back", expect_refusal=True)
            heading("The request is watched while the cartridge is mounted")
            rods.types(f"istage request {PLACE}/{scan.name} --wait")
            rods.types(f"ils -l {PLACE}")
            rods.types(f"iget -f {PLACE}/{scan.name} {folder}/back")
            same = (
                hashlib.sha256((folder / "back").read_bytes()).digest()
                == hashlib.sha256(scan.read_bytes()).digest()
            )
            if not same:
                raise SystemExit("the bytes differ from the original")
            print("  the same bytes as the original file")
        print(f"\nThe demo took {time.monotonic() - started:.0f} s and left nothing running.")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _resources(rods: Person, folder: Path) -> None:
    for command in (
        f"iadmin mkresc fast buffer localhost:{folder}/fast 'capacity=500 MB'",
        f"iadmin mkresc library tape localhost:{folder}/library '{_LIBRARY}'",
        "iadmin modresc demoResc medium disk",
        f"imkdir -p {PLACE}",
    ):
        rods.prepare(command)


def _wait(person: Person, command: str, is_so: Callable[[str], bool]) -> None:
    """Repeat a command until its output is as expected."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        done = person.ask(command)
        if done.returncode == 0 and is_so(done.stdout):
            return
        time.sleep(0.5)
    raise SystemExit(f"the demo failed: `{command}` did not come to what was expected within two minutes")
