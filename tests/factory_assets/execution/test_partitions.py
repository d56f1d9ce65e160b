"""Partition by partition: each stands alone, and together they are what one table would be."""

import json
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_assets.data.contract.table_checks import TableError
from factory_assets.execution.backfill import backfill
from factory_assets.execution.requests import StageRequest, StageRun
from factory_assets.execution.runner import run_stage
from factory_assets.results.data import CleanResult, IngestResult, SplitResult
from factory_assets.results.latest import ResultQuery, latest_result
from factory_assets.spec import Partition, Pipeline, partition_of
from factory_assets.stages.ingest import ingest
from factory_resources.errors import FactoryError, SourceError, StorageError
from factory_resources.home.home import Home
from factory_resources.tracking.records import Records
from tests.data_stages import column, pipeline, rows
from tests.long_run import one_in
from tests.pipelines import declare
from tests.random_examples import examples

DAYS = {"day": {"every": "day", "start": "2024-01-01"}}

CONTRACT = [{"name": "x", "type": "int64", "range": [0, None]}, {"name": "y", "type": "string"}]


def declared(folder: Path, files: str = "{day}.csv", **parts: Any) -> Pipeline:
    parts.setdefault("partitions", DAYS)
    ingest = {"source": {"files": files}, "contract": CONTRACT}
    return pipeline(folder, ingest=ingest, clean={"where": {"small": "x < 90"}}, **parts)


def partition(made: Pipeline, key: str) -> Partition:
    found = partition_of(made.spec.partitions, key)
    assert found, key
    return found


def write(folder: Path, key: str, *xs: int) -> None:
    lines = [f"{x},{'ab'[x % 2]}" for x in xs]
    (folder / f"{key}.csv").write_text("\n".join(["x,y", *lines]) + "\n")


def run(made: Pipeline, home: Home, *keys: str, run_id: str = "run") -> dict[str, StageRun]:
    """Ingest and clean the partitions; the outcomes of clean."""
    outcomes = {}
    for key in keys:
        for stage in ("ingest", "clean"):
            call = StageRequest(made, stage, home, run_id, partition(made, key))
            outcomes[key] = run_stage(call)
    return outcomes


def cleaned(made: Pipeline, home: Home) -> CleanResult:
    value = latest_result(ResultQuery(made, "clean", home))
    assert isinstance(value, CleanResult)
    return value


def in_delta(home: Home, table: str) -> list[tuple[Any, Any]]:
    """(x, partition) of every row that the table's log names, as any Delta reader sees it."""
    from deltalake import DeltaTable

    table_ = DeltaTable(str(home.tables / table)).to_pyarrow_table()
    return sorted(zip(table_["x"].to_pylist(), table_["_partition"].to_pylist(), strict=True))


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below the folder with its inode and time of change."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): (p.stat().st_ino, p.stat().st_mtime_ns) for p in files}


def test_partitions_are_one_table_for_what_follows(tmp_path: Path, home: Home) -> None:
    made = declared(tmp_path)
    write(tmp_path, "2024-01-01", 1, 2, -1, 95)
    write(tmp_path, "2024-01-02", 3, 4)
    run(made, home, "2024-01-02", "2024-01-01")
    value = cleaned(made, home)
    assert [(row["x"], row["day"]) for row in rows(value.snapshot, home)] == [
        *((1, "2024-01-01"), (2, "2024-01-01"), (3, "2024-01-02"), (4, "2024-01-02"))
    ]
    assert (value.rows_in, value.quarantined, value.quarantined_rows) == (5, {"small": 1}, 1)
    ingested = latest_result(ResultQuery(made, "ingest", home))
    assert isinstance(ingested, IngestResult)
    assert (ingested.rows_read, ingested.quarantined_rows) == (6, 1)
    assert [file.labels for file in ingested.sources] == [
        {"day": "2024-01-01"},
        {"day": "2024-01-02"},
    ]
    assert in_delta(home, "p/clean") == [
        *((1, "2024-01-01"), (2, "2024-01-01"), (3, "2024-01-02"), (4, "2024-01-02"))
    ]


