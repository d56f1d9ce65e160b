"""ARFF: attributes become columns of their types; what is not dense ARFF is named with its line."""

import csv
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from factory_resources.errors import SourceError
from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.discovery import File
from factory_resources.sources.files.line_numbers import lines_of
from factory_resources.sources.files.reader import SourceTable, read_file

WHOLE = r"""% a comment, with an 'odd quote
@RELATION 'the apples'

@attribute size numeric
@attribute 'the weight' REAL
@ATTRIBUTE count integer
@attribute colour {red, 'dark green', "it's", '100%'}
@attribute code {01,02}
@attribute note string
@attribute seen date "yyyy-MM-dd HH:mm"
@attribute day date yyyy-MM-dd
@attribute standard DATE
@data
1.5, 2, 3, red, 01, 'a, b', '2024-02-29 23:59', 2024-02-29, '2024-02-29T23:59:01'
% between rows

-1e3,?,-4,'dark green',02,"say \"hi\"",?,?,?
?,.5,?,"it's",?,'?',"2024-01-01 00:00",2024-01-01,2024-01-01T00:00:00
0,1,0,'100%',01,'it\'s \\ here',?,?,?
"""


def _read(folder: Path, content: str, rules: TextRules = TextRules()) -> SourceTable:  # noqa: B008
    path = folder / "d.arff"
    path.write_text(content, encoding=rules.encoding)
    (folder / "scratch").mkdir()
    return read_file(File(path, "d.arff"), folder / "scratch", rules=rules)


def _columns(table: SourceTable) -> dict[str, list[Any]]:
    stored = pq.read_table(table.path)
    return {name: stored[place].to_pylist() for name, (place, _) in table.columns.items()}


def test_every_kind_of_attribute(tmp_path: Path) -> None:
    table = _read(tmp_path, WHOLE)
    assert table.rows == 4
    assert {name: kind for name, (_, kind) in table.columns.items()} == {
        "size": "DOUBLE",
        "the weight": "DOUBLE",
        "count": "BIGINT",
        "colour": "VARCHAR",
        "code": "VARCHAR",
        "note": "VARCHAR",
        "seen": "TIMESTAMP",
        "day": "DATE",
        "standard": "TIMESTAMP",
    }
    assert _columns(table) == {
        "size": [1.5, -1000, None, 0],
        "the weight": [2, None, 0.5, 1],
        "count": [3, -4, None, 0],
        "colour": ["red", "dark green", "it's", "100%"],
        "code": ["01", "02", None, "01"],
        "note": ["a, b", 'say "hi"', "?", "it's \\ here"],
        "seen": [datetime(2024, 2, 29, 23, 59), None, datetime(2024, 1, 1), None],
        "day": [date(2024, 2, 29), None, date(2024, 1, 1), None],
        "standard": [datetime(2024, 2, 29, 23, 59, 1), None, datetime(2024, 1, 1), None],
    }


