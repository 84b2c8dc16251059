"""Operations of the namespace, on both databases and a real vault."""

import pytest

from grid.app import Zone
from grid.catalog import leases
from grid.codes import Status
from grid.errors import (
    AccessDenied,
    AlreadyExists,
    InvalidArgument,
    LeaseLost,
    Locked,
    NotEmpty,
    NotFound,
    status_of,
)  # fmt: skip
from grid.model import Access, Avu
from grid.namespace import (
    AccessChange,
    ChecksumRequest,
    MetadataOperation,
    Subject,
    TrimRequest,
    WriteRequest,
)  # fmt: skip

HOME = "/tempZone/home/rods"


def read(zone: Zone, caller, path: str) -> bytes:
    opened = zone.namespace.objects.open_for_reading(caller, path)
    buffer = memoryview(bytearray(opened.size()))
    opened.read_into(buffer)
    opened.close()
    return bytes(buffer)


@pytest.fixture
def put(zone: Zone, rods):
    def put(path: str, data: bytes = b"x"):
        stored = zone.namespace.objects.put(rods, path, data, WriteRequest())
        zone.namespace.finisher.finish()  # a served zone's background thread does this a moment later
        return stored

    return put


@pytest.fixture
def anna(zone: Zone, rods):
    zone.namespace.users.add(rods, "anna", "rodsuser", password="anna-pw")
    return zone.namespace.users.caller("anna", "tempZone")


def test_what_is_put_can_be_read_before_it_lies_at_its_place_in_the_vault(zone: Zone, rods) -> None:
    zone.namespace.objects.put(rods, f"{HOME}/a", b"hello", WriteRequest())
    assert not (zone.folder / "vault/home/rods/a").exists()
    assert read(zone, rods, f"{HOME}/a") == b"hello"
    zone.namespace.finisher.finish()
    assert (zone.folder / "vault/home/rods/a").read_bytes() == b"hello"
    assert read(zone, rods, f"{HOME}/a") == b"hello"
    with zone.database.read() as tx:
        assert tx.all("SELECT staged_as FROM replicas") == [("",)]


def test_writing_in_place_is_seen_only_after_the_commit(zone: Zone, rods, put) -> None:
    put(f"{HOME}/a", b"hello")
    opened = zone.namespace.objects.open_for_writing(rods, f"{HOME}/a", WriteRequest(truncate=False))
    opened.position = 1
    opened.write(b"E")
    assert (zone.folder / "vault/home/rods/a").read_bytes() == b"hello"
    with pytest.raises(Locked):
        read(zone, rods, f"{HOME}/a")
    opened.commit()
    assert read(zone, rods, f"{HOME}/a") == b"hEllo"


def test_an_abandoned_write_leaves_no_trace(zone: Zone, rods, put) -> None:
    opened = zone.namespace.objects.open_for_writing(rods, f"{HOME}/new", WriteRequest())
    opened.write(b"partial")
    opened.abandon()
    zone.namespace.finisher.settle()
    with pytest.raises(NotFound):
        zone.namespace.objects.stat(rods, f"{HOME}/new")
    assert list((zone.folder / "vault/.beamgrid/staging").iterdir()) == []


def test_a_writer_whose_process_is_gone_stops_nobody(zone: Zone, rods, put) -> None:
    put(f"{HOME}/a", b"old")
    opened = zone.namespace.objects.open_for_writing(rods, f"{HOME}/a", WriteRequest())
    opened.write(b"half")
    with zone.database.write() as tx:
        tx.run("UPDATE leases SET pid = 999999, start_time = '1'")
    put(f"{HOME}/a", b"new")
    assert read(zone, rods, f"{HOME}/a") == b"new"
    with pytest.raises(LeaseLost):
        opened.commit()
    assert read(zone, rods, f"{HOME}/a") == b"new"


@pytest.mark.parametrize("way", ["put", "open"])
def test_a_first_writer_whose_process_is_gone_stops_nobody(zone: Zone, rods, put, way: str) -> None:
    """What it was making was not there before; the next one makes it anew."""
    opened = zone.namespace.objects.open_for_writing(rods, f"{HOME}/a", WriteRequest())
    opened.write(b"half")
    with zone.database.write() as tx:
        dead = zone.namespace.context.lease_id
        zone.namespace.context.lease_id = leases.take(tx, "another")
        leases.give_back(tx, dead)
    if way == "put":
        put(f"{HOME}/a", b"new")
    else:
        again = zone.namespace.objects.open_for_writing(
            rods, f"{HOME}/a", WriteRequest(size_bytes=3, whole=True)
        )
        again.write(b"new")
        again.commit()
    assert read(zone, rods, f"{HOME}/a") == b"new"
    with pytest.raises(LeaseLost):
        opened.commit()


