"""Collections, rights and metadata.

Source: `rsCollCreate.cpp`, `rsRmColl.cpp`, `rsModColl.cpp`, `rsModAccessControl.cpp`, `rsModAVUMetadata.cpp`, and
the atomic plug-ins, iRODS 5.0.2.
"""

from collections.abc import Callable
from typing import Any, Final

from grid import paths
from grid.codes import Status
from grid.errors import GridError, InvalidArgument, NotFound, status_of
from grid.model import Avu
from grid.namespace import AccessChange, MetadataOperation, Subject
from grid.server.exchange import Reply, Request
from grid.server.handlers.objects import is_admin
from grid.server.handlers.session import json_of, json_reply

_KINDS: Final = {
    "-d": "object", "-D": "object", "-c": "collection", "-C": "collection",
    "-r": "resource", "-R": "resource", "-u": "user", "-U": "user",
}  # fmt: skip
_ENTITY_TYPES: Final = {
    "data_object": "object", "collection": "collection", "resource": "resource", "user": "user",
}  # fmt: skip


def create_collection(request: Request) -> Reply:
    """681: make a collection."""
    keywords = request.keywords()
    path = request.message["collName"]
    last = path.rstrip("/").rpartition("/")[2]
    if last in (".", ".."):
        raise InvalidArgument(
            f"`{paths.printable(path)}` ends with `{last}`", status=Status.USER_INPUT_PATH_ERR
        )
    try:
        paths.parse(path)
    except paths.InvalidPath as error:
        raise InvalidArgument(str(error), status=Status.SYS_INVALID_INPUT_PARAM) from error
    request.namespace.collections.create(
        request.caller,
        path,
        parents="recursiveOpr" in keywords,
        admin=is_admin(keywords),
        kind=(
            keywords.get("collectionType", ""),
            keywords.get("collectionInfo1", ""),
            keywords.get("collectionInfo2", ""),
        ),
    )
    return Reply()


def remove_collection(request: Request) -> Reply:
    """679: remove a collection, or move it to the trash."""
    keywords = request.keywords()
    recursive = "recursiveOpr" in keywords
    if recursive and "replNum" in keywords:
        raise InvalidArgument(
            "one replica of everything below cannot be removed this way",
            status=Status.USER_INCOMPATIBLE_PARAMS,
        )
    trash = "irodsRmTrash" in keywords or "irodsAdminRmTrash" in keywords
    count = request.namespace.moves.remove_collection(
        request.caller,
        request.message["collName"],
        recursive=recursive,
        force="forceFlag" in keywords,
        admin=is_admin(keywords) or "irodsAdminRmTrash" in keywords,
        unregister="unregColl" in keywords,
        trash_only=trash,
    )
    return Reply(
        0,
        "CollOprStat_PI",
        {"filesCnt": count, "totalFileCnt": count, "bytesWritten": 0, "lastObjPath": ""},
    )


def change_collection(request: Request) -> Reply:
    """680: change a collection's type or modification time."""
    keywords = request.keywords()
    path = request.message["collName"]
    if "collectionMtime" in keywords:
        stamp = keywords["collectionMtime"]
        if not stamp.isdigit():
            raise InvalidArgument(f"`{stamp}` is no time")
        request.namespace.collections.set_modify_time(request.caller, path, f"{int(stamp):011d}")
    if "collectionType" in keywords:
        request.namespace.collections.change_type(
            request.caller, path, keywords["collectionType"], keywords.get("collectionInfo1", ""),
            keywords.get("collectionInfo2", ""),
        )  # fmt: skip
    return Reply()


def change_access(request: Request) -> Reply:
    """707: one user's level on one path or a tree."""
    message = request.message
    level = message["accessLevel"] or ""
    admin = level.startswith("admin:")
    request.namespace.access.change(
        request.caller,
        message["path"] or "",
        AccessChange(message["userName"] or "", message["zone"] or "", level.removeprefix("admin:")),
        recursive=bool(message["recursiveFlag"]),
        admin=admin,
    )
    return Reply()


def _atomic(request: Request, apply: Callable[[dict[str, Any]], None]) -> Reply:
    """Run a JSON request whose failure is described by a JSON reply."""
    asked = json_of(request)
    try:
        apply(asked)
    except GridError as error:
        index = int(getattr(error, "operation_index", 0))
        operations = asked.get("operations")
        operation = operations[index] if isinstance(operations, list) and index < len(operations) else {}
        sentence = str(error)
        if isinstance(error, NotFound) and error.status != Status.CAT_SUCCESS_BUT_WITH_NO_INFO:
            name = asked.get("entity_name") or asked.get("logical_path")
            sentence = f"Entity does not exist [entity_name={name}]"  # clients look for these words
        reply = json_reply(
            {"operation": operation, "operation_index": index, "error_message": sentence}, status_of(error)
        )
        reply.errors = [(reply.status, str(error))]
        return reply
    return json_reply({})


