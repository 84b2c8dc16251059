"""Where frames come in: the sockets of both formats, with as few messages waiting in them as make sense, so that what is slow is felt by who sends."""

import secrets
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import zmq

from grid.streams import framed
from grid.streams.cbor import encode
from grid.streams.errors import MessageRefused, StreamFailed
from grid.streams.words import DECTRIS, OWN

WAITING_MESSAGES: Final = 16
MOST_MESSAGE: Final = 2 << 30
LINGER_MS: Final = 1000
MOST_AT_ONCE: Final = 64


Mark = tuple[int, int]
"""A sender, and how many images it sent."""


class Intake(Protocol):
    """What messages come out of. For one thread."""

    address: str
    format: str

    def receive(self, timeout_s: float) -> list[Any] | None:
        """The parts of the next message; None where none comes in that time."""

    def refuse(self, reason: str) -> None:
        """Tell who sent the last message that it was not taken."""

    @property
    def mark(self) -> Mark:
        """What stands for every message that was received so far."""

    def acknowledge(self, mark: Mark) -> None:
        """Tell who sends that the images up to a mark are on stable storage, or were not wanted. Any thread may."""

    def end(self, series: str, has_taken: Callable[[int], bool]) -> None:
        """Receive no more: what is sent from now on is for others.

        Args:
            series: that ended.
            has_taken: whether a frame of a number came.
        """

    def settle(self, reason: str) -> None:
        """Everything up to the end is on stable storage; any thread may say so.

        Args:
            reason: why it ended, where that was not its own end.
        """

    @property
    def is_owed(self) -> bool:
        """Whether somebody may still have to be told that everything is stored."""

    def answer(self) -> None:
        """Say what is due, where nothing is received any more."""

    def close(self) -> None: ...