def test_a_process_that_lost_its_lease_cannot_commit(zone: Zone, rods) -> None:
    opened = zone.namespace.objects.open_for_writing(rods, f"{HOME}/a", WriteRequest())
    opened.write(b"x")
    with zone.database.write() as tx:
        leases.give_back(tx, zone.namespace.context.lease_id)
    with pytest.raises(LeaseLost):
        opened.commit()


def test_a_collection_is_renamed_with_one_rename(zone: Zone, rods, put) -> None:
    zone.namespace.collections.create(rods, f"{HOME}/c/x", parents=True)
    put(f"{HOME}/c/x/f", b"1")
    inode = (zone.folder / "vault/home/rods/c/x/f").stat().st_ino
    zone.namespace.moves.rename(rods, f"{HOME}/c", f"{HOME}/d")
    assert (zone.folder / "vault/home/rods/d/x/f").stat().st_ino == inode
    assert read(zone, rods, f"{HOME}/d/x/f") == b"1"
    with pytest.raises(NotFound):
        zone.namespace.collections.find(f"{HOME}/c")


@pytest.mark.parametrize(
    ("source", "target", "status"),
    [
        ("c", "c/x/y", Status.CAT_RECURSIVE_MOVE),
        ("c", "c", Status.SAME_SRC_DEST_PATHS_ERR),
        ("c", "a", Status.CAT_NAME_EXISTS_AS_DATAOBJ),
        ("a", "c", Status.CAT_NAME_EXISTS_AS_COLLECTION),
        ("none", "b", Status.CAT_NOT_A_DATAOBJ_AND_NOT_A_COLLECTION),
        ("a", "none/b", Status.CAT_UNKNOWN_COLLECTION),
    ],
)
def test_renames_that_cannot_be(zone: Zone, rods, put, source: str, target: str, status: Status) -> None:
    zone.namespace.collections.create(rods, f"{HOME}/c/x", parents=True)
    put(f"{HOME}/a")
    with pytest.raises((InvalidArgument, AlreadyExists, NotFound)) as caught:
        zone.namespace.moves.rename(rods, f"{HOME}/{source}", f"{HOME}/{target}")
    assert status_of(caught.value) == status


def test_removal_goes_to_the_trash_and_names_do_not_collide_there(zone: Zone, rods, put) -> None:
    for data in (b"1", b"2"):
        put(f"{HOME}/a", data)
        zone.namespace.moves.unlink(rods, f"{HOME}/a")
    with zone.database.read() as tx:
        names = [row[0] for row in tx.all("SELECT name FROM data_objects ORDER BY name")]
    assert names[0] == "a"
    assert len(names) == 2
    assert names[1].startswith("a.")
    assert read(zone, rods, "/tempZone/trash/home/rods/a") == b"1"
    zone.namespace.moves.remove_collection(rods, "/tempZone/trash/home/rods", recursive=True)
    assert not (zone.folder / "vault/trash/home/rods/a").exists()
    zone.namespace.collections.find("/tempZone/trash/home/rods")


def test_a_collection_that_is_not_empty_needs_recursion(zone: Zone, rods, put) -> None:
    zone.namespace.collections.create(rods, f"{HOME}/c")
    put(f"{HOME}/c/f")
    with pytest.raises(NotEmpty):
        zone.namespace.moves.remove_collection(rods, f"{HOME}/c", recursive=False)
    zone.namespace.moves.remove_collection(rods, f"{HOME}/c", recursive=True, force=True)
    assert not (zone.folder / "vault/home/rods/c").exists()


