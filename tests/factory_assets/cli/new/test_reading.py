"""`factory new` reads files as other programs write them: titles, totals, units, encodings."""

import gzip
import zipfile
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pytest
from deltalake import write_deltalake

from factory_assets.cli.new.new import new
from factory_assets.cli.new.profile import profile
from factory_assets.declarations.loader import load_pipeline
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_resources.errors import FactoryError, SourceError
from factory_resources.home.home import Home
from factory_resources.sources.files.delimited_text import TextRules, find_layout
from tests.data_stages import column
from tests.factory_assets.cli.new.cases import draft_text, drafted, file_source
from tests.long_run import in_long

_WRITTEN = {
    "German money": ("1.234,50 €", 1234.5, "12,00 €"),
    "English money": ("$1,234", 1234.0, "$500"),
    "brackets": ("(1,312.59)", -1312.59, "8.00"),
    "Swiss money": ("CHF 1'234.50", 1234.5, "CHF 12.00"),
    "French thousands": ("1\u00a0234,5", 1234.5, "7,0"),
    "minus behind": ("1.234,50-", -1234.5, "12,00"),
    "seconds since 1970, ts": ("1706745900", datetime(2024, 2, 1, 0, 5), "1706659200"),
    "seconds and a fraction, event time": (
        "1706745900.25",
        datetime(2024, 2, 1, 0, 5, 0, 250_000),
        "1706659200.5",
    ),
    "volume flown": ("1706745900.25", 1706745900.25, "1706659200.5"),
    "percent": ("47%", 47.0, "5%"),
    "unit": ("7,5 bar", 7.5, "12,25 bar"),
    "day of one number": ("20240131", date(2024, 1, 31), "20231201"),
    "short year": ("31.01.24", date(2024, 1, 31), "1.2.23"),
    "month in letters": ("Jan 31, 2024", date(2024, 1, 31), "Dec 1, 2023"),
    "one month in letters": ("31-JAN-2024", date(2024, 1, 31), "01-JAN-2023"),
    "short year behind a month in letters": ("31-Jan-24", date(2024, 1, 31), "01-JAN-23"),
    "month in words": ("January 31, 2024", date(2024, 1, 31), "DECEMBER 1, 2023"),
    "month after the day": ("31 March 2024", date(2024, 3, 31), "1 may 2023"),
    "month and year": ("Sep 2024", date(2024, 9, 1), "May 2023"),
    "month in words and year": ("September 2024", date(2024, 9, 1), "May 2023"),
    "typeset minus": ("\u22121,312.5", -1312.5, "8"),
    "typeset minus, unit": ("\u22127,5 K", -7.5, "12,25 K"),
    "week": ("2020-W53", date(2020, 12, 28), "2021-W01"),
    "month": ("2024-01", date(2024, 1, 1), "2023-12"),
    "clock with a fraction": (
        "31.01.2024 07:05:09.25",
        datetime(2024, 1, 31, 7, 5, 9, 250_000),
        "1.2.2023 12:00:00.123456",
    ),
    "clock": ("31.01.2024 7:05", datetime(2024, 1, 31, 7, 5), "1.2.2023 12:00"),
}


def test_numbers_and_dates_are_read_as_people_write_them(tmp_path: Path) -> None:
    rows = [[f'"{text}"' for text, *_ in _WRITTEN.values()]] + [
        [f'"{other}"' for *_, other in _WRITTEN.values()] for _ in range(2)
    ]
    header = ",".join(f'"{name}"' for name in _WRITTEN)
    (tmp_path / "data.csv").write_text("\n".join([header, *map(",".join, rows)]) + "\n")
    table = profile(tmp_path / "data.csv")
    read = {name: set(table.sample[name].to_pylist()) for name in _WRITTEN}
    assert {name for name, (_, value, _) in _WRITTEN.items() if value not in read[name]} == set()
    units = {column.source: column.unit for column in table.columns if column.unit}
    assert units == {
        "German money": "€",
        "English money": "$",
        "Swiss money": "CHF",
        "percent": "%",
        "unit": "bar",
        "typeset minus, unit": "K",
    }


