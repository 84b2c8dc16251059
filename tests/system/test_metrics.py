"""What Prometheus reads, of a served zone."""

import os
import signal
import socket
import time
import urllib.request
from pathlib import Path

import irods.exception
import pytest
from irods.exception import NetworkException
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Served, make_zone, serve

HOME = "/tempZone/home/rods"
POLICY = f"""policy my.test version 1
code NO kind refused "no"
location home = "{HOME}/**"
rule "nothing large" id small before object create at home when object.expected_size > 3 B {{ refuse "too large" code NO }}
rule "later" id later after object close at home {{ schedule "copy" key object.id after 5 days {{ do checksum(object) }} }}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def figures(port: int) -> dict[tuple[str, ...], float]:
    """Every sample: its name and the values of its labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        text = reply.read().decode()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {
        (sample.name, *(sample.labels[key] for key in sorted(sample.labels))): sample.value
        for sample in samples
    }


def put(zone: Served, name: str, data: bytes) -> None:
    with zone.session() as session, session.data_objects.open(f"{HOME}/{name}", "w") as file:
        file.write(data)


def test_figures_of_requests_bytes_refusals_and_queues(tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "zone"
    (tmp_path / "p.policy").write_text(POLICY)
    make_zone(folder, policy=str(tmp_path / "p.policy"))
    zone = serve(folder, env={"BEAMGRID_METRICS_PORT": str(port)}, workers=2)
    try:
        put(zone, "a", b"abc")
        with zone.session() as session:
            with pytest.raises(irods.exception.iRODSException, match="too large"):
                session.data_objects.put(str(folder / "zone.toml"), f"{HOME}/large")
            assert session.data_objects.open(f"{HOME}/a", "r").read() == b"abc"
        before = figures(port)
        assert before["beamgrid_bytes_total", "DATA_OBJ_WRITE_AN", "in"] == 3
        assert before["beamgrid_bytes_total", "DATA_OBJ_READ_AN", "out"] == 3
        assert (
            sum(
                value
                for key, value in before.items()
                if key[0] == "beamgrid_requests_total" and "refused" in key
            )
            == 1
        )
        assert before["beamgrid_jobs", "waiting"] == 1
        assert before["beamgrid_catalog_up", "tempZone"] == 1
        writes = before["beamgrid_requests_total", "DATA_OBJ_WRITE_AN", "ok"]
        assert before["beamgrid_request_seconds_bucket", "DATA_OBJ_WRITE_AN", "+Inf"] == writes

        for child in workers_of(zone):
            os.kill(child, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while True:
            try:
                put(zone, "b", b"ab")
                break
            except (NetworkException, OSError):  # no worker has taken over yet
                assert time.monotonic() < deadline, zone.log
                time.sleep(0.1)
        assert figures(port)["beamgrid_bytes_total", "DATA_OBJ_WRITE_AN", "in"] == 5, (
            "a worker's death forgets nothing"
        )
    finally:
        zone.stop()


def workers_of(zone: Served) -> list[int]:
    """The processes that hold connections."""
    children = Path(f"/proc/{zone.process.pid}/task/{zone.process.pid}/children").read_text().split()
    return [int(pid) for pid in children[:2]]


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    make_zone(tmp_path / "zone")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AssertionError, match=f"beamgrid: Address already in use: 127.0.0.1:{port}"):
            serve(tmp_path / "zone", env={"BEAMGRID_METRICS_PORT": str(port)})
