"""Encoding of rows by what the reference had in them."""

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.performance.labelled_rows import RowEncoder
from factory_resources.errors import DataError


def reference() -> pa.Table:
    words = pa.array(["b", "a", "b", None])
    return pa.table(
        {
            "number": pa.array([1.5, None, 3.0, 4.0]),
            "flag": [True, False, True, None],
            "word": words.dictionary_encode(),
            "when": pa.array([0, 1, 2, 3], pa.date32()),
        }
    )


def test_values_are_coded_by_frequency_and_missing_ones_stay_missing() -> None:
    rows = RowEncoder.fit(reference()).encode(reference(), np.array([9.0, 8.0, 7.0, 6.0]))
    nan = np.nan
    expected = [[1.5, 1, 0, 9], [nan, 0, 1, 8], [3, 1, 0, 7], [4, nan, nan, 6]]
    np.testing.assert_array_equal(rows.inputs, np.array(expected, np.float32))


def test_a_value_that_no_reference_row_had_gets_a_code_of_its_own() -> None:
    window = reference().set_column(2, "word", pa.array(["new", "other", "a", "b"]))
    rows = RowEncoder.fit(reference()).encode(window, np.zeros(4))
    assert list(rows.inputs[:, 2]) == [2, 2, 1, 0]


def test_of_two_classes_one_probability_is_an_input_and_of_three_two_are() -> None:
    encoder = RowEncoder.fit(reference())
    assert encoder.encode(reference(), np.full((4, 2), 0.5)).inputs.shape == (4, 4)
    assert encoder.encode(reference(), np.full((4, 3), 1 / 3)).inputs.shape == (4, 5)


def test_texts_in_a_column_of_numbers_are_refused() -> None:
    window = reference().set_column(0, "number", pa.array(["x", "y", "z", "w"]))
    with pytest.raises(DataError, match="'number' holds string"):
        RowEncoder.fit(reference()).encode(window, np.zeros(4))
