"""`beamgrid kernel`: devices, kernels, those that scientists write, and one of them run over the frames of a file of this machine."""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from grid.errors import ConfigurationError

_EXAMPLES: Final = """examples:
  beamgrid kernel devices
  beamgrid kernel list
  beamgrid kernel show statistics
  beamgrid kernel run azimuthal scan.h5 --params azimuthal.toml --to reduced.nxs
  beamgrid kernel check bright.py
  beamgrid kernel show bright.py --dtype uint16
  beamgrid kernel bench bright.py
  beamgrid kernel publish bright.py
  beamgrid kernel list --released
  beamgrid kernel simulate scan.h5 --frames 200 --seed 7
"""


def add_parser(commands: Any) -> None:
    """Add `kernel` to the command line."""
    parser = commands.add_parser(
        "kernel", help="kernels that reduce frames, and the devices they run on", epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="command")
    listed = verbs.add_parser("devices", help="every device, tried with a real launch")
    listed.add_argument("--json", action="store_true")
    kernels = verbs.add_parser(
        "list", help="the kernels that come with the grid, or those that are released in a zone"
    )
    kernels.add_argument("--released", action="store_true", help="in the zone of the iRODS environment")
    kernels.add_argument("--json", action="store_true")
    show = verbs.add_parser(
        "show", help="a kernel's formula, parameters and source; of a file, the OpenCL C that is made of it"
    )
    show.add_argument("name", help="of a kernel, or a file with one")
    show.add_argument("--dtype", default="uint16", help="of frames, for a file (uint16)")
    check = verbs.add_parser("check", help="whether a file is a kernel: its language, types, bounds and cost")
    check.add_argument("file", type=Path)
    check.add_argument("--json", action="store_true")
    bench = verbs.add_parser(
        "bench", help="compare a kernel on the device, in NumPy and in Python, and time it"
    )
    bench.add_argument("file", type=Path)
    bench.add_argument(
        "--seed", type=int, default=None, help="of the random frames (a fresh one, which is printed)"
    )
    bench.add_argument("--json", action="store_true")
    publish = verbs.add_parser("publish", help="release a kernel, so that rules may use it; for stewards")
    publish.add_argument("file", type=Path)
    publish.add_argument("--withdraw", action="store_true", help="take the release back")
    simulate = verbs.add_parser(
        "simulate",
        help="make an HDF5 file of frames of a detector that is not there, and its geometry beside it",
    )
    simulate.add_argument("file", type=Path)
    simulate.add_argument("--frames", type=int, default=100, help="how many (100)")
    simulate.add_argument(
        "--shape", default="514x1030", metavar="ROWSxCOLUMNS", help="of the detector (514x1030)"
    )
    simulate.add_argument(
        "--hit-rate", type=float, default=0.2, help="share of frames with Bragg peaks (0.2)"
    )
    simulate.add_argument("--seed", type=int, default=1, help="of everything (1)")
    run = verbs.add_parser("run", help="run a kernel over the frames of an HDF5 file of this machine")
    run.add_argument("kernel", help="a name, or a file with one")
    run.add_argument("file", type=Path)
    run.add_argument("--dataset", default="", metavar="PATH", help="of the frames (the only one there is)")
    run.add_argument(
        "--params",
        type=Path,
        metavar="FILE",
        help="its parameters, as TOML; paths are of files of this machine",
    )
    run.add_argument(
        "--to",
        type=Path,
        metavar="FILE",
        help="a new NeXus file; the picture goes beside it (FILE's folder, reduced.nxs)",
    )
    run.add_argument("--numpy", action="store_true", help="with the reference, on no device")
    run.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    """Run one of the commands."""
    try:
        import accel.running  # noqa: F401
        from accel.errors import AccelError
    except ImportError as error:
        raise ConfigurationError(
            f"kernels need the package `{error.name}`: pip install 'beamgrid[accel]'"
        ) from error
    verbs: dict[str, Callable[[argparse.Namespace], int]] = {
        "devices": _devices, "list": _list, "show": _show, "run": _run, "check": _check, "bench": _bench, "publish": _publish, "simulate": _simulate,
    }  # fmt: skip
    try:
        return verbs[str(arguments.verb)](arguments)
    except AccelError as error:
        raise ConfigurationError(str(error)) from error


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
    from accel.shipped import SHIPPED

    if arguments.released:
        return _ask(lambda call: _print_released(call("kernel_list", {}), as_json=arguments.json))
    rows = [
        {"name": k.name, "version": k.version, "digest": k.digest, "summary": k.summary}
        for k in (module.KERNEL for module in SHIPPED.values())
    ]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        print(f"{row['name']:<12} {row['version']:<6} {row['digest'][:16]}  {row['summary']}")
    return 0


