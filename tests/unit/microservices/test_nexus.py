import importlib.util
import io
from pathlib import Path

import h5py
import numpy
import pytest

from microservices.nexus import BLOCK_BYTES, BlockCache, harvest


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads = 0

    def size(self) -> int:
        return len(self.data)

    def read_at(self, offset: int, count: int) -> bytes:
        self.reads += 1
        return self.data[offset : offset + count]

    def close(self) -> None:
        return None


def nexus(**changes: object) -> bytes:
    target = io.BytesIO()
    with h5py.File(target, "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry["title"] = "lysozyme"
        entry["start_time"] = "2026-03-02T10:00:00Z"
        entry["definition"] = "NXmx"
        instrument = entry.create_group("instrument")
        instrument.attrs["NX_class"] = "NXinstrument"
        instrument["name"] = "NanoMAX"
        mono = instrument.create_group("mono")
        mono.attrs["NX_class"] = "NXmonochromator"
        mono["wavelength"] = 1.0
        mono["wavelength"].attrs["units"] = "angstrom"
        detector = instrument.create_group("eiger")
        detector.attrs["NX_class"] = "NXdetector"
        detector["data"] = numpy.zeros((7, 30, 40), "uint16")
        sample = entry.create_group("sample")
        sample.attrs["NX_class"] = "NXsample"
        sample["name"] = "crystal 3"
    return target.getvalue()


def test_the_facts_of_a_scan() -> None:
    found = harvest(Bytes(nexus()))
    assert found["status"] == "ok"
    assert found["energy"] == pytest.approx(12.3984, abs=1e-4)
    del found["energy"]
    assert found == {
        "status": "ok", "entry": "/entry", "title": "lysozyme", "start_time": "2026-03-02T10:00:00Z",
        "definition": "NXmx", "instrument": "NanoMAX", "sample": "crystal 3", "detector": "eiger",
        "detector_shape": "30 x 40", "frames": 7, "wavelength": 1.0, "wavelength_unit": "angstrom",
        "energy_unit": "keV",
    }  # fmt: skip


@pytest.mark.parametrize("cut", [9, 100, 1000, 3000])
def test_a_damaged_file_says_so(cut: int) -> None:
    assert harvest(Bytes(nexus()[:cut]))["status"].startswith("damaged: ")


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89HDF"])
def test_other_files_say_so(data: bytes) -> None:
    assert harvest(Bytes(data)) == {"status": "not hdf5"}


def test_a_large_file_costs_a_few_reads() -> None:
    target = io.BytesIO(nexus())
    with h5py.File(target, "a") as file:
        file["entry/instrument/big"] = numpy.zeros(4_000_000, "uint8")
    reader = Bytes(target.getvalue())
    assert harvest(reader)["status"] == "ok"
    assert reader.reads < 20


def test_the_block_cache_reads_like_a_file() -> None:
    data = bytes(range(256)) * 1000
    cache = BlockCache(Bytes(data))
    for offset, count in ((0, 10), (BLOCK_BYTES - 3, 10), (len(data) - 4, 10), (len(data), 5)):
        cache.seek(offset)
        assert cache.read(count) == data[offset : offset + count]


def test_real_scans_are_described() -> None:
    found = importlib.util.find_spec("punx")
    assert found is not None, "`./run setup` installs punx, which brings the scans"
    assert found.submodule_search_locations
    folder = Path(found.submodule_search_locations[0]) / "data"
    for path in sorted(folder.glob("*.nxs")) + sorted(folder.glob("*.h*5")):
        facts = harvest(Bytes(path.read_bytes()))
        assert facts["status"] == "ok", (path.name, facts)
    assert harvest(Bytes((folder / "scan101.nxs").read_bytes()))["energy"] == pytest.approx(12.0, abs=0.01)
