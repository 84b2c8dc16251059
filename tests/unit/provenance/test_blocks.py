"""Trees over blocks of a file: the same whatever the order in which bytes came, and whoever saw them; what differs is named."""

import hashlib
import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance import blocks
from provenance.blocks import BLOCK_BYTES, BlocksSeen, BlockTree, tree_of
from provenance.errors import Malformed
from provenance.leaves import BLOCKS, LeafHeader, leaf_of
from provenance.merkle import EMPTY_ROOT, leaf_hash, root_of

SMALL = 16


@pytest.fixture
def small(monkeypatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", SMALL)


def expected(data: bytes) -> BlockTree:
    found = [data[begin : begin + SMALL] for begin in range(0, len(data), SMALL)]
    return BlockTree.over(len(data), [blocks.block_leaf(number, part) for number, part in enumerate(found)])


def reader(data: bytes, asked: list[int]) -> Callable[[int, int], bytes]:
    def read(offset: int, count: int) -> bytes:
        asked.append(offset // SMALL)
        return data[offset : offset + count]

    return read


def test_a_leaf_is_what_the_format_says() -> None:
    header = struct.pack(">BBHIQQQ", 1, 1, 0, 0, 0, 7, 3)
    assert blocks.block_leaf(7, b"abc") == leaf_hash(header + b"abc")
    assert LeafHeader(2, 5, 4, id=9, flags=1).packed() == struct.pack(">BBHIQQQ", 1, 2, 1, 0, 9, 5, 4)
    with pytest.raises(ValueError, match="2 bytes follow a header that says 3"):
        leaf_of(LeafHeader(BLOCKS, 0, 3), b"ab")


def test_trees_of_small_files() -> None:
    assert tree_of([]).root == EMPTY_ROOT
    assert tree_of([b"abc"]).root == blocks.block_leaf(0, b"abc")
    data = bytes(range(256)) * 4096 * 3
    found = [blocks.block_leaf(n, data[n * BLOCK_BYTES : (n + 1) * BLOCK_BYTES]) for n in range(3)]
    assert tree_of([data]).root == root_of(found)
    assert hashlib.sha256(b"").digest() == EMPTY_ROOT


WRITES = st.lists(st.tuples(st.integers(0, 100), st.binary(min_size=1, max_size=70)), max_size=12)


@settings(max_examples=300)
@given(WRITES, WRITES)
def test_any_writes_of_any_streams_give_the_tree_of_the_file(first, second) -> None:
    """Two streams write here and there, one after the other."""
    before = blocks.BLOCK_BYTES
    blocks.BLOCK_BYTES = SMALL
    try:
        content = bytearray()
        streams = BlocksSeen(), BlocksSeen()
        for stream, writes in zip(streams, (first, second), strict=True):
            for offset, data in writes:
                content.extend(bytes(max(0, offset + len(data) - len(content))))
                content[offset : offset + len(data)] = data
                stream.see(offset, data)
        streams[0].add(streams[1].records())
        asked = list[int]()
        assert streams[0].tree(len(content), reader(bytes(content), asked)) == expected(bytes(content))
        assert len(asked) == len(set(asked)), "a block is read again once"
    finally:
        blocks.BLOCK_BYTES = before


@settings(max_examples=100)
@given(st.binary(max_size=200), st.integers(1, 60), st.integers(1, 4), st.randoms())
def test_bytes_that_pass_once_are_not_read_again(data: bytes, step: int, count: int, random) -> None:
    """In order and in any steps, from streams that have each a share of whole blocks."""
    before = blocks.BLOCK_BYTES
    blocks.BLOCK_BYTES = SMALL
    try:
        share = -(-len(data) // count // SMALL) * SMALL or SMALL
        streams = [BlocksSeen() for _ in range(count)]
        order = list(range(count))
        random.shuffle(order)
        for number in order:
            begin, end = number * share, min((number + 1) * share, len(data))
            for offset in range(begin, end, step):
                streams[number].see(offset, data[offset : min(offset + step, end)])
        for other in streams[1:]:
            streams[0].add(other.records())
        asked = list[int]()
        assert streams[0].tree(len(data), reader(data, asked)) == expected(data)
        last = len(data) // SMALL  # a short last block that another stream saw is the one that may be read
        assert set(asked) <= {last}
    finally:
        blocks.BLOCK_BYTES = before


def test_what_was_cut_is_read_again(small: None) -> None:
    seen, asked = BlocksSeen(), list[int]()
    seen.see(0, b"x" * 64)
    seen.cut(40)
    content = b"x" * 40
    assert seen.tree(40, reader(content, asked)) == expected(content)
    assert asked == [2]
    seen.see(40, b"y" * 24)
    content += b"y" * 24
    assert seen.tree(64, reader(content, asked)) == expected(content)


@given(st.binary(min_size=1, max_size=200), st.binary(max_size=200))
def test_what_differs_is_named(one: bytes, other: bytes) -> None:
    before = blocks.BLOCK_BYTES
    blocks.BLOCK_BYTES = SMALL
    try:
        size = max(len(one), len(other))
        wrong = [
            (begin, min(SMALL, size - begin))
            for begin in range(0, size, SMALL)
            if one[begin : begin + SMALL] != other[begin : begin + SMALL]
        ]
        assert expected(one).differing(expected(other)) == wrong
    finally:
        blocks.BLOCK_BYTES = before


def test_of_large_files_only_runs_of_blocks_are_kept(small: None, monkeypatch) -> None:
    monkeypatch.setattr(blocks, "MOST_KEPT", 4)
    data = bytes(range(256))
    tree = expected(data)
    assert (tree.level, len(tree.digests), tree.run_bytes) == (2, 4, 64)
    found = [blocks.block_leaf(n, data[n * SMALL : (n + 1) * SMALL]) for n in range(16)]
    assert tree.root == root_of(found)
    assert tree.differing(expected(data[:100] + b"!" + data[101:])) == [(64, 64)]
    assert BlockTree.decoded(tree.size_bytes, tree.level, tree.encoded()) == tree


@pytest.mark.parametrize("text", [b"", b"x", bytes(31), bytes(96)])
def test_what_is_no_tree_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed, match="2 digests were expected for 1048577 bytes"):
        BlockTree.decoded(BLOCK_BYTES + 1, 0, text)
    if len(text) % 41:
        with pytest.raises(Malformed, match="records of 41 were expected"):
            BlocksSeen().add(text)
