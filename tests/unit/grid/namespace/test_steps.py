"""Which named steps an operation passes: a crash test that arms a step nobody passes would prove nothing."""

from collections.abc import Callable

import pytest

from grid.app import Zone
from grid.model import Avu
from grid.namespace import MetadataOperation, Subject, WriteRequest, steps

HOME = "/tempZone/home/rods"
COMMIT = {"commit.before", "commit.after"}
TRANSFER = {
    "stage.before",
    "stage.after",
    "bytes.before",
    "bytes.after",
    "sync.before",
    "sync.after",
} | COMMIT
PLACE = {"place.before", "place.renamed", "place.after"}
TASK = {
    "task.before",
    "task.done",
    "task.after",
    "place.after",
}  # what is staged is looked for after the tasks


def stream(zone: Zone, caller, path: str, request: WriteRequest) -> None:
    opened = zone.namespace.objects.open_for_writing(caller, path, request)
    opened.write(b"bytes")
    opened.commit()


OPERATIONS: dict[str, tuple[Callable, set[str]]] = {
    "create": (
        lambda zone, rods: stream(zone, rods, f"{HOME}/new", WriteRequest()),
        TRANSFER | PLACE | {"register.before", "register.after"},
    ),
    "single-buffer put": (
        lambda zone, rods: zone.namespace.objects.put(rods, f"{HOME}/new", b"x", WriteRequest()),
        (TRANSFER | PLACE) - {"bytes.before", "bytes.after"},
    ),
    "overwrite": (lambda zone, rods: stream(zone, rods, f"{HOME}/a", WriteRequest()), TRANSFER | PLACE),
    "update in place": (
        lambda zone, rods: stream(zone, rods, f"{HOME}/a", WriteRequest(truncate=False)),
        TRANSFER | PLACE,
    ),
    "rename": (
        lambda zone, rods: zone.namespace.moves.rename(rods, f"{HOME}/a", f"{HOME}/moved"),
        COMMIT | TASK,
    ),
    "rename of a collection": (
        lambda zone, rods: zone.namespace.moves.rename(rods, f"{HOME}/c", f"{HOME}/d"),
        COMMIT | TASK,
    ),
    "remove": (
        lambda zone, rods: zone.namespace.moves.unlink(rods, f"{HOME}/a", force=True),
        COMMIT | TASK,
    ),
    "metadata change": (
        lambda zone, rods: zone.namespace.metadata.apply(
            rods, Subject("object", f"{HOME}/a"), [MetadataOperation("add", Avu("k", "v"))]
        ),
        COMMIT,
    ),
}


def test_every_step_belongs_to_an_operation() -> None:
    assert set().union(*(expected for _, expected in OPERATIONS.values())) == set(steps.STEPS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_passes_its_steps(zone: Zone, rods, monkeypatch, name: str) -> None:
    zone.namespace.objects.put(rods, f"{HOME}/a", b"old", WriteRequest())
    zone.namespace.collections.create(rods, f"{HOME}/c")
    zone.namespace.objects.put(rods, f"{HOME}/c/f", b"old", WriteRequest())
    zone.namespace.finisher.finish()
    passed: list[str] = []
    monkeypatch.setattr(steps, "reached", passed.append)
    monkeypatch.setattr(zone.database, "intercept", passed.append)
    operation, expected = OPERATIONS[name]
    operation(zone, rods)
    zone.namespace.finisher.finish()
    assert set(passed) == expected
