"""The test set: which rows are judged, and their slices."""

import pyarrow as pa
import pytest

from factory_assets.ml.evaluation.test_set import MOST_SLICES, judged_rows, slice_rows
from factory_assets.spec import LastRow
from factory_resources.errors import DataError

LAST = LastRow(by="engine", order="cycle")


def test_all_rows_are_judged_unless_last_is_declared() -> None:
    table = pa.table({"engine": [1, 1], "cycle": [2, 1]})
    assert judged_rows(table, None).tolist() == [0, 1]


def test_last_row_of_each_unit_in_the_order_of_the_rows() -> None:
    table = pa.table(
        {
            "engine": ["b", "a", "b", "a", None, "c", "a"],
            "cycle": [9, 1, 3, 7, 1, None, 7],
        }
    )
    # Of the two rows of "a" at cycle 7 the later one counts; a missing unit is a unit of its own.
    assert judged_rows(table, LAST).tolist() == [0, 4, 5, 6]


@pytest.mark.parametrize(("name", "where"), [("engine", "by"), ("cycle", "order")])
def test_last_with_a_missing_column_names_it(name: str, where: str) -> None:
    table = pa.table({"engine": [1], "cycle": [1], "_row": [1]}).drop_columns(name)
    with pytest.raises(DataError, match=f"evaluate.last.{where}: .*'{name}'; available: [ec]"):
        judged_rows(table, LAST)


def test_slices_by_frequency_then_name() -> None:
    table = pa.table({"site": ["x", "z", "y", "x", None, "y", "x"]})
    slices = [(value, rows.tolist()) for value, rows in slice_rows(table, "site")]
    assert slices == [("x", [0, 3, 6]), ("y", [2, 5]), ("(missing)", [4]), ("z", [1])]


def test_slices_of_numbers_and_booleans_are_named_by_their_value() -> None:
    table = pa.table({"year": [2024, 2023, 2024], "new": [True, False, True]})
    assert [value for value, _ in slice_rows(table, "year")] == ["2024", "2023"]
    assert [value for value, _ in slice_rows(table, "new")] == ["true", "false"]


def test_only_the_most_frequent_values_are_slices() -> None:
    values = [str(i) for i in range(200)] + ["often"] * 2
    slices = [value for value, _ in slice_rows(pa.table({"id": values}), "id")]
    assert len(slices) == MOST_SLICES
    assert slices[0] == "often"


def test_slice_by_a_missing_column_suggests_another() -> None:
    with pytest.raises(DataError, match=r"evaluate.slices: .*'sites'; did you mean 'site'"):
        list(slice_rows(pa.table({"site": ["x"], "_row": [1]}), "sites"))


def test_a_missing_value_does_not_round_the_whole_numbers_beside_it() -> None:
    large = 2**60
    units = pa.table({"engine": [large, large, large + 1, None], "cycle": [1, 2, 1, 1]})
    assert judged_rows(units, LAST).tolist() == [1, 2, 3]
    orders = pa.table({"engine": [1, 1, 2, 2], "cycle": [large + 1, large, None, large]})
    assert judged_rows(orders, LAST).tolist() == [0, 3]
