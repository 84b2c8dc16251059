"""Scattering angles: of an arm by the model's own formula, of a PONI file by hand and against the arm where both say the same."""

import json
import math
import subprocess
from pathlib import Path

import numpy
import pytest

from accel.errors import FramesRefused
from accel.geometry import ArmGeometry, Poni, read_poni
from tests.unit.accel.test_program import PONI
from tests.unit.provenance.test_exports import checker


def test_the_formula_of_the_arm_in_single_steps() -> None:
    arm = ArmGeometry(n0=10.5, m0=7.25, wn=0.0015, wm=0.0011, phi=0.2, delta=0.6)
    found = arm.two_theta(20, 30)
    for m, n in ((0, 0), (19, 29), (7, 11), (3, 25)):
        tn = math.cos(0.2) * (n - 10.5) * 0.0015 - math.sin(0.2) * (m - 7.25) * 0.0011
        tm = math.sin(0.2) * (n - 10.5) * 0.0015 + math.cos(0.2) * (m - 7.25) * 0.0011
        x, y, z = math.cos(0.6) - math.sin(0.6) * tn, math.sin(0.6) + math.cos(0.6) * tn, tm
        assert found[m, n] == pytest.approx(math.acos(x / math.sqrt(x * x + y * y + z * z)), abs=1e-15)


def test_the_pixel_that_the_arm_points_at_is_at_its_angle() -> None:
    assert ArmGeometry(5, 5, 0.001, 0.001, 0.3, 0.7).two_theta(11, 11)[5, 5] == pytest.approx(0.7)


@pytest.mark.parametrize("delta", [0.0, 0.1, 0.5, 1.2, -0.4])
def test_an_arm_and_a_poni_file_that_say_the_same_agree(delta: float) -> None:
    """An arm that turns in the plane of the columns is the first rotation of a PONI file."""
    distance, pixel = 0.2, 75e-6
    arm = ArmGeometry(100.0, 80.0, pixel / distance, pixel / distance, 0.0, delta)
    poni = Poni(distance, 80.5 * pixel, 100.5 * pixel, delta, 0.0, 0.0, pixel, pixel)
    assert abs(arm.two_theta(160, 200) - poni.two_theta(160, 200)).max() < 1e-7  # an arc cosine near 0


GEOMETRIES = [
    (0.2, 0.006, 0.0075, 0, 0, 0, 75e-6, 1e-4, 40, 50, 0.9), (0.2, 0.006, 0.0075, 0.5, 0, 0, 75e-6, 1e-4, 40, 50, 0.0),
    (0.1, 0.001, 0.002, 0.1, 0.2, 0, 75e-6, 1e-4, 40, 50, 1.0), (0.1, 0.001, 0.002, 0.1, -0.2, 0.3, 75e-6, 1e-4, 40, 50, -1.0),
    (0.3, -0.01, 0.02, -0.4, 0.25, -1.1, 75e-6, 1e-4, 40, 50, 0.5),
]  # fmt: skip


def test_pyfai_says_the_same() -> None:
    """To what single precision holds, in which pyFAI keeps some of these arrays."""
    program = Path(__file__).with_name("pyfai_check.py")
    done = subprocess.run(
        [checker("python"), program],
        input=json.dumps(GEOMETRIES),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for (*place, pixel1, pixel2, rows, columns, factor), said in zip(
        GEOMETRIES, json.loads(done.stdout), strict=True
    ):
        poni = Poni(*place, pixel1, pixel2)
        assert abs(poni.two_theta(rows, columns) - said["two_theta"]).max() < 1e-6
        turn = numpy.exp(1j * (poni.chi(rows, columns) - numpy.array(said["chi"])))
        assert abs(numpy.angle(turn)).max() < 1e-6
        assert abs(poni.solid_angle(rows, columns) - said["solid_angle"]).max() < 1e-6
        assert abs(poni.polarisation(rows, columns, factor) - said["polarisation"]).max() < 1e-6


def test_a_flat_detector_by_hand() -> None:
    poni = Poni(0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.001, 0.002)
    assert poni.two_theta(3, 3)[0, 0] == pytest.approx(math.atan2(math.hypot(0.0005, 0.001), 0.1))
    assert poni.solid_angle(3, 3)[2, 1] == pytest.approx((0.1 / math.sqrt(0.01 + 0.0025**2 + 0.003**2)) ** 3)
    assert poni.chi(3, 3)[0, 0] == pytest.approx(math.atan2(0.0005, 0.001))
    assert numpy.allclose(poni.polarisation(3, 3, 0.0), 0.5 * (1 + numpy.cos(poni.two_theta(3, 3)) ** 2))


def test_a_poni_file_is_read() -> None:
    found = read_poni(PONI)
    assert found == Poni(0.05, 0.00075, 0.0011, 0.01, 0.0, 0.0, 7.5e-5, 7.5e-5, 1e-10)
    old = "PixelSize1: 0.0001\nPixelSize2: 0.0002\nDistance: 0.1\nPoni1: 0\nPoni2: 0\nRot1: 0\nRot2: 0\nRot3: 0\n"
    assert (read_poni(old).pixel1, read_poni(old).wavelength) == (0.0001, 0.0)


@pytest.mark.parametrize(("change", "message"), [
    (("Distance: 0.05", ""), "found `None` as `distance`"), (("Distance: 0.05", "Distance: far"), "found `far` as `distance`"),
    (("Rot1: 0.01", "Rot1: nan"), "a finite number"), (("Distance: 0.05", "Distance: -1"), "above 0"), (('{"pixel1"', '{pixel1'), "is no JSON"),
    (('"pixel1": 7.5e-05, ', ""), "as `pixel1`"),
])  # fmt: skip
def test_what_is_no_geometry(change: tuple[str, str], message: str) -> None:
    with pytest.raises(FramesRefused, match=message):
        read_poni(PONI.replace(*change))
