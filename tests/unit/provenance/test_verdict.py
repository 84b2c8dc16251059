"""Verdicts about files: what is signed and unchanged, and every way of being otherwise, named."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance import commands, dsse, evidence, jcs, receipts
from provenance.authority import Authority, KeyRecord, NotAuthorised, Root
from provenance.blocks import BLOCK_BYTES, tree_of
from provenance.errors import Malformed, ProvenanceError
from provenance.evidence import Evidence
from provenance.keyfiles import FileKey, KeyRefused
from provenance.keyring import Keyring, KeyUnknown
from provenance.log import LogWriter, entry_of
from provenance.signing import Acquisition, sign_files
from provenance.statements import TREE, Statement, Subject, read
from provenance.verdict import judge

PATH = "/maxiv/data/nanomax/run7.h5"
SAID = Acquisition("nanomax", "eiger2x1m", "run7", frames=400)
AT = "2026-11-21T10:00:00Z"
DATA = bytes(range(256)) * 4096 * 2 + b"tail"


class World:
    """A root, an instrument's key and a signed file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ring = Keyring.create(folder / "keys", "maxiv", keys=3, threshold=2)
        self.key = self.issue("maxiv/nanomax/eiger#2026a")
        self.file = folder / "run7.h5"
        self.file.write_bytes(DATA)

    def issue(
        self,
        name: str,
        role: str = "instrument",
        scope: tuple[str, ...] = ("/maxiv/data/nanomax",),
        **times: str,
    ):
        key, _ = self.ring.new_key(name)
        times = {"not_before": "2026-01-01T00:00:00Z", "not_after": "2027-01-01T00:00:00Z", **times}
        self.ring.issue(KeyRecord(name, key.public, role, scope, **times), key, time=AT)
        return key

    def sign(
        self, key: FileKey | None = None, *, path: str = PATH, said: Acquisition = SAID, at: str = AT
    ) -> Evidence:
        made = sign_files([(path, self.file)], said, key or self.key, actor="receiver-1", at=at)
        return replace(made, root=self.ring.root_envelope(), keys=tuple(self.ring.envelopes()))

    def judge(self, given: Evidence, data: bytes = DATA, path: str = PATH):
        found = evidence.decoded(given.encoded())
        return judge(tree_of([data]), path, found, Authority.of(Root.read(found.root), found.keys))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_is_signed_and_unchanged_lacks_only_a_log(world: World) -> None:
    verdict = world.judge(world.sign())
    assert (verdict.state, verdict.exit_status, verdict.trusted_until) == ("not_logged", 20, 0)
    (step,) = verdict.steps
    assert (step.kind, step.signer, step.time) == ("acquisition", "maxiv/nanomax/eiger#2026a", AT)
    assert verdict == world.judge(world.sign()), "equal input gives an equal verdict"


@pytest.mark.parametrize(("data", "where"), [
    (DATA[:5] + b"!" + DATA[6:], r"block 0 \(bytes 0 to 1048575\) differ from what was signed"),
    (DATA[:-1] + b"!", r"block 2 \(bytes 2097152 to 2097155\)"), (DATA + b"more", r"block 2"), (DATA[:BLOCK_BYTES], "block 1 .* block 2"),
    (b"", "block 0"),
])  # fmt: skip
def test_a_changed_block_is_named(world: World, data: bytes, where: str) -> None:
    import re

    verdict = world.judge(world.sign(), data)
    assert (verdict.state, verdict.exit_status) == ("tampered", 40)
    assert re.search(where, verdict.reason)
    without = world.judge(replace(world.sign(), trees=()), data)
    assert "the evidence holds no tree that tells where" in without.reason


def test_what_nobody_signed_is_unsigned(world: World) -> None:
    verdict = world.judge(world.sign(), b"something else", "/maxiv/data/nanomax/other.h5")
    assert (verdict.state, verdict.exit_status) == ("unsigned", 10)


