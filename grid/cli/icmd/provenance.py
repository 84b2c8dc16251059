"""`iprov`: signed statements about data objects."""

import argparse
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from irods.models import Collection, CollectionMeta, DataObject, DataObjectMeta
from irods.session import iRODSSession
from tqdm import tqdm

from grid.cli.icmd import program
from grid.cli.icmd.administer import call
from grid.cli.icmd.program import UserError
from provenance import dsse, evidence
from provenance.authority import Authority, Root
from provenance.blocks import BLOCK_BYTES, BlockTree, tree_of
from provenance.errors import ProvenanceError
from provenance.evidence import Evidence
from provenance.exports.bag import bag
from provenance.exports.crate import About, CrateFile, crate
from provenance.exports.prov import prov_json
from provenance.judging import Wanted
from provenance.showing import as_svg, as_text
from provenance.signing import now
from provenance.states import EXIT
from provenance.verdict import Verdict, judge

_PIECE = 4 << 20
_DOI = re.compile(r"(https?://doi\.org/|doi:)?(10\.\d{4,9}/\S+)")
FORMS = ("evidence", "prov", "ro-crate", "bag")


def iprov_parser() -> argparse.ArgumentParser:
    parser = program.parser(
        "iprov",
        "What is signed of data objects. `attach` evidence of an instrument, once it was judged; `show` what there is, judged by what the zone"
        " recorded; `verify` reads the bytes and judges them here, with a root that you believe; `export` everything for who has no account;"
        " `log` lists the zone's own statements.",
        "iprov attach raw/run7.h5 run7.h5.evidence.json\niprov show raw/run7.h5 --svg chain.svg\niprov verify raw/run7.h5 --root maxiv-root.json\n"
        "iprov verify raw\niprov export raw/run7.h5 run7.h5.evidence.json\niprov export raw/run7.h5 --frame 17 --dataset /entry/data/data\n"
        "iprov export raw/run7.h5 scan7 --as ro-crate\niprov log raw/run7.h5",
    )  # fmt: skip
    parser.add_argument("what", choices=("attach", "show", "verify", "export", "log"))
    parser.add_argument("path", nargs="?", default="", help="a data object, or a collection to verify or log")
    parser.add_argument(
        "file", type=Path, nargs="?", help="evidence (NAME.evidence.json), or where an export goes"
    )
    parser.add_argument("--root", type=Path, help="the root that you believe (verify); else the zone's own")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the chain (show, verify)")
    parser.add_argument(
        "--as", dest="form", choices=FORMS, default="evidence", help="the form of an export (evidence)"
    )
    parser.add_argument(
        "--frame",
        type=int,
        default=-1,
        metavar="N",
        help="export the proof of one stored chunk of an HDF5 dataset, too",
    )
    parser.add_argument(
        "--dataset", default="", metavar="PATH", help="of which dataset (the one with the most chunks)"
    )
    parser.add_argument("--state", default="", help="log only what is signed, logged or refused")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def iprov(session: iRODSSession, environment: dict[str, Any], arguments: argparse.Namespace) -> int | None:
    if not arguments.path and arguments.what != "log":
        raise UserError(f"`iprov {arguments.what}` needs the path of a data object")
    doi = _DOI.fullmatch(arguments.path)
    if doi is not None and arguments.what == "verify":
        path = _published(session, doi[2])
    else:
        path = program.absolute(environment, arguments.path) if arguments.path else ""
    try:
        return _RUN[arguments.what](session, path, arguments)
    except ProvenanceError as error:
        raise UserError(str(error)) from error


def _attach(session: iRODSSession, path: str, arguments: argparse.Namespace) -> None:
    file = arguments.file or Path(f"{_name(path)}.evidence.json")
    try:
        given = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the evidence `{file}` cannot be read: {error}") from error
    _told({"path": path, **call(session, "attestation_add", {"path": path, "evidence": given})}, arguments)


def _show(session: iRODSSession, path: str, arguments: argparse.Namespace) -> None:
    found = call(session, "attestation_show", {"text": path})
    if arguments.svg is not None:
        given, tree = _evidence(session, path), _recorded(session, path)
        arguments.svg.write_text(as_svg(path, _judged(tree, path, given, None)), "utf-8")
    _told(found, arguments)


def _told(found: dict[str, Any], arguments: argparse.Namespace) -> None:
    if arguments.json:
        program.print_json(found)
        return
    for number, step in enumerate(found["steps"], 1):
        mark = "  <- trust boundary" if number == found["boundary"] else ""
        print(f"{number} {step['kind']:<14} {step['time']:<21} {step['state']:<16} {step['signer']}{mark}")
    for one in found.get("refused", ()):
        print(f"- {one['kind']:<14} was not signed: {one['reason']}")
    print(f"{found['path']}: {found['state']}{': ' if found['reason'] else ''}{found['reason']}")


