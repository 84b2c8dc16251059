"""Statements about digests: in-toto Statement v1 with predicates of our own.

Source: in-toto attestation framework, Statement v1 and ResourceDescriptor v1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from provenance import jcs
from provenance.dsse import IN_TOTO, Envelope
from provenance.errors import Malformed
from provenance.predicates import DIGEST, PREDICATES, check_predicate

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://w3id.org/beamgrid/prov/{}/v1"
TREE: Final = "merkle_sha256"
"""The digest of a content: the root of its tree."""

PLACE: Final = "path_sha256"
"""The digest of a path, for what is said of a place and not of a content."""


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
    name = next((name for name in PREDICATES if PREDICATE.format(name) == kind), "")
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
        if not isinstance(value, str) or not DIGEST.fullmatch(value):
            raise Malformed(
                f"the digest `{algorithm}` of a subject is no hexadecimal number in small letters"
            )
    return Subject(name, digest, annotations)
