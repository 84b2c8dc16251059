"""The zone's own statements: asked for with the operation, signed and logged once, whatever process dies at whatever step."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import policies
from grid import background
from grid.app import Zone
from grid.catalog import statements
from grid.errors import AccessDenied
from grid.evidence import sequencer as sequencing
from grid.evidence.setup import make_keys
from grid.namespace import WriteRequest
from grid.namespace.steps import SIGNING_STEPS
from provenance import dsse, evidence, log
from provenance.authority import Authority, Root
from provenance.blocks import tree_of
from provenance.statements import TREE, read
from provenance.verdict import judge
from tests.unit.provenance.test_verdict import DATA

HOME = "/tempZone/home/rods"
PATH = f"{HOME}/run7.h5"


@pytest.fixture
def signing(zone: Zone) -> Zone:
    """A zone with keys of its own and the shipped policy."""
    settings = zone.settings
    make_keys(settings.zone, zone.folder / settings.authority, zone.folder / settings.signing_keys)
    (zone.folder / "p.policy").write_text(policies.text("provenance.policy"))
    zone.policy.load_file(zone.folder, "p.policy")
    zone.policy.forget()
    return zone


def put(zone: Zone, rods, path: str = PATH, data: bytes = DATA) -> None:
    zone.namespace.objects.put(rods, path, data, WriteRequest(size_bytes=len(data)))  # fmt: skip
    zone.namespace.finisher.finish()


def states(zone: Zone) -> dict[str, int]:
    with zone.database.read() as tx:
        return statements.counts(tx)


def logged_entries(zone: Zone) -> list[dict]:
    folder = zone.folder / zone.settings.log
    size = log.audited(folder).size if (folder / "checkpoint").exists() else 0
    return [json.loads(entry) for entry in log.TileFiles(folder).entries(0, size)]


def test_what_is_stored_is_signed_logged_and_judged(signing: Zone, rods) -> None:
    put(signing, rods)
    assert states(signing) == {"wanted": 1, "signed": 0, "logged": 0, "refused": 0}
    assert background.sequencer_of(signing).step() == 1
    assert states(signing) == {"wanted": 0, "signed": 0, "logged": 1, "refused": 0}
    (entry,) = logged_entries(signing)
    assert (entry["kind"], tree_of([DATA]).root.hex() in json.dumps(entry)) == ("ingest", False), (
        "a content that is not public is not told by the log"
    )
    shown = signing.namespace.attestations.show(rods, PATH)
    assert [(step["kind"], step["state"]) for step in shown["steps"]] == [
        ("origin", "unsigned"),
        ("ingest", "verified"),
    ]
    assert shown["state"] == "unsigned", "nobody says how it was made"
    exported = evidence.decoded(signing.namespace.attestations.export(rods, PATH).encode())
    authority = Authority.of(Root.read(exported.root), exported.keys)
    found = judge(tree_of([DATA]), PATH, exported, authority)
    assert [step.state for step in found.steps] == ["unsigned", "verified"]
    (envelope,) = exported.statements
    said = read(envelope).predicate
    assert (said["zone"], said["checked"]) == ("tempZone", "none")
    assert said["policy_bundle"] == signing.policy.digest
    assert judge(tree_of([b"other"]), PATH, exported, authority).state == "tampered"


def test_copies_and_embargoes_are_signed_too(signing: Zone, rods, tmp_path: Path) -> None:
    from grid.model import Avu
    from grid.namespace import MetadataOperation, Subject

    signing.namespace.administration.add_resource(
        rods, "second", "unixfilesystem", f"localhost:{tmp_path}/second"
    )
    put(signing, rods)
    signing.namespace.replicas.replicate(rods, PATH, "second")
    signing.namespace.metadata.apply(
        rods, Subject("collection", HOME), [MetadataOperation("set", Avu("embargo_until", "2029-01-01T00:00:00Z", ""))]
    )  # fmt: skip
    assert background.sequencer_of(signing).step() == 3
    kinds = [entry["kind"] for entry in logged_entries(signing)]
    assert sorted(kinds) == ["embargo", "ingest", "replication"]
    with signing.database.read() as tx:
        made = {one.kind: read(dsse.decoded(one.envelope)) for one in statements.listed(tx, limit=10)}
    assert made["replication"].predicate["source"] == "demoResc"
    assert made["replication"].predicate["target"] == "second"
    assert made["embargo"].predicate["new"] == "2029-01-01T00:00:00Z"
    assert made["embargo"].predicate["approver"] == "rods#tempZone"
    assert made["embargo"].subjects[0].name == HOME


def test_a_content_that_is_gone_is_refused_with_the_reason(signing: Zone, rods) -> None:
    put(signing, rods)
    put(signing, rods, f"{HOME}/kept.h5")
    signing.namespace.moves.unlink(rods, PATH, force=True)
    assert background.sequencer_of(signing).step() == 2
    assert states(signing) == {"wanted": 0, "signed": 0, "logged": 1, "refused": 1}
    with signing.database.read() as tx:
        (refused,) = statements.listed(tx, state="refused", limit=5)
    assert refused.reason == f"`{PATH}` was removed before it was signed"


def test_a_content_without_a_tree_gets_one(signing: Zone, rods) -> None:
    put(signing, rods)
    with signing.database.write() as tx:
        tx.run("DELETE FROM block_trees")
    sequencer = background.sequencer_of(signing)
    assert sequencer.step() == 0, "it waits"
    assert sequencer.make_missing_trees() == 1
    assert sequencer.step() == 0, "it looks again after a while"
    assert background.sequencer_of(signing).step() == 1
    assert states(signing)["logged"] == 1


def test_without_keys_nothing_is_lost(zone: Zone, rods, signing: Zone) -> None:
    put(signing, rods)
    keys = signing.folder / signing.settings.signing_keys
    shutil.move(keys / "gateway.key", signing.folder / "gateway.key")
    sequencer = background.sequencer_of(signing)
    assert sequencer.step() == 0
    assert states(signing)["wanted"] == 1
    shutil.move(signing.folder / "gateway.key", keys / "gateway.key")
    assert background.sequencer_of(signing).step() == 1
    assert states(signing)["logged"] == 1


def test_a_client_cannot_have_the_facility_sign(signing: Zone, rods) -> None:
    put(signing, rods)
    anna = replace(rods, user=replace(rods.user, type="rodsuser"))
    with pytest.raises(AccessDenied):
        signing.namespace.stating.of_objects(anna, "ingest", [PATH], {})
    with pytest.raises(AccessDenied, match="is for rules"):
        signing.host.call(rods, "sign_ingest", {"object": PATH})


@pytest.mark.parametrize("step", SIGNING_STEPS)
def test_a_sequencer_that_dies_at_any_step_loses_and_repeats_nothing(
    signing: Zone, rods, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        put(signing, rods, f"{HOME}/f{number}", b"%d" % number)

    class Died(BaseException):
        pass

    def reached(name: str) -> None:
        if name == step:
            raise Died

    monkeypatch.setattr(sequencing.steps, "reached", reached)
    with pytest.raises(Died):
        background.sequencer_of(signing).step()
    monkeypatch.undo()
    put(signing, rods, f"{HOME}/later", b"later")
    sequencer = background.sequencer_of(signing)
    sequencer.step()
    sequencer.step()
    assert states(signing) == {"wanted": 0, "signed": 0, "logged": 4, "refused": 0}
    entries = logged_entries(signing)
    assert len(entries) == len({entry["commit"] for entry in entries}) == 4
    for name in ("f0", "f1", "f2", "later"):
        shown = signing.namespace.attestations.show(rods, f"{HOME}/{name}")
        assert [one["state"] for one in shown["steps"]] == ["unsigned", "verified"]


def test_two_processes_sign_once(signing: Zone, rods) -> None:
    first, second = background.sequencer_of(signing), background.sequencer_of(signing)
    put(signing, rods)
    assert first.step() == 1
    with signing.database.write() as tx:
        other = tx.new_id()
        tx.run(
            "INSERT INTO leases (id, host, boot_id, pid, start_time, role, renewed_at)"
            " SELECT :id, host, boot_id, pid, start_time, role, renewed_at FROM leases LIMIT 1",
            {"id": other},
        )
        tx.run("UPDATE duties SET lease_id = :id", {"id": other})
    put(signing, rods, f"{HOME}/b", b"b")
    assert second.step() == 0, "another process has the duty"
    assert first.step() == 0, "it lost the duty and notices before it keeps anything"
    assert states(signing) == {"wanted": 1, "signed": 0, "logged": 1, "refused": 0}


def test_a_statement_is_promised_until_it_is_logged(
    signing: Zone, rods, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(signing, rods)
    sequencer = background.sequencer_of(signing)
    monkeypatch.setattr(sequencer, "_append", lambda: None)
    assert sequencer.step() == 1
    shown = signing.namespace.attestations.show(rods, PATH)
    (step,) = [one for one in shown["steps"] if one["kind"] == "ingest"]
    assert step["state"] == "promised"
    assert "has promised to take it in until" in step["reason"]


def test_the_previous_statement_is_named(signing: Zone, rods) -> None:
    import hashlib

    put(signing, rods)
    sequencer = background.sequencer_of(signing)
    sequencer.step()
    with signing.database.write() as tx:
        (first,) = statements.listed(tx, limit=2)
    caller = signing.namespace.users.service_caller("t")
    signing.namespace.stating.of_objects(caller, "recall", [PATH], {"medium": "B1", "verified": True})
    sequencer.step()
    with signing.database.read() as tx:
        made = statements.listed(tx, limit=2)
    assert read(dsse.decoded(made[0].envelope)).predicate["previous"] == [
        hashlib.sha256(first.envelope).hexdigest()
    ]
    assert read(dsse.decoded(made[0].envelope)).subjects[0].digest[TREE] == tree_of([DATA]).root.hex()


def test_a_statement_that_is_too_long_for_a_log_does_not_keep_the_others_out(signing: Zone, rods) -> None:
    from provenance.statements import Statement, Subject

    keys = background.sequencer_of(signing)._keys
    keys.reload()
    subjects = [Subject(f"{HOME}/f{n}", {TREE: n.to_bytes(32, "big").hex()}) for n in range(2000)]
    said = {"time": "2026-11-21T10:00:00Z", "actor": "x"}
    long = (
        Statement.of("ingest", subjects, said)
        .envelope()
        .signed(next(one.signer for one in keys._keys if one.record.role == "gateway"))
    )
    with signing.database.write() as tx:
        statements.keep_signed(tx, "ingest", "long", long.encoded())
    put(signing, rods)
    background.sequencer_of(signing).step()
    assert states(signing) == {"wanted": 0, "signed": 0, "logged": 1, "refused": 1}
    with signing.database.read() as tx:
        (refused,) = statements.listed(tx, state="refused", limit=5)
    assert "65535 at the most go into a log" in refused.reason
