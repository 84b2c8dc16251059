"""Zero suppression."""

from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel.frames import Frames, check_form, checked_mask, is_valid
from accel.kernel import Bound, Kernel, Output, Parameter, Product, Results, Work, defines, digest_of
from accel.shipped.levels import least_above
from accel.shipped.source import source_of

KERNEL: Final = Kernel(
    "sparse", "1.0", "The pixels above a level, by number and value, and nothing of the others.", "{(i, x[i]) : x[i] in V, x[i] > above}, i in order",
    "", "b + 1 read, 4 + b written for each pixel that is kept", source_of("sparse"),
)  # fmt: skip
PARAMETERS: Final = (
    Parameter("mask", "image", "pixels that are not 0 there are left out", optional=True),
    Parameter("above", "number", "the level, in counts", default=0.0),
)


def bind(
    shape: tuple[int, int], dtype: numpy.dtype[Any], *, mask: NDArray[Any] | None = None, above: float = 0.0
) -> Bound:
    """The kernel for frames."""
    check_form(shape, dtype)
    own = checked_mask(mask, shape)
    count = own.size
    outputs = (Output(numpy.uint32, (count,)), Output(dtype, (count,)), Output(numpy.uint32, by_part=True))
    work = Work(
        "sparse", KERNEL.source, defines(dtype), (own, least_above([above], dtype)), (numpy.uint32(count),), outputs
    )  # fmt: skip
    products = (
        Product("kept", (), "uint32", "pixels of each frame that are kept"), Product("numbers", (), "uint32", "their numbers: row * columns + column", listed="kept"),
        Product("values", (), dtype.name, "their values", "counts", listed="kept"),
    )  # fmt: skip
    said = {"above": above, **({} if mask is None else {"mask": digest_of(own)})}
    return Bound(
        KERNEL, said, shape, dtype, products, work, lambda frames, _: reference(frames, own, above), _finished
    )


def reference(frames: Frames, mask: NDArray[Any], above: float) -> Results:
    """What it means."""
    flat = (is_valid(frames, mask) & (frames.astype(numpy.float64) > above)).reshape(len(frames), mask.size)
    number, pixels = numpy.nonzero(flat)
    values = frames.reshape(len(frames), mask.size)[number, pixels]
    return {"kept": flat.sum(axis=1, dtype=numpy.uint32), "numbers": pixels.astype(numpy.uint32), "values": values}  # fmt: skip


def _finished(written: Any) -> Results:
    numbers, values, counts = written
    size, parts = numbers.shape[1], counts.shape[1]
    each = -(-size // parts)
    begins = numpy.minimum(numpy.arange(parts) * each, size)
    own = [
        (frame, slice(begins[part], begins[part] + counts[frame, part]))
        for frame, part in zip(*numpy.nonzero(counts), strict=True)
    ]
    if not own:
        return {"kept": counts.sum(axis=1, dtype=numpy.uint32), "numbers": numbers[:0, 0], "values": values[:0, 0]}  # fmt: skip
    return {
        "kept": counts.sum(axis=1, dtype=numpy.uint32),
        "numbers": numpy.concatenate([numbers[one] for one in own]),
        "values": numpy.concatenate([values[one] for one in own]),
    }