@pytest.mark.parametrize(("change", "state", "reason"), [
    ({"role": "gateway"}, "out_of_scope", "a key for the role `gateway`; a statement `acquisition` needs instrument"),
    ({"scope": ("/maxiv/data/cosaxs",)}, "out_of_scope", "may sign below /maxiv/data/cosaxs, not"),
    ({"scope": ("/maxiv/data/nano",)}, "out_of_scope", "may sign below"), ({"scope": ()}, "out_of_scope", "may sign below nothing"),
    ({"not_after": "2026-11-01T00:00:00Z"}, "out_of_scope", "is valid from"), ({"not_before": "2026-12-01T00:00:00Z"}, "out_of_scope", "is valid from"),
])  # fmt: skip
def test_a_key_that_may_not_is_told(world: World, change: dict, state: str, reason: str) -> None:
    verdict = world.judge(world.sign(world.issue("other#1", **change)))
    assert (verdict.state, verdict.exit_status) == (state, 40)
    assert reason in verdict.reason


def test_a_key_that_nobody_knows(world: World, tmp_path: Path) -> None:
    verdict = world.judge(world.sign(FileKey.make(tmp_path / "own.key", "somebody")))
    assert (verdict.state, verdict.exit_status) == ("unknown_signer", 20)
    changed = world.judge(world.sign(FileKey.make(tmp_path / "own2.key", "somebody")), b"other")
    assert changed.state == "unknown_signer", "what a stranger signed is no measure of tampering"


@pytest.mark.parametrize(("reason", "since", "state"), [
    ("retired", "2026-11-22T00:00:00Z", "not_logged"), ("superseded", "2026-11-21T10:00:00Z", "key_revoked"),
    ("compromised", "2026-11-30T00:00:00Z", "key_revoked"), ("lost", "2026-11-01T00:00:00Z", "key_revoked"),
])  # fmt: skip
def test_a_revoked_key(world: World, reason: str, since: str, state: str) -> None:
    world.ring.revoke("maxiv/nanomax/eiger#2026a", reason, invalid_from=since, last_good=since, time=AT)
    assert world.judge(world.sign()).state == state


def test_two_statements_of_one_stream_that_differ(world: World) -> None:
    first = world.sign()
    world.file.write_bytes(b"another content")
    second = world.sign()
    both = replace(first, statements=(*first.statements, *second.statements))
    verdict = world.judge(both)
    assert (verdict.state, verdict.exit_status) == ("equivocation", 40)
    assert "say different things of" in verdict.reason


def test_a_payload_that_was_exchanged(world: World) -> None:
    made = world.sign()
    (envelope,) = made.statements
    other = jcs.decode(envelope.payload)
    other["predicate"]["frames"] = 401
    forged = dsse.Envelope(jcs.encode(other), envelope.payload_type, envelope.signatures)
    assert world.judge(replace(made, statements=(forged,))).state == "bad_signature"
    not_canonical = dsse.Envelope(json.dumps(other).encode(), envelope.payload_type, envelope.signatures)
    assert world.judge(replace(made, statements=(not_canonical,))).state == "bad_signature"


def test_a_statement_of_an_unknown_kind_is_a_boundary(world: World) -> None:
    subject = Subject(PATH, {TREE: tree_of([DATA]).root.hex()})
    strange = Statement("", (subject,), {"x": 1}, "https://example.org/strange").envelope().signed(world.key)
    verdict = world.judge(replace(world.sign(), statements=(strange,)))
    assert (verdict.state, verdict.exit_status) == ("unsigned", 10)


def test_records_need_the_root_and_enough_of_it(world: World, tmp_path: Path) -> None:
    other = World(tmp_path / "other")
    made = world.sign()
    with pytest.raises(NotAuthorised, match="is not signed by the root of `maxiv`"):
        Authority.of(Root.read(other.ring.root_envelope()), made.keys)
    envelope = made.keys[0]
    one = dsse.Envelope(envelope.payload, envelope.payload_type, envelope.signatures[:1])
    with pytest.raises(NotAuthorised):
        Authority.of(Root.read(made.root), [one])
    twice = dsse.Envelope(envelope.payload, envelope.payload_type, envelope.signatures[:1] * 2)
    with pytest.raises(NotAuthorised):
        Authority.of(Root.read(made.root), [twice])
    root = made.root
    with pytest.raises(NotAuthorised, match="fewer than 2"):
        Root.read(dsse.Envelope(root.payload, root.payload_type, root.signatures[:1]))


