"""Marked rows are recognised, whatever the number of files and of bit strings."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_resources.sources.files.reader import numbered
from factory_resources.sql import row_marks
from factory_resources.sql.engine import literal, sealed
from factory_resources.sql.row_marks import mark, marked
from tests.random_examples import examples


@settings(max_examples=examples(40), deadline=None)
@given(data=st.data(), rows=st.integers(1, 40), span=st.integers(1, 50))
def test_exactly_the_marked_rows_are_recognised(
    data: st.DataObject, rows: int, span: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chosen = data.draw(st.sets(st.integers(0, rows - 1)))
    listed = f"SELECT unnest({sorted(chosen)}::BIGINT[]) AS _order"
    with (
        pytest.MonkeyPatch.context() as patch,
        sealed(read=[], write=tmp_path_factory.getbasetemp()) as connection,
    ):
        patch.setattr(row_marks, "SPAN", span)
        connection.execute(f"CREATE TEMP VIEW source AS SELECT range AS _order FROM range({rows})")
        assert mark(connection, "chosen", listed, rows) == len(chosen)
        query = f"SELECT _order, {marked('chosen', rows)} FROM source ORDER BY _order"
        result = connection.execute(query).fetchall()
    assert result == [(i, i in chosen) for i in range(rows)]


def test_rows_of_several_files_are_numbered_consecutively(tmp_path: Path) -> None:
    sizes = [3, 1, 5]
    paths = [tmp_path / f"{name}.parquet" for name in ("b", "c", "a")]
    with sealed(read=paths, write=tmp_path) as connection:
        for start, size, path in zip((0, 3, 4), sizes, paths, strict=True):
            connection.execute(
                f"COPY (SELECT range + {start} AS n FROM range({size})) TO {literal(str(path))}"
            )
        connection.execute(f"CREATE TEMP VIEW source AS {numbered(paths, sizes)}")
        assert connection.execute("SELECT n, _order FROM source").fetchall() == [
            (i, i) for i in range(9)
        ]
        assert mark(connection, "odd", "SELECT _order FROM source WHERE n % 2 = 1", 9) == 4
        even = f"SELECT n FROM source WHERE NOT {marked('odd', 9)}"
        assert connection.execute(even).fetchall() == [(0,), (2,), (4,), (6,), (8,)]


@pytest.mark.parametrize("name", ["file_index", "FILENAME", "file_row", "n"])
def test_a_column_called_as_one_of_the_engine_numbers_no_row(name: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"it's {one}.parquet" for one in ("b", "a")]
    with sealed(read=paths, write=tmp_path) as connection:
        for path in paths:
            connection.execute(
                f"COPY (SELECT 1 - range AS {name} FROM range(2)) TO {literal(str(path))}"
            )
        rows = connection.execute(numbered(paths, [2, 2], 5)).fetchall()
    assert rows == [(1, 5), (0, 6), (1, 7), (0, 8)]
