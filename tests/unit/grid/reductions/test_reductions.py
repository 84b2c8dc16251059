"""Reductions in a zone: what is made, with whose rights, what is said of it; and kernels that are released."""

import io
import os
import threading

import h5py
import hdf5plugin
import numpy
import pytest

from accel import reducing
from accel.shipped import SHIPPED
from accel.simulator import Simulator
from grid.app import Zone
from grid.catalog import kernels, leases, reductions
from grid.errors import (
    AccessDenied,
    AlreadyExists,
    InvalidArgument,
    MicroserviceFailed,
    NotFound,
    NotPrivileged,
)
from grid.model import Caller
from grid.namespace import Subject, WriteRequest
from grid.reductions.reducing import Reducer
from tests.unit.accel.kernels_by_users import BRIGHT
from tests.unit.grid.evidence.test_publishing import made_of
from tests.unit.grid.evidence.test_sequencer import signing
from tests.unit.grid.tiers.test_computing import Counted, cluster, computing

__all__ = ["cluster", "computing", "signing"]

HOME = "/tempZone/home/rods"
SCAN = f"{HOME}/scan.h5"
SIMULATED = Simulator(shape=(48, 60), gap=4, peaks=5)


def scan(count: int = 40) -> bytes:
    mean, file = SIMULATED.mean(), io.BytesIO()
    with h5py.File(file, "w") as made:
        frames = numpy.stack([SIMULATED.frame(n, mean) for n in range(count)])
        made.create_dataset(
            "entry/data", data=frames, chunks=(1, 48, 60), **hdf5plugin.Bitshuffle(cname="lz4")
        )
        made["entry/mask"] = SIMULATED.mask()
    return file.getvalue()


def put(zone: Zone, caller: Caller, path: str, data: bytes) -> None:
    zone.namespace.objects.put(caller, path, data, WriteRequest(size_bytes=len(data)))
    zone.namespace.finisher.finish()


def ask(zone: Zone, caller: Caller, **more: object) -> dict:
    said = {"paths": [SCAN], "kernel": "statistics", "dataset": "/entry/data", **more}
    return zone.host.call(caller, "reduce_request", said)[0]


def carried_out(zone: Zone) -> None:
    reducer = Reducer(zone.database, zone.namespace, zone.host, zone.namespace.context.lease_id)
    while reducer.step():
        pass


def status(zone: Zone, caller: Caller, number: int) -> dict:
    return zone.host.call(caller, "reduce_status", {"reductions": [number]})[0]


def content(zone: Zone, caller: Caller, path: str) -> bytes:
    opened = zone.namespace.objects.open_for_reading(caller, path)
    buffer = bytearray(opened.size())
    opened.file.read_into(memoryview(buffer), 0)
    opened.close()
    return bytes(buffer)


def described(zone: Zone, caller: Caller, path: str) -> dict[str, str]:
    return {avu.attribute: avu.value for avu in zone.namespace.metadata.of(caller, Subject("object", path))}


@pytest.fixture
def zone(sqlite_zone: Zone) -> Zone:
    """On one database: what differs between them is in `test_rows.py`."""
    return sqlite_zone


@pytest.fixture
def stored(zone: Zone, rods) -> Zone:
    put(zone, rods, SCAN, scan())
    return zone


def user(zone: Zone, rods, name: str) -> Caller:
    zone.namespace.users.add(rods, name, "rodsuser")
    return zone.namespace.users.caller(name, "tempZone")


