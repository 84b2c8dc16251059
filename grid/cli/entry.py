"""The program `beamgrid`: what needs no server is run without one being installed."""

import sys

from provenance import commands


def main() -> int:
    """Run; see `grid.cli.main` and `provenance.commands` for the exit statuses."""
    if len(sys.argv) > 1 and sys.argv[1] in commands.NAMES:
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
