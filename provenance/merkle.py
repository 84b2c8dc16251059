"""Merkle trees over lists: roots, right edges that grow, proofs that an entry is there and that a list was only added to.

Everything is a function of digests; nothing is read or kept. A tree over n entries splits at the largest power of two below n, and
leaves and nodes are hashed apart, so that neither passes for the other.

Source: RFC 6962 sections 2.1 to 2.1.3 for the trees; RFC 9162 sections 2.1.3.2 and 2.1.4.2 for checking proofs.
"""

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from provenance.errors import ProofRefused

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of a tree over nothing."""


def leaf_hash(entry: bytes) -> bytes:
    """The digest of an entry."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The digest of what two subtrees hang from."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class RightEdge:
    """The state of a tree that grows: its size, and the roots of its complete subtrees, the largest first.

    As many digests as `size` has bits set: 20 for a million entries.
    """

    size: int = 0
    roots: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.roots) != self.size.bit_count():
            raise ProofRefused(
                f"a tree of {self.size} entries has no right edge of {len(self.roots)} digests"
            )

    def extended(self, leaves: Iterable[bytes]) -> "RightEdge":
        """The state after further entries, given by their digests."""
        size, roots = self.size, list(self.roots)
        for leaf in leaves:
            size += 1
            complete = size
            while complete & 1 == 0:
                leaf = node_hash(roots.pop(), leaf)
                complete >>= 1
            roots.append(leaf)
        return RightEdge(size, tuple(roots))

    def root(self) -> bytes:
        """The root of the tree as it is now."""
        if not self.roots:
            return EMPTY_ROOT
        found = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            found = node_hash(left, found)
        return found


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over entries, given by their digests."""
    level = list(leaves)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(level[0::2], level[1::2], strict=False)
        ]
        level += odd  # a node without a sibling is its parent
    return level[0]


def folded(leaves: Sequence[bytes], levels: int) -> list[bytes]:
    """The nodes `levels` above the leaves: each stands for 2**levels of them, the last for what is left.

    The root over them is the root over the leaves.
    """
    width = 1 << levels
    return [root_of(leaves[begin : begin + width]) for begin in range(0, len(leaves), width)]


def _split(size: int) -> int:
    """The largest power of two below a size of two or more."""
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The digests that lead from an entry to the root, from the leaf upwards.

    Raises:
        ProofRefused: there is no such entry.
    """
    if not 0 <= index < len(leaves):
        raise ProofRefused(f"there is no entry {index} among {len(leaves)}")
    begin, end, proof = 0, len(leaves), list[bytes]()
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            proof.append(root_of(leaves[middle:end]))
            end = middle
        else:
            proof.append(root_of(leaves[begin:middle]))
            begin = middle
    return proof[::-1]


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that a tree of `size` entries has if `leaf` is its entry `index` and the proof is right.

    Raises:
        ProofRefused: the proof has another length than such a proof has, or there is no such entry.
    """
    _require_digests((leaf, *proof))
    if not 0 <= index < size:
        raise ProofRefused(f"there is no entry {index} in a tree of {size}")
    place, last, found = index, size - 1, leaf
    for digest in proof:
        if last == 0:
            raise ProofRefused("an inclusion proof has more digests than the tree has levels")
        if place & 1 or place == last:
            found = node_hash(digest, found)
            while not place & 1 and place:  # levels on which the node has no sibling
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, digest)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofRefused("an inclusion proof has fewer digests than the tree has levels")
    return found


def check_inclusion(leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Check that an entry is in a tree.

    Raises:
        ProofRefused: the proof does not show it.
    """
    if not hmac.compare_digest(root_from_inclusion(leaf, index, size, proof), root):
        raise ProofRefused(f"entry {index} is not in the tree of {size} entries with this root")


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """The digests that show that the tree over the first `old_size` entries is a beginning of the one over all.

    Raises:
        ProofRefused: the tree was never so large.
    """
    if not 0 <= old_size <= len(leaves):
        raise ProofRefused(f"a tree of {len(leaves)} entries never had {old_size}")
    if old_size in (0, len(leaves)):
        return []
    begin, end, old, proof, complete = 0, len(leaves), old_size, list[bytes](), True
    while old != end - begin:
        middle = _split(end - begin)
        if old <= middle:
            proof.append(root_of(leaves[begin + middle : end]))
            end = begin + middle
        else:
            proof.append(root_of(leaves[begin : begin + middle]))
            begin, old, complete = begin + middle, old - middle, False
    if not complete:
        proof.append(root_of(leaves[begin:end]))
    return proof[::-1]


def check_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that a tree was only added to.

    Raises:
        ProofRefused: the proof does not show it.
    """
    _require_digests((old_root, new_root, *proof))
    if not 0 <= old_size <= new_size:
        raise ProofRefused(f"a tree of {new_size} entries cannot come after one of {old_size}")
    if old_size in (0, new_size):
        if proof:
            raise ProofRefused(f"a consistency proof from {old_size} to {new_size} entries has no digests")
        expected = EMPTY_ROOT if old_size == 0 else new_root
        if not hmac.compare_digest(old_root, expected):
            raise ProofRefused(f"the root over {old_size} entries is another one")
        return
    rest = list(proof)
    if old_size & (old_size - 1) == 0:
        rest.insert(0, old_root)  # the old tree is a complete subtree of the new one
    if not rest:
        raise ProofRefused("a consistency proof is empty")
    place, last = old_size - 1, new_size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    older = newer = rest[0]
    for digest in rest[1:]:
        if last == 0:
            raise ProofRefused("a consistency proof has more digests than the tree has levels")
        if place & 1 or place == last:
            older, newer = node_hash(digest, older), node_hash(digest, newer)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            newer = node_hash(newer, digest)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofRefused("a consistency proof has fewer digests than the tree has levels")
    if not hmac.compare_digest(older, old_root):
        raise ProofRefused(f"the first {old_size} entries were others")
    if not hmac.compare_digest(newer, new_root):
        raise ProofRefused(f"the root over {new_size} entries is another one")


def _require_digests(found: Iterable[bytes]) -> None:
    for digest in found:
        if len(digest) != HASH_BYTES:
            raise ProofRefused(
                f"found {len(digest)} bytes where a SHA-256 digest of {HASH_BYTES} was expected"
            )
