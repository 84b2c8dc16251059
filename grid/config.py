"""Settings of a zone: `zone.toml`, then the environment.

Each field is documented where it is declared, says whether a running server takes a change (`reload`) or needs
a restart, and can be overridden by `BEAMGRID_` and its name in capitals. Unknown keys are refused, with the
nearest known one as a suggestion.
"""

import difflib
import os
import tomllib
import zoneinfo
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

FILE_NAME: Final = "zone.toml"


class SettingError(ValueError):
    """A setting that cannot be used: which, what was found, what was expected."""


def _setting(default: Any, *, reload: bool = False, table: bool = False) -> Any:
    return field(default=default, metadata={"reload": reload, "table": table})


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a zone's operator can decide."""

    zone: str = _setting("")
    """The zone's name. Restart; changing it renames nothing."""

    admin: str = _setting("")
    """The administrator made with the zone, whose rights jobs have that no user asked for. Restart."""

    host: str = _setting("127.0.0.1")
    """The address to listen on. Restart."""

    port: int = _setting(1247)
    """The port to listen on; 0 takes a free one. Restart."""

    catalog: str = _setting("sqlite:///catalog.sqlite")
    """Where the catalog is: an SQLAlchemy URL; a relative SQLite path lies in the zone's folder. Restart."""

    default_resource: str = _setting("demoResc")
    """Where new data objects go when nobody says otherwise. Restart."""

    policy: str = _setting("", reload=True)
    """The policy file, relative to the zone's folder; empty for none."""

    signed_policies: str = _setting("off")
    """`on` refuses policies that are not signed by stewards whom the zone's root knows: by one, or by two where they can delete data or open
    access. Restart."""

    timezone: str = _setting("UTC", reload=True)
    """The IANA time zone of calendar dates in policies."""

    audit: tuple[str, ...] = _setting(())
    """Locations, as in policies, where every allowed read is in the decision log, on disk before the first byte leaves.
    In the environment: separated by spaces. Restart."""

    record_one_read_in: int = _setting(100)
    """Of the other allowed reads, one in this many is in the decision log; 0 for none. Restart."""

    stewards: tuple[tuple[str, tuple[str, ...]], ...] = _setting((), table=True)
    """A table of groups and their locations, such as `stewards = { nanomax_stewards = ["/demo/data/*/nanomax/**"] }`: their
    members see decisions and jobs there, and explain for others. Not in the environment. Restart."""

    authority: str = _setting("authority")
    """The folder of the root of keys that the zone believes (`root.json`, `records`, `revocations`), relative to the zone's folder. Restart."""

    log: str = _setting("provenance/log")
    """The folder of the zone's log of statements, relative to the zone's folder; publish it with any web server. Restart."""

    signing_keys: str = _setting("keys/signing")
    """The folder of the private keys with which the zone's services sign, and of the log's last signed state, relative to the zone's folder.
    Restart."""

    witnesses: tuple[str, ...] = _setting(())
    """Addresses of partners that witness the zone's log, such as `http://witness.esrf.example:8080`. In the environment: separated by spaces.
    Restart."""

    witness_policy: str = _setting("provenance/witnesses.policy")
    """The file that says whose witnessing counts, and how many are wanted (C2SP tlog-policy), relative to the zone's folder."""

    block_trees: str = _setting("off")
    """`on` has a tree of SHA-256 digests made over the blocks (1 MiB) of everything that is stored, while its bytes pass; with it a damaged
    copy is told from a good one where no checksum is recorded, and the damaged block is named. Restart."""

    workers: int = _setting(0)
    """Server processes; 0 takes one for each core, two at the least. Restart."""

    threads: int = _setting(8)
    """Threads of each process for requests that write, move bytes or wait. Restart."""

    job_workers: int = _setting(1)
    """Processes that run scheduled work. Restart."""

    job_threads: int = _setting(4)
    """Threads of each such process; work of one rule takes at most half of them. Restart."""

    stream_gateways: int = _setting(1)
    """Processes that carry streams of detector frames; 0 where other hosts do (`beamgrid stream-gateway`). Restart."""

    stream_host: str = _setting("")
    """The address on which senders of frames and listeners find a gateway; that of the server where it is empty. Restart."""

    dask: str = _setting("")
    """A Dask scheduler's address, such as `tcp://10.0.0.1:8786`, on whose workers jobs read and compute; empty for their own
    process. Restart."""

    shutdown_grace_s: float = _setting(10.0, reload=True)
    """How long requests may go on after SIGTERM."""

    metrics_port: int = _setting(0)
    """The port on 127.0.0.1 where Prometheus finds the zone's figures, at `/metrics`; 0 for none. Restart."""

    max_connections: int = _setting(20_000)
    """Connections of one server process; more are closed at once. Restart."""

    login_timeout_s: float = _setting(100.0, reload=True)
    """How long a connection may take until somebody is logged in on it."""

    message_timeout_s: float = _setting(60.0, reload=True)
    """How long a message that has begun may take to become complete."""

    idle_timeout_s: float = _setting(86_400.0, reload=True)
    """How long a connection may say nothing."""

    minimum_rate: int = _setting(4096, reload=True)
    """Bytes a second below which a transfer is dropped."""

    single_buffer_bytes: int = _setting(32 << 20, reload=True)
    """Up to this size a get is answered with all bytes in one reply."""

    max_message_bytes: int = _setting(16 << 20)
    """The largest packed message of a request. Restart."""

    in_place_limit_bytes: int = _setting(10 << 30, reload=True)
    """Above this size a data object is not opened for change without truncation: it would be copied first."""

    log_format: str = _setting("text")
    """`text` or `json` lines on standard error. Restart."""

    log_level: str = _setting("info", reload=True)
    """`debug`, `info`, `warning` or `error`."""

    def catalog_url(self, folder: Path) -> str:
        """The catalog's address with a relative SQLite path resolved."""
        prefix = "sqlite:///"
        if self.catalog.startswith(prefix) and not self.catalog.startswith(prefix + "/"):
            return f"{prefix}{(folder / self.catalog.removeprefix(prefix)).absolute()}"
        return self.catalog


