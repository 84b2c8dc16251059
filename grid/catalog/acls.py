"""Access sets: immutable, shared, and pointed to by objects and collections.

Because a set never changes once made, what it holds is remembered in the process; a removed user's entries
stay in the sets and are hidden by whoever shows them.
"""

import hashlib
import threading
from collections.abc import Mapping
from typing import Final

from grid.catalog.database import Transaction

_REMEMBERED: Final = 20_000


class AclStore:
    """The access sets of one catalog."""

    def __init__(self) -> None:
        self._entries: dict[int, dict[int, int]] = {}
        self._ids: dict[str, int] = {}
        self._lock = threading.Lock()

    def entries(self, tx: Transaction, acl_id: int) -> Mapping[int, int]:
        """User id to level."""
        known = self._entries.get(acl_id)
        if known is not None:
            return known
        rows = tx.all("SELECT user_id, level FROM acl_entries WHERE acl_id = :acl_id", {"acl_id": acl_id})
        found = {int(user): int(level) for user, level in rows}
        if found:  # an empty answer may be a set that another transaction is about to make
            with self._lock:
                if len(self._entries) >= _REMEMBERED:
                    self._entries.clear()
                self._entries[acl_id] = found
        return found

    def level(self, tx: Transaction, acl_id: int, principals: tuple[int, ...]) -> int:
        """The highest level any of the principals has; 0 for none."""
        entries = self.entries(tx, acl_id)
        return max((entries.get(principal, 0) for principal in principals), default=0)

    def find_or_none(self, tx: Transaction, wanted: Mapping[int, int]) -> int | None:
        """The id of the set with exactly these entries, if it is in the catalog; outside write transactions only."""
        text = _text(wanted)
        known = self._ids.get(text)
        if known is None:
            found = tx.value("SELECT id FROM acls WHERE fingerprint = :f", {"f": _fingerprint(text)})
            if found is None:
                return None
            known = int(found)
            with self._lock:
                if len(self._ids) >= _REMEMBERED:
                    self._ids.clear()
                self._ids[text] = known
        return known

    def find_or_make(self, tx: Transaction, wanted: Mapping[int, int]) -> int:
        """The id of the set with exactly these entries."""
        fingerprint = _fingerprint(_text(wanted))
        known = tx.value("SELECT id FROM acls WHERE fingerprint = :f", {"f": fingerprint})
        if known is not None:
            return int(known)
        acl_id = tx.new_id()
        made = tx.value(
            "INSERT INTO acls (id, fingerprint) VALUES (:id, :f)"
            " ON CONFLICT (fingerprint) DO UPDATE SET fingerprint = excluded.fingerprint RETURNING id",
            {"id": acl_id, "f": fingerprint},
        )
        if int(made) == acl_id:
            tx.run_many(
                "INSERT INTO acl_entries (acl_id, user_id, level) VALUES (:acl, :user, :level)",
                [{"acl": acl_id, "user": user, "level": level} for user, level in wanted.items()],
            )
        return int(made)

    def changed(self, tx: Transaction, acl_id: int, user_id: int, level: int | None) -> int:
        """The set that results when `user_id` gets `level`, or loses its entry when that is None."""
        entries = dict(self.entries(tx, acl_id))
        if level is None:
            entries.pop(user_id, None)
        else:
            entries[user_id] = level
        return self.find_or_make(tx, entries)


def _text(wanted: Mapping[int, int]) -> str:
    return ",".join(f"{user}:{level}" for user, level in sorted(wanted.items()))


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def visible_to(alias: str) -> str:
    """The condition that an entity's access set lets the caller `:caller_id` read it (level 1050 or above)."""
    return (
        f"{alias}.acl_id IN (SELECT ve.acl_id FROM acl_entries ve JOIN group_members vg ON vg.group_id = ve.user_id"
        " WHERE vg.user_id = :caller_id AND ve.level >= 1050)"
    )
