"""A gateway on a host of its own: the program carries streams of a zone whose server has none."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from grid import app
from tests.conftest import make_zone
from tests.unit.grid.streams.sending import Detector, ask, over, series, until

COMMAND = [str(Path(sys.executable).parent / "beamgrid"), "stream-gateway", "--allow-root"]


def test_the_program_carries_streams_and_ends_when_it_is_told(tmp_path: Path) -> None:
    make_zone(tmp_path / "zone")
    zone, detector = app.open_zone(tmp_path / "zone", role="test"), Detector()
    rods = zone.namespace.users.caller("rods", "tempZone")
    gateway = subprocess.Popen([*COMMAND, str(tmp_path / "zone")], stderr=subprocess.PIPE, text=True)
    try:
        first = ask(zone, rods, source=detector.address, frames=30)["stream"]
        detector.send(series(30))
        assert over(zone, rods, first)["result"]["stored"] == 30
        second = ask(zone, rods, path="/tempZone/home/rods/scan2.nxs", source=detector.address)["stream"]
        messages = series(20)
        detector.send(messages[:11])
        until(zone, rods, second, lambda one: one["figures"].get("kept") == 10)
        os.kill(gateway.pid, signal.SIGTERM)
        assert gateway.wait(timeout=30) == 0, gateway.stderr.read() if gateway.stderr else ""
        gateway = subprocess.Popen([*COMMAND, str(tmp_path / "zone")])
        detector.send(messages[11:])
        found = over(zone, rods, second)
        assert (found["state"], found["result"]["stored"], found["attempts"]) == ("done", 20, 1), found
    finally:
        gateway.kill()
        gateway.wait()
        detector.close()
        zone.close()


def test_a_folder_without_a_zone_is_refused(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr
