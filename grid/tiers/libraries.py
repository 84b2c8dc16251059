"""Tape libraries as a zone has them: their settings in a resource's context string, their state in the catalog."""

import threading
import time
from dataclasses import dataclass
from typing import Any, Final

from grid.catalog import tape
from grid.catalog.database import Database
from grid.catalog.tape_state import CatalogTapeState, Over
from grid.model import Resource
from resources import context
from resources.tape import DriveModel, RealClock
from resources.tape.driver import TapeDriver
from resources.tape.drives import Settings, estimate_s
from resources.tape.media import Media
from resources.tape.state import Ask, Request

KNOWN: Final[dict[str, context.Kind]] = {
    **{name: kind for name, kind in context.COMMON.items() if name not in ("max_rate", "max_open", "attempts")},
    "drives": "count", "cartridges": "count", "capacity": "bytes", "clock_factor": "number", "patience": "count",
    "batch": "bytes", "batch_age": "seconds", "container": "bytes", "recalled": "bytes", "wave": "seconds",
    "library": "path", "open": ("ask", "wait"), "wait": "seconds", "pin": "seconds", "stream_rate": "bytes",
    "locate_speed": "number", "locate_overhead": "seconds", "load": "seconds", "unload": "seconds",
    "exchange": "seconds", "file_mark": "seconds", "length": "number", "wraps": "count",
}  # fmt: skip
"""What a tape resource's context string may say."""

_REFUSED: Final = dict.fromkeys(
    ("max_rate", "max_open", "attempts"),
    "the drives of a library set its pace; `drives`, `stream_rate` and the like say how",
)