@pytest.mark.parametrize("change", [
    {"threshold": 0}, {"threshold": 4}, {"threshold": True}, {"version": 0}, {"keys": {}}, {"keys": {"a": "zz"}}, {"keys": {"a": "00"}},
    {"zone": 1}, {"more": 1},
])  # fmt: skip
def test_what_is_no_root_is_refused(world: World, change: dict) -> None:
    payload = {**jcs.decode(world.ring.root_envelope().payload), **change}
    with pytest.raises(Malformed):
        Root.read(dsse.Envelope(jcs.encode(payload), "application/vnd.beamgrid.root+json", ()))


def test_a_key_takes_over_from_another(world: World) -> None:
    name = "maxiv/nanomax/eiger#2026a"
    file = world.ring.rotate(
        name, f"{name}b", not_before="2026-06-01T00:00:00Z", not_after="2028-01-01T00:00:00Z", time=AT
    )
    record = next(r for r in world.ring.authority().records.values() if r.name == f"{name}b")
    assert (record.predecessor, record.scope) == (name, ("/maxiv/data/nanomax",))
    assert world.judge(world.sign(FileKey.load(file))).state == "not_logged"
    with pytest.raises(KeyRefused, match="is there already"):
        world.ring.rotate(name, f"{name}b", not_before=AT, not_after=AT, time=AT)
    with pytest.raises(KeyUnknown):
        world.ring.revoke("none", "lost", invalid_from=AT, last_good=AT, time=AT)
    with pytest.raises(Malformed, match="last known good"):
        world.ring.revoke(name, "lost", invalid_from=AT, last_good="2026-12-01T00:00:00Z", time=AT)


def test_keys_that_others_could_use_are_not_used(world: World, tmp_path: Path) -> None:
    file = tmp_path / "keys/private/maxiv_nanomax_eiger_2026a.key"
    assert FileKey.load(file).public == world.key.public
    file.chmod(0o640)
    with pytest.raises(KeyRefused, match=r"has mode 640, so others can use the key; set it: chmod 600"):
        FileKey.load(file)
    link = tmp_path / "link.key"
    link.symlink_to(file)
    with pytest.raises(KeyRefused, match="cannot be read"):
        FileKey.load(link)
    file.chmod(0o600)
    file.write_text("nonsense")
    with pytest.raises(KeyRefused, match="is no private key"):
        FileKey.load(file)
    with pytest.raises(KeyRefused, match="is there already; a key is never overwritten"):
        FileKey.make(file, "a")
    with pytest.raises(KeyRefused, match="as a key's name"):
        FileKey.make(tmp_path / "x.key", "two words")


ORIGIN = "maxiv.example/prov/2026"


def logged(world: World, given: Evidence) -> Evidence:
    """The same with receipts of the facility's log."""
    if not (world.folder / "keys/private/maxiv.example_prov_2026.key").exists():
        world.issue(ORIGIN, "log", ())
    key = FileKey.load(world.folder / "keys/private/maxiv.example_prov_2026.key")
    writer = LogWriter(world.folder / "log", world.folder / "state", key)
    entries = [entry_of(one, read(one)) for one in given.statements]
    first, state = writer.append(entries)
    note = state.note().signed(key)
    made = receipts.receipts(writer.tiles, range(first, first + len(entries)), note)
    return replace(given, keys=tuple(world.ring.envelopes()), receipts=(*given.receipts, *made))


def test_what_a_log_knows_is_verified(world: World) -> None:
    other = logged(
        world,
        world.sign(path="/maxiv/data/nanomax/other.h5", said=Acquisition("nanomax", "eiger2x1m", "run8")),
    )
    made = logged(world, world.sign())
    verdict = world.judge(made)
    assert (verdict.state, verdict.exit_status, verdict.trusted_until, verdict.reason) == (
        "verified",
        0,
        1,
        "",
    )
    assert world.judge(made, DATA[:-1] + b"!").state == "tampered"
    assert world.judge(replace(made, receipts=other.receipts)).state == "not_logged", (
        "the receipt of another statement"
    )
    assert (
        world.judge(
            replace(world.sign(at="2026-11-20T10:00:00Z"), keys=made.keys, receipts=made.receipts)
        ).state
        == "not_logged"
    )


