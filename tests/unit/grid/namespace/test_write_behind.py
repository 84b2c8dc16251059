"""Writes that go on while the next bytes arrive: the same bytes and checksum, and errors that are said before the end."""

import contextlib
import os
import time

import pytest

from grid.app import Zone
from grid.errors import LeaseLost, NotFound, StorageFailed, StorageFull
from grid.namespace import WriteRequest, digests
from grid.namespace.digests import of_bytes
from grid.namespace.rings import BEHIND_BYTES, BUFFER_BYTES, DEPTH, Rings
from resources import OutOfSpace
from resources.aligned import aligned_buffer
from resources.disk_file import DiskFile

PATH = "/tempZone/home/rods/a"


def opened(zone: Zone, rods):
    request = WriteRequest(register_checksum=True)
    return zone.namespace.objects.open_for_writing(rods, PATH, request)


def pieces(count: int):
    """Buffers that take turns, as a server fills them."""
    buffers = [aligned_buffer(BEHIND_BYTES) for _ in range(DEPTH + 1)]
    for number in range(count):
        buffer = buffers[number % len(buffers)]
        buffer[:] = os.urandom(BEHIND_BYTES)
        yield buffer


def test_bytes_and_checksum_are_those_that_were_given(zone: Zone, rods) -> None:
    writing, expected = opened(zone, rods), b""
    for piece in pieces(20):
        expected += piece
        writing.write(piece, keeps=True)
    writing.write(b"tail")
    writing.commit()
    zone.namespace.finisher.finish()
    reading = zone.namespace.objects.open_for_reading(rods, PATH)
    buffer = memoryview(bytearray(reading.size()))
    assert reading.read_into(buffer) == len(expected) + 4
    assert buffer == expected + b"tail"
    assert reading.replica.checksum == of_bytes(expected + b"tail")


def test_what_is_under_way_can_be_read_and_measured(zone: Zone, rods) -> None:
    writing = opened(zone, rods)
    (piece,) = pieces(1)
    writing.write(piece, keeps=True)
    assert writing.size() == BEHIND_BYTES
    writing.position = 0
    buffer = memoryview(bytearray(BEHIND_BYTES))
    writing.read_into(buffer)
    assert buffer == piece
    writing.abandon()


@pytest.mark.parametrize("then", ["write", "finish_writes", "commit"])
def test_a_full_disk_is_said_by_the_next_call(zone: Zone, rods, monkeypatch, then: str) -> None:
    def full(self: DiskFile, data: object, offset: int) -> int:
        raise OutOfSpace("no room is left")

    writing = opened(zone, rods)
    writing.staged()
    monkeypatch.setattr(DiskFile, "write", full)
    with pytest.raises(StorageFull):
        for piece in pieces(DEPTH):
            writing.write(piece, keeps=True)
        if then == "write":
            writing.write(b"x")
        getattr(writing, then)()
    writing.abandon()
    with pytest.raises(NotFound):
        zone.namespace.objects.open_for_reading(rods, PATH)


def test_giving_up_waits_for_what_is_under_way(zone: Zone, rods, monkeypatch) -> None:
    closed, write = list[str](), DiskFile.write

    def slow(self: DiskFile, data, offset: int) -> int:
        count = write(self, data, offset)
        closed.append("written")
        return count

    writing = opened(zone, rods)
    monkeypatch.setattr(DiskFile, "write", slow)
    monkeypatch.setattr(DiskFile, "close", lambda self: closed.append("closed"))
    for piece in pieces(DEPTH):
        writing.write(piece, keeps=True)
    writing.abandon()
    assert closed == ["written"] * DEPTH + ["closed"]