def test_late_data_rewrites_its_own_partition_alone(tmp_path: Path, home: Home) -> None:
    made = declared(tmp_path)
    days = [f"2024-01-{day:02}" for day in range(1, 5)]
    for i, day in enumerate(days):
        write(tmp_path, day, i, i + 10)
    run(made, home, *days)
    before = state(home.tables) | state(home.records)
    others = [day for day in days if day != "2024-01-02"]
    for day in others:
        # What is not there cannot be read.
        (tmp_path / f"{day}.csv").unlink()
    write(tmp_path, "2024-01-02", 1, 11, 21)
    done = run(made, home, "2024-01-02", run_id="late")
    assert not done["2024-01-02"].reused
    after = state(home.tables) | state(home.records)
    changed = {name for name in before if after.get(name) != before[name]}
    assert {Path(name).name for name in changed} <= {
        "ingest@2024-01-02.json",
        "clean@2024-01-02.json",
    }
    assert [x for x, _ in in_delta(home, "p/clean")] == [0, 1, 2, 3, 10, 11, 12, 13, 21]
    assert [row["x"] for row in rows(cleaned(made, home).snapshot, home)] == [
        *(0, 10, 1, 11, 21, 2, 12, 3, 13)
    ]


def test_the_key_of_a_partition_is_no_drift(tmp_path: Path, home: Home) -> None:
    limited = {"columns": CONTRACT, "distribution": {"limit": 0.2}}
    source = {"files": "{day}.csv"}
    made = pipeline(tmp_path, ingest={"source": source, "contract": limited}, partitions={**DAYS})
    second = partition(made, "2024-01-02")
    for day, xs in (("2024-01-01", range(400)), ("2024-01-02", range(399, -1, -1))):
        write(tmp_path, day, *(x % 40 for x in xs))
        run_stage(StageRequest(made, "ingest", home, day, partition(made, day)))
    value = latest_result(ResultQuery(made, "ingest", home, partition=second))
    assert isinstance(value, IngestResult)
    assert value.findings.drift is not None
    assert value.findings.drift.moved == ()
    write(tmp_path, "2024-01-03", *(50 + x % 40 for x in range(400)))
    with pytest.raises(TableError, match=r"'x' median .*") as refused:
        run_stage(StageRequest(made, "ingest", home, "3", partition(made, "2024-01-03")))
    assert "'day'" not in str(refused.value)


def test_a_partition_needs_none_of_the_others_tables(tmp_path: Path, home: Home) -> None:
    made = declared(tmp_path)
    write(tmp_path, "2024-01-01", 1)
    write(tmp_path, "2024-01-02", 2)
    run(made, home, "2024-01-01", "2024-01-02")
    first = latest_result(
        ResultQuery(made, "ingest", home, partition=partition(made, "2024-01-01"))
    )
    assert isinstance(first, IngestResult)
    for path in first.snapshot.paths(home):
        path.unlink()
    write(tmp_path, "2024-01-02", 2, 3)
    assert run(made, home, "2024-01-02")["2024-01-02"].value.data_version


def test_going_back_brings_back_the_old_rows(tmp_path: Path, home: Home) -> None:
    made = declared(tmp_path)
    write(tmp_path, "2024-01-01", 1)
    run(made, home, "2024-01-01")
    write(tmp_path, "2024-01-01", 2)
    run(made, home, "2024-01-01")
    assert [x for x, _ in in_delta(home, "p/clean")] == [2]
    write(tmp_path, "2024-01-01", 1)
    assert run(made, home, "2024-01-01")["2024-01-01"].reused
    assert [row["x"] for row in rows(cleaned(made, home).snapshot, home)] == [1]
    assert [x for x, _ in in_delta(home, "p/clean")] == [1]
    assert [x for x, _ in in_delta(home, "p/ingest")] == [1]


