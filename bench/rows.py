"""The rows: each is some work, done once an alternation, with how many operations it was."""

import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.server import RawClient, Target
from grid.wire import native
from grid.wire.framing import frame


@dataclass(frozen=True)
class Row:
    """`limit_ms`: server CPU an operation may cost; `postgres_limit_ms`: with PostgreSQL, its own CPU included."""

    name: str
    work: Callable[[Target], int]
    limit_ms: float | None = None
    postgres_limit_ms: float | None = None


def home(target: Target) -> str:
    path = f"/{target.zone}/home/{target.user}/{uuid.uuid4().hex[:10]}"
    with target.session() as session:
        session.collections.create(path)
    return path


def put_request(path: str, data: bytes) -> bytes:
    keywords = {"ssLen": 2, "keyWord": ["dataType", "dataIncluded"], "svalue": ["generic", ""]}
    message = native.encode(
        "DataObjInp_PI", {"objPath": path, "dataSize": len(data), "KeyValPair_PI": keywords}
    )
    return frame("RODS_API_REQ", message, stream_bytes=len(data), number=606) + data


def connect(target: Target) -> int:
    for _ in range(100):
        RawClient(target).close()
    return 100


def single_put(target: Target) -> int:
    client, path, data = RawClient(target), home(target), b"x" * 4096
    for index in range(300):
        status = client.send(put_request(f"{path}/f{index}", data))
        assert status == 0, status
    client.close()
    return 300


def client_put(target: Target) -> int:
    path, data = home(target), b"x" * 4096
    with target.session() as session:
        for index in range(100):
            with session.data_objects.open(f"{path}/f{index}", "w") as file:
                file.write(data)
    return 100


def stat(target: Target) -> int:
    path = home(target)
    with target.session() as session:
        with session.data_objects.open(f"{path}/f", "w") as file:
            file.write(b"x")
        for _ in range(300):
            session.data_objects.get(f"{path}/f")
    return 300


def fill(target: Target, path: str, count: int) -> None:
    client = RawClient(target)
    for index in range(count):
        client.send(put_request(f"{path}/f{index:06}", b""))
    client.close()


_pages: dict[str, str] = {}


def page(target: Target) -> int:
    key = f"{target.host}:{target.port}"
    if key not in _pages:
        _pages[key] = home(target)
        fill(target, _pages[key], 600)
    columns = [501, 403, 401, 407, 420]
    query = native.encode(
        "GenQueryInp_PI",
        {"maxRows": 500, "InxIvalPair_PI": {"iiLen": 5, "inx": columns, "ivalue": [1] * 5},
         "InxValPair_PI": {"isLen": 1, "inx": [501], "svalue": [f"= '{_pages[key]}'"]}, "KeyValPair_PI": {"ssLen": 0}},
    )  # fmt: skip
    client = RawClient(target)
    for _ in range(200):
        assert client.send(frame("RODS_API_REQ", query, number=702)) == 0
    client.close()
    return 200


def metadata(target: Target) -> int:
    path = home(target)
    with target.session() as session:
        collection = session.collections.get(path)
        for index in range(100):
            collection.metadata.add("attribute", str(index))
    return 100


def eight_clients(target: Target) -> int:
    path = home(target)

    def work(index: int) -> None:
        client = RawClient(target)
        for number in range(50):
            client.send(put_request(f"{path}/c{index}_{number}", b"x" * 4096))
        client.close()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 400


ROWS = (
    Row("connect and authenticate", connect, 0.8),
    Row("put of 4 KiB, one request", single_put, 0.8, 1.5),
    Row("put of 4 KiB, python-irodsclient", client_put, 1.6, 2.6),
    Row("8 clients putting 4 KiB", eight_clients, None),
    Row("warm stat, python-irodsclient", stat, 0.5),
    Row("query page of 500 x 5", page, 2.5),
    Row("metadata add, python-irodsclient", metadata, 0.8),
)

CHUNK = 4 << 20


