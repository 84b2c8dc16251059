"""Stored chunks of frames to pixels: bitshuffle with LZ4, LZ4, deflate and byte shuffling, outside of the HDF5 library and its lock, so that threads help.

What is decoded may come from anybody: every length is checked before it is believed, and no more is written than a frame has.

Source: bitshuffle 0.5.2 (`bshuf_h5filter.c`: 8 bytes size, 4 bytes block size, both big endian; then blocks with 4 bytes of length before each), the HDF5 LZ4
plugin (`H5Zlz4.c`: the same header), HDF5 filter numbers 1, 2, 32004, 32008. The decoder of bitshuffle, and LZ4's own, are those of `hdf5plugin`.
"""

import ctypes
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel.errors import AccelError, FramesRefused

DEFLATE, SHUFFLE, LZ4, BITSHUFFLE = 1, 2, 32004, 32008
_BITSHUFFLE_LZ4: Final = 2

Step = Callable[[Any, "Filter", memoryview, int], None]
_MOST_BLOCK: Final = 64 << 20


class ChunkDamaged(AccelError):
    """A chunk is not what it says it is."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter of a dataset, with its client values."""

    number: int
    values: tuple[int, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether chunks with it are decoded here."""
        if self.number == BITSHUFFLE:
            return len(self.values) > 4 and self.values[4] == _BITSHUFFLE_LZ4
        return self.number in (DEFLATE, SHUFFLE, LZ4)


def decode(data: bytes | memoryview, filters: Sequence[Filter], out: NDArray[Any]) -> None:
    """Decode a chunk into an array of its size.

    Args:
        data: as stored.
        filters: in the order in which they were applied.
        out: C-contiguous; all of it is written, or none of it can be relied on.

    Raises:
        ChunkDamaged: it is cut, holds more or less than the array, or is not what the filters make.
        FramesRefused: a filter is not known here.
    """
    target = memoryview(out.reshape(-1).view(numpy.uint8).data)
    if not filters:
        if len(data) != len(target):
            raise ChunkDamaged(f"found {len(data)} bytes; {len(target)} were expected")
        target[:] = data
        return
    for number, one in enumerate(reversed(filters)):
        last = number == len(filters) - 1
        into = target if last else memoryview(bytearray(len(target)))
        step: Step = _STEPS.get(one.number, _unknown)
        step(data, one, into, out.itemsize)
        data = into


def _unknown(data: Any, one: Filter, out: memoryview, itemsize: int) -> None:
    raise FramesRefused(f"found the filter {one.number}; 1, 2, 32004 and 32008 are known")


def _inflate(data: bytes | memoryview, one: Filter, out: memoryview, itemsize: int) -> None:
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(data, len(out) + 1)
    except zlib.error as error:
        raise ChunkDamaged(f"this is no deflated chunk: {error}") from error
    if len(found) != len(out) or not inflater.eof:
        raise ChunkDamaged(
            f"found {'more' if len(found) > len(out) else 'fewer'} bytes than the {len(out)} of the frame"
        )
    out[:] = found


def _unshuffle(data: bytes | memoryview, one: Filter, out: memoryview, itemsize: int) -> None:
    if len(data) != len(out):
        raise ChunkDamaged(f"found {len(data)} shuffled bytes; {len(out)} were expected")
    whole = len(out) // itemsize * itemsize
    bytes_of = numpy.frombuffer(data, numpy.uint8)
    target = numpy.frombuffer(out, numpy.uint8)
    target[:whole].reshape(-1, itemsize)[...] = bytes_of[:whole].reshape(itemsize, -1).T
    target[whole:] = bytes_of[whole:]


def _header(data: bytes | memoryview, out: memoryview) -> int:
    """The size of blocks."""
    if len(data) < 12:
        raise ChunkDamaged(f"found {len(data)} bytes; a header of 12 was expected")
    size, block = struct.unpack_from(">QI", data)
    if size != len(out):
        raise ChunkDamaged(f"the chunk says that it holds {size} bytes; {len(out)} were expected")
    if not 0 < block <= _MOST_BLOCK:
        raise ChunkDamaged(f"the chunk says that its blocks have {block} bytes")
    return int(block)


def _unlz4(data: bytes | memoryview, one: Filter, out: memoryview, itemsize: int) -> None:
    block, place, begin = _header(data, out), 12, 0
    source = numpy.frombuffer(data, numpy.uint8)
    address, target = source.ctypes.data, numpy.frombuffer(out, numpy.uint8).ctypes.data
    while begin < len(out):
        wanted = min(block, len(out) - begin)
        length = _length(data, place)
        if length == wanted:  # kept as it was
            out[begin : begin + wanted] = data[place + 4 : place + 4 + length]
        else:
            made = _library().LZ4_decompress_safe(address + place + 4, target + begin, length, wanted)
            if made != wanted:
                raise ChunkDamaged(
                    f"the block at byte {place} of the chunk is no LZ4 block of {wanted} bytes"
                )
        place, begin = place + 4 + length, begin + wanted
    if place != len(data):
        raise ChunkDamaged(f"{len(data) - place} bytes are left after the last block")


def _unbitshuffle(data: bytes | memoryview, one: Filter, out: memoryview, itemsize: int) -> None:
    block = _header(data, out)
    if block % (8 * itemsize):
        raise ChunkDamaged(f"found blocks of {block} bytes; a multiple of {8 * itemsize} was expected")
    elements = len(out) // itemsize
    of_block = block // itemsize
    blocks = elements // of_block + (1 if elements % of_block >= 8 else 0)
    place = 12
    for _ in range(blocks):  # the decoder believes these lengths
        place += 4 + _length(data, place)
    rest = elements % 8 * itemsize
    if place + rest != len(data):
        raise ChunkDamaged(f"the blocks of the chunk end at byte {place + rest} of {len(data)}")
    source, target = numpy.frombuffer(data, numpy.uint8), numpy.frombuffer(out, numpy.uint8)
    done = _library().bshuf_decompress_lz4(
        source.ctypes.data + 12, target.ctypes.data, elements, itemsize, of_block
    )
    if done != len(data) - 12:
        raise ChunkDamaged(
            f"this is no bitshuffled chunk of {itemsize} byte elements: the decoder says {done}"
        )


def _length(data: bytes | memoryview, place: int) -> int:
    if place + 4 > len(data):
        raise ChunkDamaged(f"the chunk ends at byte {len(data)}, within a block")
    (length,) = struct.unpack_from(">I", data, place)
    if place + 4 + length > len(data):
        raise ChunkDamaged(
            f"the block at byte {place} says that it has {length} bytes; {len(data) - place - 4} are left"
        )
    return int(length)


_STEPS: Final[dict[int, Step]] = {
    DEFLATE: _inflate,
    SHUFFLE: _unshuffle,
    LZ4: _unlz4,
    BITSHUFFLE: _unbitshuffle,
}


@lru_cache(maxsize=1)
def _library() -> Any:
    """The decoders that `hdf5plugin` brings, called without the interpreter's lock."""
    import hdf5plugin

    folder = Path(hdf5plugin.PLUGIN_PATH)
    found = next(iter(sorted(folder.glob("libh5bshuf.*"))), None)
    if found is None:
        raise FramesRefused(f"`{folder}` has no bitshuffle; install hdf5plugin from a wheel")
    library = ctypes.CDLL(str(found))
    size = ctypes.c_size_t
    library.bshuf_decompress_lz4.argtypes = [ctypes.c_void_p, ctypes.c_void_p, size, size, size]
    library.bshuf_decompress_lz4.restype = ctypes.c_int64
    library.LZ4_decompress_safe.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    library.LZ4_decompress_safe.restype = ctypes.c_int
    return library
