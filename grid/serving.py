"""The programs that serve a zone: processes with a lease, and what they are told by signals."""

import gc
import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from grid import config, logs
from grid.app import Zone, open_zone
from grid.background import carry_streams, compute_elsewhere, evidence_kept, reductions_kept, tiers_kept
from grid.catalog import bundles, leases
from grid.config import Settings
from grid.errors import CatalogBusy, CatalogUnavailable, GridError
from grid.policy.jobs import JobWorker
from grid.server.counters import Counters
from grid.server.dispatch import Dispatcher
from grid.server.metrics import ADDRESS, MetricsEndpoint, ZoneFigures
from grid.server.supervisor import Role, Supervisor, listen, raise_descriptor_limit
from grid.server.worker import Worker, stop_on_signals
from grid.tiers.buffers import BufferKeeper

PORT_FILE: Final = "run/port"

_log = logging.getLogger("beamgrid.app")


def serve(folder: Path, settings: Settings) -> int:
    """Serve a zone in the foreground until SIGTERM; returns the exit status."""
    logs.set_up(settings.log_format, settings.log_level)
    os.umask(0o027)
    raise_descriptor_limit()
    _check_before_serving(folder, settings)
    listener = listen(settings.host, settings.port)
    endpoint = MetricsEndpoint(settings.metrics_port) if settings.metrics_port else None
    port = listener.getsockname()[1]
    (folder / "run").mkdir(exist_ok=True)
    _publish(folder / "run/pid", os.getpid())
    _publish(folder / PORT_FILE, port)

    count = settings.workers or max(os.cpu_count() or 1, 2)
    counters = Counters(count)

    def run_worker(place: int) -> None:
        def work(zone: Zone) -> None:
            # what is loaded by now stays; requests make short-lived objects that reference counting frees
            gc.collect()
            gc.freeze()
            gc.set_threshold(100_000, 20, 50)
            worker = Worker(listener, Dispatcher(zone.services, counters.at(place)), settings, zone.database)
            stop_on_signals(worker)

            def reload(*_: object) -> None:
                zone.policy.forget()
                try:
                    fresh, _waiting = config.reloaded(folder, settings)
                except config.SettingError:
                    return  # the parent process says so in the log, once
                worker.reload(fresh)
                logs.set_up(fresh.log_format, fresh.log_level)

            signal.signal(signal.SIGHUP, reload)
            reload()  # a process that starts late, or again, takes over what was changed before it was there
            worker.run()

        _with_zone(folder, settings, "server", work)

    def run_jobs(_place: int) -> None:
        def work(zone: Zone) -> None:
            compute_elsewhere(zone)
            worker = JobWorker(
                zone.database, zone.policy, zone.host, zone.namespace, threads=settings.job_threads
            )
            with tiers_kept(zone), evidence_kept(zone), reductions_kept(zone):
                worker.run()

        _with_zone(folder, settings, "jobs", work)

    def run_metrics(_place: int) -> None:
        assert endpoint is not None, "there is such a process only with an endpoint"
        zone = open_zone(folder, settings)
        endpoint.serve(ZoneFigures(counters, zone.database, settings.zone))

    # the workers come first: their places are those of the counters
    roles = [Role("server", count, run_worker), Role("job", settings.job_workers, run_jobs)]
    if settings.stream_gateways:
        roles.append(
            Role(
                "stream gateway",
                settings.stream_gateways,
                lambda _: _with_zone(folder, settings, "streams", _carry_until_signal),
            )
        )
    if endpoint is not None:
        roles.append(Role("metrics", 1, run_metrics))
        _log.info("figures for Prometheus are on http://%s:%d/metrics", ADDRESS, endpoint.port)
    _log.info("zone %s is served on %s:%d by %d processes", settings.zone, settings.host, port, count)
    supervisor = Supervisor(
        roles, grace_s=settings.shutdown_grace_s, on_reload=lambda: _reload(folder, settings)
    )
    status = supervisor.run()
    for name in ("run/port", "run/pid"):
        (folder / name).unlink(missing_ok=True)
    _log.info("zone %s is not served any more", settings.zone)
    return status


def work(folder: Path, settings: Settings) -> int:
    """Run scheduled work of a zone in the foreground until SIGTERM."""
    logs.set_up(settings.log_format, settings.log_level)
    os.umask(0o027)

    def run(zone: Zone) -> None:
        compute_elsewhere(zone)
        JobWorker(zone.database, zone.policy, zone.host, zone.namespace, threads=settings.job_threads).run()

    _with_zone(folder, settings, "jobs", run)
    return 0


