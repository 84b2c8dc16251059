"""Correction, and what there is to know of each corrected frame, in one pass."""

import math
from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel.errors import FramesRefused
from accel.frames import Frames, check_form
from accel.kernel import Bound, Kernel, Output, Parameter, Product, Results, Work, defines
from accel.shipped import correct
from accel.shipped.source import source_of

KERNEL: Final = Kernel(
    "summary", "1.0", "Corrects frames, and takes sum, largest value, saturated pixels and hits of them in the same pass.",
    "corrected = (x - dark) * gain / flat; total, highest and |{c > above}| over the corrected values c of valid pixels",
    "two units in the last place of float32 for pixels, relative 1e-5 for sums; a value within that of `above` may count or not",
    "b + 9 read, 4 written; the 9 from the cache where frames follow each other", source_of("summary"),
)  # fmt: skip
PARAMETERS: Final = (
    *correct.PARAMETERS,
    Parameter("above", "number", "a pixel above it is a hit", default=0.0),
)


def bind(
    shape: tuple[int, int],
    dtype: numpy.dtype[Any],
    *,
    mask: NDArray[Any] | None = None,
    dark: NDArray[Any] | None = None,
    gain: NDArray[Any] | None = None,
    flat: NDArray[Any] | None = None,
    above: float = 0.0,
) -> Bound:
    """The kernel for frames."""
    check_form(shape, dtype)
    if not math.isfinite(above):
        raise FramesRefused(f"found hits above {above}; a finite number was expected")
    own, said = correct.images(shape, mask, dark, gain, flat)
    outputs = (
        Output(numpy.float32, shape, product="corrected"), Output(numpy.float64, by_part=True), Output(numpy.float32, by_part=True),
        Output(numpy.uint32, (3,), by_part=True),
    )  # fmt: skip
    numbers = (numpy.uint32(own[0].size), numpy.float32(above))
    work = Work("summary", KERNEL.source, {**defines(dtype), "LANES": "32"}, own, numbers, outputs)
    products = (
        Product("corrected", shape, "float32", "each pixel; NaN where it is invalid"), Product("valid", (), "uint64", "pixels that count"),
        Product("total", (), "float64", "the sum of corrected values"), Product("highest", (), "float32", "the largest; -inf where no pixel is valid"),
        Product("saturated", (), "uint64", "pixels that are the overflow marker, the mask aside"), Product("hits", (), "uint64", "pixels above the level"),
    )  # fmt: skip
    return Bound(
        KERNEL, {**said, "above": above}, shape, dtype, products, work, lambda frames, _: reference(frames, own, above), _finished
    )  # fmt: skip


def reference(frames: Frames, images: correct.Images, above: float) -> Results:
    """What it means."""
    found = correct.reference(frames, *images)["corrected"]
    valid = ~numpy.isnan(found)
    saturated = numpy.zeros(len(frames), numpy.uint64)
    if frames.dtype.kind == "u":
        marked = (frames == numpy.iinfo(frames.dtype).max) & (images[0] == 0)
        saturated = marked.sum(axis=(1, 2), dtype=numpy.uint64)
    values = numpy.where(valid, found, -numpy.inf)
    return {
        "corrected": found, "valid": valid.sum(axis=(1, 2), dtype=numpy.uint64), "total": numpy.nansum(found, axis=(1, 2), dtype=numpy.float64),
        "highest": values.max(axis=(1, 2)).astype(numpy.float32), "saturated": saturated,
        "hits": (values > numpy.float32(above)).sum(axis=(1, 2), dtype=numpy.uint64),
    }  # fmt: skip


def _finished(parts: Any) -> Results:
    sums, most, counts = parts
    tally = counts.sum(axis=1, dtype=numpy.uint64)
    return {
        "total": sums.sum(axis=1), "highest": most.max(axis=1), "valid": tally[:, 0], "saturated": tally[:, 1], "hits": tally[:, 2],
    }  # fmt: skip
