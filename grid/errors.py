"""What can go wrong for a user of the grid, and which iRODS number says so.

`GridError` and its subclasses are the grid's own; `STATUS` maps them, and the errors of every package below
the grid, to status numbers in one place. A class may carry a more exact number in `status` where iRODS tells
apart what the grid's callers handle alike (a missing collection, a missing data object).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from grid.codes import Status
from grid.paths import InvalidPath
from grid.wire.errors import (
    HeaderFormatError,
    HeaderLengthError,
    LocalWireError,
    RemoteWireError,
    WireError,
    WrongMessage,
)


class GridError(Exception):
    """Base of what an operation of the grid raises.

    Attributes:
        retry: the same request may succeed later.
        status: the number for this one error, when the class's own is too coarse.
        notes: sentences for the client's error stack, beside the message.
    """

    retry: ClassVar[bool] = False

    def __init__(self, message: str, *, status: Status | int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.notes: list[str] = []


class AuthenticationFailed(GridError):
    """The peer did not prove who it is."""


class NotAuthenticated(GridError):
    """A request that needs a known user came before one was known."""


class AccessDenied(GridError):
    """The caller's rights do not suffice."""


class NotPrivileged(GridError):
    """Only administrators may do this."""


class NotFound(GridError):
    """What the request names is not there, or not visible to the caller."""


class AlreadyExists(GridError):
    """The name is taken."""


class NotEmpty(GridError):
    """It still holds something."""


class Locked(GridError):
    """Another writer has it open."""

    retry = True


class FactsChanged(Locked):
    """What the policy's decision relied on changed before the operation began; trying again decides anew."""


class NoGoodReplica(GridError):
    """No replica can serve the request."""


class ChecksumMismatch(GridError):
    """Bytes and digest do not belong together."""


class InvalidArgument(GridError):
    """The request contradicts itself or the grid's rules for names and values."""


class BadDescriptor(GridError):
    """No such open data object on this connection."""


class Unsupported(GridError):
    """A feature this server does not have."""


class QuotaExceeded(GridError):
    """No room is left for the caller, or on the resource."""


class PolicyDenied(AccessDenied):
    """A rule refused.

    Attributes:
        code: the failure code the rule gave.
        rule: the rule's name.
        decision_id: where the decision is recorded.
    """

    def __init__(self, message: str, *, code: str, rule: str, decision_id: int) -> None:
        super().__init__(message)
        self.code = code
        self.rule = rule
        self.decision_id = decision_id


class RuleBroken(GridError):
    """A rule could not decide; the operation is refused, as an undecided one must be."""


class MicroserviceFailed(GridError):
    """A microservice that a client called ended with an error."""


class ResourceUnavailable(GridError):
    """The storage does not answer, is marked down, or its vault is not the one it should be."""

    retry = True


class NotOnline(GridError):
    """The bytes are on tape and not on disk yet; the message says when they are expected."""

    retry = True


class StorageFailed(GridError):
    """The storage answered with an error."""


class StorageFull(GridError):
    """The storage has no room."""

    retry = True


class LeaseLost(GridError):
    """This process was silent for too long and others may have taken over its open data objects."""

    retry = True


class CatalogUnavailable(GridError):
    """The catalog cannot be reached."""

    retry = True


class CatalogBusy(GridError):
    """The catalog did not become free in time."""

    retry = True


class CatalogFailed(GridError):
    """The catalog refused a statement."""


class SchemaMismatch(GridError):
    """The catalog was made by another version of the server."""


class ConfigurationError(GridError):
    """A setting is wrong."""


class SlowPeer(GridError):
    """The client sent or took bytes below the minimum rate."""


class PeerGone(GridError):
    """The connection ended inside a request."""


STATUS: Final[Mapping[type[Exception], Status]] = MappingProxyType(
    {
        AuthenticationFailed: Status.CAT_INVALID_AUTHENTICATION,
        NotAuthenticated: Status.SYS_NO_API_PRIV,
        AccessDenied: Status.CAT_NO_ACCESS_PERMISSION,
        NotPrivileged: Status.CAT_INSUFFICIENT_PRIVILEGE_LEVEL,
        NotFound: Status.CAT_NO_ROWS_FOUND,
        AlreadyExists: Status.CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME,
        NotEmpty: Status.CAT_COLLECTION_NOT_EMPTY,
        Locked: Status.LOCKED_DATA_OBJECT_ACCESS,
        NoGoodReplica: Status.SYS_NO_GOOD_REPLICA,
        NotOnline: Status.UNIV_MSS_STAGETOCACHE_ERR,  # python-irodsclient has no class for -721000
        ChecksumMismatch: Status.USER_CHKSUM_MISMATCH,
        InvalidArgument: Status.CAT_INVALID_ARGUMENT,
        BadDescriptor: Status.BAD_INPUT_DESC_INDEX,
        Unsupported: Status.SYS_NOT_SUPPORTED,
        QuotaExceeded: Status.SYS_RESC_QUOTA_EXCEEDED,
        RuleBroken: Status.RULE_FAILED_ERR,
        MicroserviceFailed: Status.FAIL_ACTION_ENCOUNTERED_ERR,
        ResourceUnavailable: Status.SYS_REPLICA_INACCESSIBLE,
        StorageFailed: Status.UNIX_FILE_OPEN_ERR,
        StorageFull: Status.UNIX_FILE_WRITE_ERR,
        LeaseLost: Status.INTERMEDIATE_REPLICA_ACCESS,
        CatalogUnavailable: Status.CAT_CONNECT_ERR,
        CatalogBusy: Status.CAT_NOT_OPEN,
        CatalogFailed: Status.CAT_SQL_ERR,
        SchemaMismatch: Status.SYS_CONFIG_FILE_ERR,
        ConfigurationError: Status.SYS_INTERNAL_ERR,
        SlowPeer: Status.SYS_SOCK_READ_TIMEDOUT,
        PeerGone: Status.SYS_SOCK_READ_ERR,
        InvalidPath: Status.USER_INPUT_PATH_ERR,
        HeaderLengthError: Status.SYS_HEADER_READ_LEN_ERR,
        HeaderFormatError: Status.SYS_PACK_INSTRUCT_FORMAT_ERR,
        WrongMessage: Status.SYS_HEADER_TYPE_LEN_ERR,
        RemoteWireError: Status.SYS_API_INPUT_ERR,
        LocalWireError: Status.SYS_LIBRARY_ERROR,
        WireError: Status.SYS_UNKNOWN_ERROR,
    }
)
"""Error class to its status number, inherited by subclasses. Total over `GridError`; no number stands twice."""


def status_of(error: Exception) -> int:
    """The number that tells a client about this error."""
    if isinstance(error, GridError) and error.status is not None:
        return int(error.status)
    if isinstance(error, InvalidPath) and error.relative:
        return int(Status.SYS_INVALID_FILE_PATH)
    for kind in type(error).__mro__:
        if kind in STATUS:
            return int(STATUS[kind])
    return int(Status.SYS_INTERNAL_ERR)


def sentences_of(error: Exception) -> list[str]:
    """What the client's error stack says: the message, then notes."""
    notes = error.notes if isinstance(error, GridError) else []
    return [str(error), *notes] if str(error) else list(notes)
