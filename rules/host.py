"""What the program around the rules provides while they run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Subject:
    """The object or collection an event is about; what microservices are given."""

    kind: str
    id: int
    path: str


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a `schedule` statement asks for; lengths in seconds."""

    name: str
    body_id: str
    key: str
    captured: Mapping[str, Any]
    after_s: float
    retries: int
    backoff_s: float
    backoff_limit_s: float
    deadline_s: float | None


class Reader(Protocol):
    """Facts that guards and `before` rules may ask for."""

    def metadata(self, subject: Subject, attribute: str) -> str | None:
        """The first value of an attribute, or None."""

    def members(self, group: str) -> frozenset[str]:
        """The names of a group's members; empty when there is no such group."""


class Writer(Reader, Protocol):
    """What `after` rules and jobs may do besides."""

    def set_metadata(self, subject: Subject, attribute: str, value: str, unit: str) -> None: ...

    def set_owner(self, subject: Subject, owner: str) -> None: ...

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any: ...

    def schedule(self, job: JobRequest) -> None: ...
