"""What a publication does with what is signed: a verdict, a crate, a bag, statements of embargo, publication and erasure."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from grid import background
from grid.app import Zone
from grid.catalog import objects, statements
from grid.errors import MicroserviceFailed
from grid.model import Avu, Caller
from grid.namespace import MetadataOperation, Subject
from provenance import dsse
from provenance.blocks import tree_of
from provenance.statements import TREE, read
from tests.unit.grid.evidence.test_sequencer import logged_entries, put, signing
from tests.unit.provenance.test_exports import checker
from tests.unit.provenance.test_verdict import DATA

__all__ = ["signing"]

HOME = "/tempZone/home/rods"
HERE = f"{HOME}/published"


@pytest.fixture
def rule(signing: Zone, rods) -> Caller:
    """A rule of an administrator's policy."""
    from dataclasses import replace

    return replace(rods, rights_of_rules=True)


@pytest.fixture
def published(signing: Zone, rods) -> Zone:
    signing.namespace.collections.create(rods, HERE)
    put(signing, rods, f"{HERE}/run7.h5")
    put(signing, rods, f"{HERE}/notes.txt", b"notes")
    background.sequencer_of(signing).step()
    return signing


def read_object(zone: Zone, rods, path: str) -> bytes:
    opened = zone.namespace.objects.open_for_reading(rods, path)
    try:
        buffer = memoryview(bytearray(opened.size()))
        return bytes(buffer[: opened.file.read_into(buffer, 0)])
    finally:
        opened.close()


def test_a_collection_is_judged_by_its_worst_object(published: Zone, rods, rule: Caller) -> None:
    found = published.host.run(rule, "verify_provenance", {"subject": HERE})
    assert found["first_failure"] == "unsigned", "no instrument signed"
    assert found["trusted_until"] == datetime(1970, 1, 1, tzinfo=UTC)
    assert (
        published.host.run(rule, "verify_provenance", {"subject": f"{HOME}/nowhere"})["first_failure"]
        == "unsigned"
    )


