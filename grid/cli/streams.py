"""`beamgrid stream`, `beamgrid stream-gateway`, `beamgrid simulate-detector`: streams of detector frames, for who opens them and for who has no detector."""

import argparse
import json
import secrets
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from grid.cli.kernels import ask_zone
from grid.errors import ConfigurationError

_EXAMPLES: Final = """examples:
  beamgrid stream open raw/scan1.nxs --detector eiger --from tcp://eiger:31001 --frames 3600 --frame-size 1060000
  beamgrid stream open raw/scan2.nxs --detector camera --own --time '10 min' --rate '200 MB/s'
  beamgrid stream open raw/scan3.pilatus.nxs --detector pilatus --scan raw/scan3.nxs --from tcp://pilatus:31001
  beamgrid stream status
  beamgrid stream status 10234 --json
  beamgrid stream watch 10234
  beamgrid stream stop 10234
  beamgrid stream resume 10234
  beamgrid stream check scan1.nxs
"""
_REPLAY: Final = """examples:
  beamgrid simulate-detector --frames 1000 --rate 100
  beamgrid simulate-detector scan.h5 --listen tcp://127.0.0.1:31001
  beamgrid simulate-detector captured-series/ --rate 500 --repeat 100
"""
_UNITS: Final = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
}
_TIMES: Final = {"s": 1.0, "min": 60.0, "h": 3600.0}
_ALIVE: Final = ("waiting", "open", "receiving", "closing")
LOOK_EVERY_S: Final = 0.5