def test_a_removed_key_is_no_part_of_what_follows(tmp_path: Path, home: Home) -> None:
    sites = {"site": {"values": ["a", "b", "c"]}}
    made = declared(tmp_path, "{site}.csv", partitions=sites)
    for i, site in enumerate("abc"):
        write(tmp_path, site, i)
    run(made, home, "a", "b", "c")
    fewer = declared(tmp_path, "{site}.csv", partitions={"site": {"values": ["c", "a"]}})
    assert [row["x"] for row in rows(cleaned(fewer, home).snapshot, home)] == [0, 2]
    again = run(made, home, "b")
    assert again["b"].reused
    assert [row["x"] for row in rows(cleaned(made, home).snapshot, home)] == [0, 1, 2]


def test_a_later_start_leaves_older_days_out(tmp_path: Path, home: Home) -> None:
    made = declared(tmp_path)
    write(tmp_path, "2024-01-01", 1)
    write(tmp_path, "2024-01-02", 2)
    run(made, home, "2024-01-01", "2024-01-02")
    later = declared(tmp_path, partitions={"day": {"every": "day", "start": "2024-01-02"}})
    assert [row["x"] for row in rows(cleaned(later, home).snapshot, home)] == [2]
    assert run(later, home, "2024-01-02")["2024-01-02"].reused


def test_a_window_reads_the_newest(tmp_path: Path, home: Home) -> None:
    made = declared(tmp_path, split={"window": 2})
    for day in range(1, 5):
        write(tmp_path, f"2024-01-{day:02}", *range(day * 10, day * 10 + 10))
    run(made, home, "2024-01-01", "2024-01-02", "2024-01-03")
    split = run_stage(StageRequest(made, "split", home, "run")).value
    assert isinstance(split, SplitResult)
    assert _days_of(split, home) == {"2024-01-02", "2024-01-03"}
    assert run_stage(StageRequest(made, "split", home, "run")).reused
    # An older day that arrives late is outside the window: nothing follows from it.
    write(tmp_path, "2024-01-01", 1)
    run(made, home, "2024-01-01")
    assert run_stage(StageRequest(made, "split", home, "run")).reused
    run(made, home, "2024-01-04")
    moved = run_stage(StageRequest(made, "split", home, "run")).value
    assert isinstance(moved, SplitResult)
    assert _days_of(moved, home) == {"2024-01-03", "2024-01-04"}


def _days_of(split: SplitResult, home: Home) -> set[str]:
    parts = (split.train, split.validation, split.test)
    return {row["day"] for part in parts for row in rows(part, home)}


def test_a_window_counts_days_not_cells(tmp_path: Path, home: Home) -> None:
    both = {**DAYS, "site": {"values": ["a", "b"]}}
    made = declared(tmp_path, "{day}-{site}.csv", partitions=both, split={"window": 2})
    keys = ["2024-01-01|a", "2024-01-02|a", "2024-01-02|b", "2024-01-03|b"]
    for i, key in enumerate(keys):
        write(tmp_path, key.replace("|", "-"), i, i + 10, i + 20)
    run(made, home, *keys)
    found = rows(cleaned(made, home).snapshot, home)
    assert {(row["day"], row["site"]) for row in found} == {
        *(("2024-01-02", "a"), ("2024-01-02", "b"), ("2024-01-03", "b"))
    }


def test_two_partitions_with_the_same_bytes(tmp_path: Path, home: Home) -> None:
    made = declared(tmp_path, "{site}/data.csv", partitions={"site": {"dynamic": True}})
    for site in ("a", "b"):
        (tmp_path / site).mkdir()
        write(tmp_path / site, "data", 1, 2)
    run(made, home, "a", "b")
    found = rows(cleaned(made, home).snapshot, home)
    assert [(row["x"], row["site"]) for row in found] == [(1, "a"), (2, "a"), (1, "b"), (2, "b")]
    assert in_delta(home, "p/clean") == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]


