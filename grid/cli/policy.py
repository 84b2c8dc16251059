"""`beamgrid policy ...`: what data stewards do with policies, from the first check to a rollback."""

import argparse
import difflib
import getpass
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grid import app
from grid.app import Zone
from grid.catalog import bundles as rows
from grid.catalog import journal, periodic, promises
from grid.cli import policy_signing
from grid.errors import ConfigurationError
from grid.policy import bundles, dryrun, explain, pushing
from grid.policy.grants import BundleError, Reach
from grid.policy.stewards import Stewards
from rules import RuleCheckError, Source, ast, format_policy, parse
from rules.prose import prose
from rules.testing import TestReport

_EXAMPLES = """examples:
  beamgrid policy check facility.policy
  beamgrid policy fmt --write facility.policy
  beamgrid policy test facility.policy --coverage
  beamgrid policy explain ./zone --event "object create" --path /demo/data/.../raw/a.h5 --as anna
  beamgrid policy dryrun ./zone facility.policy
  beamgrid policy push ./zone facility.policy
  beamgrid policy rollback ./zone
  beamgrid policy log ./zone --refused --path /demo/data
"""


def add_parser(commands: Any) -> None:
    """Add the commands to the command line."""
    policy = commands.add_parser(
        "policy", help="check, test, explain, try and activate policies", epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    verbs = policy.add_subparsers(dest="verb", required=True, metavar="verb")

    def files(name: str, help_text: str) -> Any:
        parser = verbs.add_parser(name, help=help_text)
        parser.add_argument("file", type=Path, nargs="+")
        return parser

    check = files("check", "check policy files; several may use each other")
    check.add_argument("--zone", default="", help="the zone they are for")
    check.add_argument("--json", action="store_true")
    fmt = files("fmt", "print the canonical layout")
    fmt.add_argument("--write", action="store_true", help="change the files")
    fmt.add_argument("--check", action="store_true", help="only say which files would change")
    test = files("test", "run the tests that stand in the files")
    test.add_argument(
        "--coverage", action="store_true", help="what the tests reach: rules, conditions, statements"
    )
    test.add_argument("--json", action="store_true")
    files("doc", "the policy as prose")
    diff = verbs.add_parser("diff", help="what differs between files and the active policy")
    diff.add_argument("dir", type=Path)
    diff.add_argument("file", type=Path, nargs="+")
    _add_explain(verbs)
    dry = verbs.add_parser("dryrun", help="what files would change, without changing anything")
    dry.add_argument("dir", type=Path)
    dry.add_argument("file", type=Path, nargs="+")
    dry.add_argument("--decisions", type=int, default=500, help="recorded decisions to judge again (500)")
    dry.add_argument("--json", action="store_true")
    policy_signing.add_parsers(verbs)
    push = verbs.add_parser("push", help="make files the zone's policy, beside the files of others")
    push.add_argument("dir", type=Path)
    push.add_argument("file", type=Path, nargs="+")
    push.add_argument(
        "--without-shipped",
        action="store_true",
        help="leave out what a new zone comes with, such as what has its services sign",
    )
    for parser in (dry, push):
        reach = parser.add_mutually_exclusive_group()
        reach.add_argument(
            "--grant", action="append", metavar="LOCATION", help="where the rules may act; everywhere without"
        )
        reach.add_argument(
            "--stewards", metavar="GROUP", help="as files of this group, where the settings tie it to"
        )
    status = verbs.add_parser("status", help="the active policy, those before it, unmet promises, sweeps")
    status.add_argument("dir", type=Path)
    status.add_argument("--json", action="store_true")
    log = verbs.add_parser("log", help="what was decided, newest first")
    log.add_argument("dir", type=Path)
    log.add_argument("--refused", action="store_true", help="only what was not allowed")
    log.add_argument("--path", default="", help="about this path and what lies below it")
    log.add_argument("--by", default="", metavar="USER#ZONE", help="of one user")
    log.add_argument("--limit", type=int, default=50, help="so many at the most (50)")
    log.add_argument("--json", action="store_true")
    rollback = verbs.add_parser("rollback", help="activate an earlier policy again")
    rollback.add_argument("dir", type=Path)
    rollback.add_argument(
        "--to", type=int, metavar="GENERATION", help="the one before the active one without"
    )
    rollback.add_argument("--stewards", metavar="GROUP", help="only the files of this group")


def _add_explain(verbs: Any) -> None:
    parser = verbs.add_parser("explain", help="who may do what where, and why")
    parser.add_argument("dir", type=Path)
    parser.add_argument("--event", "--pep", required=True, help='such as "object create"')
    parser.add_argument("--path", required=True)
    parser.add_argument("--as", dest="user", required=True, help="the user's name")
    parser.add_argument("--at", default="", metavar="TIME", help="such as 2026-03-02T10:00Z; now without")
    parser.add_argument(
        "--fact", action="append", default=[], metavar="ENTITY.NAME=VALUE", help="such as change.name=title"
    )
    parser.add_argument(
        "--bundle", type=Path, nargs="+", metavar="FILE", help="explain these files, not the active policy"
    )
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    """Run one command; 0 is success, 1 a finding or a failed test."""
    return _VERBS[arguments.verb](arguments)


def _sources(files: list[Path]) -> dict[str, str]:
    try:
        return {file.name: file.read_text("utf-8") for file in files}
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"a policy file is not UTF-8 text: {error}") from error