def _print_released(found: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for one in found:
        standing = "withdrawn" if one["withdrawn_at"] else f"released by {one['released_by']}"
        print(f"{one['name']:<12} {one['version']:<6} {one['digest'][:16]}  {standing}: {one['summary']}")
    if not found:
        print("no kernel is released; the ones that come with the grid may always be used")


def _show(arguments: argparse.Namespace) -> int:
    import numpy

    from accel.shipped import SHIPPED
    from accel.users.binding import sources, user_kernel

    if Path(arguments.name).is_file():
        made = user_kernel(Path(arguments.name).read_text("utf-8"))
        _describe(made.KERNEL, made.PARAMETERS)
        for one in sources(made, _dtype(numpy, arguments.dtype)):
            print(one.source)
        return 0
    shipped = SHIPPED.get(arguments.name)
    if shipped is None:
        raise ConfigurationError(
            f"there is no kernel and no file `{arguments.name}`; there are {', '.join(SHIPPED)}"
        )
    _describe(shipped.KERNEL, shipped.PARAMETERS)
    print(shipped.KERNEL.source)
    return 0


def _dtype(numpy: Any, name: str) -> Any:
    from accel.frames import TYPES

    if name not in TYPES:
        raise ConfigurationError(f"found --dtype {name}; {', '.join(TYPES)} were expected")
    return numpy.dtype(name)


def _describe(kernel: Any, parameters: Any) -> None:
    print(f"{kernel.name} {kernel.version}, digest {kernel.digest}\n{kernel.summary}\n")
    print(
        f"formula:    {kernel.formula}\ntolerance:  {kernel.tolerance or 'exact'}\ntraffic:    {kernel.traffic}, bytes a pixel of b bytes"
    )
    for one in parameters:
        default = "" if one.default is None else f", {one.default} without"
        print(f"parameter:  {one.name} ({one.kind}{default}) {one.summary}".rstrip())
    print()


# -- kernels by users ----------------------------------------------------------------------------------------


def _check(arguments: argparse.Namespace) -> int:
    from accel.users.binding import types_of, user_kernel

    made = user_kernel(arguments.file.read_text("utf-8"))
    types = types_of(made)
    if arguments.json:
        print(
            json.dumps(
                {
                    "name": made.KERNEL.name,
                    "version": made.KERNEL.version,
                    "digest": made.KERNEL.digest,
                    "types": types,
                },
                indent=2,
            )
        )
        return 0
    print(f"{made.KERNEL.name} {made.KERNEL.version} is a kernel, digest {made.KERNEL.digest}")
    for name, problem in types.items():
        print(f"  {name:<8} {problem or 'yes'}")
    return 0


def _bench(arguments: argparse.Namespace) -> int:
    from accel.users.binding import user_kernel
    from accel.users.proving import prove, seconds_per_frame

    made, runner = user_kernel(arguments.file.read_text("utf-8")), _runner(numpy_only=False)
    seed = random.randrange(1 << 32) if arguments.seed is None else arguments.seed
    proof = prove(made, runner, seed)
    name = next(one for one in ("uint16", *proof.types) if not proof.types[one])
    spent, copied = seconds_per_frame(made, runner, (2167, 2070), name)
    if arguments.json:
        wrong = [str(one) for one in proof.disagreements]
        print(json.dumps({"seed": seed, "cases": proof.cases, "disagreements": wrong, "refused": proof.refused, "types": dict(proof.types),
                          "frame_s": spent, "copy_s": copied, "device": runner.runs_on}, indent=2))  # fmt: skip
    else:
        print(
            f"{proof.cases} cases with --seed {seed}: {len(proof.disagreements)} disagreements between {runner.runs_on}, NumPy and Python"
        )
        for one in proof.disagreements[:20]:
            print(f"  {one}")
        for text in proof.refused[:5]:
            print(f"  cannot be with {text}")
        print(
            f"a frame of 2167 x 2070 {name} takes {1000 * spent:.2f} ms on {runner.runs_on}; copying one {1000 * copied:.2f} ms"
        )
    return 1 if proof.disagreements else 0


def _publish(arguments: argparse.Namespace) -> int:
    from accel.users.binding import user_kernel

    text = arguments.file.read_text("utf-8")
    made = user_kernel(text)
    if arguments.withdraw:
        said = {"name": made.KERNEL.name, "version": made.KERNEL.version}
        return _ask(
            lambda call: print(
                f"{call('kernel_withdraw', said)['name']} {made.KERNEL.version} may not be used any more"
            )
        )
    return _ask(
        lambda call: print(
            "released: {name} {version}, digest {digest}".format(**call("kernel_release", {"text": text}))
        )
    )


def _ask(what: Callable[[Callable[[str, dict[str, Any]], Any]], None]) -> int:
    return ask_zone(lambda call, _: what(call))


def ask_zone(what: Callable[[Callable[[str, dict[str, Any]], Any], Callable[[str], str]], None]) -> int:
    """Ask the zone of the iRODS environment.

    Args:
        what: is given what calls a microservice by its name and arguments, and what makes a path absolute.
    """
    from irods.exception import iRODSException

    from grid.cli.icmd import program
    from grid.cli.icmd.administer import call

    try:
        environment = program.read_environment()
        with program.connect(environment) as session:
            what(
                lambda name, given: call(session, name, given),
                lambda text: program.absolute(environment, text),
            )
    except program.UserError as error:
        raise ConfigurationError(str(error)) from error
    except iRODSException as error:
        print(program.describe(error, "beamgrid kernel"), file=sys.stderr)
        return program.EXIT_REFUSED
    return 0


def _runner(*, numpy_only: bool) -> Any:
    from accel.device import best_device
    from accel.errors import DeviceUnusable
    from accel.running import Runner

    try:
        return Runner(None if numpy_only else best_device())
    except DeviceUnusable as error:
        print(f"beamgrid: {error}", file=sys.stderr)
        return Runner(None)


def _simulate(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from accel.simulator import Simulator, write

    rows, _, columns = str(arguments.shape).partition("x")
    if (
        not (rows.isdigit() and columns.isdigit() and int(rows) >= 32 and int(columns) >= 32)
        or arguments.frames < 1
    ):
        raise ConfigurationError(
            f"found --shape {arguments.shape} and --frames {arguments.frames}; 32x32 or more, and 1 or more, were expected"
        )
    if arguments.file.exists():
        raise ConfigurationError(f"`{arguments.file}` is there already; nothing was written")
    simulator = Simulator(shape=(int(rows), int(columns)), seed=arguments.seed, hit_rate=arguments.hit_rate)
    part = arguments.file.with_name(f".{arguments.file.name}.part")
    part.unlink(missing_ok=True)
    try:
        with tqdm(total=arguments.frames, unit="frame", disable=None) as bar:
            write(part, simulator, arguments.frames, lambda done: _advance(bar, done))
        part.with_suffix(".poni").replace(arguments.file.with_suffix(".poni"))
        part.replace(arguments.file)
    finally:
        part.unlink(missing_ok=True)
    print(
        f"{arguments.file}, {arguments.file.with_suffix('.poni')}: {arguments.frames} frames of {rows} x {columns}"
    )
    return 0


# -- files of this machine -----------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace) -> int:
    import h5py
    import hdf5plugin  # noqa: F401
    from tqdm import tqdm

    from accel import reducing
    from accel.apart import Recipe
    from accel.nexus import Origin
    from accel.parameters import image_at, read_parameters, resolved
    from accel.series import Series, find_frames, local

    target = arguments.to or arguments.file.with_name("reduced.nxs")
    if target.exists():
        raise ConfigurationError(f"`{target}` is there already; nothing was written")
    name, text, parameters = _chosen(arguments.kernel)
    given = read_parameters(arguments.params.read_text("utf-8")) if arguments.params else {}
    try:
        file = h5py.File(arguments.file, "r")
    except OSError as error:
        raise ConfigurationError(f"`{arguments.file}` is no HDF5 file that can be read: {error}") from error
    with file, tempfile.TemporaryDirectory(dir=target.parent, prefix=".reducing-") as work:
        series = Series(find_frames(file, arguments.dataset), local(arguments.file))
        beside = arguments.file.parent
        said = resolved(
            parameters, given, lambda path: (beside / path).read_bytes(), lambda named: image_at(named, file, lambda place: beside / place)
        )  # fmt: skip
        recipe = Recipe(name, text, series.shape, series.dtype.name, said)
        date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with tqdm(total=series.count, unit="frame", disable=None) as bar:
            made = reducing.reduce(
                series, recipe, reducing.Kept(Path(work) / "parts"), Path(work), lambda on: Origin(arguments.file.name, series.name, "", date, on, _program()),
                lambda done, _: _advance(bar, done), device=not arguments.numpy,
            )  # fmt: skip
        series.close()
        made.picture.replace(target.with_suffix(".png"))
        made.file.replace(target)
    return _tell(arguments, made, target)


def _advance(bar: Any, done: int) -> None:
    bar.update(done - bar.n)


def _tell(arguments: argparse.Namespace, made: Any, target: Path) -> int:
    damaged = [{"frame": one.frame, "reason": one.reason} for one in made.damaged]
    if arguments.json:
        print(json.dumps({"file": str(target), "frames": made.frames, "damaged": damaged, "device": made.runs_on, "problem": made.problem, "figures": made.figures}, indent=2))  # fmt: skip
        return 0
    print(
        f"{target}, {target.with_suffix('.png')}: {made.frames} frames on {made.runs_on}{': ' if made.problem else ''}{made.problem}"
    )
    for name, value in made.figures.items():
        print(f"  {name:<20} {value}")
    for one in made.damaged[:20]:
        print(f"  frame {one.frame} is damaged: {one.reason}")
    return 0


def _chosen(kernel: str) -> tuple[str, str, Any]:
    """Name, text and parameters of a kernel by its name or its file."""
    from accel.shipped import SHIPPED
    from accel.users.binding import user_kernel

    if Path(kernel).is_file():
        text = Path(kernel).read_text("utf-8")
        return "", text, user_kernel(text).PARAMETERS
    if kernel not in SHIPPED:
        raise ConfigurationError(f"there is no kernel and no file `{kernel}`; there are {', '.join(SHIPPED)}")
    return kernel, "", SHIPPED[kernel].PARAMETERS


def _program() -> tuple[str, str]:
    from importlib.metadata import version

    return "beamgrid", version("beamgrid")
