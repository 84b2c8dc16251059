"""What the processes of a zone share about a tape library, and what a library keeps of it in memory."""

import itertools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from resources.tape.media import Entry, Media
from resources.tape.scheduler import Waiting, Wanted

ACTIVE: Final = ("queued", "mounting", "positioning", "reading")
"""States of a request that is not over."""
OVER: Final = ("done", "failed", "rejected", "cancelled")


@dataclass(frozen=True, slots=True)
class Cartridge:
    """A cartridge as the library knows it.

    `condition` is `good`, `full`, `protected`, `lost` or `repacking`; `bad_blocks` are byte positions.
    """

    label: str
    capacity_bytes: int
    used_bytes: int = 0
    deleted_bytes: int = 0
    mounts: int = 0
    condition: str = "good"
    bad_blocks: tuple[int, ...] = ()

    @property
    def is_readable(self) -> bool:
        return self.condition != "lost"

    @property
    def is_writable(self) -> bool:
        return self.condition == "good" and self.used_bytes < self.capacity_bytes


@dataclass(frozen=True, slots=True)
class Landed:
    """A file on the library's disk that is not on a cartridge yet."""

    file_id: str
    name: str
    place: str
    size: int
    since: float


@dataclass(frozen=True, slots=True)
class Request:
    """A recall. Times are the library's, in seconds since 1970, 0 where there is none yet.

    `estimate_at` is when it was expected to be done, as said when it was asked for; `mounts_before` and
    `mounts_at_start` are how many mounts the library had made when it was asked for, and before its own mount.
    """

    id: int
    file_id: str
    name: str
    cartridge: str
    start: int
    size: int
    user: str
    priority: int
    state: str
    reason: str
    requested_at: float
    mounts_before: int
    estimate_at: float
    started_at: float = 0.0
    finished_at: float = 0.0
    pin_until: float = 0.0
    mounts_at_start: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody asks of the library; `pin_s` is how long the file stays on disk after it arrived."""

    user: str = ""
    priority: int = 5
    pin_s: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Moment:
    """How the drives and the robot are; `at` is the library's time."""

    at: float
    mounts: int
    drives: tuple[Mapping[str, object], ...]
    robot: str


class TapeState(Protocol):
    """Shared by all processes; every call is atomic."""

    def cartridges(self) -> list[Cartridge]:
        """By label."""

    def save_cartridge(self, cartridge: Cartridge) -> None:
        """Add one, or replace all that is known of it."""

    def change_cartridge(self, label: str, changes: Mapping[str, Any], *, only_if: str = "") -> bool:
        """Change attributes of a cartridge and leave the others as they are; False when there is none.

        Args:
            label: which.
            changes: attribute of `Cartridge` to value.
            only_if: the condition it has to be in; any without.
        """

    def landed(self, limit: int) -> list[Landed]:
        """Files that wait to be written, the oldest first."""

    def written(self, entries: Sequence[Entry], swap: Callable[[Landed, Entry], bool], now: float) -> None:
        """Record verified files; `swap` takes the disk copy away, and says no when it is not the same any more.

        Durable before the first disk copy goes; recorded ones may be told again.
        """

    def entry(self, file_id: str) -> Entry | None:
        """Where a file is; None when it is on no cartridge."""

    def entries(self, cartridge: str) -> list[Entry]:
        """The files on a cartridge that are still wanted, by position."""

    def forget(self, file_ids: Iterable[str]) -> None:
        """Files that nobody wants any more; their bytes stay until the cartridge is repacked."""

    def moved(self, entries: Sequence[Entry]) -> None:
        """Files are on another cartridge, or at another position, now."""

    def damaged(self, file_ids: Iterable[str], reason: str) -> None:
        """Files cannot be read any more; their other copies have to do."""

    def ask(self, file_id: str, ask: Ask, now: float, estimate: Callable[[], float]) -> Request:
        """Queue a recall; one that the same user has waiting already is given back."""

    def request(self, request_id: int) -> Request | None: ...

    def requests(self, states: Sequence[str], *, user: str = "", limit: int = 1000) -> list[Request]:
        """The oldest first."""

    def waiting(self) -> list[Waiting]:
        """What is queued, by cartridge; costs nothing with the number of requests."""

    def ahead(self, request: Request) -> int:
        """How many queued requests of its cartridge lie before one, by position."""

    def wave(self, cartridge: str) -> list[Wanted]:
        """Everything that is queued for a cartridge."""

    def progress(self, request_ids: Sequence[int], state: str, *, reason: str = "", now: float = 0.0) -> None:
        """Requests have come to another state; those that are over stay as they are."""

    def is_pinned(self, file_id: str, now: float) -> bool:
        """Whether a recalled file has to stay on disk: it is pinned, or somebody waits for it."""

    def mounts(self) -> int:
        """How many mounts the library has made."""

    def mounted(self, cartridge: str) -> None:
        """Count a mount."""

    def show(self, moment: Moment) -> None:
        """Let others see how the drives are."""


