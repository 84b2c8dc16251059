"""Room that is taken ahead, and stripes: asked of the file system, and given up where it has none."""

import ctypes
import errno
import os
import struct
from pathlib import Path

import pytest

from resources import OutOfSpace, PermanentResourceError
from resources.context import read
from resources.disk import CONTEXT, DiskDriver
from resources.layout import Layout
from resources.testing import DriverSuite, read_all


def vault(tmp_path: Path, context: str = "preallocate=on") -> DiskDriver:
    DiskDriver.create(str(tmp_path / "vault"), 7)
    return DiskDriver(str(tmp_path / "vault"), 7, Layout.of(read(context, CONTEXT)))


class TestPreallocating(DriverSuite):
    def make(self, tmp_path: Path) -> DiskDriver:
        return vault(tmp_path)


def test_room_is_taken_before_bytes_arrive_and_the_rest_goes_back(tmp_path: Path) -> None:
    driver = vault(tmp_path)
    file = driver.stage("a", 1 << 20)
    facts = os.stat(tmp_path / "vault/.beamgrid/staging/a")
    assert facts.st_size == 0
    if not facts.st_blocks:
        pytest.skip("this file system takes no room ahead")
    assert facts.st_blocks * 512 >= 1 << 20
    file.write(b"short", 0)
    file.sync()
    assert os.stat(tmp_path / "vault/.beamgrid/staging/a").st_blocks * 512 < 1 << 20
    assert read_all(driver.open_staged_for_reading("a")) == b"short"


def test_more_than_there_is_is_refused_at_once_and_nothing_is_left(tmp_path: Path) -> None:
    driver = vault(tmp_path)
    with pytest.raises(OutOfSpace):
        driver.stage("a", 1 << 56)
    assert driver.staged_names() == []


def test_a_file_system_that_takes_no_room_is_no_error(tmp_path: Path, monkeypatch) -> None:
    class Library:
        def fallocate(self, *arguments: object) -> int:
            ctypes.set_errno(errno.EOPNOTSUPP)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: Library())
    driver = vault(tmp_path)
    file = driver.stage("a", 1 << 56)
    file.write(b"bytes", 0)
    file.sync()
    assert read_all(driver.open_staged_for_reading("a")) == b"bytes"


def test_a_file_system_without_stripes_says_so(tmp_path: Path) -> None:
    driver = vault(tmp_path, "stripe_count=4;stripe_size=4 MiB")
    assert driver.stripe() == "Operation not supported"
    driver.stage("a").close()
    assert vault(tmp_path, "").stripe() == ""


def test_stripes_are_asked_for_as_lustre_reads_it(tmp_path: Path, monkeypatch) -> None:
    asked = list[tuple[str, bytes]]()
    monkeypatch.setattr(os, "setxattr", lambda folder, name, value: asked.append((name, value)))
    assert vault(tmp_path, "stripe_count=4;stripe_size=4 MiB").stripe() == ""
    name, value = asked[0]
    assert (name, len(value)) == ("lustre.lov", 32)
    magic, pattern = struct.unpack_from("<II", value)
    assert (magic, pattern, struct.unpack_from("<IHH", value, 24)) == (0x0BD10BD0, 0, (4 << 20, 4, 0xFFFF))


def test_stripes_of_a_length_that_nobody_makes_are_refused() -> None:
    with pytest.raises(
        PermanentResourceError, match="`stripe_size` is 1000000; a multiple of 64 KiB was expected"
    ):
        Layout.of(read("stripe_size=1 MB", CONTEXT))
