"""The tree over an HDF5 file's datasets, made from its stored chunks, and proofs that one of them is in it.

A dataset's chunks are leaves in row-major order, hashed as they are stored: nothing is decompressed, and a file that is moved, or repacked without being
recompressed, keeps the root of each dataset. What is not chunked is cut into pieces of 1 MiB. A dataset's own leaf is the JSON (RFC 8785) of what is
known of it, with that root; the last leaf is the JSON of all attributes. The root is over the datasets in the order of their paths, and the attributes.

Who reads HDF5 is elsewhere: this module knows digests, offsets and lengths only, so that one chunk is verified with nothing but its bytes.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from provenance import jcs, merkle
from provenance.errors import Malformed, ProofRefused
from provenance.leaves import LeafHeader, leaf_of

CHUNKS: Final = 2
"""The kind of a leaf that is a stored chunk of a dataset."""

EXCLUDED: Final = "/entry/provenance"
"""What lies below is not part of the tree, so that evidence can be put into a file without changing its root."""

_MOST_PROOF: Final = 63


def dataset_id(path: str) -> int:
    """The id in the headers of a dataset's leaves: no chunk passes for one of another dataset."""
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "big")


def chunk_leaf(path: str, index: int, flags: int, data: bytes | bytearray | memoryview) -> bytes:
    """The digest of a stored chunk.

    Args:
        path: of the dataset in its file.
        index: of the chunk, in row-major order.
        flags: the filter mask that it is stored with: which filters were left out.
        data: as it is stored.
    """
    return leaf_of(LeafHeader(CHUNKS, index, len(data), dataset_id(path), flags & 0xFFFF), data)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where a chunk is in its file, and its digest. A chunk that was never written has no bytes."""

    offset: int
    length: int
    flags: int
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset's tree.

    Attributes:
        path: in the file.
        about: data type, shape, shape of chunks, filters, fill value, as texts and numbers.
        chunks: in row-major order.
    """

    path: str
    about: Mapping[str, Any]
    chunks: tuple[Chunk, ...]

    @property
    def root(self) -> bytes:
        return merkle.root_of([chunk.leaf for chunk in self.chunks])

    def leaf(self) -> bytes:
        return dataset_leaf(self.path, self.about, len(self.chunks), self.root)


def dataset_leaf(path: str, about: Mapping[str, Any], count: int, root: bytes) -> bytes:
    """The digest that stands for a dataset in its file's tree."""
    said = {"path": path, "about": dict(about), "chunks": count, "root": root.hex()}
    return merkle.leaf_hash(jcs.encode(said))


