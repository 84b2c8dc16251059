"""What evidence says of a file: each statement judged, and until which step the file can be trusted.

A statement is judged by who signed it, whether that key may, whether the key was valid then, and whether a log knows it. The file is compared with the
tree that the statement names. Equal input gives an equal verdict: no clock is read and no network asked.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from provenance.authority import Authority, KeyRecord
from provenance.blocks import BlockTree
from provenance.dsse import Envelope
from provenance.errors import Malformed, ProofRefused
from provenance.evidence import Evidence
from provenance.log import entry_of
from provenance.statements import TREE, Statement, Subject, read

TAMPERED, BAD_SIGNATURE, EQUIVOCATION, LOG_INCONSISTENT, KEY_REVOKED, OUT_OF_SCOPE, NOT_LOGGED, UNKNOWN_SIGNER, UNSIGNED, VERIFIED = (
    "tampered", "bad_signature", "equivocation", "log_inconsistent", "key_revoked", "out_of_scope", "not_logged", "unknown_signer", "unsigned",
    "verified",
)  # fmt: skip

EXIT: Final = {
    VERIFIED: 0, UNSIGNED: 10, NOT_LOGGED: 20, UNKNOWN_SIGNER: 20, OUT_OF_SCOPE: 40,
    KEY_REVOKED: 40, BAD_SIGNATURE: 40, TAMPERED: 40, EQUIVOCATION: 40, LOG_INCONSISTENT: 40,
}  # fmt: skip
"""State to the exit status of a program that found it."""

ALLOWED: Final = {"acquisition": ("instrument",)}
"""Predicate to the roles whose signature it needs."""

NOT_COVERED: Final = "Not covered by any signature: identity and preparation of the sample, and whether the instrument measured what it should."


@dataclass(frozen=True, slots=True)
class Step:
    """One statement about the file, judged.

    Attributes:
        kind: the predicate's name, or its whole type where it is none of ours.
        signer: the name of the key; empty where none is known.
        state: see above.
        reason: in words; empty for what is verified.
    """

    kind: str
    signer: str
    time: str
    state: str
    reason: str
    said: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of one file. `trusted_until` is the number of the last step, from 1, that is verified; 0 for none."""

    root: str
    state: str
    reason: str
    steps: tuple[Step, ...]
    trusted_until: int

    @property
    def exit_status(self) -> int:
        return EXIT[self.state]

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "root": self.root, "state": self.state, "reason": self.reason, "trusted_until": self.trusted_until,
            "steps": [
                {"kind": s.kind, "signer": s.signer, "time": s.time, "state": s.state, "reason": s.reason} for s in self.steps
            ],
            "not_covered": NOT_COVERED,
        }  # fmt: skip


def judge(found: BlockTree, name: str, evidence: Evidence, authority: Authority) -> Verdict:
    """Judge a file.

    Args:
        found: the tree over the file as it is.
        name: the logical path that it should be. Contents are matched by digest, so one that was renamed is still itself; but one that lies
            where another was signed is not.
        evidence: what there is.
        authority: whose keys are believed.
    """
    root = found.root.hex()
    about = [_read(envelope) for envelope in evidence.statements]
    mine = [
        (envelope, read_) for envelope, read_ in about if isinstance(read_, Malformed) or _names(read_, root)
    ]
    said = [one for _, one in mine if isinstance(one, Statement)]
    if not said or (
        name and not any(_is_about(one, name, root) for one in said) and _signed_as(about, name, authority)
    ):
        return _nothing_said(found, name, about, evidence, authority)
    # what a stranger signed contradicts nobody
    others = [one for envelope, one in about if isinstance(one, Statement) and authority.signers(envelope)]
    steps = tuple(
        _contradicted(_step(envelope, read_, root, evidence, authority), read_, others)
        for envelope, read_ in mine
    )
    trusted = 0
    for step in steps:
        if step.state != VERIFIED:
            break
        trusted += 1
    first = next((step for step in steps if step.state != VERIFIED), None)
    return Verdict(root, first.state if first else VERIFIED, first.reason if first else "", steps, trusted)


def _read(envelope: Envelope) -> tuple[Envelope, Statement | Malformed]:
    try:
        return envelope, read(envelope)
    except Malformed as error:
        return envelope, error


def _names(statement: Statement, root: str) -> bool:
    return any(subject.digest.get(TREE) == root for subject in statement.subjects)


def _is_about(statement: Statement, name: str, root: str) -> bool:
    return any(subject.name == name and subject.digest.get(TREE) == root for subject in statement.subjects)


def _signed_as(
    about: Iterable[tuple[Envelope, Statement | Malformed]], name: str, authority: Authority
) -> bool:
    """Whether somebody whom the root knows signed some content under a name."""
    return any(
        isinstance(statement, Statement)
        and any(subject.name == name for subject in statement.subjects)
        and bool(authority.signers(envelope))
        for envelope, statement in about
    )


def _nothing_said(
    found: BlockTree,
    name: str,
    about: Iterable[tuple[Envelope, Statement | Malformed]],
    evidence: Evidence,
    authority: Authority,
) -> Verdict:
    """No statement is about this content here: it was changed or exchanged, where one is about its path, or was never signed."""
    root = found.root.hex()
    about = list(about)
    names = {one.name for _, read_ in about if isinstance(read_, Statement) for one in read_.subjects}
    if not name and len(names) > 1:
        reason = f"no statement is about this content, and the evidence is about {len(names)} others; say which it should be"
        return Verdict(root, UNSIGNED, reason, (), 0)
    for envelope, statement in about:
        if isinstance(statement, Malformed):
            continue
        for subject in statement.subjects:
            if TREE in subject.digest and name in ("", subject.name):
                step = _step(envelope, statement, subject.digest[TREE], evidence, authority)
                if step.state in (BAD_SIGNATURE, UNKNOWN_SIGNER):
                    return Verdict(root, step.state, step.reason, (step,), 0)
                return Verdict(root, TAMPERED, _where(found, subject, evidence), (step,), 0)
    for _, statement in about:
        if isinstance(statement, Malformed):
            return Verdict(root, BAD_SIGNATURE, str(statement), (), 0)
    return Verdict(root, UNSIGNED, "no statement is about this content", (), 0)


