"""Microservices that ask for signed statements, and that judge what is signed.

Asking is quick and part of the operation that it is about; another process signs, with the key of the role that the statement needs.
"""

from datetime import datetime
from typing import Any

from microservices.ports import Grid
from microservices.registry import Parameter, microservice

_SOFTWARE = ("sign(software)",)
_STEWARD = ("sign(steward)",)


@microservice(
    "sign_ingest", Parameter("object", "Object"), Parameter("digest", "Digest", required=False),
    result="Attestation", effects=_SOFTWARE,
)  # fmt: skip
def sign_ingest(grid: Grid, object: str, digest: str = "") -> dict[str, Any]:
    """State that the zone has taken in an object's content, and what it found of the instrument's own statement."""
    return grid.ask_for_statement("ingest", [object], {})


@microservice(
    "sign_replication", Parameter("object", "Object"), Parameter("to", "Resource"), Parameter("from", "Resource", required=False),
    result="Attestation", effects=_SOFTWARE,
)  # fmt: skip
def sign_replication(grid: Grid, object: str, to: str, **source: str) -> dict[str, Any]:
    """State that a copy was made and compared."""
    said = {"source": source.get("from") or "unknown", "target": to, "verified": True}
    return grid.ask_for_statement("replication", [object], said)


@microservice(
    "sign_recall", Parameter("object", "Object"), Parameter("cartridge", "Text"), Parameter("to", "Resource"),
    result="Attestation", effects=_SOFTWARE,
)  # fmt: skip
def sign_recall(grid: Grid, object: str, cartridge: str, to: str) -> dict[str, Any]:
    """State that a content came back from tape; its digest was compared as it was read."""
    return grid.ask_for_statement("recall", [object], {"medium": cartridge, "target": to, "verified": True})


@microservice(
    "sign_reduction", Parameter("inputs", "List<Object>"), Parameter("outputs", "List<Object>"), Parameter("kernel", "Kernel"),
    Parameter("device", "Text"), result="Attestation", effects=_SOFTWARE,
)  # fmt: skip
def sign_reduction(
    grid: Grid, inputs: list[str], outputs: list[str], kernel: str, device: str
) -> dict[str, Any]:
    """State that a kernel, `NAME VERSION DIGEST`, made objects from others on a device."""
    name, version, source = [*kernel.split(" ", 2), "", ""][:3]
    said = {"kernel": {"name": name, "version": version, "source": source}, "device": {"kind": device}}
    return grid.ask_for_statement("reduction", outputs, said, inputs=inputs)


@microservice(
    "sign_embargo_change", Parameter("subject", "Collection"), Parameter("old", "Time", required=False), Parameter("new", "Time"),
    Parameter("reason", "Text"), result="Attestation", effects=_STEWARD,
)  # fmt: skip
def sign_embargo_change(
    grid: Grid, subject: str, new: object, reason: str, old: object = None
) -> dict[str, Any]:
    """State that a collection's embargo was set or moved, and by whom."""
    return grid.ask_for_place(
        "embargo",
        subject,
        {"old": _moment(old), "new": _moment(new), "reason": reason, "approver": grid.user},
    )


@microservice(
    "sign_publication", Parameter("subject", "Collection"), Parameter("doi", "Doi"), result="Attestation", effects=_STEWARD
)  # fmt: skip
def sign_publication(grid: Grid, subject: str, doi: str) -> dict[str, Any]:
    """State that a collection was published, with the content of every object in it."""
    return grid.ask_for_everything_in("publication", subject, {"doi": doi})


@microservice("sign_erasure", Parameter("subject", "Collection"), result="Attestation", effects=_STEWARD)
def sign_erasure(grid: Grid, subject: str) -> dict[str, Any]:
    """State which contents of a collection were erased; their digests stay."""
    return grid.ask_for_erased(subject, {"method": "unlink", "copies": "all", "approver": grid.user})


@microservice(
    "verify_provenance", Parameter("subject", "Collection"), result="Verdict", effects=("data.read", "catalog.read")
)  # fmt: skip
def verify_provenance(grid: Grid, subject: str) -> dict[str, Any]:
    """Judge every object of a collection by what is signed: the worst state, and until when everything can be trusted."""
    return grid.verify(subject)


def _moment(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return "" if value is None else str(value)