def test_quarantine_follows_its_partition(tmp_path: Path, home: Home) -> None:
    made = declared(tmp_path)
    write(tmp_path, "2024-01-01", 1, 95)
    write(tmp_path, "2024-01-02", 2, 96)
    run(made, home, "2024-01-01", "2024-01-02")
    assert [x for x, _ in in_delta(home, "p/clean_quarantine")] == [95, 96]
    value = cleaned(made, home)
    assert [row["x"] for row in rows(value.quarantine, home)] == [95, 96]


def test_a_partition_without_a_clean_row_does_not_stop_the_others(
    tmp_path: Path, home: Home
) -> None:
    made = declared(tmp_path)
    write(tmp_path, "2024-01-01", *range(30))
    write(tmp_path, "2024-01-02", 95, 96)
    run(made, home, "2024-01-01", "2024-01-02")
    value = cleaned(made, home)
    assert (value.rows_in, value.snapshot.rows, value.quarantined) == (32, 30, {"small": 2})
    assert in_delta(home, "p/clean_quarantine") == [(95, "2024-01-02"), (96, "2024-01-02")]
    split = run_stage(StageRequest(made, "split", home, "run")).value
    assert isinstance(split, SplitResult)
    assert _days_of(split, home) == {"2024-01-01"}
    # What was missing comes later, such as the target.
    write(tmp_path, "2024-01-02", 35, 96)
    run(made, home, "2024-01-02")
    assert cleaned(made, home).snapshot.rows == 31


def test_partitions_without_any_clean_row_cannot_be_split(tmp_path: Path, home: Home) -> None:
    made = declared(tmp_path)
    write(tmp_path, "2024-01-01", 95, 96)
    run(made, home, "2024-01-01")
    with pytest.raises(FactoryError, match=r"no row is left for \w+ \(0 rows in all\)"):
        run_stage(StageRequest(made, "split", home, "run"))


def test_changed_columns_of_one_partition_are_told(tmp_path: Path, home: Home) -> None:
    made = declared(tmp_path)
    write(tmp_path, "2024-01-01", 1)
    write(tmp_path, "2024-01-02", 2)
    run(made, home, "2024-01-01", "2024-01-02")
    derived = pipeline(
        tmp_path,
        ingest={"source": {"files": "{day}.csv"}, "contract": CONTRACT},
        clean={"derive": {"double": "x * 2"}},
        partitions=DAYS,
    )
    run(derived, home, "2024-01-02")
    with pytest.raises(StorageError, match=r"different columns \(double\); materialise the older"):
        latest_result(ResultQuery(derived, "clean", home))
    run(derived, home, "2024-01-01")
    assert [row["double"] for row in rows(cleaned(derived, home).snapshot, home)] == [2, 4]


def test_hours_that_the_clock_shows_twice(tmp_path: Path, home: Home) -> None:
    hours = {"hour": {"every": "hour", "start": "2024-10-27", "timezone": "Europe/Berlin"}}
    made = declared(tmp_path, "{hour}.csv", partitions=hours)
    keys = ["2024-10-27-02:00", "2024-10-27-02:00+0100", "2024-10-27-03:00"]
    for i, key in enumerate(keys):
        write(tmp_path, key, i)
    run(made, home, *keys)
    found = rows(cleaned(made, home).snapshot, home)
    assert [(row["x"], row["hour"]) for row in found] == [*enumerate(keys)]


def test_a_form_names_the_beginning_of_the_period(tmp_path: Path, home: Home) -> None:
    made = declared(tmp_path, "{day:%Y}/{day:%m}/{day}.csv")
    (tmp_path / "2024" / "01").mkdir(parents=True)
    write(tmp_path / "2024" / "01", "2024-01-31", 7)
    run(made, home, "2024-01-31")
    assert [row["x"] for row in rows(cleaned(made, home).snapshot, home)] == [7]


