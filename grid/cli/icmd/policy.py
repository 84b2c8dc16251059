"""`iexplain`, `iqstat`, `iqdel`, `iqmod`: why things are as they are, and scheduled work."""

import argparse
from typing import Any

from irods.session import iRODSSession

from grid.cli.icmd import program
from grid.cli.icmd.administer import call


def iexplain_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "iexplain",
        "Why a data object is where it is, who may read it, which rules touched it and which will; or, with --event,"
        " what the policy would say to an event, and why.",
        "iexplain scan101.nxs\niexplain --event 'object create' raw/new.h5\n"
        "iexplain --event 'object read' --as anna scan101.nxs\niexplain --json scan101.nxs",
    )
    parser.add_argument("path", help="a data object, or where the event would happen")
    parser.add_argument("--event", help="such as 'object create'")
    parser.add_argument("--as", dest="user", default="", help="judge for this user; for administrators")
    parser.add_argument("--at", default="", metavar="TIME", help="judge at this time; now without")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def iexplain(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    path = program.absolute(environment, arguments.path)
    if arguments.event:
        given = {"event": arguments.event, "path": path, "user": arguments.user, "at": arguments.at}
        found = call(session, "explain_event", given)
    else:
        found = call(session, "explain_object", {"path": path})
    if arguments.json:
        program.print_json(found)
    elif arguments.event:
        _print_event(found)
    else:
        _print_object(found)
    return None


def _print_event(found: dict[str, Any]) -> None:
    print(f"{found['event']} {found['path']} as {found['actor']}, at {found['time']}")
    for rule in found["rules"]:
        print(f'  {rule["phase"]} "{rule["title"]}" ({rule["rule"]}): {rule["outcome"]}')
        for atom in rule["atoms"]:
            print(f"    {'true ' if atom['holds'] else 'FALSE'} {atom['text']}")
            for name, value in atom["values"].items():
                print(f"          {name} = {value}")
    print(f"decision: {found['decision']}")
    for effect in found["effects"] if found["decision"] == "allowed" else []:
        print(f"  would {effect}")


def _print_object(found: dict[str, Any]) -> None:
    print(f"{found['path']}, of {found['owner']}")
    for replica in found["replicas"]:
        kept = f", kept by {', '.join(replica['kept_by'])}" if replica["kept_by"] else ""
        print(
            f"  replica {replica['number']} on {replica['resource']}: {replica['state']}, {replica['bytes']:,} bytes{kept}"
        )
    print(f"  may be read by {', '.join(found['may_read']) or 'nobody'}")
    for rule in found["reading_is_decided_by"]:
        print(f"    unless {rule} refuses")
    for promise in found["promises"]:
        state = "met" if promise["met"] else "not met"
        print(f'  promise "{promise["title"]}" ({promise["keep"]}): {state}')
        for reason in promise["reasons"]:
            print(f"    {reason}")
    for decision in found["touched_by"]:
        print(
            f"  {decision['event']} by {decision['actor']}: {decision['decision']} {decision['rule']}".rstrip()
        )
    for job in found["will_be_touched_by"]:
        last = f", last failure: {job['last_failure']}" if job["last_failure"] else ""
        print(f'  job {job["id"]} "{job["name"]}" ({job["rule"]}): {job["state"]}{last}')


def iqstat_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "iqstat",
        "Scheduled work: state, attempts, next time and last failure.",
        "iqstat\niqstat -a\niqstat --json",
    )
    parser.add_argument("-a", dest="all", action="store_true", help="of all users; for administrators")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def iqstat(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    found = call(session, "jobs_list", {"all": arguments.all})
    if arguments.json:
        program.print_json(found)
        return None
    if not found:
        print("No delayed rules pending")
    for job in found:
        last = f"  {job['last_failure']}" if job["last_failure"] else ""
        print(
            f"{job['id']:>8} {job['state']:<8} {job['attempts']}/{job['max_attempts']} {job['next']} {job['name']}{last}"
        )
    return None


def iqdel_parser() -> argparse.ArgumentParser:
    parser = program.parser("iqdel", "Cancel scheduled work that waits.", "iqdel 10234\niqdel 10234 10235")
    parser.add_argument("job", type=int, nargs="+", help="its number, as iqstat shows it")
    return parser


def iqdel(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    for job in arguments.job:
        call(session, "job_change", {"job": job, "what": "cancel"})
    return None


def iqmod_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "iqmod", "Change scheduled work: its priority, or whether it runs.",
        "iqmod 10234 priority 9\niqmod 10234 pause\niqmod 10234 retry",
    )  # fmt: skip
    parser.add_argument("job", type=int, help="its number, as iqstat shows it")
    parser.add_argument("what", choices=("priority", "pause", "retry"), help="what to change")
    parser.add_argument("value", nargs="?", type=int, default=0, help="the priority, 1 to 9; 9 runs first")
    return parser


def iqmod(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    call(session, "job_change", {"job": arguments.job, "what": arguments.what, "priority": arguments.value})
    return None