@pytest.mark.parametrize(
    ("written", "also", "other"),
    [
        ("{},50 €", ["7,25 €", "7,25\u00a0€", "7,25€", "€ 7,25", "-7,25 €", "7"], "7,25 EUR"),
        ("(${}.50)", ["($7)", "$7", "$ (7)", "7 $"], "7 €"),
        ("{},50-", ["7-", "7 -", "7"], "7 kg"),
        *in_long(
            [
                ("${},000.50", ["$7", "$ 7", "-$7", "$-7", "7"], "£7"),
                ("CHF {}'000", ["CHF 7", "CHF7", "7"], "EUR 7"),
                ("({}.50)", ["(7)", "7", "-7"], "(7) kg"),
                ("{},5 bar", ["7 bar", "7bar", "7"], "7 mbar"),
            ]
        ),
    ],
)
def test_a_number_with_another_unit_goes_to_quarantine(
    written: str, also: list[str], other: str, tmp_path: Path
) -> None:
    rows = [f'"{written.format(i % 9 + 1)}","{"ny"[i % 2]}"' for i in range(60)]
    made = drafted(tmp_path, "\n".join(["a,b", *rows]) + "\n", "b")
    more = [f'"{text}","n"' for text in (*also, other)]
    (tmp_path / "data.csv").write_text("\n".join(["a,b", *rows, *more]) + "\n")
    home = Home(tmp_path / "home")
    result = ingest(made, home)
    assert (result.rows_read, sum(result.quarantined.values())) == (60 + len(more), 1)
    read = column(clean(made, result, home).snapshot, home, "a")
    assert None not in read


@pytest.mark.parametrize(
    "sign", ["..", "\u2013", "#DIV/0!", "#NV", *in_long([":", "\u2014", "\u2212", "#VALUE!"])]
)
def test_what_stands_for_no_number_is_no_value_of_a_draft(tmp_path: Path, sign: str) -> None:
    rows = "".join(
        f"{sign if i % 7 == 2 else i % 9 / 4};{i % 7}.5;{'ab'[i % 2]}\n" for i in range(70)
    )
    made = drafted(tmp_path, f"a;b;y\n{rows}", "y")
    home = Home(tmp_path / "home")
    assert column(ingest(made, home).snapshot, home, "a").count(None) == 10


def test_infinity_is_no_value_of_a_draft_whose_contract_refuses_it(tmp_path: Path) -> None:
    texts = ("inf", "-inf", "Infinity", "3.5", "1e-3")
    rows = "".join(f"{texts[i % 5]},{i % 7}.5\n" for i in range(60))
    made = drafted(tmp_path, f"a,b\n{rows}", "b")
    home = Home(tmp_path / "home")
    result = ingest(made, home)
    assert (result.rows_read, sum(result.quarantined.values())) == (60, 0)
    assert column(result.snapshot, home, "a").count(None) == 36


@pytest.mark.parametrize(
    "texts",
    [
        ("P001", "P002"),
        ("1.2.3", "1.2.4"),
        ("8h10", "9h30"),
        ("5\u22127", "6\u22128"),
        *in_long(
            [
                (("A-12", "A-7"),),
                (("3x4", "5x6"),),
                (("1974Q1", "1974Q2"),),
                (("2024-W54", "2024-W00"),),
            ]
        ),
    ],
)
def test_texts_with_digits_stay_texts(tmp_path: Path, texts: tuple[str, str]) -> None:
    (tmp_path / "data.csv").write_text("a,b\n" + f"{texts[0]},1\n{texts[1]},2\n" * 20)
    assert profile(tmp_path / "data.csv").columns[0].type == "string"


def test_a_first_line_that_counts_the_rows_is_a_title(tmp_path: Path) -> None:
    rows = "".join(f"{i % 7}.5,{i % 5}.2,{i % 3}\n" for i in range(60))
    made = drafted(tmp_path, "60,2,setosa\n" + rows, "column_3")
    assert (file_source(made).skip, file_source(made).header) == (1, False)
    assert ingest(made, Home(tmp_path / "home")).rows_read == 60


_ROWS = [f"{i};{i % 7},5;{i * i % 11},25;{'ja' if i % 3 else 'nein'}" for i in range(1, 81)]

_TWICE = ("nr", "a", "a_2", "gut")


