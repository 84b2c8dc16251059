"""A witness of others' logs over HTTP, and how a log asks its witnesses.

A witness signs that it has seen a state of a log, and never one that does not continue what it signed before. It keeps what it saw last of each log, on disk
before it answers. What it refuses because a log was forked is kept too, in `refused`, with the two states that contradict each other.

Source: C2SP tlog-witness (`add-checkpoint`), tlog-cosignature.
"""

import base64
import binascii
import hashlib
import json
import os
import re
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from provenance import merkle, notes
from provenance.errors import Malformed, ProofRefused, ProvenanceError
from provenance.files import write_for_good
from provenance.keyfiles import FileKey, PublicKey
from provenance.log import LogInconsistent, TileFiles
from provenance.notes import Checkpoint, Note, NoteSignature
from provenance.witnesses import WitnessPolicy, cosignature, parse_policy, vkey

MOST_BYTES: Final = 1 << 16
MOST_PROOF: Final = 63
TIMEOUT_S: Final = 10.0
SIZE_TYPE: Final = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a witness says: the HTTP status, and a text."""

    status: int
    text: str
    kind: str = "text/plain; charset=utf-8"


class WitnessService:
    """A witness of some logs.

    Args:
        folder: where it keeps what it saw last.
        key: the witness's own.
        logs: origin to public key of each log that it watches.
    """

    def __init__(self, folder: Path, key: FileKey, logs: Mapping[str, PublicKey]) -> None:
        self._folder = folder
        self._key = key
        self._logs = logs
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def add_checkpoint(self, body: bytes, now: int) -> Answer:
        """Cosign a state of a log that continues what was signed before.

        Args:
            body: `old SIZE`, the digests of a consistency proof, an empty line, and the checkpoint.
            now: the time, in seconds since 1970.

        Returns:
            200 with a signature line; 400 what cannot be read; 403 not signed by its log; 404 a log that is not watched; 409 another size was signed
            last, which is told; 422 not a continuation.
        """
        try:
            old, proof, note = _request(body)
            state = notes.checkpoint_of(note)
        except ProvenanceError as error:
            return Answer(400, f"{error}\n")
        known = self._logs.get(state.origin)
        if known is None:
            return Answer(404, f"the log `{state.origin[:200]}` is not watched here\n")
        keyid = known.keyid(state.origin)
        if not note.valid(
            lambda one, data: (
                one.keyid == keyid and one.name == state.origin and known.verifies(one.sig, data)
            )
        ):
            return Answer(403, "the checkpoint is not signed by its log\n")
        if old > state.size:
            return Answer(400, f"`old` is {old}, and the checkpoint has {state.size} entries\n")
        with self._lock:
            return self._add(old, proof, state, note, now)

    def _add(self, old: int, proof: Sequence[bytes], state: Checkpoint, note: Note, now: int) -> Answer:
        seen = self._seen(state.origin)
        if old != seen.size:
            return Answer(409, f"{seen.size}\n", SIZE_TYPE)
        try:
            merkle.check_consistency(old, state.size, seen.root, state.root, proof)
        except ProofRefused as error:
            self._refused(seen, state, note)
            if old == state.size:
                return Answer(409, f"{seen.size}\n", SIZE_TYPE)
            return Answer(
                422, f"this is no continuation of the {seen.size} entries that were seen: {error}\n"
            )
        # kept before it is told: never is a smaller or another state signed after a crash
        write_for_good(self._file(state.origin), Note(note.text).encoded().encode() + b"\n")
        made = cosignature(note.text, now, self._key, self._key.public)
        return Answer(200, Note("", (made,)).encoded().lstrip("\n"))

    def _file(self, origin: str) -> Path:
        return self._folder / f"{hashlib.sha256(origin.encode()).hexdigest()}.seen"

    def _seen(self, origin: str) -> Checkpoint:
        try:
            text = self._file(origin).read_text("utf-8")
        except FileNotFoundError:
            return Checkpoint(origin, 0, merkle.EMPTY_ROOT)
        return notes.checkpoint_of(Note(text.rstrip("\n") + "\n"))

    def _refused(self, seen: Checkpoint, state: Checkpoint, note: Note) -> None:
        """Keep the proof that a log was forked: it signed both."""
        said = {"origin": state.origin, "seen": [seen.size, seen.root.hex()], "given": note.encoded()}
        with (self._folder / "refused").open("a", encoding="utf-8") as opened:
            opened.write(json.dumps(said) + "\n")
            opened.flush()
            os.fsync(opened.fileno())


def _request(body: bytes) -> tuple[int, list[bytes], Note]:
    """The parts of a request.

    Raises:
        Malformed: it is none.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("a request is a text in UTF-8") from error
    head, divided, tail = text.partition("\n\n")
    lines = head.split("\n")
    old = re.fullmatch(r"old (0|[1-9]\d{0,17})", lines[0])
    if old is None or not divided or len(lines) - 1 > MOST_PROOF:
        raise Malformed("a request is `old SIZE`, 63 digests at the most, an empty line and a checkpoint")
    try:
        proof = [base64.b64decode(line, validate=True) for line in lines[1:]]
    except binascii.Error as error:
        raise Malformed(f"a digest of the proof is no base64: {error}") from error
    if any(len(digest) != merkle.HASH_BYTES for digest in proof):
        raise Malformed("a digest of the proof has 32 bytes")
    return int(old[1]), proof, notes.decoded(tail)


