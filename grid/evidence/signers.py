"""The private keys of the zone's services, by the role that the root gave each."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provenance.authority import Authority, KeyRecord
from provenance.errors import ProvenanceError
from provenance.keyring import Keyring
from provenance.notes import NoteSigner
from provenance.predicates import PREDICATES
from provenance.tokens import load_key

_log = logging.getLogger("beamgrid.evidence")

LOG: Final = "log"


class NoKey(Exception):
    """Nobody here may sign this; the message says which role is missing."""


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """A private key with what the root says of it."""

    signer: NoteSigner
    record: KeyRecord


class ServiceKeys:
    """The keys of one folder that the zone's root knows.

    Args:
        private: the folder with the private keys.
        authority: the folder of the root and its records.
    """

    def __init__(self, private: Path, authority: Path) -> None:
        self._private = private
        self._ring = Keyring(authority)
        self._keys: tuple[ServiceKey, ...] = ()
        self._tokens: dict[Path, NoteSigner] = {}
        self.authority: Authority | None = None

    def reload(self) -> None:
        """Read keys and records again; what cannot be used is told in the log and left out."""
        self._keys, self.authority = (), None
        try:
            self.authority = self._ring.authority()
        except ProvenanceError as error:
            _log.info("nothing is signed: %s", error)
            return
        found = []
        for file in sorted((*self._private.glob("*.key"), *self._private.glob("*.token"))):
            try:
                key = self._tokens.get(file) or load_key(file)
            except ProvenanceError as error:
                _log.error("%s", error)
                continue
            if file.suffix == ".token":
                self._tokens[file] = key  # its session stays open
            record = self.authority.records.get(key.keyid)
            if record is None:
                _log.error("the root of the zone does not know the key `%s` (%s)", key.name, file)
            else:
                found.append(ServiceKey(key, record))
        self._keys = tuple(found)

    @property
    def roles(self) -> set[str]:
        return {key.record.role for key in self._keys}

    def for_statement(self, kind: str, paths: Sequence[str], time: str) -> NoteSigner:
        """The key that signs a statement.

        Raises:
            NoKey: there is none that may.
        """
        wanted = PREDICATES[kind].roles
        for role in wanted:
            found = self._best(role, time, paths)
            if found is not None:
                return found.signer
        raise NoKey(
            f"no key of the role {' or '.join(wanted)} in `{self._private}` may sign `{kind}` at `{paths[0]}`"
        )

    def for_log(self, time: str) -> NoteSigner:
        """The log's key; its name is the log's origin.

        Raises:
            NoKey: there is none.
        """
        found = self._best(LOG, time, ())
        if found is None:
            raise NoKey(f"no key of the role `log` is in `{self._private}`")
        return found.signer

    def of_role(self, role: str, paths: Sequence[str], time: str) -> NoteSigner | None:
        """The key of a role that may sign at these paths now; None where there is none."""
        found = self._best(role, time, paths)
        return found.signer if found is not None else None

    def _best(self, role: str, time: str, paths: Sequence[str]) -> ServiceKey | None:
        """The latest key of a role that is valid; one that was revoked signs nothing."""
        revoked = self.authority.revocations if self.authority is not None else {}
        able = [
            key
            for key in self._keys
            if key.record.role == role
            and key.record.keyid not in revoked
            and key.record.not_before <= time <= key.record.not_after
            and all(key.record.covers(path) for path in paths)
        ]
        return max(able, key=lambda key: key.record.not_before, default=None)
