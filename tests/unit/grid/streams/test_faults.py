"""What may go wrong with a stream: frames that are damaged, kernels that are slow, room that is not there, people who may not, a sender that is gone."""

import contextlib
import time
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401
import numpy
import pytest
import zmq

from grid.app import Zone
from grid.catalog import resources as resource_rows
from grid.catalog import space, statements
from grid.errors import AccessDenied, AlreadyExists, InvalidArgument, NotFound, NotPrivileged, StorageFull
from grid.evidence.setup import make_keys
from grid.streams.closing import Closing
from grid.streams.datafile import DataFile
from grid.streams.errors import StreamFailed
from grid.streams.journal import Fate
from grid.streams.messages import Image, Payload
from grid.streams.parts import Parts
from provenance.frames import check_batches
from provenance.keyfiles import FileKey
from provenance.merkle import root_of
from provenance.notes import decoded
from tests.unit.grid.streams.judging import VISIT, judged, say
from tests.unit.grid.streams.sending import (
    HOME,
    MASTER,
    SHAPE,
    Carried,
    Detector,
    ask,
    frames,
    local_copy,
    over,
    series,
    status,
    until,
)


def buffer(zone: Zone, rods, folder: Path, capacity: str) -> None:
    (folder / "fast").mkdir()
    zone.namespace.administration.add_resource(
        rods, "fast", "buffer", f"localhost:{folder}/fast", f"capacity={capacity}"
    )


