"""Statements about digests: in-toto Statement v1 with predicates of our own, and what each has to say.

Source: in-toto attestation framework, Statement v1 and ResourceDescriptor v1.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from provenance import jcs
from provenance.dsse import IN_TOTO, Envelope
from provenance.errors import Malformed

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://w3id.org/beamgrid/prov/{}/v1"
TREE: Final = "merkle_sha256"
TIME: Final = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\dZ")

_COMMON: Final = {"time": "time", "actor": "text", "zone": "text?"}
SCHEMAS: Final[Mapping[str, Mapping[str, str]]] = {
    "acquisition": {
        **_COMMON, "beamline": "text", "instrument": "text", "stream_id": "text", "visit": "text?", "serial": "text?",
        "firmware": "text?", "frames": "count?", "lost": "ranges?",
    },
    "key": {
        **_COMMON, "name": "text", "algorithm": "text", "public": "hex", "role": "text", "scope": "texts", "not_before": "time",
        "not_after": "time", "storage": "text", "predecessor": "text?",
    },
    "revocation": {**_COMMON, "name": "text", "keyid": "text", "reason": "text", "invalid_from": "time", "last_good": "time"},
}  # fmt: skip
"""Predicate to its fields; `?` marks what may be left out."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a statement is about: digests by algorithm, hexadecimal; matched by these, never by name."""

    name: str
    digest: Mapping[str, str]
    annotations: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"name": self.name, "digest": dict(self.digest)}
        return {**found, "annotations": dict(self.annotations)} if self.annotations else found


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that was read, or is to be signed. `kind` is the predicate's name, empty for one that is not ours."""

    kind: str
    subjects: tuple[Subject, ...]
    predicate: Mapping[str, Any]
    predicate_type: str

    @classmethod
    def of(cls, kind: str, subjects: Sequence[Subject], predicate: Mapping[str, Any]) -> "Statement":
        """A statement of ours.

        Raises:
            Malformed: the predicate does not say what it has to.
        """
        check_predicate(kind, predicate)
        return cls(kind, tuple(subjects), dict(predicate), PREDICATE.format(kind))

    def envelope(self) -> Envelope:
        """To be signed; equal statements give equal bytes."""
        payload = jcs.encode(
            {
                "_type": STATEMENT, "subject": [subject.as_json() for subject in self.subjects],
                "predicateType": self.predicate_type, "predicate": self.predicate,
            }
        )  # fmt: skip
        return Envelope(payload, IN_TOTO)


def read(envelope: Envelope) -> Statement:
    """The statement in an envelope; of a predicate that is not ours, nothing is asked.

    Raises:
        Malformed: it is no statement, or one of ours that does not say what it has to.
    """
    if envelope.payload_type != IN_TOTO:
        raise Malformed(f"found the payload type `{envelope.payload_type}`; `{IN_TOTO}` was expected")
    found = jcs.decode(envelope.payload)
    if not isinstance(found, dict) or found.get("_type") != STATEMENT:
        raise Malformed(f"found no statement; `_type` `{STATEMENT}` was expected")
    kind, predicate, subjects = found.get("predicateType"), found.get("predicate"), found.get("subject")
    if not isinstance(kind, str) or not isinstance(predicate, dict) or not isinstance(subjects, list):
        raise Malformed("a statement has a `predicateType`, a `predicate` and a list of `subject`s")
    name = next((name for name in SCHEMAS if PREDICATE.format(name) == kind), "")
    if name:
        if jcs.encode(found) != envelope.payload:
            raise Malformed("a statement of ours is not written in the one form that it has")
        check_predicate(name, predicate)
    return Statement(name, tuple(_subject(one) for one in subjects), predicate, kind)


def _subject(found: Any) -> Subject:
    if not isinstance(found, dict) or not isinstance(found.get("digest"), dict) or not found["digest"]:
        raise Malformed("a subject has a `digest` of at least one algorithm")
    name, digest, annotations = found.get("name", ""), found["digest"], found.get("annotations", {})
    if not isinstance(name, str) or not isinstance(annotations, dict):
        raise Malformed("a subject's `name` is a text and its `annotations` an object")
    for algorithm, value in digest.items():
        if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{8,128}", value):
            raise Malformed(
                f"the digest `{algorithm}` of a subject is no hexadecimal number in small letters"
            )
    return Subject(name, digest, annotations)


def check_predicate(kind: str, predicate: Mapping[str, Any]) -> None:
    """Check what a predicate says.

    Raises:
        Malformed: a field is missing, unknown, or not of its kind.
    """
    schema = SCHEMAS[kind]
    unknown = sorted(predicate.keys() - schema.keys())
    if unknown:
        raise Malformed(f"`{kind}` has no field `{unknown[0]}`; it has {', '.join(schema)}")
    for name, wanted in schema.items():
        if name not in predicate:
            if not wanted.endswith("?"):
                raise Malformed(f"`{kind}` lacks `{name}`")
        elif not _is(predicate[name], wanted.removesuffix("?")):
            raise Malformed(
                f"`{name}` of `{kind}` is `{predicate[name]!r:.60}`; a {wanted.removesuffix('?')} was expected"
            )


def _is(value: Any, kind: str) -> bool:
    if kind == "count":
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if kind == "texts":
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if kind == "ranges":
        return isinstance(value, list) and all(
            isinstance(one, list)
            and len(one) == 2
            and all(_is(end, "count") for end in one)
            and one[0] <= one[1]
            for one in value
        )
    if not isinstance(value, str):
        return False
    if kind == "time":
        return TIME.fullmatch(value) is not None
    return re.fullmatch(r"([0-9a-f]{2})+", value) is not None if kind == "hex" else value != ""
