"""Reading and computing beside the storage, on a Dask scheduler that the zone's settings name.

A job is leased by a worker of the zone as ever; that worker submits the reading and computing part, waits, and records the result. Tasks
know no catalog. The worker processes of the scheduler need this distribution and have to reach the vaults.
"""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from grid.errors import ResourceUnavailable

T = TypeVar("T")

CONNECT_S = 10.0


class DaskComputing:
    """Submits work to a scheduler.

    Args:
        address: of the scheduler, such as `tcp://10.0.0.1:8786`.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._client: Any = None
        self._lock = threading.Lock()

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                try:
                    from distributed import Client
                except ImportError as error:
                    raise ResourceUnavailable(
                        "the setting `dask` names a scheduler, and its client is not installed: pip install 'beamgrid[dask]'"
                    ) from error
                try:
                    self._client = Client(self._address, timeout=CONNECT_S, set_as_default=False)
                except (OSError, TimeoutError) as error:
                    raise ResourceUnavailable(
                        f"the Dask scheduler at {self._address} does not answer: {error}"
                    ) from error
            return self._client

    def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Have a function carried out by one of the scheduler's workers, and wait.

        Raises:
            ResourceError: what it raised there.
            ResourceUnavailable: the scheduler is not there, or lost every worker that tried.
        """
        client = self._connected()
        from distributed import KilledWorker

        try:
            result: T = client.submit(function, *arguments, pure=False).result()
        except (OSError, TimeoutError, CancelledError, KilledWorker) as error:
            self._forget()
            raise ResourceUnavailable(
                f"the Dask scheduler at {self._address} did not carry the work out: {error}"
            ) from error
        return result

    def _forget(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close(timeout=1)