@pytest.mark.parametrize(
    ("above", "below", "read", "columns"),
    [
        (["sep=;", "nr;a;b;gut"], [], {"skip": 1}, ()),
        (["nr;a;b;gut", ";°C;bar;"], [], {"skip": 2}, ("nr", "a [°C]", "b [bar]", "gut")),
        (
            ["nr;Mechanik;;gut", ";Rm;A5;", "-;MPa;%;-"],
            [],
            {"skip": 3},
            ("nr", "Mechanik Rm [MPa]", "Mechanik A5 [%]", "gut"),
        ),
        (["nr;a;a;gut"], ["Summe;1,5;;"], {"skip": 1, "until": "Summe"}, _TWICE),
        ([*(f"Gerät {i}: X{i}, Halle" for i in range(9)), "", "nr;a;b;gut"], [], {"skip": 10}, ()),
        ([*(f"Kanal {i};X{i}" for i in range(9)), "nr;a;a;gut"], [], {"skip": 10}, _TWICE),
        (["nr;a;b;gut"], ["", "Stand: 1.5.2024"], {"until": "Stand:"}, ()),
        (["Werte;2024;;", "Stand;1.5.2024;;", ";;;", "nr;a;b;gut"], [], {"skip": 3}, ()),
        (['"nr\n[Stk]";a;a;gut'], [], {"skip": 2}, ("nr\n[Stk]", "a", "a_2", "gut")),
        *in_long(
            [
                (["Werte;;;", ";;;", "nr;a;b;gut"], [], {"skip": 2}, ()),
                (["nr;a;;gut", ";min;max;"], [], {"skip": 2}, ("nr", "a min", "a max", "gut")),
                (["a;b;gut"], [], {"skip": 1}, ("row", "a", "b", "gut")),
                (["nr;a;b;gut"], ["Summe;1.220,5;99,25;"], {"until": "Summe"}, ()),
                (["nr;a;b;gut"], ["Stand: 1.5.2024;;;"], {"until": "Stand:"}, ()),
                (["nr;a;a ;gut"], [], {"skip": 1}, _TWICE),
                (["nr;a;a;_gut"], [], {"skip": 1}, _TWICE),
                (["row;_a;gut"], [], {"skip": 1}, ("row", "row_2", "a", "gut")),
                (
                    ["nr;a;b;gut"],
                    ["* vorläufig", "Quelle: Amt, 2024"],
                    {"until": "* vorläufig"},
                    (),
                ),
                (
                    ["nr;a;b;gut"],
                    ["* vorläufig;;;", "Quelle: Amt;;;"],
                    {"until": "* vorläufig"},
                    (),
                ),
                (["nr;a;b;gut"], ["Summe;1,5;99;", "", "Quelle: Amt"], {"until": "Summe"}, ()),
                (
                    ["nr;a;b;gut"],
                    ["Summe;1,5;99;", ";;;", "Quelle: Amt;;;"],
                    {"until": "Summe"},
                    (),
                ),
            ]
        ),
    ],
    ids=str,
)
def test_lines_above_the_first_row_and_below_the_last_one(
    above: list[str],
    below: list[str],
    read: dict[str, object],
    columns: tuple[str, ...],
    tmp_path: Path,
) -> None:
    (tmp_path / "data.csv").write_text("\n".join([*above, *_ROWS, *below]) + "\n")
    table = profile(tmp_path / "data.csv")
    rules = table.rules
    assert {"skip": rules.skip, "until": rules.until} == {"skip": 0, "until": ""} | read
    assert (rules.columns, rules.header) == (columns, not columns)
    assert table.rows == len(_ROWS)


def test_files_put_one_behind_another_have_the_types_of_their_rows(tmp_path: Path) -> None:
    header = "nr;a;b;gut"
    text = "\n".join([header, *_ROWS[:30], header, *_ROWS[30:60], header, *_ROWS[60:]]) + "\n"
    made = drafted(tmp_path, text, "gut")
    assert made.spec.ingest.contract.columns[0].type == "int64"
    assert "# 2 lines repeat the column names among the rows" in draft_text(tmp_path)
    result = ingest(made, Home(tmp_path / "home"))
    assert (result.snapshot.rows, result.rows_read) == (len(_ROWS), len(_ROWS) + 2)
    texts = "".join(f"00{i % 9};{'ab'[i % 2]}\n" for i in range(60))
    (tmp_path / "data.csv").write_text(f"code;gut\n{texts}code;gut\n{texts}")
    with pytest.raises(FactoryError, match="repeats the names of its columns in 1 lines"):
        profile(tmp_path / "data.csv")


