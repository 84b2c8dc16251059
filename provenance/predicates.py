"""The predicates of signed statements: which fields each has, whose signature it needs, and an example.

This is data, which is read by who checks statements, by who judges them, and by the reference pages.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from provenance.errors import Malformed

TIME: Final = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\dZ")
HEX: Final = re.compile(r"([0-9a-f]{2})+")
DIGEST: Final = re.compile(r"[0-9a-f]{8,128}")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a predicate.

    Attributes:
        kind: `text`, `time`, `count` (a whole number from 0), `truth`, `hex`, `texts`, `ranges` (pairs of counts), `digests` (algorithm to
            hexadecimal digits), `inputs` (things with a name and digests), `facts` (an object of texts, numbers and truths), or words with `|`
            between them, of which it is one.
        meaning: what it says, for who writes and reads statements.
    """

    name: str
    kind: str
    meaning: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Predicate:
    """A kind of statement.

    Attributes:
        roles: the roles of keys whose signature it needs; empty where the root signs.
        makes: the subjects were made by this step, from its `inputs` or by measuring; else it is said of contents that were there.
        example: a predicate that is right.
    """

    name: str
    meaning: str
    roles: tuple[str, ...]
    fields: tuple[Field, ...]
    example: Mapping[str, Any] = field(default_factory=dict)
    makes: bool = False


_COMMON: Final = (
    Field("time", "time", "when it happened, by the clock of who signs"),
    Field("actor", "text", "the service or program that signs"),
    Field("zone", "text", "the zone it happened in", False),
    Field("policy_bundle", "hex", "the digest of the policy that asked for it", False),
    Field("previous", "texts", "SHA-256 digests of the envelopes that this step rests on", False),
)
_INPUTS: Final = Field("inputs", "inputs", "what was read: name and digests of each")


def _predicate(
    name: str,
    meaning: str,
    roles: Sequence[str],
    fields: Sequence[Field],
    example: Mapping[str, Any],
    *,
    makes: bool = False,
) -> Predicate:
    common = {"time": "2026-11-21T10:00:00Z", "actor": "maxiv/gateway-3"}
    return Predicate(name, meaning, tuple(roles), (*_COMMON, *fields), {**common, **example}, makes)


_ROOT_A: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_ROOT_B: Final = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"