@contextmanager
def _zone(folder: Path, *, role: str = "") -> Iterator[Zone]:
    zone = app.open_zone(folder, role=role)
    try:
        yield zone
    finally:
        zone.close()


def _coloured(text: str, colour: str) -> str:
    codes = {"red": "31", "green": "32", "yellow": "33"}
    return f"\x1b[{codes[colour]}m{text}\x1b[0m" if sys.stdout.isatty() else text


def _check(arguments: argparse.Namespace) -> int:
    parsed, meant, found = bundles.examined(_sources(arguments.file), arguments.zone)
    errors = [entry for entry in found if not entry[1].is_warning]
    missing = sorted({name for policy in meant for name in policy.calls if not bundles.is_implemented(name)})
    if arguments.json:
        data = {"findings": [f.as_data(s) for s, f in found], "not_in_this_zone_yet": missing}
        print(json.dumps(data, indent=2))
        return 1 if errors else 0
    for source, finding in found:
        print(finding.render(source), file=sys.stderr)
    if errors:
        return 1
    for policy in parsed:
        counts = f"{len(policy.of(ast.Rule))} rules, {len(policy.of(ast.Keep))} keeps, {len(policy.of(ast.Sweep))} sweeps"
        print(
            f"{policy.name} version {policy.version}: {counts}, {len(policy.of(ast.PolicyTest))} tests check"
        )
    if missing:
        print(f"a zone cannot do {', '.join(missing)} yet: this can be tested, not served")
    return 0


def _fmt(arguments: argparse.Namespace) -> int:
    changed = 0
    for file in arguments.file:
        text = file.read_text("utf-8")
        try:
            formatted = format_policy(parse(Source(file.name, text)))
        except RuleCheckError as error:
            print(error, file=sys.stderr)
            return 1
        if not arguments.write and not arguments.check:
            sys.stdout.write(formatted)
        elif formatted != text:
            changed += 1
            print(f"{file}: {'would change' if arguments.check else 'changed'}")
            if arguments.write:
                file.write_text(formatted, "utf-8")
    return 1 if arguments.check and changed else 0


def _test(arguments: argparse.Namespace) -> int:
    try:
        reports = pushing.test_reports(_sources(arguments.file))
    except BundleError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps({r.policy: pushing.report_data(r) for r in reports.values()}, indent=2))
    else:
        for report in reports.values():
            _print_tests(report.policy, report, arguments.coverage)
    return 0 if all(report.passed for report in reports.values()) else 1


def _print_tests(name: str, report: TestReport, with_coverage: bool) -> None:
    for result in report.results:
        mark = _coloured("pass", "green") if result.passed else _coloured("FAIL", "red")
        print(f"{mark}  {name}:{result.line}  {result.title}")
        for failure in result.failures:
            print(f"      {failure}")
    passed = sum(result.passed for result in report.results)
    print(f"{name}: {passed} of {len(report.results)} tests pass")
    if with_coverage:
        for what, (reached, of) in report.coverage.summary().items():
            print(f"  {what}: {reached} of {of} reached")
        for rule, reached in sorted(report.coverage.rules.items()):
            if not reached:
                print(f"  not reached: {rule}")
        for (rule, atom), seen in sorted(report.coverage.atoms.items()):
            for missing in {True, False} - seen:
                print(f"  never {str(missing).lower()}: {atom.rpartition('#')[0]}  ({rule})")


