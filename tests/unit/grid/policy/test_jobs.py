"""Scheduled work: order, lanes, retries, giving up, and what a killed worker leaves."""

import json

import pytest

from grid.app import Zone
from grid.catalog import jobs
from grid.catalog.jobs import NewJob
from grid.namespace import WriteRequest
from grid.policy.jobs import JobWorker

HOME = "/tempZone/home/rods"


def new(tx, name: str, *, lane: str = "a", priority: int = 5, due: float = 0.0, key: str = "") -> int:
    return jobs.insert(tx, NewJob(
        name=name, rule_id=lane, body_id=f"{lane}#1", key=key or name, bundle_generation=0, user_name="rods",
        user_zone="tempZone", captured={}, not_before=due, deadline=None, max_attempts=3, backoff_s=0, backoff_max_s=0,
        lane=lane, priority=priority,
    ))  # fmt: skip


def claimed(zone: Zone, **options) -> str | None:
    with zone.database.write() as tx:
        job = jobs.claim(tx, zone.namespace.context.lease_id, **options)
    return job.name if job is not None else None


def test_the_higher_priority_goes_first_then_what_is_due_for_longest(zone: Zone) -> None:
    with zone.database.write() as tx:
        new(tx, "late", due=50)
        new(tx, "early", due=10)
        new(tx, "urgent", due=99, priority=9)
        new(tx, "tomorrow", due=tx.now + 86_400, priority=9)
    assert [claimed(zone, per_lane=9) for _ in range(4)] == ["urgent", "early", "late", None]


def test_a_busy_lane_never_keeps_the_others_waiting(zone: Zone) -> None:
    with zone.database.write() as tx:
        for number in range(5):
            new(tx, f"slow{number}", lane="slow", priority=9)
        new(tx, "quick", lane="quick", due=100)
    assert [claimed(zone, per_lane=2) for _ in range(4)] == ["slow0", "slow1", "quick", None]


def test_the_same_key_waits_once(zone: Zone) -> None:
    with zone.database.write() as tx:
        assert new(tx, "x", key="k") > 0
        assert new(tx, "x", key="k") == 0


def test_what_people_may_do_with_a_job(zone: Zone) -> None:
    with zone.database.write() as tx:
        job = new(tx, "x")
        assert jobs.change_state(tx, job, "drop") is None
        assert jobs.change_state(tx, job, "pause") == "paused"
    assert claimed(zone) is None
    with zone.database.write() as tx:
        assert jobs.modify(tx, job, priority=7)
        assert jobs.change_state(tx, job, "retry") == "waiting"
        assert jobs.change_state(tx, job, "cancel") == "cancelled"
        assert jobs.change_state(tx, job, "drop") == "dropped"
        assert jobs.by_id_or_none(tx, job) is None


POLICY = f"""
policy tests.jobs version 1
code LATER kind retryable "later"
code HOPELESS kind final "hopeless"
location raw = "{HOME}/raw/**"
rule "work" id work after object close at raw {{
  schedule "ok" key object.id {{ set metadata "state" of object to "done" }}
  schedule "retried" key object.id retry 2 times backoff 1 second to 1 second deadline 1 hour
    on give up {{ set metadata "gave up" of object to "yes" }} {{
    set metadata "tried" of object to "yes"
    require metadata "ready" of object exists else "not ready" code LATER
    set metadata "retried" of object to "done"
  }}
  schedule "hopeless" key object.id retry 9 times backoff 1 second to 1 second deadline 1 hour
    on give up {{ set metadata "hopeless" of object to "given up" }} {{
    fail "never" code HOPELESS
  }}
  schedule "undone" key object.id {{
    do create_collection("{HOME}/made") giving made undo remove_empty_collection("{HOME}/made")
    fail "after that" code HOPELESS
  }}
}}
"""