class WitnessServer(ThreadingHTTPServer):
    """Answers `POST /add-checkpoint`."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], service: WitnessService) -> None:
        self.service = service
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: WitnessServer
    timeout = TIMEOUT_S

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path != "/add-checkpoint":
            self._say(Answer(404, "there is `POST /add-checkpoint` here, and nothing else\n"))
        elif not length.isdigit() or int(length) > MOST_BYTES:
            self._say(Answer(400, f"a request has a Content-Length of {MOST_BYTES} at the most\n"))
        else:
            self._say(self.server.service.add_checkpoint(self.rfile.read(int(length)), int(time.time())))

    def _say(self, answer: Answer) -> None:
        data = answer.text.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        print(f"{self.address_string()} {format % args}", file=sys.stderr)


class WitnessRefused(ProvenanceError):
    """A witness did not sign; the message says why.

    Attributes:
        is_fork: it has seen another state, which the log signed too.
    """

    def __init__(self, message: str, *, is_fork: bool = False) -> None:
        super().__init__(message)
        self.is_fork = is_fork


def ask(url: str, tiles: TileFiles, note: Note, known_size: int = 0) -> NoteSignature:
    """Ask a witness to sign a state of a log.

    Args:
        url: of the witness.
        tiles: of the log.
        note: the checkpoint, signed by the log.
        known_size: what the witness saw last, as far as one remembers; it says so itself where that is not so.

    Raises:
        WitnessRefused: it did not sign, or did not answer.
    """
    state, old = notes.checkpoint_of(note), known_size
    for _ in range(3):
        status, text = _post(url, _written(old, tiles, state, note))
        if status == 200:
            (found,) = notes.decoded(f"x\n\n{text}").signatures
            return found
        if status != 409 or not text.strip().isdigit():
            raise WitnessRefused(f"{url} answered {status}: {text.strip()[:300]}", is_fork=status == 422)
        size = int(text)
        if size > state.size:
            raise WitnessRefused(
                f"{url} has seen {size} entries of `{state.origin}`, which has {state.size} here",
                is_fork=True,
            )
        if size == old:
            raise WitnessRefused(
                f"{url} has seen another state of `{state.origin}` with {size} entries", is_fork=True
            )
        old = size
    raise WitnessRefused(f"{url} names another size each time")


def _written(old: int, tiles: TileFiles, state: Checkpoint, note: Note) -> bytes:
    proof = tiles.consistency(old, state.size) if old else []
    lines = "".join(f"{base64.b64encode(digest).decode()}\n" for digest in proof)
    return f"old {old}\n{lines}\n{note.encoded()}".encode()


def _post(url: str, body: bytes) -> tuple[int, str]:
    if not url.startswith(("http://", "https://")):
        raise WitnessRefused(
            f"found `{url}` as a witness; an address such as http://witness.example:8080 was expected"
        )
    request = urllib.request.Request(f"{url.rstrip('/')}/add-checkpoint", body, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return int(answer.status), answer.read(MOST_BYTES).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code), error.read(MOST_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise WitnessRefused(f"{url} does not answer: {error}") from error


def collected(urls: Sequence[str], tiles: TileFiles, note: Note) -> tuple[Note, list[WitnessRefused]]:
    """A checkpoint with the cosignatures of those who gave them, and why the others did not."""
    refusals, found = [], note
    for url in urls:
        try:
            made = ask(url, tiles, note)
        except WitnessRefused as error:
            refusals.append(error)
            continue
        found = replace(found, signatures=(*found.signatures, made))
    return found, refusals


def serve_from(folder: Path, key: Path, host: str, port: int, logs: Sequence[str]) -> int:
    """Run a witness until SIGTERM."""
    watched = {}
    for text in logs:
        origin, given, raw = text.partition("=")
        try:
            watched[origin] = PublicKey(bytes.fromhex(raw))
        except ValueError as error:
            raise Malformed(
                f"found --log `{text[:80]}`; ORIGIN=HEX, with the log's public key, was expected"
            ) from error
        if not given:
            raise Malformed(f"found --log `{text[:80]}`; ORIGIN=HEX was expected")
    loaded = FileKey.load(key)
    server = WitnessServer((host, port), WitnessService(folder, loaded, watched))
    print(
        f"witness {loaded.name} on http://{host}:{server.server_address[1]}; in policies: {vkey(loaded.name, loaded.public)}",
        flush=True,
    )
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
    return 0


def cosign_from(folder: Path, urls: Sequence[str], policy: Path) -> int:
    """Have witnesses sign a log's latest state, and keep what they signed beside it, in `cosigned`."""
    wanted: WitnessPolicy = parse_policy(policy.read_text("utf-8"))
    try:
        note = notes.decoded((folder / "checkpoint").read_text("utf-8"))
    except FileNotFoundError:
        raise LogInconsistent(f"`{folder}` has no checkpoint; it is no log, or an empty one") from None
    found, refusals = collected(urls, TileFiles(folder), note)
    for refusal in refusals:
        print(f"beamgrid: {refusal}", file=sys.stderr)
    seen = wanted.seen_by(found)
    write_for_good(folder / "cosigned", found.encoded().encode())
    print(
        f"{notes.checkpoint_of(note).origin}: {notes.checkpoint_of(note).size} entries, seen by {', '.join(sorted(seen)) or 'nobody'}"
    )
    if any(refusal.is_fork for refusal in refusals):
        return 40
    return 0 if wanted.is_enough(seen) else 20
