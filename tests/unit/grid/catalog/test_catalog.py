"""The catalog's own behaviour, the same on SQLite and PostgreSQL."""

import pytest

from grid.app import Zone
from grid.catalog import avus, schema, views
from grid.catalog.genquery import Query
from grid.errors import CatalogFailed, CatalogUnavailable, InvalidArgument, NotFound, SchemaMismatch
from grid.model import Avu
from grid.namespace import AccessChange, MetadataOperation, Subject, WriteRequest


def ask(zone: Zone, selects, conditions, *, options: int = 0, caller=None, limit: int = 100):
    query = Query(tuple(selects), tuple(conditions), options)
    with zone.database.read() as tx:
        bound = zone.services.queries.bind(tx, query, caller)
        return [] if bound is None else zone.services.queries.page(tx, bound, limit=limit, offset=0)


def put(zone: Zone, caller, path: str, data: bytes = b"x") -> None:
    zone.namespace.objects.put(caller, path, data, WriteRequest(exclusive=True))


def test_a_fresh_zone_holds_what_a_fresh_irods_zone_holds(zone: Zone) -> None:
    assert [row[0] for row in ask(zone, [(501, 1)], [])] == [
        "/", "/tempZone", "/tempZone/home", "/tempZone/home/public", "/tempZone/home/rods", "/tempZone/trash",
        "/tempZone/trash/home", "/tempZone/trash/home/public", "/tempZone/trash/home/rods",
    ]  # fmt: skip
    assert sorted(ask(zone, [(202, 1), (203, 1)], [])) == [("public", "rodsgroup"), ("rods", "rodsadmin")]
    assert sorted(row[0] for row in ask(zone, [(302, 1)], [])) == ["bundleResc", "demoResc"]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("= 'a.h5'", ["a.h5"]),
        ("<> 'a.h5'", ["B.h5", "b_2.h5"]),
        ("like '%.h5'", ["B.h5", "a.h5", "b_2.h5"]),
        ("like 'b%'", ["b_2.h5"]),
        ("like 'b\\_%'", ["b_2.h5"]),
        ("not like 'b%'", ["B.h5", "a.h5"]),
        ("in ('a.h5', 'B.h5')", ["B.h5", "a.h5"]),
        ("between 'a' 'b'", ["a.h5"]),
        ("= 'a.h5' || like 'b%'", ["a.h5", "b_2.h5"]),
        ("> 'a' && < 'b'", ["a.h5"]),
        (" = 'a.h5'", ["a.h5"]),
    ],
)
def test_conditions_on_texts_compare_bytewise(zone: Zone, rods, condition: str, found: list[str]) -> None:
    for name in ("a.h5", "b_2.h5", "B.h5"):
        put(zone, rods, f"/tempZone/home/rods/{name}")
    rows = ask(zone, [(403, 1)], [(501, "= '/tempZone/home/rods'"), (403, condition)])
    assert [row[0] for row in rows] == found


