"""Frames of a detector that is not there: rings of a powder, Bragg peaks, noise of counting, gaps between modules, dead and hot pixels.

A frame is the same whenever it is asked for: its numbers come from the seed and its number alone.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from accel.geometry import Geometry, Poni


@dataclass(frozen=True)
class Simulator:
    """A detector and what shines on it.

    Attributes:
        shape: rows and columns.
        dtype: unsigned.
        seed: of everything.
        rings: angle in degrees, height in counts, width in degrees.
        background: counts of a pixel.
        peaks: Bragg peaks of a hit, of so many counts.
        peak_counts: of one.
        hit_rate: share of frames that have peaks.
        modules: rows and columns of modules, with gaps of so many pixels between them.
        dead: share of pixels that count nothing; as many are hot. Both are in the mask, as those of a calibrated detector are.
    """

    shape: tuple[int, int] = (514, 1030)
    dtype: str = "uint16"
    seed: int = 1
    rings: tuple[tuple[float, float, float], ...] = ((4.0, 6.0, 0.15), (6.5, 12.0, 0.2), (9.0, 4.0, 0.2))
    background: float = 0.4
    peaks: int = 30
    peak_counts: float = 300.0
    hit_rate: float = 0.2
    modules: tuple[int, int] = (2, 2)
    gap: int = 8
    dead: float = 2e-4
    distance: float = 0.15
    pixel: float = 75e-6
    wavelength: float = 1e-10

    @property
    def geometry(self) -> Geometry:
        """The detector is flat, the beam goes through its middle."""
        rows, columns = self.shape
        return Poni(self.distance, rows / 2 * self.pixel, columns / 2 * self.pixel, 0, 0, 0, self.pixel, self.pixel, self.wavelength)  # fmt: skip

    def mask(self) -> NDArray[numpy.uint8]:
        """Gaps, dead pixels and hot ones."""
        return self._silent() | self._hot().astype(numpy.uint8)

    def _silent(self) -> NDArray[numpy.uint8]:
        """What never counts: gaps and dead pixels."""
        found = numpy.zeros(self.shape, numpy.uint8)
        for axis, (size, several) in enumerate(zip(self.shape, self.modules, strict=True)):
            for number in range(1, several):
                middle = size * number // several
                cut = slice(middle - self.gap // 2, middle + self.gap // 2)
                found[(cut, slice(None)) if axis == 0 else (slice(None), cut)] = 1
        random = numpy.random.default_rng([self.seed, 1])
        found[random.random(self.shape) < self.dead] = 1
        return found

    def _hot(self) -> NDArray[numpy.bool_]:
        """What always counts too much."""
        hot: NDArray[numpy.bool_] = numpy.random.default_rng([self.seed, 4]).random(self.shape) < self.dead
        return hot

    def mean(self) -> NDArray[numpy.float64]:
        """The counts that every frame would have without noise and peaks."""
        angle = numpy.degrees(self.geometry.two_theta(*self.shape))
        found = numpy.full(self.shape, self.background)
        for centre, height, width in self.rings:
            found += height * numpy.exp(-(((angle - centre) / width) ** 2) / 2)
        found *= self.geometry.solid_angle(*self.shape) * self.geometry.polarisation(*self.shape, 0.95)
        return found

    def is_hit(self, number: int) -> bool:
        """Whether a frame has peaks."""
        return bool(numpy.random.default_rng([self.seed, 2, number]).random() < self.hit_rate)

    def frame(self, number: int, mean: NDArray[numpy.float64] | None = None) -> NDArray[Any]:
        """One frame; gaps and dead pixels have the marker, hot pixels the largest count.

        Args:
            number: from 0.
            mean: what `mean` gave, so that it need not be made again.
        """
        kind = numpy.dtype(self.dtype)
        random = numpy.random.default_rng([self.seed, 3, number])
        expected = (self.mean() if mean is None else mean).copy()
        rows, columns = self.shape
        if self.is_hit(number):
            y, x = numpy.mgrid[-3:4, -3:4]
            shape = numpy.exp(-(y * y + x * x) / 2.0) / 6.28
            for row, column in zip(
                random.integers(4, rows - 4, self.peaks),
                random.integers(4, columns - 4, self.peaks),
                strict=True,
            ):
                expected[row - 3 : row + 4, column - 3 : column + 4] += shape * self.peak_counts
        top = int(numpy.iinfo(kind).max)
        counts = numpy.minimum(random.poisson(expected), top - 1).astype(kind)
        counts[self._hot()] = top - 1
        counts[self._silent() != 0] = top
        return counts


def write(path: Path, simulator: Simulator, count: int, tell: Callable[[int], None]) -> None:
    """A NeXus file with frames of a detector that is not there, compressed as detectors do it, its mask, and its geometry as a PONI file beside it.

    Args:
        path: a new file.
        simulator: the detector.
        count: frames.
        tell: is told how many are written.
    """
    import h5py
    import hdf5plugin

    squeezed, mean = dict(hdf5plugin.Bitshuffle(cname="lz4")), simulator.mean()
    with h5py.File(path, "x", libver="latest") as file:
        file.attrs.update({"NX_class": "NXroot", "default": "entry"})
        for name, kind in (("entry", "NXentry"), ("entry/data", "NXdata"), ("entry/instrument", "NXinstrument"), ("entry/instrument/detector", "NXdetector")):  # fmt: skip
            file.create_group(name).attrs["NX_class"] = kind
        file["entry"].attrs["default"], file["entry/data"].attrs["signal"] = "data", "data"
        file["entry/title"] = f"simulated, seed {simulator.seed}"
        file["entry/instrument/detector/pixel_mask"] = simulator.mask().astype(numpy.uint32)
        frames = file.create_dataset(
            "entry/data/data",
            (count, *simulator.shape),
            simulator.dtype,
            chunks=(1, *simulator.shape),
            **squeezed,
        )
        for number in range(count):
            frames[number] = simulator.frame(number, mean)
            tell(number + 1)
    rows, columns = simulator.shape
    said = {
        "poni_version": 2, "Detector": "Detector", "Detector_config": json.dumps({"pixel1": simulator.pixel, "pixel2": simulator.pixel}),
        "Distance": simulator.distance, "Poni1": rows / 2 * simulator.pixel, "Poni2": columns / 2 * simulator.pixel, "Rot1": 0, "Rot2": 0, "Rot3": 0,
        "Wavelength": simulator.wavelength,
    }  # fmt: skip
    path.with_suffix(".poni").write_text(
        "".join(f"{name}: {value}\n" for name, value in said.items()), "utf-8"
    )
