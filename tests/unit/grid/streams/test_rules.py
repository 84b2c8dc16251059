"""Rules on streams: kernels, vetoes, feedback, the end."""

import json
import threading
import time
import urllib.request
from pathlib import Path

import h5py
import numpy
import pytest
import zmq

from accel.frames import is_valid
from grid.app import Zone
from grid.streams.journal import Fate
from tests.unit.accel.kernels_by_users import BRIGHT
from tests.unit.grid.reductions.test_reductions import put
from tests.unit.grid.streams.judging import PATH, VISIT, judged, load, metadata, say
from tests.unit.grid.streams.sending import (
    SIMULATED,
    Carried,
    Detector,
    ask,
    frames,
    local_copy,
    over,
    series,
    until,
)


@pytest.fixture(autouse=True)
def policy(zone: Zone, rods) -> None:
    judged(zone, rods)


def test_vetoed_frames_go_where_the_team_agreed(
    carried: Carried, detector: Detector, rods, tmp_path: Path
) -> None:
    zone = carried.zone
    say(zone, rods, veto_threshold="1", veto_consent="true", kernel__least="2")
    opened = ask(zone, rods, path=PATH, source=detector.address, frames=40)
    detector.send(series(40))
    found = over(zone, rods, opened["stream"])
    result, figures = found["result"], found["figures"]
    assert found["state"] == "done", found
    assert 0 < figures["vetoed"] < 40, figures
    assert result["stored"] == figures["kept"] == 40 - figures["vetoed"]
    assert figures["runs_on"]
    folder = local_copy(zone, rods, tmp_path / "copy", VISIT)
    with h5py.File(folder / "scan1.nxs") as file:
        fates = file["entry/stream_eiger/fate"][...]
        kept = file["entry/data/frame_number"][...]
        assert numpy.array_equal(file["entry/data/data"][...], frames(40)[kept])
        assert len(file["entry/stream_eiger/leaf"]) == 40, "what was dropped has left its leaf"
    assert numpy.flatnonzero(fates == Fate.VETOED).tolist() == [n for n in range(40) if n not in kept]
    with h5py.File(folder / "scan1.peaks.nxs") as file:
        counts = file["entry/series/count"][...]
        assert file["entry/series/frame"][...].tolist() == list(range(40))
    dropped: list[int] = []
    for number, count in enumerate(counts):  # as the policy says it: not where nearly everything would go
        if count < 1 and (not number or number - len(dropped) > number / 100):
            dropped.append(number)
    assert numpy.flatnonzero(fates == Fate.VETOED).tolist() == dropped
    assert metadata(zone, rods, PATH)["stream_frames"] == "40"
    assert metadata(zone, rods, f"{VISIT}/scan1.peaks.nxs")["derived_from"] == PATH
    assert result["products"] == [f"{VISIT}/scan1.peaks.nxs", f"{VISIT}/scan1.peaks.png"]


def test_without_consent_everything_stays(carried: Carried, detector: Detector, rods) -> None:
    say(carried.zone, rods, veto_threshold="1000")
    opened = ask(carried.zone, rods, path=PATH, source=detector.address, frames=20)
    detector.send(series(20))
    figures = over(carried.zone, rods, opened["stream"])["figures"]
    assert (figures["kept"], figures["vetoed"]) == (20, 0)


def test_a_guard_against_losing_nearly_everything_keeps_frames(
    carried: Carried, detector: Detector, rods
) -> None:
    say(carried.zone, rods, veto_threshold="1000", veto_consent="true")
    opened = ask(carried.zone, rods, path=PATH, source=detector.address, frames=150)
    detector.send(series(150))
    figures = over(carried.zone, rods, opened["stream"])["figures"]
    assert figures["kept"] >= 1
    assert figures["kept"] + figures["vetoed"] == 150
    assert "a veto would drop nearly everything" in figures["problem"]


def test_the_instrument_is_told(carried: Carried, detector: Detector, rods) -> None:
    zone = carried.zone
    opened = ask(zone, rods, path=PATH, source=detector.address)
    found = until(zone, rods, opened["stream"], lambda one: "feedback" in one["figures"])["figures"]
    context = zmq.Context()
    socket = context.socket(zmq.SUB)
    for topic in (b"frames", b"instrument_feedback", b"end"):
        socket.setsockopt(zmq.SUBSCRIBE, topic)
    socket.connect(found["feedback"])
    events: list[str] = []

    def listen() -> None:
        with urllib.request.urlopen(found["events"], timeout=20) as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            events.extend(line.decode().strip() for line in answer if line.startswith(b"event:"))

    listener = threading.Thread(target=listen)
    listener.start()
    time.sleep(0.3)  # a subscription is on its way for a moment
    detector.send(series(30)[:-1], rate=60)
    seen: dict[str, list[dict]] = {"frames": [], "instrument_feedback": [], "end": []}
    detector.send(series(30)[-1:])
    while not seen["end"]:
        assert socket.poll(20_000), seen
        kind, text = socket.recv_multipart()
        seen[kind.decode()].append(json.loads(text))
    listener.join(timeout=10)
    assert sum(one["last"] - one["first"] + 1 for one in seen["frames"]) == 30
    assert seen["instrument_feedback"][0]["channel"] == "hits"
    assert 0.0 <= seen["instrument_feedback"][0]["value"] <= 1.0
    assert {"event: frames", "event: progress", "event: end"} <= set(events)
    socket.close()
    context.term()


def test_a_released_kernel_with_a_file_of_parameters_looks_at_frames(
    carried: Carried, detector: Detector, rods, tmp_path: Path
) -> None:
    zone = carried.zone
    released = zone.host.call(rods, "kernel_release", {"text": BRIGHT})
    put(zone, rods, f"{VISIT}/level.toml", b"level = 30.0\n")
    policy = f"""
policy beamline.frames version 1 {{ owner "staff" }}
location raw = "/tempZone/home/rods/{{proposal}}/{{visit}}/{{scan}}.nxs"
rule "bright pixels are counted" id bright
  during frame arrive at raw {{
    do run_kernel(stream: stream, kernel: trusted_kernel("{released["name"]}", "{released["version"]}"), settings: "{VISIT}/level.toml") giving r
    set frame.hits to r.peaks
    if r.figures["count"] default 0.0 > 100000.0 {{ emit veto(frame: frame.number, reason: "too bright") }}
}}
"""
    load(zone, policy)
    opened = ask(zone, rods, path=PATH, source=detector.address, frames=20)
    detector.send(series(20))
    found = over(zone, rods, opened["stream"])
    assert (found["state"], found["figures"]["problem"]) == ("done", ""), found
    with h5py.File(
        local_copy(zone, rods, tmp_path / "copy", VISIT) / f"scan1.{released['name']}.nxs"
    ) as file:
        counts = next(iter(value for name, value in file["entry/series"].items() if name != "frame"))[...]
    own, valid = frames(20), is_valid(frames(20), SIMULATED.mask())
    assert counts.tolist() == ((own > 30) & valid).sum(axis=(1, 2)).tolist()
    assert found["figures"]["hits"] == int((counts > 0).sum())


def test_a_kernel_that_cannot_be_is_told_and_frames_are_stored(
    carried: Carried, detector: Detector, rods
) -> None:
    say(carried.zone, rods, kernel__nonsense="5")
    opened = ask(carried.zone, rods, path=PATH, source=detector.address, frames=20)
    detector.send(series(20))
    figures = over(carried.zone, rods, opened["stream"])["figures"]
    assert (figures["kept"], figures["vetoed"]) == (20, 0)
    assert "no parameter `nonsense`" in figures["problem"]
