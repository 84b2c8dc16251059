"""The general query: column numbers and condition strings in, pages of text out.

A query compiles to one SQL statement with the caller's visibility around the whole expression: the conditions a
user wrote stand in one pair of parentheses, so that no OR in them reaches past it. Statements are remembered by
the query's shape (columns, operators, options); only values differ between two look-ups of the same kind.

Paging holds no database cursor. A page is read with one row more than asked for; later pages are read ahead in
growing steps and kept by the caller, within its bounds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grid.catalog import genquery_conditions as conditions
from grid.catalog import genquery_graph as graph
from grid.catalog import resources as resource_rows
from grid.catalog.acls import visible_to
from grid.catalog.database import Row, Transaction
from grid.catalog.genquery_columns import COLUMNS
from grid.catalog.genquery_graph import Place
from grid.codes import Status
from grid.errors import CatalogFailed, InvalidArgument

PLAIN, MINIMUM, MAXIMUM, SUM, AVERAGE, COUNT = 1, 2, 3, 4, 5, 6
ORDER_ASCENDING: Final = 0x400
ORDER_DESCENDING: Final = 0x800
RETURN_TOTAL_ROW_COUNT: Final = 0x20
NO_DISTINCT: Final = 0x40
AUTO_CLOSE: Final = 0x100
UPPER_CASE_WHERE: Final = 0x200

_AGGREGATES: Final = {MINIMUM: "MIN", MAXIMUM: "MAX", SUM: "SUM", AVERAGE: "AVG", COUNT: "COUNT"}
_COLL_NAME, _DATA_NAME, _DATA_REPL_NUM = 501, 403, 404
_REPEATABLE: Final = {600: ("dml", "dm", "d"), 610: ("cml", "cm", "c")}
_METADATA_OF: Final = {600: (600, 601, 602), 610: (610, 611, 612)}
_ALIASED: Final = {408: 409}
_MAX_PLANS: Final = 2000


@dataclass(frozen=True, slots=True)
class Query:
    """A general query as sent: (column, flags) and (column, condition text) in the client's order."""

    selects: tuple[tuple[int, int], ...]
    conditions: tuple[tuple[int, str], ...]
    options: int = 0