@pytest.mark.parametrize(
    ("condition", "error"),
    [("'a'", CatalogFailed), ("= 'a", InvalidArgument), ("= a", InvalidArgument), ("~ 'a'", InvalidArgument)],
)
def test_conditions_that_are_none(zone: Zone, condition: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        ask(zone, [(403, 1)], [(403, condition)])


def test_sizes_are_numbers_and_aggregates_answer_for_nothing(zone: Zone, rods) -> None:
    for size in (5, 50, 500):
        put(zone, rods, f"/tempZone/home/rods/f{size}", b"x" * size)
    assert [r[0] for r in ask(zone, [(403, 1)], [(407, "> '9'")])] == ["f50", "f500"]
    assert ask(zone, [(407, 4), (407, 5), (401, 6)], []) == [("555", "185.0000000000000000", "3")]
    assert ask(zone, [(407, 4), (401, 6)], [(403, "= 'none'")]) == [("", "0")]


def test_metadata_ranges_are_numeric_and_pairs_join_twice(zone: Zone, rods) -> None:
    for name, energy, sample in (("a", "7.1", "ice"), ("b", "12.4", "ice"), ("c", "100", "salt")):
        path = f"/tempZone/home/rods/{name}"
        put(zone, rods, path)
        zone.namespace.metadata.apply(
            rods, Subject("object", path),
            [MetadataOperation("add", Avu("energy", energy, "keV")), MetadataOperation("add", Avu("sample", sample))],
        )  # fmt: skip
    ranged = ask(zone, [(403, 1)], [(600, "= 'energy'"), (601, "n> '7.1'")])
    assert [row[0] for row in ranged] == ["b", "c"]
    both = [(600, "= 'energy'"), (601, "n< '50'"), (600, "= 'sample'"), (601, "= 'ice'")]
    assert [row[0] for row in ask(zone, [(403, 1)], both)] == ["a", "b"]


def test_nothing_a_user_may_not_read_is_ever_a_row(zone: Zone, rods) -> None:
    zone.namespace.users.add(rods, "anna", "rodsuser", password="anna-pw")
    anna = zone.namespace.users.caller("anna", "tempZone")
    put(zone, rods, "/tempZone/home/rods/secret")
    put(zone, rods, "/tempZone/home/rods/shared")
    zone.namespace.access.change(rods, "/tempZone/home/rods/shared", AccessChange("anna", "", "read"))
    zone.namespace.metadata.apply(
        rods, Subject("object", "/tempZone/home/rods/secret"), [MetadataOperation("add", Avu("k", "hidden"))]
    )
    everything = [(403, "= 'none' || like '%' || <> 'x'")]
    assert ask(zone, [(403, 1)], everything, caller=anna.user.id) == [("shared",)]
    assert ask(zone, [(601, 1)], [(600, "= 'k' || <> 'q'")], caller=anna.user.id) == []
    assert ask(zone, [(704, 1)], [], caller=anna.user.id, options=0) == ask(
        zone, [(401, 1)], [(403, "= 'shared'")]
    )
    assert ("/tempZone/home/rods",) not in ask(
        zone, [(501, 1)], [(501, "like '%' || = '/'")], caller=anna.user.id
    )


def test_specific_queries_see_the_views_and_nothing_else(zone: Zone, rods) -> None:
    if not zone.database.is_sqlite:
        with zone.database.write() as tx:
            tx.run("SELECT 1")
    run = zone.services.specific.run
    assert run("select user_name from R_USER_MAIN where user_name = ?", ["rods"], limit=5, offset=0) == [
        ("rods",)
    ]
    for sql in (
        "select sealed from user_passwords",
        "select count(*) from user_passwords",
        "select * from leases",
    ):
        with pytest.raises(CatalogFailed):
            run(sql, [], limit=5, offset=0)
    with pytest.raises(InvalidArgument):
        run("select 1 where 1 = ?", [], limit=1, offset=0)


def test_every_view_and_shipped_query_runs(zone: Zone) -> None:
    from grid.catalog.seed import SPECIFIC_QUERIES

    with zone.database.read() as tx:
        for name in views.VIEWS:
            tx.all(f"SELECT * FROM {name} LIMIT 3")
    for sql in SPECIFIC_QUERIES.values():
        arguments = ["1" if word in ("LIMIT", "OFFSET") else "x" for word in _words_before_marks(sql)]
        zone.services.specific.run(sql, arguments, limit=3, offset=0)


def _words_before_marks(sql: str) -> list[str]:
    words = sql.split()
    return [words[i - 1] for i, word in enumerate(words) if word.startswith("?")]


def test_values_as_long_as_irods_allows_can_be_stored_and_found(zone: Zone, rods) -> None:
    put(zone, rods, "/tempZone/home/rods/a")
    long = "v" * 2700
    subject = Subject("object", "/tempZone/home/rods/a")
    zone.namespace.metadata.apply(rods, subject, [MetadataOperation("add", Avu("k", long))])
    assert ask(zone, [(403, 1)], [(601, f"= '{long}'")]) == [("a",)]
    with pytest.raises(InvalidArgument, match="at most 2700"):
        zone.namespace.metadata.apply(rods, subject, [MetadataOperation("add", Avu("k", long + "v"))])


def test_a_catalog_of_another_version_is_not_served(zone: Zone) -> None:
    schema.require_current(zone.database)
    with zone.database.write() as tx:
        tx.run("UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(SchemaMismatch, match="beamgrid upgrade"):
        schema.require_current(zone.database)


def test_ids_of_one_transaction_are_its_own(zone: Zone) -> None:
    with zone.database.write() as tx:
        ids = [tx.new_id(), *tx.new_ids(3), tx.new_id()]
    assert ids == sorted(set(ids))


def test_a_failed_block_leaves_nothing(zone: Zone) -> None:
    with pytest.raises(NotFound), zone.database.write() as tx:
        avus.find_or_make(tx, Avu("left", "over"))
        raise NotFound("stop")
    with zone.database.read() as tx:
        assert tx.one("SELECT 1 FROM avus WHERE attribute = 'left'") is None


def test_an_unreachable_catalog_is_said_so() -> None:
    from grid.catalog.database import Database

    with pytest.raises(CatalogUnavailable):
        Database("sqlite:////nowhere/at/all.sqlite").cursor()
    with pytest.raises(CatalogUnavailable):
        Database("postgresql://x@127.0.0.1:1/x").cursor()
