"""Microservices: what rules can do besides deciding, and clients can ask for by name.

They ask the grid only through `microservices.ports`, and know nothing of how it keeps its promises.
"""

from collections.abc import Mapping

from microservices import chunk_trees, crates, nexus, objects, reduction, statements
from microservices.ports import ByteReader, Grid, MicroserviceError, Standing
from microservices.registry import REGISTRY, Declaration, Parameter


def declarations() -> Mapping[str, Declaration]:
    """Every microservice of this package."""
    return REGISTRY


__all__ = [
    "ByteReader",
    "Declaration",
    "Grid",
    "MicroserviceError",
    "Parameter",
    "Standing",
    "chunk_trees",
    "crates",
    "declarations",
    "nexus",
    "objects",
    "reduction",
    "statements",
]
