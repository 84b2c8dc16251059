"""The program `beamgrid`: what needs no server is run without one being installed."""

import os
import re
import sys
from typing import Final

from provenance import commands

_DOI: Final = re.compile(r"(https?://doi\.org/|doi:)?10\.\d{4,9}/\S+")


_WITH_VALUES: Final = {
    "--root",
    "--svg",
    "--evidence",
    "--as",
    "--frame",
    "--dataset",
    "--witnesses",
    "--at",
    "--svr",
    "--statement",
    "--key",
}


def main() -> int:
    """Run; see `grid.cli.main` and `provenance.commands` for the exit statuses."""
    if len(sys.argv) > 1 and sys.argv[1] in commands.NAMES:
        asked = _in_the_zone(sys.argv[1:])
        if asked is not None:
            from grid.cli.icmd import program, provenance

            return program.main("beamgrid verify", provenance.iprov_parser, provenance.iprov, asked)
        return commands.main(sys.argv[1:])
    try:
        from grid.cli.main import main as serve
    except ModuleNotFoundError as error:
        print(
            f"beamgrid: {error.name} is not installed; for a zone: pip install 'beamgrid[server]'",
            file=sys.stderr,
        )
        return 1
    return serve()


def _in_the_zone(given: list[str]) -> list[str] | None:
    """`beamgrid verify` of a path of the zone, or a DOI, as what `iprov` is asked; None for a file that is here."""
    values = {number + 1 for number, one in enumerate(given) if one in _WITH_VALUES}
    named = next(
        (
            one
            for number, one in enumerate(given)
            if number and number not in values and not one.startswith("-")
        ),
        "",
    )
    if given[0] != "verify" or os.path.exists(named):
        return None
    if named.startswith("/") or _DOI.match(named):
        return ["verify", *given[1:]]
    return None
