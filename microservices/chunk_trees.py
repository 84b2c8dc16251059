"""The tree over an HDF5 file's datasets, from its chunk index: chunks are hashed as they are stored, and nothing is decompressed.

The file's metadata is read through the grid in blocks, its chunks one after the other where the index says they are.
"""

import base64
from collections.abc import Iterator
from typing import Any, Final

import h5py
import numpy

from microservices.nexus import BlockCache
from microservices.ports import ByteReader, Grid, MicroserviceError
from microservices.registry import Parameter, microservice
from provenance import jcs, merkle
from provenance.chunks import EXCLUDED, Chunk, ChunkTree, Dataset, chunk_leaf

PIECE_BYTES: Final = 1 << 20
MOST_CHUNKS: Final = 10_000_000
MOST_OBJECTS: Final = 100_000


@microservice(
    "sign_chunks", Parameter("object", "Object"), result="Attestation", effects=("data.read", "catalog.write"), for_clients=True
)  # fmt: skip
def sign_chunks(grid: Grid, object: str) -> dict[str, Any]:
    """Make the tree over an HDF5 file's stored chunks, and have it linked to the tree over its blocks; what is no HDF5 file is left alone."""
    version = grid.version(object)
    reader = grid.open(object)
    try:
        tree = chunk_tree(reader)
    finally:
        reader.close()
    return (
        grid.link_chunks(object, version, tree) if tree is not None else {"id": "", "predicate": "not hdf5"}
    )


def chunk_tree(reader: ByteReader) -> ChunkTree | None:
    """The tree over a file's datasets; None for what is no HDF5 file.

    Raises:
        MicroserviceError: it is damaged, or has more objects or chunks than are looked at.
    """
    if reader.read_at(0, 8) != b"\x89HDF\r\n\x1a\n":
        return None
    try:
        with h5py.File(BlockCache(reader), "r") as file:
            return _tree(file, reader)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        # h5py raises any of these on files that are cut or corrupted
        raise MicroserviceError(f"the file is damaged: {str(error)[:200]}") from error


def _tree(file: Any, reader: ByteReader) -> ChunkTree:
    found: dict[str, Any] = {"/": file}

    def visit(name: str, item: Any) -> None:
        path = f"/{name}"
        if path == EXCLUDED or path.startswith(f"{EXCLUDED}/"):
            return
        found[path] = item
        if len(found) > MOST_OBJECTS:
            raise MicroserviceError(f"the file has more than {MOST_OBJECTS} groups and datasets")

    file.visititems(visit)
    datasets = [
        _dataset(path, item, reader) for path, item in found.items() if isinstance(item, h5py.Dataset)
    ]
    attributes = {
        path: {name: _value(item.attrs, name) for name in item.attrs} for path, item in found.items()
    }
    return ChunkTree.of(datasets, attributes)


def _dataset(path: str, item: Any, reader: ByteReader) -> Dataset:
    plan = item.id.get_create_plist()
    layout = plan.get_layout()
    about: dict[str, Any] = {
        "dtype": _type_name(item.dtype), "shape": list(item.shape or ()), "chunks": list(item.chunks or ()),
        "filters": [_filter(plan.get_filter(n)) for n in range(plan.get_nfilters())], "layout": _LAYOUTS.get(layout, "other"),
        "fill": _fill(item),
    }  # fmt: skip
    if layout == h5py.h5d.VIRTUAL:
        about["sources"] = [[one.file_name, one.dset_name] for one in item.virtual_sources()]
        return Dataset(path, about, ())
    if _is_by_reference(item.dtype) or layout == h5py.h5d.COMPACT or item.shape is None or item.external:
        return Dataset(path, about, (_by_value(item),))
    if layout == h5py.h5d.CHUNKED:
        return Dataset(path, about, tuple(_stored(path, item, reader)))
    return Dataset(path, about, tuple(_pieces(path, item, reader)))


_LAYOUTS: Final = {
    h5py.h5d.COMPACT: "compact", h5py.h5d.CONTIGUOUS: "contiguous", h5py.h5d.CHUNKED: "chunked", h5py.h5d.VIRTUAL: "virtual",
}  # fmt: skip


def _filter(found: tuple[Any, ...]) -> list[Any]:
    code, flags, values, _ = found
    return [int(code), int(flags), [int(value) for value in values]]


def _fill(item: Any) -> str:
    if _is_by_reference(item.dtype):
        return ""
    return numpy.asarray(item.fillvalue, item.dtype).tobytes().hex()


def _type_name(dtype: Any) -> str:
    text = h5py.check_string_dtype(dtype)
    if text is not None:
        return f"string {text.encoding} {text.length or 'variable'}"
    values = h5py.check_enum_dtype(dtype)
    if values is not None:
        return f"enum {dtype.str} {sorted(values.items())}"
    return str(dtype.descr if dtype.names else dtype.str)


def _is_by_reference(dtype: Any) -> bool:
    """Whether what is stored only says where the values are."""
    return bool(dtype.hasobject)


def _by_value(item: Any) -> Chunk:
    """What is stored elsewhere in the file is hashed as its value."""
    value = None if item.shape is None else _plain(item[()])
    return Chunk(0, 0, 0, merkle.leaf_hash(jcs.encode({"value": value})))


def _stored(path: str, item: Any, reader: ByteReader) -> Iterator[Chunk]:
    """The chunks in row-major order; those that were never written have no bytes."""
    grid = [-(-length // size) for length, size in zip(item.shape, item.chunks, strict=True)]
    count = int(numpy.prod(grid, dtype=object))
    if count > MOST_CHUNKS:
        raise MicroserviceError(f"`{path}` has {count} chunks; {MOST_CHUNKS} at the most are looked at")
    places: dict[int, Any] = {}

    def seen(info: Any) -> None:
        index = 0
        for offset, size, length in zip(info.chunk_offset, item.chunks, grid, strict=True):
            index = index * length + offset // size
        places[index] = info

    item.id.chunk_iter(seen)
    for index in range(count):
        info = places.get(index)
        if info is None:
            yield Chunk(0, 0, 0, chunk_leaf(path, index, 0, b""))
        else:
            data = _read(reader, path, info.byte_offset, info.size)
            yield Chunk(
                info.byte_offset, info.size, info.filter_mask, chunk_leaf(path, index, info.filter_mask, data)
            )


def _pieces(path: str, item: Any, reader: ByteReader) -> Iterator[Chunk]:
    """What is stored in one piece, cut; what was never written has no bytes."""
    offset, size = item.id.get_offset(), item.id.get_storage_size()
    if offset is None:
        return
    for index, begin in enumerate(range(0, size, PIECE_BYTES)):
        length = min(PIECE_BYTES, size - begin)
        data = _read(reader, path, offset + begin, length)
        yield Chunk(offset + begin, length, 0, chunk_leaf(path, index, 0, data))


def _read(reader: ByteReader, path: str, offset: int, length: int) -> bytes:
    data = reader.read_at(offset, length)
    if len(data) != length:
        raise MicroserviceError(f"the file ends within `{path}`")
    return data


def _value(attributes: Any, name: str) -> Any:
    """An attribute: its type, and its value as texts or as the bytes of its array."""
    kind = attributes.get_id(name).dtype
    return [_type_name(kind), _plain(attributes[name])]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, str):
        return value
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, h5py.Reference | h5py.RegionReference):
        return "reference"
    found = numpy.asarray(value)
    if found.dtype.hasobject:
        return [list(found.shape), [_plain(one) for one in found.ravel()]]
    return [list(found.shape), base64.b64encode(found.tobytes()).decode()]
