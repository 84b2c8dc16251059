"""Logs as files: any sizes in any steps, a crash at every file, and everything that was changed behind the writer's back."""

import base64
import itertools
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance import files, log, merkle, notes, receipts
from provenance.errors import Malformed, ProofRefused
from provenance.keyfiles import FileKey, PublicKey
from provenance.log import LogBusy, LogInconsistent, LogWriter, TileFiles, tile_path
from provenance.merkle import leaf_hash
from provenance.notes import Checkpoint, checkpoint_of

SEED = bytes(range(32))
ORIGIN = "maxiv.example/prov/2026"


def writer(folder: Path) -> LogWriter:
    return LogWriter(folder / "log", folder / "private/state", FileKey(ORIGIN, SEED))


def entries(count: int, salt: str = "") -> list[bytes]:
    return [f"{salt}entry {number}".encode() for number in range(count)]


def published(folder: Path) -> Checkpoint:
    note = notes.decoded((folder / "log/checkpoint").read_text())
    key = FileKey(ORIGIN, SEED).public
    (signature,) = note.valid(
        lambda one, data: one.keyid == key.keyid(one.name) and key.verifies(one.sig, data)
    )
    assert signature.name == ORIGIN
    return checkpoint_of(note)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=5))
def test_a_log_grows_in_any_steps_and_proves_every_entry(tmp_path_factory, steps: list[int]) -> None:
    folder = tmp_path_factory.mktemp("log")
    made = entries(sum(steps))
    found = [leaf_hash(entry) for entry in made]
    size, before = 0, Checkpoint(ORIGIN, 0, merkle.EMPTY_ROOT)
    for step in steps:
        first, state = writer(folder).append(made[size : size + step])
        assert first == size
        size += step
        assert state == published(folder) == Checkpoint(ORIGIN, size, merkle.root_of(found[:size]))
        merkle.check_consistency(
            before.size, size, before.root, state.root, merkle.consistency_proof(found[:size], before.size)
        )
        before = state
    tiles = TileFiles(folder / "log")
    assert list(tiles.entries(0, size)) == made
    note = notes.decoded((folder / "log/checkpoint").read_text())
    for index in {0, size // 2, size - 1, min(255, size - 1), min(256, size - 1)}:
        assert tiles.inclusion(index, size) == merkle.inclusion_proof(found, index)
        (made_receipt,) = receipts.receipts(tiles, [index], note)
        again = receipts.decoded(made_receipt.encoded())
        again.check(made[index])
        with pytest.raises(ProofRefused):
            again.check(b"another entry")
    left = [
        file
        for file in (folder / "log").rglob("*.p/*")
        if int(file.name) > size % log.WIDTH and file.parts[-3] == "0"
    ]
    assert left == []


def test_large_logs_have_tiles_of_several_levels(tmp_path: Path) -> None:
    made = entries(70_000)
    writer(tmp_path).append(made[:65_000])
    _, state = writer(tmp_path).append(made[65_000:])
    found = [leaf_hash(entry) for entry in made]
    assert state.root == merkle.root_of(found)
    assert (tmp_path / "log/tile/2/000.p/1").exists()
    assert (tmp_path / "log/tile/0/272").exists()
    for index in (0, 65_535, 65_536, 69_999):
        assert TileFiles(tmp_path / "log").inclusion(index, 70_000) == merkle.inclusion_proof(found, index)


@pytest.mark.parametrize(("level", "number", "width", "path"), [
    (0, 0, 256, "tile/0/000"), (0, 999, 256, "tile/0/999"), (1, 1234067, 256, "tile/1/x001/x234/067"), (0, 1000, 5, "tile/0/x001/000.p/5"),
    ("entries", 70, 1, "tile/entries/070.p/1"),
])  # fmt: skip
def test_paths_are_those_of_the_format(level, number: int, width: int, path: str) -> None:
    """Source: C2SP tlog-tiles."""
    assert tile_path(level, number, width) == path


class Crash(BaseException):
    pass


def test_a_crash_at_every_file_loses_nothing_that_was_signed(tmp_path: Path, monkeypatch) -> None:
    """Before and after each file is written; what comes next are other entries, as a catalog would give them after a restart."""
    write, count, crashes = log.write_for_good, 0, 0
    while True:
        folder = tmp_path / f"run{crashes}"
        monkeypatch.setattr(log, "write_for_good", write)
        writer(folder).append(entries(250))
        calls = itertools.count()

        def failing(file: Path, data: bytes, calls=calls, at=crashes) -> None:
            """Ends before the file is written, or, by turns, after it."""
            number = next(calls)
            if number == at // 2 and at % 2 == 0:
                raise Crash
            write(file, data)
            if number == at // 2:
                raise Crash

        monkeypatch.setattr(log, "write_for_good", failing)
        try:
            writer(folder).append(entries(300, "lost "))
            crashed = False
        except Crash:
            crashed = True
        monkeypatch.setattr(log, "write_for_good", write)
        first, state = writer(folder).append(entries(20, "next "))
        logged = list(TileFiles(folder / "log").entries(0, state.size))
        whole = entries(250) + (entries(300, "lost ") if first == 550 else []) + entries(20, "next ")
        assert logged == whole
        assert (
            state
            == published(folder)
            == Checkpoint(ORIGIN, len(whole), merkle.root_of([leaf_hash(e) for e in whole]))
        )
        if not crashed:
            break
        crashes += 1
        count += 1
    assert count >= 16


def damage(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(
    "what",
    ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "state", "gone", "older", "removed", "much older"],
)
def test_what_is_not_a_continuation_is_never_signed(tmp_path: Path, what: str) -> None:
    writer(tmp_path).append(entries(100))
    older = (tmp_path / "private/state").read_bytes()
    writer(tmp_path).append(entries(200))
    before = (tmp_path / "log/checkpoint").read_bytes()
    if what == "state":
        (tmp_path / "private/state").unlink()
    elif what == "gone":
        shutil.rmtree(tmp_path / "log/tile/0")
    elif what == "older":  # somebody put an old state back: what was signed since has to stay
        (tmp_path / "private/state").write_bytes(older)
    elif (
        what == "much older"
    ):  # and removed what would tell; nothing here can know, but nothing is destroyed either
        (tmp_path / "private/state").write_bytes(older)
        (tmp_path / "log/checkpoint").unlink()
        assert writer(tmp_path).append(entries(1, "fork "))[1].size == 101
        assert (tmp_path / "private/unsigned/tile/0/000").exists()
        return
    elif what == "removed":
        (tmp_path / "log/tile/0/001.p/44").unlink()
    else:
        damage(tmp_path / "log" / what)
        if what == "tile/0/000":
            damage(tmp_path / "log/tile/1/000.p/1")
    with pytest.raises((LogInconsistent, Malformed)):
        writer(tmp_path).append(entries(1, "more "))
    assert (tmp_path / "log/checkpoint").read_bytes() == before


def test_another_key_and_another_process_are_refused(tmp_path: Path) -> None:
    writer(tmp_path).append(entries(1))
    other = LogWriter(tmp_path / "log", tmp_path / "private/state", FileKey("other.example/prov", SEED))
    with pytest.raises(
        LogInconsistent,
        match=r"the log is `maxiv.example/prov/2026`, the key is that of `other.example/prov`",
    ):
        other.append(entries(1))
    with writer(tmp_path)._alone(), pytest.raises(LogBusy):
        writer(tmp_path).append(entries(1))
    with pytest.raises(Malformed, match="found an entry of 65536 bytes"):
        writer(tmp_path).append([bytes(65_536)])
    assert writer(tmp_path).append([])[1].size == 1
    assert writer(tmp_path).append([bytes(65_535)])[1].size == 2


@pytest.mark.parametrize("data", [b"\x00", b"\x00\x05abc"])
def test_bundles_that_end_too_early_are_told(data: bytes) -> None:
    with pytest.raises(LogInconsistent):
        log.unbundled(data)


GOOD = f"{ORIGIN}\n1\n{base64.b64encode(bytes(32)).decode()}\n"


@pytest.mark.parametrize(("text", "message"), [
    ("", "a note is a text"), (GOOD, "a note is a text"), (f"{GOOD}\n", "a note is a text"), (f"{GOOD}\n— a\n", "signature line"),
    (f"{GOOD}\n— a b+c YWJj\n", "signature line"), (f"{GOOD}\n— a YWJj\n", "four bytes"), (f"{GOOD}\n— a YWJ\n", "no base64"),
    (f"{GOOD}\n— a YWJjZGVm", "a note is a text"), ("a\x00\n\n— a YWJjZGVm\n", "control characters"),
])  # fmt: skip
def test_what_is_no_note_is_refused(text: str, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        notes.decoded(text)


@pytest.mark.parametrize("text", [
    "a\n1\n", "\n1\nAAAA\n", f"a\n01\n{'A' * 43}=\n", f"a\n-1\n{'A' * 43}=\n", "a\n1\nAAAA\n", f"a\n1\n{'A' * 42}B=\n", "a\n1\n!\n",
])  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        checkpoint_of(notes.Note(text))


def test_a_note_of_others_is_verified() -> None:
    """Source: the example of C2SP signed-note (golang.org/x/mod/sumdb/note)."""
    text = (
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    key = base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    public = PublicKey(key[1:])
    note = notes.decoded(text)
    assert note.signatures[0].keyid == public.keyid("PeterNeumann") == "c74f20a3"
    assert note.valid(lambda one, data: public.verifies(one.sig, data)) == list(note.signatures)
    assert note.encoded() == text


@pytest.mark.parametrize("text", ["", "c2sp.org/tlog-proof@v1\nindex x\n\n", "c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\n" + GOOD + "\n— a YWJjZGVm\n",
    "c2sp.org/tlog-proof@v1\nindex 1\n!\n\n", "other\nindex 1\n\n"])  # fmt: skip
def test_what_is_no_receipt_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        receipts.decoded(text)


def test_files_survive_a_crash_of_the_machine(tmp_path: Path, monkeypatch) -> None:
    synced = list[str]()
    sync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), sync(fd))[1]
    )
    files.write_for_good(tmp_path / "a/b", b"data")
    assert [Path(one).name for one in synced] == [".b.part", "a"]
