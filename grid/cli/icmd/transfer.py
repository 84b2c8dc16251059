"""`iput` and `iget`: bytes in and out, with progress bars on a terminal."""

import argparse
import base64
import hashlib
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import irods.keywords as kw
from irods.exception import OVERWRITE_WITHOUT_FORCE_FLAG, USER_CHKSUM_MISMATCH
from irods.session import iRODSSession
from tqdm import tqdm

from grid.cli.icmd import program
from grid.cli.icmd.program import UserError
from grid.cli.icmd.upload import LARGE_BYTES, send_file

STREAMS = 4
_CHUNK = 4 << 20


def _count(text: str) -> int:
    if text.isdigit() and 1 <= int(text) <= 64:
        return int(text)
    raise argparse.ArgumentTypeError(f"found `{text}`; a number from 1 to 64 was expected")


def iput_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "iput",
        "Store local files and folders as data objects and collections.",
        "iput scan101.nxs\niput -K scan101.nxs raw/\niput -r run7 raw\ncat frame.bin | iput - raw/frame.bin\n"
        "iput -f -R diskResc scan101.nxs",
    )
    parser.add_argument(
        "sources", nargs="+", metavar="source", help="local files or folders, `-` for standard input"
    )
    parser.add_argument("-r", action="store_true", dest="recursive", help="folders with everything below")
    parser.add_argument("-f", action="store_true", dest="force", help="overwrite what is there")
    parser.add_argument("-k", action="store_true", dest="checksum", help="let the server compute a checksum")
    parser.add_argument("-K", action="store_true", dest="verify", help="compute one here too and compare")
    parser.add_argument("-R", dest="resource", help="the resource to store on")
    parser.add_argument(
        "-N", type=_count, default=0, dest="streams", metavar="NUM",
        help=f"connections for a large file (1 with a checksum, which is computed while bytes pass in order; else {STREAMS})",
    )  # fmt: skip
    parser.add_argument("--reservation", help="use room that was reserved with `ispace reserve`")
    parser.add_argument("--json", action="store_true", help="say what was stored, as JSON")
    return parser


def iput(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    sources, target = _sources_and_target(arguments.sources, default=".")
    target_path = program.absolute(environment, target)
    into = session.collections.exists(target_path)
    if len(sources) > 1 and not into:
        raise UserError(f"{target_path} is not a collection, and several sources need one")
    stored: list[dict[str, Any]] = []
    for source in sources:
        if source == "-":
            if into:
                raise UserError("standard input needs the name of a data object to go to")
            _put_stream(session, target_path, arguments)
            stored.append({"path": target_path})
        elif Path(source).is_dir():
            if not arguments.recursive:
                raise UserError(f"{source} is a folder; use -r")
            root = f"{target_path}/{Path(source).resolve().name}" if into else target_path
            for local, logical in _plan_folder(session, Path(source), root):
                stored.append(_put_file(session, local, logical, arguments))
        else:
            logical = f"{target_path}/{Path(source).name}" if into else target_path
            stored.append(_put_file(session, Path(source), logical, arguments))
    if arguments.json:
        program.print_json(stored)
    return 0


def _sources_and_target(given: list[str], *, default: str) -> tuple[list[str], str]:
    return (given[:-1], given[-1]) if len(given) > 1 else (given, default)


def _plan_folder(session: iRODSSession, folder: Path, root: str) -> Iterator[tuple[Path, str]]:
    for current, folders, files in os.walk(folder):
        folders.sort()
        relative = Path(current).relative_to(folder).as_posix()
        collection = root if relative == "." else f"{root}/{relative}"
        session.collections.create(collection)
        for name in sorted(files):
            yield Path(current) / name, f"{collection}/{name}"


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if arguments.force:
        options[kw.FORCE_FLAG_KW] = ""
    if arguments.resource:
        options[kw.DEST_RESC_NAME_KW] = arguments.resource
    if getattr(arguments, "reservation", None):
        options["reservation"] = arguments.reservation
    if getattr(arguments, "checksum", False) or arguments.verify:
        options[kw.REG_CHKSUM_KW] = ""
    return options


def _refuse_overwrite(session: iRODSSession, path: str, arguments: argparse.Namespace) -> None:
    if not arguments.force and session.data_objects.exists(path):
        raise OVERWRITE_WITHOUT_FORCE_FLAG(f"`{path}` exists; overwriting it needs -f")


def _put_file(session: iRODSSession, local: Path, path: str, arguments: argparse.Namespace) -> dict[str, Any]:
    size = local.stat().st_size
    _refuse_overwrite(session, path, arguments)
    with _bar(local.name, size) as bar, ThreadPoolExecutor(1) as hashing:  # hashed beside sending
        digest = hashing.submit(_digest_of, local) if arguments.verify else None
        if size >= LARGE_BYTES:
            streams = arguments.streams or (1 if arguments.checksum or arguments.verify else STREAMS)
            send_file(session, local, path, _options(arguments), streams=streams, told=bar.update)
        else:
            session.data_objects.put(
                str(local), path, updatables=[bar] if not bar.disable else [], **_options(arguments)
            )
    if digest is not None:
        _compare(session, path, digest.result())
    return {"path": path, "size_bytes": size}


def _put_stream(session: iRODSSession, path: str, arguments: argparse.Namespace) -> None:
    _refuse_overwrite(session, path, arguments)
    digest = hashlib.sha256()
    with session.data_objects.open(path, "w", **_options(arguments)) as target:
        while chunk := sys.stdin.buffer.read(_CHUNK):
            digest.update(chunk)
            target.write(chunk)
    if arguments.verify:
        _compare(session, path, digest)


def _digest_of(local: Path) -> Any:
    with local.open("rb") as file:
        return hashlib.file_digest(file, "sha256")


def _compare(session: iRODSSession, path: str, digest: Any) -> None:
    here = f"sha2:{base64.b64encode(digest.digest()).decode()}"
    there = session.data_objects.chksum(path)
    if here != there:
        raise USER_CHKSUM_MISMATCH(f"`{path}` has checksum {there} there and {here} here")


def _bar(name: str, size: int) -> Any:
    return tqdm(
        total=size, unit="B", unit_scale=True, unit_divisor=1024, desc=name, leave=False,
        disable=not sys.stderr.isatty() or size < 1 << 20,
    )  # fmt: skip


def iget_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "iget",
        "Fetch data objects and collections to local files and folders.",
        "iget scan101.nxs\niget -K raw/scan101.nxs copy.nxs\niget -r raw .\niget scan101.nxs - | wc -c",
    )
    parser.add_argument(
        "sources", nargs="+", metavar="path", help="logical paths, then where to: `-` is standard output"
    )
    parser.add_argument("-r", action="store_true", dest="recursive", help="collections with everything below")
    parser.add_argument("-f", action="store_true", dest="force", help="overwrite local files")
    parser.add_argument("-K", action="store_true", dest="verify", help="compare with the recorded checksum")
    parser.add_argument("-R", dest="resource", help="the resource to read from")
    parser.add_argument("--json", action="store_true", help="say what was fetched, as JSON")
    return parser


