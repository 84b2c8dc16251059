"""The kernels that come with the grid, a module each: what it means in NumPy, and what a device is to do; `kernels/*.cl` is how it does it."""

from collections.abc import Mapping
from typing import Final

from accel.kernel import Shipped
from accel.shipped import (
    azimuthal,
    binned,
    correct,
    hits,
    lossy,
    parity,
    peaks,
    sparse,
    statistics,
    summary,
)

SHIPPED: Final[Mapping[str, Shipped]] = {
    module.KERNEL.name: module
    for module in (statistics, correct, summary, hits, peaks, binned, azimuthal, sparse, parity, lossy)
}
"""Name to module."""
