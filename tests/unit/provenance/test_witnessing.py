"""Witnesses: what a log only added is cosigned, over real HTTP; a fork is refused, kept and reported."""

import json
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance import commands, merkle, notes, witnessing
from provenance.keyfiles import FileKey
from provenance.log import LogInconsistent, LogWriter, TileFiles
from provenance.merkle import leaf_hash
from provenance.notes import Checkpoint
from provenance.witnesses import COSIGNATURE, parse_policy, parse_vkey, vkey
from provenance.witnessing import WitnessRefused, WitnessServer, WitnessService, ask, collected

NOW = 1_795_255_200


class Log:
    def __init__(self, folder: Path, origin: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.key = FileKey.make(folder / "log.key", origin)
        self.writer = LogWriter(folder / "log", folder / "state", self.key)
        self.folder = folder / "log"

    def grow(self, *entries: bytes):
        self.writer.append(entries)
        return notes.decoded((self.folder / "checkpoint").read_text())

    @property
    def tiles(self) -> TileFiles:
        return self.writer.tiles


@dataclass
class Running:
    url: str
    service: WitnessService
    key: FileKey
    folder: Path


def started(folder: Path, name: str, logs: list[Log]) -> tuple[Running, WitnessServer]:
    folder.mkdir(parents=True, exist_ok=True)
    key = FileKey.make(folder / "witness.key", name)
    service = WitnessService(folder / "seen", key, {log.key.name: log.key.public for log in logs})
    server = WitnessServer(("127.0.0.1", 0), service)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return Running(f"http://127.0.0.1:{server.server_address[1]}", service, key, folder / "seen"), server


@pytest.fixture
def zones(tmp_path: Path) -> Iterator[tuple[list[Log], list[Running]]]:
    """Three zones: a log each, and a witness each that watches the other two."""
    logs = [Log(tmp_path / name, f"{name}.example/prov/2026") for name in ("maxiv", "esrf", "desy")]
    made = [
        started(tmp_path / f"w-{log.key.name[:4]}", f"{log.key.name[:4]}.example/witness", logs)
        for log in logs
    ]
    yield logs, [running for running, _ in made]
    for _, server in made:
        server.shutdown()
        server.server_close()


def policy_of(witnesses: list[Running], quorum: str) -> str:
    lines = [f"witness {one.key.name[:4]} {vkey(one.key.name, one.key.public)}" for one in witnesses]
    names = " ".join(one.key.name[:4] for one in witnesses)
    return "\n".join([*lines, f"group partners {quorum} {names}", "quorum partners", ""])


def test_three_zones_witness_each_other_and_a_fork_is_refused(zones, tmp_path: Path) -> None:
    logs, witnesses = zones
    for log in logs:
        for size in range(1, 6):
            note = log.grow(*(b"%s %d" % (log.key.name.encode(), n) for n in range(size)))
            others = [one for one in witnesses if not log.key.name.startswith(one.key.name[:4])]
            found, refusals = collected([one.url for one in others], log.tiles, note)
            assert refusals == []
            assert set(parse_policy(policy_of(others, "all")).seen_by(found)) == {
                one.key.name[:4] for one in others
            }
    maxiv, esrf = logs[0], witnesses[1]
    forked = Log(tmp_path / "fork", "other")
    forked.key = maxiv.key
    forked.writer = LogWriter(forked.folder, tmp_path / "fork/state2", maxiv.key)
    note = forked.grow(*(b"another history %d" % n for n in range(40)))
    with pytest.raises(
        WitnessRefused, match="is no continuation of the 15 entries that were seen"
    ) as refused:
        ask(esrf.url, forked.tiles, note)
    assert refused.value.is_fork
    kept = json.loads((esrf.folder / "refused").read_text())
    assert (kept["origin"], kept["seen"][0]) == (maxiv.key.name, 15)
    assert notes.decoded(kept["given"]).signatures[0].keyid == maxiv.key.keyid, (
        "its own signature is the proof"
    )
    same_size = Log(tmp_path / "same", "other2")
    same_size.writer = LogWriter(same_size.folder, tmp_path / "same/state2", maxiv.key)
    with pytest.raises(
        WitnessRefused, match=r"has seen another state of `maxiv\.example/prov/2026` with 15 entries"
    ) as refused:
        ask(esrf.url, same_size.tiles, same_size.grow(*(b"%d" % n for n in range(15))))
    assert refused.value.is_fork
    shorter = Log(tmp_path / "short", "other3")
    shorter.writer = LogWriter(shorter.folder, tmp_path / "short/state2", maxiv.key)
    with pytest.raises(WitnessRefused, match="has seen 15 entries") as refused:
        ask(esrf.url, shorter.tiles, shorter.grow(b"one"))
    assert refused.value.is_fork
    note = maxiv.grow(b"and on it goes")
    assert ask(esrf.url, maxiv.tiles, note).name == esrf.key.name, "the true log is still cosigned"


@settings(max_examples=60, deadline=None)
@given(old=st.integers(0, 700), more=st.integers(0, 700))
def test_proofs_from_tiles_are_those_of_the_tree(tmp_path_factory, old: int, more: int) -> None:
    log = _LONG.get("it")
    if log is None:
        log = _LONG["it"] = Log(tmp_path_factory.mktemp("long"), "long.example")
        log.grow(*(b"%d" % n for n in range(1400)))
    leaves = [leaf_hash(b"%d" % n) for n in range(old + more)]
    proof = log.tiles.consistency(old, old + more)
    assert proof == merkle.consistency_proof(leaves, old)
    merkle.check_consistency(old, old + more, merkle.root_of(leaves[:old]), merkle.root_of(leaves), proof)


_LONG: dict[str, Log] = {}


def test_no_log_begins_with_more_than_it_has(tmp_path: Path) -> None:
    log = Log(tmp_path, "a.example")
    log.grow(b"x")
    with pytest.raises(LogInconsistent, match="1 entries do not begin with 2"):
        log.tiles.consistency(2, 1)


@pytest.fixture
def alone(tmp_path: Path):
    log = Log(tmp_path / "l", "maxiv.example/prov/2026")
    key = FileKey.make(tmp_path / "w.key", "esrf.example/witness")
    return log, WitnessService(tmp_path / "seen", key, {log.key.name: log.key.public}), tmp_path


def body(old: int, note, proof: list[bytes] = []) -> bytes:  # noqa: B006
    import base64

    return f"old {old}\n{''.join(base64.b64encode(d).decode() + chr(10) for d in proof)}\n{note.encoded()}".encode()


def test_what_a_witness_answers(alone, tmp_path: Path) -> None:
    log, service, _ = alone
    first = log.grow(b"a", b"b", b"c")
    assert service.add_checkpoint(body(0, first), NOW).status == 200
    assert service.add_checkpoint(body(3, first), NOW).status == 200, "the same again is no lie"
    again = service.add_checkpoint(body(0, first), NOW)
    assert (again.status, again.text, again.kind) == (409, "3\n", "text/x.tlog.size")
    second = log.grow(b"d")
    proof = log.tiles.consistency(3, 4)
    assert service.add_checkpoint(body(3, second), NOW).status == 422
    assert service.add_checkpoint(body(3, second, [*proof, bytes(32)]), NOW).status == 422
    assert service.add_checkpoint(body(5, second, proof), NOW).status == 400
    assert service.add_checkpoint(body(3, second, proof), NOW).status == 200
    stranger = FileKey.make(tmp_path / "stranger.key", log.key.name)
    assert service.add_checkpoint(body(4, second.__class__(second.text).signed(stranger)), NOW).status == 403
    other = Checkpoint("nobody.example", 1, bytes(32)).note().signed(stranger)
    assert service.add_checkpoint(body(0, other), NOW).status == 404


@pytest.mark.parametrize("sent", [
    b"", b"old\n\n", b"old 01\n\nx\n\n", b"old 1\nnot base64!\n\na\n1\nAA==\n\n", b"\xff\xfe", b"old 0\nAAAA\n\nx\n\n", b"old 0\n" + b"AAAA\n" * 70 + b"\n",
    b"old 0\n\nnot a checkpoint\n\n\xe2\x80\x94 a AAAAAAAAAA==\n", b"old 99999999999999999999\n\n",
])  # fmt: skip
def test_what_is_no_request_is_refused(alone, sent: bytes) -> None:
    _, service, _ = alone
    assert service.add_checkpoint(sent, NOW).status == 400


def test_a_witness_that_crashes_signs_nothing_else_afterwards(alone, monkeypatch: pytest.MonkeyPatch) -> None:
    log, service, folder = alone
    first = log.grow(b"a", b"b")

    def died(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(witnessing, "cosignature", died)
    with pytest.raises(KeyboardInterrupt):
        service.add_checkpoint(body(0, first), NOW)
    monkeypatch.undo()
    forked = Log(folder / "fork", "x")
    forked.writer = LogWriter(forked.folder, folder / "fork/state2", log.key)
    again = WitnessService(folder / "seen", service._key, {log.key.name: log.key.public})
    assert again.add_checkpoint(body(0, forked.grow(b"x", b"y", b"z")), NOW).status == 409, (
        "it remembers what it nearly signed"
    )
    assert again.add_checkpoint(body(2, first), NOW).status == 200


def test_over_http_other_addresses_and_sizes_are_refused(zones) -> None:
    _, witnesses = zones
    for path, data in (("/", b"x"), ("/add-checkpoint", b"x" * 70_000)):
        request = urllib.request.Request(witnesses[0].url + path, data, method="POST")
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request, timeout=5)
        assert error.value.code in (400, 404)
        error.value.close()
    with pytest.raises(WitnessRefused, match="does not answer"):
        witnessing._post("http://127.0.0.1:9", b"")
    with pytest.raises(WitnessRefused, match="an address such as"):
        witnessing._post("file:///etc/passwd", b"")


def test_keys_and_policies_are_read_strictly(tmp_path: Path) -> None:
    key = FileKey.make(tmp_path / "w.key", "esrf.example/witness")
    text = vkey(key.name, key.public)
    assert parse_vkey(text) == (key.name, COSIGNATURE, key.public)
    good = f"# partners\nlog {vkey('l.example', key.public, bytes([1]))}\nwitness esrf {text}\ngroup any1 any esrf\nquorum any1\n"
    assert parse_policy(good).quorum == "any1"
    assert parse_policy(f"witness esrf {text}\nquorum none").quorum == ""
    for wrong, message in (
        ("", "no line `quorum NAME`"), (f"witness esrf {text}\nquorum desy", "`desy` is no witness"), (f"witness a {text}\nwitness a {text}\nquorum a", "is taken"),
        ("witness a nonsense\nquorum a", "NAME\\+ID\\+BASE64"), (f"witness a {text.replace('+', '+0', 1)}\nquorum a", "is not that of the key"),
        (f"witness a {text}\ngroup g 2 a\nquorum g", "any, all or 1 to 1"), (f"witness a {text}\ngroup g all b\nquorum g", "`b` was not named before"),
        (f"witness a {vkey('l.example', key.public, bytes([1]))}\nquorum a", "is the key of a log"), ("jump\nquorum none", "line 1 of the policy"),
        ("quorum none\nquorum none", "line 2"),
    ):  # fmt: skip
        with pytest.raises(Exception, match=message):
            parse_policy(wrong)


def test_the_commands(tmp_path: Path, capsys, zones) -> None:
    logs, witnesses = zones
    log = logs[0]
    log.grow(b'{"kind":"ingest","commit":"a","subj":[]}')
    policy = tmp_path / "partners.policy"
    policy.write_text(policy_of(witnesses[1:], "all"))
    asked = ["log", "cosign", str(log.folder), "--policy", str(policy)]
    both = [part for one in witnesses[1:] for part in ("--witness", one.url)]
    assert commands.main([*asked, *both]) == 0
    assert "1 entries, seen by" in capsys.readouterr().out
    assert commands.main([*asked, *both[:2]]) == 20
    assert (log.folder / "cosigned").exists()
    assert commands.main(["log", "check", str(log.folder)]) == 0


def test_a_witness_runs_as_a_program(tmp_path: Path) -> None:
    import subprocess
    import sys

    log = Log(tmp_path / "l", "maxiv.example/prov/2026")
    FileKey.make(tmp_path / "w.key", "esrf.example/witness")
    program = [
        sys.executable,
        "-m",
        "provenance.commands",
        "log",
        "witness",
        tmp_path / "seen",
        "--key",
        tmp_path / "w.key",
    ]
    given = f"{log.key.name}={log.key.public.raw.hex()}"
    process = subprocess.Popen(
        [*map(str, program), "--log", given], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split(" on ")[1].split(";")[0]
        assert ask(url, log.tiles, log.grow(b"a")).name == "esrf.example/witness"
        process.terminate()
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()


def test_what_looks_wrong_in_a_log_is_told(tmp_path: Path, capsys) -> None:
    from provenance.log import entry_of
    from provenance.statements import read
    from tests.unit.provenance.test_verdict import SAID, World

    world = World(tmp_path / "w")
    log = Log(tmp_path / "l", "maxiv.example/prov/2026")
    first, again = world.sign(), world.sign(said=replace(SAID, stream_id="run8"))
    entries = [entry_of(one.statements[0], read(one.statements[0])) for one in (first, again)]
    log.grow(*entries, entries[0])
    assert commands.main(["log", "check", str(log.folder)]) == 40
    out = capsys.readouterr().out
    assert "alarm: the content of entry 1 was signed as another measurement in entry 0" in out
    assert "alarm: entry 2 was in the log before" in out
