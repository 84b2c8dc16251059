"""Reading and copying on a real Dask cluster: the same results as in-process; a cluster that is gone."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from grid.app import Zone
from grid.errors import NotOnline, ResourceUnavailable
from grid.model import ReplicaStatus
from grid.namespace import WriteRequest
from grid.namespace.found import find
from grid.tiers.computing import DaskComputing
from grid.tiers.scrubbing import Pacer, Scrubber
from resources import FileMissing
from resources.remote import There, Vault, look
from tests.unit.grid.tiers.test_tape import Tape

HOME = "/tempZone/home/rods"
CLUSTER = (
    "from distributed import LocalCluster\n"
    "if __name__ == '__main__':\n"
    "    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host='127.0.0.1')\n"
    "    print(cluster.scheduler_address, flush=True)\n"
    "    input()\n"
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    script = tmp_path_factory.mktemp("dask") / "cluster.py"
    script.write_text(CLUSTER)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=script.parent,
    )
    assert process.stdout is not None
    yield process.stdout.readline().decode().strip()
    process.communicate(b"\n", timeout=30)


class Counted(DaskComputing):
    """Counts what the cluster carried out."""

    done = 0

    def run(self, function, *arguments):
        result = super().run(function, *arguments)
        self.done += 1
        return result


@pytest.fixture
def computing(zone: Zone, cluster: str) -> Iterator[Counted]:
    made = Counted(cluster)
    zone.namespace.context.computing = made
    yield made
    made._forget()


def put(zone: Zone, rods, name: str, data: bytes = b"data" * 100_000) -> str:
    zone.namespace.objects.put(
        rods, f"{HOME}/{name}", data, WriteRequest(size_bytes=len(data), register_checksum=True)
    )
    zone.namespace.finisher.finish()
    return f"{HOME}/{name}"


def test_a_copy_and_a_scrub_are_as_in_process(zone: Zone, rods, computing: Counted, tmp_path: Path) -> None:
    space = zone.namespace
    space.administration.add_resource(rods, "two", "unixfilesystem", f"localhost:{tmp_path}/two")
    paths = [put(zone, rods, f"f{n}") for n in range(3)]
    for path in paths:
        assert space.replicas.replicate(rods, path, "two") == 400_000
    space.finisher.finish()
    assert computing.done == 3
    assert (tmp_path / "two/home/rods/f1").read_bytes() == b"data" * 100_000
    (tmp_path / "two/home/rods/f1").write_bytes(b"DATA" * 100_000)
    zone.host.call(rods, "scrub_start", {"resource": "two", "rate": 10**9})
    scrubber = Scrubber(zone.database, space, space.context.lease_id)
    while scrubber.step():
        pass
    (shown,) = zone.host.call(rods, "scrub_show", {})
    assert (shown["checked"], shown["bad"], shown["read_bytes"], computing.done) == (3, 1, 1_200_000, 6)
    with zone.database.read() as tx:
        assert [r.status for r in find(tx, paths[1]).replicas] == [
            ReplicaStatus.GOOD,
            ReplicaStatus.STALE,
        ]


@pytest.mark.parametrize("scheme", ["sha2", "sha512", "md5", "adler32"])
def test_every_checksum_is_written_alike(zone: Zone, rods, computing: Counted, scheme: str) -> None:
    from grid.namespace.digests import of_bytes

    data = b"some bytes"
    request = WriteRequest(size_bytes=len(data), checksum=of_bytes(data, scheme))
    zone.namespace.objects.put(rods, f"{HOME}/a", data, request)
    zone.namespace.finisher.finish()
    assert zone.namespace.fixity.verify(rods, f"{HOME}/a", 0).what == "same"
    assert computing.done == 1


def test_a_bad_source_is_found_there_too(zone: Zone, rods, computing: Counted, tmp_path: Path) -> None:
    from grid.errors import ChecksumMismatch

    zone.namespace.administration.add_resource(rods, "two", "unixfilesystem", f"localhost:{tmp_path}/two")
    path = put(zone, rods, "a")
    (zone.folder / "vault/home/rods/a").write_bytes(b"DATA" * 100_000)
    with pytest.raises(ChecksumMismatch, match="does not have its recorded checksum any more"):
        zone.namespace.replicas.replicate(rods, path, "two")
    assert [p for p in (tmp_path / "two").rglob("*") if p.is_file() and p.name != "resource-id"] == []


def test_what_went_wrong_there_comes_back_as_it_was(computing: Counted, zone: Zone) -> None:
    with zone.database.read() as tx:
        resource = zone.namespace.context.storage.tree(tx).named("demoResc")
    vault = Vault("disk", resource.vault_path, resource.id)
    with pytest.raises(FileMissing, match="opening `nothing`"):
        computing.run(look, There(vault, "nothing"), "sha256", 0.0)


def test_a_scheduler_that_is_not_there_is_tried_again(
    zone: Zone, rods, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grid.tiers.computing.CONNECT_S", 0.5)
    zone.namespace.context.computing = DaskComputing("tcp://127.0.0.1:9")
    path = put(zone, rods, "a")
    with pytest.raises(
        ResourceUnavailable, match=r"the Dask scheduler at tcp://127\.0\.0\.1:9 does not answer"
    ) as caught:
        zone.namespace.fixity.verify(rods, path, 0, pace=Pacer(1e9))
    assert caught.value.retry


def test_a_cartridge_is_repacked_as_in_process(zone: Zone, rods, computing: Counted, tmp_path: Path) -> None:
    tape = Tape(zone, tmp_path)
    kept, gone = tape.put("kept", b"frames" * 100), tape.put("gone", b"others" * 100)
    tape.work()
    zone.namespace.moves.unlink(rods, gone, force=True)
    zone.namespace.finisher.finish()
    before = computing.done
    zone.host.call(rods, "tape_repack", {"label": "T00001"})
    tape.work(2.0)
    assert computing.done > before
    cartridges = {c.label: c for c in tape.libraries.state(tape.made).cartridges()}
    assert (cartridges["T00001"].used_bytes, cartridges["T00001"].condition) == (0, "good")
    with pytest.raises(NotOnline):
        tape.read(kept)
    tape.work()
    assert tape.read(kept) == b"frames" * 100


def test_a_limited_resource_is_read_where_its_limits_are_kept(
    zone: Zone, rods, computing: Counted, tmp_path: Path
) -> None:
    space = zone.namespace
    space.administration.add_resource(
        rods, "slow", "unixfilesystem", f"localhost:{tmp_path}/slow", "max_rate=1 GB"
    )
    path = put(zone, rods, "limited")
    before = computing.done
    assert space.replicas.replicate(rods, path, "slow") == 400_000
    space.finisher.finish()
    assert space.fixity.verify(rods, path, 1).what == "same"
    assert computing.done == before
    assert space.fixity.verify(rods, path, 0).what == "same"
    assert computing.done == before + 1
