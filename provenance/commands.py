"""`beamgrid keys`, `sign`, `log` and `verify`: they need no server, and nothing but the standard library and `cryptography`."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from provenance import dsse, evidence, notes, receipts
from provenance.authority import REASONS, ROLES, Authority, KeyRecord, Root
from provenance.errors import Malformed, ProofRefused, ProvenanceError
from provenance.evidence import Evidence
from provenance.files import write_for_good
from provenance.keyfiles import FileKey
from provenance.keyring import Keyring
from provenance.log import LogInconsistent, LogWriter, audited, entry_of
from provenance.receipts import Receipt
from provenance.signing import Acquisition, now, read_file, sign_files
from provenance.statements import read
from provenance.states import EXIT, LOG_INCONSISTENT
from provenance.verdict import NOT_COVERED, Verdict, judge

NAMES = ("keys", "sign", "log", "verify")
USAGE = 50

_RAW = argparse.RawDescriptionHelpFormatter


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to a program's."""
    _add_keys(commands.add_parser("keys", help="keys of instruments and services, and the root they are signed by", epilog=(
        "examples:\n  beamgrid keys init ./keys --zone maxiv --keys 3 --threshold 2\n"
        "  beamgrid keys issue ./keys maxiv/nanomax/eiger-0123#2026a --role instrument --scope /maxiv/data/nanomax\n"
        "  beamgrid keys rotate ./keys maxiv/nanomax/eiger-0123#2026a maxiv/nanomax/eiger-0123#2027a\n"
        "  beamgrid keys revoke ./keys maxiv/nanomax/eiger-0123#2026a --reason compromised --from 2026-11-01T00:00:00Z\n"
        "  beamgrid keys list ./keys"), formatter_class=_RAW))  # fmt: skip
    sign = commands.add_parser("sign", help="sign what an instrument measured", epilog=(
        "example:\n  beamgrid sign acquisition run7.h5 --as /maxiv/data/nanomax/run7.h5 --key eiger.key --beamline nanomax \\\n"
        "    --instrument eiger2x1m --stream run7 --authority ./keys"), formatter_class=_RAW)  # fmt: skip
    sign.add_argument("what", choices=("acquisition",))
    sign.add_argument("file", type=Path)
    sign.add_argument("--as", dest="path", required=True, help="its logical path")
    sign.add_argument("--key", type=Path, required=True, help="the instrument's private key")
    sign.add_argument("--beamline", required=True)
    sign.add_argument("--instrument", required=True)
    sign.add_argument("--stream", required=True, help="what tells this measurement from others")
    sign.add_argument("--visit", default="")
    sign.add_argument("--serial", default="", help="of the detector")
    sign.add_argument("--firmware", default="")
    sign.add_argument("--frames", type=int, help="how many")
    sign.add_argument(
        "--authority", type=Path, help="a folder of keys, whose public part goes into the evidence"
    )
    sign.add_argument("--out", type=Path, help="where the evidence goes (FILE.evidence.json)")
    _add_log(commands.add_parser("log", help="a log of statements that only grows, as files that anybody may copy and check", epilog=(
        "examples:\n  beamgrid keys issue ./keys maxiv.example/prov/2026 --role log\n"
        "  beamgrid log append ./log run7.h5.evidence.json --key log.key\n  beamgrid log check ./log"), formatter_class=_RAW))  # fmt: skip
    verify = commands.add_parser("verify", help="judge a file by its evidence, without any server", epilog=(
        "example:\n  beamgrid verify run7.h5 --root maxiv-root.json\n\n"
        "exit status: 0 verified, 10 unsigned, 20 evidence is incomplete, 40 tampered or not valid, 50 wrong use"),
        formatter_class=_RAW)  # fmt: skip
    verify.add_argument("file", type=Path)
    verify.add_argument("--evidence", type=Path, help="(FILE.evidence.json)")
    verify.add_argument(
        "--root",
        type=Path,
        help="the root that you believe; else the one in the evidence, which anybody could have made",
    )
    verify.add_argument("--as", dest="path", default="", help="the logical path that it should be")
    verify.add_argument("--json", action="store_true")


def _add_log(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="log", required=True, metavar="command")
    append = commands.add_parser("append", help="add the statements of evidence, and put receipts into it")
    append.add_argument("folder", type=Path, help="the log's; publish it with any web server")
    append.add_argument("files", type=Path, nargs="+", metavar="evidence")
    append.add_argument(
        "--key", type=Path, required=True, help="the log's private key; its name is the log's"
    )
    append.add_argument(
        "--state", type=Path, help="what was signed last, kept apart from the log (KEY.state)"
    )
    append.add_argument(
        "--authority", type=Path, help="a folder of keys, whose public part goes into the evidence anew"
    )
    check = commands.add_parser("check", help="read every entry and compare with the checkpoint")
    check.add_argument("folder", type=Path)