PREDICATES: Final[Mapping[str, Predicate]] = {one.name: one for one in (
    _predicate("acquisition", "An instrument measured these data.", ("instrument",), (
        Field("beamline", "text", "where"),
        Field("instrument", "text", "which instrument"),
        Field("stream_id", "text", "what tells this measurement from others; no two statements say different things of one"),
        Field("visit", "text", "during which visit", False),
        Field("serial", "text", "of the detector", False),
        Field("firmware", "text", "of the detector", False),
        Field("frames", "count", "how many frames", False),
        Field("lost", "ranges", "frames that did not arrive, as first and last; left out where there are too many runs", False),
        Field("vetoed", "ranges", "frames that were dropped on purpose, as first and last; left out where there are too many runs", False),
        Field("lost_frames", "count", "how many did not arrive", False),
        Field("vetoed_frames", "count", "how many were dropped on purpose", False),
        Field("fates", "digests", "of what became of each frame, a byte each in the order of their numbers, as the measurement's file has it", False),
        Field("batches", "texts", "SHA-256 digests of the notes that were signed while the stream went on", False),
        Field("configuration", "digests", "of the detector's configuration", False),
        Field("definition", "text", "the NeXus application definition of the file", False),
    ), {"beamline": "nanomax", "instrument": "eiger2x1m", "stream_id": "scan101", "frames": 400, "lost": [[17, 18]]}, makes=True),
    _predicate("ingest", "The facility has taken in these data, and they are there from now on.", ("gateway",), (
        Field("stream_id", "text", "the measurement that they are of", False),
        Field("checked", "text", "what was found of the instrument's own statement; `none` where there is none", False),
        Field("erased_before", "time", "when the same content was erased from the zone, which has come back", False),
        Field("container", "digests", "of the physical file", False),
        Field("format_check", "text", "what a look at the format found", False),
        Field("quarantine", "truth", "whether they are kept apart", False),
    ), {"checked": "verified", "zone": "maxiv", "format_check": "NXmx"}),
    _predicate("digest-link", "The subjects are digests of the same bytes, or of the same frames.", ("gateway", "service", "kernel-runner"), (
        Field("same", "bytes|stored chunks|frames", "what they are digests of"),
        Field("checksum", "text", "the checksum of the same bytes as iRODS clients see it", False),
    ), {"same": "bytes", "checksum": "sha2:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="}),
    _predicate("reduction", "A kernel made the subjects from its inputs.", ("kernel-runner",), (
        _INPUTS,
        Field("kernel", "facts", "`name`, `version`, `source` (digest), and what else is known of it: `artefact`, `compiler`, `flags`"),
        Field("parameters", "facts", "with which it ran", False),
        Field("parameters_digest", "hex", "SHA-256 of the parameters in their one form", False),
        Field("device", "facts", "`kind`, `model` and `driver` of what it ran on"),
        Field("frames_used", "count", "how many frames went in", False),
        Field("frames_skipped", "count", "how many did not", False),
        Field("floats", "text", "how floating-point numbers were treated", False),
        Field("reproducibility", "facts", "`kind` (`exact` or `tolerance`) and `checked_by`", False),
        Field("feedback", "facts", "what was told to the instrument meanwhile", False),
    ), {
        "inputs": [{"name": "/maxiv/data/nanomax/scan101.h5", "digest": {"merkle_sha256": _ROOT_A}}],
        "kernel": {"name": "azint", "version": "2.1", "source": _ROOT_B}, "device": {"kind": "cpu", "model": "PoCL", "driver": "7.1"},
        "parameters": {"bins": 1000, "unit": "q"}, "frames_used": 400, "actor": "maxiv/kernel-runner-1",
    }, makes=True),
    _predicate("process", "A program made the subjects from its inputs; less is known of it than of a kernel.", ("service",), (
        _INPUTS,
        Field("command", "text", "what was run"),
        Field("image", "digests", "of the container", False),
        Field("exit", "count", "its exit status", False),
        Field("usage", "facts", "what it took", False),
    ), {
        "inputs": [{"name": "/maxiv/data/nanomax/scan101.h5", "digest": {"merkle_sha256": _ROOT_A}}],
        "command": "python fit.py --peak 3", "exit": 0, "actor": "maxiv/batch",
    }, makes=True),
    _predicate("replication", "A further copy was made, and is the content.", ("mover",), (
        Field("source", "text", "the resource that was read"),
        Field("target", "text", "the resource, or zone, where the copy is"),
        Field("verified", "truth", "whether the copy's digest was compared"),
        Field("medium", "text", "what it is on", False),
    ), {"source": "diskResc", "target": "tapeResc", "verified": True, "medium": "tape"}),
    _predicate("recall", "The content came back from tape.", ("mover",), (
        Field("medium", "text", "the cartridge"),
        Field("verified", "truth", "whether its digest was compared"),
        Field("target", "text", "the resource where it is now", False),
        Field("seconds", "count", "how long it took", False),
    ), {"medium": "B00007", "verified": True, "seconds": 141}),
    _predicate("transform", "The same data in another form: recompressed, repacked, cut.", ("service", "kernel-runner"), (
        _INPUTS,
        Field("method", "text", "what was done"),
        Field("same_content", "yes|no|not checked", "whether what is decoded is the same"),
    ), {
        "inputs": [{"name": "/maxiv/data/nanomax/scan101.h5", "digest": {"merkle_sha256": _ROOT_A}}],
        "method": "h5repack -f GZIP=4", "same_content": "yes",
    }, makes=True),
    _predicate("embargo", "An embargo was set or moved.", ("steward",), (
        Field("old", "text", "until when it was; empty for not at all", False),
        Field("new", "text", "until when it is"),
        Field("reason", "text", "why", False),
        Field("approver", "text", "who said so"),
    ), {"old": "2027-03-02", "new": "2028-03-02", "reason": "thesis", "approver": "pi_hansen#maxiv"}),
    _predicate("publication", "The subjects were published.", ("publisher", "steward"), (
        Field("doi", "text", "under which identifier"),
        Field("metadata", "digests", "of the record at the registry", False),
        Field("crate", "digests", "of the crate", False),
        Field("licence", "text", "for whom", False),
        Field("verdict", "text", "what was found of the chain then", False),
    ), {"doi": "10.16907/maxiv.2026.0042", "licence": "CC-BY-4.0", "verdict": "verified"}),
    _predicate("erasure", "The subjects were erased; their digests stay, so that they are recognised.", ("steward",), (
        Field("method", "text", "how"),
        Field("copies", "text", "which"),
        Field("basis", "text", "on which legal basis", False),
        Field("approver", "text", "who said so", False),
    ), {"method": "unlink", "copies": "all", "basis": "contract ind77", "approver": "industry_office#maxiv"}),
    _predicate("policy-bundle", "These policies may be activated.", ("steward",), (
        Field("policies", "texts", "name and version of each"),
        Field("effects", "texts", "what their rules may do"),
        Field("base", "count", "the generation that the bundle replaces", False),
    ), {"policies": ["maxiv.ingest version 7"], "effects": ["catalog.write", "meta.write"], "actor": "anna#maxiv"}),
    _predicate("kernel-release", "This kernel may be used by rules.", ("steward",), (
        Field("name", "text", "of the kernel"),
        Field("version", "text", "of the kernel"),
        Field("tests", "text", "what its test bench found", False),
        Field("build", "digests", "of the statement about how it was built (SLSA provenance)", False),
    ), {"name": "azint", "version": "2.1", "actor": "software#maxiv"}),
    _predicate("key", "This key may sign; signed by the root.", (), (
        Field("name", "text", "of the key"),
        Field("algorithm", "text", "`ed25519` or `ml-dsa-65`"),
        Field("public", "hex", "the public key"),
        Field("role", "text", "what it may sign"),
        Field("scope", "texts", "locations below which it may sign"),
        Field("not_before", "time", "from when on"),
        Field("not_after", "time", "until when"),
        Field("storage", "text", "where the private key is: `file`, `hsm`, `tpm`"),
        Field("predecessor", "text", "the key that it takes over from", False),
    ), {
        "name": "maxiv/nanomax/eiger2x1m-0123#2026a", "algorithm": "ed25519", "public": _ROOT_B, "role": "instrument",
        "scope": ["/maxiv/data/nanomax"], "not_before": "2026-01-01T00:00:00Z", "not_after": "2027-02-05T00:00:00Z", "storage": "file",
        "actor": "maxiv/root-1",
    }),
    _predicate("revocation", "This key may not sign any more; signed by the root.", (), (
        Field("name", "text", "of the key"),
        Field("keyid", "text", "of the key"),
        Field("reason", "text", "`retired`, `superseded`, `compromised` or `lost`"),
        Field("invalid_from", "time", "from when on"),
        Field("last_good", "time", "until when it surely was in good hands"),
        Field("log", "text", "the log whose entries the next two count", False),
        Field("invalid_from_entry", "count", "what it signed is not valid from this entry of the log on", False),
        Field("last_good_entry", "count", "what it signed is suspect after this entry of the log", False),
    ), {
        "name": "maxiv/nanomax/eiger2x1m-0123#2026a", "keyid": "a1b2c3d4", "reason": "compromised", "invalid_from": "2026-11-01T00:00:00Z",
        "last_good": "2026-10-20T00:00:00Z", "log": "maxiv.example/prov/2026", "invalid_from_entry": 51234, "last_good_entry": 50100,
        "actor": "maxiv/root-1",
    }),
    _predicate("verdict", "What was found of the subjects by whom.", ("verifier",), (
        Field("result", "text", "the state"),
        Field("reason", "text", "in words", False),
        Field("trusted_until", "count", "the number of the last step that is verified"),
        Field("steps", "texts", "the steps, with their states"),
        Field("policy", "hex", "the digest of what was asked for: roots, roles, witnesses", False),
    ), {"result": "unsigned", "reason": "no statement is about this content", "trusted_until": 0, "steps": []}),
)}  # fmt: skip
"""Name to predicate."""


