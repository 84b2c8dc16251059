"""`imeta` and `iquest`: describing and finding."""

import argparse
import re
from typing import Any

from irods.column import Column
from irods.exception import CAT_NO_ROWS_FOUND
from irods.message import (
    GenQueryRequest,
    GenQueryResponse,
    IntegerIntegerMap,
    IntegerStringMap,
    StringStringMap,
    iRODSMessage,
)
from irods.meta import iRODSMeta
from irods.models import ModelBase
from irods.query import SpecificQuery
from irods.session import iRODSSession

from grid.cli.icmd import program
from grid.cli.icmd.program import UserError

_KINDS = {"-d": "dataObj", "-C": "collection", "-R": "resource", "-u": "user"}
_LINE = "-" * 60


def imeta_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "imeta",
        "Metadata: attribute, value and unit triples.",
        'imeta add -d scan101.nxs sample "lysozyme 3"\nimeta set -d scan101.nxs energy 12.4 keV\n'
        "imeta ls -d scan101.nxs\nimeta rm -C raw owner anna\nimeta ls -d scan101.nxs --json",
    )
    parser.add_argument("verb", choices=("add", "set", "rm", "ls"), help="what to do")
    kind = parser.add_mutually_exclusive_group(required=True)
    for flag, what in (
        ("-d", "a data object"),
        ("-C", "a collection"),
        ("-R", "a resource"),
        ("-u", "a user"),
    ):
        kind.add_argument(flag, action="store_const", const=flag, dest="kind", help=f"of {what}")
    parser.add_argument("name", help="the path or name")
    parser.add_argument("avu", nargs="*", metavar="attribute value unit")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def imeta(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    subject, shown = _subject(session, environment, arguments)
    if arguments.verb == "ls":
        wanted = arguments.avu[0] if arguments.avu else None
        found = [m for m in subject.metadata.items() if wanted is None or m.name == wanted]
        found.sort(key=lambda m: (m.name, m.value, m.units or ""))
        if arguments.json:
            program.print_json(
                [{"attribute": m.name, "value": m.value, "units": m.units or ""} for m in found]
            )
            return 0
        print(f"AVUs defined for {_KINDS[arguments.kind]} {shown}:")
        print(
            "\n----\n".join(f"attribute: {m.name}\nvalue: {m.value}\nunits: {m.units or ''}" for m in found)
            or "None"
        )
        return 0
    if not 2 <= len(arguments.avu) <= 3:
        raise UserError(f"`imeta {arguments.verb}` needs an attribute, a value and perhaps a unit")
    avu = iRODSMeta(*arguments.avu)
    if arguments.verb == "add":
        subject.metadata.add(avu)
    elif arguments.verb == "set":
        subject.metadata.set(avu)
    else:
        subject.metadata.remove(avu)
    return 0


def _subject(
    session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace
) -> tuple[Any, str]:
    if arguments.kind == "-R":
        return session.resources.get(arguments.name), arguments.name
    if arguments.kind == "-u":
        return session.users.get(*arguments.name.split("#", 1)), arguments.name
    path = program.absolute(environment, arguments.name)
    if arguments.kind == "-C":
        return session.collections.get(path), path
    return session.data_objects.get(path), path


def _columns() -> dict[str, Column]:
    """Query-string names to columns: `DATA_NAME`, `D_DATA_ID`, `RESC_NAME`."""
    found: dict[str, Column] = {}
    for _, column in ModelBase.column_items:
        key = column.icat_key
        names = {key}
        if key.startswith("COL_"):
            names.add(key[4:])
        if key.startswith("D_"):
            names |= {f"DATA_{key[2:]}", key[2:]} if not key.startswith("D_DATA_") else {key[2:]}
        if key.startswith("R_"):
            names |= {key[2:], f"RESC_{key[2:]}"} if not key.startswith("R_RESC_") else {key[2:]}
        for name in names:
            found.setdefault(name, column)
    return found


_SELECT = re.compile(
    r"^\s*select\s+(?:(no-distinct)\s+)?(.+?)(?:\s+where\s+(.+?))?\s*$", re.IGNORECASE | re.DOTALL
)
_TERM = re.compile(r"^(?:(min|max|sum|avg|count|order|order_desc)\(\s*(\w+)\s*\)|(\w+))$", re.IGNORECASE)
_CONDITION = re.compile(r"^\s*(\w+)\s+?(.+)$|^\s*(\w+)\s*([=<>!].+)$", re.DOTALL)
_AND = re.compile(r"\s+and\s+(?=\w+\s*(?:[=<>!]|n[=<>]|not\b|like\b|in\b|between\b|is\b))", re.IGNORECASE)
_AGGREGATE = {"min": 2, "max": 3, "sum": 4, "avg": 5, "count": 6, "order": 0x401, "order_desc": 0x801}


def iquest_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "iquest",
        "Ask the catalog.",
        "iquest \"select DATA_NAME, DATA_SIZE where COLL_NAME like '/demo/data/%'\"\n"
        "iquest \"select COLL_NAME, DATA_NAME where META_DATA_ATTR_NAME = 'energy' and META_DATA_ATTR_VALUE n> '7'\"\n"
        'iquest "%s %s" "select DATA_NAME, count(DATA_REPL_NUM)"\niquest --sql ls\niquest attrs',
    )
    parser.add_argument(
        "--sql", action="store_true", help="a registered query by its alias, then its arguments"
    )
    parser.add_argument("--no-page", action="store_true", help="everything at once (also the default here)")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("query", nargs="+", metavar="[format] query", help="`attrs` lists the column names")
    return parser


