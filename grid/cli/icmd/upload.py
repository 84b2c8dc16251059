"""Sending a file's bytes: from the file to the socket without copying, in large requests, over one connection or several.

Over one connection bytes arrive in order, so that a server can compute a checksum while they pass; over several, long distances are filled.
When one of them fails, all stop, and the data object stays what it was: the first one is not closed but dropped.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import RawIOBase
from pathlib import Path
from typing import Any, BinaryIO, Final

import irods.keywords as kw
from irods.api_number import api_number
from irods.message import OpenedDataObjRequest, StringStringMap, iRODSMessage
from irods.session import iRODSSession

from grid.cli.icmd.program import UserError

LARGE_BYTES: Final = 8 << 20
"""Smaller files go in python-irodsclient's own way."""

REQUEST_BYTES: Final = 64 << 20
_PIECE_BYTES: Final = 4 << 20

Told = Callable[[int], None]


def send_file(
    session: iRODSSession, local: Path, path: str, options: dict[str, Any], *, streams: int, told: Told
) -> None:
    """Store a local file as a data object.

    Args:
        session: where.
        local: the file.
        path: of the data object; overwritten where it is there.
        options: keywords of the open, and of the close that finishes it.
        streams: connections.
        told: called with each count of bytes that were sent.

    Raises:
        UserError: the file became shorter meanwhile.
        iRODSException: what the server said.
    """
    size = local.stat().st_size
    handle, first = session.data_objects.open_with_FileRaw(
        path, "w", **options, **{kw.DATA_SIZE_KW: str(size), kw.NUM_THREADS_KW: str(streams)}
    )
    opened, handles = [first], [handle]  # a handle that nobody holds closes what it is for
    stop = threading.Event()
    try:
        token, hierarchy = first.replica_access_info() if streams > 1 else ("", "")
        shared = {
            kw.NUM_THREADS_KW: str(streams), kw.DATA_SIZE_KW: str(size), kw.RESC_HIER_STR_KW: hierarchy,
            kw.REPLICA_TOKEN_KW: token,
        }  # fmt: skip
        for _ in range(streams - 1):
            handle, further = session.data_objects.open_with_FileRaw(
                path, "a", create=False, finalize_on_close=False, allow_redirect=False, **shared
            )
            opened.append(further)
            handles.append(handle)
        share = -(-size // streams // _PIECE_BYTES) * _PIECE_BYTES
        with ThreadPoolExecutor(streams) as pool:
            sent = [
                pool.submit(_send, raw, local, (number * share, min((number + 1) * share, size)), stop, told)
                for number, raw in enumerate(opened)
            ]
        for one in sent:
            one.result()
        for further in opened[1:]:
            further.close()
    except BaseException:
        stop.set()
        _drop(opened)
        raise
    first.close()


def _drop(opened: list[Any]) -> None:
    """End the connections now, not when somebody collects them: one that ends undoes what it had open."""
    for raw in opened:
        RawIOBase.close(raw)  # not its own `close`, which would finish the object
        raw.conn.release(True)
        if raw.conn.socket is not None:
            raw.conn.socket.close()


def _send(raw: Any, local: Path, part: tuple[int, int], stop: threading.Event, told: Told) -> None:
    begin, end = part
    try:
        with local.open("rb") as file:
            if begin < end and begin:
                raw.seek(begin)
            for offset in range(begin, end, REQUEST_BYTES):
                if stop.is_set():
                    return
                _request(raw, file, offset, min(REQUEST_BYTES, end - offset), told)
                if offset != begin:
                    raw.conn.recv()  # of the one before: the next is on its way while the server works
            if begin < end:
                raw.conn.recv()
    except BaseException:
        stop.set()
        raise


def _request(raw: Any, file: BinaryIO, offset: int, count: int, told: Told) -> None:
    """Ask for one write, whose bytes go from the file to the socket; what the server says of it is not waited for."""
    asked = OpenedDataObjRequest(
        l1descInx=raw.desc, len=count, whence=0, oprType=0, offset=0, bytesWritten=0, KeyValPair_PI=StringStringMap(),
    )  # fmt: skip
    body = iRODSMessage.encode_unicode(asked.pack())
    peer = raw.conn.socket
    peer.sendall(
        iRODSMessage.pack_header("RODS_API_REQ", len(body), 0, count, api_number["DATA_OBJ_WRITE_AN"]) + body
    )
    done = 0
    while done < count:
        sent = peer.sendfile(file, offset + done, min(_PIECE_BYTES, count - done))
        if not sent:
            raise UserError(f"{file.name} became shorter while it was sent")
        done += sent
        told(sent)
