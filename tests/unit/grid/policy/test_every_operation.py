"""No operation happens without its event: every public method of the operations is called here, and watched.

A method that is not in the table fails the test, so a new operation cannot be forgotten.
"""

import time
from collections.abc import Callable

import pytest

from grid.app import Zone
from grid.catalog import trees
from grid.errors import NotOnline
from grid.model import Avu
from grid.namespace import (
    AccessChange,
    ChecksumRequest,
    MetadataOperation,
    Subject,
    TrimRequest,
    WriteRequest,
)
from grid.namespace.found import find
from grid.tiers.arrivals import Arrivals
from grid.tiers.libraries import Libraries
from grid.tiers.operator import TapeOperator
from provenance.authority import KeyRecord
from provenance.blocks import tree_of
from provenance.chunks import ChunkTree
from provenance.keyring import Keyring
from provenance.signing import Acquisition, sign_files
from rules.events import EVENTS

HOME = "/tempZone/home/rods"
OBJECT = f"{HOME}/a"
Do = Callable[[Zone, object], object]


def closed(opened) -> None:
    opened.close()


def stream(zone: Zone, rods) -> None:
    opened = zone.namespace.objects.open_for_writing(rods, f"{HOME}/new", WriteRequest())
    opened.write(b"x")
    opened.commit()


def second(zone: Zone, rods) -> None:
    zone.namespace.administration.add_resource(
        rods, "second", "unixfilesystem", f"localhost:{zone.folder}/second"
    )
    zone.namespace.replicas.replicate(rods, OBJECT, "second")


def frozen(zone: Zone, rods) -> None:
    zone.namespace.access.freeze(rods, f"{HOME}/c")


def grown(zone: Zone, rods) -> None:
    """A tree whose second child came after the data."""
    administration = zone.namespace.administration
    administration.add_resource(rods, "both", "replication", "")
    for name in ("one", "two"):
        administration.add_resource(rods, name, "unixfilesystem", f"localhost:{zone.folder}/{name}")
    administration.add_child(rods, "both", "one")
    zone.namespace.objects.put(rods, f"{HOME}/b", b"x", WriteRequest(resource_name="both"))
    administration.add_child(rods, "both", "two")
    assert zone.namespace.replicas.complete(rods, f"{HOME}/b") == []


def attested(zone: Zone) -> str:
    """Evidence about an object, of an instrument whose root the zone believes."""
    ring = Keyring.create(zone.folder / "authority", "tempZone", keys=1, threshold=1)
    key, _ = ring.new_key("instrument")
    times = ("2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z")
    ring.issue(KeyRecord("instrument", key.public, "instrument", ("/tempZone",), *times), key, time=times[0])
    file = zone.folder / "old"
    file.write_bytes(b"old")
    return sign_files([(OBJECT, file)], Acquisition("b", "i", "s"), key).encoded().decode()


def seen_tree(zone: Zone, rods) -> None:
    """The tree of an object that has one."""
    with zone.database.write() as tx:
        found = find(tx, OBJECT)
        trees.save(tx, found.id, tree_of([b"old"]))
    zone.namespace.fixity.tree(rods, OBJECT)


def on_tape(zone: Zone, rods) -> str:
    """An object whose only replica is on a cartridge."""
    context = "drives=1;cartridges=1;capacity=1 MB;clock_factor=1000000;batch=1;batch_age=0"
    zone.namespace.administration.add_resource(rods, "tape", "tape", f"localhost:{zone.folder}/tape", context)
    zone.namespace.objects.put(rods, f"{HOME}/t", b"x", WriteRequest(resource_name="tape"))
    zone.namespace.finisher.finish()
    lease = zone.namespace.context.lease_id
    operator = TapeOperator(
        zone.namespace.context, Libraries(zone.database, "tempZone"), Arrivals(zone.namespace), lease
    )
    deadline = time.monotonic() + 10
    with zone.database.read() as tx:
        found = find(tx, f"{HOME}/t")
    while not found.replicas[0].is_offline:
        assert time.monotonic() < deadline
        operator.step()
        with zone.database.read() as tx:
            found = find(tx, f"{HOME}/t")
    return f"{HOME}/t"


def unready(run: Callable[[], None]) -> None:
    with pytest.raises(NotOnline):
        run()


