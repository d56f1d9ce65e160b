"""Windows over series: which rows of a table form the input of each row."""

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
    """Compute the window of one row the slow way."""

    def rank(i: int) -> tuple[bool, int, int]:
        return rows[i][1] is None, rows[i][1] or 0, i

    own = sorted((i for i in range(len(rows)) if rows[i][0] == rows[row][0]), key=rank)
    end = own.index(row) + 1
    return own[max(0, end - size) : end]


@settings(deadline=None)
@given(rows=ROWS, size=st.integers(2, 5))
def test_windows_follow_one_series_in_its_order(rows: list[tuple[Any, Any]], size: int) -> None:
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


def test_take_selects_windows_of_single_rows() -> None:
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


@pytest.mark.parametrize(("missing", "key"), [("unit", "by"), ("cycle", "order")])
def test_lay_out_names_the_missing_column(missing: str, key: str) -> None:
    table = pa.table({"unit": [1], "cycle": [1]}).drop_columns(missing)
    with pytest.raises(DataError, match=f"train.model.{key}: column '{missing}' is missing"):
        lay_out(table, SERIES)


def test_only_sequence_models_have_series() -> None:
    assert series_of(Linear(kind="linear")) is None
    assert series_of(Gru(kind="gru", by="unit", order="cycle", window=3)) == SERIES


@pytest.mark.parametrize(("secret", "misuses"), [("unit", 0), ("heat", 1)])
def test_a_series_key_may_be_secret_but_an_input_may_not(secret: str, misuses: int) -> None:
    columns = [{"name": n, "type": "int64"} for n in ("unit", "cycle", "heat", "y")]
    contract = [{**c, "sensitive": "secret"} if c["name"] == secret else c for c in columns]
    model = {"kind": "gru", "by": "unit", "order": "cycle"}
    spec = {
        "purpose": "test",
        "ingest": {"source": {"files": "a.csv"}, "contract": contract},
        "split": {"time": "cycle"},
        "train": {"target": "y", "model": model},
    }
    declared = Pipeline("p", PipelineSpec.model_validate(spec), Path())
    assert len(list(sensitive_misuses(declared))) == misuses
