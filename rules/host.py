"""What the program around the rules provides while they run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rules.core import Op
from rules.locations import Pattern
from rules.values import Entity


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a `schedule` statement asks for; times are seconds since 1970, lengths seconds."""

    name: str
    body_id: str
    rule_id: str
    key: str
    captured: Mapping[str, Any]
    not_before: float
    retries: int
    backoff_s: float
    backoff_limit_s: float
    deadline_s: float | None
    as_user: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What `find` asks for; `condition` reads the candidate in slot `slot`, and everything else from `frame`."""

    kind: str
    pattern: Pattern | None
    bound: Mapping[str, str]
    condition: Op | None
    slot: int
    limit: int
    frame: Any


class Facts(Protocol):
    """What guards and `before` rules may ask."""

    def attribute(self, entity: Entity, name: str) -> Any:
        """A fact of an entity that its event did not bring; None when it is not there."""

    def metadata(self, entity: Entity, attribute: str) -> str | None:
        """The first value of an attribute, or None."""

    def look_up(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """A look-up that the facility's base declares, such as `members`.

        Raises:
            RuleFailed: the zone cannot do it (`NO_IMPLEMENTATION`), or it went wrong.
        """

    def candidates(self, found: Found, rows: int) -> Sequence[Entity]:
        """Up to `rows` entities of a kind, by id; may leave out those that surely do not satisfy the condition."""


class Effects(Facts, Protocol):
    """What `after` rules and jobs may do besides."""

    def set_metadata(self, entity: Entity, attribute: str, value: str, unit: str) -> None: ...

    def remove_metadata(self, entity: Entity, attribute: str) -> None: ...

    def set_attribute(self, entity: Entity, name: str, value: Any) -> None: ...

    def call(self, name: str, arguments: Mapping[str, Any], token: str) -> Any:
        """Run a microservice; the same token means the same call again."""

    def schedule(self, job: JobRequest) -> None: ...

    def emit(self, name: str, carried: Mapping[str, Any]) -> None: ...

    def note(self, text: str) -> None: ...
