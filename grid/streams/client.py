"""Sends frames to a stream: for Bluesky, Bliss, Tango, or any other program at a beamline.

    with FrameSender(address, stream, token) as sender:
        sender.start(shape=(512, 1024), dtype="uint16", frames=100, facts={"detector_description": "camera"})
        for frame in camera:
            sender.send(frame)

`address`, `stream` and `token` are those that opening the stream gave (`beamgrid stream open`, or the microservice `stream_open`). What was not
acknowledged is kept, and sent again when the gateway comes back. Needs NumPy and pyzmq.
"""

import secrets
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy
import zmq
from numpy.typing import ArrayLike

from grid.streams import framed
from grid.streams.cbor import decode
from grid.streams.messages import RAW, End, Image, Payload, Start, frame_shape, pixel_type

SILENT_S: Final = 5.0
"""After so long without an answer the sender connects anew."""


class SendingFailed(Exception):
    """Frames cannot be sent, with the reason."""


class FrameSender:
    """One sender of one stream. For one thread.

    Args:
        address: of the stream's gateway, such as `tcp://gateway:40001`.
        stream: its number.
        token: the word that shows the right to send.
        timeout_s: give up after so long without an answer.
    """

    def __init__(self, address: str, stream: int, token: str, timeout_s: float = 120.0) -> None:
        self._address = address
        self._stream = stream
        self._token = token
        self._timeout_s = timeout_s
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None
        self._start: Start | None = None
        self._number = 0
        self._waiting: deque[list[Any]] = deque()
        self._sent = self._acknowledged = 0
        self._credit = 1
        self._session = ""
        self._heard = 0.0
        self.stored = 0

    def __enter__(self) -> "FrameSender":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._start is not None:
                self.end()
        finally:
            self.close()

    def start(
        self, *, shape: Sequence[int], dtype: Any, frames: int = 0, channels: Sequence[str] = ("data",), facts: Mapping[str, Any] | None = None,
        series: str = "",
    ) -> None:  # fmt: skip
        """Begin a series.

        Args:
            shape: rows and columns.
            dtype: of a pixel.
            frames: how many are going to come, 0 where nobody knows.
            channels: names of the images in each frame.
            facts: what is known of the detector, such as `pixel_size_x` in m.
            series: what tells it from others; something new where it is empty.

        Raises:
            SendingFailed: nobody takes it.
            MessageRefused: it can be no series.
        """
        kind = pixel_type(numpy.dtype(dtype).name)
        self._start = Start(
            series or secrets.token_hex(8),
            frames,
            tuple(channels),
            frame_shape(*(int(one) for one in shape)),
            kind,
            dict(facts or {}),
        )
        self._connect()
        while not self._session:
            self._hear(0.1)

    def send(
        self,
        frame: ArrayLike | Mapping[str, ArrayLike],
        number: int | None = None,
        times: tuple[float, float] | None = None,
        user_data: Any = None,
    ) -> None:
        """Send a frame; returns when it may be changed, which is not yet when it is stored.

        Args:
            frame: (rows, columns), or that by the name of each channel.
            number: of the frame; the next one where it is None.
            times: start and end of the exposure, s since the beginning of the series.
            user_data: what goes beside it, as JSON has it.

        Raises:
            SendingFailed: nobody takes it.
            ValueError: it is no frame of the series.
        """
        start = self._start
        if start is None:
            raise ValueError("`start` comes before the first frame")
        given = frame if isinstance(frame, Mapping) else {start.channels[0]: frame}
        if tuple(given) != start.channels:
            raise ValueError(
                f"found the channels {', '.join(given)}; {', '.join(start.channels)} were expected"
            )
        channels = {}
        for name, values in given.items():
            array = numpy.array(
                values, start.dtype.newbyteorder("<"), order="C"
            )  # a copy, which is kept until it is stored
            if array.shape != start.shape:
                raise ValueError(f"found the shape {array.shape}; {start.shape} was expected")
            channels[name] = Payload(
                memoryview(array.reshape(-1).view(numpy.uint8).data), start.shape, start.dtype, RAW
            )
        own = self._number if number is None else number
        self._number = own + 1
        self._put(framed.encoded(Image(start.series, own, channels, times, user_data)))

    def flush(self) -> None:
        """Wait until everything that was sent is stored.

        Raises:
            SendingFailed: not everything is.
        """
        while self._waiting:
            self._hear(0.1)

    def end(self) -> None:
        """End the series, and wait until everything is stored.

        Raises:
            SendingFailed: not everything is.
        """
        if self._start is None:
            return
        self._put(framed.encoded(End(self._start.series)))
        self.flush()
        self._start = None

    def close(self) -> None:
        """Give the connection up; what is not acknowledged may be lost."""
        if self._socket is not None:
            self._socket.close(linger=0)
            self._socket = None
        self._context.term()

    def _put(self, parts: list[Any]) -> None:
        self._waiting.append(parts)
        while self._sent - self._acknowledged >= self._credit:
            self._hear(0.1)
        self._flush()
        self._hear(0.0)

    def _flush(self) -> None:
        """Send what may be on its way."""
        assert self._socket is not None, "it is connected"
        while self._session and self._sent < self._acknowledged + min(len(self._waiting), self._credit):
            self._socket.send_multipart(self._waiting[self._sent - self._acknowledged], copy=False)
            self._sent += 1

    def _connect(self) -> None:
        assert self._start is not None, "it began"
        if self._socket is not None:
            self._socket.close(linger=0)
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.connect(self._address)
        self._again()

    def _again(self) -> None:
        """Show the beginning; everything that is not stored follows when it is answered."""
        assert self._socket is not None, "it is connected"
        assert self._start is not None, "it began"
        self._session, self._sent, self._acknowledged = "", 0, 0
        self._heard = self._heard or time.monotonic()
        self._socket.send_multipart(framed.encoded(self._start, stream=self._stream, token=self._token))
        self._asked = time.monotonic()

    _asked = 0.0

    def _hear(self, timeout_s: float) -> None:
        """Take answers."""
        assert self._socket is not None, "it is connected"
        while self._socket.poll(int(timeout_s * 1000)):
            timeout_s = 0.0
            self._answer(decode(self._socket.recv()))
        now = time.monotonic()
        outstanding = bool(self._waiting) or not self._session
        if outstanding and now - self._heard > self._timeout_s:
            raise SendingFailed(
                f"`{self._address}` did not answer for {self._timeout_s:g} s; {self.stored} frames are stored"
            )
        if outstanding and now - max(self._heard, self._asked) > SILENT_S:
            self._connect()

    def _answer(self, said: dict[str, Any]) -> None:
        self._heard = time.monotonic()
        if "refused" in said:
            raise SendingFailed(str(said["refused"]))
        if "unknown" in said:
            if self._session:
                self._again()
            return
        self._credit = max(int(said["credit"]), 1)
        if said["session"] != self._session:
            self._session, self._sent, self._acknowledged = str(said["session"]), 0, 0
        for _ in range(min(int(said["stored"]), self._sent) - self._acknowledged):
            self._waiting.popleft()
            self._acknowledged += 1
            self.stored += 1
        self._flush()
