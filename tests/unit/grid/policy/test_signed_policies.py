"""Policies that stewards sign: one where rules only look and record, two where they can delete data or open access; others are refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from grid.app import Zone
from grid.catalog import statements
from grid.cli import main as beamgrid
from grid.errors import ConfigurationError, InvalidArgument
from grid.policy import pushing
from grid.policy.grants import EVERYWHERE, BundleError
from grid.policy.signatures import PolicyTrust
from provenance.authority import KeyRecord
from provenance.keyring import Keyring

HARMLESS = 'policy a.look version 1\nlocation here = "/tempZone/home/**"\nrule "note" id note after object close at here { note "stored" }\n'
OPENS = HARMLESS.replace("a.look", "a.open").replace(
    'note "stored"', 'do grant("public", "read", object.path)'
)
AT = {"not_before": "2026-01-01T00:00:00Z", "not_after": "2036-01-01T00:00:00Z"}


@pytest.fixture
def stewards(zone: Zone, tmp_path: Path) -> Path:
    """The zone's root with three stewards, one of them for a beamline only, and somebody who is none."""
    ring = Keyring.create(zone.folder / "authority", "tempZone", keys=1, threshold=1)
    for name, role, scope in (
        ("anna", "steward", ("/tempZone",)), ("bo", "steward", ("/tempZone",)), ("cy", "steward", ("/tempZone/home/cy",)), ("eve", "mover", ("/tempZone",)),
    ):  # fmt: skip
        key, file = ring.new_key(name)
        ring.issue(KeyRecord(name, key.public, role, scope, **AT), key, time=AT["not_before"])
        file.rename(tmp_path / f"{name}.key")
    zone.policy.trust = PolicyTrust(zone.folder / "authority", required=True)
    return tmp_path


def sign(folder: Path, name: str, text: str, *who: str) -> bytes:
    file, out = folder / name, folder / f"{name}.signatures.json"
    file.write_text(text)
    for steward in who:
        assert (
            beamgrid.main(
                ["policy", "sign", str(file), "--key", str(folder / f"{steward}.key"), "--out", str(out)]
            )
            == 0
        )
    return out.read_bytes()


def push(zone: Zone, files: dict[str, str]) -> int:
    return pushing.push(zone.database, "tempZone", files, EVERYWHERE, pusher="me", trust=zone.policy.trust)


def test_one_steward_signs_what_only_records(zone: Zone, stewards: Path, capsys) -> None:
    with pytest.raises(
        BundleError, match=r"`a\.policy` needs the signatures of 1 steward; it is signed by nobody"
    ):
        push(zone, {"a.policy": HARMLESS})
    given = sign(stewards, "a.policy", HARMLESS, "anna")
    assert "it can do nothing, so 1 have to sign" in capsys.readouterr().out
    assert zone.policy.trust.keep(zone.database, given) == [("a.policy", "anna")]
    assert push(zone, {"a.policy": HARMLESS}) == 1
    with pytest.raises(BundleError, match="signed by nobody"):
        push(zone, {"a.policy": HARMLESS.replace("stored", "changed")})
    with zone.database.read() as tx:
        assert [(one.kind, one.state) for one in statements.listed(tx, limit=5)] == [
            ("policy-bundle", "signed")
        ], "it goes into the log"


def test_two_stewards_sign_what_opens_access(zone: Zone, stewards: Path, capsys) -> None:
    keep = zone.policy.trust.keep
    keep(zone.database, sign(stewards, "o.policy", OPENS, "anna"))
    assert "it can do acl.write, so 2 have to sign" in capsys.readouterr().out
    with pytest.raises(
        BundleError,
        match=r"needs the signatures of 2 stewards, because it can do acl\.write; it is signed by anna",
    ):
        push(zone, {"o.policy": OPENS})
    keep(zone.database, sign(stewards, "o.policy", OPENS, "anna"))
    with pytest.raises(BundleError, match="it is signed by anna"):
        push(zone, {"o.policy": OPENS})
    keep(zone.database, sign(stewards, "o.policy", OPENS, "cy"))
    with pytest.raises(BundleError, match="it is signed by anna"):
        push(zone, {"o.policy": OPENS})  # cy is a steward of another place
    keep(zone.database, sign(stewards, "o.policy", OPENS, "bo"))
    assert push(zone, {"o.policy": OPENS}) == 1


