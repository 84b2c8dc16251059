"""Having partners witness the zone's log: its latest state is shown to them, and what they sign is kept."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from grid.catalog import journal, statements
from grid.catalog.database import Database
from grid.errors import CatalogBusy, CatalogUnavailable
from provenance import notes
from provenance.errors import ProvenanceError
from provenance.files import write_for_good
from provenance.log import TileFiles
from provenance.witnesses import WitnessPolicy, parse_policy
from provenance.witnessing import WitnessRefused, collected

EVERY_S: Final = 10.0
FORKED: Final = "checkpoint refused"
"""The outbox event that tells of a witness who has seen another history of the log."""

_log = logging.getLogger("beamgrid.evidence")


class Cosigning:
    """Asks witnesses.

    Args:
        database: the zone's catalog.
        folder: of the log.
        witnesses: their addresses.
        policy: the file that says who counts; the keys in it, and no others, are counted.
        is_mine: whether this process writes the log.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        witnesses: Sequence[str],
        policy: Path,
        is_mine: Callable[[], bool],
    ) -> None:
        self._database = database
        self._folder = folder
        self._witnesses = witnesses
        self._policy = policy
        self._is_mine = is_mine
        self._told: set[str] = set()
        self._done = ""

    def run(self, stopping: threading.Event) -> None:
        """Ask whenever there is something new, until told to stop; a witness that is away is asked again."""
        while not stopping.is_set():
            try:
                if self._is_mine():
                    self.step()
            except (CatalogBusy, CatalogUnavailable, ProvenanceError, OSError) as error:
                _log.warning("the log is not shown to witnesses: %s", error)
            stopping.wait(EVERY_S)

    def step(self) -> int:
        """Show the latest state where it was not shown yet; returns how many witnesses signed."""
        checkpoint = self._folder / "checkpoint"
        text = checkpoint.read_text("utf-8") if checkpoint.exists() else ""
        if not text or text == self._done or not self._witnesses:
            return 0
        policy: WitnessPolicy = parse_policy(self._policy.read_text("utf-8"))
        note = notes.decoded(text)
        found, refusals = collected(self._witnesses, TileFiles(self._folder), note)
        self._tell(refusals)
        seen = policy.seen_by(found)
        state = notes.checkpoint_of(note)
        if seen:
            with self._database.write() as tx:
                statements.cosigned(tx, state.origin, state.size, found.encoded(), len(seen))
            write_for_good(self._folder / "cosigned", found.encoded().encode())
        if len(seen) == len(self._witnesses):
            self._done = text
        return len(seen)

    def _tell(self, refusals: Sequence[WitnessRefused]) -> None:
        """Tell of refusals, each once; of a fork in the outbox too, for rules and people."""
        for refusal in refusals:
            if str(refusal) in self._told:
                continue
            self._told.add(str(refusal))
            _log.log(logging.ERROR if refusal.is_fork else logging.WARNING, "%s", refusal)
            if refusal.is_fork:
                with self._database.write() as tx:
                    journal.record_event(tx, FORKED, 0, "", "sequencer", {"reason": str(refusal)})
