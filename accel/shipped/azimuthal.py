"""Azimuthal integration: curves over the scattering angle."""

from collections.abc import Sequence
from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel.errors import FramesRefused
from accel.frames import Frames, check_form, checked_mask, is_valid
from accel.geometry import Angles, Geometry
from accel.kernel import Bound, Kernel, Output, Parameter, Product, Results, Work, defines, digest_of
from accel.shipped.source import source_of

MOST_BINS: Final = 65_536
WAYS: Final = 2
"""Numbers that each bin is added to in turn."""

KERNEL: Final = Kernel(
    "azimuthal", "2.0", "Azimuthal integration, with or without splitting pixels: intensity and its deviation over bins of an angle.",
    "I[b] = sum of s x / sum of s w, sigma[b] = sqrt(sum of s^2 max(x, 0)) / sum of s w, over the valid pixels, of which a share s lies in bin b;"
    " w is solid angle times polarisation. Shares are 0 or 1 without splitting; with it a pixel is even between its centre less and plus"
    " the largest distance of its corners",
    "relative 1e-12", "b + 4 read without splitting, b + 4 + 8 a bin that a pixel touches with it; 28 bins a work-item written", source_of("azimuthal"),
)  # fmt: skip
PARAMETERS: Final = (
    Parameter("geometry", "geometry", "a PONI file, or the table of an arm: n0, m0, wn, wm, phi, delta"),
    Parameter("mask", "image", "pixels that are not 0 there do not count", optional=True),
    Parameter("bins", "whole", "how many", default=1000, least=1, most=MOST_BINS),
    Parameter("unit", "choice", "what the bins are of", default="2th_deg", choices=("2th_deg", "2th_rad", "q_nm^-1", "q_A^-1")),
    Parameter("range", "numbers", "lowest and highest value; those of the frame without", optional=True),
    Parameter("splitting", "choice", "whether pixels are split between bins", default="none", choices=("none", "bbox")),
    Parameter("solid_angle", "choice", "whether it is divided by", default="yes", choices=("yes", "no")),
    Parameter("polarisation", "number", "of the beam, from -1 (vertical) to 1 (horizontal); not divided by without", optional=True, least=-1, most=1),
    Parameter("variance", "choice", "whether the deviation from counting is made", default="yes", choices=("yes", "no")),
)  # fmt: skip

_UNITS: Final = {"2th_deg": ("two_theta", "deg"), "2th_rad": ("two_theta", "rad"), "q_nm^-1": ("q", "1/nm"), "q_A^-1": ("q", "1/angstrom")}  # fmt: skip


def bind(
    shape: tuple[int, int], dtype: numpy.dtype[Any], *, geometry: Geometry, mask: NDArray[Any] | None = None, bins: int = 1000,
    unit: str = "2th_deg", range: tuple[float, float] | None = None, splitting: str = "none", solid_angle: str = "yes",
    polarisation: float | None = None, variance: str = "yes",
) -> Bound:  # fmt: skip
    """The kernel for frames."""
    check_form(shape, dtype)
    if not 1 <= bins <= MOST_BINS:
        raise FramesRefused(f"found {bins} bins; 1 to {MOST_BINS} were expected")
    own = checked_mask(mask, shape)
    centres, reach = _extents(geometry, shape, unit, split=splitting == "bbox")
    edges = _edges(centres, reach, bins, range)
    factor = numpy.ones(shape)
    if solid_angle == "yes":
        factor = factor * geometry.solid_angle(*shape)
    if polarisation is not None:
        factor = factor * geometry.polarisation(*shape, polarisation)
    said = {
        "geometry": geometry.said(), "bins": bins, "unit": unit, "range": [float(edges[0]), float(edges[-1])], "splitting": splitting,
        "solid_angle": solid_angle, "polarisation": polarisation, "variance": variance, **({} if mask is None else {"mask": digest_of(own)}),
    }  # fmt: skip
    name, axis_unit = _UNITS[unit]
    axis = (name, axis_unit, (edges[1:] + edges[:-1]) / 2)
    if splitting == "none":
        arrays: tuple[NDArray[Any], ...] = (bins_of(centres, edges),)
    else:
        arrays = shares_of(centres, reach, edges)
    return _bound(said, shape, dtype, (own, factor.astype(numpy.float32), *arrays), bins, axis, variance == "yes")  # fmt: skip


