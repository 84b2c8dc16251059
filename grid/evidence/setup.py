"""The keys of a new zone: a root, and one for each service that signs."""

import time
from pathlib import Path
from typing import Final

from grid.evidence.building import written_time
from provenance.authority import KeyRecord
from provenance.keyring import Keyring

ROLES: Final = ("gateway", "mover", "kernel-runner", "publisher", "steward", "service")
DAYS: Final = 400


def make_keys(zone: str, authority: Path, private: Path) -> str:
    """Make a root of one key, and a key for each role of the zone's services and its log.

    The private keys of the services go to `private`; that of the root stays below `authority`, from where it should be taken elsewhere.

    Returns:
        The log's origin.

    Raises:
        KeyRefused: there is a root already.
    """
    ring = Keyring.create(authority, zone, keys=1, threshold=1)
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    private.chmod(0o700)
    now = time.time()
    origin = f"{zone}.invalid/prov/{time.gmtime(now).tm_year}"
    year = time.gmtime(now).tm_year
    for role, name in [*((role, f"{zone}/{role}#{year}a") for role in ROLES), ("log", origin)]:
        key, file = ring.new_key(name)
        scope = () if role == "log" else (f"/{zone}",)
        record = KeyRecord(
            name, key.public, role, scope, written_time(now), written_time(now + DAYS * 86_400)
        )
        ring.issue(record, key, time=written_time(now))
        file.rename(private / f"{role}.key")
    return origin
