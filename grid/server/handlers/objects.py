"""Data objects: descriptors, whole puts and gets, and what is done to them as a whole.

Source: `rsDataObjOpen.cpp`, `rsDataObjPut.cpp`, `rsDataObjGet.cpp`, `rsDataObjClose.cpp`, `rsDataObjLseek.cpp`,
`replica_open`, `replica_close`, `touch` and `get_file_descriptor_info` plug-ins, iRODS 5.0.2.
"""

import os
import time
from dataclasses import replace
from typing import Any, Final

from grid import paths
from grid.codes import Status
from grid.errors import BadDescriptor, InvalidArgument, NotFound
from grid.model import Avu
from grid.namespace import Metadata, MetadataOperation, OpenForReading, OpenReplica, Subject, WriteRequest
from grid.namespace.access import AccessChange
from grid.namespace.transfers import OpenForWriting, require_writable
from grid.server.exchange import FilePart, Reply, Request
from grid.server.handlers.session import json_of, json_reply

_ACCESS_MODE: Final = 3
_CREATE, _TRUNCATE, _APPEND = 64, 512, 1024
_READ_ONLY: Final = 0
_UNREGISTER: Final = 26


def replica_number(keywords: dict[str, str]) -> int | None:
    """The `replNum` keyword.

    Raises:
        InvalidArgument: it is no number (-130000).
    """
    text = keywords.get("replNum")
    if text is None or text == "":
        return None
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(
            f"`{paths.printable(text)}` is no replica number", status=Status.SYS_INVALID_INPUT_PARAM
        ) from None


def is_admin(keywords: dict[str, str]) -> bool:
    return "irodsAdmin" in keywords


def _write_request(request: Request, keywords: dict[str, str], flags: int) -> WriteRequest:
    message = request.message
    mode = message.get("createMode") or 0
    return WriteRequest(
        create=bool(flags & _CREATE),
        truncate=bool(flags & _TRUNCATE),
        append=bool(flags & _APPEND),
        readable=flags & _ACCESS_MODE == 2,
        resource_name=keywords.get("destRescName") or keywords.get("rescName") or _leaf(keywords),
        default_resource_name=keywords.get("defRescName", ""),
        replica_number=replica_number(keywords),
        size_bytes=message.get("dataSize", -1),
        data_type=keywords.get("dataType", "generic"),
        mode=str(mode) if mode else "",
        checksum=keywords.get("verifyChksum", ""),
        register_checksum="regChksum" in keywords,
        token=keywords.get("replicaToken", ""),
        admin=is_admin(keywords),
        reservation=keywords.get("reservation", ""),
    )


def _leaf(keywords: dict[str, str]) -> str:
    return keywords.get("resc_hier", "")


def _open(request: Request, flags: int) -> OpenReplica:
    keywords = request.keywords()
    path = request.message["objPath"]
    if path.endswith("/"):
        raise InvalidArgument(
            f"`{paths.printable(path)}` ends with a slash, so it names no data object",
            status=Status.USER_INPUT_PATH_ERR,
        )
    objects = request.namespace.objects
    if flags & _ACCESS_MODE == _READ_ONLY and not flags & (_CREATE | _TRUNCATE):
        return objects.open_for_reading(
            request.caller,
            path,
            resource_name=keywords.get("rescName") or _leaf(keywords),
            preferred_name=keywords.get("destRescName", ""),
            replica_number=replica_number(keywords),
            token=keywords.get("replicaToken", ""),
            admin=is_admin(keywords),
        )
    wanted = _write_request(request, keywords, flags)
    limit = request.services.settings.in_place_limit_bytes
    if not wanted.truncate and not wanted.token:
        _refuse_large_in_place(request, path, limit)
    return objects.open_for_writing(request.caller, path, wanted)


