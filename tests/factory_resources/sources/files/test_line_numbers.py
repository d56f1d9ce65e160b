"""The lines of a record are those from which the engine read it, whatever is in quotes."""

import csv
import gzip
import io
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.discovery import File
from factory_resources.sources.files.line_numbers import lines_of, record_at
from factory_resources.sources.files.reader import read_file

CELLS = st.text(st.sampled_from('ab"\n ,;é'), max_size=6)

RULES = TextRules()


def _read(path: Path, rules: TextRules = RULES) -> list[tuple[str | None, ...]]:
    import duckdb

    with tempfile.TemporaryDirectory() as scratch:
        raw = read_file(File(path, path.name), Path(scratch), rules=rules)
        return duckdb.execute("FROM read_parquet(?)", [str(raw.path)]).fetchall()


def _lines(path: Path, record: int, rows: int, rules: TextRules = RULES) -> tuple[int, int] | None:
    with tempfile.TemporaryDirectory() as scratch:
        return lines_of(path, record, rows, Path(scratch), rules=rules)


@settings(max_examples=60, deadline=None)
@given(
    table=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12),
    blanks=st.lists(st.integers(0, 12), max_size=3),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_the_lines_contain_the_record(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[tuple[str, str]],
    blanks: list[int],
    end: str,
    quoting: int,
) -> None:
    path = tmp_path_factory.mktemp("quoted") / "data.csv"
    pieces = ["name,other" + end]
    for i, row in enumerate(table):
        pieces += [end] * blanks.count(i)
        piece = io.StringIO()
        csv.writer(piece, lineterminator=end, quoting=quoting).writerow(row)
        pieces.append(piece.getvalue())
    path.write_text("".join(pieces), newline="")
    read = _read(path, TextRules(delimiter=","))
    physical = path.read_bytes().decode().split("\n")
    assert len(read) == len(table)
    for record, cells in enumerate(read, 1):
        lines = _lines(path, record, len(read), TextRules(delimiter=","))
        assert lines is not None
        piece = "\n".join(physical[lines[0] - 1 : lines[1]]) + "\n"
        [again] = list(csv.reader(io.StringIO(piece, newline="")))
        assert [c or None for c in again] == [c or None for c in cells]


@pytest.mark.parametrize(
    ("text", "record", "expected"),
    [
        ("a,b\n1,2\n\n3,4\n", 2, (4, 4)),
        ('a,b\n1,"x\ny"\n3,4\n', 1, (2, 3)),
        ('a,b\n1,"x\ny"\n3,4\n', 2, (4, 4)),
        ('a,b\n1,x"y\n3,4\n', 2, (3, 3)),
        ('a,b\n1, "x""\n"\n3,4\n', 2, (4, 4)),
        ("a,b\r1,2\r\r3,4\r", 2, (4, 4)),
        ('a,b\n1,"x\ry"\n3,4\n', 2, (3, 3)),
        ('"a\nb",c\n1,2\n', 1, (3, 3)),
        ("\ufeffa,b\n1,2\n", 1, (2, 2)),
    ],
)
def test_lines_in_files_with_quotes_blank_lines_and_other_line_ends(
    tmp_path: Path, text: str, record: int, expected: tuple[int, int]
) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode())
    assert _lines(path, record, len(_read(path))) == expected


def test_a_blank_line_of_a_single_column_is_a_record(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a\n1\n\n3\n")
    assert [_lines(path, n, len(_read(path))) for n in (1, 2, 3)] == [(2, 2), (3, 3), (4, 4)]


def test_lines_in_blank_separated_text_and_json_lines(tmp_path: Path) -> None:
    blank = tmp_path / "data.txt"
    blank.write_text("a  b\n\n1 2\n3   4\n")
    rules = TextRules(delimiter=" ")
    assert _lines(blank, 2, len(_read(blank, rules)), rules) == (4, 4)
    objects = tmp_path / "data.jsonl"
    objects.write_text('{"a": 1}\n\n{"a": 2}\n')
    assert _lines(objects, 2, len(_read(objects))) == (3, 3)


def test_lines_in_packed_files_and_other_encodings(tmp_path: Path) -> None:
    text = 'a,b\n1,"é\n"\n3,4\n'
    packed = tmp_path / "data.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert _lines(packed, 2, 2) == (4, 4)
    archive = tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("in/data.csv", text)
    assert _lines(archive, 2, 2) == (4, 4)
    for encoding in ("latin-1", "utf-16"):
        path = tmp_path / f"{encoding}.csv"
        path.write_text(text, encoding=encoding)
        assert _lines(path, 2, 2, TextRules(encoding=encoding)) == (4, 4)


def test_there_are_no_lines_if_the_records_are_not_as_expected(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    assert _lines(path, 2, 3) is None
    assert _lines(path, 3, 2) is None
    (tmp_path / "data.parquet").write_bytes(b"PAR1")
    assert _lines(tmp_path / "data.parquet", 1, 1) is None


def test_a_line_leads_to_the_record_that_it_is_of(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text('size,note\n1,"of\ntwo"\n\n2,one\n3,"of\n\nthree"\n')
    found = [record_at(path, line, tmp_path, rules=RULES) for line in range(1, 10)]
    assert found == [1, 1, 1, 2, 2, 3, 3, 3, None]
    for record in (1, 2, 3):
        lines = _lines(path, record, 3)
        assert lines
        assert {record_at(path, n, tmp_path, rules=RULES) for n in lines} == {record}
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    assert record_at(tmp_path / "a.parquet", 1, tmp_path, rules=RULES) is None
