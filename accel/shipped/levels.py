"""Thresholds as kernels compare with them: the smallest value that is above one."""

import math
from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel.errors import FramesRefused

MOST_LEVELS: Final = 64


def least_above(thresholds: list[float], dtype: numpy.dtype[Any]) -> NDArray[Any]:
    """The smallest value of a type that is above each threshold: `uint32` for whole numbers, `float32` for floating point.

    Valid whole numbers are neither negative nor 2^32 - 1, so this is exact for every threshold.

    Raises:
        FramesRefused: too many, or no finite numbers.
    """
    if len(thresholds) > MOST_LEVELS or not all(math.isfinite(one) for one in thresholds):
        raise FramesRefused(
            f"found the thresholds {thresholds}; {MOST_LEVELS} finite numbers at the most were expected"
        )
    if dtype.kind != "f":
        return numpy.array([min(max(math.floor(one) + 1, 0), 0xFFFFFFFF) for one in thresholds], numpy.uint32)
    with numpy.errstate(over="ignore"):
        near = numpy.array(thresholds, numpy.float64).astype(numpy.float32)
        above = near.astype(numpy.float64) > numpy.array(thresholds, numpy.float64)
        return numpy.where(above, near, numpy.nextafter(near, numpy.float32(numpy.inf))).astype(numpy.float32)