def test_a_crate_of_a_collection_passes_its_validator(
    published: Zone, rods, rule: Caller, tmp_path: Path
) -> None:
    published.namespace.metadata.apply(
        rods, Subject("collection", HERE),
        [MetadataOperation("set", Avu("title", "Scan 7", "")), MetadataOperation("set", Avu("license", "CC-BY-4.0", ""))],
    )  # fmt: skip
    made = published.host.run(
        rule, "build_ro_crate", {"subject": HERE, "profile": "provenance-run-crate-0.5"}
    )
    assert made["files"] == 2
    again = published.host.run(
        rule, "build_ro_crate", {"subject": HERE, "profile": "provenance-run-crate-0.5"}
    )
    assert again["files"] == 2, "its own files are not of it"
    graph = {one["@id"]: one for one in json.loads(read_object(published, rods, made["path"]))["@graph"]}
    assert (graph["./"]["name"], graph["./"]["license"]) == (
        "Scan 7",
        {"@id": "https://creativecommons.org/licenses/by/4.0/"},
    )
    for name, data in (("run7.h5", DATA), ("notes.txt", b"notes")):
        assert graph[name]["identifier"] == f"merkle_sha256:{tree_of([data]).root.hex()}"
        (tmp_path / name).write_bytes(data)
    for name in ("ro-crate-metadata.json", "chain.md", "evidence.json"):
        (tmp_path / name).write_bytes(read_object(published, rods, f"{HERE}/{name}"))
    with pytest.raises(MicroserviceFailed, match="found the profile `none`"):
        published.host.run(rule, "build_ro_crate", {"subject": HERE, "profile": "none"})
    python = checker("python")
    checker("rocrate-validator")
    program = Path(__file__).parents[2] / "provenance/rocrate_check.py"
    done = subprocess.run(
        [python, program, tmp_path, "provenance-run-crate-0.5"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout


def test_a_bag_of_a_collection_says_where_its_files_are(
    published: Zone, rods, rule: Caller, tmp_path: Path
) -> None:
    published.host.run(rule, "build_bag", {"subject": HERE})
    names = ("bagit.txt", "bag-info.txt", "manifest-sha256.txt", "fetch.txt", "tagmanifest-sha256.txt")
    for name in names:
        (tmp_path / name).write_bytes(read_object(published, rods, f"{HERE}.bag/{name}"))
    fetched = dict(line.split(" ", 1) for line in (tmp_path / "fetch.txt").read_text().splitlines())
    assert fetched == {
        f"irods://tempZone{HERE}/run7.h5": f"{len(DATA)} data/run7.h5",
        f"irods://tempZone{HERE}/notes.txt": "5 data/notes.txt",
    }
    (tmp_path / "data").mkdir()
    (tmp_path / "data/run7.h5").write_bytes(DATA)
    (tmp_path / "data/notes.txt").write_bytes(b"notes")
    done = subprocess.run(
        [checker("bagit.py"), "--validate", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def made_of(zone: Zone, kind: str) -> list:
    background.sequencer_of(zone).step()
    with zone.database.read() as tx:
        return [
            read(dsse.decoded(one.envelope)) for one in statements.listed(tx, limit=50) if one.kind == kind
        ]


def test_a_publication_names_every_content(published: Zone, rods, rule: Caller) -> None:
    published.host.run(rule, "sign_publication", {"subject": HERE, "doi": "10.16907/maxiv.1"})
    found = made_of(published, "publication")
    contents = {subject.digest[TREE] for one in found for subject in one.subjects if TREE in subject.digest}
    assert contents == {tree_of([DATA]).root.hex(), tree_of([b"notes"]).root.hex()}
    assert {one.predicate["doi"] for one in found} == {"10.16907/maxiv.1"}
    shown = published.namespace.attestations.show(rods, f"{HERE}/run7.h5")
    assert ("publication", "verified") in [(step["kind"], step["state"]) for step in shown["steps"]]


def test_what_was_erased_is_stated_once(published: Zone, rods, rule: Caller) -> None:
    published.host.run(rule, "erase", {"subject": HERE, "copies": "all", "method": "unlink"})
    with published.database.read() as tx:
        assert tx.value("SELECT count(*) FROM statements WHERE salt IS NOT NULL") == 0, (
            "the log's entries mean nothing any more"
        )
    (found,) = made_of(published, "erasure")
    assert {subject.name for subject in found.subjects} == {f"{HERE}/run7.h5", f"{HERE}/notes.txt"}
    assert found.predicate["approver"] == "rods#tempZone"
    published.host.run(rule, "sign_erasure", {"subject": HERE})
    assert len(made_of(published, "erasure")) == 1, "once"


def test_what_was_erased_is_not_asked_for_again_before_it_is_signed(
    published: Zone, rods, rule: Caller
) -> None:
    published.host.run(rule, "erase", {"subject": HERE, "copies": "all", "method": "unlink"})
    published.host.run(rule, "sign_erasure", {"subject": HERE})
    assert len(made_of(published, "erasure")) == 1


def test_a_content_that_was_erased_is_recognised_when_it_comes_back(
    published: Zone, rods, rule: Caller
) -> None:
    published.host.run(rule, "erase", {"subject": HERE, "copies": "all", "method": "unlink"})
    put(published, rods, f"{HERE}/again.h5", DATA)
    put(published, rods, f"{HERE}/other.h5", b"never seen before")
    made = {one.subjects[0].name: one.predicate for one in made_of(published, "ingest")}
    assert made[f"{HERE}/again.h5"]["erased_before"] <= made[f"{HERE}/again.h5"]["time"]
    assert "erased_before" not in made[f"{HERE}/other.h5"]
    assert "erased_before" not in made[f"{HERE}/run7.h5"], "it was not, when it came first"


def test_what_was_to_be_erased_and_is_still_there_is_not_said_to_be_gone(
    published: Zone, rods, rule: Caller
) -> None:
    with published.database.write() as tx:  # as an end of the process leaves it
        found = objects.by_path_or_none(tx, f"{HERE}/run7.h5")
        assert found is not None
        checksum = found.best_replica().checksum
        statements.erasing(tx, found.path, tree_of([DATA]).root.hex(), checksum, len(DATA))
    said = {"approver": "rods#tempZone", "copies": "all", "method": "unlink"}
    assert published.namespace.stating.of_erased(rule, HERE, said) == []
    published.namespace.moves.unlink(rods, f"{HERE}/run7.h5", force=True)
    assert len(published.namespace.stating.of_erased(rule, HERE, said)) == 1


def test_what_was_erased_before_it_was_logged_stays_out_of_the_log(
    signing: Zone, rods, rule: Caller, monkeypatch
) -> None:
    signing.namespace.collections.create(rods, HERE)
    put(signing, rods, f"{HERE}/a", b"secret")
    sequencer = background.sequencer_of(signing)
    with monkeypatch.context() as patched:
        patched.setattr(sequencer, "_append", lambda: None)
        assert sequencer.step() == 1
    signing.host.run(rule, "erase", {"subject": HERE, "copies": "all", "method": "unlink"})
    sequencer.step()
    with signing.database.read() as tx:
        made = {one.kind: (one.state, one.reason) for one in statements.listed(tx, limit=5)}
    assert made == {"ingest": ("refused", "erased before it was logged"), "erasure": ("logged", "")}
    assert [entry["kind"] for entry in logged_entries(signing)] == ["erasure"]


def test_a_reduction_is_chained_to_what_it_was_made_from(published: Zone, rods, rule: Caller) -> None:
    put(published, rods, f"{HERE}/azint.h5", b"reduced")
    arguments = {
        "inputs": [f"{HERE}/run7.h5"], "outputs": [f"{HERE}/azint.h5"], "kernel": f"azint 2.1 {'ab' * 32}", "device": "cpu",
    }  # fmt: skip
    published.host.run(rule, "sign_reduction", arguments)
    (found,) = made_of(published, "reduction")
    assert found.predicate["kernel"] == {"name": "azint", "version": "2.1", "source": "ab" * 32}
    shown = published.namespace.attestations.show(rods, f"{HERE}/azint.h5")
    kinds = [(step["kind"], step["state"]) for step in shown["steps"]]
    assert kinds == [("input", "missing_evidence"), ("reduction", "verified"), ("ingest", "verified")], (
        "what was shown is the object's own"
    )
    exported, verdict = published.namespace.attestations.signed(rods, f"{HERE}/azint.h5")
    assert [step.kind for step in verdict.steps] == ["origin", "ingest", "reduction", "ingest"]
    assert len(exported.statements) == 3


def test_what_one_may_not_read_stays_out_of_what_one_is_given(published: Zone, rods, rule: Caller) -> None:
    """A result may be shown to who may not see the raw data; the chain ends there, and says so."""
    from grid.namespace import AccessChange

    published.namespace.users.add(rods, "anna", "rodsuser")
    shared = f"{HOME}/shared"
    published.namespace.collections.create(rods, shared)
    put(published, rods, f"{shared}/azint.h5", b"reduced")
    published.namespace.access.change(
        rods, f"{shared}/azint.h5", AccessChange("anna", "", "read"), recursive=False
    )
    arguments = {
        "inputs": [f"{HERE}/run7.h5"],
        "outputs": [f"{shared}/azint.h5"],
        "kernel": "azint 2.1 ab",
        "device": "cpu",
    }
    published.host.run(rule, "sign_reduction", arguments)
    background.sequencer_of(published).step()
    anna = published.namespace.users.caller("anna", "tempZone")
    whole, _ = published.namespace.attestations.signed(rods, f"{shared}/azint.h5")
    given, verdict = published.namespace.attestations.signed(anna, f"{shared}/azint.h5")
    assert (len(whole.statements), len(given.statements)) == (3, 2)
    assert [step.state for step in verdict.steps] == ["missing_evidence", "verified", "verified"]
