"""`beamgrid log`: a log that only grows, its receipts, and witnesses of other logs."""

import argparse
from dataclasses import replace
from pathlib import Path

from provenance import evidence, notes, receipts
from provenance.commands.signing import with_authority
from provenance.errors import ProofRefused
from provenance.files import write_for_good
from provenance.keyfiles import FileKey
from provenance.log import LogWriter, audited, entry_of
from provenance.receipts import Receipt
from provenance.statements import read


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `log`."""
    parser = commands.add_parser("log", help="a log of statements that only grows, as files that anybody may copy and check", epilog=(
        "examples:\n  beamgrid keys issue ./keys maxiv.example/prov/2026 --role log\n"
        "  beamgrid log append ./log run7.h5.evidence.json --key log.key\n  beamgrid log check ./log\n"
        "  beamgrid log witness ./seen --key witness.key --port 8080 --log esrf.example/prov/2026=HEX\n"
        "  beamgrid log cosign ./log --witness http://witness.esrf.example:8080 --policy partners.policy"),
        formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    verbs = parser.add_subparsers(dest="log", required=True, metavar="command")
    append = verbs.add_parser("append", help="add the statements of evidence, and put receipts into it")
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
    check = verbs.add_parser(
        "check", help="read every entry and compare with the checkpoint; tell what looks wrong"
    )
    check.add_argument("folder", type=Path)
    witness = verbs.add_parser("witness", help="cosign the states of others' logs that only grow, over HTTP")
    witness.add_argument("folder", type=Path, help="where it keeps what it saw last")
    witness.add_argument("--key", type=Path, required=True, help="the witness's private key")
    witness.add_argument("--host", default="127.0.0.1")
    witness.add_argument("--port", type=int, default=0, help="(any)")
    witness.add_argument(
        "--log",
        action="append",
        default=[],
        dest="logs",
        metavar="ORIGIN=HEX",
        required=True,
        help="a log that it watches, with its public key; may be repeated",
    )
    cosign = verbs.add_parser("cosign", help="have witnesses sign the log's latest state")
    cosign.add_argument("folder", type=Path)
    cosign.add_argument(
        "--witness", action="append", default=[], dest="witnesses", metavar="URL", required=True
    )
    cosign.add_argument(
        "--policy", type=Path, required=True, help="who counts, and how many (C2SP tlog-policy)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run `log`."""
    if arguments.log == "check":
        return _check(arguments.folder)
    if arguments.log == "append":
        return _append(arguments)
    from provenance import witnessing

    if arguments.log == "witness":
        return witnessing.serve_from(
            arguments.folder, arguments.key, arguments.host, arguments.port, arguments.logs
        )
    return witnessing.cosign_from(arguments.folder, arguments.witnesses, arguments.policy)


def _check(folder: Path) -> int:
    from provenance.monitoring import alarms

    state = audited(folder)
    print(f"{state.origin}: {state.size} entries, {state.root.hex()}: every one is there")
    found = alarms(folder, state.size)
    for alarm in found:
        print(f"alarm: {alarm}")
    return 40 if found else 0


def _append(arguments: argparse.Namespace) -> int:
    key = FileKey.load(arguments.key)
    state_file = arguments.state or arguments.key.with_name(f"{arguments.key.name}.state")
    writer = LogWriter(arguments.folder, state_file, key)
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
        changed = with_authority(one, arguments.authority)
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
