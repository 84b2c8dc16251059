"""Stored chunks of frames: what HDF5's own filters write is read again, and nothing that is damaged or hostile does harm."""

import struct
from functools import lru_cache
from pathlib import Path

import h5py
import hdf5plugin
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.chunks import BITSHUFFLE, DEFLATE, LZ4, SHUFFLE, ChunkDamaged, Filter, decode
from accel.errors import FramesRefused
from accel.series import Series, find_frames, local

FORMS = {
    "bslz4": dict(hdf5plugin.Bitshuffle(cname="lz4")), "bslz4 blocks": dict(hdf5plugin.Bitshuffle(nelems=64, cname="lz4")), "lz4": dict(hdf5plugin.LZ4()),
    "lz4 blocks": dict(hdf5plugin.LZ4(nbytes=1000)), "gzip": {"compression": "gzip"}, "shuffle gzip": {"compression": "gzip", "shuffle": True},
    "shuffle lz4": {"shuffle": True, **hdf5plugin.LZ4()}, "zstd": dict(hdf5plugin.Zstd()), "bszstd": dict(hdf5plugin.Bitshuffle(cname="zstd")), "none": {},
}  # fmt: skip


def frames_of(dtype: str, shape: tuple[int, ...]) -> numpy.ndarray:
    return numpy.random.default_rng(3).poisson(3, shape).astype(dtype)


def stored(path: Path, frames: numpy.ndarray, **more: object) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "entry/data/data", data=frames, chunks=more.pop("chunks", (1, *frames.shape[1:])), **more
        )
    return path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32"])
def test_what_was_stored_is_read(tmp_path: Path, form: str, dtype: str) -> None:
    frames = frames_of(dtype, (5, 37, 53))  # 1961 pixels: no multiple of 8
    with h5py.File(stored(tmp_path / "a.h5", frames, **FORMS[form])) as file:
        series = Series(find_frames(file), local(tmp_path / "a.h5"))
        found = numpy.zeros_like(frames)
        assert (series.read(0, found), series.count, series.shape) == ([], 5, (37, 53))
        assert numpy.array_equal(found, frames)
        assert series.read(3, found[:2]) == []
        assert numpy.array_equal(found[:2], frames[3:])
        series.close()


@pytest.mark.parametrize("chunks", [(2, 37, 53), (1, 20, 53), None])
def test_chunks_that_are_no_frames_are_read(tmp_path: Path, chunks: tuple[int, ...] | None) -> None:
    frames = frames_of("uint16", (5, 37, 53))
    with h5py.File(stored(tmp_path / "a.h5", frames, chunks=chunks)) as file:
        found = numpy.zeros_like(frames)
        assert Series(find_frames(file), local(tmp_path / "a.h5")).read(0, found) == []
        assert numpy.array_equal(found, frames)


