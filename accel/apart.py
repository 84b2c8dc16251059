"""Kernels in a process of their own: a device that ends its process, or a kernel that takes too long, ends that one and nobody else's.

Frames are handed over in shared memory, results come back through a pipe.
"""

import contextlib
import mmap
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy

from accel.errors import AccelError, KernelEnded
from accel.frames import Frames
from accel.kernel import Results

SHARED: Final = "/dev/shm"
START_S: Final = 120.0
HALVES: Final = 2
"""While one batch is worked on, the next one is put beside it."""

SLACK_S: Final = 30.0
"""So much longer than its frames may a batch take: the first one is compiled."""

MEMORY_BYTES: Final = 16 << 30


@dataclass(frozen=True, slots=True)
class Recipe:
    """A kernel for frames, as another process makes it.

    Attributes:
        name: of one that comes with the grid; empty for one by a user.
        text: of one by a user.
    """

    name: str
    text: str
    shape: tuple[int, int]
    dtype: str
    parameters: Mapping[str, Any]

    def bind(self) -> Any:
        """The kernel.

        Raises:
            AccelError: it cannot be made.
        """
        if self.text:
            from accel.users.binding import user_kernel

            return user_kernel(self.text).bind(self.shape, numpy.dtype(self.dtype), **self.parameters)
        from accel.shipped import SHIPPED

        return SHIPPED[self.name].bind(self.shape, numpy.dtype(self.dtype), **self.parameters)


class Apart:
    """A process that runs one kernel.

    Args:
        recipe: the kernel.
        batch: frames that are handed over at once, at the most.
        device: whether one may be used; NumPy otherwise.
        frame_s: the time that a frame may take, on the average of a batch.
        memory_bytes: what the process may take.
    """

    def __init__(
        self, recipe: Recipe, batch: int, *, device: bool = True, frame_s: float = 30.0, memory_bytes: int = MEMORY_BYTES
    ) -> None:  # fmt: skip
        self._shape = (HALVES, batch, *recipe.shape)
        self._dtype = numpy.dtype(recipe.dtype)
        self._frame_s = frame_s
        self._under_way = 0
        size = max(1, int(numpy.prod(self._shape, dtype=object)) * self._dtype.itemsize)
        with tempfile.TemporaryFile(dir=SHARED if os.path.isdir(SHARED) else None) as file:
            os.ftruncate(file.fileno(), size)
            self._memory = mmap.mmap(file.fileno(), size)
            ours, theirs = multiprocessing.Pipe()
            with theirs:
                descriptors = (theirs.fileno(), file.fileno())
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "accel.apart", *map(str, descriptors)], pass_fds=descriptors, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
                )  # fmt: skip
        self._ours = ours
        try:
            self._send((recipe, self._shape, device, memory_bytes))
            self.runs_on, self.problem = self._answer(START_S)
        except BaseException:
            self.close()
            raise

    @property
    def frames(self) -> Frames:
        """Where frames are to be put: (halves, batch, rows, columns)."""
        return numpy.ndarray(self._shape, self._dtype, buffer=self._memory)

    def start(self, half: int, count: int, first: int) -> None:
        """Have the first so many frames of a half worked on; it may be written again after `results`.

        Raises:
            KernelEnded: its process died.
        """
        self._under_way = count
        self._send((half, count, first))

    def results(self) -> Results:
        """What was found in the frames that were started.

        Raises:
            KernelEnded: it took too long, too much memory, or its process died.
            AccelError: what the kernel says.
        """
        self.runs_on, self.problem, found = self._answer(self._frame_s * max(self._under_way, 1) + SLACK_S)
        return dict(found)

    def close(self) -> None:
        """End the process, and give the memory back."""
        self._ours.close()
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # somebody who still looks at frames keeps their memory
        with contextlib.suppress(BufferError):
            self._memory.close()

    def _send(self, said: Any) -> None:
        try:
            self._ours.send(said)
        except (OSError, ValueError) as error:
            raise KernelEnded(f"the kernel's process is gone: {error}") from error

    def _answer(self, timeout_s: float) -> Any:
        if not self._ours.poll(timeout_s):
            self._process.kill()
            raise KernelEnded(f"the kernel was ended: it took more than {timeout_s:.0f} s")
        try:
            kind, value = self._ours.recv()
        except (EOFError, OSError) as error:
            raise KernelEnded(f"the kernel's process died (status {self._process.wait(5.0)})") from error
        if kind == "error":
            raise value
        return value


def serve(pipe: Connection, memory: mmap.mmap) -> None:
    """What the process does until nobody asks any more."""
    from accel.device import best_device
    from accel.errors import DeviceUnusable
    from accel.running import Runner

    problem = ""
    try:
        recipe, shape, with_device, memory_bytes = pipe.recv()
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        try:
            runner = Runner(best_device() if with_device else None)
        except DeviceUnusable as error:
            runner, problem = Runner(None), str(error)
        bound = recipe.bind()
        frames: Frames = numpy.ndarray(shape, recipe.dtype, buffer=memory)
        pipe.send(("ready", (runner.runs_on, problem)))
        while True:
            half, count, first = pipe.recv()
            found = runner.run(bound, frames[half, :count], first)
            pipe.send(("done", (runner.runs_on, runner.problem or problem, found)))
    except (EOFError, BrokenPipeError):
        return
    except AccelError as error:
        pipe.send(("error", error))
    except MemoryError:
        pipe.send(("error", KernelEnded(f"the kernel takes more than {memory_bytes} bytes")))
    except Exception:  # said to who waits, who decides
        pipe.send(("error", KernelEnded(f"the kernel ended with an error:\n{traceback.format_exc(limit=4)}")))


if __name__ == "__main__":
    _pipe, _memory = (int(one) for one in sys.argv[1:3])
    serve(Connection(_pipe), mmap.mmap(_memory, 0))
