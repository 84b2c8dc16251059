"""Microservices and what is declared of them: name, signature, effects, and whether clients may call them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument: `type` is a type of the policy language; `Path` takes a text or an event's subject."""

    name: str
    type: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Declaration:
    """A microservice.

    `slow` ones read or move bytes, or wait for others: rules may only schedule them. `for_clients` ones may be called
    through the protocol, with the caller's rights.
    """

    name: str
    parameters: tuple[Parameter, ...]
    result: str
    effects: tuple[str, ...]
    slow: bool
    for_clients: bool
    function: Callable[..., Any]
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        return (self.function.__doc__ or "").strip().splitlines()[0]


REGISTRY: Final[dict[str, Declaration]] = {}
"""Name to declaration; filled by importing the modules that declare them."""


def microservice(
    name: str,
    *parameters: Parameter,
    result: str,
    effects: tuple[str, ...],
    slow: bool = False,
    for_clients: bool = False,
    fields: Mapping[str, str] | None = None,
) -> Callable[[_Function], _Function]:
    """Declare a function to be a microservice. Its first argument is the grid, the others are named."""

    def declare(function: _Function) -> _Function:
        if name in REGISTRY:
            raise ValueError(f"the microservice `{name}` is declared twice")
        REGISTRY[name] = Declaration(
            name, parameters, result, effects, slow, for_clients, function, fields or {}
        )
        return function

    return declare
