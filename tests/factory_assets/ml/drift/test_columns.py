"""Tables of rows as numbers and codes."""

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.drift.columns import (
    MAX_CATEGORIES,
    WatchedColumn,
    learn_categories,
    read_rows,
)

NUMBER, NAME = WatchedColumn("n", "number"), WatchedColumn("s", "category")


def test_numbers_of_any_type_are_read_and_missing_ones_are_nan() -> None:
    for array in (
        pa.array([1, None, 3]),
        pa.array([1.0, float("nan"), 3.0], pa.float32()),
        pa.array([1, None, 3], pa.decimal128(9, 2)),
    ):
        read = read_rows(pa.table({"n": array}), [NUMBER], [()])
        assert read[:, 0].tolist() == pytest.approx([1, np.nan, 3], nan_ok=True)
    assert read_rows(pa.table({"n": pa.array([True, False])}), [NUMBER], [()]).sum() == 1


def test_categories_get_codes_from_rare_to_frequent() -> None:
    table = pa.table({"s": ["b", "a", "a", "c", None, "c", ""]})
    [names] = learn_categories(table, [NAME])
    assert names == ("", "b", "a", "c")
    read = read_rows(pa.table({"s": ["a", "new", None, ""]}), [NAME], [names])
    assert read[:, 0].tolist() == pytest.approx([3, 0, np.nan, 1], nan_ok=True)


@pytest.mark.parametrize(
    ("array", "names"),
    [
        (pa.array([True, False, True]), ("false", "true")),
        (pa.array([7, 5, 7]), ("5", "7")),
        (pa.array(["x", "y", "y"]).dictionary_encode(), ("x", "y")),
        (pa.array([float("nan"), 2.0, None]), ("2",)),
    ],
)
def test_categories_of_other_types_are_read_as_text(array: pa.Array, names: tuple[str]) -> None:
    assert learn_categories(pa.table({"s": array}), [NAME]) == (names,)


def test_only_the_most_frequent_categories_have_a_code_of_their_own() -> None:
    values = [f"name {i:03}" for i in range(50) for _ in range(i + 1)]
    [names] = learn_categories(pa.table({"s": values}), [NAME])
    assert names == tuple(f"name {i:03}" for i in range(50 - MAX_CATEGORIES, 50))
