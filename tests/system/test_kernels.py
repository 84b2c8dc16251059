"""How to write a kernel, command by command, in a served zone; and reductions by i-commands."""

import json
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from grid import app
from tests.conftest import Served, serve
from tests.system.test_icommands import Shell
from tests.system.test_tutorial import shown

PAGE = Path(__file__).parents[2] / "docs/how-to/write-a-kernel.md"


@pytest.fixture(scope="module")
def anna(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A steward in a zone of her own."""
    folder = tmp_path_factory.mktemp("kernels") / "zone"
    app.initialise(folder, zone="demo", admin="rods", password="rods", host="127.0.0.1", port=0)
    with (folder / "zone.toml").open("a") as file:
        file.write('\n[stewards]\nstewards = ["/demo/**"]\n')
    started = serve(folder)
    running = Served(folder, started.port, started.process, zone="demo")
    rods = Shell(folder.parent / "rods", running)
    for command in (
        "iadmin mkuser anna rodsuser",
        "iadmin moduser anna password anna-pw",
        "iadmin mkgroup stewards",
        "iadmin atg stewards anna",
    ):
        rods.ok(*command.split())
    yield Shell(folder.parent / "anna", running, user="anna", password="anna-pw")
    assert started.stop() == 0


def test_the_page_runs_as_it_is_printed(anna: Shell) -> None:
    text = PAGE.read_text()
    (kernel,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (anna.folder / "spots.py").write_text(textwrap.dedent(kernel))
    count = 0
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        commands: list[tuple[str, list[str]]] = []
        for line in textwrap.dedent(block.replace("\n   ", "\n").removeprefix("   ")).splitlines():
            if line.startswith("$ "):
                commands.append((line[2:], []))
            else:
                commands[-1][1].append(line)
        for command, expected in commands:
            done = anna.run(*shlex.split(command))
            printed = (done.stdout + done.stderr).decode()
            assert shown(
                expected, printed.replace("\r", "\n") if "ireduce" not in command else done.stdout.decode()
            ), f"{command}\n{printed}"
            count += 1
    assert count >= 8


def test_reductions_are_asked_for_watched_and_cancelled(anna: Shell) -> None:
    anna.ok("beamgrid", "kernel", "simulate", "more.h5", "--frames", "30", "--shape", "64x64")
    for command in ("imkdir raw reduced", "iput more.h5 raw", "iput more.poni raw"):
        anna.ok(*command.split())
    (anna.folder / "curve.toml").write_text('geometry = "more.poni"\nbins = 30\n')
    found = json.loads(
        anna.ok(
            "ireduce",
            "-r",
            "raw",
            "--kernel",
            "azimuthal",
            "--dataset",
            "/entry/data/data",
            "--params",
            "curve.toml",
            "--to",
            "reduced",
            "--json",
        )
    )
    assert [(one["state"], one["frames"], one["done"]) for one in found] == [("done", 30, 30)]
    assert "more.azimuthal.nxs" in anna.ok("ils", "reduced")
    said = anna.ok("imeta", "ls", "-d", "reduced/more.azimuthal.nxs")
    assert "derived_from" in said
    asked = json.loads(
        anna.ok(
            "ireduce",
            "raw/more.h5",
            "--kernel",
            "hits",
            "--dataset",
            "/entry/data/data",
            "--no-wait",
            "--json",
        )
    )
    number = str(asked[0]["reduction"])
    assert json.loads(anna.ok("ireduce", "--cancel", number, "--json"))[0]["state"] in ("cancelled", "done")
    assert number in anna.ok("ireduce", "--status", "--ended")
    for arguments, message in (
        (("raw/more.h5",), "say which kernel"), (("raw", "--kernel", "hits"), "is a collection; use -r"), (("--kernel", "hits"), "found nothing to reduce"),
        (("--cancel",), "say which ones"), (("--status", "x"), "numbers of reductions were expected"), (("raw/more.h5", "--kernel", "ghost"), "there is no kernel `ghost`"),
    ):  # fmt: skip
        done = anna.run("ireduce", *arguments)
        assert (done.returncode, message in (done.stdout + done.stderr).decode()) == (3, True), (
            arguments,
            done.stderr,
        )
    done = anna.run("ireduce", "raw/more.h5", "--kernel", "azimuthal", "--dataset", "/entry/data/data")
    assert (done.returncode, b"`geometry` is missing" in done.stdout) == (3, True)
