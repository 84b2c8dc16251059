"""Kernels by users that were released for rules and for users."""

from dataclasses import dataclass
from typing import Final

from grid.catalog.database import Row, Transaction
from grid.errors import NotFound

_COLUMNS: Final = "id, name, version, digest, summary, text, released_by, released_at, withdrawn_at"


@dataclass(frozen=True, slots=True)
class ReleasedKernel:
    """A release; `withdrawn_at` is 0 while it may be used."""

    id: int
    name: str
    version: str
    digest: str
    summary: str
    text: str
    released_by: str
    released_at: float
    withdrawn_at: float


def _kernel(row: Row) -> ReleasedKernel:
    return ReleasedKernel(*row)


def by_version_or_none(tx: Transaction, name: str, version: str) -> ReleasedKernel | None:
    row = tx.one(
        f"SELECT {_COLUMNS} FROM kernels WHERE name = :name AND version = :version", {"name": name, "version": version}
    )  # fmt: skip
    return None if row is None else _kernel(row)


def usable(tx: Transaction, name: str, version: str, digest: str = "") -> ReleasedKernel:
    """A kernel that may be used.

    Raises:
        NotFound: it was never released, was withdrawn, or is another one.
    """
    found = by_version_or_none(tx, name, version)
    if found is None:
        raise NotFound(f"no kernel `{name}` of the version `{version}` was released in this zone")
    if found.withdrawn_at:
        raise NotFound(f"the kernel `{name} {version}` was withdrawn")
    if digest and digest != found.digest:
        raise NotFound(f"the kernel `{name} {version}` has the digest {found.digest}, not {digest}")
    return found


def listed(tx: Transaction) -> list[ReleasedKernel]:
    """All of them, by name and version."""
    return [_kernel(row) for row in tx.all(f"SELECT {_COLUMNS} FROM kernels ORDER BY name, version")]


def release(tx: Transaction, name: str, version: str, digest: str, summary: str, text: str, by: str) -> int:
    """Release a kernel; its name and version must be new."""
    kernel_id = tx.new_id()
    tx.run(
        "INSERT INTO kernels (id, name, version, digest, summary, text, released_by, released_at)"
        " VALUES (:id, :name, :version, :digest, :summary, :text, :by, :now)",
        {"id": kernel_id, "name": name, "version": version, "digest": digest, "summary": summary, "text": text, "by": by, "now": tx.now},
    )  # fmt: skip
    return kernel_id


def withdraw(tx: Transaction, kernel_id: int) -> None:
    tx.run("UPDATE kernels SET withdrawn_at = :now WHERE id = :id", {"now": tx.now, "id": kernel_id})
