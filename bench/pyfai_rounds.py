"""Integrates frames with pyFAI whenever it is asked to; a program of the environment of `requirements-checkers.lock`.

Arguments: a folder with `frames.npy`, `mask.npy` and `said.json`. Standard input: a line for each round, `none` or `bbox`; standard output: the seconds that a
frame took with the quickest method, and after `curve none|bbox` the file with its curve.
"""

import json
import sys
import time
from pathlib import Path

import numpy
from pyFAI.detectors import Detector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

folder = Path(sys.argv[1])
frames, mask = numpy.load(folder / "frames.npy"), numpy.load(folder / "mask.npy")
said = json.loads((folder / "said.json").read_text())
detector = Detector(said["pixel"], said["pixel"], max_shape=frames.shape[1:])
integrator = AzimuthalIntegrator(
    said["distance"], said["poni1"], said["poni2"], 0, 0, 0, detector=detector, wavelength=1e-10
)
METHODS = {
    split: [
        (cut, algorithm, code) for algorithm in ("csr", "histogram", "lut") for code in ("cython", "opencl")
    ]
    for split, cut in (("none", "no"), ("bbox", "bbox"))
}


def integrate(frame, method):
    return integrator.integrate1d(
        frame, said["bins"], mask=mask, unit="2th_deg", radial_range=tuple(said["range"]), method=method, polarization_factor=said["polarisation"],
        correctSolidAngle=True, safe=False,
    )  # fmt: skip


def quickest(split):
    best = {}
    for method in METHODS[split]:
        try:
            integrate(frames[0], method)
            began = time.perf_counter()
            integrate(frames[0], method)
            best[method] = time.perf_counter() - began
        except Exception as error:  # a method that this machine has no device for
            print(f"{method}: {error}", file=sys.stderr)
    return min(best, key=best.get)


chosen = {split: quickest(split) for split in METHODS}
print(json.dumps({split: "/".join(method) for split, method in chosen.items()}), flush=True)
for line in sys.stdin:
    split = line.strip()
    began = time.perf_counter()
    for frame in frames:
        found = integrate(frame, chosen[split])
    spent = (time.perf_counter() - began) / len(frames)
    numpy.save(folder / f"{split}.npy", numpy.asarray(found.intensity))
    print(spent, flush=True)
