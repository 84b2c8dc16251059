"""The client for programs at a beamline: frames arrive, are acknowledged, and are sent again when the gateway comes back."""

from pathlib import Path

import h5py
import numpy
import pytest

from grid.app import Zone
from grid.streams.client import FrameSender, SendingFailed
from tests.unit.grid.streams.sending import FACTS, SHAPE, Carried, ask, frames, local_copy, over, until


def listening(zone: Zone, rods, number: int) -> str:
    return until(zone, rods, number, lambda one: one["figures"].get("address"))["figures"]["address"]


def test_frames_of_a_program_are_stored(carried: Carried, rods, tmp_path: Path) -> None:
    opened = ask(carried.zone, rods, format="beamgrid", detector="camera 1")
    stack = frames(30)
    with FrameSender(
        listening(carried.zone, rods, opened["stream"]), opened["stream"], opened["token"]
    ) as sender:
        sender.start(shape=SHAPE, dtype=stack.dtype, channels=("low", "high"), facts=FACTS)
        for number, frame in enumerate(stack):
            sender.send(
                {"low": frame, "high": frame + 1},
                times=(number * 0.1, number * 0.1 + 0.05),
                user_data={"motor": 1.5},
            )
    assert sender.stored >= 30
    found = over(carried.zone, rods, opened["stream"])
    assert (found["state"], found["result"]["stored"]) == ("done", 30), found
    with h5py.File(local_copy(carried.zone, rods, tmp_path / "copy") / "scan1.nxs") as file:
        detector = file["entry/instrument/camera_1"]
        assert numpy.array_equal(detector["data_low"][...], stack)
        assert numpy.array_equal(detector["data_high"][...], stack + 1)


@pytest.mark.parametrize(
    ("stream", "token", "said"), [(0, "x", "the token is not"), (7, "", "the token is not")]
)
def test_who_does_not_know_the_token_sends_nothing(
    carried: Carried, rods, stream: int, token: str, said: str
) -> None:
    opened = ask(carried.zone, rods, format="beamgrid")
    address = listening(carried.zone, rods, opened["stream"])
    with (
        pytest.raises(SendingFailed, match=said),
        FrameSender(address, opened["stream"] + stream, token or opened["token"]) as sender,
    ):
        sender.start(shape=SHAPE, dtype="uint16")
    assert (
        carried.zone.host.call(rods, "stream_status", {"streams": [opened["stream"]]})[0]["state"] == "open"
    )
    assert "token" not in carried.zone.host.call(rods, "stream_status", {"streams": [opened["stream"]]})[0]


def test_a_sender_that_comes_back_goes_on(carried: Carried, rods) -> None:
    opened = ask(carried.zone, rods, format="beamgrid", frames=20)
    address, stack = listening(carried.zone, rods, opened["stream"]), frames(20)
    first = FrameSender(address, opened["stream"], opened["token"])
    first.start(shape=SHAPE, dtype=stack.dtype, frames=20, series="one")
    for frame in stack[:12]:
        first.send(frame)
    first.flush()
    first.close()
    with FrameSender(address, opened["stream"], opened["token"]) as second:
        second.start(shape=SHAPE, dtype=stack.dtype, frames=20, series="one")
        for number in range(5, 20):
            second.send(stack[number], number=number)
    found = over(carried.zone, rods, opened["stream"])
    assert (found["result"]["stored"], found["result"]["lost"]) == (20, [])
    assert found["figures"]["duplicates"] >= 1


def test_a_program_is_told_what_it_does_wrong(carried: Carried, rods) -> None:
    opened = ask(carried.zone, rods, format="beamgrid")
    sender = FrameSender(listening(carried.zone, rods, opened["stream"]), opened["stream"], opened["token"])
    with pytest.raises(ValueError, match="comes before the first"):
        sender.send(frames(1)[0])
    sender.start(shape=SHAPE, dtype="uint16")
    with pytest.raises(ValueError, match="found the shape"):
        sender.send(numpy.zeros((3, 3)))
    with pytest.raises(ValueError, match="found the channels"):
        sender.send({"other": frames(1)[0]})
    sender.close()
