"""What a process does for a zone beside answering clients: threads that run while it does."""

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final

from grid.app import Zone
from grid.catalog import streams
from grid.errors import CatalogBusy, CatalogUnavailable
from grid.evidence.contents import Contents
from grid.evidence.cosigning import Cosigning
from grid.evidence.sequencer import Sequencer
from grid.evidence.signers import ServiceKeys
from grid.reductions.reducing import Reducer
from grid.tiers.arrivals import Arrivals
from grid.tiers.buffers import BufferKeeper
from grid.tiers.computing import DaskComputing
from grid.tiers.libraries import Libraries
from grid.tiers.measuring import SpaceMeter
from grid.tiers.operator import TapeOperator
from grid.tiers.scrubbing import Scrubber
from provenance.notes import NoteSigner

LOOK_EVERY_S: Final = 0.25
SWITCH_S: Final = 0.0005
"""So long may a thread that carries frames keep the others from the interpreter; their digests and writes take less."""


_log = logging.getLogger("beamgrid.app")


def compute_elsewhere(zone: Zone) -> None:
    """Let this process have files read and copied on the scheduler that the settings name, if they name one."""
    if zone.settings.dask:
        zone.namespace.context.computing = DaskComputing(zone.settings.dask)


@contextlib.contextmanager
def _threads(**runs: Callable[[threading.Event], None]) -> Iterator[None]:
    """Threads that run until the block ends; each is told to stop by an event."""
    stopping = threading.Event()
    threads = [
        threading.Thread(target=run, args=(stopping,), name=name, daemon=True) for name, run in runs.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join(timeout=5)


def tiers_kept(zone: Zone) -> AbstractContextManager[None]:
    """Threads of this process look after the zone's tiers until the block ends.

    They are the operator of its tape libraries, as far as they are elected; they scrub, keep buffers below their marks, and
    measure room.
    """
    context = zone.namespace.context
    libraries = Libraries(zone.database, zone.settings.zone)
    return _threads(
        tape=TapeOperator(context, libraries, Arrivals(zone.namespace), context.lease_id).run,
        scrub=Scrubber(zone.database, zone.namespace, context.lease_id).run,
        buffers=BufferKeeper(zone.database, zone.namespace).run,
        space=SpaceMeter(zone.database, context.storage).run,
    )


def evidence_kept(zone: Zone) -> AbstractContextManager[None]:
    """Threads of this process sign and log what the zone states, as far as they are elected, until the block ends."""
    sequencer, settings = sequencer_of(zone), zone.settings
    cosigning = Cosigning(
        zone.database, zone.folder / settings.log, settings.witnesses, zone.folder / settings.witness_policy,
        lambda: sequencer.is_mine,
    )  # fmt: skip
    return _threads(sequencer=sequencer.run, trees=sequencer.make_trees, cosigning=cosigning.run)


def reductions_kept(zone: Zone) -> AbstractContextManager[None]:
    """Two threads of this process carry out the reductions that were asked for, until the block ends: a long one does not hold up the others."""
    work = Reducer(zone.database, zone.namespace, zone.host, zone.namespace.context.lease_id).run
    return _threads(reductions=work, more_reductions=work)


def carry_streams(zone: Zone, stopping: threading.Event) -> None:
    """Carry streams of detector frames in this process until told to stop. What they need is loaded when the first one is opened."""
    while not stopping.wait(LOOK_EVERY_S):
        with contextlib.suppress(CatalogBusy, CatalogUnavailable), zone.database.read() as tx:
            if streams.something_waits(tx, zone.namespace.context.lease_id):
                break
    if stopping.is_set():
        return
    from grid.streams.gateway import Gateway

    sys.setswitchinterval(SWITCH_S)
    settings, keys = (
        zone.settings,
        ServiceKeys(zone.folder / zone.settings.signing_keys, zone.folder / zone.settings.authority),
    )

    def instrument_key(path: str) -> NoteSigner | None:
        keys.reload()
        return keys.of_role("instrument", [path], time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    Gateway(
        zone.database, zone.namespace, zone.policy, zone.host, zone.namespace.context.lease_id, settings.stream_host or settings.host, instrument_key
    ).run(stopping)  # fmt: skip


def sequencer_of(zone: Zone) -> Sequencer:
    """Who signs and logs for a zone, in this process."""
    folder, settings, contents = zone.folder, zone.settings, Contents(zone.namespace)
    private = folder / settings.signing_keys
    return Sequencer(
        zone.database, settings.zone, ServiceKeys(private, folder / settings.authority), folder / settings.log,
        private / "log.state", zone.namespace.context.lease_id, contents.tree, contents.is_public,
    )  # fmt: skip
