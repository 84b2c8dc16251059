"""`./run demo stream`: a detector that is not there sends frames; they are looked at, some are let go, the beamline is told, and the file is judged."""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Final

import policies
from grid.cli.demo import Person, heading, served_zone

PLACE: Final = "/demo/home/rods/visit7"
FILE: Final = f"{PLACE}/scan1.nxs"
KEY: Final = "demo/nanomax/eiger#2026a"
FRAMES: Final = 600
LISTEN: Final = "tcp://127.0.0.1:31007"


def main() -> int:
    """Run it."""
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="beamgrid-demo-"))
    try:
        with served_zone(folder, "streams.policy") as port:
            rods = Person(folder, "rods", "rods-demo", port)
            _prepare(rods, folder)
            _stream(rods)
            _look(rods, folder)
        print(f"\nThe demo took {time.monotonic() - started:.0f} s and left nothing running.")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _prepare(rods: Person, folder: Path) -> None:
    heading("Rules that see every frame while it arrives; in part:")
    for line in policies.text("streams.policy").split("rule ")[1].splitlines():
        print(f"  {line}")
    heading("The detector gets a key, and the visit says what kernels are told and what the team agreed to")
    rods.types(f"beamgrid keys issue zone/authority {KEY} --role instrument --scope {PLACE}", folder=folder)
    private = next((folder / "zone/authority/private").glob("*eiger*.key"))
    shutil.copy(private, folder / "zone/keys/signing/instrument.key")
    rods.types(f"imkdir {PLACE}")
    for name, value in (("kernel.least", "10"), ("veto_threshold", "10"), ("veto_consent", "true")):
        rods.types(f"imeta set -C {PLACE} {name} {value}")


def _stream(rods: Person) -> None:
    heading("A stream is opened: rights are checked, room is kept, a gateway connects to the detector")
    rods.types(
        f"beamgrid stream open {FILE} --detector eiger --from {LISTEN} --frames {FRAMES} --frame-size '1.1 MB'"
    )
    (opened,) = json.loads(rods.ask("beamgrid stream status --json").stdout)
    told: list[dict[str, object]] = []
    listener = threading.Thread(target=_listen, args=(opened["figures"]["events"], told), daemon=True)
    listener.start()
    heading(f"A detector that is not there sends {FRAMES} frames of 514 x 1030 pixels, 150 a second")
    print(f"$ beamgrid simulate-detector --frames {FRAMES} --rate 150 --listen {LISTEN}")
    detector = subprocess.Popen(
        [sys.executable, "-m", "grid.cli.main", "simulate-detector", "--frames", str(FRAMES), "--rate", "150", "--listen", LISTEN],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(3)
    rods.types("beamgrid stream status")
    print("$ beamgrid stream watch")
    while json.loads(rods.ask("beamgrid stream status --ended --json").stdout)[0]["state"] not in (
        "done",
        "failed",
    ):
        time.sleep(0.2)
    detector.wait(timeout=60)
    rods.types("beamgrid stream status --ended")
    listener.join(timeout=10)
    heading("What the beamline was told meanwhile")
    kinds = [str(one["kind"]) for one in told]
    print("  " + ", ".join(f"{kinds.count(kind)} x {kind}" for kind in dict.fromkeys(kinds)))
    for one in [one for one in told if one["kind"] == "instrument_feedback"][:3]:
        print(f"  {one['channel']}: {one['value']}")


def _listen(address: str, told: list[dict[str, object]]) -> None:
    """Everything that is told until the stream ends."""
    with urllib.request.urlopen(address, timeout=60) as answer:
        for line in answer:
            if line.startswith(b"data: "):
                told.append(json.loads(line[6:]))


def _look(rods: Person, folder: Path) -> None:
    heading(
        "The frames are data objects: joined, as the detector sent them, and what the kernel made of them"
    )
    rods.types(f"ils -l {PLACE}")
    rods.types(f"imeta ls -d {FILE}")
    rods.types(f"iget -r {PLACE}", folder=folder)
    heading("Anybody judges the file from its own bytes; the root is the one that the instrument signed")
    rods.types("beamgrid stream check visit7/scan1.nxs", folder=folder)
    deadline = time.monotonic() + 20
    while " logged " not in rods.ask(f"iprov log {FILE}").stdout and time.monotonic() < deadline:
        time.sleep(0.3)
    rods.types(f"iprov log {FILE}")
    heading("Somebody changes one byte of a frame")
    file = folder / "visit7/scan1_000001.h5"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    rods.types("beamgrid stream check visit7/scan1.nxs", folder=folder, expect_refusal=True)
