"""The process that signs and logs is killed at each of its steps, and around each of its commits; every statement is signed once and logged once."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

import policies
from grid import app
from grid.catalog import statements
from grid.evidence.setup import make_keys
from grid.namespace import WriteRequest
from grid.namespace.steps import SIGNING_STEPS
from tests.conftest import make_zone
from tests.unit.grid.evidence.test_sequencer import logged_entries

HOME = "/tempZone/home/rods"
SEED = int(os.environ.get("BEAMGRID_SEED", time.time_ns() % 1_000_000))
SIGNING = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from grid import app, background\n"
    "zone = app.open_zone(Path(sys.argv[1]), role='jobs')\n"
    "sequencer = background.sequencer_of(zone)\n"
    "for _ in range(3):\n"
    "    sequencer.step()\n"
)
CASES = [(step, 1) for step in SIGNING_STEPS] + [
    (step, count) for step in ("commit.before", "commit.after") for count in (1, 2, 3, 4)
]


def sign(folder: Path, env: dict[str, str]) -> int:
    """Let a process of its own sign what there is; its exit status."""
    done = subprocess.run(
        [sys.executable, "-c", SIGNING, str(folder)], env={**os.environ, **env}, check=False, stderr=subprocess.DEVNULL
    )  # fmt: skip
    return done.returncode


def prove(tmp_path: Path, cases: list[tuple[str, int]]) -> None:
    make_zone(tmp_path / "zone")
    zone = app.open_zone(tmp_path / "zone", role="test")
    try:
        settings = zone.settings
        make_keys(settings.zone, zone.folder / settings.authority, zone.folder / settings.signing_keys)
        (zone.folder / "p.policy").write_text(policies.text("provenance.policy"))
        zone.policy.load_file(zone.folder, "p.policy")
        zone.policy.forget()
        rods = zone.namespace.users.caller("rods", "tempZone")
        killed = 0
        for number, (step, count) in enumerate(cases):
            zone.namespace.objects.put(rods, f"{HOME}/f{number}", b"%d" % number, WriteRequest(size_bytes=1))
            killed += sign(zone.folder, {"BEAMGRID_KILL_AT": f"{step}:{count}"}) == -9
            assert sign(zone.folder, {}) == 0
            with zone.database.read() as tx:
                found = statements.counts(tx)
            assert found == {"wanted": 0, "signed": 0, "logged": number + 1, "refused": 0}, (step, count)
            entries = logged_entries(zone)
            assert len(entries) == len({entry["commit"] for entry in entries}) == number + 1, (step, count)
            shown = zone.namespace.attestations.show(rods, f"{HOME}/f{number}")
            assert [one["state"] for one in shown["steps"]] == ["unsigned", "verified"], (step, count)
        assert killed == len(cases)
    finally:
        zone.close()


def test_four_of_the_steps(tmp_path: Path) -> None:
    print(f"BEAMGRID_SEED={SEED}")
    prove(tmp_path, random.Random(SEED).sample(CASES, 4))


@pytest.mark.soak
def test_each_of_the_steps(tmp_path: Path) -> None:
    prove(tmp_path, CASES)
