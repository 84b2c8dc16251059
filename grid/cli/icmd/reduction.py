"""`ireduce`: stored frames through a kernel."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any, Final

from irods.session import iRODSSession
from tqdm import tqdm

from grid.cli.icmd import program
from grid.cli.icmd.administer import call
from grid.cli.icmd.program import UserError

_OVER: Final = ("done", "failed", "cancelled")
_LOOK_EVERY_S: Final = 0.3


def ireduce_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "ireduce",
        "Reduce the frames of stored HDF5 and NeXus files with a kernel, in the zone. Beside each file, or in a collection, come a NeXus file"
        " with the results and a picture; both say where they came from. `beamgrid kernel list` shows the kernels; parameters are a TOML file,"
        " whose paths are of the zone. What was done stays done when a server stops in the middle.",
        "ireduce scan.h5 --kernel statistics\nireduce scan.h5 --kernel azimuthal --params azimuthal.toml --to reduced\n"
        "ireduce -r raw --kernel peaks --no-wait\nireduce --status\nireduce --status 10234 --json\nireduce --cancel 10234",
    )  # fmt: skip
    parser.add_argument("paths", nargs="*", metavar="path", help="data objects; with -r collections; numbers of reductions with --status and --cancel")  # fmt: skip
    parser.add_argument("--kernel", default="", metavar="NAME", help="which one")
    parser.add_argument("--version", default="", help="of the kernel (the latest)")
    parser.add_argument(
        "--params", type=Path, metavar="FILE", help="its parameters, a TOML file of this machine"
    )
    parser.add_argument("--dataset", default="", metavar="PATH", help="of the frames (the only one there is)")
    parser.add_argument(
        "--to", default="", metavar="COLLECTION", help="where the results go (beside each file)"
    )
    parser.add_argument(
        "-r", action="store_true", dest="recursive", help="every HDF5 and NeXus file below a collection"
    )
    parser.add_argument("--no-wait", action="store_true", help="ask for it, and go")
    parser.add_argument("--status", action="store_true", help="how reductions stand")
    parser.add_argument("--cancel", action="store_true", help="end reductions")
    parser.add_argument("-a", action="store_true", dest="all", help="of everybody; for administrators")
    parser.add_argument("--ended", action="store_true", help="those that are over too")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def ireduce(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    if arguments.status or arguments.cancel:
        found = _asked_about(session, arguments)
    else:
        found = _request(session, environment, arguments)
        if not arguments.no_wait:
            found = _wait(session, found, quiet=arguments.json)
    if arguments.json:
        program.print_json(found)
    else:
        for one in found:
            print(_line(one))
        if not found:
            print("no frames are being reduced")
    return program.EXIT_REFUSED if any(one["state"] == "failed" for one in found) else 0


def _asked_about(session: iRODSSession, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    try:
        numbers = [int(text) for text in arguments.paths]
    except ValueError as error:
        raise UserError(f"{error}; numbers of reductions were expected") from None
    if arguments.cancel:
        if not numbers:
            raise UserError("say which ones: ireduce --cancel NUMBER ...")
        return list(call(session, "reduce_cancel", {"reductions": numbers}))
    return list(
        call(
            session, "reduce_status", {"reductions": numbers, "all": arguments.all, "ended": arguments.ended}
        )
    )


def _request(
    session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    if not arguments.kernel:
        raise UserError("say which kernel: --kernel NAME")
    paths: list[str] = []
    for text in arguments.paths:
        path = program.absolute(environment, text)
        if not session.collections.exists(path):
            paths.append(path)
        elif not arguments.recursive:
            raise UserError(f"{path} is a collection; use -r")
        else:
            for collection, _, objects in session.collections.get(path).walk():
                paths += [
                    f"{collection.path}/{one.name}"
                    for one in objects
                    if Path(one.name).suffix in (".h5", ".hdf5", ".nxs", ".nx5")
                ]
    if not paths:
        raise UserError("found nothing to reduce; name data objects, or collections with -r")
    asked = {
        "paths": paths, "kernel": arguments.kernel, "version": arguments.version, "dataset": arguments.dataset,
        "parameters": arguments.params.read_text("utf-8") if arguments.params else "", "target": program.absolute(environment, arguments.to) if arguments.to else "",
    }  # fmt: skip
    return list(call(session, "reduce_request", asked))


def _wait(session: iRODSSession, found: list[dict[str, Any]], *, quiet: bool) -> list[dict[str, Any]]:
    """Until all is over, with a bar over the frames."""
    numbers = [one["reduction"] for one in found]
    with tqdm(unit="frame", disable=True if quiet else None, file=sys.stderr) as bar:
        while True:
            found = list(call(session, "reduce_status", {"reductions": numbers}))
            bar.total = sum(one["frames"] for one in found) or None
            bar.update(sum(one["done"] for one in found) - bar.n)
            if all(one["state"] in _OVER for one in found):
                return found
            time.sleep(_LOOK_EVERY_S)


def _line(one: dict[str, Any]) -> str:
    kernel = " ".join(one["kernel"].split(" ")[:2])
    about = f"{one['reduction']} {one['state']}: {kernel} of {one['path']}"
    if one["state"] == "done":
        result = one["result"]
        damaged = f", {result['damaged']} damaged" if result["damaged"] else ""
        lines = [
            f"{about}, {result['frames']} frames{damaged} on {result['device']}",
            f"  {result['path']}",
            f"  {result['picture']}",
        ]
        lines += [f"  {result['problem']}"] if result["problem"] else []
        lines += [
            f"  {name:<22} {value}" for name, value in result["figures"].items() if name.endswith(".mean")
        ]
        return "\n".join(lines)
    if one["state"] == "running":
        about += f", {one['done']} of {one['frames']} frames"
    return f"{about}: {one['reason']}" if one["reason"] else about