def _refuse_large_in_place(request: Request, path: str, limit: int) -> None:
    try:
        found = request.namespace.objects.stat(request.caller, path, only="dataObj")
    except NotFound:
        return
    if found.size_bytes > limit:
        raise InvalidArgument(
            f"`{paths.printable(path)}` is {found.size_bytes} bytes long; above {limit} bytes an object is written"
            " anew, not changed in place",
            status=Status.SYS_NOT_ALLOWED,
        )


def create(request: Request) -> Reply:
    """601: make a data object and open it."""
    opened = _open(request, 2 | _CREATE | _TRUNCATE)
    return Reply(request.connection.add_descriptor(opened))


def open_object(request: Request) -> Reply:
    """602: open a data object, making it when the flags say so."""
    opened = _open(request, request.message["openFlags"])
    return Reply(request.connection.add_descriptor(opened))


def replica_open(request: Request) -> Reply:
    """20003: open, and describe what was opened."""
    opened = _open(request, request.message["openFlags"])
    number = request.connection.add_descriptor(opened)
    return json_reply(_describe(request, number, opened), status=number)


def read(request: Request) -> Reply:
    """675: bytes from the position on; none at the end."""
    opened = _descriptor(request)
    wanted = max(request.message["len"], 0)
    if isinstance(opened, OpenForReading):
        descriptor = opened.file.descriptor()
        count = max(min(wanted, opened.size() - opened.position), 0)
        if descriptor is not None and count >= 64 << 10:
            part = FilePart(descriptor, opened.position, count)
            opened.position += count
            return Reply(count, stream=part)
    count = max(min(wanted, opened.size() - opened.position), 0)
    view = memoryview(bytearray(count))
    got = opened.read_into(view)
    return Reply(got, stream=view[:got])


def write(request: Request) -> Reply:
    """676: the stream's bytes to the position on. What cannot be written of large ones is said by the next call, or by the close."""
    opened = require_writable(_descriptor(request))
    total, remaining = 0, request.stream_bytes
    settings = request.services.settings
    while remaining:
        part, keeps = opened.room_for(remaining)
        request.connection.receive_stream(part, settings.minimum_rate)
        remaining -= len(part)
        request.stream_bytes = remaining
        total += opened.write(part, keeps=keeps)
    return Reply(total)


def seek(request: Request) -> Reply:
    """674: move the position."""
    opened = _descriptor(request)
    offset, whence = request.message["offset"], request.message["whence"]
    if whence not in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
        raise InvalidArgument(f"whence {whence}; 0, 1 or 2 is possible", status=-518022)
    base = 0 if whence == os.SEEK_SET else opened.position if whence == os.SEEK_CUR else opened.size()
    if base + offset < 0:
        raise InvalidArgument(f"seeking to {base + offset}", status=int(Status.UNIX_FILE_LSEEK_ERR) - 22)
    opened.position = base + offset
    return Reply(0, "fileLseekOut_PI", {"offset": opened.position})


def close(request: Request) -> Reply:
    """673: close; the content of a write becomes the object's now."""
    number = request.message["l1descInx"]
    if number < 3:
        raise BadDescriptor(f"{number} is no descriptor", status=Status.SYS_FILE_DESC_OUT_OF_RANGE)
    opened = _descriptor(request, status=Status.SYS_INVALID_INPUT_PARAM)
    keywords = request.keywords()
    request.connection.drop_descriptor(number)
    _finish(opened, compute="regChksum" in keywords or "verifyChksum" in keywords)
    return Reply()


def operation_complete(request: Request) -> Reply:
    """626: what ends a large put or get; a close."""
    number = request.message["myInt"]
    found = request.connection.descriptors.get(number) if request.connection.descriptors else None
    if found is None:
        raise BadDescriptor(f"no data object is open as {number}", status=Status.SYS_INVALID_INPUT_PARAM)
    request.connection.drop_descriptor(number)
    _finish(found, compute=False)
    return Reply()


def _finish(opened: OpenReplica, *, compute: bool) -> None:
    if isinstance(opened, OpenForReading):
        opened.close()
        return
    if compute:
        opened.checksum_wanted = True
    if opened.owner:
        opened.commit()
    else:
        opened.leave()