def test_it_reads_what_scipy_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SciPy reads numbers, dates and nominal values, but no text."""
    from scipy.io import arff

    # SciPy lifts this limit for the whole process.
    monkeypatch.setattr(csv, "field_size_limit", lambda *limit: None)

    header = "@relation r\n@attribute a real\n@attribute b {x,y}\n@attribute c date yyyy-MM-dd\n"
    rows = "".join(f"{i / 7},{'xy'[i % 2]},2024-01-{i % 28 + 1:02d}\n" for i in range(500))
    table = _read(tmp_path, f"{header}@data\n{rows}")
    expected, _ = arff.loadarff(tmp_path / "d.arff")
    assert _columns(table) == {
        "a": expected["a"].tolist(),
        "b": [value.decode() for value in expected["b"]],
        "c": expected["c"].tolist(),
    }


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_encodings(encoding: Any, mark: str, tmp_path: Path) -> None:
    mark = mark if encoding == "utf-8" else ""
    content = f"{mark}@relation r\n@attribute größe {{grün}}\n@data\ngrün\n?\n"
    assert _columns(_read(tmp_path, content, TextRules(encoding=encoding))) == {
        "größe": ["grün", None]
    }


def test_a_time_with_an_offset_says_that_it_has_one(tmp_path: Path) -> None:
    attribute = """@attribute t date "yyyy-MM-dd'T'HH:mm:ssZ"\n"""
    table = _read(tmp_path, f"@relation r\n{attribute}@data\n2024-07-01T12:00:00+0200\n?\n")
    assert table.columns["t"][1] == "TIMESTAMP WITH TIME ZONE"
    assert _columns(table)["t"] == [datetime(2024, 7, 1, 10, tzinfo=UTC), None]


def test_digits_of_long_numbers_are_kept(tmp_path: Path) -> None:
    content = "@relation r\n@attribute id numeric\n@data\n12345678901234567891\n?\n"
    assert _columns(_read(tmp_path, content)) == {"id": ["12345678901234567891", None]}


HEAD = "@relation r\n@attribute a numeric\n@attribute b {x,y}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{HEAD}@data\n1,x\n{{0 5, 1 x}}\n", "d.arff:6: is sparse ARFF; write every value"),
        (f"{HEAD}@data\n1,x\n\n1\n", "d.arff:7: has 1 values in this row, but 2 attributes"),
        (f"{HEAD}@data\n1,x,{{5}}\n", "d.arff:5: has 3 values in this row"),
        (f"{HEAD}@data\nten,x\n", "d.arff:5: 'ten' is not a number, which attribute 'a' is"),
        (f"{HEAD}@data\n1_0,x\n", "d.arff:5: '1_0' is not a number"),
        (f"{HEAD}@data\n1,z\n", "d.arff:5: 'z' is not a value of attribute 'b'"),
        (f"{HEAD}@data\n1,'x\n", "d.arff:5: has a quoted value that never ends"),
        (f"{HEAD}@data\n1,'x'y\n", "d.arff:5: has a quoted value that never ends or continues"),
        (HEAD, "d.arff:3: has no @data"),
        ("@relation r\n@data\n1\n", "d.arff:2: has no @attribute"),
        ("a,b\n1,2\n", "d.arff:1: is not a line of an ARFF header"),
        (f"{HEAD}@attribute A real\n@data\n", "d.arff:4: has 2 attributes named 'A'"),
        (f"{HEAD}@attribute c relational\n@data\n", "attribute 'c' has type 'relational'"),
        (
            '@relation r\n@attribute d date "EEE, d MMM"\n@data\n?\n',
            "d.arff:2: has the date format 'EEE, d MMM', of which 'E' is not supported",
        ),
        (
            "@relation r\n@attribute d date yyyy-MM-dd\n@data\n2024-01-01\n2024-13-01\n",
            "d.arff:5: '2024-13-01' is not a date, which attribute 'd' is",
        ),
        (f"{HEAD}@data\n1,x\n2,\udce4\n", "d.arff:6: is not utf-8 text"),
    ],
)
def test_each_fault_is_one_line(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "d.arff"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    (tmp_path / "scratch").mkdir()
    with pytest.raises(SourceError) as caught:
        read_file(File(path, "d.arff"), tmp_path / "scratch", rules=TextRules())
    assert message in str(caught.value)


def test_the_lines_of_its_records(tmp_path: Path) -> None:
    (tmp_path / "d.arff").write_text(WHOLE)
    found = [
        lines_of(tmp_path / "d.arff", record, 4, tmp_path, rules=TextRules())
        for record in range(1, 5)
    ]
    lines = WHOLE.splitlines()
    starts = ("1.5", "-1e3", "?,.5", "0,1")
    expected = [next(i for i, t in enumerate(lines, 1) if t.startswith(s)) for s in starts]
    assert found == [(line, line) for line in expected]
