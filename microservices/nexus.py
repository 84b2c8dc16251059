"""Metadata from NeXus files: what was measured, when, on what, and with which energy.

The file is read through the grid in blocks of 64 KiB, so a file of any size on any resource costs a few reads.
A damaged file, or one that is no HDF5 file, gives metadata that says so; it never fails an ingest.

Source: NeXus class definitions NXentry, NXinstrument, NXsample, NXmonochromator, NXbeam, NXdetector (NIAC).
"""

import io
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final

import h5py
import numpy

from microservices.ports import ByteReader, Grid
from microservices.registry import Parameter, microservice

BLOCK_BYTES: Final = 64 << 10
_KEPT_BLOCKS: Final = 64
_MAX_GROUPS: Final = 2000
_MAX_TEXT: Final = 500
_HC_KEV_ANGSTROM: Final = 12.398419843320026  # CODATA 2018: h c / e

_TO_KEV: Final = {
    "ev": 1e-3,
    "kev": 1.0,
    "mev": 1e3,
    "j": 6.241509074460763e15,
    "joule": 6.241509074460763e15,
}
_TO_ANGSTROM: Final = {
    "angstrom": 1.0,
    "angstroms": 1.0,
    "å": 1.0,
    "a": 1.0,
    "nm": 10.0,
    "m": 1e10,
    "pm": 0.01,
}


class BlockCache(io.RawIOBase):
    """A file object over a grid reader that fetches whole blocks and keeps the last ones."""

    def __init__(self, reader: ByteReader) -> None:
        self._reader = reader
        self._size = reader.size()
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self.fetched = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def _block(self, number: int) -> bytes:
        block = self._blocks.get(number)
        if block is None:
            block = self._reader.read_at(number * BLOCK_BYTES, BLOCK_BYTES)
            self.fetched += 1
            self._blocks[number] = block
            if len(self._blocks) > _KEPT_BLOCKS:
                self._blocks.popitem(last=False)
        else:
            self._blocks.move_to_end(number)
        return block

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), max(self._size - self._position, 0))
        done = 0
        while done < wanted:
            number, start = divmod(self._position + done, BLOCK_BYTES)
            part = self._block(number)[start : start + wanted - done]
            if not part:
                break
            view[done : done + len(part)] = part
            done += len(part)
        self._position += done
        return done


@microservice(
    "extract_nexus",
    Parameter("path", "Path"),
    result="Nexus",
    effects=("data.read", "meta.write"),
    for_clients=True,
)
def extract_nexus(grid: Grid, path: str) -> dict[str, Any]:
    """What a NeXus file says of itself; `status` is `ok`, `not hdf5` or `damaged: ...`."""
    reader = grid.open(path)
    try:
        return harvest(reader)
    finally:
        reader.close()


def harvest(reader: ByteReader) -> dict[str, Any]:
    """Read the facts from a file.

    Returns:
        `status` and those of the fields that were found, with their units as the file gives them.
    """
    if reader.read_at(0, 8) != b"\x89HDF\r\n\x1a\n":
        return {"status": "not hdf5"}
    try:
        with h5py.File(BlockCache(reader), "r") as file:
            return {"status": "ok", **_facts(file)}
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        # h5py raises any of these on files that are cut or corrupted
        return {"status": f"damaged: {str(error)[:200]}"}


def _facts(file: Any) -> dict[str, Any]:
    entry = _first(file, "NXentry")
    if entry is None:
        return {}
    found: dict[str, Any] = {"entry": entry.name}
    for name in ("title", "start_time", "end_time", "definition"):
        _put(found, name, _text(entry.get(name)))
    instrument = _first(entry, "NXinstrument")
    if instrument is not None:
        _put(found, "instrument", _text(instrument.get("name")) or instrument.name.rpartition("/")[2])
        _detector(found, instrument)
    sample = _first(entry, "NXsample")
    if sample is not None:
        _put(found, "sample", _text(sample.get("name")))
    _beam(found, [g for g in (instrument, sample, entry) if g is not None])
    return found