def of_places(
    shape: tuple[int, int],
    dtype: numpy.dtype[Any],
    places: NDArray[numpy.int32],
    bins: int,
    factor: NDArray[numpy.float32],
    mask: NDArray[Any] | None = None,
) -> Bound:
    """The kernel for bins of one's own making.

    Args:
        shape: of frames.
        dtype: of frames.
        places: (rows, columns): the bin of each pixel, below 0 for none.
        bins: how many.
        factor: (rows, columns): each pixel's normalisation.
        mask: as everywhere.

    Raises:
        FramesRefused: arrays of other shapes, or a bin that is none.
    """
    check_form(shape, dtype)
    for name, array in (("places", places), ("factor", factor)):
        if array.shape != shape:
            raise FramesRefused(f"found `{name}` of the shape {array.shape}; {shape} was expected")
    if not 1 <= bins <= MOST_BINS:
        raise FramesRefused(f"found {bins} bins; 1 to {MOST_BINS} were expected")
    if places.size and places.max() >= bins:
        raise FramesRefused(f"found the bin {places.max()} among {bins}, which are numbered from 0")
    if not numpy.isfinite(factor).all():
        raise FramesRefused("found a normalisation that is no finite number")
    constants = (checked_mask(mask, shape), numpy.ascontiguousarray(factor, numpy.float32), numpy.ascontiguousarray(places, numpy.int32))  # fmt: skip
    axis = ("bin", "", numpy.arange(bins, dtype=numpy.float64))
    return _bound({"places": digest_of(places), "bins": bins}, shape, dtype, constants, bins, axis, True)


def _bound(
    said: dict[str, Any], shape: tuple[int, int], dtype: numpy.dtype[Any], constants: tuple[NDArray[Any], ...], bins: int,
    axis: tuple[str, str, Angles], with_variance: bool,
) -> Bound:  # fmt: skip
    split = len(constants) > 3
    # without splitting, and without values below 0, the variance of a sum is the sum
    apart = with_variance and (split or dtype.kind == "f")
    kinds: tuple[tuple[Any, tuple[int, ...]], ...] = (
        (numpy.float64, (bins, WAYS)), (numpy.float64, (bins,)), (numpy.uint32, (bins,)), *(((numpy.float64, (bins,)),) if apart else ())
    )  # fmt: skip
    more = {**defines(dtype), "SPLIT": str(int(split)), "VARIANCE": str(int(apart)), "WAYS": str(WAYS)}
    masked = _without_masked(constants)
    totals = _totals(masked, bins)
    work = Work(
        "azimuthal", KERNEL.source, more, masked, (numpy.uint32(constants[0].size), numpy.uint32(bins)),
        tuple(Output(kind, shape, by_part=True) for kind, shape in kinds), few_parts=True,
    )  # fmt: skip
    products = (
        Product("intensity", (bins,), "float64", "NaN for bins without a pixel", "counts", axis=axis),
        *((Product("sigma", (bins,), "float64", "its standard deviation, from counting", "counts", axis=axis),) if with_variance else ()),
        Product("weights", (bins,), "float64", "the normalisations that each bin got", axis=axis),
        Product("counts", (bins,), "uint32", "how many pixels lie in each bin", axis=axis),
    )  # fmt: skip
    return Bound(
        KERNEL, said, shape, dtype, products, work, lambda frames, _: reference(frames, constants, bins, with_variance),
        lambda parts: _finished(parts, *totals, with_variance),
    )  # fmt: skip