def test_frames_that_were_never_written_have_the_fill_value(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset(
            "data", (3, 20, 30), "u2", chunks=(1, 20, 30), fillvalue=7, **FORMS["bslz4"]
        )
        made[1] = 5
    with h5py.File(tmp_path / "a.h5") as file:
        found = numpy.zeros((3, 20, 30), "u2")
        assert Series(find_frames(file), local(tmp_path / "a.h5")).read(0, found) == []
        assert [frame.flat[0] for frame in found] == [7, 5, 7]


def test_a_damaged_frame_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    frames = frames_of("uint16", (4, 40, 50))
    path = stored(tmp_path / "a.h5", frames, **FORMS["bslz4"])
    with h5py.File(path) as file:
        place = file["entry/data/data"].id.get_chunk_info(2).byte_offset
    raw = bytearray(path.read_bytes())
    raw[place + 12 : place + 16] = b"\xff\xff\xff\xff"
    path.write_bytes(raw)
    with h5py.File(path) as file:
        found = numpy.zeros_like(frames)
        (damage,) = Series(find_frames(file), local(path)).read(0, found)
    assert (damage.frame, "says that it has 4294967295 bytes" in damage.reason) == (2, True)
    assert (found[2] == 65535).all(), "no pixel of it counts"
    assert numpy.array_equal(found[[0, 1, 3]], frames[[0, 1, 3]])


def test_a_file_that_is_cut_names_what_is_missing(tmp_path: Path) -> None:
    frames = frames_of("uint16", (4, 40, 50))
    path = stored(tmp_path / "a.h5", frames, **FORMS["bslz4"])
    with h5py.File(path) as file:
        last = file["entry/data/data"].id.get_chunk_info(3)
        whole = local(path)
        found = numpy.zeros_like(frames)
        series = Series(
            find_frames(file),
            lambda offset, count: whole(offset, min(count, max(0, last.byte_offset + 100 - offset))),
        )
        assert [one.frame for one in series.read(0, found)] == [3]


@lru_cache(maxsize=16)
def chunk_of(form: str, tmp_path: Path) -> tuple[bytes, list[Filter]]:
    frame = frames_of("uint16", (40, 50))
    path = stored(tmp_path / f"{form}.h5", frame[None], **FORMS[form])
    with h5py.File(path) as file:
        series = Series(find_frames(file), local(path))
        return file["entry/data/data"].id.read_direct_chunk((0, 0, 0))[1], series._filters


@pytest.mark.parametrize("form", ["bslz4", "bslz4 blocks", "lz4", "lz4 blocks", "gzip", "shuffle gzip"])
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_whatever_is_done_to_a_chunk_harms_nobody(tmp_path_factory, form: str, data) -> None:
    frame = frames_of("uint16", (40, 50))
    chunk, filters = chunk_of(form, tmp_path_factory.getbasetemp())
    changed = bytearray(chunk)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1) | st.integers(0, 20))
        changed[place : place + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    guard = numpy.full(frame.size + 64, 0xABCD, "u2")
    try:
        decode(bytes(changed), filters, guard[32:-32].reshape(frame.shape))
    except ChunkDamaged:
        pass
    assert (guard[:32] == 0xABCD).all(), "nothing before"
    assert (guard[-32:] == 0xABCD).all(), "and nothing behind the frame was written"


BIG = struct.pack(">QI", 1 << 40, 8192)
SMALL = struct.pack(">QI", 4000, 8192)


@pytest.mark.parametrize(("data", "number", "message"), [
    (b"", BITSHUFFLE, "a header of 12"), (BIG, BITSHUFFLE, "says that it holds 1099511627776 bytes; 4000"), (SMALL, BITSHUFFLE, "within a block"),
    (struct.pack(">QI", 4000, 0), BITSHUFFLE, "blocks have 0 bytes"), (struct.pack(">QI", 4000, 100), BITSHUFFLE, "a multiple of 16"), (BIG, LZ4, "says that it holds"),
    (SMALL + struct.pack(">I", 50) + b"x" * 50, LZ4, "is no LZ4 block"), (SMALL + struct.pack(">I", 4000) + b"x" * 4001, LZ4, "1 bytes are left"),
    (b"x" * 100, DEFLATE, "no deflated chunk"), (b"x" * 3, SHUFFLE, "3 shuffled bytes"),
])  # fmt: skip
def test_chunks_that_lie(data: bytes, number: int, message: str) -> None:
    with pytest.raises(ChunkDamaged, match=message):
        decode(data, [Filter(number, (0, 2, 2, 0, 2))], numpy.zeros(2000, "u2"))


def test_a_bomb_is_not_blown_up() -> None:
    import zlib

    with pytest.raises(ChunkDamaged, match="more bytes than the 4000"):
        decode(zlib.compress(bytes(1 << 28)), [Filter(DEFLATE)], numpy.zeros(2000, "u2"))


def test_a_filter_that_nobody_knows() -> None:
    with pytest.raises(FramesRefused, match="found the filter 99"):
        decode(b"", [Filter(99)], numpy.zeros(4, "u2"))


def test_which_dataset_is_meant(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["table"] = numpy.zeros((100, 3))
        with pytest.raises(FramesRefused, match="has 0 datasets"):
            find_frames(file)
        file["entry/one"] = numpy.zeros((2, 20, 30), "u2")
        file["entry/link"] = file["entry/one"]
        assert find_frames(file).shape == (2, 20, 30)
        file["entry/two"] = numpy.zeros((3, 20, 30), "u2")
        with pytest.raises(FramesRefused, match="has 2 datasets of frames"):
            find_frames(file)
        file.attrs["default"], file["entry"].attrs["signal"] = "entry", "two"
        assert find_frames(file).shape == (3, 20, 30)
        assert find_frames(file, "entry/one").shape == (2, 20, 30)
        with pytest.raises(FramesRefused, match="no dataset `x`"):
            find_frames(file, "x")
        with pytest.raises(FramesRefused, match="4 dimensions"):
            Series(file.create_dataset("four", (1, 2, 20, 20), "u2"), lambda a, b: b"")


def test_more_frames_than_anybody_has(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("data", (1 << 40, 20, 30), "u2", chunks=(1, 20, 30))
        file.create_dataset("wide/data", (1, 1 << 20, 1 << 20), "u2", chunks=(1, 100, 100))
    with h5py.File(tmp_path / "a.h5") as file:
        with pytest.raises(FramesRefused, match="has 1099511627776 frames"):
            Series(file["data"], lambda offset, count: b"")
        with pytest.raises(FramesRefused, match="pixels; 268435456 at the most"):
            Series(file["wide/data"], lambda offset, count: b"")
