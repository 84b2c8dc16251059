"""Who looks after which locations, and which reads are put on record."""

import itertools
from collections.abc import Iterable

from grid.errors import ConfigurationError
from grid.model import Caller
from grid.policy.grants import Reach
from rules.locations import Pattern, PatternError, compile_pattern


def patterns(setting: str, texts: Iterable[str]) -> tuple[Pattern, ...]:
    """The locations of a setting.

    Raises:
        ConfigurationError: one is no location.
    """
    try:
        return tuple(compile_pattern(setting, text, {}, {}) for text in texts)
    except PatternError as error:
        raise ConfigurationError(f"the setting `{setting}`: {error}") from error


class Stewards:
    """The groups whose members look after locations; administrators look after all."""

    def __init__(self, groups: Iterable[tuple[str, Iterable[str]]]) -> None:
        self._locations = {group: patterns("stewards", texts) for group, texts in groups}

    def look_after(self, caller: Caller, path: str) -> bool:
        """Whether a caller may see what the policy decided about others at a path."""
        if caller.is_admin:
            return True
        return any(pattern.match(path) is not None for pattern in self._of(caller))

    def are_any(self, caller: Caller) -> bool:
        """Whether a caller looks after anything."""
        return caller.is_admin or bool(self._of(caller))

    def reach(self, group: str) -> Reach:
        """Where a group's policies may act.

        Raises:
            ConfigurationError: the settings do not name the group.
        """
        if group not in self._locations:
            known = ", ".join(self._locations) or "none"
            raise ConfigurationError(f"`{group}` is not among the `stewards` of the settings ({known})")
        return Reach(tuple(pattern.text for pattern in self._locations[group]), group)

    def groups_of(self, caller: Caller) -> list[str]:
        """The groups of stewards that a caller speaks for: those that he is in; all, for administrators."""
        return [group for group in self._locations if caller.is_admin or group in caller.groups]

    def _of(self, caller: Caller) -> list[Pattern]:
        return [pattern for group in caller.groups for pattern in self._locations.get(group, ())]


class RecordedReads:
    """Which allowed reads are written to the decision log: all in audited locations, of the others one in so many."""

    def __init__(self, audited: Iterable[str], one_in: int) -> None:
        self._audited = patterns("audit", audited)
        self._one_in = one_in
        self._count = itertools.count(1)  # its next() is atomic

    def is_audited(self, path: str) -> bool:
        return any(pattern.match(path) is not None for pattern in self._audited)

    def is_sampled(self) -> bool:
        return self._one_in > 0 and next(self._count) % self._one_in == 0