def test_a_log_that_nobody_knows_or_that_did_not_sign(world: World, tmp_path: Path) -> None:
    made = logged(world, world.sign())
    (receipt,) = made.receipts
    strange = replace(
        receipt,
        note=receipt.checkpoint().note().signed(FileKey.make(tmp_path / "s.key", "strange.example/log")),
    )
    verdict = world.judge(replace(made, receipts=(strange,)))
    assert (verdict.state, verdict.exit_status) == ("not_logged", 20)
    assert f"the root does not know the log `{ORIGIN}`" in verdict.reason
    signature = receipt.note.signatures[0]
    forged = replace(receipt, note=replace(receipt.note, signatures=(replace(signature, sig=bytes(64)),)))
    verdict = world.judge(replace(made, receipts=(forged,)))
    assert (verdict.state, verdict.exit_status) == ("log_inconsistent", 40)
    instrument = replace(receipt, note=receipt.checkpoint().note().signed(world.key))
    assert world.judge(replace(made, receipts=(instrument,))).state == "not_logged", "an instrument is no log"


def test_a_file_that_lies_where_another_was_signed(world: World) -> None:
    run7 = world.sign()
    world.file.write_bytes(b"of another run")
    other = "/maxiv/data/nanomax/run8.h5"
    run8 = world.sign(path=other, said=Acquisition("nanomax", "eiger2x1m", "run8"))
    both = replace(run7, statements=(*run7.statements, *run8.statements), trees=(*run7.trees, *run8.trees))
    exchanged = world.judge(both, b"of another run", PATH)
    assert (exchanged.state, exchanged.exit_status) == ("tampered", 40)
    assert f"differ from what was signed as `{PATH}`" in exchanged.reason
    assert world.judge(both, b"of another run", other).state == "not_logged"
    assert world.judge(both, b"of another run", "/maxiv/data/nanomax/renamed.h5").state == "not_logged"
    assert world.judge(both, b"of another run", "").state == "not_logged"
    unknown = world.judge(both, b"of nobody", "")
    assert (unknown.state, "about 2 others; say which" in unknown.reason) == ("unsigned", True)


def test_a_stranger_contradicts_nobody(world: World, tmp_path: Path) -> None:
    made = logged(world, world.sign())
    world.file.write_bytes(b"another content")
    strange = world.sign(FileKey.make(tmp_path / "own.key", "somebody"))
    assert world.judge(replace(made, statements=(*made.statements, *strange.statements))).state == "verified"


_MADE: dict[str, tuple[bytes, Authority]] = {}


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_evidence_that_was_edited_never_proves_more(tmp_path_factory, data: st.DataObject) -> None:
    """Random edits: refused, or judged the same, or worse than before; the content is never taken for another."""
    if not _MADE:
        world = World(tmp_path_factory.mktemp("w"))
        made = logged(world, world.sign())
        _MADE["it"] = made.encoded(), Authority.of(Root.read(made.root), made.keys)
    text, authority = _MADE["it"]
    edited = bytearray(text)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(edited) - 1))
        kind = data.draw(st.sampled_from(["flip", "drop", "insert"]))
        if kind == "flip":
            edited[place] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "drop":
            del edited[place : place + data.draw(st.integers(1, 40))]
        else:
            edited[place:place] = edited[:1] * data.draw(st.integers(1, 3))
    try:
        found = evidence.decoded(bytes(edited))
        changed = judge(tree_of([DATA]), PATH, found, authority)
        other = judge(tree_of([b"forged"]), PATH, found, authority)
    except ProvenanceError:
        return
    assert changed.state in (
        "verified", "not_logged", "bad_signature", "unknown_signer", "unsigned", "tampered", "log_inconsistent"
    )  # fmt: skip
    if changed.state == "verified":
        (statement,) = [
            one for one in found.statements if one.payload == evidence.decoded(text).statements[0].payload
        ]
        assert statement.signatures == evidence.decoded(text).statements[0].signatures, (
            "what counts is as it was"
        )
    assert other.exit_status in (10, 20, 40)
    assert other.state not in ("verified", "not_logged")


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    status = commands.main([str(one) for one in arguments])
    found = capsys.readouterr()
    return status, found.out, found.err


