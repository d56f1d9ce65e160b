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
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from factory_resources.sql.engine import literal, sealed
from tests.data_stages import column
from tests.factory_assets.cli.new.cases import draft_text, drafted

GERMAN = {
    ("1.317,63+", "204,98-", "7,50+"): -204.98,
    ("8.283,-", "12.500,-"): 8283,
    ("8.283,-- €", "12,50 €"): 12.5,
    ("1,234E-02", "5,678E-02"): 0.01234,
    ("5.678", "8.283,\u2014"): 5678,
    ("1-", "2", "3-"): None,
    ("1+", "2-"): None,
    ("18-", "40-", "65+"): None,
    ("38:30:00", "7:15:30"): 7.258333,
    ("38:30", "7:15"): 7.25,
    ("-2:45", "0:30", "-0:15"): -2.75,
    ("-30:45:00", "0:30:00"): -30.75,
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
                assert "()" not in form.pattern
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


@pytest.mark.parametrize(
    ("cell", "asked"),
    [
        (
            lambda i: "hemolysed" if i % 9 == 0 else f"{130 + i % 8}",
            "numbers, but also 'hemolysed'",
        ),
        (
            lambda i: (
                f"{i % 28 + 1}.2.2022",
                f"2022-02-{i % 28 + 1:02}",
                f"{i % 28 + 1} Feb 2022",
            )[i % 3],
            "dates such as '1 Feb 2022', but others are not, such as '1.2.2022'",
        ),
        (
            lambda i: f"Summe B{i}" if i % 12 == 11 else f"B{i // 12 * 12}-{i}",
            "10 begin like a total: sums of other rows?",
        ),
        (lambda i: f"Total {i}", ""),
    ],
)
def test_what_keeps_a_column_from_being_read_is_told(
    cell: Callable[[int], str], asked: str, tmp_path: Path
) -> None:
    drafted(tmp_path, "found;size;y\n" + _rows(cell), "y")
    [line] = [line for line in draft_text(tmp_path).splitlines() if "name: found" in line]
    assert asked in line
    assert asked or "; " not in line.partition("  # ")[2]


def test_a_target_with_two_decimal_marks_is_told(tmp_path: Path) -> None:
    rows = _rows(lambda i: f"{i},5" if i % 4 else f"{i}.5")
    with pytest.raises(
        DataError, match="120 different texts in 120 rows; it has numbers, of which "
    ):
        drafted(tmp_path, "load;size;y\n" + rows, "load")


@pytest.mark.parametrize(
    ("cell", "task"),
    [
        (lambda i: f"{i % 2},00", "binary"),
        (lambda i: f"{i % 3 + 1},00", "multiclass"),
        (lambda i: f"{i % 3 + 1},50", "regression"),
        (lambda i: f"{i % 3 + 1},00 €", "regression"),
        (lambda i: f"{i % 3 + 1}00,00", "regression"),
    ],
)
def test_codes_of_classes_that_spss_writes_with_decimals(
    cell: Callable[[int], str], task: str, tmp_path: Path
) -> None:
    made = drafted(tmp_path, "code;size;y\n" + _rows(cell), "code")
    assert made.spec.training.task == task


@pytest.mark.parametrize(
    ("words", "alike"),
    [
        (("positiv", "pos.", "negativ"), "'pos.', 'positiv'"),
        (("Yes", "y", "no"), "'Yes', 'y'"),
        (("low", "lower", "high"), ""),
    ],
)
def test_classes_that_may_be_spellings_of_one_are_asked_about(
    words: tuple[str, ...], alike: str, tmp_path: Path
) -> None:
    drafted(tmp_path, "found;size;y\n" + _rows(lambda i: words[i % 3]), "found")
    assert (f"{alike}: spellings of the same?" in draft_text(tmp_path)) == bool(alike)


def test_a_number_named_in_french_is_an_identifier_and_an_amount_no_group(tmp_path: Path) -> None:
    chance = random.Random(5)
    numbers = chance.sample(range(10**5, 10**6), 120)
    weights = [f"{chance.randrange(1, 40)} {unit}" for unit in ("kg", "lbs") for _ in range(60)]
    rows = _rows(lambda i: f"{numbers[i]};{weights[i]}")
    made = drafted(tmp_path, "N° de dossier;Poids;size;y\n" + rows, "y")
    assert made.spec.training.exclude == ("n_de_dossier",)
    assert "group: Poids" not in draft_text(tmp_path)