def test_a_tree_goes_in_batches_and_what_is_refused_stays(zone: Zone, rods, put, monkeypatch) -> None:
    monkeypatch.setattr("grid.namespace.moves.BATCH", 2)
    zone.namespace.collections.create(rods, f"{HOME}/c")
    for name in "abcde":
        put(f"{HOME}/c/{name}", name.encode())
    writing = zone.namespace.objects.open_for_writing(rods, f"{HOME}/c/b", WriteRequest())
    with pytest.raises(Locked) as caught:
        zone.namespace.moves.remove_collection(rods, f"{HOME}/c", recursive=True, force=True)
    assert "4 data objects were removed, 1 were not" in caught.value.notes[0]
    with zone.database.read() as tx:
        assert tx.all("SELECT name FROM data_objects") == [("b",)]
        removals = tx.all("SELECT subject FROM outbox WHERE event = 'object delete' ORDER BY subject")
    assert [row[0] for row in removals] == [f"{HOME}/c/{name}" for name in "acde"]
    assert sorted(file.name for file in (zone.folder / "vault/home/rods/c").iterdir()) == ["b"]
    writing.abandon()
    zone.namespace.moves.remove_collection(rods, f"{HOME}/c", recursive=True, force=True)
    assert not (zone.folder / "vault/home/rods/c").exists()


def test_inheritance_gives_the_parents_rights_at_creation_only(zone: Zone, rods, anna, put) -> None:
    space = zone.namespace
    space.collections.create(rods, f"{HOME}/c")
    space.access.change(rods, f"{HOME}/c", AccessChange("anna", "", "read"))
    space.access.change(rods, f"{HOME}/c", AccessChange("", "", "inherit"))
    put(f"{HOME}/c/f", b"1")
    assert read(zone, anna, f"{HOME}/c/f") == b"1"
    space.access.change(rods, f"{HOME}/c", AccessChange("anna", "", "null"))
    assert read(zone, anna, f"{HOME}/c/f") == b"1", "later changes of the parent do not reach it"
    space.access.change(rods, f"{HOME}/c", AccessChange("anna", "", "null"), recursive=True)
    with pytest.raises(AccessDenied):
        read(zone, anna, f"{HOME}/c/f")


def test_a_recursive_change_maps_every_set_once(zone: Zone, rods, anna, put) -> None:
    space = zone.namespace
    space.collections.create(rods, f"{HOME}/c")
    for index in range(30):
        put(f"{HOME}/c/f{index}")
    space.access.change(rods, f"{HOME}/c/f3", AccessChange("anna", "", "own"))
    space.access.change(rods, f"{HOME}/c", AccessChange("anna", "", "read"), recursive=True)
    with zone.database.read() as tx:
        levels = tx.all(
            "SELECT DISTINCT e.level FROM data_objects d JOIN acl_entries e ON e.acl_id = d.acl_id"
            " WHERE e.user_id = :u", {"u": anna.user.id},
        )  # fmt: skip
        sets = tx.value("SELECT count(DISTINCT acl_id) FROM data_objects")
    assert levels == [(int(Access.READ),)]
    assert sets == 1


def test_rights_decide(zone: Zone, rods, anna, put) -> None:
    put(f"{HOME}/a", b"1")
    space = zone.namespace
    for action in (
        lambda: read(zone, anna, f"{HOME}/a"),
        lambda: space.objects.put(anna, f"{HOME}/b", b"", WriteRequest()),
        lambda: space.moves.unlink(anna, f"{HOME}/a"),
        lambda: space.metadata.apply(
            anna, Subject("object", f"{HOME}/a"), [MetadataOperation("add", Avu("a", "b"))]
        ),
        lambda: space.access.change(anna, f"{HOME}/a", AccessChange("anna", "", "own")),
        lambda: space.collections.create(anna, f"{HOME}/c"),
    ):
        with pytest.raises(AccessDenied):
            action()


def test_replicas_are_made_checked_and_trimmed(zone: Zone, rods, put) -> None:
    space = zone.namespace
    space.administration.add_resource(rods, "second", "unixfilesystem", f"localhost:{zone.folder}/second")
    put(f"{HOME}/a", b"hello")
    assert space.replicas.replicate(rods, f"{HOME}/a", "second") == 5
    assert (zone.folder / "second/home/rods/a").read_bytes() == b"hello"
    digest = space.checksums.checksum(rods, f"{HOME}/a", ChecksumRequest(all_replicas=True))
    assert digest == "sha2:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
    (zone.folder / "second/home/rods/a").write_bytes(b"hEllo")
    with pytest.raises(Exception, match="computed sha2:"):
        space.checksums.checksum(rods, f"{HOME}/a", ChecksumRequest(verify=True))
    put(f"{HOME}/a", b"newer")
    with zone.database.read() as tx:
        assert tx.all("SELECT number, status FROM replicas ORDER BY number") == [(0, 1), (1, 0)]
    space.replicas.update_stale(rods, f"{HOME}/a")
    assert (zone.folder / "second/home/rods/a").read_bytes() == b"newer"
    assert space.replicas.trim(rods, f"{HOME}/a", TrimRequest(replica_number=0)) == 1
    with pytest.raises(InvalidArgument, match="last good"):
        space.replicas.trim(rods, f"{HOME}/a", TrimRequest(replica_number=1))
    assert read(zone, rods, f"{HOME}/a") == b"newer"


