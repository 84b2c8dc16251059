"""Where everything is put together: the only module that knows every package."""

import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import policies
from grid import config, logs
from grid.catalog import bundles, jobs, leases, schema, streams
from grid.catalog import resources as resource_rows
from grid.catalog.database import Database
from grid.catalog.genquery import GeneralQueries
from grid.catalog.limits import CatalogUse
from grid.catalog.specific import SpecificQueries
from grid.config import Settings
from grid.errors import CatalogBusy, CatalogUnavailable, ConfigurationError, GridError
from grid.evidence.contents import Contents
from grid.evidence.cosigning import Cosigning
from grid.evidence.sequencer import Sequencer
from grid.evidence.setup import make_keys
from grid.evidence.signers import ServiceKeys
from grid.model import VAULT_TYPES, Resource
from grid.namespace import Namespace, NamespaceContext, build, steps
from grid.namespace.storage import Storage, storage_errors
from grid.policy.desk import PolicyDesk
from grid.policy.engine import PolicyEngine
from grid.policy.jobs import JobWorker
from grid.policy.services import MicroserviceHost
from grid.policy.signatures import PolicyTrust
from grid.policy.stewards import RecordedReads, Stewards
from grid.reductions.desk import ReductionDesk
from grid.reductions.reducing import Reducer
from grid.secrets import ZoneKey, make_key
from grid.server.counters import Counters
from grid.server.dispatch import Dispatcher
from grid.server.exchange import Services
from grid.server.metrics import ADDRESS, MetricsEndpoint, ZoneFigures
from grid.server.supervisor import Role, Supervisor, listen, raise_descriptor_limit
from grid.server.worker import Worker, stop_on_signals
from grid.streams.desk import StreamDesk
from grid.tiers.arrivals import Arrivals
from grid.tiers.buffers import BufferKeeper, buffer_driver, buffer_settings
from grid.tiers.computing import DaskComputing
from grid.tiers.desk import TapeDesk
from grid.tiers.libraries import Libraries, library_settings, make_library, tape_driver
from grid.tiers.measuring import SpaceMeter
from grid.tiers.operator import TapeOperator
from grid.tiers.scrubbing import Scrubber
from provenance.notes import NoteSigner
from resources import Driver, ResourceError
from resources.context import COMMON, ContextError, Kind, Value
from resources.context import read as read_context
from resources.coordination import CONTEXTS
from resources.disk import CONTEXT as DISK_CONTEXT
from resources.disk import DiskDriver
from resources.layout import Layout
from resources.memory import MemoryDriver
from resources.tape.driver import TapeDriver
from resources.wrappers import Limited, Retrying
from resources.xrootd import XrootdDriver, server_of

KEY_FILE: Final = "keys/zone.key"
PORT_FILE: Final = "run/port"
VAULT: Final = "vault"
_POLICY: Final = "policy"
LOOK_EVERY_S: Final = 0.25
SWITCH_S: Final = 0.0005
"""So long may a thread that carries frames keep the others from the interpreter; their digests and writes take less."""

_log = logging.getLogger("beamgrid.app")


class Drivers:
    """Makes the drivers of storage resources."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.lease_id = 0

    def __call__(self, resource: Resource) -> Driver:
        if resource.type == "memory":
            return MemoryDriver()
        with storage_errors():
            return self._wrapped(self.plain_vault(resource), resource)

    def plain_vault(self, resource: Resource) -> DiskDriver | XrootdDriver:
        """The driver of a vault without limits and retries."""
        if resource.type == "tape":
            return tape_driver(resource)
        if resource.type == "buffer":
            return buffer_driver(resource, self._database)
        if resource.type == "xrootd":
            address, keytab = server_of(resource.host, resource.context)
            return XrootdDriver(address, resource.vault_path, resource.id, keytab=keytab)
        return DiskDriver(resource.vault_path, resource.id, Layout.of(_said(resource, DISK_CONTEXT)))

    def _wrapped(self, driver: Driver, resource: Resource) -> Driver:
        """A driver with the limits and retries that its resource's context string asks for; bare when it asks for none."""
        said = {} if resource.type == "tape" else _said(resource, COMMON)
        if "max_rate" in said or "max_open" in said:
            use = CatalogUse(self._database, resource.id, lambda: self.lease_id)
            rate, files = float(said.get("max_rate", 0)), int(said.get("max_open", 0))
            driver = Limited(driver, rate=rate, files=files, use=use)
        wanted = int(said.get("attempts", 3 if resource.type == "xrootd" else 1))
        return Retrying(driver, attempts=wanted) if wanted > 1 else driver


