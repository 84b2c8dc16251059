"""Policies with the expected findings in place: `#! ID help` at the end of the line they belong to."""

import re
from pathlib import Path

import pytest

import policies
from grid.policy.bundles import base_policy, examined
from rules import RuleCheckError, Source, examine, parse
from rules.findings import FINDINGS

CASES = sorted((Path(__file__).parent / "cases").glob("*.policy"))
EXPECTED = re.compile(r"#! ((?:[EW]\d+ ?)+)(.*)$", re.MULTILINE)


def findings(path: Path):
    try:
        return examine(parse(Source(path.name, path.read_text())), {"facility.base": base_policy()}, "z")[1]
    except RuleCheckError as error:
        return error.findings


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_findings_are_where_the_case_says(path: Path) -> None:
    expected: dict[int, list[str]] = {}
    hints: dict[int, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = EXPECTED.search(line)
        if match:
            expected[number] = sorted(match[1].split())
            hints[number] = match[2].strip()
    found: dict[int, list[str]] = {}
    for finding in findings(path):
        found.setdefault(finding.span.line, []).append(finding.id)
        if hints.get(finding.span.line):
            assert hints[finding.span.line] in finding.help
    assert {n: sorted(ids) for n, ids in found.items()} == expected


def test_every_finding_has_a_case_and_a_paragraph() -> None:
    root = Path(__file__).parents[3]
    written = "".join(path.read_text() for path in (root / "rules").glob("*.py"))
    reported = set(re.findall(r'"([EW]\d{3})"', written))
    assert reported == set(FINDINGS)
    shown = {
        code for path in CASES for match in EXPECTED.findall(path.read_text()) for code in match[0].split()
    }
    reference = (root / "docs/reference/findings.md").read_text()
    for code in sorted(reported):
        assert f"### {code}" in reference, code
    assert sorted(reported - shown) == ["E002", "E115"], (
        "too large a text, and another version, have tests of their own"
    )


def test_a_text_that_is_too_long_is_not_even_read() -> None:
    with pytest.raises(RuleCheckError, match="E002"):
        parse(Source("long", " " * (5 << 20)))


def test_another_version_of_what_is_used() -> None:
    _, _, found = examined({"p": "policy a.b version 1\nuse facility.base version 99\n"}, "")
    assert [finding.id for _, finding in found] == ["E115"]


def test_the_grammar_has_no_conflicts() -> None:
    from lark import Lark

    import rules

    grammar = (Path(rules.__file__).parent / "grammar.lark").read_text()
    Lark(grammar, parser="lalr", start=["start", "expr"], strict=True)


@pytest.mark.parametrize("name", ["demo.policy", "facility_base.policy"])
def test_the_shipped_policies_check(name: str) -> None:
    _, _, found = examined({name: policies.text(name)}, "demo") if name == "demo.policy" else ((), (), [])
    if name != "demo.policy":
        found = [(None, f) for f in examine(base_policy(), {})[1]]
    assert not found