def iget(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    sources, target = _sources_and_target(arguments.sources, default=".")
    fetched: list[dict[str, Any]] = []
    for source in sources:
        path = program.absolute(environment, source)
        if target == "-":
            with session.data_objects.open(path, "r") as found:
                while chunk := found.read(_CHUNK):
                    sys.stdout.buffer.write(chunk)
            sys.stdout.flush()
            continue
        place = Path(target)
        if session.collections.exists(path):
            if not arguments.recursive:
                raise UserError(f"{path} is a collection; use -r")
            root = place / path.rpartition("/")[2] if place.is_dir() else place
            fetched += _get_tree(session, path, root, arguments)
        else:
            local = place / path.rpartition("/")[2] if place.is_dir() else place
            fetched.append(_get_file(session, path, local, arguments))
    if arguments.json:
        program.print_json(fetched)
    return 0


def _get_tree(
    session: iRODSSession, path: str, root: Path, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    collection = session.collections.get(path)
    root.mkdir(parents=True, exist_ok=True)
    fetched = [
        _get_file(session, found.path, root / found.name, arguments)
        for found in sorted(collection.data_objects, key=lambda found: found.name)
    ]
    for child in sorted(collection.subcollections, key=lambda found: found.path):
        fetched += _get_tree(session, child.path, root / child.name, arguments)
    return fetched


def _get_file(session: iRODSSession, path: str, local: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    if local.exists() and not arguments.force:
        raise UserError(f"{local} exists; use -f to overwrite it")
    options: dict[str, Any] = {kw.FORCE_FLAG_KW: ""}
    if arguments.resource:
        options[kw.RESC_NAME_KW] = arguments.resource
    found = session.data_objects.get(path)
    partial = local.with_name(f".{local.name}.{os.getpid()}.part")
    try:
        with _bar(local.name, found.size) as bar:
            session.data_objects.get(
                path, str(partial), updatables=[bar] if not bar.disable else [], **options
            )
        if arguments.verify:
            _compare(session, path, _digest_of(partial))
        partial.replace(local)
    finally:
        partial.unlink(missing_ok=True)
    return {"path": path, "local": str(local), "size_bytes": found.size}
