"""Exports that others' programs accept: RO-Crate by its validator, PROV by `prov`, bags by `bagit`, statements by in-toto and securesystemslib."""

import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from provenance.exports.bag import bag
from provenance.exports.crate import About, CrateFile, crate
from provenance.exports.prov import prov_json
from tests.unit.provenance.test_chains import RESULT, RESULT_PATH, Facility, root_of
from tests.unit.provenance.test_verdict import DATA, PATH

CHECKERS = Path(__file__).parents[3] / ".checkers/bin"


def checker(name: str) -> Path:
    program = CHECKERS / name
    if not program.exists():
        pytest.skip(
            f"{name} is not there: python3 -m venv .checkers && .checkers/bin/pip install -r requirements-checkers.lock"
        )
    return program


@pytest.fixture
def chain(tmp_path: Path):
    (tmp_path / "facility").mkdir()
    facility = Facility(tmp_path / "facility")
    ingest = facility.state("ingest", "gateway", DATA, PATH, checked="verified")
    given = facility.together(facility.sign(), ingest, facility.reduce(parameters={"bins": 1000}))
    return given, {PATH: facility.verdict(given, DATA, PATH), RESULT_PATH: facility.verdict(given)}


def written(folder: Path, chain) -> Path:
    given, verdicts = chain
    files = []
    folder.mkdir(parents=True)
    for path, data in ((PATH, DATA), (RESULT_PATH, RESULT)):
        name = path.rpartition("/")[2]
        (folder / name).write_bytes(data)
        files.append(CrateFile(name, path, len(data), hashlib.sha256(data).hexdigest(), root_of(data)))
    about = About(
        "scan 7",
        "A scan of nanomax and its azimuthal integration.",
        "2026-11-21T12:00:00Z",
        identifier="10.16907/x",
    )
    for name, data in crate(files, verdicts, given, about).items():
        (folder / name).write_bytes(data)
    return folder


def test_a_crate_passes_the_required_checks(tmp_path: Path, chain) -> None:
    python = checker("python")
    checker("rocrate-validator")
    folder = written(tmp_path / "crate", chain)
    program = Path(__file__).with_name("rocrate_check.py")
    done = subprocess.run(
        [python, program, folder, "provenance-run-crate-0.5"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, "passes provenance-run-crate-0.5, REQUIRED" in done.stdout) == (0, True), (
        done.stdout[-3000:] + done.stderr[-2000:]
    )


def test_a_crate_names_every_step_and_both_files(tmp_path: Path, chain) -> None:
    folder = written(tmp_path / "crate", chain)
    graph = {one["@id"]: one for one in json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]}
    actions = [one for one in graph.values() if one["@type"] == "CreateAction" and one["@id"] != "#run"]
    assert [one["name"] for one in actions] == [
        "acquisition: verified",
        "ingest: verified",
        "reduction: verified",
    ]
    assert actions[2]["object"] == [{"@id": "run7.h5"}]
    assert actions[2]["result"] == [{"@id": "azint7.h5"}]
    assert graph["#kernel-azint-2.1"]["sha256"] == "ab" * 32
    assert graph["run7.h5"]["sha256"] == hashlib.sha256(DATA).hexdigest()
    dangling = {
        ref["@id"]
        for one in graph.values()
        for value in one.values()
        if isinstance(value, list)
        for ref in value
        if isinstance(ref, dict)
    } - graph.keys()
    assert dangling <= {"https://w3id.org/ro/crate/1.1"}


def test_prov_comes_back_as_it_was(chain) -> None:
    from prov.model import ProvDocument

    _, verdicts = chain
    text = prov_json(RESULT_PATH, verdicts[RESULT_PATH])
    document = ProvDocument.deserialize(content=text.decode(), format="json")
    again = ProvDocument.deserialize(content=document.serialize(format="json"), format="json")
    assert document == again
    assert len(list(document.bundles)) == 1
    kinds = sorted(str(record.get_type()) for record in document.records)
    assert kinds.count("prov:Activity") == 3
    assert kinds.count("prov:Derivation") == 1


def test_a_bag_is_valid_and_a_changed_one_is_not(tmp_path: Path, chain) -> None:
    program = checker("bagit.py")
    written(tmp_path / "bag/data", chain)
    bag(tmp_path / "bag", {"Source-Organization": "MAX IV\nLund"})
    done = subprocess.run(
        [program, "--validate", tmp_path / "bag"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (tmp_path / "bag/data/run7.h5").write_bytes(b"x" + DATA[1:])
    assert (
        subprocess.run([program, "--validate", tmp_path / "bag"], capture_output=True, check=False).returncode
        == 1
    )
    (tmp_path / "bag/data/100%.txt").write_text("a name with a percent sign")
    bag(tmp_path / "bag", {})
    assert "  data/100%25.txt\n" in (tmp_path / "bag/manifest-sha256.txt").read_text(), "RFC 8493 2.1.3"
    with pytest.raises(ValueError, match="nothing lies below"):
        bag(tmp_path / "nowhere", {})


def test_equal_chains_give_equal_exports(chain) -> None:
    given, verdicts = chain
    assert prov_json(RESULT_PATH, verdicts[RESULT_PATH]) == prov_json(
        RESULT_PATH, replace(verdicts[RESULT_PATH])
    )
    files = [CrateFile("a", PATH, 1, "00", root_of(DATA))]
    about = About("a", "b", "2026-11-21")
    assert crate(files, verdicts, given, about) == crate(files, verdicts, given, about)