@pytest.mark.parametrize("keeps", [False, True])
def test_who_goes_on_after_a_failed_write_and_closes_stores_nothing(
    zone: Zone, rods, monkeypatch, keeps: bool
) -> None:
    zone.namespace.objects.put(rods, PATH, b"before", WriteRequest())
    write, calls = DiskFile.write, list[int]()

    def full_once(self: DiskFile, data, offset: int) -> int:
        calls.append(offset)
        if len(calls) == 2:
            raise OutOfSpace("no room is left")
        return write(self, data, offset)

    writing = opened(zone, rods)
    writing.staged()
    monkeypatch.setattr(DiskFile, "write", full_once)
    refused = 0
    for piece in pieces(6):
        try:
            writing.write(piece, keeps=keeps)
        except StorageFull:
            refused += 1
    assert refused == 1
    with pytest.raises(StorageFailed, match="could not be written; it is again what it was before"):
        writing.commit()
    zone.namespace.finisher.finish()
    assert zone.namespace.objects.stat(rods, PATH).size_bytes == 6


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("end", ["leave", "abandon"])
def test_a_write_that_failed_in_a_further_stream_ends_the_write_of_all(
    zone: Zone, rods, monkeypatch, end: str, behind: bool
) -> None:
    zone.namespace.objects.put(rods, PATH, b"before", WriteRequest())
    first = opened(zone, rods)
    first.write(b"x" * 10)
    other = zone.namespace.objects.open_for_writing(rods, PATH, WriteRequest(token=first.token))
    other.position = 10
    other.staged()
    write = DiskFile.write

    def full(self: DiskFile, data: object, offset: int) -> int:
        raise OutOfSpace("no room is left")

    monkeypatch.setattr(DiskFile, "write", full)
    if behind:
        fill(other, BEHIND_BYTES)  # nobody was told yet
        with contextlib.suppress(*[StorageFull] if end == "leave" else []):
            getattr(other, end)()
    else:
        with pytest.raises(StorageFull):
            other.write(b"y" * 10)
        getattr(other, end)()
    monkeypatch.setattr(DiskFile, "write", write)
    with pytest.raises(LeaseLost):
        first.commit()
    zone.namespace.finisher.finish()
    assert zone.namespace.objects.stat(rods, PATH).size_bytes == 6


def fill(writing, count: int) -> bytes:
    """Bytes as a server receives those of one request."""
    sent = os.urandom(count)
    done = 0
    while done < count:
        part, keeps = writing.room_for(count - done)
        part[:] = sent[done : done + len(part)]
        done += writing.write(part, keeps=keeps)
    return sent


def test_buffers_that_are_used_again_hold_what_is_hashed_until_it_is(zone: Zone, rods, monkeypatch) -> None:
    """Hashing is slow here, so requests that follow each other come back to buffers that are not hashed yet."""
    real = digests._new

    class Slow:
        def __init__(self, scheme: str) -> None:
            self._state = real(scheme)
            self.digest, self.hexdigest = self._state.digest, self._state.hexdigest

        def update(self, data) -> None:
            time.sleep(0.05)
            self._state.update(data)

    monkeypatch.setattr(digests, "_new", Slow)
    writing, expected = opened(zone, rods), b""
    for count in (12 << 20, 12 << 20, 12 << 20, 5000, BUFFER_BYTES + 1, 1 << 20):
        expected += fill(writing, count)
        assert writing.size() == len(expected), "which waits for what is under way, and for no digest"
    writing.commit()
    reading = zone.namespace.objects.open_for_reading(rods, PATH)
    buffer = memoryview(bytearray(reading.size()))
    assert reading.read_into(buffer) == len(expected)
    assert buffer == expected
    assert reading.replica.checksum == of_bytes(expected)
    reading.close()


def test_rings_are_few_and_come_back(zone: Zone, rods, monkeypatch) -> None:
    rings = Rings()
    monkeypatch.setattr("grid.namespace.behind.RINGS", rings)
    monkeypatch.setattr("grid.namespace.rings.MOST_RINGS", 1)
    for end in ("commit", "abandon"):
        first = opened(zone, rods)
        expected = fill(first, 3 << 20)
        assert rings.lend() is None, "the only one is lent"
        second = zone.namespace.objects.open_for_writing(rods, f"{PATH}-{end}", WriteRequest())
        other = fill(second, 6 << 20)
        second.commit()
        getattr(first, end)()
        ring = rings.lend()
        assert ring is not None
        rings.take_back(ring)
        reading = zone.namespace.objects.open_for_reading(rods, f"{PATH}-{end}")
        assert reading.read_at(0, reading.size()) == other
        reading.close()
    reading = zone.namespace.objects.open_for_reading(rods, PATH)
    assert reading.size() == len(expected)
    reading.close()


def test_a_ring_comes_back_where_nothing_was_written(zone: Zone, rods, monkeypatch) -> None:
    rings = Rings()
    monkeypatch.setattr("grid.namespace.behind.RINGS", rings)
    monkeypatch.setattr("grid.namespace.rings.MOST_RINGS", 1)
    zone.namespace.objects.put(rods, PATH, b"before", WriteRequest())
    writing = zone.namespace.objects.open_for_writing(rods, PATH, WriteRequest(truncate=False))
    writing.room_for(3 << 20)
    assert rings.lend() is None, "the only one is lent"
    writing.commit()
    assert rings.lend() is not None
