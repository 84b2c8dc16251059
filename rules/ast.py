"""A policy as values: frozen nodes, each with its place in the text."""

from dataclasses import dataclass, field
from typing import Literal as OneOf
from typing import TypeVar

from rules.source import Comment, Source, Span

_Kind = TypeVar("_Kind")


@dataclass(frozen=True, slots=True)
class Node:
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class TypeName(Node):
    """A type as written: `List<Text>`, `Time?`."""

    name: str
    arguments: tuple["TypeName", ...] = ()
    option: bool = False


# -- expressions ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Constant(Node):
    """A literal; `written` is how it stands in the text, such as `90 days`."""

    value: object
    type: str
    written: str = ""


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
class Index(Node):
    of: "Expression"
    index: "Expression"


@dataclass(frozen=True, slots=True)
class Metadata(Node):
    attribute: str
    of: "Expression"


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
class Negative(Node):
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
    """`like` with wildcards or `matches` with a regular expression."""

    operator: OneOf["like", "matches"]
    operand: "Expression"
    pattern: str


@dataclass(frozen=True, slots=True)
class Exists(Node):
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class IsAt(Node):
    operand: "Expression"
    location: str


@dataclass(frozen=True, slots=True)
class Quantified(Node):
    """`all x in list satisfy (condition)`, or `any`."""

    kind: OneOf["all", "any"]
    name: str
    source: "Expression"
    condition: "Expression"


@dataclass(frozen=True, slots=True)
class Find(Node):
    """Catalog entries of one kind, in order of their ids."""

    kind: str
    location: str
    where: "Expression | None"
    limit: int


@dataclass(frozen=True, slots=True)
class Count(Node):
    of: "Expression"


Expression = (
    Constant | Text | Now | Name | Attribute | Index | Metadata | Call | ListOf | Not | Negative | Logic | Binary
    | Like | Exists | IsAt | Quantified | Find | Count
)  # fmt: skip

# -- statements -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Allow(Node):
    pass


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
    of: Expression
    value: Expression
    unit: Expression | None


@dataclass(frozen=True, slots=True)
class RemoveMetadata(Node):
    attribute: str
    of: Expression


@dataclass(frozen=True, slots=True)
class SetAttribute(Node):
    of: Expression
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
class ForEach(Node):
    name: str
    source: Expression
    limit: int
    body: tuple["Statement", ...]


@dataclass(frozen=True, slots=True)
class Do(Node):
    call: Call
    giving: str
    undo: Call | None


@dataclass(frozen=True, slots=True)
class Try(Node):
    body: tuple["Statement", ...]
    name: str
    recover: tuple["Statement", ...]


@dataclass(frozen=True, slots=True)
class Schedule(Node):
    name: str
    body: tuple["Statement", ...]
    key: Expression | None = None
    after: Expression | None = None
    date: Expression | None = None
    retries: int = 0
    backoff: Expression | None = None
    backoff_limit: Expression | None = None
    deadline: Expression | None = None
    give_up: tuple["Statement", ...] = ()
    as_user: Expression | None = None


@dataclass(frozen=True, slots=True)
class Fail(Node):
    message: Expression
    code: str


@dataclass(frozen=True, slots=True)
class Emit(Node):
    name: str
    named: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Note(Node):
    message: Expression


Statement = (
    Allow | Refuse | Require | SetMetadata | RemoveMetadata | SetAttribute | Let | If | ForEach | Do | Try | Schedule
    | Fail | Emit | Note
)  # fmt: skip
Block = tuple[Statement, ...]

# -- declarations ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Use(Node):
    name: str
    version: int | None


@dataclass(frozen=True, slots=True)
class Vocabulary(Node):
    name: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EntityDeclaration(Node):
    name: str
    fields: tuple[tuple[str, TypeName], ...]


@dataclass(frozen=True, slots=True)
class MetadataType(Node):
    attribute: str
    type: TypeName
    entity: str


@dataclass(frozen=True, slots=True)
class FailureCode(Node):
    name: str
    kind: str
    message: str


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
class NamedConstant(Node):
    name: str
    type: TypeName | None
    value: Expression


@dataclass(frozen=True, slots=True)
class Function(Node):
    name: str
    parameters: tuple[tuple[str, TypeName], ...]
    result: TypeName
    value: Expression


@dataclass(frozen=True, slots=True)
class Microservice(Node):
    """A signature; `defaults` holds those parameters that may be left out."""

    name: str
    parameters: tuple[tuple[str, TypeName], ...]
    defaults: tuple[tuple[str, Constant], ...]
    result: TypeName | None
    effects: tuple[str, ...]
    undo: str


