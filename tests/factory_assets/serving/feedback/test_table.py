"""Outcomes in tables and files are recorded as one, by the ids of answers or by a key."""

import json
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from factory_assets.ml.artifacts.trained_model import DESCRIPTION
from factory_assets.serving.batch import predict
from factory_assets.serving.feedback.file import record_from_file
from factory_assets.serving.feedback.table import (
    OutcomeColumns,
    OutcomeCounts,
    record_from_table,
)
from factory_resources.errors import DataError, FactoryError, ModelError, SourceError, StorageError
from factory_resources.home.home import Home
from factory_resources.outcomes.engines import open_outcomes
from factory_resources.outcomes.target_values import TargetValues
from factory_resources.outcomes.targets import Targets
from factory_resources.prediction_log.ids import PredictionIds, parse, text, time_of
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.record import PredictionRecord, encode
from factory_resources.tracking.registry import Registry
from tests.factory_assets.serving.cases import Deployed
from tests.factory_assets.serving.feedback.conftest import copied, rows_asked


def asked(made: Deployed, home: Home, rows: list[dict[str, Any]]) -> list[str]:
    """Score rows; return the ids of the answers."""
    file = home.path.parent / f"asked{len(list(home.path.parent.iterdir()))}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found: list[str] = predict(made.pipeline, file, home)["id"].to_pylist()
    return found


def recorded(home: Home) -> dict[str, str]:
    with open_outcomes(home) as store:
        return {text(one.id): one.value for one in store.current("p")}


@pytest.fixture
def home(grading: Deployed, tmp_path: Path) -> Home:
    return copied(grading, tmp_path / "home")


def test_a_table_is_recorded_repeated_and_corrected(grading: Deployed, home: Home) -> None:
    ids = asked(grading, home, rows_asked(3))
    first = pa.table({"id": ids, "outcome": ["good", "bad", None]})
    assert record_from_table("p", first, home) == OutcomeCounts(2, 0, 0, 0, 1, ())
    assert record_from_table("p", first, home) == OutcomeCounts(0, 2, 0, 0, 1, ())
    second = pa.table({"id": ids, "outcome": ["good", "good", "bad"]})
    assert record_from_table("p", second, home) == OutcomeCounts(1, 1, 1, 0, 0, ())
    assert recorded(home) == dict(zip(ids, ['"good"', '"good"', '"bad"'], strict=True))


def _csv(table: pa.Table, folder: Path) -> Path:
    pyarrow.csv.write_csv(table, folder / "o.csv")
    return folder / "o.csv"


def _parquet(table: pa.Table, folder: Path) -> Path:
    pyarrow.parquet.write_table(table, folder / "o.parquet")
    return folder / "o.parquet"


def _jsonl(table: pa.Table, folder: Path) -> Path:
    lines = [json.dumps(row, default=str) + "\n" for row in table.to_pylist()]
    (folder / "o.jsonl").write_text("".join(lines))
    return folder / "o.jsonl"


@pytest.mark.parametrize("write", [_csv, _parquet, _jsonl])
def test_a_file_of_each_format_is_recorded(
    write: Callable[[pa.Table, Path], Path], grading: Deployed, home: Home, tmp_path: Path
) -> None:
    ids = asked(grading, home, rows_asked(2))
    moment = datetime.now(UTC).replace(microsecond=250_000)
    table = pa.table({"answer": ids, "was": ["good", "bad"], "when": pa.array([moment, None])})
    columns = OutcomeColumns("answer", "was", "when")
    counts = record_from_file("p", write(table, tmp_path), home, columns)
    assert (counts.recorded, counts.empty) == (2, 0)
    assert recorded(home) == dict(zip(ids, ['"good"', '"bad"'], strict=True))
    with open_outcomes(home) as store:
        rows = [*store.from_number(1, 10)]
    assert {row.source for row in rows} == {"file"}
    for encoding in ("windows-1252", "utf-16"):
        (tmp_path / "excel.csv").write_text("id,outcome,nächste\n", encoding)
        with pytest.raises(SourceError, match="; save it as UTF-8") as refused:
            record_from_file("p", tmp_path / "excel.csv", home, columns)
        assert "source" not in str(refused.value)
    assert rows[0].observed == int(moment.timestamp() * 1e6)


