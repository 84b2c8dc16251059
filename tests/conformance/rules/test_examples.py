"""Whole policies: they check, their tests run, each alone, and formatting them changes nothing but the layout."""

from pathlib import Path

import pytest

from grid.policy.bundles import base_policy, checked
from grid.policy.grants import BundleError
from rules import Source, ast, examine, format_policy, parse
from rules.prose import prose
from rules.testing import run_tests

EXAMPLES = sorted((Path(__file__).parent / "examples").glob("*.policy"))
LIBRARY = {"facility.base": base_policy()}


def read(path: Path) -> ast.Policy:
    return parse(Source(path.name, path.read_text()))


def test_there_are_six() -> None:
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_it_checks_and_its_tests_pass(path: Path) -> None:
    policy = read(path)
    assert examine(policy, LIBRARY)[1] == []
    report = run_tests(policy, LIBRARY)
    assert [result.failures for result in report.results] == [()] * len(policy.of(ast.PolicyTest))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_formatting_keeps_its_meaning_and_settles(path: Path) -> None:
    policy = read(path)
    once = format_policy(policy)
    again = parse(Source(path.name, once))
    assert again == policy
    assert format_policy(again) == once


def test_a_test_that_expects_something_else_fails_and_says_what_happened() -> None:
    path = next(p for p in EXAMPLES if p.stem == "maxiv_ingest")
    text = path.read_text().replace("then refused with NOT_BEAMLINE_SERVICE", "then refused with WRITE_ONCE")
    report = run_tests(parse(Source("p", text)), LIBRARY)
    assert not report.passed
    assert "expected a refusal with WRITE_ONCE; found: NOT_BEAMLINE_SERVICE" in report.results[0].failures[0]
    assert any("given microservice visit_window returns" in line for line in report.results[0].failures)


def test_a_zone_does_not_serve_what_it_cannot_do() -> None:
    text = next(p for p in EXAMPLES if p.stem == "esrf_proprietary").read_text()
    with pytest.raises(
        BundleError, match="this zone cannot do `confirmed_download`, `principal_investigators`"
    ):
        checked({"p.policy": text}, "esrf")


def test_prose_names_every_rule() -> None:
    for path in EXAMPLES:
        policy = read(path)
        text = prose(policy).lower()
        for item in (*policy.of(ast.Rule), *policy.of(ast.Keep), *policy.of(ast.Sweep)):
            assert item.title.lower() in text
