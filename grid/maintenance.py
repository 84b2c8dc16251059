"""Looking after a zone: its status, backup, restore and upgrade."""

import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from grid import config
from grid.app import KEY_FILE, open_zone
from grid.catalog import bundles, jobs, journal, leases, schema, statements
from grid.catalog import objects as object_rows
from grid.catalog.database import Database
from grid.errors import ConfigurationError, GridError
from grid.model import COORDINATING_TYPES
from grid.serving import PORT_FILE
from resources import ResourceError

_CATALOG: Final = "catalog.sqlite"
_DUMP: Final = "catalog.dump"


def status(folder: Path) -> dict[str, Any]:
    """How a zone is: what it holds, its queues, processes, versions and storage."""
    settings = config.load(folder)
    zone = open_zone(folder, settings)
    try:
        with zone.database.read() as tx:
            counts = journal.entity_counts(tx)
            processes = [
                {"role": role, "pid": pid, "host": host, "alive": not leases.lease_is_void(tx, lease)}
                for lease, role, pid, host in tx.all("SELECT id, role, pid, host FROM leases ORDER BY id")
            ]
            queue = jobs.counts(tx)
            dead = jobs.dead(tx)
            problem = bundles.policy_problem(tx)
            stated = statements.counts(tx)
            refused = statements.listed(tx, state=statements.REFUSED, limit=5)
            tree = zone.namespace.context.storage.tree(tx)
        port_file = folder / PORT_FILE
        return {
            "zone": settings.zone,
            "address": f"{settings.host}:{port_file.read_text().strip()}" if port_file.exists() else None,
            "served": any(process["alive"] for process in processes),
            "schema_version": schema.current_revision(zone.database),
            "policy": zone.policy.description,
            "policy_problem": problem,
            "counts": counts,
            "jobs": queue,
            "statements": stated,
            "not_signed": [{"kind": one.kind, "path": one.path, "reason": one.reason} for one in refused],
            "given_up": [{"job": j, "name": n, "reason": r} for j, n, r in dead],
            "processes": processes,
            "posix_drift": zone.namespace.posix.drifted(),
            "resources": [_resource(zone, r) for r in tree.by_id.values() if r.name != "bundleResc"],
        }
    finally:
        zone.close()


