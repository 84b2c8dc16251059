"""What `iadmin` and `igroupadmin` send: one request with up to ten texts, looked up in a table.

Source: `rsGeneralAdmin.cpp`, `rsUserAdmin.cpp`, iRODS 5.0.2.
"""

from collections.abc import Callable
from typing import Final

from grid import paths
from grid.codes import Status
from grid.errors import InvalidArgument, NotPrivileged
from grid.model import User
from grid.server.exchange import Reply, Request
from grid.wire import auth
from grid.wire.errors import RemoteWireError

Arguments = list[str]
Action = Callable[[Request, Arguments], None]


def _arguments(request: Request) -> Arguments:
    return [request.message.get(f"arg{index}") or "" for index in range(10)]


def _new_password(request: Request, sent: str) -> str:
    """The clear text of a password that a client scrambled with its own and this connection's signature."""
    own = request.namespace.users.clear_password(request.caller.user)
    try:
        return auth.unscramble_new_password(sent, own, auth.signature(request.connection.challenge))
    except RemoteWireError as error:
        raise InvalidArgument(str(error), status=Status.CAT_PASSWORD_ENCODING_ERROR) from error


def _add_user(request: Request, a: Arguments) -> None:
    name = a[2] if not a[4] or "#" in a[2] else f"{a[2]}#{a[4]}"
    user = request.namespace.users.add(request.caller, name, a[3])
    if a[5]:
        request.namespace.users.modify(request.caller, user.full_name, "addAuth", a[5])


def _add_group(request: Request, a: Arguments) -> None:
    request.namespace.users.add(request.caller, a[2], "rodsgroup")


def _add_directory(request: Request, a: Arguments) -> None:
    owner: User | None = None
    if a[3]:
        with request.namespace.context.database.read() as tx:
            owner = request.namespace.users.find(tx, a[3])
    request.namespace.collections.create(request.caller, a[2], admin=True, owner=owner)


def _add_zone(request: Request, a: Arguments) -> None:
    request.namespace.administration.add_zone(request.caller, a[2], a[3], a[4], a[5])


def _add_resource(request: Request, a: Arguments) -> None:
    request.namespace.administration.add_resource(request.caller, a[2], a[3], a[4], a[5])


def _add_child(request: Request, a: Arguments) -> None:
    request.namespace.administration.add_child(request.caller, a[2], a[3], a[4])


def _add_specific_query(request: Request, a: Arguments) -> None:
    request.namespace.administration.add_specific_query(request.caller, a[2], a[3])


def _modify_user(request: Request, a: Arguments) -> None:
    users = request.namespace.users
    if a[3] == "password":
        users.set_password(request.caller, a[2], _new_password(request, a[4]))
    else:
        users.modify(request.caller, a[2], a[3], a[4])


def _modify_group(request: Request, a: Arguments) -> None:
    request.namespace.users.change_members(request.caller, a[2], a[3], a[4], a[5])


def _modify_zone(request: Request, a: Arguments) -> None:
    request.namespace.administration.modify_zone(request.caller, a[2], a[3], a[4])


def _modify_resource(request: Request, a: Arguments) -> None:
    request.namespace.administration.modify_resource(request.caller, a[2], a[3], a[4])


def _remove_user(request: Request, a: Arguments) -> None:
    name = a[2] if not a[3] or "#" in a[2] else f"{a[2]}#{a[3]}"
    request.namespace.users.remove(request.caller, name)


def _remove_group(request: Request, a: Arguments) -> None:
    request.namespace.users.remove(request.caller, a[2], group=True)


def _remove_directory(request: Request, a: Arguments) -> None:
    request.namespace.moves.remove_collection(request.caller, a[2], recursive=False, force=True, admin=True)


def _remove_resource(request: Request, a: Arguments) -> None:
    request.namespace.administration.remove_resource(request.caller, a[2], dry_run=a[3] == "--dryrun")


def _remove_child(request: Request, a: Arguments) -> None:
    request.namespace.administration.remove_child(request.caller, a[2], a[3])


def _remove_zone(request: Request, a: Arguments) -> None:
    request.namespace.administration.remove_zone(request.caller, a[2])


def _remove_specific_query(request: Request, a: Arguments) -> None:
    request.namespace.administration.remove_specific_query(request.caller, a[2])


def _remove_unused(request: Request, a: Arguments) -> None:
    request.namespace.administration.remove_unused_avus(request.caller)


def _set_quota(request: Request, a: Arguments) -> None:
    request.namespace.administration.set_quota(request.caller, a[1], a[2], a[3], a[4])


def _calculate_usage(request: Request, a: Arguments) -> None:
    request.namespace.administration.calculate_usage(request.caller)


GENERAL: Final[dict[tuple[str, str], Action]] = {
    ("add", "user"): _add_user,
    ("add", "group"): _add_group,
    ("add", "dir"): _add_directory,
    ("add", "zone"): _add_zone,
    ("add", "resource"): _add_resource,
    ("add", "childtoresc"): _add_child,
    ("add", "specificQuery"): _add_specific_query,
    ("modify", "user"): _modify_user,
    ("modify", "group"): _modify_group,
    ("modify", "zone"): _modify_zone,
    ("modify", "resource"): _modify_resource,
    ("rm", "user"): _remove_user,
    ("rm", "group"): _remove_group,
    ("rm", "dir"): _remove_directory,
    ("rm", "resource"): _remove_resource,
    ("rm", "childfromresc"): _remove_child,
    ("rm", "zone"): _remove_zone,
    ("rm", "specificQuery"): _remove_specific_query,
    ("rm", "unusedAVUs"): _remove_unused,
    ("set-quota", "user"): _set_quota,
    ("set-quota", "group"): _set_quota,
    ("calculate-usage", ""): _calculate_usage,
}
"""First and second argument to what is done."""


def general(request: Request) -> Reply:
    """701: what an administrator changes."""
    a = _arguments(request)
    action = GENERAL.get((a[0], a[1])) or GENERAL.get((a[0], ""))
    if action is None:
        raise InvalidArgument(
            f"`{paths.printable(a[0])} {paths.printable(a[1])}` is no administrative request this server knows"
        )
    action(request, a)
    return Reply()


def user_administration(request: Request) -> Reply:
    """714: what users and group administrators change themselves."""
    a = _arguments(request)
    users, caller = request.namespace.users, request.caller
    if a[0] == "userpw":
        if a[1] != caller.user.name and not caller.is_admin:
            raise NotPrivileged("another user's password is for administrators to set")
        users.set_password(caller, a[1], _new_password(request, a[3]))
    elif a[0] in ("mkuser", "mkgroup"):
        if caller.user.type != "groupadmin" and not caller.is_admin:
            raise NotPrivileged("making users and groups is for group administrators")
        if a[0] == "mkuser":
            password = _new_password(request, a[2]) if a[2] else ""
            users.add(caller, a[1], "rodsuser", password=password)
        else:
            users.add(caller, a[1], "rodsgroup")
    elif a[0] == "modify" and a[1] == "group":
        if caller.user.type != "groupadmin" and not caller.is_admin:
            raise NotPrivileged("changing groups is for group administrators")
        users.change_members(caller, a[2], a[3], a[4], a[5])
    else:
        raise InvalidArgument(f"`{paths.printable(a[0])}` is no request about users this server knows")
    return Reply()


HANDLERS: Final = {701: general, 714: user_administration}