def iquest(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    given = list(arguments.query)
    if given == ["attrs"]:
        print("\n".join(sorted(_columns())))
        return 0
    if arguments.sql:
        return _specific(session, given, as_json=arguments.json)
    layout = given.pop(0) if len(given) > 1 else ""
    selected, conditions, options = _parse(given[0])
    rows = _rows(session, selected, conditions, options)
    if arguments.json:
        program.print_json([dict(zip([name for name, _, _ in selected], row, strict=True)) for row in rows])
        return 0
    if not rows:
        print("CAT_NO_ROWS_FOUND: Nothing was found matching your query")
        return 1
    for row in rows:
        if layout:
            _print_layout(layout, row)
        else:
            for (name, _, _), value in zip(selected, row, strict=True):
                print(f"{name} = {value}")
            print(_LINE)
    return 0


def rows_of(session: iRODSSession, query: str) -> list[list[str]]:
    """What a general query finds."""
    return _rows(session, *_parse(query))


def _print_layout(layout: str, row: list[str]) -> None:
    if layout.count("%s") != len(row):
        raise UserError(f"the format has {layout.count('%s')} places; the query selects {len(row)} columns")
    for value in row:
        layout = layout.replace("%s", value, 1)
    print(layout)


def _parse(text: str) -> tuple[list[tuple[str, int, int]], list[tuple[int, str]], int]:
    match = _SELECT.match(text)
    if match is None:
        raise UserError(f"`{text}` does not begin with `select`")
    columns = _columns()

    def column(name: str) -> int:
        found = columns.get(name.upper())
        if found is None:
            raise UserError(f"there is no column `{name}`; `iquest attrs` lists them")
        return int(found.icat_id)

    selected = []
    for part in match[2].split(","):
        term = _TERM.match(part.strip())
        if term is None:
            raise UserError(f"`{part.strip()}` is neither a column nor a function of one")
        name = term[2] or term[3]
        flag = _AGGREGATE[term[1].lower()] if term[1] else 1
        shown = f"{term[1].lower()}({name.upper()})" if term[1] and flag < 7 else name.upper()
        selected.append((shown, column(name), flag))
    conditions = []
    for part in _AND.split(match[3]) if match[3] else []:
        condition = _CONDITION.match(part)
        if condition is None:
            raise UserError(f"`{part}` is no condition such as `DATA_NAME like 'a%'`")
        conditions.append((column(condition[1] or condition[3]), (condition[2] or condition[4]).strip()))
    return selected, conditions, 0x40 if match[1] else 0


def _rows(
    session: iRODSSession,
    selected: list[tuple[str, int, int]],
    conditions: list[tuple[int, str]],
    options: int,
) -> list[list[str]]:
    rows: list[list[str]] = []
    continuation = 0
    while True:
        request = GenQueryRequest(
            maxRows=500, continueInx=continuation, partialStartIndex=0, options=options,
            KeyValPair_PI=StringStringMap(),
            InxIvalPair_PI=IntegerIntegerMap({number: flag for _, number, flag in selected}),
            InxValPair_PI=_condition_list(conditions),
        )  # fmt: skip
        with session.pool.get_connection() as connection:
            connection.send(iRODSMessage("RODS_API_REQ", msg=request, int_info=702))
            try:
                reply = connection.recv()
            except CAT_NO_ROWS_FOUND:
                return rows
            raw = reply.get_main_message(GenQueryResponse)
        columns = [list(result.value) for result in raw.SqlResult_PI[: raw.attriCnt]]
        rows += [list(row) for row in zip(*columns, strict=True)]
        continuation = raw.continueInx
        if continuation <= 0:
            return rows


def _condition_list(conditions: list[tuple[int, str]]) -> IntegerStringMap:
    """The conditions as a struct; a map would lose the second one on a column."""
    made = IntegerStringMap({})
    made.isLen = len(conditions)
    made.inx = [number for number, _ in conditions]
    made.svalue = [text for _, text in conditions]
    return made


def _specific(session: iRODSSession, given: list[str], *, as_json: bool) -> int:
    alias, *values = given
    rows = [
        [str(value) for value in row.values()] for row in SpecificQuery(session, alias=alias, args=values)
    ]
    if as_json:
        program.print_json(rows)
        return 0
    for row in rows:
        print("\n".join(row))
        print("----")
    return 0
