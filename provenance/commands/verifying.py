"""`beamgrid verify`: a file, or one stored chunk of it, judged by its evidence."""

import argparse
import json
from pathlib import Path

from provenance import dsse, evidence
from provenance.authority import Authority, Root
from provenance.commands.archives import evidence_bytes
from provenance.commands.signing import beside
from provenance.errors import Malformed
from provenance.evidence import Evidence
from provenance.judging import Wanted
from provenance.keyfiles import FileKey
from provenance.showing import as_svg, as_text
from provenance.signing import now, read_file
from provenance.verdict import Verdict, judge, judge_chunk


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `verify`."""
    verify = commands.add_parser("verify", help="judge a file by its evidence, without any server", epilog=(
        "examples:\n  beamgrid verify run7.h5 --root maxiv-root.json\n"
        "  beamgrid verify run7.h5 --root maxiv-root.json --frame 51234\n"
        "  beamgrid verify run7.h5 --root maxiv-root.json --witnesses partners.policy --svg chain.svg\n\n"
        "With a session of iinit, a path of the zone or a DOI is judged too: beamgrid verify /maxiv/data/nanomax/run7.h5\n\n"
        "exit status: 0 verified, 10 boundary of trust reached, 20 evidence is incomplete, 30 suspect, 40 tampered or not valid, 50 wrong use"),
        formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    verify.add_argument("file", type=Path)
    verify.add_argument("--evidence", type=Path, help="a file, a crate or a zip of one (FILE.evidence.json)")
    verify.add_argument(
        "--root",
        type=Path,
        help="the root that you believe; else the one in the evidence, which anybody could have made",
    )
    verify.add_argument("--as", dest="path", default="", help="the logical path that it should be")
    verify.add_argument(
        "--frame", type=int, metavar="N", help="judge one stored chunk of a dataset only, from 0"
    )
    verify.add_argument(
        "--dataset", default="", metavar="PATH", help="of which dataset (the one that the evidence has)"
    )
    verify.add_argument(
        "--witnesses",
        type=Path,
        metavar="POLICY",
        help="who else has to have seen the log (C2SP tlog-policy)",
    )
    verify.add_argument("--at", default="", metavar="TIME", help="refuse what is of a later time (now)")
    verify.add_argument("--json", action="store_true")
    verify.add_argument("--svg", type=Path, metavar="FILE", help="draw the chain")
    verify.add_argument(
        "--svr", type=Path, metavar="FILE", help="write the verdict as an in-toto summary, signed with --key"
    )
    verify.add_argument(
        "--statement",
        type=Path,
        metavar="FILE",
        help="write the verdict as a statement `verdict`, signed with --key",
    )
    verify.add_argument("--key", type=Path, help="the verifier's private key")


def run(arguments: argparse.Namespace) -> int:
    """Run `verify`."""
    given = evidence.decoded(evidence_bytes(arguments.evidence or beside(arguments.file)))
    authority = Authority.of(_root(arguments.root, given), given.keys)
    wanted = _wanted(arguments)
    if arguments.frame is not None:
        with arguments.file.open("rb", buffering=0) as opened:

            def read(offset: int, count: int) -> bytes:
                opened.seek(offset)
                return bytes(opened.read(count))

            verdict = judge_chunk(read, arguments.dataset, arguments.frame, given, authority, wanted)
    else:
        verdict = judge(read_file(arguments.file)[0], arguments.path, given, authority, wanted)
    _show(arguments, verdict, authority)
    return verdict.exit_status


def _wanted(arguments: argparse.Namespace) -> Wanted:
    policy = None
    if arguments.witnesses is not None:
        from provenance.witnesses import parse_policy

        policy = parse_policy(arguments.witnesses.read_text("utf-8"))
    if arguments.at:
        from provenance.predicates import TIME

        if not TIME.fullmatch(arguments.at):
            raise Malformed(f"found --at `{arguments.at}`; a time such as 2026-11-21T10:00:00Z was expected")
    return Wanted(policy, arguments.at or now())


def _show(arguments: argparse.Namespace, verdict: Verdict, authority: Authority) -> None:
    if arguments.json:
        said = {**verdict.as_json(), "root_of": authority.root.zone, "root_given": arguments.root is not None}
        print(json.dumps(said, indent=2))
    else:
        print("\n".join(as_text(str(arguments.file), verdict)))
        if arguments.root is None:
            print(
                "The root of the keys was taken from the evidence itself; with --root you say whom you believe."
            )
    if arguments.svg is not None:
        arguments.svg.write_text(as_svg(str(arguments.file.name), verdict), "utf-8")
    for file, make in ((arguments.svr, "summary"), (arguments.statement, "statement")):
        if file is not None:
            _write_signed(file, make, arguments, verdict)


def _write_signed(file: Path, make: str, arguments: argparse.Namespace, verdict: Verdict) -> None:
    if arguments.key is None:
        raise Malformed("a verdict that is handed on is signed: say with which key, --key FILE")
    from provenance.handing_on import as_statement, as_summary

    key = FileKey.load(arguments.key)
    made = {"summary": as_summary, "statement": as_statement}[make](
        str(arguments.path or arguments.file.name), verdict, key.name, arguments.at or now()
    )
    file.write_bytes(made.envelope().signed(key).encoded())


def _root(file: Path | None, given: Evidence) -> Root:
    if file is not None:
        return Root.read(dsse.decoded(file.read_bytes())).latest(given.root, given.roots)
    if given.root is None:
        raise Malformed("the evidence holds no root of keys; name the one that you believe with --root")
    return Root.read(given.root)
