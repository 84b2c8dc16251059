"""Signed policies: whose signatures a file needs before its rules count, and the statements that stewards made.

Each file of a bundle is signed for itself, by its digest, so that files of several owners come together without being signed again. One steward signs what only
looks and records; two what can delete data or open access. Signatures are kept in the catalog before a push, and go into the zone's log.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import policies as shipped
from grid.catalog import statements
from grid.catalog.database import Database, Transaction
from grid.errors import InvalidArgument
from grid.policy.grants import BundleError
from microservices import declarations
from provenance import dsse, jcs
from provenance.authority import Authority, KeyRecord
from provenance.dsse import Envelope, Signer
from provenance.errors import Malformed, ProvenanceError
from provenance.keyring import Keyring
from provenance.statements import Statement, Subject, read
from rules import core

FORMAT: Final = "beamgrid-policy-signatures/1"
KIND: Final = "policy-bundle"
ROLE: Final = "steward"
DELETES, OPENS = "data.delete", "acl.write"
_MOST: Final = 256


def digest_of_file(text: str) -> str:
    """What a file is signed by: SHA-256 of its text, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def effects_of(policy: core.Policy) -> list[str]:
    """What the rules of a policy may do, promises included, which trim copies that are not wanted any more."""
    known = declarations()
    found = {effect for name in policy.calls if name in known for effect in known[name].effects}
    if policy.keeps:
        found.add(DELETES)
    steps = [step for item in core.items_of(policy) for step in _steps(item)]
    if any(step.name == "set_attribute" for step in steps):
        found.add(OPENS)  # who owns something, and for whom it is visible
    return sorted(found)


def _steps(item: core.Rule | core.Keep | core.Sweep) -> list[core.Step]:
    if isinstance(item, core.Keep):
        return []
    bodies = (item.body, item.otherwise) if isinstance(item, core.Rule) else (item.body,)
    return [step for body in bodies for step in core.walk_steps(body.steps)]


def signatures_needed(effects: Iterable[str]) -> int:
    """How many stewards have to sign."""
    return 2 if {DELETES, OPENS} & set(effects) else 1


def signed(
    policies: Sequence[core.Policy], sources: Mapping[str, str], key: Signer, *, actor: str, time: str
) -> list[Envelope]:
    """A steward's statements that files may be activated, one a file."""
    made = []
    for policy, (name, text) in zip(policies, sources.items(), strict=True):
        said = {
            "time": time, "actor": actor, "policies": [f"{policy.name} version {policy.version}"], "effects": effects_of(policy),
        }  # fmt: skip
        made.append(
            Statement.of(KIND, [Subject(name, {"sha256": digest_of_file(text)})], said).envelope().signed(key)
        )
    return made


def encoded(envelopes: Sequence[Envelope]) -> bytes:
    """Signatures as a file."""
    return jcs.encode({"format": FORMAT, "statements": [jcs.decode(one.encoded()) for one in envelopes]})


def decoded(text: bytes) -> list[Envelope]:
    """Signatures from a file.

    Raises:
        Malformed: it holds none.
    """
    found = jcs.decode(text, most_bytes=4 << 20)
    if (
        not isinstance(found, dict)
        or found.get("format") != FORMAT
        or not isinstance(found.get("statements"), list)
    ):
        raise Malformed(f"found no signatures of policies; an object with `format` `{FORMAT}` was expected")
    if len(found["statements"]) > _MOST:
        raise Malformed(f"found {len(found['statements'])} signatures; {_MOST} at the most are read")
    return [dsse.of_json(one) for one in found["statements"]]


