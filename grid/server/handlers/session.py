"""Logging in, temporary passwords, and what a server says about itself.

Source: `rsAuthenticate.cpp`, `native.cpp` of the authentication plug-ins, `rsGetTempPassword.cpp`, iRODS 5.0.2.
"""

import json
import secrets
import time
from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any, Final

from grid.codes import Privilege, Status
from grid.errors import AccessDenied, AuthenticationFailed, InvalidArgument, NotFound
from grid.model import Caller, User
from grid.namespace import Event as GridEvent
from grid.server.exchange import Reply, Request, Services
from grid.wire import auth

RELEASE: Final = "rods5.0.2"
API_VERSION: Final = "d"
_FEATURES: Final = {
    "IRODS_LIBRARY_FEATURE_TICKET_ADMINISTRATION": 202209,
    "IRODS_LIBRARY_FEATURE_ZONE_ADMINISTRATION": 202210,
    "IRODS_LIBRARY_FEATURE_SYSTEM_ERROR": 202301,
    "IRODS_LIBRARY_FEATURE_CLIENT_CONNECTION_LIBRARIES_SUPPORT_PROXY_USERS": 202306,
}


def json_of(request: Request) -> dict[str, Any]:
    """The JSON object in a `BinBytesBuf_PI` or a text.

    Raises:
        InvalidArgument: it is none (-130000).
    """
    data = request.message.get("buf") or b""
    try:
        found = json.loads(data.split(b"\0", 1)[0].decode("utf-8"))
    except (ValueError, UnicodeDecodeError):
        raise InvalidArgument("the request is not JSON", status=Status.SYS_INVALID_INPUT_PARAM) from None
    if not isinstance(found, dict):
        raise InvalidArgument("the request is not a JSON object", status=Status.SYS_INVALID_INPUT_PARAM)
    return found


def json_reply(value: Any, status: int = 0) -> Reply:
    """JSON with a trailing NUL in a `BinBytesBuf_PI`, as C++ clients expect it."""
    data = json.dumps(value, separators=(",", ":")).encode() + b"\0"
    return Reply(status, "BinBytesBuf_PI", {"buflen": len(data), "buf": data})


