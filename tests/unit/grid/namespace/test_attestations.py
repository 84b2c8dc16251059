"""Evidence about data objects: judged before it is kept, shown as the object is now, and handed on to who judges elsewhere."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from grid.app import Zone
from grid.errors import AccessDenied, InvalidArgument, NotFound
from grid.namespace import WriteRequest
from provenance import evidence
from provenance.authority import Authority, Root
from provenance.blocks import tree_of
from provenance.verdict import judge
from tests.unit.provenance.test_verdict import DATA, World, logged

PATH = "/tempZone/home/rods/run7.h5"


@pytest.fixture
def world(zone: Zone, tmp_path: Path) -> World:
    """A facility whose public keys the zone believes."""
    made = World(tmp_path / "facility")
    made.rods = made.issue("rods/eiger#1", scope=("/tempZone/home",))
    trust(zone, made)
    return made


def trust(zone: Zone, world: World) -> None:
    folder = zone.folder / "authority"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(world.folder / "keys/root.json", folder)
    for name in ("records", "revocations"):
        shutil.copytree(world.folder / "keys" / name, folder / name)


def put(zone: Zone, rods, data: bytes = DATA) -> None:
    zone.namespace.objects.put(rods, PATH, data, WriteRequest(size_bytes=len(data)))
    zone.namespace.finisher.finish()


@pytest.mark.parametrize("with_tree", [False, True])
def test_evidence_is_judged_kept_shown_and_handed_on(zone: Zone, rods, world: World, with_tree: bool) -> None:
    zone.namespace.context.block_trees = with_tree
    put(zone, rods)
    ours = zone.namespace.attestations
    given = logged(world, world.sign(world.rods, path=PATH))
    assert ours.attach(rods, PATH, given.encoded().decode()).state == "not_logged", (
        "the zone does not know the log's key yet"
    )
    trust(zone, world)
    assert ours.attach(rods, PATH, given.encoded().decode()).state == "verified"
    shown = ours.show(rods, PATH)
    assert (shown["state"], shown["trusted_until"], len(shown["attached"])) == ("verified", 1, 1)
    assert shown["attached"][0]["by"] == "rods#tempZone"
    exported = evidence.decoded(ours.export(rods, PATH).encode())
    elsewhere = judge(tree_of([DATA]), PATH, exported, Authority.of(Root.read(exported.root), exported.keys))
    assert elsewhere.state == "verified"
    with zone.database.read() as tx:
        told = tx.all(
            "SELECT actor FROM outbox WHERE event = 'attestation add' AND subject = :p", {"p": PATH}
        )
    assert [row[0] for row in told] == ["rods#tempZone"] * 2
    put(zone, rods, b"another content")
    assert ours.show(rods, PATH)["state"] == "tampered"
    zone.namespace.moves.unlink(rods, PATH, force=True)
    with zone.database.read() as tx:
        assert tx.value("SELECT count(*) FROM attestations") == 0


@pytest.mark.parametrize(("change", "message"), [
    (lambda w: w.sign(w.rods, path="/tempZone/home/rods/other.h5"), None), (lambda w: w.sign(w.key, path=PATH), "out_of_scope"),
    (lambda w: replace(w.sign(w.rods, path=PATH), statements=()), "unsigned: no statement is about this content"),
])  # fmt: skip
def test_evidence_that_says_nothing_of_an_object_is_refused(
    zone: Zone, rods, world: World, change, message
) -> None:
    put(zone, rods)
    ours = zone.namespace.attestations
    if message is None:  # the same content under another name is the same content
        assert ours.attach(rods, PATH, change(world).encoded().decode()).state == "not_logged"
        return
    with pytest.raises(InvalidArgument, match=message):
        ours.attach(rods, PATH, change(world).encoded().decode())
    put(zone, rods, b"another content")
    with pytest.raises(InvalidArgument, match=r"tampered: .* differ from what was signed"):
        ours.attach(rods, PATH, world.sign(world.rods, path=PATH).encoded().decode())
    with pytest.raises(InvalidArgument, match="is no evidence: no JSON"):
        ours.attach(rods, PATH, "nonsense")
    assert ours.show(rods, PATH)["state"] == "unsigned"
    with pytest.raises(NotFound, match="nothing is signed about"):
        ours.export(rods, PATH)


def test_who_may_attach_and_see(zone: Zone, rods, world: World) -> None:
    put(zone, rods)
    zone.namespace.users.add(rods, "anna", "rodsuser")
    anna = zone.namespace.users.caller("anna", "tempZone")
    given = world.sign(world.rods, path=PATH).encoded().decode()
    for ask in (
        lambda: zone.namespace.attestations.attach(anna, PATH, given),
        lambda: zone.namespace.attestations.show(anna, PATH),
        lambda: zone.namespace.attestations.export(anna, PATH),
    ):
        with pytest.raises(AccessDenied):
            ask()


def test_a_zone_without_a_root_says_what_to_do(zone: Zone, rods, tmp_path: Path) -> None:
    put(zone, rods)
    with pytest.raises(
        NotFound, match=r"the zone believes no root of keys; an administrator puts `root.json`"
    ):
        zone.namespace.attestations.attach(rods, PATH, "{}")
    (zone.folder / "authority").mkdir()
    (zone.folder / "authority/root.json").write_text("{}")
    with pytest.raises(InvalidArgument, match=r"the zone's keys cannot be used: found no envelope"):
        zone.namespace.attestations.show(rods, PATH)
