"""The driver for XRootD against real servers: the suite, keys, checksums, third-party copies, a server that dies."""

import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources import Denied, FileMissing, Offline, PlaceTaken, ResourceError, VaultPath
from resources.testing import DriverSuite, read_all
from resources.xrootd import XrootdDriver
from tests.xrootd_server import XrootdServer, own_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XrootdServer]:
    with own_server(tmp_path_factory.mktemp("xrootd")) as running:
        yield running


class TestXrootd(DriverSuite):
    @pytest.fixture(autouse=True)
    def _server(self, server: XrootdServer) -> None:
        self.server = server

    def make(self, tmp_path: Path) -> XrootdDriver:
        return XrootdDriver.create(self.server.address, f"/{tmp_path.name}", 7)


@pytest.fixture
def driver(server: XrootdServer, tmp_path: Path) -> XrootdDriver:
    return XrootdDriver.create(server.address, f"/{tmp_path.name}", 7)


def put(driver: XrootdDriver, path: str, data: bytes) -> VaultPath:
    return TestXrootd().put(driver, path, data)


def test_the_bytes_are_files_of_the_server(
    driver: XrootdDriver, server: XrootdServer, tmp_path: Path
) -> None:
    put(driver, "/home/anna/a", b"bytes")
    assert (server.data / tmp_path.name / "home/anna/a").read_bytes() == b"bytes"
    assert (driver.free_bytes() or 0) > 0
    assert driver.physical_path(VaultPath.of("/a")) == f"root://{server.address}//{tmp_path.name}/a"


def test_large_writes_and_reads_of_ranges(driver: XrootdDriver) -> None:
    data = bytes(range(256)) * 80_000
    place = put(driver, "/a", data)
    file = driver.open(place)
    buffer = bytearray(1000)
    assert file.read_into(buffer, 10_000_000) == 1000
    assert bytes(buffer) == data[10_000_000:10_001_000]
    assert file.read_into(buffer, len(data) - 5) == 5
    assert read_all(file) == data


def test_the_server_computes_checksums(driver: XrootdDriver) -> None:
    place = put(driver, "/a", b"some bytes")
    assert driver.checksum("", place.text) == f"adler32 {zlib.adler32(b'some bytes'):08x}"
    with pytest.raises(FileMissing):
        driver.checksum("", "/nothing")
    with pytest.raises(FileMissing):
        driver.checksum("nothing")


def test_the_vault_of_another_resource_is_refused(
    driver: XrootdDriver, server: XrootdServer, tmp_path: Path
) -> None:
    with pytest.raises(PlaceTaken, match="is the vault of resource 7; use another folder"):
        XrootdDriver.create(server.address, f"/{tmp_path.name}", 8)
    with pytest.raises(Offline, match="is marked for resource 7, not 8"):
        XrootdDriver(server.address, f"/{tmp_path.name}", 8).check()
    driver.check()
    driver.retire()
    with pytest.raises(Offline, match="has no marker"):
        driver.check()


def test_servers_copy_between_themselves(
    driver: XrootdDriver, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = put(driver, "/a", b"x" * 3_000_000)
    with own_server(tmp_path_factory.mktemp("second")) as second:
        other = XrootdDriver.create(second.address, f"/{tmp_path.name}", 8)
        file = other.stage_from(driver.physical_path(place), "copy")
        assert file.size() == 3_000_000
        file.close()
        other.place("copy", VaultPath.of("/b"))
        assert read_all(other.open(VaultPath.of("/b"))) == b"x" * 3_000_000
        with pytest.raises(ResourceError):
            other.stage_from(driver.physical_path(VaultPath.of("/nothing")), "none")
        assert [name for name, _ in other.staged_names()] == []


def test_a_server_that_dies_and_comes_back(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with own_server(tmp_path_factory.mktemp("mortal")) as mortal:
        driver = XrootdDriver.create(mortal.address, f"/{tmp_path.name}", 7)
        place = put(driver, "/a", b"kept")
        file = driver.stage("half")
        file.write(b"x" * 1000, 0)
        mortal.kill()
        with pytest.raises(Offline):
            XrootdDriver(mortal.address, f"/{tmp_path.name}", 7).check()
        mortal.start()
        again = XrootdDriver(mortal.address, f"/{tmp_path.name}", 7)
        deadline = time.monotonic() + 30
        while True:  # the client remembers for a moment that nobody answered
            try:
                again.check()
                break
            except Offline:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert read_all(again.open(place)) == b"kept"
        again.unlink_staged("half")


def test_a_key_is_asked_for(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("keyed")
    key = folder / "sss.keytab"
    subprocess.run(["xrdsssadmin", "-k", "beamgrid", "-u", "anybody", "-g", "anygroup", "add", str(key)],
                   input=b"y\n", check=True, capture_output=True)  # fmt: skip
    mine = tmp_path / "mine.keytab"
    mine.write_bytes(key.read_bytes())
    mine.chmod(0o600)
    with own_server(folder, keytab=str(key)) as keyed:
        code = (
            "import sys; from resources.xrootd import XrootdDriver; from resources import ResourceError\n"
            "try:\n    XrootdDriver.create(sys.argv[1], '/v', 7, keytab=sys.argv[2]).check(); print('in')\n"
            "except ResourceError as error:\n    print(type(error).__name__)\n"
        )

        def tried(keytab: str) -> str:
            import sys

            done = subprocess.run(
                [sys.executable, "-c", code, keyed.address, keytab], capture_output=True, check=True
            )
            return done.stdout.decode().strip()

        assert tried(str(mine)) == "in", keyed.log()
        assert tried("") in (Denied.__name__, Offline.__name__)
