"""`beamgrid policy sign` and `accept`: stewards sign files, and a zone keeps what they signed."""

import argparse
from pathlib import Path
from typing import Any

from grid import app
from grid.errors import ConfigurationError
from grid.policy import bundles, signatures
from grid.policy.grants import BundleError
from provenance.errors import ProvenanceError
from provenance.signing import now
from provenance.tokens import load_key


def add_parsers(verbs: Any) -> None:
    """Add both to `beamgrid policy`."""
    sign = verbs.add_parser("sign", help="sign files as a steward, without any zone")
    sign.add_argument("file", type=Path, nargs="+")
    sign.add_argument(
        "--key", type=Path, required=True, help="the steward's private key, or the description of a token"
    )
    sign.add_argument("--zone", default="", help="check them as policies of this zone")
    sign.add_argument(
        "--out",
        type=Path,
        default=Path("policies.signatures.json"),
        help="(policies.signatures.json; added to)",
    )
    accept = verbs.add_parser("accept", help="keep stewards' signatures, for pushes that come")
    accept.add_argument("dir", type=Path)
    accept.add_argument("signatures", type=Path)


def sign(arguments: argparse.Namespace) -> int:
    """Sign files as a steward."""
    sources = {file.name: file.read_text("utf-8") for file in arguments.file}
    _, meant, found = bundles.examined(sources, arguments.zone)
    wrong = [finding.render(source) for source, finding in found if not finding.is_warning]
    if wrong:
        raise BundleError("\n".join(wrong))
    try:
        key = load_key(arguments.key)
        there = signatures.decoded(arguments.out.read_bytes()) if arguments.out.exists() else []
    except ProvenanceError as error:
        raise ConfigurationError(str(error)) from error
    made = signatures.signed(meant, sources, key, actor=key.name, time=now())
    arguments.out.write_bytes(signatures.encoded([*there, *made]))
    for policy in meant:
        effects = signatures.effects_of(policy)
        needed = signatures.signatures_needed(effects)
        print(
            f"{policy.name} version {policy.version}: signed by {key.name}; it can do {', '.join(effects) or 'nothing'}, so {needed} have to sign"
        )
    print(f"{arguments.out}: hand it in with `beamgrid policy accept DIR {arguments.out}`")
    return 0


def accept(arguments: argparse.Namespace) -> int:
    """Keep signatures in a zone."""
    zone = app.open_zone(arguments.dir)
    try:
        assert zone.policy.trust is not None, "a zone that is opened has one"
        kept = zone.policy.trust.keep(zone.database, arguments.signatures.read_bytes())
    finally:
        zone.close()
    for name, steward in kept:
        print(f"{name}: signed by {steward}")
    return 0
