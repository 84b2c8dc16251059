"""Block trees of contents, however these were written; and what they say of copies that are not what was stored."""

import os
from pathlib import Path

import pytest

from grid.app import Zone
from grid.catalog import trees as rows
from grid.errors import ChecksumMismatch
from grid.model import ReplicaStatus
from grid.namespace import WriteRequest, trees
from grid.namespace.found import find
from grid.namespace.transfers import OpenForWriting
from provenance import blocks
from provenance.blocks import BLOCK_BYTES, tree_of
from resources.aligned import aligned_buffer

HOME = "/tempZone/home/rods"
PATH = f"{HOME}/a"
SIZE = 5 * BLOCK_BYTES + 1234


@pytest.fixture
def space(zone: Zone, rods):
    zone.namespace.context.block_trees = True
    return zone.namespace


@pytest.fixture
def read_again(monkeypatch) -> list[int]:
    """The offsets of the blocks that are read again at the end."""
    asked, tree = list[int](), blocks.BlocksSeen.tree

    def watched(self, size_bytes, read):
        def told(offset: int, count: int):
            asked.append(offset)
            return read(offset, count)

        return tree(self, size_bytes, told)

    monkeypatch.setattr(blocks.BlocksSeen, "tree", watched)
    return asked


def recorded(space, path: str = PATH):
    with space.context.database.read() as tx:
        return rows.of_object(tx, find(tx, path).id)


def content(size: int = SIZE) -> memoryview:
    data = aligned_buffer(size)
    data[:] = os.urandom(size)
    return data


def write(opened: OpenForWriting, begin: int, data: memoryview, step: int) -> None:
    opened.position = begin
    for offset in range(0, len(data), step):
        opened.write(data[offset : offset + step], keeps=True)


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES, SIZE])
def test_a_whole_put_has_the_tree_of_its_bytes(space, rods, size: int) -> None:
    data = content(size)
    space.objects.put(rods, PATH, data, WriteRequest(size_bytes=size))
    assert recorded(space) == tree_of([data])
    space.objects.put(rods, PATH, b"other", WriteRequest(size_bytes=5))
    assert recorded(space) == tree_of([b"other"])
    space.moves.unlink(rods, PATH, force=True)
    with space.context.database.read() as tx:
        assert tx.value("SELECT count(*) FROM block_trees") == 0


@pytest.mark.parametrize("step", [1000_000, BLOCK_BYTES, 3 * BLOCK_BYTES + 17, SIZE])
def test_what_passes_in_order_is_not_read_again(space, rods, read_again: list[int], step: int) -> None:
    data = content()
    opened = space.objects.open_for_writing(rods, PATH, WriteRequest(size_bytes=SIZE))
    write(opened, 0, data, step)
    opened.commit()
    assert recorded(space) == tree_of([data])
    assert read_again == []