HOSTILE = ["'; DROP TABLE x --", '"', "{day}", "%2e%2e", "ü", "日本", " a"]


@pytest.mark.parametrize("key", one_in(2, HOSTILE))
def test_a_key_is_data_and_nothing_else(tmp_path: Path, home: Home, key: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    made = declared(folder, "{site}.csv", partitions={"site": {"dynamic": True}})
    write(folder, "other", 50)
    write(folder, "axb", 51)
    write(folder, key, 7)
    run(made, home, key, "other")
    found = rows(cleaned(made, home).snapshot, home)
    assert {(row["x"], row["site"]) for row in found} == {(7, key), (50, "other")}
    assert in_delta(home, "p/clean") == [(7, key), (50, "other")]
    assert Records(home).partitions("p", "clean") == sorted([key, "other"])


@pytest.mark.parametrize("key", ["../secret", "/etc/passwd", "a\\b"])
def test_a_key_leads_to_no_other_folder(tmp_path: Path, home: Home, key: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write(tmp_path, "secret", 1)
    made = declared(folder, "{site}.csv", partitions={"site": {"dynamic": True}})
    with pytest.raises(SourceError, match="cannot be part of a file name"):
        run(made, home, key)
    assert not Records(home).partitions("p", "ingest")


def test_a_key_reaches_no_variable_and_no_other_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_SECRET", "hidden")
    made = declared(tmp_path, "{site}.csv", partitions={"site": {"dynamic": True}})
    for key in ("${FACTORY_SECRET}", "~root", "..", "."):
        assert partition_of(made.spec.partitions, key) is None


def test_a_partition_without_a_file_is_told(tmp_path: Path, home: Home) -> None:
    made = declared(tmp_path)
    with pytest.raises(FactoryError, match=r"no file matches '2024-01-05.csv'"):
        run(made, home, "2024-01-05")


def test_a_day_without_rows_may_be_left_out(tmp_path: Path, home: Home) -> None:
    write(tmp_path, "2024-01-06")
    with pytest.raises(SourceError, match=r"2024-01-06\.csv: has no rows; provide data, or list "):
        run(declared(tmp_path), home, "2024-01-06")


def test_a_function_is_told_its_partition(tmp_path: Path, home: Home) -> None:
    (tmp_path / "source.py").write_text(
        "import pandas as pd\n"
        "def load(day):\n"
        "    return pd.DataFrame({'x': [int(day[-2:])], 'y': [day]})\n"
    )
    source = {"python": "source:load", "args": {"day": "{day}"}}
    made = pipeline(
        tmp_path, ingest={"source": source, "contract": CONTRACT}, partitions=DAYS, clean={}
    )
    run(made, home, "2024-01-03", "2024-01-04")
    found = rows(cleaned(made, home).snapshot, home)
    assert [(row["x"], row["y"]) for row in found] == [(3, "2024-01-03"), (4, "2024-01-04")]
    assert run(made, home, "2024-01-03")["2024-01-03"].reused


Data = dict[str, list[int]]

_data = st.dictionaries(
    st.integers(0, 40).map(lambda n: (date(2024, 1, 1) + timedelta(n)).isoformat()),
    st.lists(st.integers(-5, 100), min_size=1, max_size=6).filter(
        # A partition without a good row is an error of its own.
        lambda xs: sum(0 <= x < 90 for x in xs) * 2 >= len(xs)
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=examples(15), deadline=None)
@given(data=_data, random=st.randoms(use_true_random=False))
def test_the_same_rows_as_without_partitions_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, data: Data, random: Any
) -> None:
    folder = tmp_path_factory.mktemp("data")
    for day, xs in data.items():
        write(folder, day, *xs)
    order = list(data)
    random.shuffle(order)
    sorted_home, shuffled_home = Home(folder / "sorted"), Home(folder / "shuffled")
    made = declared(folder)
    run(made, sorted_home, *sorted(data))
    run(made, shuffled_home, *order, *order[:1])
    whole = pipeline(
        folder,
        ingest={"source": {"files": "2024-*.csv"}, "contract": CONTRACT, "max_quarantine": 1.0},
        clean={"where": {"small": "x < 90"}},
    )
    one = Home(folder / "one")
    for stage in ("ingest", "clean"):
        run_stage(StageRequest(whole, stage, one, "run"))
    first, second, third = cleaned(made, sorted_home), cleaned(made, shuffled_home), None
    assert first == second
    third = latest_result(ResultQuery(whole, "clean", one))
    assert isinstance(third, CleanResult)
    for name in ("snapshot", "quarantine"):
        assert _plain(getattr(first, name), sorted_home) == _plain(getattr(third, name), one)
    assert first.rows_in == third.rows_in
    assert first.quarantined == third.quarantined


def _plain(snapshot: Any, home: Home) -> Counter[str]:
    without = ({k: v for k, v in row.items() if k != "day"} for row in rows(snapshot, home))
    return Counter(json.dumps(row, sort_keys=True) for row in without)


def test_a_backfill_stores_what_single_runs_store(tmp_path: Path, home: Home) -> None:
    made, other = declared(tmp_path), Home(home.path.with_name("other"))
    days = [f"2024-01-{day:02}" for day in range(1, 5)]
    for i, day in enumerate(days):
        write(tmp_path, day, i, i + 10, *([-1] * (i % 2)), 95)
    (tmp_path / "2024-01-03.csv").write_text("x,z\n1,a\n")
    backfilled = list(
        backfill(
            run_stage,
            StageRequest(made, "ingest", home, "run"),
            [partition(made, day) for day in days],
        )
    )
    assert [run.partition.key for run in backfilled if run.error] == ["2024-01-03"]
    assert [*(home.tmp).glob("*/")] == [home.tmp / "locks"]
    single = run(made, other, *(day for day in days if day != "2024-01-03"))
    stored = [run.outcome.value for run in backfilled if run.outcome]
    assert stored[1::2] == [outcome.value for outcome in single.values()]
    assert {path.name for path in home.tables.rglob("*.parquet") if "_log" not in str(path)} == {
        path.name for path in other.tables.rglob("*.parquet") if "_log" not in str(path)
    }


def test_who_reads_the_table_of_another_pipeline_gets_what_is_declared(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    folder = tmp_path / "sites"

    def sites(*values: str) -> Pipeline:
        ingest = {"source": {"files": "{site}.csv"}, "contract": CONTRACT}
        dimensions = {"site": {"values": [*values]}}
        return declare(folder, {"purpose": "test", "partitions": dimensions, "ingest": ingest})

    def whole() -> Pipeline:
        source = {"source": {"files": "ulm.csv"}, "contract": CONTRACT}
        return declare(folder, {"purpose": "test", "ingest": source})

    def read() -> list[Any]:
        reader = pipeline(tmp_path, ingest={"source": {"pipeline": "sites"}})
        return column(ingest(reader, home).snapshot, home, "x")

    both = sites("jena", "ulm")
    write(folder, "jena", 1, 2)
    write(folder, "ulm", 3)
    run(both, home, "jena", "ulm")
    assert read() == [1, 2, 3]
    sites("ulm")
    assert read() == [3]
    declared = (folder / "defs.yaml").read_text()
    (folder / "defs.yaml").write_text(declared.replace("values:", "value:"))
    with pytest.raises(
        SourceError, match=r"sites/clean: its declaration, .* cannot be read.*check sites"
    ):
        read()
    made = whole()
    with pytest.raises(SourceError, match="sites/clean: there is no result yet"):
        read()
    for stage in ("ingest", "clean"):
        run_stage(StageRequest(made, stage, home, "run"))
    assert read() == [3]
    run(sites("jena"), home, "jena")
    assert read() == [1, 2]
    for stage in ("ingest", "clean"):
        assert run_stage(StageRequest(whole(), stage, home, "run")).reused
    assert read() == [3]