def _add_keys(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="keys", required=True, metavar="command")
    init = commands.add_parser("init", help="make a root")
    init.add_argument("folder", type=Path)
    init.add_argument("--zone", required=True)
    init.add_argument("--keys", type=int, default=1, dest="keys_count", help="how many keys it has (1)")
    init.add_argument("--threshold", type=int, default=1, help="how many of them have to sign (1)")
    issue = commands.add_parser("issue", help="make a key and sign its record")
    issue.add_argument("folder", type=Path)
    issue.add_argument("name")
    issue.add_argument("--role", required=True, choices=ROLES)
    issue.add_argument(
        "--scope",
        action="append",
        default=[],
        metavar="PATH",
        help="below which it may sign; may be repeated",
    )
    issue.add_argument("--days", type=int, default=400, help="how long it is valid (400)")
    rotate = commands.add_parser("rotate", help="make a key that takes over from another")
    rotate.add_argument("folder", type=Path)
    rotate.add_argument("name")
    rotate.add_argument("successor")
    rotate.add_argument("--days", type=int, default=400)
    revoke = commands.add_parser("revoke", help="say that a key is not valid any more")
    revoke.add_argument("folder", type=Path)
    revoke.add_argument("name")
    revoke.add_argument("--reason", required=True, choices=REASONS)
    revoke.add_argument("--from", dest="since", default="", metavar="TIME", help="from when on (now)")
    revoke.add_argument(
        "--last-good", default="", metavar="TIME", help="until when it surely was in good hands (as --from)"
    )
    listed = commands.add_parser("list", help="all keys")
    listed.add_argument("folder", type=Path)
    listed.add_argument("--json", action="store_true")


def main(argv: Sequence[str]) -> int:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(prog="beamgrid")
    add_parsers(parser.add_subparsers(dest="command", required=True))
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as ended:
        return USAGE if ended.code else 0
    try:
        return {"keys": _keys, "sign": _sign, "log": _log, "verify": _verify}[str(arguments.command)](
            arguments
        )
    except LogInconsistent as error:
        print(f"beamgrid: {error}", file=sys.stderr)
        return EXIT[LOG_INCONSISTENT]
    except ProvenanceError as error:
        print(f"beamgrid: {error}", file=sys.stderr)
    except OSError as error:
        print(f"beamgrid: {error.strerror}: {error.filename or ''}", file=sys.stderr)
    return USAGE


def _after(days: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + days * 86_400))


def _keys(arguments: argparse.Namespace) -> int:
    if arguments.keys == "init":
        ring = Keyring.create(
            arguments.folder, arguments.zone, keys=arguments.keys_count, threshold=arguments.threshold
        )
        print(f"{ring.folder}/root.json is the root of {arguments.zone}; give it to everybody who verifies")
        print(f"{ring.folder}/private holds its keys: keep them off this machine")
        return 0
    ring = Keyring(arguments.folder)
    if arguments.keys == "issue":
        ring.root_envelope()
        key, file = ring.new_key(arguments.name)
        record = KeyRecord(
            arguments.name, key.public, arguments.role, tuple(arguments.scope), now(), _after(arguments.days)
        )
        try:
            ring.issue(record, key, time=now())
        except BaseException:
            file.unlink()
            raise
        print(f"{arguments.name} ({key.keyid}) may sign as {arguments.role}; take {file} to where it signs")
    elif arguments.keys == "rotate":
        file = ring.rotate(
            arguments.name,
            arguments.successor,
            not_before=now(),
            not_after=_after(arguments.days),
            time=now(),
        )
        print(f"{arguments.successor} takes over from {arguments.name}; take {file} to where it signs")
    elif arguments.keys == "revoke":
        since = arguments.since or now()
        ring.revoke(
            arguments.name,
            arguments.reason,
            invalid_from=since,
            last_good=arguments.last_good or since,
            time=now(),
        )
        print(f"{arguments.name} is {arguments.reason} since {since}")
    else:
        _list(ring.authority(), as_json=arguments.json)
    return 0


