"""A message as it came, and what it says."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grid.streams import dectris, framed
from grid.streams.messages import Image, Message, Start
from grid.streams.words import DECTRIS
from provenance.frames import FRAMES, stream_number
from provenance.leaves import LeafHeader


@dataclass(frozen=True, slots=True)
class Received:
    """A message.

    Attributes:
        format: one of `FORMATS`.
        parts: its bytes, as they came.
        message: what they say; its payloads are views of the parts.
    """

    format: str
    parts: tuple[Any, ...]
    message: Message

    @property
    def size_bytes(self) -> int:
        return sum(len(part) for part in self.parts)


def read(format: str, parts: Sequence[Any], start: Start | None) -> Received:
    """Look at what came.

    Raises:
        MessageRefused: it is no message of the format.
    """
    if format == DECTRIS:
        return Received(format, tuple(parts), dectris.message_of(parts[0] if parts else b""))
    return Received(format, tuple(parts), framed.message_of(parts, start))


def leaf_of(stream_id: str, image: Image) -> bytes:
    """The leaf of a frame over the bytes of its channels as they came, one after the other, in the order of their names."""
    names = sorted(image.channels)
    length = sum(len(image.channels[name].data) for name in names)
    header = LeafHeader(
        FRAMES, image.number, length, stream_number(stream_id), image.channels[names[0]].encoding
    )
    state = hashlib.sha256(b"\x00" + header.packed())
    for name in names:
        state.update(image.channels[name].data)
    return state.digest()
