"""The documentation says what the code says."""

import re
import textwrap
import tomllib
from pathlib import Path

from grid import config
from grid.cli import reference
from grid.policy import bundles
from grid.policy.bundles import base_policy
from rules import Source, examine, parse
from rules.testing import run_tests

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs/reference"


def test_every_setting_is_documented() -> None:
    text = (REFERENCE / "settings.md").read_text()
    for name in config.setting_names():
        assert f"| `{name}` |" in text, name


def test_pages_made_from_the_code_are_what_the_code_makes() -> None:
    for name, page in reference.PAGES.items():
        assert (REFERENCE / name).read_text() == page(), f"{name}: run `python -m grid.cli.reference`"


def test_implementations_agree_with_their_signatures() -> None:
    assert bundles.signature_drift() == []


def test_policies_printed_in_the_documentation_check_and_pass_their_tests() -> None:
    found = 0
    for page in [*ROOT.glob("docs/**/*.md"), ROOT / "README.md"]:
        for block in re.findall(r"```policy\n(.*?)```", page.read_text(), re.DOTALL):
            policy = parse(Source(page.name, textwrap.dedent(block)))
            library = {"facility.base": base_policy()}
            findings = examine(policy, library)[1]
            assert not findings, [finding.render(policy.source) for finding in findings]
            assert all(result.passed for result in run_tests(policy, library).results)
            found += 1
    assert found >= 9


def test_the_readme_prints_the_demos_own_rule() -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    policy = (ROOT / "policies/demo.policy").read_text()
    rule = " ".join(("rule " + policy.split("rule ")[1]).split())
    assert rule in readme


def test_every_command_has_help_with_examples(capsys) -> None:
    from grid.cli import icmd
    from grid.cli.icmd import (
        account,
        administer,
        catalog,
        listing,
        policy,
        provenance,
        reduction,
        space,
        tape,
        transfer,
        tree,
    )

    assert icmd.__doc__
    builders = [
        getattr(module, name)
        for module in (
            account,
            administer,
            catalog,
            listing,
            policy,
            provenance,
            reduction,
            space,
            tape,
            transfer,
            tree,
        )
        for name in dir(module)
        if name.endswith("_parser")
    ]
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert len(builders) == len(scripts.keys() - {"beamgrid"})
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
        "import importlib, pkgutil, sys, grid.cli.icommands; from grid.cli import icmd; "
        "[importlib.import_module(f'grid.cli.icmd.{one.name}') for one in pkgutil.iter_modules(icmd.__path__)]; "
        "bad = [m for m in sys.modules if m.split('.')[0] in ('sqlalchemy', 'psycopg', 'h5py', 'lark', 'rules')]; "
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
