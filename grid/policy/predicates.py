"""Conditions of the language as SQL, as far as the catalog can answer them.

A translation may let through more than the condition does, never less: what cannot be said in SQL is left out of an
`and`, and who asks checks the rows again. So `find` and `sweep` read what matches, and not the zone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from rules import interpreter
from rules.core import Guard, Op, walk_ops
from rules.diagnostics import RuleFailed
from rules.locations import Pattern
from rules.runtime import Frame
from rules.values import Entity

_DAY_S: Final = 86_400
_OPERATORS: Final = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_MIRRORED: Final = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
_NEGATED: Final = {"eq": "ne", "ne": "eq", "lt": "ge", "le": "gt", "gt": "le", "ge": "lt"}

_GOOD: Final = "SELECT {0} FROM replicas g WHERE g.data_id = d.id AND g.status = 1"
_RESOURCE: Final = {"name": "s.name", "medium": "s.medium", "site": "s.site"}

TABLES: Final[Mapping[str, str]] = {
    "Object": "data_objects d JOIN collections c ON c.id = d.collection_id",
    "Collection": "collections c",
    "Replica": "replicas r JOIN data_objects d ON d.id = r.data_id JOIN collections c ON c.id = d.collection_id"
    " JOIN resources s ON s.id = r.resource_id",
    "Resource": "resources s",
}
"""Where the things of a kind are."""

REPLICAS_BY_AGE: Final = (
    "resources s CROSS JOIN replicas r CROSS JOIN data_objects d CROSS JOIN collections c"
    " WHERE s.id = r.resource_id AND d.id = r.data_id AND c.id = d.collection_id"
)
"""The same replicas, those of each resource by their last read: SQLite keeps the order of a CROSS JOIN, and so does
not go through all objects of a location; PostgreSQL chooses by its statistics."""

PATH: Final[Mapping[str, str]] = {
    "Object": "(c.path || '/' || d.name)", "Collection": "c.path", "Replica": "(c.path || '/' || d.name)",
}  # fmt: skip

_COLUMNS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "Object": {
        "id": ("d.id", "Int"), "name": ("d.name", "Text"), "owner": ("d.owner_name", "Text"),
        "size": (f"({_GOOD.format('MAX(g.size_bytes)')})", "Int"),
        "checksummed": (f"EXISTS ({_GOOD.format('1')} AND g.checksum <> '')", "Bool"),
        "closed": (f"EXISTS ({_GOOD.format('1')})", "Bool"),
        "copies": ("(SELECT count(*) FROM replicas g WHERE g.data_id = d.id)", "Int"),
        "closed_at": (f"({_GOOD.format('MIN(g.modify_time)')})", "Time"),
        "created_at": (f"({_GOOD.format('MIN(g.create_time)')})", "Time"),
    },
    "Collection": {
        "id": ("c.id", "Int"), "path": ("c.path", "Text"), "owner": ("c.owner_name", "Text"),
        "created_at": ("c.create_time", "Time"),
        "visibility": (
            "COALESCE((SELECT a.value FROM avu_links l JOIN avus a ON a.id = l.avu_id"
            " WHERE l.entity_id = c.id AND a.attribute = 'visibility' LIMIT 1), 'private')", "Text",
        ),
    },
    "Replica": {
        "number": ("r.number", "Int"), "size": ("r.size_bytes", "Int"), "medium": ("s.medium", "Text"),
        "last_read_at": ("r.access_time", "Time"), "created_at": ("r.create_time", "Time"),
        "state": ("CASE r.status WHEN 0 THEN 'stale' WHEN 2 THEN 'intermediate' ELSE 'good' END", "Text"),
    },
    "Resource": {
        "name": ("s.name", "Text"), "medium": ("s.medium", "Text"), "site": ("s.site", "Text"),
        "up": ("(s.status <> 'down')", "Bool"),
        "free": ("CAST(CASE WHEN s.free_space = '' THEN '0' ELSE s.free_space END AS BIGINT)", "Int"),
    },
}  # fmt: skip
_ENTITY: Final = {"Object": "d.id", "Collection": "c.id", "Resource": "s.id"}


@dataclass(slots=True)
class Predicate:
    """Conditions joined by AND, and what is bound to them.

    `exact` says that nothing was left out, `by_age` that only replicas are wanted that were not read for some time.
    """

    pieces: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    exact: bool = True
    by_age: bool = False

    def bind(self, value: Any) -> str:
        name = f"q{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"

    @property
    def where(self) -> str:
        return " AND ".join(self.pieces) or "1 = 1"

    def at(self, kind: str, pattern: Pattern, bound: Mapping[str, str]) -> None:
        """Only what lies at a location; its captures are checked by who asks."""
        low = self.bind(pattern.prefix)
        begin, end = self.bind(pattern.prefix.rstrip("/") + "/"), self.bind(pattern.prefix.rstrip("/") + "0")
        self.pieces.append(f"(c.path = {low} OR (c.path >= {begin} AND c.path < {end}))")
        self.pieces.append(f"{PATH[kind]} LIKE {self.bind(pattern.like)} ESCAPE '!'")
        self.exact = False


class Translator:
    """Translates conditions on the things of one kind, which stand in one slot of a frame."""

    def __init__(self, kind: str, slot: int, frame: Frame) -> None:
        self._kind = kind
        self._slot = slot
        self._frame = frame

    def guards(self, predicate: Predicate, guards: tuple[Guard, ...]) -> None:
        for guard in guards:
            self.condition(predicate, guard.condition, guard.wanted)

    def condition(self, predicate: Predicate, op: Op, wanted: bool) -> None:
        """Add what a condition says, as far as it can be said."""
        if op.name == "not":
            self.condition(predicate, op.args[0], not wanted)
        elif (op.name == "and") is wanted and op.name in ("and", "or"):
            for arg in op.args:
                self.condition(predicate, arg, wanted)
        else:
            piece = self._piece(predicate, op, wanted)
            if piece is None:
                predicate.exact = False
            else:
                predicate.pieces.append(piece)
                predicate.by_age |= piece.startswith("r.access_time <")

    def _piece(self, predicate: Predicate, op: Op, wanted: bool) -> str | None:
        if op.name == "not":
            return self._piece(predicate, op.args[0], not wanted)
        if op.name in ("and", "or"):
            pieces = [self._piece(predicate, arg, wanted) for arg in op.args]
            if any(piece is None for piece in pieces):
                return None
            return (
                "(" + (" OR " if (op.name == "or") == wanted else " AND ").join(str(p) for p in pieces) + ")"
            )
        if op.name in _OPERATORS:
            return self._comparison(predicate, op, wanted)
        if op.name == "in":
            return self._membership(predicate, op, wanted)
        if op.name == "exists" and op.args[0].name == "meta" and self._is_subject(op.args[0].args[0]):
            found = self._metadata(predicate, op.args[0].data[0])
            return f"EXISTS ({found})" if wanted else f"NOT EXISTS ({found})"
        if op.name == "load" and self._column(op) is not None:
            column, kind = self._column(op) or ("", "")
            return (column if wanted else f"NOT {column}") if kind == "Bool" else None
        return None

    def _is_subject(self, op: Op) -> bool:
        return op.name == "slot" and op.data == self._slot

    def _column(self, op: Op) -> tuple[str, str] | None:
        """The SQL and the kind of value of an attribute."""
        if op.name != "load":
            return None
        of, attribute = op.args[0], str(op.data[0])
        if self._is_subject(of):
            return _COLUMNS[self._kind].get(attribute)
        if self._kind == "Replica" and of.name == "load" and self._is_subject(of.args[0]):
            if of.data[0] == "resource" and attribute in _RESOURCE:
                return _RESOURCE[attribute], "Text"
            if of.data[0] == "object":
                return _COLUMNS["Object"].get(attribute)
        return None

    def _value(self, op: Op) -> tuple[bool, Any]:
        """The value of an expression that does not depend on the thing; (False, None) for one that does."""
        if any(inner.name == "slot" and inner.data == self._slot for inner in walk_ops(op)):
            return False, None
        try:
            return True, interpreter.evaluate(self._frame, op)
        except RuleFailed:
            return False, None

    def _comparison(self, predicate: Predicate, op: Op, wanted: bool) -> str | None:
        name = op.name if wanted else _NEGATED[op.name]
        left, right = op.args
        column = self._column(left) or self._described(left)
        if column is None:
            column, right, name = self._column(right) or self._described(right), left, _MIRRORED[name]
            left = op.args[1]
        known, value = self._value(right)
        if column is None or not known:
            return None
        sql, kind = column
        if kind == "meta":
            return self._described_piece(predicate, sql, name, value)
        if kind == "Bool":
            return sql if (value is True) == (name == "eq") else f"NOT {sql}"
        if kind == "Time":
            if not isinstance(value, datetime):
                return None
            value = f"{int(value.timestamp()):011d}"
        elif isinstance(value, Entity):
            value = value.name.partition("#")[0]
        elif not isinstance(value, (str, int, float)) or isinstance(value, bool):
            return None
        return f"{sql} {_OPERATORS[name]} {predicate.bind(value)}"

    def _described(self, op: Op) -> tuple[str, str] | None:
        if op.name == "meta" and self._is_subject(op.args[0]) and self._kind in _ENTITY:
            return str(op.data[0]), "meta"
        return None

    def _metadata(self, predicate: Predicate, attribute: str) -> str:
        return (
            "SELECT 1 FROM avu_links l JOIN avus a ON a.id = l.avu_id"
            f" WHERE l.entity_id = {_ENTITY[self._kind]} AND a.attribute = {predicate.bind(attribute)}"
        )

    def _described_piece(self, predicate: Predicate, attribute: str, name: str, value: Any) -> str | None:
        base = self._metadata(predicate, attribute)
        if isinstance(value, datetime):
            # a date without a time zone may mean another instant, so a day more is let through
            predicate.exact = False
            at = value.timestamp()
            if name in ("lt", "le"):
                return f"EXISTS ({base} AND (a.number IS NULL OR a.number <= {predicate.bind(at + _DAY_S)}))"
            if name in ("gt", "ge"):
                return f"EXISTS ({base} AND (a.number IS NULL OR a.number >= {predicate.bind(at - _DAY_S)}))"
            return f"EXISTS ({base})"
        if isinstance(value, str) and name in ("eq", "ne"):
            return f"EXISTS ({base} AND a.value {_OPERATORS[name]} {predicate.bind(value)})"
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return f"EXISTS ({base} AND a.number {_OPERATORS[name]} {predicate.bind(value)})"
        return f"EXISTS ({base})"

    def _membership(self, predicate: Predicate, op: Op, wanted: bool) -> str | None:
        column = self._column(op.args[0])
        known, values = self._value(op.args[1])
        if (
            column is None
            or column[1] not in ("Text", "Int")
            or not known
            or not isinstance(values, (list, frozenset))
        ):
            return None
        names = ", ".join(predicate.bind(getattr(value, "name", value)) for value in values)
        if not names:
            return "1 = 0" if wanted else "1 = 1"
        return f"{column[0]} {'IN' if wanted else 'NOT IN'} ({names})"

    def order(self, op: Op) -> str | None:
        """The SQL to order by; None when the catalog cannot."""
        column = self._column(op)
        if column is not None:
            return column[0]
        if op.name == "meta" and self._is_subject(op.args[0]) and self._kind in _ENTITY:
            attribute = str(op.data[0]).replace("'", "''")
            return (
                "(SELECT MIN(a.number) FROM avu_links l JOIN avus a ON a.id = l.avu_id"
                f" WHERE l.entity_id = {_ENTITY[self._kind]} AND a.attribute = '{attribute}')"
            )
        return None
