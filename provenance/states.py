"""What can be found of a step of a chain, by name, the most severe first."""

from typing import Final

TAMPERED: Final = "tampered"
BAD_SIGNATURE: Final = "bad_signature"
EQUIVOCATION: Final = "equivocation"
LOG_INCONSISTENT: Final = "log_inconsistent"
KEY_REVOKED: Final = "key_revoked"
KEY_SUSPECT: Final = "key_suspect"
OUT_OF_SCOPE: Final = "out_of_scope"
NOT_LOGGED: Final = "not_logged"
NO_QUORUM: Final = "no_quorum"
UNKNOWN_SIGNER: Final = "unknown_signer"
UNSIGNED: Final = "unsigned"
MISSING_EVIDENCE: Final = "missing_evidence"
PROMISED: Final = "promised"
VERIFIED: Final = "verified"

EXIT: Final = {
    TAMPERED: 40, BAD_SIGNATURE: 40, EQUIVOCATION: 40, LOG_INCONSISTENT: 40, KEY_REVOKED: 40, KEY_SUSPECT: 30, OUT_OF_SCOPE: 40,
    NOT_LOGGED: 20, NO_QUORUM: 20, UNKNOWN_SIGNER: 20, UNSIGNED: 10, MISSING_EVIDENCE: 20, PROMISED: 20, VERIFIED: 0,
}  # fmt: skip
"""State to the exit status of a program that found it; in the order of severity."""

SEVERITY: Final = {state: place for place, state in enumerate(EXIT)}
"""State to its place: 0 for the most severe one."""

MEANING: Final = {
    TAMPERED: "the content is not the one that was signed",
    BAD_SIGNATURE: "a signature, or what it is over, is not right",
    EQUIVOCATION: "two statements of those who may sign contradict each other",
    LOG_INCONSISTENT: "a log says something else than it signed",
    KEY_REVOKED: "the key was not valid any more",
    KEY_SUSPECT: "the key may have been in other hands then",
    OUT_OF_SCOPE: "the key may not sign this, there, or then",
    NOT_LOGGED: "no log that the root knows has the statement",
    NO_QUORUM: "too few witnesses have seen the log's state",
    UNKNOWN_SIGNER: "no key that the root knows has signed it",
    UNSIGNED: "nobody whom the root knows says how it was made: no accusation, the boundary of trust",
    MISSING_EVIDENCE: "the evidence does not hold what is needed",
    PROMISED: "the log has promised to take the statement in, and may not have done so yet",
    VERIFIED: "signed by who may, logged, unchanged, and so is everything it was made from",
}
"""State to what it means, in words."""
