"""Running kernels over frames: in batches that fit the memory, copied while the batch before is computed, by NumPy where no device can."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel import reference
from accel.batches import Launch, constant, fetch, in_batches, output
from accel.catalogue import KERNELS, defines
from accel.device import Device
from accel.errors import DeviceUnusable, FramesRefused
from accel.reference import Binned, Frames, Integrated, Mask, Peaks, Statistics

CHUNKED, STRIDED = 0, 1
"""The launch shapes: a run of pixels a work-item, for the caches of a CPU; every n-th pixel, for the memory of a GPU."""

CHUNK_PIXELS: Final = 8192
STRIDED_ITEMS: Final = 16_384
LEAST_PIXELS: Final = 64
"""So many pixels a work-item at the least: fewer would cost more in results than in reading."""

BATCH_BYTES: Final = 256 << 20

_log = logging.getLogger("beamgrid.accel")


class Runner:
    """Runs kernels on one device, or with NumPy.

    Args:
        device: None for NumPy.
        limit_bytes: of the device's memory, that frames and results of both batches under way may take.
    """

    def __init__(self, device: Device | None, limit_bytes: int = BATCH_BYTES) -> None:
        self._device = device
        self._limit = limit_bytes
        self._shapes: dict[tuple[str, str, int], int] = {}
        self.problem = ""

    @property
    def runs_on(self) -> str:
        """The device's name, or `NumPy`."""
        return self._device.info.device if self._device is not None else "NumPy"

    # -- kernels ---------------------------------------------------------------------------------------------

    def statistics(
        self, frames: Frames, mask: Mask | None = None, thresholds: tuple[float, ...] = ()
    ) -> Statistics:
        """See `reference.statistics`; on a device and by NumPy alike.

        Raises:
            FramesRefused: frames, mask or thresholds that it cannot work on.
        """
        frames, mask = reference.checked(frames, mask)
        levels = numpy.array(thresholds, numpy.float64)
        if len(levels) > 64 or not numpy.isfinite(levels).all():
            raise FramesRefused(
                f"found the thresholds {thresholds}; 64 finite numbers at the most were expected"
            )
        device = self._device
        if device is not None and len(frames):
            with self._guarded():
                return self._statistics(device, frames, mask, levels)
        return reference.statistics(frames, mask, levels)

    def correct(
        self, frames: Frames, dark: NDArray[Any], factor: NDArray[Any], mask: Mask | None = None
    ) -> NDArray[numpy.float32]:
        """See `reference.correct`.

        Raises:
            FramesRefused: arrays of other shapes.
        """
        frames, mask = reference.checked(frames, mask)
        for name, array in (("dark", dark), ("factor", factor)):
            if array.shape != frames.shape[1:]:
                raise FramesRefused(
                    f"found `{name}` of the shape {array.shape}; {frames.shape[1:]} was expected"
                )
        dark, factor = (numpy.ascontiguousarray(array, numpy.float32) for array in (dark, factor))
        device = self._device
        if device is not None and len(frames):
            with self._guarded():
                return self._correct(device, frames, mask, dark, factor)
        return reference.correct(frames, mask, dark, factor)

    def binned(
        self,
        frames: Frames,
        size: int,
        region: tuple[int, int, int, int] | None = None,
        mask: Mask | None = None,
    ) -> Binned:
        """See `reference.binned`; the whole frame without a region.

        Raises:
            FramesRefused: the region does not lie in the frames, or holds no square.
        """
        frames, mask = reference.checked(frames, mask)
        region = region or (0, 0, *frames.shape[1:])
        if self._device is None or not len(frames):
            return reference.binned(frames, mask, size, region)
        reference.binned(frames[:0], mask, size, region)  # refuses what cannot be
        with self._guarded():
            return self._binned(self._device, frames, mask, size, region)
        return reference.binned(frames, mask, size, region)

    def azimuthal(
        self,
        frames: Frames,
        places: NDArray[numpy.int32],
        bins: int,
        factor: NDArray[Any] | None = None,
        mask: Mask | None = None,
    ) -> Integrated:
        """See `reference.azimuthal`; every pixel's normalisation is 1 without `factor`.

        Raises:
            FramesRefused: arrays of other shapes, or a bin that is none.
        """
        frames, mask = reference.checked(frames, mask)
        places = numpy.ascontiguousarray(places, numpy.int32)
        factor = numpy.ascontiguousarray(
            numpy.ones(frames.shape[1:]) if factor is None else factor, numpy.float32
        )
        reference.azimuthal(frames[:0], mask, places, factor, bins)  # refuses what cannot be
        device = self._device
        if device is not None and len(frames):
            with self._guarded():
                return self._azimuthal(device, frames, mask, places, factor, bins)
        return reference.azimuthal(frames, mask, places, factor, bins)

    def peaks(
        self,
        frames: Frames,
        mask: Mask | None = None,
        *,
        radius: int = 5,
        ratio: float = 6.0,
        least: float = 5.0,
        kept: int = 1024,
    ) -> Peaks:
        """See `reference.peaks`.

        Raises:
            FramesRefused: parameters that cannot be.
        """
        frames, mask = reference.checked(frames, mask)
        reference.peaks(frames[:0], mask, radius, ratio, least, kept)  # refuses what cannot be
        device = self._device
        if device is not None and len(frames):
            with self._guarded():
                return self._peaks(device, frames, mask, radius, ratio, least, kept)
        return reference.peaks(frames, mask, radius, ratio, least, kept)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """A device that fails is not asked again; the block is left, and NumPy does the whole."""
        assert self._device is not None, "asked for only with one"
        cl = self._device.cl
        try:
            yield
        except (cl.Error, DeviceUnusable, MemoryError) as error:
            self.problem = f"`{self._device.info.device}` failed and is not used any more: {error}"
            _log.error("%s; NumPy serves instead", self.problem)
            self._device = None

    # -- on a device -----------------------------------------------------------------------------------------

    def _statistics(
        self, device: Device, frames: Frames, mask: Mask, levels: NDArray[numpy.float64]
    ) -> Statistics:
        count, whole = frames.shape[1] * frames.shape[2], frames.dtype.kind != "f"
        shape = self._shape(device, "statistics", frames, mask)
        parts = _parts(shape, count)
        kernel = device.kernel(
            "statistics", KERNELS["statistics"].source, {**defines(frames.dtype), "SHAPE": str(shape)}
        )
        fixed = [constant(device, mask), constant(device, levels if len(levels) else numpy.zeros(1))]
        sums_type = numpy.int64 if whole else numpy.float64
        outs = (sums_type, numpy.uint64, numpy.uint64, numpy.float64, frames.dtype, frames.dtype)

        def launch(
            queue: Any, frames_here: int, pixels: Any, wait: list[Any]
        ) -> tuple[list[Any], Callable[[], list[NDArray[Any]]]]:
            hosts: list[NDArray[Any]] = [numpy.empty((frames_here, parts), kind) for kind in outs]
            hosts.append(numpy.empty((frames_here, parts, 2 + len(levels)), numpy.uint64))
            buffers = [output(device, host) for host in hosts]
            done = kernel(
                queue, (parts, frames_here), (1, 1), pixels, *fixed, numpy.uint32(count), numpy.uint32(len(levels)), *buffers, wait_for=wait
            )  # fmt: skip
            copies = [
                fetch(device, queue, buffer, host, done) for host, buffer in zip(hosts, buffers, strict=True)
            ]
            return copies, lambda: hosts

        per_frame = parts * (8 * 4 + 2 * frames.itemsize + 8 * (2 + len(levels)))
        pieces = self._in_batches(device, frames, per_frame, launch)
        sums, high, low, squares, least, most, counts = (
            numpy.concatenate([piece[n] for piece in pieces]) for n in range(7)
        )
        tally = counts.sum(axis=1, dtype=numpy.uint64)
        up, down = _added(high, low)
        wide = (
            numpy.array([float((int(h) << 64) + int(w)) for h, w in zip(up, down, strict=True)])
            if whole
            else squares.sum(axis=1)
        )
        return Statistics(
            tally[:, 0],
            sums.sum(axis=1),
            up,
            down,
            wide,
            least.min(axis=1),
            most.max(axis=1),
            tally[:, 2:],
            tally[:, 1],
        )

    def _correct(
        self,
        device: Device,
        frames: Frames,
        mask: Mask,
        dark: NDArray[numpy.float32],
        factor: NDArray[numpy.float32],
    ) -> NDArray[numpy.float32]:
        count = frames.shape[1] * frames.shape[2]
        shape = CHUNKED if not device.info.is_gpu else STRIDED
        kernel = device.kernel(
            "correct", KERNELS["correct"].source, {**defines(frames.dtype), "SHAPE": str(shape)}
        )
        fixed = [constant(device, array) for array in (mask, dark, factor)]

        def launch(
            queue: Any, frames_here: int, pixels: Any, wait: list[Any]
        ) -> tuple[list[Any], Callable[[], list[NDArray[Any]]]]:
            host = numpy.empty((frames_here, *frames.shape[1:]), numpy.float32)
            buffer = output(device, host)
            done = kernel(
                queue, (_parts(shape, count), frames_here), (1, 1), pixels, *fixed, numpy.uint32(count), buffer, wait_for=wait
            )  # fmt: skip
            return [fetch(device, queue, buffer, host, done)], lambda: [host]

        return numpy.concatenate([piece[0] for piece in self._in_batches(device, frames, 4 * count, launch)])

    def _binned(
        self, device: Device, frames: Frames, mask: Mask, size: int, region: tuple[int, int, int, int]
    ) -> Binned:
        row, column, rows, columns = region
        high, wide = rows // size, columns // size
        kernel = device.kernel("binned", KERNELS["binned"].source, defines(frames.dtype))
        fixed = constant(device, mask)
        numbers = [numpy.uint32(one) for one in (*frames.shape[1:], row, column, size)]

        def launch(
            queue: Any, frames_here: int, pixels: Any, wait: list[Any]
        ) -> tuple[list[Any], Callable[[], list[NDArray[Any]]]]:
            hosts: list[NDArray[Any]] = [
                numpy.empty((frames_here, high, wide), kind)
                for kind in (numpy.float64 if frames.dtype.kind == "f" else numpy.int64, numpy.uint32)
            ]
            buffers = [output(device, host) for host in hosts]
            done = kernel(
                queue, (wide, high, frames_here), None, pixels, fixed, *numbers, *buffers, wait_for=wait
            )
            copies = [
                fetch(device, queue, buffer, host, done) for host, buffer in zip(hosts, buffers, strict=True)
            ]
            return copies, lambda: hosts

        pieces = self._in_batches(device, frames, 12 * high * wide, launch)
        return Binned(*(numpy.concatenate([piece[n] for piece in pieces]) for n in range(2)))

    def _azimuthal(
        self,
        device: Device,
        frames: Frames,
        mask: Mask,
        places: NDArray[numpy.int32],
        factor: NDArray[numpy.float32],
        bins: int,
    ) -> Integrated:
        count = frames.shape[1] * frames.shape[2]
        # each work-item has bins of its own: few of them on a CPU, as many as keep a GPU busy
        shape, parts = (
            (STRIDED, min(count, 64 * device.info.units))
            if device.info.is_gpu
            else (CHUNKED, min(count, 4 * device.info.units))
        )
        kernel = device.kernel(
            "azimuthal", KERNELS["azimuthal"].source, {**defines(frames.dtype), "SHAPE": str(shape)}
        )
        fixed = [constant(device, array) for array in (mask, places, factor)]

        def launch(
            queue: Any, frames_here: int, pixels: Any, wait: list[Any]
        ) -> tuple[list[Any], Callable[[], list[NDArray[Any]]]]:
            hosts: list[NDArray[Any]] = [
                numpy.empty((frames_here, parts, bins), kind)
                for kind in (numpy.float64, numpy.float64, numpy.uint32)
            ]
            buffers = [output(device, host) for host in hosts]
            done = kernel(
                queue, (parts, frames_here), (1, 1), pixels, *fixed, numpy.uint32(count), numpy.uint32(bins), *buffers, wait_for=wait
            )  # fmt: skip
            copies = [
                fetch(device, queue, buffer, host, done) for host, buffer in zip(hosts, buffers, strict=True)
            ]
            return copies, lambda: [host.sum(axis=1, dtype=host.dtype) for host in hosts]

        pieces = self._in_batches(device, frames, 20 * parts * bins, launch)
        sums, weights, counts = (numpy.concatenate([piece[n] for piece in pieces]) for n in range(3))
        return reference.curves(sums, numpy.maximum(sums, 0.0), weights, counts)

    def _peaks(
        self, device: Device, frames: Frames, mask: Mask, radius: int, ratio: float, least: float, kept: int
    ) -> Peaks:
        rows, columns = frames.shape[1:]
        kernel = device.kernel("peaks", KERNELS["peaks"].source, defines(frames.dtype))
        fixed, numbers = (
            constant(device, mask),
            (numpy.int32(radius), numpy.float64(ratio), numpy.float64(least)),
        )

        def launch(
            queue: Any, frames_here: int, pixels: Any, wait: list[Any]
        ) -> tuple[list[Any], Callable[[], list[NDArray[Any]]]]:
            host = numpy.empty((frames_here, rows * columns), numpy.uint8)
            buffer = output(device, host)
            done = kernel(
                queue, (columns, rows, frames_here), None, pixels, fixed, *numbers, buffer, wait_for=wait
            )
            return [fetch(device, queue, buffer, host, done)], lambda: _named(host, kept)

        pieces = self._in_batches(device, frames, rows * columns, launch)
        return Peaks(*(numpy.concatenate([piece[n] for piece in pieces]) for n in range(2)))

    def _in_batches(
        self, device: Device, frames: Frames, out_bytes: int, launch: Launch
    ) -> list[list[NDArray[Any]]]:
        return in_batches(device, self._limit, frames, out_bytes, launch)

    def _shape(self, device: Device, name: str, frames: Frames, mask: Mask) -> int:
        """The launch shape that is quicker for frames of this size, as measured once."""
        key = (name, frames.dtype.name, frames[0].size)
        if key not in self._shapes:
            cost: dict[int, float] = {}
            for shape in (CHUNKED, STRIDED):
                self._shapes[key] = shape
                with contextlib.suppress(DeviceUnusable):  # a shape whose results do not fit is none
                    self._statistics(device, frames[:1], mask, numpy.zeros(0))  # builds it
                    began = time.perf_counter()
                    self._statistics(device, frames[:2], mask, numpy.zeros(0))
                    cost[shape] = time.perf_counter() - began
            self._shapes[key] = min(cost, key=lambda shape: cost[shape], default=CHUNKED)
        return self._shapes[key]


def _parts(shape: int, count: int) -> int:
    return (
        -(-count // CHUNK_PIXELS) if shape == CHUNKED else max(1, min(count // LEAST_PIXELS, STRIDED_ITEMS))
    )


def _named(found: NDArray[numpy.uint8], kept: int) -> list[NDArray[Any]]:
    """How many pixels of each frame are marked, and the first of them by number."""
    counts = found.sum(axis=1, dtype=numpy.uint32)
    pixels = numpy.full((len(found), kept), -1, numpy.int32)
    for number in range(len(found)):
        own = numpy.flatnonzero(found[number])[:kept]
        pixels[number, : len(own)] = own
    return [counts, pixels]


def _added(
    high: NDArray[numpy.uint64], low: NDArray[numpy.uint64]
) -> tuple[NDArray[numpy.uint64], NDArray[numpy.uint64]]:
    """Numbers of 128 bits, summed over the parts."""
    whole = [
        sum((int(h) << 64) + int(w) for h, w in zip(*pair, strict=True))
        for pair in zip(high, low, strict=True)
    ]
    mask = (1 << 64) - 1
    return numpy.array([one >> 64 for one in whole], numpy.uint64), numpy.array(
        [one & mask for one in whole], numpy.uint64
    )