def _list(authority: Authority, *, as_json: bool) -> None:
    rows = []
    for keyid, record in sorted(authority.records.items(), key=lambda one: one[1].name):
        revoked = authority.revocations.get(keyid)
        state = (
            f"{revoked.reason} since {revoked.invalid_from}" if revoked else f"valid to {record.not_after}"
        )
        rows.append(
            {
                "name": record.name,
                "keyid": keyid,
                "role": record.role,
                "scope": list(record.scope),
                "state": state,
            }
        )
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    root = authority.root
    print(
        f"root of {root.zone}, version {root.version}: {root.threshold} of {len(root.keys)} keys have to sign"
    )
    for row in rows:
        print(
            f"  {row['keyid']}  {row['name']:<40} {row['role']:<12} {row['state']}  {' '.join(row['scope'])}"
        )


def _sign(arguments: argparse.Namespace) -> int:
    said = Acquisition(
        arguments.beamline, arguments.instrument, arguments.stream, arguments.visit, arguments.serial, arguments.firmware,
        arguments.frames,
    )  # fmt: skip
    key = FileKey.load(arguments.key)
    made = sign_files([(arguments.path, arguments.file)], said, key, actor=key.name)
    made = _with_authority(made, arguments.authority)
    out = arguments.out or _beside(arguments.file)
    out.write_bytes(made.encoded())
    print(f"{out}: {arguments.path} as {made.trees[0].root.hex()}, signed by {key.name}")
    return 0


def _with_authority(given: Evidence, folder: Path | None) -> Evidence:
    """Evidence with root and records of keys as a folder has them now."""
    if folder is None:
        return given
    ring = Keyring(folder)
    return replace(given, root=ring.root_envelope(), keys=tuple(ring.envelopes()))


def _beside(file: Path) -> Path:
    return file.with_name(f"{file.name}.evidence.json")


def _verify(arguments: argparse.Namespace) -> int:
    given = evidence.decoded((arguments.evidence or _beside(arguments.file)).read_bytes())
    authority = Authority.of(_root(arguments.root, given), given.keys)
    verdict = judge(read_file(arguments.file)[0], arguments.path, given, authority)
    if arguments.json:
        print(
            json.dumps(
                {
                    **verdict.as_json(),
                    "root_of": authority.root.zone,
                    "root_given": arguments.root is not None,
                },
                indent=2,
            )
        )
    else:
        _print(arguments.file, verdict)
        if arguments.root is None:
            print(
                "The root of the keys was taken from the evidence itself; with --root you say whom you believe."
            )
    return verdict.exit_status


def _log(arguments: argparse.Namespace) -> int:
    if arguments.log == "check":
        state = audited(arguments.folder)
        print(f"{state.origin}: {state.size} entries, {state.root.hex()}: every one is there")
        return 0
    key = FileKey.load(arguments.key)
    writer = LogWriter(
        arguments.folder, arguments.state or arguments.key.with_name(f"{arguments.key.name}.state"), key
    )
    given = [(file, evidence.decoded(file.read_bytes())) for file in arguments.files]
    wanted = [
        (number, entry)
        for number, (_, one) in enumerate(given)
        for entry in (entry_of(envelope, read(envelope)) for envelope in one.statements)
        if not any(_holds(receipt, entry) for receipt in one.receipts)
    ]
    first, state = writer.append([entry for _, entry in wanted])
    note = notes.decoded((arguments.folder / "checkpoint").read_text("utf-8")) if state.size else None
    for number, (file, one) in enumerate(given):
        places = [first + place for place, (owner, _) in enumerate(wanted) if owner == number]
        changed = _with_authority(one, arguments.authority)
        if places and note is not None:
            made = receipts.receipts(writer.tiles, places, note)
            changed = replace(changed, receipts=(*one.receipts, *made))
        if changed != one:
            write_for_good(file, changed.encoded())
        print(f"{file}: {f'entry {places[0]} of {state.origin}' if places else 'is in the log already'}")
    return 0


def _holds(receipt: Receipt, entry: bytes) -> bool:
    try:
        receipt.check(entry)
    except ProofRefused:
        return False
    return True


def _root(file: Path | None, given: Evidence) -> Root:
    if file is not None:
        return Root.read(dsse.decoded(file.read_bytes()))
    if given.root is None:
        raise Malformed("the evidence holds no root of keys; name the one that you believe with --root")
    return Root.read(given.root)


def _print(file: Path, verdict: Verdict) -> None:
    for number, step in enumerate(verdict.steps, 1):
        instrument = f"{step.said.get('beamline', '')}/{step.said.get('instrument', '')}"
        frames = f"{step.said['frames']:,} frames" if "frames" in step.said else ""
        print(
            f"{number} {step.kind:<14} {instrument:<24} {step.time:<21} {frames:<16} {step.state}  {step.signer}"
        )
    print(f"{file}: {verdict.state}{': ' if verdict.reason else ''}{verdict.reason}")
    print(NOT_COVERED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
