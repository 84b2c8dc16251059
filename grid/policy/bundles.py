"""Which policies a zone runs: bundles of sources, checked before they count.

A bundle is a row of the catalog: its sources, what it was granted, who pushed it, and a digest over all of it. The
active one has a generation that every process compares; a process that cannot check a bundle keeps the last good one.
"""

import gc
import hashlib
import json
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import policies as shipped
from grid.catalog import bundles as rows
from grid.catalog import periodic, promises
from grid.catalog.database import Database
from grid.errors import ConfigurationError
from grid.policy import grants
from grid.policy.grants import BundleError, Reach
from grid.policy.lookups import ANSWERS
from grid.policy.signatures import PolicyTrust
from microservices import Declaration, declarations
from rules import (
    ActivePolicies,
    Finding,
    NotStorable,
    RuleCheckError,
    Source,
    Span,
    across,
    ast,
    core,
    examine,
    parse,
    restored,
    stored,
)
from rules.declarations import Declarations, in_scope
from rules.locations import Pattern

REFRESH_S = 0.1
BASE: Final = "facility_base.policy"
_NOTHING: Final = ActivePolicies(())

_log = logging.getLogger("beamgrid.policy")


@lru_cache(maxsize=1)
def base_policy() -> ast.Policy:
    """The facility's base, which is always in scope."""
    return parse(Source(BASE, shipped.text(BASE)))


@lru_cache(maxsize=1)
def base_metadata() -> tuple[tuple[str, str, str], ...]:
    """The metadata that the facility's base declares: attribute, entity, type."""
    return examine(base_policy(), {})[0].metadata


@dataclass(frozen=True, slots=True)
class PolicyText:
    """One policy of a bundle, as it was written."""

    name: str
    version: int
    source: Source


@dataclass(frozen=True, slots=True)
class CheckedBundle:
    """Sources that check: ready to answer, with their texts for explaining."""

    active: ActivePolicies
    policies: tuple[PolicyText, ...]
    grants: grants.Grants
    generation: int = 0
    digest: str = ""

    def source(self, policy_name: str) -> Source:
        """The text of a policy by its name."""
        return next((p.source for p in self.policies if p.name == policy_name), Source(policy_name, ""))

    def granted_to(self, rule_id: str) -> tuple[Pattern, ...] | None:
        """Where a rule, promise or sweep may act; None for everywhere."""
        return self.grants[rule_id.partition("/")[0]]

    @property
    def description(self) -> str:
        return ", ".join(f"{p.name} version {p.version}" for p in self.policies) or "none"


EMPTY: Final = CheckedBundle(_NOTHING, (), {})


