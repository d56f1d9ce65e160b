"""Frames of pandas keep what their index says."""

import pandas as pd
import pytest

from factory_resources.tables.frames import to_arrow

FRAME = pd.DataFrame({"machine": ["a", "a", "b"], "shift": [1, 2, 1], "torque": [1.0, 3.0, 5.0]})


@pytest.mark.parametrize(
    ("frame", "columns"),
    [
        (FRAME.groupby("machine").mean(), {"machine": ["a", "b"], "torque": [2.0, 5.0]}),
        (FRAME.groupby(["machine", "shift"]).sum(), {"machine": ["a", "a", "b"]}),
        (FRAME.set_index("machine", drop=False), {"machine": ["a", "a", "b"]}),
        (FRAME[FRAME["torque"] > 2], {"torque": [3.0, 5.0]}),
    ],
)
def test_an_index_with_a_name_is_a_column(frame: pd.DataFrame, columns: dict[str, object]) -> None:
    table = to_arrow(frame)
    assert set(table.column_names) <= set(FRAME.columns)
    assert table.select([*columns]).to_pydict() == columns
