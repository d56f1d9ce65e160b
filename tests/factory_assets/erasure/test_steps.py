"""An erasure as a whole: rows leave every file of every table, and what is left still holds."""

import sqlite3
from contextlib import closing
from pathlib import Path

import deltalake
import duckdb
import pyarrow.parquet
import pytest
from rich.console import Console

from factory_assets.cli.forget import ForgetRequest, forget, resume
from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from factory_assets.results.record_graph import RecordGraph, contradictions
from factory_resources.erasure.manifest import erased_rows, intent_file, manifests
from factory_resources.home.home import Home
from factory_resources.home.sqlite_files import dagster_files, run_logs
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.tables.logged_files import current_files
from tests.erasures import (
    CITY,
    NAME,
    PERSON,
    ROW,
    WEIGHT,
    WHERE,
    erase,
    home_of,
    log_answer,
    people_rows,
    run_all,
    write_people,
)
from tests.killed_steps import KillPoint, run_killed
from tests.ledger import problems
from tests.long_run import in_long

pytestmark = pytest.mark.slow


def _rows(home: Home) -> dict[str, int]:
    """Return the number of rows in the files of each table."""
    counts: dict[str, int] = {}
    for path in sorted(home.tables.glob("*/*/*.parquet")):
        table = f"{path.parent.parent.name}/{path.parent.name}"
        [found] = duckdb.execute(f"SELECT count(*) FROM '{path}'").fetchall()
        counts[table] = counts.get(table, 0) + found[0]
    return counts


def _files_with(home: Home, *values: object) -> list[str]:
    """Return the tables' files in which a column has one of these values."""
    found = []
    for path in sorted(home.tables.glob("*/*/*.parquet")):
        for row in duckdb.execute(f"SELECT * FROM '{path}'").fetchall():
            if any(value in (cell, str(cell)) for cell in row for value in values):
                found.append(str(path.relative_to(home.tables)))
                break
    return found


def test_rows_leave_every_table_and_only_they(root: Path) -> None:
    home = home_of(root)
    before = _rows(home)
    assert len(_files_with(home, PERSON, str(PERSON), CITY, NAME, WEIGHT, 2 * WEIGHT)) >= 7
    assert erase()
    assert _files_with(home, PERSON, str(PERSON), CITY, NAME, WEIGHT, 2 * WEIGHT) == []
    left = {table: before[table] - count for table, count in _rows(home).items()}
    assert left == {
        "people/clean": 1,
        "people/ingest": 1,
        "people/predictions": left["people/predictions"],
        "people/split_test": left["people/split_test"],
        "people/split_train": left["people/split_train"],
        "people/split_validation": left["people/split_validation"],
        # It has no number by which the person is found, but reads the clean rows of `people`.
        "study/clean": 1,
        "study/ingest": 1,
        "visits/clean": 3,
        "visits/ingest": 3,
        "visits/ingest_quarantine": 1,
    }
    assert sum(count for table, count in left.items() if table.startswith("people/split")) == 1


def test_a_pipeline_that_is_not_named_keeps_its_rows_and_what_it_says_of_them(root: Path) -> None:
    home = home_of(root)

    def others() -> dict[Path, bytes]:
        return {
            path: path.read_bytes()
            for name in ("study", "visits")
            for folder in (home.path / "records" / name, home.tables / name)
            for path in folder.rglob("*")
            if path.is_file()
        }

    before = others()
    named = ForgetRequest(("people",), WHERE, "request", None, is_sure=True, only_shown=False)
    assert forget(named)
    # `study` has read 120 rows of `people`, of which 119 are left.
    assert others() == before
    [manifest] = manifests(home)
    assert {Path(name).parts[1] for name in (*manifest.records, *manifest.files)} == {"people"}
    assert problems(home) == []


def test_what_is_left_holds(root: Path) -> None:
    home = home_of(root)
    folder, alarms = home.watch / "people", home.watch / "people" / "alarms.json"
    looks = {"000001/report.json": CITY, "000001/losses.json": "", "000002/report.json": ""}
    states = {"000002/inputs.npz": CITY, "000002/outputs.npz": ""}
    for name, content in {**looks, **states, alarms.name: CITY}.items():
        home.write_atomic(folder / name, content.encode())
    assert erase()
    assert problems(home) == []
    # The next look can begin anew: there is no half look, nor half of the states of one.
    left = [path.relative_to(home.watch) for path in sorted(home.watch.rglob("*"))]
    assert [*map(str, left)] == ["people", "people/000002", "people/000002/report.json"]
    home.write_atomic(alarms, b"[]")
    assert problems(home) == []
    graph = RecordGraph.of(home)
    assert [line for record in graph.records for line in contradictions(record)] == []
    for folder in sorted(path.parent for path in home.tables.glob("*/*/_delta_log")):
        assert all((folder / name).is_file() for name in current_files(folder)), folder
    [manifest] = manifests(home)
    assert set(manifest.pipelines) == {"people", "study", "visits"}
    assert manifest.pipelines["people"].versions == (1,)