@contextmanager
def _no_collection() -> Iterator[None]:
    """Of a large policy a million objects are made, and stay; to look for garbage among them takes most of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def examined(
    sources: Mapping[str, str], zone: str
) -> tuple[list[ast.Policy], list[core.Policy], list[tuple[Source, Finding]]]:
    """Parse and check every source of a bundle; policies may use each other.

    Returns:
        The parsed policies, what they mean, and everything that is wrong, warnings included.
    """
    with _no_collection():
        return _examined(sources, zone)


def _examined(
    sources: Mapping[str, str], zone: str
) -> tuple[list[ast.Policy], list[core.Policy], list[tuple[Source, Finding]]]:
    found: list[tuple[Source, Finding]] = []
    parsed: list[ast.Policy] = []
    for name, text in sources.items():
        source = Source(name, text)
        try:
            parsed.append(parse(source))
        except RuleCheckError as error:
            found += [(source, finding) for finding in error.findings]
    library = {policy.name: policy for policy in [base_policy(), *parsed]}
    meant: list[core.Policy] = []
    names: dict[str, str] = {}
    for policy in parsed:
        checked, findings = examine(policy, library, zone)
        meant.append(checked)
        found += [(policy.source, finding) for finding in findings]
        other = names.setdefault(policy.name, policy.source.name)
        if other != policy.source.name:
            message = f"`{other}` holds a policy `{policy.name}` already"
            found.append(
                (policy.source, Finding("E110", message, Span(1, 1), "give one of them another name"))
            )
    if not any(not finding.is_warning for _, finding in found):
        found += [(parsed[number].source, finding) for number, finding in across(meant)]
    return parsed, meant, found


def checked(
    sources: Mapping[str, str], zone: str, *, reaches: Mapping[str, Reach] | None = None, generation: int = 0
) -> CheckedBundle:
    """A bundle ready to run.

    Args:
        sources: file name to text.
        zone: the zone's name; a policy for another one is refused.
        reaches: where the rules of each file may act; everywhere, of a file that is not named.
        generation: its number.

    Raises:
        BundleError: with every finding, or what the zone cannot do, or where the bundle reaches too far.
    """
    _, meant, found = examined(sources, zone)
    wrong = [finding.render(source) for source, finding in found if not finding.is_warning]
    if wrong:
        raise BundleError("\n".join(wrong))
    return _ready(meant, sources, reaches or {}, generation)


def _ready(
    meant: Iterable[core.Policy], sources: Mapping[str, str], reaches: Mapping[str, Reach], generation: int
) -> CheckedBundle:
    """What was checked, as far as this zone can do it and the bundle may."""
    meant = tuple(meant)
    missing = sorted({name for policy in meant for name in policy.calls if not is_implemented(name)})
    if missing:
        raise BundleError(
            f"this zone cannot do {', '.join(f'`{name}`' for name in missing)} yet, which the policy calls;"
            " it can be checked and tested, not served"
        )
    named = list(zip(meant, sources.items(), strict=True))
    granted = {
        policy.name: grants.compiled(reaches.get(name, grants.EVERYWHERE)) for policy, (name, _) in named
    }
    grants.require(meant, granted, base_metadata())
    texts = tuple(
        PolicyText(policy.name, policy.version, Source(name, text)) for policy, (name, text) in named
    )
    return CheckedBundle(ActivePolicies(meant), texts, granted, generation, digest_of(sources, reaches))


def is_implemented(name: str) -> bool:
    """Whether this zone can do what a signature names."""
    return name in ANSWERS or name in declarations()


def digest_of(sources: Mapping[str, str], reaches: Mapping[str, Reach]) -> str:
    """What tells one bundle from another."""
    reach_of = {name: reaches.get(name, grants.EVERYWHERE) for name in sources}
    content = {
        "sources": dict(sources),
        "reaches": {name: astuple(reach) for name, reach in reach_of.items()},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def signature_drift() -> list[str]:
    """Where an implementation differs from its signature in the facility's base; empty when all agree."""
    declared, _ = in_scope(base_policy(), {})
    return [line for entry in declarations().values() for line in _drift(entry, declared)]


def _drift(entry: Declaration, declared: Declarations) -> list[str]:
    signature = declared.microservices.get(entry.name)
    if signature is None:
        return [f"`{entry.name}` has no signature"]
    wanted = tuple((p.name, str(p.type.required), p.default is None) for p in signature.parameters)
    found = tuple((p.name, p.type, p.required) for p in entry.parameters)
    result = str(signature.result) if signature.result is not None else ""
    lines = []
    if wanted != found:
        lines.append(f"`{entry.name}` takes {found}; its signature says {wanted}")
    if result != entry.result:
        lines.append(f"`{entry.name}` gives `{entry.result}`; its signature says `{result}`")
    if signature.effects != frozenset(entry.effects):
        lines.append(
            f"`{entry.name}` has the effects {sorted(entry.effects)}; its signature says {sorted(signature.effects)}"
        )
    return lines


def read_folder(folder: Path, name: str) -> dict[str, str]:
    """The sources that a zone's settings name: one file, or every policy of a folder.

    Raises:
        ConfigurationError: it cannot be read.
    """
    if not name:
        return {}
    path = folder / name
    try:
        if path.is_dir():
            return {file.name: file.read_text("utf-8") for file in sorted(path.glob("*.policy"))}
        return {path.name: path.read_text("utf-8")}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationError(f"the policy file `{path}` cannot be read: {reason}") from error


class ActiveBundle:
    """The bundle that this process runs, taken over from the catalog when its generation changes."""

    def __init__(self, database: Database, zone: str) -> None:
        self._database = database
        self._zone = zone
        self._current = EMPTY
        self._looked_at = -1.0
        self._lock = threading.Lock()
        self._older: dict[int, CheckedBundle] = {}
        self.problem = ""

    def forget(self) -> None:
        """Look at the active generation again at the next event."""
        self._looked_at = -1.0

    @property
    def current(self) -> CheckedBundle:
        """The bundle in force; looked at again at most every 100 ms."""
        if time.monotonic() - self._looked_at > REFRESH_S:
            self.refresh()
        return self._current

    def refresh(self) -> None:
        """Take over the active bundle if it changed; one that does not check leaves the last good one in force."""
        self._looked_at = time.monotonic()
        with self._database.read() as tx:
            generation = rows.active_generation(tx)
        if generation == self._current.generation:
            return
        with self._lock:
            try:
                self._current = self.at(generation)
                self.problem = ""
            except BundleError as error:
                self.problem = f"generation {generation} does not check, generation {self._current.generation} stays: {error}"
                _log.error("%s", self.problem)

    def at(self, generation: int) -> CheckedBundle:
        """The bundle of a generation; jobs run with the one that scheduled them.

        Raises:
            BundleError: it does not check any more.
        """
        known = self._older.get(generation)
        if known is not None:
            return known
        with self._database.read() as tx:
            bundle = rows.bundle(tx, generation)
            form = rows.checked_form(tx, generation)
        found = EMPTY
        if bundle is not None:
            found = _restored(bundle, form, self._zone) or _checked_again(bundle, self._zone)
        if len(self._older) > 16:
            self._older.clear()
        self._older[generation] = found
        return found