@dataclass(slots=True)
class MemoryTapeState:
    """The state of a library that one process has to itself: for tests, simulations, and after a rebuild."""

    _cartridges: dict[str, Cartridge] = field(default_factory=dict)
    _landed: dict[str, Landed] = field(default_factory=dict)
    _entries: dict[str, Entry] = field(default_factory=dict)
    _requests: dict[int, Request] = field(default_factory=dict)
    _pin_s: dict[int, float] = field(default_factory=dict)
    _mounts: int = 0
    moment: Moment | None = None
    lost: dict[str, str] = field(default_factory=dict)
    _ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def cartridges(self) -> list[Cartridge]:
        return sorted(self._cartridges.values(), key=lambda c: c.label)

    def save_cartridge(self, cartridge: Cartridge) -> None:
        self._cartridges[cartridge.label] = cartridge

    def change_cartridge(self, label: str, changes: Mapping[str, Any], *, only_if: str = "") -> bool:
        with self._lock:
            known = self._cartridges.get(label)
            if known is None or only_if not in ("", known.condition):
                return False
            self._cartridges[label] = replace(known, **changes)
            return True

    def land(self, landed: Landed) -> None:
        """A file has come to the library's disk."""
        with self._lock:
            self._landed[landed.file_id] = landed

    def landed(self, limit: int) -> list[Landed]:
        with self._lock:
            return sorted(self._landed.values(), key=lambda one: one.since)[:limit]

    def written(self, entries: Sequence[Entry], swap: Callable[[Landed, Entry], bool], now: float) -> None:
        with self._lock:
            for entry in entries:
                landed = self._landed.pop(entry.file_id, None)
                if landed is not None and swap(landed, entry):
                    self._entries[entry.file_id] = entry

    def entry(self, file_id: str) -> Entry | None:
        return self._entries.get(file_id)

    def entries(self, cartridge: str) -> list[Entry]:
        with self._lock:
            found = [entry for entry in self._entries.values() if entry.cartridge == cartridge]
        return sorted(found, key=lambda entry: entry.start)

    def forget(self, file_ids: Iterable[str]) -> None:
        with self._lock:
            for file_id in file_ids:
                self._landed.pop(file_id, None)
                gone = self._entries.pop(file_id, None)
                if gone is not None and gone.cartridge in self._cartridges:
                    known = self._cartridges[gone.cartridge]
                    self.save_cartridge(replace(known, deleted_bytes=known.deleted_bytes + gone.size))

    def moved(self, entries: Sequence[Entry]) -> None:
        with self._lock:
            self._entries.update(
                {entry.file_id: entry for entry in entries if entry.file_id in self._entries}
            )

    def damaged(self, file_ids: Iterable[str], reason: str) -> None:
        with self._lock:
            for file_id in file_ids:
                self._entries.pop(file_id, None)
                self.lost[file_id] = reason

    def ask(self, file_id: str, ask: Ask, now: float, estimate: Callable[[], float]) -> Request:
        with self._lock:
            for known in self._requests.values():
                if known.file_id == file_id and known.user == ask.user and known.state in ACTIVE:
                    return known
            entry = self._entries.get(file_id)
            state, reason = ("queued", "") if entry else ("rejected", f"`{file_id}` is on no cartridge")
            made = Request(
                next(self._ids), file_id, entry.name if entry else "", entry.cartridge if entry else "",
                entry.start if entry else 0, entry.size if entry else 0, ask.user, ask.priority, state, reason, now,
                self._mounts, estimate() if entry else 0.0, finished_at=0.0 if entry else now,
            )  # fmt: skip
            self._requests[made.id] = made
            self._pin_s[made.id] = ask.pin_s
            return made

    def request(self, request_id: int) -> Request | None:
        return self._requests.get(request_id)

    def requests(self, states: Sequence[str], *, user: str = "", limit: int = 1000) -> list[Request]:
        with self._lock:
            found = [r for r in self._requests.values() if r.state in states and user in ("", r.user)]
        return sorted(found, key=lambda r: r.id)[:limit]

    def waiting(self) -> list[Waiting]:
        with self._lock:
            by_cartridge: dict[str, list[Request]] = {}
            for one in self._requests.values():
                if one.state == "queued":
                    by_cartridge.setdefault(one.cartridge, []).append(one)
        return [summed_up(label, found) for label, found in sorted(by_cartridge.items())]

    def ahead(self, request: Request) -> int:
        return sum(
            one.state == "queued" and one.cartridge == request.cartridge and one.start < request.start
            for one in self._requests.values()
        )

    def wave(self, cartridge: str) -> list[Wanted]:
        with self._lock:
            return [
                wanted(one)
                for one in self._requests.values()
                if one.state == "queued" and one.cartridge == cartridge
            ]

    def progress(self, request_ids: Sequence[int], state: str, *, reason: str = "", now: float = 0.0) -> None:
        with self._lock:
            for request_id in request_ids:
                known = self._requests[request_id]
                if known.state in OVER:
                    continue
                changed = replace(known, state=state, reason=reason)
                if state == "mounting":
                    changed = replace(changed, started_at=now, mounts_at_start=self._mounts)
                if state in OVER:
                    changed = replace(changed, finished_at=now)
                if state == "done":
                    changed = replace(changed, pin_until=now + self._pin_s[request_id])
                self._requests[request_id] = changed

    def is_pinned(self, file_id: str, now: float) -> bool:
        with self._lock:
            return any(
                one.file_id == file_id
                and (one.state in ACTIVE or (one.state == "done" and one.pin_until > now))
                for one in self._requests.values()
            )

    def mounts(self) -> int:
        return self._mounts

    def mounted(self, cartridge: str) -> None:
        with self._lock:
            self._mounts += 1
            known = self._cartridges.get(cartridge)
            if known is not None:
                self.save_cartridge(replace(known, mounts=known.mounts + 1))

    def show(self, moment: Moment) -> None:
        self.moment = moment


def wanted(one: Request) -> Wanted:
    """A request as the scheduler sees it."""
    return Wanted(
        one.id,
        one.cartridge,
        one.start,
        one.size,
        one.user,
        one.priority,
        one.requested_at,
        one.mounts_before,
    )


def summed_up(cartridge: str, requests: Sequence[Request]) -> Waiting:
    """What waits for one cartridge."""
    users: dict[str, int] = {}
    for one in requests:
        users[one.user] = users.get(one.user, 0) + 1
    return Waiting(
        cartridge, len(requests), sum(r.size for r in requests), min(r.requested_at for r in requests),
        min(r.mounts_before for r in requests), max(r.priority for r in requests), users,
    )  # fmt: skip


def rebuilt(media: Media) -> tuple[list[Cartridge], list[Entry]]:
    """What cartridges and their indexes alone say: the latest writing of each file counts."""
    cartridges, latest = [], {}
    for label in media.labels():
        used = media.used(label)
        cartridges.append(Cartridge(label, media.capacity(label), used))
        for entry in media.index(label):
            latest[entry.file_id] = entry
    return cartridges, list(latest.values())
