"""How far the rules of a policy reach: the locations that it was granted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from grid.errors import ConfigurationError
from rules import core
from rules.locations import Pattern, PatternError, compile_pattern


class BundleError(ConfigurationError):
    """A bundle that does not check, or reaches further than it may; what is wrong is in the message."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Where the rules of a policy may act, and whose it is.

    Attributes:
        locations: patterns of paths; None for everywhere.
        stewards: the group that it belongs to; empty for the administrators'.
    """

    locations: tuple[str, ...] | None = None
    stewards: str = ""


EVERYWHERE: Final = Reach()
SHIPPED: Final = Reach(None, "beamgrid")
"""Of what a new zone comes with: files of their own owner, which the pushes of others leave alone."""
Grants = Mapping[str, tuple[Pattern, ...] | None]


def compiled(reach: Reach) -> tuple[Pattern, ...] | None:
    """The patterns of a reach; None for everywhere.

    Raises:
        BundleError: one is no location.
    """
    if reach.locations is None:
        return None
    try:
        return tuple(compile_pattern("grant", text, {}, {}) for text in reach.locations)
    except PatternError as error:
        raise BundleError(str(error)) from error


def require(policies: Iterable[core.Policy], grants: Grants, base: Iterable[tuple[str, str, str]]) -> None:
    """Refuse rules that apply outside of what their policy was granted.

    Args:
        policies: what was checked.
        grants: the patterns of each policy, by its name.
        base: the metadata that the facility's base declares.

    Raises:
        BundleError: a rule reaches too far, or a policy of limited reach declares metadata for the whole zone.
    """
    policies = tuple(policies)
    declared = {entry for policy in policies if grants[policy.name] is None for entry in policy.metadata}
    declared |= set(base)
    for policy in policies:
        granted = grants[policy.name]
        if granted is None:
            continue
        for item in core.items_of(policy):
            if item.pattern is None:
                raise BundleError(
                    f"`{item.title}` applies everywhere; `{policy.name}` was granted {_shown(granted)}"
                )
            if not any(contains(grant, item.pattern) for grant in granted):
                raise BundleError(
                    f"`{item.title}` applies at `{item.pattern.text}`; `{policy.name}` was granted {_shown(granted)}"
                )
        for attribute, entity, _ in set(policy.metadata) - declared:
            raise BundleError(
                f"`{policy.name}` declares the metadata `{attribute}` on {entity}, which binds the whole zone; it was"
                f" granted {_shown(granted)}: ask an administrator to declare it"
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
