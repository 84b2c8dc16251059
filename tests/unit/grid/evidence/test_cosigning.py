"""A zone whose partners witness its log: what they signed is in the evidence, and a fork is told to the zone."""

from pathlib import Path

import pytest

from grid import background
from grid.app import Zone
from grid.evidence.cosigning import Cosigning
from provenance import evidence, notes
from provenance.authority import Authority, Root
from provenance.blocks import tree_of
from provenance.judging import Wanted
from provenance.keyfiles import FileKey
from provenance.verdict import judge
from provenance.witnesses import parse_policy
from tests.unit.grid.evidence.test_sequencer import PATH, put, signing
from tests.unit.provenance.test_verdict import DATA
from tests.unit.provenance.test_witnessing import Log, policy_of, started

__all__ = ["signing"]


@pytest.fixture
def partner(signing: Zone, tmp_path: Path):
    """A partner that watches the zone's log."""
    key = FileKey.load(signing.folder / signing.settings.signing_keys / "log.key")
    log = Log.__new__(Log)
    log.key = key
    running, server = started(tmp_path / "partner", "esrf.example/witness", [log])
    policy = tmp_path / "witnesses.policy"
    policy.write_text(policy_of([running], "all"))
    yield (
        running,
        Cosigning(
            signing.database, signing.folder / signing.settings.log, [running.url], policy, lambda: True
        ),
    )
    server.shutdown()
    server.server_close()


def test_what_partners_have_seen_is_in_the_evidence(signing: Zone, rods, partner) -> None:
    running, cosigning = partner
    assert cosigning.step() == 0, "there is no log yet"
    put(signing, rods)
    sequencer = background.sequencer_of(signing)
    sequencer.step()
    assert cosigning.step() == 1
    assert cosigning.step() == 0, "nothing is new"
    put(signing, rods, "/tempZone/home/rods/b", b"b")
    sequencer.step()
    assert cosigning.step() == 1
    exported = evidence.decoded(signing.namespace.attestations.export(rods, PATH).encode())
    (receipt,) = exported.receipts
    assert (receipt.index, receipt.checkpoint().size) == (0, 2), "under the latest state that was seen"
    policy = parse_policy(policy_of([running], "all"))
    verdict = judge(
        tree_of([DATA]), PATH, exported, Authority.of(Root.read(exported.root), exported.keys), Wanted(policy)
    )
    assert [(step.kind, step.state, step.witnessed) for step in verdict.steps[1:]] == [
        ("ingest", "verified", ("esrf",))
    ]


def test_a_log_that_was_rewritten_is_refused_and_told(
    signing: Zone, rods, partner, tmp_path: Path, caplog
) -> None:
    running, cosigning = partner
    put(signing, rods)
    background.sequencer_of(signing).step()
    assert cosigning.step() == 1
    folder, key = (
        signing.folder / signing.settings.log,
        FileKey.load(signing.folder / signing.settings.signing_keys / "log.key"),
    )
    from provenance.log import LogWriter

    forked = tmp_path / "forked"
    LogWriter(forked, tmp_path / "forked.state", key).append([b"another", b"history"])
    other = Cosigning(signing.database, forked, [running.url], tmp_path / "witnesses.policy", lambda: True)
    assert other.step() == 0
    assert "is no continuation of the 1 entries that were seen" in caplog.text
    with signing.database.read() as tx:
        assert tx.value("SELECT count(*) FROM outbox WHERE event = 'checkpoint refused'") == 1
    assert notes.checkpoint_of(notes.decoded((folder / "checkpoint").read_text())).size == 1
