"""A policy as values: frozen nodes, each with its place in the text."""

from dataclasses import dataclass, field
from typing import Literal as OneOf

from rules.source import Source, Span


@dataclass(frozen=True, slots=True)
class Node:
    span: Span


# -- expressions ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Constant(Node):
    value: object
    type: str


@dataclass(frozen=True, slots=True)
class Text(Node):
    """A string with interpolations: literal parts and expressions in turn."""

    parts: tuple["str | Expression", ...]


@dataclass(frozen=True, slots=True)
class Now(Node):
    pass


@dataclass(frozen=True, slots=True)
class Name(Node):
    name: str


@dataclass(frozen=True, slots=True)
class Attribute(Node):
    of: "Expression"
    name: str


@dataclass(frozen=True, slots=True)
class Metadata(Node):
    attribute: str
    entity: str


@dataclass(frozen=True, slots=True)
class Call(Node):
    name: str
    positional: tuple["Expression", ...]
    named: tuple[tuple[str, "Expression"], ...]


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    items: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Not(Node):
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """`and` or `or` over two or more operands."""

    operator: OneOf["and", "or"]
    operands: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """A comparison, an arithmetic operation, `in`, `not in` or `default`."""

    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Like(Node):
    operand: "Expression"
    pattern: str


@dataclass(frozen=True, slots=True)
class Exists(Node):
    operand: "Expression"


Expression = (
    Constant | Text | Now | Name | Attribute | Metadata | Call | ListOf | Not | Logic | Binary | Like | Exists
)

# -- statements -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refuse(Node):
    message: Expression
    code: str


@dataclass(frozen=True, slots=True)
class Require(Node):
    condition: Expression
    message: Expression
    code: str


@dataclass(frozen=True, slots=True)
class SetMetadata(Node):
    attribute: str
    entity: str
    value: Expression
    unit: Expression | None


@dataclass(frozen=True, slots=True)
class SetAttribute(Node):
    entity: str
    attribute: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Let(Node):
    name: str
    value: Expression


@dataclass(frozen=True, slots=True)
class If(Node):
    condition: Expression
    then: tuple["Statement", ...]
    otherwise: tuple["Statement", ...]


@dataclass(frozen=True, slots=True)
class Do(Node):
    call: Call
    giving: str


@dataclass(frozen=True, slots=True)
class Schedule(Node):
    name: str
    body: tuple["Statement", ...]
    key: Expression | None = None
    after: Expression | None = None
    retries: int = 0
    backoff: Expression | None = None
    backoff_limit: Expression | None = None
    deadline: Expression | None = None


Statement = Refuse | Require | SetMetadata | SetAttribute | Let | If | Do | Schedule

# -- declarations ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Vocabulary(Node):
    name: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaptureRule(Node):
    """What a capture may be: one of some words, or text of a form such as `date:YYYYMMDD`."""

    capture: str
    words: tuple[str, ...] | str  # the words, or the name of a vocabulary
    form: str


@dataclass(frozen=True, slots=True)
class Location(Node):
    name: str
    pattern: str
    captures: tuple[CaptureRule, ...]


@dataclass(frozen=True, slots=True)
class Rule(Node):
    title: str
    id: str
    because: str
    phase: OneOf["before", "after"]
    noun: str
    verb: str
    location: str
    when: tuple[Expression, ...]
    unless: tuple[Expression, ...]
    body: tuple[Statement, ...]

    @property
    def event(self) -> str:
        return f"{self.noun} {self.verb}"


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole policy file."""

    source: Source
    name: str
    version: int
    zone: str
    vocabularies: tuple[Vocabulary, ...] = field(default=())
    locations: tuple[Location, ...] = field(default=())
    rules: tuple[Rule, ...] = field(default=())
