"""A portable pattern means the same to the SQL engine and to Python, whatever the text."""

import re
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from factory_assets.cli.new.written_forms import ENGLISH, GERMAN
from factory_assets.serving.edge import score
from factory_assets.serving.edge.patterns import is_portable
from tests.random_examples import examples

PARTS = [
    "a", "B", "0", "-", r"\d", r"\w", r"\.", ".", "[a-c]", "[^a-c]", "[0-9_]", "+", "*", "?",
    "{2}", "{1,3}", "{2,}", "+?", "(", "(?:", ")", "|", "é", "^", "$", r"\s", r"\b", "[[:alpha:]]",
]  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as connection:
        yield connection


@settings(max_examples=examples(600))
@given(
    parts=st.lists(st.sampled_from(PARTS), min_size=1, max_size=8),
    texts=st.lists(st.text("abcB09-_.é\n ", max_size=6), min_size=1, max_size=8),
)
def test_a_portable_pattern_means_the_same(
    parts: list[str], texts: list[str], engine: duckdb.DuckDBPyConnection
) -> None:
    pattern = "".join(parts)
    assume(is_portable(pattern))
    try:
        found = [
            engine.execute("SELECT regexp_full_match(?, ?)", [text, pattern]).fetchone()
            for text in texts
        ]
    except duckdb.Error:
        # The contract refuses it before.
        return
    expected = [re.fullmatch(pattern, text, re.ASCII) is not None for text in texts]
    assert [row[0] for row in found if row] == expected, pattern


@pytest.mark.parametrize(
    "pattern",
    [
        *("[A-Z]{2}[0-9]+", r"\d{4}-\d\d-\d\d", "(red|green|blue)", "[a-z]+@[a-z]+", "(ab)?c", ""),
        *(ENGLISH.pattern, GERMAN.pattern),
    ],
)
def test_common_patterns_are_portable(pattern: str) -> None:
    assert is_portable(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a|aa)+b",
        "((a|b)c)*",
        "(a{1,2})+",
        "(a+)+",
        "(a*)*b",
        "((a+)b)+",
        "a*a*a*a*a*b",
        "(?i)a",
        "a$",
        "^a",
        r"\s",
        "é",
        r"\pL",
        "(a",
    ],
)
def test_others_are_left_to_the_engine(pattern: str) -> None:
    assert not is_portable(pattern)


def test_the_slowest_portable_pattern_ends() -> None:
    assert is_portable("a*a*a*a*b")
    assert re.fullmatch("a*a*a*a*b", "a" * 60) is None


@pytest.mark.parametrize(
    ("pattern", "longest"), [(".*a.*a.*a.*b", 218), (".*a.*b", 14_140), (".{0,200}a.{1,}b", 14_140)]
)
def test_a_text_that_would_be_compared_for_hours_is_left_to_the_factory(
    pattern: str, longest: int
) -> None:
    assert is_portable(pattern)
    fits = score._fits(pattern)
    assert fits("a" * (longest - 2) + "b")
    with pytest.raises(score.UncertainError):
        fits("a" * (longest + 1))