def replica_close(request: Request) -> Reply:
    """20004: close one of several streams on a replica, or all of it."""
    asked = json_of(request)
    number = asked.get("fd")
    if not isinstance(number, int):
        raise InvalidArgument("`fd` is missing", status=Status.SYS_INVALID_INPUT_PARAM)
    opened = request.connection.descriptor(number)
    request.connection.drop_descriptor(number)
    if isinstance(opened, OpenForReading):
        opened.close()
    elif asked.get("update_status", True) and opened.owner:
        _finish(opened, compute=bool(asked.get("compute_checksum", False)))
    else:
        opened.leave()
    return Reply()


def _descriptor(request: Request, *, status: int | None = None) -> OpenReplica:
    try:
        return request.connection.descriptor(request.message["l1descInx"])
    except BadDescriptor as error:
        error.status = status
        raise


def _describe(request: Request, number: int, opened: OpenReplica) -> dict[str, Any]:
    replica, found = opened.replica, opened.data_object
    resource_name = opened.hierarchy.rpartition(";")[2]
    return {
        "l3descInx": number,
        "in_use": True,
        "operation_type": 0,
        "open_type": 2 if opened.writable else 1,
        "operation_status": 0,
        "data_object_input_replica_flag": 0,
        "data_object_input": {
            "object_path": opened.path, "create_mode": 0, "open_flags": 0, "offset": 0,
            "data_size": opened.size(), "number_of_threads": 0, "operation_type": 0, "condition_input": [],
        },
        "data_object_info": {
            "object_path": opened.path,
            "resource_name": resource_name,
            "resource_hierarchy": opened.hierarchy,
            "data_type": replica.data_type,
            "data_size": opened.size(),
            "checksum": replica.checksum,
            "version": "",
            "file_path": replica.physical_path,
            "data_owner_name": found.owner_name,
            "data_owner_zone": found.owner_zone,
            "replica_number": replica.number,
            "replica_status": 2 if opened.writable else int(replica.status),
            "status_string": "",
            "data_id": found.id,
            "collection_id": found.collection_id,
            "data_map_id": 0,
            "flags": 0,
            "data_comments": replica.comments,
            "data_mode": replica.mode,
            "data_expiry": "",
            "data_create": replica.create_time,
            "data_modify": replica.modify_time,
            "data_access": "",
            "resource_id": replica.resource_id,
        },
        "bytes_written": 0,
        "data_size": opened.size(),
        "replica_token": opened.token,
    }  # fmt: skip


def descriptor_information(request: Request) -> Reply:
    """20000: what stands behind a descriptor, and the token for parallel streams."""
    asked = json_of(request)
    number = asked.get("fd")
    if not isinstance(number, int):
        raise InvalidArgument("`fd` is missing", status=Status.SYS_INVALID_INPUT_PARAM)
    try:
        opened = request.connection.descriptor(number)
    except BadDescriptor as error:
        error.status = Status.SYS_INVALID_INPUT_PARAM
        raise
    return json_reply(_describe(request, number, opened))


def put(request: Request) -> Reply:
    """606: a whole data object in one request, or a descriptor for one that comes in pieces."""
    keywords = request.keywords()
    wanted = _write_request(request, keywords, _CREATE | _TRUNCATE | 1)
    wanted = replace(wanted, exclusive="forceFlag" not in keywords, whole=True)
    path = request.message["objPath"]
    caller = request.caller
    if "dataIncluded" not in keywords:
        opened = request.namespace.objects.open_for_writing(caller, path, wanted)
        number = request.connection.add_descriptor(opened)
        return Reply(0, "PortalOprOut_PI", _portal(number))
    size = request.message["dataSize"]
    data = request.take_stream()
    if size != len(data):
        raise InvalidArgument(f"{len(data)} bytes came where the request says {size}", status=-27000)
    request.namespace.objects.put(caller, path, data, wanted)
    _extras(request, path, keywords)
    return Reply()


