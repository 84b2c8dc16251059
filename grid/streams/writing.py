"""The stages that put frames where users read them: into data files, and closed files into the zone once they were read again."""

from collections.abc import Callable, Sequence

from grid.streams.datafile import Row
from grid.streams.figures import Figures
from grid.streams.journal import COUNTED, Entry, Fate, Journal
from grid.streams.messages import Image, Start
from grid.streams.parts import Part, Parts
from grid.streams.passing import Arrived
from grid.streams.spool import Spool


class Writing:
    """Writes frames into their data files. `write` and `flush` are for one thread, `close` for another.

    Args:
        parts, spool, journal: where frames are.
        figures: counts.
        stored: is told of frames that are in a file, several at a time.
    """

    def __init__(
        self, parts: Parts, spool: Spool, journal: Journal, figures: Figures, stored: Callable[[Sequence[Image]], None]
    ) -> None:  # fmt: skip
        self._parts = parts
        self._spool = spool
        self._journal = journal
        self._figures = figures
        self._tell = stored

    def write(self, batch: Sequence[Arrived], start: Start) -> int:
        """Write frames of one file, and note what became of each; returns how many had a place."""
        rows = [
            Row(one.image, one.leaf) for one in batch if one.fate is Fate.STORED and one.image is not None
        ]
        if rows:
            part = next(one.part for one in batch if one.fate is Fate.STORED)
            assert part is not None, "what is stored has a file"
            self._parts.write(part, start, rows)
        fates = [(one.image, one.fate, one.leaf) for one in batch if one.image is not None]
        self._journal.add([Entry(image.number, fate, leaf) for image, fate, leaf in fates])
        for image, fate, _ in fates:
            if fate is Fate.DAMAGED:
                data = b"".join(bytes(one.data) for one in image.channels.values())
                self._journal.add_damaged(image.number, data)
        self._figures.add(**{name: sum(one.fate is fate for one in batch) for fate, name in COUNTED.items()})
        if rows:
            self._tell([row.image for row in rows])
        return sum(one.fate is not Fate.DROPPED for one in batch)

    def close(self, part: Part) -> None:
        """A file that is complete: compared with what came, made an object, its spool dropped.

        Raises:
            StreamFailed, GridError: as `Parts.close`.
        """
        self._journal.sync()
        self._parts.close(part)
        self._spool.drop(part.number)
