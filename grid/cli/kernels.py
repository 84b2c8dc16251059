"""`beamgrid kernel`: devices, the kernels that come with the grid, and one of them run over the frames of a file."""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from grid.errors import ConfigurationError

_EXAMPLES: Final = """examples:
  beamgrid kernel devices
  beamgrid kernel list
  beamgrid kernel show statistics
  beamgrid kernel run statistics scan.h5 --dataset /entry/data/data --above 10 --above 1000
  beamgrid kernel run binned scan.h5 --size 4 --to binned.h5
  beamgrid kernel run azimuthal scan.h5 --poni detector.poni --bins 2000 --to curves.h5
  beamgrid kernel run peaks scan.h5 --ratio 8
"""
BATCH: Final = 64
"""So many frames are in memory at once."""


def add_parser(commands: Any) -> None:
    """Add `kernel` to the command line."""
    parser = commands.add_parser(
        "kernel", help="kernels that reduce frames, and the devices they run on", epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="command")
    listed = verbs.add_parser("devices", help="every device, tried with a real launch")
    listed.add_argument("--json", action="store_true")
    kernels = verbs.add_parser("list", help="the kernels that come with the grid")
    kernels.add_argument("--json", action="store_true")
    show = verbs.add_parser("show", help="a kernel's formula, tolerance and source")
    show.add_argument("name")
    run = verbs.add_parser("run", help="run a kernel over the frames of an HDF5 file")
    run.add_argument("name", help="statistics, binned, azimuthal or peaks")
    run.add_argument("file", type=Path)
    run.add_argument(
        "--dataset", default="", metavar="PATH", help="of the frames (the only one with three dimensions)"
    )
    run.add_argument(
        "--above",
        type=float,
        action="append",
        default=[],
        metavar="COUNTS",
        help="count pixels above; may be repeated (statistics)",
    )
    run.add_argument("--size", type=int, default=2, help="squares of so many pixels (binned; 2)")
    run.add_argument("--poni", type=Path, metavar="FILE", help="the geometry, as pyFAI writes it (azimuthal)")
    run.add_argument("--bins", type=int, default=1000, help="of the scattering angle (azimuthal; 1000)")
    run.add_argument(
        "--polarisation", type=float, default=0.99, help="of the beam, from -1 to 1 (azimuthal; 0.99)"
    )
    run.add_argument("--ratio", type=float, default=6.0, help="signal to noise of a peak (peaks; 6)")
    run.add_argument("--least", type=float, default=5.0, help="counts of a peak (peaks; 5)")
    run.add_argument(
        "--to", type=Path, metavar="FILE", help="a new HDF5 file for the result (binned, azimuthal)"
    )
    run.add_argument("--numpy", action="store_true", help="with the reference, on no device")
    run.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    """Run one of the commands."""
    try:
        import accel.running  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            f"kernels need the package `{error.name}`: pip install 'beamgrid[accel]'"
        ) from error
    return {"devices": _devices, "list": _list, "show": _show, "run": _run}[str(arguments.verb)](arguments)


def device_sentence() -> str:
    """Where kernels run on this machine, in one sentence."""
    try:
        from accel.device import best_device
        from accel.errors import DeviceUnusable
    except ImportError as error:
        return f"kernels do not run here: the package `{error.name}` is not installed (pip install 'beamgrid[accel]')"
    try:
        info = best_device().info
    except DeviceUnusable as error:
        return str(error)
    return f"kernels run on {info.device} ({info.platform}, {info.units} units)"


