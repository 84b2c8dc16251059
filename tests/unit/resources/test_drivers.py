import os
from pathlib import Path

import pytest

from resources import Offline, PlaceTaken, VaultPath
from resources.disk import DiskDriver
from resources.memory import MemoryDriver
from resources.testing import DriverSuite


class TestMemory(DriverSuite):
    def make(self, tmp_path: Path) -> MemoryDriver:
        return MemoryDriver()


class TestDisk(DriverSuite):
    def make(self, tmp_path: Path) -> DiskDriver:
        return DiskDriver.create(str(tmp_path / "vault"), 7)


def test_a_symbolic_link_in_the_vault_leads_nowhere(tmp_path: Path) -> None:
    driver = DiskDriver.create(str(tmp_path / "vault"), 7)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    os.symlink(outside, tmp_path / "vault/link")
    os.symlink(outside / "secret", tmp_path / "vault/file")
    with pytest.raises(PlaceTaken):
        driver.open(VaultPath.of("/link/secret"))
    with pytest.raises(PlaceTaken):
        driver.open(VaultPath.of("/file"))
    driver.stage("s").close()
    with pytest.raises(PlaceTaken):
        driver.place("s", VaultPath.of("/link/new"))
    assert sorted(os.listdir(outside)) == ["secret"]


def test_an_empty_mount_point_is_offline(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    with pytest.raises(Offline, match="is its file system mounted"):
        DiskDriver(str(tmp_path / "vault"), 7).check()


def test_a_vault_that_vanishes_is_offline_and_comes_back(tmp_path: Path) -> None:
    driver = DiskDriver.create(str(tmp_path / "vault"), 7)
    driver.check()
    os.rename(tmp_path / "vault", tmp_path / "away")
    (tmp_path / "vault").mkdir()
    with pytest.raises(Offline):
        driver.check()
    os.rmdir(tmp_path / "vault")
    os.rename(tmp_path / "away", tmp_path / "vault")
    driver.check()


def test_the_vault_of_another_resource_is_refused(tmp_path: Path) -> None:
    DiskDriver.create(str(tmp_path / "vault"), 7)
    with pytest.raises(Offline, match="marked for resource 7"):
        DiskDriver(str(tmp_path / "vault"), 8).check()
    with pytest.raises(PlaceTaken, match="vault of resource 7"):
        DiskDriver.create(str(tmp_path / "vault"), 8)
