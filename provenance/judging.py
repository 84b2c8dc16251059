"""One statement judged: who signed it, whether that key may, whether it was valid then, and whether a log has it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from provenance.authority import Authority, KeyRecord, Revocation
from provenance.dsse import Envelope
from provenance.errors import Malformed, ProofRefused
from provenance.evidence import Evidence
from provenance.log import entry_of
from provenance.merkle import leaf_hash
from provenance.predicates import PREDICATES
from provenance.receipts import Receipt
from provenance.statements import Statement
from provenance.states import (
    BAD_SIGNATURE,
    KEY_REVOKED,
    KEY_SUSPECT,
    LOG_INCONSISTENT,
    NO_QUORUM,
    NOT_LOGGED,
    OUT_OF_SCOPE,
    PROMISED,
    SEVERITY,
    UNKNOWN_SIGNER,
    UNSIGNED,
    VERIFIED,
)
from provenance.witnesses import WitnessPolicy

CLAIMS: Final = "researcher"
"""The role of people: what they sign is reported as their claim."""

MOST_CHECKS: Final = 200_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader asks for beside the root of keys.

    Attributes:
        witnesses: who else has to have seen the log's state; nobody without.
        now: what is of a later time is refused; not looked at where empty, so that equal input gives an equal verdict.
    """

    witnesses: WitnessPolicy | None = None
    now: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One statement, judged.

    Attributes:
        kind: the predicate's name, or its whole type where it is none of ours.
        signer: the name of the key; empty where none is known.
        state: see `states`.
        reason: in words; empty for what is verified.
        names: of its subjects.
        witnessed: who has seen the log's state with it, as far as was asked.
        counts: the verdict depends on it; a stranger's word beside that of who may sign does not.
    """

    kind: str
    signer: str
    time: str
    state: str
    reason: str
    said: Mapping[str, Any]
    names: tuple[str, ...] = ()
    witnessed: tuple[str, ...] = ()
    counts: bool = True


@dataclass
class Judge:
    """Judges the statements of one piece of evidence."""

    evidence: Evidence
    authority: Authority
    wanted: Wanted = field(default_factory=Wanted)
    _checks: int = 0

    def step(self, place: int, statement: Statement | Malformed, root: str) -> Step:
        """What is found of a statement as one about a content.

        Args:
            place: of its envelope in the evidence.
            statement: as it was read.
            root: of the content, in hexadecimal digits.
        """
        if isinstance(statement, Malformed):
            return Step("?", "", "", BAD_SIGNATURE, str(statement), {})
        envelope = self.evidence.statements[place]
        kind, said = statement.kind or statement.predicate_type, dict(statement.predicate)
        time, names = str(said.get("time", "")), tuple(subject.name for subject in statement.subjects)
        signers = self.authority.signers(envelope)
        wrong = self._wrong_signature(envelope)
        if wrong:
            return Step(
                kind, wrong, time, BAD_SIGNATURE, f"the signature of `{wrong}` is not over these bytes", said, names
            )  # fmt: skip
        people = [key for key in signers if key.role == CLAIMS]
        if not signers or (people and len(people) == len(signers)):
            state, reason = _claimed(statement, people, envelope)
            return Step(kind, people[0].name if people else "", time, state, reason, said, names)
        if not statement.kind:
            reason = "a statement of a kind that is not known here"
            return Step(kind, signers[0].name, time, UNSIGNED, reason, said, names)
        logged = self._logged(place, statement)
        judged = [(*self._allowed(key, statement, root, time, logged), key) for key in signers]
        state, reason, key = max(judged, key=lambda one: SEVERITY[one[0]])
        if state == VERIFIED:
            state, reason = logged.state, logged.reason
        return Step(kind, key.name, time, state, reason, said, names, logged.witnesses)

    def _wrong_signature(self, envelope: Envelope) -> str:
        """The name of a known key of which a signature is not right; empty where there is none."""
        data = envelope.signed_bytes()
        for one in envelope.signatures:
            record = self.authority.records.get(one.keyid)
            if record is not None and not record.public.verifies(one.sig, data):
                return record.name
        return ""

    def _allowed(
        self, key: KeyRecord, statement: Statement, root: str, time: str, logged: "_Logged"
    ) -> tuple[str, str]:
        """The state of a statement by one of its signers, and why."""
        roles = PREDICATES[statement.kind].roles
        if key.role not in roles:
            needed = " or ".join(roles) or "none"
            return (
                OUT_OF_SCOPE,
                f"`{key.name}` is a key for the role `{key.role}`; a statement `{statement.kind}` needs {needed}",
            )
        for subject in statement.subjects:
            if root in subject.digest.values() and not key.covers(subject.name):
                return (
                    OUT_OF_SCOPE,
                    f"`{key.name}` may sign below {', '.join(key.scope) or 'nothing'}, not `{subject.name}`",
                )
        if not key.not_before <= time <= key.not_after:
            return (
                OUT_OF_SCOPE,
                f"`{key.name}` is valid from {key.not_before} to {key.not_after}; the statement is of {time}",
            )
        if self.wanted.now and time > self.wanted.now:
            return OUT_OF_SCOPE, f"the statement is of {time}, and now it is {self.wanted.now}"
        revoked = self.authority.revocations.get(key.keyid)
        return (VERIFIED, "") if revoked is None else _revoked(key, revoked, time, logged)

    def _logged(self, place: int, statement: Statement) -> "_Logged":
        """Whether a log that the root knows has a statement, and what is wrong where it says so and has not."""
        envelope = self.evidence.statements[place]
        salt = self.evidence.salts.get(hashlib.sha256(envelope.encoded()).hexdigest(), b"")
        # one log may hide what it commits to, and another not
        entries = [entry_of(envelope, statement, one) for one in dict.fromkeys((salt, b""))]
        strangers = list[str]()
        for receipt in self._receipts(place):
            if not self._is_of(receipt, entries):
                continue  # it is another statement's
            found = self._signed_state(receipt)
            if found is not None:
                return found
            strangers.append(receipt.checkpoint().origin)
        leaves = [leaf_hash(entry) for entry in entries]
        for promise in self.evidence.promises:
            if promise.leaf in leaves and promise.is_signed(self.authority):
                reason = f"the log `{promise.origin}` has promised to take it in until {promise.until}"
                return _Logged(PROMISED, reason)
        if strangers:
            return _Logged(
                NOT_LOGGED,
                f"it is signed and unchanged; the root does not know the log `{strangers[0]}` that has it",
            )
        return _Logged(NOT_LOGGED, "it is signed and unchanged; no log says since when the statement exists")

    def _is_of(self, receipt: Receipt, entries: list[bytes]) -> bool:
        """Whether a receipt is that of one of these entries."""
        for entry in entries:
            self._checks += 1
            if self._checks > MOST_CHECKS:
                raise Malformed(
                    f"the receipts are in another order than their statements, and there are too many of them"
                    f" to compare ({MOST_CHECKS} comparisons at the most)"
                )
            try:
                receipt.check(entry)
            except ProofRefused:
                continue
            return True
        return False

    def _receipts(self, place: int) -> list[Receipt]:
        """All receipts, the one that belongs to the statement first where they are in order."""
        found = self.evidence.receipts
        return [*found[place : place + 1], *found[:place], *found[place + 1 :]]

    def _signed_state(self, receipt: Receipt) -> "_Logged | None":
        """What a receipt's checkpoint proves; None where nobody whom the root knows signed it."""
        checkpoint = receipt.checkpoint()
        for one in receipt.note.signatures:
            record = self.authority.records.get(one.keyid)
            if record is None or not record.name == one.name == checkpoint.origin or record.role != "log":
                continue
            if not record.public.verifies(one.sig, receipt.note.text.encode()):
                return _Logged(
                    LOG_INCONSISTENT, f"a checkpoint of the log `{checkpoint.origin}` is not signed by it"
                )
            return self._witnessed(receipt, checkpoint.origin)
        return None

    def _witnessed(self, receipt: Receipt, origin: str) -> "_Logged":
        policy = self.wanted.witnesses
        if policy is None:
            return _Logged(VERIFIED, "", origin, receipt.index)
        seen = policy.seen_by(receipt.note, _seconds(self.wanted.now))
        names = tuple(sorted(seen))
        if policy.is_enough(seen):
            return _Logged(VERIFIED, "", origin, receipt.index, names)
        reason = f"the state of the log `{origin}` was seen by {', '.join(names) or 'no witness'}; `{policy.quorum}` is wanted"
        return _Logged(NO_QUORUM, reason, origin, receipt.index, names)


