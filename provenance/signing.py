"""Signing what was measured: for detector receivers and data acquisition programs.

from provenance.signing import Acquisition, sign_files
from provenance.keyfiles import FileKey

key = FileKey.load(Path("/etc/beamgrid/eiger.key"))
evidence = sign_files([("/maxiv/data/nanomax/run7.h5", Path("run7.h5"))], Acquisition("nanomax", "eiger2x1m", "run7"), key)
Path("run7.h5.evidence.json").write_bytes(evidence.encoded())
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provenance.blocks import BlockTree, tree_of
from provenance.dsse import Signer
from provenance.evidence import Evidence
from provenance.statements import TREE, Statement, Subject

_PIECE: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What an instrument says of data beside their digests; empty and None for what it does not say."""

    beamline: str
    instrument: str
    stream_id: str
    visit: str = ""
    serial: str = ""
    firmware: str = ""
    frames: int | None = None


def now() -> str:
    """The time as statements have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def read_file(file: Path) -> tuple[BlockTree, str]:
    """The block tree of a file and its SHA-256, in one pass."""
    digest = hashlib.sha256()

    def pieces() -> Iterator[memoryview]:
        buffer = memoryview(bytearray(_PIECE))
        with file.open("rb", buffering=0) as opened:
            while count := opened.readinto(buffer):
                digest.update(buffer[:count])
                yield buffer[:count]

    return tree_of(pieces()), digest.hexdigest()


def sign_files(
    files: Sequence[tuple[str, Path]],
    said: Acquisition,
    key: Signer,
    *,
    actor: str = "",
    at: str = "",
    also: Sequence[Signer] = (),
) -> Evidence:
    """State that an instrument made files.

    Args:
        files: logical path and file of each.
        said: what the instrument says.
        key: of the instrument.
        actor: what signs; the key id without.
        at: the time; now without.
        also: further keys that sign.

    Returns:
        The statement and the trees; who hands it on adds root and records of keys.
    """
    predicate: dict[str, object] = {"time": at or now(), "actor": actor or key.keyid}
    for name in ("beamline", "instrument", "stream_id", "visit", "serial", "firmware", "frames"):
        value = getattr(said, name)
        if value not in ("", None):
            predicate[name] = value
    return _signed("acquisition", files, predicate, (key, *also))


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody says of how files were made: what was run, and what was read, as logical path and file of each."""

    program: str
    inputs: tuple[tuple[str, Path], ...]


def sign_process(
    files: Sequence[tuple[str, Path]],
    said: Claim,
    key: Signer,
    *,
    actor: str = "",
    at: str = "",
    also: Sequence[Signer] = (),
) -> Evidence:
    """State that a program made files from others; by a person it is a claim, and reported as one. Arguments as for `sign_files`."""
    inputs = [{"name": path, "digest": {TREE: read_file(file)[0].root.hex()}} for path, file in said.inputs]
    predicate = {"time": at or now(), "actor": actor or key.keyid, "command": said.program, "inputs": inputs}
    return _signed("process", files, predicate, (key, *also))


def _signed(
    kind: str, files: Sequence[tuple[str, Path]], predicate: Mapping[str, object], keys: Sequence[Signer]
) -> Evidence:
    subjects, trees = [], []
    for path, file in files:
        tree, sha256 = read_file(file)
        trees.append(tree)
        subjects.append(
            Subject(
                path,
                {TREE: tree.root.hex(), "sha256": sha256},
                {"tree": "blocks-1MiB", "bytes": tree.size_bytes},
            )
        )
    return Evidence(
        None, (), (Statement.of(kind, subjects, predicate).envelope().signed(*keys),), tuple(trees)
    )