class PolicyTrust:
    """Which signatures of policies a zone believes.

    Args:
        authority: the folder of the zone's root of keys.
        required: whether what is not signed is refused.
    """

    def __init__(self, authority: Path, required: bool) -> None:
        self._authority = authority
        self.required = required

    def keep(self, database: Database, text: bytes) -> list[tuple[str, str]]:
        """Keep stewards' signatures, for pushes that come; they go into the zone's log.

        Returns:
            File and steward of each.

        Raises:
            InvalidArgument: one is not by a steward whom the root knows, or is no signature of a policy.
        """
        authority = self._known()
        kept: list[tuple[str, str]] = []
        try:
            envelopes = decoded(text)
            for envelope in envelopes:
                statement = read(envelope)
                if statement.kind != KIND or "sha256" not in statement.subjects[0].digest:
                    raise Malformed(
                        f"found a statement `{statement.predicate_type}` among signatures of policies"
                    )
                stewards = _stewards(authority, envelope, statement)
                if not stewards:
                    raise Malformed(
                        f"`{statement.subjects[0].name}` is signed by nobody who is a steward by the root of `{authority.root.zone}`"
                    )
                kept += [(statement.subjects[0].name, one.name) for one in stewards]
        except ProvenanceError as error:
            raise InvalidArgument(f"the signatures were not kept: {error}") from error
        with database.write() as tx:
            for envelope in envelopes:
                digest = read(envelope).subjects[0].digest["sha256"]
                statements.keep_signed(tx, KIND, digest, envelope.encoded())
        return kept

    def require(self, tx: Transaction, policies: Sequence[core.Policy], sources: Mapping[str, str]) -> None:
        """Refuse a bundle of which a file is not signed by as many stewards as it needs.

        Raises:
            BundleError: which file, by whom it is signed, and what is missing.
        """
        if not self.required:
            return
        try:
            authority = self._known()
        except InvalidArgument as error:
            raise BundleError(str(error)) from error
        for policy, (name, text) in zip(policies, sources.items(), strict=True):
            if name in shipped.SWITCHED_ON and text == shipped.text(name):
                continue  # it comes with the software, whose word is believed already
            effects = effects_of(policy)
            kept = statements.signed_about(tx, KIND, digest_of_file(text))
            signers = _signers(authority, kept, policy, effects)
            needed = signatures_needed(effects)
            if len(signers) < needed:
                why = f", because it can do {', '.join(effects)}" if needed > 1 else ""
                by = ", ".join(sorted(signers.values())) or "nobody"
                raise BundleError(
                    f"`{name}` needs the signatures of {needed} steward{'s' if needed > 1 else ''}{why}; it is signed by {by}:"
                    f" beamgrid policy sign {name} --key KEY"
                )

    def _known(self) -> Authority:
        try:
            return Keyring(self._authority).authority()
        except ProvenanceError as error:
            raise InvalidArgument(f"the zone's keys cannot be used: {error}") from error


def _stewards(authority: Authority, envelope: Envelope, statement: Statement) -> list[KeyRecord]:
    time = str(statement.predicate.get("time", ""))
    return [
        key
        for key in authority.signers(envelope)
        if key.role == ROLE
        and key.keyid not in authority.revocations
        and key.not_before <= time <= key.not_after
    ]


def _signers(
    authority: Authority, kept: Iterable[bytes], policy: core.Policy, effects: Iterable[str]
) -> dict[Any, str]:
    """The different stewards who signed a file for what it can do, where it does it: public key to name."""
    found: dict[Any, str] = {}
    places = _places(policy, authority.root.zone)
    for text in kept:
        envelope = dsse.decoded(text)
        statement = read(envelope)
        if not set(effects) <= set(statement.predicate["effects"]):
            continue
        for key in _stewards(authority, envelope, statement):
            if all(key.covers(place) for place in places):
                found[key.public.raw] = key.name
    return found


def _places(policy: core.Policy, zone: str) -> set[str]:
    """The collections below which the rules of a policy apply, as far as their locations are literal."""
    found = set()
    for item in core.items_of(policy):
        parts = [zone]
        for number, component in enumerate(item.pattern.components if item.pattern is not None else ()):
            if not isinstance(component, str):
                break
            parts = [*parts, component] if number else [component]
        found.add("/" + "/".join(parts))
    return found