def test_of_many_columns_all_tell_whether_a_row_repeats_the_header(tmp_path: Path) -> None:
    # More than those that are looked at first.
    names = [f"gene{number}" for number in range(12)]
    rows = [[str(number + row) for number in range(12)] for row in range(30)]
    alike = [*names[:-1], "9"]
    lines = [names, *rows[:10], names, *rows[10:20], alike, *rows[20:]]
    (tmp_path / "genes.csv").write_text("".join(f"{','.join(line)}\n" for line in lines))
    table = profile(tmp_path / "genes.csv")
    assert (table.headers, table.rows) == (1, 31)
    last = {column.source: column for column in table.columns}["gene11"]
    assert (last.low, last.high, last.distinct) == (9, 40, 31)


def test_columns_are_described_however_many_they_are(tmp_path: Path) -> None:
    # More than are described together.
    lines = [[f"gene{number}" for number in range(120)]]
    lines += [[str(number + row) for number in range(120)] for row in range(30)]
    (tmp_path / "genes.csv").write_text("".join(f"{','.join(line)}\n" for line in lines))
    ends = {c.source: (c.low, c.high, c.distinct) for c in profile(tmp_path / "genes.csv").columns}
    assert (ends["gene0"], ends["gene119"]) == ((0, 29, 30), (119, 148, 30))


@pytest.mark.parametrize(
    ("first", "is_header"),
    [("preis;menge;n", True), ("preis;2019;n", True), ("6,5;0,73;1,5", False)],
)
def test_a_name_stands_above_numbers_with_a_comma_too(
    first: str, is_header: bool, tmp_path: Path
) -> None:
    last = "yn" if is_header else ("1,25", "2,75")
    rows = [f"{i * 7 % 60},{i % 10};{i * 11 % 60},{i % 9};{last[i % 2]}" for i in range(40)]
    (tmp_path / "data.csv").write_text("\n".join([first, *rows]) + "\n")
    table = profile(tmp_path / "data.csv")
    assert (table.rules.header, table.rows) == (is_header, 40 if is_header else 41)


