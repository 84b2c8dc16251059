"""Stored frames through a kernel: reduced NeXus and a picture into the grid, with where they came from.

The parts that are done are kept in a folder of the zone, under the content of the file, the kernel and its parameters, so that an attempt goes on where the last
one ended. Where the grid names other processes beside the storage, these read and compute the parts.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from microservices.nexus import BlockCache
from microservices.ports import ByteReader, Grid, MicroserviceError
from microservices.registry import Parameter, microservice
from provenance import jcs

Progress = Callable[[int, int], None]
"""Frames that are done, and all of them; may raise to end the work."""

PROGRAM: Final = "beamgrid"

AT_ONCE: Final = 8
"""Parts that other processes work on together."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be done.

    Attributes:
        path: the object with the frames.
        dataset: in it; the only one there is where it is empty.
        kernel: `NAME VERSION DIGEST`.
        parameters: by name, as a TOML file has them.
        target: the collection for the results; that of the object where it is empty.
        attempts: what is the same for attempts that go on with each other's work.
    """

    path: str
    dataset: str
    kernel: str
    parameters: Mapping[str, Any]
    target: str
    attempts: str = ""


@microservice(
    "run_kernel", Parameter("stream", "Stream", required=False), Parameter("kernel", "Kernel"), Parameter("params", "Map<Text, Decimal>", required=False),
    Parameter("object", "Object", required=False), Parameter("settings", "Path", required=False), Parameter("to", "Path", required=False),
    result="Reduction", effects=("compute.kernel", "data.write"),
)  # fmt: skip
def run_kernel(
    grid: Grid, kernel: str, stream: str = "", params: Mapping[str, Any] | None = None, object: str = "", settings: str = "", to: str = ""
) -> dict[str, Any]:  # fmt: skip
    """Reduce the frames of a stored file with a trusted kernel or, in `during frame arrive`, look at the frame that arrived; `settings` is a TOML file of the zone with its parameters, `params` go before it."""
    if not object:
        raise MicroserviceError(
            f"frames of the stream `{stream}` are looked at by `during frame arrive` rules; here it takes an object: run_kernel(object: ...)"
        )
    from accel.parameters import read_parameters

    said = read_parameters(_text(grid, settings)) if settings else {}
    said |= {name: _number(value) for name, value in own_parameters(kernel, params or {}).items()}
    return reduce_object(grid, Wanted(object, "", kernel, said, to), lambda done, frames: None)


def own_parameters(kernel: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of one kernel among those of several: `threshold` is for each of them, `peaks.threshold` for `peaks` alone, and goes before it.

    Args:
        kernel: `NAME VERSION DIGEST`.
        given: numbers by name.
    """
    own = kernel.split(" ")[0] + "."
    plain = {name: value for name, value in given.items() if "." not in name}
    return plain | {name.removeprefix(own): value for name, value in given.items() if name.startswith(own)}


def _number(value: Any) -> Any:
    found = float(value) if isinstance(value, Decimal) else value
    return int(found) if isinstance(found, float) and math.isfinite(found) and found == int(found) else found


def _text(grid: Grid, path: str) -> str:
    return content_of(grid, path).decode("utf-8", "replace")


def content_of(grid: Grid, path: str) -> bytes:
    """The bytes of a small file, such as parameters. Raises `MicroserviceError` where it is a large one."""
    reader = grid.open(path)
    try:
        if reader.size() > 16 << 20:
            raise MicroserviceError(f"`{path}` has {reader.size()} bytes; parameters are smaller")
        return reader.read_at(0, reader.size())
    finally:
        reader.close()


def reduce_object(grid: Grid, wanted: Wanted, progress: Progress) -> dict[str, Any]:
    """Reduce the frames of an object.

    Returns:
        `path` and `picture` of what was made, `frames`, `damaged`, `kernel`, `device`, `problem`, `peaks` where the kernel counts them, and `figures`.

    Raises:
        MicroserviceError: there are no such frames, or no such kernel, or its parameters cannot be.
    """
    from accel.errors import AccelError

    reader = grid.open(wanted.path)
    try:
        return _reduce(grid, wanted, reader, progress)
    except AccelError as error:
        raise MicroserviceError(str(error)) from error
    except FileNotFoundError as error:
        # two rules that reduce the same at the same time share the folder of their work
        raise MicroserviceError(f"the work on `{wanted.path}` was taken away: {error}", retry=True) from error
    finally:
        reader.close()


