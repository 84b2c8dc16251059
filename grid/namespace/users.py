"""Operations on users, groups and passwords."""

import secrets
import time

from grid.catalog import collections as collection_rows
from grid.catalog import users as user_rows
from grid.catalog.database import Transaction
from grid.codes import Status
from grid.errors import AlreadyExists, InvalidArgument, NotEmpty, NotFound, NotPrivileged
from grid.model import Access, Caller, Collection, User
from grid.namespace.context import NamespaceContext, require_admin
from grid.namespace.ports import Event
from grid.wire.auth import MAX_NATIVE_PASSWORD, one_time_password

ONE_TIME_LIFE_S = 120
MAX_NAME_BYTES = 63


class Users:
    """The operations on users and groups."""

    def __init__(self, context: NamespaceContext) -> None:
        self._context = context

    # -- knowing them ----------------------------------------------------------------------------------------

    def caller(
        self, name: str, zone: str, *, proxy: User | None = None, address: str = "", request_id: str = ""
    ) -> Caller:
        """A user with everything that decides its rights, as of now.

        Raises:
            NotFound: there is no such user (-827000).
        """
        with self._context.database.read() as tx:
            user = self.find(tx, name, zone)
            principals, groups = user_rows.memberships(tx, user.id)
        return Caller(user, principals, groups, proxy or user, address, request_id)

    def service_caller(self, request_id: str) -> Caller | None:
        """On whose behalf the zone itself works: its first administrator; None in a zone without one."""
        with self._context.database.read() as tx:
            row = tx.one("SELECT name, zone FROM users WHERE type = 'rodsadmin' ORDER BY id LIMIT 1")
        return None if row is None else self.caller(row[0], row[1], request_id=request_id)

    def refreshed(self, caller: Caller, request_id: str) -> Caller:
        """The same caller with its present type and groups.

        Raises:
            NotFound: the user was removed.
        """
        with self._context.database.read() as tx:
            user = user_rows.by_id_or_none(tx, caller.user.id)
            if user is None:
                raise NotFound(f"`{caller.user.full_name}` was removed", status=Status.CAT_INVALID_USER)
            principals, groups = user_rows.memberships(tx, user.id)
        return Caller(user, principals, groups, caller.proxy, caller.address, request_id)

    def find(self, tx: Transaction, name: str, zone: str = "") -> User:
        """The user or group of a name; `name#zone` is understood.

        Raises:
            NotFound: there is none (-827000).
        """
        name, _, given = name.partition("#")
        found = user_rows.by_name_or_none(tx, name, given or zone or self._context.zone)
        if found is None:
            raise NotFound(
                f"there is no user `{name}#{given or zone or self._context.zone}`",
                status=Status.CAT_INVALID_USER,
            )
        return found

    # -- users -----------------------------------------------------------------------------------------------

    def add(self, caller: Caller, name: str, kind: str, *, password: str = "") -> User:
        """Add a user with its home and trash, or a group.

        Raises:
            InvalidArgument: a type nobody knows (-820000), or a name that is none.
            AlreadyExists: there is a user of that name.
        """
        group_admin = caller.user.type == "groupadmin" and kind in ("rodsuser", "rodsgroup")
        if not group_admin:
            require_admin(caller)
        name, _, zone = name.partition("#")
        zone = zone or self._context.zone
        if not name or "/" in name or name in (".", "..") or len(name.encode()) > MAX_NAME_BYTES:
            raise InvalidArgument(f"`{name}` cannot be the name of a user: 1 to 63 bytes, no slash")
        _check_password(password)
        event = Event(
            "group" if kind == "rodsgroup" else "user", "change", caller, "", 0,
            {"user": {"name": name, "zone": zone, "type": kind, "op": "create"}},
        )  # fmt: skip
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            if not user_rows.token_exists(tx, "user_type", kind):
                raise InvalidArgument(f"`{kind}` is no user type", status=Status.CAT_INVALID_USER_TYPE)
            if tx.one("SELECT 1 FROM zones WHERE name = :name", {"name": zone}) is None:
                raise InvalidArgument(f"zone `{zone}` is not known", status=Status.CAT_INVALID_ZONE)
            if user_rows.by_name_or_none(tx, name, zone) is not None:
                raise AlreadyExists(f"there is a user `{name}#{zone}`")
            user = User(tx.new_id(), name, zone, kind)
            user_rows.insert(tx, user)
            if kind != "rodsgroup":
                public = user_rows.by_name_or_none(tx, "public", self._context.zone)
                if public is not None:
                    user_rows.add_member(tx, public.id, user.id)
            if password:
                user_rows.add_password(tx, user.id, self._context.vault.seal(password))
            self._add_homes(tx, user)
            event.subject_id = user.id
            self._context.happened(tx, event, type=kind)
        return user

    def _home_name(self, user: User) -> str:
        return user.name if user.zone == self._context.zone else user.full_name

    def _add_homes(self, tx: Transaction, user: User) -> None:
        acl_id = self._context.acls.find_or_make(tx, {user.id: int(Access.OWN)})
        for root in ("home", "trash/home"):
            path = f"/{self._context.zone}/{root}/{self._home_name(user)}"
            if collection_rows.by_path_or_none(tx, path) is None:
                now = tx.timestamp
                made = Collection(
                    tx.new_id(), path, user.name, user.zone, acl_id, False, "", "", "", now, now
                )
                collection_rows.insert(tx, made)

    def remove(self, caller: Caller, name: str, *, group: bool = False) -> None:
        """Remove a user with its empty home and trash, or a group.

        Raises:
            NotFound: there is none.
            NotEmpty: its home or its trash holds something (-821000).
        """
        require_admin(caller)
        with self._context.database.read() as tx:
            user = self.find(tx, name)
        event = Event(
            "group" if user.is_group else "user", "change", caller, "", user.id,
            {"user": {"name": user.name, "zone": user.zone, "type": user.type, "op": "delete"}},
        )  # fmt: skip
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            for root in ("home", "trash/home"):
                path = f"/{self._context.zone}/{root}/{self._home_name(user)}"
                found = collection_rows.by_path_or_none(tx, path)
                if found is None:
                    continue
                if collection_rows.has_content(tx, found):
                    raise NotEmpty(f"`{path}` is not empty; move or remove what it holds first")
                collection_rows.delete(tx, found.id)
            user_rows.delete(tx, user.id)
            self._context.happened(tx, event)

    def modify(self, caller: Caller, name: str, option: str, value: str) -> None:
        """Change a user's type, zone, info, comment or outside identities.

        Raises:
            InvalidArgument: no such option or type.
        """
        require_admin(caller)
        with self._context.database.read() as tx:
            user = self.find(tx, name)
        event = Event(
            "user", "change", caller, "", user.id,
            {"user": {"name": user.name, "zone": user.zone, "type": user.type}, "change": {"name": option}},
        )  # fmt: skip
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            if option in ("type", "zone", "info", "comment"):
                if option == "type" and not user_rows.token_exists(tx, "user_type", value):
                    raise InvalidArgument(f"`{value}` is no user type", status=Status.CAT_INVALID_USER_TYPE)
                user_rows.update(tx, user.id, option, value)
            elif option == "addAuth":
                user_rows.add_auth(tx, user.id, value)
            elif option == "rmAuth":
                if not user_rows.remove_auth(tx, user.id, value):
                    raise NotFound(
                        f"`{name}` has no such identity", status=Status.CAT_SUCCESS_BUT_WITH_NO_INFO
                    )
            elif option in ("posix_uid", "posix_gid"):
                user_rows.update(tx, user.id, option, int(value) if value.isdigit() else None)
            else:
                raise InvalidArgument(
                    f"`{option}` of a user cannot be changed; type, zone, info, comment, addAuth, rmAuth can"
                )
            self._context.happened(tx, event, option=option)

    # -- passwords -------------------------------------------------------------------------------------------

    def set_password(self, caller: Caller, name: str, password: str) -> None:
        """Set a password: one's own, or any as an administrator.

        Raises:
            InvalidArgument: over 42 characters (-903000), or empty.
        """
        with self._context.database.read() as tx:
            user = self.find(tx, name)
        if user.id != caller.user.id:
            require_admin(caller)
        if not password:
            raise InvalidArgument("a password cannot be empty")
        _check_password(password)
        event = Event(
            "user", "change", caller, "", user.id,
            {"user": {"name": user.name, "zone": user.zone, "type": user.type}, "change": {"name": "password"}},
        )  # fmt: skip
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            user_rows.set_password(tx, user.id, self._context.vault.seal(password))
            self._context.happened(tx, event, option="password")

    def clear_password(self, user: User) -> str:
        """A user's lasting password, which decodes what it sends scrambled; empty when it has none."""
        with self._context.database.read() as tx:
            rows = user_rows.sealed_passwords(tx, user.id)
        lasting = [sealed for _, sealed, _, one_time in rows if not one_time]
        return self._context.vault.open(lasting[0]) if lasting else ""

    def passwords(self, user: User) -> list[tuple[int, str, int, bool]]:
        """Every password of a user in clear: (row, text, expiry or 0, one-time). Never to be logged."""
        with self._context.database.read() as tx:
            rows = user_rows.sealed_passwords(tx, user.id)
        return [(row, self._context.vault.open(sealed), expiry, once) for row, sealed, expiry, once in rows]

    def consume_password(self, row_id: int) -> bool:
        """Use up a one-time password; False when it is gone already."""
        with self._context.database.write() as tx:
            return user_rows.consume_password(tx, row_id)

    def add_one_time_password(self, user: User, password_of: str) -> str:
        """A string from which, with a lasting password, the one-time password follows.

        Args:
            user: who may log in with it.
            password_of: the lasting password of whoever asked.
        """
        hash_string = secrets.token_hex(16)
        secret = one_time_password(hash_string, password_of)
        with self._context.database.write() as tx:
            now = int(time.time())
            user_rows.drop_expired_passwords(tx, now)
            user_rows.add_password(
                tx, user.id, self._context.vault.seal(secret), expires_at=now + ONE_TIME_LIFE_S, one_time=True
            )
        return hash_string

    # -- groups ----------------------------------------------------------------------------------------------

    def change_members(self, caller: Caller, group: str, verb: str, user_name: str, zone: str = "") -> None:
        """Add a user to a group or remove it.

        Raises:
            InvalidArgument: no such group (-829000), or neither `add` nor `remove`.
            NotFound: no such user; or it is no member (-1830000).
        """
        with self._context.database.read() as tx:
            found = user_rows.by_name_or_none(tx, group, self._context.zone)
            if found is None or not found.is_group:
                raise NotFound(f"there is no group `{group}`", status=Status.CAT_INVALID_GROUP)
            user = self.find(tx, user_name, zone)
        if not caller.is_admin and not caller.rights_of_rules:
            empty_group = not self._members(found)
            groups = self.refreshed(caller, caller.request_id).groups
            if caller.user.type != "groupadmin" or not (
                found.name in groups or (empty_group and user.id == caller.user.id)
            ):
                raise NotPrivileged(f"`{caller.user.full_name}` does not administer `{group}`")
        if verb not in ("add", "remove"):
            raise InvalidArgument(f"`{verb}` is neither `add` nor `remove`")
        event = Event(
            "group", "change", caller, "", found.id,
            {"user": {"name": user.name, "zone": user.zone, "type": user.type}, "group": {"name": group}},
        )  # fmt: skip
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            if verb == "add":
                user_rows.add_member(tx, found.id, user.id)
            elif not user_rows.remove_member(tx, found.id, user.id):
                raise NotFound(f"`{user_name}` is not in `{group}`", status=Status.USER_NOT_IN_GROUP)
            self._context.happened(tx, event, verb=verb, user=user.full_name)

    def member_names(self, group: str) -> frozenset[str]:
        """The names of a group's members; empty when there is no such group."""
        with self._context.database.read() as tx:
            found = user_rows.by_name_or_none(tx, group, self._context.zone)
            return frozenset(user.name for user in user_rows.members(tx, found.id)) if found else frozenset()

    def _members(self, group: User) -> list[User]:
        with self._context.database.read() as tx:
            return user_rows.members(tx, group.id)


def _check_password(password: str) -> None:
    if len(password) > MAX_NATIVE_PASSWORD:
        raise InvalidArgument(
            f"the password is {len(password)} characters long; at most {MAX_NATIVE_PASSWORD} are possible",
            status=Status.PASSWORD_EXCEEDS_MAX_SIZE,
        )
