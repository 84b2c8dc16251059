"""Everything that somebody may try, and by which name it is told. What the other modules of this folder try is not repeated here."""

import base64
import io
import json
import subprocess
import unicodedata
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance import commands, dsse, evidence, jcs, receipts
from provenance.authority import Authority, NotAuthorised, Root
from provenance.blocks import tree_of
from provenance.errors import Malformed, ProvenanceError
from provenance.evidence import Evidence
from provenance.keyfiles import FileKey
from provenance.log import LogInconsistent, LogWriter, audited
from provenance.notes import decoded as note_of
from provenance.verdict import judge
from tests.conftest import SOAK
from tests.unit.provenance.test_chains import RESULT, RESULT_PATH, Facility
from tests.unit.provenance.test_exports import checker
from tests.unit.provenance.test_verdict import DATA, PATH, logged


@pytest.fixture
def facility(tmp_path: Path) -> Facility:
    return Facility(tmp_path)


def chain(facility: Facility) -> Evidence:
    ingest = facility.state("ingest", "gateway", DATA, PATH, checked="verified")
    return facility.together(facility.sign(), ingest, facility.reduce())


# -- the content ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1, 8 * 1024 * 1024, 8 * (len(DATA) - 1) + 7])
def test_one_bit_of_the_data(facility: Facility, place: int) -> None:
    changed = bytearray(DATA)
    changed[place // 8] ^= 1 << place % 8
    assert facility.verdict(chain(facility), bytes(changed), PATH).state == "tampered"


def test_an_empty_file(facility: Facility) -> None:
    facility.file.write_bytes(b"")
    given = logged(facility, facility.sign())
    assert facility.verdict(given, b"", PATH).state == "verified"
    assert facility.verdict(given, b"\0", PATH).state == "tampered"


def test_evidence_of_another_object_says_nothing(facility: Facility) -> None:
    verdict = facility.verdict(chain(facility), b"a third content", "/maxiv/data/nanomax/third.h5")
    assert (verdict.state, verdict.steps) == ("unsigned", ())


def test_names_that_look_alike_are_not_the_same_place(facility: Facility) -> None:
    composed = unicodedata.normalize("NFC", "/maxiv/data/nanomax/prøve-é.h5")
    decomposed = unicodedata.normalize("NFD", composed)
    assert composed != decomposed
    facility.file.write_bytes(DATA)
    first = facility.sign(path=composed)
    facility.file.write_bytes(b"another")
    given = logged(
        facility,
        evidence.joined([first, facility.sign(path=decomposed, said=replace(_said(), stream_id="run8"))]),
    )
    given = replace(given, root=facility.ring.root_envelope())
    assert facility.verdict(given, DATA, composed).state == "verified"
    exchanged = facility.verdict(given, b"another", composed)
    assert exchanged.state == "tampered", "the content of the place that only looks like this one"


def _said():
    from tests.unit.provenance.test_verdict import SAID

    return SAID


# -- envelopes -----------------------------------------------------------------------------------------------


def test_an_envelope_of_another_type(facility: Facility) -> None:
    made = chain(facility)
    first = made.statements[0]
    other = dsse.Envelope(first.payload, "application/json", ()).signed(facility.key)
    verdict = facility.verdict(replace(made, statements=(other, *made.statements[1:])), DATA, PATH)
    assert verdict.state == "bad_signature"
    assert "the payload type `application/json`" in verdict.reason


def test_a_signature_that_is_over_the_payload_alone(facility: Facility) -> None:
    made = chain(facility)
    first = made.statements[0]
    bare = dsse.Signature(facility.key.keyid, facility.key.sign(first.payload))
    verdict = facility.verdict(
        replace(made, statements=(replace(first, signatures=(bare,)), *made.statements[1:])), DATA, PATH
    )
    assert verdict.state == "bad_signature", "without its type a payload could be taken for another"


@pytest.mark.parametrize("payload", [
    b'{"_type":"https://in-toto.io/Statement/v1","_type":"x"}', b'{"a":9007199254740993}', b'{"a":1e400}', b"[" * 100, b'{ "a":1}', b"\xff", b'"\\ud800"',
])  # fmt: skip
def test_payloads_that_could_be_read_in_two_ways(facility: Facility, payload: bytes) -> None:
    made = chain(facility)
    forged = dsse.Envelope(payload, "application/vnd.in-toto+json", ()).signed(facility.key)
    verdict = facility.verdict(replace(made, statements=(*made.statements, forged)), DATA, PATH)
    assert verdict.state == "bad_signature"


def test_a_statement_without_a_tree_is_about_nothing_here(facility: Facility) -> None:
    made = chain(facility)
    payload = jcs.decode(made.statements[0].payload)
    payload["subject"] = [{"name": PATH, "digest": {"md5": "00" * 16}}]
    other = dsse.Envelope(jcs.encode(payload), "application/vnd.in-toto+json", ()).signed(facility.key)
    verdict = facility.verdict(replace(made, statements=(other,)), DATA, PATH)
    assert verdict.state in ("unsigned", "tampered")


# -- roots and keys ------------------------------------------------------------------------------------------


def test_a_root_that_took_over_is_believed_by_who_believes_the_old_one(
    facility: Facility, tmp_path: Path, capsys
) -> None:
    folder = facility.folder / "keys"
    old = facility.ring.root_envelope()
    assert commands.main(["keys", "new-root", str(folder), "--keys", "2", "--threshold", "2"]) == 0
    assert "version 2" in capsys.readouterr().out
    facility.issue("maxiv/late", "instrument")
    given = replace(
        logged(facility, facility.sign()),
        root=facility.ring.root_envelope(),
        roots=tuple(facility.ring.earlier_roots()),
    )
    found = evidence.decoded(given.encoded())
    believed = Root.read(old).latest(found.root, found.roots)
    assert believed.version == 2
    verdict = judge(tree_of([DATA]), PATH, found, Authority.of(believed, found.keys))
    assert verdict.state == "verified"
    with pytest.raises(NotAuthorised):
        Authority.of(Root.read(old), found.keys)  # the records are signed anew
    stranger = Facility(tmp_path / "other") if (tmp_path / "other").mkdir() is None else None
    assert Root.read(old).latest(stranger.ring.root_envelope(), ()).version == 1, (
        "a root that the old one did not sign"
    )


def test_a_root_of_another_zone_is_no_successor(facility: Facility) -> None:
    old = Root.read(facility.ring.root_envelope())
    keys = [FileKey.load(file) for file in sorted((facility.folder / "keys/private").glob("root-*.key"))]
    other = Root("elsewhere", 2, 1, {keys[0].keyid: keys[0].public}).envelope().signed(*keys)
    skipped = Root("maxiv", 3, 1, {keys[0].keyid: keys[0].public}).envelope().signed(*keys)
    assert old.latest(other, ()).version == 1
    assert old.latest(skipped, ()).version == 1, "the one between is missing"


# -- the log -------------------------------------------------------------------------------------------------


def test_an_entry_that_was_taken_out_and_put_back(tmp_path: Path) -> None:
    key = FileKey.make(tmp_path / "k.key", "log.example")
    writer = LogWriter(tmp_path / "log", tmp_path / "state", key)
    writer.append([b"a", b"b", b"c"])
    bundle = tmp_path / "log/tile/entries/000.p/3"
    bundle.write_bytes(b"\0\1a\0\1c\0\1b")
    with pytest.raises(LogInconsistent):
        audited(tmp_path / "log")
    for file in (tmp_path / "log").rglob("*"):
        if file.is_file():
            file.unlink()
    with pytest.raises(LogInconsistent):
        writer.append([b"a", b"c", b"b"])


def test_an_empty_log_proves_nothing(facility: Facility) -> None:
    made = chain(facility)
    first = made.receipts[0]
    empty = f"{receipts.HEAD}\nindex 0\n\n{first.note.text.split(chr(10))[0]}\n0\n{base64.b64encode(bytes(32)).decode()}\n\n— a AAAAAAA=\n"
    assert (
        facility.verdict(replace(made, receipts=(receipts.decoded(empty),)), DATA, PATH).state == "not_logged"
    )


def test_receipts_are_compared_so_many_times_at_the_most(
    facility: Facility, monkeypatch: pytest.MonkeyPatch
) -> None:
    from provenance import judging

    monkeypatch.setattr(judging, "MOST_CHECKS", 3)
    made = chain(facility)
    with pytest.raises(Malformed, match="there are too many of them"):
        facility.verdict(replace(made, receipts=made.receipts[::-1]))


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 600])
def test_another_reader_accepts_our_log(facility: Facility, size: int) -> None:
    key = FileKey.make(facility.folder / "log.key", "maxiv.example/prov/2026")
    writer = LogWriter(facility.folder / "biglog", facility.folder / "bigstate", key)
    writer.append([b"entry %d" % n for n in range(size // 2)])
    writer.append([b"entry %d" % n for n in range(size // 2, size)])
    note = note_of((facility.folder / "biglog/checkpoint").read_text())
    made = receipts.receipts(writer.tiles, sorted({0, size // 2, size - 1}), note)
    program = Path(__file__).with_name("tlog_check.py")
    done = subprocess.run(
        [checker("python"), program, facility.folder / "biglog", key.name, key.public.raw.hex()],
        input=json.dumps([one.encoded() for one in made]), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "accepted" in done.stdout) == (0, True), done.stderr


def test_another_reader_refuses_a_log_that_was_changed(facility: Facility) -> None:
    key = FileKey.make(facility.folder / "log.key", "maxiv.example/prov/2026")
    writer = LogWriter(facility.folder / "biglog", facility.folder / "bigstate", key)
    writer.append([b"a", b"b"])
    (facility.folder / "biglog/tile/entries/000.p/2").write_bytes(b"\0\1a\0\1x")
    program = Path(__file__).with_name("tlog_check.py")
    done = subprocess.run(
        [checker("python"), program, facility.folder / "biglog", key.name, key.public.raw.hex()], input="[]", capture_output=True, text=True, check=False
    )  # fmt: skip
    assert (done.returncode, "another one" in done.stderr) == (1, True)


# -- files ---------------------------------------------------------------------------------------------------


def test_evidence_comes_in_a_crate_too(facility: Facility, capsys) -> None:
    given = chain(facility)
    crate = facility.folder / "crate.zip"
    with zipfile.ZipFile(crate, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("crate/evidence.json", given.encoded())
        opened.writestr("crate/ro-crate-metadata.json", "{}")
    asked = ["verify", str(facility.file), "--as", PATH, "--at", "2026-12-01T00:00:00Z", "--evidence"]
    assert commands.main([*asked, str(crate)]) == 0
    folder = facility.folder / "crate"
    folder.mkdir()
    (folder / "evidence.json").write_bytes(given.encoded())
    assert commands.main([*asked, str(folder)]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(("names", "message"), [
    (["../evidence.json"], "leads out of it"), (["/etc/evidence.json"], "leads out of it"), (["a\\..\\evidence.json"], "leads out of it"),
    (["a/other.json"], "holds no `evidence.json`"), (["a/evidence.json", "b/evidence.json"], "holds several"),
])  # fmt: skip
def test_archives_that_lead_out_of_themselves(
    facility: Facility, capsys, names: list[str], message: str
) -> None:
    crate = facility.folder / "crate.zip"
    with zipfile.ZipFile(crate, "w") as opened:
        for name in names:
            opened.writestr(name, chain(facility).encoded() if name == names[0] else b"{}")
    assert commands.main(["verify", str(facility.file), "--evidence", str(crate)]) == 50
    assert message in capsys.readouterr().err


def test_an_archive_that_grows_without_end_is_refused(facility: Facility, capsys) -> None:
    crate = facility.folder / "crate.zip"
    with zipfile.ZipFile(crate, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("evidence.json", b" " * ((64 << 20) + 1))
    assert commands.main(["verify", str(facility.file), "--evidence", str(crate)]) == 50
    assert "bytes at the most are read" in capsys.readouterr().err
    (facility.folder / "broken.zip").write_bytes(crate.read_bytes()[:1000])
    assert (
        commands.main(["verify", str(facility.file), "--evidence", str(facility.folder / "broken.zip")]) == 50
    )


# -- everything at once --------------------------------------------------------------------------------------

_MADE: dict[str, tuple[bytes, Authority]] = {}
_WORDS = (b"0", b"1", b"null", b'""', b"{}", b"[]", b"verified", b"999999999999999999", b"\x00", b'"')


@settings(max_examples=100_000 if SOAK else 1_000, deadline=None)
@given(st.data())
def test_a_chain_that_was_edited_never_proves_more(tmp_path_factory, data: st.DataObject) -> None:
    """Random edits of a whole chain, a thousand here and a hundred thousand in `./run soak`: never verified unless what was signed is as it was."""
    if not _MADE:
        facility = Facility(tmp_path_factory.mktemp("chain"))
        made = chain(facility)
        _MADE["it"] = made.encoded(), Authority.of(Root.read(made.root), made.keys)
    text, authority = _MADE["it"]
    edited = bytearray(text)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(edited) - 1, 0)))
        kind = data.draw(st.sampled_from(["flip", "drop", "insert", "copy", "word"]))
        if kind == "flip":
            edited[place] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "drop":
            del edited[place : place + data.draw(st.integers(1, 400))]
        elif kind == "insert":
            edited[place:place] = data.draw(st.binary(min_size=1, max_size=4))
        elif kind == "copy":
            begin = data.draw(st.integers(0, len(edited) - 1))
            edited[place:place] = edited[begin : begin + data.draw(st.integers(1, 400))]
        else:
            edited[place : place + 1] = data.draw(st.sampled_from(_WORDS))
        if not edited:
            return
    try:
        found = evidence.decoded(bytes(edited))
        verdict = judge(tree_of([RESULT]), RESULT_PATH, found, authority)
        other = judge(tree_of([b"forged"]), RESULT_PATH, found, authority)
    except ProvenanceError:
        return
    assert other.state != "verified"
    if verdict.state == "verified":
        whole = evidence.decoded(text)
        have = {one.payload: one.signatures for one in found.statements}
        for one in (whole.statements[0], whole.statements[2]):  # the acquisition and the reduction
            assert have.get(one.payload) == one.signatures


def test_the_fuzz_begins_with_what_is_verified(tmp_path: Path) -> None:
    made = chain(Facility(tmp_path))
    found = judge(tree_of([RESULT]), RESULT_PATH, made, Authority.of(Root.read(made.root), made.keys))
    assert found.state == "verified"
    assert io.BytesIO(made.encoded()).read(1) == b"{"
