"""Reduced frames as a NeXus file: a plot that viewers show by themselves, what was done with which kernel, and what it was done to.

Source: NeXus definitions NXroot, NXentry, NXdata, NXprocess, NXparameters, NXnote, NXcollection (NIAC, v2024.02).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from accel.kernel import Bound, Product, Results
from accel.series import Damage


@dataclass(frozen=True, slots=True)
class Origin:
    """Where frames came from, and what worked on them.

    Attributes:
        path: of the file, as its readers name it.
        dataset: in it.
        digest: of the file, empty where none is known.
        date: when, as ISO 8601.
        runs_on: the device, or `NumPy`.
        program: name and version.
    """

    path: str
    dataset: str
    digest: str
    date: str
    runs_on: str
    program: tuple[str, str]


def write(
    target: Path, bound: Bound, origin: Origin, count: int, parts: Iterable[tuple[Results, Sequence[Damage]]],
    numbers: NDArray[Any] | None = None,
) -> Results:  # fmt: skip
    """Write a file; it is whole when this returns.

    Args:
        target: a new file.
        bound: the kernel.
        origin: where the frames came from.
        count: how many.
        parts: results of frames in order, as many together as there is memory for.
        numbers: of the frames, where they are not 0 to `count`.

    Returns:
        The numbers of every frame, and what there is of all frames: the rest is only in the file.
    """
    import h5py
    import hdf5plugin

    squeezed = dict(hdf5plugin.Bitshuffle(cname="lz4"))
    with h5py.File(target, "w", libver="latest") as file:
        entry = _group(file, "entry", "NXentry")
        file.attrs.update(
            {"NX_class": "NXroot", "default": "entry", "creator": f"{origin.program[0]} {origin.program[1]}"}
        )
        entry["title"] = f"{bound.kernel.name} of {origin.path}"
        writer = _Writer(
            entry, bound, numpy.arange(count, dtype=numpy.uint64) if numbers is None else numbers, squeezed
        )
        for results, damaged in parts:
            writer.add(results, damaged)
        small = writer.close()
        _process(entry, bound, origin)
        entry.attrs["default"] = writer.default()
    return small


class _Writer:
    """Products as they come."""

    def __init__(self, entry: Any, bound: Bound, numbers: NDArray[Any], squeezed: Mapping[str, Any]) -> None:
        self._entry = entry
        self._bound = bound
        self._numbered = numbers
        self._count = len(numbers)
        self._squeezed = squeezed
        self._place = 0
        self._damaged: list[Damage] = []
        self._numbers: dict[str, list[NDArray[Any]]] = {}
        self._totals: Results = {}
        self._made: dict[str, Any] = {}
        for product in bound.products:
            if not product.of_all and (product.shape or product.listed):
                self._made[product.name] = self._dataset(product)

    def add(self, results: Results, damaged: Sequence[Damage]) -> None:
        """Results of the frames that follow."""
        self._damaged += damaged
        length = 0
        for product in self._bound.products:
            found = results.get(product.name)
            if found is None:
                continue
            if product.of_all:
                known = self._totals.get(product.name)
                self._totals[product.name] = found if known is None else known + found
            elif product.listed:
                dataset = self._made[product.name]
                before = len(dataset)
                dataset.resize(before + len(found), axis=0)
                dataset[before:] = found
            elif product.shape:
                length = len(found)
                self._made[product.name][self._place : self._place + length] = found
            else:
                length = len(found)
                self._numbers.setdefault(product.name, []).append(found)
        self._place += length

    def close(self) -> Results:
        """Write what is of all frames, and the series of numbers."""
        totals = self._bound.conclude(self._totals) if self._totals else {}
        for product in self._bound.products:
            if product.of_all and product.name in totals:
                group = self._plot(product, totals[product.name].ndim)
                group.create_dataset("data", data=totals[product.name], chunks=_chunks(totals[product.name].shape), **self._squeezed)  # fmt: skip
                group["data"].attrs["units"] = product.unit
        numbers = {name: numpy.concatenate(found) for name, found in self._numbers.items()}
        if numbers:
            self._series(numbers)
        if self._damaged:
            group = _group(self._entry, "damaged", "NXcollection")
            group["frame"] = numpy.array([one.frame for one in self._damaged], numpy.uint64)
            group["reason"] = [one.reason for one in self._damaged]
        return {**numbers, **totals}

    def default(self) -> str:
        """The group that viewers are to show: a curve, then an image, then series."""

        def rank(product: Product) -> int:
            if product.listed or product.name in ("counts", "weights", "sigma"):
                return 9
            return (
                0
                if product.axis
                else 1
                if product.of_all and len(product.shape) == 2
                else 2
                if len(product.shape) == 2
                else 8
            )

        best = min(self._bound.products, key=rank)
        return best.name if rank(best) < 8 else "series" if self._numbers else best.name

    def _dataset(self, product: Product) -> Any:
        if product.listed:
            group = self._collection(product.listed)
            made = group.create_dataset(
                product.name, (0,), product.dtype, maxshape=(None,), chunks=(65_536,), **self._squeezed
            )
        else:
            group = self._plot(product, 1 + len(product.shape))
            if product.scale:
                group["data_scaling_factor"] = product.scale
            shape = (self._count, *product.shape)
            made = group.create_dataset("data", shape, product.dtype, chunks=_chunks(shape), **self._squeezed)  # fmt: skip
        made.attrs["units"], made.attrs["long_name"] = product.unit, product.summary
        return made

    def _collection(self, name: str) -> Any:
        return self._entry.get(f"{name}_of_frames") or _group(
            self._entry, f"{name}_of_frames", "NXcollection"
        )

    def _plot(self, product: Product, dimensions: int) -> Any:
        group = _group(self._entry, product.name, "NXdata")
        group.attrs["signal"] = "data"
        axes = ["."] * dimensions
        if not product.of_all:
            axes[0] = "frame"
            group["frame"] = self._numbered
        if product.axis is not None:
            name, unit, values = product.axis
            axes[-1] = name
            group[name] = values
            group[name].attrs["units"] = unit
        group.attrs["axes"] = axes
        return group

    def _series(self, numbers: Mapping[str, NDArray[Any]]) -> None:
        group = _group(self._entry, "series", "NXdata")
        names = list(numbers)
        signal = next((name for name in ("total", "count", "pixels", "mean") if name in numbers), names[0])
        group["frame"] = self._numbered
        units = {product.name: (product.unit, product.summary) for product in self._bound.products}
        for name, values in numbers.items():
            group[name] = values
            group[name].attrs["units"], group[name].attrs["long_name"] = units[name]
        group.attrs["signal"], group.attrs["axes"] = signal, ["frame"]
        group.attrs["auxiliary_signals"] = [name for name in names if name != signal]


def _group(parent: Any, name: str, kind: str) -> Any:
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    return group


def _chunks(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    return (1, *shape[1:]) if len(shape) > 1 and all(shape) else None


def _process(entry: Any, bound: Bound, origin: Origin) -> None:
    group = _group(entry, "reduction", "NXprocess")
    kernel = bound.kernel
    group["program"], group["version"], group["date"] = origin.program[0], origin.program[1], origin.date
    group["sequence_index"] = 1
    group["kernel"], group["kernel_version"], group["kernel_digest"] = (
        kernel.name,
        kernel.version,
        kernel.digest,
    )
    group["device"] = origin.runs_on
    source = _group(group, "source", "NXnote")
    source["type"], source["file_name"], source["data_path"] = (
        "application/x-hdf5",
        origin.path,
        origin.dataset,
    )
    source["digest"] = origin.digest
    text = _group(group, "kernel_source", "NXnote")
    text["type"], text["data"] = "text/plain", kernel.source
    parameters = _group(group, "parameters", "NXparameters")
    for name, value in bound.parameters.items():
        if value is not None:
            parameters[name] = json.dumps(value, sort_keys=True) if isinstance(value, dict) else value
