"""`ispace`: room on buffers, and its reservations."""

import argparse
import re
import time
from typing import Any, Final

from irods.session import iRODSSession

from grid.cli.icmd import program
from grid.cli.icmd.administer import call
from grid.cli.icmd.program import UserError


def ispace_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "ispace",
        "Show what of a buffer is free and who reserved what; reserve room for a user, who uses it with `iput --reservation KEY`;"
        " release it.",
        "ispace show fast\nispace reserve fast '2 TB' --for anna --time '8 h'\nispace release 0f3a9c12d4e5b671",
    )  # fmt: skip
    parser.add_argument("what", choices=("show", "reserve", "release"))
    parser.add_argument("subject", help="a buffer, or the key of a reservation to release")
    parser.add_argument("size", nargs="?", default="", help="how much to reserve, such as '500 GB'")
    parser.add_argument("--for", dest="user", default="", help="who may use it; you without")
    parser.add_argument("--time", default="1 h", help="how long, such as '90 min', '8 h', '2 d' (1 h)")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def ispace(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    if arguments.what == "show":
        found = call(session, "space_show", {"resource": arguments.subject})
    elif arguments.what == "release":
        found = call(session, "space_release", {"key": arguments.subject})
    else:
        found = call(session, "space_reserve", _asked(arguments))
    if arguments.json:
        program.print_json(found)
    elif arguments.what == "show":
        _print_buffer(found)
    elif arguments.what == "release":
        print(f"{found['key']} is released")
    else:
        until = time.strftime("%Y-%m-%d %H:%M", time.localtime(found["until"]))
        print(f"{found['key']}: {found['bytes']:,} bytes for {found['user']} until {until}")
    return None


_UNITS: Final = {
    "size": {f"{letter}{i}B": (1024 if i else 1000) ** n for n, letter in enumerate("KMGTP", 1) for i in ("", "i")}
    | {"B": 1, "": 1},
    "time": {"s": 1, "min": 60, "h": 3600, "d": 86_400},
}  # fmt: skip


def _number(text: str, units: str, example: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]*)", text.strip())
    if found is None or found[2] not in _UNITS[units]:
        raise UserError(f"found `{text}` where something such as `{example}` was expected")
    return int(float(found[1]) * _UNITS[units][found[2]])


def _asked(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "resource": arguments.subject,
        "bytes": _number(arguments.size, "size", "500 GB"),
        "seconds": _number(arguments.time, "time", "8 h"),
        "user": arguments.user,
    }


def _print_buffer(found: dict[str, Any]) -> None:
    share = 100 * found["free_bytes"] / found["capacity_bytes"]
    print(
        f"{found['resource']}: {found['free_bytes']:,} of {found['capacity_bytes']:,} bytes are free ({share:.0f} %)"
    )
    for one in found["reservations"]:
        until = time.strftime("%Y-%m-%d %H:%M", time.localtime(one["until"]))
        print(f"  {one['key']}  {one['bytes']:>18,} bytes are left for {one['owner']} until {until}")
