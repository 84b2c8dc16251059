"""Where pixels look: scattering angles of a detector, from a PONI file or from the arm and rotation of a goniometer.

Source: the PONI file and its geometry, as pyFAI documents them (distance, point of normal incidence, rotations 1 to 3 in this order, left-handed 1 and 2);
the two-theta model of B. Vinter's talk on reduction at beamlines, 2019.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

import numpy
from numpy.typing import NDArray

from accel.errors import FramesRefused

Angles = NDArray[numpy.float64]


class Geometry(Protocol):
    """Where pixels look."""

    @property
    def wavelength(self) -> float:
        """In m; 0 where it is not known."""

    def two_theta(self, rows: int, columns: int, *, corners: bool = False) -> Angles:
        """The scattering angle of every pixel, or of every corner (rows + 1, columns + 1), in radians."""

    def solid_angle(self, rows: int, columns: int) -> Angles:
        """Each pixel's solid angle over that of one at the point of normal incidence."""

    def polarisation(self, rows: int, columns: int, factor: float) -> Angles:
        """What a polarised beam scatters into each pixel; `factor` from -1 (vertical) to 1 (horizontal)."""

    def said(self) -> dict[str, Any]:
        """Its numbers, as results name them."""


@dataclass(frozen=True, slots=True)
class ArmGeometry:
    """A flat detector on an arm.

    Attributes:
        n0, m0: the pixel that the arm points at, in pixels; N counts along the arm's turn, M across it.
        wn, wm: size of a pixel over the distance, without a unit.
        phi: rotation of the detector in its plane, in radians.
        delta: angle of the arm, in radians.
    """

    n0: float
    m0: float
    wn: float
    wm: float
    phi: float = 0.0
    delta: float = 0.0
    wavelength: float = 0.0

    def two_theta(self, rows: int, columns: int, *, corners: bool = False) -> Angles:
        """The scattering angle of every pixel, in radians, as (rows, columns): rows are M, columns N."""
        x, y, z = self._positions(rows, columns, corners)
        found: Angles = numpy.arccos(numpy.clip(x / numpy.sqrt(x * x + y * y + z * z), -1.0, 1.0))
        return found

    def solid_angle(self, rows: int, columns: int) -> Angles:
        """Each pixel's solid angle over that of one at the point of normal incidence: the cube of the cosine of its angle to the normal."""
        m, n = _grid(rows, columns, 0.0, corners=False)
        found: Angles = (1 + ((n - self.n0) * self.wn) ** 2 + ((m - self.m0) * self.wm) ** 2) ** -1.5
        return found

    def polarisation(self, rows: int, columns: int, factor: float) -> Angles:
        """What a polarised beam scatters into each pixel; `factor` from -1 to 1, 1 for a beam that is polarised in the plane of the arm's turn."""
        _, y, z = self._positions(rows, columns, False)
        return _polarised(self.two_theta(rows, columns), numpy.arctan2(z, y), factor)

    def said(self) -> dict[str, Any]:
        """Its numbers, as results name them."""
        return {"model": "arm", **asdict(self)}

    def _positions(self, rows: int, columns: int, corners: bool) -> tuple[Angles, Angles, Angles]:
        """Along the beam, in the plane of the arm's turn, and across it; over the distance."""
        m, n = _grid(rows, columns, 0.0, corners=corners)
        along, across = (n - self.n0) * self.wn, (m - self.m0) * self.wm
        tn = math.cos(self.phi) * along - math.sin(self.phi) * across
        tm = math.sin(self.phi) * along + math.cos(self.phi) * across
        x = math.cos(self.delta) - math.sin(self.delta) * tn
        y = math.sin(self.delta) + math.cos(self.delta) * tn
        return x, y, tm


