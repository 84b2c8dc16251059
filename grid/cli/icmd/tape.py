"""`istage`, `itape`, `iscrub`: bringing data back from tape, libraries as their operators see them, reading all of a resource."""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from irods.session import iRODSSession

from grid.cli.icmd import program
from grid.cli.icmd.administer import call
from grid.cli.icmd.catalog import rows_of
from grid.cli.icmd.program import UserError

_OVER: Final = ("done", "failed", "rejected", "cancelled")
_BATCH: Final = 200
_LOOK_EVERY_S: Final = 0.5


def istage_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "istage",
        "Bring data objects back from tape. A request is queued, mounting, positioning, reading, then done, failed, rejected"
        " or cancelled, always with a reason; what came back stays on disk until its pin expires.",
        "istage request scan101.nxs --wait\nistage request -r raw --priority 8 --pin 604800\n"
        "istage request --from paths.txt\nistage request --where \"COLL_NAME like '/demo/data/%' and META_DATA_ATTR_NAME = 'sample'\"\n"
        "istage status\nistage status 10234 --wait\nistage cancel 10234\nistage pin 10234 86400\nistage release 10234",
    )  # fmt: skip
    parser.add_argument("what", choices=("request", "status", "cancel", "pin", "release"))
    parser.add_argument(
        "subjects", nargs="*", metavar="path|request", help="paths to request, else request numbers"
    )
    parser.add_argument("-r", action="store_true", dest="recursive", help="everything below a collection")
    parser.add_argument(
        "--from", type=Path, dest="list", metavar="FILE", help="paths from a file, one a line"
    )
    parser.add_argument(
        "--where", metavar="CONDITION", help="what a query finds, with the conditions of iquest"
    )
    parser.add_argument("--priority", type=int, default=5, help="1 to 9, 9 first (5)")
    parser.add_argument(
        "--pin", type=int, default=-1, metavar="SECONDS", help="stay on disk so long, in the library's time"
    )
    parser.add_argument("--wait", action="store_true", help="until all is over, showing how it stands")
    parser.add_argument("-a", action="store_true", dest="all", help="of everybody; for administrators")
    parser.add_argument("--ended", action="store_true", help="those that are over too")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def istage(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    if arguments.what == "request":
        found = _request(session, environment, arguments)
    else:
        found = _change(session, arguments)
    if arguments.wait:
        found = _wait(session, found, quiet=arguments.json)
    if arguments.json:
        program.print_json(found)
    else:
        for one in found:
            print(_line(one))
        if not found:
            print("nothing is asked for")
    return program.EXIT_REFUSED if any(one["state"] in ("rejected", "failed") for one in found) else 0


def _request(
    session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    paths = list(dict.fromkeys(_paths(session, environment, arguments)))
    if not paths:
        raise UserError("found nothing to ask for; name data objects, or use -r, --from or --where")
    found: list[dict[str, Any]] = []
    for begin in range(0, len(paths), _BATCH):
        asked = {
            "paths": paths[begin : begin + _BATCH],
            "priority": arguments.priority,
            "pin_s": arguments.pin,
        }
        found += call(session, "stage_request", asked)
    return found


def _paths(
    session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace
) -> Iterator[str]:
    texts = list(arguments.subjects)
    if arguments.list is not None:
        texts += [line.strip() for line in arguments.list.read_text("utf-8").splitlines() if line.strip()]
    for text in texts:
        path = program.absolute(environment, text)
        if not session.collections.exists(path):
            yield path
        elif not arguments.recursive:
            raise UserError(f"{path} is a collection; use -r")
        else:
            for collection, _, data_objects in session.collections.get(path).walk():
                for found in data_objects:
                    yield f"{collection.path}/{found.name}"
    if arguments.where:
        yield from (
            f"{row[0]}/{row[1]}"
            for row in rows_of(session, f"select COLL_NAME, DATA_NAME where {arguments.where}")
        )


def _change(session: iRODSSession, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    numbers = [_whole(text) for text in arguments.subjects]
    if arguments.what == "status":
        if numbers:
            return list(call(session, "stage_status", {"requests": numbers}))
        return list(call(session, "stage_status", {"all": arguments.all, "ended": arguments.ended}))
    if arguments.what == "cancel":
        return list(call(session, "stage_cancel", {"requests": _needed(numbers)}))
    if arguments.what == "release":
        return list(call(session, "stage_pin", {"requests": _needed(numbers), "seconds": 0}))
    if len(numbers) < 2:
        raise UserError("found too little to pin: a request's number and seconds were expected")
    return list(call(session, "stage_pin", {"requests": numbers[:-1], "seconds": numbers[-1]}))


def _whole(text: str) -> int:
    if not text.isdigit():
        raise UserError(
            f"found `{text}` where the number of a request was expected; `istage status` shows them"
        )
    return int(text)


def _needed(numbers: list[int]) -> list[int]:
    if not numbers:
        raise UserError("found no request; `istage status` shows them")
    return numbers


def _wait(session: iRODSSession, found: list[dict[str, Any]], *, quiet: bool) -> list[dict[str, Any]]:
    """Look again until all requests are over; live on a terminal, a line for each change elsewhere."""
    live = sys.stderr.isatty() and not quiet
    shown: dict[int, str] = {}
    while True:
        waiting = [one["request"] for one in found if one["state"] not in _OVER]
        if not quiet:
            _show(found, shown, live)
        if not waiting:
            if live:
                print(file=sys.stderr)
            return found
        time.sleep(_LOOK_EVERY_S)
        fresh: dict[int, dict[str, Any]] = {}
        for begin in range(0, len(waiting), _BATCH):
            asked = call(session, "stage_status", {"requests": waiting[begin : begin + _BATCH]})
            fresh |= {one["request"]: one for one in asked}
        found = [{**one, **fresh.get(one["request"], {}), "path": one["path"]} for one in found]


def _show(found: list[dict[str, Any]], shown: dict[int, str], live: bool) -> None:
    if live:
        counts: dict[str, int] = {}
        for one in found:
            counts[one["state"]] = counts.get(one["state"], 0) + 1
        busy = next((one for one in found if one["state"] in ("mounting", "positioning", "reading")), None)
        doing = f"; {busy['state']} {busy['cartridge']} for {busy['path']}" if busy else ""
        text = ", ".join(f"{count} {state}" for state, count in counts.items())
        print(f"\r\x1b[K{text}{doing}"[:200], end="", file=sys.stderr, flush=True)
        return
    for one in found:
        if shown.get(one["request"]) != one["state"] and one["state"] not in _OVER:
            print(_line(one), file=sys.stderr)
        shown[one["request"]] = one["state"]


def _line(one: dict[str, Any]) -> str:
    text = f"{one['request'] or '-':>8} {one['state']:<11} {one['path']}"
    if one["state"] not in _OVER:
        text += f"  on {one['cartridge']}, {one['before']} before it, in about {one['expected_in_s']:.0f} s"
    if one.get("took_s") is not None and one["state"] == "done":
        text += f"  took {one['took_s']} s, {abs(one['estimate_was_off_by_s'])} s off the estimate"
    return text + (f"  {one['reason']}" if one["reason"] else "")


def itape_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "itape",
        "A tape library, for its operators: `show` drives, robot, cartridges and queue on one page; `repack` a cartridge;"
        " say that something is out of order (`fault`) or mended (`mend`), or how a cartridge is (`cartridge`).",
        "itape show\nitape show --resource tape2 --json\nitape repack T00004\nitape fault drive1 'stuck'\n"
        "itape fault robot 'jammed'\nitape mend drive1\nitape cartridge T00004 protected\nitape cartridge T00004 --bad-block 123456",
    )  # fmt: skip
    parser.add_argument(
        "what", nargs="?", default="show", choices=("show", "repack", "fault", "mend", "cartridge")
    )
    parser.add_argument("subject", nargs="?", default="", help="a drive, `robot`, or a cartridge's label")
    parser.add_argument("value", nargs="?", default="", help="the fault, or good, full, protected, lost")
    parser.add_argument(
        "--bad-block", type=int, default=-1, metavar="POSITION", help="a byte that cannot be read"
    )
    parser.add_argument("--resource", default="", help="the tape resource; the first one without")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def itape(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    if arguments.what != "show" and not arguments.subject:
        raise UserError(
            f"found nothing to {arguments.what}; a drive, `robot` or a cartridge's label was expected"
        )
    where = {"resource": arguments.resource}
    if arguments.what == "show":
        found = call(session, "tape_show", where)
    elif arguments.what == "repack":
        found = call(session, "tape_repack", {**where, "label": arguments.subject})
    elif arguments.what == "cartridge":
        asked = {
            **where,
            "label": arguments.subject,
            "condition": arguments.value,
            "bad_block": arguments.bad_block,
        }
        found = call(session, "tape_condition", asked)
    else:
        fault = arguments.value or "out of order" if arguments.what == "fault" else ""
        found = call(session, "tape_fault", {**where, "part": arguments.subject, "fault": fault})
    if arguments.json:
        program.print_json(found)
    elif arguments.what == "show":
        _print_library(found)
    elif arguments.what == "repack":
        print(
            f"{found['cartridge']} is repacked by the next idle drive: {found['bytes']:,} bytes are still wanted"
        )
    elif arguments.what == "cartridge":
        print(f"{found['cartridge']['label']} is {found['cartridge']['condition']}")
        for path in found["lost"]:
            print(f"  lost: {path}")
    else:
        print(f"{found['part']}: {found['fault'] or 'in order'}")
    return None


def _print_library(found: dict[str, Any]) -> None:
    print(
        f"{found['resource']}: {found['mounts']} mounts, robot {found['robot']}, time {found['clock_factor']:g} x"
    )
    for drive in found["drives"]:
        print(f"  {drive['drive']:<8} {drive['cartridge'] or '-':<8} {drive['doing']}")
    used = [c for c in found["cartridges"] if c["used_bytes"] or c["condition"] != "good"]
    print(f"  {len(found['cartridges'])} cartridges, {len(found['cartridges']) - len(used)} empty")
    for c in used:
        share = 100 * c["used_bytes"] / c["capacity_bytes"]
        gone = f", {c['deleted_bytes']:,} bytes nobody wants" if c["deleted_bytes"] else ""
        bad = f", {len(c['bad_blocks'])} bad blocks" if c["bad_blocks"] else ""
        print(f"    {c['label']:<8} {share:5.1f} % full, {c['condition']}, {c['mounts']} mounts{gone}{bad}")
    print(
        f"  {sum(one['requests'] for one in found['queue'])} recalls wait, {found['to_be_written']} files wait to be written"
    )
    for one in found["queue"]:
        print(
            f"    {one['cartridge']:<8} {one['requests']} for {', '.join(sorted(one['users']))}, {one['size']:,} bytes"
        )
    if found["estimates"]["arrived"]:
        print(
            f"  of the last {found['estimates']['arrived']} that arrived, half were within"
            f" {found['estimates']['median_off_by_s']} s of the estimate"
        )


def iscrub_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "iscrub",
        "Read everything on a resource, at a bounded rate, and compare it with the recorded checksums. Bad replicas are named,"
        " marked stale and, with --repair, made good again from another replica. A pass goes on after a restart.",
        "iscrub start diskResc\niscrub start diskResc --rate 50000000 --repair\niscrub show\niscrub show 10234\niscrub stop 10234",
    )  # fmt: skip
    parser.add_argument("what", nargs="?", default="show", choices=("start", "show", "stop"))
    parser.add_argument(
        "subject", nargs="?", default="", help="a resource to start, else the number of a pass"
    )
    parser.add_argument(
        "--rate", type=int, default=100_000_000, metavar="BYTES", help="bytes/s at the most (100,000,000)"
    )
    parser.add_argument("--repair", action="store_true", help="make bad replicas good again")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def iscrub(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    if arguments.what == "start":
        asked = {"resource": arguments.subject, "rate": arguments.rate, "repair": arguments.repair}
        found = [call(session, "scrub_start", asked)]
    elif arguments.what == "stop":
        found = [call(session, "scrub_stop", {"scrub": _whole(arguments.subject)})]
    else:
        found = call(session, "scrub_show", {"scrub": _whole(arguments.subject)} if arguments.subject else {})
    if arguments.json:
        program.print_json(found)
        return None
    for one in found:
        print(
            f"{one['id']:>8} {one['resource']:<16} {one['state']:<8} {one['checked']} replicas, {one['read_bytes']:,} bytes read,"
            f" {one['bad']} bad, {one['repaired']} repaired, {one['skipped']} not read"
        )
        for finding in one["findings"]:
            print(
                f"         {finding['outcome']}: {finding['path']} replica {finding['replica']}  {finding['reason']}".rstrip()
            )
    if not found:
        print("nothing was scrubbed yet")
    return None
