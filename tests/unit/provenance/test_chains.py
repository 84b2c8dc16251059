"""Chains of several steps: everything behind a result judged, strangers told apart from forgers, and what no evidence proves named."""

from dataclasses import replace
from pathlib import Path

import pytest

from provenance import evidence, receipts
from provenance.authority import Authority, EntryRange, Root
from provenance.blocks import tree_of
from provenance.evidence import Evidence
from provenance.judging import Wanted
from provenance.keyfiles import FileKey
from provenance.log import LogWriter, entry_of
from provenance.merkle import leaf_hash
from provenance.promises import promised
from provenance.signing import Acquisition, Claim, sign_process
from provenance.statements import TREE, Statement, Subject, read
from provenance.verdict import judge
from provenance.witnesses import Group, Witness, WitnessPolicy, cosignature
from tests.unit.provenance.test_verdict import AT, DATA, ORIGIN, PATH, SAID, World, logged

RESULT = b"a reduced result"
RESULT_PATH = "/maxiv/data/nanomax/azint7.h5"
LATER = "2026-11-21T11:00:00Z"


def root_of(data: bytes) -> str:
    return tree_of([data]).root.hex()


class Facility(World):
    """A facility that has services, too."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.service = {
            role: self.issue(f"maxiv/{role}#1", role, ("/maxiv",))
            for role in ("gateway", "mover", "kernel-runner", "service", "steward", "publisher")
        }

    def state(self, kind: str, role: str, data: bytes, path: str, **said: object) -> Evidence:
        predicate = {"time": LATER, "actor": f"maxiv/{role}#1", **said}
        subject = Subject(path, {TREE: root_of(data)})
        envelope = Statement.of(kind, [subject], predicate).envelope().signed(self.service[role])
        return Evidence(None, (), (envelope,), (tree_of([data]),))

    def reduce(self, data: bytes = RESULT, inputs=((PATH, DATA),), **said: object) -> Evidence:
        read_ = [{"name": path, "digest": {TREE: root_of(content)}} for path, content in inputs]
        kernel = {"name": "azint", "version": "2.1", "source": "ab" * 32}
        return self.state(
            "reduction",
            "kernel-runner",
            data,
            RESULT_PATH,
            inputs=read_,
            kernel=kernel,
            device={"kind": "cpu"},
            **said,
        )

    def together(self, *parts: Evidence) -> Evidence:
        whole = logged(self, evidence.joined(parts))
        return replace(whole, root=self.ring.root_envelope(), keys=tuple(self.ring.envelopes()))

    def verdict(
        self, given: Evidence, data: bytes = RESULT, path: str = RESULT_PATH, wanted: Wanted | None = None
    ):
        found = evidence.decoded(given.encoded())
        authority = Authority.of(Root.read(found.root), found.keys)
        return judge(tree_of([data]), path, found, authority, wanted or Wanted())


@pytest.fixture
def facility(tmp_path: Path) -> Facility:
    return Facility(tmp_path)


def steps(verdict) -> list[tuple[str, str]]:
    return [(step.kind, step.state) for step in verdict.steps]


def test_a_result_is_verified_with_everything_behind_it(facility: Facility) -> None:
    ingest = facility.state("ingest", "gateway", DATA, PATH, checked="verified")
    copy = facility.state(
        "replication", "mover", RESULT, RESULT_PATH, source="disk", target="tape", verified=True
    )
    verdict = facility.verdict(facility.together(facility.reduce(), copy, ingest, facility.sign()))
    assert steps(verdict) == [
        ("acquisition", "verified"), ("ingest", "verified"), ("reduction", "verified"), ("replication", "verified"),
    ]  # fmt: skip
    assert (verdict.state, verdict.trusted_until, verdict.boundary) == ("verified", 4, 0)
    assert verdict.graph() == [[], [1], [2], [3]]


def test_without_the_raw_data_a_result_is_missing_evidence(facility: Facility) -> None:
    verdict = facility.verdict(facility.together(facility.reduce()))
    assert steps(verdict) == [("input", "missing_evidence"), ("reduction", "verified")]
    assert (verdict.state, verdict.exit_status, verdict.trusted_until) == ("missing_evidence", 20, 0)
    assert (
        f"`{PATH}` was read for the step `reduction`, and the evidence says nothing of it" in verdict.reason
    )


def test_what_came_in_without_an_instrument_is_the_boundary(facility: Facility) -> None:
    verdict = facility.verdict(facility.together(facility.state("ingest", "gateway", DATA, PATH)), DATA, PATH)
    assert steps(verdict) == [("origin", "unsigned"), ("ingest", "verified")]
    assert (verdict.exit_status, "no statement says how it was made" in verdict.reason) == (10, True)


def test_a_researchers_own_step_is_a_claim_and_a_boundary(facility: Facility, tmp_path: Path) -> None:
    figure = tmp_path / "figure3.h5"
    figure.write_bytes(b"a figure")
    raw = tmp_path / "result.h5"
    raw.write_bytes(RESULT)
    claim = Claim("python fit.py", ((RESULT_PATH, raw),))
    for key, who in (
        (FileKey.make(tmp_path / "own.key", "anna"), "claimed by somebody with the key"),
        (facility.issue("anna@maxiv", "researcher", ("/maxiv",)), "claimed by `anna@maxiv`"),
    ):
        made = sign_process([("/maxiv/home/anna/figure3.h5", figure)], claim, key, at=LATER)
        verdict = facility.verdict(
            facility.together(facility.sign(), facility.reduce(), made), b"a figure", ""
        )
        assert steps(verdict) == [
            ("acquisition", "verified"),
            ("reduction", "verified"),
            ("process", "unsigned"),
        ]
        assert (verdict.state, verdict.exit_status, verdict.trusted_until, verdict.boundary) == (
            "unsigned",
            10,
            2,
            3,
        )
        assert who in verdict.reason


def test_a_stranger_beside_the_facility_does_not_count(facility: Facility, tmp_path: Path) -> None:
    stranger = FileKey.make(tmp_path / "own.key", "anna")
    made = sign_process(
        [(RESULT_PATH, facility.file)], Claim("x", ((PATH, facility.file),)), stranger, at=LATER
    )
    (envelope,) = made.statements
    claimed = Statement.of(
        "process", [Subject(RESULT_PATH, {TREE: root_of(RESULT)})], read(envelope).predicate
    )
    verdict = facility.verdict(
        facility.together(
            facility.sign(),
            facility.reduce(),
            replace(made, statements=(claimed.envelope().signed(stranger),)),
        )
    )
    assert verdict.state == "verified"
    assert [step.counts for step in verdict.steps] == [True, False, True]


@pytest.mark.parametrize(("change", "state"), [
    ({"role": "mover"}, "out_of_scope"), ({"kernel": {"name": "azint", "version": "2.1", "source": "cd" * 32}}, "bad_signature"),
])  # fmt: skip
def test_a_reduction_by_the_wrong_key_or_of_another_kernel(
    facility: Facility, change: dict, state: str
) -> None:
    from provenance import dsse, jcs

    made = facility.reduce()
    (envelope,) = made.statements
    if "role" in change:
        made = replace(
            made,
            statements=(
                dsse.Envelope(envelope.payload, envelope.payload_type).signed(facility.service["mover"]),
            ),
        )
    else:
        payload = jcs.decode(envelope.payload)
        payload["predicate"] |= change
        made = replace(
            made, statements=(dsse.Envelope(jcs.encode(payload), envelope.payload_type, envelope.signatures),)
        )
    verdict = facility.verdict(facility.together(facility.sign(), made))
    assert (verdict.state, verdict.exit_status, verdict.trusted_until) == (state, 40, 1)


def test_a_second_signature_that_is_wrong_is_told(facility: Facility) -> None:
    from provenance import dsse

    made = facility.sign()
    (envelope,) = made.statements
    wrong = dsse.Signature(facility.service["service"].keyid, b"\0" * 64)
    forged = replace(made, statements=(replace(envelope, signatures=(*envelope.signatures, wrong)),))
    verdict = facility.verdict(facility.together(forged), DATA, PATH)
    assert (verdict.state, verdict.reason) == (
        "bad_signature",
        "the signature of `maxiv/service#1` is not over these bytes",
    )


def test_parameters_in_another_order_or_form_are_the_same_statement(facility: Facility) -> None:
    first = facility.reduce(parameters={"a": 1.0, "b": [2, 3]})
    second = facility.reduce(parameters={"b": [2, 3], "a": 1e0})
    assert first == second


def test_digests_of_the_same_content_are_joined_by_a_link(facility: Facility) -> None:
    chunks = "cd" * 32
    link = Statement.of(
        "digest-link",
        [Subject(PATH, {TREE: root_of(DATA)}), Subject(PATH, {TREE: chunks})],
        {"time": LATER, "actor": "maxiv/gateway#1", "same": "stored chunks"},
    )
    reduced = facility.state(
        "reduction", "kernel-runner", RESULT, RESULT_PATH, inputs=[{"name": PATH, "digest": {TREE: chunks}}],
        kernel={"name": "azint", "version": "2.1", "source": "ab" * 32}, device={"kind": "cpu"},
    )  # fmt: skip
    signed = Evidence(None, (), (link.envelope().signed(facility.service["gateway"]),))
    verdict = facility.verdict(facility.together(facility.sign(), reduced, signed))
    assert steps(verdict) == [
        ("acquisition", "verified"),
        ("digest-link", "verified"),
        ("reduction", "verified"),
    ]
    by_nobody = Evidence(None, (), (link.envelope().signed(facility.key),))
    assert facility.verdict(facility.together(facility.sign(), reduced, by_nobody)).state != "verified", (
        "an instrument may not say which digests are the same"
    )


def test_a_chain_that_bites_its_tail_ends(facility: Facility) -> None:
    there = facility.reduce(b"B", (("/maxiv/a", b"A"),))
    back = facility.reduce(b"A", (("/maxiv/b", b"B"),))
    verdict = facility.verdict(facility.together(there, back), b"B", "")
    assert (verdict.state, "goes round in a circle" in verdict.reason) == ("missing_evidence", True)


@pytest.mark.parametrize(
    ("index", "state", "status"),
    [
        (0, "verified", 0),
        (4, "verified", 0),
        (5, "key_suspect", 30),
        (8, "key_suspect", 30),
        (9, "key_revoked", 40),
    ],
)
def test_a_stolen_key_by_the_entries_of_the_log(
    facility: Facility, index: int, state: str, status: int
) -> None:
    for number in range(10):
        made = facility.sign(
            path=f"/maxiv/data/nanomax/f{number}", said=Acquisition("nanomax", "eiger2x1m", f"s{number}")
        )
        if number == index:
            kept = logged(facility, facility.sign())
        else:
            logged(facility, made)
    facility.ring.revoke(
        facility.key.name,
        "compromised",
        invalid_from=AT,
        last_good=AT,
        time=AT,
        entries=EntryRange(ORIGIN, 4, 9),
    )
    kept = replace(kept, keys=tuple(facility.ring.envelopes()))
    verdict = facility.verdict(kept, DATA, PATH)
    assert (verdict.state, verdict.exit_status) == (state, status)
    unlogged = replace(kept, receipts=())
    assert facility.verdict(unlogged, DATA, PATH).state == "key_revoked", "who has the key can write any time"


def test_a_retired_key_leaves_what_it_signed_before(facility: Facility) -> None:
    kept = logged(facility, facility.sign())
    facility.ring.revoke(
        facility.key.name, "retired", invalid_from=AT, last_good=AT, time=AT, entries=EntryRange(ORIGIN, 1, 1)
    )
    assert (
        facility.verdict(replace(kept, keys=tuple(facility.ring.envelopes())), DATA, PATH).state == "verified"
    )


def test_what_is_promised_is_told_apart(facility: Facility, tmp_path: Path) -> None:
    log_key = facility.issue(ORIGIN, "log", ())
    made = facility.sign()
    (envelope,) = made.statements
    promise = promised(leaf_hash(entry_of(envelope, read(envelope))), LATER, log_key)
    given = replace(made, keys=tuple(facility.ring.envelopes()), promises=(promise,))
    verdict = facility.verdict(given, DATA, PATH)
    assert (verdict.state, verdict.exit_status) == ("promised", 20)
    stranger = FileKey.make(tmp_path / "s.key", ORIGIN)
    forged = replace(given, promises=(promised(promise.leaf, LATER, stranger),))
    assert facility.verdict(forged, DATA, PATH).state == "not_logged"


def test_a_statement_that_is_not_public_is_told_only_with_its_salt(facility: Facility) -> None:
    import hashlib

    made = facility.sign()
    (envelope,) = made.statements
    key, salt = facility.issue(ORIGIN, "log", ()), b"s" * 32
    writer = LogWriter(facility.folder / "log", facility.folder / "state", key)
    entry = entry_of(envelope, read(envelope), salt)
    assert hashlib.sha256(envelope.encoded()).hexdigest().encode() not in entry
    first, state = writer.append([entry])
    given = replace(
        made, keys=tuple(facility.ring.envelopes()), receipts=receipts.receipts(writer.tiles, [first], state.note().signed(key))
    )  # fmt: skip
    assert facility.verdict(given, DATA, PATH).state == "not_logged"
    digest = hashlib.sha256(envelope.encoded()).hexdigest()
    assert facility.verdict(replace(given, salts={digest: salt}), DATA, PATH).state == "verified"
    assert facility.verdict(replace(given, salts={digest: b"t" * 32}), DATA, PATH).state == "not_logged"


# -- witnesses -----------------------------------------------------------------------------------------------


@pytest.fixture
def watched(facility: Facility, tmp_path: Path):
    keys = {
        name: FileKey.make(tmp_path / f"{name}.key", f"{name}.example/witness")
        for name in ("esrf", "desy", "eve")
    }
    known = {name: Witness(key.name, key.public) for name, key in keys.items() if name != "eve"}
    policy = WitnessPolicy(
        known, {"both": Group(2, ("esrf", "desy")), "one": Group(1, ("esrf", "desy"))}, "both"
    )
    return logged(facility, facility.sign()), keys, policy


def cosigned(given: Evidence, *by: tuple[FileKey, int]) -> Evidence:
    (receipt,) = given.receipts
    lines = tuple(cosignature(receipt.note.text, at, key, key.public) for key, at in by)
    return replace(
        given,
        receipts=(
            replace(receipt, note=replace(receipt.note, signatures=(*receipt.note.signatures, *lines))),
        ),
    )


NOW = 1_795_255_200  # 2026-11-21T10:00:00Z


def test_a_quorum_of_witnesses(facility: Facility, watched) -> None:
    given, keys, policy = watched
    wanted = Wanted(policy, "2026-11-22T10:00:00Z")
    enough = facility.verdict(cosigned(given, (keys["esrf"], NOW), (keys["desy"], NOW)), DATA, PATH, wanted)
    assert (enough.state, enough.steps[0].witnessed) == ("verified", ("desy", "esrf"))
    for given_ in (
        given, cosigned(given, (keys["esrf"], NOW)), cosigned(given, (keys["esrf"], NOW), (keys["esrf"], NOW + 1)),
        cosigned(given, (keys["esrf"], NOW), (keys["eve"], NOW)), cosigned(given, (keys["esrf"], NOW), (keys["desy"], NOW + 10**6)),
    ):  # fmt: skip
        verdict = facility.verdict(given_, DATA, PATH, wanted)
        assert (verdict.state, verdict.exit_status) == ("no_quorum", 20)
        assert "`both` is wanted" in verdict.reason
    one = Wanted(replace(policy, quorum="one"), "2026-11-22T10:00:00Z")
    assert facility.verdict(cosigned(given, (keys["esrf"], NOW)), DATA, PATH, one).state == "verified"


def test_the_same_key_under_two_names_is_one_witness(facility: Facility, watched) -> None:
    given, keys, policy = watched
    twice = replace(policy, witnesses={**policy.witnesses, "desy": policy.witnesses["esrf"]})
    assert (
        facility.verdict(cosigned(given, (keys["esrf"], NOW)), DATA, PATH, Wanted(twice)).state == "no_quorum"
    )


def test_what_is_of_tomorrow_is_refused_by_who_says_what_day_it_is(facility: Facility) -> None:
    given = logged(facility, facility.sign())
    assert facility.verdict(given, DATA, PATH, Wanted(now="2026-11-21T10:00:00Z")).state == "verified"
    verdict = facility.verdict(given, DATA, PATH, Wanted(now="2026-11-20T10:00:00Z"))
    assert (verdict.state, verdict.reason) == (
        "out_of_scope", "the statement is of 2026-11-21T10:00:00Z, and now it is 2026-11-20T10:00:00Z",
    )  # fmt: skip


def test_an_old_run_under_a_new_name_is_told(facility: Facility) -> None:
    again = facility.sign(said=replace(SAID, stream_id="run8"), path="/maxiv/data/nanomax/run8.h5")
    verdict = facility.verdict(facility.together(facility.sign(), again), DATA, "")
    assert (verdict.state, verdict.exit_status) == ("equivocation", 40)
    assert "the same content was signed as the streams `run7` and `run8`" in verdict.reason


def test_a_chain_is_drawn_in_the_same_way_each_time(facility: Facility) -> None:
    from xml.etree import ElementTree

    from provenance.showing import as_svg, as_text

    verdict = facility.verdict(facility.together(facility.sign(), facility.reduce()))
    picture = as_svg("a <name> & more", verdict)
    assert picture == as_svg(
        "a <name> & more", facility.verdict(facility.together(facility.sign(), facility.reduce()))
    )
    root = ElementTree.fromstring(picture)
    assert len([one for one in root.iter() if one.tag.endswith("rect")]) == 1 + len(verdict.steps)
    assert "a &lt;name&gt; &amp; more: verified" in picture
    lines = as_text("x", verdict)
    assert [line.split()[1] for line in lines[:2]] == ["acquisition", "reduction"]
