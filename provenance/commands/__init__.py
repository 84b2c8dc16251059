"""`beamgrid keys`, `sign`, `log` and `verify`: they need no server, and nothing but the standard library and `cryptography`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Final

from provenance.commands import keys, logs, signing, verifying
from provenance.errors import ProvenanceError
from provenance.log import LogInconsistent
from provenance.states import EXIT, LOG_INCONSISTENT

NAMES: Final = ("keys", "sign", "log", "verify")
USAGE: Final = 50

_RUN: Final[dict[str, Callable[[argparse.Namespace], int]]] = {
    "keys": keys.run, "sign": signing.run, "log": logs.run, "verify": verifying.run,
}  # fmt: skip


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to a program's."""
    for module in (keys, signing, logs, verifying):
        module.add_parser(commands)


def main(argv: Sequence[str]) -> int:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(prog="beamgrid")
    add_parsers(parser.add_subparsers(dest="command", required=True))
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as ended:
        return USAGE if ended.code else 0
    try:
        return _RUN[str(arguments.command)](arguments)
    except LogInconsistent as error:
        print(f"beamgrid: {error}", file=sys.stderr)
        return EXIT[LOG_INCONSISTENT]
    except ProvenanceError as error:
        print(f"beamgrid: {error}", file=sys.stderr)
    except OSError as error:
        print(f"beamgrid: {error.strerror}: {error.filename or ''}", file=sys.stderr)
    return USAGE
