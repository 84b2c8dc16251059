"""The look-ups of the facility's base that this zone can do: name to what answers it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from grid.catalog import avus, kernels
from grid.catalog import objects as object_rows
from grid.catalog import resources as resource_rows
from grid.catalog.database import Transaction
from grid.errors import NotFound
from grid.model import ReplicaStatus
from grid.policy import attributes
from rules import Entity, RuleFailed
from rules.values import as_text

Answer = Callable[[Transaction, Mapping[str, Any]], Any]


def _object_of(tx: Transaction, entity: Entity) -> Any:
    if isinstance(entity.key, int):
        return object_rows.by_id_or_none(tx, entity.key)
    return object_rows.by_path_or_none(tx, entity.key)


def _copies_ok(tx: Transaction, arguments: Mapping[str, Any]) -> bool:
    """Whether a good replica is left without this one."""
    found = _object_of(tx, arguments["object"])
    without = str(arguments["without"].key)
    known = resource_rows.all_by_id(tx)
    return found is not None and any(
        known[replica.resource_id].counts(replica) and f"{found.id}.{replica.number}" != without
        for replica in found.replicas
    )


def _best_good_replica(tx: Transaction, arguments: Mapping[str, Any]) -> Entity:
    found = _object_of(tx, arguments["object"])
    best = found.best_replica() if found is not None else None
    if found is None or best is None or best.status is not ReplicaStatus.GOOD:
        raise RuleFailed("BUSY", "the object has no good replica", "look-up", "retryable")
    return attributes.replica(found, best)


def _has_metadata(tx: Transaction, arguments: Mapping[str, Any]) -> bool:
    subject = arguments["subject"]
    if isinstance(subject, Entity):
        entity_id = attributes.id_of(tx, subject.kind, subject.key)
    else:
        entity_id = attributes.id_of(tx, "Collection", subject) or attributes.id_of(tx, "Object", subject)
    return entity_id is not None and bool(avus.values_of(tx, entity_id, as_text(arguments["name"])))


def _named(kind: str, pattern: str, argument: str) -> Answer:
    def answer(tx: Transaction, arguments: Mapping[str, Any]) -> Entity:
        name = pattern.format(as_text(arguments[argument]))
        return Entity(kind, name, name)

    return answer


def _choose(tx: Transaction, arguments: Mapping[str, Any]) -> Entity:
    offered: list[Entity] = list(arguments["from"])
    if not offered:
        raise RuleFailed("NO_RESOURCE", "there is nothing to choose from", "look-up", "retryable")
    by = as_text(arguments["by"])
    facts = {entity.name: attributes.facts_of(tx, entity.kind, entity.key) for entity in offered}
    if by == "least_filled":
        return min(offered, key=lambda e: (facts[e.name].get("fill", 0.0), e.name))
    if by == "most_free":
        return min(offered, key=lambda e: (-int(facts[e.name].get("free", 0)), e.name))
    if by == "name":
        return min(offered, key=lambda e: e.name)
    raise RuleFailed("RULE_ERROR", f"`choose` knows least_filled, most_free and name; not `{by}`", "look-up")


def _trusted_kernel(tx: Transaction, arguments: Mapping[str, Any]) -> Entity:
    """A kernel that comes with the grid, or one that was released: `NAME VERSION DIGEST`."""
    name, version = as_text(arguments["name"]), as_text(arguments["version"])
    digest = _shipped_digest(name, version)
    if not digest:
        try:
            digest = kernels.usable(tx, name, version).digest
        except NotFound as error:
            raise RuleFailed("NO_KERNEL", str(error), "look-up") from error
    said = f"{name} {version} {digest}"
    return Entity("Kernel", said, said)


def _shipped_digest(name: str, version: str) -> str:
    """The digest of a kernel that comes with the grid; empty where it is none, or kernels are not installed."""
    try:
        from accel.shipped import SHIPPED
    except ImportError:
        return ""
    shipped = SHIPPED.get(name)
    return shipped.KERNEL.digest if shipped is not None and shipped.KERNEL.version == version else ""


KERNEL_PARAMETER: Final = "kernel."
"""What the names of metadata begin with that are parameters of kernels."""


def parameters_among(described: Iterable[tuple[str, str]]) -> dict[str, float]:
    """Parameters of kernels among metadata: attributes and values."""
    numbers = {name: avus.number_of(value) for name, value in described if name.startswith(KERNEL_PARAMETER)}
    return {
        name.removeprefix(KERNEL_PARAMETER): number for name, number in numbers.items() if number is not None
    }


def _params_of(tx: Transaction, arguments: Mapping[str, Any]) -> dict[str, float]:
    """Parameters of kernels that are metadata of the collection of a visit; where several have its name, none can be meant."""
    visit = as_text(arguments["visit"])
    found: dict[str, list[tuple[str, str]]] = {}
    for path, attribute, value in avus.of_collections_with(tx, KERNEL_PARAMETER):
        if path.rpartition("/")[2] == visit:
            found.setdefault(path, []).append((attribute, value))
    if len(found) > 1:
        raise RuleFailed(
            "RULE_ERROR",
            f"several collections of the name `{visit}` have parameters of kernels: {', '.join(sorted(found))}",
            "look-up",
        )
    return parameters_among(next(iter(found.values()), []))


ANSWERS: Final[Mapping[str, Answer]] = {
    "members": lambda tx, a: attributes.members(tx, as_text(a["group"])),
    "service_group": _named("Group", "{}-service", "beamline"),
    "service_of": _named("User", "{}-service", "beamline"),
    "group_of": _named("Group", "{}-group", "proposal"),
    "team_of": _named("Group", "{}-group", "proposal"),
    "copies_ok": _copies_ok,
    "best_good_replica": _best_good_replica,
    "has_metadata": _has_metadata,
    "choose": _choose,
    "params_of": _params_of,
    "trusted_kernel": _trusted_kernel,
}