@pytest.mark.parametrize("write", [_csv, _parquet, _jsonl])
def test_numbers_of_each_format_are_recorded(
    write: Callable[[pa.Table, Path], Path], pricing: Deployed, tmp_path: Path
) -> None:
    home = copied(pricing, tmp_path / "home")
    ids = asked(pricing, home, rows_asked(2))
    table = pa.table({"id": ids, "outcome": [3, 1]})
    assert record_from_file("p", write(table, tmp_path), home, OutcomeColumns()).recorded == 2
    assert recorded(home) == dict(zip(ids, ["3.0", "1.0"], strict=True))


@pytest.mark.parametrize(
    ("classes", "written", "read"),
    [
        (("0", "1"), ["1.0", "", "0.0", "1", " 1e0 "], ['"1"', '"0"', '"1"', '"1"']),
        (("false", "true"), ["True", "", "FALSE", "true"], ['"true"', '"false"', '"true"']),
        (("false", "true"), ["1", "", "0.0", "1.0"], ['"true"', '"false"', '"true"']),
        (("false", "true"), [1.0, None, 0.0, 1.0], ['"true"', '"false"', '"true"']),
        (("1.0", "1", "No", "no"), ["1.0", "1", "No", "NO"], ['"1.0"', '"1"', '"No"', '"no"']),
    ],
)
def test_a_class_is_known_however_a_table_spells_it(
    classes: tuple[str, ...],
    written: list[Any],
    read: list[str],
    grading: Deployed,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = TargetValues("label", "Grade", classes)
    monkeypatch.setattr(Targets, "of", lambda *_: target)
    monkeypatch.setattr(Targets, "of_champion", lambda *_: target)
    ids = asked(grading, home, rows_asked(len(written)))
    counts = record_from_table("p", pa.table({"id": ids, "outcome": written}), home)
    assert counts.recorded == len(read)
    known = recorded(home)
    assert [known[one] for one in ids if one in known] == read


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"outcome": ["good", "rotten"]}, "row 2: the outcome is not a class of 'label'"),
        ({"id": ["x", "y"]}, "row 1: this is not the id of an answer"),
        ({"id": [text(PredictionIds().take()) for _ in range(2)]}, "no answer has this id"),
        ({"observed": ["soon", ""]}, "row 1: observed is not a time"),
        ({"observed": [None, datetime(2020, 1, 1)]}, "row 2: observed is before the answer"),
        ({"observed": pa.array([None, "2999-01-01"])}, "row 2: observed is in the future"),
    ],
)
def test_a_wrong_row_refuses_the_whole_table(
    change: dict[str, Any], words: str, grading: Deployed, home: Home
) -> None:
    columns = {"id": asked(grading, home, rows_asked(2)), "outcome": ["good", "bad"], **change}
    with pytest.raises(DataError, match="nothing was recorded") as error:
        record_from_table("p", pa.table(columns), home)
    assert words in str(error.value)
    with open_outcomes(home) as store:
        assert [*store.from_number(1, 10)] == []
    counts = record_from_table("p", pa.table(columns), home, wrong="count")
    assert counts.refused + counts.recorded == 2
    assert words in f"{'; '.join(counts.reasons)}"


def test_a_missing_column_is_named(grading: Deployed, home: Home) -> None:
    ids = asked(grading, home, rows_asked(1))
    table = pa.table({"answer": ids, "outcome": ["good"]})
    with pytest.raises(DataError, match=r"no column 'id'; .*`--id-column`.*: answer, outcome"):
        record_from_table("p", table, home)
    with pytest.raises(DataError, match=r"no column 'when'; .*`--observed-column`, or `observed`"):
        record_from_table("p", table, home, columns=OutcomeColumns("answer", observed="when"))
    with pytest.raises(DataError, match=r"no column 'size'; name the column as in .*answer, outc"):
        record_from_table("p", table, home, columns=OutcomeColumns(key="size"))