def test_frames_are_reduced_beside_their_file(stored: Zone, rods) -> None:
    asked = ask(stored, rods, parameters='above = [5.0]\nmask = "/entry/mask"\n')
    assert (asked["state"], asked["path"]) == ("queued", SCAN)
    carried_out(stored)
    found = status(stored, rods, asked["reduction"])
    assert (found["state"], found["done"], found["frames"]) == ("done", 40, 40), found
    made = found["result"]
    assert (made["path"], made["picture"]) == (f"{HOME}/scan.statistics.nxs", f"{HOME}/scan.statistics.png")
    with h5py.File(io.BytesIO(scan())) as raw:
        frames = raw["entry/data"][()]
    wanted = (
        SHIPPED["statistics"]
        .bind((48, 60), frames.dtype, above=[5.0], mask=SIMULATED.mask())
        .reference(frames, 0)
    )
    with h5py.File(io.BytesIO(content(stored, rods, made["path"]))) as file:
        assert numpy.array_equal(file["entry/series/total"][()], wanted["total"])
        assert numpy.array_equal(file["entry/above/data"][()], wanted["above"])
        assert file["entry/reduction/source/file_name"][()].decode() == SCAN
        assert file["entry/reduction/source/digest"][()].decode().startswith("sha2:")
    assert content(stored, rods, made["picture"]).startswith(b"\x89PNG")
    said = described(stored, rods, made["path"])
    assert (said["derived_from"], said["frames"], said["damaged_frames"]) == (SCAN, "40", "0")
    assert (
        said["kernel"]
        == f"statistics {SHIPPED['statistics'].KERNEL.version} {SHIPPED['statistics'].KERNEL.digest}"
    )
    assert float(said["statistics.mean.mean"]) == pytest.approx(
        float(numpy.nanmean(wanted["mean"])), rel=1e-4
    )
    assert described(stored, rods, made["picture"])["derived_from"] == SCAN
    assert not list((stored.folder / "run/work").glob("*")), "nothing is left of the work"


def test_results_go_where_they_are_wanted(stored: Zone, rods) -> None:
    stored.namespace.collections.create(rods, f"{HOME}/reduced")
    asked = ask(stored, rods, target=f"{HOME}/reduced", kernel="hits")
    carried_out(stored)
    assert status(stored, rods, asked["reduction"])["result"]["path"] == f"{HOME}/reduced/scan.hits.nxs"


def test_who_may_not_read_or_write_may_not_reduce(stored: Zone, rods) -> None:
    anna = user(stored, rods, "anna")
    with pytest.raises(AccessDenied, match="needs `read` access"):
        ask(stored, anna)
    stored.namespace.access.change(rods, SCAN, _change("anna", "read"), recursive=False)
    anna = stored.namespace.users.caller("anna", "tempZone")
    asked = ask(stored, anna)
    carried_out(stored)
    found = status(stored, anna, asked["reduction"])
    assert (found["state"], found["result"]) == ("failed", {}), "she may not write beside it"
    asked = ask(stored, anna, target="/tempZone/home/anna")
    carried_out(stored)
    assert status(stored, anna, asked["reduction"])["state"] == "done"
    with pytest.raises(NotFound, match="of yours"):
        status(stored, user(stored, rods, "ben"), asked["reduction"])
    assert len(stored.host.call(rods, "reduce_status", {"all": True, "ended": True})) == 2
    with pytest.raises(NotPrivileged):
        stored.host.call(anna, "reduce_status", {"all": True})


def _change(name: str, level: str):
    from grid.namespace import AccessChange

    return AccessChange(name, "tempZone", level)