def _without_masked(constants: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
    """The arrays for a device, where what is masked lies in no bin."""
    mask, factor, *places = constants
    if len(places) == 1:
        return mask, factor, numpy.where(mask != 0, numpy.int32(-1), places[0]).astype(numpy.int32)
    begins, own, shares = places
    number = numpy.where(mask.ravel() != 0, 0, numpy.diff(begins.astype(numpy.int64)))
    kept = numpy.repeat(mask.ravel() == 0, numpy.diff(begins))
    return mask, factor, numpy.concatenate([[0], numpy.cumsum(number)]).astype(numpy.uint32), own[kept], shares[kept]  # fmt: skip


def _totals(constants: tuple[NDArray[Any], ...], bins: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Weights and numbers of pixels of each bin, if every pixel had a value."""
    _, factor, *places = constants
    if len(places) == 1:
        there = numpy.flatnonzero(places[0].ravel() >= 0)
        own, weights = places[0].ravel()[there], factor.ravel()[there].astype(numpy.float64)
    else:
        begins, own, shares = places
        weights = shares.astype(numpy.float64) * numpy.repeat(factor.ravel(), numpy.diff(begins))
    return numpy.bincount(own, weights, bins), numpy.bincount(own, minlength=bins)


def _finished(
    parts: Sequence[NDArray[Any]], weights: NDArray[Any], counts: NDArray[Any], with_variance: bool
) -> Results:
    sums = parts[0].sum(axis=(1, 3))
    found = [sums, weights - parts[1].sum(axis=1), (counts - parts[2].sum(axis=1)).astype(numpy.uint32)]
    if with_variance:
        found.append(parts[3].sum(axis=1) if len(parts) > 3 else sums)
    return _curves(found)


def reference(
    frames: Frames, constants: tuple[NDArray[Any], ...], bins: int, with_variance: bool = True
) -> Results:
    """What it means; the arrays are mask, factor, and places or begins, places and shares."""
    mask, factor, *places = constants
    valid = is_valid(frames, mask)
    shape = (len(frames), bins)
    sums, weights, variances = numpy.zeros(shape), numpy.zeros(shape), numpy.zeros(shape)
    counts = numpy.zeros(shape, numpy.uint32)
    if len(places) == 1:
        begins = None
        numbers = numpy.flatnonzero(places[0].ravel() >= 0)
        own, shares = places[0].ravel()[numbers], numpy.ones(len(numbers))
    else:
        begins, own, shares = places
        numbers = numpy.repeat(numpy.arange(mask.size), numpy.diff(begins))
    for number in range(len(frames)):
        there = valid[number].ravel()[numbers]
        bin_of, share, pixels = own[there], shares[there].astype(numpy.float64), numbers[there]
        values = frames[number].ravel()[pixels].astype(numpy.float64)
        sums[number] = numpy.bincount(bin_of, share * values, bins)
        weights[number] = numpy.bincount(bin_of, share * factor.ravel()[pixels], bins)
        variances[number] = numpy.bincount(bin_of, share * share * numpy.maximum(values, 0), bins)
        counts[number] = numpy.bincount(bin_of, minlength=bins)
    return _curves([sums, weights, counts, *([variances] if with_variance else [])])


def _curves(found: list[NDArray[Any]]) -> Results:
    sums, weights, counts, *variances = found
    divisor = numpy.where((counts == 0) | (weights == 0), numpy.nan, weights)
    more = {"sigma": numpy.sqrt(variances[0]) / divisor} if variances else {}
    return {"intensity": sums / divisor, **more, "weights": weights, "counts": counts}


# -- bins ----------------------------------------------------------------------------------------------------


def _extents(
    geometry: Geometry, shape: tuple[int, int], unit: str, *, split: bool
) -> tuple[Angles, Angles | None]:
    """The value of each pixel's centre, and how far its corners reach from it."""
    centres = _in_unit(geometry, geometry.two_theta(*shape), unit)
    if not split:
        return centres, None
    corners = _in_unit(geometry, geometry.two_theta(*shape, corners=True), unit)
    reach = numpy.zeros(shape)
    for rows in (slice(None, -1), slice(1, None)):
        for columns in (slice(None, -1), slice(1, None)):
            reach = numpy.maximum(reach, numpy.abs(corners[rows, columns] - centres))
    return centres, reach


def _in_unit(geometry: Geometry, two_theta: Angles, unit: str) -> Angles:
    if unit == "2th_deg":
        return numpy.degrees(two_theta)
    if unit == "2th_rad":
        return two_theta
    if not geometry.wavelength > 0:
        raise FramesRefused("bins of q need the wavelength, which the geometry does not say")
    found: Angles = 4 * numpy.pi * numpy.sin(two_theta / 2) / (geometry.wavelength * (1e9 if unit == "q_nm^-1" else 1e10))  # fmt: skip
    return found


def _edges(centres: Angles, reach: Angles | None, bins: int, wanted: tuple[float, float] | None) -> Angles:
    lowest, highest = wanted or (
        float((centres - (0 if reach is None else reach)).min()),
        float((centres + (0 if reach is None else reach)).max()),
    )
    if not (numpy.isfinite([lowest, highest]).all() and lowest < highest):
        raise FramesRefused(f"found bins from {lowest} to {highest}; two finite numbers, the smaller one first, were expected")  # fmt: skip
    return numpy.linspace(max(lowest, 0.0) if wanted is None else lowest, highest, bins + 1)


def bins_of(values: Angles, edges: Angles) -> NDArray[numpy.int32]:
    """The bin of each pixel by a value such as its scattering angle; -1 outside. A bin holds its lower edge, the last one both."""
    found = numpy.searchsorted(edges, values, side="right").astype(numpy.int32) - 1
    bins = len(edges) - 1
    found[values == edges[-1]] = bins - 1
    found[(found >= bins) | ~numpy.isfinite(values)] = -1
    return found


def shares_of(
    centres: Angles, reach: Angles | None, edges: Angles
) -> tuple[NDArray[numpy.uint32], NDArray[numpy.int32], NDArray[numpy.float32]]:
    """Which bins each pixel lies in, and how much of it: where its own begin (count + 1), bins, shares."""
    assert reach is not None, "splitting needs the corners"
    bins = len(edges) - 1
    width = (edges[-1] - edges[0]) / bins
    low, high = numpy.maximum(centres - reach, 0.0).ravel(), (centres + reach).ravel()  # no angle is below 0
    first = numpy.clip(numpy.floor((low - edges[0]) / width), 0, bins).astype(numpy.int64)
    last = numpy.clip(numpy.floor((high - edges[0]) / width), -1, bins - 1).astype(numpy.int64)
    number = numpy.maximum(last - first + 1, 0)
    begins = numpy.concatenate([[0], numpy.cumsum(number)])
    pixels = numpy.repeat(numpy.arange(len(low)), number)
    places = first[pixels] + numpy.arange(begins[-1]) - begins[:-1][pixels]
    inside = numpy.minimum(high[pixels], edges[0] + width * (places + 1)) - numpy.maximum(low[pixels], edges[0] + width * places)  # fmt: skip
    extent = (high - low)[pixels]
    shares = numpy.where(extent > 0, numpy.clip(inside, 0, None) / numpy.where(extent > 0, extent, 1), 1.0)
    return begins.astype(numpy.uint32), places.astype(numpy.int32), shares.astype(numpy.float32)