def _put(found: dict[str, Any], name: str, value: Any) -> None:
    if value not in (None, ""):
        found[name] = value


def _class_of(group: Any) -> str:
    value = group.attrs.get("NX_class", b"")
    if isinstance(value, numpy.ndarray):
        value = value.flat[0] if value.size else b""
    return _decoded(value)


def _decoded(value: Any) -> str:
    """Text as files hold it: UTF-8, or Latin-1 where it is not."""
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _children(group: Any) -> Iterator[tuple[str, Any]]:
    for count, name in enumerate(group):
        if count > _MAX_GROUPS:
            return
        try:
            yield name, group[name]
        except (KeyError, OSError):
            continue  # a link to a file that is not here


def _first(group: Any, wanted: str) -> Any:
    for _, child in _children(group):
        if isinstance(child, h5py.Group) and _class_of(child) == wanted:
            return child
    return None


def _text(dataset: Any) -> str | None:
    if not isinstance(dataset, h5py.Dataset) or dataset.size is None or dataset.size > 16:
        return None
    value = dataset[()]
    if isinstance(value, numpy.ndarray):
        value = value.flat[0] if value.size else ""
    text = _decoded(value)
    return text.strip("\0 \n")[:_MAX_TEXT] or None


def _number(dataset: Any) -> tuple[float, str] | None:
    """The first value of a numeric dataset and its unit."""
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "iuf" or not dataset.size:
        return None
    value = dataset[()] if dataset.shape == () else dataset[tuple(0 for _ in dataset.shape)]
    units = dataset.attrs.get("units", b"")
    if isinstance(units, numpy.ndarray):
        units = units.flat[0] if units.size else b""
    text = _decoded(units)
    return (float(value), text) if numpy.isfinite(value) else None


def _beam(found: dict[str, Any], groups: list[Any]) -> None:
    """Photon energy and wavelength, from the monochromator or the beam; each follows from the other."""
    places = []
    for group in groups:
        for wanted in ("NXmonochromator", "NXbeam", "NXsource"):
            place = _first(group, wanted)
            if place is not None and wanted != "NXsource":
                places.append(place)
    for place in places:
        for field in ("energy", "incident_energy"):
            number = _number(place.get(field))
            if number is not None and "energy" not in found:
                found["energy"], found["energy_unit"] = number[0], number[1] or "keV"
        for field in ("wavelength", "incident_wavelength"):
            number = _number(place.get(field))
            if number is not None and "wavelength" not in found:
                found["wavelength"], found["wavelength_unit"] = number[0], number[1] or "angstrom"
    if "energy" not in found and found.get("wavelength"):
        scale = _TO_ANGSTROM.get(found["wavelength_unit"].lower())
        if scale:
            found["energy"], found["energy_unit"] = _HC_KEV_ANGSTROM / (found["wavelength"] * scale), "keV"
    elif "wavelength" not in found and found.get("energy"):
        scale = _TO_KEV.get(found["energy_unit"].lower())
        if scale:
            found["wavelength"], found["wavelength_unit"] = (
                _HC_KEV_ANGSTROM / (found["energy"] * scale),
                "angstrom",
            )


def _detector(found: dict[str, Any], instrument: Any) -> None:
    best: Any = None
    for _, child in _children(instrument):
        if isinstance(child, h5py.Group) and _class_of(child) == "NXdetector":
            data = child.get("data")
            if isinstance(data, h5py.Dataset) and (best is None or data.ndim > best[1].ndim):
                best = (child, data)
    if best is None:
        return
    group, data = best
    found["detector"] = group.name.rpartition("/")[2]
    shape = data.shape or ()
    if len(shape) >= 3:
        found["frames"] = int(numpy.prod(shape[:-2]))
        shape = shape[-2:]
    elif len(shape) == 2:
        found["frames"] = 1
    if shape:
        found["detector_shape"] = " x ".join(str(n) for n in shape)
