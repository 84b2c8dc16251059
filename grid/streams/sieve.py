"""Which messages of a series are wanted: one beginning, every frame once, nothing of anybody else's."""

from typing import Final

from grid.streams.datafile import fits
from grid.streams.errors import MessageRefused
from grid.streams.figures import Figures
from grid.streams.frame_numbers import FrameNumbers
from grid.streams.messages import MOST_FRAMES, End, Image, Message, Start

AHEAD: Final = 100_000
"""A number that is so much higher than the highest before it is none, where nobody said how many frames come."""


class Sieve:
    """Looks at the messages of one stream.

    Args:
        figures: counts what is not wanted.

    Attributes:
        seen: the frames that came.
    """

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self.seen = FrameNumbers()
        self.start: Start | None = None

    def wants(self, message: Message) -> bool:
        """Whether a message is to be handed on; a frame that is counts as seen from then on.

        Raises:
            MessageRefused: it can be no message of the series.
        """
        start, figures = self.start, self._figures
        if start is None:
            if not isinstance(message, Start):
                raise MessageRefused(
                    f"found {'an image' if isinstance(message, Image) else 'an end'} before the beginning of its series"
                )
            self.start = message
            return True
        if message.series != start.series:
            figures.add(foreign=1)
            return False
        if isinstance(message, Start):
            figures.add(duplicates=1)
            return False
        if isinstance(message, End):
            return True
        most = start.frames or min(figures["last"] + 1 + AHEAD, MOST_FRAMES)
        if message.number >= most:
            raise MessageRefused(f"found frame {message.number}; the series has {most}")
        if message.number in self.seen:
            figures.add(duplicates=1)
            return False
        if wrong := fits(message, start):
            raise MessageRefused(f"frame {message.number}: {wrong}")
        self.seen.add(message.number)
        return True
