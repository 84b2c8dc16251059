"""The named steps at which the crash tests kill a server.

`reached` costs one comparison unless `BEAMGRID_KILL_AT` names a step; then the process ends there, as if the
machine had taken it, at the n-th time (`STEP:n`).
"""

import os
import signal
from typing import Final

STEPS: Final = (
    "stage.before",
    "stage.after",
    "register.before",
    "register.after",
    "bytes.before",
    "bytes.after",
    "sync.before",
    "sync.after",
    "commit.before",
    "commit.after",
    "place.before",
    "place.renamed",
    "place.after",
    "task.before",
    "task.done",
    "task.after",
)
"""Every step, in the order of a put; later ones belong to moving files to match the catalog."""

JOB_STEPS: Final = (
    "job.claimed",
    "job.effect.before",
    "job.effect.after",
    "job.finish.before",
    "job.finish.after",
    "job.give_up.before",
    "job.give_up.after",
)
"""Every step of scheduled work of its own; what its effects do passes the steps above."""

SIGNING_STEPS: Final = (
    "statement.claim.before",
    "statement.claim.after",
    "statement.log.before",
    "statement.log.after",
    "statement.noted.after",
)
"""Every step of who signs and logs what the zone states."""

_armed, _, _count = os.environ.get("BEAMGRID_KILL_AT", "").partition(":")
_remaining = int(_count or "1")
_gate = os.environ.get("BEAMGRID_KILL_GATE", "")


def reached(step: str) -> None:
    """Mark a step; ends the process when the tests armed it and its gate file, if any, exists."""
    if step != _armed:
        return
    global _remaining
    if _gate and not os.path.exists(_gate):
        return
    _remaining -= 1
    if _remaining == 0:
        os.kill(os.getpid(), signal.SIGKILL)
