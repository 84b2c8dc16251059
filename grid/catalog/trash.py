"""Where things in the trash came from: they keep the policies, promises and holds of that path."""

from grid import paths
from grid.catalog.database import Row, Transaction


def note(tx: Transaction, path: str, origin: str) -> None:
    """Remember where something that was just put into the trash came from."""
    tx.run(
        "INSERT INTO trashed (path, origin, trashed_at) VALUES (:path, :origin, :now)"
        " ON CONFLICT (path) DO UPDATE SET origin = excluded.origin, trashed_at = excluded.trashed_at",
        {"path": path, "origin": origin, "now": tx.now},
    )


def trashed_at_or_none(tx: Transaction, path: str) -> float | None:
    """When something, or what it lies in, was put into the trash."""
    found = _nearest(tx, path)
    return float(found[2]) if found is not None else None


def origin_or_none(tx: Transaction, path: str) -> str | None:
    """The path that something in the trash, or what it lies in, came from."""
    found = _nearest(tx, path)
    return None if found is None else str(found[1]) + path[len(found[0]) :]


def _nearest(tx: Transaction, path: str) -> Row | None:
    above = [path, *(ancestor for ancestor in paths.ancestors(path) if ancestor != path)]
    names = ", ".join(f":a{index}" for index in range(len(above)))
    rows = tx.all(
        f"SELECT path, origin, trashed_at FROM trashed WHERE path IN ({names})",
        {f"a{index}": ancestor for index, ancestor in enumerate(above)},
    )
    return max(rows, key=lambda row: len(row[0]), default=None)


def moved(tx: Transaction, old: str, new: str, *, still_in_trash: bool) -> None:
    """Follow a rename of something that is in the trash; what leaves the trash is forgotten."""
    low, high = paths.subtree_bounds(old)
    bounds = {"old": old, "low": low, "high": high, "new": new, "skip": len(old) + 1}
    inside = "path = :old OR (path >= :low AND path < :high)"
    if still_in_trash:
        tx.run(f"UPDATE trashed SET path = :new || substr(path, :skip) WHERE {inside}", bounds)
    else:
        tx.run(f"DELETE FROM trashed WHERE {inside}", bounds)


def forget(tx: Transaction, path: str) -> None:
    """Something in the trash was removed for good."""
    tx.run("DELETE FROM trashed WHERE path = :path", {"path": path})
