"""Devices: which there are, whether they really work, and programs on them that are built once.

Source: OpenCL 1.2; PoCL 3.0, which links kernels with the machine's own linker.
"""

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from accel.errors import DeviceUnusable

PROBE_S: Final = 60.0
"""A device that does not answer within so many seconds is not used."""

NO_LINKER: Final = (
    "it finds no linker for its kernels; install one: sudo apt-get install binutils libgcc-12-dev libc6-dev"
)


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What is known of a device. `number` counts over all platforms; `problem` is empty for one that works."""

    number: int
    platform: str
    device: str
    driver: str
    is_gpu: bool
    units: int
    memory_bytes: int
    largest_bytes: int
    problem: str = ""


def probed(timeout_s: float = PROBE_S) -> list[DeviceInfo]:
    """Every device of the machine, each tried with a real launch in a process that may die of it."""
    first = _probe([], timeout_s)
    if first.died and first.devices:
        # one device ended the process, and with it the trials of those that come after
        return [_tried_alone(info, timeout_s) for info in _listed(timeout_s) or first.devices]
    return first.devices


@lru_cache(maxsize=1)
def devices() -> tuple[DeviceInfo, ...]:
    """As `probed`, once a process."""
    return tuple(probed())


@dataclass(frozen=True, slots=True)
class _Probed:
    devices: list[DeviceInfo]
    died: bool


def _probe(arguments: list[str], timeout_s: float) -> _Probed:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "accel.probe", *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return _Probed([], True)
    found: dict[int, DeviceInfo] = {}
    for line in done.stdout.splitlines():
        if not line.startswith("{"):
            continue
        said = json.loads(line)
        if "trying" in said:
            found[said["trying"]["number"]] = DeviceInfo(**said["trying"], problem="it was not tried")
        else:
            info = found[said["number"]]
            problem = "" if said["works"] else "it computes something else"
            found[said["number"]] = DeviceInfo(**{**_fields(info), "problem": problem})
    return _Probed(list(found.values()), done.returncode != 0)


def _fields(info: DeviceInfo) -> dict[str, Any]:
    return {name: getattr(info, name) for name in DeviceInfo.__slots__}


def _listed(timeout_s: float) -> list[DeviceInfo]:
    """All devices, none of which is launched."""
    return _probe(["-2"], timeout_s).devices


def _tried_alone(info: DeviceInfo, timeout_s: float) -> DeviceInfo:
    found = _probe([str(info.number)], timeout_s)
    mine = next((one for one in found.devices if one.number == info.number), info)
    if found.died:
        return DeviceInfo(
            **{
                **_fields(info),
                "problem": NO_LINKER if "ortable" in info.platform else "it ended the process that tried it",
            }
        )
    return mine


class Device:
    """A device that works, with its programs.

    Args:
        info: as it was probed.

    Raises:
        DeviceUnusable: it does not work any more, or `pyopencl` is not installed.
    """

    def __init__(self, info: DeviceInfo) -> None:
        if info.problem:
            raise DeviceUnusable(f"`{info.device}` is not used: {info.problem}")
        try:
            import pyopencl as cl
        except ImportError as error:
            raise DeviceUnusable(
                "kernels on devices need the package pyopencl: pip install 'beamgrid[accel]'"
            ) from error
        self.info = info
        self.cl: Any = cl
        found = [device for platform in cl.get_platforms() for device in platform.get_devices()]
        if info.number >= len(found):
            raise DeviceUnusable(f"`{info.device}` is not there any more")
        self.context: Any = cl.Context([found[info.number]])
        self._programs: dict[str, Any] = {}
        self._lock = threading.Lock()

    def kernel(self, name: str, source: str, defines: Mapping[str, str]) -> Any:
        """A kernel for who asks, whose program is built once for each source and set of definitions.

        Raises:
            DeviceUnusable: it does not build; the message has the compiler's words.
        """
        options = [
            "-cl-std=CL1.2",
            "-w",
            *(f"-D{key}={value}" for key, value in sorted(defines.items())),
        ]
        key = hashlib.sha256("\0".join([source, *options]).encode()).hexdigest()
        with self._lock:
            known = self._programs.get(key)
            if known is None:
                try:
                    known = self.cl.Program(self.context, source).build(options=options)
                except self.cl.Error as error:
                    raise DeviceUnusable(
                        f"a kernel does not build on `{self.info.device}`: {error}"
                    ) from error
                self._programs[key] = known
        return self.cl.Kernel(known, name)


def best_device() -> Device:
    """The device to use: a GPU before a CPU, more units before fewer.

    Raises:
        DeviceUnusable: none works; the message says why of each.
    """
    able = sorted((one for one in devices() if not one.problem), key=lambda one: (not one.is_gpu, -one.units))
    if not able:
        reasons = "; ".join(f"`{one.device}`: {one.problem}" for one in devices()) or "there is none"
        raise DeviceUnusable(f"no OpenCL device works ({reasons}); NumPy serves instead")
    return Device(able[0])