OPERATIONS: dict[str, tuple[Do, set[str]]] = {
    "access.change": (lambda z, r: z.namespace.access.change(r, OBJECT, AccessChange("anna", "", "read")), {"access grant"}),
    "access.change_all": (lambda z, r: z.namespace.access.change_all(r, HOME, [AccessChange("anna", "", "null")], recursive=True), {"access revoke"}),
    "access.freeze": (frozen, {"access revoke"}),
    "access.thaw": (lambda z, r: (frozen(z, r), z.namespace.access.thaw(r, f"{HOME}/c")), {"access revoke", "access grant"}),
    "administration.add_resource": (lambda z, r: z.namespace.administration.add_resource(r, "x", "unixfilesystem", f"localhost:{z.folder}/x"), {"resource change"}),
    "administration.modify_resource": (lambda z, r: z.namespace.administration.modify_resource(r, "demoResc", "comment", "x"), {"resource change"}),
    "administration.remove_resource": (lambda z, r: (z.namespace.administration.add_resource(r, "x", "passthru", ""), z.namespace.administration.remove_resource(r, "x")), {"resource change"}),
    "administration.add_child": (lambda z, r: (z.namespace.administration.add_resource(r, "p", "passthru", ""), z.namespace.administration.add_child(r, "p", "demoResc")), {"resource change"}),
    "administration.remove_child": (lambda z, r: (z.namespace.administration.add_resource(r, "p", "passthru", ""), z.namespace.administration.add_child(r, "p", "demoResc"), z.namespace.administration.remove_child(r, "p", "demoResc")), {"resource change"}),
    "administration.add_zone": (lambda z, r: z.namespace.administration.add_zone(r, "other", "remote", "h:1", ""), {"zone change"}),
    "administration.modify_zone": (lambda z, r: (z.namespace.administration.add_zone(r, "other", "remote", "h:1", ""), z.namespace.administration.modify_zone(r, "other", "comment", "x")), {"zone change"}),
    "administration.remove_zone": (lambda z, r: (z.namespace.administration.add_zone(r, "other", "remote", "h:1", ""), z.namespace.administration.remove_zone(r, "other")), {"zone change"}),
    "administration.add_specific_query": (lambda z, r: z.namespace.administration.add_specific_query(r, "select 1", "one"), {"zone change"}),
    "administration.remove_specific_query": (lambda z, r: (z.namespace.administration.add_specific_query(r, "select 1", "one"), z.namespace.administration.remove_specific_query(r, "one")), {"zone change"}),
    "administration.remove_unused_avus": (lambda z, r: z.namespace.administration.remove_unused_avus(r), {"zone change"}),
    "administration.set_quota": (lambda z, r: z.namespace.administration.set_quota(r, "group", "daq", "total", "10"), {"quota change"}),
    "administration.calculate_usage": (lambda z, r: z.namespace.administration.calculate_usage(r), {"quota change"}),
    "administration.change_owner": (lambda z, r: z.namespace.administration.change_owner(r, OBJECT, "anna"), {"access own"}),
    "checksums.checksum": (lambda z, r: z.namespace.checksums.checksum(r, OBJECT, ChecksumRequest()), {"object checksum"}),
    "collections.create": (lambda z, r: z.namespace.collections.create(r, f"{HOME}/d"), {"collection create"}),
    "collections.set_modify_time": (lambda z, r: z.namespace.collections.set_modify_time(r, HOME, "01700000000"), {"collection change"}),
    "collections.change_type": (lambda z, r: z.namespace.collections.change_type(r, HOME, "", "", ""), {"collection change"}),
    "objects.stat": (lambda z, r: z.namespace.objects.stat(r, OBJECT), {"object stat"}),
    "objects.open_for_reading": (lambda z, r: closed(z.namespace.objects.open_for_reading(r, OBJECT)), {"object read"}),
    "objects.open_for_writing": (stream, {"object create", "object close"}),
    "objects.put": (lambda z, r: z.namespace.objects.put(r, OBJECT, b"new", WriteRequest()), {"object write", "object close"}),
    "metadata.apply": (lambda z, r: z.namespace.metadata.apply(r, Subject("object", OBJECT), [MetadataOperation("add", Avu("a", "b"))]), {"metadata change"}),
    "metadata.modify": (lambda z, r: z.namespace.metadata.modify(r, Subject("object", OBJECT), Avu("k", "v"), Avu("k", "w")), {"metadata change"}),
    "metadata.remove_by_id": (lambda z, r: z.namespace.metadata.remove_by_id(r, Subject("object", OBJECT), avu_id(z)), {"metadata change"}),
    "metadata.remove_like": (lambda z, r: z.namespace.metadata.remove_like(r, Subject("object", OBJECT), Avu("k%", "%")), {"metadata change"}),
    "metadata.copy": (lambda z, r: z.namespace.metadata.copy(r, Subject("object", OBJECT), Subject("collection", HOME)), {"metadata change"}),
    "moves.rename": (lambda z, r: z.namespace.moves.rename(r, OBJECT, f"{HOME}/b"), {"object rename"}),
    "moves.unlink": (lambda z, r: z.namespace.moves.unlink(r, OBJECT), {"object trash"}),
    "moves.remove_collection": (lambda z, r: z.namespace.moves.remove_collection(r, f"{HOME}/c", recursive=True, force=True), {"object delete", "collection delete"}),
    "records.register": (lambda z, r: z.namespace.records.register(r, f"{HOME}/reg", registered(z), resource_name="demoResc"), {"object register"}),
    "records.modify": (lambda z, r: z.namespace.records.modify(r, OBJECT, {"dataComments": "x"}, replica_number=0), {"object change"}),
    "records.touch": (lambda z, r: z.namespace.records.touch(r, OBJECT, "01700000000"), {"object touch"}),
    "replicas.replicate": (second, {"replica create", "resource change"}),
    "replicas.update_stale": (lambda z, r: (second(z, r), z.namespace.objects.put(r, OBJECT, b"newer", WriteRequest()), z.namespace.replicas.update_stale(r, OBJECT)), {"replica create"}),
    "replicas.copy": (lambda z, r: z.namespace.replicas.copy(r, OBJECT, f"{HOME}/copy", WriteRequest(), force=False), {"object copy", "object read", "object create", "object close"}),
    "replicas.trim": (lambda z, r: (second(z, r), z.namespace.replicas.trim(r, OBJECT, TrimRequest(replica_number=1))), {"replica trim", "replica create", "resource change"}),
    "replicas.complete": (grown, {"replica create", "resource change"}),
    "attestations.attach": (lambda z, r: z.namespace.attestations.attach(r, OBJECT, attested(z)), {"attestation add"}),
    "attestations.show": (lambda z, r: (attested(z), z.namespace.attestations.show(r, OBJECT)), {"object stat"}),
    "attestations.export": (lambda z, r: (z.namespace.attestations.attach(r, OBJECT, attested(z)), z.namespace.attestations.export(r, OBJECT)), {"attestation add", "object stat"}),
    "attestations.tree": (lambda z, r: z.namespace.attestations.tree(r, OBJECT), {"object stat"}),
    "attestations.signed": (lambda z, r: (attested(z), z.namespace.attestations.signed(r, OBJECT)), {"object stat"}),
    "attestations.listed": (lambda z, r: z.namespace.attestations.listed(r, OBJECT), {"object stat"}),
    "attestations.verify_below": (lambda z, r: (attested(z), z.namespace.attestations.verify_below(r, HOME)), {"object stat"}),
    "stating.link_chunks": (lambda z, r: z.namespace.stating.link_chunks(r, OBJECT, z.namespace.stating.version(r, OBJECT), ChunkTree.of([], {})), {"object checksum"}),
    "fixity.tree": (seen_tree, {"object stat"}),
    "fixity.verify": (lambda z, r: z.namespace.fixity.verify(r, OBJECT, 0), {"replica verify"}),
    "fixity.mark_damaged": (lambda z, r: z.namespace.fixity.mark_damaged(r, OBJECT, 0, "bad"), {"replica verify"}),
    "posix.set": (lambda z, r: z.namespace.posix.set(r, HOME, "2770", "daq"), {"collection change"}),
    "recalls.ask": (lambda z, r: z.namespace.recalls.ask(r, on_tape(z, r)), {"replica recall"}),
    "recalls.bring": (lambda z, r: unready(lambda: z.namespace.recalls.bring(r, on_tape(z, r))), {"replica recall"}),
    "users.add": (lambda z, r: z.namespace.users.add(r, "bert", "rodsuser"), {"user change"}),
    "users.remove": (lambda z, r: z.namespace.users.remove(r, "anna"), {"user change"}),
    "users.modify": (lambda z, r: z.namespace.users.modify(r, "anna", "comment", "x"), {"user change"}),
    "users.set_password": (lambda z, r: z.namespace.users.set_password(r, "anna", "secret"), {"user change"}),
    "users.change_members": (lambda z, r: z.namespace.users.change_members(r, "daq", "add", "anna"), {"group change"}),
}  # fmt: skip

