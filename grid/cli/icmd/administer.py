"""`iadmin` and `irule`: users, groups, resources, and microservices."""

import argparse
import getpass
import json
import sys
from typing import Any, Final

from irods.models import Resource, User
from irods.rule import Rule
from irods.session import iRODSSession

from grid.cli.icmd import program
from grid.cli.icmd.program import UserError

_COMMANDS = {
    "lu": (0, 1, "[user]", "list users, or show one"),
    "lg": (0, 1, "[group]", "list groups, or the members of one"),
    "lr": (0, 1, "[resource]", "list resources, or show one"),
    "mkuser": (2, 2, "name[#zone] type", "add a user: rodsuser, groupadmin or rodsadmin"),
    "moduser": (2, 3, "name option value", "change type, zone, info, comment or password"),
    "rmuser": (1, 1, "name[#zone]", "remove a user whose home is empty"),
    "mkgroup": (1, 1, "name", "add a group"),
    "rmgroup": (1, 1, "name", "remove a group"),
    "atg": (2, 2, "group user", "add a user to a group"),
    "rfg": (2, 2, "group user", "remove a user from a group"),
    "mkresc": (2, 4, "name type [host:path] [context]", "add a resource"),
    "modresc": (
        2,
        3,
        "name option [value]",
        "change comment, context, status, free_space, medium, ...; or rebalance",
    ),
    "rmresc": (1, 1, "name", "remove a resource that holds nothing"),
    "addchildtoresc": (2, 3, "parent child [context]", "put a resource below another"),
    "rmchildfromresc": (2, 2, "parent child", "take it out again"),
}


def iadmin_parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name} {usage:<34} {what}" for name, (_, _, usage, what) in _COMMANDS.items())
    parser = program.parser(
        "iadmin", f"Administer users, groups and resources.\n\ncommands:\n{listed}",
        "iadmin mkuser anna rodsuser\niadmin moduser anna password\niadmin atg nanomax-service nanomax-daq\n"
        "iadmin mkresc archiveResc unixfilesystem grid.example.org:/archive/vault",
    )  # fmt: skip
    parser.add_argument("command", choices=sorted(_COMMANDS), metavar="command")
    parser.add_argument("arguments", nargs="*")
    parser.add_argument("--json", action="store_true", help="lists as JSON")
    return parser


def iadmin(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    least, most, usage, _ = _COMMANDS[arguments.command]
    given = list(arguments.arguments)
    if not least <= len(given) <= most:
        raise UserError(f"usage: iadmin {arguments.command} {usage}")
    if arguments.command in ("lu", "lg", "lr"):
        return _list(session, arguments.command, given, as_json=arguments.json)
    _change(session, arguments.command, given)
    return 0


def _change(session: iRODSSession, command: str, a: list[str]) -> None:
    if command == "mkuser":
        name, _, zone = a[0].partition("#")
        session.users.create(name, a[1], user_zone=zone or session.zone)
    elif command == "moduser":
        value = a[2] if len(a) > 2 else _new_password(a)
        session.users.modify(a[0], a[1], value)
    elif command == "rmuser":
        name, _, zone = a[0].partition("#")
        session.users.remove(name, user_zone=zone or session.zone)
    elif command == "mkgroup":
        session.groups.create(a[0])
    elif command == "rmgroup":
        session.groups.remove(a[0])
    elif command == "atg":
        session.groups.addmember(a[0], a[1])
    elif command == "rfg":
        session.groups.removemember(a[0], a[1])
    elif command == "mkresc":
        host, _, path = (a[2] if len(a) > 2 else "").partition(":")
        session.resources.create(a[0], a[1], host, path, a[3] if len(a) > 3 else "")
    elif command == "modresc":
        session.resources.modify(a[0], a[1], a[2] if len(a) > 2 else "")
    elif command == "rmresc":
        session.resources.remove(a[0])
    elif command == "addchildtoresc":
        session.resources.add_child(a[0], a[1], a[2] if len(a) > 2 else "")
    else:
        session.resources.remove_child(a[0], a[1])


def _new_password(a: list[str]) -> str:
    if a[1] != "password":
        raise UserError(f"the new value of `{a[1]}` is missing")
    if sys.stdin.isatty():
        return getpass.getpass(f"New password of {a[0]}: ")
    return sys.stdin.readline().rstrip("\n")


def _list(session: iRODSSession, command: str, given: list[str], *, as_json: bool) -> int:
    rows: list[dict[str, Any]] = []
    if command == "lr":
        for row in session.query(Resource.name, Resource.type, Resource.vault_path, Resource.status):
            rows.append(
                {"name": row[Resource.name], "type": row[Resource.type], "vault_path": row[Resource.vault_path],
                 "status": row[Resource.status] or "up"}
            )  # fmt: skip
    elif command == "lg" and given:
        rows = [
            {"name": m.name, "zone": m.zone, "type": m.type} for m in session.groups.get(given[0]).members
        ]
    else:
        for row in session.query(User.name, User.zone, User.type):
            if (row[User.type] == "rodsgroup") == (command == "lg"):
                rows.append({"name": row[User.name], "zone": row[User.zone], "type": row[User.type]})
    if given and command != "lg":
        rows = [row for row in rows if row["name"] == given[0].partition("#")[0]]
        if not rows:
            raise UserError(f"there is no `{given[0]}`")
    if as_json:
        program.print_json(rows)
    elif given and command != "lg":
        print("\n".join(f"{key}: {value}" for key, value in rows[0].items()))
    else:
        for row in sorted(rows, key=lambda r: str(r["name"])):
            print(f"{row['name']}#{row['zone']}" if "zone" in row and command != "lg" else row["name"])
    return 0


def irule_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "irule",
        "Run a microservice with the rights you have; arguments and result are JSON.",
        """irule checksum '{"path": "/demo/home/anna/scan101.nxs"}'\nirule extract_nexus '{"path": "scan101.nxs"}'""",
    )
    parser.add_argument("name", help="the microservice")
    parser.add_argument("arguments", nargs="?", default="{}", help="a JSON object of named arguments")
    return parser


def irule(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    try:
        values = json.loads(arguments.arguments)
    except ValueError as error:
        raise UserError(f"the arguments are not JSON: {error}") from None
    if not isinstance(values, dict):
        raise UserError("the arguments are not a JSON object")
    if isinstance(values.get("path"), str):
        values["path"] = program.absolute(environment, values["path"])
    program.print_json(call(session, arguments.name, values))
    return 0


_LONGEST_CALL: Final = 8_000  # the text of a rule has a bound on the wire, its parameters have none


def call(session: iRODSSession, name: str, values: dict[str, Any]) -> Any:
    """The result of a microservice, which comes as JSON on the rule's standard output."""
    arguments = json.dumps(values)
    if len(arguments) < _LONGEST_CALL:
        rule = Rule(session, body=f"{name}({arguments})", output="ruleExecOut")
    else:
        rule = Rule(session, body=f"{name}()", params={"*arguments": arguments}, output="ruleExecOut")
    result = rule.execute(acceptable_errors=())
    text = result.MsParam_PI[0].inOutStruct.stdoutBuf.buf
    data = text if isinstance(text, bytes) else str(text).encode()
    return json.loads(data.split(b"\0", 1)[0].decode("utf-8"))