def _verify(session: iRODSSession, path: str, arguments: argparse.Namespace) -> int:
    if session.collections.exists(path):
        found = call(session, "attestation_verify", {"path": path})
        if arguments.json:
            program.print_json(found)
        else:
            for one in found["failures"]:
                print(f"{one['path']}: {one['state']}: {one['reason']}")
            print(
                f"{path}: {found['objects']} data objects, {found['state']}; judged by what the zone recorded, the bytes were not read"
            )
        return EXIT[found["state"]]
    given = _evidence(session, path)
    tree, _ = _read(session, path)
    verdict = _judged(tree, path, given, arguments.root)
    if arguments.json:
        program.print_json({"path": path, **verdict.as_json(), "root_given": arguments.root is not None})
    else:
        print("\n".join(as_text(path, verdict)))
    if arguments.svg is not None:
        arguments.svg.write_text(as_svg(path, verdict), "utf-8")
    return verdict.exit_status


def _export(session: iRODSSession, path: str, arguments: argparse.Namespace) -> None:
    asked: dict[str, Any] = {"text": path}
    if arguments.frame >= 0:
        asked |= {"chunk": arguments.frame, "dataset": arguments.dataset}
    text = call(session, "attestation_export", asked)
    if arguments.form == "evidence":
        file = arguments.file or Path(f"{_name(path)}.evidence.json")
        file.write_text(text, "utf-8")
        print(f"{file}: give it to who has the data, and say where your root.json is")
        return
    given = evidence.decoded(text.encode())
    if arguments.form == "prov":
        file = arguments.file or Path(f"{_name(path)}.prov.json")
        file.write_bytes(prov_json(path, _judged(_recorded(session, path), path, given, None)))
        print(f"{file}: the chain as PROV-JSON")
        return
    folder = arguments.file or Path(f"{_name(path)}.{arguments.form}")
    _write_crate(session, path, given, folder / "data" if arguments.form == "bag" else folder)
    if arguments.form == "bag":
        bag(folder, {"External-Identifier": path, "Bagging-Date": now()[:10]})
    print(f"{folder}: the file, its chain in words, as RO-Crate, and the evidence")


def _write_crate(session: iRODSSession, path: str, given: Evidence, folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"`{folder}` holds something already; nothing was written")
    folder.mkdir(parents=True, exist_ok=True)
    name = _name(path)
    with (folder / name).open("wb") as opened:
        tree, digest = _read(session, path, opened)
    size = (folder / name).stat().st_size
    about = About(name, f"{path}, with everything that is signed of it and of what it was made from", now())
    files = [CrateFile(name, path, size, digest, tree.root.hex())]
    for one, data in crate(files, {path: _judged(tree, path, given, None)}, given, about).items():
        (folder / one).write_bytes(data)


def _log(session: iRODSSession, path: str, arguments: argparse.Namespace) -> None:
    found = call(session, "statements", {"path": path, "state": arguments.state})
    if arguments.json:
        program.print_json(found)
        return
    for one in found:
        entry = "" if one["entry"] is None else f"entry {one['entry']}"
        print(
            f"{one['kind']:<14} {one['state']:<8} {entry:<14} {one['path']}{': ' if one['reason'] else ''}{one['reason']}"
        )


_RUN: dict[str, Callable[[iRODSSession, str, argparse.Namespace], int | None]] = {
    "attach": _attach,
    "show": _show,
    "verify": _verify,
    "export": _export,
    "log": _log,
}


def _published(session: iRODSSession, doi: str) -> str:
    """The collection, or object, that a DOI stands for: its metadata say so."""
    names = session.query(Collection.name).filter(CollectionMeta.name == "doi", CollectionMeta.value == doi)
    for row in names:
        return str(row[Collection.name])
    found = session.query(Collection.name, DataObject.name).filter(
        DataObjectMeta.name == "doi", DataObjectMeta.value == doi
    )
    for row in found:
        return f"{row[Collection.name]}/{row[DataObject.name]}"
    raise UserError(f"no collection and no data object that you may read has the metadata doi = {doi}")


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _evidence(session: iRODSSession, path: str) -> Evidence:
    return evidence.decoded(call(session, "attestation_export", {"text": path}).encode())


def _recorded(session: iRODSSession, path: str) -> BlockTree:
    """The tree that the zone recorded."""
    found = call(session, "block_tree", {"path": path})
    level = (found["run_bytes"] // BLOCK_BYTES).bit_length() - 1
    return BlockTree.decoded(found["bytes"], level, bytes.fromhex("".join(found["digests"])))


def _judged(tree: BlockTree, path: str, given: Evidence, root: Path | None) -> Verdict:
    if root is not None:
        believed = Root.read(dsse.decoded(root.read_bytes())).latest(given.root, given.roots)
    elif given.root is not None:
        believed = Root.read(given.root)
    else:
        raise UserError("the zone gave no root of keys")
    return judge(tree, path, given, Authority.of(believed, given.keys), Wanted(now=now()))


def _read(session: iRODSSession, path: str, into: Any = None) -> tuple[BlockTree, str]:
    """The tree over an object's bytes as they come, and their SHA-256."""
    digest = hashlib.sha256()
    with (
        session.data_objects.open(path, "r") as opened,
        tqdm(total=_size(session, path), unit="B", unit_scale=True, desc=_name(path), disable=None) as bar,
    ):

        def pieces() -> Iterator[bytes]:
            while piece := opened.read(_PIECE):
                digest.update(piece)
                if into is not None:
                    into.write(piece)
                bar.update(len(piece))
                yield piece

        return tree_of(pieces()), digest.hexdigest()


def _size(session: iRODSSession, path: str) -> int:
    return int(session.data_objects.get(path).size)
