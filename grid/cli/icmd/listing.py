"""`ils` and `ichksum`: what is there."""

import argparse
import datetime
from collections.abc import Iterator
from typing import Any

import irods.keywords as kw
from irods.collection import iRODSCollection
from irods.column import Criterion, Like
from irods.data_object import iRODSDataObject
from irods.exception import CollectionDoesNotExist, DataObjectDoesNotExist
from irods.models import Collection, DataObject
from irods.session import iRODSSession

from grid.cli.icmd import program
from grid.cli.icmd.administer import call
from grid.cli.icmd.program import UserError

_STATUS = {"0": "X", "1": "&", "2": "?", "3": "?", "4": "?"}


def ils_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "ils",
        "List collections and data objects.",
        "ils\nils -l raw\nils -L scan101.nxs\nils -r /demo/data\nils -A raw --json",
    )
    parser.add_argument("paths", nargs="*", default=["."], metavar="path")
    parser.add_argument(
        "-l", action="store_true", dest="long", help="owner, replica, resource, size, time, status"
    )
    parser.add_argument(
        "-L", action="store_true", dest="very_long", help="also checksum, type and physical path"
    )
    parser.add_argument("-r", action="store_true", dest="recursive", help="everything below too")
    parser.add_argument("-A", action="store_true", dest="access", help="access levels and inheritance")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def ils(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    listed: list[dict[str, Any]] = []
    for text in arguments.paths:
        path = program.absolute(environment, text)
        try:
            collection = session.collections.get(path)
        except CollectionDoesNotExist:
            try:
                data_object = session.data_objects.get(path)
            except (DataObjectDoesNotExist, CollectionDoesNotExist):
                raise UserError(f"{path} does not exist or user lacks access permission") from None
            if arguments.json:
                listed.append(_object_facts(session, data_object, arguments.access))
            else:
                parent = path.rpartition("/")[0]
                residency = _residency(session, parent) if arguments.long or arguments.very_long else {}
                _print_object(session, data_object, arguments, residency, whole_path=True)
            continue
        if arguments.json:
            listed.append(_collection_facts(session, collection, arguments))
        else:
            _print_collection(session, collection, arguments)
    if arguments.json:
        program.print_json(listed)
    return 0


def _sorted_objects(collection: iRODSCollection) -> list[iRODSDataObject]:
    return sorted(collection.data_objects, key=lambda found: found.name)


def _print_collection(
    session: iRODSSession, collection: iRODSCollection, arguments: argparse.Namespace
) -> None:
    print(f"{collection.path}:")
    if arguments.access:
        entries = "   ".join(_access_texts(session, collection))
        print(f"        ACL - {entries}   ")
        print(f"        Inheritance - {'Enabled' if collection.inheritance else 'Disabled'}")
    long = arguments.long or arguments.very_long
    residency = _residency(session, collection.path) if long else {}
    for data_object in _sorted_objects(collection):
        _print_object(session, data_object, arguments, residency, whole_path=False)
    children = sorted(collection.subcollections, key=lambda found: found.path)
    for child in children:
        print(f"  C- {child.path}")
        if arguments.recursive:
            _print_collection(session, child, arguments)


def _residency(session: iRODSSession, collection: str) -> dict[tuple[int, int], str]:
    """Which replicas of a collection's objects are on tape: (object, number) to `tape` or `tape+disk`."""
    query = session.query(DataObject.id, DataObject.replica_number, DataObject.status)
    found = query.filter(Criterion("=", Collection.name, collection)).filter(Like(DataObject.status, "tape%"))
    return {(row[DataObject.id], row[DataObject.replica_number]): row[DataObject.status] for row in found}


def _print_object(
    session: iRODSSession,
    found: iRODSDataObject,
    arguments: argparse.Namespace,
    residency: dict[tuple[int, int], str],
    *,
    whole_path: bool,
) -> None:
    if not (arguments.long or arguments.very_long):
        print(f"  {found.path if whole_path else found.name}")
    else:
        for replica in sorted(found.replicas, key=lambda r: r.number):
            stamp = _stamp(replica.modify_time)
            where = residency.get((found.id, replica.number), "")
            print(
                f"  {found.owner_name:<12}{replica.number:>7} {replica.resc_hier or replica.resource_name}"
                f" {replica.size:>12} {stamp} {_STATUS.get(str(replica.status), '?')} {found.name}{f'  [{where}]' if where else ''}"
            )
            if arguments.very_long:
                print(f"    {replica.checksum or ''}    {found.type}    {replica.path}")
    if arguments.access:
        print(f"        ACL - {'   '.join(_access_texts(session, found))}   ")


def _stamp(moment: datetime.datetime | None) -> str:
    return moment.astimezone().strftime("%Y-%m-%d.%H:%M") if moment else "-"


def _access_texts(session: iRODSSession, found: Any) -> list[str]:
    entries = sorted(session.acls.get(found), key=lambda entry: (entry.user_name, entry.access_name))
    return [
        f"{'g:' if entry.user_type == 'rodsgroup' else ''}{entry.user_name}#{entry.user_zone}:{entry.access_name}"
        for entry in entries
    ]


def _object_facts(session: iRODSSession, found: iRODSDataObject, access: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "type": "data_object",
        "path": found.path,
        "owner": found.owner_name,
        "replicas": [
            {
                "number": r.number, "resource_hierarchy": r.resc_hier, "size_bytes": r.size,
                "status": int(r.status), "checksum": r.checksum, "physical_path": r.path,
                "modified": r.modify_time,
            }
            for r in sorted(found.replicas, key=lambda r: r.number)
        ],
    }  # fmt: skip
    if access:
        facts["access"] = _access_texts(session, found)
    return facts


def _collection_facts(
    session: iRODSSession, collection: iRODSCollection, arguments: argparse.Namespace
) -> dict[str, Any]:
    children = sorted(collection.subcollections, key=lambda found: found.path)
    facts: dict[str, Any] = {
        "type": "collection",
        "path": collection.path,
        "data_objects": [_object_facts(session, o, arguments.access) for o in _sorted_objects(collection)],
        "collections": [
            _collection_facts(session, child, arguments) if arguments.recursive else child.path
            for child in children
        ],
    }
    if arguments.access:
        facts |= {"access": _access_texts(session, collection), "inheritance": bool(collection.inheritance)}
    return facts


def ichksum_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "ichksum",
        "Show checksums; compute those that are missing.",
        "ichksum scan101.nxs\nichksum -f scan101.nxs\nichksum -K -r raw\nichksum --tree scan101.nxs",
    )
    parser.add_argument("paths", nargs="+", metavar="path")
    parser.add_argument("-f", action="store_true", dest="force", help="compute even where one is recorded")
    parser.add_argument("-a", action="store_true", dest="every", help="of every replica")
    parser.add_argument("-K", action="store_true", dest="verify", help="read the bytes and compare")
    parser.add_argument("-n", type=int, dest="number", help="of this replica")
    parser.add_argument(
        "--tree",
        action="store_true",
        help="the root over the digests of its blocks of 1 MiB, where the zone makes such trees",
    )
    parser.add_argument("-r", action="store_true", dest="recursive", help="of everything below")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def ichksum(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    options: dict[str, Any] = {}
    if arguments.force:
        options[kw.FORCE_CHKSUM_KW] = ""
    if arguments.every:
        options[kw.CHKSUM_ALL_KW] = ""
    if arguments.verify:
        options[kw.VERIFY_CHKSUM_KW] = ""
    if arguments.number is not None:
        options[kw.REPL_NUM_KW] = str(arguments.number)
    if arguments.tree:
        options["tree"] = True
    results: dict[str, str] = {}
    for text in arguments.paths:
        path = program.absolute(environment, text)
        if session.collections.exists(path):
            if not arguments.recursive:
                raise UserError(f"{path} is a collection; use -r")
            for collection, names in _walk(session, path):
                if not arguments.json:
                    print(f"C- {collection}:")
                for name in names:
                    _show_checksum(session, f"{collection}/{name}", name, options, results, arguments.json)
        else:
            _show_checksum(session, path, path.rpartition("/")[2], options, results, arguments.json)
    if arguments.json:
        program.print_json(results)
    return 0


def _show_checksum(
    session: iRODSSession, path: str, name: str, options: dict[str, Any], results: dict[str, str], quiet: bool
) -> None:
    results[path] = (
        _tree_root(session, path) if options.get("tree") else session.data_objects.chksum(path, **options)
    )
    if not quiet:
        print(f"    {name}    {results[path]}")


def _tree_root(session: iRODSSession, path: str) -> str:
    return f"blocks:{call(session, 'block_tree', {'path': path})['root']}"


def _walk(session: iRODSSession, path: str) -> Iterator[tuple[str, list[str]]]:
    collection = session.collections.get(path)
    yield path, [found.name for found in _sorted_objects(collection)]
    for child in sorted(collection.subcollections, key=lambda found: found.path):
        yield from _walk(session, child.path)
