"""Clean: rules, duplicates, derived columns, windows, and the order of rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factory_assets.execution.cache_key import relevant_spec
from factory_assets.spec.clean import Deduplicate
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_resources.errors import DataError, ExpressionError, FactoryError, StorageError
from factory_resources.home.home import Home
from tests.data_stages import cleaned, column, files_of, pipeline, rows


def test_rules_keep_what_is_not_false(tmp_path: Path, home: Home) -> None:
    text = "a,b,y\n1,1,0\n-1,1,0\n,1,1\n-2,-2,1\n"
    where = {"a_positive": "a > 0 -- whatever", "b_positive": "b > 0"}
    _, result = cleaned(text, tmp_path, home, clean={"where": where})
    assert column(result.snapshot, home, "_row") == [1, 3]
    assert rows(result.quarantine, home, "a", "_row", "_rules") == [
        {"a": -1, "_row": 2, "_rules": "a_positive"},
        {"a": -2, "_row": 4, "_rules": "a_positive,b_positive"},
    ]
    assert result.quarantined == {"a_positive": 2, "b_positive": 1}
    assert (result.rows_in, result.duplicates, result.quarantined_rows) == (4, 0, 2)


def test_of_duplicates_the_first_whole_row_stays(tmp_path: Path, home: Home) -> None:
    text = "k,v,y\na,-1,0\na,1,0\nb,2,0\na,3,1\n,4,1\n,5,1\n"
    part = {"where": {"positive": "v > 0"}, "deduplicate": ["k"]}
    _, result = cleaned(text, tmp_path, home, clean=part)
    assert column(result.snapshot, home, "v") == [1, 2, 4, 5]
    assert (result.duplicates, result.quarantined_rows) == (1, 1)


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ({}, [1, 2, 6]),
        ({"keep": "last"}, [4, 5, 6]),
        ({"keep": "last", "order": "day"}, [1, 5, 6]),
        ({"order": "day"}, [2, 3, 6]),
        ({"keep": "last", "order": "k"}, [4, 5, 6]),
    ],
)
def test_which_of_several_rows_with_one_key_stays(
    rule: dict[str, str], kept: list[int], tmp_path: Path, home: Home
) -> None:
    text = "k,day,y\na,2026-03-01,0\nb,,1\na,2026-01-05,0\na,2026-02-28,1\nb,2026-02-02,0\n,,1\n"
    made, result = cleaned(text, tmp_path, home, clean={"deduplicate": {"key": "k", **rule}})
    assert column(result.snapshot, home, "_row") == kept
    assert result.duplicates == 3
    assert made.spec.clean.deduplication == Deduplicate(key=("k",), **rule)


def test_rows_of_which_the_whole_key_is_missing_are_no_duplicates(
    tmp_path: Path, home: Home
) -> None:
    text = "order_id,line,y\n1,,0\n1,,1\n,,0\n,,1\n,2,0\n,2,1\n2,,1\n"
    for key, places in (
        (["order_id"], [1, 3, 4, 5, 6, 7]),
        (["order_id", "line"], [1, 3, 4, 5, 7]),
    ):
        _, result = cleaned(text, tmp_path, home, clean={"deduplicate": key})
        assert column(result.snapshot, home, "_row") == places


def test_derived_columns_see_those_before_them(tmp_path: Path, home: Home) -> None:
    derive = {"double": "2 * x", "big": "double > 3", "text": "'n' || double", "half": "x / 2.0"}
    _, result = cleaned("x,y\n1,0\n2,1\n", tmp_path, home, clean={"derive": derive})
    assert rows(result.snapshot, home, *derive) == [
        {"double": 2, "big": False, "text": "n2", "half": 0.5},
        {"double": 4, "big": True, "text": "n4", "half": 1.0},
    ]
    kinds = [result.snapshot.columns[name] for name in derive]
    assert kinds == ["BIGINT", "BOOLEAN", "VARCHAR", "DOUBLE"]


def test_a_derived_column_may_look_at_its_group(tmp_path: Path, home: Home) -> None:
    text = "unit,cycle,y\n2,1,0\n1,1,1\n2,2,0\n1,2,1\n2,3,0\n"
    derive = {"left": "max(cycle) OVER (PARTITION BY unit) - cycle"}
    _, result = cleaned(text, tmp_path, home, clean={"derive": derive})
    assert column(result.snapshot, home, "left") == [2, 1, 1, 0, 0]
    assert column(result.snapshot, home, "_row") == [1, 2, 3, 4, 5]


def test_windows_are_numpys_statistics(tmp_path: Path, home: Home) -> None:
    random = np.random.default_rng(0)
    values = {unit: random.normal(size=12).round(3) for unit in ("u", "v")}
    lines = [f"{u},{t},{values[u][t]},{t % 2}" for t in range(11, -1, -1) for u in ("u", "v")]
    statistics = ["mean", "std", "min", "max", "slope", "first"]
    windows = {"by": "unit", "order": "t", "size": 4, "columns": "x", "statistics": statistics}
    text = "unit,t,x,y\n" + "\n".join(lines) + "\n"
    _, result = cleaned(text, tmp_path, home, clean={"windows": windows})
    found = rows(result.snapshot, home)
    assert [(r["unit"], r["t"]) for r in found[:3]] == [("u", 11), ("v", 11), ("u", 10)]
    for row in found:
        seen = values[row["unit"]][max(0, row["t"] - 3) : row["t"] + 1]
        slope = np.polyfit(range(len(seen)), seen, 1)[0] if len(seen) > 1 else 0
        expected = [seen.mean(), seen.std(), seen.min(), seen.max(), slope, seen[0]]
        assert [row[f"x_{s}"] for s in statistics] == pytest.approx(expected, abs=1e-9)


def test_windows_of_several_sizes(tmp_path: Path, home: Home) -> None:
    lines = [f"{unit},{t},{t * t + 7 * unit},{t % 2}" for t in range(9) for unit in (1, 2)]
    text = "unit,t,x,y\n" + "\n".join(lines) + "\n"
    windows = {"by": "unit", "order": "t", "columns": "x", "statistics": ["mean", "slope"]}
    several = {"windows": {**windows, "size": [3, "all"]}}
    _, result = cleaned(text, tmp_path, home, clean=several)
    for row in rows(result.snapshot, home):
        values = [t * t + 7 * row["unit"] for t in range(row["t"] + 1)]
        for name, seen in (("3", values[-3:]), ("all", values)):
            slope = np.polyfit(range(len(seen)), seen, 1)[0] if len(seen) > 1 else 0
            assert row[f"x_mean_{name}"] == pytest.approx(np.mean(seen))
            assert row[f"x_slope_{name}"] == pytest.approx(slope, abs=1e-9)
    (tmp_path / "one").mkdir()
    one = {"windows": {**windows, "size": "all"}}
    _, whole = cleaned(text, tmp_path / "one", Home(tmp_path / "h"), clean=one)
    assert column(whole.snapshot, Home(tmp_path / "h"), "x_mean") == column(
        result.snapshot, home, "x_mean_all"
    )


def test_windows_leave_missing_values_out(tmp_path: Path, home: Home) -> None:
    text = "u,t,x,y\n1,1,,0\n1,2,4,1\n1,3,,0\n1,4,8,1\n"
    windows = {"by": "u", "order": "t", "size": 3, "columns": ["x"]}
    _, result = cleaned(text, tmp_path, home, clean={"windows": windows})
    assert column(result.snapshot, home, "x_mean") == [None, 4.0, 4.0, 6.0]
    assert column(result.snapshot, home, "x_std") == [None, 0.0, 0.0, 2.0]
    assert column(result.snapshot, home, "x_slope") == [None, 0.0, 0.0, 2.0]


def test_same_in_same_out(tmp_path: Path, home: Home) -> None:
    lines = (f"{i % 90_000},{i % 50},{i},{i * 37 % 1009 / 7},{i % 2}" for i in range(200_000))
    part = {
        "where": {"some": "x > 3"},
        "deduplicate": ["k"],
        "derive": {"z": "x * 3", "m": "sum(x) OVER (PARTITION BY u ORDER BY t)"},
        "windows": {"by": "u", "order": "t", "size": 30, "columns": ["x"]},
    }
    text = "k,u,t,x,y\n" + "\n".join(lines) + "\n"
    made, first = cleaned(text, tmp_path, home, clean=part)
    other = Home(tmp_path / "other")
    assert clean(made, ingest(made, other), other) == first
    assert column(first.snapshot, home, "t") == sorted(column(first.snapshot, home, "t"))
    assert first.duplicates > 1000
    assert first.quarantined_rows > 1000


REACHING_OUT = {
    "a file by subquery": "(SELECT max(column0) FROM read_csv('{file}')) IS NOT NULL",
    "a file by function": "length(read_text('{file}')) > 0",
    "a file by leaving the bracket": "x) FROM read_csv('{file}') --",
    "another statement": "true); COPY (SELECT 1) TO '{file}.out'; --",
    "the network": "(SELECT count(*) FROM read_csv('http://127.0.0.1:9/x.csv')) > 0",
    "the environment": "getenv('HOME') IS NOT NULL",
    "a setting": "current_setting('temp_directory') IS NOT NULL",
    "an extension": "(SELECT count(*) FROM duckdb_extensions()) > 0",
    "the clock": "now() > TIMESTAMP '2020-01-01'",
    "the clock without brackets": "current_timestamp IS NOT NULL",
    "chance": "random() < 0.5",
    "hidden columns": "_order > 1",
    "identity": "_row > 1",
    "every column": "COLUMNS(*) IS NOT NULL",
}


@pytest.mark.parametrize("how", REACHING_OUT)
@pytest.mark.parametrize("place", ["where", "derive"])
def test_an_expression_reaches_nothing(how: str, place: str, tmp_path: Path, home: Home) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("column0\nsecret\n")
    (tmp_path / "d.csv").write_text("x,y\n1,0\n2,1\n")
    sql = REACHING_OUT[how].format(file=secret)
    made = pipeline(tmp_path, files="d.csv", clean={place: {"reach": sql}})
    ingested = ingest(made, home)
    before = files_of(home)
    with pytest.raises(ExpressionError) as caught:
        clean(made, ingested, home)
    assert str(caught.value).startswith(f"p/clean: {place}.reach: ")
    assert "secret\n" not in str(caught.value)
    assert files_of(home) == before
    assert not Path(f"{secret}.out").exists()


@pytest.mark.parametrize(
    ("part", "error", "message"),
    [
        (
            {"where": {"r": "tork > 0"}},
            ExpressionError,
            "where.r: there is no column 'tork'; did you",
        ),
        (
            {"where": {"r": "torque >"}},
            ExpressionError,
            "where.r: 'torque >' is not an SQL expression",
        ),
        ({"where": {"r": "torque"}}, ExpressionError, "where.r: the rule yields BIGINT"),
        (
            {"where": {"newest": "row_number() OVER (ORDER BY torque) = 1"}},
            ExpressionError,
            "where.newest: OVER looks at other rows",
        ),
        (
            {"where": {"q": "torque > 0", "r": "name::INT > 0"}},
            ExpressionError,
            "where.r: Could not convert string 'a'",
        ),
        ({"where": {"r": "torque > 9"}}, DataError, "no row is left: rule 'r' sends 2 to quarant"),
        ({"derive": {"torque": "1"}}, ExpressionError, "derive.torque: column 'torque' exists alr"),
        ({"derive": {"Y": "1"}}, ExpressionError, "derive.Y: column 'Y' exists already"),
        (
            {"derive": {"d": "e", "e": "1"}},
            ExpressionError,
            "derive.d: there is no column 'e'; it is derived later, since",
        ),
        (
            {"where": {"r": "e > 0"}, "derive": {"e": "1"}},
            ExpressionError,
            "where.r: there is no column 'e'; it is derived later, since",
        ),
        (
            {"where": {"r": "E > 0"}, "derive": {"e": "1"}},
            ExpressionError,
            "where.r: there is no column 'E'; it is derived later, since",
        ),
        (
            {"derive": {"d": "[1]"}},
            ExpressionError,
            "column 'd' has type INTEGER[], which a table cannot store",
        ),
        ({"derive": {"d": "name::INT"}}, ExpressionError, "derive.d: Could not convert string 'a'"),
        ({"derive": {"d": "name - 1"}}, ExpressionError, "derive.d: "),
        ({"derive": {"d": "avg(torque)"}}, ExpressionError, "derive.d: 'avg' aggregates many rows"),
        (
            {"deduplicate": ["nam"]},
            ExpressionError,
            "deduplicate: there is no column 'nam'; did you",
        ),
        (
            {"windows": {"by": "name", "order": "y", "size": 2, "columns": ["z"]}},
            ExpressionError,
            "windows: there is no column 'z'",
        ),
        (
            {"windows": {"by": "y", "order": "y", "size": 2, "columns": ["torque", "name"]}},
            ExpressionError,
            "windows: column 'name' is VARCHAR, which has no mean; name columns of numbers, or the",
        ),
        (
            {"windows": {"by": "y", "order": "y", "size": 2, "columns": ["name"]}},
            ExpressionError,
            "name",
        ),
    ],
)
def test_one_clear_line(
    part: dict[str, Any], error: type[FactoryError], message: str, tmp_path: Path, home: Home
) -> None:
    (tmp_path / "d.csv").write_text("name,torque,y\na,1,0\nb,2,1\n")
    made = pipeline(tmp_path, files="d.csv", clean=part)
    ingested = ingest(made, home)
    before = files_of(home)
    with pytest.raises(error) as caught:
        clean(made, ingested, home)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "p/clean" in str(caught.value)
    assert files_of(home) == before


@pytest.mark.parametrize(
    ("part", "error", "message"),
    [
        (
            {"derive": {"fine": "y + 1", "long": "lpad(name, CAST(4e9 / 2 AS INT), 'y')"}},
            ExpressionError,
            "p/clean: derive.long: lpad to more than 100,000 characters",
        ),
        (
            {"derive": {"fine": "y + 1", "long": "format('{:2000000000}', name)"}},
            StorageError,
            "p/clean: derive.long: not enough memory",
        ),
        (
            {"where": {"long": "len(printf('%2000000000d', torque)) > 0"}},
            StorageError,
            "p/clean: where.long: not enough memory",
        ),
        (
            {"derive": {"slow": "levenshtein(lpad(name, 90000, 'a'), 'b')"}, "timeout": 1},
            None,
            "",
        ),
        (
            {
                "derive": {"slow": "levenshtein(lpad(name, 90000, 'a'), rpad(name, 90000, 'b'))"},
                "timeout": 1,
            },
            ExpressionError,
            "p/clean: takes more than 1 s; simplify the expressions, or raise clean.timeout",
        ),
    ],
)
def test_expressions_end_within_memory_and_the_declared_time(
    part: dict[str, Any],
    error: type[FactoryError] | None,
    message: str,
    tmp_path: Path,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FACTORY_MEMORY", "300MB")
    lines = [f"{'ab'[i % 2]},{i},{i % 2}" for i in range(100)]
    (tmp_path / "d.csv").write_text("\n".join(["name,torque,y", *lines]) + "\n")
    made = pipeline(tmp_path, files="d.csv", clean=part)
    ingested = ingest(made, home)
    before = files_of(home)
    if error is None:
        assert clean(made, ingested, home).snapshot.rows == 100
        return
    with pytest.raises(error) as caught:
        clean(made, ingested, home)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files_of(home) == before


def test_the_time_limit_is_no_part_of_the_key(tmp_path: Path) -> None:
    plain = pipeline(tmp_path, files="d.csv", clean={"derive": {"a": "y"}})
    limited = pipeline(tmp_path, files="d.csv", clean={"derive": {"a": "y"}, "timeout": 5})
    assert relevant_spec(plain, "clean") == relevant_spec(limited, "clean")
    assert "timeout" not in plain.spec.clean.model_dump()
    assert "skip" not in plain.spec.ingest.model_dump()["source"]
