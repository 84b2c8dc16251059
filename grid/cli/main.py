"""`beamgrid`: making, serving and looking after a zone."""

import argparse
import getpass
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from grid import app, config, maintenance, serving
from grid.cli import jobs as job_commands
from grid.cli import kernels as kernel_commands
from grid.cli import policy as policy_commands
from grid.cli import streams as stream_commands
from grid.errors import GridError
from grid.secrets import KeyFileError
from provenance import commands as provenance_commands

_EXAMPLES = """examples:
  beamgrid init ./maxiv --zone maxiv --admin rods
  beamgrid serve ./maxiv --workers 4
  beamgrid status ./maxiv --json
  beamgrid policy check ./maxiv/facility.policy
  beamgrid stream open raw/scan1.nxs --detector eiger --from tcp://eiger:31001
  beamgrid jobs list ./maxiv
  beamgrid backup ./maxiv maxiv.tar.gz
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line, also read by the reference page."""
    parser = argparse.ArgumentParser(
        prog="beamgrid", description="A rule-driven data grid for X-ray facilities.", epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    init = commands.add_parser("init", help="make a zone in a new folder")
    init.add_argument("dir", type=Path)
    init.add_argument("--zone", required=True, help="its name")
    init.add_argument("--admin", required=True, help="the name of its first administrator")
    init.add_argument(
        "--password-file", type=Path, help="holds the administrator's password; asked for otherwise"
    )
    init.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1)")
    init.add_argument("--port", type=int, default=1247, help="the port (1247)")
    init.add_argument(
        "--catalog", default="", metavar="URL", help="SQLite in the folder, or postgresql://..."
    )
    init.add_argument(
        "--policy", default="", help="a policy file, or a folder of them, relative to the folder"
    )
    init.add_argument(
        "--no-signing",
        action="store_true",
        help="without keys for the zone's services; what they do is recorded all the same, and not signed",
    )
    serve = commands.add_parser("serve", help="serve a zone in the foreground until SIGTERM")
    serve.add_argument("dir", type=Path)
    serve.add_argument("--workers", type=int, help="server processes")
    serve.add_argument("--allow-root", action="store_true", help="serve although this is root's account")
    status = commands.add_parser("status", help="how a zone is")
    status.add_argument("dir", type=Path)
    status.add_argument("--json", action="store_true")
    reload = commands.add_parser(
        "reload", help="read settings and policy files again; says what is wrong with them"
    )
    reload.add_argument("dir", type=Path)
    worker = commands.add_parser(
        "worker", help="run scheduled work of a zone in the foreground, on any host that reaches it"
    )
    worker.add_argument("dir", type=Path)
    worker.add_argument("--allow-root", action="store_true", help="although this is root's account")
    policy_commands.add_parser(commands)
    provenance_commands.add_parsers(commands)
    job_commands.add_parser(commands)
    kernel_commands.add_parser(commands)
    stream_commands.add_parser(commands)
    backup = commands.add_parser(
        "backup", help="catalog, key and settings into one archive, while the zone is served"
    )
    backup.add_argument("dir", type=Path)
    backup.add_argument("archive", type=Path)
    restore = commands.add_parser("restore", help="put a backup back, and compare it with the vaults")
    restore.add_argument("dir", type=Path)
    restore.add_argument("archive", type=Path)
    restore.add_argument("--json", action="store_true")
    upgrade = commands.add_parser("upgrade", help="bring the catalog to this version, after a backup")
    upgrade.add_argument("dir", type=Path)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run; 0 is success, 1 a refusal with its reason, 2 a wrong command line."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] and given[0] in provenance_commands.NAMES:
        return provenance_commands.main(given)
    arguments = build_parser().parse_args(given)
    try:
        return int(_COMMANDS[arguments.command](arguments) or 0)
    except (GridError, config.SettingError, KeyFileError) as error:
        print(f"beamgrid: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"beamgrid: {error.strerror}: {error.filename or ''}", file=sys.stderr)
        return 1


def _init(arguments: argparse.Namespace) -> int:
    signing = not arguments.no_signing
    app.initialise(
        arguments.dir, zone=arguments.zone, admin=arguments.admin, password=_password(arguments),
        host=arguments.host, port=arguments.port, catalog=arguments.catalog, policy=arguments.policy, signing=signing,
    )  # fmt: skip
    print(f"zone {arguments.zone} is in {arguments.dir}; serve it with: beamgrid serve {arguments.dir}")
    if signing:
        print(
            f"its services sign what they do; keep {arguments.dir}/authority/private/root-1.key somewhere else"
        )
    return 0


def _password(arguments: argparse.Namespace) -> str:
    if arguments.password_file is not None:
        return str(arguments.password_file.read_text("utf-8").rstrip("\n"))
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass(f"Password of {arguments.admin}: ")
    if first != getpass.getpass("Again: "):
        raise config.SettingError("the two passwords differ")
    return first


def _serve(arguments: argparse.Namespace) -> int:
    if os.geteuid() == 0 and not arguments.allow_root:
        raise config.SettingError(
            "the server should not run as root: use an account of its own (see docs/how-to/run-as-a-service.md),"
            " or say --allow-root"
        )
    settings = config.load(arguments.dir)
    if arguments.workers:
        settings = config.with_changes(settings, workers=arguments.workers)
    return serving.serve(arguments.dir, settings)


def _status(arguments: argparse.Namespace) -> int:
    facts = {**maintenance.status(arguments.dir), "kernels": kernel_commands.device_sentence()}
    if arguments.json:
        print(json.dumps(facts, indent=2))
        return 0
    print(f"zone {facts['zone']}: {'served at ' + facts['address'] if facts['served'] else 'not served'}")
    print(f"policy: {facts['policy']}   catalog schema: {facts['schema_version']}")
    if facts["policy_problem"]:
        print(f"the policy files do not check, the last good policy stays: {facts['policy_problem']}")
    counts = facts["counts"]
    print(
        f"holds {counts['collections']} collections, {counts['data_objects']} data objects,"
        f" {counts['replicas']} replicas, {counts['replica_bytes']:,} bytes, {counts['users']} users"
    )
    print(
        f"open writes: {counts['open_writes']}   work on files: {counts['vault_tasks']}   jobs: {facts['jobs']}"
    )
    print(facts["kernels"])
    stated = facts["statements"]
    print(
        f"statements: {stated['wanted'] + stated['signed']} to be signed and logged, {stated['logged']} in the log"
    )
    for one in facts["not_signed"]:
        print(f"  not signed: {one['kind']} of {one['path']}: {one['reason']}")
    for process in facts["processes"]:
        print(
            f"  {process['role']} process {process['pid']} on {process['host']}: {'alive' if process['alive'] else 'gone'}"
        )
    for drift in facts["posix_drift"]:
        print(
            f"  folder of {drift['path']} on {drift['resource']}: {drift['found']}; wanted {drift['wanted']}"
        )
    for resource in facts["resources"]:
        free = (
            f", {resource['free_bytes'] / 1e9:.1f} GB free" if resource.get("free_bytes") is not None else ""
        )
        print(
            f"  {resource['name']} ({resource['type']}): {resource.get('state', 'coordinates others')}{free}"
        )
    for job in facts["given_up"]:
        print(f"  given up: job {job['job']} ({job['name']}): {job['reason']}")
    return 0


def _reload(arguments: argparse.Namespace) -> int:
    serving.ask_to_reload(arguments.dir)
    print("settings and policy are read again")
    return 0


def _worker(arguments: argparse.Namespace) -> int:
    if os.geteuid() == 0 and not arguments.allow_root:
        raise config.SettingError(
            "the worker should not run as root: use the zone's service account, or say --allow-root"
        )
    return serving.work(arguments.dir, config.load(arguments.dir))


def _stream_gateway(arguments: argparse.Namespace) -> int:
    if os.geteuid() == 0 and not arguments.allow_root:
        raise config.SettingError(
            "the gateway should not run as root: use the zone's service account, or say --allow-root"
        )
    settings = config.load(arguments.dir)
    if arguments.listen:
        settings = config.with_changes(settings, stream_host=arguments.listen)
    return serving.stream_gateway(arguments.dir, settings)


def _backup(arguments: argparse.Namespace) -> int:
    maintenance.backup(arguments.dir, arguments.archive)
    print(
        f"{arguments.archive}: {arguments.archive.stat().st_size:,} bytes; it holds the zone's key, keep it safe"
    )
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    report = maintenance.restore(arguments.dir, arguments.archive)
    if arguments.json:
        print(json.dumps({"missing": report.missing, "newer": report.newer}, indent=2))
    else:
        for path in report.missing:
            print(f"missing or changed: {path}")
        for path in report.newer:
            print(f"newer than the backup: {path}")
        print(
            f"restored; {len(report.missing)} data objects without their file, {len(report.newer)} files newer"
        )
    return 1 if report.missing else 0


def _upgrade(arguments: argparse.Namespace) -> int:
    before, after, saved = maintenance.upgrade(arguments.dir)
    print(
        f"schema version {after}: nothing to do" if saved is None else f"{before} -> {after}; backup: {saved}"
    )
    return 0


_COMMANDS = {
    "init": _init, "serve": _serve, "status": _status, "policy": policy_commands.run, "kernel": kernel_commands.run, "jobs": job_commands.run,
    "reload": _reload, "worker": _worker, "stream": stream_commands.run, "stream-gateway": _stream_gateway, "simulate-detector": stream_commands.simulate, "backup": _backup, "restore": _restore, "upgrade": _upgrade,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
