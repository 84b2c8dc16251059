"""Microservices on data objects and collections."""

from microservices.ports import Grid
from microservices.registry import Parameter, microservice


@microservice(
    "checksum",
    Parameter("path", "Path"),
    Parameter("verify", "Bool", required=False),
    result="Text",
    effects=("data.read", "catalog.write"),
    slow=True,
    for_clients=True,
)
def checksum(grid: Grid, path: str, verify: bool = False) -> str:
    """The digest of a data object: as recorded while it was written, or computed when there is none."""
    return grid.checksum(path, verify=verify)


@microservice(
    "create_collection",
    Parameter("path", "Path"),
    Parameter("owner", "Text", required=False),
    Parameter("inherit", "Bool", required=False),
    result="Text",
    effects=("catalog.write",),
    for_clients=True,
)
def create_collection(grid: Grid, path: str, owner: str = "", inherit: bool = False) -> str:
    """Make a collection and those above it; one that is there already stays as it is."""
    grid.create_collection(path, owner=owner, inherit=inherit)
    return path


@microservice(
    "grant",
    Parameter("subject", "Text"),
    Parameter("level", "Text"),
    Parameter("path", "Path"),
    Parameter("recursive", "Bool", required=False),
    result="Text",
    effects=("acl.write",),
    for_clients=True,
)
def grant(grid: Grid, subject: str, level: str, path: str, recursive: bool = False) -> str:
    """Set the access level of a user or a group: null, read, write or own."""
    grid.grant(subject, level, path, recursive=recursive)
    return level


@microservice(
    "replicate",
    Parameter("path", "Path"),
    Parameter("to", "Text"),
    result="Int",
    effects=("data.read", "data.write"),
    slow=True,
    for_clients=True,
)
def replicate(grid: Grid, path: str, to: str) -> int:
    """Make a good replica on a resource; returns the bytes copied, 0 when it was there already."""
    return grid.replicate(path, to)
