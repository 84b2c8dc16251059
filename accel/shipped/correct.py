"""Dark, gain and flat field, and what is invalid as NaN."""

from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel.errors import FramesRefused
from accel.frames import Frames, check_form, checked_mask, image, is_valid
from accel.kernel import Bound, Kernel, Output, Parameter, Product, Results, Work, defines, digest_of
from accel.shipped.source import source_of

KERNEL: Final = Kernel(
    "correct", "2.0", "Dark, gain and flat field, with what is invalid as NaN.", "(x - dark) * gain / flat", "two units in the last place of float32",
    "b + 9 read, 4 written; the 9 from the cache where frames follow each other", source_of("correct"),
)  # fmt: skip
PARAMETERS: Final = (
    Parameter("mask", "image", "pixels that are not 0 there do not count", optional=True),
    Parameter("dark", "image", "what is there without a beam", optional=True),
    Parameter("gain", "image", "counts to what they mean", optional=True),
    Parameter("flat", "image", "the response to an even illumination; where it is 0 or not finite a pixel does not count", optional=True),
)  # fmt: skip

Images = tuple[NDArray[numpy.uint8], NDArray[numpy.float32], NDArray[numpy.float32]]


def images(
    shape: tuple[int, int],
    mask: NDArray[Any] | None,
    dark: NDArray[Any] | None,
    gain: NDArray[Any] | None,
    flat: NDArray[Any] | None,
) -> tuple[Images, dict[str, str]]:
    """Mask, dark, and gain over flat, as the kernel reads them, and the digests of what was given.

    Raises:
        FramesRefused: one has another shape.
    """
    given = {"mask": mask, "dark": dark, "gain": gain, "flat": flat}
    said = {name: digest_of(array) for name, array in given.items() if array is not None}
    ones = numpy.ones(shape, numpy.float32)
    factor = image("gain", ones if gain is None else gain, shape)
    own = checked_mask(mask, shape)
    if flat is not None:
        divisor = image("flat", flat, shape)
        usable = numpy.isfinite(divisor) & (divisor != 0)
        factor = numpy.where(usable, factor / numpy.where(usable, divisor, 1), 0).astype(numpy.float32)
        own = own | (~usable).astype(numpy.uint8)
    subtracted = image("dark", numpy.zeros(shape) if dark is None else dark, shape)
    if not numpy.isfinite(subtracted).all() or not numpy.isfinite(factor).all():
        raise FramesRefused("found a dark or a gain that is no finite number; mask such pixels, and say 0")
    return (own, subtracted, factor), said


def bind(
    shape: tuple[int, int],
    dtype: numpy.dtype[Any],
    *,
    mask: NDArray[Any] | None = None,
    dark: NDArray[Any] | None = None,
    gain: NDArray[Any] | None = None,
    flat: NDArray[Any] | None = None,
) -> Bound:
    """The kernel for frames."""
    check_form(shape, dtype)
    own, said = images(shape, mask, dark, gain, flat)
    outputs = (Output(numpy.float32, shape, product="corrected"),)
    work = Work("correct", KERNEL.source, defines(dtype), own, (numpy.uint32(own[0].size),), outputs)
    products = (Product("corrected", shape, "float32", "each pixel; NaN where it is invalid"),)
    return Bound(KERNEL, said, shape, dtype, products, work, lambda frames, _: reference(frames, *own))


def reference(
    frames: Frames, mask: NDArray[Any], dark: NDArray[numpy.float32], factor: NDArray[numpy.float32]
) -> Results:
    """What it means."""
    with numpy.errstate(all="ignore"):  # what is not finite does not count
        found = (frames.astype(numpy.float32) - dark) * factor
    nan = numpy.float32(numpy.nan)
    return {"corrected": numpy.where(is_valid(frames, mask), found, nan).astype(numpy.float32)}
