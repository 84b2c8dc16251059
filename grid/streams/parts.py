"""The data files of a stream as data objects: opened with their spool segment, closed once every frame is what came, dropped from the spool then."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import h5py
import numpy
from numpy.typing import NDArray

from grid import paths
from grid.catalog import space
from grid.catalog import streams as rows
from grid.catalog.streams import StreamRow
from grid.errors import AlreadyExists, GridError
from grid.model import Caller
from grid.namespace import Namespace, OpenForWriting, WriteRequest
from grid.streams import datafile
from grid.streams.datafile import DataFile, Row
from grid.streams.errors import StreamFailed
from grid.streams.messages import Start
from grid.streams.rereading import ROW, Rereader
from microservices.nexus import BlockCache
from resources import ResourceError
from resources.buffer import BufferDriver
from resources.disk import DiskDriver
from resources.disk_file import DiskFile
from resources.wrappers import innermost

ROOM_STEP: Final = 64 << 20
OVERHEAD_BYTES: Final = 1 << 20
ROW_BYTES: Final = 4096
"""What a file needs beside the frames: at the beginning, and for each."""

_log = logging.getLogger("beamgrid.streams")


@dataclass(slots=True)
class Part:
    """A data file, and the spool segment with the same frames.

    Attributes:
        number: of the segment.
        paid: up to how many bytes there is room for it.
        written: a `ROW` for each frame that was written, of what came.
    """

    number: int
    path: str
    opened: OpenForWriting
    handle: DiskFile
    place: Path
    paid: int = 0
    file: DataFile | None = None
    written: bytearray = field(default_factory=bytearray)


class Parts:
    """The data files of one stream.

    Args:
        namespace: whose objects they become.
        row: the stream.
        caller: who opened it.
        stream_id: of the stream.
    """

    def __init__(self, namespace: Namespace, row: StreamRow, caller: Caller, stream_id: str) -> None:
        self._namespace = namespace
        self._row = row
        self._caller = caller
        self._stream_id = stream_id
        self._rereader = Rereader(stream_id)
        self.closed: list[dict[str, Any]] = [dict(one) for one in row.files]
        self.reservation = self._lasting_reservation()
        self.driver = self._opened_driver()

    def _opened_driver(self) -> DiskDriver:
        context = self._namespace.context
        with context.database.read() as tx:
            resource = context.storage.tree(tx).named(self._row.resource)
        driver = innermost(
            context.storage.driver_for(context.database, self._caller, resource, self.reservation)
        )
        if not isinstance(driver, DiskDriver):
            raise StreamFailed(
                f"`{self._row.resource}` has no files that grow; a stream needs a buffer or a disk"
            )
        return driver

    def _lasting_reservation(self) -> str:
        """The room that was kept; empty where it ended, since nobody carried the stream for too long, or it failed before."""
        with self._namespace.context.database.read() as tx:
            found = space.reservation_or_none(tx, self._row.reservation)
        return self._row.reservation if found is not None else ""

    def settle(self) -> None:
        """Give back what this process took of a buffer and does not need any more; no file is closed after this."""
        self._rereader.close()
        context = self._namespace.context
        with context.database.read() as tx:
            resource = context.storage.tree(tx).named(self._row.resource)
        driver = innermost(context.storage.driver(resource))
        if isinstance(driver, BufferDriver):
            driver.settle()

    @property
    def folder(self) -> Path:
        """Where the spool lies."""
        return self.driver.folder_aside(f"stream-{self._row.id}")

    def path_of(self, number: int) -> str:
        """The logical path of a part."""
        collection, name = paths.split(self._row.path)
        return paths.join(collection, f"{Path(name).stem}_{number:06}.h5")

    def open(self, number: int) -> Part | None:
        """A new data file, with its first room; None where there is a whole one with the same frames from before a crash.

        Raises:
            GridError: the policy or the rights say no, there is no room, or something else has the name.
        """
        path = self.path_of(number)
        request = WriteRequest(exclusive=True, resource_name=self._row.resource, reservation=self.reservation)
        try:
            opened = self._namespace.objects.open_for_writing(self._caller, path, request)
        except AlreadyExists:
            if self._is_ours(path):
                self._note(number, path)
                return None
            raise
        try:
            opened.staged()
            name = opened.entry.staged_as
            return Part(number, path, opened, self.driver.open_staged(name), self.driver.staged_path(name))
        except BaseException:
            opened.abandon()
            raise

    def _is_ours(self, path: str) -> bool:
        """Whether an object is a file of this stream, which was compared with what came before it became one; a crash came before it was noted."""
        stored = self._namespace.objects.open_for_reading(self._caller, path)
        try:
            with h5py.File(BlockCache(stored), "r") as file:
                return str(file.attrs.get("stream_id", "")) == self._stream_id
        except OSError:
            return False
        finally:
            stored.close()

    def pay(self, part: Part, count: int) -> None:
        """See that there is room for so many bytes of frames in a file.

        Raises:
            OutOfSpace: there is none.
        """
        wanted = count + OVERHEAD_BYTES
        if wanted > part.paid:
            part.paid = -(-wanted // ROOM_STEP) * ROOM_STEP
            part.handle.make_room(part.paid)

    def write(self, part: Part, start: Start, found: list[Row]) -> None:
        """Add frames to a file."""
        if part.file is None:
            encoding = next(iter(found[0].image.channels.values())).encoding
            part.file = DataFile(part.place, start, encoding, self._stream_id)
            self._rereader.start()
        part.file.add(found)
        part.written += b"".join(ROW.pack(row.image.number, row.leaf) for row in found)

    def close(self, part: Part) -> None:
        """Close a file, compare it with what came, and make it the object's content; one without frames goes.

        Raises:
            StreamFailed: it is not what came.
            GridError: it cannot be made the object's content.
        """
        if part.file is None:
            part.handle.close()
            part.opened.abandon()
            return
        part.file.close()
        if self._rereader.rows(part.place) != part.written:
            raise StreamFailed(f"`{part.path}` does not hold the frames that came; its spool is kept")
        part.handle.close()
        part.opened.changed = True
        part.opened.commit()
        self._note(part.number, part.path)

    def _note(self, number: int, path: str) -> None:
        self.closed = [one for one in self.closed if one["segment"] != number] + [
            {"segment": number, "path": path}
        ]
        context = self._namespace.context
        with context.database.write() as tx:
            if not rows.note_files(tx, self._row.id, context.lease_id, self.closed):
                raise StreamFailed("another gateway looks after the stream")

    def leave(self, part: Part) -> None:
        """Give a file up; its frames are in the spool."""
        try:
            if part.file is not None:
                part.file.close()
            part.handle.close()
            part.opened.abandon()
        except (GridError, ResourceError, OSError, RuntimeError) as error:
            _log.warning("`%s` is left to be undone by others: %s", part.path, error)

    def numbers(self) -> list[tuple[str, NDArray[Any]]]:
        """(name, frames by row) of every closed file."""
        found = []
        for one in sorted(self.closed, key=lambda one: one["segment"]):
            stored = self._namespace.objects.open_for_reading(self._caller, one["path"])
            try:
                with h5py.File(BlockCache(stored), "r") as file:
                    found.append(
                        (
                            paths.split(one["path"])[1],
                            file[f"{datafile.GROUP}/frame_number"][...].astype(numpy.int64),
                        )
                    )
            finally:
                stored.close()
        return found
