"""The test rows on which two models are compared: those that both or neither learned from."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_assets.ml.evaluation.comparable_rows import comparable_rows
from factory_assets.results.data import SplitResult
from factory_assets.spec import Pipeline
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.sql.engine import sealed
from factory_resources.tables.snapshot import Snapshot
from factory_resources.tables.writer import write
from tests.pipelines import APPLES, declare
from tests.random_examples import examples

Row = tuple[float | None, str | None]
ROWS = st.lists(
    st.tuples(st.sampled_from([None, 0.0, 1.5]), st.sampled_from([None, "", "ab"])), max_size=6
)


def _pipeline(folder: Path) -> Pipeline:
    return declare(folder / "apples", {**APPLES, "clean": {"derive": {"area": "size * size"}}})


def _stored(rows: list[Row], table: str, home: Home, area: float = 0.0) -> Snapshot:
    """Store rows; their file and number, and what was derived, say nothing about what they are."""
    columns = {
        "_file": pa.array([table] * len(rows), pa.string()),
        "_row": pa.array(range(len(rows)), pa.int64()),
        "size": pa.array([size for size, _ in rows], pa.float64()),
        "colour": pa.array([colour for _, colour in rows], pa.string()),
        "area": pa.array([area] * len(rows), pa.float64()),
    }
    with home.scratch() as scratch, sealed(read=[], write=scratch) as connection:
        connection.register("made", pa.table(columns))
        return write(
            connection, "SELECT * FROM made", home=home, table=f"apples/{table}", folder=scratch
        )


def _parts(train: list[Row], validation: list[Row], test: list[Row], home: Home) -> SplitResult:
    return SplitResult(
        train=_stored(train, "train", home),
        validation=_stored(validation, "validation", home),
        test=_stored(test, "test", home),
    )


@settings(max_examples=examples(60))
@given(ROWS, ROWS, ROWS.filter(bool), ROWS, ROWS, st.data())
def test_what_one_of_both_learned_from_is_left_out(
    train: list[Row],
    validation: list[Row],
    test: list[Row],
    theirs: list[Row],
    stopped_by: list[Row],
    data: st.DataObject,
) -> None:
    judged = sorted(data.draw(st.sets(st.sampled_from(range(len(test))), min_size=1)))
    with TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        learned = [
            _stored(rows, f"their_{part}", home, area=7.0)
            for part, rows in (("train", theirs), ("validation", stopped_by))
        ]
        found = comparable_rows(
            _pipeline(Path(folder)),
            np.array(judged),
            _parts(train, validation, test, home),
            learned,
            home,
        )
    expected = [
        index
        for index, place in enumerate(judged)
        if (test[place] in train + validation) == (test[place] in theirs + stopped_by)
    ]
    assert (range(len(judged)) if found is None else [*found]) == (
        range(len(judged)) if len(expected) == len(judged) else expected
    )


def test_without_the_rows_of_the_champion_all_are_compared(tmp_path: Path, home: Home) -> None:
    parts = _parts([(1.0, "a")], [(2.0, "a")], [(3.0, "a")], home)
    assert comparable_rows(_pipeline(tmp_path), np.array([0]), parts, (), home) is None


def test_a_column_of_another_type_is_no_part_of_a_row(tmp_path: Path, home: Home) -> None:
    parts = _parts([], [], [(1.0, "a"), (1.0, "b")], home)
    learned = _stored([(1.0, "b")], "theirs", home)
    pipeline, both = _pipeline(tmp_path), np.array([0, 1])
    assert comparable_rows(pipeline, both, parts, [learned], home) == [0]
    as_text = learned.model_copy(update={"columns": {**learned.columns, "size": "VARCHAR"}})
    assert comparable_rows(pipeline, both, parts, [as_text], home) == [0]
    other = as_text.model_copy(update={"columns": {"size": "VARCHAR"}})
    assert comparable_rows(pipeline, both, parts, [other], home) is None


def test_changed_rows_of_the_champion_are_refused(tmp_path: Path, home: Home) -> None:
    parts = _parts([], [], [(1.0, "a")], home)
    learned = _stored([(1.0, "b")], "theirs", home)
    [file] = learned.paths(home)
    file.write_bytes(parts.test.paths(home)[0].read_bytes())
    with pytest.raises(StorageError, match="not what was written"):
        comparable_rows(_pipeline(tmp_path), np.array([0]), parts, [learned], home)
