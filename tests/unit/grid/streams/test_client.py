"""The client for programs at a beamline: frames arrive, are acknowledged, and are sent again when the gateway comes back."""

import threading
import time
from pathlib import Path

import h5py
import numpy
import pytest
import zmq

from grid.app import Zone
from grid.streams import framed
from grid.streams.cbor import decode
from grid.streams.client import FrameSender, SendingFailed
from grid.streams.intake import OwnIntake
from grid.streams.messages import End, Image, Message, Payload
from tests.unit.grid.streams.sending import FACTS, SHAPE, Carried, ask, frames, local_copy, over, start, until


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


def test_a_program_is_told_at_once_that_its_stream_was_stopped(carried: Carried, rods) -> None:
    opened = ask(carried.zone, rods, format="beamgrid")
    number, stack = opened["stream"], frames(20)
    with (
        pytest.raises(SendingFailed, match="takes no more: it was stopped"),
        FrameSender(listening(carried.zone, rods, number), number, opened["token"], timeout_s=60) as sender,
    ):
        sender.start(shape=SHAPE, dtype=stack.dtype)
        for frame in stack:
            sender.send(frame)
        sender.flush()
        carried.zone.host.call(rods, "stream_stop", {"streams": [number]})
        while True:
            sender.send(stack[0])
            time.sleep(0.01)
    found = over(carried.zone, rods, number)
    assert (found["state"], found["reason"]) == ("done", "it was stopped")
    assert 20 <= sender.stored == found["result"]["stored"]


def spoken(socket: zmq.Socket, message: Message, **said) -> list[dict]:
    """Answers to a message, until nothing follows."""
    socket.send_multipart(framed.encoded(message, **said))
    answers = []
    while socket.poll(300):
        answers.append(decode(socket.recv()))
    return answers


def test_who_asks_again_after_the_end_hears_what_is_stored() -> None:
    payload = Payload(memoryview(bytes(5760)), SHAPE, numpy.dtype("u2"))
    frame, context = Image("s1", 0, {"threshold_1": payload}), zmq.Context()
    intake = OwnIntake("tcp://127.0.0.1:*", 5, "t", credit=64)
    socket = context.socket(zmq.DEALER)
    socket.connect(intake.address)
    intake.end("s1", {0}.__contains__)
    ended = threading.Event()

    def answering() -> None:
        while not ended.wait(0.01):
            intake.answer()

    thread = threading.Thread(target=answering)
    thread.start()
    try:
        (begun,) = spoken(socket, start(1), stream=5, token="t")
        assert (begun["stored"], intake.is_owed) == (0, False)
        assert spoken(socket, frame) == [], "it may not be on stable storage yet"
        intake.settle("")
        assert socket.poll(3000)
        assert decode(socket.recv())["stored"] == 1
        assert intake.is_owed, "the end did not come yet"
        other = Image("s1", 1, {"threshold_1": payload})
        assert "its series s1 ended" in spoken(socket, other)[0]["refused"], "nobody takes it any more"
        (whole,) = spoken(socket, End("s1"))
        assert (whole["stored"], intake.is_owed) == (2, False)
        assert "its series s1 ended" in spoken(socket, frame)[0]["refused"]
        assert (
            "its series s1 ended" in spoken(socket, start(1, series="s2"), stream=5, token="t")[0]["refused"]
        )
    finally:
        ended.set()
        thread.join()
        socket.close(linger=0)
        context.term()
        intake.close()
