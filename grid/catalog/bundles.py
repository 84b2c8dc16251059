"""Bookkeeping of policy bundles: what each is made of, and which is active."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from grid.catalog.database import Row, Transaction


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """What a bundle says of one of its files.

    Attributes:
        digest: SHA-256 of the text, in hexadecimal.
        granted: location patterns that its rules may touch; None for everywhere.
        stewards: the group that it belongs to; empty for the administrators'.
    """

    digest: str
    granted: tuple[str, ...] | None = None
    stewards: str = ""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The policy sources a zone runs: file name to text, and what the bundle says of each file."""

    generation: int
    origin: str
    digest: str
    sources: dict[str, str]
    manifest: dict[str, ManifestEntry]
    pusher: str = ""
    activated_at: float = 0.0


def active_generation(tx: Transaction) -> int:
    """The number of the active bundle; 0 when there is none."""
    return int(tx.value("SELECT COALESCE(MAX(generation), 0) FROM policy_bundles WHERE active = 1"))


_BUNDLE = "generation, origin, digest, sources, manifest, pusher, activated_at"


def _bundle(row: Row) -> Bundle:
    manifest = {
        name: ManifestEntry(
            entry["digest"], None if entry["granted"] is None else tuple(entry["granted"]), entry["stewards"]
        )
        for name, entry in json.loads(row[4]).items()
    }
    return Bundle(row[0], row[1], row[2], json.loads(row[3]), manifest, row[5], row[6])


def bundle(tx: Transaction, generation: int) -> Bundle | None:
    row = tx.one(f"SELECT {_BUNDLE} FROM policy_bundles WHERE generation = :g", {"g": generation})
    return None if row is None else _bundle(row)


def checked_form(tx: Transaction, generation: int) -> str:
    """The checked form of a bundle's sources; empty when there is none."""
    return str(tx.value("SELECT checked FROM policy_bundles WHERE generation = :g", {"g": generation}) or "")


def bundles(tx: Transaction, *, limit: int) -> list[Bundle]:
    """The latest bundles, newest first."""
    rows = tx.all(f"SELECT {_BUNDLE} FROM policy_bundles ORDER BY generation DESC LIMIT :n", {"n": limit})
    return [_bundle(row) for row in rows]


@dataclass(frozen=True, slots=True)
class NewBundle:
    """A bundle that was checked; `tests` is the report of the tests in its files, by file."""

    origin: str
    digest: str
    sources: dict[str, str]
    manifest: dict[str, ManifestEntry]
    pusher: str
    checked: str
    tests: dict[str, Any]


def activate_bundle(tx: Transaction, new: NewBundle, *, instead_of: int | None = None) -> int:
    """Make a bundle the zone's policy; the same digest active already stays, with a fresh checked form.

    Args:
        tx: the transaction.
        new: what is to count from now on.
        instead_of: the generation that it was put together from; None for whatever is active.

    Returns:
        Its generation; 0 when another bundle was activated meanwhile.
    """
    if not tx.database.is_sqlite:  # whose write transactions are alone anyway
        tx.run("LOCK TABLE policy_bundles IN EXCLUSIVE MODE")
    current = active_generation(tx)
    if instead_of is not None and instead_of != current:
        return 0
    known = bundle(tx, current) if current else None
    if known is not None and known.digest == new.digest and known.origin == new.origin:
        store_checked_form(tx, current, new.checked)
        return current
    generation = int(tx.value("SELECT COALESCE(MAX(generation), 0) + 1 FROM policy_bundles"))
    tx.run("UPDATE policy_bundles SET active = 0 WHERE active = 1")
    tx.run(
        "INSERT INTO policy_bundles (generation, origin, digest, sources, manifest, tests, pusher, checked, activated_at,"
        " active) VALUES (:g, :origin, :digest, :sources, :manifest, :tests, :pusher, :checked, :now, 1)",
        {
            "checked": new.checked,
            "g": generation,
            "origin": new.origin,
            "digest": new.digest,
            "sources": json.dumps(new.sources),
            "manifest": json.dumps({name: asdict(entry) for name, entry in new.manifest.items()}),
            "tests": json.dumps(new.tests),
            "pusher": new.pusher,
            "now": tx.now,
        },
    )
    return generation


def store_checked_form(tx: Transaction, generation: int, checked: str) -> None:
    """Keep what a check of a bundle's sources found, so that other processes need not check them again."""
    tx.run(
        "UPDATE policy_bundles SET checked = :checked WHERE generation = :g AND checked <> :checked",
        {"g": generation, "checked": checked},
    )


def test_reports(tx: Transaction, generation: int) -> dict[str, Any]:
    """What the tests of a bundle's files did when it was pushed, by file."""
    found: dict[str, Any] = json.loads(
        tx.value("SELECT tests FROM policy_bundles WHERE generation = :g", {"g": generation}) or "{}"
    )
    return found


def note_policy_problem(tx: Transaction, problem: str) -> None:
    """Remember what is wrong with the policy files, or that nothing is."""
    tx.run("DELETE FROM grid_configuration WHERE namespace = 'beamgrid' AND option_name = 'policy_problem'")
    if problem:
        tx.run(
            "INSERT INTO grid_configuration (namespace, option_name, option_value)"
            " VALUES ('beamgrid', 'policy_problem', :text)",
            {"text": problem},
        )


def policy_problem(tx: Transaction) -> str:
    return str(
        tx.value(
            "SELECT option_value FROM grid_configuration WHERE namespace = 'beamgrid' AND option_name = 'policy_problem'"
        )
        or ""
    )
