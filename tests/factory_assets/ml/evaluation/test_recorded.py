"""Evaluated rows are found among the test rows, also where a file is there twice."""

from typing import Any

import pyarrow as pa
import pytest

from factory_assets.ml.evaluation.recorded import read_judged_rows
from factory_assets.ml.evaluation.test_set import judged_rows
from factory_assets.spec import IDENTITY
from factory_assets.spec.evaluate import LastRow
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import keep


def file(name: str, units: list[str], **labels: Any) -> pa.Table:
    rows = len(units)
    columns = {"_file": [name] * rows, "_row": range(1, rows + 1), "unit": units, **labels}
    return pa.table({**columns, "cycle": range(rows)})


@pytest.mark.parametrize("copies", [1, 2, 3])
def test_the_last_rows_of_units_are_found_in_copies_of_a_file(copies: int, home: Home) -> None:
    rows = [file("f", ["a", "a", "b", "b"]), file("g", ["c"])]
    test = pa.concat_tables([*rows, *rows[:1] * (copies - 1)])
    places = judged_rows(test, LastRow(by="unit", order="cycle"))
    predictions = keep(home, "predictions", test.take(places).select(IDENTITY))
    found, positions = read_judged_rows(keep(home, "test", test), predictions, ["unit"], home)
    assert positions.tolist() == places.tolist()
    assert found.take(positions)["unit"].to_pylist() == test.take(places)["unit"].to_pylist()


def test_a_row_that_was_evaluated_more_often_than_it_is_there_is_none(home: Home) -> None:
    test = file("f", ["a", "b"])
    predictions = keep(home, "predictions", test.take([0, 1, 1]).select(IDENTITY))
    with pytest.raises(ModelError, match="1 evaluated rows are not among the test rows"):
        read_judged_rows(keep(home, "test", test), predictions, ["unit"], home)
