"""Replicas: copy, replicate, trim, checksum, register, system metadata.

Source: `rsDataObjCopy.cpp`, `rsDataObjRepl.cpp`, `rsDataObjTrim.cpp`, `rsDataObjChksum.cpp`, `rsPhyPathReg.cpp`,
`rsModDataObjMeta.cpp`, iRODS 5.0.2.
"""

import os
from typing import Any, Final

from grid import paths
from grid.codes import Status
from grid.errors import ChecksumMismatch, InvalidArgument, NotFound, Unsupported
from grid.namespace import ChecksumRequest, TrimRequest, WriteRequest
from grid.server.exchange import Reply, Request, keywords_of
from grid.server.handlers.objects import is_admin, replica_number

_UNREGISTER: Final = 26


def copy(request: Request) -> Reply:
    """696: a new data object with the content of another."""
    source, target = request.message["DataObjInp_PI"], request.message["DataObjInp_PI#2"]
    keywords = keywords_of(target) or {}
    wanted = WriteRequest(
        resource_name=keywords.get("destRescName", ""),
        default_resource_name=keywords.get("defRescName", ""),
        data_type=keywords.get("dataType", "generic"),
        register_checksum="regChksum" in keywords or "verifyChksum" in keywords,
    )
    count = request.namespace.replicas.copy(
        request.caller, source["objPath"], target["objPath"], wanted, force="forceFlag" in keywords
    )
    return Reply(0, "TransferStat_PI", {"numThreads": 0, "flags": 0, "bytesWritten": count})


def replicate(request: Request) -> Reply:
    """695: one more good replica, or a fresh one for a stale one."""
    keywords = request.keywords()
    every = "all" in keywords
    target = keywords.get("destRescName", "")
    if every and target:
        raise InvalidArgument(
            "`all` and a target resource exclude each other", status=Status.USER_INCOMPATIBLE_PARAMS
        )
    path, caller = request.message["objPath"], request.caller
    replicas = request.namespace.replicas
    if "updateRepl" in keywords and not target:
        count = replicas.update_stale(caller, path, admin=is_admin(keywords), every=every)
    else:
        count = replicas.replicate(
            caller, path, target or keywords.get("defRescName", ""), source_name=keywords.get("rescName", ""),
            source_number=replica_number(keywords), update="updateRepl" in keywords, admin=is_admin(keywords),
        )  # fmt: skip
    return Reply(0, "TransferStat_PI", {"numThreads": 0, "flags": 0, "bytesWritten": count})


def trim(request: Request) -> Reply:
    """632: remove replicas; the status is how many."""
    keywords = request.keywords()
    number = _trim_number(keywords)
    keep = keywords.get("copies")
    if keep is not None and (not keep.lstrip("-").isdigit() or int(keep) <= 0):
        raise InvalidArgument(f"`{keep}` copies cannot be kept", status=Status.SYS_INVALID_INPUT_PARAM)
    unregister = request.message["oprType"] == _UNREGISTER
    if number is not None and ("rescName" in keywords or (keep is not None and not unregister)):
        raise InvalidArgument(
            "a replica number excludes a resource and a count", status=Status.USER_INCOMPATIBLE_PARAMS
        )
    count = request.namespace.replicas.trim(
        request.caller,
        request.message["objPath"],
        TrimRequest(
            replica_number=number,
            resource_name=keywords.get("rescName", ""),
            keep=int(keep) if keep is not None else 2,
            dry_run="dryrun" in keywords,
            unregister=unregister,
            admin=is_admin(keywords),
        ),
    )
    return Reply(count)


def _trim_number(keywords: dict[str, str]) -> int | None:
    try:
        return replica_number(keywords)
    except InvalidArgument as error:
        error.status = Status.USER_INVALID_REPLICA_INPUT
        raise


def checksum(request: Request) -> Reply:
    """629: compute, show or verify checksums."""
    keywords = request.keywords()
    wanted = ChecksumRequest(
        force="forceChksum" in keywords,
        all_replicas="ChksumAll" in keywords,
        replica_number=replica_number(keywords),
        resource_name=keywords.get("rescName", ""),
        verify="verifyChksum" in keywords or "verifyVaultSize" in keywords,
        no_compute="no_compute" in keywords,
        admin=is_admin(keywords),
    )
    try:
        value = request.namespace.checksums.checksum(request.caller, request.message["objPath"], wanted)
    except ChecksumMismatch as error:
        if error.status != Status.CHECK_VERIFICATION_RESULTS:
            raise
        return Reply(int(error.status), "STR_PI", {"myStr": str(error)})
    if wanted.verify:
        return Reply()
    return Reply(0, "STR_PI", {"myStr": value})


def register(request: Request) -> Reply:
    """630: make a file, or a folder of them, known where it lies."""
    keywords = request.keywords()
    physical = keywords.get("filePath", "")
    path = request.message["objPath"]
    if keywords.get("collectionType"):
        raise Unsupported("special collections are not offered")
    if not physical:
        raise InvalidArgument("`filePath` is missing", status=Status.SYS_INVALID_INPUT_PARAM)
    if "collection" in keywords:
        _register_folder(request, path, physical, keywords)
    else:
        _register_file(request, path, physical, keywords)
    return Reply()


def _register_file(request: Request, path: str, physical: str, keywords: dict[str, str]) -> None:
    request.namespace.records.register(
        request.caller,
        path,
        physical,
        resource_name=keywords.get("destRescName") or keywords.get("rescName", ""),
        as_replica="regRepl" in keywords,
        force="forceFlag" in keywords,
        checksum=keywords.get("verifyChksum", ""),
        compute_checksum="regChksum" in keywords or "verifyChksum" in keywords,
        data_type=keywords.get("dataType", "generic"),
    )


def _register_folder(request: Request, path: str, physical: str, keywords: dict[str, str]) -> None:
    try:
        entries = sorted(os.scandir(physical), key=lambda entry: entry.name)
    except OSError as error:
        raise NotFound(
            f"the folder `{paths.printable(physical)}` cannot be read: {error.strerror}",
            status=int(Status.UNIX_FILE_OPEN_ERR) - (error.errno or 0),
        ) from error
    request.namespace.collections.create(request.caller, path, parents=True)
    for entry in entries:
        target = paths.join(path.rstrip("/"), entry.name)
        if entry.is_dir(follow_symlinks=False):
            _register_folder(request, target, entry.path, keywords)
        elif entry.is_file():
            _register_file(request, target, entry.path, keywords)


def modify(request: Request) -> Reply:
    """622: change system metadata of a replica."""
    info: dict[str, Any] = request.message.get("DataObjInfo_PI") or {}
    keywords = request.keywords()
    changes = {
        k: v for k, v in keywords.items() if k not in ("all", "irodsAdmin", "inPdmo", "in_repl", "openType")
    }
    number = info.get("replNum")
    request.namespace.records.modify(
        request.caller,
        info.get("objPath") or "",
        changes,
        replica_number=(
            number if isinstance(number, int) and not (info.get("rescName") or info.get("rescHier")) else None
        ),
        all_replicas="all" in keywords,
        resource_name=info.get("rescHier") or info.get("rescName") or "",
    )
    return Reply()


HANDLERS: Final = {
    622: modify,
    629: checksum,
    630: register,
    632: trim,
    695: replicate,
    696: copy,
    20001: modify,
}