@dataclass(frozen=True, slots=True)
class ChunkTree:
    """The tree over a file's datasets."""

    datasets: tuple[Dataset, ...]
    attributes: bytes

    @classmethod
    def of(cls, datasets: Sequence[Dataset], attributes: Mapping[str, Mapping[str, Any]]) -> "ChunkTree":
        """Over datasets in any order.

        Args:
            datasets: of the file.
            attributes: by the path of what has them, then by name.
        """
        kept = {path: dict(found) for path, found in attributes.items() if found}
        return cls(
            tuple(sorted(datasets, key=lambda one: one.path)),
            merkle.leaf_hash(jcs.encode({"attributes": kept})),
        )

    def leaves(self) -> list[bytes]:
        return [*(dataset.leaf() for dataset in self.datasets), self.attributes]

    @property
    def root(self) -> bytes:
        return merkle.root_of(self.leaves())

    def proof(self, path: str, index: int) -> "ChunkProof":
        """That a chunk is in this tree.

        Raises:
            Malformed: there is no such dataset, or no such chunk of it.
        """
        place = next((n for n, one in enumerate(self.datasets) if one.path == path), None)
        if place is None:
            raise Malformed(
                f"the file has no dataset `{path}`; it has {', '.join(one.path for one in self.datasets[:20])}"
            )
        dataset = self.datasets[place]
        if not 0 <= index < len(dataset.chunks):
            raise Malformed(
                f"`{path}` has {len(dataset.chunks)} chunks, numbered from 0, and no chunk {index}"
            )
        leaves = self.leaves()
        return ChunkProof(
            self.root, path, dataset.about, len(dataset.chunks), index, dataset.chunks[index],
            tuple(merkle.inclusion_proof([chunk.leaf for chunk in dataset.chunks], index)),
            place, len(leaves), tuple(merkle.inclusion_proof(leaves, place)),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChunkProof:
    """That a stored chunk, at an offset of a file, belongs to the tree with a root.

    Attributes:
        root: of the file's datasets.
        path, about, count: of the dataset, as in its leaf.
        index: of the chunk in the dataset.
        chunk: where it is, and its digest.
        proof: from the chunk to the dataset's root.
        place, places: of the dataset's leaf, and how many leaves there are.
        file_proof: from the dataset's leaf to the root.
    """

    root: bytes
    path: str
    about: Mapping[str, Any]
    count: int
    index: int
    chunk: Chunk
    proof: tuple[bytes, ...]
    place: int
    places: int
    file_proof: tuple[bytes, ...]

    def check(self) -> None:
        """Check that the chunk's digest leads to the root.

        Raises:
            ProofRefused: it does not.
        """
        dataset = merkle.root_from_inclusion(self.chunk.leaf, self.index, self.count, self.proof)
        leaf = dataset_leaf(self.path, self.about, self.count, dataset)
        merkle.check_inclusion(leaf, self.place, self.places, self.root, self.file_proof)

    def differs(self, read: Callable[[int, int], bytes]) -> str:
        """How the bytes in a file differ from the chunk, in words; empty where they do not.

        Args:
            read: gives up to so many bytes at an offset.

        Raises:
            ProofRefused: the proof itself does not hold.
        """
        self.check()
        data = read(self.chunk.offset, self.chunk.length)
        where = f"chunk {self.index} of `{self.path}` (bytes {self.chunk.offset} to {self.chunk.offset + self.chunk.length - 1})"
        if len(data) != self.chunk.length:
            return f"the file ends within {where}"
        if chunk_leaf(self.path, self.index, self.chunk.flags, data) != self.chunk.leaf:
            return f"{where} differs from what was signed"
        return ""

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "root": self.root.hex(), "path": self.path, "about": dict(self.about), "count": self.count, "index": self.index,
            "offset": self.chunk.offset, "length": self.chunk.length, "flags": self.chunk.flags, "leaf": self.chunk.leaf.hex(),
            "proof": [one.hex() for one in self.proof], "place": self.place, "places": self.places,
            "file_proof": [one.hex() for one in self.file_proof],
        }  # fmt: skip


_COUNTS: Final = ("count", "index", "offset", "length", "flags", "place", "places")


def proof_of_json(found: Any) -> ChunkProof:
    """A proof from plain data.

    Raises:
        Malformed: it is none.
    """
    names = {"root", "path", "about", "leaf", "proof", "file_proof", *_COUNTS}
    if not isinstance(found, dict) or found.keys() != names:
        raise Malformed(f"a proof of a chunk has {', '.join(sorted(names))}")
    if any(type(found[name]) is not int or found[name] < 0 for name in _COUNTS):
        raise Malformed(f"{', '.join(_COUNTS)} of a proof of a chunk are whole numbers")
    if not isinstance(found["path"], str) or not isinstance(found["about"], dict):
        raise Malformed("`path` of a proof of a chunk is a text, and `about` an object")
    chunk = Chunk(found["offset"], found["length"], found["flags"], _digest(found["leaf"]))
    return ChunkProof(
        _digest(found["root"]), found["path"], found["about"], found["count"], found["index"], chunk,
        _digests(found["proof"]), found["place"], found["places"], _digests(found["file_proof"]),
    )  # fmt: skip


def _digests(found: Any) -> tuple[bytes, ...]:
    if not isinstance(found, list) or len(found) > _MOST_PROOF:
        raise Malformed(f"a proof is a list of {_MOST_PROOF} digests at the most")
    return tuple(_digest(one) for one in found)


def _digest(found: Any) -> bytes:
    if not isinstance(found, str) or not re.fullmatch(r"[0-9a-f]{64}", found):
        raise Malformed("a digest is 64 hexadecimal digits in small letters")
    return bytes.fromhex(found)


__all__ = [
    "CHUNKS",
    "EXCLUDED",
    "Chunk",
    "ChunkProof",
    "ChunkTree",
    "Dataset",
    "ProofRefused",
    "chunk_leaf",
    "dataset_id",
    "proof_of_json",
]
