"""`beamgrid sign`: what an instrument measured, and what somebody says of how a result was made."""

import argparse
from dataclasses import replace
from pathlib import Path

from provenance import evidence
from provenance.errors import Malformed
from provenance.evidence import Evidence
from provenance.keyfiles import FileKey
from provenance.keyring import Keyring
from provenance.signing import Acquisition, Claim, sign_files, sign_process
from provenance.tokens import load_key


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `sign`."""
    sign = commands.add_parser("sign", help="sign what an instrument measured, or what a program made", epilog=(
        "examples:\n  beamgrid sign acquisition run7.h5 --as /maxiv/data/nanomax/run7.h5 --key eiger.key --beamline nanomax \\\n"
        "    --instrument eiger2x1m --stream run7 --authority ./keys\n"
        "  beamgrid sign process figure3.h5 --as /maxiv/home/anna/figure3.h5 --key anna.key --command 'python fit.py' \\\n"
        "    --input run7.h5=/maxiv/data/nanomax/run7.h5 --with run7.h5.evidence.json"),
        formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    sign.add_argument("what", choices=("acquisition", "process"))
    sign.add_argument("file", type=Path)
    sign.add_argument("--as", dest="path", required=True, help="its logical path")
    sign.add_argument(
        "--key", type=Path, required=True, help="the private key, or the description of a token (NAME.token)"
    )
    sign.add_argument(
        "--also",
        type=Path,
        action="append",
        default=[],
        metavar="KEY",
        help="a second signature, such as one by ml-dsa-65",
    )
    measured = sign.add_argument_group("acquisition")
    measured.add_argument("--beamline")
    measured.add_argument("--instrument")
    measured.add_argument("--stream", help="what tells this measurement from others")
    measured.add_argument("--visit", default="")
    measured.add_argument("--serial", default="", help="of the detector")
    measured.add_argument("--firmware", default="")
    measured.add_argument("--frames", type=int, help="how many")
    made = sign.add_argument_group("process")
    made.add_argument("--command", dest="program", default="", metavar="TEXT", help="what was run")
    made.add_argument(
        "--input", action="append", default=[], metavar="FILE=PATH", help="what was read; may be repeated"
    )
    made.add_argument(
        "--with",
        type=Path,
        action="append",
        default=[],
        dest="given",
        metavar="EVIDENCE",
        help="evidence of an input, which is taken along",
    )
    sign.add_argument(
        "--authority", type=Path, help="a folder of keys, whose public part goes into the evidence"
    )
    sign.add_argument("--out", type=Path, help="where the evidence goes (FILE.evidence.json)")


def run(arguments: argparse.Namespace) -> int:
    """Run `sign`."""
    key = load_key(arguments.key)
    also = [FileKey.load(file) for file in arguments.also]
    if arguments.what == "acquisition":
        missing = [name for name in ("beamline", "instrument", "stream") if not getattr(arguments, name)]
        if missing:
            raise Malformed(f"an acquisition needs --{' and --'.join(missing)}")
        said = Acquisition(
            arguments.beamline, arguments.instrument, arguments.stream, arguments.visit, arguments.serial, arguments.firmware,
            arguments.frames,
        )  # fmt: skip
        made = sign_files([(arguments.path, arguments.file)], said, key, actor=key.name, also=also)
    else:
        if not arguments.program or not arguments.input:
            raise Malformed("a process needs --command TEXT and at least one --input FILE=PATH")
        inputs = [_input(text) for text in arguments.input]
        claim = Claim(arguments.program, tuple(inputs))
        made = sign_process([(arguments.path, arguments.file)], claim, key, actor=key.name, also=also)
        made = evidence.joined([*(evidence.decoded(file.read_bytes()) for file in arguments.given), made])
    made = with_authority(made, arguments.authority)
    out = arguments.out or beside(arguments.file)
    out.write_bytes(made.encoded())
    print(f"{out}: {arguments.path} as {made.trees[-1].root.hex()}, signed by {key.name}")
    return 0


def _input(text: str) -> tuple[str, Path]:
    file, given, path = text.partition("=")
    if not given or not path.startswith("/"):
        raise Malformed(
            f"found --input `{text}`; FILE=PATH was expected, such as run7.h5=/maxiv/data/nanomax/run7.h5"
        )
    return path, Path(file)


def with_authority(given: Evidence, folder: Path | None) -> Evidence:
    """Evidence with root and records of keys as a folder has them now."""
    if folder is None:
        return given
    ring = Keyring(folder)
    return replace(
        given, root=ring.root_envelope(), keys=tuple(ring.envelopes()), roots=tuple(ring.earlier_roots())
    )


def beside(file: Path) -> Path:
    """Where evidence of a file is looked for."""
    return file.with_name(f"{file.name}.evidence.json")
