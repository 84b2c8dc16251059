"""Properties of the policy language: two evaluators agree, formatting keeps the meaning, no text breaks the reader."""

import random
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from grid.policy.bundles import base_policy
from rules import (
    RuleCheckError,
    RuleFailed,
    Source,
    check,
    core,
    examine,
    format_policy,
    interpreter,
    parse,
)
from rules.compiler import compile_rule
from rules.runtime import Frame, frame_slots
from rules.values import Entity, as_text
from tests.properties.programs import Generator

LIBRARY = {"facility.base": base_policy()}
NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)


class Recorder:
    """A host with a few facts that writes down everything it is asked to do."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def attribute(self, entity: Entity, name: str) -> Any:
        return {
            "copies": 2,
            "id": 7,
            "size": 5_000_000,
            "name": "bbb",
            "closed": True,
            "closed_at": datetime(2026, 1, 31, tzinfo=UTC),
        }.get(name)

    def metadata(self, entity: Entity, attribute: str) -> str | None:
        return "Ccc" if attribute == "label" else None

    def look_up(self, name: str, arguments: Mapping[str, Any]) -> Any:
        return []

    def candidates(self, found: Any, rows: int) -> list[Entity]:
        return []

    def call(self, name: str, arguments: Mapping[str, Any], token: str) -> Any:
        self.done.append(f"{name} {as_text(list(arguments.values()))} {token}")
        return None

    def schedule(self, job: Any) -> None:
        self.done.append(f"schedule {job.key} {job.not_before}")

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *given: self.done.append(f"{name} {[as_text(value) for value in given]}")


def frame_of(rule: core.Rule) -> tuple[Frame, Recorder]:
    recorder = Recorder()
    entities = {"object": Entity("Object", 7, "/z/raw/v1/bbb"), "actor": Entity("User", "anna", "anna")}
    slots = frame_slots(rule.body, entities)
    return Frame("r", slots, {"visit": "v1"}, NOW, recorder, UTC, "t"), recorder  # type: ignore[arg-type]  # the recorder is one


def outcome(run: Callable[[Frame], object], rule: core.Rule) -> tuple[str, list[str]]:
    frame, recorder = frame_of(rule)
    try:
        result = str(run(frame))
    except RuleFailed as failure:
        result = f"{failure.code} {failure.kind} {failure if failure.code != 'RULE_ERROR' else ''}"
    return result, recorder.done


def interpreted(rule: core.Rule) -> Callable[[Frame], object]:
    def run(frame: Frame) -> object:
        if all(interpreter.holds(frame, guard) for guard in rule.guards):
            return interpreter.run(frame, rule.body.steps, deciding=rule.phase == "before")
        return "guard"

    return run


def compiled(rule: core.Rule) -> Callable[[Frame], object]:
    made = compile_rule(rule)
    return lambda frame: made.body(frame) if made.guards(frame) else "guard"


def agree(seed: int) -> None:
    text = Generator(seed).program()
    meant, findings = examine(parse(Source("p", text)), LIBRARY)
    assert {finding.id for finding in findings} <= {"E501", "E502"}, f"seed {seed}\n{text}\n{findings}"
    (rule,) = meant.rules
    assert outcome(interpreted(rule), rule) == outcome(compiled(rule), rule), f"seed {seed}\n{text}"


SEED = random.SystemRandom().randrange(10**9)


@pytest.mark.soak
def test_compiled_code_does_what_the_reference_does_in_full() -> None:
    for number in range(100_000):
        agree(SEED + number)


def test_compiled_code_does_what_the_reference_does() -> None:
    for number in range(1_000):  # a share; a hundred thousand programs in ./run soak
        agree(SEED + number)


def test_random_programs_act_and_decide() -> None:
    """The comparison would prove nothing if every program failed at once."""
    kinds: set[str] = set()
    effects: set[str] = set()
    for seed in range(300):
        (rule,) = examine(parse(Source("p", Generator(seed).program())), LIBRARY)[0].rules
        result, done = outcome(compiled(rule), rule)
        kinds.add(result.split()[0])
        effects.update(line.split()[0] for line in done)
    assert {"True", "False", "guard", "NO", "LATER", "RULE_ERROR"} <= kinds
    assert {
        "set_metadata",
        "remove_metadata",
        "grant",
        "revoke",
        "schedule",
        "emit",
        "note",
        "set_attribute",
    } <= effects


def test_reading_what_was_formatted_gives_the_same() -> None:
    for number in range(200):
        policy = parse(Source("p", Generator(SEED + number).program()))
        once = format_policy(policy)
        assert parse(Source("p", once)) == policy, f"seed {SEED + number}"
        assert format_policy(parse(Source("p", once))) == once, f"seed {SEED + number}"


def test_comments_are_never_lost() -> None:
    for number in range(200):
        chance = random.Random(SEED + number)
        lines = format_policy(parse(Source("p", Generator(SEED + number).program()))).splitlines()
        for comment in range(5):
            at = chance.randrange(len(lines))
            if chance.random() < 0.5:
                lines.insert(at, f"# comment {comment}")
            elif "#" not in lines[at] and lines[at].strip():
                lines[at] += f"  # comment {comment}"
        text = "\n".join(lines) + "\n"
        commented = parse(Source("p", text))
        once = format_policy(commented)
        assert sorted(re.findall(r"# comment \d", once)) == sorted(re.findall(r"# comment \d", text)), text
        assert parse(Source("p", once)) == commented, text
        assert format_policy(parse(Source("p", once))) == once, text


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(max_size=200), st.lists(st.sampled_from(
    ["policy", "a.b", "version", "1", "rule", '"x"', "before", "object", "create", "at", "raw", "{", "}", "(", ")", "[", "when",
     "require", "else", "not", "and", "find", "limit", "metadata", "of", "=", ">", "3", "days", "%", "let", "test", "given", "then"]
), max_size=40).map(" ".join)))  # fmt: skip
def test_random_text_is_only_ever_a_syntax_finding(text: str) -> None:
    found: list[str] = []
    try:
        parse(Source("p", text))
    except RuleCheckError as error:
        found = [finding.id for finding in error.findings]
    assert all(code.startswith("E0") for code in found)


LOOPS = {
    "for each": "for each a in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] up to 1000 { BODY }",
    "all": 'require all a in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] satisfy (CONDITION) else "x" code NO',
    "any": 'require not (any a in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] satisfy (CONDITION)) else "x" code NO',
}


def nested(kind: str, depth: int) -> str:
    text = "true" if kind == "all" else "false"
    body = 'note "x"'
    for level in range(depth):
        if kind == "for each":
            body = LOOPS[kind].replace("BODY", body).replace(" a ", f" a{level} ")
        else:
            text = f"{kind} a{level} in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] satisfy ({text})"
    if kind == "for each":
        return body
    return f'require {text if kind == "all" else f"not ({text})"} else "x" code NO'


@pytest.mark.parametrize("evaluator", [interpreted, compiled])
@pytest.mark.parametrize("body", [
    nested("for each", 6), nested("all", 6), nested("any", 6),
    'let t = "' + "x" * 1000 + '"\n' + "\n".join(f"let t{n} = t{n - 1 if n else ''} + t{n - 1 if n else ''}" for n in range(12)),
    'require count(find object at raw limit 1000) >= 0 else "x" code NO\n' * 2,
], ids=["for each", "all", "any", "text", "rows"])  # fmt: skip
def test_every_loop_ends_by_its_budget(evaluator, body: str) -> None:
    head = 'policy a.b version 1\ncode NO kind refused "no"\nlocation raw = "/z/raw/{visit}/**"\n'
    text = f'{head}rule "r" id r before object write at raw {{\n{body}\n}}\n'
    (rule,) = check(parse(Source("p", text)), LIBRARY).rules
    frame, recorder = frame_of(rule)
    recorder.candidates = lambda found, rows: [Entity("Object", n, f"/z/raw/v1/{n}") for n in range(1000)]  # type: ignore[method-assign]
    with pytest.raises(RuleFailed) as caught:
        evaluator(rule)(frame)
    assert caught.value.code == "BUDGET"
