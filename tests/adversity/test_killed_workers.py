"""A worker is killed, twice, at each named step of a job; afterwards each effect is there exactly once."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grid import app
from grid.app import Zone
from grid.namespace import WriteRequest
from grid.namespace.steps import JOB_STEPS
from tests.conftest import make_zone

HOME = "/tempZone/home/rods"
POLICY = f"""policy my.work version 1
location raw = "{HOME}/raw/**"
location copies = "{HOME}/copies/**"
rule "work" id work after object close at raw {{
  schedule "all of it" key object.id retry 5 times backoff 1 second to 1 second deadline 1 hour
    on give up {{ note "gave up {{object.name}}" }} {{
    do replicate(object, to: "second")
    set metadata "copied" of object to "yes"
    note "worked on {{object.name}}"
    emit raw_file_ready(object: object)
    schedule "after that" key object.id {{ note "went on with {{object.name}}" }}
    require object.name != "bad" else "it is bad" code BAD
  }}
}}
rule "told" id told on signal raw_file_ready {{ note "told of it" }}
code BAD kind final "bad"
"""
PASSED = {
    "good": sorted(
        {"job.claimed", "job.effect.before", "job.effect.after", "job.finish.before", "job.finish.after"}
    ),
    "bad": ["job.give_up.before", "job.give_up.after"],
}
TRANSFER = ["stage.before", "stage.after", "bytes.before", "bytes.after", "sync.before", "sync.after", "commit.before",
            "commit.after", "place.before", "place.renamed", "place.after"]  # fmt: skip
MATRIX = [(name, step, 1) for name, steps in PASSED.items() for step in steps]
MATRIX += [("good", f"job.effect.{side}", n) for side in ("before", "after") for n in range(2, 7)]
MATRIX += [("good", step, 1) for step in TRANSFER]
SEED = int(os.environ.get("BEAMGRID_SEED", time.time_ns() % 1_000_000))


def worker(folder: Path, env: dict[str, str]) -> "subprocess.Popen[bytes]":
    log = (folder.parent / "workers.log").open("ab")
    command = [sys.executable, "-m", "grid.cli.main", "worker", str(folder), "--allow-root"]
    return subprocess.Popen(command, stderr=log, env={**os.environ, **env})


def states(zone: Zone) -> list[str]:
    with zone.database.read() as tx:
        return [row[0] for row in tx.all("SELECT state FROM jobs ORDER BY id")]


def is_over(zone: Zone) -> bool:
    return set(states(zone)) <= {"done", "dead"}


def ended(process: "subprocess.Popen[bytes]", zone: Zone) -> bool:
    """Wait until a worker was killed, or nothing is left to do; whether it was killed."""
    deadline = time.monotonic() + 60
    while process.poll() is None:
        assert time.monotonic() < deadline, (zone.folder.parent / "workers.log").read_text()[-3000:]
        if is_over(zone):
            try:
                process.wait(timeout=2)  # what follows the end of the job
            except subprocess.TimeoutExpired:
                process.terminate()
                assert process.wait(timeout=30) == 0
                return False
        time.sleep(0.02)
    assert process.returncode == -9
    return True


def happened(zone: Zone, event: str, text: str) -> int:
    with zone.database.read() as tx:
        found = tx.value(
            "SELECT count(*) FROM outbox WHERE event = :event AND details LIKE :text",
            {"event": event, "text": f"%{text}%"},
        )
        return int(found)


def prove(tmp_path: Path, catalog_url: str, name: str, step: str, count: int) -> None:
    make_zone(tmp_path / "zone", catalog_url)
    (tmp_path / "zone/p.policy").write_text(POLICY)
    zone = app.open_zone(tmp_path / "zone", role="test")
    try:
        rods = zone.namespace.users.caller("rods", "tempZone")
        second = f"localhost:{tmp_path}/second"
        zone.namespace.administration.add_resource(rods, "second", "unixfilesystem", second)
        zone.policy.load_file(zone.folder, "p.policy")
        zone.policy.refresh()
        zone.namespace.collections.create(rods, f"{HOME}/raw")
        zone.namespace.objects.put(rods, f"{HOME}/raw/{name}", b"x" * 100_000, WriteRequest())
        zone.namespace.finisher.finish()
        killed = [kill(zone, step, count) for _ in range(2)]
        assert killed[0], f"no worker passes {step}"
        if not is_over(zone):
            assert not ended(worker(zone.folder, {}), zone)
        assert states(zone) == (["done", "done"] if name == "good" else ["dead", "done"])
        everything_happened_once(zone, tmp_path, name)
    finally:
        zone.close()


def kill(zone: Zone, step: str, count: int) -> bool:
    """Let a worker work until it is killed, and its leases run out; whether it was."""
    killed = ended(worker(zone.folder, {"BEAMGRID_KILL_AT": f"{step}:{count}"}), zone)
    with zone.database.write() as tx:
        tx.run("UPDATE jobs SET leased_until = 0 WHERE state = 'running'")
    return killed


def everything_happened_once(zone: Zone, tmp_path: Path, name: str) -> None:
    with zone.database.read() as tx:
        copies = tx.all(
            "SELECT r.status, s.name FROM replicas r JOIN resources s ON s.id = r.resource_id ORDER BY r.number"
        )
        described = tx.value(
            "SELECT count(*) FROM avu_links l JOIN avus a ON a.id = l.avu_id WHERE a.attribute = 'copied'"
        )
        assert tx.value("SELECT count(*) FROM job_effects") == 0
    assert [tuple(row) for row in copies] == [(1, "demoResc"), (1, "second")]
    assert described == 1
    assert [file.read_bytes() for file in (tmp_path / "second").rglob(name)] == [b"x" * 100_000]
    counts = {
        "worked": happened(zone, "rule note", f"worked on {name}"),
        "emitted": happened(zone, "rule emit raw_file_ready", ""),
        "told": happened(zone, "rule note", "told of it"),
        "went on": happened(zone, "rule note", "went on with"),
        "gave up": happened(zone, "rule note", "gave up"),
    }
    assert counts == {"worked": 1, "emitted": 1, "told": 1, "went on": 1, "gave up": int(name == "bad")}


@pytest.mark.parametrize(("name", "step", "count"), random.Random(SEED).sample(MATRIX, 6))
def test_each_effect_is_there_once(
    tmp_path: Path, catalog_url: str, name: str, step: str, count: int
) -> None:
    print(f"BEAMGRID_SEED={SEED}")
    prove(tmp_path, catalog_url, name, step, count)


@pytest.mark.soak
@pytest.mark.parametrize(("name", "step", "count"), MATRIX)
def test_each_effect_is_there_once_at_every_step(
    tmp_path: Path, catalog_url: str, name: str, step: str, count: int
) -> None:
    prove(tmp_path, catalog_url, name, step, count)


def test_every_step_of_a_job_is_in_the_matrix() -> None:
    assert {step for _, step, _ in MATRIX if step.startswith("job.")} == set(JOB_STEPS)
