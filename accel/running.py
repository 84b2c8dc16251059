"""Running kernels over frames: in batches that fit the memory, in the launch shape that is quicker, by NumPy where no device can."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy
from numpy.typing import NDArray

from accel.batches import constant, fetch, in_batches, output
from accel.device import Device
from accel.errors import DeviceUnusable
from accel.frames import Frames
from accel.kernel import Bound, Output, Results, Work

CHUNKED, STRIDED = 0, 1
"""The launch shapes: a run of pixels a work-item, for the caches of a CPU; every n-th pixel, for the memory of a GPU."""

CHUNK_PIXELS: Final = 32_768
STRIDED_ITEMS: Final = 16_384
LEAST_PIXELS: Final = 64
"""So many pixels a work-item at the least: fewer would cost more in results than in reading."""

GROUP: Final = 64
"""Work-items of a strided launch that read side by side."""

TRIALS: Final = 3
"""A launch shape is tried so often; the least of the times counts, since a machine may be busy with something else."""

BATCH_BYTES: Final = 256 << 20

Beside = NDArray[numpy.float64] | None

_log = logging.getLogger("beamgrid.accel")


@dataclass(frozen=True, slots=True)
class _Launched:
    """A work on a device: its kernel and its constants there."""

    kernel: Any
    constants: tuple[Any, ...]
    parts: int
    local: tuple[int, ...] | None


class Runner:
    """Runs kernels on one device, or with NumPy. Its methods are for one thread at a time.

    Args:
        device: None for NumPy.
        limit_bytes: of the device's memory, that frames and results of both batches under way may take.
    """

    def __init__(self, device: Device | None, limit_bytes: int = BATCH_BYTES) -> None:
        self._device = device
        self._limit = limit_bytes
        self._launched: WeakKeyDictionary[Work, dict[int, _Launched]] = WeakKeyDictionary()
        self._shapes: WeakKeyDictionary[Work, int] = WeakKeyDictionary()
        self.problem = ""

    @property
    def runs_on(self) -> str:
        """The device's name, or `NumPy`."""
        return self._device.info.device if self._device is not None else "NumPy"

    def run(self, bound: Bound, frames: Frames, first: int = 0, out: Results | None = None) -> Results:
        """What a kernel finds in frames.

        A device that fails in the middle is not asked again, and NumPy does the whole; `problem` says why.

        Args:
            bound: the kernel.
            frames: (frames, rows, columns), as the kernel was bound for.
            first: the number of the first one in its series.
            out: arrays of an earlier call for as many frames, which are written again where products are as they come from the device.

        Raises:
            FramesRefused: other frames.
        """
        frames = bound.check(frames)
        device = self._device
        if device is not None and len(frames):
            try:
                return self._on(device, bound, frames, first, out or {})
            except (device.cl.Error, DeviceUnusable, MemoryError) as error:
                self.problem = f"`{device.info.device}` failed and is not used any more: {error}"
                _log.error("%s; NumPy serves instead", self.problem)
                self._device = None
        return bound.reference(frames, first)

    def choose(self, bound: Bound, shape: int) -> None:
        """Fix the launch shape of a kernel, which is measured otherwise."""
        self._shapes[bound.work] = shape

    def shape_of(self, bound: Bound) -> int | None:
        """The launch shape that was found to be the quicker one; None before."""
        return self._shapes.get(bound.work)

    # -- on a device -----------------------------------------------------------------------------------------

    def _on(
        self, device: Device, bound: Bound, frames: Frames, first: int, out: Results, beside: Beside = None
    ) -> Results:
        if bound.passes is not None:
            return bound.passes(
                lambda one, numbers: self._on(device, one, frames, first, out, numbers), len(frames)
            )
        work = bound.work
        if work not in self._shapes:
            self._shapes[work] = self._quicker(device, bound, frames, beside)
        return self._in_shape(device, bound, self._shapes[work], frames, first, out, beside)

    def _quicker(self, device: Device, bound: Bound, frames: Frames, beside: Beside) -> int:
        """The launch shape that takes less time, as measured when it is first used; a shape whose results do not fit the memory is none."""
        cost: dict[int, float] = {}
        for shape in (CHUNKED, STRIDED):
            try:
                self._in_shape(device, bound, shape, frames[:1], 0, {}, beside)  # builds it
                for _ in range(TRIALS):
                    began = time.perf_counter()
                    self._in_shape(device, bound, shape, frames[:2], 0, {}, beside)
                    cost[shape] = min(cost.get(shape, math.inf), time.perf_counter() - began)
            except DeviceUnusable:
                continue
        return min(cost, key=lambda shape: cost[shape], default=CHUNKED)

    def _in_shape(
        self,
        device: Device,
        bound: Bound,
        shape: int,
        frames: Frames,
        first: int,
        out: Results,
        beside: Beside,
    ) -> Results:
        work = bound.work
        launched = self._prepared(device, work, shape)
        direct = {
            one.product: _array(out.get(one.product), (len(frames), *one.shape), one.dtype)
            for one in work.outputs
            if one.product
        }
        pieces: list[tuple[int, Results]] = []

        def launch(
            queue: Any, begin: int, count: int, pixels: Any, wait: list[Any]
        ) -> tuple[list[Any], Callable[[], None]]:
            hosts = [
                direct[one.product][begin : begin + count]
                if one.product
                else _host(one, count, launched.parts)
                for one in work.outputs
            ]
            buffers = [output(device, host) for host in hosts]
            more = [] if beside is None else [constant(device, beside[begin : begin + count])]
            numbers = list(work.numbers)
            if work.of_all:
                numbers += [numpy.uint32(count), numpy.uint32(first + begin)]
            through = 1 if work.of_all else count
            if work.grids is not None:
                grid: tuple[int, ...] = (*work.grids[shape], through)
            else:  # the frames of a part one after the other, or its pixels side by side
                grid = (through, launched.parts) if shape == CHUNKED else (launched.parts, through)
            done = launched.kernel(
                queue,
                grid,
                launched.local,
                pixels,
                *launched.constants,
                *more,
                *numbers,
                *buffers,
                wait_for=wait,
            )
            copies = [
                fetch(device, queue, buffer, host, done) for host, buffer in zip(hosts, buffers, strict=True)
            ]
            partial = [host for host, one in zip(hosts, work.outputs, strict=True) if not one.product]
            return copies, lambda: pieces.append((begin, bound.finish(partial)))

        in_batches(device, self._limit, frames, _bytes(work, launched.parts), launch)
        ordered = sorted(pieces, key=lambda piece: piece[0])
        return direct | bound.together([found for _, found in ordered])

    def _prepared(self, device: Device, work: Work, shape: int) -> _Launched:
        known = self._launched.setdefault(work, {})
        if shape not in known:
            kernel = device.kernel(work.entry, work.source, {**work.defines, "SHAPE": str(shape)})
            parts, local = _parts(device, work, shape) if work.grids is None else (1, None)
            if work.grids is not None and shape == CHUNKED:
                local = (1,) * (len(work.grids[shape]) + 1)  # arrays of a work-item's own lie on the stack
            constants = tuple(constant(device, one) for one in work.constants)
            known[shape] = _Launched(kernel, constants, parts, local)
        return known[shape]


