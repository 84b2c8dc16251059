"""The server is killed (SIGKILL) while it makes a copy, on every kind of resource: between copying, verifying and recording."""

import contextlib
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from irods.exception import NetworkException

from grid.app import Zone, open_zone
from tests.adversity.test_crashes import SEED
from tests.conftest import SOAK, make_zone, serve
from tests.xrootd_server import own_server

PATH = "/tempZone/home/rods/a"
DATA = os.urandom(5_000_000)
STEPS = (
    "stage.before",
    "stage.after",
    "bytes.before",
    "bytes.after",
    "sync.before",
    "sync.after",
    "register.before",
    "register.after",
)
CONTEXTS = {
    "unixfilesystem": "", "buffer": "capacity=100 MB",
    "tape": "drives=1;cartridges=2;capacity=100 MB;clock_factor=1000000;batch=1;batch_age=0;open=wait;wait=60", "xrootd": "",
}  # fmt: skip
MATRIX = [(kind, step) for kind in CONTEXTS for step in STEPS]
# two steps of each kind here, by a fresh, printed seed; all of them in ./run soak
SHARE = (
    MATRIX
    if SOAK
    else [
        pair
        for kind in CONTEXTS
        for pair in random.Random(SEED).sample([p for p in MATRIX if p[0] == kind], 2)
    ]
)


@contextlib.contextmanager
def resource(
    kind: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """Location and context of a resource to copy to."""
    if kind != "xrootd":
        yield f"localhost:{tmp_path}/target", CONTEXTS[kind]
        return
    with own_server(tmp_path_factory.mktemp("xrootd")) as server:
        yield "localhost:/target", f"port={server.port}"


def add(folder: Path, kind: str, location: str, context: str) -> None:
    zone = open_zone(folder)
    try:
        rods = zone.namespace.users.caller("rods", "tempZone")
        zone.namespace.administration.add_resource(rods, "target", kind, location, context)
    finally:
        zone.close()


def verified(zone: Zone, number: int) -> str:
    """What reading a replica says, once what is on its way has arrived."""
    rods = zone.namespace.users.caller("rods", "tempZone")
    return zone.namespace.fixity.verify(rods, PATH, number).what


@pytest.mark.parametrize(("kind", "step"), SHARE, ids=[f"{kind}-{step}" for kind, step in SHARE])
def test_a_copy_is_there_or_not_and_can_be_made_again(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, kind: str, step: str
) -> None:
    print(f"seed {SEED}")
    folder, gate = tmp_path / "zone", tmp_path / "gate"
    make_zone(folder)
    with resource(kind, tmp_path, tmp_path_factory) as (location, context):
        add(folder, kind, location, context)
        armed = serve(folder, env={"BEAMGRID_KILL_AT": step, "BEAMGRID_KILL_GATE": str(gate)})
        try:
            session = armed.session(connection_timeout=3)
            with session.data_objects.open(PATH, "w") as file:
                file.write(DATA)
            session.data_objects.chksum(PATH)
            gate.touch()
            with pytest.raises(NetworkException):  # the server died under the client
                session.data_objects.replicate(PATH, resource="target")
            time.sleep(0.1)
        finally:
            armed.stop(9)
        gate.unlink()
        (folder / "run/port").unlink(missing_ok=True)

        again = serve(folder)
        try:
            with again.session(connection_timeout=90) as session:
                with session.data_objects.open(PATH, "r") as file:
                    assert file.read() == DATA
                replicas = session.data_objects.get(PATH).replicas
                assert [r.status for r in replicas] in (["1"], ["1", "1"]), "a copy is good, or it is not"
                assert len(replicas) == (2 if step == "register.after" else 1)
                session.data_objects.replicate(PATH, resource="target")
                assert [r.status for r in session.data_objects.get(PATH).replicas] == ["1", "1"]
        finally:
            assert again.stop() == 0
        zone = open_zone(folder)
        try:
            zone.namespace.finisher.finish()
            assert [verified(zone, number) for number in (0, 1)] in (["same", "same"], ["same", "on tape"])
        finally:
            zone.close()
