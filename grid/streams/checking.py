"""The files of a stream, judged from their own bytes: every frame against its leaf, the leaves against the root, the notes against each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from grid.streams.datafile import stored_frames
from grid.streams.errors import StreamFailed
from grid.streams.journal import Fate
from provenance import merkle
from provenance.errors import ProvenanceError
from provenance.frames import MISSING, batch_of, frame_leaf, note_digest
from provenance.notes import decoded


@dataclass(frozen=True, slots=True)
class CheckedStream:
    """What was found of one detector.

    Attributes:
        root: of the tree over its frames, in hexadecimal digits, as the instrument's statement names it.
        fates: how many frames there are of each.
        wrong: what is not as it came.
    """

    detector: str
    stream_id: str
    root: str
    frames: int
    fates: dict[str, int]
    batches: int
    wrong: tuple[str, ...]


def check_file(path: Path) -> list[CheckedStream]:
    """Check a file that joins frames, and the data files beside it.

    Raises:
        StreamFailed: it is none.
    """
    try:
        with h5py.File(path, "r") as file:
            groups = [item for name, item in file["/entry"].items() if name.startswith("stream_")]
            if not groups:
                raise StreamFailed(f"`{path}` has no frames of streams")
            return [_stream(path, file, group) for group in groups]
    except (OSError, KeyError) as error:
        raise StreamFailed(f"`{path}` joins no frames of streams, or is not whole: {error}") from error


def _stream(path: Path, file: Any, group: Any) -> CheckedStream:
    detector = group.name.rpartition("/")[2].removeprefix("stream_")
    stream_id = group["stream_id"][()].decode()
    leaves = [one.tobytes() for one in group["leaf"][...]]
    fates = [Fate(int(one)) for one in group["fate"][...]]
    wrong: list[str] = []
    found: set[int] = set()
    for name in sorted(_files(file[f"/entry/instrument/{detector}"])):
        try:
            for number, leaf in stored_frames(path.parent / name, stream_id):
                found.add(number)
                if number >= len(leaves) or leaves[number] != leaf:
                    wrong.append(f"frame {number} in {name} is not what came")
        except (OSError, KeyError) as error:
            wrong.append(f"{name} cannot be read: {error}")
    for number, fate in enumerate(fates):
        if (fate is Fate.STORED) != (number in found):
            wrong.append(
                f"frame {number} is said to be {fate.name.lower()}, and is {'there' if number in found else 'not there'}"
            )
        if (fate is Fate.MISSING) != (leaves[number] == frame_leaf(stream_id, number, b"", MISSING)):
            wrong.append(f"the leaf of frame {number} is none of a frame that is {fate.name.lower()}")
    notes = [decoded(one.decode()) for one in group["batch_notes"][...]] if "batch_notes" in group else []
    wrong += list(_notes(notes, stream_id))
    counts = {fate.name.lower(): fates.count(fate) for fate in Fate if fate in fates}
    return CheckedStream(
        detector, stream_id, merkle.root_of(leaves).hex(), len(leaves), counts, len(notes), tuple(wrong)
    )


def _files(detector: Any) -> set[str]:
    """The data files that a detector's frames lie in."""
    return {
        source.file_name for name, item in detector.items()
        if (name == "data" or name.startswith("data_")) and item.is_virtual for source in item.virtual_sources()
    }  # fmt: skip


def _notes(notes: list[Any], stream_id: str) -> Iterator[str]:
    """What is wrong with the chain of notes; whose signatures they have is judged with the instrument's statement."""
    previous: bytes | None = None
    for number, note in enumerate(notes):
        try:
            batch = batch_of(note)
        except ProvenanceError as error:
            yield f"batch {number}: {error}"
            continue
        if (batch.stream_id, batch.sequence) != (stream_id, number) or (
            previous is not None and batch.previous != previous
        ):
            yield f"batch {number} does not follow the one before it"
        previous = note_digest(note)
