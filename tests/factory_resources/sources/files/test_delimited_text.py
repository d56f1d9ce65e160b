"""The layout of delimited text: lines of thousands of columns, values of several lines."""

from pathlib import Path

import pytest

from factory_resources.errors import SourceError
from factory_resources.sources.files.delimited_text import TextRules, fields_of, find_layout
from factory_resources.sources.files.discovery import File
from factory_resources.sources.files.reader import read_file
from factory_resources.sources.files.text_encoding import has_multiline_values
from factory_resources.sql.engine import MOST_COLUMNS, sealed


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


def test_lines_of_a_value_are_no_records_wherever_the_engine_begins_to_read(tmp_path: Path) -> None:
    # Longer than what the engine gives to one thread.
    note = "\n".join(["pump failed, again, and"] * 5000 + ["again, the pump"])
    (tmp_path / "d.csv").write_text("a,note,y\n" + "".join(f'{i},"{note}",7\n' for i in range(90)))
    for once in (True, False):
        scratch = tmp_path / str(once)
        scratch.mkdir()
        table = read_file(File(tmp_path / "d.csv", "d.csv"), scratch, rules=TextRules(), once=once)
        with sealed(read=[table.path], write=scratch) as connection:
            found = connection.execute(f"SELECT c0, c2, c1 = ? FROM {table.relation}", [note])
            assert found.fetchall() == [(str(i), "7", True) for i in range(90)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('a;"b"\n"c ""d""";e\n', False),
        ('a;"b\nc"\n', True),
        ('a;"b\rc"\r', True),
        ('"b\n""c"";d"', True),
        ('a;5" pipe\n"b\nc"\n', True),
        ('"a"\n' * 400_000, False),
        ('"' + "a" * (3 << 20) + '"\n', False),
        ('"' + "a" * (1 << 20) + "\n" + "a" * (1 << 20) + '"\n', True),
        # What is not certain, the engine reads as it reads other files, and tells what is wrong.
        ('"b\nc"\n"d;e\n', False),
        ('5" pipe\n"b\nc";"d;e\n', False),
        ('"b\nc"\n"d;e""\n', False),
        ('"b\nc"\n4;  "d;e\n', False),
    ],
)
def test_line_breaks_inside_quotes_are_found(text: str, found: bool, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(text, newline="")
    assert has_multiline_values(tmp_path / "d.csv", ";") is found


@pytest.mark.parametrize("end", ['3;"x\n', '3;"x', '"x;4\n5;6\n', '3;"x\ny""', '5";"x\n'])
def test_a_value_that_never_ends_is_told_although_others_have_several_lines(
    end: str, tmp_path: Path
) -> None:
    (tmp_path / "d.csv").write_text('a;y\n"p\nq";2\n' + end)
    with pytest.raises(SourceError, match=r"d\.csv:4: has a quoted value that never ends"):
        read_file(File(tmp_path / "d.csv", "d.csv"), tmp_path, rules=TextRules())