def reaches_of(bundle: rows.Bundle) -> dict[str, Reach]:
    """Where the rules of each file of a bundle may act."""
    return {name: Reach(entry.granted, entry.stewards) for name, entry in bundle.manifest.items()}


def _restored(bundle: rows.Bundle, form: str, zone: str) -> CheckedBundle | None:
    """A bundle from its checked form; None when that is of another version of the software, or was changed."""
    with _no_collection():
        meant = restored(form, _context(bundle.sources, zone))
        return None if meant is None else _ready(meant, bundle.sources, reaches_of(bundle), bundle.generation)


def _checked_again(bundle: rows.Bundle, zone: str) -> CheckedBundle:
    return checked(bundle.sources, zone, reaches=reaches_of(bundle), generation=bundle.generation)


def renew(database: Database, zone: str) -> None:
    """Store the active bundle's checked form again where another version of the software wrote it.

    Raises:
        BundleError: it does not check any more.
    """
    with database.read() as tx:
        generation = rows.active_generation(tx)
        bundle = rows.bundle(tx, generation)
        form = rows.checked_form(tx, generation)
    if bundle is None or _restored(bundle, form, zone) is not None:
        return
    fresh = _form(_checked_again(bundle, zone), bundle.sources, zone)
    with database.write() as tx:
        rows.store_checked_form(tx, generation, fresh)


def _context(sources: Mapping[str, str], zone: str) -> str:
    """What the check of a bundle depends on, beside the language itself; the order of the sources included."""
    return json.dumps([zone, list(sources.items()), shipped.text(BASE)])


def _form(found: CheckedBundle, sources: Mapping[str, str], zone: str) -> str:
    try:
        return stored(found.active.policies, _context(sources, zone))
    except NotStorable as error:
        _log.error("every process will check the policy for itself: %s", error)
        return ""


def activate(
    database: Database,
    zone: str,
    sources: Mapping[str, str],
    *,
    origin: str,
    reaches: Mapping[str, Reach] | None = None,
    pusher: str = "",
    tests: Mapping[str, Any] | None = None,
    instead_of: int | None = None,
    trust: PolicyTrust | None = None,
) -> int:
    """Check sources and make them the zone's policy; a broken bundle changes nothing.

    Args:
        database: the zone's catalog.
        zone: its name.
        sources: file name to text.
        origin: `file`, for what the zone's settings name, or `pushed`.
        reaches: where the rules of each file may act; everywhere, of a file that is not named.
        pusher: who does this.
        tests: the report of each file's tests, kept with the bundle.
        instead_of: the generation that the sources were put together from; None for whatever is active.
        trust: whose signatures the files need; None for nobody's.

    Returns:
        The generation that is active now.

    Raises:
        BundleError: it does not check, is not signed by those who have to, or another bundle became active meanwhile.
    """
    reaches = reaches or {}
    found = checked(sources, zone, reaches=reaches)
    manifest = {}
    for name, text in sources.items():
        reach = reaches.get(name, grants.EVERYWHERE)
        digest = hashlib.sha256(text.encode()).hexdigest()
        manifest[name] = rows.ManifestEntry(digest, reach.locations, reach.stewards)
    new = rows.NewBundle(
        origin, digest_of(sources, reaches), dict(sources), manifest, pusher, _form(found, sources, zone),
        dict(tests or {}),
    )  # fmt: skip
    with database.write() as tx:
        if trust is not None:
            trust.require(tx, found.active.policies, sources)
        generation = rows.activate_bundle(tx, new, instead_of=instead_of)
        if generation:
            periodic.begin_again(
                tx, periodic.ALL_PROMISES
            )  # what was promised may be promised differently now
            promises.keep_only(tx, [promises.COORDINATION, *(keep.id for keep in found.active.keeps)])
    if not generation:
        raise BundleError("another bundle was activated meanwhile; nothing was changed: push again")
    return generation