@pytest.fixture
def working(zone: Zone, rods) -> Zone:
    (zone.folder / "p.policy").write_text(POLICY)
    zone.policy.load_file(zone.folder, "p.policy")
    zone.policy.refresh()
    zone.namespace.collections.create(rods, f"{HOME}/raw")
    zone.namespace.objects.put(rods, f"{HOME}/raw/a", b"x", WriteRequest())
    return zone


def described(zone: Zone, rods) -> dict[str, str]:
    from grid.namespace import Subject

    return {
        a.attribute: a.value for a in zone.namespace.metadata.of(rods, Subject("object", f"{HOME}/raw/a"))
    }


def drained(zone: Zone) -> JobWorker:
    worker = JobWorker(zone.database, zone.policy, zone.host, zone.namespace)
    while worker.run_one():
        pass
    return worker


def make_due(zone: Zone) -> None:
    with zone.database.write() as tx:
        tx.run("UPDATE jobs SET not_before = 0 WHERE state = 'waiting'")


def test_retries_giving_up_and_undoing(working: Zone, rods) -> None:
    worker = drained(working)
    assert described(working, rods) == {"state": "done", "tried": "yes", "hopeless": "given up"}
    with working.database.read() as tx:
        states = dict(tx.all("SELECT name, state FROM jobs"))
        assert tx.one("SELECT 1 FROM collections WHERE path = :p", {"p": f"{HOME}/made"}) is None
        failure = tx.value("SELECT last_failure FROM jobs WHERE name = 'retried'")
    assert states == {"ok": "done", "retried": "waiting", "hopeless": "dead", "undone": "dead"}
    assert failure == "LATER: not ready"
    make_due(working)
    assert worker.run_one()
    make_due(working)
    assert worker.run_one()
    assert described(working, rods)["gave up"] == "yes"
    with working.database.read() as tx:
        assert tx.value("SELECT attempts FROM jobs WHERE name = 'retried'") == 3


def test_a_worker_killed_twice_leaves_one_effect(working: Zone, rods, monkeypatch) -> None:
    """A body that ran, whose worker died before saying so, runs again and changes nothing more."""
    real = jobs.finish
    for _ in range(2):
        monkeypatch.setattr(jobs, "finish", lambda *_: (_ for _ in ()).throw(SystemExit))
        worker = JobWorker(working.database, working.policy, working.host, working.namespace)
        with pytest.raises(SystemExit):
            while worker.run_one():
                pass
        with working.database.write() as tx:
            tx.run("UPDATE jobs SET leased_until = 0 WHERE state = 'running'")
    monkeypatch.setattr(jobs, "finish", real)
    drained(working)
    assert described(working, rods)["state"] == "done"
    with working.database.read() as tx:
        assert (
            tx.value(
                "SELECT count(*) FROM avu_links l JOIN avus a ON a.id = l.avu_id WHERE a.attribute = 'state'"
            )
            == 1
        )
        assert tx.value("SELECT attempts FROM jobs WHERE name = 'ok'") == 3


def test_what_a_job_is_about_may_be_gone(working: Zone, rods) -> None:
    working.namespace.moves.unlink(rods, f"{HOME}/raw/a", force=True)
    drained(working)
    with working.database.read() as tx:
        states = dict(tx.all("SELECT name, state FROM jobs"))
    assert states == {"ok": "done", "retried": "done", "hopeless": "done", "undone": "dead"}, (
        "one needs no object"
    )


def test_jobs_keep_the_policy_that_scheduled_them(working: Zone, rods) -> None:
    (working.folder / "p.policy").write_text("policy tests.jobs version 2\n")
    working.policy.load_file(working.folder, "p.policy")
    working.policy.refresh()
    drained(working)
    assert described(working, rods)["state"] == "done"


def test_captured_values_are_what_the_body_uses(working: Zone) -> None:
    with working.database.read() as tx:
        captured = json.loads(tx.value("SELECT captured FROM jobs WHERE name = 'ok'"))
    assert list(captured["names"].values()) == ["object"]
