"""What one open data object still has under way: writes that other threads carry out, and hash, while the next bytes arrive."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final

from grid.namespace import steps
from grid.namespace.digests import DigestTap, beside
from grid.namespace.rings import BEHIND_BYTES, BUFFER_BYTES, RINGS, Ring
from grid.namespace.storage import storage_errors
from provenance.blocks import BLOCK_BYTES, BlocksSeen
from resources.aligned import aligned_buffer

Bytes = bytes | bytearray | memoryview

_WRITING: Final = ThreadPoolExecutor(max_workers=32, thread_name_prefix="write")


class Taps:
    """What sees the bytes of an open data object pass.

    Args:
        digest: of the whole, where one is wanted.
        blocks: the blocks of the tree, where one is wanted.
    """

    __slots__ = ("_seeing", "blocks", "digest")

    def __init__(self, digest: DigestTap | None = None, blocks: BlocksSeen | None = None) -> None:
        self.digest = digest
        self.blocks = blocks
        self._seeing: list[Future[None]] = []

    def see(self, position: int, data: Bytes) -> list[Future[None]]:
        """Take note of a write; returns what to wait for before its buffer is used again."""
        found = []
        if self.digest is not None and (sequence := self.digest.see(position, data)) is not None:
            found.append(sequence)
        if self.blocks is not None:
            if len(data) < BEHIND_BYTES:
                self.blocks.see(position, data)
            else:
                found.append(self._see_blocks(self.blocks, position, memoryview(data)))
        return found

    def _see_blocks(self, blocks: BlocksSeen, position: int, view: memoryview) -> Future[None]:
        """Parts of blocks are seen in their order; whole ones by several threads."""
        head = -position % BLOCK_BYTES
        end = head + (len(view) - head) // BLOCK_BYTES * BLOCK_BYTES
        blocks.see(position, view[:head])
        seeing = beside(blocks.see, position + head, view[head:end])
        self._seeing = [one for one in self._seeing if not one.done() or one.exception()] + [seeing]
        blocks.see(position + end, view[end:])
        return seeing

    def settled_blocks(self) -> BlocksSeen | None:
        """The blocks, once every write that passed was seen."""
        seeing, self._seeing = self._seeing, []
        for one in seeing:
            one.result()
        return self.blocks

    def cut(self, size_bytes: int) -> None:
        """The content has another size now."""
        if (blocks := self.settled_blocks()) is not None:
            blocks.cut(size_bytes)
        if self.digest is not None and size_bytes:
            self.digest.broken = True

    def wait(self) -> None:
        """Return once no buffer is being read any more, however that went."""
        wait(self._seeing)


class Behind:
    """Writes of one open data object, and the buffers that their bytes arrive in. For one thread.

    Attributes:
        failed: bytes that were to be written are not in the file.
    """

    __slots__ = ("_hashing", "_ring", "_under_way", "failed")

    def __init__(self) -> None:
        self.failed = False
        self._under_way: deque[tuple[Future[int], list[Future[None]]]] = deque()
        self._hashing: list[Future[None]] = []
        self._ring: Ring | None = None

    def room_for(self, count: int) -> tuple[memoryview, bool]:
        """A buffer for the next of so many bytes, and whether it may be kept until `DEPTH` more were asked for."""
        if count < BEHIND_BYTES:
            return memoryview(bytearray(count)), False
        if self._ring is None:
            self._ring = RINGS.lend()
        if self._ring is None:
            return aligned_buffer(min(count, BUFFER_BYTES)), False
        hashing, self._hashing = self._hashing, []  # of buffers whose turn it is again
        for one in hashing:
            one.result()
        return self._ring.next(count), True

    def now(self, write: Callable[[], int], hashed: list[Future[None]]) -> int:
        """Carry out a write whose buffer is used again when this returns.

        Raises:
            StorageFull, StorageFailed: some of its bytes may be in the file.
        """
        self.failed, had_failed = True, self.failed
        try:
            with storage_errors():
                count = write()
        finally:
            for one in hashed:
                one.result()
        self.failed = had_failed
        steps.reached("bytes.after")
        return count

    def later(self, write: Callable[[], int], hashed: list[Future[None]]) -> None:
        """Have another thread carry out a write."""
        self._under_way.append((_WRITING.submit(write), hashed))

    def finish(self, left: int = 0) -> None:
        """Return once no more writes than `left` are under way.

        Raises:
            StorageFull, StorageFailed: one failed.
        """
        while len(self._under_way) > left:
            written, hashed = self._under_way.popleft()
            self.failed, had_failed = True, self.failed
            with storage_errors():
                written.result()
            self.failed = had_failed
            if left:
                for one in hashed:
                    one.result()  # the buffer is used again
            else:
                self._hashing += hashed
            steps.reached("bytes.after")

    def give_up(self) -> None:
        """Return once nothing writes any more, however that went."""
        wait([written for written, _ in self._under_way])
        self.failed = self.failed or any(written.exception() is not None for written, _ in self._under_way)

    def give_back(self, taps: Taps) -> None:
        """The buffers are for others now: nothing is under way any more."""
        ring, self._ring = self._ring, None
        if ring is not None:
            wait([one for _, hashed in self._under_way for one in hashed] + self._hashing)
            taps.wait()
            RINGS.take_back(ring)
