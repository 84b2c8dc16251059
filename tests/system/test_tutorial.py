"""The tutorials, command by command: what they print is what the pages say."""

import re
import shlex
import textwrap
from pathlib import Path

from grid import app
from tests.conftest import Served, serve
from tests.system.test_icommands import Shell

TUTORIALS = Path(__file__).parents[2] / "docs/tutorials"
PAGE = TUTORIALS / "first-policy.md"


def commands(page: Path = PAGE) -> list[tuple[str, list[str]]]:
    """Each command of the page with the lines it should print; `...` stands for anything."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def shown(expected: list[str], printed: str) -> bool:
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\s*\n"
        for line in expected
    )
    return re.match(pattern, printed + "\n") is not None


def test_the_tutorial_runs_as_it_is_printed(tmp_path: Path) -> None:
    folder = tmp_path / "zone"
    app.initialise(folder, zone="demo", admin="rods", password="rods", host="127.0.0.1", port=0)
    started = serve(folder)
    running = Served(folder, started.port, started.process, zone="demo")
    try:
        shell = Shell(tmp_path / "anna", running, user="rods")
        shell.ok("iadmin", "mkuser", "anna", "rodsuser")
        shell.ok("iadmin", "moduser", "anna", "password", "anna-pw")
        anna = Shell(tmp_path / "work", running, user="anna", password="anna-pw")
        (policy,) = re.findall(r"```policy\n(.*?)```", PAGE.read_text(), re.DOTALL)
        (anna.folder / "facility.policy").write_text(textwrap.dedent(policy))
        (anna.folder / "notes.tmp").write_text("x")
        (anna.folder / "zone").symlink_to(folder)
        (anna.folder / "first.policy").write_text(
            'policy a.first version 1\nlocation home = "/demo/home/{user}/**"\n'
            'rule "noted" id n after object close at home { set metadata "by" of object to at.user }\n'
        )
        anna.ok("beamgrid", "policy", "push", "zone", "first.policy")
        anna.ok("iput", "notes.tmp", "earlier.tmp")  # a decision for the dry run to judge again
        assert len(commands()) >= 8
        for command, expected in commands():
            done = anna.run(*shlex.split(command))
            printed = (done.stdout + done.stderr).decode()
            assert shown(expected, printed), f"{command}\n{printed}"
    finally:
        assert started.stop() == 0


def test_the_tutorial_of_streams_runs_as_it_is_printed(tmp_path: Path) -> None:
    folder, page = tmp_path / "zone", TUTORIALS / "beamline-stream.md"
    app.initialise(folder, zone="demo", admin="rods", password="rods", host="127.0.0.1", port=0)
    started = serve(folder)
    running = Served(folder, started.port, started.process, zone="demo")
    try:
        shell = Shell(tmp_path / "rods", running, user="rods")
        (policy,) = re.findall(r"```policy\n(.*?)```", page.read_text(), re.DOTALL)
        (shell.folder / "streams.policy").write_text(textwrap.dedent(policy))
        (shell.folder / "zone").symlink_to(folder)
        assert len(commands(page)) >= 12
        for command, expected in commands(page):
            done = shell.run(*shlex.split(command))
            printed = (done.stdout + done.stderr).decode()
            assert done.returncode == 0, f"{command}\n{printed}"
            assert shown(expected, printed), f"{command}\n{printed}"
    finally:
        assert started.stop() == 0
