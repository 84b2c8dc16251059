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
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import policies as shipped
from grid.catalog import journal, promises
from grid.catalog.database import Database
from grid.catalog.journal import Bundle
from grid.errors import ConfigurationError
from grid.policy.lookups import ANSWERS
from microservices import Declaration, declarations
from rules import (
    ActivePolicies,
    Finding,
    NotStorable,
    RuleCheckError,
    Source,
    ast,
    core,
    examine,
    parse,
    restored,
    stored,
)
from rules.declarations import Declarations, in_scope
from rules.locations import Pattern, PatternError, compile_pattern

REFRESH_S: Final = 0.1
BASE: Final = "facility_base.policy"
_NOTHING: Final = ActivePolicies(())

_log = logging.getLogger("beamgrid.policy")


@lru_cache(maxsize=1)
def base_policy() -> ast.Policy:
    """The facility's base, which is always in scope."""
    return parse(Source(BASE, shipped.text(BASE)))


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
    granted: tuple[Pattern, ...] | None
    generation: int = 0
    digest: str = ""

    def source(self, policy_name: str) -> Source:
        """The text of a policy by its name."""
        return next((p.source for p in self.policies if p.name == policy_name), Source(policy_name, ""))

    @property
    def description(self) -> str:
        return ", ".join(f"{p.name} version {p.version}" for p in self.policies) or "none"


EMPTY: Final = CheckedBundle(_NOTHING, (), None)


class BundleError(ConfigurationError):
    """A bundle that does not check; `findings` are in the message."""


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
    for policy in parsed:
        checked, findings = examine(policy, library, zone)
        meant.append(checked)
        found += [(policy.source, finding) for finding in findings]
    return parsed, meant, found


def checked(
    sources: Mapping[str, str], zone: str, *, granted: Iterable[str] | None = None, generation: int = 0
) -> CheckedBundle:
    """A bundle ready to run.

    Args:
        sources: file name to text.
        zone: the zone's name; a policy for another one is refused.
        granted: location patterns that the bundle's rules may touch; None for everywhere.
        generation: its number.

    Raises:
        BundleError: with every finding, or what the zone cannot do, or where the bundle reaches too far.
    """
    _, meant, found = examined(sources, zone)
    wrong = [finding.render(source) for source, finding in found if not finding.is_warning]
    if wrong:
        raise BundleError("\n".join(wrong))
    return _ready(meant, sources, granted, generation)


def _ready(
    meant: Iterable[core.Policy], sources: Mapping[str, str], granted: Iterable[str] | None, generation: int
) -> CheckedBundle:
    """What was checked, as far as this zone can do it and the bundle may."""
    meant = tuple(meant)
    missing = sorted({name for policy in meant for name in policy.calls if not is_implemented(name)})
    if missing:
        raise BundleError(
            f"this zone cannot do {', '.join(f'`{name}`' for name in missing)} yet, which the policy calls;"
            " it can be checked and tested, not served"
        )
    patterns = compiled_grants(granted)
    if patterns is not None:
        _require_granted(meant, patterns)
    texts = tuple(
        PolicyText(policy.name, policy.version, Source(name, text))
        for policy, (name, text) in zip(meant, sources.items(), strict=True)
    )
    return CheckedBundle(ActivePolicies(meant), texts, patterns, generation, digest_of(sources))


def is_implemented(name: str) -> bool:
    """Whether this zone can do what a signature names."""
    return name in ANSWERS or name in declarations()


def compiled_grants(granted: Iterable[str] | None) -> tuple[Pattern, ...] | None:
    """Grants as patterns.

    Raises:
        BundleError: one is no location.
    """
    if granted is None:
        return None
    try:
        return tuple(compile_pattern("grant", text, {}, {}) for text in granted)
    except PatternError as error:
        raise BundleError(str(error)) from error


def _require_granted(meant: Iterable[core.Policy], granted: tuple[Pattern, ...]) -> None:
    """Refuse rules that apply outside of what their bundle was granted."""
    for policy in meant:
        for item in core.items_of(policy):
            if item.pattern is None:
                raise BundleError(
                    f"`{item.title}` applies everywhere; this bundle was granted {_shown(granted)}"
                )
            if not any(contains(grant, item.pattern) for grant in granted):
                raise BundleError(
                    f"`{item.title}` applies at `{item.pattern.text}`; this bundle was granted {_shown(granted)}"
                )


def _shown(granted: tuple[Pattern, ...]) -> str:
    return ", ".join(f"`{pattern.text}`" for pattern in granted) or "nothing"


def contains(outer: Pattern, inner: Pattern) -> bool:
    """Whether every path at one location lies at another."""
    if len(inner.components) < len(outer.components):
        return False
    if (len(inner.components) > len(outer.components) or inner.open_end) and not outer.open_end:
        return False
    for mine, theirs in zip(outer.components, inner.components, strict=False):
        if isinstance(mine, str) and mine != theirs:
            return False
        if not isinstance(mine, str) and (mine.before or mine.after) and not isinstance(theirs, str):
            return False
        if not isinstance(mine, str) and isinstance(theirs, str) and not outer.may_be(mine, theirs):
            return False
    return True


def digest_of(sources: Mapping[str, str], granted: Iterable[str] | None = None) -> str:
    """What tells one bundle from another."""
    content = {"sources": dict(sources), "granted": list(granted) if granted is not None else None}
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
            generation = journal.active_generation(tx)
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
            bundle = journal.bundle(tx, generation)
            form = journal.checked_form(tx, generation)
        found = _from_row(bundle, form, self._zone) if bundle is not None else EMPTY
        if len(self._older) > 16:
            self._older.clear()
        self._older[generation] = found
        return found


def _from_row(bundle: Bundle, form: str, zone: str) -> CheckedBundle:
    with _no_collection():
        meant = restored(form, _context(bundle.sources, zone))
        if meant is None:  # of another version of the software, or changed by somebody
            return checked(bundle.sources, zone, granted=bundle.granted, generation=bundle.generation)
        return _ready(meant, bundle.sources, bundle.granted, bundle.generation)


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
    granted: Iterable[str] | None = None,
    pusher: str = "",
) -> int:
    """Check sources and make them the zone's policy; a broken bundle changes nothing.

    Returns:
        The generation that is active now.

    Raises:
        BundleError: it does not check.
    """
    found = checked(sources, zone, granted=granted)
    form = _form(found, sources, zone)
    with database.write() as tx:
        promises.keep_only(tx, [keep.id for keep in found.active.keeps])
        return journal.activate_bundle(
            tx,
            origin,
            digest_of(sources, granted),
            dict(sources),
            list(granted) if granted is not None else None,
            pusher,
            form,
        )
