"""The layout of delimited text: lines of thousands of columns."""

import pytest

from factory_resources.errors import SourceError
from factory_resources.sources.files.delimited_text import TextRules, fields_of, find_layout
from factory_resources.sql.engine import MOST_COLUMNS


def _text(columns: int, delimiter: str = ",") -> bytes:
    # Longer than the longest field that Python's reader of CSV takes.
    names = [f"ENSG{number:08d}" for number in range(columns)]
    rows = [names, *[["0.12345678"] * columns] * 3]
    return "".join(f"{delimiter.join(row)}\n" for row in rows).encode()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_lines_of_more_than_128_kib_are_split(delimiter: str) -> None:
    layout = find_layout(_text(MOST_COLUMNS, delimiter), "genes.csv", TextRules())
    assert (layout.delimiter, len(layout.columns)) == (delimiter, MOST_COLUMNS)
    line = _text(MOST_COLUMNS, delimiter).decode().partition("\n")[0]
    assert len(fields_of(line, delimiter)) == MOST_COLUMNS
    assert fields_of(line, "|") == [line]


def test_more_columns_than_the_engine_takes_are_one_line() -> None:
    with pytest.raises(SourceError) as caught:
        find_layout(_text(MOST_COLUMNS + 1), "genes.csv", TextRules())
    assert str(caught.value) == (
        "genes.csv: has 16,001 columns, more than 16,000; "
        "keep those that matter in a file of their own"
    )
