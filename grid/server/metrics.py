"""The zone's figures for Prometheus, on the loopback address only.

Source: the text format is made by the `prometheus_client` library.
"""

import os
from collections.abc import Iterator
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry

from grid.catalog import jobs, journal, promises, resources, statements, tape
from grid.catalog.database import Database
from grid.errors import GridError
from grid.server.counters import BUCKETS_S, OUTCOMES, Counters

ADDRESS: Final = "127.0.0.1"


class _Handler(WSGIRequestHandler):
    timeout = 10  # a client that says nothing

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: each scrape would be a line."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False


class ZoneFigures(Collector):
    """What is counted in memory, and the queues as the catalog has them when somebody asks."""

    def __init__(self, counters: Counters, database: Database, zone: str) -> None:
        self._counters = counters
        self._database = database
        self._zone = zone

    def collect(self) -> Iterator[Metric]:
        yield from self._requests()
        up = GaugeMetricFamily("beamgrid_catalog_up", "Whether the catalog answers.", labels=["zone"])
        try:
            queues = list(self._queues())
        except GridError:
            up.add_metric([self._zone], 0)
            yield up
            return
        up.add_metric([self._zone], 1)
        yield up
        yield from queues

    def _requests(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "beamgrid_requests",
            "Requests; `refused` are those that a policy refused.",
            labels=["api", "outcome"],
        )
        seconds = HistogramMetricFamily(
            "beamgrid_request_seconds",
            "From a whole request to its reply, without sending its bytes.",
            labels=["api"],
        )
        moved = CounterMetricFamily("beamgrid_bytes", "Bytes of objects.", labels=["api", "direction"])
        for api in self._counters.totals():
            for outcome, count in zip(OUTCOMES, api.outcomes, strict=True):
                requests.add_metric([api.name, outcome], count)
            bounds = [*(str(bound) for bound in BUCKETS_S), "+Inf"]
            seconds.add_metric([api.name], list(zip(bounds, api.latencies, strict=True)), api.seconds)
            if api.bytes_in or api.bytes_out:
                moved.add_metric([api.name, "in"], api.bytes_in)
                moved.add_metric([api.name, "out"], api.bytes_out)
        yield from (requests, seconds, moved)

    def _queues(self) -> Iterator[Metric]:
        with self._database.read() as tx:
            by_state, waiting, unmet = jobs.counts(tx), journal.queue_lengths(tx), promises.unmet_count(tx)
            tapes = [r for r in resources.all_by_id(tx).values() if r.type == "tape"]
            recalls = tape.request_counts(tx)
            stated = statements.counts(tx)
            errors = {r.name: tape.estimate_errors(tx, r.id) for r in tapes}
        made = GaugeMetricFamily(
            "beamgrid_statements", "What the zone states: wanted, signed, logged, refused.", labels=["state"]
        )
        for state, count in stated.items():
            made.add_metric([state], count)
        yield made
        states = GaugeMetricFamily("beamgrid_jobs", "Scheduled work.", labels=["state"])
        for state in ("waiting", "running", "dead", "paused"):
            states.add_metric([state], by_state.get(state, 0))
        queues = GaugeMetricFamily("beamgrid_queue", "What waits to be done.", labels=["queue"])
        for name, length in waiting.items():
            queues.add_metric([name], length)
        yield from (states, queues)
        yield GaugeMetricFamily(
            "beamgrid_promises_unmet", "Promises about copies that are not met.", value=unmet
        )
        names = {r.id: r.name for r in tapes}
        under_way = GaugeMetricFamily(
            "beamgrid_tape_recalls", "Recalls that are not over.", labels=["resource", "state"]
        )
        for (resource_id, state), count in recalls.items():
            under_way.add_metric([names.get(resource_id, "removed"), state], count)
        off = GaugeMetricFamily(
            "beamgrid_tape_estimate_error_seconds",
            "How far the latest recalls that arrived were off their estimates, early or late, in the library's time.",
            labels=["resource", "quantile"],
        )
        for name, found in errors.items():
            if found:
                ordered = sorted(map(abs, found))
                for quantile in (0.5, 0.9, 1.0):
                    off.add_metric([name, str(quantile)], ordered[round(quantile * (len(ordered) - 1))])
        yield from (under_way, off)


class MetricsEndpoint:
    """The port where the figures are asked for; bound before there are processes, so that a taken one is said at once.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, port: int) -> None:
        self._server = _Server((ADDRESS, port), _Handler, bind_and_activate=False)
        try:
            self._server.allow_reuse_address = True
            self._server.server_bind()
            self._server.server_activate()
        except OSError as error:
            self._server.server_close()
            raise OSError(error.errno, os.strerror(error.errno or 0), f"{ADDRESS}:{port}") from error

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def serve(self, figures: ZoneFigures) -> None:
        """Answer until the process is told to end."""
        registry = CollectorRegistry()
        registry.register(figures)
        self._server.set_app(make_wsgi_app(registry))
        self._server.serve_forever()
