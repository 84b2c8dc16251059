"""The documentation says what the code says."""

import re
from pathlib import Path

from grid import config
from grid.policy.engine import signatures
from microservices import declarations
from rules import Source, compile_policy, parse
from rules.types import EVENTS, FUNCTIONS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs/reference"


def test_every_setting_is_documented() -> None:
    text = (REFERENCE / "settings.md").read_text()
    for name in config.setting_names():
        assert f"| `{name}` |" in text, name


def test_every_microservice_event_and_function_is_documented() -> None:
    microservices = (REFERENCE / "microservices.md").read_text()
    for name in declarations():
        assert f"| `{name}` |" in microservices, name
    language = (REFERENCE / "policy-language.md").read_text()
    for name in [*EVENTS, *FUNCTIONS]:
        assert f"| `{name}` |" in language, name


def test_policies_printed_in_the_documentation_check() -> None:
    found = 0
    for page in ROOT.glob("docs/**/*.md"):
        for block in re.findall(r"```policy\n(.*?)```", page.read_text(), re.DOTALL):
            lines = block.splitlines()
            compile_policy(parse(Source(page.name, "\n".join(lines))), signatures(), "demo")
            found += 1
    assert found >= 1


def test_the_readme_prints_the_demos_own_rule() -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    policy = (ROOT / "policies/demo.policy").read_text()
    rule = " ".join(("rule " + policy.split("rule ")[1]).split())
    assert rule in readme


def test_every_command_has_help_with_examples(capsys) -> None:
    from grid.cli import icmd
    from grid.cli.icmd import account, administer, catalog, listing, transfer, tree

    assert icmd.__doc__
    builders = [
        getattr(module, name)
        for module in (account, administer, catalog, listing, transfer, tree)
        for name in dir(module)
        if name.endswith("_parser")
    ]
    assert len(builders) == 18
    for build in builders:
        assert "examples:" in build().format_help()


def test_no_dependency_provides_one_of_our_names() -> None:
    from importlib.metadata import packages_distributions

    provided = packages_distributions()
    for name in ("grid", "rules", "policies", "resources", "microservices"):
        assert set(provided.get(name, ["beamgrid"])) <= {"beamgrid"}, name


def test_the_i_commands_import_no_server_code() -> None:
    import subprocess
    import sys

    code = (
        "import sys, grid.cli.icommands; "
        "bad = [m for m in sys.modules if m.split('.')[0] in ('sqlalchemy', 'psycopg', 'h5py', 'lark', 'rules')]; "
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