@pytest.mark.parametrize("share", [2 * BLOCK_BYTES, 2 * BLOCK_BYTES + 5])
def test_streams_put_together_what_they_saw(space, rods, read_again: list[int], share: int) -> None:
    data = content()
    first = space.objects.open_for_writing(rods, PATH, WriteRequest(size_bytes=SIZE))
    others = [space.objects.open_for_writing(rods, PATH, WriteRequest(token=first.token)) for _ in range(2)]
    for number, stream in enumerate((first, *others)):
        write(stream, number * share, data[number * share : (number + 1) * share], BLOCK_BYTES)
    write(others[0], 3 * share, data[3 * share :], BLOCK_BYTES)
    for stream in others:
        stream.leave()
    first.commit()
    assert recorded(space) == tree_of([data])
    shared = (
        {share // BLOCK_BYTES, 2 * share // BLOCK_BYTES, SIZE // BLOCK_BYTES}
        if share % BLOCK_BYTES
        else {SIZE // BLOCK_BYTES}
    )
    assert {offset // BLOCK_BYTES for offset in read_again} <= shared
    assert len(read_again) == len(set(read_again))
    with space.context.database.read() as tx:
        assert tx.value("SELECT count(*) FROM write_leaves") == 0


def test_what_a_stream_saw_that_did_not_end_is_not_believed(space, rods, read_again: list[int]) -> None:
    data = content()
    first = space.objects.open_for_writing(rods, PATH, WriteRequest(size_bytes=SIZE))
    other = space.objects.open_for_writing(rods, PATH, WriteRequest(token=first.token))
    write(first, 0, content(), BLOCK_BYTES)
    write(other, 0, data, BLOCK_BYTES)
    other.finish_writes()
    first.commit()
    assert recorded(space) == tree_of([data])
    assert len(read_again) == 6


def test_a_change_has_the_tree_of_what_is_there_then(space, rods) -> None:
    data = content()
    space.objects.put(rods, PATH, data, WriteRequest(size_bytes=SIZE))
    opened = space.objects.open_for_writing(rods, PATH, WriteRequest(truncate=False))
    opened.position = BLOCK_BYTES + 5
    opened.write(b"changed")
    data[BLOCK_BYTES + 5 : BLOCK_BYTES + 12] = b"changed"
    opened.commit()
    assert recorded(space) == tree_of([data])
    opened = space.objects.open_for_writing(rods, PATH, WriteRequest(truncate=False))
    opened.set_size(BLOCK_BYTES + 8)
    opened.commit()
    assert recorded(space) == tree_of([data[: BLOCK_BYTES + 8]])


def test_a_tree_of_an_earlier_content_counts_for_nothing(space, rods) -> None:
    space.objects.put(rods, PATH, b"first", WriteRequest(size_bytes=5))
    space.context.block_trees = False
    space.objects.put(rods, PATH, b"second", WriteRequest(size_bytes=6))
    assert recorded(space) is None


def test_a_write_that_was_given_up_leaves_the_tree(space, rods) -> None:
    space.objects.put(rods, PATH, b"first", WriteRequest(size_bytes=5))
    opened = space.objects.open_for_writing(rods, PATH, WriteRequest(size_bytes=6))
    opened.write(b"second")
    opened.abandon()
    assert recorded(space) == tree_of([b"first"])


def damage(zone: Zone, *offsets: int) -> None:
    zone.namespace.finisher.finish()
    with (zone.folder / "vault/home/rods/a").open("r+b") as file:
        for offset in offsets:
            file.seek(offset)
            byte = file.read(1)
            file.seek(offset)
            file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("checksum", [False, True])
def test_a_damaged_copy_is_told_and_the_block_is_named(zone: Zone, space, rods, checksum: bool) -> None:
    data = content()
    space.objects.put(rods, PATH, data, WriteRequest(size_bytes=SIZE, register_checksum=checksum))
    assert space.fixity.verify(rods, PATH, 0).what == ("same" if checksum else "recorded now")
    damage(zone, 2 * BLOCK_BYTES + 3, SIZE - 1)
    outcome = space.fixity.verify(rods, PATH, 0)
    assert outcome.what == "bad"
    assert "bytes 2097152 to 3145727, 5242880 to 5244113 are not those that were stored" in outcome.reason


@pytest.mark.parametrize("checksum", [False, True])
def test_a_copy_is_made_only_of_what_was_stored(
    zone: Zone, space, rods, tmp_path: Path, checksum: bool
) -> None:
    space.administration.add_resource(rods, "other", "unixfilesystem", f"localhost:{tmp_path}/other")
    data = content()
    space.objects.put(rods, PATH, data, WriteRequest(size_bytes=SIZE, register_checksum=checksum))
    damage(zone, 7)
    with pytest.raises(ChecksumMismatch, match="bytes 0 to 1048575 are not those that were stored"):
        space.replicas.replicate(rods, PATH, "other")
    with space.context.database.read() as tx:
        (replica,) = find(tx, PATH).replicas
    assert replica.status is ReplicaStatus.STALE
    assert list((tmp_path / "other/.beamgrid/staging").iterdir()) == []
    space.objects.put(rods, f"{HOME}/b", data, WriteRequest(size_bytes=SIZE))
    assert space.replicas.replicate(rods, f"{HOME}/b", "other") == SIZE


def test_of_many_damaged_blocks_the_first_are_named() -> None:
    data, other = content(), content()
    assert trees.difference(tree_of([data]), tree_of([other])) == (
        "bytes 0 to 1048575, 1048576 to 2097151, 2097152 to 3145727 and 3 more are not those that were stored"
    )
    assert trees.difference(tree_of([data]), tree_of([data])) == ""