@dataclass(frozen=True, slots=True)
class _Logged:
    state: str
    reason: str
    origin: str = ""
    index: int | None = None
    witnesses: tuple[str, ...] = ()


def _seconds(time: str) -> int | None:
    import calendar
    import time as clock

    return calendar.timegm(clock.strptime(time, "%Y-%m-%dT%H:%M:%SZ")) if time else None


def _claimed(statement: Statement, people: list[KeyRecord], envelope: Envelope) -> tuple[str, str]:
    """Of a statement that nobody with a role signed."""
    if people:
        return UNSIGNED, f"claimed by `{people[0].name}`, who is no instrument and no service of the facility"
    if statement.kind == "process":
        keys = ", ".join(one.keyid for one in envelope.signatures)
        return UNSIGNED, f"claimed by somebody with the key {keys}, whom the root does not know"
    return UNKNOWN_SIGNER, "no key that the root knows has signed it"


def _revoked(key: KeyRecord, revoked: Revocation, time: str, logged: _Logged) -> tuple[str, str]:
    """Of a statement by a key that is not valid any more: the log says when it was signed, not the signer."""
    since = f"`{key.name}` is {revoked.reason} since {revoked.invalid_from}"
    by_entry = revoked.log != "" and logged.origin == revoked.log and logged.index is not None
    if by_entry and logged.index is not None:
        if revoked.invalid_from_entry is not None and logged.index >= revoked.invalid_from_entry:
            return (
                KEY_REVOKED,
                f"{since}, entry {revoked.invalid_from_entry} of the log; this is entry {logged.index}",
            )
        if revoked.reason in ("retired", "superseded"):
            return VERIFIED, ""
        if revoked.last_good_entry is not None and logged.index > revoked.last_good_entry:
            return (
                KEY_SUSPECT,
                f"{since}; it was last known to be in good hands at entry {revoked.last_good_entry}, and this is entry {logged.index}",
            )
        return VERIFIED, ""
    if revoked.reason in ("compromised", "lost"):
        # the time is the signer's own word: who has the key can write any, and no log says otherwise
        return KEY_REVOKED, f"{since}, and no log says when this was signed"
    return (KEY_REVOKED, since) if time >= revoked.invalid_from else (VERIFIED, "")