def _said(resource: Resource, known: Mapping[str, Kind]) -> dict[str, Value]:
    """The settings of a context string; none of one that says nonsense, from before these were checked."""
    try:
        return read_context(resource.context, known)
    except ContextError:
        return {}


class LocalVaults:
    """Vault folders of this host."""

    def __init__(self, drivers: Drivers) -> None:
        self._drivers = drivers

    def check(self, resource: Resource) -> None:
        with storage_errors():
            if resource.type == "tape":
                library_settings(resource)
            elif resource.type == "buffer":
                buffer_settings(resource)
            elif resource.type == "xrootd":
                server_of(resource.host, resource.context)
            elif resource.type == "unixfilesystem":
                Layout.of(read_context(resource.context, DISK_CONTEXT))
            else:
                read_context(resource.context, CONTEXTS.get(resource.type, COMMON))

    def make(self, resource: Resource) -> None:
        if resource.type == "xrootd":
            address, keytab = server_of(resource.host, resource.context)
            with storage_errors():
                XrootdDriver.create(address, resource.vault_path, resource.id, keytab=keytab)
        if resource.type not in VAULT_TYPES:
            return
        with storage_errors():
            if resource.type == "tape":
                TapeDriver.create(resource.vault_path, resource.id)
                make_library(resource)
            else:
                DiskDriver.create(resource.vault_path, resource.id)
                driver = self._drivers.plain_vault(resource)
                assert isinstance(driver, DiskDriver), "what was just made"
                refused = driver.stripe()
                if refused:
                    _log.warning("the file system of %s makes no stripes: %s", resource.name, refused)

    def retire(self, resource: Resource) -> None:
        if resource.type not in VAULT_TYPES | {"xrootd"}:
            return
        try:
            self._drivers.plain_vault(resource).retire()
        except (ResourceError, GridError) as error:
            _log.warning("the vault of %s keeps its marker: %s", resource.name, error)


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone, opened by this process."""

    folder: Path
    settings: Settings
    database: Database
    namespace: Namespace
    policy: PolicyEngine
    host: MicroserviceHost
    services: Services

    def close(self) -> None:
        self.database.close()


def initialise(
    folder: Path,
    *,
    zone: str,
    admin: str,
    password: str,
    host: str,
    port: int,
    catalog: str = "",
    policy: str = "",
    signing: bool = False,
) -> None:
    """Make a zone in an empty or new folder: settings, key, catalog and the vault of its first resource.

    With `signing` it gets a root of keys, a key for each of its services, and a policy that has them sign.

    Raises:
        ConfigurationError: the folder holds a zone already.
        CatalogFailed: the catalog does.
    """
    if (folder / config.FILE_NAME).exists():
        raise ConfigurationError(f"`{folder}` holds a zone already; nothing was changed")
    folder.mkdir(parents=True, exist_ok=True)
    policy = policy or (_POLICY if signing else "")
    lines = [f'zone = "{zone}"', f'admin = "{admin}"', f'host = "{host}"', f"port = {port}"]
    if catalog:
        lines.append(f'catalog = "{catalog}"')
    if policy:
        lines.append(f'policy = "{policy}"')
    temporary = folder / ".zone.toml.new"
    temporary.write_text("\n".join(lines) + "\n", "utf-8")
    make_key(folder / KEY_FILE)
    (folder / "run").mkdir(exist_ok=True)
    settings = Settings(zone=zone, admin=admin, host=host, port=port)
    if catalog:
        settings = replace(settings, catalog=catalog)
    database = Database(settings.catalog_url(folder))
    try:
        key = ZoneKey(folder / KEY_FILE)
        vault = str((folder / VAULT).absolute())
        schema.create(database, zone, admin, key.seal(password), vault)
        with database.read() as tx:
            resource = resource_rows.by_name_or_none(tx, "demoResc")
        assert resource is not None, "a fresh zone has its first resource"
        LocalVaults(Drivers(database)).make(resource)
    except BaseException:
        (folder / KEY_FILE).unlink()
        temporary.unlink()
        raise
    finally:
        database.close()
    if signing:
        make_keys(zone, folder / settings.authority, folder / settings.signing_keys)
        if policy == _POLICY:
            (folder / _POLICY).mkdir(exist_ok=True)
            for name in policies.SWITCHED_ON:
                (folder / _POLICY / name).write_text(policies.text(name), "utf-8")
    temporary.rename(folder / config.FILE_NAME)


def open_zone(folder: Path, settings: Settings | None = None, *, role: str = "") -> Zone:
    """Open a zone in this process.

    Args:
        folder: the zone's folder.
        settings: as `config.load` gives them; read from the folder when None.
        role: takes a lease under this name, which writing needs.
    """
    settings = settings or config.load(folder)
    database = Database(settings.catalog_url(folder), interceptor=steps.reached)
    schema.require_current(database)
    reads = RecordedReads(settings.audit, settings.record_one_read_in)
    trust = PolicyTrust(folder / settings.authority, settings.signed_policies == "on")
    policy = PolicyEngine(database, settings.zone, settings.timezone, reads, trust)
    drivers = Drivers(database)
    storage = Storage(settings.zone, settings.default_resource, drivers)
    context = NamespaceContext(settings.zone, database, storage, policy, ZoneKey(folder / KEY_FILE))
    context.block_trees = settings.block_trees == "on"
    context.work, context.signs = folder / "run" / "work", (folder / settings.signing_keys).is_dir()
    if role:
        with database.write() as tx:
            context.lease_id = drivers.lease_id = leases.take(tx, role)
    libraries = Libraries(database, settings.zone)
    namespace = build(
        context, LocalVaults(drivers), libraries, folder / settings.authority, folder / settings.log
    )
    stewards = Stewards(settings.stewards)
    desks = (
        PolicyDesk(namespace, policy, stewards), TapeDesk(namespace, libraries), ReductionDesk(namespace, stewards), StreamDesk(namespace)
    )  # fmt: skip
    host = MicroserviceHost(namespace, *desks)
    policy.connect(host)
    services = Services(namespace, GeneralQueries(settings.zone), SpecificQueries(database), settings, host)
    return Zone(folder, settings, database, namespace, policy, host, services)


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


def stream_gateway(folder: Path, settings: Settings) -> int:
    """Carry streams of a zone in the foreground until SIGTERM."""
    logs.set_up(settings.log_format, settings.log_level)
    os.umask(0o027)
    _with_zone(folder, settings, "streams", _carry_until_signal)
    return 0


def _carry_until_signal(zone: Zone) -> None:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    signal.signal(signal.SIGHUP, lambda *_: zone.policy.forget())
    carry_streams(zone, stopping)


def sequencer_of(zone: Zone) -> Sequencer:
    """Who signs and logs for a zone, in this process."""
    folder, settings, contents = zone.folder, zone.settings, Contents(zone.namespace)
    private = folder / settings.signing_keys
    return Sequencer(
        zone.database, settings.zone, ServiceKeys(private, folder / settings.authority), folder / settings.log,
        private / "log.state", zone.namespace.context.lease_id, contents.tree, contents.is_public,
    )  # fmt: skip


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
    zone = open_zone(folder, settings)
    try:
        zone.policy.load_file(folder, settings.policy)
        _note_problem(zone, "")
    except GridError as error:
        _note_problem(zone, str(error))
        raise
    finally:
        zone.close()
    pid_file = folder / "run/pid"
    if pid_file.exists():
        os.kill(int(pid_file.read_text()), signal.SIGHUP)


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
        zone = open_zone(folder, settings)
        try:
            zone.policy.load_file(folder, fresh.policy)
            _note_problem(zone, "")
        except GridError as error:
            _note_problem(zone, str(error))
            raise
        finally:
            zone.close()
    except GridError as error:
        _log.error("settings were read again; the policy was not changed: %s", error)
    else:
        _log.info("settings and policy were read again")


def wait_until_idle(zone: Zone, *, timeout_s: float) -> bool:
    """Wait for scheduled work to end; False when some is left."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with zone.database.read() as tx:
            if jobs.is_idle(tx):
                return True
        time.sleep(0.05)
    return False
