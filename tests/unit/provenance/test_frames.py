"""Trees over frames and signed batches: in any order, over a restart, with everything that is left out, moved or exchanged told."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from provenance import merkle
from provenance.errors import Malformed, ProofRefused
from provenance.frames import (
    BATCH_FRAMES,
    BatchSigner,
    batch_of,
    check_batches,
    frame_leaf,
    note_digest,
)
from provenance.keyfiles import FileKey
from provenance.notes import Note

STREAM = "run7"


def leaf(index: int, stream: str = STREAM) -> bytes:
    return frame_leaf(stream, index, b"frame %d" % index)


def test_a_frame_neither_changes_its_place_nor_its_stream() -> None:
    data = b"the same bytes"
    leaves = {
        frame_leaf(stream, index, data, flags)
        for stream in ("a", "b")
        for index in (0, 1)
        for flags in (0, 1)
    }
    assert len(leaves) == 8


def test_one_frame_of_a_million_is_proven_by_twenty_digests() -> None:
    base = [n.to_bytes(32, "big") for n in range(1_000_000)]
    index = random.randrange(1_000_000)
    base[index] = leaf(index)
    proof = merkle.inclusion_proof(base, index)
    assert len(proof) in (19, 20)
    merkle.check_inclusion(
        frame_leaf(STREAM, index, b"frame %d" % index), index, 1_000_000, merkle.root_of(base), proof
    )


@pytest.fixture
def key(tmp_path: Path) -> FileKey:
    return FileKey.make(tmp_path / "k.key", "maxiv/nanomax/eiger#1")


def batches(key: FileKey, frames: int, per_s: float = 10_000) -> list[Note]:
    signer = BatchSigner(STREAM, key)
    made = [signer.add(index, leaf(index), index / per_s) for index in range(frames)]
    return [note for note in (*made, signer.close()) if note is not None]


def checked(key: FileKey, found: list[Note], whole: list[Note] | None = None) -> None:
    digests = [note_digest(note).hex() for note in (found if whole is None else whole)]
    check_batches(found, STREAM, digests, lambda one, data: key.public.verifies(one.sig, data))


def test_batches_are_signed_by_time_and_by_number(key: FileKey) -> None:
    fast, slow = batches(key, 10_000, 100_000), batches(key, 50, 10)
    assert [(batch_of(n).first, batch_of(n).last) for n in fast] == [
        (0, BATCH_FRAMES - 1),
        (BATCH_FRAMES, 2 * BATCH_FRAMES - 1),
        (8192, 9999),
    ]
    assert len(slow) == 5
    checked(key, fast)
    checked(key, slow)
    assert BatchSigner(STREAM, key).close() is None


def test_a_stream_goes_on_after_a_restart(key: FileKey) -> None:
    first = batches(key, 100)
    signer = BatchSigner(STREAM, key, first[-1])
    signer.add(100, leaf(100), 0)
    checked(key, [*first, signer.close()])


@pytest.mark.parametrize(("change", "message"), [
    (lambda n: n[:-1], "names 5 batches, and 4 are here"), (lambda n: [n[0], *n[2:]], "batch 1 of `run7` is missing; batch 2"),
    (lambda n: [n[1], n[0], *n[2:]], "batch 0 of `run7` is missing"), (lambda n: [*n, n[-1]], "batch 5 of `run7` is missing"),
    (lambda n: [replace(n[0], signatures=(replace(n[0].signatures[0], sig=bytes(64)),)), *n[1:]], "batch 0 is not signed"),
    (lambda n: [Note(n[0].text.replace("0 10", "0 11"), n[0].signatures), *n[1:]], "batch 0 is not signed"),
])  # fmt: skip
def test_batches_that_are_left_out_or_changed_are_told(key: FileKey, change, message: str) -> None:
    whole = batches(key, 50, 10)
    with pytest.raises(ProofRefused, match=message):
        checked(key, change(whole), whole)


def test_a_batch_that_was_signed_again_breaks_the_chain(key: FileKey) -> None:
    whole = batches(key, 50, 10)
    again = replace(batch_of(whole[1]), root=bytes(32)).note().signed(key)
    with pytest.raises(ProofRefused, match="batch 2 does not follow the one before it"):
        checked(key, [whole[0], again, *whole[2:]])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "beamgrid batch 1\na\n1\n1 2\nAA==\nAA==\n",
        "x\na\n1\n1 2\n" + "A" * 43 + "=\n" + "A" * 43 + "=\n",
        "beamgrid batch 1\na\nb\n1 2\nq\nq\n",
    ],
)
def test_what_is_no_batch(text: str) -> None:
    with pytest.raises(Malformed):
        batch_of(Note(text))
