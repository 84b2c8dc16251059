"""`iexplain`, `iqstat`, `iqdel`, `iqmod`, `ipolicy`: why things are as they are, scheduled work, stewards' policies."""

import argparse
from pathlib import Path
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


def ipolicy_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "ipolicy",
        "The policy files of a group of stewards, for its members: `show` them, `get` them into a folder, `push` others"
        " in their place, `rollback` to what they were. Files are checked and their tests run before they count; try"
        " them first with `beamgrid policy check` and `beamgrid policy test`.",
        "ipolicy show nanomax-stewards\nipolicy get nanomax-stewards policies/\n"
        "ipolicy push nanomax-stewards policies/nanomax.policy\nipolicy rollback nanomax-stewards",
    )
    parser.add_argument("what", choices=("show", "get", "push", "rollback"))
    parser.add_argument("stewards", metavar="GROUP", help="the group of stewards, as in the zone's settings")
    parser.add_argument(
        "file", type=Path, nargs="*", help="policy files to push, or the folder to get them into"
    )
    parser.add_argument("--to", type=int, default=0, metavar="GENERATION", help="roll back to this one")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def ipolicy(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    answer = {"show": _policy_show, "get": _policy_get, "push": _policy_push, "rollback": _policy_rollback}
    found = answer[arguments.what](session, arguments)
    if arguments.json:
        program.print_json(found)
    return None


def _policy_show(session: iRODSSession, arguments: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = call(session, "policy_files", {"stewards": arguments.stewards})
    if not arguments.json:
        print(
            f"generation {found['generation']}; {arguments.stewards} may act at {', '.join(found['may_act'])}"
        )
        for name, file in found["files"].items():
            tests = (file["tests"] or {}).get("tests", [])
            print(f"  {name}: {sum(test['passed'] for test in tests)} of {len(tests)} tests passed")
        if not found["files"]:
            print("  no files yet")
    return found


def _policy_get(session: iRODSSession, arguments: argparse.Namespace) -> dict[str, Any]:
    if len(arguments.file) > 1:
        raise program.UserError("found several folders where one was expected")
    folder = arguments.file[0] if arguments.file else Path()
    found: dict[str, Any] = call(session, "policy_files", {"stewards": arguments.stewards})
    folder.mkdir(parents=True, exist_ok=True)
    there = [name for name in found["files"] if (folder / name).exists()]
    if there:
        raise program.UserError(f"`{folder / there[0]}` is there already; get them into another folder")
    for name, file in found["files"].items():
        (folder / name).write_text(file["text"], "utf-8")
        if not arguments.json:
            print(folder / name)
    return {"files": [str(folder / name) for name in found["files"]]}


def _policy_push(session: iRODSSession, arguments: argparse.Namespace) -> dict[str, Any]:
    if not arguments.file:
        raise program.UserError("found no policy file where one or more were expected")
    files = {file.name: file.read_text("utf-8") for file in arguments.file}
    found: dict[str, Any] = call(session, "policy_push", {"stewards": arguments.stewards, "files": files})
    if not arguments.json:
        print(
            f"generation {found['generation']} is active; `ipolicy rollback {arguments.stewards}` goes back"
        )
    return found


def _policy_rollback(session: iRODSSession, arguments: argparse.Namespace) -> dict[str, Any]:
    asked = {"stewards": arguments.stewards, "to": arguments.to}
    found: dict[str, Any] = call(session, "policy_rollback", asked)
    if not arguments.json:
        print(f"generation {found['generation']} is active: what it was in generation {found['again']}")
    return found
