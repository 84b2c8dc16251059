import pytest

from rules.locations import PatternError, compile_pattern


def test_captures_and_the_open_end() -> None:
    raw = compile_pattern(
        "raw", "/z/data/{kind}/{visit}/raw/**", {"kind": ["visitor", "staff"]}, {"visit": "date:YYYYMMDD"}
    )
    assert raw.match("/z/data/visitor/20260302/raw/a/b.h5") == {"kind": "visitor", "visit": "20260302"}
    assert raw.match("/z/data/visitor/20260302/raw") == {"kind": "visitor", "visit": "20260302"}
    assert raw.match("/z/data/other/20260302/raw/a") is None
    assert raw.match("/z/data/visitor/20261302/raw/a") is None
    assert raw.match("/z/data/visitor/20260302") is None


def test_without_the_open_end_one_path_matches() -> None:
    one = compile_pattern("v", "/z/{visit}", {}, {})
    assert one.match("/z/a") == {"visit": "a"}
    assert one.match("/z/a/b") is None


@pytest.mark.parametrize("pattern", ["z/a", "/z/**/a", "/z/{a}{b}", "/z/{b"])
def test_a_pattern_that_is_none(pattern: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern("x", pattern, {}, {})


def test_what_lies_below() -> None:
    raw = compile_pattern("raw", "/z/data/{beamline}/raw/**", {}, {})
    assert raw.touches_below("/z")
    assert raw.touches_below("/z/data/nanomax")
    assert raw.touches_below("/z/data/nanomax/raw/run7")
    assert not raw.touches_below("/z/home")