def _parts(device: Device, work: Work, shape: int) -> tuple[int, tuple[int, ...] | None]:
    """Into how many parts frames are cut, and how many of them go together."""
    count = work.constants[0].size
    if shape == CHUNKED:
        return (min(count, 4 * device.info.units) if work.few_parts else -(-count // CHUNK_PIXELS)), (1, 1)
    most = 64 * device.info.units if work.few_parts else STRIDED_ITEMS
    parts = max(1, min(count // LEAST_PIXELS, most))
    return (parts // GROUP * GROUP, (GROUP, 1)) if parts >= GROUP else (parts, (1, 1))


def _host(one: Output, frames: int, parts: int) -> NDArray[Any]:
    lead = () if one.of_all else (frames, parts) if one.by_part else (frames,)
    return numpy.empty((*lead, *one.shape), one.dtype)


def _array(given: NDArray[Any] | None, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    if given is not None and given.shape == shape and given.dtype == dtype and given.flags.c_contiguous:
        return given
    return numpy.empty(shape, dtype)


def _bytes(work: Work, parts: int) -> int:
    return sum(
        numpy.dtype(one.dtype).itemsize
        * int(numpy.prod(one.shape, dtype=int))
        * (parts if one.by_part else 1)
        for one in work.outputs
        if not one.of_all
    )
