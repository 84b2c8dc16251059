"""Predicates: each example is right, each missing or wrong field is named, and what is not ours is no crash."""

import json

import pytest

from provenance import jcs
from provenance.errors import Malformed
from provenance.predicates import PREDICATES, check_predicate, json_schema
from provenance.statements import PREDICATE, TREE, Statement, Subject, read


@pytest.mark.parametrize("kind", PREDICATES)
def test_an_example_is_right_and_comes_back_as_it_was(kind: str) -> None:
    example = dict(PREDICATES[kind].example)
    made = Statement.of(kind, [Subject("/maxiv/a", {TREE: "ab" * 32})], example)
    envelope = made.envelope()
    found = read(type(envelope)(envelope.payload, envelope.payload_type))
    assert (found.kind, found.predicate, found.predicate_type) == (kind, example, PREDICATE.format(kind))


@pytest.mark.parametrize("kind", PREDICATES)
def test_a_field_that_is_missing_wrong_or_unknown_is_named(kind: str) -> None:
    example = dict(PREDICATES[kind].example)
    for one in PREDICATES[kind].fields:
        if one.required:
            rest = {name: value for name, value in example.items() if name != one.name}
            with pytest.raises(Malformed, match=f"`{kind}` lacks `{one.name}`"):
                check_predicate(kind, rest)
        for wrong in (None, object(), "", -1, ["x", 1], {"a": None}, "not of it"):
            if one.kind in ("text",) and wrong == "not of it":
                continue
            with pytest.raises(Malformed, match=f"`{one.name}` of `{kind}`"):
                check_predicate(kind, {**example, one.name: wrong})
    with pytest.raises(Malformed, match="has no field `colour`"):
        check_predicate(kind, {**example, "colour": "red"})


@pytest.mark.parametrize("kind", PREDICATES)
def test_a_schema_names_every_field(kind: str) -> None:
    schema = json_schema(kind)
    assert set(PREDICATES[kind].example) <= set(schema["properties"])
    assert set(schema["required"]) <= set(PREDICATES[kind].example)
    assert json.loads(json.dumps(schema)) == schema


def test_a_number_that_could_be_read_in_two_ways_is_refused() -> None:
    for text in (b'{"a":1,"a":2}', b'{"a":9007199254740993}', b'{"a":NaN}'):
        with pytest.raises(Malformed):
            jcs.decode(text)
