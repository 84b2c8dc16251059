import hypothesis.strategies as st
import pytest
from hypothesis import given

from grid.wire import xml
from grid.wire.errors import HeaderFormatError, HeaderLengthError, RemoteWireError, WrongMessage
from grid.wire.framing import Limits, frame
from grid.wire.session import (
    TRANSITIONS,
    ApiRequest,
    Disconnect,
    Heartbeat,
    Negotiated,
    Session,
    Startup,
    State,
)

STARTUP = xml.encode(
    "StartupPack_PI",
    {"irodsProt": 1, "proxyUser": "rods", "clientUser": "rods", "relVersion": "rods5.0.2", "apiVersion": "d"},
)
NEGOTIATING = xml.encode(
    "StartupPack_PI",
    {"proxyUser": "rods", "relVersion": "rods4.2.8", "option": "ilsrequest_server_negotiation"},
)
CHOICE = xml.encode("CS_NEG_PI", {"status": 1, "result": "cs_neg_result_kw=CS_NEG_USE_TCP;"})


def events(*chunks: bytes) -> list[object]:
    session, found = Session(), []
    for chunk in chunks:
        session.receive(chunk)
        while (event := session.next_event()) is not None:
            found.append(event)
    return found


def test_a_client_starts_and_asks() -> None:
    startup, request, goodbye = events(
        frame("RODS_CONNECT", STARTUP)
        + frame("RODS_API_REQ", b"<x></x>", number=702)
        + frame("RODS_DISCONNECT")
    )
    assert isinstance(startup, Startup)
    assert (startup.native, startup.proxy_user, startup.release) == (False, "rods", (5, 0, 2))
    assert request == ApiRequest(702, b"<x></x>", b"", 0)
    assert goodbye == Disconnect()


def test_negotiation_comes_between() -> None:
    startup, choice = events(frame("RODS_CONNECT", NEGOTIATING), frame("RODS_CS_NEG_T", CHOICE))
    assert startup.wants_negotiation
    assert startup.application == "ils"
    assert startup.has_apostrophe_bug
    assert choice == Negotiated(1, "CS_NEG_USE_TCP")


def test_a_heartbeat_is_answered_only_at_the_start() -> None:
    assert events(frame("HEARTBEAT")) == [Heartbeat()]


def test_every_type_that_a_state_does_not_list_is_refused() -> None:
    kinds = {kind for _, kind in TRANSITIONS} | {"RODS_VERSION", "RODS_API_REPLY", "SHARED_SECRET"}
    for state in State:
        for kind in kinds:
            if (state, kind) in TRANSITIONS:
                continue
            session = Session()
            session.state = state
            session.receive(frame(kind))
            with pytest.raises(WrongMessage):
                session.next_event()


@given(st.lists(st.integers(1, 40), max_size=60))
def test_it_does_not_matter_how_bytes_arrive(cuts: list[int]) -> None:
    data = frame("RODS_CONNECT", STARTUP) + frame("RODS_API_REQ", b"m" * 30, b"e" * 5, 0, 633)
    whole, chunks = events(data), []
    for cut in cuts:
        chunks.append(data[:cut])
        data = data[cut:]
    assert events(*chunks, data) == whole


@pytest.mark.parametrize("length", [b"\0\0\0\0", b"\0\0\4\x41", b"\xff\xff\xff\xff", b"GET "])
def test_a_header_length_out_of_range_ends_the_connection(length: bytes) -> None:
    session = Session()
    session.receive(length + b"x" * 10)
    with pytest.raises(HeaderLengthError) as caught:
        session.next_event()
    assert caught.value.fatal


@pytest.mark.parametrize(
    "header",
    [
        b"<MsgHeader_PI><type>RODS_CONNECT</type></MsgHeader_PI>",
        b"<!DOCTYPE x [<!ENTITY a 'b'>]><MsgHeader_PI></MsgHeader_PI>",
        b"<MsgHeader_PI><type>RODS_CONNECT</type><msgLen>-1</msgLen><errorLen>0</errorLen><bsLen>0</bsLen>"
        b"<intInfo>0</intInfo></MsgHeader_PI>",
        b"<MsgHeader_PI><type>RODS_CONNECT</type><msgLen>999999999</msgLen><errorLen>0</errorLen><bsLen>0</bsLen>"
        b"<intInfo>0</intInfo></MsgHeader_PI>",
    ],
)
def test_a_header_that_is_none_or_announces_too_much_is_refused(header: bytes) -> None:
    session = Session(Limits(message_bytes=1000))
    session.receive(len(header).to_bytes(4, "big") + header)
    with pytest.raises(HeaderFormatError):
        session.next_event()


@pytest.mark.parametrize(
    "body",
    [
        b"<StartupPack_PI>",
        b"<StartupPack_PI><irodsProt>1</irodsProt>",
        b"</StartupPack_PI>",
        b"<StartupPack_PI>&x;<!-- --></StartupPack_PI>",
        b"<!DOCTYPE a><StartupPack_PI></StartupPack_PI>",
        b"<?xml version='1.0'?><StartupPack_PI></StartupPack_PI>",
        b"<Other_PI></Other_PI>",
        b"<StartupPack_PI><proxyUser>" + b"x" * 64 + b"</proxyUser></StartupPack_PI>",
        b"<StartupPack_PI><irodsProt>99999999999</irodsProt></StartupPack_PI>",
        b"",
    ],
)
def test_a_startup_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(RemoteWireError):
        events(frame("RODS_CONNECT", body))


def test_stream_bytes_stay_for_who_handles_the_request() -> None:
    session = Session()
    session.state = State.READY
    session.receive(frame("RODS_API_REQ", b"m", stream_bytes=5, number=676) + b"abc")
    event = session.next_event()
    assert isinstance(event, ApiRequest)
    assert event.stream_bytes == 5
    assert session.take_stream(5) == b"abc"
