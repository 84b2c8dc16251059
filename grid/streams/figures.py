"""How a stream stands: counted by its stages, read by everybody else."""

import threading
from collections import deque
from typing import Any, Final

COUNTED: Final = (
    "received", "bytes", "stored", "kept", "vetoed", "dropped", "damaged", "duplicates", "foreign", "refused", "hits", "reduced", "last", "last_stored",
)  # fmt: skip
"""What is counted; `stored` frames are on stable storage, `kept` ones in a file, `last` is the highest number."""

WINDOW_S: Final = 5.0


class Figures:
    """Counters of one stream; any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(COUNTED, 0)
        self._counts["last"] = self._counts["last_stored"] = -1
        self._seconds: dict[str, float] = {}
        self._rates: deque[tuple[float, int, int]] = deque()
        self.problem = ""
        self.runs_on = ""

    def add(self, **counts: int) -> None:
        """Count more of something."""
        with self._lock:
            for name, count in counts.items():
                self._counts[name] += count

    def highest(self, **numbers: int) -> None:
        """Keep the highest of a number."""
        with self._lock:
            for name, number in numbers.items():
                self._counts[name] = max(self._counts[name], number)

    def spent(self, stage: str, seconds: float) -> None:
        """Time that a stage was busy."""
        with self._lock:
            self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    def snapshot(self, now: float) -> dict[str, Any]:
        """Everything, as JSON says it; rates are those of the last seconds, `now` the reader's clock in s."""
        with self._lock:
            found: dict[str, Any] = dict(self._counts)
            seconds = dict(self._seconds)
        self._rates.append((now, found["received"], found["bytes"]))
        while len(self._rates) > 2 and now - self._rates[0][0] > WINDOW_S:
            self._rates.popleft()
        (began, frames, count) = self._rates[0]
        span = now - began
        found["frames_per_s"] = round((found["received"] - frames) / span, 1) if span > 0 else 0.0
        found["bytes_per_s"] = round((found["bytes"] - count) / span) if span > 0 else 0
        decided = found["kept"] + found["vetoed"]
        found["kept_fraction"] = found["kept"] / decided if decided else 1.0
        found["hit_rate"] = found["hits"] / found["reduced"] if found["reduced"] else 0.0
        found["busy_s"] = {stage: round(value, 3) for stage, value in seconds.items()}
        found["problem"], found["runs_on"] = self.problem, self.runs_on
        return found
