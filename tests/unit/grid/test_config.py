from pathlib import Path

import pytest

from grid import config


def write(folder: Path, *lines: str) -> Path:
    (folder / "zone.toml").write_text("\n".join(['zone = "z"', 'admin = "rods"', *lines]) + "\n")
    return folder


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    write(tmp_path, "port = 1300")
    assert config.load(tmp_path, {}).port == 1300
    assert config.load(tmp_path, {"BEAMGRID_PORT": "1400"}).port == 1400
    assert config.load(tmp_path, {"BEAMGRID_AUDIT": "/z/a/** /z/b/**"}).audit == ("/z/a/**", "/z/b/**")
    with pytest.raises(config.SettingError, match=r"a table can only stand in `zone\.toml`"):
        config.load(tmp_path, {"BEAMGRID_STEWARDS": "guides"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("porrt = 1", "unknown key `porrt`; did you mean `port`?"),
        ('port = "1247"', "`port` is `1247`; a value of type int was expected"),
        ("port = 70000", "0 to 65535 is possible"),
        ("port = -1", "cannot be negative"),
        ('timezone = "Europe/Lund"', "is no IANA time zone"),
        ('block_trees = "yes"', "`on` or `off` was expected"),
        ('log_format = "xml"', "`text` or `json` was expected"),
        ("port = ", "cannot be read"),
        ('audit = "/z/**"', "`audit` is `/z/**`; a list of texts was expected"),
        ('stewards = ["/z/**"]', "a table of names and lists of texts was expected"),
        ("stewards = { guides = 1 }", "`stewards.guides` is `1`; a list of texts was expected"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(config.SettingError) as caught:
        config.load(write(tmp_path, line), {})
    assert message in str(caught.value)


def test_a_reload_takes_what_it_may_and_names_the_rest(tmp_path: Path) -> None:
    running = config.load(write(tmp_path), {})
    fresh, waiting = config.reloaded(write(tmp_path, "minimum_rate = 1", "workers = 9"), running)
    assert (fresh.minimum_rate, fresh.workers) == (1, running.workers)
    assert waiting == ["workers"]