def setting_names() -> list[str]:
    """Every key, in the order of declaration."""
    return [entry.name for entry in fields(Settings)]


def reloadable() -> set[str]:
    """The keys a running server takes over on SIGHUP."""
    return {entry.name for entry in fields(Settings) if entry.metadata.get("reload")}


def load(folder: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read a zone's settings.

    Raises:
        SettingError: no such file, a key nobody knows, or a value of the wrong kind.
    """
    path = folder / FILE_NAME
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingError(f"`{path}` is not there; make a zone with `beamgrid init {folder}`") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"`{path}` cannot be read: {error}") from None
    for key in found:
        if key not in setting_names():
            near = difflib.get_close_matches(key, setting_names(), n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise SettingError(f"`{path}` has the unknown key `{key}`{hint}")
    environment = os.environ if environment is None else environment
    for entry in fields(Settings):
        text = environment.get(f"BEAMGRID_{entry.name.upper()}")
        if text is not None:
            found[entry.name] = _from_text(entry.name, text)
    values = {name: _checked(name, value) for name, value in found.items()}
    settings = Settings(**values)
    _check_together(settings, path)
    return settings


def _default(name: str) -> Any:
    value = next(entry.default for entry in fields(Settings) if entry.name == name)
    return None if value is MISSING else value


def _is_table(name: str) -> bool:
    return any(entry.name == name and entry.metadata["table"] for entry in fields(Settings))


def _from_text(name: str, text: str) -> Any:
    kind = type(_default(name))
    if _is_table(name):
        raise SettingError(f"BEAMGRID_{name.upper()} is set; a table can only stand in `{FILE_NAME}`")
    if kind is tuple:
        return text.split()
    try:
        return kind(text)
    except ValueError:
        raise SettingError(
            f"BEAMGRID_{name.upper()} is `{text}`; a value of type {kind.__name__} was expected"
        ) from None


def _checked(name: str, value: Any) -> Any:
    kind = type(_default(name))
    if _is_table(name):
        if not isinstance(value, dict):
            raise SettingError(f"`{name}` is `{value}`; a table of names and lists of texts was expected")
        return tuple((key, _texts(f"{name}.{key}", found)) for key, found in value.items())
    if kind is tuple:
        return _texts(name, value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise SettingError(f"`{name}` is `{value}`; a value of type {kind.__name__} was expected")
    if kind in (int, float) and value < 0:
        raise SettingError(f"`{name}` is {value}; it cannot be negative")
    return value


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise SettingError(f"`{name}` is `{value}`; a list of texts was expected")
    return tuple(value)


def _check_together(settings: Settings, path: Path) -> None:
    if not settings.zone or "/" in settings.zone:
        raise SettingError(f"`{path}` does not name a zone: `zone` is `{settings.zone}`")
    if settings.timezone not in zoneinfo.available_timezones():
        near = difflib.get_close_matches(settings.timezone, zoneinfo.available_timezones(), n=1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        raise SettingError(f"`timezone` is `{settings.timezone}`, which is no IANA time zone{hint}")
    if settings.signed_policies not in ("on", "off"):
        raise SettingError(f"`signed_policies` is `{settings.signed_policies}`; `on` or `off` was expected")
    if settings.block_trees not in ("on", "off"):
        raise SettingError(f"`block_trees` is `{settings.block_trees}`; `on` or `off` was expected")
    if settings.log_format not in ("text", "json"):
        raise SettingError(f"`log_format` is `{settings.log_format}`; `text` or `json` was expected")
    if settings.log_level not in ("debug", "info", "warning", "error"):
        raise SettingError(
            f"`log_level` is `{settings.log_level}`; debug, info, warning or error was expected"
        )
    for name in ("port", "metrics_port"):
        if getattr(settings, name) > 65535:
            raise SettingError(f"`{name}` is {getattr(settings, name)}; 0 to 65535 is possible")


def reloaded(folder: Path, running: Settings) -> tuple[Settings, list[str]]:
    """The running settings with what may change while serving, and the changed keys that need a restart.

    Raises:
        SettingError: the file cannot be used; the running settings stay.
    """
    found = load(folder)
    changed = [name for name in setting_names() if getattr(found, name) != getattr(running, name)]
    taken = {name: getattr(found, name) for name in changed if name in reloadable()}
    return replace(running, **taken), [name for name in changed if name not in taken]


def with_changes(settings: Settings, **changes: Any) -> Settings:
    """The settings with what a command line overrides."""
    return replace(settings, **changes)
