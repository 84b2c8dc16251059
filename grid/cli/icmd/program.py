"""What all i-commands share: environment files, the session, error messages, exit codes.

Environment: `IRODS_ENVIRONMENT_FILE` or `~/.irods/irods_environment.json`, `IRODS_AUTHENTICATION_FILE` or
`~/.irods/.irodsA`; the working collection of a shell lies beside the first, named after the shell's process.

Source: `getRodsEnv.cpp`, iRODS 5.0.2.
"""

import argparse
import contextlib
import json
import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from irods.exception import NetworkException, PycommandsException, iRODSException
from irods.password_obfuscation import decode
from irods.session import iRODSSession

EXIT_USAGE: Final = 2
EXIT_REFUSED: Final = 3
EXIT_FAILED: Final = 4
EXIT_LOGIN: Final = 7


class UserError(Exception):
    """Something the user has to put right; the message says what and how."""


def environment_file() -> Path:
    return Path(os.environ.get("IRODS_ENVIRONMENT_FILE", "~/.irods/irods_environment.json")).expanduser()


def authentication_file() -> Path:
    return Path(os.environ.get("IRODS_AUTHENTICATION_FILE", "~/.irods/.irodsA")).expanduser()


def shell_file() -> Path:
    """Where the working collection of the calling shell is kept."""
    path = environment_file()
    return path.with_name(f"{path.name}.{os.getppid()}")


def read_environment() -> dict[str, Any]:
    """The client's settings.

    Raises:
        UserError: there are none, or they cannot be read.
    """
    path = environment_file()
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"`{path}` is not there; run `iinit` first") from None
    except ValueError as error:
        raise UserError(f"`{path}` is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"`{path}` does not hold a JSON object")
    return found


def home(environment: dict[str, Any]) -> str:
    default = f"/{environment['irods_zone_name']}/home/{environment['irods_user_name']}"
    return str(environment.get("irods_home", default))


def working_collection(environment: dict[str, Any]) -> str:
    with contextlib.suppress(OSError, ValueError):
        return str(json.loads(shell_file().read_text("utf-8"))["irods_cwd"])
    return str(environment.get("irods_cwd", home(environment)))


def absolute(environment: dict[str, Any], text: str) -> str:
    """A logical path from what a user typed: relative to the working collection, `~` for home."""
    if text.startswith("~"):
        text = home(environment) + text[1:]
    if not text.startswith("/"):
        text = f"{working_collection(environment)}/{text}"
    parts: list[str] = []
    for part in text.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def connect(environment: dict[str, Any], *, password: str | None = None) -> iRODSSession:
    """A session; connects at its first request."""
    for key in ("irods_host", "irods_user_name", "irods_zone_name"):
        if key not in environment:
            raise UserError(f"`{environment_file()}` has no `{key}`; run `iinit`")
    options: dict[str, Any] = {
        "host": environment["irods_host"],
        "port": int(environment.get("irods_port", 1247)),
        "user": environment["irods_user_name"],
        "zone": environment["irods_zone_name"],
    }
    if password is None:
        try:
            password = decode(authentication_file().read_text("utf-8").rstrip("\n"))
        except OSError:
            raise UserError(f"`{authentication_file()}` is not there; run `iinit` first") from None
    session = iRODSSession(password=password, application_name=Path(sys.argv[0]).name, **options)
    if environment.get("irods_default_resource"):
        session.default_resource = environment["irods_default_resource"]
    return session


Run = Callable[[iRODSSession, dict[str, Any], argparse.Namespace], int | None]


def parser(name: str, description: str, examples: str) -> argparse.ArgumentParser:
    """A parser whose `--help` ends with examples."""
    return argparse.ArgumentParser(
        prog=name,
        description=description,
        epilog="examples:\n" + "\n".join(f"  {line}" for line in examples.strip().splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _spaced(name: str) -> str:
    """`DataObjectDoesNotExist` as words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def error_name(error: BaseException) -> str:
    return type(error).__name__


def describe(error: iRODSException, what: str) -> str:
    """Two lines: what failed with which status, and the server's own sentences."""
    code = getattr(error, "code", None)
    status = f" status = {code} {error_name(error)}" if code else f" {error_name(error)}"
    sentence = ": ".join(str(a) for a in error.args if a) if error.args else ""
    lines = [f"ERROR: {what}{status}"]
    if sentence:
        lines.append(f"Level 0: {sentence}")
    stack = _stack(error)
    lines += [f"Level {level}: {text}" for level, text in enumerate(stack[1:], 1)]
    return "\n".join(lines)


def _stack(error: iRODSException) -> list[str]:
    """The sentences of the reply's error stack."""
    raw = getattr(getattr(error, "server_msg", None), "error", None)
    if not raw:
        return []
    try:
        root = ElementTree.fromstring(raw)
    except ElementTree.ParseError:
        return []
    return [entry.findtext("msg") or "" for entry in root.iter("RErrMsg_PI")]


def main(
    name: str, build: Callable[[], argparse.ArgumentParser], run: Run, argv: Sequence[str] | None = None
) -> int:
    """Run an i-command: parse, connect, do, and say what went wrong in words.

    Returns:
        0; 2 for a wrong command line; 3 when the server refused or something is not there; 4 when the server
        cannot be reached; 7 when the login failed.
    """
    arguments = build().parse_intermixed_args(argv)
    try:
        environment = read_environment()
        with connect(environment) as session:
            return run(session, environment, arguments) or 0
    except UserError as error:
        print(f"ERROR: {name}: {error}", file=sys.stderr)
        return EXIT_REFUSED
    except NetworkException as error:
        print(f"ERROR: {name}: the server cannot be reached: {error}", file=sys.stderr)
        return EXIT_FAILED
    except PycommandsException as error:
        print(f"ERROR: {name}: {_spaced(error_name(error))}: {error}".rstrip(": "), file=sys.stderr)
        return EXIT_REFUSED
    except iRODSException as error:
        print(describe(error, name), file=sys.stderr)
        return EXIT_LOGIN if error_name(error) == "CAT_INVALID_AUTHENTICATION" else EXIT_REFUSED
    except OSError as error:
        print(f"ERROR: {name}: {error.strerror or error}: {error.filename or ''}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))