def _extras(request: Request, path: str, keywords: dict[str, str]) -> None:
    """Metadata and rights that a put brings along."""
    if keywords.get("metadataIncluded"):
        parts = _split_escaped(keywords["metadataIncluded"])
        operations = [
            MetadataOperation("add", Avu(*(parts[i : i + 3] + [""] * 3)[:3])) for i in range(0, len(parts), 3)
        ]
        metadata: Metadata = request.namespace.metadata
        metadata.apply(request.caller, Subject("object", path), operations)
    if keywords.get("aclIncluded"):
        changes = []
        for entry in _split_escaped(keywords["aclIncluded"]):
            level, _, who = entry.strip().partition(" ")
            name, _, zone = who.partition("#")
            changes.append(AccessChange(name, zone, level))
        request.namespace.access.change_all(request.caller, path, changes)


def _split_escaped(text: str) -> list[str]:
    parts, current, escaped = [], "", False
    for character in text:
        if escaped:
            current, escaped = current + character, False
        elif character == "\\":
            escaped = True
        elif character == ";":
            parts.append(current)
            current = ""
        else:
            current += character
    if current:
        parts.append(current)
    return parts


def _portal(number: int, checksum: str = "") -> dict[str, Any]:
    return {"status": 0, "l1descInx": number, "numThreads": 0, "chksum": checksum, "PortList_PI": {}}


def get(request: Request) -> Reply:
    """608: all bytes in the reply when they fit, a descriptor otherwise."""
    keywords = request.keywords()
    opened = request.namespace.objects.open_for_reading(
        request.caller,
        request.message["objPath"],
        resource_name=keywords.get("rescName", ""),
        replica_number=replica_number(keywords),
        admin=is_admin(keywords),
    )
    checksum = opened.replica.checksum if "verifyChksum" in keywords else ""
    size = opened.size()
    if size > request.services.settings.single_buffer_bytes:
        number = request.connection.add_descriptor(opened)
        return Reply(number, "PortalOprOut_PI", _portal(number, checksum))
    try:
        view = memoryview(bytearray(size))
        got = opened.read_into(view)
    finally:
        opened.close()
    return Reply(got, "PortalOprOut_PI", _portal(0, checksum), stream=view[:got])


def unlink(request: Request) -> Reply:
    """615: to the trash, or for good."""
    keywords = request.keywords()
    path = request.message["objPath"]
    trash = "irodsRmTrash" in keywords or "irodsAdminRmTrash" in keywords
    moves = request.namespace.moves
    if trash and not moves.in_trash(request.namespace.context.path(path).text):
        raise InvalidArgument(
            f"`{paths.printable(path)}` is not in the trash", status=Status.SYS_INVALID_FILE_PATH
        )
    unregister = request.message["oprType"] == _UNREGISTER
    number = replica_number(keywords)
    if number is not None and not unregister:
        raise InvalidArgument("one replica is removed by trimming", status=Status.USER_INCOMPATIBLE_PARAMS)
    moves.unlink(
        request.caller, path, force="forceFlag" in keywords or trash,
        admin=is_admin(keywords) or "irodsAdminRmTrash" in keywords, unregister=unregister,
    )  # fmt: skip
    return Reply()


def rename(request: Request) -> Reply:
    """627: another path for a data object or a collection."""
    first, second = request.message["DataObjInp_PI"], request.message["DataObjInp_PI#2"]
    request.namespace.moves.rename(request.caller, first["objPath"], second["objPath"])
    return Reply()


def stat(request: Request) -> Reply:
    """633: what is at a path."""
    found = request.namespace.objects.stat(
        request.caller, request.message["objPath"], only=request.keywords().get("selObjType", "")
    )
    return Reply(
        found.kind,
        "RodsObjStat_PI",
        {
            "objSize": found.size_bytes,
            "objType": found.kind,
            "dataMode": int(found.mode) if found.mode.isdigit() else 0,
            "dataId": str(found.id),
            "chksum": found.checksum,
            "ownerName": found.owner_name,
            "ownerZone": found.owner_zone,
            "createTime": found.create_time,
            "modifyTime": found.modify_time,
            "SpecColl_PI": None,
        },
    )


