"""`./run demo kernels`: frames are reduced by kernels that come with the grid and by one that a scientist writes, which a steward releases."""

import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from grid.cli.demo import Person, heading, scans, served_zone

PLACE: Final = "/demo/home/rods"

CURVE: Final = """geometry = "scan.poni"
bins = 600
polarisation = 0.95
mask = "/entry/instrument/detector/pixel_mask"
"""

KERNEL: Final = '''VERSION = "1.0"


def bright_spots(frame: Frame, level: float = 8.0, radius: between(1, 3) = 1):
    """Counts pixels that are brighter than a level and than all pixels around them."""
    spots = 0
    for y, x in pixels(frame):
        brightest = 0
        if frame[y, x] > level:
            for dy in range(-radius, radius + 1):
                for dx in range(-radius, radius + 1):
                    if valid(frame, y + dy, x + dx):
                        brightest = max(brightest, frame[y + dy, x + dx])
            if frame[y, x] >= brightest:
                spots += 1
    return {"spots": spots}
'''


def main() -> int:
    """Run it."""
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="beamgrid-demo-"))
    try:
        with served_zone(folder) as port:
            rods = Person(folder, "rods", "rods-demo", port)
            _show(rods, folder)
        kept = Path(tempfile.gettempdir()) / "beamgrid-demo-kernels.png"
        shutil.copyfile(folder / "curve.png", kept)
        print(
            f"\nThe picture is {kept}. The demo took {time.monotonic() - started:.0f} s and left nothing running."
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _show(rods: Person, folder: Path) -> None:
    heading("A detector that is not there sends 120 frames: rings, Bragg peaks, noise, gaps")
    rods.types("beamgrid kernel simulate scan.h5 --frames 120 --seed 7", folder=folder)
    rods.types(f"iput scan.h5 {PLACE}", folder=folder)
    rods.types(f"iput scan.poni {PLACE}", folder=folder)
    heading("Where kernels run, and which there are")
    rods.types("beamgrid kernel devices")
    rods.types("beamgrid kernel list")
    heading("The frames are integrated where they lie, by a job of the zone")
    (folder / "curve.toml").write_text(CURVE)
    print("curve.toml:")
    for line in CURVE.splitlines():
        print(f"  {line}")
    rods.types(
        f"ireduce {PLACE}/scan.h5 --kernel azimuthal --dataset /entry/data/data --params curve.toml",
        folder=folder,
    )
    rods.types(f"imeta ls -d {PLACE}/scan.azimuthal.nxs")
    rods.types(f"iget {PLACE}/scan.azimuthal.png curve.png", folder=folder)
    heading("A scientist writes a kernel; it is checked, and compared on the device, in NumPy and in Python")
    (folder / "bright_spots.py").write_text(KERNEL)
    for line in KERNEL.splitlines():
        print(f"  {line}")
    rods.types("beamgrid kernel check bright_spots.py", folder=folder)
    rods.types("beamgrid kernel bench bright_spots.py", folder=folder)
    heading("A steward releases it, and it is run")
    rods.types("beamgrid kernel publish bright_spots.py", folder=folder)
    rods.types(f"ireduce {PLACE}/scan.h5 --kernel bright_spots --dataset /entry/data/data", folder=folder)
    heading("A real frame of a detector, as it was stored: 3262 x 3108 pixels, bitshuffled")
    real = next((one for one in scans() if one.name.startswith("S2p5min")), None)
    if real is not None:
        rods.types(f"iput {real.name} {PLACE}", folder=real.parent)
        rods.types(f"ireduce {PLACE}/{real.name} --kernel statistics")


if __name__ == "__main__":
    raise SystemExit(main())