def stream(target: Target, size_bytes: int, scratch: Path) -> dict[str, float]:
    """Bytes a second of one large object written and read in 4 MiB requests, of `cp`, and of raw loopback."""
    path, chunk = home(target), b"\7" * CHUNK
    client = RawClient(target)
    number = client.send(
        frame(
            "RODS_API_REQ",
            native.encode("DataObjInp_PI", {"objPath": f"{path}/l", "openFlags": 577}),
            number=602,
        )
    )
    write = native.encode("OpenedDataObjInp_PI", {"l1descInx": number, "len": CHUNK})
    started = time.perf_counter()
    for _ in range(size_bytes // CHUNK):
        client.send(frame("RODS_API_REQ", write, stream_bytes=CHUNK, number=676) + chunk)
    client.send(
        frame("RODS_API_REQ", native.encode("OpenedDataObjInp_PI", {"l1descInx": number}), number=673)
    )
    wrote = size_bytes / (time.perf_counter() - started)
    number = client.send(
        frame(
            "RODS_API_REQ",
            native.encode("DataObjInp_PI", {"objPath": f"{path}/l", "openFlags": 0}),
            number=602,
        )
    )
    read = frame(
        "RODS_API_REQ", native.encode("OpenedDataObjInp_PI", {"l1descInx": number, "len": CHUNK}), number=675
    )
    started = time.perf_counter()
    while client.send(read) > 0:
        pass
    was_read = size_bytes / (time.perf_counter() - started)
    client.close()
    with target.session() as session:
        session.data_objects.unlink(f"{path}/l", force=True)
    return {
        "write": wrote,
        "read": was_read,
        "cp": copy_rate(size_bytes, scratch),
        "loopback": loopback_rate(size_bytes),
    }


def copy_rate(size_bytes: int, scratch: Path) -> float:
    source, target = scratch / "cp-from", scratch / "cp-to"
    with source.open("wb") as file:
        for _ in range(size_bytes // CHUNK):
            file.write(b"\7" * CHUNK)
    started = time.perf_counter()
    shutil.copyfile(source, target)
    rate = size_bytes / (time.perf_counter() - started)
    source.unlink()
    target.unlink()
    return rate


def loopback_rate(size_bytes: int) -> float:
    listener = socket.create_server(("127.0.0.1", 0))

    def send() -> None:
        peer, _ = listener.accept()
        data = b"\7" * CHUNK
        for _ in range(size_bytes // CHUNK):
            peer.sendall(data)
        peer.close()

    thread = threading.Thread(target=send)
    thread.start()
    started = time.perf_counter()
    with socket.create_connection(listener.getsockname()) as peer:
        buffer = memoryview(bytearray(CHUNK))
        while peer.recv_into(buffer):
            pass
    rate = size_bytes / (time.perf_counter() - started)
    thread.join()
    listener.close()
    return rate


def lookup(target: Target, path: str) -> Callable[[], None]:
    """One look-up, one page and one put, for growth."""
    client = RawClient(target)
    columns = [403, 401, 407]

    def query(conditions: list[tuple[int, str]], rows: int) -> bytes:
        message = {
            "maxRows": rows, "InxIvalPair_PI": {"iiLen": 3, "inx": columns, "ivalue": [1] * 3},
            "InxValPair_PI": {"isLen": len(conditions), "inx": [c for c, _ in conditions], "svalue": [t for _, t in conditions]},
            "KeyValPair_PI": {"ssLen": 0},
        }  # fmt: skip
        return frame("RODS_API_REQ", native.encode("GenQueryInp_PI", message), number=702)

    one = query([(501, f"= '{path}'"), (403, "= 'f000007'")], 1)
    many = query([(501, f"= '{path}'")], 256)

    def run() -> None:
        assert client.send(one) == 0
        assert client.send(many) == 0
        assert client.send(put_request(f"{path}/{uuid.uuid4().hex}", b"")) == 0

    return run
