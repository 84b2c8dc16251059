"""Data objects on tape in a zone: written by the library, recalled by people, promises that count on them."""

import json
import time
from pathlib import Path

import pytest

from grid.app import Zone
from grid.errors import AccessDenied, InvalidArgument, NotFound, NotOnline
from grid.model import Avu, ReplicaStatus
from grid.namespace import ChecksumRequest, MetadataOperation, Subject, TrimRequest, WriteRequest
from grid.namespace.found import find
from grid.policy import bundles
from grid.policy.jobs import JobWorker
from grid.policy.keeping import Keeper
from grid.server.counters import Counters
from grid.server.metrics import ZoneFigures
from grid.tiers.arrivals import Arrivals
from grid.tiers.libraries import Libraries
from grid.tiers.operator import TapeOperator

HOME = "/tempZone/home/rods"
CONTEXT = (
    "drives=1;cartridges=3;capacity=1 MB;clock_factor=1000000;batch=1;batch_age=0;container=100 kB;pin=1000 d"
)


class Tape:
    """A zone with a tape resource, whose robot moves when it is told to."""

    def __init__(self, zone: Zone, folder: Path, context: str = CONTEXT) -> None:
        self.zone, self.space, self.folder = zone, zone.namespace, folder
        self.rods = zone.namespace.users.caller("rods", "tempZone")
        self.made = self.space.administration.add_resource(
            self.rods, "tape1", "tape", f"localhost:{folder}/tape", context
        )
        self.libraries = Libraries(zone.database, "tempZone")
        self.operator = TapeOperator(
            self.space.context, self.libraries, Arrivals(self.space), self.space.context.lease_id
        )

    def work(self, seconds: float = 0.5) -> None:
        """Let the robot work for a while; it is a million times as quick as a real one."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(min(self.operator.step(), 0.01))

    def put(self, name: str, data: bytes, resource: str = "tape1") -> str:
        request = WriteRequest(size_bytes=len(data), resource_name=resource, register_checksum=True)
        self.space.objects.put(self.rods, f"{HOME}/{name}", data, request)
        self.space.finisher.finish()
        return f"{HOME}/{name}"

    def residency(self, path: str) -> list[tuple[str, ReplicaStatus]]:
        with self.zone.database.read() as tx:
            found = find(tx, path)
        return [(replica.residency, replica.status) for replica in found.replicas]

    def read(self, path: str) -> bytes:
        opened = self.space.objects.open_for_reading(self.rods, path)
        buffer = memoryview(bytearray(opened.size()))
        opened.file.read_into(buffer, 0)
        opened.close()
        return bytes(buffer)


@pytest.fixture
def tape(zone: Zone, tmp_path: Path) -> Tape:
    return Tape(zone, tmp_path)


def test_an_object_goes_to_tape_is_asked_for_and_comes_back(tape: Tape) -> None:
    path = tape.put("scan", b"frames" * 1000)
    assert tape.residency(path) == [("", ReplicaStatus.GOOD)]
    tape.work()
    assert tape.residency(path) == [("tape", ReplicaStatus.GOOD)]
    assert (tape.folder / "tape/home/rods/scan").is_symlink()
    with pytest.raises(
        NotOnline, match=r"is on tape, on cartridge T00001; request \d+ is queued with 0 before it"
    ):
        tape.read(path)
    (standing,) = tape.space.recalls.listed(tape.rods, everybodys=False, ended=False, limit=10)
    assert (standing["state"], standing["path"], standing["cartridge"]) == ("queued", path, "T00001")
    tape.work()
    found = tape.space.recalls.status(tape.rods, standing["request"])
    assert found["state"] == "done"
    assert found["estimate_was_off_by_s"] is not None
    assert found["pinned_for_s"] > 0
    assert tape.residency(path) == [("tape+disk", ReplicaStatus.GOOD)]
    assert tape.read(path) == b"frames" * 1000
    with tape.zone.database.read() as tx:
        events = [
            row[0] for row in tx.all("SELECT event FROM outbox WHERE subject = :p ORDER BY id", {"p": path})
        ]
    assert [e for e in events if e.startswith("replica")] == [
        "replica archive",
        "replica recall",
        "replica recall done",
    ]


def test_an_open_waits_where_the_resource_says_so(zone: Zone, tmp_path: Path) -> None:
    import threading

    tape = Tape(zone, tmp_path, CONTEXT + ";open=wait;wait=30")
    path = tape.put("scan", b"frames")
    tape.work()
    stop = threading.Event()
    robot = threading.Thread(target=tape.operator.run, args=(stop,))
    robot.start()
    try:
        assert tape.read(path) == b"frames"
    finally:
        stop.set()
        robot.join()


def test_what_is_renamed_overwritten_or_removed_meanwhile(tape: Tape) -> None:
    first, second, third = (tape.put(name, name.encode() * 100) for name in ("one", "two", "three"))
    tape.operator.step()  # the drive has begun
    tape.space.moves.rename(tape.rods, first, f"{HOME}/moved")
    tape.space.moves.unlink(tape.rods, second, force=True)
    tape.space.objects.put(tape.rods, third, b"new", WriteRequest(size_bytes=3, resource_name="tape1"))
    tape.space.finisher.finish()
    tape.work(1.0)
    assert tape.residency(f"{HOME}/moved") == [("tape", ReplicaStatus.GOOD)]
    assert tape.residency(third) == [("tape", ReplicaStatus.GOOD)]
    for path, data in ((f"{HOME}/moved", b"one" * 100), (third, b"new")):
        with pytest.raises(NotOnline):
            tape.read(path)
        tape.work()
        assert tape.read(path) == data
    tape.space.moves.unlink(tape.rods, third, force=True)
    tape.space.finisher.finish()
    tape.work()
    with tape.zone.database.read() as tx:
        assert tx.value("SELECT count(*) FROM tape_entries") == 1
        assert tx.value("SELECT count(*) FROM tape_landing") == 0


def test_a_copy_counts_once_it_is_on_tape(tape: Tape) -> None:
    path = tape.put("scan", b"x" * 1000, "demoResc")
    policy = (
        'policy my.keep version 1\nlocation home = "/tempZone/home/rods/**"\n'
        'keep "one on tape" id onetape at home { 1 copy on medium = tape }\n'
    )
    bundles.activate(tape.zone.database, "tempZone", {"p.policy": policy}, origin="pushed")
    tape.zone.policy.refresh()
    bundle = tape.zone.policy.bundle.current
    keeper = Keeper(tape.zone.database, tape.space, tape.zone.policy)
    with tape.zone.database.read() as tx:
        data_id = find(tx, path).id
    keeper.reconcile(data_id, bundle)  # makes the copy
    tape.space.finisher.finish()
    (standing,) = keeper.reconcile(data_id, bundle)
    assert standing.reasons == ["1 copy on medium = tape: replica 1 waits on `tape1` to be written to tape"]
    with pytest.raises(InvalidArgument, match=r"the last good one of .*; replica 1 is not on tape yet"):
        tape.space.replicas.trim(tape.rods, path, TrimRequest(replica_number=0))
    tape.work()
    (standing,) = keeper.reconcile(data_id, bundle)
    assert (standing.reasons, standing.held) == ([], {1})
    assert tape.space.replicas.trim(tape.rods, path, TrimRequest(replica_number=0)) == 1
    with pytest.raises(NotOnline):
        tape.space.replicas.replicate(tape.rods, path, "demoResc")
    tape.work()
    assert tape.space.replicas.replicate(tape.rods, path, "demoResc") == 1000
    tape.space.checksums.checksum(tape.rods, path, ChecksumRequest(verify=True))


def test_a_lost_cartridge_names_its_files_and_the_promise_is_made_anew(tape: Tape) -> None:
    path = tape.put("scan", b"x" * 1000, "demoResc")
    tape.space.replicas.replicate(tape.rods, path, "tape1")
    tape.space.finisher.finish()
    tape.work()
    call = tape.zone.host.call
    shown = call(tape.rods, "tape_show", {})
    label = next(c["label"] for c in shown["cartridges"] if c["used_bytes"])
    found = call(tape.rods, "tape_condition", {"label": label, "condition": "lost"})
    assert found["lost"] == [path]
    assert tape.residency(path) == [("", ReplicaStatus.GOOD), ("", ReplicaStatus.STALE)]
    with tape.zone.database.read() as tx:
        assert tx.value("SELECT count(*) FROM keep_queue") == 1
    assert tape.read(path) == b"x" * 1000
    assert tape.space.replicas.update_stale(tape.rods, path) == 1000
    tape.space.finisher.finish()
    tape.work()
    assert tape.residency(path)[1] == ("tape", ReplicaStatus.GOOD)


def test_requests_are_the_users_own(tape: Tape) -> None:
    path = tape.put("scan", b"x" * 1000)
    tape.work()
    tape.space.users.add(tape.rods, "anna", "rodsuser")
    anna = tape.space.users.caller("anna", "tempZone")
    call = tape.zone.host.call
    (refused,) = call(anna, "stage_request", {"paths": [path]})
    assert (refused["state"], refused["reason"]) == (
        "rejected",
        f"`anna#tempZone` needs `read` access to `{path}`",
    )
    asked, missing = call(tape.rods, "stage_request", {"paths": [path, f"{HOME}/nothing"], "priority": 9})
    assert (asked["state"], asked["priority"], missing["state"]) == ("queued", 9, "rejected")
    number = asked["request"]
    for name, arguments in (
        ("stage_status", {"requests": [number]}), ("stage_cancel", {"requests": [number]}),
        ("stage_pin", {"requests": [number], "seconds": 5}),
    ):  # fmt: skip
        with pytest.raises(NotFound, match=f"there is no staging request {number} of yours"):
            call(anna, name, arguments)
    with pytest.raises(AccessDenied, match="only administrators see the requests of others"):
        call(anna, "stage_status", {"all": True})
    assert call(anna, "stage_status", {}) == []
    (cancelled,) = call(tape.rods, "stage_cancel", {"requests": [number]})
    assert (cancelled["state"], cancelled["reason"]) == ("cancelled", "cancelled by rods#tempZone")
    tape.work()
    assert tape.residency(path) == [("tape", ReplicaStatus.GOOD)]
    with pytest.raises(InvalidArgument, match="0 to ten years were expected"):
        call(tape.rods, "stage_pin", {"requests": [number], "seconds": -1})
    with tape.zone.database.read() as tx:
        assert tx.value("SELECT count(*) FROM tape_waiting") == 0


def test_operators_see_and_mend_the_library(tape: Tape) -> None:
    path = tape.put("scan", b"x" * 1000)
    tape.work()
    call = tape.zone.host.call
    call(tape.rods, "tape_fault", {"part": "robot", "fault": "jammed"})
    call(tape.rods, "tape_fault", {"part": "drive1", "fault": "stuck"})
    call(tape.rods, "stage_request", {"paths": [path]})
    tape.work(0.2)
    shown = call(tape.rods, "tape_show", {"resource": "tape1"})
    assert (shown["robot"], shown["drives"][0]["doing"], shown["queue"][0]["requests"]) == (
        "jammed",
        "stuck",
        1,
    )
    for part in ("robot", "drive1"):
        call(tape.rods, "tape_fault", {"part": part})
    tape.work()
    assert tape.residency(path) == [("tape+disk", ReplicaStatus.GOOD)]
    assert call(tape.rods, "tape_show", {})["estimates"]["arrived"] == 1
    call(tape.rods, "tape_repack", {"label": "T00001"})
    tape.work()
    used = {c["label"]: c["used_bytes"] for c in call(tape.rods, "tape_show", {})["cartridges"]}
    assert used["T00001"] == 0
    assert sum(used.values()) == 1000
    with pytest.raises(InvalidArgument, match="`tape1` has no `drive7`; it has robot, drive1"):
        call(tape.rods, "tape_fault", {"part": "drive7"})
    with pytest.raises(NotFound, match="there is no tape resource `disk` \\(tape1\\)"):
        call(tape.rods, "tape_show", {"resource": "disk"})


@pytest.mark.parametrize(("context", "message"), [
    ("drives=0", "`drives` is `0`; a whole number from 1 on was expected"),
    ("capacity=-5 GB", "`capacity` is `-5 GB`; a size such as 500 GB was expected"),
    ("clock_factor=fast", "`clock_factor` is `fast`; a number above 0 was expected"),
    ("drive=2", "found `drive` in a context string; did you mean `drives`?"),
    ("open=maybe", "`open` is `maybe`; ask, wait were expected"),
    ("drives", "found `drives` in a context string where `name=value` was expected"),
    ("drives=1;drives=2", "`drives` is there twice"),
    ("library=here", "`library` is `here`; an absolute path was expected"),
    ("batch_age=soon", "`batch_age` is `soon`; a time such as 10 min was expected"),
])  # fmt: skip
def test_nonsense_in_a_context_string_is_refused(
    zone: Zone, rods, tmp_path: Path, context: str, message: str
) -> None:
    import re

    with pytest.raises(InvalidArgument, match=re.escape(message)):
        zone.namespace.administration.add_resource(
            rods, "tape1", "tape", f"localhost:{tmp_path}/tape", context
        )
    zone.namespace.administration.add_resource(
        rods, "tape1", "tape", f"localhost:{tmp_path}/tape", "drives=1;rack=7"
    )
    with pytest.raises(InvalidArgument, match=re.escape(message)):
        zone.namespace.administration.modify_resource(rods, "tape1", "context", context)


def test_another_process_takes_over_when_the_operator_is_gone(tape: Tape) -> None:
    path = tape.put("scan", b"x" * 1000)
    other = TapeOperator(tape.space.context, tape.libraries, Arrivals(tape.space), 999_999)
    tape.operator.step()
    other.step()
    assert other._mine == []
    with tape.zone.database.write() as tx:
        tx.run("DELETE FROM leases")
    other._elect()
    assert [r.name for r in other._mine] == ["tape1"]
    deadline = time.monotonic() + 5
    while tape.residency(path)[0][0] != "tape" and time.monotonic() < deadline:
        other.step()
    assert json.dumps(tape.residency(path)[0][0]) == '"tape"'


def test_rules_are_told_what_arrived_and_for_whom(tape: Tape) -> None:
    policy = (
        'policy my.arrivals version 1\nlocation home = "/tempZone/home/rods/**"\n'
        'rule "arrived" id arrived after replica stage at home {\n'
        '  set metadata "arrived for" of object to actor.name\n}\n'
    )
    (tape.zone.folder / "p.policy").write_text(policy)
    tape.zone.policy.load_file(tape.zone.folder, "p.policy")
    tape.zone.policy.refresh()
    paths = [tape.put(name, b"frames") for name in ("kept", "cancelled")]
    tape.work()
    asked = [tape.space.recalls.ask(tape.rods, path)["request"] for path in paths]
    tape.space.recalls.cancel(tape.rods, asked[1])
    tape.work()
    told = [
        {a.attribute: a.value for a in tape.space.metadata.of(tape.rods, Subject("object", path))}
        for path in paths
    ]
    assert told == [{"arrived for": "rods"}, {}]


@pytest.mark.parametrize(
    ("deadline", "state", "cancelled"), [("1 hour", "waiting", 0), ("1 second", "dead", 1)]
)
def test_a_recall_waits_until_its_deadline(tape: Tape, deadline: str, state: str, cancelled: int) -> None:
    policy = f"""
        policy my.recalls version 1
        location home = "{HOME}/**"
        rule "back" id back after metadata change at home {{
          schedule "recall" key object.id retry 9 times backoff 1 second to 1 second deadline 1 day {{
            do recall(object, to: "demoResc", deadline: {deadline})
          }}
        }}
        """
    (tape.zone.folder / "p.policy").write_text(policy)
    tape.zone.policy.load_file(tape.zone.folder, "p.policy")
    tape.zone.policy.refresh()
    path = tape.put("scan", b"frames")
    tape.work()
    change = MetadataOperation("add", Avu("wanted", "yes", ""))
    tape.space.metadata.apply(tape.rods, Subject("object", path), [change])
    worker = JobWorker(tape.zone.database, tape.zone.policy, tape.zone.host, tape.space)
    assert worker.run_one()
    time.sleep(1.2)
    with tape.zone.database.write() as tx:
        tx.run("UPDATE jobs SET not_before = 0 WHERE state = 'waiting'")
    assert worker.run_one()
    with tape.zone.database.read() as tx:
        found = tx.one("SELECT state, last_failure FROM jobs WHERE name = 'recall'")
        over = tx.value("SELECT count(*) FROM tape_requests WHERE state = 'cancelled'")
    assert found is not None
    assert (found[0], over) == (state, cancelled), found[1]
    if cancelled:
        assert "was to be there within" in found[1]


def test_how_far_off_estimates_were_is_published(tape: Tape) -> None:
    path, other = tape.put("scan", b"frames"), tape.put("other", b"frames")
    tape.work()
    tape.space.recalls.ask(tape.rods, path)
    tape.work()
    tape.space.recalls.ask(tape.rods, other)
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in ZoneFigures(Counters(1), tape.zone.database, "tempZone").collect()
        for sample in family.samples
    }
    assert found["beamgrid_tape_recalls", "tape1", "queued"] == 1
    assert (
        0
        <= found["beamgrid_tape_estimate_error_seconds", "tape1", "0.5"]
        <= found["beamgrid_tape_estimate_error_seconds", "tape1", "1.0"]
    )


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_a_clock_that_jumps_loses_nothing(tape: Tape, monkeypatch, jump: float) -> None:
    first = tape.put("first", b"frames")
    tape.operator.step()
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + jump)
    second = tape.put("second", b"others")
    tape.work(1.0)
    assert {tape.residency(path)[0][0] for path in (first, second)} == {"tape"}
    for path in (first, second):
        tape.space.recalls.ask(tape.rods, path)
    monkeypatch.setattr(time, "time", right)
    tape.work(1.0)
    assert (tape.read(first), tape.read(second)) == (b"frames", b"others")
