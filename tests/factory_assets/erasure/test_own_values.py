"""The values by which a person is found: nobody else has them, in any table."""

from datetime import date
from pathlib import Path

import duckdb
import pytest

from factory_assets.erasure.own_values import personal_values
from factory_assets.erasure.table_rows import PersonalRows, opened, stored_files
from factory_resources.home.home import Home

_PERSON = "(4200424042, 'Xyzzyville', 72.38091746, DATE '1957-03-02', 'f', 1)"
_OTHERS = "(17, 'Chemnitz', 61.5, DATE '1960-01-01', 'f', 2)"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def _write(home: Home, table: str, rows: str, kind: str = "BIGINT") -> None:
    folder = home.tables / table
    folder.mkdir(parents=True)
    query = (
        f"SELECT CAST(nbr AS {kind}) AS nbr, city, weight::DOUBLE AS weight, born, "
        f"'{'f' * 64}' AS _file, _row "
        f"FROM (VALUES {rows}) AS v(nbr, city, weight, born, _, _row)"
    )
    duckdb.execute(f"COPY ({query}) TO '{folder / 'f.parquet'}'")


def _found(home: Home, short: int = 0) -> dict[str, set[object]]:
    """Return the values of whoever is in the first row of `people/quarantine`."""
    files = stored_files(home)
    person = next(file for file in files if file.table == "people/quarantine")
    rows = PersonalRows({"f" * 64: frozenset({1})}, {person: (0,)})
    with opened(files, home.path) as connection:
        found = personal_values(connection, rows, files)
    assert found.short == short
    return {pipeline: {*some} for pipeline, some in found.own.items()}


def test_they_are_what_nobody_else_has(home: Home) -> None:
    _write(home, "people/quarantine", f"{_PERSON}, {_OTHERS}")
    values = {4200424042, "Xyzzyville", 72.38091746, date(1957, 3, 2)}
    assert _found(home) == {"people": values}


@pytest.mark.parametrize(
    ("others", "kind", "shared"),
    [
        ("(17, 'Xyzzyville', 1.5, DATE '1960-01-01', 'f', 2)", "BIGINT", "Xyzzyville"),
        ("(4200424042, 'Ulm', 1.5, DATE '1960-01-01', 'f', 2)", "VARCHAR", 4200424042),
        ("(17, 'Ulm', 72.38091746, DATE '1960-01-01', 'f', 2)", "BIGINT", 72.38091746),
        ("(17, 'Ulm', 1.5, DATE '1957-03-02', 'f', 2)", "BIGINT", date(1957, 3, 2)),
        ("(17, '1957-03-02', 1.5, DATE '1960-01-01', 'f', 2)", "BIGINT", date(1957, 3, 2)),
    ],
)
@pytest.mark.parametrize("table", ["people/ingest", "visits/ingest"])
def test_a_value_of_somebody_in_another_table_is_none(
    home: Home, table: str, others: str, kind: str, shared: object
) -> None:
    _write(home, "people/quarantine", _PERSON)
    _write(home, table, others, kind)
    values = {4200424042, "Xyzzyville", 72.38091746, date(1957, 3, 2)}
    assert _found(home) == {"people": values - {shared}}


def test_a_fraction_is_not_the_whole_number_beside_it(home: Home) -> None:
    _write(home, "people/quarantine", _PERSON.replace("72.38091746", "16.9998765"))
    _write(home, "people/ingest", _OTHERS)
    assert 16.9998765 in _found(home)["people"]


@pytest.mark.parametrize("word", ["Champion", "weight", "quarantine"])
def test_a_word_that_the_home_has_of_itself_tells_nobody(word: str, home: Home) -> None:
    _write(home, "people/quarantine", f"{_PERSON.replace('Xyzzyville', word)}, {_OTHERS}")
    found = _found(home, short=1)
    assert found == {"people": {4200424042, 72.38091746, date(1957, 3, 2)}}


def test_neighbours_of_long_integers_are_others(home: Home) -> None:
    person, other = (row.replace("4200424042", "1152921504606846976") for row in (_PERSON, _OTHERS))
    _write(home, "people/quarantine", person)
    _write(home, "people/ingest", other.replace("(17,", "(1152921504606846977,"))
    assert 1152921504606846976 in _found(home)["people"]


def test_a_column_may_have_any_name(home: Home) -> None:
    _write(home, "people/quarantine", f"{_PERSON}, {_OTHERS}")
    folder = home.tables / "notes" / "ingest"
    folder.mkdir(parents=True)
    names = ["Text", "asked", "place", "own", "candidate", "stored"]
    columns = ", ".join(f"'{name} of all' AS {name}" for name in names)
    duckdb.execute(
        f"COPY (SELECT {columns}, 'Xyzzyville' AS v, '{'e' * 64}' AS _file, 1::BIGINT AS _row) "
        f"TO '{folder / 'e.parquet'}'"
    )
    assert _found(home) == {"people": {4200424042, 72.38091746, date(1957, 3, 2)}}
