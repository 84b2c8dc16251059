"""Microservices on data objects, replicas and collections."""

from datetime import timedelta

from microservices.ports import Grid, MicroserviceError
from microservices.registry import Parameter, microservice


@microservice(
    "checksum",
    Parameter("path", "Path"),
    Parameter("algorithm", "Text", required=False),
    Parameter("verify", "Bool", required=False),
    result="Digest",
    effects=("data.read", "catalog.write"),
    for_clients=True,
)
def checksum(grid: Grid, path: str, algorithm: str = "sha2", verify: bool = False) -> str:
    """The digest of a data object: as recorded while it was written, or computed when there is none."""
    return grid.checksum(path, verify=verify)


@microservice(
    "create_collection",
    Parameter("path", "Path"),
    Parameter("owner", "Principal", required=False),
    Parameter("inherit", "Bool", required=False),
    result="Collection",
    effects=("catalog.write",),
    for_clients=True,
)
def create_collection(grid: Grid, path: str, owner: str = "", inherit: bool = False) -> str:
    """Make a collection and those above it; one that is there already stays as it is."""
    grid.create_collection(path, owner=owner, inherit=inherit)
    return path


@microservice("remove_empty_collection", Parameter("path", "Path"), result="", effects=("catalog.write",))
def remove_empty_collection(grid: Grid, path: str) -> None:
    """Remove a collection that holds nothing; one that holds something, or is not there, stays as it is."""
    grid.remove_empty_collection(path)


@microservice(
    "grant",
    Parameter("subject", "Principal"),
    Parameter("level", "Text"),
    Parameter("path", "Path"),
    Parameter("recursive", "Bool", required=False),
    result="",
    effects=("acl.write",),
    for_clients=True,
)
def grant(grid: Grid, subject: str, level: str, path: str, recursive: bool = False) -> None:
    """Set the access level of a user or a group: read, write or own, or one between them."""
    grid.grant(subject, level, path, recursive=recursive)


@microservice(
    "revoke",
    Parameter("subject", "Principal"),
    Parameter("level", "Text", required=False),
    Parameter("path", "Path"),
    Parameter("recursive", "Bool", required=False),
    result="",
    effects=("acl.write",),
    for_clients=True,
)
def revoke(grid: Grid, subject: str, path: str, level: str = "", recursive: bool = False) -> None:
    """Take away the access of a user or a group, whatever its level; `level` is for symmetry with `grant`."""
    grid.grant(subject, "null", path, recursive=recursive)


@microservice("freeze", Parameter("path", "Path"), result="", effects=("acl.write",), for_clients=True)
def freeze(grid: Grid, path: str) -> None:
    """Let nobody change a tree: everybody who could write may read. What was before is remembered for `thaw`."""
    grid.freeze(path)


@microservice("thaw", Parameter("path", "Path"), result="", effects=("acl.write",), for_clients=True)
def thaw(grid: Grid, path: str) -> None:
    """Give back the rights that `freeze` took from a tree."""
    grid.thaw(path)


@microservice(
    "replicate",
    Parameter("path", "Path"),
    Parameter("from", "Replica", required=False),
    Parameter("to", "Resource"),
    result="Size",
    effects=("data.read", "data.write"),
    for_clients=True,
)
def replicate(grid: Grid, path: str, to: str, **source: str) -> int:
    """Make a good replica on a resource, from the best one; returns the bytes copied, 0 when it was there already."""
    return grid.replicate(path, to)


@microservice("trim", Parameter("replica", "Replica"), result="", effects=("data.delete",))
def trim(grid: Grid, replica: str) -> None:
    """Remove one replica, `PATH NUMBER`, when another good one is left; one that is gone already is success."""
    path, _, number = replica.rpartition(" ")
    grid.trim(path, int(number))


@microservice("remove_trashed", Parameter("object", "Object"), result="", effects=("data.delete",))
def remove_trashed(grid: Grid, object: str) -> None:  # the language's own word
    """Remove a data object that is in the trash for good; one that is gone already is success."""
    grid.remove_trashed(object)


@microservice(
    "verify_replica", Parameter("replica", "Replica"), result="Bool", effects=("data.read", "catalog.write")
)
def verify_replica(grid: Grid, replica: str) -> bool:
    """Read a replica and compare it with its recorded checksum; a bad one is stale from then on."""
    path, _, number = replica.rpartition(" ")
    return grid.verify_replica(path, int(number))


@microservice("mark_damaged", Parameter("replica", "Replica"), result="", effects=("catalog.write",))
def mark_damaged(grid: Grid, replica: str) -> None:
    """Say that a replica is not good any more; its promises are made anew."""
    path, _, number = replica.rpartition(" ")
    grid.mark_damaged(path, int(number))


@microservice(
    "stage",
    Parameter("object", "Object"),
    Parameter("priority", "Int", required=False),
    result="",
    effects=("data.read",),
)
def stage(grid: Grid, object: str, priority: int = 5) -> None:
    """Bring a data object back from tape; not done before it is on disk, so a job that asks for it tries again."""
    standing = grid.stage(object, priority)
    if standing.reason:
        raise MicroserviceError(standing.reason, retry=True)


@microservice(
    "recall",
    Parameter("object", "Object"),
    Parameter("to", "Resource"),
    Parameter("deadline", "Duration", required=False),
    result="Size",
    effects=("data.read", "data.write"),
)
def recall(grid: Grid, object: str, to: str, deadline: timedelta | None = None) -> int:
    """Bring a data object back from tape and make a good replica on a resource; returns the bytes copied.

    What has not arrived at its deadline, counted from when it was asked for, is not waited for any longer.
    """
    standing = grid.stage(object, 5)
    if standing.reason and deadline is not None and standing.waited_s > deadline.total_seconds():
        grid.cancel_stage(standing.request, f"it was not there after {deadline}")
        raise MicroserviceError(f"{standing.reason}; it was to be there within {deadline}")
    if standing.reason:
        raise MicroserviceError(standing.reason, retry=True)
    return grid.replicate(object, to)


@microservice(
    "set_posix",
    Parameter("subject", "Path"),
    Parameter("mode", "Text"),
    Parameter("group", "Group"),
    result="",
    effects=("acl.write",),
    for_clients=True,
)
def set_posix(grid: Grid, subject: str, mode: str, group: str) -> None:
    """Give the folders of a collection, on every resource with a vault, a mode such as 2770 and a group."""
    grid.set_posix(subject, mode, group)


@microservice(
    "erase",
    Parameter("subject", "Collection"),
    Parameter("copies", "Text"),
    Parameter("method", "Text"),
    result="",
    effects=("data.delete",),
)
def erase(grid: Grid, subject: str, copies: str, method: str) -> None:
    """Remove every data object of a collection for good, past the trash, on every resource; gone already is success.

    What was on tape is forgotten by the library and overwritten when its cartridge is repacked.
    """
    if copies != "all":
        raise MicroserviceError(f"found `{copies}` as the copies to erase; `all` was expected")
    if method != "unlink":
        raise MicroserviceError(
            f"found the method `{method}`; only `unlink` is possible, because nothing here is encrypted"
        )
    grid.erase(subject)
