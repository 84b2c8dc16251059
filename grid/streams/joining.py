"""Several detectors of one scan in one file, joined by the numbers of their frames."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import h5py
import numpy
from numpy.typing import NDArray

from accel.series import invalid
from grid import paths
from grid.model import Caller
from grid.namespace import Namespace
from grid.streams.master import ScanFacts, layout_of, together, write_frame
from microservices.nexus import BlockCache

INSTRUMENT: Final = "/entry/instrument"


def join(path: Path, masters: Sequence[str], namespace: Namespace, caller: Caller, facts: ScanFacts) -> None:
    """Write the file.

    Args:
        path: a new file.
        masters: paths of the files of single detectors, in one collection; the first one is what viewers show.
        namespace: where they are.
        caller: who may read them.
        facts: of the scan.
    """
    opened = [namespace.objects.open_for_reading(caller, one) for one in masters]
    files = [h5py.File(BlockCache(one), "r") for one in opened]
    try:
        found = [
            (paths.split(master)[1], _detector(file)) for master, file in zip(masters, files, strict=True)
        ]
        numbers = together([group["frame_number"][...].astype(numpy.int64) for _, group in found])
        with h5py.File(path, "w", libver=("v110", "v110")) as target:
            entry = write_frame(target, path.name, facts, _wavelength(files))
            for file_name, group in found:
                _copied(entry, file_name, group, numbers)
            for file in files:
                for name in file["/entry"]:
                    if name.startswith("stream_") and name not in entry:
                        file.copy(file[f"/entry/{name}"], entry, name)
            first = entry[f"instrument/{found[0][1].name.rpartition('/')[2]}"]
            data = entry["data"]
            data["data"] = (
                first["data"] if "data" in first else next(first[n] for n in first if n.startswith("data_"))
            )
            data["frame_number"] = first["frame_number"]
    finally:
        for file in files:
            file.close()
        for one in opened:
            one.close()


def _detector(file: Any) -> Any:
    """The detector's group in the file of one."""
    return next(group for group in file[INSTRUMENT].values() if group.attrs.get("NX_class") == "NXdetector")


def _wavelength(files: Sequence[Any]) -> float:
    return next(
        (
            float(v)
            for file in files
            if numpy.isfinite(v := file[f"{INSTRUMENT}/beam/incident_wavelength"][()])
        ),
        float("nan"),
    )


def _copied(entry: Any, file_name: str, group: Any, numbers: NDArray[Any]) -> None:
    """A detector's group, its frames at the places of their numbers."""
    name = group.name.rpartition("/")[2]
    while name in entry["instrument"]:
        name += "_2"
    made = entry["instrument"].create_group(name)
    made.attrs.update(group.attrs)
    own = numpy.searchsorted(numbers, group["frame_number"][...].astype(numpy.int64))
    for item in group:
        if item == "data" or item.startswith("data_"):
            source = group[item]
            layout = layout_of(source.shape[1:], source.dtype, len(numbers), [(file_name, source.name, own)])
            joined = made.create_virtual_dataset(item, layout, fillvalue=invalid(source.dtype))
            joined.attrs.update(source.attrs)
        elif item == "frame_number":
            made["frame_number"] = numbers.astype(numpy.uint64)
        else:
            group.copy(item, made)
