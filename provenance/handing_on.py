"""Verdicts for other programs: as a statement of ours, and as in-toto's summary of a verification.

Source: in-toto attestation framework, Simple Verification Result (svr/v0.1).
"""

from typing import Final

from provenance.statements import TREE, Statement, Subject
from provenance.states import VERIFIED
from provenance.verdict import Verdict

SUMMARY: Final = "https://in-toto.io/attestation/svr/v0.1"


def as_statement(name: str, verdict: Verdict, verifier: str, time: str) -> Statement:
    """A statement `verdict`, to be signed by a verifier."""
    said = {
        "time": time, "actor": verifier, "result": verdict.state, "trusted_until": verdict.trusted_until,
        "steps": [f"{number} {step.kind}: {step.state}" for number, step in enumerate(verdict.steps, 1)],
    }  # fmt: skip
    if verdict.reason:
        said["reason"] = verdict.reason
    return Statement.of("verdict", [Subject(name, {TREE: verdict.root})], said)


def as_summary(name: str, verdict: Verdict, verifier: str, time: str) -> Statement:
    """A Simple Verification Result: what was verified are its properties; what was not is not said to be false."""
    properties = [f"BEAMGRID_{verdict.state.upper()}"]
    if verdict.state == VERIFIED:
        properties.append("BEAMGRID_CHAIN_COMPLETE")
    return Statement(
        "", (Subject(name, {TREE: verdict.root}),), {"verifier": {"id": verifier}, "timeCreated": time, "properties": properties}, SUMMARY
    )  # fmt: skip
