"""Rules at work on a real catalog: refusals, metadata, scheduled work, dead letters."""

from pathlib import Path

import pytest

from grid.app import Zone
from grid.catalog import jobs
from grid.errors import ConfigurationError, PolicyDenied, RuleBroken
from grid.namespace import WriteRequest
from grid.policy.jobs import JobWorker

POLICY = """
policy tests.rules version 1 for zone "tempZone"
code NOT_SERVICE kind refused "written by the service"
code STAYS kind refused "stays"
code LABEL kind refused "set already"
code NEVER kind final "never"
location raw = "/tempZone/home/rods/raw/{visit}/**"
rule "only the service writes" id writer before object create at raw
  unless actor in members("daq") or object.expected_size > 1 MB {
  refuse "{at.visit} is written by the service, not by {actor}" code NOT_SERVICE
}
rule "never changed" id frozen before object write at raw { refuse "write-once" code WRITE_ONCE }
rule "not renamed away" id renamed before object rename at raw { refuse "stays" code STAYS }
rule "labels are kept" id labels before metadata change at raw when change.name = "label" {
  require change.old default "" = "" else "the label is set already" code LABEL
}
rule "divides by nothing" id broken before object read at raw when object.size / (object.size - object.size) = 1.0 {
  refuse "never"
}
rule "described" id described after object close at raw {
  set metadata "visit" of object to at.visit
  set metadata "size" of object to object.size unit "B"
  schedule "check" key object.id retry 2 times backoff 1 second to 1 second deadline 1 hour {
    do checksum(object) giving digest
    set metadata "digest" of object to digest
  }
}
rule "fails after" id failing after object close at raw { require false else "nothing to see" code NEVER }
"""


@pytest.fixture
def ruled(zone: Zone, tmp_path: Path) -> Zone:
    (zone.folder / "p.policy").write_text(POLICY)
    zone.policy.load_file(zone.folder, "p.policy")
    zone.policy.refresh()
    rods = zone.namespace.users.caller("rods", "tempZone")
    zone.namespace.users.add(rods, "daq", "rodsgroup")
    zone.namespace.users.change_members(rods, "daq", "add", "rods")
    zone.namespace.collections.create(rods, "/tempZone/home/rods/raw/v1", parents=True)
    return zone


def put(zone: Zone, path: str = "/tempZone/home/rods/raw/v1/a", data: bytes = b"hello"):
    rods = zone.namespace.users.caller("rods", "tempZone")
    return zone.namespace.objects.put(rods, path, data, WriteRequest(size_bytes=len(data)))


def avus(zone: Zone, path: str = "/tempZone/home/rods/raw/v1/a") -> dict[str, str]:
    from grid.namespace import Subject

    rods = zone.namespace.users.caller("rods", "tempZone")
    return {avu.attribute: avu.value for avu in zone.namespace.metadata.of(rods, Subject("object", path))}


def test_a_refusal_has_a_sentence_a_code_and_a_decision(ruled: Zone) -> None:
    rods = ruled.namespace.users.caller("rods", "tempZone")
    ruled.namespace.users.change_members(rods, "daq", "remove", "rods")
    with pytest.raises(PolicyDenied, match="v1 is written by the service, not by rods") as caught:
        put(ruled)
    assert caught.value.code == "NOT_SERVICE"
    with ruled.database.read() as tx:
        assert tx.all(
            "SELECT decision, code, rule FROM decisions WHERE id = :id", {"id": caught.value.decision_id}
        ) == [("refused", "NOT_SERVICE", "tests.rules/writer")]
    assert f"decision {caught.value.decision_id}" in caught.value.notes[0]
    put(ruled, data=b"x" * 1_000_001)


def test_overwriting_and_renaming_ask_too(ruled: Zone) -> None:
    put(ruled)
    rods = ruled.namespace.users.caller("rods", "tempZone")
    with pytest.raises(PolicyDenied, match="write-once"):
        put(ruled, data=b"other")
    with pytest.raises(PolicyDenied, match="stays"):
        ruled.namespace.moves.rename(rods, "/tempZone/home/rods/raw/v1/a", "/tempZone/home/rods/b")
    put(ruled, "/tempZone/home/rods/c")
    with pytest.raises(PolicyDenied, match="stays"):
        ruled.namespace.moves.rename(rods, "/tempZone/home/rods/c", "/tempZone/home/rods/raw/v1/c")
    with pytest.raises(PolicyDenied, match="stays"):
        ruled.namespace.moves.rename(rods, "/tempZone/home/rods/raw", "/tempZone/home/rods/elsewhere")


def test_a_rule_that_cannot_decide_refuses(ruled: Zone) -> None:
    put(ruled)
    rods = ruled.namespace.users.caller("rods", "tempZone")
    with pytest.raises(RuleBroken, match="could not decide"):
        ruled.namespace.objects.open_for_reading(rods, "/tempZone/home/rods/raw/v1/a")


def test_metadata_changes_are_judged_by_old_and_new(ruled: Zone) -> None:
    from grid.model import Avu
    from grid.namespace import MetadataOperation, Subject

    put(ruled)
    rods = ruled.namespace.users.caller("rods", "tempZone")
    subject = Subject("object", "/tempZone/home/rods/raw/v1/a")
    ruled.namespace.metadata.apply(rods, subject, [MetadataOperation("set", Avu("label", "first"))])
    with pytest.raises(PolicyDenied, match="set already"):
        ruled.namespace.metadata.apply(rods, subject, [MetadataOperation("set", Avu("label", "second"))])
    assert avus(ruled)["label"] == "first"