def ask_to_reload(folder: Path) -> None:
    """Check settings and policy files, and let the running server take them over.

    Raises:
        SettingError, ConfigurationError: what is wrong; nothing was changed.
    """
    settings = config.load(folder)
    _take_policy(folder, settings, settings.policy)
    pid_file = folder / "run/pid"
    if pid_file.exists():
        os.kill(int(pid_file.read_text()), signal.SIGHUP)


def _take_policy(folder: Path, settings: Settings, named: str) -> None:
    """Load the policy files of a name; what is wrong with them is kept, and raised."""
    zone = open_zone(folder, settings)
    try:
        zone.policy.load_file(folder, named)
        _note_problem(zone, "")
    except GridError as error:
        _note_problem(zone, str(error))
        raise
    finally:
        zone.close()


def _note_problem(zone: Zone, problem: str) -> None:
    """Keep what was wrong with the policy files at the last reload, for `status`."""
    with zone.database.write() as tx:
        bundles.note_policy_problem(tx, problem)


def _publish(file: Path, number: int) -> None:
    """Write a number for other processes; who sees the file sees the number."""
    part = file.with_suffix(".part")
    part.write_text(f"{number}\n")
    part.replace(file)


def _check_before_serving(folder: Path, settings: Settings) -> None:
    """Everything that can be found wrong before a client connects."""
    zone = open_zone(folder, settings)
    try:
        zone.policy.load_file(folder, settings.policy)
        zone.policy.refresh()
        BufferKeeper(zone.database, zone.namespace).recount_all()
    finally:
        zone.close()


def _reload(folder: Path, settings: Settings) -> None:
    """SIGHUP: read settings and policy again; a broken file leaves the last good one in force."""
    try:
        fresh, waiting = config.reloaded(folder, settings)
    except config.SettingError as error:
        _log.error("settings and policy were not changed: %s", error)
        return
    if waiting:
        _log.warning("changed settings that need a restart: %s", ", ".join(waiting))
    try:
        _take_policy(folder, settings, fresh.policy)
    except GridError as error:
        _log.error("settings were read again; the policy was not changed: %s", error)
    else:
        _log.info("settings and policy were read again")


def stream_gateway(folder: Path, settings: Settings) -> int:
    """Carry streams of a zone in the foreground until SIGTERM."""
    logs.set_up(settings.log_format, settings.log_level)
    os.umask(0o027)
    _with_zone(folder, settings, "streams", _carry_until_signal)
    return 0


def _carry_until_signal(zone: Zone) -> None:
    stopping = threading.Event()
    _log.info("streams of zone %s are carried here", zone.settings.zone)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    signal.signal(signal.SIGHUP, lambda *_: zone.policy.forget())
    carry_streams(zone, stopping)


def _renew_lease(zone: Zone, ended: threading.Event) -> None:
    """Keep this process's lease, and give up when it was declared void."""
    context = zone.namespace.context
    while not ended.wait(leases.RENEW_EVERY_S):
        try:
            with zone.database.write(durable=False) as tx:
                held = leases.renew(tx, context.lease_id)
        except (CatalogBusy, CatalogUnavailable) as error:
            _log.warning("the lease could not be renewed: %s", error)
            continue
        if not held:
            _log.error("this process lost its lease; it ends so that a fresh one takes over")
            os.kill(os.getpid(), signal.SIGTERM)
            return


def _with_zone(folder: Path, settings: Settings, role: str, run: Callable[[Zone], None]) -> None:
    """Run one child process's work on a zone with a lease."""
    zone = open_zone(folder, settings, role=role)
    ended = threading.Event()
    renewer = threading.Thread(target=_renew_lease, args=(zone, ended), name="lease", daemon=True)
    zone.namespace.finisher.recover()
    zone.policy.refresh()
    zone.namespace.finisher.start()
    renewer.start()
    try:
        run(zone)
    finally:
        ended.set()
        zone.namespace.finisher.stop()
        try:
            with zone.database.write(durable=False) as tx:
                leases.give_back(tx, zone.namespace.context.lease_id)
        except GridError as error:
            _log.warning("the lease was not given back: %s", error)
        zone.close()
