"""The verifier in one file, where nothing but Python and `cryptography` is installed."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from provenance.zipped import build
from tests.unit.provenance.test_verdict import DATA, PATH, World


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of packages that holds `cryptography` and what it needs, and no more."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for name in ("cryptography", "cffi", "_cffi_backend"):
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            continue
        origin = Path(found.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (packages / source.name).symlink_to(source)
    return packages


def run(bare: Path, program: Path, *arguments: object) -> subprocess.CompletedProcess:
    start = (
        f"import sys, runpy; sys.path[:] = [p for p in sys.path if 'site-packages' not in p] + [{str(bare)!r}];"
        f" sys.argv = [{str(program)!r}, *sys.argv[1:]]; runpy.run_path({str(program)!r}, run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", start, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_verifier_in_one_file_needs_nothing_else(tmp_path: Path, bare: Path) -> None:
    program = tmp_path / "beamgrid-verify.pyz"
    build(program)
    world = World(tmp_path / "world")
    proof = tmp_path / "evidence.json"
    proof.write_bytes(world.sign().encoded())
    asked = ("verify", world.file, "--evidence", proof, "--as", PATH)
    good = run(bare, program, *asked)
    assert (good.returncode, good.stderr) == (20, "")
    assert "not_logged: it is signed and unchanged" in good.stdout
    world.file.write_bytes(DATA[:-1] + b"!")
    bad = run(bare, program, *asked)
    assert bad.returncode == 40
    assert "tampered: block 2 (bytes 2097152 to 2097155)" in bad.stdout
    empty = subprocess.run(
        [sys.executable, "-I", "-S", str(program), "verify", str(world.file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (empty.returncode, empty.stderr) == (
        50,
        "this program needs the package `cryptography`: pip install cryptography\n",
    )


def test_the_base_install_runs_what_needs_no_server(bare: Path, tmp_path: Path) -> None:
    entry = tmp_path / "beamgrid.py"
    root = Path(__file__).parents[2]
    entry.write_text(
        f"import sys\nsys.path.insert(0, {str(root)!r})\nfrom grid.cli.entry import main\nsys.exit(main())\n"
    )
    assert run(bare, entry, "keys", "init", tmp_path / "keys", "--zone", "z").returncode == 0
    refused = run(bare, entry, "serve", tmp_path)
    assert refused.returncode == 1
    assert "is not installed; for a zone: pip install 'beamgrid[server]'" in refused.stderr
