"""Bundles: pushed, granted, rolled back; explained, tried dry; sweeps and their queries."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from grid.app import Zone
from grid.catalog import bundles as rows
from grid.catalog.database import Transaction
from grid.cli import main as beamgrid
from grid.errors import PolicyDenied
from grid.model import Avu
from grid.namespace import MetadataOperation, Subject, WriteRequest
from grid.policy import bundles, dryrun, explain
from grid.policy.grants import BundleError, Reach, contains
from grid.policy.jobs import JobWorker
from grid.policy.sweeps import SweepRunner
from rules.locations import compile_pattern

HOME = "/tempZone/home/rods"
HEAD = f'policy my.test version 1\ncode NO kind refused "no"\nlocation raw = "{HOME}/raw/{{visit}}/**"\n'
REFUSE = (
    HEAD
    + 'rule "nothing large" id small before object create at raw when object.expected_size > 3 B { refuse "too large for {at.visit}" code NO }\n'
)
DESCRIBE = (
    HEAD
    + 'rule "labelled" id labelled after object close at raw { set metadata "label" of object to at.visit }\n'
)


def activate(zone: Zone, text: str, granted: tuple[str, ...] | None = None) -> int:
    reaches = {"p.policy": Reach(granted)}
    generation = bundles.activate(
        zone.database, "tempZone", {"p.policy": text}, origin="pushed", reaches=reaches
    )
    zone.policy.refresh()
    return generation


@pytest.fixture
def raw(zone: Zone, rods) -> Zone:
    zone.namespace.collections.create(rods, f"{HOME}/raw/v1", parents=True)
    return zone


def put(zone: Zone, rods, name: str, data: bytes = b"x") -> None:
    zone.namespace.objects.put(rods, f"{HOME}/raw/v1/{name}", data, WriteRequest(size_bytes=len(data)))


def test_a_pushed_bundle_stays_until_the_next_and_rolls_back(raw: Zone, rods) -> None:
    first = activate(raw, REFUSE)
    with pytest.raises(PolicyDenied, match="too large for v1") as caught:
        put(raw, rods, "a", b"large")
    assert f"my.test/small@1, decision {caught.value.decision_id}" in caught.value.notes[0]
    activate(raw, HEAD)
    put(raw, rods, "a", b"large")
    activate(raw, raw.policy.at_generation(first).policies[0].source.text)
    with pytest.raises(PolicyDenied):
        put(raw, rods, "b", b"large")


def test_a_bundle_reaches_no_further_than_it_was_granted(raw: Zone, rods) -> None:
    with pytest.raises(BundleError, match=r"`my\.test` was granted `/tempZone/home/rods/other"):
        activate(raw, DESCRIBE, granted=("/tempZone/home/rods/other/**",))
    reaching = HEAD + (
        'rule "elsewhere" id e after object close at raw {\n'
        f'  do create_collection("{HOME}/elsewhere")\n}}\n'
    )
    activate(raw, reaching, granted=(f"{HOME}/raw/**",))
    put(raw, rods, "a")
    with raw.database.read() as tx:
        assert tx.one("SELECT 1 FROM collections WHERE path = :p", {"p": f"{HOME}/elsewhere"}) is None
        assert "was not granted rights at" in str(
            tx.value("SELECT last_failure FROM jobs WHERE state = 'dead'")
        )
    activate(raw, reaching, granted=(f"{HOME}/**",))
    put(raw, rods, "b")
    with raw.database.read() as tx:
        assert tx.one("SELECT 1 FROM collections WHERE path = :p", {"p": f"{HOME}/elsewhere"}) is not None


@pytest.mark.parametrize("condition", [
    'object.name = "a.tmp"', 'object.owner.name = "rods"', 'object.collection.name = "v1"', "object.copies = 0",
    "not object.checksummed", "object.size = 0 B", "not (object.checksum exists)",
])  # fmt: skip
def test_what_is_known_of_an_object_before_it_exists(raw: Zone, rods, condition: str) -> None:
    activate(
        raw,
        HEAD + f'rule "r" id r before object create at raw when {condition} {{ refuse "as said" code NO }}\n',
    )
    with pytest.raises(PolicyDenied, match="as said"):
        put(raw, rods, "a.tmp")


def test_what_is_known_of_a_collection_before_it_exists(raw: Zone, rods) -> None:
    condition = 'collection.name = "v1" and collection.owner.name = "rods"'
    activate(
        raw,
        HEAD
        + f'rule "r" id r before collection create at raw when {condition} {{ refuse "as said" code NO }}\n',
    )
    raw.namespace.collections.create(rods, f"{HOME}/raw/v1/v2")
    with pytest.raises(PolicyDenied, match="as said"):
        raw.namespace.collections.create(rods, f"{HOME}/raw/v1/v1")


@pytest.mark.parametrize(("outer", "inner", "inside"), [
    ("/z/a/**", "/z/a/{v}/raw/**", True), ("/z/a/**", "/z/a", True), ("/z/a/{v}/**", "/z/a/x/**", True),
    ("/z/a/x/**", "/z/a/{v}/**", False), ("/z/a/**", "/z/**", False), ("/z/a", "/z/a/**", False), ("/z/a", "/z/a", True),
    ("/z/{v}.h5", "/z/{w}", False),
])  # fmt: skip
def test_containment_of_locations(outer: str, inner: str, inside: bool) -> None:
    assert contains(compile_pattern("o", outer, {}, {}), compile_pattern("i", inner, {}, {})) is inside


def test_a_bundle_that_does_not_check_any_more_leaves_the_last_good_one(raw: Zone, rods) -> None:
    activate(raw, REFUSE)
    with raw.database.write() as tx:
        tx.run("UPDATE policy_bundles SET active = 0")
        tx.run(
            "INSERT INTO policy_bundles (generation, origin, digest, sources, activated_at, active)"
            " VALUES (99, 'pushed', 'x', :s, 0, 1)", {"s": json.dumps({"p.policy": "policy broken"})},
        )  # fmt: skip
    raw.policy.refresh()
    assert "generation 99 does not check, generation" in raw.policy.description
    with pytest.raises(PolicyDenied):
        put(raw, rods, "a", b"large")


def test_a_bundle_is_taken_over_without_checking_it_again(raw: Zone, rods, monkeypatch) -> None:
    generation = activate(raw, REFUSE)
    with monkeypatch.context() as patch:
        patch.setattr(bundles, "examined", None)
        taken = bundles.ActiveBundle(raw.database, "tempZone").at(generation)
    assert [policy.source.text for policy in taken.policies] == [REFUSE]
    assert [active.rule.id for active in taken.active.rules] == ["my.test/small"]
    with raw.database.write() as tx:
        form = rows.checked_form(tx, generation).replace("nothing large", "nothing at all")
        tx.run("UPDATE policy_bundles SET checked = :form", {"form": form})
    again = bundles.ActiveBundle(raw.database, "tempZone").at(generation)
    assert [active.rule.title for active in again.active.rules] == ["nothing large"], (
        "what was changed does not count"
    )
    activate(raw, REFUSE)
    assert raw.policy.bundle.current.generation == generation
    with raw.database.read() as tx:
        assert "nothing at all" not in rows.checked_form(tx, generation), "activating it again mends it"


def test_metadata_of_a_declared_type_takes_no_other_value(raw: Zone, rods) -> None:
    from grid.errors import InvalidArgument

    activate(raw, HEAD + 'metadata "embargo": Time on Collection\n')
    subject = Subject("collection", f"{HOME}/raw")
    with pytest.raises(InvalidArgument, match="META_TYPE"):
        raw.namespace.metadata.apply(rods, subject, [MetadataOperation("set", Avu("embargo", "soon"))])
    raw.namespace.metadata.apply(rods, subject, [MetadataOperation("set", Avu("embargo", "2029-03-02"))])


def test_an_explanation_shows_each_condition_and_changes_nothing(raw: Zone, rods) -> None:
    activate(raw, REFUSE + DESCRIBE.replace(HEAD, ""))
    found = explain.explain(
        raw.namespace, raw.policy, rods, "object create", f"{HOME}/raw/v1/a", {"object": {"expected_size": 2}}
    )
    ((phase, trace),) = found.traces
    assert (phase, trace.outcome, trace.atoms[0].holds) == ("before", "guard false", False)
    assert trace.atoms[0].values == (("object.expected_size", "2"),)
    put(raw, rods, "a")
    found = explain.explain(raw.namespace, raw.policy, rods, "object close", f"{HOME}/raw/v1/a")
    assert found.effects == [f'set metadata "label" of {HOME}/raw/v1/a to `v1`']
    facts = explain.explain_object(raw.namespace, raw.policy, rods, f"{HOME}/raw/v1/a")
    assert facts["may_read"] == ["rods#tempZone"]
    assert [decision["rule"] for decision in facts["touched_by"]] == ["my.test/labelled"]


def counted(zone: Zone) -> dict[str, int]:
    with zone.database.read() as tx:
        return {
            table: int(tx.value(f"SELECT count(*) FROM {table}"))
            for table in (
                "data_objects",
                "replicas",
                "avu_links",
                "jobs",
                "decisions",
                "outbox",
                "policy_bundles",
                "promises",
            )
        }


def test_a_dry_run_lists_what_would_change_and_writes_nothing(raw: Zone, rods) -> None:
    activate(raw, DESCRIBE)
    put(raw, rods, "a", b"large")
    before = counted(raw)
    new = bundles.checked({"p.policy": REFUSE.replace("> 3 B", ">= 0 B") + (
        'keep "two" id two at raw { 2 copies on medium != tape }\n'
        'sweep "all" id all every 1 day over object at raw when object.size > 3 B { note "{object.path}" }\n'
    )}, "tempZone")  # fmt: skip
    report = dryrun.dry_run(raw.namespace, raw.policy, new)
    assert [line.partition(":")[0] for line in report.now_refused] == [
        f"object create {HOME}/raw/v1/a as rods#tempZone"
    ]
    assert report.effects_changed
    assert report.effects_changed[0].endswith(f'- set metadata "label" of {HOME}/raw/v1/a to `v1`')
    assert report.newly_unmet
    assert report.sweeps[0].startswith('sweep "all": 1 would be acted on')
    assert counted(raw) == before
    assert "REFUSED by the new policy: 1" in dryrun.report_text(report)


SWEEP = (
    HEAD
    + f"""
