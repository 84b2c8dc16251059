"""Bytes from one replica to another: between servers, beside the storage, or through this process."""

import logging
import time

from grid.errors import GridError
from grid.model import DataObject, Replica, Resource
from grid.namespace import steps, trees
from grid.namespace.context import NamespaceContext
from grid.namespace.digests import ALGORITHMS, DigestTap, from_hex, of_file, scheme_of
from grid.namespace.ports import Event
from grid.namespace.rings import BUFFER_BYTES
from grid.namespace.storage import Tree, storage_errors
from resources import ResourceError, remote
from resources.aligned import aligned_buffer
from resources.xrootd import TPC_RETRY_S

_log = logging.getLogger("beamgrid.replicas")


class Copying:
    """Copies files to the staging area of a resource; records nothing.

    Args:
        context: the zone.
    """

    def __init__(self, context: NamespaceContext) -> None:
        self._context = context
        self._no_third_party: dict[tuple[str, str], float] = {}

    def transfer(
        self, event: Event, found: DataObject, tree: Tree, source: Replica, leaf: Resource, name: str
    ) -> tuple[str, str, int]:
        """Copy bytes to a staged file: the checksums of what was sent and of what was written, and the size."""
        computing, storage = self._context.computing, self._context.storage
        there, target = (
            storage.file_of(tree.by_id[source.resource_id], source, found.path),
            storage.vault_of(leaf),
        )
        scheme = scheme_of(source.checksum) if source.checksum else "sha2"
        if there is not None and target is not None and there.vault.kind == target.kind == "xrootd":
            seen = self._sent_between_servers(found, source, there, target, name)
            if seen is not None:
                return from_hex(scheme, seen.digest), from_hex(scheme, seen.digest), seen.size
        if computing is not None and there is not None and target is not None and leaf.type != "buffer":
            try:
                sent, written = computing.run(remote.copy, there, target, name, ALGORITHMS[scheme])
                return from_hex(scheme, sent.digest), from_hex(scheme, written.digest), sent.size
            except ResourceError as error:
                _log.info("%s is copied by this process: %s", found.path, error)
        return self._streamed(event, found, tree, source, leaf, name)

    def _sent_between_servers(
        self, found: DataObject, source: Replica, there: remote.There, target: remote.Vault, name: str
    ) -> remote.Seen | None:
        """What arrived, where two servers sent each other what is recorded; None where the bytes have to pass here.

        Without a recorded checksum there would be nothing to compare what arrived with.
        """
        pair = (there.vault.address, target.address)
        if not source.checksum or time.monotonic() < self._no_third_party.get(pair, 0.0):
            return None
        scheme, computing = scheme_of(source.checksum), self._context.computing
        work = (there, target, name, ALGORITHMS[scheme])
        try:
            seen = remote.send(*work) if computing is None else computing.run(remote.send, *work)
        except (ResourceError, GridError) as error:
            _log.info("%s and %s do not send each other files: %s", *pair, error)
            self._no_third_party[pair] = time.monotonic() + TPC_RETRY_S
            return None
        if from_hex(scheme, seen.digest) == source.checksum:
            return seen
        with storage_errors():  # which of the two is bad is found by who reads both
            target.driver().unlink_staged(name)
        return None

    def _streamed(
        self, event: Event, found: DataObject, tree: Tree, source: Replica, leaf: Resource, name: str
    ) -> tuple[str, str, int]:
        driver = self._context.storage.driver(leaf)
        stored = self._context.open_replica(
            event.caller, tree, source, found.path, admin=event.caller.is_admin
        )
        tap = DigestTap(scheme_of(source.checksum) if source.checksum else "sha2")
        try:
            steps.reached("stage.before")
            file = driver.stage(name, source.size_bytes)
            steps.reached("stage.after")
            buffer, offset = aligned_buffer(BUFFER_BYTES), 0
            while count := stored.read_into(buffer, offset):
                tap.see(offset, buffer[:count])
                steps.reached("bytes.before")
                file.write(buffer[:count], offset)
                steps.reached("bytes.after")
                tap.settle()
                offset += count
            steps.reached("sync.before")
            file.sync()
            steps.reached("sync.after")
            sent = tap.result(offset)
            assert sent is not None, "what is read in order is not broken"
            written = of_file(file, tap.scheme)
            file.close()
            return sent, written, offset
        finally:
            stored.close()

    def where(self, found: DataObject, tree: Tree, source: Replica) -> str:
        """Where a replica is not what is recorded of it, in words; empty where it is, or no tree tells."""
        blocks = trees.recorded(self._context.database, found.id)
        if blocks is None:
            return ""
        stored = self._context.storage.open_for_reading(self._context.database, tree, source, found.path)
        try:
            return trees.difference(blocks, trees.of_file(stored))
        finally:
            stored.close()