def _resource(zone: Any, resource: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": resource.name, "type": resource.type, "vault": resource.vault_path}
    if resource.type in COORDINATING_TYPES:
        return facts
    if resource.is_down:
        return {**facts, "state": "marked down"}
    try:
        driver = zone.namespace.context.storage.driver(resource)
        return {**facts, "state": "up", "free_bytes": driver.free_bytes()}
    except (GridError, ResourceError) as error:
        return {**facts, "state": f"down: {error}"}


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What a restored catalog and the vaults do not agree on.

    `missing`: objects of the catalog whose file is gone or shorter. `newer`: files changed since the backup.
    """

    missing: list[str]
    newer: list[str]


def backup(folder: Path, target: Path) -> None:
    """Write catalog, key and settings into one archive while the zone is served; consistent as of one moment.

    Raises:
        ConfigurationError: the target exists, or `pg_dump` is not there or failed.
    """
    if target.exists():
        raise ConfigurationError(f"`{target}` exists; nothing was written")
    settings = config.load(folder)
    url = settings.catalog_url(folder)
    with tempfile.TemporaryDirectory(dir=target.absolute().parent) as scratch:
        work = Path(scratch)
        database = Database(url)
        revision = schema.current_revision(database)
        if database.is_sqlite:
            with (
                closing(sqlite3.connect(database.url.database or "")) as source,
                closing(sqlite3.connect(work / _CATALOG)) as copy,
            ):
                source.backup(copy)
        else:
            _postgres("pg_dump", database, ["--format=custom", f"--file={work / _DUMP}"])
        database.close()
        about = {"zone": settings.zone, "schema_version": revision, "made_at": time.time()}
        (work / "about.json").write_text(json.dumps(about))
        partial = work / "archive"
        with tarfile.open(partial, "w:gz") as archive:
            for path in (work / _CATALOG, work / _DUMP, work / "about.json"):
                if path.exists():
                    archive.add(path, path.name)
            archive.add(folder / KEY_FILE, KEY_FILE)
            archive.add(folder / config.FILE_NAME, config.FILE_NAME)
            for name in (settings.authority, settings.signing_keys):
                if (folder / name).is_dir():
                    archive.add(folder / name, f"signing/{name}", filter=_without_state)
            if settings.policy:
                archive.add(folder / settings.policy, f"policy/{Path(settings.policy).name}")
        partial.chmod(0o600)
        partial.replace(target)


def _without_state(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """What of the keys goes into a backup: not the log's last signed state, which must never go back to what it was."""
    return None if member.name.endswith((".state", ".lock")) or "/unsigned" in member.name else member


def restore(folder: Path, source: Path) -> RestoreReport:
    """Put a backup's catalog, key and settings back into a folder that holds no zone, and compare with the vaults.

    Raises:
        ConfigurationError: the folder holds a zone, or the archive is none.
    """
    if (folder / config.FILE_NAME).exists():
        raise ConfigurationError(
            f"`{folder}` holds a zone; restore into an empty folder or move that one away"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        work = Path(scratch)
        try:
            with tarfile.open(source, "r:gz") as archive:
                archive.extractall(work, filter="data")
        except (tarfile.TarError, OSError) as error:
            raise ConfigurationError(f"`{source}` is no backup of a zone: {error}") from error
        if not (work / "about.json").exists():
            raise ConfigurationError(f"`{source}` is no backup of a zone")
        about = json.loads((work / "about.json").read_text())
        (folder / "keys").mkdir(mode=0o700, exist_ok=True)
        shutil.move(work / KEY_FILE, folder / KEY_FILE)
        os.chmod(folder / KEY_FILE, 0o600)
        (folder / "run").mkdir(exist_ok=True)
        if (work / "signing").is_dir():
            shutil.copytree(work / "signing", folder, dirs_exist_ok=True)
        for policy in (work / "policy").glob("*"):
            shutil.move(policy, folder / policy.name)
        shutil.copy(work / config.FILE_NAME, folder / config.FILE_NAME)
        settings = config.load(folder)
        database = Database(settings.catalog_url(folder))
        if database.is_sqlite:
            shutil.move(work / _CATALOG, database.url.database or "")
        else:
            _postgres("pg_restore", database, ["--clean", "--if-exists", "--no-owner", str(work / _DUMP)])
        with database.write() as tx:
            # the processes of the backup's time are gone; their open writes are undone at the next start
            tx.run("DELETE FROM leases")
        database.close()
    return _compare(folder, about["made_at"])


def _compare(folder: Path, made_at: float) -> RestoreReport:
    zone = open_zone(folder)
    missing: list[str] = []
    newer: list[str] = []
    try:
        zone.namespace.finisher.recover()
        after = ("", "")
        while True:
            with zone.database.read() as tx:
                tree = zone.namespace.context.storage.tree(tx)
                page = object_rows.below(tx, "/", limit=1000, after=after)
                found = [object_rows.by_id_or_none(tx, data_id) for data_id, _ in page]
            for data_object in found:
                if data_object is None:
                    continue
                for replica in data_object.replicas:
                    if replica.physical_path:
                        continue
                    storage = zone.namespace.context.storage
                    try:
                        driver = storage.driver(tree.by_id[replica.resource_id])
                        stat = driver.stat(storage.place_of(data_object.path))
                    except (GridError, ResourceError):
                        missing.append(data_object.path)
                        continue
                    if stat.size_bytes != replica.size_bytes:
                        missing.append(data_object.path)
                    elif stat.modified_at > made_at:
                        newer.append(data_object.path)
            if len(page) < 1000:
                return RestoreReport(missing, newer)
            collection, _, name = page[-1][1].rpartition("/")
            after = (collection or "/", name)
    finally:
        zone.close()


def upgrade(folder: Path) -> tuple[str | None, str, Path | None]:
    """Bring a zone's catalog to this server's schema version, after a backup.

    Returns:
        The version before and after, and the backup; no backup when there was nothing to do.
    """
    settings = config.load(folder)
    database = Database(settings.catalog_url(folder))
    before, wanted = schema.current_revision(database), schema.newest_revision()
    if before == wanted:
        database.close()
        return before, wanted, None
    saved = folder / f"before-upgrade-{before}-{int(time.time())}.tar.gz"
    backup(folder, saved)
    schema.migrate(database)
    database.close()
    return before, wanted, saved


def _postgres(program: str, database: Database, arguments: list[str]) -> None:
    """Run one of PostgreSQL's own programs; the password goes by the environment, never by the command line."""
    url = database.url
    environment = dict(os.environ)
    for variable, value in (
        ("PGHOST", url.host or url.query.get("host")), ("PGPORT", url.port), ("PGUSER", url.username),
        ("PGPASSWORD", url.password), ("PGDATABASE", url.database),
    ):  # fmt: skip
        if value is not None:
            environment[variable] = str(value)
    binary = shutil.which(program) or _installed(program)
    if binary is None:
        raise ConfigurationError(
            f"`{program}` is not there; install it: sudo apt-get install postgresql-client"
        )
    extra = [f"--dbname={url.database}"] if program == "pg_restore" else []
    result = subprocess.run(
        [binary, *extra, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise ConfigurationError(f"`{program}` failed: {result.stderr.strip()[:500]}")


def _installed(program: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    return str(found[-1]) if found else None
