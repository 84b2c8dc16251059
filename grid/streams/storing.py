"""The stage that makes frames safe: into the spool, in segments that each go with a data file, with notes signed over what is there."""

import time
from collections.abc import Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from grid.errors import GridError
from grid.streams.errors import StreamFailed
from grid.streams.figures import Figures
from grid.streams.frame_numbers import FrameNumbers
from grid.streams.intake import Mark
from grid.streams.journal import COUNTED, Fate, Journal, Left, entries, ranges
from grid.streams.messages import Image
from grid.streams.parts import ROW_BYTES, Part, Parts
from grid.streams.passing import Arrived
from grid.streams.received import Received
from grid.streams.sieve import Sieve
from grid.streams.spool import Spool, Spooled
from provenance.frames import BatchSigner
from provenance.notes import Note
from resources import ResourceError


class Storing:
    """Puts frames into the spool. For one thread, but `sync`.

    Args:
        part_bytes: of the frames of a data file.
        parts, spool, journal: where they go.
        figures: counts.
        signer: signs batches; None where nobody may.
    """

    def __init__(
        self, part_bytes: int, parts: Parts, spool: Spool, journal: Journal, figures: Figures, signer: BatchSigner | None
    ) -> None:  # fmt: skip
        self._most = part_bytes
        self._parts = parts
        self._spool = spool
        self._journal = journal
        self._figures = figures
        self._signer = signer
        self._beginning: Received | None = None
        self._part: Part | None = None
        self._part_bytes = 0
        self._appended = 0
        self._handled: Mark = (0, 0)
        self._batched: list[int] = []
        self._before: NDArray[Any] = numpy.zeros(0, numpy.uint8)
        self.opened: list[Part] = []
        self.full = ""

    def keep(self, several: Sequence[Arrived | Received]) -> tuple[list[Arrived], int]:
        """Put frames into the spool, and the beginning into the journal; returns those that are there, and how many others had a place.

        Where there is no room for one, `full` says so, and nothing more is kept; who sends is not told that it was.
        """
        kept, lost = list[Arrived](), 0
        for one in several:
            try:
                if isinstance(one, Received):
                    self._beginning = one
                    self._journal.begin(one)
                elif one.image is not None and not self.full:
                    self._keep_one(one, one.image)
                    kept.append(one)
                    continue
            except (GridError, ResourceError, OSError) as error:
                self.full = str(error)
            if isinstance(one, Arrived) and one.image is not None:
                self._figures.add(received=-1, refused=1)
                lost += one.fate is Fate.STORED
        if not self.full:
            self._handled = next(
                (one.mark for one in reversed(several) if isinstance(one, Arrived)), self._handled
            )
        return kept, lost

    def _keep_one(self, one: Arrived, image: Image) -> None:
        if one.fate is Fate.STORED:
            assert one.received is not None, "it came"
            if self._part is None or self._part_bytes + one.received.size_bytes > self._most:
                self._next_segment()
            assert self._part is not None, "a segment was begun"
            self._pay(self._part, one.received)
            self._spool.append(one.received, one.leaf)
            one.part = self._part
        self._appended += 1
        self._sign(image.number, one.leaf)

    def _pay(self, part: Part, received: Received) -> None:
        self._part_bytes += received.size_bytes + ROW_BYTES
        self._parts.pay(part, self._part_bytes)

    def _next_segment(self) -> None:
        assert self._beginning is not None, "frames come after it"
        number = self._spool.begin()
        self._part_bytes = 0
        self._part = self._opened(number)
        if self._part is None:
            raise StreamFailed(f"`{self._parts.path_of(number)}` is there already")
        self._spool.append(self._beginning)

    def _opened(self, number: int) -> Part | None:
        part = self._parts.open(number)
        if part is not None:
            self.opened.append(part)
        return part

    def _sign(self, number: int, leaf: bytes) -> None:
        if self._signer is not None:
            self._batched.append(number)
            self._note(self._signer.add(number, leaf, time.monotonic()))

    def _note(self, note: Note | None) -> None:
        if note is not None:
            self._journal.add_note(note.encoded(), ranges(self._batched))
            self._batched = []

    def sync(self) -> Mark:
        """Return once what was kept is on stable storage; returns the mark of who sent it. For any thread."""
        count, last, mark = self._appended, self._figures["last"], self._handled
        self._spool.sync()
        self._figures.highest(stored=count, last_stored=last)
        return mark

    def end(self, reason: str) -> None:
        """Nothing more comes."""
        if self._signer is not None:
            self._note(self._signer.close())
        self._spool.sync()
        self._journal.sync()
        self._journal.end(reason)

    # -- after a crash ---------------------------------------------------------------------------------------

    def take_up(self, left: Left, sieve: Sieve, spooled: FrameNumbers) -> FrameNumbers:
        """Count the frames that were decided about and are in the spool no more; returns those that are in notes."""
        self._beginning, signed, fates = left.beginning, left.signed, left.fates
        self._before = fates.copy()
        for some in entries(left.folder):
            for number, leaf in zip(some["number"].tolist(), some["leaf"], strict=True):
                if number in spooled:
                    fates[number] = Fate.MISSING
                elif number not in sieve.seen:
                    sieve.seen.add(number)
                    if number not in signed:
                        self._sign(number, leaf.tobytes())
        for fate, name in COUNTED.items():
            count = int((fates == fate).sum())
            self._figures.add(received=count, stored=count, **{name: count})
            self._appended += count
        if len(fates):
            self._figures.highest(last=len(fates) - 1, last_stored=len(fates) - 1)
        return signed

    def begin_again(self, segment: int) -> None:
        """Make the data file of a segment that is in the spool."""
        self._part_bytes = 0
        self._part = self._opened(segment)

    def again(self, one: Spooled, image: Image, signed: FrameNumbers) -> Arrived | None:
        """A frame that is in the spool; None where its data file was whole already."""
        self._figures.add(received=1, stored=1)
        self._figures.highest(last=image.number, last_stored=image.number)
        self._appended += 1
        if image.number not in signed:
            self._sign(image.number, one.leaf)
        if self._part is None:
            known = self._before[image.number : image.number + 1]
            self._figures.add(**{COUNTED[Fate(int(known[0])) if known.any() else Fate.STORED]: 1})
            return None
        self._figures.add(bytes=one.received.size_bytes)
        self._pay(self._part, one.received)
        return Arrived((0, 0), image, one.received, one.leaf, self._part)

    def go_on(self) -> None:
        """What comes from now on goes into a segment of its own."""
        self._part = None
