"""A zone, put together from its packages: made, and opened by a process."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import policies
from grid import config
from grid.catalog import jobs, leases, schema
from grid.catalog import resources as resource_rows
from grid.catalog.database import Database
from grid.catalog.genquery import GeneralQueries
from grid.catalog.limits import CatalogUse
from grid.catalog.specific import SpecificQueries
from grid.config import Settings
from grid.errors import ConfigurationError, GridError
from grid.evidence.setup import make_keys
from grid.model import VAULT_TYPES, Resource
from grid.namespace import Namespace, NamespaceContext, build, steps
from grid.namespace.storage import Storage, storage_errors
from grid.policy.desk import PolicyDesk
from grid.policy.engine import PolicyEngine
from grid.policy.services import MicroserviceHost
from grid.policy.signatures import PolicyTrust
from grid.policy.stewards import RecordedReads, Stewards
from grid.reductions.desk import ReductionDesk
from grid.secrets import ZoneKey, make_key
from grid.server.exchange import Services
from grid.streams.desk import StreamDesk
from grid.tiers.buffers import buffer_driver, buffer_settings
from grid.tiers.desk import TapeDesk
from grid.tiers.libraries import Libraries, library_settings, make_library, tape_driver
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
VAULT: Final = "vault"
_POLICY: Final = "policy"
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


def wait_until_idle(zone: Zone, *, timeout_s: float) -> bool:
    """Wait for scheduled work to end; False when some is left."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with zone.database.read() as tx:
            if jobs.is_idle(tx):
                return True
        time.sleep(0.05)
    return False
