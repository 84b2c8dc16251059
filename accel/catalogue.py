"""The kernels that come with the grid: name, version, what each takes and gives, and the digest of its source.

Source and digest are of the text as it is compiled; a result names them, so that anybody can tell which kernel made it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Final

import numpy


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel.

    Attributes:
        name: as rules and programs name it.
        version: changes whenever results may.
        summary: one sentence.
        formula: what it computes, for who reads about it.
        tolerance: how far a device's result may be from the reference's, in words; empty for exact.
        traffic: bytes read and written for a pixel of b bytes.
    """

    name: str
    version: str
    summary: str
    formula: str
    tolerance: str
    traffic: str

    @property
    def source(self) -> str:
        """The OpenCL C that is compiled."""
        return _text("common.cl") + _text(f"{self.name}.cl")

    @property
    def digest(self) -> str:
        """SHA-256 of name, version and source, in hexadecimal digits."""
        return hashlib.sha256(f"{self.name} {self.version}\n{self.source}".encode()).hexdigest()


@lru_cache(maxsize=32)
def _text(name: str) -> str:
    return resources.files(__package__).joinpath("kernels", name).read_text("utf-8")


KERNELS: Final[Mapping[str, Kernel]] = {
    one.name: one
    for one in (
        Kernel(
            "statistics", "1.0", "Sum, sum of squares, extremes, saturated pixels and counts above thresholds, for each frame.",
            "valid = |V|, total = sum of x in V, squares = sum of x*x in V, above[t] = |{x in V : x > t}|, V the valid pixels",
            "exact for whole numbers; relative 1e-12 for the sums of floating point", "b + 1 read",
        ),
        Kernel(
            "correct", "1.0", "Dark, gain and flat field, with what is invalid as NaN.", "(x - dark) * factor",
            "two units in the last place of float32", "b + 9 read, 4 written",
        ),
        Kernel(
            "binned", "1.0", "Sums over squares of pixels of a region, and how many pixels of each are valid.",
            "sums[y, x] = sum over the n * n pixels of the square that are valid", "exact for whole numbers; relative 1e-12 for floating point",
            "b + 1 read, 12 / n^2 written",
        ),
        Kernel(
            "azimuthal", "1.0", "Azimuthal integration without splitting pixels: intensity and its deviation over bins of an angle.",
            "I[b] = sum of x / sum of w, sigma[b] = sqrt(sum of x) / sum of w, over the valid pixels of bin b with normalisation w",
            "relative 1e-12", "b + 9 read, 20 bins a work-item written",
        ),
        Kernel(
            "peaks", "1.0", "Pixels that stand out of the mean of their surroundings by so many times the noise of counting.",
            "x > least, the largest of its 3 x 3, and (n x - s)^2 > ratio^2 n max(s, n), over the n pixels around it whose sum is s",
            "exact for whole numbers", "b + 1 read, 1 written, and the surroundings of candidates",
        ),
    )
}  # fmt: skip
"""Name to kernel."""

_C_TYPES: Final = {"uint8": "uchar", "uint16": "ushort", "uint32": "uint", "int32": "int", "float32": "float"}
_KINDS: Final = {"u": "0", "i": "1", "f": "2"}


def defines(dtype: numpy.dtype[Any]) -> dict[str, str]:
    """What a kernel's source is compiled with for pixels of a type."""
    if dtype.kind == "f":
        smallest, largest = "(-INFINITY)", "INFINITY"
    else:
        limits = numpy.iinfo(dtype)
        # the smallest int has no literal of its own in C
        smallest, largest = (
            (f"({limits.min + 1}-1)" if limits.min < 0 else "0"),
            f"{limits.max}{'u' if dtype.kind == 'u' else ''}",
        )
    mark = f"{numpy.iinfo(dtype).max}u" if dtype.kind == "u" else "0"
    return {
        "T": _C_TYPES[dtype.name],
        "KIND": _KINDS[dtype.kind],
        "MARK": mark,
        "SMALLEST": smallest,
        "LARGEST": largest,
    }
