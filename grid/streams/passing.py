"""What passes between the stages of a stream, and what its pipeline is told and tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from grid.streams.intake import Mark
from grid.streams.journal import Fate
from grid.streams.messages import Image, Start
from grid.streams.parts import Part
from grid.streams.received import Received
from grid.streams.words import WAIT


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How a stream is treated.

    Attributes:
        frames: how many are going to come, 0 where nobody knows.
        idle_s: who says nothing for so long is gone.
        part_bytes: of the frames of a data file.
        ring_bytes: of frames as they would be decoded, that are between the first stage and the last.
        when_slow: one of `WHEN_SLOW`, after the first stage waited for `slow_s`.
    """

    frames: int = 0
    idle_s: float = 60.0
    part_bytes: int = 4 << 30
    ring_bytes: int = 1 << 30
    when_slow: str = WAIT
    slow_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say of a frame.

    Attributes:
        hits: what they found in it.
        vetoed: whether a rule wants it gone.
        drop: it is not to be stored: it was vetoed, and a rule says that it may go.
        damaged: why it cannot be decoded; empty where it can, or nobody tried.
    """

    hits: int = 0
    vetoed: bool = False
    drop: bool = False
    damaged: str = ""


class Judge(Protocol):
    """Reduces frames and decides about them. For one thread."""

    @property
    def is_needed(self) -> bool:
        """Whether it has anything to say of frames."""

    def begin(self, start: Start) -> None:
        """Say whose frames are coming."""

    def judge(self, images: Sequence[Image], segment: int, *, reduce: bool) -> list[Verdict]:
        """What becomes of frames whose numbers follow each other, all of one segment; without `reduce` they are vetoed, and no kernel runs."""

    def end(self) -> None:
        """Keep what was made of frames: no more come, and those that came will not come again."""


@dataclass(slots=True)
class Arrived:
    """A frame between stages; without an image it only stands for a message that was not wanted."""

    mark: Mark
    image: Image | None = None
    received: Received | None = None
    leaf: bytes = b""
    part: Part | None = None
    fate: Fate = Fate.STORED


@dataclass(slots=True)
class Outcome:
    """What came of a stream.

    Attributes:
        count: how many frames there were to be; the journal says what became of them.
        reason: why it ended otherwise than by its end.
    """

    start: Start | None = None
    count: int = 0
    reason: str = ""