@dataclass(frozen=True, slots=True)
class _Select:
    column: int
    place: Place
    aggregate: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled query."""

    statement: str
    selects: tuple[_Select, ...]
    aggregated: bool


@dataclass(frozen=True, slots=True)
class BoundQuery:
    """A plan and the values of one request; what a continuation keeps."""

    plan: Plan
    parameters: Mapping[str, Any]

    @property
    def columns(self) -> list[int]:
        return [select.column for select in self.plan.selects]


class GeneralQueries:
    """Compiles and runs general queries of one zone."""

    def __init__(self, zone: str) -> None:
        self._places = graph.places(zone)
        self._plans: dict[object, Plan] = {}
        self._served: set[tuple[tuple[int, int], ...]] = set()

    def _place(self, column: int) -> Place:
        row = COLUMNS.get(_ALIASED.get(column, column))
        if row is None:
            raise InvalidArgument(f"no column has the number {column}", status=Status.CAT_UNKNOWN_TABLE)
        place = self._places.get(row[2])
        if place is None:
            raise _EmptyTable(column)
        return place

    def bind(self, tx: Transaction, query: Query, caller_id: int | None) -> BoundQuery | None:
        """Compile a query for a caller; None when it asks a table that is always empty here.

        Args:
            tx: where resources are looked up, for conditions on hierarchies.
            query: what is asked.
            caller_id: whose rights limit the answer; None for administrators.

        Raises:
            InvalidArgument: a condition or a column that is none.
            CatalogFailed: nothing is selected, or a condition has no operator.
        """
        if not query.selects:
            raise CatalogFailed("the query selects no column")
        try:
            parsed = [
                (column, self._place(column), conditions.parse(text)) for column, text in query.conditions
            ]
            if query.selects not in self._served:
                for column, _ in query.selects:
                    self._place(column)
                if len(self._served) >= _MAX_PLANS:
                    self._served.clear()
                self._served.add(query.selects)
        except _EmptyTable:
            return None
        parsed = [_resolve_hierarchy(tx, entry) if entry[1].hierarchy else entry for entry in parsed]
        key = (
            query.selects,
            query.options & (NO_DISTINCT | UPPER_CASE_WHERE),
            caller_id is None,
            tuple((column, conditions.shape(parts, place)) for column, place, parts in parsed),
        )
        plan = self._plans.get(key)
        if plan is None:
            plan = self._compile(tx, query, parsed, limited=caller_id is not None)
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            self._plans[key] = plan
        values = [value for _, place, parts in parsed for value in conditions.bound_values(parts, place)]
        if query.options & UPPER_CASE_WHERE:
            values = [value.upper() if isinstance(value, str) else value for value in values]
        parameters: dict[str, Any] = {f"p{index}": value for index, value in enumerate(values)}
        if caller_id is not None:
            parameters["caller_id"] = caller_id
        return BoundQuery(plan, parameters)

    def _compile(
        self,
        tx: Transaction,
        query: Query,
        parsed: Sequence[tuple[int, Place, tuple[conditions.Part, ...]]],
        *,
        limited: bool,
    ) -> Plan:
        selects = tuple(
            _Select(column, self._place(column), flags & 7 if flags & 7 in _AGGREGATES else PLAIN)
            for column, flags in query.selects
        )
        nodes = [node for select in selects for node in select.place.nodes]
        builder = _WhereBuilder(query.options, tx.database.is_sqlite)
        for column, place, parts in parsed:
            builder.add(column, place, parts)
        nodes += builder.nodes
        if "d" in nodes and query.options & NO_DISTINCT:
            nodes.append("r")
        tree, joins = graph.join(nodes)
        where = joins + builder.extra_joins
        if builder.pieces:
            where.append("(" + " AND ".join(builder.pieces) + ")")
        if limited:
            if "d" in tree:
                where.append(visible_to("d"))
            elif "c" in tree:
                where.append(visible_to("c"))
        tables = [f"{graph.TABLES[node]} {node}" for node in tree] + builder.extra_tables
        aggregated = any(select.aggregate != PLAIN for select in selects)
        distinct = "" if aggregated or query.options & NO_DISTINCT else "DISTINCT "
        statement = f"SELECT {distinct}{', '.join(_expression(s, query.options) for s in selects)}"
        statement += f" FROM {', '.join(tables)}"
        if where:
            statement += " WHERE " + " AND ".join(where)
        grouped = [select.place.expression for select in selects if select.aggregate == PLAIN]
        if aggregated and grouped:
            statement += " GROUP BY " + ", ".join(dict.fromkeys(grouped))
        order = _order(query.selects, selects)
        if order:
            statement += " ORDER BY " + ", ".join(order)
        return Plan(statement, selects, aggregated)

    def page(self, tx: Transaction, bound: BoundQuery, *, limit: int, offset: int) -> list[Row]:
        """Up to `limit` rows from the `offset`-th on, as texts."""
        rows = tx.all(
            f"{bound.plan.statement} LIMIT :page_limit OFFSET :page_offset",
            {**bound.parameters, "page_limit": limit, "page_offset": offset},
        )
        return _as_texts(tx, bound.plan, rows)

    def total(self, tx: Transaction, bound: BoundQuery) -> int:
        """How many rows the whole query has."""
        return int(tx.value(f"SELECT count(*) FROM ({bound.plan.statement}) AS counted", bound.parameters))


class _EmptyTable(Exception):
    """A known column of a table that holds nothing in this catalog."""

    def __init__(self, column: int) -> None:
        super().__init__(f"column {column}")


class _WhereBuilder:
    """Collects conditions; each repetition of a metadata name starts a join of its own."""

    def __init__(self, options: int, is_sqlite: bool) -> None:
        self.upper = bool(options & UPPER_CASE_WHERE)
        self.is_sqlite = is_sqlite
        self.nodes: list[str] = []
        self.pieces: list[str] = []
        self.extra_tables: list[str] = []
        self.extra_joins: list[str] = []
        self._count = 0
        self._repeats = {600: 0, 610: 0}

    def _next(self) -> str:
        self._count += 1
        return f"p{self._count - 1}"

    def add(self, column: int, place: Place, parts: tuple[conditions.Part, ...]) -> None:
        family = next((first for first, members in _METADATA_OF.items() if column in members), None)
        if family is not None:
            if column == family:
                self._repeats[family] += 1
                if self._repeats[family] > 1:
                    self._join_again(family)
            if self._repeats[family] > 1:
                place = self._renamed(place, family)
        elif column in (630, 640):
            self._repeats[column] = self._repeats.get(column, 0) + 1
            if self._repeats[column] > 1:
                raise InvalidArgument("only one attribute name of a user or a resource can be asked for")
        if family is None or self._repeats[family] <= 1:
            self.nodes += place.nodes
        else:
            self.nodes.append(_REPEATABLE[family][2])
        self.pieces.append(
            conditions.sql(parts, place, self._next, upper=self.upper, is_sqlite=self.is_sqlite)
        )

    def _join_again(self, family: int) -> None:
        link, avu, owner = _REPEATABLE[family]
        number = self._repeats[family]
        self.extra_tables += [f"avu_links {link}{number}", f"avus {avu}{number}"]
        self.extra_joins += [
            f"{link}{number}.entity_id = {owner}.id",
            f"{avu}{number}.id = {link}{number}.avu_id",
        ]

    def _renamed(self, place: Place, family: int) -> Place:
        _, avu, _ = _REPEATABLE[family]
        expression = place.expression.replace(f"{avu}.", f"{avu}{self._repeats[family]}.")
        return Place((), expression, place.integer)


def _resolve_hierarchy(
    tx: Transaction, entry: tuple[int, Place, tuple[conditions.Part, ...]]
) -> tuple[int, Place, tuple[conditions.Part, ...]]:
    """A condition on hierarchies becomes one on the ids of the resources whose hierarchy satisfies it."""
    column, _, parts = entry
    known = resource_rows.all_by_id(tx)
    ids = tuple(
        str(number) for number in known if conditions.matches(parts, resource_rows.hierarchy(known, number))
    )
    return column, Place(("r",), "r.resource_id", integer=True), (conditions.Part("", "in", ids),)


def _expression(select: _Select, options: int) -> str:
    expression = select.place.expression
    if select.aggregate == PLAIN:
        return expression
    if select.aggregate == COUNT and not options & NO_DISTINCT:
        return f"COUNT(DISTINCT {expression})"
    if select.aggregate in (SUM, AVERAGE) and not select.place.integer:
        expression = f"CAST({expression} AS DOUBLE PRECISION)"
    if select.aggregate == AVERAGE:
        return f"CAST(AVG({expression}) AS DOUBLE PRECISION)"
    return f"{_AGGREGATES[select.aggregate]}({expression})"


def _order(asked: Sequence[tuple[int, int]], selects: Sequence[_Select]) -> list[str]:
    order: list[str] = []
    for position, (_, flags) in enumerate(asked, 1):
        if flags & ORDER_DESCENDING:
            order.append(f"{position} DESC")
        elif flags & ORDER_ASCENDING:
            order.append(f"{position}")
    named = {
        select.column: position for position, select in enumerate(selects, 1) if select.aggregate == PLAIN
    }
    for column in (_COLL_NAME, _DATA_NAME, _DATA_REPL_NUM):
        if column in named and not any(o.split()[0] == str(named[column]) for o in order):
            order.append(str(named[column]))
    return order


def _as_texts(tx: Transaction, plan: Plan, rows: list[Row]) -> list[Row]:
    """Rows with every value as the text a client gets; NULL is empty."""
    if not rows:
        return []
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for index, select in enumerate(plan.selects):
        column = columns[index]
        if select.place.hierarchy:
            known = resource_rows.all_by_id(tx)
            texts = {number: resource_rows.hierarchy(known, number) for number in set(column)}
            columns[index] = [texts[number] for number in column]
        elif select.aggregate == AVERAGE:
            columns[index] = ["" if value is None else f"{value:.16f}" for value in column]
        elif select.place.integer or select.aggregate != PLAIN:
            columns[index] = ["" if value is None else _integer_text(value) for value in column]
        elif None in column:
            columns[index] = ["" if value is None else value for value in column]
    return list(zip(*columns, strict=True))


def _integer_text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
