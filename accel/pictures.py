"""A quick look at reduced frames, as a PNG: a frame with its mask and colours, the curve, and the series over frames."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel.frames import is_valid
from accel.kernel import Bound, Results

MOST_PIXELS: Final = 900
"""Along a side of the frame that is shown."""


def draw(
    target: Path,
    title: str,
    frame: NDArray[Any],
    bound: Bound,
    small: Results,
    curves: Mapping[str, NDArray[Any]],
) -> None:
    """Draw a picture.

    Args:
        target: a new file.
        title: what is written above it.
        frame: one of those that were reduced.
        bound: the kernel.
        small: numbers of every frame, and what there is of all frames.
        curves: for products that go over an axis, the mean over frames.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    lines = [product for product in bound.products if product.axis is not None and product.name in curves][:1]
    wide = [name for name, values in small.items() if values.ndim == 2 and not lines][:1]
    series = _series(bound, small)
    panels = 1 + len(lines) + len(wide) + bool(series)
    figure = Figure(figsize=(5.2 * panels, 4.6), layout="constrained")
    figure.suptitle(title, fontsize=9)
    axes = list(figure.subplots(1, panels, squeeze=False)[0])
    mask = bound.work.constants[0].reshape(frame.shape)
    _image(figure, axes.pop(0), frame, "first frame", mask)
    for product in lines:
        assert product.axis is not None, "chosen for it"
        name, unit, values = product.axis
        axis = axes.pop(0)
        axis.plot(values, curves[product.name], linewidth=0.8)
        axis.set(xlabel=f"{name} ({unit})" if unit else name, ylabel=product.name, title="mean over frames")
    for name in wide:
        _image(figure, axes.pop(0), small[name], name, numpy.zeros(small[name].shape))
    if series:
        axis = axes.pop(0)
        for name in series:
            axis.plot(small[name], linewidth=0.8, label=name, marker="." if len(small[name]) < 60 else "")
        axis.set(xlabel="frame", title="series")
        axis.legend(fontsize=7)
    figure.savefig(target, format="png", dpi=100, metadata={"Software": "beamgrid"})


def _series(bound: Bound, small: Results) -> list[str]:
    """Numbers of one unit that are of one size, so that one scale is for all of them."""
    able = [
        product
        for product in bound.products
        if not product.shape and not product.of_all and product.name in small and len(small[product.name])
    ]
    wanted = [one for one in able if one.name in ("count", "pixels", "mean", "total", "hits", "kept")] or able
    if not wanted:
        return []
    unit = wanted[0].unit
    own = [one.name for one in wanted if one.unit == unit]
    top = {name: float(numpy.nanmax(numpy.abs(small[name].astype(float)), initial=0.0)) for name in own}
    return [name for name in own if top[name] >= top[own[0]] / 1000][:4]


def _image(figure: Any, axis: Any, frame: NDArray[Any], title: str, mask: NDArray[Any]) -> None:
    step = max(1, -(-max(frame.shape) // MOST_PIXELS))
    shown, hidden = frame[::step, ::step], mask[::step, ::step]
    valid = is_valid(shown[None], hidden)[0]
    values = numpy.where(valid, shown, numpy.nan).astype(float)
    own = values[valid]
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm, Normalize

    colours = colormaps["viridis"].with_extremes(bad="0.75", under=colormaps["viridis"](0.0))
    top = float(numpy.percentile(own, 99.9)) if len(own) else 1.0
    signed = len(own) and own.min() < 0
    norm = Normalize(float(numpy.percentile(own, 0.1)), top) if signed else LogNorm(max(top * 1e-4, 0.5 if top > 1 else top * 1e-3 or 1e-3), max(top, 1.0 if top > 1 else top * 1.01 or 1.0))  # fmt: skip
    if not signed:
        # a logarithm has no place for 0
        values = numpy.where(valid, numpy.maximum(values, norm.vmin or 0.0), values)
    drawn = axis.imshow(
        values,
        cmap=colours,
        norm=norm,
        interpolation="nearest",
        extent=(0, frame.shape[1], frame.shape[0], 0),
    )
    axis.set_title(f"{title} (grey: masked or invalid)", fontsize=9)
    figure.colorbar(drawn, ax=axis, shrink=0.8)
