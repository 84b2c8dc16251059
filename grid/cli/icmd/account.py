"""`iinit`, `ipwd`, `icd`."""

import argparse
import getpass
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from irods.exception import NetworkException, iRODSException
from irods.password_obfuscation import encode
from irods.session import iRODSSession

from grid.cli.icmd import program
from grid.cli.icmd.program import UserError


def iinit_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "iinit",
        "Log in: ask for what is not known yet, check the password, and keep it scrambled for the other commands.",
        "iinit\niinit --host grid.example.org --user anna --zone maxiv\necho secret | iinit",
    )
    parser.add_argument("--host", help="the server's host")
    parser.add_argument("--port", type=int, help="the server's port (1247)")
    parser.add_argument("--user", help="your user name")
    parser.add_argument("--zone", help="your zone")
    parser.add_argument("--resource", help="the resource for your puts; the zone's default otherwise")
    return parser


def iinit(argv: Sequence[str] | None = None) -> int:
    arguments = iinit_parser().parse_args(argv)
    try:
        environment = program.read_environment()
    except UserError:
        environment = {}
    given = {
        "irods_host": arguments.host, "irods_port": arguments.port, "irods_user_name": arguments.user,
        "irods_zone_name": arguments.zone, "irods_default_resource": arguments.resource,
    }  # fmt: skip
    environment |= {key: value for key, value in given.items() if value is not None}
    environment.setdefault("irods_port", 1247)
    try:
        for key, question in (
            ("irods_host", "host name of the server"),
            ("irods_user_name", "user name"),
            ("irods_zone_name", "zone"),
        ):
            if key not in environment:
                environment[key] = _ask(question)
        print(
            f"Connecting as {environment['irods_user_name']}#{environment['irods_zone_name']}"
            f" to {environment['irods_host']}:{environment['irods_port']} ..."
        )
        password = _password()
        with program.connect(environment, password=password) as session:
            session.collections.exists(f"/{environment['irods_zone_name']}")
    except UserError as error:
        print(f"ERROR: iinit: {error}", file=sys.stderr)
        return program.EXIT_USAGE
    except NetworkException as error:
        print(f"ERROR: iinit: the server cannot be reached: {error}", file=sys.stderr)
        return program.EXIT_FAILED
    except iRODSException as error:
        print(program.describe(error, "iinit"), file=sys.stderr)
        return program.EXIT_LOGIN
    _save(environment, password)
    return 0


def _ask(question: str) -> str:
    if not sys.stdin.isatty():
        raise UserError(f"the {question} is not known; give it as an option, see `iinit --help`")
    return input(f"Enter the {question}: ").strip()


def _password() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("Enter your current iRODS password:")
    return sys.stdin.readline().rstrip("\n")


def _save(environment: dict[str, Any], password: str) -> None:
    path = program.environment_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(json.dumps(environment, indent=2) + "\n", "utf-8")
    secret = program.authentication_file()
    descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(encode(password))


def ipwd_parser() -> argparse.ArgumentParser:
    return program.parser("ipwd", "Print the working collection.", "ipwd")


def ipwd(argv: Sequence[str] | None = None) -> int:
    ipwd_parser().parse_args(argv)
    try:
        print(program.working_collection(program.read_environment()))
    except UserError as error:
        print(f"ERROR: ipwd: {error}", file=sys.stderr)
        return program.EXIT_REFUSED
    return 0


def icd_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "icd", "Change the working collection; home when none is given.", "icd raw\nicd ..\nicd"
    )
    parser.add_argument("collection", nargs="?", default="~")
    return parser


def icd(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    path = program.absolute(environment, arguments.collection)
    if not session.collections.exists(path):
        raise UserError(f"no such collection: {path}")
    program.shell_file().write_text(json.dumps({"irods_cwd": path}) + "\n", "utf-8")
    return 0