def check_predicate(kind: str, predicate: Mapping[str, Any]) -> None:
    """Check what a predicate says.

    Raises:
        Malformed: a field is missing, unknown, or not of its kind.
    """
    known = {one.name: one for one in PREDICATES[kind].fields}
    unknown = sorted(predicate.keys() - known.keys())
    if unknown:
        raise Malformed(f"`{kind}` has no field `{unknown[0]}`; it has {', '.join(known)}")
    for name, wanted in known.items():
        if name not in predicate:
            if wanted.required:
                raise Malformed(f"`{kind}` lacks `{name}`")
        elif not _is(predicate[name], wanted.kind):
            raise Malformed(
                f"`{name}` of `{kind}` is `{predicate[name]!r:.60}`; a {wanted.kind} was expected"
            )


def json_schema(kind: str) -> dict[str, Any]:
    """A predicate's schema as JSON Schema (draft 2020-12), for who checks with programs of others."""
    fields = PREDICATES[kind].fields
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {one.name: _schema(one.kind) for one in fields},
        "required": [one.name for one in fields if one.required],
        "additionalProperties": False,
    }


def _schema(kind: str) -> dict[str, Any]:
    if "|" in kind:
        return {"enum": kind.split("|")}
    return _SCHEMAS[kind]


_COUNT: Final = {"type": "integer", "minimum": 0}
_DIGESTS: Final = {
    "type": "object", "minProperties": 1, "additionalProperties": {"type": "string", "pattern": "^[0-9a-f]{8,128}$"},
}  # fmt: skip
_SCHEMAS: Final[Mapping[str, dict[str, Any]]] = {
    "text": {"type": "string", "minLength": 1},
    "time": {"type": "string", "pattern": f"^{TIME.pattern}$"},
    "hex": {"type": "string", "pattern": f"^{HEX.pattern}$"},
    "count": _COUNT,
    "truth": {"type": "boolean"},
    "texts": {"type": "array", "items": {"type": "string"}},
    "ranges": {"type": "array", "items": {"type": "array", "items": _COUNT, "minItems": 2, "maxItems": 2}},
    "digests": _DIGESTS,
    "inputs": {
        "type": "array", "minItems": 1,
        "items": {
            "type": "object", "properties": {"name": {"type": "string"}, "digest": _DIGESTS}, "required": ["name", "digest"],
            "additionalProperties": False,
        },
    },
    "facts": {"type": "object"},
}  # fmt: skip