class DectrisIntake:
    """Pulls from a detector, or from what plays one.

    Args:
        address: of its stream interface, such as `tcp://eiger:31001`.
        bind: let the sender connect to us instead.
    """

    format = DECTRIS
    mark: Mark = (0, 0)
    is_owed = False

    def __init__(self, address: str, *, bind: bool = False) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PULL)
        self._socket.setsockopt(zmq.RCVHWM, WAITING_MESSAGES)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MOST_MESSAGE)
        self._socket.setsockopt(zmq.LINGER, 0)
        try:
            if bind:
                self._socket.bind(address)
                address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
            else:
                self._socket.connect(address)
        except zmq.ZMQError as error:
            self.close()
            raise StreamFailed(
                f"`{address}` cannot be {'listened on' if bind else 'connected to'}: {error}"
            ) from error
        self.address = address

    def receive(self, timeout_s: float) -> list[Any] | None:
        try:
            message = self._socket.recv(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            if not self._socket.poll(int(timeout_s * 1000)):
                return None
            message = self._socket.recv(copy=False)
        if message.more:  # a detector's messages have one part
            self._socket.recv_multipart(copy=False)
            return []
        return [message.buffer]

    def refuse(self, reason: str) -> None:
        """A detector does not listen."""

    def acknowledge(self, mark: Mark) -> None:
        """A detector does not listen."""

    def answer(self) -> None:
        """A detector does not listen."""

    def end(self, series: str, has_taken: Callable[[int], bool]) -> None:
        self._socket.close()

    def settle(self, reason: str) -> None:
        """A detector does not listen."""

    def close(self) -> None:
        self._socket.close()
        self._context.term()


class OwnIntake:
    """Listens for one sender of the grid's own format at a time, and acknowledges what is stored.

    Args:
        address: to listen on, such as `tcp://127.0.0.1:*`; where another process has its port, any port is taken.
        stream: whose frames they have to be.
        token: that the sender has to know.
        credit: how many frames may be on their way.
    """

    format = OWN

    def __init__(self, address: str, stream: int, token: str, credit: int) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.RCVHWM, WAITING_MESSAGES)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MOST_MESSAGE)
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        try:
            self._bind(address)
        except zmq.ZMQError as error:
            self._socket.close()
            self._context.term()
            raise StreamFailed(f"`{address}` cannot be listened on: {error}") from error
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._claim = (stream, token)
        self._credit = credit
        self._series = ""
        self._reason = ""
        self._has_taken: Callable[[int], bool] = lambda number: False
        self._is_over = self._is_settled = self._is_whole = False
        self._known: bytes | None = None
        self._last = b""
        self._session = ""
        self._sender = self._images = self._stored = 0
        self._told = -1

    def _bind(self, address: str) -> None:
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE:
                raise
            self._socket.bind(f"{address.rpartition(':')[0]}:*")

    def receive(self, timeout_s: float) -> list[Any] | None:
        deadline = time.monotonic() + timeout_s
        while True:
            self.answer()
            left = deadline - time.monotonic()
            if not self._socket.poll(int(max(min(left, 0.02), 0.0) * 1000)):
                if left <= 0:
                    return None
                continue
            frames = self._socket.recv_multipart(copy=False)
            self._last, parts = frames[0].bytes, [frame.buffer for frame in frames[1:]]
            if self._is_claimed(parts):
                return parts

    def _is_claimed(self, parts: list[Any]) -> bool:
        """Whether a message is one of who showed the token; that begins a session, whose images are counted."""
        try:
            head = framed.head(parts)
        except MessageRefused as error:
            self.refuse(str(error))
            return False
        if head.type == "start":
            return self._begins(head)
        if self._last != self._known:
            self._send(self._last, {"unknown": "show the beginning of the series first"})
            return False
        if self._is_over and (self._is_whole or not self._was_taken(head)):
            return self._refuses_more()
        self._images += 1
        self._is_whole = head.type == "end"
        return True

    def _begins(self, head: framed.Head) -> bool:
        if (head.stream, head.token) != self._claim:
            self.refuse("the token is not that of the stream")
            return False
        if self._is_over and (self._reason or head.series != self._series):
            return self._refuses_more()
        self._known, self._session = self._last, secrets.token_hex(8)
        self._sender, self._images, self._stored, self._told = self._sender + 1, 0, 0, -1
        self._is_whole = False
        return True

    def _was_taken(self, head: framed.Head) -> bool:
        """Whether a message came before the end: a program that goes on where nobody takes what it sends must be told so."""
        return head.type == "end" or self._has_taken(head.number)

    def _refuses_more(self) -> bool:
        if self._is_settled:  # who sends is first told how much of it is stored
            self._tell()
            self.refuse(self._over())
        return False

    def _over(self) -> str:
        return f"the stream takes no more: {self._reason or f'its series {self._series} ended'}"

    def refuse(self, reason: str) -> None:
        self._send(self._last, {"refused": reason})

    @property
    def mark(self) -> Mark:
        return self._sender, self._images

    def acknowledge(self, mark: Mark) -> None:
        if mark[0] == self._sender:
            self._stored = max(self._stored, mark[1])

    def end(self, series: str, has_taken: Callable[[int], bool]) -> None:
        """Who sends still waits for answers; who did not hear the last one shows the beginning again, and sends what is there already."""
        self._series, self._has_taken, self._is_over = series, has_taken, True

    def settle(self, reason: str) -> None:
        self._reason = reason
        self._is_settled = True

    @property
    def is_owed(self) -> bool:
        is_told = self._is_whole and self._told == self._images
        return self._is_settled and not self._reason and not is_told

    def answer(self) -> None:
        if self._is_over:
            self._hear_again()
        self._tell()
        if self._known is not None and self._is_settled and self._reason:
            self._send(self._known, {"refused": self._over()})
            self._known = None

    def _tell(self) -> None:
        """Say how much is stored, where that is news."""
        if self._known is not None and self._stored != self._told:
            self._told = self._stored
            self._send(self._known, {"session": self._session, "stored": self._told, "credit": self._credit})

    def _hear_again(self) -> None:
        """Take what comes after the end: what came before it is stored once that is settled."""
        for _ in range(MOST_AT_ONCE):
            if not self._socket.poll(0):
                break
            frames = self._socket.recv_multipart(copy=False)
            self._last = frames[0].bytes
            self._is_claimed([frame.buffer for frame in frames[1:]])
        if self._is_settled and not self._reason:
            self._stored = self._images

    def _send(self, to: bytes, said: dict[str, Any]) -> None:
        try:
            self._socket.send_multipart([to, encode(said)], zmq.NOBLOCK)
        except zmq.ZMQError:
            return  # whoever it was is gone, or does not read; the next answer says more than this one

    def close(self) -> None:
        self.answer()
        self._socket.close()
        self._context.term()
