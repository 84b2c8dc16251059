"""Microservices and what is declared of them: name, signature, effects, and whether clients may call them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument: `type` is a type of the policy language; what stands for an entity comes as its name or path."""

    name: str
    type: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Declaration:
    """A microservice.

    Names, types and effects are those of its signature in the facility's base policy; who loads policies compares
    them. `for_clients` ones may be called through the protocol, with the caller's rights.
    """

    name: str
    parameters: tuple[Parameter, ...]
    result: str
    effects: tuple[str, ...]
    for_clients: bool
    function: Callable[..., Any]

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
    for_clients: bool = False,
) -> Callable[[_Function], _Function]:
    """Declare a function to be a microservice. Its first argument is the grid, the others are named."""

    def declare(function: _Function) -> _Function:
        if name in REGISTRY:
            raise ValueError(f"the microservice `{name}` is declared twice")
        REGISTRY[name] = Declaration(name, parameters, result, effects, for_clients, function)
        return function

    return declare
