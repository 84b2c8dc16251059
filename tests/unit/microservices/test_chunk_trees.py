"""Trees over the stored chunks of HDF5 files: the same wherever the chunks lie, another as soon as anything in them changes."""

import io
from pathlib import Path

import h5py
import numpy
import pytest

from microservices.chunk_trees import chunk_tree
from microservices.ports import MicroserviceError
from provenance.errors import Malformed, ProofRefused


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def size(self) -> int:
        return len(self.data)

    def read_at(self, offset: int, count: int) -> bytes:
        return self.data[offset : offset + count]

    def close(self) -> None: ...


FRAMES = numpy.arange(10 * 16 * 16, dtype="u2").reshape(10, 16, 16)


def written(change=lambda file: None, *, frames=FRAMES, gzip: int = 4, before: int = 0) -> bytes:
    made = io.BytesIO()
    with h5py.File(made, "w") as file:
        if before:
            file.create_dataset("/entry/provenance/padding", data=numpy.zeros(before))
        entry = file.require_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        data = entry.create_dataset(
            "data/frames", data=frames, chunks=(1, 16, 16), compression="gzip", compression_opts=gzip
        )
        data.attrs["units"] = "counts"
        entry["title"] = "a scan"
        entry.create_dataset("energy", data=numpy.float64(12.4))
        entry.create_dataset("names", data=["a", "bb"], dtype=h5py.string_dtype())
        entry.create_dataset("thin", shape=(4, 8), chunks=(2, 4), dtype="f4")[0, 0] = 1.5
        change(file)
    return made.getvalue()


def tree(data: bytes):
    found = chunk_tree(Bytes(data))
    assert found is not None
    return found


def test_every_dataset_is_in_it_with_every_chunk() -> None:
    found = tree(written())
    assert [(one.path, len(one.chunks)) for one in found.datasets] == [
        ("/entry/data/frames", 10), ("/entry/energy", 1), ("/entry/names", 1), ("/entry/thin", 4), ("/entry/title", 1),
    ]  # fmt: skip
    data = written()
    for one in tree(data).datasets[0].chunks:
        assert 0 < one.offset < one.offset + one.length <= len(data)
    assert [one.length > 0 for one in found.datasets[3].chunks] == [True, False, False, False], (
        "three were never written"
    )


def test_a_file_that_is_repacked_without_compressing_keeps_its_root() -> None:
    original, moved = tree(written()), tree(written(before=100_000))
    assert (
        original.root,
        [c.offset for c in original.datasets[0].chunks] != [c.offset for c in moved.datasets[0].chunks],
    ) == (
        moved.root,
        True,
    )
    assert tree(written(gzip=9)).root != original.root, (
        "what is compressed otherwise is another stored content"
    )


@pytest.mark.parametrize("change", [
    lambda file: file["/entry"].attrs.modify("NX_class", "NXother"), lambda file: file["/entry/data/frames"].attrs.modify("units", "photons"),
    lambda file: file["/entry/data/frames"].id.write_direct_chunk((3, 0, 0), b"x"), lambda file: file["/entry/energy"].__setitem__((), 12.5),
    lambda file: file["/entry"].__setitem__("more", 1), lambda file: file["/entry/names"].__setitem__(0, "c"),
    lambda file: file["/entry/thin"].__setitem__((3, 7), 1.0), lambda file: file.move("/entry/title", "/entry/name"),
])  # fmt: skip
def test_whatever_changes_gives_another_root(change) -> None:
    assert tree(written(change)).root != tree(written()).root


def test_evidence_that_is_put_into_a_file_does_not_change_its_root() -> None:
    assert (
        tree(written(lambda file: file.create_group("/entry/provenance").create_dataset("a", data=1))).root
        == tree(written()).root
    )


def test_one_chunk_is_proven_with_its_bytes_and_a_path() -> None:
    data = written()
    found = tree(data)
    proof = found.proof("/entry/data/frames", 7)
    assert proof.root == found.root
    assert proof.differs(Bytes(data).read_at) == ""
    place = proof.chunk.offset + 3
    changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    assert "chunk 7 of `/entry/data/frames`" in proof.differs(Bytes(changed).read_at)
    assert "the file ends within chunk 7" in proof.differs(Bytes(data[: proof.chunk.offset + 5]).read_at)
    with pytest.raises(Malformed, match="no dataset `/nowhere`"):
        found.proof("/nowhere", 0)
    with pytest.raises(Malformed, match="has 10 chunks, numbered from 0, and no chunk 10"):
        found.proof("/entry/data/frames", 10)


def test_a_chunk_of_another_place_is_refused() -> None:
    from dataclasses import replace

    found = tree(written())
    proof, other = found.proof("/entry/data/frames", 7), found.proof("/entry/data/frames", 6)
    for forged in (
        replace(proof, index=6),
        replace(proof, chunk=other.chunk),
        replace(proof, path="/entry/thin"),
        replace(proof, root=bytes(32)),
    ):
        with pytest.raises(ProofRefused):
            forged.check()


def test_what_is_no_hdf5_file_or_damaged(tmp_path: Path) -> None:
    assert chunk_tree(Bytes(b"no hdf5 file")) is None
    assert chunk_tree(Bytes(b"")) is None
    with pytest.raises(MicroserviceError, match="is damaged"):
        chunk_tree(Bytes(written()[:3000]))


def test_real_files_have_trees() -> None:
    from grid.cli.demo import scans

    for scan in scans():
        data = scan.read_bytes()
        found = tree(data)
        assert found.root == tree(data).root
        stored = [(d.path, n) for d in found.datasets for n, c in enumerate(d.chunks) if c.length][:50]
        for path, index in stored:
            assert found.proof(path, index).differs(Bytes(data).read_at) == ""
