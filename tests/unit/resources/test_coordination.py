"""Votes of trees of resources, as tables and properties."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.context import ContextError, pairs, read
from resources.coordination import CONTEXTS, CREATE, OPEN, Ask, Ballot, Node, cache_in_front_of, refusal

A, B, C = (Node(n, name, "unixfilesystem") for n, name in ((1, "a"), (2, "b"), (3, "c")))
DOWN = Node(4, "down", "unixfilesystem", is_down=True)
FULL = Node(5, "full", "unixfilesystem", free_bytes=100, keep_free=95)
SMALL = Node(6, "small", "unixfilesystem", largest=10)


def tree(kind: str, *children: Node, **settings: float | str) -> Node:
    return Node(99, kind, kind, settings=settings, children=children)


def compound(*, auto_repl: str = "on") -> Node:
    cache = Node(1, "cache", "unixfilesystem", place="cache")
    return tree("compound", cache, Node(2, "archive", "tape", place="archive"), auto_repl=auto_repl)


def leaf(node: Node, ask: Ask) -> str:
    found = Ballot(random.Random(1)).vote(node, ask)
    return found.leaf.name if found is not None else ""


@pytest.mark.parametrize(("node", "ask", "expected"), [
    (A, Ask(CREATE), "a"),
    (DOWN, Ask(CREATE), ""),
    (FULL, Ask(CREATE, 6), ""),
    (FULL, Ask(CREATE, 5), "full"),
    (SMALL, Ask(CREATE, 11), ""),
    (tree("deferred", DOWN, FULL, B, C), Ask(CREATE, 50), "b"),
    (tree("deferred", A, B), Ask(OPEN, 0, {2: "good"}), "b"),
    (tree("deferred", A, B), Ask(OPEN, 0, {1: "stale", 2: "good"}), "b"),
    (tree("deferred", A, B), Ask(OPEN, 0, {1: "offline", 2: "good"}), "b"),
    (tree("deferred", A, B), Ask(OPEN, 0, {1: "stale", 2: "offline"}), "b"),
    (tree("deferred", A, B), Ask(OPEN), ""),
    (tree("random", DOWN, B), Ask(CREATE), "b"),
    (tree("round_robin", DOWN, B, FULL), Ask(CREATE, 50), "b"),
    (tree("replication", DOWN, B), Ask(CREATE), "b"),
    (tree("replication", A, B, read="random"), Ask(OPEN, 0, {1: "offline", 2: "good"}), "b"),
    (tree("passthru", tree("random", B)), Ask(CREATE), "b"),
    (tree("passthru"), Ask(CREATE), ""),
    (Node(9, "p", "passthru", is_down=True, children=(A,)), Ask(CREATE), ""),
    (compound(), Ask(CREATE), "cache"),
    (compound(), Ask(OPEN, 0, {1: "good", 2: "good"}), "cache"),
    (compound(), Ask(OPEN, 0, {1: "stale", 2: "good"}), "archive"),
    (compound(), Ask(OPEN, 0, {2: "offline"}), "archive"),
    (tree("compound", A, B), Ask(CREATE), ""),
])  # fmt: skip
def test_who_is_chosen(node: Node, ask: Ask, expected: str) -> None:
    assert leaf(node, ask) == expected


def test_a_passthru_weighs() -> None:
    light, heavy = tree("passthru", A, write=0.5, read=3), tree("passthru", B, write=2, read=0.1)
    assert leaf(tree("deferred", light, heavy), Ask(CREATE)) == "b"
    assert leaf(tree("deferred", light, heavy), Ask(OPEN, 0, {1: "good", 2: "good"})) == "a"


def test_a_rotation_is_even_and_skips_what_is_down() -> None:
    ballot = Ballot(random.Random(3))
    counts = Counter(
        ballot.vote(tree("round_robin", A, B, DOWN, C), Ask(CREATE)).leaf.name for _ in range(400)
    )  # type: ignore[union-attr]
    assert set(counts) == {"a", "b", "c"}
    assert counts["a"] == counts["b"] == 100


def test_the_least_busy_gets_the_work() -> None:
    busy, idle = Node(1, "busy", "unixfilesystem", load=7), Node(2, "idle", "unixfilesystem", load=2)
    assert leaf(tree("load_balanced", busy, idle), Ask(CREATE)) == "idle"


@pytest.mark.parametrize(("node", "holders", "missing"), [
    (tree("replication", A, B, C), {1: "good"}, ["b", "c"]),
    (tree("replication", A, B), {1: "good", 2: "stale"}, ["b"]),
    (tree("replication", A, B), {1: "good", 2: "offline"}, []),
    (tree("replication", A, DOWN), {1: "good"}, []),
    (tree("replication", A, tree("random", B, C)), {1: "good", 3: "stale"}, ["c"]),
    (tree("replication", A, B), {3: "good"}, []),
    (compound(), {1: "good"}, ["archive"]),
    (compound(auto_repl="off"), {1: "good"}, []),
    (tree("passthru", tree("replication", A, B)), {1: "good"}, ["b"]),
    (tree("random", A, B), {1: "good"}, []),
])  # fmt: skip
def test_which_copies_a_tree_still_wants(node: Node, holders: dict[int, str], missing: list[str]) -> None:
    found = Ballot(random.Random(1)).missing(node, Ask(CREATE, 1, holders))
    assert [leaf.name for leaf in found] == missing


def test_the_cache_of_an_archive() -> None:
    root = tree("passthru", compound())
    cache = cache_in_front_of(root, 2)
    assert cache is not None
    assert cache.name == "cache"
    assert cache_in_front_of(root, 1) is None


NODES = st.recursive(
    st.builds(
        Node, st.integers(1, 5), st.just("leaf"), st.just("unixfilesystem"), st.booleans(),
        st.none() | st.integers(0, 100), st.integers(0, 100), st.none() | st.integers(0, 100),
    ),
    lambda inner: st.builds(
        Node, st.integers(10, 99), st.just("node"), st.sampled_from(sorted(CONTEXTS)), st.booleans(),
        place=st.sampled_from(("", "cache", "archive")), children=st.lists(inner, max_size=4).map(tuple),
    ),
    max_leaves=12,
)  # fmt: skip


@given(
    NODES,
    st.sampled_from((CREATE, OPEN)),
    st.dictionaries(st.integers(1, 5), st.sampled_from(("good", "stale", "offline"))),
)
def test_a_choice_is_a_leaf_that_is_up_and_can(node: Node, operation: str, holders: dict[int, str]) -> None:
    ask = Ask(operation, 10, holders)
    found = Ballot(random.Random(0)).vote(node, ask)
    if found is None:
        return
    assert any(found.leaf is one for one in node.leaves())
    assert not found.leaf.is_down
    if operation == CREATE:
        assert refusal(found.leaf, 10) == ""
    else:
        assert found.leaf.id in holders


@pytest.mark.parametrize(("text", "expected"), [
    ("", {}), ("write=0.5; read = 2", {"write": 0.5, "read": 2.0}), ("rack=7;site=lund", {}),
])  # fmt: skip
def test_contexts_as_values(text: str, expected: dict[str, float]) -> None:
    assert read(text, CONTEXTS["passthru"]) == expected


@pytest.mark.parametrize(("text", "message"), [
    ("write=-1", "`write` is `-1`; a number above 0 was expected"), ("wrte=1", "did you mean `write`?"),
    ("write", "where `name=value` was expected"), ("=3", "where `name=value` was expected"),
])  # fmt: skip
def test_contexts_that_say_nonsense(text: str, message: str) -> None:
    with pytest.raises(ContextError, match=message.replace("?", r"\?")):
        read(text, CONTEXTS["passthru"])


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = pairs(text)
    except ContextError:
        return
    assert all(name == name.strip() and name for name in found)


@pytest.mark.parametrize(
    ("text", "size"),
    [("500 GB", 500 * 10**9), ("1 KiB", 1024), ("7", 7), ("1.5 TB", 15 * 10**11), ("2MiB", 2 << 20)],
)
def test_sizes(text: str, size: int) -> None:
    assert read(f"maximum_file_size={text}", {"maximum_file_size": "bytes"}) == {"maximum_file_size": size}
