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


def test_one_frame_is_judged_without_hdf5(tmp_path: Path, bare: Path) -> None:
    from microservices.chunk_trees import chunk_tree
    from provenance.blocks import tree_of
    from provenance.evidence import Evidence
    from provenance.statements import TREE, Statement, Subject
    from tests.unit.microservices.test_chunk_trees import Bytes, written
    from tests.unit.provenance.test_chains import LATER, Facility

    program, data = tmp_path / "beamgrid-verify.pyz", written()
    build(program)
    (tmp_path / "facility").mkdir()
    facility = Facility(tmp_path / "facility")
    facility.file.write_bytes(data)
    tree = chunk_tree(Bytes(data))
    assert tree is not None
    said = {"time": LATER, "actor": "maxiv/gateway#1", "same": "stored chunks"}
    roots = (tree_of([data]).root.hex(), tree.root.hex())
    link = Statement.of("digest-link", [Subject(PATH, {TREE: root}) for root in roots], said)
    signed = Evidence(
        None,
        (),
        (link.envelope().signed(facility.service["gateway"]),),
        chunks=(tree.proof("/entry/data/frames", 7),),
    )
    proof = tmp_path / "evidence.json"
    proof.write_bytes(facility.together(facility.sign(), signed).encoded())
    asked = ("verify", facility.file, "--evidence", proof, "--at", "2026-12-01T00:00:00Z", "--frame", "7")
    good = run(bare, program, *asked)
    assert (good.returncode, good.stderr) == (0, "")
    assert "2 digest-link" in good.stdout
    other = run(bare, program, *asked[:-1], "6")
    assert (other.returncode, "missing_evidence" in other.stdout) == (20, True), (
        "never verified without a proof"
    )
    place = tree.proof("/entry/data/frames", 7).chunk.offset
    facility.file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    bad = run(bare, program, *asked)
    assert (bad.returncode, "tampered: chunk 7 of `/entry/data/frames`" in bad.stdout) == (40, True)
    assert run(bare, program, *asked[:-1], "7", "--dataset", "/entry/energy").returncode == 20
