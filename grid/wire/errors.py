"""The two ways a message can be wrong: we built it wrongly, or the peer did."""


class WireError(Exception):
    """Base of everything that `grid.wire` raises."""


class LocalWireError(WireError):
    """We were asked to send something that the protocol cannot carry."""


class RemoteWireError(WireError):
    """The peer sent something that the protocol does not allow.

    Attributes:
        fatal: the byte stream can no longer be trusted, so the connection has to end.
    """

    def __init__(self, message: str, *, fatal: bool = False) -> None:
        super().__init__(message)
        self.fatal = fatal


class HeaderLengthError(RemoteWireError):
    """The length before a header is 0 or over the limit: this is no iRODS peer, or the stream is lost."""


class HeaderFormatError(RemoteWireError):
    """A header cannot be read, or announces more than is accepted."""


class WrongMessage(RemoteWireError):
    """A message of a type that this state of the connection does not allow."""
