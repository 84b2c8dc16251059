"""Trees against a naive one written from the definition; proofs that are right, and all that were changed are refused."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance import merkle
from provenance.errors import ProofRefused
from provenance.merkle import RightEdge, check_consistency, check_inclusion

SIZES = st.integers(0, 130)


def leaves(size: int, salt: str = "") -> list[bytes]:
    return [merkle.leaf_hash(f"{salt}{number}".encode()) for number in range(size)]


def naive(entries: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return hashlib.sha256(b"\x01" + naive(entries[:k]) + naive(entries[k:])).digest()


@pytest.mark.parametrize("size", range(70))
def test_roots_of_every_size_are_those_of_the_definition(size: int) -> None:
    entries = [bytes([number]) * (number % 5) for number in range(size)]
    found = [merkle.leaf_hash(entry) for entry in entries]
    assert merkle.root_of(found) == naive(entries)
    assert RightEdge().extended(found).root() == naive(entries)


@pytest.mark.parametrize(("size", "root"), [
    (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
])  # fmt: skip
def test_roots_that_others_have_published(size: int, root: str) -> None:
    """The roots of no entry and of one empty entry. Source: the test vectors of Certificate Transparency's `merkle` packages."""
    assert merkle.root_of([merkle.leaf_hash(b"")] * size).hex() == root


@given(SIZES, SIZES, st.integers(0, 7))
def test_a_tree_may_grow_in_any_steps_and_be_folded_at_any_level(
    first: int, second: int, levels: int
) -> None:
    all_of_them = leaves(first + second)
    edge = RightEdge().extended(all_of_them[:first])
    again = RightEdge(edge.size, edge.roots)
    assert again.extended(all_of_them[first:]).root() == merkle.root_of(all_of_them)
    assert merkle.root_of(merkle.folded(all_of_them, levels)) == merkle.root_of(all_of_them)


@given(st.integers(1, 130), st.data())
def test_every_entry_is_proven_and_no_other(size: int, data: st.DataObject) -> None:
    found = leaves(size)
    index = data.draw(st.integers(0, size - 1))
    root, proof = merkle.root_of(found), merkle.inclusion_proof(found, index)
    assert len(proof) <= (size - 1).bit_length()
    check_inclusion(found[index], index, size, root, proof)
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != index)) if size > 1 else size
    for wrong in (
        lambda: check_inclusion(found[index], other, size, root, proof),
        lambda: check_inclusion(merkle.leaf_hash(b"no"), index, size, root, proof),
        lambda: check_inclusion(found[index], index, size, merkle.leaf_hash(b"no"), proof),
        lambda: check_inclusion(found[index], index, size, root, [*proof, found[0]]),
        lambda: check_inclusion(found[index], -1, size, root, proof),
        *(lambda n=n: check_inclusion(found[index], index, size, root, proof[:n] + proof[n + 1 :]) for n in range(len(proof))),
        *(lambda n=n: check_inclusion(found[index], index, size, root, [*proof[:n], bytes(32), *proof[n + 1 :]]) for n in range(len(proof))),
        *(lambda n=n: check_inclusion(found[index], index, size, root, [*proof[:n], b"short", *proof[n + 1 :]]) for n in range(len(proof))),
    ):  # fmt: skip
        with pytest.raises(ProofRefused):
            wrong()


@given(SIZES, SIZES, st.data())
def test_growth_is_proven_and_nothing_else(first: int, second: int, data: st.DataObject) -> None:
    found = leaves(first + second)
    size, old, new = first + second, merkle.root_of(found[:first]), merkle.root_of(found)
    proof = merkle.consistency_proof(found, first)
    check_consistency(first, size, old, new, proof)
    wrong = [
        (first, size, merkle.leaf_hash(b"no"), new, proof),
        (first, size, old, new, [*proof, bytes(32)]),
        (size + 1, size, old, new, proof),
        (-1, size, old, new, proof),
    ]
    if first > 0:
        wrong.append((first, size, old, merkle.leaf_hash(b"no"), proof))
        others = leaves(size, salt="other")
        if second:
            wrong.append((first, size, old, merkle.root_of(others), merkle.consistency_proof(others, first)))
    for number in range(len(proof)):
        wrong.append((first, size, old, new, proof[:number] + proof[number + 1 :]))
        wrong.append((first, size, old, new, [*proof[:number], bytes(32), *proof[number + 1 :]]))
        wrong.append((first, size, old, new, [*proof[:number], b"short", *proof[number + 1 :]]))
    for case in wrong:
        with pytest.raises(ProofRefused):
            check_consistency(*case)


@pytest.mark.parametrize("ask", [
    lambda: merkle.inclusion_proof([], 0), lambda: merkle.inclusion_proof(leaves(3), 3), lambda: merkle.inclusion_proof(leaves(3), -1),
    lambda: merkle.consistency_proof(leaves(3), 4), lambda: merkle.consistency_proof(leaves(3), -1),
    lambda: RightEdge(3, (bytes(32),)), lambda: RightEdge(-1, ()), lambda: merkle.root_from_inclusion(bytes(32), 0, 0, []),
])  # fmt: skip
def test_what_cannot_be_proven_is_refused(ask) -> None:
    with pytest.raises(ProofRefused):
        ask()


@settings(max_examples=10)
@given(st.integers(0, 999_999))
def test_one_of_a_million_needs_twenty_digests(index: int) -> None:
    size, leaf = 1_000_000, merkle.leaf_hash(b"frame")
    proof = [merkle.leaf_hash(bytes([level])) for level in range(20)]
    for length in range(20, 0, -1):
        try:
            root = merkle.root_from_inclusion(leaf, index, size, proof[:length])
        except ProofRefused:
            continue
        check_inclusion(leaf, index, size, root, proof[:length])
        break
    else:
        raise AssertionError("some length is right")
    assert length <= 20