def test_after_rules_describe_and_their_failures_are_dead_letters(ruled: Zone) -> None:
    put(ruled)
    assert avus(ruled) == {"visit": "v1", "size": "5"}
    with ruled.database.read() as tx:
        ((_, name, reason),) = jobs.dead(tx)
    assert (name, reason) == ("fails after", "nothing to see")


def test_scheduled_work_runs_once_for_a_key(ruled: Zone) -> None:
    found = put(ruled)
    with ruled.database.read() as tx:
        assert jobs.counts(tx)["waiting"] == 1
    with ruled.database.read() as tx:
        assert tx.value("SELECT checksum FROM replicas") != "", (
            "the tap recorded the digest that a rule will ask for"
        )
    worker = JobWorker(ruled.database, ruled.policy, ruled.host, ruled.namespace)
    # the broken read rule is for readers through the protocol too; checksum needs no read when one is recorded
    assert worker.run_one()
    assert not worker.run_one()
    assert avus(ruled)["digest"].startswith("sha2:")
    with ruled.database.read() as tx:
        assert jobs.counts(tx) == {"done": 1, "dead": 1}
    assert found.id


def test_a_job_whose_worker_vanished_runs_again(ruled: Zone) -> None:
    put(ruled)
    with ruled.database.write() as tx:
        claimed = jobs.claim(tx, 123)
        assert claimed is not None
        tx.run("UPDATE jobs SET leased_until = 0 WHERE id = :id", {"id": claimed.id})
    worker = JobWorker(ruled.database, ruled.policy, ruled.host, ruled.namespace)
    assert worker.run_one()
    assert avus(ruled)["digest"].startswith("sha2:")


def test_a_broken_policy_changes_nothing(ruled: Zone) -> None:
    (ruled.folder / "p.policy").write_text(POLICY.replace("unless", "unles"))
    with pytest.raises(ConfigurationError, match=r"p.policy:9:3: E001: found `unles` where .*expected"):
        ruled.policy.load_file(ruled.folder, "p.policy")
    ruled.policy.refresh()
    rods = ruled.namespace.users.caller("rods", "tempZone")
    ruled.namespace.users.change_members(rods, "daq", "remove", "rods")
    with pytest.raises(PolicyDenied):
        put(ruled)


def test_a_decision_is_taken_again_when_what_it_looked_at_changed(ruled: Zone, monkeypatch) -> None:
    rods = ruled.namespace.users.caller("rods", "tempZone")
    judge = ruled.policy.before
    judged: list[str] = []

    def before(event) -> None:
        judge(event)
        judged.append(event.name)
        if len(judged) == 1:
            ruled.namespace.users.change_members(rods, "daq", "remove", "rods")

    monkeypatch.setattr(ruled.policy, "before", before)
    with pytest.raises(PolicyDenied, match="written by the service"):
        put(ruled)
    assert judged[0] == "object create"
    with ruled.database.read() as tx:
        assert tx.value("SELECT count(*) FROM data_objects") == 0


def test_an_object_that_changed_after_the_decision_is_judged_again(zone: Zone, monkeypatch) -> None:
    (zone.folder / "p.policy").write_text(
        'policy t.sizes version 1\ncode LARGE kind refused "too large"\nlocation here = "/tempZone/home/rods/**"\n'
        'rule "small only" before object write at here when object.size > 3 B { refuse "too large" code LARGE }\n'
    )
    zone.policy.load_file(zone.folder, "p.policy")
    zone.policy.refresh()
    rods = zone.namespace.users.caller("rods", "tempZone")
    path = "/tempZone/home/rods/a"
    zone.namespace.objects.put(rods, path, b"old", WriteRequest())
    judge = zone.policy.before
    judged: list[str] = []

    def before(event) -> None:
        judge(event)
        judged.append(event.name)
        if judged == ["object write"]:
            zone.namespace.objects.put(rods, path, b"grown", WriteRequest())

    monkeypatch.setattr(zone.policy, "before", before)
    with pytest.raises(PolicyDenied, match="too large"):
        zone.namespace.objects.put(rods, path, b"x", WriteRequest())
    assert judged.count("object write") == 2  # mine and the other's; my second one was refused


def test_a_replica_that_an_event_only_names_is_the_latest(zone: Zone, rods, tmp_path: Path) -> None:
    from grid.policy import attributes

    path = "/tempZone/home/rods/copied"
    zone.namespace.administration.add_resource(
        rods, "second", "unixfilesystem", f"localhost:{tmp_path}/second"
    )
    made = zone.namespace.objects.put(rods, path, b"x", WriteRequest())
    zone.namespace.finisher.finish()
    zone.namespace.replicas.replicate(rods, path, "second")
    with zone.database.read() as tx:
        assert attributes.facts_of(tx, "Replica", str(made.id))["number"] == 1
        assert attributes.facts_of(tx, "Replica", f"{made.id}.0")["number"] == 0
        assert attributes.facts_of(tx, "Replica", "0") == attributes.facts_of(tx, "Replica", "/a/path") == {}
