"""Who may sign what: a root of k of n keys, and the records of other keys that it signed.

root.json                 the root's public keys and how many of them have to sign, signed by as many
records/NAME.json         what is known of a key: a statement `key`, signed by the root
revocations/NAME.json     that a key is not valid any more: a statement `revocation`, signed by the root
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from provenance import jcs
from provenance.dsse import Envelope, Signer
from provenance.errors import Malformed
from provenance.keyfiles import ALGORITHMS, ED25519, PublicKey
from provenance.statements import Statement, Subject, read

ROOT_TYPE: Final = "application/vnd.beamgrid.root+json"
ROLES: Final = (
    "instrument", "gateway", "kernel-runner", "mover", "publisher", "log", "witness", "steward", "verifier", "service", "researcher",
)  # fmt: skip


class NotAuthorised(Malformed):
    """A root or a record is not signed by those who have to."""


@dataclass(frozen=True, slots=True)
class Root:
    """The keys of a zone from which all others have their authority.

    Attributes:
        zone: its name.
        version: from 1.
        threshold: so many keys have to sign.
        keys: key id to public key.
    """

    zone: str
    version: int
    threshold: int
    keys: Mapping[str, PublicKey]

    def envelope(self) -> Envelope:
        """To be signed by `threshold` of its own keys."""
        payload = {
            "zone": self.zone, "version": self.version, "threshold": self.threshold,
            "keys": {keyid: key.raw.hex() for keyid, key in self.keys.items()},
        }  # fmt: skip
        return Envelope(jcs.encode(payload), ROOT_TYPE)

    def latest(self, newest: Envelope | None, between: Iterable[Envelope]) -> "Root":
        """The root that took over from this one, over any number of versions: each signed by enough keys of the one before, and of its own.

        Args:
            newest: the root that is in force, as somebody says.
            between: the versions between, in any order.

        Returns:
            This one where nothing leads on from it.
        """
        roots: dict[int, tuple[Root, Envelope]] = {}
        for envelope in (*between, *(() if newest is None else (newest,))):
            try:
                found = Root.read(envelope)
            except Malformed:
                continue  # it leads nowhere
            if found.zone == self.zone and found.version > self.version:
                roots[found.version] = found, envelope
        current = self
        while (following := roots.get(current.version + 1)) is not None and current.has_signed(following[1]):
            current = following[0]
        return current

    def has_signed(self, envelope: Envelope) -> bool:
        """Whether enough different keys of this root have signed an envelope."""
        valid = envelope.valid(
            lambda keyid, sig, data: keyid in self.keys and self.keys[keyid].verifies(sig, data)
        )
        return len({self.keys[keyid].raw for keyid in valid}) >= self.threshold

    @classmethod
    def read(cls, envelope: Envelope) -> "Root":
        """A root from its envelope.

        Raises:
            Malformed: it is none.
            NotAuthorised: too few of its own keys have signed it.
        """
        found = jcs.decode(envelope.payload) if envelope.payload_type == ROOT_TYPE else None
        if not isinstance(found, dict) or found.keys() != {"zone", "version", "threshold", "keys"}:
            raise Malformed(
                f"found no root; a payload `{ROOT_TYPE}` of zone, version, threshold and keys was expected"
            )
        zone, version, threshold, keys = (found[name] for name in ("zone", "version", "threshold", "keys"))
        if not isinstance(zone, str) or not isinstance(keys, dict) or not keys:
            raise Malformed("a root names its zone and at least one key")
        if (
            type(version) is not int
            or type(threshold) is not int
            or not 1 <= threshold <= len(keys)
            or version < 1
        ):
            raise Malformed(
                f"a root of {len(keys)} keys cannot ask for {threshold} of them, or have version {version}"
            )
        root = cls(zone, version, threshold, {keyid: _public(text) for keyid, text in keys.items()})
        if not root.has_signed(envelope):
            raise NotAuthorised(f"fewer than {threshold} of the root's own keys have signed it")
        return root


def _public(found: Any, algorithm: str = ED25519) -> PublicKey:
    try:
        return PublicKey(bytes.fromhex(found), algorithm)
    except (TypeError, ValueError) as error:
        raise Malformed(
            f"found `{str(found)[:70]}` where a public key in hexadecimal digits was expected"
        ) from error


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What the root says of a key. Times are `2026-11-21T10:00:00Z`, which compare as texts.

    Attributes:
        scope: locations below which it may sign, such as `/maxiv/data/nanomax`; nothing allows none.
        storage: where the private key is: `file`, `hsm`, `tpm`.
        predecessor: the name of the key that it took over from.
    """

    name: str
    public: PublicKey
    role: str
    scope: tuple[str, ...]
    not_before: str
    not_after: str
    storage: str = "file"
    predecessor: str = ""

    @property
    def keyid(self) -> str:
        return self.public.keyid(self.name)

    def statement(self, *, time: str, actor: str) -> Statement:
        """To be signed by the root, and by the key that it takes over from."""
        predicate = {
            "time": time, "actor": actor, "name": self.name, "algorithm": self.public.algorithm, "public": self.public.raw.hex(),
            "role": self.role, "scope": list(self.scope), "not_before": self.not_before, "not_after": self.not_after,
            "storage": self.storage,
        }  # fmt: skip
        if self.predecessor:
            predicate["predecessor"] = self.predecessor
        return Statement.of("key", [Subject(self.name, {"keyid": self.keyid})], predicate)

    def covers(self, path: str) -> bool:
        """Whether a path is one of those that the key may sign for."""
        return any(path == place or path.startswith(f"{place.rstrip('/')}/") for place in self.scope)


