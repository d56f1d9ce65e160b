"""Which rows are judged, and in which slices."""

import pyarrow as pa
import pytest

from factory_assets.ml.evaluation.test_set import MOST_SLICES, judged_rows, slice_rows
from factory_assets.spec import LastRow
from factory_resources.errors import DataError

LAST = LastRow(by="engine", order="cycle")


def test_all_rows_unless_the_last_are_asked_for() -> None:
    table = pa.table({"engine": [1, 1], "cycle": [2, 1]})
    assert judged_rows(table, None).tolist() == [0, 1]


def test_last_row_of_each_unit_in_the_order_of_the_rows() -> None:
    table = pa.table(
        {
            "engine": ["b", "a", "b", "a", None, "c", "a"],
            "cycle": [9, 1, 3, 7, 1, None, 7],
        }
    )
    # Of a's two rows at cycle 7 the later one; the unnamed unit is one of its own.
    assert judged_rows(table, LAST).tolist() == [0, 4, 5, 6]


@pytest.mark.parametrize(("name", "where"), [("engine", "by"), ("cycle", "order")])
def test_last_names_the_column_that_is_gone(name: str, where: str) -> None:
    table = pa.table({"engine": [1], "cycle": [1], "_row": [1]}).drop_columns(name)
    with pytest.raises(DataError, match=f"evaluate.last.{where}: .*'{name}'; there are [ec]"):
        judged_rows(table, LAST)


def test_slices_by_frequency_then_name() -> None:
    table = pa.table({"site": ["x", "z", "y", "x", None, "y", "x"]})
    found = [(value, rows.tolist()) for value, rows in slice_rows(table, "site")]
    assert found == [("x", [0, 3, 6]), ("y", [2, 5]), ("(missing)", [4]), ("z", [1])]


def test_slices_of_numbers_and_booleans_are_named_by_their_value() -> None:
    table = pa.table({"year": [2024, 2023, 2024], "new": [True, False, True]})
    assert [value for value, _ in slice_rows(table, "year")] == ["2024", "2023"]
    assert [value for value, _ in slice_rows(table, "new")] == ["true", "false"]


def test_only_the_most_frequent_values_are_slices() -> None:
    values = [str(i) for i in range(200)] + ["often"] * 2
    found = [value for value, _ in slice_rows(pa.table({"id": values}), "id")]
    assert len(found) == MOST_SLICES
    assert found[0] == "often"


def test_slice_by_a_column_that_is_not_there() -> None:
    with pytest.raises(DataError, match=r"evaluate.slices: .*'sites'; did you mean 'site'"):
        list(slice_rows(pa.table({"site": ["x"], "_row": [1]}), "sites"))
