"""What a checked function consists of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Const:
    """A number or a truth."""

    line: int
    value: int | float | bool


@dataclass(frozen=True, slots=True)
class Name:
    """A variable or a parameter."""

    line: int
    name: str


@dataclass(frozen=True, slots=True)
class Read:
    """A pixel of the frame or of an image; `own` for the one that the loop is at."""

    line: int
    image: str
    y: "Expression"
    x: "Expression"
    own: bool


@dataclass(frozen=True, slots=True)
class Valid:
    """Whether a place lies in the frame and its pixel counts."""

    line: int
    y: "Expression"
    x: "Expression"


@dataclass(frozen=True, slots=True)
class Item:
    """One number of a histogram, after the loop that filled it."""

    line: int
    name: str
    index: "Expression"


@dataclass(frozen=True, slots=True)
class Call:
    """A function of numbers."""

    line: int
    function: str
    arguments: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Binary:
    """Arithmetic: + - * / // % **."""

    line: int
    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison of two numbers."""

    line: int
    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Logic:
    """`and`, `or`."""

    line: int
    operator: str
    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """`not`, and the sign."""

    line: int
    operator: str
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Choose:
    """One or the other."""

    line: int
    condition: "Expression"
    then: "Expression"
    otherwise: "Expression"


Expression = Const | Name | Read | Valid | Item | Call | Binary | Compare | Logic | Unary | Choose


@dataclass(frozen=True, slots=True)
class Assign:
    """A variable's new value."""

    line: int
    name: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Reduce:
    """What a pixel adds to a number of the whole frame: `+`, `min` or `max`."""

    line: int
    name: str
    operator: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Draw:
    """The own pixel of an image that is made."""

    line: int
    image: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Tally:
    """What a pixel adds to one number of a histogram."""

    line: int
    name: str
    index: Expression
    value: Expression


@dataclass(frozen=True, slots=True)
class If:
    line: int
    condition: Expression
    then: tuple["Statement", ...]
    otherwise: tuple["Statement", ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """Over whole numbers that are known before the frames are."""

    line: int
    name: str
    begin: Expression
    end: Expression
    step: Expression
    body: tuple["Statement", ...]


@dataclass(frozen=True, slots=True)
class Pixels:
    """Over every valid pixel, in no order."""

    line: int
    y: str
    x: str
    body: tuple["Statement", ...]


Statement = Assign | Reduce | Draw | Tally | If | Loop | Pixels


@dataclass(frozen=True, slots=True)
class Given:
    """A parameter: a number with its bounds, or an image (a number for each pixel)."""

    name: str
    kind: str
    default: int | float | None
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Program:
    """A checked function.

    Attributes:
        text: as it was written; its digest is the kernel's.
        images: names of images that it makes.
        histograms: name to the length, an expression of parameters.
        results: products by name, after everything.
    """

    name: str
    version: str
    summary: str
    text: str
    given: tuple[Given, ...]
    body: tuple[Statement, ...]
    images: tuple[str, ...]
    histograms: tuple[tuple[str, Expression], ...]
    results: tuple[tuple[str, Expression], ...]