@dataclass(frozen=True, slots=True)
class Revocation:
    """A key is not valid any more: what it signed from `invalid_from` on is not, what it signed after `last_good` is suspect.

    The times are those of a clock; a log's entries count before them, where the revocation names them.
    """

    keyid: str
    reason: str
    invalid_from: str
    last_good: str
    log: str = ""
    invalid_from_entry: int | None = None
    last_good_entry: int | None = None


REASONS: Final = ("retired", "superseded", "compromised", "lost")


@dataclass(frozen=True, slots=True)
class Authority:
    """A root, and what it says of keys."""

    root: Root
    records: Mapping[str, KeyRecord]
    revocations: Mapping[str, Revocation]

    @classmethod
    def of(cls, root: Root, envelopes: Iterable[Envelope]) -> "Authority":
        """From records and revocations; those that are none, or not signed by the root, are refused.

        Raises:
            Malformed: one is no record and no revocation.
            NotAuthorised: the root, or the key that a record takes over from, has not signed it.
        """
        records: dict[str, KeyRecord] = {}
        revocations: dict[str, Revocation] = {}
        for envelope in sorted(envelopes, key=lambda one: one.payload):
            statement = read(envelope)
            if not root.has_signed(envelope):
                name = str(statement.predicate.get("name", "?"))
                raise NotAuthorised(
                    f"what is said of the key `{name}` is not signed by the root of `{root.zone}`"
                )
            if statement.kind == "key":
                record = _record(statement)
                records[record.keyid] = record
            elif statement.kind == "revocation":
                said = statement.predicate
                revocations[said["keyid"]] = Revocation(
                    said["keyid"], said["reason"], said["invalid_from"], said["last_good"], said.get("log", ""),
                    said.get("invalid_from_entry"), said.get("last_good_entry"),
                )  # fmt: skip
            else:
                raise Malformed(f"found a statement `{statement.predicate_type}` among the records of keys")
        return cls(root, records, revocations)

    def signers(self, envelope: Envelope) -> list[KeyRecord]:
        """The known keys whose signatures on an envelope are right."""
        valid = envelope.valid(
            lambda keyid, sig, data: keyid in self.records and self.records[keyid].public.verifies(sig, data)
        )
        return [self.records[keyid] for keyid in sorted(valid)]


def _record(statement: Statement) -> KeyRecord:
    said = statement.predicate
    if said["role"] not in ROLES or said["algorithm"] not in ALGORITHMS:
        raise Malformed(f"found a key of the role `{said['role']}` and the algorithm `{said['algorithm']}`")
    return KeyRecord(
        said["name"], _public(said["public"], said["algorithm"]), said["role"], tuple(said["scope"]), said["not_before"], said["not_after"],
        said["storage"], said.get("predecessor", ""),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class EntryRange:
    """Entries of a log: what a key signed is suspect after `last_good`, and not valid from `invalid_from` on."""

    log: str
    last_good: int
    invalid_from: int


def revocation(
    record: KeyRecord,
    reason: str,
    invalid_from: str,
    last_good: str,
    *,
    time: str,
    actor: str,
    entries: EntryRange | None = None,
) -> Statement:
    """To be signed by the root.

    Raises:
        Malformed: the reason is none, or the times or entries are in the wrong order.
    """
    if reason not in REASONS:
        raise Malformed(f"found `{reason}` as a reason; {', '.join(REASONS)} are some")
    if last_good > invalid_from:
        raise Malformed(
            f"the key was last known good at {last_good}, after {invalid_from}, from when on it is not valid"
        )
    predicate: dict[str, Any] = {
        "time": time, "actor": actor, "name": record.name, "keyid": record.keyid, "reason": reason,
        "invalid_from": invalid_from, "last_good": last_good,
    }  # fmt: skip
    if entries is not None:
        if entries.last_good > entries.invalid_from:
            raise Malformed(
                f"the key was last known good at entry {entries.last_good}, after {entries.invalid_from}, from where on it is not valid"
            )
        predicate |= {
            "log": entries.log, "invalid_from_entry": entries.invalid_from, "last_good_entry": entries.last_good,
        }  # fmt: skip
    return Statement.of("revocation", [Subject(record.name, {"keyid": record.keyid})], predicate)


def signed_by_all(statement: Statement, signers: Sequence[Signer]) -> bytes:
    """A statement's envelope, encoded."""
    return statement.envelope().signed(*signers).encoded()
