"""`imkdir`, `irm`, `imv`, `icp`, `ichmod`, `irepl`, `itrim`, `ireg`: changing what is there."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import irods.keywords as kw
from irods.access import iRODSAccess
from irods.exception import CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME, OVERWRITE_WITHOUT_FORCE_FLAG
from irods.session import iRODSSession

from grid.cli.icmd import program
from grid.cli.icmd.program import UserError


def imkdir_parser() -> argparse.ArgumentParser:
    parser = program.parser("imkdir", "Make collections.", "imkdir raw\nimkdir -p raw/run7/frames")
    parser.add_argument("collections", nargs="+", metavar="collection")
    parser.add_argument(
        "-p", action="store_true", dest="parents", help="those above too; let existing ones be"
    )
    return parser


def imkdir(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    for text in arguments.collections:
        session.collections.create(program.absolute(environment, text), recurse=arguments.parents)
    return 0


def irm_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "irm", "Remove data objects and collections: to the trash, or for good with -f.",
        "irm scan101.nxs\nirm -r run7\nirm -rf run7",
    )  # fmt: skip
    parser.add_argument("paths", nargs="+", metavar="path")
    parser.add_argument("-r", action="store_true", dest="recursive", help="collections with everything below")
    parser.add_argument("-f", action="store_true", dest="force", help="past the trash")
    return parser


def irm(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    for text in arguments.paths:
        path = program.absolute(environment, text)
        if session.collections.exists(path):
            if not arguments.recursive:
                raise UserError(f"{path} is a collection; use -r")
            session.collections.remove(path, recurse=True, force=arguments.force)
        else:
            session.data_objects.unlink(path, force=arguments.force)
    return 0


def imv_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "imv", "Move or rename a data object or a collection.", "imv a.h5 b.h5\nimv a.h5 raw/"
    )
    parser.add_argument("source")
    parser.add_argument("target")
    return parser


def imv(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    source, target = _pair(session, environment, arguments)
    if session.collections.exists(source):
        session.collections.move(source, target)
    else:
        session.data_objects.move(source, target)
    return 0


def _pair(
    session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace
) -> tuple[str, str]:
    source = program.absolute(environment, arguments.source)
    target = program.absolute(environment, arguments.target)
    if session.collections.exists(target):
        target = f"{target}/{source.rpartition('/')[2]}"
    return source, target


def icp_parser() -> argparse.ArgumentParser:
    parser = program.parser("icp", "Copy a data object or a collection.", "icp a.h5 b.h5\nicp -r raw copy")
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("-f", action="store_true", dest="force", help="overwrite what is there")
    parser.add_argument(
        "-r", action="store_true", dest="recursive", help="a collection with everything below"
    )
    parser.add_argument("-R", dest="resource", help="the resource for the copy")
    return parser


def icp(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    source, target = _pair(session, environment, arguments)
    if not session.collections.exists(source):
        _copy_object(session, source, target, arguments)
        return 0
    if not arguments.recursive:
        raise UserError(f"{source} is a collection; use -r")
    if target == source or target.startswith(source + "/"):
        raise UserError(f"{source} cannot be copied into itself")
    _copy_tree(session, source, target, arguments)
    return 0


def _copy_tree(session: iRODSSession, source: str, target: str, arguments: argparse.Namespace) -> None:
    session.collections.create(target)
    collection = session.collections.get(source)
    for found in collection.data_objects:
        _copy_object(session, found.path, f"{target}/{found.name}", arguments)
    for child in collection.subcollections:
        _copy_tree(session, child.path, f"{target}/{child.name}", arguments)


def _copy_object(session: iRODSSession, source: str, target: str, arguments: argparse.Namespace) -> None:
    options: dict[str, Any] = {}
    if arguments.force:
        options[kw.FORCE_FLAG_KW] = ""
    if arguments.resource:
        options[kw.DEST_RESC_NAME_KW] = arguments.resource
    session.data_objects.copy(source, target, **options)


def ichmod_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "ichmod", "Change who may do what.",
        "ichmod read anna scan101.nxs\nichmod -r write p20260001-group raw\nichmod inherit raw\n"
        "ichmod null anna scan101.nxs",
    )  # fmt: skip
    parser.add_argument(
        "level", help="null, read, write, own, or one of iRODS's finer levels; inherit, noinherit"
    )
    parser.add_argument(
        "arguments", nargs="+", metavar="[user] path", help="the user or group, then the paths"
    )
    parser.add_argument("-r", action="store_true", dest="recursive", help="everything below too")
    parser.add_argument("-M", action="store_true", dest="admin", help="with an administrator's privilege")
    return parser


def ichmod(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    user, zone = "", ""
    given = list(arguments.arguments)
    if arguments.level not in ("inherit", "noinherit"):
        if len(given) < 2:
            raise UserError("a user or group and at least one path are needed")
        user, _, zone = given.pop(0).partition("#")
    for text in given:
        path = program.absolute(environment, text)
        session.acls.set(
            iRODSAccess(arguments.level, path, user, zone),
            recursive=arguments.recursive,
            admin=arguments.admin,
        )
    return 0


def irepl_parser() -> argparse.ArgumentParser:
    parser = program.parser("irepl", "Make one more replica.", "irepl -R archiveResc scan101.nxs")
    parser.add_argument("paths", nargs="+", metavar="path")
    parser.add_argument("-R", dest="resource", help="the resource for the new replica")
    parser.add_argument("-S", dest="source", help="the resource to copy from")
    parser.add_argument("-n", dest="number", help="the replica to copy from")
    parser.add_argument("-U", action="store_true", dest="update", help="bring stale replicas up to date")
    return parser


def irepl(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    for text in arguments.paths:
        options: dict[str, Any] = {}
        if arguments.source:
            options[kw.RESC_NAME_KW] = arguments.source
        if arguments.number:
            options[kw.REPL_NUM_KW] = arguments.number
        if arguments.update:
            options[kw.UPDATE_REPL_KW] = ""
        session.data_objects.replicate(
            program.absolute(environment, text), resource=arguments.resource, **options
        )
    return 0


def itrim_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "itrim", "Remove surplus replicas; the last good one always stays.",
        "itrim -N 1 scan101.nxs\nitrim -n 2 scan101.nxs\nitrim -S bufferResc -N 1 scan101.nxs",
    )  # fmt: skip
    parser.add_argument("paths", nargs="+", metavar="path")
    parser.add_argument("-N", dest="keep", help="how many replicas to keep (2)")
    parser.add_argument("-n", dest="number", help="the replica to remove")
    parser.add_argument("-S", dest="source", help="the resource to remove from")
    parser.add_argument("--dryrun", action="store_true", help="only say what would be removed")
    return parser


def itrim(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    total, count = 0, 0
    for text in arguments.paths:
        path = program.absolute(environment, text)
        options: dict[str, Any] = {}
        if arguments.keep:
            options[kw.COPIES_KW] = arguments.keep
        if arguments.number:
            options[kw.REPL_NUM_KW] = arguments.number
        if arguments.source:
            options[kw.RESC_NAME_KW] = arguments.source
        if arguments.dryrun:
            options[kw.DRYRUN_KW] = ""
        size = session.data_objects.get(path).size
        before = len(session.data_objects.get(path).replicas)
        session.data_objects.trim(path, **options)
        gone = before - len(session.data_objects.get(path).replicas)
        count += bool(gone)
        total += size * gone
    print(f"Total size trimmed = {total / 1048576:.3f} MB. Number of data objects trimmed = {count}.")
    return 0


def ireg_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "ireg",
        "Make existing files data objects where they lie, without copying: one, or with -r a folder and everything below it. The files"
        " have to be there for the server. Registering a folder again adds what is new.",
        "ireg /gpfs/raw/scan101.nxs /demo/data/scan101.nxs\nireg -r -K /gpfs/raw /demo/data/raw\n"
        "ireg -R gpfsResc /gpfs/raw/scan101.nxs /demo/data/scan101.nxs\nireg --replica /copy/scan101.nxs /demo/data/scan101.nxs",
    )  # fmt: skip
    parser.add_argument("file", help="the file or folder, absolute")
    parser.add_argument("path", help="the data object or collection")
    parser.add_argument("-R", dest="resource", default="", help="the resource that the files belong to")
    parser.add_argument("-r", action="store_true", dest="recursive", help="a folder with everything below")
    parser.add_argument(
        "-K", action="store_true", dest="checksum", help="read the files and record checksums"
    )
    parser.add_argument(
        "--replica", action="store_true", help="as a further replica of a data object that is there"
    )
    parser.add_argument("--json", action="store_true", help="counts as JSON")
    return parser


def ireg(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    root, path = Path(arguments.file), program.absolute(environment, arguments.path)
    if not root.is_absolute():
        raise UserError(f"found `{root}` where an absolute path was expected")
    if root.is_dir() and not arguments.recursive:
        raise UserError(f"`{root}` is a folder; use -r")
    options: dict[str, Any] = {kw.DEST_RESC_NAME_KW: arguments.resource} if arguments.resource else {}
    if arguments.checksum:
        options[kw.REG_CHKSUM_KW] = ""
    if arguments.replica:
        options[kw.REG_REPL_KW] = ""
    registered = known = 0
    made: set[str] = set()
    for file, target in _files_below(root, path) if root.is_dir() else [(str(root), path)]:
        collection = target.rpartition("/")[0]
        if root.is_dir() and collection not in made:
            session.collections.create(collection, recurse=True)
            made.add(collection)
        try:
            session.data_objects.register(file, target, **options)
            registered += 1
        except (CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME, OVERWRITE_WITHOUT_FORCE_FLAG):
            if not root.is_dir():
                raise
            known += 1
    if arguments.json:
        program.print_json({"registered": registered, "known": known})
    elif root.is_dir():
        print(f"{registered} files registered, {known} were there already")
    return None


def _files_below(root: Path, path: str) -> Iterator[tuple[str, str]]:
    """Every plain file below a folder with the path it gets; links are left out, as they may lead anywhere."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        inner = Path(folder).relative_to(root).as_posix()
        collection = path if inner == "." else f"{path}/{inner}"
        for name in sorted(names):
            file = Path(folder) / name
            if file.is_file() and not file.is_symlink():
                yield str(file), f"{collection}/{name}"
