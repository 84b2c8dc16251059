"""What can be wrong with a stream."""


class StreamError(Exception):
    """The root of what is raised here."""


class MessageRefused(StreamError):
    """A message is not what its format says; the message says what was found and what was expected."""


class StreamFailed(StreamError):
    """A stream cannot go on, with the reason; what is stored stays."""