def test_what_cannot_be_says_why(stored: Zone, rods) -> None:
    put(stored, rods, f"{HOME}/text.h5", b"no HDF5 file")
    for more, message in (
        ({"dataset": ""}, "none"), ({"dataset": "/entry/none"}, "no dataset `/entry/none`"), ({"parameters": "ghost = 1"}, "no parameter `ghost`"),
        ({"paths": [f"{HOME}/text.h5"]}, "is no HDF5 file"), ({"kernel": "azimuthal"}, "`geometry` is missing"),
        ({"kernel": "azimuthal", "parameters": 'geometry = "none.poni"'}, "not there"), ({"parameters": 'mask = "none.h5::/mask"'}, "not there"),
    ):  # fmt: skip
        asked = ask(stored, rods, **more)
        carried_out(stored)
        found = status(stored, rods, asked["reduction"])
        if message == "none":
            assert found["state"] == "done", "the only frames in the file are found"
        else:
            assert (found["state"], message in found["reason"]) == ("failed", True), found
    for more, error, message in (
        ({"kernel": "ghost"}, NotFound, "there is no kernel `ghost`; there are azimuthal"), ({"version": "9"}, NotFound, "no kernel `statistics` of the version `9`"),
        ({"parameters": "x ="}, InvalidArgument, "no TOML"), ({"parameters": "#" * 70_000}, InvalidArgument, "70000 characters"), ({"paths": [f"{HOME}/x"]}, NotFound, "not there"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            ask(stored, rods, **more)


def test_a_cancelled_reduction_stays_cancelled(stored: Zone, rods) -> None:
    asked = ask(stored, rods)
    assert (
        stored.host.call(rods, "reduce_cancel", {"reductions": [asked["reduction"]]})[0]["state"]
        == "cancelled"
    )
    carried_out(stored)
    assert status(stored, rods, asked["reduction"])["state"] == "cancelled"
    with pytest.raises(NotFound):
        stored.namespace.objects.open_for_reading(rods, f"{HOME}/scan.statistics.nxs")
    with pytest.raises(InvalidArgument, match="a whole number was expected"):
        stored.host.call(rods, "reduce_cancel", {"reductions": ["x"]})


def test_one_that_is_cancelled_in_the_middle_ends_there(stored: Zone, rods, monkeypatch) -> None:
    monkeypatch.setattr(reducing, "MOST_BATCH", 4)
    monkeypatch.setattr(reducing, "PARTS", 1)
    asked, real = ask(stored, rods), reducing.Kept.keep

    def keep(self: reducing.Kept, part: reducing.Part, *more: object) -> None:
        real(self, part, *more)
        if part.end == 12:
            stored.host.call(rods, "reduce_cancel", {"reductions": [asked["reduction"]]})

    monkeypatch.setattr(reducing.Kept, "keep", keep)
    carried_out(stored)
    found = status(stored, rods, asked["reduction"])
    assert (found["state"], found["done"] < 40) == ("cancelled", True)


def test_another_process_goes_on_where_one_died(stored: Zone, rods, monkeypatch) -> None:
    monkeypatch.setattr(reducing, "MOST_BATCH", 4)
    monkeypatch.setattr(reducing, "PARTS", 1)
    asked, seen = ask(stored, rods), []

    class Died(BaseException):
        pass

    real = reductions.advance

    def dies(tx, number: int, lease: int, done: int, frames: int) -> bool:
        seen.append(done)
        if done == 20:
            raise Died
        return real(tx, number, lease, done, frames)

    monkeypatch.setattr(reductions, "advance", dies)
    with pytest.raises(Died):
        carried_out(stored)
    monkeypatch.setattr(
        reductions,
        "advance",
        lambda tx, number, lease, done, frames: seen.append(-done) or real(tx, number, lease, done, frames),
    )
    with stored.database.write() as tx:
        other = leases.take(tx, "another")
    reducer = Reducer(stored.database, stored.namespace, stored.host, other)
    assert reducer.step() is False, "the first one lives"
    with stored.database.write() as tx:
        leases.give_back(tx, stored.namespace.context.lease_id)
    stored.namespace.context.lease_id = other
    assert reducer.step() is True
    found = status(stored, rods, asked["reduction"])
    assert (found["state"], found["attempts"]) == ("done", 2)
    assert next(one for one in seen if one < 0) == -20, "four parts of four frames were kept"


def test_a_reduction_that_ends_processes_is_given_up(stored: Zone, rods) -> None:
    asked = ask(stored, rods)
    with stored.database.write() as tx:
        tx.run(
            "UPDATE reductions SET state = 'running', attempts = 3 WHERE id = :id", {"id": asked["reduction"]}
        )
    carried_out(stored)
    found = status(stored, rods, asked["reduction"])
    assert (found["state"], "3 processes ended" in found["reason"]) == ("failed", True)


def test_a_server_that_stops_lets_another_go_on(stored: Zone, rods) -> None:
    asked, stopping = ask(stored, rods), threading.Event()
    stopping.set()
    reducer = Reducer(stored.database, stored.namespace, stored.host, stored.namespace.context.lease_id)
    assert reducer.step(stopping) is True
    assert status(stored, rods, asked["reduction"])["state"] == "queued"
    carried_out(stored)
    assert status(stored, rods, asked["reduction"])["state"] == "done"


def test_parts_that_nobody_goes_on_with_are_removed(stored: Zone, rods) -> None:
    grid = stored.host.grid_of(rods)
    old, new = grid.work_folder("old"), grid.work_folder("new")
    (old / "parts").mkdir()
    (new / "parts").mkdir()
    for path in (old, old / "parts", new):
        os.utime(path, (1e9, 1e9))
    Reducer(stored.database, stored.namespace, stored.host, stored.namespace.context.lease_id).tidy()
    assert not old.exists()
    assert new.exists(), "somebody works on its parts"


@pytest.mark.parametrize("cut", [100, 2000, 6000, -3000])
def test_a_damaged_file_is_told_and_the_next_one_is_reduced(stored: Zone, rods, cut: int) -> None:
    """Cut at its beginning, in its tables, in its frames, near its end."""
    put(stored, rods, f"{HOME}/cut.h5", scan()[:cut])
    flipped = bytearray(scan())
    for place in range(600, 1800, 7):
        flipped[place] ^= 0x55
    put(stored, rods, f"{HOME}/flipped.h5", bytes(flipped))
    asked = [
        ask(stored, rods, paths=[path])["reduction"]
        for path in (f"{HOME}/cut.h5", f"{HOME}/flipped.h5", SCAN)
    ]
    carried_out(stored)
    states = [status(stored, rods, one)["state"] for one in asked]
    assert (states[0], states[2]) == ("failed", "done")
    assert states[1] in ("failed", "done")
    assert status(stored, rods, asked[0])["reason"]


def test_what_is_not_there_for_the_moment_is_waited_for(stored: Zone, rods, monkeypatch) -> None:
    from grid.errors import NotOnline
    from grid.policy.services import _CallersGrid

    asked, real = ask(stored, rods), _CallersGrid.open

    def away(self: _CallersGrid, path: str):
        raise NotOnline("it is on tape; expected in 10 s")

    monkeypatch.setattr(_CallersGrid, "open", away)
    carried_out(stored)
    found = status(stored, rods, asked["reduction"])
    assert (found["state"], found["attempts"], found["reason"]) == (
        "queued",
        0,
        "it is on tape; expected in 10 s",
    )
    assert 14 < found["due_at"] - found["began_at"] < 20
    monkeypatch.setattr(_CallersGrid, "open", real)
    with stored.database.write() as tx:
        tx.run("UPDATE reductions SET due_at = 0")
    carried_out(stored)
    assert status(stored, rods, asked["reduction"])["state"] == "done"


def test_processes_beside_the_storage_find_the_same(
    stored: Zone, rods, computing: Counted, monkeypatch
) -> None:
    monkeypatch.setattr(reducing, "PARTS", 1)
    monkeypatch.setattr(reducing, "MOST_BATCH", 16)
    asked = ask(stored, rods, kernel="peaks", parameters="least = 2")
    carried_out(stored)
    found = status(stored, rods, asked["reduction"])
    assert (found["state"], computing.done) == ("done", 3), found
    with h5py.File(io.BytesIO(scan())) as raw:
        frames = raw["entry/data"][()]
    wanted = SHIPPED["peaks"].bind((48, 60), frames.dtype, least=2).reference(frames, 0)
    with h5py.File(io.BytesIO(content(stored, rods, found["result"]["path"]))) as file:
        assert numpy.array_equal(file["entry/series/count"][()], wanted["count"])
        assert file["entry/reduction/device"][()].decode()


def test_a_zone_that_signs_states_what_made_what(signing: Zone, rods) -> None:
    signing.namespace.context.signs = True
    put(signing, rods, SCAN, scan())
    ask(signing, rods, kernel="hits", parameters="above = 20.0")
    carried_out(signing)
    (made,) = made_of(signing, "reduction")
    assert [one.name for one in made.subjects] == [f"{HOME}/scan.hits.nxs", f"{HOME}/scan.hits.png"]
    assert made.predicate["kernel"] == {
        "name": "hits",
        "version": "1.0",
        "source": SHIPPED["hits"].KERNEL.digest,
    }
    assert (made.predicate["parameters"]["above"], made.predicate["inputs"][0]["name"]) == (20, SCAN)


def test_the_same_asked_twice_at_once_is_made_twice(stored: Zone, rods) -> None:
    asked = []
    for number in range(4):
        stored.namespace.collections.create(rods, f"{HOME}/made{number}")
        asked.append(ask(stored, rods, target=f"{HOME}/made{number}")["reduction"])
    reducer = Reducer(stored.database, stored.namespace, stored.host, stored.namespace.context.lease_id)

    def work() -> None:
        while reducer.step():
            pass

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [status(stored, rods, one) for one in asked]
    assert [(one["state"], one["reason"]) for one in found] == [("done", "")] * 4


# -- rules ---------------------------------------------------------------------------------------------------

POLICY = """policy reduce.all version 1 for zone "tempZone" { owner "rods" }

location raw = "/tempZone/home/rods/raw/**"

rule "peaks are counted after the ingest" id count
  after object close at raw
  when object.name matches ".*[.]h5" {
    schedule "peaks" key object.id {
      do run_kernel(kernel: trusted_kernel("peaks", "2.0"), object: object, settings: "/tempZone/home/rods/peaks.toml", to: "/tempZone/home/rods/reduced") giving r
      set metadata "peaks" of object to r.peaks
      set metadata "reduced_by" of object to r.kernel
    }
  }
"""


def test_a_rule_reduces_what_comes_in(zone: Zone, rods) -> None:
    from grid.policy.jobs import JobWorker

    (zone.folder / "p.policy").write_text(POLICY)
    zone.policy.load_file(zone.folder, "p.policy")
    zone.policy.forget()
    for name in ("raw", "reduced"):
        zone.namespace.collections.create(rods, f"{HOME}/{name}")
    put(zone, rods, f"{HOME}/peaks.toml", b"least = 2\nlevel = 8.0\n")
    put(zone, rods, f"{HOME}/raw/scan.h5", scan())
    worker = JobWorker(zone.database, zone.policy, zone.host, zone.namespace)
    assert worker.run_one() is True
    said = described(zone, rods, f"{HOME}/raw/scan.h5")
    with h5py.File(io.BytesIO(scan())) as raw:
        wanted = (
            SHIPPED["peaks"]
            .bind((48, 60), numpy.dtype("u2"), least=2, level=8.0)
            .reference(raw["entry/data"][()], 0)
        )
    assert abs(int(said["peaks"]) - int(wanted["count"].sum())) <= 1
    assert said["reduced_by"].startswith("peaks 2.0 ")
    assert described(zone, rods, f"{HOME}/reduced/scan.peaks.nxs")["derived_from"] == f"{HOME}/raw/scan.h5"


def test_clients_do_not_run_kernels_as_rules_do(stored: Zone, rods) -> None:
    with pytest.raises(AccessDenied, match="is for rules"):
        stored.host.call(rods, "run_kernel", {"kernel": "hits 1.0", "object": SCAN})


def test_a_stream_is_not_a_stored_file(stored: Zone, rods) -> None:
    with pytest.raises(MicroserviceFailed, match="looked at by `during frame arrive` rules"):
        stored.host.run(rods, "run_kernel", {"kernel": "hits 1.0 x", "stream": "s1"})


# -- released kernels ----------------------------------------------------------------------------------------


def test_a_released_kernel_may_be_used_until_it_is_withdrawn(stored: Zone, rods) -> None:
    released = stored.host.call(rods, "kernel_release", {"text": BRIGHT})
    assert stored.host.call(rods, "kernel_release", {"text": BRIGHT}) == released, "twice is once"
    asked = ask(stored, rods, kernel="bright", parameters="level = 8.0")
    assert asked["kernel"] == f"bright 1.0 {released['digest']}"
    carried_out(stored)
    made = status(stored, rods, asked["reduction"])
    assert made["state"] == "done", made
    with (
        h5py.File(io.BytesIO(scan())) as raw,
        h5py.File(io.BytesIO(content(stored, rods, made["result"]["path"]))) as file,
    ):
        frames = raw["entry/data"][()]
        assert numpy.array_equal(
            file["entry/series/count"][()], ((frames > 8) & (frames != 65535)).sum(axis=(1, 2))
        )
    newer = BRIGHT.replace('"1.0"', '"1.1"')
    stored.host.call(rods, "kernel_release", {"text": newer})
    assert ask(stored, rods, kernel="bright")["kernel"].startswith("bright 1.1 "), "the latest"
    stored.host.call(rods, "kernel_withdraw", {"name": "bright", "version": "1.1"})
    assert ask(stored, rods, kernel="bright")["kernel"].startswith("bright 1.0 ")
    carried_out(stored)
    states = [one["state"] for one in stored.host.call(rods, "reduce_status", {"ended": True})]
    assert states == ["done", "failed", "done"], "what was withdrawn is not run any more"
    assert [bool(one["withdrawn_at"]) for one in stored.host.call(rods, "kernel_list", {})] == [False, True]


def test_only_stewards_release_and_nothing_is_released_twice(stored: Zone, rods) -> None:
    anna = user(stored, rods, "anna")
    with pytest.raises(NotPrivileged, match="only stewards"):
        stored.host.call(anna, "kernel_release", {"text": BRIGHT})
    with pytest.raises(NotPrivileged):
        stored.host.call(anna, "kernel_withdraw", {"name": "bright", "version": "1.0"})
    stored.host.call(rods, "kernel_release", {"text": BRIGHT})
    with pytest.raises(AlreadyExists, match="give the new one another version"):
        stored.host.call(rods, "kernel_release", {"text": BRIGHT.replace("2.5", "2.6")})
    with pytest.raises(AlreadyExists, match="comes with the grid"):
        stored.host.call(rods, "kernel_release", {"text": BRIGHT.replace("def bright", "def hits")})
    with pytest.raises(InvalidArgument, match="line 1: this is no Python"):
        stored.host.call(rods, "kernel_release", {"text": "("})
    with pytest.raises(NotFound, match="no kernel `none`"):
        stored.host.call(rods, "kernel_withdraw", {"name": "none", "version": "1"})


def test_rules_find_trusted_kernels_and_no_others(stored: Zone, rods) -> None:
    from grid.policy.lookups import ANSWERS
    from rules import RuleFailed

    released = stored.host.call(rods, "kernel_release", {"text": BRIGHT})
    with stored.database.read() as tx:
        found = ANSWERS["trusted_kernel"](tx, {"name": "bright", "version": "1.0"})
        assert found.name == f"bright 1.0 {released['digest']}"
        assert ANSWERS["trusted_kernel"](tx, {"name": "hits", "version": "1.0"}).name.startswith("hits 1.0 ")
        for name, version in (("hits", "0.1"), ("ghost", "1")):
            with pytest.raises(RuleFailed, match="was released in this zone"):
                ANSWERS["trusted_kernel"](tx, {"name": name, "version": version})
    with stored.database.write() as tx:
        kernels.withdraw(tx, kernels.usable(tx, "bright", "1.0").id)
    with stored.database.read() as tx, pytest.raises(RuleFailed, match="was withdrawn"):
        ANSWERS["trusted_kernel"](tx, {"name": "bright", "version": "1.0"})