def test_files_that_were_signed_come_together(zone: Zone, stewards: Path) -> None:
    zone.policy.trust.keep(zone.database, sign(stewards, "a.policy", HARMLESS, "anna"))
    other = HARMLESS.replace("a.look", "b.look")
    assert push(zone, {"a.policy": HARMLESS}) == 1
    with pytest.raises(BundleError, match=r"`b\.policy` needs"):
        push(zone, {"a.policy": HARMLESS, "b.policy": other})
    zone.policy.trust.keep(zone.database, sign(stewards, "b.policy", other, "bo"))
    assert push(zone, {"a.policy": HARMLESS, "b.policy": other}) == 2
    assert pushing.roll_back(zone.database, "tempZone", pusher="me", trust=zone.policy.trust)[1] == 1


def test_who_is_no_steward_signs_nothing(zone: Zone, stewards: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="is signed by nobody who is a steward"):
        zone.policy.trust.keep(zone.database, sign(stewards, "a.policy", HARMLESS, "eve"))
    with pytest.raises(InvalidArgument, match="no signatures of policies"):
        zone.policy.trust.keep(zone.database, b"{}")
    given = sign(stewards, "b.policy", HARMLESS, "anna")
    Keyring(zone.folder / "authority").revoke(
        "anna", "lost", invalid_from=AT["not_before"], last_good=AT["not_before"], time=AT["not_before"]
    )
    with pytest.raises(InvalidArgument, match="nobody who is a steward"):
        zone.policy.trust.keep(zone.database, given)


def test_a_zone_that_wants_signatures_does_not_start_with_others(zone: Zone, stewards: Path) -> None:
    (zone.folder / "a.policy").write_text(OPENS)
    with pytest.raises(ConfigurationError, match="needs the signatures of 2 stewards"):
        zone.policy.load_file(zone.folder, "a.policy")
    zone.policy.trust = PolicyTrust(zone.folder / "authority", required=False)
    zone.policy.load_file(zone.folder, "a.policy")


def test_without_a_root_nothing_is_pushed(zone: Zone, tmp_path: Path) -> None:
    zone.policy.trust = PolicyTrust(tmp_path / "nowhere", required=True)
    with pytest.raises(BundleError, match="the zone's keys cannot be used"):
        push(zone, {"a.policy": HARMLESS})


def test_signatures_are_handed_in_by_program_and_by_client(zone: Zone, stewards: Path, rods, capsys) -> None:
    sign(stewards, "a.policy", HARMLESS, "anna")
    out = stewards / "a.policy.signatures.json"
    found = zone.host.call(rods, "policy_signatures", {"signatures": out.read_text()})
    assert found == {"kept": [{"file": "a.policy", "steward": "anna"}]}
    visitor = replace(rods, user=replace(rods.user, type="rodsuser"))
    with pytest.raises(Exception, match="handed in by stewards and administrators"):
        zone.host.call(visitor, "policy_signatures", {"signatures": out.read_text()})
    assert beamgrid.main(["policy", "accept", str(zone.folder), str(out)]) == 0
    assert "a.policy: signed by anna" in capsys.readouterr().out


def test_what_a_new_zone_comes_with_stays_when_others_push(zone: Zone, rods) -> None:
    import policies

    (zone.folder / "policy").mkdir()
    (zone.folder / "policy/provenance.policy").write_text(policies.text("provenance.policy"))
    zone.policy.load_file(zone.folder, "policy")

    def pushed(files: dict[str, str], **more: bool) -> list[str]:
        pushing.push(zone.database, "tempZone", files, EVERYWHERE, pusher="me", **more)
        zone.policy.refresh()
        return sorted(policy.source.name for policy in zone.policy.bundle.current.policies)

    assert pushed({"a.policy": HARMLESS}) == ["a.policy", "provenance.policy"]
    assert pushed({"b.policy": HARMLESS}) == ["b.policy", "provenance.policy"]
    own = policies.text("provenance.policy").replace("version 1", "version 2")
    assert pushed({"provenance.policy": own}) == ["provenance.policy"]
    assert [policy.version for policy in zone.policy.bundle.current.policies] == [2]
    assert pushed({"a.policy": HARMLESS}, without_shipped=True) == ["a.policy"]
    assert pushed({"a.policy": HARMLESS, "b.policy": HARMLESS.replace("a.look", "b.look")}) == [
        "a.policy",
        "b.policy",
    ]


def test_what_comes_with_the_software_needs_no_steward(zone: Zone, stewards: Path) -> None:
    import policies

    assert push(zone, {"provenance.policy": policies.text("provenance.policy")}) == 1
    with pytest.raises(BundleError, match="needs the signatures of 1 steward"):
        push(
            zone, {"provenance.policy": policies.text("provenance.policy").replace("version 1", "version 2")}
        )