@dataclass(frozen=True, slots=True)
class Guard(Node):
    """`when` (wanted) or `unless` (not wanted)."""

    condition: Expression
    wanted: bool


@dataclass(frozen=True, slots=True)
class Rule(Node):
    """`phase` is `before`, `after`, `during`, or `on` for a signal, whose name is then the verb."""

    title: str
    id: str
    because: str
    phase: OneOf["before", "after", "during", "on"]
    noun: str
    verb: str
    location: str
    guards: tuple[Guard, ...]
    body: Block
    otherwise: Block = ()

    @property
    def event(self) -> str:
        return f"{self.noun} {self.verb}"


@dataclass(frozen=True, slots=True)
class PlaceIs(Node):
    attribute: str
    operator: str
    value: Expression


@dataclass(frozen=True, slots=True)
class PlaceIn(Node):
    attribute: str
    values: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class PlaceNot(Node):
    operand: "PlaceExpression"


@dataclass(frozen=True, slots=True)
class PlaceJoined(Node):
    operator: OneOf["and", "or", "except"]
    left: "PlaceExpression"
    right: "PlaceExpression"


PlaceExpression = PlaceIs | PlaceIn | PlaceNot | PlaceJoined


@dataclass(frozen=True, slots=True)
class Promise(Node):
    """So many copies (0 for `no copies`) on matching resources, from and until a time; None is for ever."""

    count: int
    place: PlaceExpression
    begins: Expression | None = None
    ends: Expression | None = None
    lasts: Expression | None = None
    after: Expression | None = None


@dataclass(frozen=True, slots=True)
class Keep(Node):
    title: str
    id: str
    because: str
    location: str
    guards: tuple[Guard, ...]
    promises: tuple[Promise, ...]


@dataclass(frozen=True, slots=True)
class Sweep(Node):
    title: str
    id: str
    because: str
    every: Expression
    between: tuple[str, str] | None
    over: str
    location: str
    guards: tuple[Guard, ...]
    order: Expression | None
    descending: bool
    until: Expression | None
    body: Block


# -- tests ----------------------------------------------------------------------------------------------------

Facts = tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class GivenThing(Node):
    name: str
    facts: Facts


@dataclass(frozen=True, slots=True)
class GivenClock(Node):
    time: Expression


@dataclass(frozen=True, slots=True)
class GivenStub(Node):
    """A microservice that returns a value, or fails with a code when `value` is None."""

    name: str
    value: Expression | None
    code: str


Given = GivenThing | GivenClock | GivenStub


@dataclass(frozen=True, slots=True)
class EventAct(Node):
    actor: str
    noun: str
    verb: str
    path: str
    facts: Facts


@dataclass(frozen=True, slots=True)
class ClockAct(Node):
    length: Expression


@dataclass(frozen=True, slots=True)
class SweepAct(Node):
    title: str


@dataclass(frozen=True, slots=True)
class SignalAct(Node):
    name: str
    facts: Facts


Act = EventAct | ClockAct | SweepAct | SignalAct


@dataclass(frozen=True, slots=True)
class ThenRefused(Node):
    code: str


@dataclass(frozen=True, slots=True)
class ThenAllowed(Node):
    pass


@dataclass(frozen=True, slots=True)
class ThenScheduled(Node):
    name: str
    length: Expression | None


@dataclass(frozen=True, slots=True)
class ThenCalled(Node):
    name: str
    positional: tuple[Expression, ...]
    named: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class ThenNothing(Node):
    pass


@dataclass(frozen=True, slots=True)
class ThenFired(Node):
    title: str


@dataclass(frozen=True, slots=True)
class ThenHolds(Node):
    condition: Expression


Check = ThenRefused | ThenAllowed | ThenScheduled | ThenCalled | ThenNothing | ThenFired | ThenHolds


@dataclass(frozen=True, slots=True)
class PolicyTest(Node):
    title: str
    given: tuple[Given, ...]
    act: Act
    checks: tuple[Check, ...]


Item = (
    Use | Vocabulary | EntityDeclaration | MetadataType | FailureCode | Location | NamedConstant | Function
    | Microservice | Rule | Keep | Sweep | PolicyTest
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole policy file; `items` in the order of the text."""

    source: Source = field(compare=False)
    name: str
    version: int
    zone: str
    meta: tuple[tuple[str, str], ...]
    items: tuple[Item, ...]
    comments: tuple[Comment, ...] = field(default=(), compare=False)

    def of(self, kind: type[_Kind]) -> list[_Kind]:
        """The items of one kind."""
        return [item for item in self.items if isinstance(item, kind)]
