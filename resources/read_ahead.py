"""Reading ahead of who reads a file from its beginning to its end: the next pieces are asked for while the last one is used."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

AHEAD: Final = 2
"""So many pieces are asked for before they are wanted."""

FROM_BYTES: Final = 1 << 20
"""Smaller pieces are not read ahead: who takes a little here and there would pay for what is not used."""

Answered = Callable[[Any, Any, Any], None]


class Asynchronous(Protocol):
    """Asks for bytes: offset, count, and what is called with the status and the bytes; gives the status of the asking."""

    def __call__(self, offset: int, count: int, answered: Answered, /) -> Any: ...


class _Piece:
    """A piece that was asked for."""

    __slots__ = ("came", "data", "status")

    def __init__(self) -> None:
        self.came = threading.Event()
        self.status: Any = None
        self.data: bytes = b""


class ReadAhead:
    """The pieces of one open file; one thread reads it at a time.

    Args:
        ask: asks for bytes.
    """

    def __init__(self, ask: Asynchronous) -> None:
        self._ask = ask
        self._next = 0
        self._pieces: dict[int, _Piece] = {}

    def take(self, offset: int, count: int) -> tuple[Any, bytes] | None:
        """Status and bytes of a piece that was asked for before, as many as there are; None where it was not."""
        piece = self._pieces.pop(offset, None)
        if piece is None:
            self.forget()
            return None
        piece.came.wait()
        return piece.status, piece.data[:count]

    def went_on(self, offset: int, count: int, end: int) -> None:
        """Ask for what follows a piece that was read to its end, where whoever reads goes from piece to piece.

        Args:
            offset: where the next piece begins.
            count: how long it will be.
            end: of the file, as far as it is known.
        """
        goes_on, self._next = self._next == offset - count, offset
        if count < FROM_BYTES or not goes_on:
            return
        for begin in range(offset, min(offset + AHEAD * count, end), count):
            if begin not in self._pieces:
                piece = self._pieces[begin] = _Piece()
                status = self._ask(begin, min(count, end - begin), partial(self._answered, piece))
                if not status.ok:
                    del self._pieces[begin]
                    return

    @staticmethod
    def _answered(piece: _Piece, status: Any, data: Any, _hosts: Any) -> None:
        piece.status, piece.data = status, bytes(data) if data is not None else b""
        piece.came.set()

    def forget(self) -> None:
        """Wait for what was asked for, and let go of it."""
        pieces, self._pieces = self._pieces, {}
        for piece in pieces.values():
            piece.came.wait()
