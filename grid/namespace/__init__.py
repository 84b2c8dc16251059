"""The operations of the grid: the one door to everything a user can see.

Each operation checks the caller's rights, asks the policy, changes the catalog in one short transaction that
also records the event and runs the `after` rules, and leaves work on files to the finisher. Servers, jobs,
rules and microservices all come through here; nothing else changes collections, objects, replicas, rights,
metadata, users or resources.
"""

from dataclasses import dataclass
from pathlib import Path

from grid.namespace.access import AccessChange, AccessRights
from grid.namespace.administration import Administration, Vaults
from grid.namespace.attestations import Attestations
from grid.namespace.checksums import ChecksumRequest, Checksums
from grid.namespace.collections import Collections
from grid.namespace.context import NamespaceContext
from grid.namespace.creation import WriteRequest
from grid.namespace.data_objects import DataObjects, ObjectStat
from grid.namespace.finisher import Finisher
from grid.namespace.fixity import Fixity
from grid.namespace.metadata import Metadata, MetadataOperation, Subject
from grid.namespace.moves import Moves
from grid.namespace.ports import Event, PolicyHooks, RecallDesk
from grid.namespace.posix import PosixFolders
from grid.namespace.reading import OpenForReading
from grid.namespace.recalls import Recalls
from grid.namespace.records import ReplicaRecords
from grid.namespace.replicas import Replicas, TrimRequest
from grid.namespace.stating import Stating
from grid.namespace.transfers import OpenForWriting, OpenReplica
from grid.namespace.users import Users


@dataclass(frozen=True, slots=True)
class Namespace:
    """Every operation, by what it is about."""

    context: NamespaceContext
    finisher: Finisher
    objects: DataObjects
    moves: Moves
    collections: Collections
    replicas: Replicas
    checksums: Checksums
    records: ReplicaRecords
    metadata: Metadata
    access: AccessRights
    users: Users
    administration: Administration
    recalls: Recalls
    fixity: Fixity
    posix: PosixFolders
    attestations: Attestations
    stating: Stating


def build(context: NamespaceContext, vaults: Vaults, desk: RecallDesk, keys: Path, log: Path) -> Namespace:
    """Join the operations over one context; `keys` is the folder of the root of keys that the zone believes, `log` that of its log."""
    finisher, recalls = Finisher(context), Recalls(context, desk)
    context.bring = recalls.bring
    objects = DataObjects(context, finisher)
    replicas = Replicas(context, finisher, objects)
    context.copies = replicas
    return Namespace(
        context=context,
        finisher=finisher,
        objects=objects,
        moves=Moves(context, finisher),
        collections=Collections(context),
        replicas=replicas,
        checksums=Checksums(context),
        records=ReplicaRecords(context),
        metadata=Metadata(context),
        access=AccessRights(context),
        users=Users(context),
        administration=Administration(context, vaults),
        recalls=recalls,
        fixity=Fixity(context, replicas),
        posix=PosixFolders(context),
        attestations=Attestations(context, keys, log),
        stating=Stating(context),
    )


__all__ = [
    "AccessChange",
    "AccessRights",
    "ChecksumRequest",
    "Event",
    "Metadata",
    "MetadataOperation",
    "Namespace",
    "NamespaceContext",
    "ObjectStat",
    "OpenForReading",
    "OpenForWriting",
    "OpenReplica",
    "PolicyHooks",
    "Recalls",
    "Subject",
    "TrimRequest",
    "WriteRequest",
    "build",
]
