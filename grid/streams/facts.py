"""What rules on a stream may ask and do: facts of the catalog, looked up once a second; what kernels found in the frame; words for the instrument."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from accel.kernel import Results
from grid.catalog import avus
from grid.catalog import collections as collection_rows
from grid.catalog.database import Database
from grid.policy.host import CatalogFacts
from grid.policy.lookups import parameters_among
from grid.streams.kernels import KernelKey
from microservices.reduction import own_parameters
from rules import Entity, RuleFailed
from rules.values import as_text

FRESH_S: Final = 1.0
"""So old may a fact of the catalog be."""

COUNTS: Final = ("count", "hits", "pixels", "kept")
"""Products that say how much there is in a frame; the first one that a kernel has is its peaks."""


class NeedsKernel(Exception):
    """A rule asks for a kernel that did not look at these frames yet."""

    def __init__(self, key: KernelKey) -> None:
        super().__init__(key[0])
        self.key = key


class FrameReduction(Mapping[str, Any]):
    """What a kernel found in one frame, as rules read it."""

    __slots__ = ("_device", "_kernel", "_place", "_results")

    def __init__(self, kernel: str, device: str, results: Results, place: int) -> None:
        self._kernel = kernel
        self._device = device
        self._results = results
        self._place = place

    def __getitem__(self, name: str) -> Any:
        if name == "peaks":
            for one in COUNTS:
                own = self._results.get(one)
                if own is not None:
                    return int(own[self._place])
            return 0
        if name == "figures":
            return {
                name: float(values[self._place])
                for name, values in self._results.items()
                if values.ndim == 1 and len(values) > self._place
            }
        return {"frames": 1, "damaged": 0, "kernel": self._kernel, "device": self._device}.get(name)

    def __iter__(self) -> Any:
        return iter(("peaks", "figures", "frames", "damaged", "kernel", "device"))

    def __len__(self) -> int:
        return 6


class StreamFacts(CatalogFacts):
    """What rules on a stream may ask and do."""

    def __init__(self, database: Database, path: str, at: Mapping[str, str]) -> None:
        super().__init__(database.read)
        self._database = database
        self._path = path
        self._at = at
        self._known: dict[Any, tuple[float, Any]] = {}
        self.now = 0.0
        self.place = 0
        self.results: dict[KernelKey, Results] = {}
        self.runs_on: Mapping[KernelKey, str] = {}
        self.broken: Mapping[KernelKey, str] = {}
        self.emitted: list[tuple[str, Mapping[str, Any]]] = []

    def _fresh(self, key: Any, look: Callable[[], Any]) -> Any:
        known = self._known.get(key)
        if known is None or self.now - known[0] > FRESH_S:
            known = self._known[key] = (self.now, look())
        return known[1]

    def attribute(self, entity: Entity, name: str) -> Any:
        return self._fresh(
            ("attribute", entity.kind, entity.key, name),
            lambda: super(StreamFacts, self).attribute(entity, name),
        )

    def metadata(self, entity: Entity, attribute: str) -> str | None:
        found: str | None = self._fresh(
            ("metadata", entity.kind, entity.key, attribute), lambda: self._metadata(entity, attribute)
        )
        return found

    def _metadata(self, entity: Entity, attribute: str) -> str | None:
        if entity.kind not in ("Visit", "Proposal", "Session"):
            return super().metadata(entity, attribute)
        return dict(self._described(str(entity.key))).get(attribute)

    def _described(self, named: str) -> list[tuple[str, str]]:
        """The metadata of the collection above the stream that has a name: a visit, a proposal."""
        parts = self._path.split("/")
        if named not in parts:
            return []
        place = "/".join(parts[: len(parts) - parts[::-1].index(named)])
        with self._database.read() as tx:
            found = collection_rows.by_path_or_none(tx, place)
            if found is None:
                return []
            return [(avu.attribute, avu.value) for _, avu in avus.of_entity(tx, found.id)]

    def look_up(self, name: str, arguments: Mapping[str, Any]) -> Any:
        key = (name, *((one, as_text(value)) for one, value in arguments.items()))
        return self._fresh(key, lambda: self._look_up(name, arguments))

    def _look_up(self, name: str, arguments: Mapping[str, Any]) -> Any:
        if name != "params_of":
            return super().look_up(name, arguments)
        return parameters_among(self._described(as_text(arguments["visit"])))

    def call(self, name: str, arguments: Mapping[str, Any], token: str) -> Any:
        if name != "run_kernel":
            return super().call(name, arguments, token)
        if arguments.get("object"):
            raise RuleFailed(
                "RULE_ERROR", "while frames arrive, `run_kernel` looks at them, and at no object", name
            )
        kernel, given = arguments["kernel"], arguments.get("params")
        params = own_parameters(kernel.name, given) if given else {}
        settings = arguments.get("settings")
        key = (
            kernel.name,
            tuple(sorted((one, float(value)) for one, value in params.items())) if params else (),
            as_text(settings) if settings else "",
        )
        if key in self.broken:
            raise RuleFailed(
                "NO_KERNEL",
                f"`{kernel.name.split(' ')[0]}` does not look at frames: {self.broken[key]}",
                name,
            )
        results = self.results.get(key)
        if results is None:
            raise NeedsKernel(key)
        return FrameReduction(kernel.name, self.runs_on.get(key, ""), results, self.place)

    def emit(self, name: str, carried: Mapping[str, Any]) -> None:
        self.emitted.append((name, carried))

    def note(self, text: str) -> None:
        self.emitted.append(("note", {"text": text}))