def test_the_commands_from_root_to_verdict(tmp_path: Path, capsys) -> None:
    keys, file = tmp_path / "keys", tmp_path / "run7.h5"
    file.write_bytes(DATA)
    assert run(capsys, "keys", "init", keys, "--zone", "maxiv", "--keys", "3", "--threshold", "2")[0] == 0
    assert run(capsys, "keys", "init", keys, "--zone", "maxiv")[0] == 50
    name = "maxiv/nanomax/eiger-0123#2026a"
    status, out, _ = run(
        capsys, "keys", "issue", keys, name, "--role", "instrument", "--scope", "/maxiv/data/nanomax"
    )
    assert status == 0
    private = keys / "private/maxiv_nanomax_eiger-0123_2026a.key"
    assert str(private) in out
    assert private.stat().st_mode & 0o777 == 0o600
    sign = ("sign", "acquisition", file, "--as", PATH, "--key", private, "--beamline", "nanomax", "--instrument", "eiger2x1m", "--stream", "run7")  # fmt: skip
    assert run(capsys, *sign, "--frames", "400", "--authority", keys)[0] == 0
    status, out, _ = run(capsys, "verify", file, "--root", keys / "root.json")
    assert status == 20
    assert "1 acquisition    nanomax/eiger2x1m" in out
    assert "400 frames" in out
    assert "not_logged: it is signed and unchanged; no log says since when" in out
    assert "Not covered by any signature" in out
    status, out, _ = run(capsys, "verify", file, "--json")
    assert (status, json.loads(out)["state"], json.loads(out)["root_given"]) == (20, "not_logged", False)
    assert run(capsys, "keys", "issue", keys, ORIGIN, "--role", "log")[0] == 0
    log, proof = tmp_path / "log", tmp_path / "run7.h5.evidence.json"
    add = ("log", "append", log, proof, "--key", keys / "private/maxiv.example_prov_2026.key")
    assert f"entry 0 of {ORIGIN}" in run(capsys, *add)[1]
    assert "is in the log already" in run(capsys, *add)[1]
    assert f"{ORIGIN}: 1 entries" in run(capsys, "log", "check", log)[1]
    status, out, _ = run(capsys, "verify", file, "--root", keys / "root.json")
    assert status == 20, "the evidence was made before the log's key"
    assert run(capsys, *add, "--authority", keys)[0] == 0
    status, out, _ = run(capsys, "verify", file, "--root", keys / "root.json")
    assert (status, "run7.h5: verified\n" in out) == (0, True)
    (log / "tile/entries/000.p/1").write_bytes(b"\x00\x01x")
    status, _, err = run(capsys, "log", "check", log)
    assert (status, "is not the one that was logged" in err) == (40, True)
    with file.open("r+b") as opened:
        opened.seek(BLOCK_BYTES + 5)
        opened.write(b"!")
    status, out, _ = run(capsys, "verify", file, "--as", PATH)
    assert status == 40
    assert "tampered: block 1 (bytes 1048576 to 2097151) differ from what was signed" in out
    assert run(capsys, "keys", "rotate", keys, name, f"{name}b")[0] == 0
    assert run(capsys, "keys", "revoke", keys, name, "--reason", "superseded")[0] == 0
    status, out, _ = run(capsys, "keys", "list", keys)
    assert "2 of 3 keys have to sign" in out
    assert "superseded since" in out
    assert len(json.loads(run(capsys, "keys", "list", keys, "--json")[1])) == 3


@pytest.mark.parametrize(("arguments", "message"), [
    (("verify", "none.h5"), "No such file"), (("verify", "{file}", "--evidence", "{file}"), "no JSON"),
    (("keys", "list", "{folder}/nowhere"), "has no root; make one"),
    (("sign", "acquisition", "{file}", "--as", "/a", "--key", "{file}", "--beamline", "b", "--instrument", "i", "--stream", "s"), "mode 644"),
    (("keys", "init", "{folder}/k", "--zone", "z", "--keys", "2", "--threshold", "3"), "found 3 of 2 root keys"),
])  # fmt: skip
def test_wrong_use_says_what_and_why(
    tmp_path: Path, capsys, arguments: tuple[str, ...], message: str
) -> None:
    file = tmp_path / "a.h5"
    file.write_bytes(b"data")
    file.chmod(0o644)
    status, _, err = run(capsys, *(one.format(file=file, folder=tmp_path) for one in arguments))
    assert status == 50
    assert message in err
