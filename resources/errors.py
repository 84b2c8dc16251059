"""What a storage resource may answer instead of bytes; transient or permanent is decided here."""

from typing import ClassVar


class ResourceError(Exception):
    """Base of everything a driver raises.

    Attributes:
        retry: the same call may succeed later without anybody doing anything.
    """

    retry: ClassVar[bool] = False


class TransientResourceError(ResourceError):
    """The storage had a hiccup."""

    retry = True


class Offline(ResourceError):
    """The storage is not there: unmounted, unreachable, or another one stands in its place."""

    retry = True


class PermanentResourceError(ResourceError):
    """Trying again changes nothing."""


class FileMissing(PermanentResourceError):
    """No file is at that place."""


class OutOfSpace(PermanentResourceError):
    """No room is left."""


class Denied(PermanentResourceError):
    """The storage's own rights forbid it."""


class PlaceTaken(PermanentResourceError):
    """Something that is not a file of this vault stands where a file or a folder has to go."""


class InvalidVaultPath(PermanentResourceError):
    """Not a path inside a vault."""
