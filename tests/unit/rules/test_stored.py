"""The checked form of policies, written down and read again."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

import policies
from grid.policy.bundles import base_policy
from rules import NotStorable, Source, core, examine, parse, restored, stored
from rules.core import Op, Policy
from rules.values import Period
from tests.properties.programs import Generator

EXAMPLES = Path(__file__).parents[2] / "conformance/rules/examples"
TEXTS = {
    **{path.name: path.read_text() for path in sorted(EXAMPLES.glob("*.policy"))},
    **{name: policies.text(name) for name in ("demo.policy", "trash.policy")},
}


def checked(text: str) -> Policy:
    return examine(parse(Source("p.policy", text)), {"facility.base": base_policy()})[0]


@pytest.mark.parametrize("name", TEXTS)
def test_a_policy_comes_back_as_it_was(name: str) -> None:
    policy = checked(TEXTS[name])
    text = stored([policy], "here")
    (again,) = restored(text, "here") or ()
    assert again == policy
    assert stored([again], "here") == text, "places in the text, which equality leaves out, come back too"
    for old, new in zip(core.items_of(policy), core.items_of(again), strict=True):
        if old.pattern is not None and new.pattern is not None:
            path = old.pattern.text.replace("/**", "/a/b")
            assert new.pattern.match(path) == old.pattern.match(path)


def test_forms_and_words_of_captures_still_count() -> None:
    policy = checked(
        'policy my.p version 1\ncode NO kind refused "no"\nvocabulary kinds { staff, visitor }\nlocation v = "/z/{kind}/{day}/**"'
        ' with kind in kinds, day matches "date:YYYYMMDD"\nrule "r" id r before object create at v { refuse "no" code NO }\n'
    )
    (again,) = restored(stored([policy], ""), "") or ()
    pattern = again.rules[0].pattern
    assert pattern is not None
    assert pattern.match("/z/staff/20260302/a") == {"kind": "staff", "day": "20260302"}
    assert pattern.match("/z/other/20260302/a") is None
    assert pattern.match("/z/staff/2026-3-02/a") is None


def test_what_was_changed_or_made_elsewhere_is_not_used() -> None:
    text = stored([checked(TEXTS["demo.policy"])], "here")
    assert restored(text, "here") is not None
    assert restored(text, "there") is None
    assert restored(text.replace('"refuse"', '"note"', 1), "here") is None
    assert restored("", "here") is None


@pytest.mark.parametrize(
    "value",
    [
        None, True, 7, 1.5, "ä\u2028", (1, ("a",)), [1, [2]], frozenset({"b", "a"}), {"k": (1,)}, timedelta(days=-1, microseconds=3),
        datetime(2026, 3, 2, 10, tzinfo=UTC), date(2026, 3, 2), Decimal("1.10"), Period(months=1),
    ],
)  # fmt: skip
def test_constants_of_every_kind(value: object) -> None:
    policy = checked(TEXTS["demo.policy"])
    held = Policy(policy.name, 1, "", (), (), (), frozenset(), (), (), (("e", "a", Op("const", data=value)),))  # type: ignore[arg-type]
    (again,) = restored(stored([held], ""), "") or ()
    kept: Op = again.attributes[0][2]  # type: ignore[assignment]
    assert (type(kept.data), kept.data) == (type(value), value)


def test_a_value_of_no_known_kind_is_refused() -> None:
    with pytest.raises(NotStorable, match="a function has no stored form"):
        stored([Policy("p", 1, "", (), (), (), frozenset(), (), (), (("e", "a", checked),))], "")  # type: ignore[arg-type]


def test_generated_programs_come_back() -> None:
    for seed in range(60):
        policy = checked(Generator(seed).program())
        text = stored([policy], "")
        assert [stored([one], "") for one in restored(text, "") or ()] == [text], seed
