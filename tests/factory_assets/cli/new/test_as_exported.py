"""`factory new` on numbers, dates and durations as spreadsheets, banks and offices export them."""

import random
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest

from factory_assets.cli.new.column_summary import ColumnForm
from factory_assets.cli.new.written_columns import read_written
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_resources.home.home import Home
from factory_resources.sql.engine import literal, sealed
from tests.data_stages import column
from tests.factory_assets.cli.new.cases import drafted

GERMAN = {
    ("1.317,63+", "204,98-", "7,50+"): -204.98,
    ("8.283,-", "12.500,-"): 8283,
    ("8.283,-- €", "12,50 €"): 12.5,
    ("1,234E-02", "5,678E-02"): 0.01234,
    ("5.678", "8.283,\u2014"): 5678,
    ("1-", "2", "3-"): None,
    ("1+", "2-"): None,
    ("38:30:00", "7:15:30"): 7.258333,
    ("38:30", "7:15"): 7.25,
    ("2:35.5", "1:30.25"): 1.504167,
    ("2:1", "3:10"): None,
    ("Mo, 03.01.2022", "Dienstag, 04.01.2022"): datetime(2022, 1, 3),
    ("KW 01/2022", "KW 5/2022"): datetime(2022, 1, 3),
    ("2022-KW01", "2022-KW05"): datetime(2022, 1, 3),
    ("KW 01/2022", "KW 54/2022"): None,
    ("2. Quartal 2022", "3. Quartal 2022"): datetime(2022, 4, 1),
    ("2022Q2", "2022Q3"): datetime(2022, 4, 1),
    ("2022010307", "2022010314"): datetime(2022, 1, 3, 7),
    ("1999123123", "1999010100"): datetime(1999, 1, 1),
}

ENGLISH = {
    (" $-   ", " $(1,234.50)", " $2,000.25 "): -1234.5,
    ("$ -", "$5.00"): 0,
    ("5.-", "1'250.--"): 5,
    ("71 311.84", "12 000.50"): 12000.5,
    ("04:16 PM", "11:00 PM"): 16.266667,
    ("1 days 07:30:00", "0 days 02:00:00.500"): 2.000139,
    ("2022/01/03 08:20:00 PM GMT+1", "2022/03/28 09:20:00 AM EET"): datetime(2022, 1, 3, 20, 20),
}


@pytest.mark.parametrize("columns", [GERMAN, ENGLISH], ids=["German", "English"])
def test_what_spreadsheets_and_offices_write_is_read(
    columns: dict[tuple[str, ...], object], tmp_path: Path
) -> None:
    names = {f"{texts}": texts for texts in columns}
    rows = ", ".join(f"({literal(n)}, {literal(t)})" for n, texts in names.items() for t in texts)
    table = f"(SELECT * FROM (VALUES {rows}) t(name, text))"
    strings = dict.fromkeys(names, ColumnForm("string"))
    with sealed(read=[], write=tmp_path) as connection:
        forms = read_written(connection, table, strings, (), ";")
        for name, texts in names.items():
            least = columns[texts]
            assert (name in forms) == (least is not None), texts
            if form := forms.get(name):
                read, pattern = form.written.replace("{}", "text"), literal(form.pattern)
                kind = "DOUBLE" if form.type == "float64" else "TIMESTAMP"
                [(found, all_match)] = connection.execute(
                    f"SELECT min(CAST({read} AS {kind})), bool_and(regexp_full_match(text, "
                    f"{pattern})) FROM {table} WHERE name = ?",
                    [name],
                ).fetchall()
                assert all_match, texts
                assert found == (least if kind == "TIMESTAMP" else pytest.approx(least)), texts


def _rows(cell: Callable[[int], str], classes: str = "ny", rows: int = 120) -> str:
    chance = random.Random(4)
    return "".join(
        f"{cell(i)};{chance.random():.3f};{chance.choice(classes)}\n" for i in range(rows)
    )


def test_days_as_excel_counts_them_are_dates_if_the_column_is_named_so(
    tmp_path: Path, home: Home
) -> None:
    made = drafted(tmp_path, "Datum;size;y\n" + _rows(lambda i: f"{44197 + i * 7 % 200}"), "y")
    assert made.spec.split.time == "Datum"
    days = column(clean(made, ingest(made, home), home).snapshot, home, "Datum")
    assert days[:2] == [date(2021, 1, 1), date(2021, 1, 8)]


def test_hours_in_one_number_are_times(tmp_path: Path, home: Home) -> None:
    """As weather services write them."""
    rows = _rows(lambda i: f"202201{i // 24 + 1:02}{i % 24:02}")
    made = drafted(tmp_path, "MESS_DATUM;size;y\n" + rows, "y")
    assert made.spec.split.time == "MESS_DATUM"
    moments = column(clean(made, ingest(made, home), home).snapshot, home, "MESS_DATUM")
    assert moments[25] == datetime(2022, 1, 2, 1)


def test_days_of_excel_with_a_fraction_are_times(tmp_path: Path, home: Home) -> None:
    made = drafted(tmp_path, "date;size;y\n" + _rows(lambda i: f"{44197 + i * 7 % 200}.75"), "y")
    moments = column(clean(made, ingest(made, home), home).snapshot, home, "date")
    assert moments[:2] == [datetime(2021, 1, 1, 18), datetime(2021, 1, 8, 18)]
