"""A zone, a gateway in this process, and a detector."""

from collections.abc import Iterator

import pytest

from grid.app import Zone
from tests.unit.grid.streams.sending import Carried, Detector


@pytest.fixture
def zone(sqlite_zone: Zone) -> Zone:
    """On one database: what differs between them is in the tests of the catalog."""
    return sqlite_zone


@pytest.fixture
def carried(zone: Zone) -> Iterator[Carried]:
    found = Carried(zone)
    yield found
    found.close()


@pytest.fixture
def detector() -> Iterator[Detector]:
    found = Detector()
    yield found
    found.close()
