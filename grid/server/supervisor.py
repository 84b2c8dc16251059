"""The parent of a zone's processes: listens, starts workers and job workers, restarts what dies.

Workers are forked and accept from the one inherited socket. The parent holds no catalog connection while it
forks. A worker that dies is started again; one that dies at once, again and again, ends the server with the
reason in its log.
"""

import itertools
import logging
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_WANTED_DESCRIPTORS: Final = 65_536
_EARLY_DEATH_S: Final = 2.0
_MAX_EARLY_DEATHS: Final = 5

_log = logging.getLogger("beamgrid.supervisor")


@dataclass(frozen=True, slots=True)
class Role:
    """A kind of child process and how many of it are wanted.

    `run` gets the child's place: from 0 on, another one for each child that lives; who replaces a child has its place.
    """

    name: str
    count: int
    run: Callable[[int], None]


def raise_descriptor_limit() -> int:
    """Take as many open files as the system allows; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _WANTED_DESCRIPTORS)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft < 4096:
        _log.warning("only %d open files are allowed; raise the limit (ulimit -n) for more connections", soft)
    return soft


def listen(host: str, port: int) -> socket.socket:
    """The listening socket that workers inherit.

    Raises:
        OSError: it cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, os.strerror(error.errno or 0), f"{host}:{port}") from error
    listener.listen(4096)
    listener.set_inheritable(True)
    return listener


@dataclass(frozen=True, slots=True)
class _Child:
    role: Role
    place: int
    started: float


class Supervisor:
    """Keeps the wanted number of each role alive until SIGTERM."""

    def __init__(self, roles: list[Role], *, grace_s: float, on_reload: Callable[[], None]) -> None:
        self._roles = roles
        self._grace_s = grace_s
        self._on_reload = on_reload
        self._children: dict[int, _Child] = {}
        self._early_deaths = 0
        self._stopping = False
        self._reload = False

    def run(self) -> int:
        """Run until told to stop; returns the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._request_reload)
        places = itertools.count()
        for role in self._roles:
            for _ in range(role.count):
                self._start(role, next(places))
        status = 0
        while not self._stopping:
            pid = self._wait()
            if self._reload:
                self._reload = False
                self._on_reload()
                for child in list(self._children):
                    self._signal(child, signal.SIGHUP)
            if pid and not self._stopping and not self._restart(pid):
                status = 1
                break
        self._end()
        return status

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _request_reload(self, *_: object) -> None:
        self._reload = True

    def _wait(self) -> int:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 0
        if pid == 0:
            time.sleep(0.05)
        return pid

    def _restart(self, pid: int) -> bool:
        child = self._children.pop(pid, None)
        if child is None:
            return True
        role = child.role
        if time.monotonic() - child.started < _EARLY_DEATH_S:
            self._early_deaths += 1
            if self._early_deaths >= _MAX_EARLY_DEATHS:
                _log.error("%s processes die as soon as they start; the server ends", role.name)
                return False
        else:
            self._early_deaths = 0
        _log.warning("%s process %d died; another is started", role.name, pid)
        self._start(role, child.place)
        return True

    def _start(self, role: Role, place: int) -> None:
        pid = os.fork()
        if pid:
            self._children[pid] = _Child(role, place, time.monotonic())
            return
        status = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(
                signal.SIGHUP, signal.SIG_IGN
            )  # until the role knows what to do; it must not end it
            role.run(place)
            status = 0
        except BaseException:
            logging.getLogger("beamgrid").exception("%s process failed", role.name)
        finally:
            logging.shutdown()
            os._exit(status)

    def _signal(self, pid: int, number: int) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass  # it ended meanwhile; the next wait reaps it

    def _end(self) -> None:
        for pid in list(self._children):
            self._signal(pid, signal.SIGTERM)
        deadline = time.monotonic() + self._grace_s + 5.0
        while self._children and time.monotonic() < deadline:
            pid = self._wait()
            self._children.pop(pid, None)
        for pid in list(self._children):
            self._signal(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
