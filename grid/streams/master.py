"""The file that joins the frames of a scan: NXmx, with every detector's frames in the order of their numbers, wherever they lie.

    /entry/data/data                           the frames of the first detector, or of its first channel
    /entry/instrument/DETECTOR/data            those of each detector; `data_CHANNEL` where there are several channels
    /entry/instrument/DETECTOR/frame_number    which frame is in which place
    /entry/stream_DETECTOR/fate                what became of every frame that was to come

Several detectors are joined by the numbers of their frames: a place holds the same number of each, and a frame that one of them has not is without a
valid pixel. Source: NeXus definitions NXmx, NXdetector, NXdetector_module, NXdata (NIAC, v2024.02).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import hdf5plugin
import numpy
from numpy.typing import NDArray

from accel.series import invalid
from grid.streams.datafile import GROUP, dataset_of
from grid.streams.journal import MEANING
from grid.streams.messages import Start

UNKNOWN: Final = float("nan")
"""What stands where NXmx wants a number and the detector says none."""

_REQUIRED: Final = ("sensor_thickness", "count_time", "frame_time")


@dataclass(frozen=True, slots=True)
class DetectorFrames:
    """The frames of one detector.

    Attributes:
        name: of the detector, as a name in the file.
        stream_id: of its stream.
        start: what it said of itself.
        files: (name of a data file beside the master, its frames by row).
        fates: (frames,) uint8, what became of each.
        leaves: (frames, 32) uint8, of the tree over the frames.
        damaged: those that came and cannot be decoded, with their bytes.
        notes: that were signed while they came.
    """

    name: str
    stream_id: str
    start: Start
    files: Sequence[tuple[str, NDArray[Any]]]
    fates: NDArray[Any]
    leaves: NDArray[Any]
    damaged: Iterable[tuple[int, bytes]] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ScanFacts:
    """What is known of the scan.

    Attributes:
        title: for who looks at it.
        beamline: where.
        began, ended: as ISO 8601.
        program: name and version.
    """

    title: str
    beamline: str
    began: str
    ended: str
    program: tuple[str, str]


def write_master(path: Path, detectors: Sequence[DetectorFrames], facts: ScanFacts) -> None:
    """Write the file; it is whole when this returns.

    Args:
        path: a new file, in the folder where the data files are going to be.
        detectors: one at least.
        facts: of the scan.
    """
    numbers = together([rows for one in detectors for _, rows in one.files])
    wavelength = next(
        (
            float(w)
            for one in detectors
            if isinstance(w := one.start.facts.get("incident_wavelength"), int | float)
        ),
        UNKNOWN,
    )
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        entry = write_frame(file, path.name, facts, wavelength)
        for one in detectors:
            _detector(entry["instrument"], one, numbers)
            _told(_group(entry, f"stream_{one.name}", "NXcollection"), one)
        first = detectors[0]
        entry["data/data"] = entry[
            f"instrument/{first.name}/{dataset_of(first.start, first.start.channels[0])}"
        ]
        entry["data/frame_number"] = entry[f"instrument/{first.name}/frame_number"]


def write_frame(file: Any, name: str, facts: ScanFacts, wavelength: float) -> Any:
    """Everything that is not of a detector; returns the entry, whose plot is still empty."""
    file.attrs.update(
        {"NX_class": "NXroot", "default": "entry", "creator": " ".join(facts.program), "file_name": name}
    )
    entry = _group(file, "entry", "NXentry", default="data")
    entry["definition"] = "NXmx"
    entry["title"] = facts.title
    entry["start_time"], entry["end_time"], entry["end_time_estimated"] = (
        facts.began,
        facts.ended,
        facts.ended,
    )
    _group(entry, "source", "NXsource")["name"] = facts.beamline or "unknown"
    sample = _group(entry, "sample", "NXsample")
    sample["name"], sample["depends_on"] = facts.title, "."
    instrument = _group(entry, "instrument", "NXinstrument")
    instrument["name"] = facts.beamline or "unknown"
    beam = _group(instrument, "beam", "NXbeam")
    beam["incident_wavelength"] = wavelength
    beam["incident_wavelength"].attrs["units"] = "angstrom"
    _group(entry, "data", "NXdata", signal="data", axes=["frame_number", ".", "."])
    return entry


def _detector(instrument: Any, one: DetectorFrames, numbers: NDArray[Any]) -> None:
    said, start = one.start.facts, one.start
    group = _group(instrument, one.name, "NXdetector")
    group["description"] = str(said.get("detector_description") or one.name)
    if said.get("detector_serial_number"):
        group["serial_number"] = str(said["detector_serial_number"])
    group["type"] = "Pixel"
    group["sensor_material"] = str(said.get("sensor_material") or "unknown")
    for name, unit, given in (
        ("sensor_thickness", "m", said.get("sensor_thickness")), ("x_pixel_size", "m", said.get("pixel_size_x")), ("y_pixel_size", "m", said.get("pixel_size_y")),
        ("beam_center_x", "pixel", said.get("beam_center_x")), ("beam_center_y", "pixel", said.get("beam_center_y")),
        ("count_time", "s", said.get("count_time")), ("frame_time", "s", said.get("frame_time")),
    ):  # fmt: skip
        if isinstance(given, int | float):
            group[name] = float(given)
            group[name].attrs["units"] = unit
        elif name in _REQUIRED:
            group[name] = UNKNOWN
            group[name].attrs["units"] = unit
    distance = _distance(said)
    group["distance"] = distance
    group["distance"].attrs["units"] = "m"
    if isinstance(said.get("saturation_value"), int):
        group["saturation_value"] = said["saturation_value"]
    group["bit_depth_readout"] = start.dtype.itemsize * 8
    for name, reach in (("flatfield", "flatfield_enabled"), ("pixel_mask", "pixel_mask_enabled")):
        group[f"{name}_applied"] = bool(said.get(reach, False))
        arrays = {channel: array for (kind, channel), array in start.images.items() if kind == name}
        for channel in start.channels:
            if channel in arrays:
                own = name if channel == start.channels[0] else f"{name}_{channel}"
                group.create_dataset(own, data=arrays[channel], **dict(hdf5plugin.Bitshuffle(cname="lz4")))
    _places(group, one, distance)
    group["frame_number"] = numbers.astype(numpy.uint64)
    for channel in start.channels:
        made = _joined(group, dataset_of(start, channel), one, channel, numbers)
        made.attrs["units"], made.attrs["long_name"] = "counts", channel


def _distance(said: Mapping[str, Any]) -> float:
    shift = said.get("detector_translation")
    known = isinstance(shift, list) and len(shift) == 3 and all(isinstance(v, int | float) for v in shift)
    return abs(float(shift[2])) if known and shift else UNKNOWN


def _places(group: Any, one: DetectorFrames, distance: float) -> None:
    """Where the detector is: along the beam, in NeXus's (McStas's) coordinates; and that it is one module."""
    rows, columns = one.start.shape
    transformations = _group(group, "transformations", "NXtransformations")
    along = transformations.create_dataset("translation", data=distance)
    along.attrs.update(
        {"units": "m", "transformation_type": "translation", "vector": [0.0, 0.0, 1.0], "depends_on": "."}
    )
    group["depends_on"] = along.name
    module = _group(group, "module", "NXdetector_module")
    module["data_origin"], module["data_size"] = (
        numpy.array([0, 0], numpy.int64),
        numpy.array([rows, columns], numpy.int64),
    )
    module["data_stride"] = numpy.array([1, 1], numpy.int64)
    said = one.start.facts
    for name, vector, key in (
        ("module_offset", [0.0, 0.0, 0.0], ""), ("fast_pixel_direction", [-1.0, 0.0, 0.0], "pixel_size_x"), ("slow_pixel_direction", [0.0, -1.0, 0.0], "pixel_size_y"),
    ):  # fmt: skip
        size = said.get(key) if key else 0.0
        item = module.create_dataset(name, data=float(size) if isinstance(size, int | float) else UNKNOWN)
        above = along.name if not key else module["module_offset"].name
        item.attrs.update(
            {
                "units": "m",
                "transformation_type": "translation",
                "vector": vector,
                "offset": [0.0, 0.0, 0.0],
                "depends_on": above,
            }
        )


def _joined(group: Any, name: str, one: DetectorFrames, channel: str, numbers: NDArray[Any]) -> Any:
    """The frames in the order of their numbers, from the files that hold them."""
    source = f"{GROUP}/{dataset_of(one.start, channel)}"
    found = [(file_name, source, numpy.searchsorted(numbers, rows)) for file_name, rows in one.files]
    layout = layout_of(one.start.shape, one.start.dtype, len(numbers), found)
    return group.create_virtual_dataset(name, layout, fillvalue=invalid(one.start.dtype))


def together(numbers: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """All frames that are in some of the files, each once, in order."""
    return numpy.unique(numpy.concatenate(numbers)) if numbers else numpy.zeros(0, numpy.int64)


def layout_of(
    shape: tuple[int, ...],
    dtype: numpy.dtype[Any],
    count: int,
    sources: Sequence[tuple[str, str, NDArray[Any]]],
) -> Any:
    """Frames from several files: (name of the file, of the dataset, the place of each of its rows)."""
    layout = h5py.VirtualLayout((count, *shape), dtype)
    for file_name, name, places in sources:
        source = h5py.VirtualSource(file_name, name, (len(places), *shape), dtype)
        for row, place, length in _runs(places):
            layout[place : place + length] = source[row : row + length]
    return layout


def _runs(places: NDArray[Any]) -> list[tuple[int, int, int]]:
    """(row, place, length) of rows that follow each other in both."""
    if not len(places):
        return []
    rows = numpy.append(0, numpy.flatnonzero(numpy.diff(places) != 1) + 1)
    lengths = numpy.diff(numpy.append(rows, len(places)))
    return list(zip(rows.tolist(), places[rows].tolist(), lengths.tolist(), strict=True))


def _told(group: Any, one: DetectorFrames) -> None:
    """What became of every frame."""
    group["stream_id"] = one.stream_id
    made = group.create_dataset(
        "fate", data=one.fates, chunks=True, **dict(hdf5plugin.Bitshuffle(cname="lz4"))
    )
    made.attrs["meaning"] = "; ".join(f"{int(fate)} {text}" for fate, text in MEANING.items())
    leaves = group.create_dataset("leaf", one.leaves.shape, numpy.uint8)
    for begin in range(0, len(one.leaves), 65_536):
        leaves[begin : begin + 65_536] = one.leaves[begin : begin + 65_536]
    leaves.attrs["meaning"] = "SHA-256 of each frame as it came, with its stream and number"
    if one.notes:
        group.create_dataset("batch_notes", data=list(one.notes), dtype=h5py.string_dtype())
    for number, data in one.damaged:
        kept = group["damaged"] if "damaged" in group else _group(group, "damaged", "NXcollection")
        if (name := f"frame_{number:09}") not in kept:
            kept.create_dataset(name, data=numpy.frombuffer(data, numpy.uint8))


def _group(parent: Any, name: str, nx_class: str, **attributes: Any) -> Any:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    group.attrs.update(attributes)
    return group