def _new_challenge(request: Request) -> str:
    challenge = secrets.token_hex(auth.CHALLENGE_BYTES // 2)
    request.connection.challenge = challenge.encode()
    return challenge


def authenticate(request: Request) -> Reply:
    """The two steps of native authentication in the framework of 4.3 and later."""
    step = json_of(request)
    scheme, operation = step.get("scheme"), step.get("next_operation")
    if not isinstance(scheme, str) or not isinstance(operation, str):
        raise InvalidArgument(
            "an authentication request needs `scheme` and `next_operation`",
            status=Status.SYS_INVALID_INPUT_PARAM,
        )
    if scheme != "native":
        raise InvalidArgument(
            f"authentication scheme `{scheme[:64]}` is not offered; `native` is",
            status=Status.PLUGIN_ERROR_MISSING_SHARED_OBJECT,
        )
    if operation == "auth_agent_auth_request":
        step["request_result"] = _new_challenge(request)
        return json_reply(step)
    if operation != "auth_agent_auth_response":
        raise InvalidArgument(
            f"`{operation[:64]}` is no step of native authentication", status=Status.SYS_INVALID_INPUT_PARAM
        )
    user, zone, digest = step.get("user_name"), step.get("zone_name"), step.get("digest")
    if not isinstance(user, str) or not isinstance(zone, str) or not isinstance(digest, str):
        raise InvalidArgument(
            "the response needs `user_name`, `zone_name` and `digest`", status=Status.SYS_INVALID_INPUT_PARAM
        )
    try:
        answer = b64decode(digest)
    except (Base64Error, ValueError):
        raise InvalidArgument("`digest` is not base64", status=Status.SYS_INVALID_INPUT_PARAM) from None
    log_in(request, user, zone, answer)
    return json_reply(step)


def challenge(request: Request) -> Reply:
    """703: a challenge, the older way."""
    text = _new_challenge(request)
    return Reply(0, "authRequestOut_PI", {"challenge": text.encode()})


def challenge_response(request: Request) -> Reply:
    """704: the answer to it."""
    name, _, zone = (request.message.get("username") or "").partition("#")
    startup = request.connection.startup
    log_in(
        request, name, zone or (startup.proxy_zone if startup else ""), request.message.get("response") or b""
    )
    return Reply()


def log_in(request: Request, name: str, zone: str, answer: bytes) -> None:
    """Check the answer to this connection's challenge and make the client its caller.

    Raises:
        NotFound: an unknown user (-827000) or client user (-832000).
        AuthenticationFailed: none of the user's passwords gives the answer (-826000), or one that has expired
            (-840000).
        AccessDenied: a client user that the proxy user may not act for (-39000).
    """
    connection, services = request.connection, request.services
    connection.caller = None
    users = services.namespace.users
    zone = zone or services.settings.zone
    if not connection.challenge:
        raise AuthenticationFailed("no challenge was asked for on this connection")
    proxy = users.caller(name, zone, address=connection.address, request_id=request.request_id)
    _check_answer(services, proxy.user, connection.challenge, answer)
    startup = connection.startup
    client_name = startup.client_user if startup and startup.client_user else name
    client_zone = (startup.client_zone if startup else "") or services.settings.zone
    if (client_name, client_zone) == (proxy.user.name, proxy.user.zone):
        connection.caller = proxy
    else:
        connection.caller = _acting_as(services, proxy, client_name, client_zone, connection.address)
    caller, connection.caller = connection.caller, None  # nobody is logged in unless the policy agrees
    for verb in ("open", "auth"):
        services.namespace.context.policy.witness(GridEvent("connection", verb, caller, ""))
    connection.caller = caller
    connection.authenticated = True
    connection.refreshed_at = time.monotonic()


def _acting_as(services: Services, proxy: Caller, name: str, zone: str, address: str) -> Caller:
    if not proxy.is_admin:
        raise AccessDenied(
            f"`{proxy.user.full_name}` may not act for `{name}#{zone}`", status=Status.SYS_PROXYUSER_NO_PRIV
        )
    try:
        return services.namespace.users.caller(name, zone, proxy=proxy.user, address=address)
    except NotFound as error:
        raise NotFound(str(error), status=Status.CAT_INVALID_CLIENT_USER) from error


def _check_answer(services: Services, user: User, challenge_text: bytes, answer: bytes) -> None:
    users = services.namespace.users
    rows = users.passwords(user)
    now = time.time()
    expired = False
    if not rows and user.name == "anonymous":
        return
    for row_id, password, expires_at, one_time in rows:
        if not auth.matches(challenge_text, password, answer):
            continue
        if expires_at and expires_at < now:
            expired = True
            continue
        if one_time and not users.consume_password(row_id):
            continue
        return
    if expired:
        raise AuthenticationFailed("this password has expired", status=Status.CAT_PASSWORD_EXPIRED)
    raise AuthenticationFailed(f"`{user.full_name}` did not give the right password")


def privilege_of(caller: Caller | None, *, proxy: bool, zone: str) -> Privilege:
    """How privileged the client user, or the proxy user, of a connection is."""
    if caller is None:
        return Privilege.NONE
    user = caller.proxy if proxy else caller.user
    if user.zone != zone:
        return Privilege.REMOTE_PRIVILEGED if user.is_admin else Privilege.USER
    return Privilege.PRIVILEGED if user.is_admin else Privilege.LOCAL_USER


def temporary_password(request: Request) -> Reply:
    """709: a string from which the caller makes a password for one login."""
    users = request.namespace.users
    own = users.clear_password(request.caller.user)
    if not own:
        raise NotFound("the user has no password", status=Status.CAT_INVALID_USER)
    hash_string = users.add_one_time_password(request.caller.user, own)
    return Reply(0, "getTempPasswordOut_PI", {"stringToHashWith": hash_string})


def temporary_password_for_other(request: Request) -> Reply:
    """724: the same for another user; for administrators."""
    users = request.namespace.users
    name = request.message.get("targetUser") or ""
    with request.namespace.context.database.read() as tx:
        try:
            user = users.find(tx, name)
        except NotFound as error:
            raise NotFound(str(error), status=Status.CAT_SQL_ERR) from error
    hash_string = users.add_one_time_password(user, users.clear_password(request.caller.user))
    return Reply(0, "getTempPasswordForOtherOut_PI", {"stringToHashWith": hash_string})


def server_information(request: Request) -> Reply:
    """700: who this server is; answered before anybody logs in."""
    data = b'{"ssl_enabled":false}'
    return Reply(
        0,
        "MiscSvrInfo_PI",
        {
            "serverType": 1,
            "serverBootTime": 0,
            "relVersion": RELEASE,
            "apiVersion": API_VERSION,
            "rodsZone": request.services.settings.zone,
            "BinBytesBuf_PI": {"buflen": len(data), "buf": data},
        },
    )


def library_features(request: Request) -> Reply:
    """801: what client libraries may use."""
    return Reply(0, "STR_PI", {"myStr": json.dumps(_FEATURES)})


def end_transaction(request: Request) -> Reply:
    """718: every request is its own transaction here, so there is nothing left to end."""
    return Reply()


HANDLERS: Final = {
    110000: authenticate,
    703: challenge,
    704: challenge_response,
    709: temporary_password,
    724: temporary_password_for_other,
    700: server_information,
    801: library_features,
    718: end_transaction,
}
