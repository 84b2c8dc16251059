"""What the operations of the namespace ask of those above them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from grid.catalog.database import Transaction
from grid.model import Caller, Resource
from resources import Driver
from resources.tape.state import Request

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReliedFact:
    """Something that a decision looked up: `kind` is `metadata` or `members`, `key` what was asked for."""

    kind: str
    key: tuple[int | str, ...]
    value: object


@dataclass(slots=True)
class Event:
    """Something that is about to happen, or has happened, to the zone.

    Attributes:
        noun: `object`, `collection`, `replica`, `metadata`, `access`, `user`, `group` or `resource`.
        verb: what is done to it.
        path: the logical path that rules' locations are matched with; empty for administration.
        subject_id: the catalog id, 0 when there is none yet.
        facts: what rules may read, by entity: `{"object": {"size": 4096}}`.
        settable: what `before` rules may set, and its value: `{"replica.resource": "disk1"}`.
        relied_on: what the decision looked up, noted by `before` and looked at again by `confirm`.
    """

    noun: str
    verb: str
    caller: Caller
    path: str
    subject_id: int = 0
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    settable: dict[str, Any] = field(default_factory=dict)
    relied_on: list[ReliedFact] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.noun} {self.verb}"


class PolicyHooks(Protocol):
    """The policy engine as the operations see it."""

    def before(self, event: Event) -> None:
        """Ask whether an operation may happen, outside any transaction.

        Raises:
            PolicyDenied: a rule refused.
            RuleBroken: a rule could not decide.
        """

    def witness(self, event: Event) -> None:
        """Ask about, and tell of, something that changes nothing: a look, a connection, a query, a call.

        Costs next to nothing where no rule is about such events.

        Raises:
            PolicyDenied, RuleBroken: as `before`.
        """

    def confirm(self, tx: Transaction, event: Event) -> None:
        """Look again, inside the operation's transaction, at what the decision relied on.

        Raises:
            FactsChanged: some of it is different now.
        """

    def after(self, tx: Transaction, event: Event) -> None:
        """Tell that an operation happened, inside its transaction; failing rules do not fail it."""

    def concerns(self, event: str, path: str) -> bool:
        """Whether any rule looks at this event at a path; facts that cost something are gathered only then."""

    def check_metadata(self, kind: str, attribute: str, value: str) -> None:
        """Refuse a value that is not of the type the policy declares for this metadata.

        Args:
            kind: `object`, `collection`, `resource` or `user`.
            attribute: its name.
            value: what is to be written.

        Raises:
            InvalidArgument: says what was expected.
        """

    def wants_digest(self, path: str) -> bool:
        """Whether a rule will ask for the digest of what is written at a path."""

    def wants_tree(self, path: str) -> bool:
        """Whether a rule will have what is written at a path signed, for which its block tree is needed."""

    @property
    def digest(self) -> str:
        """The digest of the policy in force, in hexadecimal digits; empty where there is none."""

    def concerns_objects_below(self, noun: str, verb: str, path: str) -> bool:
        """Whether any rule judges this event for objects somewhere below a collection."""


class DriverFactory(Protocol):
    """Makes the driver of a storage resource."""

    def __call__(self, resource: Resource) -> Driver: ...


class RecallDesk(Protocol):
    """Where recalls from tape are asked for."""

    def ask(
        self, resource: Resource, file_id: str, user: str, priority: int = 5, pin_s: float | None = None
    ) -> Request:
        """Queue one; the same user's that waits already is given back."""

    def over(self, resource: Resource, request_id: int) -> Request | None:
        """A request that is over, in one way or another; None while it is not."""

    def end(self, resource: Resource, request_id: int, reason: str) -> None:
        """Cancel one that is not over."""

    def pin_until(self, resource: Resource, seconds: float) -> float:
        """A moment in the library's time, so many seconds of the wall's from now."""

    def wait_s(self, resource: Resource) -> float:
        """How long an open waits for what is on tape; 0 where it does not."""

    def standing(self, resource: Resource, request: Request) -> dict[str, Any]:
        """How a request stands, as plain data."""


class Computing(Protocol):
    """Where jobs have files read and digests computed, beside the storage."""

    def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Have a function of `resources.remote` carried out, and wait for its result.

        Raises:
            ResourceError: what it raised there.
            ResourceUnavailable: nobody carries it out.
        """


class Copies(Protocol):
    """Makes the copies that coordinating resources want."""

    def complete(self, caller: Caller, path: str) -> list[str]:
        """Copy to the siblings and archives that have none; returns what is in the way of others."""

    def replicate(self, caller: Caller, text: str, target_name: str, *, update: bool = False) -> int:
        """Make a good replica on a resource; returns the bytes copied."""


class PasswordVault(Protocol):
    """Seals passwords with the zone's key, so that the catalog never holds one in clear."""

    def seal(self, password: str) -> str: ...

    def open(self, sealed: str) -> str: ...
