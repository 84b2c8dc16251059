"""The process that reduces frames is killed around each of its commits; another one goes on, and what is made is what is made without."""

import io
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy

from accel.shipped import SHIPPED
from grid import app
from tests.conftest import make_zone
from tests.unit.grid.reductions.test_reductions import HOME, SCAN, ask, content, described, put, scan, status

REDUCING = (
    "import sys\n"
    "from pathlib import Path\n"
    "from accel import reducing\n"
    "from grid import app\n"
    "from grid.reductions.reducing import Reducer\n"
    "reducing.MOST_BATCH, reducing.PARTS = 8, 1\n"
    "zone = app.open_zone(Path(sys.argv[1]), role='jobs')\n"
    "reducer = Reducer(zone.database, zone.namespace, zone.host, zone.namespace.context.lease_id)\n"
    "while reducer.step():\n"
    "    pass\n"
    "zone.namespace.finisher.finish()\n"
    "zone.close()\n"
)
COMMITS = range(1, 14)
"""A share of every third one; all of them in the soak."""


def reduce(folder: Path, env: dict[str, str]) -> int:
    """Let a process of its own reduce what there is; its exit status."""
    return subprocess.run(
        [sys.executable, "-c", REDUCING, str(folder)],
        env={**os.environ, **env},
        check=False,
        stderr=subprocess.DEVNULL,
    ).returncode


def test_a_reduction_is_done_once_whatever_dies(tmp_path: Path) -> None:
    from tests.conftest import SOAK

    make_zone(tmp_path / "zone")
    zone = app.open_zone(tmp_path / "zone", role="test")
    try:
        rods = zone.namespace.users.caller("rods", "tempZone")
        put(zone, rods, SCAN, scan())
        with h5py.File(io.BytesIO(scan())) as raw:
            wanted = (
                SHIPPED["statistics"].bind((48, 60), numpy.dtype("u2")).reference(raw["entry/data"][()], 0)
            )
        killed = 0
        for number, commit in enumerate(COMMITS if SOAK else list(COMMITS)[::3]):
            target = f"{HOME}/made{number}"
            zone.namespace.collections.create(rods, target)
            asked = ask(zone, rods, target=target)["reduction"]
            killed += (
                reduce(
                    zone.folder, {"BEAMGRID_KILL_AT": f"commit.{('before', 'after')[commit % 2]}:{commit}"}
                )
                == -9
            )
            assert reduce(zone.folder, {}) == 0
            found = status(zone, rods, asked)
            assert found["state"] == "done", (commit, found["reason"])
            with h5py.File(io.BytesIO(content(zone, rods, f"{target}/scan.statistics.nxs"))) as made:
                assert numpy.array_equal(made["entry/series/total"][()], wanted["total"])
            assert described(zone, rods, f"{target}/scan.statistics.nxs")["frames"] == "40"
            assert not list((zone.folder / "run/work").glob("*")), "nothing is left of the work"
        assert killed >= 4 if not SOAK else killed >= 10
    finally:
        zone.close()