def test_what_another_program_has_added_to_a_table_is_told(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = home_of(root)
    folder = home.tables / "people" / "clean"
    rows = pyarrow.parquet.read_table(next(folder.glob("*.parquet")), partitioning=None)
    deltalake.write_deltalake(folder, rows, mode="append")
    [added] = folder.glob("part-*.parquet")
    assert not erase()
    assert f"tables/people/clean/{added.name}: column city (1 as value)" in capsys.readouterr().out
    assert added.name not in current_files(folder)
    assert problems(home) == []


@pytest.mark.long
def test_a_model_trained_anew_has_not_seen_the_row(root: Path) -> None:
    home = home_of(root)
    assert erase()
    run_all()
    graph = RecordGraph.of(home)
    learned = graph.latest("people", "train")[0].value
    [split] = graph.latest("people", "split")
    rows = [sum(file["rows"] for file in split.value[part]["files"]) for part in ("train", "test")]
    assert (learned["version"], sum(rows) + 1 <= 119) == (2, True)
    assert _files_with(home, PERSON, str(PERSON), CITY, NAME, WEIGHT) == []
    assert problems(home) == []


def test_the_model_differs_from_one_of_a_source_without_the_row_by_nothing(root: Path) -> None:
    home = home_of(root)
    assert erase()
    run(RunSelection(["people"]), Console(quiet=True))
    without = [row for row in people_rows() if row[0] != PERSON]
    write_people(root / "defs" / "people", without)
    erased = RecordGraph.of(home).latest("people", "clean")[0]
    run(RunSelection(["people"], stages=["ingest", "clean"]), Console(quiet=True))
    removed = RecordGraph.of(home).latest("people", "clean")[0]
    read = [
        duckdb.execute(
            f"SELECT * EXCLUDE (_file, _row) FROM '{home.tables}/people/clean/"
            f"{record.value['snapshot']['files'][0]['sha256']}.parquet'"
        ).fetchall()
        for record in (erased, removed)
    ]
    assert read[0] == read[1]
    assert len(read[0]) == 119


def test_rows_stay_out_until_the_source_changes(root: Path) -> None:
    home = home_of(root)
    assert erase()
    again = RunSelection(["people", "visits"], reuse=False)
    run(again, Console(quiet=True))
    assert _files_with(home, PERSON, str(PERSON), CITY, NAME) == []
    numbers = set(erased_rows(home).values())
    assert (42,) in numbers


def _erased() -> None:
    erase()


@pytest.mark.parametrize(
    "step",
    [
        KillPoint("factory_assets.erasure.steps", "replace_records"),
        *in_long([KillPoint("factory_assets.erasure.steps", "publish", 2)]),
        *in_long(
            KillPoint("factory_assets.erasure.steps", name)
            for name in ("replace_current_files", "remove_old_files", "erase_answers")
        ),
        KillPoint("factory_resources.ledger.ledger.Ledger", "append"),
    ],
    ids=lambda step: f"{step.name}-{step.call}",
)
def test_a_killed_erasure_is_finished(root: Path, step: KillPoint) -> None:
    home = home_of(root)
    run_killed(_erased, step=step)
    if step.name != "append":
        assert any("is not finished: factory forget --resume" in line for line in problems(home))
    assert resume(home)
    assert _files_with(home, PERSON, str(PERSON), CITY, NAME, WEIGHT, 2 * WEIGHT) == []
    assert problems(home) == []
    assert not [*intent_file(home, "").parent.glob("*")]


def _answered(row: dict[str, object]) -> str:
    """Log an answer and store it; return its id."""
    home = Home.from_env()
    request = log_answer(home, row)
    with PredictionLog(home) as log:
        log.collect()
    return request.hex()


@pytest.mark.parametrize("row", [{"weight": 1.5, "nbr": PERSON}, *in_long([{"weight": WEIGHT}])])
def test_an_answer_that_came_before_it_was_finished_goes_too(
    root: Path, row: dict[str, object]
) -> None:
    home = home_of(root)
    run_killed(_erased, step=KillPoint("factory_assets.erasure.steps", "replace_records"))
    asked, other = _answered(row), _answered({"weight": 61.25})
    assert resume(home)
    with PredictionLog(home) as log:
        assert [request.hex() for request, _ in log.every("people", bytes(16))] == [other]
    assert asked != other
    assert problems(home) == []


def test_an_answer_that_came_afterwards_is_found_without_a_row_in_the_tables(root: Path) -> None:
    home = home_of(root)
    assert erase()
    _answered({"weight": 1.5, "nbr": PERSON})
    assert erase()
    with PredictionLog(home) as log:
        assert [*log.every("people", bytes(16))] == []
    assert problems(home) == []


def test_pages_of_dagster_show_no_row_of_the_person(root: Path) -> None:
    home = home_of(root)
    shown = f"| {PERSON} |"
    pages = [file.path for file in dagster_files(home)] + [file.path for file in run_logs(home)]
    assert any(shown.encode() in path.read_bytes() for path in pages if path.is_file())
    assert erase()
    for path in filter(Path.is_file, pages):
        with closing(sqlite3.connect(path)) as connection:
            for line in connection.iterdump():
                assert not ("| Ulm |" in line and '["people", ' in line), path


def test_a_word_of_the_factory_as_a_value_breaks_nothing(root: Path) -> None:
    home, rows = home_of(root), people_rows()
    rows[ROW - 1][3] = "snapshot"
    write_people(root / "defs" / "people", rows)
    run_all()
    assert erase()
    assert problems(home) == []
    run_all()
    assert problems(home) == []
