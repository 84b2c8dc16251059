"""One function per API: it unpacks, calls one operation, packs the answer, and decides nothing."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from grid.server.exchange import Reply, Request
from grid.server.handlers import administration, objects, queries, replicas, rules, session, tree

Handler = Callable[[Request], Reply]

HANDLERS: Final[Mapping[int, Handler]] = MappingProxyType(
    {
        **session.HANDLERS,
        **objects.HANDLERS,
        **queries.HANDLERS,
        **tree.HANDLERS,
        **replicas.HANDLERS,
        **administration.HANDLERS,
        **rules.HANDLERS,
    }
)
"""API number to what serves it."""

INLINE: Final = frozenset({633, 674, 700, 702, 703, 704, 718, 801, 20000, 110000})
"""What the selector loop of a worker answers itself when the catalog is local: it reads or authenticates."""