def _reduce(grid: Grid, wanted: Wanted, reader: ByteReader, progress: Progress) -> dict[str, Any]:
    import h5py
    import hdf5plugin  # noqa: F401

    from accel import reducing
    from accel.apart import Recipe
    from accel.errors import AccelError
    from accel.nexus import Origin
    from accel.parameters import resolved
    from accel.series import Series, find_frames

    name, text = kernel_named(grid, wanted.kernel)
    try:
        file = h5py.File(BlockCache(reader), "r")
    except OSError as error:
        raise MicroserviceError(f"`{wanted.path}` is no HDF5 file that can be read: {error}") from error
    with file:
        series = Series(find_frames(file, wanted.dataset), reader.read_at)
        try:
            given = resolved(
                parameters_of(name, text), wanted.parameters, lambda path: content_of(grid, beside(wanted.path, path)), lambda said: image_of(grid, wanted.path, file, said)
            )  # fmt: skip
            recipe = Recipe(name, text, series.shape, series.dtype.name, given)
            digest = grid.checksum(wanted.path, verify=False)
            bound = recipe.bind()
            key = json.dumps(
                [
                    wanted.attempts,
                    digest,
                    wanted.path,
                    series.name,
                    bound.kernel.digest,
                    dict(bound.parameters),
                ],
                sort_keys=True,
                default=str,
            )
            folder = grid.work_folder(f"reduction-{hashlib.sha256(key.encode()).hexdigest()[:32]}")
            kept = reducing.Kept(folder / "parts")
            elsewhere = _elsewhere(
                recipe, series.name, reducing.parts_of(bound, series.count), kept, progress, series.count
            )
            date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            try:
                grid.compute_elsewhere(wanted.path, elsewhere)
                made = reducing.reduce(
                    series, recipe, kept, folder, lambda on: Origin(wanted.path, series.name, digest, date, on, (PROGRAM, version(PROGRAM))), progress
                )  # fmt: skip
            except AccelError:
                grid.remove_work_folder(folder)
                raise
        finally:
            series.close()
    result = _store(grid, wanted, bound, made)
    grid.remove_work_folder(folder)
    return result


def _elsewhere(
    recipe: Any, dataset: str, parts: list[Any], kept: Any, progress: Progress, frames: int
) -> Callable[[Callable[..., Any]], None]:
    """Has every part that is missing made by other processes, as `run(function, *arguments)` lets them."""

    def work(run: Callable[..., Any]) -> None:
        missing, done = [part for part in parts if not kept.has(part)], 0
        with ThreadPoolExecutor(AT_ONCE, "reduce") as pool:
            waiting = {pool.submit(run, part_there, recipe, dataset, part): part for part in missing}
            try:
                for one in as_completed(waiting):
                    part = waiting[one]
                    kept.keep(part, one.result())
                    done += part.end - part.begin
                    progress(done, frames)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    return work


def part_there(file: Any, recipe: Any, dataset: str, part: Any) -> Any:
    """A part of a stored file, by a process that has nothing but this package: beside the storage.

    Args:
        file: of `resources.remote`, which says where it is.
        recipe: the kernel.
        dataset: of the frames.
        part: which frames.
    """
    import h5py
    import hdf5plugin  # noqa: F401

    from accel.reducing import Kernels
    from accel.series import Series, find_frames

    opened = file.open()
    kernels = None
    try:
        reader = _Stored(opened)
        with h5py.File(BlockCache(reader), "r") as hdf5:
            series = Series(find_frames(hdf5, dataset), reader.read_at)
            kernels = Kernels(recipe)
            try:
                return kernels.part(series, part, lambda done: None)
            finally:
                series.close()
    finally:
        if kernels is not None:
            kernels.close()
        opened.close()