@dataclass(frozen=True, slots=True)
class Poni:
    """A geometry as pyFAI writes it.

    Attributes:
        distance: from the sample to the plane of the detector, in m.
        poni1, poni2: where the normal through the sample meets it, along rows and columns, in m.
        rot1, rot2, rot3: rotations, in radians.
        pixel1, pixel2: size of a pixel along rows and columns, in m.
        wavelength: in m; 0 where the file does not say.
    """

    distance: float
    poni1: float
    poni2: float
    rot1: float
    rot2: float
    rot3: float
    pixel1: float
    pixel2: float
    wavelength: float = 0.0

    def positions(self, rows: int, columns: int, *, corners: bool = False) -> tuple[Angles, Angles, Angles]:
        """The centre, or the corners, of every pixel in the laboratory, in m: along rows, along columns, along the beam."""
        m, n = _grid(rows, columns, 0.5, corners=corners)
        y, x = m * self.pixel1 - self.poni1, n * self.pixel2 - self.poni2
        place = numpy.stack([y, x, numpy.full_like(y, self.distance)])
        turned = numpy.tensordot(self._rotation(), place, axes=1)
        return turned[0], turned[1], turned[2]

    def two_theta(self, rows: int, columns: int, *, corners: bool = False) -> Angles:
        """The scattering angle of every pixel, in radians, as (rows, columns)."""
        first, second, beam = self.positions(rows, columns, corners=corners)
        found: Angles = numpy.arctan2(numpy.hypot(first, second), beam)
        return found

    def chi(self, rows: int, columns: int) -> Angles:
        """The azimuth of every pixel around the beam, in radians."""
        first, second, _ = self.positions(rows, columns)
        found: Angles = numpy.arctan2(first, second)
        return found

    def solid_angle(self, rows: int, columns: int) -> Angles:
        """Each pixel's solid angle over that of one at the point of normal incidence: the cube of the cosine of its angle to the normal."""
        y = (numpy.arange(rows) + 0.5) * self.pixel1 - self.poni1
        x = (numpy.arange(columns) + 0.5) * self.pixel2 - self.poni2
        distance = numpy.sqrt(self.distance**2 + y[:, None] ** 2 + x[None, :] ** 2)
        found: Angles = (self.distance / distance) ** 3
        return found

    def polarisation(self, rows: int, columns: int, factor: float) -> Angles:
        """What a polarised beam scatters into each pixel; `factor` from -1 (vertical) to 1 (horizontal)."""
        return _polarised(self.two_theta(rows, columns), self.chi(rows, columns), factor)

    def said(self) -> dict[str, Any]:
        """Its numbers, as results name them."""
        return {"model": "poni", **asdict(self)}

    def _rotation(self) -> NDArray[numpy.float64]:
        c1, c2, c3 = (math.cos(angle) for angle in (self.rot1, self.rot2, self.rot3))
        s1, s2, s3 = (math.sin(angle) for angle in (self.rot1, self.rot2, self.rot3))
        about1 = numpy.array([[1, 0, 0], [0, c1, s1], [0, -s1, c1]])
        about2 = numpy.array([[c2, 0, -s2], [0, 1, 0], [s2, 0, c2]])
        about3 = numpy.array([[c3, -s3, 0], [s3, c3, 0], [0, 0, 1]])
        turned: NDArray[numpy.float64] = about3 @ about2 @ about1
        return turned


def _grid(rows: int, columns: int, centre: float, *, corners: bool) -> tuple[Angles, Angles]:
    """Row and column of every pixel's centre, which lies `centre` from its number, or of every corner."""
    more, begin = (1, centre - 0.5) if corners else (0, centre)
    m, n = numpy.meshgrid(numpy.arange(rows + more) + begin, numpy.arange(columns + more) + begin, indexing="ij")  # fmt: skip
    return m, n


def _polarised(two_theta: Angles, chi: Angles, factor: float) -> Angles:
    cosine = numpy.cos(two_theta) ** 2
    found: Angles = 0.5 * (1 + cosine - factor * numpy.cos(2 * chi) * (1 - cosine))
    return found


_FIELDS: Final = {
    "distance": "distance", "poni1": "poni1", "poni2": "poni2", "rot1": "rot1", "rot2": "rot2", "rot3": "rot3", "wavelength": "wavelength",
}  # fmt: skip


def read_poni(text: str) -> Poni:
    """A geometry from the text of a PONI file, of version 1 or 2.

    Raises:
        FramesRefused: a field is missing, no number, or the detector's pixels are not said.
    """
    said: dict[str, str] = {}
    for line in text.splitlines():
        name, divided, value = line.partition("#")[0].partition(":")
        if divided:
            said[name.strip().lower()] = value.strip()
    config: dict[str, Any] = {}
    if "detector_config" in said:
        try:
            config = json.loads(said["detector_config"])
        except ValueError as error:
            raise FramesRefused(f"`Detector_config` of a PONI file is no JSON: {error}") from error
    numbers: dict[str, float] = {}
    for key, name in _FIELDS.items():
        if key in said or key != "wavelength":
            numbers[name] = _number(key, said.get(key))
    for field in ("pixel1", "pixel2"):
        numbers[field] = _number(field, config.get(field, said.get(f"pixelsize{field[-1]}")))
    if min(numbers["distance"], numbers["pixel1"], numbers["pixel2"]) <= 0:
        raise FramesRefused("the distance and the pixels' sizes of a PONI file are above 0")
    return Poni(**numbers)


def _number(name: str, value: object) -> float:
    try:
        found = float(str(value))
    except ValueError as error:
        raise FramesRefused(f"found `{value}` as `{name}` of a PONI file; a number was expected") from error
    if not math.isfinite(found):
        raise FramesRefused(f"found `{value}` as `{name}` of a PONI file; a finite number was expected")
    return found


def of_table(said: Mapping[str, Any]) -> ArmGeometry:
    """The geometry of an arm from a table of its numbers.

    Raises:
        FramesRefused: a number is missing, unknown, or none.
    """
    known = {"n0", "m0", "wn", "wm", "phi", "delta", "wavelength"}
    unknown, missing = set(said) - known, {"n0", "m0", "wn", "wm"} - set(said)
    if unknown or missing:
        found = f"without {', '.join(sorted(missing))}" if missing else f"with {', '.join(sorted(unknown))}"
        raise FramesRefused(
            f"found the geometry of an arm {found}; n0, m0, wn, wm, and phi, delta, wavelength were expected"
        )
    for name, value in said.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise FramesRefused(f"found `{value}` as `{name}` of an arm; a finite number was expected")
    if not (said["wn"] > 0 and said["wm"] > 0):
        raise FramesRefused("the sizes of an arm's pixels are above 0")
    return ArmGeometry(**{name: float(value) for name, value in said.items()})
