"""Prints what pyFAI says of detector geometries; it runs in the environment of `requirements-checkers.lock`, as a program.

Standard input: JSON, a list of [distance, poni1, poni2, rot1, rot2, rot3, pixel1, pixel2, rows, columns, polarisation].
"""

import json
import sys

from pyFAI.detectors import Detector
from pyFAI.geometry import Geometry

found = []
for *place, pixel1, pixel2, rows, columns, factor in json.load(sys.stdin):
    shape = (rows, columns)
    geometry = Geometry(*place, detector=Detector(pixel1, pixel2, max_shape=shape), wavelength=1e-10)
    found.append({
        "two_theta": geometry.center_array(shape, "2th_rad").tolist(), "chi": geometry.center_array(shape, "chi_rad").tolist(),
        "solid_angle": geometry.solidAngleArray(shape).tolist(), "polarisation": geometry.polarization(shape, factor=factor).tolist(),
    })  # fmt: skip
json.dump(found, sys.stdout)
