"""Frames to the kernels that rules ask for: decoded once for all of them; a kernel that cannot go on is not asked any more."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from accel.errors import AccelError
from accel.kernel import Bound, Results
from grid.streams.figures import Figures
from grid.streams.kernels import Decoder, KernelKey, StreamKernel
from grid.streams.making import KernelMaker
from grid.streams.messages import Image, Start

Wrong = Callable[[str, str], None]
"""Is told which kernel stumbled, and over what."""


class Reducing:
    """The kernels of one stream. For one thread.

    Args:
        maker: makes them.
        decoder: of the channel that they look at.
        start: the series.
        figures: counts.
        wrong: is told of what goes wrong.
    """

    def __init__(
        self, maker: KernelMaker, decoder: Decoder, start: Start, figures: Figures, wrong: Wrong
    ) -> None:
        self._maker = maker
        self._decoder = decoder
        self._start = start
        self._figures = figures
        self._wrong = wrong
        self._kernels: dict[KernelKey, StreamKernel] = {}
        self._ended: dict[KernelKey, Bound] = {}
        self.broken: dict[KernelKey, str] = {}
        self.runs_on: dict[KernelKey, str] = {}

    def begin(self, images: Sequence[Image], segment: int) -> "Reduction":
        """Have all kernels that were asked for before look at frames of one segment."""
        found = Reduction(self, images, segment)
        found.look(list(self._kernels))
        return found

    def make(self, key: KernelKey) -> bool:
        """Make one more kernel ready; False where it cannot be."""
        if key in self.broken or key in self._kernels:
            return key in self._kernels
        try:
            self._kernels[key] = self._maker.make(key, self._start)
        except AccelError as error:
            self.give_up(key, str(error))
            return False
        return True

    def give_up(self, key: KernelKey, why: str) -> None:
        """Ask a kernel no more; what it found is kept."""
        kernel = self._kernels.pop(key, None)
        if kernel is not None:
            kernel.flush()
            self._ended[key] = kernel.bound
            kernel.close()
        self.broken[key] = why
        self._wrong(key[0], f"the kernel is not asked any more: {why}")

    def run(
        self,
        images: Sequence[Image],
        keys: Sequence[KernelKey],
        segment: int,
        results: dict[KernelKey, Results],
        damaged: dict[int, str],
    ) -> None:
        """Fill in what kernels find in frames, and which of these cannot be decoded."""
        began, numbers = time.perf_counter(), [image.number for image in images]
        first = self._kernels[keys[0]].frames
        damaged |= self._decoder.decode(images, first[: len(images)])
        self._figures.spent("decode", time.perf_counter() - began)
        for key in keys[1:]:
            self._kernels[key].frames[: len(images)] = first[: len(images)]
        for key in keys:
            began, kernel = time.perf_counter(), self._kernels[key]
            try:
                results[key] = kernel.run(numbers, dict(damaged), segment)
                self.runs_on[key] = self._figures.runs_on = kernel.runs_on
                if kernel.problem:
                    self._figures.problem = kernel.problem
            except AccelError as error:
                self.give_up(key, str(error))
            self._figures.spent("kernels", time.perf_counter() - began)

    def flush(self) -> None:
        """Keep what the kernels found so far."""
        for kernel in self._kernels.values():
            kernel.flush()

    def products(self) -> Iterator[tuple[Path, Callable[[], Bound]]]:
        """For every kernel that found something, also where a gateway before this one asked for it: the folder with that, and what gives the kernel.

        The latter raises AccelError where it cannot be made any more.
        """
        for key in self._maker.asked_for():
            yield self._maker.folder(key), partial(self._bound, key)

    def _bound(self, key: KernelKey) -> Bound:
        if (kernel := self._kernels.get(key)) is not None:
            return kernel.bound
        found: Bound = self._ended.get(key) or self._maker.recipe(key, self._start).bind()
        return found

    def close(self) -> None:
        """End the kernels' processes."""
        for kernel in self._kernels.values():
            kernel.close()
        self._decoder.close()


class Reduction:
    """What kernels found in some frames.

    Attributes:
        results: by kernel.
        damaged: the frames that cannot be decoded, and why.
    """

    def __init__(self, reducing: Reducing, images: Sequence[Image], segment: int) -> None:
        self._reducing = reducing
        self._images = images
        self._segment = segment
        self.results: dict[KernelKey, Results] = {}
        self.damaged: dict[int, str] = {}

    def look(self, keys: Sequence[KernelKey]) -> None:
        """Have kernels look."""
        if keys:
            self._reducing.run(self._images, keys, self._segment, self.results, self.damaged)

    def look_also(self, key: KernelKey) -> None:
        """Have one look that was not asked for before; it looks at all frames that follow."""
        if self._reducing.make(key):
            self.look([key])
