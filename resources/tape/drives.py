"""What a library works with: its settings, its disk, its drives and what they are doing."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from resources.tape.media import Entry, Source
from resources.tape.physics import DriveModel
from resources.tape.state import Landed, TapeState


class Shelf(Protocol):
    """The library's disk: what waits to be written, and what came back."""

    def open_landed(self, landed: Landed) -> Source:
        """The bytes of a file that waits to be written.

        Raises:
            FileMissing: it was removed meanwhile.
        """

    def swap(self, landed: Landed, entry: Entry) -> bool:
        """Leave a stub in place of a file that is on a cartridge now; False when another file is there."""

    def receive(self, entry: Entry, blocks: Iterator[memoryview]) -> None:
        """Keep a recalled file.

        Raises:
            OutOfSpace: no room, though everything that may go is gone.
            BadBlock: the bytes are not those that were written.
        """

    def make_room(self, size: int, is_pinned: Callable[[str], bool]) -> bool:
        """Let recalled files go, the least lately used first, until there is room; says whether there is."""

    def removed(self, forget: Callable[[list[str]], None]) -> None:
        """Tell of the files that were removed from the disk's tree; told again until `forget` returned."""

    def holds(self, file_id: str) -> bool:
        """Whether a recalled file is there."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a library works.

    Attributes:
        drives: how many.
        patience: mounts of other cartridges that a request bears.
        batch_bytes: so much waiting is worth a mount for writing.
        batch_age_s: a file waits no longer than this for the others.
        container_bytes: where a container ends.
        wave_s: a longer wave lets users with few requests come first.
    """

    drives: int = 2
    patience: int = 20
    batch_bytes: int = 10_000_000_000
    batch_age_s: float = 600.0
    container_bytes: int = 10_000_000_000
    wave_s: float = 600.0


@dataclass(slots=True)
class Phase:
    """Something a drive is doing until a moment, and what is true then."""

    what: str
    until: float
    then: Callable[[], None] | None = None
    request: int = 0
    announced: bool | None = None  # False: say that the request is being looked for


@dataclass(slots=True)
class Drive:
    """A drive: what is in it, where its head is, what it does next."""

    name: str
    cartridge: str = ""
    at: int = 0
    phases: deque[Phase] = field(default_factory=deque)
    fault: str = ""
    serving: tuple[int, ...] = ()
    writing: set[str] = field(default_factory=set)
    busy_s: float = 0.0

    @property
    def is_idle(self) -> bool:
        return not self.phases and not self.fault

    def view(self) -> dict[str, object]:
        """For people to look at."""
        doing = self.fault or (self.phases[0].what if self.phases else "idle")
        return {
            "drive": self.name, "cartridge": self.cartridge, "position": self.at, "doing": doing,
            "until": self.phases[0].until if self.phases else 0.0, "left": len(self.phases),
        }  # fmt: skip


def estimate_s(model: DriveModel, state: TapeState, entry: Entry, drives: int) -> float:
    """How long a recall that is asked for now will take, by what waits: mounts, reading, the way along the tape."""
    total = 0.0
    mine = 0.0
    access = model.locate_overhead + model.length / 3 / model.locate_speed
    for one in state.waiting():
        each = min(access, model.locate_overhead + model.length / model.locate_speed / max(one.requests, 1))
        served = one.requests * each + one.size / model.stream_rate
        if one.cartridge == entry.cartridge:
            mine = served / 2
        else:
            total += model.mount_s() + model.dismount_s(0) + access + served
    return total / max(drives, 1) + model.mount_s() + mine + access + model.stream_s(entry.size)