def _devices(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from accel.device import devices

    if arguments.json:
        print(json.dumps([asdict(one) for one in devices()], indent=2))
        return 0
    for one in devices():
        print(
            f"{one.number} {one.device} ({one.platform} {one.driver}): {one.problem or 'works'};"
            f" {one.units} units, {one.memory_bytes / 1e9:.1f} GB"
        )
    print(device_sentence())
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from accel.catalogue import KERNELS

    rows = [
        {"name": k.name, "version": k.version, "digest": k.digest, "summary": k.summary}
        for k in KERNELS.values()
    ]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        print(f"{row['name']:<12} {row['version']:<6} {row['digest'][:16]}  {row['summary']}")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from accel.catalogue import KERNELS

    kernel = KERNELS.get(arguments.name)
    if kernel is None:
        raise ConfigurationError(f"there is no kernel `{arguments.name}`; there are {', '.join(KERNELS)}")
    print(f"{kernel.name} {kernel.version}, digest {kernel.digest}\n{kernel.summary}\n")
    print(
        f"formula:   {kernel.formula}\ntolerance: {kernel.tolerance}\ntraffic:   {kernel.traffic}, bytes a pixel of b bytes\n"
    )
    print(kernel.source)
    return 0


def _run(arguments: argparse.Namespace) -> int:
    import h5py

    from accel.device import best_device
    from accel.errors import AccelError
    from accel.running import Runner

    kernels = {"statistics": _statistics, "binned": _binned, "azimuthal": _azimuthal, "peaks": _peaks}
    if arguments.name not in kernels:
        raise ConfigurationError(f"found the kernel `{arguments.name}`; {', '.join(kernels)} run over files")
    try:
        runner = Runner(None if arguments.numpy else best_device())
    except AccelError as error:
        print(f"beamgrid: {error}")
        runner = Runner(None)
    try:
        with h5py.File(arguments.file, "r") as file:
            kernels[arguments.name](arguments, runner, _frames(file, arguments.dataset))
    except AccelError as error:
        raise ConfigurationError(str(error)) from error
    if not arguments.json:
        print(f"on {runner.runs_on}{': ' if runner.problem else ''}{runner.problem}")
    return 0


def _frames(file: Any, wanted: str) -> Any:
    import h5py

    if wanted:
        found = file.get(wanted)
        if not isinstance(found, h5py.Dataset) or found.ndim != 3:
            raise ConfigurationError(f"`{file.filename}` has no dataset `{wanted}` of three dimensions")
        return found
    able: list[Any] = []
    file.visititems(
        lambda _, item: able.append(item) if isinstance(item, h5py.Dataset) and item.ndim == 3 else None
    )
    if len(able) != 1:
        names = ", ".join(one.name for one in able[:10]) or "none"
        raise ConfigurationError(
            f"`{file.filename}` has {len(able)} datasets of three dimensions ({names}); say which: --dataset PATH"
        )
    return able[0]


def _statistics(arguments: argparse.Namespace, runner: Any, frames: Any) -> None:
    rows = []
    for begin in range(0, len(frames), BATCH):
        found = runner.statistics(frames[begin : begin + BATCH], None, tuple(arguments.above))
        mean, variance = found.mean, found.variance
        for number in range(len(found.valid)):
            rows.append({
                "frame": begin + number, "valid": int(found.valid[number]), "sum": found.total[number].item(), "mean": float(mean[number]),
                "variance": float(variance[number]), "min": found.lowest[number].item(), "max": found.highest[number].item(),
                "saturated": int(found.saturated[number]), "above": [int(one) for one in found.above[number]],
            })  # fmt: skip
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print(
        f"{'frame':>6} {'valid':>9} {'sum':>14} {'mean':>10} {'min':>8} {'max':>8} {'saturated':>9} {' '.join(f'>{one:g}' for one in arguments.above)}"
    )
    for row in rows:
        print(
            f"{row['frame']:>6} {row['valid']:>9} {row['sum']:>14} {row['mean']:>10.4g} {row['min']:>8} {row['max']:>8} {row['saturated']:>9}"
            f" {' '.join(map(str, row['above']))}"
        )


def _binned(arguments: argparse.Namespace, runner: Any, frames: Any) -> None:
    with _new_file(arguments.to) as made:
        runner.binned(frames[:0], arguments.size)  # refuses what cannot be, before anything is made
        shape = (len(frames), frames.shape[1] // arguments.size, frames.shape[2] // arguments.size)
        sums = made.create_dataset(
            "sums", shape, "f8" if frames.dtype.kind == "f" else "i8", chunks=(1, *shape[1:])
        )
        counts = made.create_dataset("counts", shape, "u4", chunks=(1, *shape[1:]))
        for begin in range(0, len(frames), BATCH):
            found = runner.binned(frames[begin : begin + BATCH], arguments.size)
            sums[begin : begin + BATCH], counts[begin : begin + BATCH] = found.sums, found.counts
        made.attrs["kernel"], made.attrs["size"] = "binned", arguments.size
    print(f"{arguments.to}: {shape[0]} frames of {shape[1]} x {shape[2]} squares")


def _azimuthal(arguments: argparse.Namespace, runner: Any, frames: Any) -> None:
    import numpy

    from accel import reference
    from accel.geometry import read_poni

    if arguments.poni is None:
        raise ConfigurationError("azimuthal integration needs the geometry: say which, --poni FILE")
    if not 1 <= arguments.bins <= reference.MOST_BINS:
        raise ConfigurationError(f"found --bins {arguments.bins}; 1 to {reference.MOST_BINS} were expected")
    poni = read_poni(arguments.poni.read_text("utf-8"))
    rows, columns = frames.shape[1:]
    angle = poni.two_theta(rows, columns)
    edges = numpy.linspace(angle.min(), angle.max(), arguments.bins + 1)
    factor = poni.solid_angle(rows, columns) * poni.polarisation(rows, columns, arguments.polarisation)
    places = reference.bins_of(angle, edges)
    with _new_file(arguments.to) as made:
        made["two_theta"] = numpy.degrees((edges[1:] + edges[:-1]) / 2)
        made["two_theta"].attrs["units"] = "deg"
        shape = (len(frames), arguments.bins)
        intensity, sigma = (
            made.create_dataset(name, shape, "f8", chunks=(1, shape[1])) for name in ("intensity", "sigma")
        )
        for begin in range(0, len(frames), BATCH):
            found = runner.azimuthal(frames[begin : begin + BATCH], places, arguments.bins, factor)
            intensity[begin : begin + BATCH], sigma[begin : begin + BATCH] = found.intensity, found.sigma
        made.attrs["kernel"], made.attrs["polarisation"] = "azimuthal", arguments.polarisation
    print(f"{arguments.to}: {len(frames)} curves of {arguments.bins} bins")


def _peaks(arguments: argparse.Namespace, runner: Any, frames: Any) -> None:
    rows: list[dict[str, Any]] = []
    for begin in range(0, len(frames), BATCH):
        found = runner.peaks(frames[begin : begin + BATCH], ratio=arguments.ratio, least=arguments.least)
        for number, count in enumerate(found.counts):
            own = found.pixels[number][found.pixels[number] >= 0]
            places = [[int(pixel) // frames.shape[2], int(pixel) % frames.shape[2]] for pixel in own]
            rows.append({"frame": begin + number, "peaks": int(count), "places": places})
    if arguments.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(
            f"{row['frame']:>6} {row['peaks']:>6} peaks  {' '.join(f'{y},{x}' for y, x in row['places'][:8])}{' ...' if row['peaks'] > 8 else ''}"
        )


@contextmanager
def _new_file(target: Path | None) -> Iterator[Any]:
    """A new HDF5 file, which is there as a whole or not at all."""
    import h5py

    if target is None:
        raise ConfigurationError("the result goes into a file: say which, --to FILE")
    if target.exists():
        raise ConfigurationError(f"`{target}` is there already; nothing was written")
    part = target.with_name(f".{target.name}.part")
    try:
        with h5py.File(part, "w") as made:
            yield made
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    part.replace(target)
