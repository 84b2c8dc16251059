"""What a proof or a statement may be refused for."""


class ProvenanceError(Exception):
    """Base of everything in this package that a caller may handle."""


class ProofRefused(ProvenanceError):
    """A proof does not show what it is said to show; the message says where it fails."""


class Malformed(ProvenanceError):
    """Something is not of the form that it has to have; the message says what was found and what was expected."""
