"""A replica that is open for reading: what a descriptor of a connection stands for."""

from dataclasses import dataclass, field

from grid.model import DataObject, Replica
from grid.namespace.storage import storage_errors
from resources import StoredFile


@dataclass(slots=True)
class OpenForReading:
    """A replica being read."""

    path: str
    data_object: DataObject
    replica: Replica
    hierarchy: str
    file: StoredFile
    position: int = 0
    writable: bool = field(default=False, init=False)
    token: str = ""
    checksum_wanted: bool = False

    def read_into(self, buffer: memoryview) -> int:
        with storage_errors():
            count = self.file.read_into(buffer, self.position)
        self.position += count
        return count

    def read_at(self, offset: int, count: int) -> bytes:
        """Bytes from anywhere; fewer only at the end. Leaves the position."""
        buffer = memoryview(bytearray(count))
        with storage_errors():
            got = self.file.read_into(buffer, offset)
        return bytes(buffer[:got])

    def size(self) -> int:
        with storage_errors():
            return self.file.size()

    def close(self) -> None:
        self.file.close()