def test_the_champion_tells_the_target_of_a_version_whose_description_was_erased(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Registry(home).version("p", 1)
    newer = replace(first, version=2, files=shutil.copytree(first.files, tmp_path / "newer"))
    expected = Targets(home).of("p", 1)
    (first.files / DESCRIPTION).unlink()
    with pytest.raises(StorageError, match="factory trace p@1 shows whether an erasure"):
        Targets(home).of("p", 1)
    monkeypatch.setattr(Registry, "champion", lambda *_: 2)
    monkeypatch.setattr(Registry, "version", lambda *given: newer if given[2] == 2 else first)
    assert Targets(home).of("p", 1) == expected


def test_a_pipeline_without_a_champion_has_no_outcomes(home: Home) -> None:
    with pytest.raises(ModelError, match="it has no champion"):
        record_from_table("pears", pa.table({"id": ["x"], "outcome": ["good"]}), home)


def test_a_key_names_the_latest_answer_before_the_outcome(grading: Deployed, home: Home) -> None:
    old = asked(grading, home, rows_asked(4))
    between = datetime.now(UTC)
    new = asked(grading, home, rows_asked(3, start=4))
    table = pa.table(
        {
            "machine": ["m0", "m1", "m3"],
            "outcome": ["good", "bad", "good"],
            "observed": [between, None, None],
        }
    )
    columns = OutcomeColumns(key="machine")
    assert record_from_table("p", table, home, columns=columns).recorded == 3
    assert recorded(home) == {old[0]: '"good"', new[1]: '"bad"', old[3]: '"good"'}


def logged(home: Home, rows: list[dict[str, Any]], refused: list[int]) -> list[str]:
    """Log a request of which rows were refused, as a server does with `partial=true`."""
    answered = [row for row in range(len(rows)) if row not in refused]
    record = PredictionRecord(
        time=time.time_ns() // 1000,
        duration=1,
        pipeline="p",
        version=1,
        caller="",
        protocol="plain",
        kind="answer",
        status=200,
        rows=len(rows),
        input=json.dumps(rows).encode(),
        output=json.dumps({"predictions": ["good"] * len(answered), "rows": answered}).encode(),
    )
    identifier = PredictionIds().take(len(rows))
    with PredictionLog(home) as log:
        with closing(log.journal()) as journal:
            journal.append(identifier, encode(record))
            journal.flush()
        log.collect()
    return [text(identifier, row) for row in range(len(rows))]


def test_a_row_that_was_refused_gets_no_outcome(grading: Deployed, home: Home) -> None:
    [answered] = asked(grading, home, rows_asked(1))
    ids = logged(home, [{**rows_asked(1)[0], "machine": "m9"}, rows_asked(1)[0]], refused=[1])
    by_key = pa.table({"machine": ["m0"], "outcome": ["good"]})
    record_from_table("p", by_key, home, columns=OutcomeColumns(key="machine"))
    assert recorded(home) == {answered: '"good"'}
    table = pa.table({"id": ids, "outcome": ["bad", "bad"]})
    with pytest.raises(DataError, match="outcomes of p: row 2: the row with this id got no answer"):
        record_from_table("p", table, home)
    record_from_table("p", table.slice(0, 1), home)
    assert recorded(home) == {answered: '"good"', ids[0]: '"bad"'}


def test_a_numeric_key_is_found_however_it_is_written(grading: Deployed, home: Home) -> None:
    [first] = asked(grading, home, [{"Size [mm]": 3.0, "machine": "m", "worker": "w"}])
    columns = OutcomeColumns(key="Size [mm]")
    for value in (3, 3.0, "3", "3.00", "03", "30e-1"):
        table = pa.table({"Size [mm]": [value], "outcome": ["good"]})
        record_from_table("p", table, home, columns=columns)
    assert recorded(home) == {first: '"good"'}


def test_rows_that_contradict_each_other_are_refused_unless_they_say_when(
    grading: Deployed, home: Home
) -> None:
    [first, second] = asked(grading, home, rows_asked(2))
    sent = {"id": [first, second, first, second], "outcome": ["good", "bad", "bad", "bad"]}
    with pytest.raises(DataError, match=r"row 1: other rows give another outcome.*; row 3: other"):
        record_from_table("p", pa.table(sent), home)
    assert recorded(home) == {}
    counts = record_from_table("p", pa.table(sent), home, wrong="count")
    assert (counts.recorded, counts.repeated, counts.refused) == (1, 1, 2)
    now = datetime.now(UTC)
    sent["observed"] = [now + timedelta(seconds=one) for one in range(4)]
    for corrected in (1, 0):
        counts = record_from_table("p", pa.table(sent), home)
        assert (counts.corrected, counts.refused) == (corrected, 0)
    assert recorded(home) == {first: '"bad"', second: '"bad"'}


@pytest.mark.parametrize("as_text", [True, False])
def test_an_outcome_may_be_observed_on_the_day_of_the_answer(
    as_text: bool, grading: Deployed, home: Home
) -> None:
    ids = asked(grading, home, rows_asked(2))
    today = datetime.fromtimestamp(time_of(parse(ids[0])) / 1e6, UTC).date()
    days = [today.isoformat(), today.isoformat()] if as_text else [today, today]
    first = pa.table({"id": ids, "outcome": ["good", "bad"], "observed": days})
    assert record_from_table("p", first, home).recorded == 2
    corrected = pa.table({"id": ids, "outcome": ["bad", "bad"]})
    assert record_from_table("p", corrected, home).corrected == 1
    assert record_from_table("p", first, home).repeated == 2
    by_key = pa.table({"machine": ["m1"], "outcome": ["good"], "observed": days[:1]})
    record_from_table("p", by_key, home, columns=OutcomeColumns(key="machine"))
    assert recorded(home) == {ids[0]: '"bad"', ids[1]: '"good"'}
    early = [one - timedelta(days=1) for one in (today, today)]
    late = [one + timedelta(days=2) for one in (today, today)]
    for days, words in ((early, "observed is before the answer"), (late, "in the future")):
        with pytest.raises(DataError, match=words):
            record_from_table("p", first.set_column(2, "observed", pa.array(days)), home)


def test_a_key_that_is_text_is_not_a_number(grading: Deployed, home: Home) -> None:
    asked(grading, home, [{"Size [mm]": 3.0, "machine": "7", "worker": "w"}])
    table = pa.table({"machine": ["007"], "outcome": ["good"]})
    with pytest.raises(DataError, match="no answer before it was observed has this value"):
        record_from_table("p", table, home, columns=OutcomeColumns(key="machine"))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("worker", "w1", "hidden in the log"),
        ("colour", "red", "no logged row has the column 'colour'; name one of Size"),
        ("machine", "m9", "row 1: no answer before it was observed has this value of 'machine'"),
    ],
)
def test_a_wrong_key_is_named(
    key: str, value: str, words: str, grading: Deployed, home: Home
) -> None:
    asked(grading, home, rows_asked(4))
    table = pa.table({key: [value], "outcome": ["good"]})
    with pytest.raises(FactoryError) as error:
        record_from_table("p", table, home, columns=OutcomeColumns(key=key))
    assert words in str(error.value)
    assert value not in str(error.value).replace("Size [mm]", "")


def test_an_answer_after_the_outcome_does_not_get_it(grading: Deployed, home: Home) -> None:
    asked(grading, home, rows_asked(1))
    before = datetime.now(UTC) - timedelta(hours=1)
    table = pa.table({"machine": ["m0"], "outcome": ["good"], "observed": [before]})
    with pytest.raises(DataError, match="no answer before it was observed"):
        record_from_table("p", table, home, columns=OutcomeColumns(key="machine"))
