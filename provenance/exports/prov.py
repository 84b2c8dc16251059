"""A chain as PROV-JSON: contents are entities, steps are activities, keys are agents; the verdict is a bundle.

Source: PROV-DM (W3C, 2013); the PROV-JSON Serialization (W3C member submission, 2013).
"""

from typing import Any, Final

from provenance import jcs
from provenance.verdict import Verdict

PREFIX: Final = "https://w3id.org/beamgrid/prov/"
SHA256: Final = "https://w3id.org/beamgrid/merkle_sha256/"


def prov_json(path: str, verdict: Verdict) -> bytes:
    """The chain behind a content.

    Args:
        path: of what was judged.
        verdict: what was found.
    """
    entities: dict[str, Any] = {}
    document: dict[str, Any] = {
        "prefix": {"bg": PREFIX, "tree": SHA256}, "entity": entities, "activity": {}, "agent": {}, "wasGeneratedBy": {}, "used": {},
        "wasAssociatedWith": {}, "wasDerivedFrom": {},
    }  # fmt: skip
    for number, link in enumerate(verdict.links, 1):
        if link.place < 0 or not link.root:
            continue
        _step(document, number, link.step, link.root, link.inputs)
    entities.setdefault(f"tree:{verdict.root}", {})["prov:label"] = path
    entities["bg:verdict"] = {
        "prov:type": {"$": "prov:Bundle", "type": "prov:QUALIFIED_NAME"},
        "bg:state": verdict.state,
    }
    found = {"bg:state": verdict.state, "bg:trustedUntil": verdict.trusted_until}
    if verdict.reason:
        found["bg:reason"] = verdict.reason
    document["bundle"] = {
        "bg:verdict": {"prefix": document["prefix"], "entity": {f"tree:{verdict.root}": found}}
    }
    return jcs.encode({name: value for name, value in document.items() if value})


def _step(document: dict[str, Any], number: int, step: Any, root: str, inputs: tuple[str, ...]) -> None:
    activity, thing = f"bg:step{number}", f"tree:{root}"
    names = {} if not step.names else {"prov:label": step.names[0]}
    document["entity"].setdefault(thing, names)
    said: dict[str, Any] = {"prov:label": step.kind, "bg:state": step.state}
    if step.time:
        said["prov:endTime"] = step.time
    document["activity"][activity] = said
    if step.signer:
        agent = f"bg:key-{''.join(c if c.isalnum() else '-' for c in step.signer)}"
        document["agent"][agent] = {
            "prov:label": step.signer,
            "prov:type": {"$": "prov:SoftwareAgent", "type": "prov:QUALIFIED_NAME"},
        }
        document["wasAssociatedWith"][f"_:a{number}"] = {"prov:activity": activity, "prov:agent": agent}
    if "inputs" in step.said or "instrument" in step.said:
        document["wasGeneratedBy"][f"_:g{number}"] = {"prov:entity": thing, "prov:activity": activity}
    else:
        document["used"][f"_:s{number}"] = {"prov:activity": activity, "prov:entity": thing}
    for place, one in enumerate(inputs):
        source = f"tree:{one}"
        document["entity"].setdefault(source, {})
        document["used"][f"_:u{number}.{place}"] = {"prov:activity": activity, "prov:entity": source}
        document["wasDerivedFrom"][f"_:d{number}.{place}"] = {
            "prov:generatedEntity": thing,
            "prov:usedEntity": source,
            "prov:activity": activity,
        }
