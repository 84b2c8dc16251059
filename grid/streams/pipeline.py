"""Frames on their way: taken in, spooled, reduced and decided about, written; each stage a thread, with a bounded number of frames between the first and the last.

When the last stage is slow, the first one waits for a place, the socket fills, and who sends waits too. What is done when that lasts is the stream's choice.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from accel.reducing import batch_of
from grid.errors import GridError
from grid.streams.errors import MessageRefused, StreamError, StreamFailed
from grid.streams.figures import Figures
from grid.streams.frame_numbers import FrameNumbers
from grid.streams.intake import Intake
from grid.streams.journal import COUNTED, Fate, Journal, Left
from grid.streams.messages import End, Image, Start
from grid.streams.parts import Part, Parts
from grid.streams.passing import Arrived, Judge, Outcome, StreamSettings
from grid.streams.received import Received, leaf_of, read
from grid.streams.sieve import Sieve
from grid.streams.spool import Spool
from grid.streams.storing import Storing
from grid.streams.words import NEWEST, STOP, VETO
from grid.streams.writing import Writing
from provenance.frames import BatchSigner
from resources import ResourceError

SYNC_S: Final = 0.1
FLUSH_S: Final = 0.2
HANDED_ON: Final = 16
GATHER_S: Final = 0.005
"""A frame waits so long for others that are looked at with it, at the most."""

LEAST_RING, MOST_RING = 4, 512

_log = logging.getLogger("beamgrid.streams")


class Pipeline:
    """Carries one stream.

    Args:
        stream_id: of the stream, for the leaves.
        settings: how it is treated.
        intake: where frames come from.
        parts, spool, journal: where they go.
        judge: reduces and decides.
        figures: counts.
        signer: signs batches; None where nobody may.
        stored: is told of frames that are in a file, several at a time.
    """

    def __init__(
        self, stream_id: str, settings: StreamSettings, intake: Intake, parts: Parts, spool: Spool, journal: Journal, judge: Judge, figures: Figures,
        signer: BatchSigner | None = None, stored: Callable[[Sequence[Image]], None] = lambda images: None,
    ) -> None:  # fmt: skip
        self._id = stream_id
        self._settings = settings
        self._intake = intake
        self._parts = parts
        self._judge = judge
        self._figures = figures
        self._sieve = Sieve(figures)
        self._outcome = Outcome()
        self._storing = Storing(settings.part_bytes, parts, spool, journal, figures, signer)
        self._writing = Writing(parts, spool, journal, figures, stored)
        self._open = self._storing.opened
        self._places = threading.Semaphore(1)  # until the frames' size is known
        self._ring = self._batch = 1
        self._to_store: queue.SimpleQueue[list[Arrived | Received] | None] = queue.SimpleQueue()
        self._to_judge: queue.SimpleQueue[list[Arrived] | None] = queue.SimpleQueue()
        self._to_write: queue.SimpleQueue[list[Arrived] | None] = queue.SimpleQueue()
        self._to_close: queue.SimpleQueue[Part | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._dirty = threading.Event()
        self._all_stored = threading.Event()
        self._problem: BaseException | None = None
        self._too_slow = self._ended = self._all_judged = False
        self._threads: list[threading.Thread] = []

    # -- from outside ----------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Carry the stream until it ends, is stopped, or fails; every stage has ended when this returns.

        Raises:
            StreamFailed: it cannot go on; what is in the spool stays there.
        """
        self._start_stages()
        try:
            if not self._ended:
                self._take()
        except (StreamError, OSError) as error:
            self._end_early(str(error))
        except BaseException as error:
            self._fail(error)
        return self._finish()

    def _finish(self) -> Outcome:
        started = self._sieve.start
        series = started.series if started is not None else ""
        self._intake.end(series, self._sieve.seen.__contains__)
        self._to_store.put(None)
        for thread in self._threads:
            while thread.is_alive():
                thread.join(SYNC_S)
                self._intake.answer()
        self._intake.answer()
        if self._problem is not None:
            for part in self._open:
                self._parts.leave(part)
            raise StreamFailed(str(self._problem) or type(self._problem).__name__) from self._problem
        start = self._sieve.start
        self._outcome.start = start
        self._outcome.count = max(start.frames if start is not None else 0, self._figures["last"] + 1)
        return self._outcome

    def stop(self) -> None:
        """End it with what came so far."""
        self._end_early("it was stopped")

    def abandon(self, reason: str) -> None:
        """Leave it to another gateway."""
        self._fail(StreamFailed(reason))

    @property
    def has_begun(self) -> bool:
        return self._sieve.start is not None

    @property
    def waiting(self) -> int:
        """Frames between the first stage and the last."""
        figures = self._figures
        return max(figures["received"] - sum(figures[name] for name in COUNTED.values()), 0)

    @property
    def growing(self) -> list[str]:
        """Where files lie that grow, and may be read."""
        return [str(part.place) for part in list(self._open) if part.file is not None]

    def _start_stages(self) -> None:
        if self._threads:
            return
        stages = {
            "store": self._store_all,
            "sync": self._sync,
            "judge": self._judging,
            "write": self._write_all,
            "close": self._closing,
        }
        for name, stage in stages.items():
            thread = threading.Thread(target=self._guarded, args=(stage,), name=f"stream-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _guarded(self, stage: Callable[[], None]) -> None:
        try:
            stage()
        except BaseException as error:
            self._fail(error)

    def _end_early(self, reason: str) -> None:
        """Take nothing more in; what came goes its way."""
        self._outcome.reason = self._outcome.reason or reason
        self._stopping.set()

    def _fail(self, error: BaseException) -> None:
        """End every stage; what came stays in the spool."""
        if self._problem is None:
            self._problem = error
            if not isinstance(error, StreamError | GridError | ResourceError | OSError):
                _log.error("stream %s failed", self._id, exc_info=error)
        self._stopping.set()
        self._all_stored.set()
        for waiting in (self._to_store, self._to_judge, self._to_write, self._to_close):
            waiting.put(None)
        self._places.release(MOST_RING)

    # -- after a crash ---------------------------------------------------------------------------------------

    def resume(self, left: Left) -> None:
        """Take up what an earlier gateway left, before `run`: its frames go the same way, but are spooled already."""
        try:
            self._resume(left)
        except BaseException as error:
            self._fail(error)

    def _resume(self, left: Left) -> None:
        if (beginning := left.beginning) is not None:
            assert isinstance(beginning.message, Start), "it is one"
            self._sieve.wants(beginning.message)
            self._begin(beginning.message)
        if (end := left.end) is not None:
            self._outcome.reason = end
            self._ended = True
        spooled, numbers = list(left.spooled), FrameNumbers()
        for one in spooled:
            if isinstance(one.received.message, Image):
                numbers.add(one.received.message.number)
        signed = self._storing.take_up(left, self._sieve, numbers)
        self._start_stages()
        segment = 0
        for one in spooled:
            if one.segment != segment:
                segment = one.segment
                self._storing.begin_again(segment)
            image = one.received.message
            if not isinstance(image, Image) or image.number in self._sieve.seen:
                continue
            self._places.acquire()
            if self._problem is not None:
                return
            self._sieve.seen.add(image.number)
            if (arrived := self._storing.again(one, image, signed)) is not None:
                self._to_judge.put([arrived])
            else:
                self._places.release()
        self._storing.go_on()

    # -- taking in -------------------------------------------------------------------------------------------

    def _take(self) -> None:
        """Messages from the intake; several that wait are handed on together, since each handing on costs a change of threads."""
        heard, holds = time.monotonic(), False
        pending: list[Arrived | Received] = []
        while not self._stopping.is_set():
            holds = holds or self._places.acquire(blocking=False)
            if holds:
                self._too_slow = False
            else:
                pending = self._hand_on(pending)
                holds = self._place()
            if self._stopping.is_set():
                break
            parts = self._intake.receive(0.0 if pending else SYNC_S)
            if parts is None:
                silent = time.monotonic() - heard
                if self.has_begun and not pending and silent > self._settings.idle_s:
                    self._end_early(f"nothing came for {self._settings.idle_s:g} s")
                pending = self._hand_on(pending)
                continue
            heard = time.monotonic()
            message = self._message(parts)
            if isinstance(message, Received) and isinstance(message.message, Image):
                pending.append(self._arrived(message, message.message, holds))
                holds = False
            else:
                pending.append(message if isinstance(message, Received) else Arrived(self._intake.mark))
            if isinstance(message, End):
                break
            if len(pending) >= HANDED_ON:
                pending = self._hand_on(pending)
        self._hand_on(pending)

    def _hand_on(self, pending: "list[Arrived | Received]") -> "list[Arrived | Received]":
        if pending:
            self._to_store.put(pending)
        return []

    def _arrived(self, received: Received, image: Image, holds: bool) -> Arrived:
        """A frame with its leaf; one without a place is dropped."""
        began = time.perf_counter()
        leaf = leaf_of(self._id, image)
        self._figures.spent("digest", time.perf_counter() - began)
        self._figures.add(received=1, bytes=received.size_bytes)
        self._figures.highest(last=image.number)
        return Arrived(self._intake.mark, image, received, leaf, fate=Fate.STORED if holds else Fate.DROPPED)

    def _place(self) -> bool:
        """Wait for a place; False where the next frame is to be dropped."""
        settings = self._settings
        if self._places.acquire(timeout=settings.slow_s):
            return True
        if settings.when_slow == STOP:
            raise StreamFailed(f"what follows was too slow: no place became free in {settings.slow_s:g} s")
        self._too_slow = settings.when_slow == VETO
        if settings.when_slow == NEWEST:
            return False
        while not self._places.acquire(timeout=0.5):
            if self._stopping.is_set():
                return False
        return True

    def _message(self, parts: list[Any]) -> Received | End | None:
        """What a message says; None where it is not wanted."""
        try:
            received = read(self._intake.format, parts, self._sieve.start)
            message = received.message
            if not self._sieve.wants(message):
                return None
            if isinstance(message, Start):
                self._begin(message)
            return message if isinstance(message, End) else received
        except MessageRefused as error:
            self._figures.add(refused=1)
            self._figures.problem = str(error)
            self._intake.refuse(str(error))
            return None

    def _begin(self, start: Start) -> None:
        size = start.shape[0] * start.shape[1] * start.dtype.itemsize * len(start.channels)
        self._batch = batch_of(start.shape, start.dtype.itemsize)
        self._ring = max(LEAST_RING, min(MOST_RING, self._settings.ring_bytes // size))
        self._places.release(self._ring - 1)
        self._judge.begin(start)

    # -- storing ---------------------------------------------------------------------------------------------

    def _store_all(self) -> None:
        """Frames into the spool. Where there is no room for one, the stream takes nothing more."""
        while (several := self._to_store.get()) is not None and self._problem is None:
            began = time.perf_counter()
            kept, lost = self._storing.keep(several)
            if self._storing.full:
                self._end_early(self._storing.full)
            if lost:
                self._places.release(lost)
            self._figures.spent("spool", time.perf_counter() - began)
            if kept:
                self._to_judge.put(kept)
            self._dirty.set()
        if self._problem is None:
            self._storing.end(self._outcome.reason)
        self._all_stored.set()
        self._to_judge.put(None)

    def _sync(self) -> None:
        """What was spooled onto stable storage, several times a second."""
        while True:
            ended = self._all_stored.is_set()
            if self._dirty.wait(SYNC_S / 2):
                self._dirty.clear()
                began = time.perf_counter()
                mark = self._storing.sync()
                self._figures.spent("sync", time.perf_counter() - began)
                self._intake.acknowledge(mark)
                self._all_stored.wait(SYNC_S / 2)
            elif ended:
                if self._problem is None:
                    self._intake.settle(self._outcome.reason)
                return

    # -- judging ---------------------------------------------------------------------------------------------

    def _judging(self) -> None:
        """Frames to the judge, and on, in batches whose numbers follow each other."""
        waiting: deque[Arrived] = deque()
        while self._problem is None and self._more(waiting):
            batch = self._gathered(waiting)
            began = time.perf_counter()
            self._decide([one for one in batch if one.fate is Fate.STORED])
            self._figures.spent("reduce and decide", time.perf_counter() - began)
            self._to_write.put(batch)
        if self._problem is None:
            self._judge.end()
        self._to_write.put(None)

    def _more(self, waiting: "deque[Arrived]", timeout_s: float | None = None) -> bool:
        """Wait for frames; False where none come any more, or in that time."""
        if waiting:
            return True
        if self._all_judged:
            return False
        try:
            several = self._to_judge.get(timeout=timeout_s)
        except queue.Empty:
            return False
        self._all_judged = several is None
        waiting.extend(several or ())
        return bool(waiting)

    def _gathered(self, waiting: "deque[Arrived]") -> list[Arrived]:
        """A batch: what waits, and what comes in a moment."""
        batch = [waiting.popleft()]
        most = max(min(self._batch, self._ring // 2), 1)
        deadline = time.monotonic() + GATHER_S
        while len(batch) < most and self._more(waiting, max(deadline - time.monotonic(), 0.0)):
            one, last = waiting[0], batch[-1]
            if _number(one) != _number(last) + 1 or one.part is not last.part:
                break
            batch.append(waiting.popleft())
        return batch

    def _decide(self, batch: list[Arrived]) -> None:
        if not batch or not self._judge.is_needed:
            return
        images, part = [one.image for one in batch if one.image is not None], batch[0].part
        assert part is not None, "what is stored has a file"
        for one, verdict in zip(
            batch, self._judge.judge(images, part.number, reduce=not self._too_slow), strict=True
        ):
            if verdict.damaged:
                one.fate = Fate.DAMAGED
                self._figures.problem = f"frame {_number(one)}: {verdict.damaged}"
            elif verdict.drop:
                one.fate = Fate.VETOED

    # -- writing ---------------------------------------------------------------------------------------------

    def _write_all(self) -> None:
        """Frames into files; a file is closed when the first frame of the next one comes."""
        current: Part | None = None
        flushed = time.monotonic()
        while (batch := self._to_write.get()) is not None and self._problem is None:
            began = time.perf_counter()
            part = next((one.part for one in batch if one.part is not None), None)
            if part is not None and part is not current:
                if current is not None:
                    self._to_close.put(current)
                current = part
            assert self._sieve.start is not None, "frames come after it"
            if held := self._writing.write(batch, self._sieve.start):
                self._places.release(held)
            if (
                current is not None
                and current.file is not None
                and (time.monotonic() - flushed > FLUSH_S or self._to_write.empty())
            ):
                current.file.flush()
                flushed = time.monotonic()
            self._figures.spent("write", time.perf_counter() - began)
        if self._problem is None:
            for part in list(self._open):  # the last one, and what got no frame
                if part is current or part.file is None:
                    self._to_close.put(part)
        self._to_close.put(None)

    def _closing(self) -> None:
        """Files that are complete, into the zone."""
        while (part := self._to_close.get()) is not None and self._problem is None:
            if part not in self._open:
                continue
            began = time.perf_counter()
            self._writing.close(part)
            self._open.remove(part)
            self._figures.spent("verify", time.perf_counter() - began)


def _number(one: Arrived) -> int:
    assert one.image is not None, "it is a frame"
    return one.image.number
