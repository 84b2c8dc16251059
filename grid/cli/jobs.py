"""`beamgrid jobs ...`: scheduled work, what it waits for, and why it failed."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grid import app
from grid.catalog import jobs
from grid.catalog.jobs import Job
from grid.errors import InvalidArgument, NotFound

_OPEN = ("waiting", "running", "paused", "dead")
_EXAMPLES = """examples:
  beamgrid jobs list ./zone
  beamgrid jobs list ./zone --state dead
  beamgrid jobs show ./zone 10234
  beamgrid jobs retry ./zone 10234
"""


def add_parser(commands: Any) -> None:
    """Add the commands to the command line."""
    parser = commands.add_parser(
        "jobs", help="scheduled work: list, show, retry, cancel, drop, pause", epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    listing = verbs.add_parser("list", help="jobs that wait, run, are paused or were given up")
    listing.add_argument("dir", type=Path)
    listing.add_argument("--state", choices=(*_OPEN, "done", "cancelled"))
    listing.add_argument("--json", action="store_true")
    for name, text in (
        ("show", "everything about one job"), ("retry", "run it again, with all its attempts"),
        ("cancel", "do not run it"), ("drop", "forget a job that ended"), ("pause", "keep it, and do not run it"),
    ):  # fmt: skip
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("dir", type=Path)
        verb.add_argument("job", type=int)
        verb.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    """Run one command; 1 when the job is not there or not in a state for it."""
    zone = app.open_zone(arguments.dir)
    try:
        if arguments.verb == "list":
            states = (arguments.state,) if arguments.state else _OPEN
            with zone.database.read() as tx:
                found = jobs.listed(tx, states=states)
            _print_list(found, arguments.json)
            return 0
        with zone.database.write() as tx:
            job = jobs.by_id_or_none(tx, arguments.job)
            if job is None:
                raise NotFound(f"there is no job {arguments.job}")
            if arguments.verb != "show":
                became = jobs.change_state(tx, job.id, arguments.verb)
                if became is None:
                    raise InvalidArgument(
                        f"job {job.id} is {job.state}; `{arguments.verb}` is not possible then"
                    )
                print(f"job {job.id} ({job.name}): {became}")
                return 0
        _print_one(job, arguments.json)
        return 0
    finally:
        zone.close()


def facts(job: Job) -> dict[str, Any]:
    """A job for people and programs."""
    return {
        "id": job.id, "name": job.name, "rule": job.rule_id, "key": job.key, "state": job.state,
        "priority": job.priority, "lane": job.lane, "user": f"{job.user_name}#{job.user_zone}",
        "next": _time(job.not_before), "deadline": _time(job.deadline), "attempts": job.attempts,
        "max_attempts": job.max_attempts, "last_failure": job.last_failure, "created": _time(job.created_at),
        "policy_generation": job.bundle_generation,
    }  # fmt: skip


def _time(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else ""


def _print_list(found: list[Job], as_json: bool) -> None:
    if as_json:
        print(json.dumps([facts(job) for job in found], indent=2))
        return
    if not found:
        print("no jobs")
    for job in found:
        last = f"  {job.last_failure}" if job.last_failure else ""
        print(
            f"{job.id:>8}  {job.state:<9} {job.attempts}/{job.max_attempts}  {_time(job.not_before)}  {job.name} ({job.rule_id}){last}"
        )


def _print_one(job: Job, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**facts(job), "values": job.captured}, indent=2))
        return
    for name, value in facts(job).items():
        print(f"{name:>18}: {value}")
    print(f"{'values':>18}: {json.dumps(job.captured)}")
