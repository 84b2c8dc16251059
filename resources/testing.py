"""The suite every driver passes: subclass `DriverSuite`, say how to make a driver, and pytest does the rest.

class TestDisk(DriverSuite):
    def make(self, tmp_path):
        return DiskDriver.create(str(tmp_path / "vault"), 7)
"""

from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from resources.errors import FileMissing, InvalidVaultPath, PlaceTaken
from resources.protocol import Driver, StoredFile, VaultPath


def read_all(file: StoredFile) -> bytes:
    """A file's whole content."""
    buffer = memoryview(bytearray(file.size()))
    assert file.read_into(buffer, 0) == len(buffer)
    file.close()
    return bytes(buffer)


class DriverSuite(ABC):
    """Behaviour of a driver, one sentence of the contract a test."""

    @abstractmethod
    def make(self, tmp_path: Path) -> Driver:
        """A driver over nothing, made anew for each test."""

    @pytest.fixture
    def driver(self, tmp_path: Path) -> Driver:
        return self.make(tmp_path)

    def put(self, driver: Driver, path: str, data: bytes, name: str = "n1") -> VaultPath:
        file = driver.stage(name)
        file.write(data, 0)
        file.sync()
        file.close()
        place = VaultPath.of(path)
        driver.place(name, place)
        return place

    def test_what_is_staged_synced_and_placed_can_be_read(self, driver: Driver) -> None:
        place = self.put(driver, "/home/anna/a", b"hello")
        assert read_all(driver.open(place)) == b"hello"
        assert driver.stat(place).size_bytes == 5

    def test_a_staged_file_can_be_read_before_it_is_placed(self, driver: Driver) -> None:
        file = driver.stage("s")
        file.write(b"abc", 0)
        assert read_all(driver.open_staged_for_reading("s")) == b"abc"

    def test_staging_a_name_twice_is_refused(self, driver: Driver) -> None:
        driver.stage("s").close()
        with pytest.raises(PlaceTaken):
            driver.stage("s")

    def test_a_gap_reads_as_zeros(self, driver: Driver) -> None:
        file = driver.stage("s")
        file.write(b"x", 4)
        assert file.size() == 5
        buffer = bytearray(5)
        assert file.read_into(buffer, 0) == 5
        assert bytes(buffer) == b"\0\0\0\0x"
        file.close()

    def test_two_openings_of_one_staged_file_see_each_other(self, driver: Driver) -> None:
        first = driver.stage("s")
        second = driver.open_staged("s")
        first.write(b"ab", 0)
        second.write(b"cd", 2)
        assert first.size() == 4
        first.close()
        second.close()
        assert read_all(driver.open_staged_for_reading("s")) == b"abcd"

    def test_truncating_cuts_and_extends(self, driver: Driver) -> None:
        file = driver.stage("s")
        file.write(b"abcdef", 0)
        file.truncate(2)
        file.truncate(4)
        assert file.size() == 4
        file.close()
        assert read_all(driver.open_staged_for_reading("s")) == b"ab\0\0"

    def test_placing_replaces_and_open_readers_keep_the_old_bytes(self, driver: Driver) -> None:
        place = self.put(driver, "/a", b"old")
        reader = driver.open(place)
        self.put(driver, "/a", b"newer", name="n2")
        assert read_all(driver.open(place)) == b"newer"
        buffer = bytearray(3)
        assert reader.read_into(buffer, 0) == 3
        assert bytes(buffer) == b"old"
        reader.close()

    def test_placing_again_is_success(self, driver: Driver) -> None:
        place = self.put(driver, "/x/a", b"1")
        driver.place("n1", place)
        assert read_all(driver.open(place)) == b"1"

    def test_placing_what_was_never_staged_is_missing(self, driver: Driver) -> None:
        with pytest.raises(FileMissing):
            driver.place("nobody", VaultPath.of("/x/a"))

    def test_a_folder_is_no_place_for_a_file(self, driver: Driver) -> None:
        self.put(driver, "/x/a", b"1")
        driver.stage("s").close()
        with pytest.raises(PlaceTaken):
            driver.place("s", VaultPath.of("/x"))

    def test_a_file_is_no_place_for_a_folder(self, driver: Driver) -> None:
        self.put(driver, "/x", b"1")
        driver.stage("s").close()
        with pytest.raises(PlaceTaken):
            driver.place("s", VaultPath.of("/x/a"))

    def test_a_copy_begins_with_the_content_and_leaves_the_source_alone(self, driver: Driver) -> None:
        place = self.put(driver, "/a", b"content")
        copy = driver.stage_copy(place, "copy")
        copy.write(b"X", 0)
        copy.close()
        assert read_all(driver.open_staged_for_reading("copy")) == b"Xontent"
        assert read_all(driver.open(place)) == b"content"

    def test_moving_a_folder_moves_what_it_holds(self, driver: Driver) -> None:
        self.put(driver, "/x/y/a", b"1")
        driver.move(VaultPath.of("/x"), VaultPath.of("/z/w"))
        assert read_all(driver.open(VaultPath.of("/z/w/y/a"))) == b"1"
        with pytest.raises(FileMissing):
            driver.open(VaultPath.of("/x/y/a"))

    def test_moving_again_is_success(self, driver: Driver) -> None:
        self.put(driver, "/a", b"1")
        driver.move(VaultPath.of("/a"), VaultPath.of("/b"))
        driver.move(VaultPath.of("/a"), VaultPath.of("/b"))
        assert read_all(driver.open(VaultPath.of("/b"))) == b"1"

    def test_moving_onto_a_file_is_refused(self, driver: Driver) -> None:
        self.put(driver, "/a", b"1")
        self.put(driver, "/b", b"2", name="n2")
        with pytest.raises(PlaceTaken):
            driver.move(VaultPath.of("/a"), VaultPath.of("/b"))

    def test_unlinking_may_be_repeated(self, driver: Driver) -> None:
        place = self.put(driver, "/a", b"1")
        driver.unlink(place)
        driver.unlink(place)
        driver.unlink_staged("nobody")
        with pytest.raises(FileMissing):
            driver.stat(place)

    def test_removing_a_folder_spares_one_that_holds_something(self, driver: Driver) -> None:
        place = self.put(driver, "/x/a", b"1")
        driver.remove_folder(VaultPath.of("/x"))
        driver.remove_folder(VaultPath.of("/nowhere"))
        assert read_all(driver.open(place)) == b"1"

    def test_staged_names_are_listed(self, driver: Driver) -> None:
        driver.stage("s1").close()
        driver.stage("s2").close()
        assert sorted(name for name, _ in driver.staged_names()) == ["s1", "s2"]

    @pytest.mark.parametrize("path", ["/..", "/a/../b", "/.", "", "/", "/a\0b"])
    def test_no_place_can_be_named_outside(self, driver: Driver, path: str) -> None:
        with pytest.raises(InvalidVaultPath):
            VaultPath.of(path)

    def test_a_component_over_255_bytes_has_a_place_of_its_own(self, driver: Driver) -> None:
        first, second = "é" * 200 + "1", "é" * 200 + "2"
        self.put(driver, f"/{first}", b"1")
        self.put(driver, f"/{second}", b"2", name="n2")
        assert read_all(driver.open(VaultPath.of(f"/{first}"))) == b"1"
        assert read_all(driver.open(VaultPath.of(f"/{second}"))) == b"2"

    def test_the_vaults_own_folder_cannot_be_named(self, driver: Driver) -> None:
        place = self.put(driver, "/.beamgrid/resource-id", b"mine")
        assert read_all(driver.open(place)) == b"mine"
        driver.check()