location dataset = "{HOME}/raw/{{visit}}"
metadata "embargo_until": Time on Collection
sweep "open what is due" id opened every 1 hour over collection at dataset
  when metadata "embargo_until" of collection exists and metadata "embargo_until" of collection <= now
  when collection.visibility = private
  order by metadata "embargo_until" of collection ascending until 2 {{
    set collection.visibility to open
}}
"""
)


def test_a_sweep_acts_on_what_matches_in_its_order_up_to_its_amount(raw: Zone, rods) -> None:
    activate(raw, SWEEP)
    space = raw.namespace
    times = {"v2": -3, "v3": -1, "v4": -2, "v5": 5}
    for name, days in times.items():
        space.collections.create(rods, f"{HOME}/raw/{name}")
        at = (datetime.now(UTC) + timedelta(days=days)).isoformat()
        space.metadata.apply(
            rods,
            Subject("collection", f"{HOME}/raw/{name}"),
            [MetadataOperation("set", Avu("embargo_until", at))],
        )
    worker = JobWorker(raw.database, raw.policy, raw.host, space)

    def opened() -> list[str]:
        with raw.database.read() as tx:
            rows = tx.all(
                "SELECT c.path FROM collections c JOIN avu_links l ON l.entity_id = c.id JOIN avus a ON a.id = l.avu_id"
                " WHERE a.attribute = 'visibility' AND a.value = 'open' ORDER BY c.path"
            )
        return [row[0].rpartition("/")[2] for row in rows]

    assert worker.run_periodic()
    assert opened() == ["v2", "v4"], "the two that are due for longest"
    assert not worker.run_periodic(), "it is not due again for an hour"
    with raw.database.write() as tx:
        tx.run("UPDATE periodic SET next_at = 0")
    assert worker.run_periodic()
    assert opened() == ["v2", "v3", "v4"]


def test_a_sweep_reads_what_matches_and_not_the_zone(raw: Zone, rods, tmp_path: Path) -> None:
    text = HEAD + (
        'sweep "large copies" id large every 1 hour over replica at raw\n'
        '  when replica.size > 3 B and replica.resource.name = "demoResc"\n'
        "  when copies_ok(replica.object, without: replica)\n"
        "  order by replica.last_read_at ascending until 10 B { do trim(replica) }\n"
    )
    activate(raw, text)
    raw.namespace.administration.add_resource(
        rods, "second", "unixfilesystem", f"localhost:{tmp_path}/second"
    )
    for number in range(6):
        put(raw, rods, f"f{number}", b"x" * (number * 2))
    for number in (3, 4, 5):
        raw.namespace.replicas.replicate(rods, f"{HOME}/raw/v1/f{number}", "second")
    (sweep,) = raw.policy.bundle.current.active.sweeps
    runner = SweepRunner(raw.database, "tempZone", raw.policy.timezone)
    report = runner.run(sweep, explain.EffectRecorder(raw.database), act=False)
    assert report.examined == 4, "f2 to f5 are larger than 3 B"
    assert [name.rpartition("/")[2] for name in report.acted_on] == ["f3 0", "f4 0"], (
        "14 B is where 10 B are reached"
    )
    JobWorker(raw.database, raw.policy, raw.host, raw.namespace).run_periodic()
    with raw.database.read() as tx:
        assert tx.value("SELECT count(*) FROM replicas WHERE number = 0") == 4


def test_what_was_not_read_for_long_is_found_by_its_age(raw: Zone, rods) -> None:
    text = HEAD + (
        'sweep "cold copies" id cold every 1 hour over replica at raw\n'
        '  when replica.last_read_at < now - 30 days when replica.resource.medium != "tape"\n'
        '  order by replica.last_read_at ascending { note "cold" }\n'
    )
    activate(raw, text)
    for name in ("a", "b", "c"):
        put(raw, rods, name)
    for name, age in (("a", 40), ("c", 50)):
        at = f"{int((datetime.now(UTC) - timedelta(days=age)).timestamp()):011d}"
        with raw.database.write() as tx:
            tx.run(
                "UPDATE replicas SET access_time = :at WHERE data_id = (SELECT id FROM data_objects WHERE name = :name)",
                {"at": at, "name": name},
            )
    (sweep,) = raw.policy.bundle.current.active.sweeps
    runner = SweepRunner(raw.database, "tempZone", raw.policy.timezone)
    plans: list[str] = []
    every_row = Transaction.all

    def explained(tx: Transaction, sql: str, values=None):
        if "ORDER BY r.access_time" in sql:
            plans.extend(str(row[-1]) for row in every_row(tx, f"EXPLAIN QUERY PLAN {sql}", values))
        return every_row(tx, sql, values)

    with pytest.MonkeyPatch.context() as patch:
        if raw.database.is_sqlite:
            patch.setattr(Transaction, "all", explained)
        report = runner.run(sweep, explain.EffectRecorder(raw.database), act=False)
    assert [name.rpartition("/")[2] for name in report.acted_on] == ["c 0", "a 0"]
    assert report.examined == 2
    if raw.database.is_sqlite:
        assert any(
            "ix_replicas_resource_access (resource_id=? AND access_time<?)" in plan for plan in plans
        ), plans


def test_the_commands_for_stewards(sqlite_zone: Zone, tmp_path: Path, capsys) -> None:
    folder, file = str(sqlite_zone.folder), tmp_path / "p.policy"
    file.write_text(
        REFUSE
        + 'test "small ones pass" { when anna does object create "/tempZone/home/rods/raw/v/x" { size: 2 B } then allowed }\n'
    )
    assert beamgrid.main(["policy", "check", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []
    assert beamgrid.main(["policy", "fmt", "--check", str(file)]) == 1
    assert beamgrid.main(["policy", "fmt", "--write", str(file)]) == 0
    assert beamgrid.main(["policy", "fmt", "--check", str(file)]) == 0
    assert beamgrid.main(["policy", "test", str(file), "--coverage"]) == 0
    assert "1 of 1 tests pass" in capsys.readouterr().out
    assert beamgrid.main(["policy", "doc", str(file)]) == 0
    assert "Before an object is created at raw, when object.expected_size > 3 B" in capsys.readouterr().out
    assert beamgrid.main(["policy", "diff", folder, str(file)]) == 1
    assert beamgrid.main(["policy", "push", folder, str(file)]) == 0
    assert beamgrid.main(["policy", "diff", folder, str(file)]) == 0
    capsys.readouterr()
    assert beamgrid.main(["policy", "explain", folder, "--event", "object create", "--path", f"{HOME}/raw/v/x", "--as", "rods",
                          "--fact", "object.expected_size=9", "--json"]) == 0  # fmt: skip
    explained = json.loads(capsys.readouterr().out)
    assert explained["decision"] == "refused with NO: too large for v"
    assert beamgrid.main(["policy", "status", folder, "--json"]) == 0
    file.write_text(file.read_text().replace("then allowed", "then refused with NO"))
    assert beamgrid.main(["policy", "push", folder, str(file)]) == 1
    assert "the policy's own tests fail" in capsys.readouterr().err
    assert beamgrid.main(["policy", "rollback", folder, "--to", "77"]) == 1
    assert beamgrid.main(["jobs", "list", folder, "--json"]) == 0


def test_the_shipped_sweep_empties_old_trash_but_not_what_is_held(raw: Zone, rods) -> None:
    import policies

    for name in ("old", "held", "fresh"):
        put(raw, rods, name)
        raw.namespace.moves.unlink(rods, f"{HOME}/raw/v1/{name}")
    trash = "/tempZone/trash/home/rods/raw/v1"
    raw.namespace.metadata.apply(
        rods, Subject("object", f"{trash}/held"), [MetadataOperation("add", Avu("legal_hold", "case"))]
    )
    with raw.database.write() as tx:
        tx.run("UPDATE trashed SET trashed_at = 0 WHERE path <> :p", {"p": f"{trash}/fresh"})
    bundles.activate(raw.database, "tempZone", {"t.policy": policies.text("trash.policy")}, origin="pushed")
    raw.policy.refresh()
    (sweep,) = raw.policy.bundle.current.active.sweeps
    worker = JobWorker(raw.database, raw.policy, raw.host, raw.namespace)
    runner = SweepRunner(raw.database, "tempZone", raw.policy.timezone)
    report = runner.run(sweep, worker.effects(rods, raw.policy.bundle.current, sweep.id))
    assert (report.acted_on, report.failures) == ([f"{trash}/old"], [])
    with raw.database.read() as tx:
        assert tx.all("SELECT name FROM data_objects ORDER BY name") == [("fresh",), ("held",)]