def add_parser(commands: Any) -> None:
    """Add the commands to the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    stream = commands.add_parser(
        "stream", help="streams of detector frames", epilog=_EXAMPLES, formatter_class=raw
    )
    verbs = stream.add_subparsers(dest="verb", required=True, metavar="command")
    _add_open(verbs)
    status = verbs.add_parser("status", help="how streams stand")
    status.add_argument("streams", nargs="*", type=int, metavar="stream")
    status.add_argument("-a", action="store_true", dest="all", help="of everybody; for administrators")
    status.add_argument("--ended", action="store_true", help="those that are over too")
    status.add_argument("--json", action="store_true")
    watch = verbs.add_parser("watch", help="a live view of one until it is over")
    watch.add_argument("stream", type=int, nargs="?", help="the latest of yours without one")
    watch.add_argument("--json", action="store_true", help="a line of JSON for each look")
    for name, what in (
        ("stop", "end streams with what came so far"),
        ("resume", "put what is left of streams that failed into files"),
    ):
        one = verbs.add_parser(name, help=what)
        one.add_argument("streams", nargs="+", type=int, metavar="stream")
        one.add_argument("--json", action="store_true")
    check = verbs.add_parser(
        "check",
        help="compare every frame of a file of this machine with what came; the data files lie beside it",
    )
    check.add_argument("file", type=Path, help="the file that joins the frames")
    check.add_argument("--json", action="store_true")
    gateway = commands.add_parser(
        "stream-gateway", help="carry streams of a zone in the foreground, on any host that reaches it"
    )
    gateway.add_argument("dir", type=Path)
    gateway.add_argument(
        "--listen",
        default="",
        metavar="ADDRESS",
        help="of this host, for senders and listeners (as the zone's settings say)",
    )
    gateway.add_argument("--allow-root", action="store_true", help="although this is root's account")
    replay = commands.add_parser(
        "simulate-detector", help="send a series as a detector does", epilog=_REPLAY, formatter_class=raw
    )
    replay.add_argument(
        "source",
        nargs="?",
        type=Path,
        help="an HDF5 file with frames, or a folder of captured messages; simulated frames without one",
    )
    replay.add_argument(
        "--dataset", default="", metavar="PATH", help="of the frames in the file (the only one there is)"
    )
    replay.add_argument(
        "--listen",
        default="tcp://127.0.0.1:31001",
        metavar="ADDRESS",
        help="where who takes the frames connects to (tcp://127.0.0.1:31001)",
    )
    replay.add_argument("--rate", type=float, default=0.0, help="frames a second (as fast as they are taken)")
    replay.add_argument("--frames", type=int, default=100, help="how many simulated ones (100)")
    replay.add_argument("--repeat", type=int, default=1, help="send a captured series so often (1)")
    replay.add_argument(
        "--shape", default="514x1030", metavar="ROWSxCOLUMNS", help="of simulated frames (514x1030)"
    )
    replay.add_argument(
        "--hit-rate", type=float, default=0.2, help="share of simulated frames with Bragg peaks (0.2)"
    )
    replay.add_argument("--seed", type=int, default=1, help="of simulated frames (1)")
    replay.add_argument("--json", action="store_true")


def _add_open(verbs: Any) -> None:
    made = verbs.add_parser(
        "open", help="open one: rights are checked, and room is kept, before the first frame"
    )
    made.add_argument("path", help="of the file that joins the frames, which is made; others lie beside it")
    made.add_argument("--detector", required=True, help="its name")
    made.add_argument(
        "--from",
        dest="source",
        default="",
        metavar="ADDRESS",
        help="of the detector's stream; the gateway listens without one",
    )
    made.add_argument(
        "--own", action="store_true", help="a program sends, in the grid's own format (grid.streams.client)"
    )
    made.add_argument("--frames", type=int, default=0, help="how many are going to come")
    made.add_argument(
        "--frame-size",
        default="",
        metavar="SIZE",
        help="of one, as it comes, such as '1.1 MB'; with --frames room is kept",
    )
    made.add_argument(
        "--time",
        default="",
        metavar="LENGTH",
        help="how long it takes, such as '10 min'; with --rate room is kept",
    )
    made.add_argument("--rate", default="", metavar="RATE", help="how much comes, such as '400 MB/s'")
    made.add_argument("--margin", type=float, default=1.1, help="how much more room is kept (1.1)")
    made.add_argument("--resource", default="", help="a buffer or a disk (the first buffer that is up)")
    made.add_argument(
        "--scan",
        default="",
        metavar="PATH",
        help="a file that joins several detectors, which are opened with the same one",
    )
    made.add_argument("--channel", default="", help="of the images that kernels look at (the first one)")
    made.add_argument(
        "--when-slow",
        default="wait",
        choices=("wait", "drop-newest", "veto", "stop"),
        help="what is done when kernels do not keep up (wait: the detector waits)",
    )
    made.add_argument(
        "--idle", type=float, default=0.0, metavar="SECONDS", help="who says nothing for so long is gone (60)"
    )
    made.add_argument("--part-size", default="", metavar="SIZE", help="of a data file (4 GiB)")
    made.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    """Run one of the commands."""
    verbs: dict[str, Callable[[argparse.Namespace], int]] = {
        "open": _open, "status": _status, "watch": _watch, "stop": _stop, "resume": _stop, "check": _check,
    }  # fmt: skip
    return verbs[str(arguments.verb)](arguments)


def _size(text: str, units: dict[str, int]) -> int:
    """Bytes from a text.

    Raises:
        ConfigurationError: it is none.
    """
    if not text:
        return 0
    number, _, unit = text.strip().partition(" ")
    try:
        return int(float(number) * units[unit.strip() or "B"])
    except (ValueError, KeyError):
        raise ConfigurationError(
            f"found `{text}`; a number and one of {', '.join(units)} was expected, such as '4 GB'"
        ) from None


def _open(arguments: argparse.Namespace) -> int:
    said: dict[str, Any] = {
        "detector": arguments.detector, "source": arguments.source, "format": "beamgrid" if arguments.own else "dectris", "resource": arguments.resource,
        "frames": arguments.frames, "frame_bytes": _size(arguments.frame_size, _UNITS), "bytes_per_s": _size(arguments.rate.removesuffix("/s"), _UNITS),
        "seconds": _seconds(arguments.time), "margin": arguments.margin, "channel": arguments.channel, "when_slow": arguments.when_slow,
        "part_bytes": _size(arguments.part_size, _UNITS), "idle_s": arguments.idle,
    }  # fmt: skip

    def ask(call: Any, absolute: Callable[[str], str]) -> None:
        scan = absolute(arguments.scan) if arguments.scan else ""
        found = call("stream_open", {**said, "path": absolute(arguments.path), "scan": scan})
        token, deadline = found["token"], time.monotonic() + 10
        while (
            not found["figures"].get("address") and found["state"] in _ALIVE and time.monotonic() < deadline
        ):
            time.sleep(0.1)
            found = call("stream_status", {"streams": [found["stream"]]})[0]
        if arguments.json:
            print(json.dumps({**found, "token": token}, indent=2))
            return
        figures = found["figures"]
        print(f"stream {found['stream']} is {found['state']}: {found['path']}, on {found['resource']}")
        if found["reservation"]:
            print("room is kept for it")
        if not figures.get("address"):
            print("no gateway took it yet; is one running? (beamgrid status)")
            return
        if found["format"] == "beamgrid":
            print(f"send frames to {figures['address']}, stream {found['stream']}, token {token}")
        else:
            print(f"frames come from {found['source'] or 'who connects to ' + figures['address']}")
        print(f"feedback: {figures['feedback']} (ZeroMQ), {figures['events']} (server-sent events)")

    return ask_zone(ask)


def _seconds(text: str) -> int:
    if not text:
        return 0
    number, _, unit = text.strip().partition(" ")
    try:
        return int(float(number) * _TIMES[unit.strip() or "s"])
    except (ValueError, KeyError):
        raise ConfigurationError(
            f"found `{text}`; a number and one of {', '.join(_TIMES)} was expected, such as '10 min'"
        ) from None


def _status(arguments: argparse.Namespace) -> int:
    asked = {"streams": arguments.streams, "all": arguments.all, "ended": arguments.ended}
    found: list[dict[str, Any]] = []
    ask_zone(lambda call, _: found.extend(call("stream_status", asked)))
    if arguments.json:
        print(json.dumps(found, indent=2))
    elif not found:
        print("no streams are open")
    else:
        for one in found:
            print("\n".join(lines(one)))
    return 0


def _stop(arguments: argparse.Namespace) -> int:
    found: list[dict[str, Any]] = []
    ask_zone(lambda call, _: found.extend(call(f"stream_{arguments.verb}", {"streams": arguments.streams})))
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        for one in found:
            print(
                f"stream {one['stream']} is to {arguments.verb}" if one["state"] in _ALIVE else lines(one)[0]
            )
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    try:
        from grid.streams.checking import check_file
        from grid.streams.errors import StreamError
    except ImportError as error:
        raise ConfigurationError(
            f"this needs the package `{error.name}`: pip install 'beamgrid[server,accel]'"
        ) from error
    try:
        found = check_file(arguments.file)
    except StreamError as error:
        raise ConfigurationError(str(error)) from error
    if arguments.json:
        print(json.dumps([asdict(one) for one in found], indent=2))
    else:
        for one in found:
            counts = ", ".join(f"{count:,} {fate}" for fate, count in one.fates.items())
            print(
                f"{one.detector}: {one.frames:,} frames of stream {one.stream_id}: {counts}; {one.batches} signed batches"
            )
            print(f"  root {one.root}")
            for what in one.wrong[:20]:
                print(f"  {what}")
            print(
                f"  {len(one.wrong)} things are wrong" if one.wrong else "  every stored frame is what came"
            )
    return 1 if any(one.wrong for one in found) else 0


def _watch(arguments: argparse.Namespace) -> int:
    """Look twice a second until it is over; drawn in place on a terminal."""
    last: dict[str, Any] = {}

    def ask(call: Any, _: Any) -> None:
        drawn = 0
        number = arguments.stream or next(
            (one["stream"] for one in call("stream_status", {"ended": True})), 0
        )
        if not number:
            raise ConfigurationError("you opened no stream")
        while not last or last["state"] in _ALIVE:
            if last:
                time.sleep(LOOK_EVERY_S)
            last.update(call("stream_status", {"streams": [number]})[0])
            if arguments.json:
                print(json.dumps(last), flush=True)
                continue
            shown = lines(last)
            if sys.stdout.isatty():
                width = shutil.get_terminal_size().columns
                sys.stdout.write(
                    f"\x1b[{drawn}A" * bool(drawn) + "".join(f"\x1b[2K{line[:width]}\n" for line in shown)
                )
                drawn = len(shown)
            else:
                print(shown[1] if len(shown) > 1 else shown[0])
            sys.stdout.flush()
        if not arguments.json and not sys.stdout.isatty():
            print(lines(last)[0])

    ask_zone(ask)
    return 0 if last["state"] == "done" else 1


def _advance(bar: Any, sent: int) -> None:
    bar.update(sent - bar.n)


def lines(one: dict[str, Any]) -> list[str]:
    """How a stream stands, for people."""
    figures, result = one["figures"], one["result"]
    head = f"stream {one['stream']} ({one['detector']}) to {one['path']}: {one['state']}{': ' + one['reason'] if one['reason'] else ''}"
    shown = [head]
    if figures.get("received") is not None:
        shown += [
            f"  {figures['received']:,} frames, {_bytes(figures['bytes'])}; {figures['frames_per_s']:,.0f} frames/s, {_bytes(figures['bytes_per_s'])}/s;"
            f" {figures['waiting']} wait",
            f"  stored {figures['stored']:,}, last {figures['last_stored']}; kept {figures['kept']:,}, vetoed {figures['vetoed']:,}, dropped {figures['dropped']:,},"
            f" damaged {figures['damaged']:,}; refused {figures['refused']:,}, twice {figures['duplicates']:,}",
        ]  # fmt: skip
        if figures["reduced"]:
            seconds = figures["busy_s"].get("kernels", 0.0) / figures["reduced"]
            shown.append(
                f"  hits {figures['hit_rate']:.2%}, kept {figures['kept_fraction']:.2%}; kernels {seconds * 1e3:.2f} ms a frame on {figures['runs_on']}"
            )
        if figures["problem"]:
            shown.append(f"  {figures['problem']}")
        if one["state"] in _ALIVE:
            left = figures.get("free_bytes")
            shown.append(
                f"  room left: {_bytes(left) if left is not None else 'unknown'}; readable now: {', '.join(figures['growing']) or 'nothing yet'}"
            )
            shown.append(f"  feedback: {figures['feedback']}, {figures['events']}")
    if result.get("files"):
        lost = sum(last - first + 1 for first, last in result["lost"])
        shown.append(
            f"  {result['stored']:,} of {result['frames']:,} frames in {len(result['files'])} files; {lost} never came; products: {', '.join(result['products']) or 'none'}"
        )
    if one["ended_at"]:
        shown.append(f"  ended {datetime.fromtimestamp(one['ended_at'], UTC):%Y-%m-%d %H:%M:%S} UTC")
    return shown


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def simulate(arguments: argparse.Namespace) -> int:
    """Send a series as a detector does."""
    from tqdm import tqdm

    try:
        from accel.errors import AccelError
        from accel.simulator import Simulator
        from grid.streams.errors import StreamError
        from grid.streams.replaying import CapturedSource, FileSource, Replay, SimulatedSource, Source
    except ImportError as error:
        raise ConfigurationError(
            f"this needs the package `{error.name}`: pip install 'beamgrid[server,accel]'"
        ) from error
    name, source = secrets.token_hex(8), arguments.source
    found: Source
    try:
        if source is None:
            rows, _, columns = arguments.shape.partition("x")
            if not (rows.isdigit() and columns.isdigit()) or arguments.frames < 1:
                raise ConfigurationError(
                    f"found `{arguments.shape}` and {arguments.frames} frames; such as 514x1030, and one at least, was expected"
                )
            found = SimulatedSource(
                Simulator(shape=(int(rows), int(columns)), hit_rate=arguments.hit_rate, seed=arguments.seed),
                arguments.frames,
                name,
            )
        elif source.is_dir():
            found = CapturedSource(source, arguments.repeat)
        else:
            found = FileSource(source, arguments.dataset, name)
        replay = Replay(arguments.listen)
    except (AccelError, StreamError) as error:
        raise ConfigurationError(str(error)) from error
    began = time.monotonic()
    if not arguments.json:
        print(f"{found.count} frames for who connects to {replay.address}", file=sys.stderr)
    try:
        with tqdm(total=found.count, unit="frame", disable=True if arguments.json else None) as bar:
            replay.send(found, arguments.rate, lambda sent: _advance(bar, sent))
    finally:
        replay.close()
    seconds = time.monotonic() - began
    if arguments.json:
        print(json.dumps({"frames": found.count, "seconds": round(seconds, 3), "address": replay.address}))
    return 0