_MODEL: Final = (
    "stream_rate", "locate_speed", "locate_overhead", "load", "unload", "exchange", "file_mark", "length", "wraps",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LibrarySettings:
    """A tape resource's context string as values.

    Attributes:
        model: drive and cartridge.
        settings: how the library works.
        cartridges: how many it is filled with at first.
        clock_factor: how much quicker than the wall's its time passes.
        recalled_bytes: how much of what came back its disk keeps.
        folder: where the cartridges are.
        waits: an open of what is on tape waits, instead of failing with an estimate.
        wait_s: how long, in s of the wall's time.
        pin_s: how long what came back stays on disk, in s of the library's time.
    """

    model: DriveModel
    settings: Settings
    cartridges: int
    clock_factor: float
    recalled_bytes: int
    folder: str
    waits: bool
    wait_s: float
    pin_s: float


def library_settings(resource: Resource) -> LibrarySettings:
    """What a tape resource's context string says.

    Raises:
        ContextError: nonsense.
    """
    said: dict[str, Any] = context.read(resource.context, KNOWN, _REFUSED)
    capacity = said.get("capacity", DriveModel().capacity_bytes)
    model = DriveModel(capacity_bytes=capacity, **{name: said[name] for name in _MODEL if name in said})
    usual = Settings()
    settings = Settings(
        drives=said.get("drives", usual.drives), patience=said.get("patience", usual.patience),
        batch_bytes=said.get("batch", min(usual.batch_bytes, capacity // 4)),
        batch_age_s=said.get("batch_age", usual.batch_age_s),
        container_bytes=said.get("container", min(usual.container_bytes, capacity // 4)),
        wave_s=said.get("wave", usual.wave_s),
    )  # fmt: skip
    return LibrarySettings(
        model, settings, said.get("cartridges", 20), said.get("clock_factor", 1.0), said.get("recalled", 1 << 40),
        said.get("library", f"{resource.vault_path}.library"), said.get("open", "ask") == "wait",
        said.get("wait", 600.0), said.get("pin", 86_400.0),
    )  # fmt: skip


def make_library(resource: Resource) -> None:
    """Fill a new tape resource's library with empty cartridges; those that are there stay."""
    wanted = library_settings(resource)
    media = Media(wanted.folder)
    there = set(media.labels())
    for number in range(1, wanted.cartridges + 1):
        label = f"T{number:05d}"
        if label not in there:
            media.add(label, wanted.model.capacity_bytes)


def tape_driver(resource: Resource) -> TapeDriver:
    return TapeDriver(
        resource.vault_path, resource.id, recalled_bytes=library_settings(resource).recalled_bytes
    )


class Libraries:
    """The tape libraries of a zone, for this process."""

    def __init__(self, database: Database, zone: str) -> None:
        self._database = database
        self._zone = zone
        self._clocks: dict[tuple[int, str], RealClock] = {}
        self._lock = threading.Lock()

    def state(self, resource: Resource, over: Over | None = None) -> CatalogTapeState:
        """Its state; `over` is told, inside the transaction, of every request that is over."""
        return CatalogTapeState(self._database, resource.id, self._zone, self.clock(resource).at, over)

    def clock(self, resource: Resource) -> RealClock:
        """The library's time: every process reads the same."""
        key = (resource.id, resource.context)
        with self._lock:
            found = self._clocks.get(key)
            if found is None:
                with self._database.read() as tx:
                    began = tape.created_at(tx, resource.id)
                factor = library_settings(resource).clock_factor
                found = self._clocks[key] = RealClock(factor, began=began, wall=time.time())
        return found

    def ask(
        self, resource: Resource, file_id: str, user: str, priority: int = 5, pin_s: float | None = None
    ) -> Request:
        """Queue a recall, with an estimate of when it is done."""
        wanted, state, clock = library_settings(resource), self.state(resource), self.clock(resource)
        now = clock.now()

        def estimate() -> float:
            entry = state.entry(file_id)
            if entry is None:
                return 0.0
            return now + estimate_s(wanted.model, state, entry, wanted.settings.drives)

        pin = wanted.pin_s if pin_s is None else pin_s
        return state.ask(file_id, Ask(user, priority, pin), now, estimate)

    def wait_s(self, resource: Resource) -> float:
        """How long an open of what is on tape waits; 0 where it does not."""
        wanted = library_settings(resource)
        return wanted.wait_s if wanted.waits else 0.0

    def over(self, resource: Resource, request_id: int) -> Request | None:
        """A request that is over, in one way or another; None while it is not."""
        found = self.state(resource).request(request_id)
        return found if found is not None and found.finished_at else None

    def end(self, resource: Resource, request_id: int, reason: str) -> None:
        """Cancel a request that is not over."""
        self.state(resource).progress(
            [request_id], "cancelled", reason=reason, now=self.clock(resource).now()
        )

    def pin_until(self, resource: Resource, seconds: float) -> float:
        """A moment so many seconds of the wall's time from now, in the library's time."""
        return self.clock(resource).now() + seconds * library_settings(resource).clock_factor

    def standing(self, resource: Resource, request: Request) -> dict[str, Any]:
        """How a request stands: for whom it waits, and how long still, in s of the wall's time."""
        state, clock = self.state(resource), self.clock(resource)
        factor, now = library_settings(resource).clock_factor, clock.now()
        before = 0
        if request.state == "queued":
            before = state.ahead(request) + sum(
                one.requests
                for one in state.waiting()
                if one.cartridge != request.cartridge and one.since < request.requested_at
            )
        over = request.finished_at > 0
        return {
            "request": request.id, "path": request.name, "state": request.state, "reason": request.reason,
            "cartridge": request.cartridge, "position": request.start, "bytes": request.size, "user": request.user,
            "priority": request.priority, "before": before, "resource": resource.name,
            "expected_in_s": None if over else max(round((request.estimate_at - now) / factor, 1), 0.0),
            "waited_s": round(((request.finished_at if over else now) - request.requested_at) / factor, 1),
            "took_s": round((request.finished_at - request.requested_at) / factor, 1) if over else None,
            "estimate_was_off_by_s": round((request.finished_at - request.estimate_at) / factor, 1)
            if request.state == "done" else None,
            "pinned_for_s": max(round((request.pin_until - now) / factor, 1), 0.0) if request.state == "done" else None,
        }  # fmt: skip
