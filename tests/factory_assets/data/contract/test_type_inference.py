"""Columns of text get the narrowest type that all of their texts fit."""

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_assets.data.contract.sql_types import INFERRED
from factory_assets.data.contract.type_inference import FIRST, fits_sql
from factory_resources.sql.engine import literal

Fits = dict[str, tuple[bool | None, ...]]
Texts = list[str | None]

_TEXTS = st.sampled_from(
    [None, "1", "-2", "3.5", "007", "true", "2024-01-31", "2024-01-31 12:00:00", "late", "1e3"]
)


def fits(columns: dict[str, Texts], first: int) -> Fits:
    rows = [
        f"({i}, {literal(name)}, {'NULL' if text is None else literal(text)})"
        for name, texts in columns.items()
        for i, text in enumerate(texts)
    ]
    table = f"(VALUES {', '.join(rows)}) AS cells(i, name, text)"
    query = fits_sql(
        f"SELECT name, CAST(text AS VARCHAR) AS text FROM {table}",
        f"SELECT name, CAST(text AS VARCHAR) AS text FROM {table} WHERE i < {first}",
    )
    with duckdb.connect() as connection:
        return {name: tuple(found) for name, *found in connection.execute(query).fetchall()}


@settings(max_examples=25)
@given(st.lists(st.tuples(_TEXTS, _TEXTS), min_size=1, max_size=8), st.integers(0, 8))
def test_what_the_first_texts_rule_out_is_what_all_texts_rule_out(
    rows: list[tuple[str | None, str | None]], first: int
) -> None:
    columns: dict[str, Texts] = {"a": [row[0] for row in rows], "b": [row[1] for row in rows]}
    assert fits(columns, first) == fits(columns, 0)


@pytest.mark.parametrize(
    ("texts", "kinds"),
    [
        (["1"] * FIRST + ["late"], set()),
        (["1"] * FIRST + ["1.5"], {"float64"}),
        ([None] * FIRST + ["2024-01-31"], {"date", "timestamp"}),
        (["late"] + ["1"] * FIRST, set()),
    ],
)
def test_a_type_must_fit_all_texts(texts: Texts, kinds: set[str]) -> None:
    [found] = fits({"a": texts}, FIRST).values()
    assert {kind for kind, fit in zip(INFERRED, found, strict=True) if fit} == kinds