def _where(found: BlockTree, subject: Subject, evidence: Evidence) -> str:
    expected = evidence.tree(subject.digest[TREE])
    if expected is None:
        return f"it is not the content that was signed as `{subject.name}`; the evidence holds no tree that tells where"
    if expected.level != found.level:
        return f"it is not the content that was signed as `{subject.name}`: it has {found.size_bytes} bytes, not {expected.size_bytes}"
    runs = expected.differing(found)
    named = ", ".join(
        f"block {offset // found.run_bytes} (bytes {offset} to {offset + length - 1})"
        for offset, length in runs[:3]
    )
    more = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
    return f"{named}{more} differ from what was signed as `{subject.name}`"


def _step(
    envelope: Envelope, statement: Statement | Malformed, root: str, evidence: Evidence, authority: Authority
) -> Step:
    if isinstance(statement, Malformed):
        return Step("?", "", "", BAD_SIGNATURE, str(statement), {})
    kind, said = statement.kind or statement.predicate_type, dict(statement.predicate)
    time = str(said.get("time", ""))
    signers = authority.signers(envelope)
    if not signers:
        known = [one.keyid for one in envelope.signatures if one.keyid in authority.records]
        if known:
            return Step(
                kind,
                authority.records[known[0]].name,
                time,
                BAD_SIGNATURE,
                "the signature is not over these bytes",
                said,
            )
        return Step(kind, "", time, UNKNOWN_SIGNER, "no key that the root knows has signed it", said)
    if not statement.kind:
        return Step(
            kind, signers[0].name, time, UNSIGNED, "a statement of a kind that is not known here", said
        )
    subject = next(one for one in statement.subjects if one.digest.get(TREE) == root)
    judged = [(*_allowed(key, statement, subject, time, authority), key) for key in signers]
    state, reason, key = min(judged, key=lambda one: EXIT[one[0]])
    if state == VERIFIED:
        state, reason = _logged(envelope, statement, evidence, authority)
    return Step(kind, key.name, time, state, reason, said)


def _logged(
    envelope: Envelope, statement: Statement, evidence: Evidence, authority: Authority
) -> tuple[str, str]:
    """Whether a log that the root knows has a statement, and what is wrong where it says so and has not."""
    entry, strangers = entry_of(envelope, statement), list[str]()
    for receipt in evidence.receipts:
        try:
            receipt.check(entry)
        except ProofRefused:
            continue  # it is another statement's
        origin = receipt.checkpoint().origin
        for one in receipt.note.signatures:
            record = authority.records.get(one.keyid)
            if record is None or not record.name == one.name == origin or record.role != "log":
                strangers.append(origin)
            elif record.public.verifies(one.sig, receipt.note.text.encode()):
                return VERIFIED, ""
            else:
                return LOG_INCONSISTENT, f"a checkpoint of the log `{origin}` is not signed by it"
    if strangers:
        return (
            NOT_LOGGED,
            f"it is signed and unchanged; the root does not know the log `{strangers[0]}` that has it",
        )
    return NOT_LOGGED, "it is signed and unchanged; no log says since when the statement exists"


def _contradicted(step: Step, statement: Statement | Malformed, others: list[Statement]) -> Step:
    """The same step, unless the evidence holds another statement of the same stream that says something else of the same path."""
    if isinstance(statement, Malformed) or statement.kind != "acquisition":
        return step
    said = {subject.name: subject.digest.get(TREE) for subject in statement.subjects}
    for other in others:
        if other.kind == "acquisition" and other.predicate["stream_id"] == statement.predicate["stream_id"]:
            for subject in other.subjects:
                if said.get(subject.name, subject.digest.get(TREE)) != subject.digest.get(TREE):
                    reason = f"two statements of the stream `{statement.predicate['stream_id']}` say different things of `{subject.name}`"
                    return replace(step, state=EQUIVOCATION, reason=reason)
    return step


def _allowed(
    key: KeyRecord, statement: Statement, subject: Subject, time: str, authority: Authority
) -> tuple[str, str]:
    """The state of a statement by one of its signers, and why."""
    roles = ALLOWED.get(statement.kind, ())
    if key.role not in roles:
        return (
            OUT_OF_SCOPE,
            f"`{key.name}` is a key for the role `{key.role}`; a statement `{statement.kind}` needs {' or '.join(roles) or 'none'}",
        )
    if not key.covers(subject.name):
        return (
            OUT_OF_SCOPE,
            f"`{key.name}` may sign below {', '.join(key.scope) or 'nothing'}, not `{subject.name}`",
        )
    if not key.not_before <= time <= key.not_after:
        return (
            OUT_OF_SCOPE,
            f"`{key.name}` is valid from {key.not_before} to {key.not_after}; the statement is of {time}",
        )
    revoked = authority.revocations.get(key.keyid)
    if revoked is not None and revoked.reason in ("compromised", "lost"):
        # the time is the signer's own word: who has the key can write any, and no log says otherwise
        return (
            KEY_REVOKED,
            f"`{key.name}` is {revoked.reason} since {revoked.invalid_from}, and no log says when this was signed",
        )
    if revoked is not None and time >= revoked.invalid_from:
        return KEY_REVOKED, f"`{key.name}` is {revoked.reason} since {revoked.invalid_from}"
    return VERIFIED, ""
