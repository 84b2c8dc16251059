"""A key officer's folder: the root, its private keys, records and revocations; and keys that are issued.

DIR/root.json                signed root, to be given to everybody who verifies
DIR/private/root-1.key       better kept elsewhere: they are needed only to issue, rotate and revoke
DIR/private/NAME.key         keys that were issued, to be moved to where they sign
DIR/records/NAME.json        signed records
DIR/revocations/NAME.json    signed revocations
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from provenance import dsse
from provenance.authority import (
    ROLES,
    Authority,
    EntryRange,
    KeyRecord,
    NotAuthorised,
    Root,
    revocation,
    signed_by_all,
)
from provenance.dsse import Envelope
from provenance.errors import Malformed, ProvenanceError
from provenance.files import write_for_good
from provenance.keyfiles import ED25519, FileKey, KeyRefused, PublicKey


class KeyUnknown(ProvenanceError):
    """There is no such key."""


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)


@dataclass(frozen=True, slots=True)
class Keyring:
    """One such folder."""

    folder: Path

    @classmethod
    def create(cls, folder: Path, zone: str, *, keys: int, threshold: int) -> "Keyring":
        """Make a root of `keys` keys, of which `threshold` have to sign.

        Raises:
            KeyRefused: the folder has a root already.
            Malformed: the numbers do not fit.
        """
        if (folder / "root.json").exists():
            raise KeyRefused(f"`{folder}` has a root already; nothing was changed")
        if not 1 <= threshold <= keys <= 16:
            raise Malformed(f"found {threshold} of {keys} root keys; 1 of 1 to 16 of 16 were expected")
        for name in ("private", "records", "revocations"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "private").chmod(0o700)
        made = [
            FileKey.make(folder / f"private/root-{number}.key", f"{zone}/root-{number}")
            for number in range(1, keys + 1)
        ]
        root = Root(zone, 1, threshold, {key.keyid: key.public for key in made})
        write_for_good(folder / "root.json", root.envelope().signed(*made[:threshold]).encoded())
        return cls(folder)

    def root_envelope(self) -> Envelope:
        """The signed root.

        Raises:
            KeyUnknown: the folder has none.
        """
        try:
            return dsse.decoded((self.folder / "root.json").read_bytes())
        except FileNotFoundError:
            raise KeyUnknown(
                f"`{self.folder}` has no root; make one: beamgrid keys init {self.folder} --zone ZONE"
            ) from None

    def earlier_roots(self) -> list[Envelope]:
        """The roots before the one in force, the first first, without those that are not there any more."""
        return [dsse.decoded(file.read_bytes()) for file in sorted((self.folder / "roots").glob("*.json"))]

    def new_root(self, *, keys: int, threshold: int) -> Root:
        """Have a root of other keys take over: signed by enough keys of both, and all records anew by the new one.

        The private keys of the old one stay in `private`, under `retired`, until somebody destroys them.

        Raises:
            NotAuthorised: too few keys of the old root are here.
            Malformed: the numbers do not fit.
        """
        if not 1 <= threshold <= keys <= 16:
            raise Malformed(f"found {threshold} of {keys} root keys; 1 of 1 to 16 of 16 were expected")
        old, signers = Root.read(self.root_envelope()), self._root_keys()
        version, retired = old.version + 1, self.folder / "private/retired"
        made = [
            FileKey.make(self.folder / f"private/new-{number}.key", f"{old.zone}/root-{version}-{number}")
            for number in range(1, keys + 1)
        ]
        root = Root(old.zone, version, threshold, {key.keyid: key.public for key in made})
        envelope = root.envelope().signed(*signers, *made[:threshold])
        again = [
            (file, Envelope(found.payload, found.payload_type).signed(*made[:threshold]))
            for name in ("records", "revocations")
            for file in sorted((self.folder / name).glob("*.json"))
            for found in (dsse.decoded(file.read_bytes()),)
        ]
        write_for_good(self.folder / f"roots/{old.version:06d}.json", self.root_envelope().encoded())
        retired.mkdir(exist_ok=True)
        for file in sorted((self.folder / "private").glob("root-*.key")):
            file.replace(retired / f"{old.version}-{file.name}")
        for number in range(1, keys + 1):
            (self.folder / f"private/new-{number}.key").replace(self.folder / f"private/root-{number}.key")
        for file, signed in again:
            write_for_good(file, signed.encoded())
        write_for_good(self.folder / "root.json", envelope.encoded())
        return root

    def envelopes(self) -> list[Envelope]:
        """All records and revocations."""
        return [
            dsse.decoded(file.read_bytes())
            for name in ("records", "revocations")
            for file in sorted((self.folder / name).glob("*.json"))
        ]

    def authority(self) -> Authority:
        """What the folder says, checked."""
        return Authority.of(Root.read(self.root_envelope()), self.envelopes())

    def _root_keys(self) -> list[FileKey]:
        root = Root.read(self.root_envelope())
        found = [FileKey.load(file) for file in sorted((self.folder / "private").glob("root-*.key"))]
        able = [key for key in found if key.keyid in root.keys]
        if len(able) < root.threshold:
            raise NotAuthorised(
                f"{root.threshold} root keys have to sign; `{self.folder}/private` has {len(able)} of them"
            )
        return able[: root.threshold]

    def _named(self, name: str) -> KeyRecord:
        for record in self.authority().records.values():
            if record.name == name:
                return record
        raise KeyUnknown(f"there is no key `{name}`; see beamgrid keys list {self.folder}")

    def issue(self, record: KeyRecord, key: FileKey, *, time: str, also: tuple[FileKey, ...] = ()) -> None:
        """Sign and keep the record of a key.

        Raises:
            KeyRefused: there is a record of that name.
            Malformed: a role that is none.
        """
        self._keep(record, (*also, key), time)

    def _keep(self, record: KeyRecord, signers: tuple[FileKey, ...], time: str) -> None:
        file = self.folder / f"records/{_file_name(record.name)}.json"
        if file.exists():
            raise KeyRefused(
                f"there is a key `{record.name}` already; give the new one another name, such as `{record.name}b`"
            )
        if record.role not in ROLES:
            raise Malformed(f"found the role `{record.role}`; {', '.join(ROLES)} are some")
        root = self._root_keys()
        statement = record.statement(time=time, actor=root[0].name)
        write_for_good(file, signed_by_all(statement, (*root, *signers)))

    def issue_for_token(
        self,
        name: str,
        public: str,
        role: str,
        scope: tuple[str, ...],
        not_before: str,
        not_after: str,
        *,
        time: str,
    ) -> KeyRecord:
        """Sign and keep the record of a key that never leaves the token that made it; only the root signs it.

        Args:
            name: of the key.
            public: the public key, in hexadecimal digits.
            role: what it may sign.
            scope: locations below which it may.
            not_before: from when on.
            not_after: until when.
            time: now.
        """
        try:
            key = PublicKey(bytes.fromhex(public))
        except ValueError as error:
            raise Malformed(
                f"found `{public[:70]}` where a public key in hexadecimal digits was expected"
            ) from error
        record = KeyRecord(name, key, role, scope, not_before, not_after, "hsm")
        self._keep(record, (), time)
        return record

    def new_key(self, name: str, algorithm: str = ED25519) -> tuple[FileKey, Path]:
        """A new private key, in the folder until somebody takes it to where it signs."""
        file = self.folder / f"private/{_file_name(name)}.key"
        return FileKey.make(file, name, algorithm), file

    def rotate(self, name: str, successor: str, *, not_before: str, not_after: str, time: str) -> Path:
        """Issue a key that takes over from another one, signed by root, old and new key; returns the new private key's file.

        The old one stays valid until its time is over, or it is revoked as superseded.
        """
        old = self._named(name)
        old_key = FileKey.load(self.folder / f"private/{_file_name(name)}.key")
        key, file = self.new_key(successor)
        record = replace(
            old,
            name=successor,
            public=key.public,
            not_before=not_before,
            not_after=not_after,
            predecessor=name,
        )
        try:
            self.issue(record, key, time=time, also=(old_key,))
        except BaseException:
            file.unlink()
            raise
        return file

    def revoke(
        self,
        name: str,
        reason: str,
        *,
        invalid_from: str,
        last_good: str,
        time: str,
        entries: EntryRange | None = None,
    ) -> None:
        """Say that a key is not valid any more.

        Raises:
            KeyUnknown: there is none of that name.
            Malformed: the reason is none, or the times are in the wrong order.
        """
        record, root = self._named(name), self._root_keys()
        said = revocation(
            record, reason, invalid_from, last_good, time=time, actor=root[0].name, entries=entries
        )
        write_for_good(self.folder / f"revocations/{_file_name(name)}.json", signed_by_all(said, root))
