"""A log that only grows, as files: tiles of digests, bundles of entries, and a signed checkpoint.

    LOG/checkpoint                      the signed state, for everybody
    LOG/tile/0/x001/234[.p/5]           256 digests of entries; of fewer, with their number
    LOG/tile/1/000[.p/5]                256 digests of full tiles below
    LOG/tile/entries/x001/234[.p/5]     the entries, each after its length in two bytes
    STATE                               the last signed state, somewhere else: what must never be signed against

Entries and tiles are on disk before the state says that they were signed, and the state before the checkpoint is published. What was written and not signed
is written again. One process writes at a time.

Source: C2SP tlog-tiles (v1.0.0).
"""

import hashlib
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from provenance import jcs, merkle, notes
from provenance.dsse import Envelope
from provenance.errors import Malformed, ProvenanceError
from provenance.files import write_for_good
from provenance.merkle import HASH_BYTES, RightEdge, leaf_hash
from provenance.notes import Checkpoint, NoteSigner
from provenance.statements import TREE, Statement

WIDTH: Final = 256
MOST_ENTRY_BYTES: Final = 65_535


class LogInconsistent(ProvenanceError):
    """A log is not a continuation of what was signed last; it is not signed again before somebody has looked."""


class LogBusy(ProvenanceError):
    """Another process writes to the log."""


def entry_of(envelope: Envelope, statement: Statement, salt: bytes = b"") -> bytes:
    """What a log says of a statement: commitments, which tell nothing to who has not the statement.

    Args:
        envelope: as it is logged, signatures included.
        statement: what is in it.
        salt: empty for what is public; 32 random bytes for what is not.
    """
    commit = hashlib.sha256(salt + envelope.encoded()).hexdigest()
    roots = [bytes.fromhex(subject.digest[TREE]) for subject in statement.subjects if TREE in subject.digest]
    return jcs.encode(
        {
            "v": 1, "kind": statement.kind, "commit": commit,
            "subj": sorted(hashlib.sha256(salt + root).hexdigest() for root in roots),
        }
    )  # fmt: skip


def tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    """Where a tile is; a level `entries` for bundles."""
    rest, groups = number, [f"{number % 1000:03d}"]
    while rest >= 1000:
        rest //= 1000
        groups.insert(0, f"x{rest % 1000:03d}")
    return f"tile/{level}/{'/'.join(groups)}{'' if width == WIDTH else f'.p/{width}'}"


class TileFiles:
    """The files of a log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, level: int | str, number: int, width: int) -> bytes:
        """A tile of at least so many entries.

        Raises:
            LogInconsistent: it is not there.
        """
        # whatever is there begins with what was signed: unsigned tiles go before others are signed
        for candidate in (width, WIDTH, *range(width + 1, WIDTH)):
            try:
                return (self.folder / tile_path(level, number, candidate)).read_bytes()
            except FileNotFoundError:
                continue
        raise LogInconsistent(f"`{self.folder}/{tile_path(level, number, width)}` is not there")

    def write(self, path: str, data: bytes) -> None:
        """Write a file for good."""
        write_for_good(self.folder / path, data)

    def hashes(self, level: int, begin: int, end: int) -> list[bytes]:
        """Digests `begin` to `end` of a level of tiles."""
        found: list[bytes] = []
        for number in range(begin // WIDTH, -(-end // WIDTH)):
            width = min(WIDTH, end - number * WIDTH)
            data = self.read(level, number, width)[: width * HASH_BYTES]
            if len(data) != width * HASH_BYTES:
                raise LogInconsistent(f"`{tile_path(level, number, width)}` is shorter than it should be")
            found += [data[n : n + HASH_BYTES] for n in range(0, len(data), HASH_BYTES)]
        return found[begin - begin // WIDTH * WIDTH :]

    def entries(self, begin: int, end: int) -> Iterator[bytes]:
        """Entries `begin` to `end`."""
        for number in range(begin // WIDTH, -(-end // WIDTH)):
            width = min(WIDTH, end - number * WIDTH)
            for place, entry in enumerate(unbundled(self.read("entries", number, width))[:width]):
                if number * WIDTH + place >= begin:
                    yield entry

    def edge(self, size: int) -> RightEdge:
        """The right edge of the tree over the first entries, from its tiles: costs a few reads whatever the size."""
        level, count, edge = 0, size, list[bytes]()
        while count:
            full = count - count % WIDTH
            rest = self.hashes(level, full, count)
            edge = [*RightEdge().extended(rest).roots, *edge]
            level, count = level + 1, full // WIDTH
        return RightEdge(size, tuple(edge))

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that an entry is in the tree over the first `size`."""
        return self.inclusions([index], size)[0]

    def inclusions(self, indices: Sequence[int], size: int) -> list[list[bytes]]:
        """The proofs of several entries, which share most of their nodes."""
        nodes = _Nodes(self, size)
        return [nodes.inclusion(index) for index in indices]

    def consistency(self, old: int, size: int) -> list[bytes]:
        """The proof that the first `size` entries begin with the first `old` ones.

        Raises:
            LogInconsistent: there are not so many.
        """
        if not 0 <= old <= size:
            raise LogInconsistent(f"{size} entries do not begin with {old}")
        return _Nodes(self, size).consistency(old)


