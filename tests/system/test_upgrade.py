"""A zone of the first schema version is brought to this one, after a backup, with everything in it."""

from pathlib import Path

import pytest
from alembic import command

from grid import app, config
from grid.catalog import schema
from grid.catalog.database import Database
from grid.cli import main as beamgrid
from grid.errors import SchemaMismatch
from grid.namespace import WriteRequest


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_catalog(request: pytest.FixtureRequest) -> str:
    """A catalog without tables, of each kind; SQLite's is empty, the zone's own default."""
    if request.param == "sqlite":
        return ""
    return request.getfixturevalue("postgres").new_database("of_the_first_version")


def test_a_zone_of_the_first_version_is_upgraded(
    tmp_path: Path, empty_catalog: str, capsys, monkeypatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(schema, "newest_revision", lambda: "0001")
        upgrade = command.upgrade
        patched.setattr(command, "upgrade", lambda configuration, revision: upgrade(configuration, "0001"))
        app.initialise(
            tmp_path / "zone", zone="tempZone", admin="rods", password="rods", host="127.0.0.1", port=0, catalog=empty_catalog
        )  # fmt: skip
    database = Database(config.load(tmp_path / "zone").catalog_url(tmp_path / "zone"))
    with database.write() as tx:
        tx.run(
            "INSERT INTO jobs (id, name, rule_id, body_id, key, bundle_generation, user_name, user_zone, not_before,"
            " created_at) VALUES (1, 'old', 'a.b/rule', 'a.b/rule#1', 'k', 1, 'rods', 'tempZone', 0, 0)"
        )
    database.close()
    with pytest.raises(SchemaMismatch, match="run `beamgrid upgrade DIR`"):
        app.open_zone(tmp_path / "zone")
    assert beamgrid.main(["upgrade", str(tmp_path / "zone")]) == 0
    assert f"0001 -> {schema.newest_revision()}; backup:" in capsys.readouterr().out
    opened = app.open_zone(tmp_path / "zone", role="test")
    with opened.database.read() as tx:
        assert tx.one("SELECT lane, priority, state FROM jobs WHERE id = 1") == ("a.b/rule", 5, "waiting")
    rods = opened.namespace.users.caller("rods", "tempZone")
    opened.namespace.objects.put(rods, "/tempZone/home/rods/a", b"x", WriteRequest())
    opened.close()
    assert beamgrid.main(["upgrade", str(tmp_path / "zone")]) == 0
    assert "nothing to do" in capsys.readouterr().out
