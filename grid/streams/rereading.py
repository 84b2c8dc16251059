"""Closed data files, read again by a process of its own: the HDF5 library has one lock for all threads of a process, and those that write frames need it."""

import contextlib
import json
import multiprocessing
import signal
import struct
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from grid.streams.errors import StreamFailed

ROW: Final = struct.Struct(">Q32s")
"""What is said of a frame: its number, and its leaf."""

_ATTEMPTS: Final = 2


class Rereader:
    """Looks at files of one stream. For one thread.

    Args:
        stream_id: of the stream.
    """

    def __init__(self, stream_id: str) -> None:
        self._stream_id = stream_id
        self._process: subprocess.Popen[bytes] | None = None
        self._ours: Connection | None = None
        self._starting = threading.Lock()

    def start(self) -> Connection:
        """See that the process is there; it is ready a moment later."""
        with self._starting:
            if self._ours is None:
                ours, theirs = multiprocessing.Pipe()
                with theirs:
                    self._process = subprocess.Popen(
                        [sys.executable, "-m", "grid.streams.rereading", str(theirs.fileno())],
                        pass_fds=(theirs.fileno(),),
                        stdin=subprocess.DEVNULL,
                    )
                self._ours = ours
            return self._ours

    def rows(self, path: Path) -> bytes:
        """A `ROW` for each row of a closed file, of the bytes that are stored.

        Raises:
            StreamFailed: the file cannot be read.
        """
        for _ in range(_ATTEMPTS):
            ours = self.start()
            try:
                ours.send_bytes(json.dumps([str(path), self._stream_id]).encode())
                return self._answer(ours)
            except (EOFError, OSError):
                self.close()
        raise StreamFailed(f"the process that reads `{path.name}` again ended, twice")

    def _answer(self, ours: Connection) -> bytes:
        problem = ours.recv_bytes().decode()
        if problem:
            raise StreamFailed(problem)
        return ours.recv_bytes()

    def close(self) -> None:
        """End the process."""
        with self._starting:
            if self._ours is not None:
                self._ours.close()
                self._ours = None
            if self._process is not None:
                self._process.kill()
                self._process.wait()
                self._process = None


def _serve(theirs: Connection) -> None:
    """Answer until nobody asks any more."""
    from grid.streams.datafile import stored_frames

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks says when it is over
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            path, stream_id = json.loads(theirs.recv_bytes())
            rows, problem = b"", b""
            try:
                rows = b"".join(
                    ROW.pack(number, leaf) for number, leaf in stored_frames(Path(path), stream_id)
                )
            except (OSError, KeyError, RuntimeError) as error:
                problem = f"`{Path(path).name}` cannot be read again: {error}".encode()
            theirs.send_bytes(problem)
            if not problem:
                theirs.send_bytes(rows)


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
