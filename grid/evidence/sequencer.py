"""The process that signs and logs: elected by lease, so that there is one at a time.

What the outbox asks for is signed, kept in the catalog with a promise of the log, appended to the log in a batch each second, and noted as logged. Whatever
was begun and not finished when a process died is found again: the catalog says what was signed, the log which of that it has.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from grid.catalog import statements, trees
from grid.catalog.database import Database
from grid.catalog.statements import SEQUENCER, MadeStatement, WantedStatement
from grid.errors import CatalogBusy, CatalogUnavailable, GridError
from grid.evidence.building import Builder, NotSignable, TreeMissing, written_time
from grid.evidence.signers import NoKey, ServiceKeys
from grid.namespace import steps
from provenance import dsse, promises
from provenance.blocks import BlockTree
from provenance.errors import Malformed, ProvenanceError
from provenance.log import MOST_ENTRY_BYTES, LogBusy, LogWriter, entry_of
from provenance.merkle import leaf_hash
from provenance.statements import read

BATCH: Final = 1000
EVERY_S: Final = 1.0
_ELECT_EVERY_S: Final = 5.0
_LOOK_AGAIN_S: Final = 2.0
_MOST_TOLD: Final = 1000

_log = logging.getLogger("beamgrid.evidence")


class Sequencer:
    """Signs and logs what the zone states.

    Args:
        database: the zone's catalog.
        zone: its name.
        keys: of its services.
        folder: of the log.
        state: the file of the log's last signed state.
        lease_id: of this process.
        make_tree: reads an object's content and makes its tree; None where the object is gone or cannot be read now.
        is_public: whether what lies at a path is for everybody, so that the log need not hide what it commits to.
    """

    def __init__(
        self,
        database: Database,
        zone: str,
        keys: ServiceKeys,
        folder: Path,
        state: Path,
        lease_id: int,
        make_tree: Callable[[int], BlockTree | None],
        is_public: Callable[[str], bool],
    ) -> None:
        self._database = database
        self._zone = zone
        self._keys = keys
        self._folder = folder
        self._state = state
        self._lease_id = lease_id
        self._make_tree = make_tree
        self._is_public = is_public
        self._elected_at = -_ELECT_EVERY_S
        self._mine = False
        self._told: set[str] = set()
        self._waits: dict[int, float] = {}
        self._without_tree: set[int] = set()

    @property
    def is_mine(self) -> bool:
        """Whether this process has the duty."""
        return self._mine

    def run(self, stopping: threading.Event) -> None:
        """Work until told to stop; a catalog that is away is waited for."""
        while not stopping.is_set():
            pause = EVERY_S
            try:
                if self.step() >= BATCH:
                    pause = 0.0
            except (CatalogBusy, CatalogUnavailable, LogBusy) as error:
                _log.warning("statements wait: %s", error)
            except (GridError, ProvenanceError, NoKey, OSError) as error:
                self._tell(f"nothing is signed before somebody has looked: {error}", logging.ERROR)
            stopping.wait(pause)

    def step(self) -> int:
        """Sign and log one batch; returns how many statements were signed."""
        if time.monotonic() - self._elected_at > _ELECT_EVERY_S:
            self._elect()
        if not self._mine:
            return 0
        count = self._sign()
        self._append()
        return count

    def _elect(self) -> None:
        self._keys.reload()
        self._elected_at = time.monotonic()
        if "log" not in self._keys.roles:
            self._mine = False
            return
        with self._database.write(durable=False) as tx:
            elected = statements.elect(tx, SEQUENCER, self._lease_id)
        if elected and not self._mine:
            _log.info("this process signs what the zone states")
        self._mine = elected

    def _tell(self, text: str, level: int = logging.WARNING) -> None:
        """Log something once, however often it is so."""
        if text not in self._told:
            if len(self._told) >= _MOST_TOLD:
                self._told.clear()
            self._told.add(text)
            _log.log(level, "%s", text)

    # -- signing ---------------------------------------------------------------------------------------------

    def _sign(self) -> int:
        """Sign what was asked for, past what cannot be signed yet."""
        builder, after, signed = None, 0, 0
        while signed < BATCH:
            with self._database.read() as tx:
                asked = statements.wanted(tx, after=after, limit=BATCH)
            if not asked:
                break
            if builder is None:
                self._keys.reload()  # a key that was issued or revoked a moment ago counts
                if self._keys.authority is None:
                    return 0
                builder = Builder(self._zone, self._keys.authority)
            after = asked[-1].id
            made = [one for one in (self._made(builder, wanted) for wanted in asked) if one is not None]
            if made:
                steps.reached("statement.claim.before")
                with self._database.write() as tx:
                    if not statements.has_duty(tx, SEQUENCER, self._lease_id):
                        self._mine = False
                        return signed
                    statements.claim(tx, made, self._lease_id)
                for one in made:
                    self._waits.pop(one.wanted.id, None)
                steps.reached("statement.claim.after")
            signed += len(made)
        return signed

    def _made(self, builder: Builder, wanted: WantedStatement) -> MadeStatement | None:
        """A statement, signed; None where it has to wait."""
        if self._waits.get(wanted.id, 0.0) > time.monotonic():
            return None
        paths = [one.path for one in wanted.subjects]
        try:
            key = self._keys.for_statement(wanted.kind, paths, written_time(wanted.asked_at))
            with self._database.read() as tx:
                statement = builder.statement(tx, wanted, key.name)
        except (NoKey, TreeMissing) as error:
            if isinstance(error, TreeMissing):
                self._without_tree.add(error.data_id)
            self._tell(f"statements wait: {error}")
            self._waits[wanted.id] = time.monotonic() + _LOOK_AGAIN_S
            return None
        except (NotSignable, Malformed) as error:
            _log.warning("not signed: %s", error)
            return MadeStatement(wanted, None, reason=str(error))
        salt = b"" if all(self._is_public(path) for path in paths) else secrets.token_bytes(32)
        envelope = statement.envelope().signed(key)
        leaf = leaf_hash(entry_of(envelope, statement, salt))
        until = written_time(time.time() + promises.MOST_DELAY_S)
        promise = promises.promised(leaf, until, self._keys.for_log(written_time(time.time())))
        return MadeStatement(wanted, envelope.encoded(), salt, promise.encoded())

    # -- logging ---------------------------------------------------------------------------------------------

    def _append(self) -> None:
        with self._database.read() as tx:
            waiting = statements.signed(tx, limit=BATCH)
        if not waiting:
            return
        signer = self._keys.for_log(written_time(time.time()))
        writer = LogWriter(self._folder, self._state, signer)
        entries, kept = [], []
        for number, encoded, salt in waiting:
            envelope = dsse.decoded(encoded)
            entry = entry_of(envelope, read(envelope), salt)
            if len(entry) > MOST_ENTRY_BYTES:
                self._refuse(
                    number,
                    f"its entry would have {len(entry)} bytes, and {MOST_ENTRY_BYTES} at the most go into a log",
                )
                continue
            entries.append(entry)
            kept.append(number)
        if not kept:
            return
        there = self._in_the_log(writer, signer.name)
        new = [entry for entry in entries if entry not in there]
        steps.reached("statement.log.before")
        first, state = writer.append(new)
        steps.reached("statement.log.after")
        places = {**there, **{entry: first + number for number, entry in enumerate(new)}}
        self._note(writer, signer.name, [(row, places[entry]) for row, entry in zip(kept, entries, strict=True)], state.size)  # fmt: skip

    def _refuse(self, number: int, reason: str) -> None:
        """Keep a statement out of the log, so that those behind it get in."""
        _log.warning("statement %d is not logged: %s", number, reason)
        with self._database.write() as tx:
            statements.refuse(tx, number, reason)

    def _in_the_log(self, writer: LogWriter, origin: str) -> dict[bytes, int]:
        """Entries that the log has and the catalog does not know: of a process that died in between."""
        with self._database.read() as tx:
            known = statements.logged_size(tx, origin)
        size, _ = writer.append([])
        return {entry: known + number for number, entry in enumerate(writer.tiles.entries(known, size))}

    def _note(self, writer: LogWriter, origin: str, places: Sequence[tuple[int, int]], size: int) -> None:
        proofs = writer.tiles.inclusions([index for _, index in places], size)
        note = (self._folder / "checkpoint").read_text("utf-8")
        with self._database.write() as tx:
            statements.keep_logged(
                tx, origin, size, note,
                [(number, index, b"".join(proof)) for (number, index), proof in zip(places, proofs, strict=True)],
            )  # fmt: skip
        steps.reached("statement.noted.after")

    # -- trees -----------------------------------------------------------------------------------------------

    def make_trees(self, stopping: threading.Event) -> None:
        """Make the trees that statements wait for, one after the other, until told to stop."""
        while not stopping.is_set():
            try:
                made = self.make_missing_trees() if self._mine else 0
            except (CatalogBusy, CatalogUnavailable) as error:
                _log.warning("trees wait: %s", error)
                made = 0
            if not made:
                stopping.wait(EVERY_S)

    def make_missing_trees(self) -> int:
        """Make the trees that statements wait for; returns how many."""
        made = 0
        for data_id in sorted(self._without_tree):
            self._without_tree.discard(data_id)  # who still lacks it is put in again
            with self._database.read() as tx:
                version = statements.version_of(tx, data_id)
            if version is not None:
                made += self._tree_of(data_id, version)
        return made

    def _tree_of(self, data_id: int, version: int) -> bool:
        with self._database.read() as tx:
            if trees.of_object(tx, data_id) is not None or statements.version_of(tx, data_id) != version:
                return False
        tree = self._make_tree(data_id)
        if tree is None:
            return False
        with self._database.write() as tx:
            if statements.version_of(tx, data_id) == version:
                trees.save(tx, data_id, tree)
        return True
