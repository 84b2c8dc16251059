"""What microservices may ask of the grid; implemented on its operations, with the caller's rights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from provenance.chunks import ChunkTree
from provenance.evidence import Evidence
from provenance.verdict import Verdict


class ByteReader(Protocol):
    """A data object's bytes, in any order."""

    def size(self) -> int:
        """The size in bytes."""

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset` on; fewer only at the end."""

    def close(self) -> None: ...


class Grid(Protocol):
    """The grid as one caller may use it."""

    @property
    def user(self) -> str:
        """Who acts, as `name#zone`."""

    def ask_for_statement(
        self, kind: str, paths: Sequence[str], said: Mapping[str, Any], *, inputs: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Have the present contents of objects signed for; returns `id` and `predicate` of the statement."""

    def ask_for_place(self, kind: str, path: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """Have a statement about a collection as such signed."""

    def ask_for_everything_in(self, kind: str, path: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """Have a statement about a collection, and all contents in it, signed."""

    def ask_for_erased(self, path: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """Have a statement about what was erased below a collection signed."""

    def verify(self, path: str) -> dict[str, Any]:
        """Judge every object of a collection: `trusted_until`, a time, and `first_failure`, the worst state."""

    def version(self, path: str) -> int:
        """The version of an object's present content."""

    def link_chunks(self, path: str, version: int, tree: ChunkTree) -> dict[str, Any]:
        """Keep the tree over the stored chunks of a content, and have its link to the tree over its blocks signed."""

    def below(self, path: str, most: int) -> list[str]:
        """The data objects of a collection, by path, so many at the most."""

    def content(self, path: str) -> tuple[int, str]:
        """The size of an object's content, and the root of its tree in hexadecimal digits."""

    def signed(self, path: str) -> tuple[Evidence, Verdict]:
        """Everything that is signed of an object, with the zone's root, and what is found of it."""

    def metadata(self, path: str) -> dict[str, str]:
        """The metadata of a collection, the last value of each attribute."""

    def write(self, path: str, data: bytes) -> None:
        """Make a data object, or replace its content."""

    def open(self, path: str) -> ByteReader:
        """A data object to read."""

    def write_file(self, path: str, file: Path) -> None:
        """Make a data object, or replace its content, from a file of this machine."""

    def describe(self, path: str, values: Mapping[str, str]) -> None:
        """Set metadata of a data object; an attribute has one value then."""

    def kernel_text(self, name: str, version: str, digest: str) -> str:
        """The text of a released kernel; a digest that is not empty has to be its own."""

    def reduction_made(self, inputs: Sequence[str], outputs: Sequence[str], said: Mapping[str, Any]) -> None:
        """Have it signed that a kernel made objects from others, in a zone that signs."""

    def work_folder(self, name: str) -> Path:
        """A folder of this machine that stays between attempts; made where it is not there."""

    def remove_work_folder(self, folder: Path) -> None:
        """Remove a folder of work that is over, with what is in it."""

    def compute_elsewhere(self, path: str, work: Callable[[Callable[..., Any]], None]) -> None:
        """Let work be done by processes beside the storage, where the zone has some that reach the object.

        `run(function, *arguments)` carries out `function(file, *arguments)` there, where `file` says where the content is. Without such processes
        nothing happens.
        """

    def checksum(self, path: str, *, verify: bool) -> str:
        """The recorded digest, computed when there is none; `verify` reads the bytes again and compares."""

    def create_collection(self, path: str, *, owner: str, inherit: bool) -> None:
        """Make a collection and those above it; one that is there stays."""

    def grant(self, subject: str, level: str, path: str, *, recursive: bool) -> None:
        """Set a user's or a group's access level."""

    def remove_empty_collection(self, path: str) -> None:
        """Remove a collection that holds nothing; otherwise, or when it is not there, nothing happens."""

    def freeze(self, path: str) -> None:
        """Lower every right above reading in a tree to reading, and remember what it was; twice is once."""

    def thaw(self, path: str) -> None:
        """Give back what `freeze` took; without a freeze nothing happens."""

    def remove_trashed(self, path: str) -> None:
        """Remove a data object for good that is in the trash; nothing else is touched."""

    def trim(self, path: str, number: int) -> None:
        """Remove a replica while another good one is left."""

    def verify_replica(self, path: str, number: int) -> bool:
        """Whether a replica has what is recorded of it; one that has not is stale from then on."""

    def mark_damaged(self, path: str, number: int) -> None:
        """Say that a replica is not good any more."""

    def stage(self, path: str, priority: int) -> "Standing":
        """Ask for a data object on tape to be brought back; asked again, it says how that stands."""

    def cancel_stage(self, request: int, reason: str) -> None:
        """Give up a request of one's own; one that is over stays as it is."""

    def set_posix(self, path: str, mode: str, group: str) -> None:
        """Give the folders of a collection a mode and a group, as far as the server may."""

    def erase(self, path: str) -> int:
        """Remove every data object of a collection for good, past the trash; returns how many there were."""

    def replicate(self, path: str, resource: str) -> int:
        """Make a good replica on a resource; returns the bytes copied, 0 when it was there."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a recall stands: why the data object is not on disk, empty once it is; and for how long that is waited for, in s."""

    request: int
    reason: str
    waited_s: float


class MicroserviceError(Exception):
    """A microservice could not do its work.

    Attributes:
        retry: trying again later may help.
    """

    def __init__(self, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.retry = retry