WITHOUT: dict[str, str] = {
    "stating.of_frames": "asked for by the gateway of a stream, about files whose making was judged",
    "stating.of_object": "asked for by rules, about what they were told", "stating.of_objects": "asked for by rules",
    "stating.of_place": "asked for by rules", "stating.of_everything_in": "asked for by rules", "stating.of_erased": "asked for by rules",
    "stating.erasing": "a part of removals, which tell", "stating.erased": "tells rules after the removals, each of which was judged", "stating.version": "a number without a meaning for anybody else",
    "posix.drifted": "shown by the status command to the service account",
    "recalls.status": "one's own requests", "recalls.listed": "one's own requests",
    "recalls.cancel": "ends one's own request; the library tells of it", "recalls.pin": "one's own request",
    "collections.find": "gives a row to other operations", "objects.find": "gives a row to other operations",
    "moves.in_trash": "looks at a text", "moves.delete_in": "a part of removals, inside their transaction",
    "administration.change_owner_in": "a part of others, inside their transaction",
    "metadata.of": "what `query run` and `object stat` let be seen", "users.caller": "logging in, which has its own event",
    "users.refreshed": "logging in", "users.service_caller": "the zone's own work", "users.find": "gives a row to other operations", "users.clear_password": "logging in",
    "users.passwords": "logging in", "users.consume_password": "logging in", "users.member_names": "a look-up of rules",
    "users.add_one_time_password": "logging in", "objects.insert_new": "a part of others",
}  # fmt: skip


