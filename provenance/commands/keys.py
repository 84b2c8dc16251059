"""`beamgrid keys`: a root, keys of instruments and services, rotation and revocation."""

import argparse
import json
import time
from pathlib import Path

from provenance.authority import REASONS, ROLES, Authority, EntryRange, KeyRecord
from provenance.errors import Malformed
from provenance.keyfiles import ALGORITHMS, ED25519
from provenance.keyring import Keyring
from provenance.signing import now


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `keys`."""
    parser = commands.add_parser("keys", help="keys of instruments and services, and the root they are signed by", epilog=(
        "examples:\n  beamgrid keys init ./keys --zone maxiv --keys 3 --threshold 2\n"
        "  beamgrid keys issue ./keys maxiv/nanomax/eiger-0123#2026a --role instrument --scope /maxiv/data/nanomax\n"
        "  beamgrid keys rotate ./keys maxiv/nanomax/eiger-0123#2026a maxiv/nanomax/eiger-0123#2027a\n"
        "  beamgrid keys revoke ./keys maxiv/nanomax/eiger-0123#2026a --reason compromised --from 2026-11-01T00:00:00Z\n"
        "  beamgrid keys list ./keys"), formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    verbs = parser.add_subparsers(dest="keys", required=True, metavar="command")
    init = verbs.add_parser("init", help="make a root")
    init.add_argument("folder", type=Path)
    init.add_argument("--zone", required=True)
    init.add_argument("--keys", type=int, default=1, dest="keys_count", help="how many keys it has (1)")
    init.add_argument("--threshold", type=int, default=1, help="how many of them have to sign (1)")
    issue = verbs.add_parser("issue", help="make a key and sign its record")
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
    issue.add_argument(
        "--algorithm",
        choices=ALGORITHMS,
        default=ED25519,
        help="ml-dsa-65 is for second signatures (ed25519)",
    )
    issue.add_argument(
        "--public",
        metavar="HEX",
        default="",
        help="of a key that is on a token already, in hexadecimal digits",
    )
    rotate = verbs.add_parser("rotate", help="make a key that takes over from another")
    rotate.add_argument("folder", type=Path)
    rotate.add_argument("name")
    rotate.add_argument("successor")
    rotate.add_argument("--days", type=int, default=400)
    _add_revoke(verbs)
    new_root = verbs.add_parser("new-root", help="have a root of other keys take over")
    new_root.add_argument("folder", type=Path)
    new_root.add_argument("--keys", type=int, default=1, dest="keys_count", help="how many keys it has (1)")
    new_root.add_argument("--threshold", type=int, default=1, help="how many of them have to sign (1)")
    listed = verbs.add_parser("list", help="all keys")
    listed.add_argument("folder", type=Path)
    listed.add_argument("--json", action="store_true")


def _add_revoke(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    revoke = verbs.add_parser("revoke", help="say that a key is not valid any more")
    revoke.add_argument("folder", type=Path)
    revoke.add_argument("name")
    revoke.add_argument("--reason", required=True, choices=REASONS)
    revoke.add_argument("--from", dest="since", default="", metavar="TIME", help="from when on (now)")
    revoke.add_argument(
        "--last-good", default="", metavar="TIME", help="until when it surely was in good hands (as --from)"
    )
    revoke.add_argument(
        "--log", default="", metavar="ORIGIN", help="count by the entries of a log, not by a clock"
    )
    revoke.add_argument("--from-entry", type=int, metavar="N", help="not valid from this entry of the log on")
    revoke.add_argument(
        "--last-good-entry", type=int, metavar="N", help="suspect after this entry (as --from-entry)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run `keys`."""
    if arguments.keys == "init":
        ring = Keyring.create(
            arguments.folder, arguments.zone, keys=arguments.keys_count, threshold=arguments.threshold
        )
        print(f"{ring.folder}/root.json is the root of {arguments.zone}; give it to everybody who verifies")
        print(f"{ring.folder}/private holds its keys: keep them off this machine")
        return 0
    ring = Keyring(arguments.folder)
    if arguments.keys == "issue":
        _issue(ring, arguments)
    elif arguments.keys == "rotate":
        file = ring.rotate(
            arguments.name,
            arguments.successor,
            not_before=now(),
            not_after=_after(arguments.days),
            time=now(),
        )
        print(f"{arguments.successor} takes over from {arguments.name}; take {file} to where it signs")
    elif arguments.keys == "new-root":
        root = ring.new_root(keys=arguments.keys_count, threshold=arguments.threshold)
        print(
            f"{ring.folder}/root.json is version {root.version}; who believes an earlier one believes it too"
        )
    elif arguments.keys == "revoke":
        _revoke(ring, arguments)
    else:
        _list(ring.authority(), as_json=arguments.json)
    return 0


def _issue(ring: Keyring, arguments: argparse.Namespace) -> None:
    ring.root_envelope()
    said = (arguments.role, tuple(arguments.scope), now(), _after(arguments.days))
    if arguments.public:
        record = ring.issue_for_token(arguments.name, arguments.public, *said, time=now())
        print(f"{arguments.name} ({record.keyid}) may sign as {arguments.role}, on the token that holds it")
        return
    key, file = ring.new_key(arguments.name, arguments.algorithm)
    try:
        ring.issue(KeyRecord(arguments.name, key.public, *said), key, time=now())
    except BaseException:
        file.unlink()
        raise
    print(f"{arguments.name} ({key.keyid}) may sign as {arguments.role}; take {file} to where it signs")


def _revoke(ring: Keyring, arguments: argparse.Namespace) -> None:
    since = arguments.since or now()
    entries = None
    if arguments.log or arguments.from_entry is not None or arguments.last_good_entry is not None:
        if not arguments.log or arguments.from_entry is None:
            raise Malformed(
                "--log ORIGIN and --from-entry N say together from which entry on a key is not valid"
            )
        good = arguments.from_entry if arguments.last_good_entry is None else arguments.last_good_entry
        entries = EntryRange(arguments.log, good, arguments.from_entry)
    ring.revoke(
        arguments.name, arguments.reason, invalid_from=since, last_good=arguments.last_good or since, time=now(), entries=entries
    )  # fmt: skip
    counted = f", entry {arguments.from_entry} of {arguments.log}" if entries else ""
    print(f"{arguments.name} is {arguments.reason} since {since}{counted}")


def _after(days: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + days * 86_400))


def _list(authority: Authority, *, as_json: bool) -> None:
    rows = []
    for keyid, record in sorted(authority.records.items(), key=lambda one: one[1].name):
        revoked = authority.revocations.get(keyid)
        state = (
            f"{revoked.reason} since {revoked.invalid_from}" if revoked else f"valid to {record.not_after}"
        )
        rows.append(
            {
                "name": record.name, "keyid": keyid, "algorithm": record.public.algorithm, "role": record.role,
                "scope": list(record.scope), "storage": record.storage, "state": state,
            }
        )  # fmt: skip
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    root = authority.root
    print(
        f"root of {root.zone}, version {root.version}: {root.threshold} of {len(root.keys)} keys have to sign"
    )
    for row in rows:
        print(
            f"  {row['keyid']}  {row['name']:<40} {row['role']:<13} {row['state']}  {' '.join(row['scope'])}"
        )