def truncate(request: Request) -> Reply:
    """652: cut or extend a data object."""
    opened = request.namespace.objects.open_for_writing(
        request.caller, request.message["objPath"], WriteRequest(create=False, truncate=False)
    )
    _set_size(opened, request.message["dataSize"])
    return Reply()


def _set_size(opened: OpenForWriting, size: int) -> None:
    try:
        if size < 0:
            raise InvalidArgument(f"a size of {size}", status=int(Status.UNIX_FILE_TRUNCATE_ERR) - 22)
        opened.set_size(size)
    except BaseException:
        opened.abandon()
        raise
    opened.commit()


def touch(request: Request) -> Reply:
    """20007: set the modification time, making the object when it is not there."""
    asked = json_of(request)
    path = asked.get("logical_path")
    options = asked.get("options") or {}
    if not isinstance(path, str) or not isinstance(options, dict):
        raise InvalidArgument("`logical_path` is missing", status=Status.SYS_INVALID_INPUT_PARAM)
    if path.endswith("/") and path != "/":
        path = path.rstrip("/")
    seconds, reference = options.get("seconds_since_epoch"), options.get("reference")
    if seconds is not None and reference is not None:
        raise InvalidArgument(
            "a time and a reference exclude each other", status=Status.USER_INCOMPATIBLE_PARAMS
        )
    number, leaf = options.get("replica_number"), options.get("leaf_resource_name")
    if number is not None and leaf is not None:
        raise InvalidArgument(
            "a replica number and a resource exclude each other", status=Status.USER_INCOMPATIBLE_PARAMS
        )
    if seconds is not None and (not isinstance(seconds, int) or seconds < 0):
        raise InvalidArgument("a time before 1970", status=Status.SYS_INVALID_INPUT_PARAM)
    _touch(request, path, options, _touch_time(request, seconds, reference))
    return Reply()


def _touch_time(request: Request, seconds: int | None, reference: str | None) -> int:
    if reference is not None:
        try:
            return int(request.namespace.objects.stat(request.caller, str(reference)).modify_time)
        except NotFound as error:
            raise NotFound(str(error), status=Status.OBJ_PATH_DOES_NOT_EXIST) from error
    return int(time.time()) if seconds is None else seconds


def _touch(request: Request, path: str, options: dict[str, Any], seconds: int) -> None:
    number, leaf = options.get("replica_number"), options.get("leaf_resource_name")
    try:
        found = request.namespace.objects.stat(request.caller, path)
    except NotFound:
        if options.get("no_create"):
            return
        if number is not None:
            raise InvalidArgument(
                "the data object is not there, so no replica can be named",
                status=Status.OBJ_PATH_DOES_NOT_EXIST,
            ) from None
        opened = request.namespace.objects.open_for_writing(
            request.caller, path, WriteRequest(resource_name=leaf or "")
        )
        opened.commit()
    else:
        if found.kind == 2:
            if number is not None or leaf is not None:
                raise InvalidArgument(
                    "a collection has no replicas", status=Status.USER_INCOMPATIBLE_PARAMS
                ) from None
            request.namespace.collections.set_modify_time(request.caller, path, f"{seconds:011d}")
            return
    request.namespace.records.touch(
        request.caller, path, f"{seconds:011d}", replica_number=number, resource_name=leaf or ""
    )


HANDLERS: Final = {
    601: create,
    602: open_object,
    606: put,
    608: get,
    615: unlink,
    626: operation_complete,
    627: rename,
    633: stat,
    652: truncate,
    673: close,
    674: seek,
    675: read,
    676: write,
    20000: descriptor_information,
    20003: replica_open,
    20004: replica_close,
    20007: touch,
}