def test_a_file_is_registered_where_it_lies(zone: Zone, rods, tmp_path) -> None:
    outside = tmp_path / "scan.h5"
    outside.write_bytes(b"data")
    space = zone.namespace
    space.records.register(rods, f"{HOME}/r", str(outside), compute_checksum=True)
    assert read(zone, rods, f"{HOME}/r") == b"data"
    space.moves.unlink(rods, f"{HOME}/r", force=True)
    assert outside.read_bytes() == b"data", "what was registered stays"
    with pytest.raises(InvalidArgument, match="server's own files"):
        space.records.register(rods, f"{HOME}/x", str(zone.folder / "vault/.beamgrid/resource-id"))


def test_metadata_is_all_or_nothing(zone: Zone, rods, put) -> None:
    put(f"{HOME}/a")
    subject = Subject("object", f"{HOME}/a")
    metadata = zone.namespace.metadata
    metadata.apply(rods, subject, [MetadataOperation("add", Avu("a", "1"))])
    with pytest.raises(AlreadyExists):
        metadata.apply(
            rods, subject, [MetadataOperation("add", Avu("b", "2")), MetadataOperation("add", Avu("a", "1"))]
        )
    assert metadata.of(rods, subject) == [Avu("a", "1")]
    metadata.apply(rods, subject, [MetadataOperation("set", Avu("a", "2", "mm"))])
    assert metadata.of(rods, subject) == [Avu("a", "2", "mm")]


def test_removing_a_user_hides_its_rights(zone: Zone, rods, anna, put) -> None:
    put(f"{HOME}/a")
    zone.namespace.access.change(rods, f"{HOME}/a", AccessChange("anna", "", "read"))
    zone.namespace.users.remove(rods, "anna")
    with zone.database.read() as tx:
        assert tx.all("SELECT user_id FROM R_OBJT_ACCESS WHERE user_id = :u", {"u": anna.user.id}) == []


def test_a_resource_that_holds_replicas_stays(zone: Zone, rods, put) -> None:
    put(f"{HOME}/a")
    with pytest.raises(NotEmpty):
        zone.namespace.administration.remove_resource(rods, "demoResc")


def test_backup_and_restore(zone: Zone, rods, put, tmp_path) -> None:
    from grid import app, maintenance

    if not zone.database.is_sqlite and maintenance._installed("pg_dump") is None:
        pytest.skip("pg_dump is not installed")
    put(f"{HOME}/kept", b"1")
    put(f"{HOME}/lost", b"2")
    maintenance.backup(zone.folder, tmp_path / "saved.tar.gz")
    put(f"{HOME}/after", b"3")
    (zone.folder / "vault/home/rods/lost").unlink()
    zone.close()
    report = maintenance.restore(tmp_path / "again", tmp_path / "saved.tar.gz")
    assert report.missing == [f"{HOME}/lost"]
    restored = app.open_zone(tmp_path / "again", role="test")
    caller = restored.namespace.users.caller("rods", "tempZone")
    assert restored.namespace.users.clear_password(caller.user) == "rods"
    assert read(restored, caller, f"{HOME}/kept") == b"1"
    with pytest.raises(NotFound):
        restored.namespace.objects.stat(caller, f"{HOME}/after")
    restored.close()


def test_every_error_class_has_one_number() -> None:
    from grid import errors

    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.GridError)]
    for found in classes:
        if found is errors.GridError:
            continue
        assert any(parent in errors.STATUS for parent in found.__mro__), found
    assert len(set(errors.STATUS.values())) == len(errors.STATUS)


def test_reading_is_noted_once_an_hour(zone: Zone, rods, put) -> None:
    put(f"{HOME}/a")
    with zone.database.write() as tx:
        tx.run("UPDATE replicas SET access_time = '01700000000'")
    read(zone, rods, f"{HOME}/a")
    assert zone.namespace.finisher.write_access_times() == 1
    with zone.database.read() as tx:
        assert tx.value("SELECT access_time FROM replicas") > "01700000000"
    read(zone, rods, f"{HOME}/a")
    assert zone.namespace.finisher.write_access_times() == 0
