"""Types of the language, and what a rule finds in scope: events, functions, microservices.

A type is written as a text: `Bool`, `Int`, `Decimal`, `Text`, `Time`, `Duration`, `Size`, `Fraction`, `List<T>`,
`T?` for what may be absent, an entity's name, or `Json` for what a microservice gives back and nobody described.
There is no null: a `T?` is used with `default` or asked for with `exists`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

NUMBERS: Final = frozenset({"Int", "Decimal", "Size", "Duration", "Fraction"})
WRITTEN_AS_TEXT: Final = frozenset({"Text", "Int", "Decimal", "Size", "Duration", "Fraction", "Time", "Bool"})


@dataclass(frozen=True, slots=True)
class MicroserviceSignature:
    """What the checker knows of a microservice.

    `parameters` are (name, type, required) in their order. `effects` decide where it may be called: slow ones only
    inside `schedule`.
    """

    name: str
    parameters: tuple[tuple[str, str, bool], ...]
    result: str
    effects: tuple[str, ...]
    slow: bool
    fields: Mapping[str, str] = field(default_factory=dict)  # of the result, where it is a record


@dataclass(frozen=True, slots=True)
class FunctionSignature:
    """A pure function of the language."""

    parameters: tuple[str, ...]
    result: str


FUNCTIONS: Final = MappingProxyType(
    {
        "members": FunctionSignature(("Text",), "List<Text>"),
        "service_group": FunctionSignature(("Text",), "Text"),
        "base_name": FunctionSignature(("Text",), "Text"),
        "parent": FunctionSignature(("Text",), "Text"),
        "lower": FunctionSignature(("Text",), "Text"),
        "starts_with": FunctionSignature(("Text", "Text"), "Bool"),
        "ends_with": FunctionSignature(("Text", "Text"), "Bool"),
        "size_text": FunctionSignature(("Size",), "Text"),
        "count": FunctionSignature(("List<Text>",), "Int"),
    }
)

_OBJECT: Final = {
    "id": "Int", "path": "Text", "owner": "Text", "size": "Size", "checksum": "Text", "closed": "Bool",
    "copies": "Int", "resource": "Text", "expected_size": "Size", "physical_path": "Text",
}  # fmt: skip
_COLLECTION: Final = {"id": "Int", "path": "Text", "owner": "Text"}
_TARGET: Final = {"path": "Text"}


@dataclass(frozen=True, slots=True)
class EventSignature:
    """What an event offers: entities with their attributes, and what `before` rules may set."""

    entities: Mapping[str, Mapping[str, str]]
    settable: Mapping[str, str] = field(default_factory=dict)


EVENTS: Final = MappingProxyType(
    {
        "object create": EventSignature(
            {"object": {k: _OBJECT[k] for k in ("path", "expected_size", "closed")}},
            {"replica.resource": "Text"},
        ),
        "object write": EventSignature({"object": _OBJECT}),
        "object close": EventSignature({"object": _OBJECT}),
        "object read": EventSignature({"object": _OBJECT}),
        "object delete": EventSignature({"object": _OBJECT}),
        "object trash": EventSignature({"object": _OBJECT, "target": _TARGET}),
        "object rename": EventSignature({"object": _OBJECT, "target": _TARGET}),
        "object copy": EventSignature({"object": {"id": "Int", "path": "Text"}, "target": _TARGET}),
        "object register": EventSignature(
            {"object": {k: _OBJECT[k] for k in ("path", "size", "physical_path")}}
        ),
        "object checksum": EventSignature({"object": _OBJECT}),
        "object touch": EventSignature({"object": _OBJECT}),
        "object change": EventSignature({"object": _OBJECT}),
        "replica create": EventSignature(
            {"object": _OBJECT, "replica": {"purpose": "Text", "resource": "Text", "size": "Size"}},
            {"replica.resource": "Text"},
        ),
        "replica trim": EventSignature(
            {"object": _OBJECT, "replica": {"purpose": "Text", "resource": "Text"}}
        ),
        "collection create": EventSignature({"collection": {"path": "Text"}}),
        "collection change": EventSignature({"collection": {"path": "Text"}}),
        "collection delete": EventSignature({"collection": _COLLECTION}),
        "collection trash": EventSignature({"collection": _COLLECTION, "target": _TARGET}),
        "collection rename": EventSignature({"collection": _COLLECTION, "target": _TARGET}),
        "metadata change": EventSignature(
            {
                "change": {"name": "Text", "old": "Text?", "new": "Text?", "unit": "Text", "op": "Text"},
                "object": {"id": "Int", "path": "Text"},
                "collection": {"id": "Int", "path": "Text"},
            }
        ),
        "access grant": EventSignature({"grant": {"subject": "Text", "level": "Text"}}),
        "access revoke": EventSignature({"grant": {"subject": "Text", "level": "Text"}}),
        "access inherit": EventSignature({"grant": {"subject": "Text", "level": "Text"}}),
        "access own": EventSignature({"grant": {"subject": "Text", "level": "Text"}}),
    }
)
"""Event name to what rules on it may use."""

SUBJECTS: Final = frozenset({"object", "collection"})
"""Entities that have metadata and can be given to microservices."""

AFTER_SETTABLE: Final = MappingProxyType({"object.owner": "Text", "collection.owner": "Text"})
"""What `after` rules and jobs may set."""


def element(list_type: str) -> str:
    """`T` of `List<T>`."""
    return list_type[5:-1] if list_type.startswith("List<") else "Json"


def is_option(type_name: str) -> bool:
    return type_name.endswith("?")


def fits(found: str, wanted: str) -> bool:
    """Whether a value of one type can stand where another is wanted."""
    if "Json" in (found, wanted) or found == wanted:
        return True
    if (found, wanted) == ("Int", "Decimal"):
        return True
    if wanted == "Path" and (found == "Text" or found in SUBJECTS):
        return True
    return is_option(wanted) and fits(found, wanted[:-1])


def _same_number(left: str, right: str) -> bool:
    return {left, right} in ({"Int", "Decimal"}, {"Int", "Size"})


def comparable(left: str, right: str) -> bool:
    """Whether two types can be compared."""
    if is_option(left) or is_option(right):
        return False
    if "Json" in (left, right) or left == right:
        return True
    return _same_number(left, right)
