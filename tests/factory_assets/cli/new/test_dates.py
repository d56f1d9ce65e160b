"""`factory new` on dates that can be read in two ways: day and month, this century and the last."""

import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from factory_assets.cli.new.column_summary import ColumnForm
from factory_assets.cli.new.written_columns import read_written
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_resources.home.home import Home
from factory_resources.sql.engine import literal, sealed
from tests.data_stages import column
from tests.factory_assets.cli.new.cases import draft_text, drafted
from tests.long_run import in_long

_YEAR = datetime.now(UTC).year


def _table(header: str, days: list[str], other: str = "1") -> str:
    rows = [f'"{day}",{other},{i * 7 % 11},{"ny"[i % 2]}' for i, day in enumerate(days)]
    return "\n".join([f"{header},other,size,y", *rows]) + "\n"


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ("{m:02}/{d:02}/2024", "25/12/2024"),
        ("{d:02}.{m:02}.24", "32.01.24"),
        ("{d:02}-Mar-2024", "01-Mrz-2024"),
        ("20{d:02} Q3", "2024 Q5"),
        *in_long(
            [
                ("{d}.{m}.2024", "1.13.2024"),
                ("2024{m:02}{d:02}", "20241301"),
                ("2024.{m}.{d}", "2024.0.1"),
                ("{d:02}.{m:02}.2024 {d:02}:00", "01.01.2024 24:00"),
                ("Mar-20{d:02}", "Mrz-2024"),
                ("Q3/20{d:02}", "Q0/2024"),
                ("{d}. März 2024", "1. Mars 2024"),
            ]
        ),
    ],
)
def test_a_date_that_cannot_be_one_goes_to_quarantine(
    written: str, wrong: str, tmp_path: Path
) -> None:
    days = [written.format(d=i % 12 + 1, m=i // 12 % 12 + 1) for i in range(60)]
    made = drafted(tmp_path, _table("day", days), "y")
    (tmp_path / "data.csv").write_text(_table("day", [*days, wrong]))
    home = Home(tmp_path / "home")
    result = ingest(made, home)
    assert result.quarantined == {"pattern:day_text": 1}
    assert None not in column(clean(made, result, home).snapshot, home, "day")


def test_dates_of_other_languages_and_of_logs(tmp_path: Path) -> None:
    columns: dict[tuple[str, ...], datetime | None] = {
        ("7. Januar 2022", "11. Okt. 2022", "31. Mrz 2023"): datetime(2023, 3, 31),
        ("Dezember 2021", "Mai 2022"): datetime(2022, 5, 1),
        ("Jan 22", "Mai 22", "Dez 22"): datetime(2022, 12, 1),
        ("Jan-22", "Feb-22", "Dec-22"): datetime(2022, 12, 1),
        ("20220103T082000", "20220103T235959"): datetime(2022, 1, 3, 23, 59, 59),
        ("03/Jan/2022:08:20:00 +0100",): datetime(2022, 1, 3, 7, 20),
        ("Mon, 3 Jan 2022 08:20:00 -0200",): datetime(2022, 1, 3, 10, 20),
        ("Mon, 03 Jan 2022 08:20:00 GMT",): datetime(2022, 1, 3, 8, 20),
        ("Mon Jan  3 08:20:00 2022", "Mon Dec 13 08:20:00 2021"): datetime(2022, 1, 3, 8, 20),
        ("Mon Jan 03 08:20:00 +0100 2022",): datetime(2022, 1, 3, 7, 20),
        ("2022-01-03 08:20:00,250",): datetime(2022, 1, 3, 8, 20, 0, 250_000),
        ("2022-01-03T08:20:00.1234567+01:00",): datetime(2022, 1, 3, 7, 20, 0, 123_456),
        ("Jan  3 2022  8:20AM", "Jan 13 2022 11:20PM"): datetime(2022, 1, 13, 23, 20),
        ("3.1.2022, 08:20:00",): datetime(2022, 1, 3, 8, 20),
        ("1/3/2022, 8:20:00 PM",): datetime(2022, 1, 3, 20, 20),
        ("3.1.2022 8:20 Uhr",): datetime(2022, 1, 3, 8, 20),
        ("03/01/2022 08h20", "13/01/2022 08h20"): datetime(2022, 1, 13, 8, 20),
        ("202201030820", "202201030819"): datetime(2022, 1, 3, 8, 20),
        ("20220103082005",): datetime(2022, 1, 3, 8, 20, 5),
        ("202201", "202112"): datetime(2022, 1, 1),
        ("202213",): None,
        ("2022010308200",): None,
        ("Jan 22", "Feb 01"): None,
        ("30. Februar 2022",): None,
        ("22. Monday 2022",): None,
    }
    names = {f"{texts}": texts for texts in columns}
    rows = ", ".join(f"({literal(n)}, {literal(t)})" for n, texts in names.items() for t in texts)
    table = f"(SELECT * FROM (VALUES {rows}) t(name, text))"
    with sealed(read=[], write=tmp_path) as connection:
        forms = read_written(connection, table, dict.fromkeys(names, ColumnForm("string")), (), ",")
        for name, texts in names.items():
            assert (name in forms) == (columns[texts] is not None), texts
            if form := forms.get(name):
                read = form.written.replace("{}", "text")
                moments = connection.execute(
                    f"SELECT max(CAST({read} AS TIMESTAMP)) FROM {table} WHERE name = ?", [name]
                )
                assert moments.fetchall() == [(columns[texts],)], texts


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ("{m:02}/{d:02}/2024", "02/30/2024"),
        ("{d}.{m}.23", "29.2.23"),
        ("2023-{m:02}-{d:02}T10:00:00.1234567Z", "2023-02-30T10:00:00.1234567Z"),
        *in_long(
            [
                ("{d:02}.{m:02}.2024 {d:02}:00", "31.04.2024 07:00"),
            ]
        ),
    ],
)
@pytest.mark.parametrize("in_draft", [False, True], ids=["later", "in the drafted file"])
def test_a_day_that_no_month_has_goes_to_quarantine(
    written: str, wrong: str, in_draft: bool, tmp_path: Path
) -> None:
    """It matches the pattern, and would become a missing value."""
    days = [written.format(d=i % 12 + 1, m=i // 12 % 12 + 1) for i in range(60)]
    made = drafted(tmp_path, _table("Day", [*days, wrong] if in_draft else days), "y")
    (tmp_path / "data.csv").write_text(_table("Day", [*days, wrong, ""]))
    home = Home(tmp_path / "home")
    result = clean(made, ingest(made, home), home)
    assert result.quarantined == {"day_valid": 1}
    assert column(result.snapshot, home, "Day").count(None) == 1


def test_a_day_that_no_month_has_makes_no_text_of_iso_dates(tmp_path: Path) -> None:
    days = [f"2023-{i // 12 % 12 + 1:02}-{i % 12 + 1:02}" for i in range(60)]
    made = drafted(tmp_path, _table("Day", [*days, "2023-02-30"]), "y")
    assert [*made.spec.clean.where] == ["day_valid"]
    assert [*made.spec.clean.derive] == ["Day"]


@pytest.mark.parametrize(
    "written", ["{} Q{}", "Q{1}/{0}", *in_long(["{}-Q{}", "{0} {2}", "{2}-{0}"])]
)
def test_the_latest_quarters_judge(written: str, tmp_path: Path) -> None:
    months = ("Jan", "Apr", "Jul", "Oct")
    quarters = [(1999 + i // 8, i // 2 % 4) for i in range(80)]
    days = [written.format(year, n + 1, months[n]) for year, n in quarters]
    made = drafted(tmp_path, _table("quarter", days), "y")
    assert made.spec.split.time == "quarter"
    home = Home(tmp_path / "home")
    found = column(clean(made, ingest(made, home), home).snapshot, home, "quarter")
    assert (found[0], found[-1]) == (date(1999, 1, 1), date(2008, 10, 1))


@pytest.mark.parametrize(
    ("name", "written", "is_time"),
    [
        ("period", "{}{:02}", True),
        ("code", "{}{:02}", False),
        ("code", "{}{:02}281405", True),
        ("log", "{}-{:02}-28 14:05:00,250", True),
    ],
)
def test_the_latest_months_judge(name: str, written: str, is_time: bool, tmp_path: Path) -> None:
    texts = [written.format(2019 + i // 24, i // 2 % 12 + 1) for i in range(120)]
    made = drafted(tmp_path, _table(name, texts), "y")
    assert (made.spec.split.time == name) == is_time
    if is_time:
        home = Home(tmp_path / "home")
        found = column(clean(made, ingest(made, home), home).snapshot, home, name)
        assert (found[0].year, found[-1].year, found[-1].month) == (2019, 2023, 12)


@pytest.mark.parametrize(
    ("written", "hours"),
    [("{}:45:36", 9.76), ("{}:4", None), *in_long([("0{}:45", 9.75), ("2{}:00", None)])],
)
def test_a_time_of_the_day_is_a_number_of_hours(
    written: str, hours: float | None, tmp_path: Path
) -> None:
    clocks = [written.format(9 - i % 9) for i in range(80)]
    made = drafted(tmp_path, _table("clock", clocks), "y")
    home = Home(tmp_path / "home")
    found = column(clean(made, ingest(made, home), home).snapshot, home, "clock")
    assert found[0] == (clocks[0] if hours is None else pytest.approx(hours))
    assert ('unit: "h"' in draft_text(tmp_path) or "unit: h" in draft_text(tmp_path)) == bool(hours)


@pytest.mark.parametrize(
    ("separator", "proof", "first", "asked"),
    [
        ("/", "1", date(2024, 2, 1), True),
        ("/", "25/12/2024", date(2024, 1, 2), True),
        ("-", "12-25-2024", date(2024, 2, 1), True),
        (".", "1", date(2024, 1, 2), False),
        *in_long(
            [
                ("/", "12/25/2024", date(2024, 2, 1), True),
                ("-", "1", date(2024, 1, 2), True),
            ]
        ),
    ],
)
def test_day_and_month_that_may_change_places_are_asked_about(
    separator: str, proof: str, first: date, asked: bool, tmp_path: Path
) -> None:
    days = [separator.join((f"{i % 12 + 1:02}", "02", "2024")) for i in range(60)]
    days[0] = separator.join(("02", "01", "2024"))
    made = drafted(tmp_path, _table("day", days, proof), "y")
    home = Home(tmp_path / "home")
    assert column(clean(made, ingest(made, home), home).snapshot, home, "day")[0] == first
    assert ("is that right?" in draft_text(tmp_path)) == asked


@pytest.mark.parametrize(
    ("name", "written", "year"),
    [
        ("birth_date", "13.05.45", 1945),
        ("date_de_naissance", f"13.05.{(_YEAR + 2) % 100:02}", _YEAR - 98),
        ("seen", f"13.05.{(_YEAR + 2) % 100:02}", _YEAR + 2),
        ("expiry", "13.05.45", 2045),
        *in_long(
            [
                ("birth_date", f"13.05.{(_YEAR + 2) % 100:02}", _YEAR - 98),
                ("geb", f"13.05.{(_YEAR + 2) % 100:02}", _YEAR - 98),
                ("seen", "05/13/45", 1945),
                ("seen", "13.05.45 10:30", 1945),
                ("planned", "13.05.45", 2045),
            ]
        ),
    ],
)
def test_years_of_two_digits_are_no_births_in_the_future(
    name: str, written: str, year: int, tmp_path: Path
) -> None:
    before = [written.replace(written.split()[0][-2:], f"{i % 9 + 10}") for i in range(60)]
    made = drafted(tmp_path, _table(name, [written, *before]), "y")
    home = Home(tmp_path / "home")
    years = [day.year for day in column(clean(made, ingest(made, home), home).snapshot, home, name)]
    assert (years[0], {*years[1:]}) == (year, {*range(2010, 2019)})
    asked = "a century earlier: is that right?" if year < 2000 else "is the century right?"
    assert asked in draft_text(tmp_path)


@pytest.mark.parametrize("shuffled", [False, *in_long([True])])
@pytest.mark.parametrize(
    ("origin", "name", "hour"),
    [
        ("gebaut", "ts", " 08:00:00"),
        ("built", "ordered", ""),
        ("baujahr_datum", "bestellt", ""),
        ("first", "later", ""),
        *in_long(
            [
                ("installed_on", "ordered", ""),
                ("Inbetriebnahme", "wann", ""),
                ("first_date", "later", ""),
            ]
        ),
    ],
)
def test_the_time_of_a_row_is_not_that_of_its_machine(
    origin: str, name: str, hour: str, shuffled: bool, tmp_path: Path
) -> None:
    chance = random.Random(3)
    start = date(2024, 1, 1)
    rows = [
        f"{start - timedelta(chance.randrange(9000))},{start + timedelta(i // 2)}{hour},"
        f"{chance.random():.3f},{'ny'[chance.randrange(2)]}"
        for i in range(400)
    ]
    if shuffled:
        chance.shuffle(rows)
    made = drafted(tmp_path, "\n".join([f"{origin},{name},size,ill", *rows]) + "\n", "ill")
    named = origin == "first_date" and shuffled
    assert made.spec.split.time == (origin if named else name)
    assert f"; other times: {name if named else origin}" in draft_text(tmp_path)


def test_a_date_that_equals_another_one_is_no_input(tmp_path: Path) -> None:
    first = date(2024, 1, 1)
    days = [first + timedelta(days=i * 3 % 50) for i in range(60)]
    rows = [f"{day},{day:%d.%m.%Y},{i * 7 % 11},{'ny'[i % 2]}" for i, day in enumerate(days)]
    made = drafted(tmp_path, "\n".join(["sent,billed,size,y", *rows]) + "\n", "y")
    assert made.spec.training.exclude == ("billed", "billed_text")


@pytest.mark.parametrize(("step", "trend"), [(3, ("day",)), (70, ())])
def test_days_are_read_of_times_whose_years_are_not(
    step: int, trend: tuple[str, ...], tmp_path: Path
) -> None:
    chance = random.Random(2)
    days = [date(1990, 1, 1) + timedelta(step * i) for i in range(150)]
    rows = "".join(f"{day},{chance.random()},{chance.random()}\n" for day in days)
    made = drafted(tmp_path, f"day,price,sold\n{rows}", "sold")
    assert (made.spec.split.time, made.spec.training.trend) == ("day", trend)
