"""Statements on users, groups and their passwords."""

from grid.catalog.database import Row, Transaction
from grid.model import User


def _user(row: Row) -> User:
    return User(row[0], row[1], row[2], row[3])


def by_name_or_none(tx: Transaction, name: str, zone: str) -> User | None:
    row = tx.one(
        "SELECT id, name, zone, type FROM users WHERE name = :name AND zone = :zone",
        {"name": name, "zone": zone},
    )
    return None if row is None else _user(row)


def by_id_or_none(tx: Transaction, user_id: int) -> User | None:
    row = tx.one("SELECT id, name, zone, type FROM users WHERE id = :id", {"id": user_id})
    return None if row is None else _user(row)


def memberships(tx: Transaction, user_id: int) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The ids whose rights the user has, its own included, and the names of its groups."""
    rows = tx.all(
        "SELECT u.id, u.name FROM group_members g JOIN users u ON u.id = g.group_id WHERE g.user_id = :id",
        {"id": user_id},
    )
    return tuple(int(row[0]) for row in rows), tuple(row[1] for row in rows if row[0] != user_id)


def members(tx: Transaction, group_id: int) -> list[User]:
    rows = tx.all(
        "SELECT u.id, u.name, u.zone, u.type FROM group_members g JOIN users u ON u.id = g.user_id"
        " WHERE g.group_id = :id AND u.id <> :id ORDER BY u.name",
        {"id": group_id},
    )
    return [_user(row) for row in rows]


def insert(tx: Transaction, user: User) -> None:
    tx.run(
        "INSERT INTO users (id, name, zone, type, create_time, modify_time)"
        " VALUES (:id, :name, :zone, :type, :now, :now)",
        {"id": user.id, "name": user.name, "zone": user.zone, "type": user.type, "now": tx.timestamp},
    )
    add_member(tx, user.id, user.id)


def add_member(tx: Transaction, group_id: int, user_id: int) -> None:
    tx.run(
        "INSERT INTO group_members (group_id, user_id, create_time, modify_time)"
        " VALUES (:group_id, :user_id, :now, :now)",
        {"group_id": group_id, "user_id": user_id, "now": tx.timestamp},
    )


def remove_member(tx: Transaction, group_id: int, user_id: int) -> int:
    return tx.run(
        "DELETE FROM group_members WHERE group_id = :group_id AND user_id = :user_id",
        {"group_id": group_id, "user_id": user_id},
    )


USER_FIELDS = frozenset({"type", "zone", "info", "comment", "posix_uid", "posix_gid"})
"""The columns that `update` may set."""


def update(tx: Transaction, user_id: int, field: str, value: object) -> None:
    if field not in USER_FIELDS:
        raise ValueError(f"users have no column {field}")
    tx.run(
        f"UPDATE users SET {field} = :value, modify_time = :now WHERE id = :id",
        {"value": value, "now": tx.timestamp, "id": user_id},
    )


def delete(tx: Transaction, user_id: int) -> None:
    """Remove a user or a group; its entries in access sets stay and are shown no more."""
    parameters = {"id": user_id}
    tx.run("DELETE FROM avu_links WHERE entity_id = :id", parameters)
    for table in ("user_passwords", "user_auths", "quotas"):
        tx.run(f"DELETE FROM {table} WHERE user_id = :id", parameters)
    tx.run("DELETE FROM group_members WHERE user_id = :id OR group_id = :id", parameters)
    tx.run("DELETE FROM users WHERE id = :id", parameters)


def sealed_passwords(tx: Transaction, user_id: int) -> list[tuple[int, str, int, bool]]:
    """Every password row of a user: (row id, sealed text, expiry in seconds since 1970 or 0, one-time)."""
    rows = tx.all(
        "SELECT id, sealed, expires_at, one_time FROM user_passwords WHERE user_id = :id ORDER BY one_time, id",
        {"id": user_id},
    )
    return [(row[0], row[1], int(row[2]), bool(row[3])) for row in rows]


def add_password(
    tx: Transaction, user_id: int, sealed: str, *, expires_at: int = 0, one_time: bool = False
) -> None:
    tx.run(
        "INSERT INTO user_passwords (id, user_id, sealed, expires_at, one_time)"
        " VALUES (:id, :user, :sealed, :expires, :once)",
        {"id": tx.new_id(), "user": user_id, "sealed": sealed, "expires": expires_at, "once": int(one_time)},
    )


def set_password(tx: Transaction, user_id: int, sealed: str) -> None:
    """Replace the lasting password; one-time ones made from the old one go too."""
    tx.run("DELETE FROM user_passwords WHERE user_id = :id", {"id": user_id})
    add_password(tx, user_id, sealed)
    tx.run("UPDATE users SET modify_time = :now WHERE id = :id", {"now": tx.timestamp, "id": user_id})


def consume_password(tx: Transaction, row_id: int) -> bool:
    """Remove a one-time password; False when another login was faster."""
    return tx.run("DELETE FROM user_passwords WHERE id = :id", {"id": row_id}) == 1


def drop_expired_passwords(tx: Transaction, now: int) -> None:
    tx.run("DELETE FROM user_passwords WHERE expires_at > 0 AND expires_at < :now", {"now": now})


def add_auth(tx: Transaction, user_id: int, name: str) -> None:
    tx.run(
        "INSERT INTO user_auths (user_id, name, create_time) VALUES (:id, :name, :now)",
        {"id": user_id, "name": name, "now": tx.timestamp},
    )


def remove_auth(tx: Transaction, user_id: int, name: str) -> int:
    return tx.run(
        "DELETE FROM user_auths WHERE user_id = :id AND name = :name", {"id": user_id, "name": name}
    )


def token_exists(tx: Transaction, namespace: str, name: str) -> bool:
    return (
        tx.one("SELECT 1 FROM tokens WHERE namespace = :ns AND name = :name", {"ns": namespace, "name": name})
        is not None
    )
