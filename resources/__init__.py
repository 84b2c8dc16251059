"""Storage tiers: one small protocol, the drivers that keep it, and the suite that holds them to it.

Knows nothing of collections, users or the catalog: it gets places and bytes.
"""

from resources.errors import (
    Denied,
    FileMissing,
    InvalidVaultPath,
    Offline,
    OutOfSpace,
    PermanentResourceError,
    PlaceTaken,
    ResourceError,
    TransientResourceError,
)
from resources.protocol import Capabilities, Driver, StagedFile, Stat, StoredFile, VaultPath

__all__ = [
    "Capabilities",
    "Denied",
    "Driver",
    "FileMissing",
    "InvalidVaultPath",
    "Offline",
    "OutOfSpace",
    "PermanentResourceError",
    "PlaceTaken",
    "ResourceError",
    "StagedFile",
    "Stat",
    "StoredFile",
    "TransientResourceError",
    "VaultPath",
]
