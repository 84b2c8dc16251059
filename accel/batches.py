"""Frames on their way through a device: in batches, copied while the one before is computed; on a CPU not copied at all."""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy
from numpy.typing import NDArray

from accel.device import Device
from accel.errors import DeviceUnusable
from accel.frames import Frames

Launch = Callable[[Any, int, int, Any, list[Any]], tuple[list[Any], Callable[[], None]]]
"""Queue, number of the first frame, number of frames, their buffer and what to wait for, to what to wait for and what takes the results."""


def in_batches(device: Device, limit_bytes: int, frames: Frames, out_bytes: int, launch: Launch) -> None:
    """Run a kernel over all frames, two batches under way: one is copied while the other is computed.

    Args:
        device: on which.
        limit_bytes: of its memory, that both batches with their results may take.
        frames: all of them.
        out_bytes: of the results of one frame.
        launch: starts the kernel for some frames; gives what to wait for, and what takes the results then.

    Raises:
        DeviceUnusable: one frame takes more than may be taken.
    """
    cl = device.cl
    each = frames[0].nbytes + out_bytes
    limit = min(limit_bytes, device.info.memory_bytes // 2, 2 * device.info.largest_bytes)
    if 2 * each > limit:
        raise DeviceUnusable(
            f"a frame takes {each} bytes of its memory with its results; {limit // 2} at the most may be taken"
        )
    length = max(1, min(len(frames), limit // (2 * each)))
    copying, computing = cl.CommandQueue(device.context), cl.CommandQueue(device.context)
    own = []
    if device.info.is_gpu:
        own = [cl.Buffer(device.context, cl.mem_flags.READ_ONLY, length * frames[0].nbytes) for _ in range(2)]
    under_way: list[tuple[list[Any], Callable[[], None]]] = []
    try:
        for number, begin in enumerate(range(0, len(frames), length)):
            if len(under_way) == 2:
                _finish(cl, under_way.pop(0))
            piece, wait = frames[begin : begin + length], []
            if own:
                pixels = own[number % 2]
                wait = [cl.enqueue_copy(copying, pixels, piece, is_blocking=False)]
                copying.flush()
            else:  # a CPU reads the frames where they are
                flags = cl.mem_flags.READ_ONLY | cl.mem_flags.USE_HOST_PTR
                pixels = cl.Buffer(device.context, flags, hostbuf=piece)
            under_way.append(launch(computing, begin, len(piece), pixels, wait))
            computing.flush()
        for one in under_way:
            _finish(cl, one)
    except BaseException:
        with contextlib.suppress(cl.Error):
            computing.finish()  # what is under way writes into arrays that must outlive it
        raise


def constant(device: Device, array: NDArray[Any]) -> Any:
    """An array that a kernel reads, for all batches."""
    flags = device.cl.mem_flags
    return device.cl.Buffer(
        device.context, flags.READ_ONLY | flags.COPY_HOST_PTR, hostbuf=numpy.ascontiguousarray(array)
    )


def output(device: Device, host: NDArray[Any]) -> Any:
    """A buffer for results: on a CPU the array itself, on a GPU memory of its own."""
    flags = device.cl.mem_flags
    if device.info.is_gpu:
        return device.cl.Buffer(device.context, flags.READ_WRITE, host.nbytes)
    return device.cl.Buffer(device.context, flags.READ_WRITE | flags.USE_HOST_PTR, hostbuf=host)


def fetch(device: Device, queue: Any, buffer: Any, host: NDArray[Any], done: Any) -> Any:
    """Have results come into their array once a kernel is done; gives the event of it."""
    cl = device.cl
    if device.info.is_gpu:
        return cl.enqueue_copy(queue, host, buffer, wait_for=[done], is_blocking=False)
    _, event = cl.enqueue_map_buffer(
        queue, buffer, cl.map_flags.READ, 0, host.shape, host.dtype, wait_for=[done], is_blocking=False
    )
    return event


def _finish(cl: Any, one: tuple[list[Any], Callable[[], None]]) -> None:
    events, take = one
    cl.wait_for_events(events)
    take()