class _Nodes:
    """Nodes of the tree over the first entries, read from tiles."""

    def __init__(self, tiles: TileFiles, size: int) -> None:
        self._tiles = tiles
        self._size = size
        self._known: dict[tuple[int, int], bytes] = {}

    def root(self, begin: int, end: int) -> bytes:
        """The root over entries `begin` to `end`, which is a subtree."""
        known = self._known.get((begin, end))
        if known is None:
            known = self._known[begin, end] = self._root(begin, end)
        return known

    def _root(self, begin: int, end: int) -> bytes:
        count, level = end - begin, 0
        while (
            count >= WIDTH
            and count % WIDTH == 0
            and begin % WIDTH ** (level + 1) == 0
            and end % WIDTH ** (level + 1) == 0
        ):
            count //= WIDTH
            level += 1
        step = WIDTH**level
        if begin % step == 0 and end % step == 0:
            return merkle.root_of(self._tiles.hashes(level, begin // step, end // step))
        middle = begin + (1 << (end - begin - 1).bit_length() - 1)
        return merkle.node_hash(self.root(begin, middle), self.root(middle, end))

    def inclusion(self, index: int) -> list[bytes]:
        begin, end, proof = 0, self._size, list[bytes]()
        while end - begin > 1:
            middle = begin + (1 << (end - begin - 1).bit_length() - 1)
            if index < middle:
                proof.append(self.root(middle, end))
                end = middle
            else:
                proof.append(self.root(begin, middle))
                begin = middle
        return proof[::-1]

    def consistency(self, old: int) -> list[bytes]:
        begin, end, whole, proof = 0, self._size, True, list[bytes]()
        if old in (0, end):
            return []
        while begin + old < end:  # `old` of the entries from `begin` on
            middle = begin + (1 << (end - begin - 1).bit_length() - 1)
            if begin + old <= middle:
                proof.append(self.root(middle, end))
                end = middle
            else:
                proof.append(self.root(begin, middle))
                old, begin, whole = old - (middle - begin), middle, False
        if not whole:
            proof.append(self.root(begin, end))
        return proof[::-1]


def bundled(entries: Sequence[bytes]) -> bytes:
    """Entries as one file."""
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def unbundled(data: bytes) -> list[bytes]:
    """The entries of a file.

    Raises:
        LogInconsistent: it ends in the middle of one.
    """
    found, place = [], 0
    while place < len(data):
        if place + 2 > len(data):
            raise LogInconsistent("a bundle of entries ends in a length")
        (length,) = struct.unpack_from(">H", data, place)
        if place + 2 + length > len(data):
            raise LogInconsistent("a bundle of entries ends in an entry")
        found.append(data[place + 2 : place + 2 + length])
        place += 2 + length
    return found


def _counts(size: int, levels: int = 1) -> list[tuple[int, int]]:
    """How many digests each level of tiles has; of so many levels at the least."""
    found = [(0, size)]
    while found[-1][1] >= WIDTH or len(found) < levels:
        found.append((found[-1][0] + 1, found[-1][1] // WIDTH))
    return found


class LogWriter:
    """Adds to a log and signs it.

    Args:
        folder: of the log.
        state: the file of the last signed state.
        signer: the log's key; its name is the log's origin.
    """

    def __init__(self, folder: Path, state: Path, signer: NoteSigner) -> None:
        self.tiles = TileFiles(folder)
        self._state = state
        self._signer = signer

    def append(self, entries: Sequence[bytes]) -> tuple[int, Checkpoint]:
        """Add entries, and publish the state with them.

        Returns:
            The index of the first one, and the new state.

        Raises:
            LogBusy: another process writes.
            LogInconsistent: the files are not what was signed last.
            Malformed: an entry is too long.
        """
        too_long = next((len(entry) for entry in entries if len(entry) > MOST_ENTRY_BYTES), None)
        if too_long is not None:
            raise Malformed(
                f"found an entry of {too_long} bytes; {MOST_ENTRY_BYTES} at the most go into a log"
            )
        with self._alone():
            before = self._signed()
            self._publish(before)
            if not entries:
                return before.size, before
            self._clear(before.size)
            after = self._write(before, entries)
            self._commit(before, after)
            self._publish(after)
            self._tidy(before.size, after.size)
            return before.size, after

    def _clear(self, size: int) -> None:
        """Put away what a process wrote that died before it signed: it may be other entries that are signed now."""
        for level, count in self._levels(size):
            number, width = divmod(count, WIDTH)
            whole = self.tiles.folder / tile_path(level, number)
            if (
                width
                and whole.exists()
                and not (self.tiles.folder / tile_path(level, number, width)).exists()
            ):
                data = whole.read_bytes()
                kept = bundled(unbundled(data)[:width]) if level == "entries" else data[: width * HASH_BYTES]
                self.tiles.write(tile_path(level, number, width), kept)
            for file in self._partial(level, number):
                if int(file.name) > width:
                    self._put_away(file)
            while whole.exists() or self._partial(level, number + 1):
                self._put_away(whole)
                number += 1
                whole = self.tiles.folder / tile_path(level, number)
                for file in self._partial(level, number):
                    self._put_away(file)

    def _put_away(self, file: Path) -> None:
        if file.exists():
            aside = self._state.parent / "unsigned" / file.relative_to(self.tiles.folder)
            aside.parent.mkdir(parents=True, exist_ok=True)
            file.replace(aside)

    def _levels(self, size: int, least: int = 1) -> list[tuple[int | str, int]]:
        return [("entries", size), *_counts(size, least)]

    def _tidy(self, before: int, after: int) -> None:
        """Remove the beginnings of tiles that are full and published now."""
        grown = self._levels(after)
        for (level, begun), (_, count) in zip(self._levels(before, len(grown) - 1), grown, strict=True):
            for number in range(begun // WIDTH, count // WIDTH):
                folder = (self.tiles.folder / tile_path(level, number, 1)).parent
                for file in self._partial(level, number):
                    file.unlink()
                if folder.is_dir():
                    folder.rmdir()

    def _partial(self, level: int | str, number: int) -> list[Path]:
        folder = (self.tiles.folder / tile_path(level, number, 1)).parent
        return [file for file in folder.iterdir() if file.name.isdigit()] if folder.is_dir() else []

    def _signed(self) -> Checkpoint:
        """The state that was signed last, compared with the files."""
        try:
            text = self._state.read_text("utf-8")
        except FileNotFoundError:
            if (self.tiles.folder / "checkpoint").exists():
                raise LogInconsistent(
                    f"`{self.tiles.folder}` has a checkpoint, and `{self._state}` does not say what was signed last"
                ) from None
            return Checkpoint(self._signer.name, 0, merkle.EMPTY_ROOT)
        state = notes.checkpoint_of(notes.decoded(text))
        if state.origin != self._signer.name:
            raise LogInconsistent(f"the log is `{state.origin}`, the key is that of `{self._signer.name}`")
        published = self.tiles.folder / "checkpoint"
        if published.exists():
            shown = notes.checkpoint_of(notes.decoded(published.read_text("utf-8")))
            if shown.size > state.size:
                raise LogInconsistent(
                    f"{shown.size} entries are published, and `{self._state}` says that {state.size} were signed last"
                )
        if self.tiles.edge(state.size).root() != state.root:
            raise LogInconsistent(
                f"the first {state.size} entries of `{self.tiles.folder}` are not those that were signed; nothing was added"
            )
        return state

    def _write(self, before: Checkpoint, entries: Sequence[bytes]) -> Checkpoint:
        size = before.size + len(entries)
        edge = self.tiles.edge(before.size)
        begun = before.size - before.size % WIDTH
        kept = list(self.tiles.entries(begun, before.size))
        whole = [*kept, *entries]
        for place in range(0, len(whole), WIDTH):
            part = whole[place : place + WIDTH]
            self.tiles.write(tile_path("entries", (begun + place) // WIDTH, len(part)), bundled(part))
        level, first, added = 0, before.size, [leaf_hash(entry) for entry in entries]
        root = edge.extended(added).root()
        while added or level == 0:
            begun = first - first % WIDTH
            row = [*self.tiles.hashes(level, begun, first), *added]
            for place in range(0, len(row), WIDTH):
                part = row[place : place + WIDTH]
                self.tiles.write(tile_path(level, (begun + place) // WIDTH, len(part)), b"".join(part))
            added = [merkle.root_of(row[n : n + WIDTH]) for n in range(0, len(row) - len(row) % WIDTH, WIDTH)]
            level, first = level + 1, begun // WIDTH
        return Checkpoint(self._signer.name, size, root)

    def _commit(self, before: Checkpoint, after: Checkpoint) -> None:
        """Sign a state; from then on no other of its size is ever signed."""
        if self._signed() != before:
            raise LogInconsistent("another state was signed meanwhile; nothing was signed")
        if self.tiles.edge(after.size).root() != after.root or after.size < before.size:
            raise LogInconsistent("what was written does not read the same; nothing was signed")
        write_for_good(self._state, after.note().signed(self._signer).encoded().encode())

    def _publish(self, state: Checkpoint) -> None:
        """Let everybody see the state; again where a crash came in between."""
        if state.size or self._state.exists():
            signed = self._state.read_bytes()
            published = self.tiles.folder / "checkpoint"
            if not published.exists() or published.read_bytes() != signed:
                write_for_good(published, signed)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        import fcntl  # who only reads logs may have no such module

        self.tiles.folder.mkdir(parents=True, exist_ok=True)
        self._state.parent.mkdir(parents=True, exist_ok=True)
        with self._state.with_name(f"{self._state.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LogBusy(f"another process writes to `{self.tiles.folder}`") from None
            yield


def audited(folder: Path) -> Checkpoint:
    """Read a whole log and compare it with its checkpoint, whose signature is not looked at.

    Raises:
        LogInconsistent: an entry is not there, or not the one that the tiles or the checkpoint have.
        Malformed: the checkpoint is none.
    """
    tiles = TileFiles(folder)
    try:
        state = notes.checkpoint_of(notes.decoded((folder / "checkpoint").read_text("utf-8")))
    except FileNotFoundError:
        raise LogInconsistent(f"`{folder}` has no checkpoint; it is no log, or an empty one") from None
    if tiles.edge(state.size).root() != state.root:
        raise LogInconsistent(f"the tiles of `{folder}` do not lead to the root of its checkpoint")
    for begin in range(0, state.size, WIDTH):
        end = min(begin + WIDTH, state.size)
        found = [leaf_hash(entry) for entry in tiles.entries(begin, end)]
        if found != tiles.hashes(0, begin, end):
            raise LogInconsistent(
                f"an entry of {begin} to {end - 1} of `{folder}` is not the one that was logged"
            )
    if RightEdge().extended(tiles.hashes(0, 0, state.size)).root() != state.root:
        raise LogInconsistent(
            f"the digests of entries in `{folder}` do not lead to the root of its checkpoint"
        )
    return state
