"""Windows over series: which rows of a table make the input of each."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_assets.data.privacy.sensitive_columns import sensitive_misuses
from factory_assets.ml.features.series import Series, lay_out, series_of
from factory_assets.spec import Gru, Linear, Pipeline, PipelineSpec
from factory_resources.errors import DataError

SERIES = Series(by="unit", order="cycle", window=3)

ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.one_of(st.none(), st.integers(0, 3))),
    max_size=30,
)


def expected(rows: list[tuple[Any, Any]], row: int, size: int) -> list[int]:
    """The window of a row, worked out one row at a time."""

    def rank(i: int) -> tuple[bool, int, int]:
        return rows[i][1] is None, rows[i][1] or 0, i

    own = sorted((i for i in range(len(rows)) if rows[i][0] == rows[row][0]), key=rank)
    end = own.index(row) + 1
    return own[max(0, end - size) : end]


@settings(deadline=None)
@given(rows=ROWS, size=st.integers(2, 5))
def test_windows_are_those_of_one_series_in_its_order(
    rows: list[tuple[Any, Any]], size: int
) -> None:
    columns = {
        "unit": pa.array([unit for unit, _ in rows], pa.string()),
        "cycle": pa.array([cycle for _, cycle in rows], pa.int64()),
    }
    layout, windows = lay_out(pa.table(columns), SERIES.model_copy(update={"window": size}))
    assert sorted(layout.tolist()) == list(range(len(rows)))
    assert len(windows) == len(rows)
    for row, places in enumerate(windows.places().tolist()):
        known = [place for place in places if place >= 0]
        assert [int(layout[place]) for place in known] == expected(rows, row, size)
        assert places == known + [-1] * (size - len(known))


def test_some_windows_are_those_of_all() -> None:
    table = pa.table({"unit": [1, 1, 2, 1], "cycle": [3.0, 1.0, 1.0, 2.0]})
    _, windows = lay_out(table, SERIES)
    assert windows.take([3, 0]).places().tolist() == [[0, 1, -1], [0, 1, 2]]


def test_dictionaries_and_chunks_are_read_as_their_values() -> None:
    plain = pa.table({"unit": ["b", "a", "b", "a"], "cycle": [1, 1, 2, 2]})
    coded = pa.concat_tables([plain.slice(0, 1), plain.slice(1)])
    coded = coded.set_column(0, "unit", coded["unit"].dictionary_encode())
    (layout, windows), (same, again) = lay_out(plain, SERIES), lay_out(coded, SERIES)
    assert layout.tolist() == same.tolist() == [0, 2, 1, 3]
    assert windows.places().tolist() == again.places().tolist()


@pytest.mark.parametrize(("gone", "key"), [("unit", "by"), ("cycle", "order")])
def test_names_the_column_that_is_gone(gone: str, key: str) -> None:
    table = pa.table({"unit": [1], "cycle": [1]}).drop_columns(gone)
    with pytest.raises(DataError, match=f"train.model.{key}: column '{gone}' is missing"):
        lay_out(table, SERIES)


def test_only_models_of_sequences_have_series() -> None:
    assert series_of(Linear(kind="linear")) is None
    assert series_of(Gru(kind="gru", by="unit", order="cycle", window=3)) == SERIES


@pytest.mark.parametrize(("secret", "uses"), [("unit", 0), ("heat", 1)])
def test_what_makes_series_may_be_secret_as_it_is_no_input(secret: str, uses: int) -> None:
    columns = [{"name": n, "type": "int64"} for n in ("unit", "cycle", "heat", "y")]
    kept = [{**c, "sensitive": "secret"} if c["name"] == secret else c for c in columns]
    model = {"kind": "gru", "by": "unit", "order": "cycle"}
    spec = {
        "purpose": "test",
        "ingest": {"source": {"files": "a.csv"}, "contract": kept},
        "split": {"time": "cycle"},
        "train": {"target": "y", "model": model},
    }
    made = Pipeline("p", PipelineSpec.model_validate(spec), Path())
    assert len(list(sensitive_misuses(made))) == uses