def _is(value: Any, kind: str) -> bool:
    if "|" in kind:
        return value in kind.split("|")
    if kind in _SIMPLE:
        return _SIMPLE[kind](value)
    if not isinstance(value, str):
        return False
    if kind == "time":
        return TIME.fullmatch(value) is not None
    return HEX.fullmatch(value) is not None if kind == "hex" else value != ""


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_range(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_count, value)) and value[0] <= value[1]


def is_digests(value: Any) -> bool:
    """Whether something is digests by algorithm, in hexadecimal digits, one at the least."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(one, str) and DIGEST.fullmatch(one) for one in value.values())
    )


def _is_input(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"name", "digest"}
        and isinstance(value["name"], str)
        and is_digests(value["digest"])
    )


def _is_facts(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_fact(one) for one in value.values())


def _is_fact(value: Any) -> bool:
    return isinstance(value, str | int | float | bool) or (
        isinstance(value, list) and all(map(_is_fact, value))
    )


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


def _is_ranges(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_range, value))


def _is_inputs(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_input, value))


_SIMPLE: Final[Mapping[str, Callable[[Any], bool]]] = {
    "count": _is_count, "texts": _is_texts, "digests": is_digests, "facts": _is_facts, "truth": _is_truth, "ranges": _is_ranges,
    "inputs": _is_inputs,
}  # fmt: skip
