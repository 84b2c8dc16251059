"""Large files go past the page cache where file system, buffer and offset allow it, and are the same bytes either way."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources import disk
from resources.aligned import aligned_buffer
from resources.disk import DiskDriver
from resources.layout import Layout
from resources.testing import DriverSuite, read_all

SIZE = 3 << 20


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch) -> None:
    monkeypatch.setattr(disk, "DIRECT_BYTES", 1 << 20)


@pytest.fixture
def driver(tmp_path: Path) -> DiskDriver:
    return DiskDriver.create(str(tmp_path / "vault"), 7)


def random(size: int) -> memoryview:
    data = aligned_buffer(size)
    data[:] = os.urandom(size)
    return data


class TestDirect(DriverSuite):
    def make(self, tmp_path: Path) -> DiskDriver:
        return DiskDriver.create(str(tmp_path / "vault"), 7)


def test_only_files_that_are_going_to_be_large_go_direct(driver: DiskDriver, tmp_path: Path) -> None:
    found = [driver.stage(name, size).is_direct for name, size in (("a", -1), ("b", 1000), ("c", SIZE))]
    assert found == [False, False, True]
    DiskDriver.create(str(tmp_path / "cached"), 8)
    cached = DiskDriver(str(tmp_path / "cached"), 8, Layout(direct=False))
    assert not cached.stage("a", SIZE).is_direct


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, SIZE), st.integers(1, SIZE)), max_size=6), st.booleans())
def test_whatever_is_written_where_reads_the_same(tmp_path_factory, writes, aligned: bool) -> None:
    made = DiskDriver.create(str(tmp_path_factory.mktemp("v") / "vault"), 7)
    file, expected = made.stage("a", SIZE), bytearray()
    for offset, count in [(0, SIZE), *writes]:
        data = random(count) if aligned else bytearray(os.urandom(count))
        expected.extend(bytes(max(offset + count - len(expected), 0)))
        expected[offset : offset + count] = data
        assert file.write(data, offset) == count
    file.sync()
    file.close()
    assert read_all(made.open_staged_for_reading("a")) == expected


def test_a_buffer_that_no_disk_takes_is_written_through_the_cache(driver: DiskDriver) -> None:
    file = driver.stage("a", SIZE)
    data = random(SIZE + 1)[1:]
    file.write(data, 0)
    assert not file.is_direct
    assert read_all(driver.open_staged_for_reading("a")) == data


def test_what_was_written_direct_is_on_the_disk_before_any_sync(driver: DiskDriver, tmp_path: Path) -> None:
    file = driver.stage("a", SIZE)
    file.write(random(SIZE), 0)
    if not file.is_direct:
        pytest.skip("this file system has no direct writes")
    assert os.stat(tmp_path / "vault/.beamgrid/staging/a").st_blocks * 512 >= SIZE


def test_a_refused_direct_write_leaves_the_descriptor_to_others_that_are_under_way(
    driver: DiskDriver,
) -> None:
    """Closed meanwhile, its number could be another file's by the time they write to it."""
    file = driver.stage("a", SIZE)
    descriptor = file._direct
    file.write(random(SIZE + 1)[1:], 0)
    assert not file.is_direct
    os.fstat(descriptor)
    file.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
