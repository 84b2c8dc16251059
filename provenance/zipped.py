"""A verifier in one file: `python -m provenance.zipped beamgrid-verify.pyz`. It needs Python 3.11 and the package `cryptography`."""

import sys
import tempfile
import zipapp
from pathlib import Path

_MAIN = """import sys
try:
    from provenance.commands import main
except ModuleNotFoundError as error:
    print(f"this program needs the package `{error.name}`: pip install cryptography", file=sys.stderr)
    sys.exit(50)
sys.exit(main(sys.argv[1:]))
"""


def build(target: Path) -> None:
    """Write the program; the same sources give the same file but for the times in it."""
    source = Path(__file__).parent
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch) / "app" / "provenance"
        package.mkdir(parents=True)
        for file in sorted(source.rglob("*.py")):
            target_file = package / file.relative_to(source)
            target_file.parent.mkdir(exist_ok=True)
            target_file.write_bytes(file.read_bytes())
        (package.parent / "__main__.py").write_text(_MAIN)
        zipapp.create_archive(package.parent, target, interpreter="/usr/bin/env python3", compressed=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
