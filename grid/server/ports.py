"""What the server asks of those above it."""

from typing import Any, Protocol

from grid.model import Caller


class MicroserviceCaller(Protocol):
    """Runs a microservice for a client, with the client's rights."""

    def call(self, caller: Caller, name: str, arguments: dict[str, Any]) -> Any:
        """The microservice's result, as JSON can hold it.

        Raises:
            NotFound: no microservice of that name.
            AccessDenied: clients may not call it.
            MicroserviceFailed: it ended with an error.
        """