def avu_id(zone: Zone) -> int:
    with zone.database.read() as tx:
        return int(tx.value("SELECT id FROM avus WHERE attribute = 'k'"))


def registered(zone: Zone) -> str:
    file = zone.folder.parent / "outside"
    file.write_bytes(b"x")
    return str(file)


def test_the_table_names_every_operation(sqlite_zone: Zone) -> None:
    space = sqlite_zone.namespace
    found = {
        f"{part}.{name}"
        for part in ("access", "administration", "checksums", "collections", "objects", "metadata", "moves", "records", "replicas", "users", "recalls", "fixity", "posix", "attestations", "stating")
        for name in dir(type(getattr(space, part)))
        if not name.startswith("_")
    }  # fmt: skip
    assert found - WITHOUT.keys() == set(OPERATIONS)


@pytest.fixture
def prepared(zone: Zone, rods) -> Zone:
    space = zone.namespace
    space.users.add(rods, "anna", "rodsuser")
    space.users.add(rods, "daq", "rodsgroup")
    space.objects.put(rods, OBJECT, b"old", WriteRequest())
    space.metadata.apply(rods, Subject("object", OBJECT), [MetadataOperation("add", Avu("k", "v"))])
    space.collections.create(rods, f"{HOME}/c")
    space.objects.put(rods, f"{HOME}/c/f", b"x", WriteRequest())
    space.finisher.finish()
    return zone


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_judged_and_told(prepared: Zone, rods, monkeypatch, name: str) -> None:
    judged: list[str] = []
    for hook in ("before", "witness"):
        original = getattr(prepared.policy, hook)
        monkeypatch.setattr(
            prepared.policy, hook, lambda event, run=original: (judged.append(event.name), run(event))[1]
        )
    told: list[str] = []
    after = prepared.policy.after
    monkeypatch.setattr(
        prepared.policy, "after", lambda tx, event: (told.append(event.name), after(tx, event))[1]
    )
    operation, expected = OPERATIONS[name]
    operation(prepared, rods)
    assert expected <= set(judged) | set(told)
    assert set(judged) | set(told) <= set(EVENTS), "every event is in the catalogue"
    looks = {"object read", "object stat"}
    assert {event for event in judged if event not in looks} <= set(told) | {
        "object create",
        "object write",
        "object copy",
    }