class _Stored:
    """A stored file as a reader."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def size(self) -> int:
        return int(self._file.size())

    def read_at(self, offset: int, count: int) -> bytes:
        buffer = memoryview(bytearray(count))
        got = self._file.read_into(buffer, offset)
        return bytes(buffer[:got])

    def close(self) -> None:
        self._file.close()


def kernel_named(grid: Grid, said: str) -> tuple[str, str]:
    """Name of one that comes with the grid, or the text of a released one, by its name, version and digest."""
    from accel.shipped import SHIPPED

    name, number, digest = [*said.split(" ", 2), "", ""][:3]
    shipped = SHIPPED.get(name)
    if shipped is not None and number in ("", shipped.KERNEL.version):
        if digest and digest != shipped.KERNEL.digest:
            raise MicroserviceError(
                f"the kernel `{name} {number}` of this version has another digest than {digest}"
            )
        return name, ""
    return "", grid.kernel_text(name, number, digest)


def parameters_of(name: str, text: str) -> Any:
    """What a kernel may be told."""
    from accel.shipped import SHIPPED
    from accel.users.binding import user_kernel

    return user_kernel(text).PARAMETERS if text else SHIPPED[name].PARAMETERS


def beside(path: str, named: str) -> str:
    """A path as parameters name it: absolute, or beside the object."""
    return named if named.startswith("/") else f"{path.rpartition('/')[0]}/{named}"


def image_of(grid: Grid, path: str, file: Any, said: str) -> Any:
    """The image that a parameter names, in the open HDF5 file of the frames or in another one beside it."""
    from accel.parameters import image_at

    readers: list[ByteReader] = []

    def opened(place: str) -> BlockCache:
        readers.append(grid.open(beside(path, place)))
        return BlockCache(readers[-1])

    try:
        return image_at(said, file, opened)
    finally:
        for reader in readers:
            reader.close()


def _facts(said: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Parameters as texts, numbers and truths: what lies in a table by its path, lists as JSON."""
    found: dict[str, Any] = {}
    for name, value in said.items():
        if isinstance(value, Mapping):
            found |= _facts(value, f"{before}{name}.")
        elif value is not None:
            found[f"{before}{name}"] = (
                value if isinstance(value, str | int | float | bool) else json.dumps(value, default=str)
            )
    return found


def _store(grid: Grid, wanted: Wanted, bound: Any, made: Any) -> dict[str, Any]:
    """Put what was made into the grid, and say of it where it came from."""
    kernel = bound.kernel
    collection, _, name = wanted.path.rpartition("/")
    stem = f"{wanted.target or collection}/{Path(name).stem}.{kernel.name}"
    target, picture = f"{stem}.nxs", f"{stem}.png"
    grid.write_file(target, made.file)
    grid.write_file(picture, made.picture)
    tell(grid, [target, picture], wanted.path, [wanted.path], bound, made)
    peaks = made.figures.get("count.mean") if kernel.name == "peaks" else None
    return {
        "path": target, "picture": picture, "frames": made.frames, "damaged": len(made.damaged), "kernel": identity(kernel), "device": made.runs_on,
        "problem": made.problem, "peaks": round(float(peaks) * made.frames) if peaks else 0, "figures": made.figures,
    }  # fmt: skip


def identity(kernel: Any) -> str:
    """Name, version and digest of a kernel."""
    return f"{kernel.name} {kernel.version} {kernel.digest}"


def tell(
    grid: Grid, outputs: Sequence[str], source: str, inputs: Sequence[str], bound: Any, made: Any
) -> None:
    """Say of what a kernel made where it came from: as metadata, and as a statement where the zone signs.

    Args:
        grid: where it lies.
        outputs: paths of the reduced file and of its picture.
        source: of what it is said to be derived.
        inputs: the objects that were read.
        bound: the kernel.
        made: what was made of the frames.
    """
    kernel, (target, picture) = bound.kernel, outputs
    said = {"derived_from": source, "kernel": identity(kernel), "frames": str(made.frames)}
    grid.describe(target, {**said, "device": made.runs_on, "damaged_frames": str(len(made.damaged)), **{f"{kernel.name}.{key}": value for key, value in made.figures.items()}})  # fmt: skip
    grid.describe(picture, said)
    facts = _facts(bound.parameters)
    grid.reduction_made(inputs, outputs, {
        "kernel": {"name": kernel.name, "version": kernel.version, "source": kernel.digest}, "device": {"kind": made.runs_on},
        "parameters": facts, "parameters_digest": hashlib.sha256(jcs.encode(facts)).hexdigest(), "frames_used": made.frames - len(made.damaged),
        "frames_skipped": len(made.damaged), "floats": kernel.tolerance or "exact",
    })  # fmt: skip