def test_a_row_that_occurs_again_is_no_header(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("fruit;kind\nroot;rough\nleaf;green\n" * 20)
    table = profile(tmp_path / "data.csv")
    assert (table.rules.header, table.rows) == (False, 60)


@pytest.mark.parametrize(
    ("place", "row", "columns"),
    [(30, "31;5,5;1,25", 3), (0, "0;5,5;1,25;ja;?", 5), (4, "5;5,5;1,25", 3)],
)
def test_a_row_with_a_cell_too_few_or_too_many_is_told_and_not_the_header(
    place: int, row: str, columns: int, tmp_path: Path
) -> None:
    damaged = [*_ROWS[:place], row, *_ROWS[place:]]
    (tmp_path / "data.csv").write_text("\n".join(["nr;a;b;gut", *damaged]) + "\n")
    told = rf"data.csv:{place + 2}: has {columns} columns in this row, not 4"
    with pytest.raises(FactoryError, match=told):
        profile(tmp_path / "data.csv")


def test_rows_in_an_older_form_are_no_lines_above(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a;b;c\n" + "1;2;x\n" * 9 + "1;2;3;x\n" * 90)
    with pytest.raises(FactoryError, match=r"data.csv:1: begins with a row"):
        profile(tmp_path / "data.csv")


def test_a_short_file_with_such_a_row_is_not_said_to_have_none(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b,c\n1,2,x\n1,2\n3,4,y,5\n")
    with pytest.raises(FactoryError, match=r"data.csv:3: has 2 columns in this row, not 3"):
        profile(tmp_path / "data.csv")


def test_columns_that_a_spreadsheet_leaves_empty_make_no_title(tmp_path: Path) -> None:
    rows = "".join(f"{i % 7};{i % 5};{'ny'[i % 2]};;;;;\n" for i in range(60))
    (tmp_path / "data.csv").write_text("a;b;gut;;;;;\n" + rows)
    table = profile(tmp_path / "data.csv")
    assert (table.rules.skip, table.rows, table.columns[2].source) == (0, 60, "gut")


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
@pytest.mark.parametrize(("above", "below"), [(False, True), (True, False)])
def test_a_separator_at_the_end_moves_no_name(
    delimiter: str, above: bool, below: bool, tmp_path: Path
) -> None:
    rows = [["a", "b", "gut"], *([f"{i % 7}.5", f"{i % 5}", "ny"[i % 2]] for i in range(60))]
    lines = [
        delimiter.join(row) + delimiter * (below if i else above) for i, row in enumerate(rows)
    ]
    (tmp_path / "data.csv").write_text("\n".join(lines) + "\n")
    table = profile(tmp_path / "data.csv")
    found = [(column.source, column.type) for column in table.columns]
    assert found == [("a", "float64"), ("b", "int64"), ("gut", "string")]
    assert table.rows == 60


@pytest.mark.parametrize(("name", "delimiter"), [("data.tab", "\t"), ("data.psv", "|")])
def test_separated_text_may_be_named_by_its_separator(
    name: str, delimiter: str, tmp_path: Path
) -> None:
    rows = [["size", "a grade"], *([f"{i}.5", f"{i} cm"] for i in range(60))]
    (tmp_path / name).write_text("".join(delimiter.join(row) + "\n" for row in rows))
    assert [column.source for column in profile(tmp_path / name).columns] == rows[0]
    # The name says that blanks separate nothing.
    assert find_layout(b"a grade\n7 cm\n", name, TextRules()).columns == ("a grade",)
    assert find_layout(b"a grade\n7 cm\n", "data.txt", TextRules()).columns == ("a", "grade")


def test_names_above_blanks_may_leave_out_that_of_the_rows(tmp_path: Path) -> None:
    rows = "".join(f"row_{i}    {i % 7} {i % 5}.5\n" for i in range(40))
    (tmp_path / "data.dat").write_text("        SIZE COST\n" + rows)
    assert [c.source for c in profile(tmp_path / "data.dat").columns] == ["row", "SIZE", "COST"]


@pytest.mark.parametrize(
    ("names", "row"),
    [
        ("size,colour,y", "{0}.{1},red,{2}"),
        ("colour,y,price", "red,{2},{0}.{1}"),
        ("size,weight,colour,y", "{0}.{1},{1}.{0},red,{2}"),
    ],
)
def test_decimal_commas_between_commas_move_no_name(names: str, row: str, tmp_path: Path) -> None:
    rows = [row.format(i % 9, i % 7, "ny"[i % 2]).replace(".", ",") for i in range(60)]
    (tmp_path / "data.csv").write_text("\n".join([names, *rows]) + "\n")
    lacking = f":1: has {names.count(',') + 1} names above rows of {rows[0].count(',') + 1} values;"
    with pytest.raises(SourceError, match=lacking):
        profile(tmp_path / "data.csv")


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;", "sep="])
@pytest.mark.parametrize("name", ["data.csv", *in_long(["data.csv.gz"])])
def test_the_separator_for_excel_is_no_header(line: str, name: str, tmp_path: Path) -> None:
    text = f"{line}\r\ngröße;y\r\n" + "".join(f"{i * 7 % 11};{i % 2}\r\n" for i in range(90))
    data = text.encode("utf-8-sig")
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    made = new("drafted", source=tmp_path / name, target="y", folder=tmp_path / "defs")
    source = file_source(load_pipeline(made.path.parent))
    assert (source.skip, source.header) == (1, True)
    made.path.write_text(made.path.read_text().replace(", skip: 1", ""))
    with pytest.raises(SourceError, match=r"(?i):1: begins with .*sep=.*; set source.skip to 1"):
        ingest(load_pipeline(made.path.parent), Home(tmp_path / "home"))


def test_a_later_file_of_excel_may_have_a_euro_sign(tmp_path: Path) -> None:
    rows = "".join(f"süd{i % 7};{i % 2}\n" for i in range(90))
    made = drafted(tmp_path, f"ort;y\n{rows}", "y", encoding="windows-1252")
    (tmp_path / "data.csv").write_text(f"ort;y\nsüd €;1\n{rows}", encoding="windows-1252")
    assert ingest(made, Home(tmp_path / "home")).snapshot.rows == 91


def test_notes_of_several_lines_do_not_hide_the_separator(tmp_path: Path) -> None:
    rows = "".join(f'{i};"called,\nwrote, came";{"ny"[i % 2]}\n' for i in range(90))
    (tmp_path / "data.csv").write_text("nr;note;kept\n" + rows)
    assert [c.source for c in profile(tmp_path / "data.csv").columns] == ["nr", "note", "kept"]


@pytest.mark.parametrize(
    ("first", "target", "rows"),
    [("50.5 1  2", "column_2", 41), *in_long([("age sex  dose", "sex", 40)])],
)
def test_numbers_between_blanks_are_columns_of_a_csv_file_too(
    first: str, target: str, rows: int, tmp_path: Path
) -> None:
    text = "".join(f"{i}.5 {i % 2}  {i % 3}\n" for i in range(40))
    source = file_source(drafted(tmp_path, f"{first}\n{text}", target))
    assert (source.delimiter, source.header) == (" ", rows == 40)
    table = profile(tmp_path / "data.csv")
    assert (table.rows, len(table.columns)) == (rows, 3)


def test_a_title_above_windows_text_is_no_row(tmp_path: Path) -> None:
    rows = "".join(f"{i % 7};{'groß' if i % 3 else 'klein'};{i % 5}0 €\n" for i in range(60))
    text = "Bestände in €\n\nMenge;Größe;Preis\n" + rows
    source = file_source(drafted(tmp_path, text, "Größe", encoding="windows-1252"))
    assert (source.encoding, source.skip) == ("windows-1252", 2)


def test_columns_of_a_typed_file_are_called_as_they_like(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    numbers = [float(i * 7 % 23) for i in range(60)]
    table = {"name": list("ab") * 30, "cell": numbers, "prediction": numbers, "y": list("ijk") * 20}
    table["place"] = [{"hall": number, "row": i} for i, number in enumerate(numbers)]
    pq.write_table(pa.table(table), tmp_path / "data.parquet")
    made = new("drafted", source=tmp_path / "data.parquet", target="y", folder=tmp_path / "defs")
    contract = load_pipeline(made.path.parent).spec.ingest.contract
    assert [c.name for c in contract.columns] == ["name", "cell", "prediction_2", "y", "place"]
    assert "- place  # holds several values" in made.path.read_text()


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([0.0, 1.0, None], "binary"),
        ([1.0, 2.0, 3.0], "multiclass"),
        ([0.5, 1.0, 2.0], "regression"),
    ],
)
def test_whole_numbers_that_are_stored_as_floats_are_classes(
    values: list[float | None], task: str, tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = {"size": [i * 7 % 61 / 4 for i in range(60)], "y": [*values] * 20}
    pq.write_table(pa.table(table), tmp_path / "data.parquet")
    made = new("drafted", source=tmp_path / "data.parquet", target="y", folder=tmp_path / "defs")
    assert load_pipeline(made.path.parent).spec.training.task == task


def test_what_a_typed_file_holds_that_its_type_does_not_take(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    numbers = [float("nan") if i % 9 == 1 else i * 7 % 23 / 4 for i in range(60)]
    table = pa.table(
        {
            "size": numbers,
            "ratio": [float("-inf") if i == 3 else number for i, number in enumerate(numbers)],
            "code": pa.array([2**63 * (i % 5 == 4) + i % 7 for i in range(60)], pa.uint64()),
            "few": pa.array([i % 7 for i in range(60)], pa.uint64()),
            "at": pa.array([i % 7 * 10**18 + i % 2 for i in range(60)], pa.timestamp("ns")),
            "y": list("ijk") * 20,
        }
    )
    pq.write_table(table, tmp_path / "data.parquet")
    made = new("drafted", source=tmp_path / "data.parquet", target="y", folder=tmp_path / "defs")
    pipeline = load_pipeline(made.path.parent)
    types = [column.type for column in pipeline.spec.ingest.contract.columns]
    assert types == ["float64", "float64", "string", "int64", "string", "string"]
    assert made.path.read_text().count("; text, since a value does not fit ") == 2
    result = ingest(pipeline, Home(tmp_path / "home"))
    assert (result.snapshot.rows, result.quarantined) == (60, {})


def test_utf_16_is_read(tmp_path: Path) -> None:
    rows = "".join(f"{i % 7}.5\t{'süß' if i % 3 else 'sauer'}\n" for i in range(60))
    made = drafted(tmp_path, "größe\tgeschmack\n" + rows, "geschmack", encoding="utf-16")
    assert file_source(made).encoding == "utf-16"


def test_the_files_of_a_folder_are_one_table(tmp_path: Path) -> None:
    months = tmp_path / "months"
    months.mkdir()
    for month in (1, 2):
        rows = "".join(f"2024-{month:02}-{i % 28 + 1:02},{i % 9},{i % 2}\n" for i in range(60))
        (months / f"2024.{month}.csv").write_text("day,size,good\n" + rows)
    (months / ".2024.4.jsonl").write_text("half wri")
    made = new("drafted", source=months, target="good", folder=tmp_path / "defs")
    pipeline = load_pipeline(made.path.parent)
    assert file_source(pipeline).files == ("../../months/*.csv",)
    assert ingest(pipeline, Home(tmp_path / "home")).snapshot.rows == 120
    assert "2024-01-01 to 2024-02-28" in made.path.read_text()
    (months / "2024.3.csv").write_text("day,good\n2024-03-01,1\n")
    for header, says in (
        ("day,good", r": it lacks 'size';"),
        ("day,size_cm,good", r": it lacks 'size' and has 'size_cm';"),
        ("size,day,good", " in another order;"),
        ("day,size,good,a,b,c,d,e,f", r": it has 'a', 'b', 'c', 'd', 'e' and more;"),
    ):
        row = ",".join("1" for _ in header.split(","))
        (months / "2024.3.csv").write_text(f"{header}\n{row}\n")
        with pytest.raises(FactoryError, match="3.csv: has other columns than 2024.1.csv" + says):
            new("other", source=months / "*.csv", target="good", folder=tmp_path / "defs")


def test_a_delta_table_is_not_drafted_since_its_folder_has_files_that_it_no_longer_names(
    tmp_path: Path,
) -> None:
    rows = pd.DataFrame({"size": [7.1, 5.2] * 30, "good": [1, 0] * 30})
    for _ in range(2):
        write_deltalake(tmp_path / "apples", rows, mode="overwrite")
    files = list((tmp_path / "apples").glob("*.parquet"))
    assert len(files) == 2
    for source in (tmp_path / "apples", tmp_path / "apples" / "*.parquet", files[0]):
        with pytest.raises(FactoryError, match=r"apples: is a Delta table.*\{delta: PATH\}"):
            new("drafted", source=source, target="good", folder=tmp_path / "defs")
    assert not (tmp_path / "defs").exists()


def test_a_folder_and_a_zip_without_data_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("apple.png", b"\x89PNG")
    damaged = (tmp_path / "photos.zip").read_bytes().replace(b"PK\x01\x02", b"XXXX")
    (tmp_path / "damaged.zip").write_bytes(damaged)
    (tmp_path / "cut.zip").write_bytes(damaged[:40])
    for source, message in (
        (tmp_path, "is a folder with no data"),
        (tmp_path / "photos.zip", "no data file"),
        (tmp_path / "damaged.zip", "is damaged or cut short"),
        (tmp_path / "cut.zip", "is damaged or cut short"),
    ):
        with pytest.raises(FactoryError, match=message):
            new("drafted", source=source, folder=tmp_path / "defs")


def test_a_draft_names_the_files_of_a_zip_that_are_not_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "months.zip", "w") as archive:
        for month in range(1, 7):
            rows = "".join(f"{i % 7}.5,{i % 5},{'ny'[i % 2]}\n" for i in range(60 + 10 * month))
            archive.writestr(f"2024-{month:02}.csv", f"a,b,good\n{rows}")
        archive.writestr("readme.md", "months")
    new("drafted", source=tmp_path / "months.zip", target="good", folder=tmp_path / "defs")
    text = draft_text(tmp_path)
    assert 'member: "2024-06.csv"' in text
    told = "    # not read, though in the zip: 2024-05.csv, 2024-04.csv, 2024-03.csv, and 2 more; "
    assert told in text
    assert 'unpack the zip and declare files: "FOLDER/*.csv"' in text


def test_a_guess_by_the_order_of_names_is_said_to_be_one(tmp_path: Path) -> None:
    rows = (f'{{"z": {i % 7}.5, "a": {i % 5}, "resultat": "{"ny"[i % 2]}"}}\n' for i in range(60))
    (tmp_path / "data.jsonl").write_text("".join(rows))
    made = new("drafted", source=tmp_path / "data.jsonl", folder=tmp_path / "defs")
    assert (made.target, made.guessed) == ("z", "it is the last column in the order of names")
