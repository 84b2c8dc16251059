"""Policies with the expected findings in place: `#! ID text` at the end of the line they belong to."""

import re
from pathlib import Path

import pytest

from grid.policy.engine import signatures
from rules import RuleCheckError, Source, compile_policy, parse

CASES = sorted((Path(__file__).parent / "cases").glob("*.policy"))


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_findings_are_where_the_case_says(path: Path) -> None:
    text = path.read_text()
    expected: dict[int, list[str]] = {}
    hints: dict[int, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = re.search(r"#! ((?:E\d+ ?)+)(.*)$", line)
        if match:
            expected[number] = match[1].split()
            hints[number] = match[2].strip()
    with pytest.raises(RuleCheckError) as caught:
        compile_policy(parse(Source(path.name, text)), signatures(), "z")
    found: dict[int, list[str]] = {}
    for finding in caught.value.findings:
        found.setdefault(finding.span.line, []).append(finding.id)
        if hints.get(finding.span.line):
            assert hints[finding.span.line] in finding.help
    assert {n: sorted(ids) for n, ids in found.items()} == {n: sorted(ids) for n, ids in expected.items()}
    assert f"{path.name}:{min(expected)}:" in str(caught.value)


def test_the_grammar_has_no_conflicts() -> None:
    from lark import Lark

    import rules

    grammar = (Path(rules.__file__).parent / "grammar.lark").read_text()
    Lark(grammar, parser="lalr", start=["start", "expr"], strict=True)


def test_the_shipped_policies_check() -> None:
    import policies

    compiled = compile_policy(
        parse(Source("demo.policy", policies.text("demo.policy"))), signatures(), "demo"
    )
    assert compiled.name == "demo.ingest"