def _doc(arguments: argparse.Namespace) -> int:
    for file in arguments.file:
        try:
            print(prose(parse(Source(file.name, file.read_text("utf-8")))))
        except RuleCheckError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


def _active_sources(zone: Zone) -> dict[str, str]:
    with zone.database.read() as tx:
        active = rows.bundle(tx, rows.active_generation(tx))
    return active.sources if active is not None else {}


def _diff(arguments: argparse.Namespace) -> int:
    with _zone(arguments.dir) as zone:
        old = _active_sources(zone)
    new = _sources(arguments.file)
    differs = False
    for name in sorted(old.keys() | new.keys()):
        lines = list(
            difflib.unified_diff(
                _canonical(name, old.get(name, "")),
                _canonical(name, new.get(name, "")),
                f"active/{name}",
                f"new/{name}",
                lineterm="",
            )
        )
        differs = differs or bool(lines)
        for line in lines:
            colour = "green" if line.startswith("+") else "red" if line.startswith("-") else ""
            print(_coloured(line, colour) if colour else line)
    return 1 if differs else 0


def _canonical(name: str, text: str) -> list[str]:
    try:
        return format_policy(parse(Source(name, text))).splitlines() if text else []
    except RuleCheckError:
        return text.splitlines()


def _facts(given: list[str]) -> dict[str, dict[str, Any]]:
    facts: dict[str, dict[str, Any]] = {}
    for entry in given:
        name, equals, value = entry.partition("=")
        entity, dot, attribute = name.partition(".")
        if not (equals and dot):
            raise ConfigurationError(
                f"found `{entry}` where ENTITY.NAME=VALUE was expected, such as change.name=title"
            )
        facts.setdefault(entity, {})[attribute] = int(value) if value.isdigit() else value
    return facts


def _explain(arguments: argparse.Namespace) -> int:
    with _zone(arguments.dir) as zone:
        try:
            at = datetime.fromisoformat(arguments.at) if arguments.at else datetime.now(UTC)
        except ValueError as error:
            raise ConfigurationError(
                f"found `{arguments.at}` where a time such as 2026-03-02T10:00Z was expected"
            ) from error
        at = at if at.tzinfo is not None else at.replace(tzinfo=zone.policy.timezone)
        caller = zone.namespace.users.caller(arguments.user, zone.settings.zone, request_id="explain")
        bundle = bundles.checked(_sources(arguments.bundle), zone.settings.zone) if arguments.bundle else None
        found = explain.explain(
            zone.namespace,
            zone.policy,
            caller,
            arguments.event,
            arguments.path,
            _facts(arguments.fact),
            now=at,
            bundle=bundle,
        )
    if arguments.json:
        print(json.dumps(found.as_data(), indent=2))
    else:
        text = explain.report_text(found)
        for mark, colour in (("x ", "red"), ("! ", "red"), ("+ ", "green")):
            text = "\n".join(
                _coloured(line, colour) if line.startswith(mark) else line for line in text.splitlines()
            )
        print(text)
    return 0


def _dryrun(arguments: argparse.Namespace) -> int:
    with _zone(arguments.dir) as zone:
        whole = pushing.composed(zone.database, _sources(arguments.file), _reach(arguments, zone))
        new = bundles.checked(whole.sources, zone.settings.zone, reaches=whole.reaches)
        report = dryrun.dry_run(zone.namespace, zone.policy, new, decisions=arguments.decisions)
    print(json.dumps(report.as_data(), indent=2) if arguments.json else dryrun.report_text(report))
    return 0


def _reach(arguments: argparse.Namespace, zone: Zone) -> Reach:
    """Where the files of the command line may act, and whose they are."""
    if arguments.stewards:
        return Stewards(zone.settings.stewards).reach(arguments.stewards)
    return Reach(tuple(arguments.grant) if arguments.grant else None)