@pytest.mark.parametrize("again", [False, True], ids=["at once", "after an end that failed"])
def test_damaged_frames_are_marked_and_kept(
    carried: Carried, detector: Detector, rods, tmp_path: Path, monkeypatch, again: bool
) -> None:
    zone, real = carried.zone, Closing.close

    def broken(self: Closing, ended):
        raise StorageFull("no room")

    judged(zone, rods)
    if again:
        monkeypatch.setattr(Closing, "close", broken)
    opened = ask(zone, rods, path=f"{VISIT}/scan1.nxs", source=detector.address, frames=20)
    messages = series(20)
    one = messages[6]
    assert isinstance(one, Image)
    own = one.channels["threshold_1"]
    cut = Payload(own.data[: len(own.data) // 2], own.shape, own.dtype, own.encoding)
    bomb = Payload(
        memoryview(bytes.fromhex("00000fffffffffff") + bytes(own.data[8:])),
        own.shape,
        own.dtype,
        own.encoding,
    )
    messages[6], messages[9] = Image("s1", 5, {"threshold_1": cut}), Image("s1", 8, {"threshold_1": bomb})
    detector.send(messages)
    found = over(zone, rods, opened["stream"])
    assert "frame 8" in found["figures"]["problem"]
    if again:
        assert found["state"] == "failed"
        monkeypatch.setattr(Closing, "close", real)
        zone.host.call(rods, "stream_resume", {"streams": [opened["stream"]]})
        found = over(zone, rods, opened["stream"])
    assert (found["state"], found["figures"]["damaged"], found["result"]["stored"]) == ("done", 2, 18), found
    with h5py.File(local_copy(zone, rods, tmp_path / "copy", VISIT) / "scan1.nxs") as file:
        assert numpy.flatnonzero(file["entry/stream_eiger/fate"][...] == Fate.DAMAGED).tolist() == [5, 8]
        assert file["entry/stream_eiger/damaged/frame_000000005"][...].tobytes() == bytes(cut.data)
        assert file["entry/stream_eiger/damaged/frame_000000008"][...].tobytes() == bytes(bomb.data)
        assert file["entry/data/frame_number"][...].tolist() == [n for n in range(20) if n not in (5, 8)]


@pytest.mark.parametrize("choice", ["wait", "drop-newest", "stop"])
def test_what_is_too_slow_is_felt_and_then_as_chosen(
    carried: Carried, detector: Detector, rods, tmp_path: Path, monkeypatch, choice: str
) -> None:
    zone, real = carried.zone, DataFile.add

    def slow(self: DataFile, rows) -> None:
        time.sleep(0.15 * len(rows))
        real(self, rows)

    monkeypatch.setattr(DataFile, "add", slow)
    opened = ask(
        zone, rods, source=detector.address, frames=40, when_slow=choice, slow_s=0.05, ring_bytes=1 << 20
    )["stream"]
    monkeypatch.setattr("grid.streams.pipeline.MOST_RING", 6)
    detector.socket.setsockopt(zmq.SNDTIMEO, 5000)
    # a stream that was stopped takes nothing more in
    with contextlib.suppress(*[zmq.Again] if choice == "stop" else []):
        detector.send(series(40, 0), rate=100)
    found = over(zone, rods, opened)
    figures = found["figures"]
    assert found["state"] == "done"
    if choice == "wait":
        assert (figures["kept"], figures["dropped"]) == (40, 0)
    elif choice == "stop":
        assert "too slow" in found["reason"]
        assert 0 < figures["kept"] < 40
    else:
        assert figures["dropped"] > 0
        assert figures["kept"] + figures["dropped"] == 40
        with h5py.File(local_copy(zone, rods, tmp_path / "copy") / "scan1.nxs") as file:
            fates = file["entry/stream_eiger/fate"][...]
            assert (fates == Fate.DROPPED).sum() == figures["dropped"]
            assert file["entry/stream_eiger/leaf"][...].any(axis=1).all(), (
                "what was dropped has left its leaf"
            )


def test_frames_for_which_there_is_no_time_are_vetoed_where_that_was_chosen(
    carried: Carried, detector: Detector, rods, monkeypatch
) -> None:
    from grid.streams.kernels import StreamKernel

    zone, real = carried.zone, StreamKernel.run
    judged(zone, rods)
    say(zone, rods, veto_threshold="0", veto_consent="true")

    def slow(self: StreamKernel, *given):
        time.sleep(0.2)
        return real(self, *given)

    monkeypatch.setattr(StreamKernel, "run", slow)
    monkeypatch.setattr("grid.streams.pipeline.MOST_RING", 6)
    opened = ask(
        zone,
        rods,
        path=f"{VISIT}/scan1.nxs",
        source=detector.address,
        frames=60,
        when_slow="veto",
        slow_s=0.01,
    )["stream"]
    detector.send(series(60, 0), rate=200)
    figures = over(zone, rods, opened)["figures"]
    assert figures["vetoed"] > 0
    assert figures["kept"] + figures["vetoed"] == 60


def test_room_is_kept_before_the_first_frame(
    carried: Carried, detector: Detector, rods, tmp_path: Path
) -> None:
    zone = carried.zone
    buffer(zone, rods, tmp_path, "2 GB")
    with pytest.raises(
        StorageFull, match=r"2,000,000,000 of 2,000,000,000 bytes are free; .* are to be reserved; more when"
    ):
        ask(zone, rods, source=detector.address, frames=10_000, frame_bytes=1_000_000)
    opened = ask(zone, rods, source=detector.address, frames=30, frame_bytes=5760)
    assert opened["resource"] == "fast"
    with zone.database.read() as tx:
        resource = resource_rows.by_name_or_none(tx, "fast")
        assert resource is not None
        (kept,) = space.reservations(tx, resource.id)
    assert (kept["key"], kept["owner"]) == (opened["reservation"], "rods#tempZone")
    with pytest.raises(StorageFull, match="a reservation ends at"):
        ask(zone, rods, path=f"{HOME}/other.nxs", frames=10_000, frame_bytes=1_000_000)
    detector.send(series(30))
    assert over(zone, rods, opened["stream"])["state"] == "done"
    zone.namespace.finisher.finish()
    with zone.database.read() as tx:
        assert space.reservations(tx, resource.id) == [], "it ended"
    driver = zone.namespace.context.storage.driver(resource)
    held = sum(path.stat().st_size for path in (tmp_path / "fast/home/rods").iterdir())
    assert 0 <= (driver.free_bytes() or 0) <= 2_000_000_000 - held
    assert 2_000_000_000 - held - (driver.free_bytes() or 0) < 4096, (
        "what was kept and not used is free again"
    )


def test_a_buffer_that_is_full_ends_a_stream_with_what_is_stored(
    carried: Carried, detector: Detector, rods, tmp_path: Path, monkeypatch
) -> None:
    zone = carried.zone
    for place, size in (("parts.ROOM_STEP", 1 << 16), ("parts.OVERHEAD_BYTES", 1 << 14)):
        monkeypatch.setattr(f"grid.streams.{place}", size)
    monkeypatch.setattr("grid.streams.spool.STEP", 1 << 16)
    buffer(zone, rods, tmp_path, "2 MB")
    opened = ask(zone, rods, source=detector.address, frames=400)["stream"]
    detector.socket.setsockopt(zmq.SNDTIMEO, 3000)
    with pytest.raises(zmq.Again):
        detector.send(series(400, 0))
        detector.send(series(4000, 0))
    found = over(zone, rods, opened)
    assert found["state"] == "done"
    assert "bytes are free" in found["reason"]
    stored = found["result"]["stored"]
    assert stored == found["figures"]["kept"] > 20
    with h5py.File(local_copy(zone, rods, tmp_path / "copy") / "scan1.nxs") as file:
        assert numpy.array_equal(file["entry/data/data"][...], frames(stored))


def test_a_sender_that_is_gone_ends_a_stream(carried: Carried, detector: Detector, rods) -> None:
    opened = ask(carried.zone, rods, source=detector.address, frames=30, idle_s=0.5)
    detector.send(series(30)[:21])
    found = over(carried.zone, rods, opened["stream"])
    assert (found["reason"], found["result"]["stored"], found["result"]["lost"]) == (
        "nothing came for 0.5 s",
        20,
        [[20, 29]],
    )


def test_who_opened_a_stream_stops_it(carried: Carried, detector: Detector, rods) -> None:
    opened = ask(carried.zone, rods, source=detector.address)["stream"]
    detector.send(series(30)[:21])
    until(carried.zone, rods, opened, lambda one: one["figures"].get("kept") == 20)
    carried.zone.host.call(rods, "stream_stop", {"streams": [opened]})
    found = over(carried.zone, rods, opened)
    assert (found["state"], found["reason"], found["result"]["stored"]) == ("done", "it was stopped", 20)


def test_one_that_nobody_took_is_stopped_at_once(zone: Zone, rods) -> None:
    opened = ask(zone, rods)["stream"]
    assert zone.host.call(rods, "stream_stop", {"streams": [opened]})[0]["state"] == "done"


def test_what_could_not_be_put_into_files_is_taken_up_again(
    carried: Carried, detector: Detector, rods, tmp_path: Path, monkeypatch
) -> None:
    zone, real = carried.zone, Parts.close

    def broken(self: Parts, part) -> None:
        raise StreamFailed("the disk is on fire")

    buffer(zone, rods, tmp_path, "2 GB")
    monkeypatch.setattr(Parts, "close", broken)
    opened = ask(zone, rods, source=detector.address, frames=30, frame_bytes=5760)["stream"]
    detector.send(series(30))
    found = over(zone, rods, opened)
    assert (found["state"], found["reason"]) == ("failed", "the disk is on fire")
    monkeypatch.setattr(Parts, "close", real)
    zone.host.call(rods, "stream_resume", {"streams": [opened]})
    found = over(zone, rods, opened)
    assert (found["state"], found["result"]["stored"]) == ("done", 30), found
    with h5py.File(local_copy(zone, rods, tmp_path / "copy") / "scan1.nxs") as file:
        assert numpy.array_equal(file["entry/data/data"][...], frames(30))
    with pytest.raises(InvalidArgument, match="only one that failed"):
        zone.host.call(rods, "stream_resume", {"streams": [opened]})


def test_who_may_not_opens_and_sees_nothing(zone: Zone, rods) -> None:
    zone.namespace.users.add(rods, "anna", "rodsuser")
    anna = zone.namespace.users.caller("anna", "tempZone")
    with pytest.raises((AccessDenied, NotFound)):
        ask(zone, anna)
    own = ask(zone, anna, path="/tempZone/home/anna/scan.nxs")["stream"]
    mine = ask(zone, rods)["stream"]
    for verb in ("status", "stop", "resume"):
        with pytest.raises(NotFound, match="no stream"):
            zone.host.call(anna, f"stream_{verb}", {"streams": [mine]})
    with pytest.raises(NotPrivileged):
        zone.host.call(anna, "stream_status", {"all": True})
    assert [one["stream"] for one in zone.host.call(anna, "stream_status", {})] == [own]
    assert status(zone, rods, own)["user_name"] == "anna"
    with pytest.raises(AlreadyExists, match=f"stream {mine} writes"):
        ask(zone, rods)


@pytest.mark.parametrize(("said", "what"), [
    ({"format": "tiff"}, "`tiff` as `format`"), ({"when_slow": "x"}, "`x` as `when_slow`"), ({"detector": ""}, "as the detector's name"),
    ({"frames": -1}, "not below 0"), ({"margin": 0.5}, "margin"), ({"idle_s": 0.1}, "0.1 as `idle_s`"), ({"part_bytes": 5}, "5 as `part_bytes`"),
    ({"source": "ipc:///tmp/x"}, "the detector's address"), ({"resource": "nothing"}, "no resource `nothing`"), ({"scan": MASTER}, "joins detectors beside"), ({"path": "/tempZone/nowhere/x.nxs"}, "no collection"),
    ({"path": "/other/x.nxs"}, "lies in zone"),
])  # fmt: skip
def test_what_cannot_be_opened_says_why(zone: Zone, rods, said: dict, what: str) -> None:
    with pytest.raises((InvalidArgument, NotFound), match=what):
        ask(zone, rods, **said)


def test_a_stream_where_something_has_the_name_fails_and_says_so(
    carried: Carried, detector: Detector, rods
) -> None:
    from tests.unit.grid.reductions.test_reductions import put

    opened = ask(carried.zone, rods, source=detector.address)["stream"]
    put(carried.zone, rods, f"{HOME}/scan1_000001.h5", b"mine")
    detector.send(series(5))
    found = over(carried.zone, rods, opened)
    assert "exists" in found["reason"]
    assert carried.zone.namespace.objects.open_for_reading(rods, f"{HOME}/scan1_000001.h5").size() == 4


def test_the_instrument_states_what_it_measured(zone: Zone, detector: Detector, rods, tmp_path: Path) -> None:
    settings = zone.settings
    make_keys(settings.zone, zone.folder / settings.authority, zone.folder / settings.signing_keys)
    key = FileKey.make(tmp_path / "eiger.key", "tempZone/eiger#1")
    carried = Carried(zone, lambda path: key)
    try:
        opened = ask(zone, rods, source=detector.address, frames=30)
        messages = series(30)
        del messages[13]
        detector.send(messages)
        found = over(zone, rods, opened["stream"])
    finally:
        carried.close()
    stream_id, result = f"tempZone/{opened['stream']}", found["result"]
    with zone.database.read() as tx:
        (wanted,) = [one for one in statements.wanted(tx, after=0, limit=10) if one.kind == "acquisition"]
    assert wanted.id == result["statement"]
    said = wanted.predicate
    assert (said["stream_id"], said["frames"], said["lost"], said["vetoed"], said["definition"]) == (
        stream_id,
        30,
        [[12, 12]],
        [],
        "NXmx",
    )
    assert wanted.subjects[0].digest == {"merkle_sha256": result["root"]}
    assert [one.path for one in wanted.subjects] == [MASTER, MASTER, f"{HOME}/scan1_000001.h5"]
    with h5py.File(local_copy(zone, rods, tmp_path / "copy") / "scan1.nxs") as file:
        leaves = [one.tobytes() for one in file["entry/stream_eiger/leaf"][...]]
        notes = [decoded(one.decode()) for one in file["entry/stream_eiger/batch_notes"][...]]
    assert root_of(leaves).hex() == result["root"]
    check_batches(notes, stream_id, said["batches"], lambda one, data: key.public.verifies(one.sig, data))
    assert SHAPE == (48, 60)
