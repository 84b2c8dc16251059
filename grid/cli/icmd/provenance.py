"""`iprov`: signed statements about data objects."""

import argparse
from pathlib import Path
from typing import Any

from irods.session import iRODSSession

from grid.cli.icmd import program
from grid.cli.icmd.administer import call
from grid.cli.icmd.program import UserError


def iprov_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "iprov",
        "Attach evidence to a data object, show what is said of it and until where it can be trusted, and export that for who has no"
        " account. Evidence that says nothing of the object's content is refused.",
        "iprov attach raw/run7.h5 run7.h5.evidence.json\niprov show raw/run7.h5\niprov export raw/run7.h5 run7.h5.evidence.json",
    )  # fmt: skip
    parser.add_argument("what", choices=("attach", "show", "export"))
    parser.add_argument("path", help="a data object")
    parser.add_argument("file", type=Path, nargs="?", help="the evidence (NAME.evidence.json)")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def iprov(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    path = program.absolute(environment, arguments.path)
    file = arguments.file or Path(f"{path.rpartition('/')[2]}.evidence.json")
    if arguments.what == "export":
        file.write_text(call(session, "attestation_export", {"text": path}), "utf-8")
        print(f"{file}: give it to who has the data, and say where your root.json is")
        return None
    if arguments.what == "attach":
        try:
            given = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"the evidence `{file}` cannot be read: {error}") from error
        found = {"path": path, **call(session, "attestation_add", {"path": path, "evidence": given})}
    else:
        found = call(session, "attestation_show", {"text": path})
    if arguments.json:
        program.print_json(found)
        return None
    for number, step in enumerate(found["steps"], 1):
        print(f"{number} {step['kind']:<14} {step['time']:<21} {step['state']:<12} {step['signer']}")
    print(f"{path}: {found['state']}{': ' if found['reason'] else ''}{found['reason']}")
    return None