def _push(arguments: argparse.Namespace) -> int:
    sources = _sources(arguments.file)
    with _zone(arguments.dir) as zone:
        reach = _reach(arguments, zone)
        generation = pushing.push(
            zone.database,
            zone.settings.zone,
            sources,
            reach,
            pusher=getpass.getuser(),
            trust=zone.policy.trust,
            without_shipped=arguments.without_shipped,
        )
    print(f"generation {generation} is active; `beamgrid policy rollback {arguments.dir}` goes back")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    with _zone(arguments.dir) as zone:
        active = zone.policy.bundle.current
        with zone.database.read() as tx:
            history = rows.bundles(tx, limit=10)
            tests = rows.test_reports(tx, active.generation)
            unmet = promises.unmet(tx, limit=20)
            sweeps = periodic.listed(tx)
        problem = zone.policy.bundle.problem
    data: dict[str, Any] = {
        "active": active.description, "generation": active.generation, "problem": problem,
        "history": [
            {
                "generation": b.generation, "origin": b.origin, "digest": b.digest[:16], "by": b.pusher,
                "at": _time(b.activated_at), "files": {name: asdict(entry) for name, entry in b.manifest.items()},
            }
            for b in history
        ],
        "tests": tests,
        "unmet_promises": [{"object": s.data_id, "keep": s.keep_id, "reason": s.reason, "attempts": s.attempts} for s in unmet],
        "periodic": [{"name": n, "next": _time(next_at), "last": _time(last), "result": r} for n, next_at, last, r in sweeps],
    }  # fmt: skip
    if arguments.json:
        print(json.dumps(data, indent=2))
        return 0
    print(f"active: {data['active']} (generation {data['generation']})")
    if problem:
        print(_coloured(problem, "red"))
    for name, report in tests.items():
        passed = sum(one["passed"] for one in report["tests"])
        reached = ", ".join(f"{r['reached']} of {r['of']} {what}" for what, r in report["coverage"].items())
        print(
            f"  {name}: {passed} of {len(report['tests'])} tests passed when it was pushed, reaching {reached}"
        )
    for entry in data["history"]:
        by = f" by {entry['by']}" if entry["by"] else ""
        files = "; ".join(_file_shown(name, about) for name, about in entry["files"].items())
        print(f"  {entry['generation']}  {entry['at']}  {entry['origin']}{by}  {files}")
    for state in data["unmet_promises"]:
        print(
            f"  unmet: object {state['object']}, {state['keep']}: {state['reason']} ({state['attempts']} attempts)"
        )
    for work in data["periodic"]:
        print(f"  {work['name']}: next {work['next']}, last {work['last']}: {work['result']}")
    return 0


def _file_shown(name: str, about: Mapping[str, Any]) -> str:
    whose = f" of {about['stewards']}" if about["stewards"] else ""
    return f"{name}{whose} may act {', '.join(about['granted']) if about['granted'] is not None else 'everywhere'}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else "never"


def _log(arguments: argparse.Namespace) -> int:
    with _zone(arguments.dir) as zone, zone.database.read() as tx:
        found = journal.recent_decisions(
            tx, limit=arguments.limit, refused_only=arguments.refused, path=arguments.path, actor=arguments.by
        )
    if arguments.json:
        data = [{name: getattr(one, name) for name in one.__slots__} for one in found]
        print(json.dumps([{**one, "decided_at": _time(one["decided_at"])} for one in data], indent=2))
        return 0
    for one in found:
        because = f"  {one.code}: {one.sentence}" if one.code else ""
        colour = "green" if one.decision == "allowed" else "red"
        decision = _coloured(one.decision, colour)
        print(
            f"{_time(one.decided_at)}  {decision}  {one.event} {one.subject} by {one.actor}  {one.rule}{because}".rstrip()
        )
    if not found:
        print("nothing of that is on record")
    return 0


def _rollback(arguments: argparse.Namespace) -> int:
    with _zone(arguments.dir) as zone:
        reach = _reach(arguments, zone) if arguments.stewards else None
        generation, again = pushing.roll_back(
            zone.database,
            zone.settings.zone,
            pusher=getpass.getuser(),
            to=arguments.to,
            reach=reach,
            trust=zone.policy.trust,
        )
    what = f"the policy of {arguments.stewards}" if arguments.stewards else "the policy"
    print(f"generation {generation} is active: {what} of generation {again} again")
    return 0


_VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "check": _check, "fmt": _fmt, "test": _test, "doc": _doc, "diff": _diff, "explain": _explain, "dryrun": _dryrun,
    "push": _push, "status": _status, "rollback": _rollback,
    "log": _log, "sign": policy_signing.sign, "accept": policy_signing.accept,
}  # fmt: skip