def _operations(asked: dict[str, Any]) -> list[dict[str, Any]]:
    operations = asked.get("operations")
    if not isinstance(operations, list) or not all(isinstance(o, dict) for o in operations):
        raise InvalidArgument("`operations` is not a list of objects", status=Status.SYS_INVALID_INPUT_PARAM)
    return operations


def _text(of: dict[str, Any], key: str, default: str | None = None) -> str:
    value = of.get(key, default)
    if not isinstance(value, str):
        raise InvalidArgument(f"`{key}` is missing or no text", status=Status.SYS_INVALID_INPUT_PARAM)
    return value


def atomic_metadata(request: Request) -> Reply:
    """20002: several changes of metadata, all or none."""

    def apply(asked: dict[str, Any]) -> None:
        kind = _ENTITY_TYPES.get(_text(asked, "entity_type"))
        if kind is None:
            raise InvalidArgument(
                f"`{asked['entity_type']}` is no entity type", status=Status.SYS_INVALID_INPUT_PARAM
            )
        operations = []
        for operation in _operations(asked):
            verb = _text(operation, "operation")
            if verb not in ("add", "remove"):
                raise InvalidArgument(f"`{verb}` is no operation", status=Status.SYS_INVALID_INPUT_PARAM)
            avu = Avu(_text(operation, "attribute"), _text(operation, "value"), _text(operation, "units", ""))
            operations.append(MetadataOperation(verb, avu))
        request.namespace.metadata.apply(
            request.caller,
            Subject(kind, _text(asked, "entity_name")),
            operations,
            admin=bool(asked.get("admin_mode", False)),
            strict=False,
        )

    return _atomic(request, apply)


def atomic_access(request: Request) -> Reply:
    """20005: several access levels on one path, all or none."""

    def apply(asked: dict[str, Any]) -> None:
        changes = [
            AccessChange(_text(o, "entity_name"), _text(o, "zone", ""), _text(o, "acl"))
            for o in _operations(asked)
        ]
        request.namespace.access.change_all(
            request.caller, _text(asked, "logical_path"), changes, admin=bool(asked.get("admin_mode", False))
        )

    return _atomic(request, apply)


def change_metadata(request: Request) -> Reply:
    """706: one change of metadata."""
    message = request.message
    arguments = [message.get(f"arg{index}") or "" for index in range(10)]
    verb = arguments[0]
    admin = is_admin(request.keywords())
    if verb == "cp":
        source, target = (
            Subject(_kind(arguments[1]), arguments[3]),
            Subject(_kind(arguments[2]), arguments[4]),
        )
        request.namespace.metadata.copy(request.caller, source, target, admin=admin)
        return Reply()
    subject = Subject(_kind(arguments[1]), arguments[2])
    avu = Avu(arguments[3], arguments[4], arguments[5])
    metadata, caller = request.namespace.metadata, request.caller
    if verb in ("add", "adda"):
        metadata.apply(caller, subject, [MetadataOperation("add", avu)], admin=admin)
    elif verb == "set":
        metadata.apply(caller, subject, [MetadataOperation("set", avu)], admin=admin)
    elif verb == "rm":
        metadata.apply(caller, subject, [MetadataOperation("remove", avu)], admin=admin)
    elif verb == "rmi":
        if not arguments[3].isdigit():
            raise InvalidArgument(f"`{arguments[3]}` is no metadata id")
        metadata.remove_by_id(caller, subject, int(arguments[3]), admin=admin)
    elif verb == "rmw":
        metadata.remove_like(caller, subject, avu, admin=admin)
    elif verb == "mod":
        _modify(request, subject, arguments[3:], admin=admin)
    else:
        raise InvalidArgument(f"`{paths.printable(verb)}` is no change of metadata")
    return Reply()


def _kind(flag: str) -> str:
    kind = _KINDS.get(flag)
    if kind is None:
        raise InvalidArgument(f"`{paths.printable(flag)}` says neither -d, -C, -R nor -u")
    return kind


def _modify(request: Request, subject: Subject, arguments: list[str], *, admin: bool) -> None:
    """`mod`: attribute, value, perhaps unit, then `n:`, `v:`, `u:` with what is new."""
    attribute, value, *rest = arguments
    unit = ""
    if rest and rest[0] and rest[0][:2] not in ("n:", "v:", "u:"):
        unit, rest = rest[0], rest[1:]
    new = {"n": attribute, "v": value, "u": unit}
    changed = False
    for text in rest:
        if text[:2] in ("n:", "v:", "u:"):
            new[text[0]] = text[2:]
            changed = True
    if not changed:
        raise InvalidArgument("`mod` needs at least one of n:, v:, u:")
    if not attribute or not value:
        raise InvalidArgument("`mod` needs the attribute and the value to change")
    request.namespace.metadata.modify(
        request.caller, subject, Avu(attribute, value, unit), Avu(new["n"], new["v"], new["u"]), admin=admin
    )


HANDLERS: Final = {
    681: create_collection,
    679: remove_collection,
    680: change_collection,
    683: change_collection,
    706: change_metadata,
    707: change_access,
    20002: atomic_metadata,
    20005: atomic_access,
}
