"""Looks at real answers: what is an alarm and what is not, and what a look leaves."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from factory_assets.execution.serving_acts import change_serving
from factory_assets.ml.artifacts.onnx_model import OnnxModel
from factory_assets.monitoring.accepting import accept
from factory_assets.monitoring.alerts import known_alarms
from factory_assets.monitoring.champion import WatchedChampion, watched_champion
from factory_assets.monitoring.looks import Looks
from factory_assets.monitoring.reasons import TrainingReasons
from factory_assets.monitoring.report import MonitorReport
from factory_assets.monitoring.watching import watch_once
from factory_resources.errors import DeclarationError, ModelError
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.watch_entries import AlarmsChanged
from factory_resources.prediction_log.ids import parse
from factory_resources.prediction_log.prediction_log import PredictionLog
from tests.factory_resources.outcomes.samples import add, feedback
from tests.ledger import problems
from tests.pipelines import enter
from tests.watched import PUMPS, Watched, copy_watched, make_watched, measure_errors, rows

pytestmark = pytest.mark.slow


def test_quiet_days_raise_no_alarm(pumps: Watched) -> None:
    for day in range(1, 6):
        pumps.answer(rows(120, 10 + day))
        report = pumps.look(day)
        assert report.number == day
        assert report.rows == report.sampled == 120
        assert report.alarms == ()
    assert report.evidence < 3650


@pytest.mark.long
def test_equal_outputs_of_many_rows_are_no_drift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = {**PUMPS["train"], "exclude": ["taken", "heat", "wear", "load"]}
    few = make_watched(tmp_path / "few", train=train, evaluate={"metric": "roc_auc"}, watch={})
    enter(few.root, monkeypatch)
    tested = watched_champion(few.pipeline, few.home).tested
    outputs = {*tested.outputs[:, 1].tolist()}
    assert outputs <= {answer["p_1"] for answer in few.answer(rows(1_500, 1))}
    _require_quiet(few, 1)
    few.answer(rows(1_500, 2))
    # A row alone is rounded otherwise than beside others.
    together = OnnxModel._run
    monkeypatch.setattr(OnnxModel, "_run", lambda *given: together(*given) + np.float32(6e-8))
    asked = rows(1_500, 3)
    alone = few.answer(asked)
    assert not outputs & {answer["p_1"] for answer in alone}
    sent = [
        feedback(parse(answer["id"]), f'"{row["failed"]}"', pipeline="pumps")
        for answer, row in zip(alone, asked, strict=True)
    ]
    add(few.home, sent)
    real = _require_quiet(few, 2).real
    assert real
    assert (real.labelled, real.unlabelled, real.caveat) == (1_500, 1_500, "")


def _require_quiet(watched: Watched, day: int) -> MonitorReport:
    report = watched.look(day)
    assert report.alarms == ()
    assert report.evidence < 3650
    assert all(one.trusted for one in report.estimated.values())
    return report


@pytest.fixture(scope="module")
def otherwise(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """Pumps whose classes are texts, whose colours have one spelling, with sensitive columns."""
    contract = [
        {**column, "sensitive": "personal"} if column["name"] in {"heat", "colour"} else column
        for column in PUMPS["ingest"]["contract"]
    ]
    derive = {"load": "heat * wear", "state": "if(failed = 1, 'broken', 'fine')"}
    made = make_watched(
        tmp_path_factory.mktemp("otherwise") / "made",
        ingest={**PUMPS["ingest"], "contract": contract},
        clean={"unify": ["colour"], "derive": derive},
        train={**PUMPS["train"], "target": "state", "exclude": ["taken", "failed"]},
        deploy={"log": {"sensitive": "encrypt"}},
    )
    measure_errors(made)
    return made


@pytest.fixture
def others(otherwise: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return copy_watched(otherwise, tmp_path / "factory", monkeypatch)


def test_answered_texts_have_one_spelling_where_training_rows_have(others: Watched) -> None:
    inputs = watched_champion(others.pipeline, others.home).inputs
    asked = [
        ["red" if name == "colour" else None for name in inputs.names],
        [" RED  red" if name == "colour" else None for name in inputs.names],
    ]
    table = inputs.table([inputs.read(row, 0) for row in asked])
    assert table["colour"].to_pylist() == ["red", "red red"]
    assert table.schema == inputs.table([]).schema


def test_a_shift_of_one_column_is_named_within_days(pumps: Watched) -> None:
    pumps.answer(rows(120, 20))
    assert pumps.look(1).alarms == ()
    for day in range(2, 7):
        pumps.answer(rows(120, 20 + day, heat=8.0))
        report = pumps.look(day)
        if report.alarms:
            break
    [alarm] = report.alarms
    assert alarm.kind == "drift"
    assert alarm.what.startswith("heat: median 49.6")
    assert "factory run pumps" in alarm.remedy
    first = report.findings[0]
    assert (first.column, first.what) == ("heat", "values")
    assert first.since in {1, 2}
    assert first.effect > 0.2


def test_no_value_of_a_sensitive_column_is_in_an_alarm(others: Watched) -> None:
    others.answer(rows(300, 5, red=0.9, heat=30))
    report = others.look(1)
    words = {one.column: one.words for one in report.findings if one.what == "values"}
    assert words == dict.fromkeys(("heat", "colour"), "other values")
    assert report.has("drift")


def test_a_column_that_was_declared_sensitive_since_the_training_is_no_longer_watched(
    pumps: Watched,
) -> None:
    contract = [
        {**column, "sensitive": "personal"} if column["name"] == "heat" else column
        for column in PUMPS["ingest"]["contract"]
    ]
    pumps.declare(ingest={**PUMPS["ingest"], "contract": contract})
    pumps.answer(rows(300, 5))
    report = pumps.look(1)
    assert report.hidden == ("heat",)
    assert report.alarms == ()


@pytest.mark.parametrize(
    ("shift", "column", "what"),
    [({"missing": 0.4}, "heat", "missing"), ({"red": 0.7}, "colour", "values")],
)
def test_missing_values_and_categories_are_watched(
    shift: dict[str, float], column: str, what: str, pumps: Watched
) -> None:
    for day in range(1, 8):
        pumps.answer(rows(150, 30 + day, **shift))
        report = pumps.look(day)
        if report.alarms:
            break
    assert report.has("drift")
    found = {(one.column, one.what) for one in report.findings if one.evidence >= 3650}
    assert (column, what) in found


def test_a_change_that_is_too_small_to_matter_is_no_alarm(pumps: Watched) -> None:
    pumps.declare(watch={"effect": 0.6})
    for day in range(1, 5):
        pumps.answer(rows(150, 40 + day, heat=6.0))
        report = pumps.look(day)
    assert report.evidence >= 3650
    assert report.alarms == ()


def test_other_seasons_are_compared_from_the_next_look_on(pumps: Watched) -> None:
    began = []
    for day, watch in enumerate(
        (
            {},
            {"seasons": ["weekday"], "time": "taken"},
            {"seasons": ["weekday"], "time": "taken"},
            {"seasons": ["hour"], "time": "taken"},
            {},
        ),
        start=1,
    ):
        pumps.declare(watch=watch)
        pumps.answer(rows(60, 80 + day))
        report = pumps.look(day)
        assert report.alarms == ()
        began.append(report.began)
    assert began == [1, 2, 2, 4, 5]


def test_what_is_accepted_begins_with_the_change_however_many_looks_ago(pumps: Watched) -> None:
    pumps.answer(rows(120, 91))
    pumps.look(1)
    pumps.answer(rows(150, 92, heat=40.0))
    report = pumps.look(2)
    assert min(finding.since for finding in report.findings) == 2
    looks = Looks(pumps.home, "pumps")
    for number in range(3, 54):
        looks.store(report.model_copy(update={"number": number}), lambda _: None)
    assert accept(pumps.pipeline, "a hotter hall", pumps.home) == 150


def test_what_is_accepted_is_no_alarm_any_more_and_no_reason_to_train(pumps: Watched) -> None:
    pumps.declare(watch={"silence": "3d", "retrain": {}})
    pumps.answer(rows(400, 93, heat=40.0))
    now = datetime.now(UTC) + timedelta(days=5)
    assert {alarm.kind for alarm in watch_once(pumps.pipeline, pumps.home, now).report.alarms} == {
        "drift",
        "silence",
    }
    reasons = TrainingReasons(pumps.pipeline, pumps.home)
    [(key, why)] = reasons().items()
    assert key == "drift-v1-look1"
    assert re.fullmatch(r"drift since \d{4}-\d\d-\d\d \d\d:\d\d UTC", why)
    accept(pumps.pipeline, "a hotter hall", pumps.home)
    assert reasons() == {}
    [open_alarm] = known_alarms(Looks(pumps.home, "pumps")).open
    assert open_alarm.kind == "silence", "whoever accepts what is new does not end a silence"
    last = Ledger(pumps.home).latest(AlarmsChanged, AlarmsChanged.subject_of(pipeline="pumps"))
    assert last is not None
    assert (last[1].open, last[1].look) == (("silence",), 2)
    assert problems(pumps.home) == []


def test_the_volume_of_a_day_is_known_if_looks_are_every_quarter_of_an_hour(
    pumps: Watched,
) -> None:
    pumps.declare(watch={"volume": {"at_least": 1_000}})
    pumps.answer(rows(5, 95))
    report = pumps.look(0.01)
    looks = Looks(pumps.home, "pumps")
    for number in range(2, 102):
        looks.store(
            report.model_copy(update={"number": number, "days": 0.01, "rows": 5}), lambda _: None
        )
    pumps.answer(rows(5, 96))
    [alarm] = pumps.look(0.02).alarms
    assert alarm.what.endswith("rows a day, fewer than 1,000")


def test_without_new_answers_nothing_is_stored(pumps: Watched) -> None:
    pumps.answer(rows(50, 50))
    first = pumps.look(1)
    assert pumps.look(2) == first
    assert Looks(pumps.home, "pumps").numbers() == [1]


def test_looks_begin_anew_where_their_folder_was_moved_away(pumps: Watched) -> None:
    pumps.declare(watch={"silence": "3d"})
    now = datetime.now(UTC)
    assert watch_once(pumps.pipeline, pumps.home, now + timedelta(days=5)).report.has("silence")
    looks = Looks(pumps.home, "pumps")
    looks.folder.rename(pumps.root / "moved")
    pumps.declare(watch={})
    for day in (6, 7):
        found = watch_once(pumps.pipeline, pumps.home, now + timedelta(days=day))
        assert (found.report.number, found.report.alarms) == (1, ())
    assert looks.numbers() == [1]
    last = Ledger(pumps.home).latest(AlarmsChanged, AlarmsChanged.subject_of(pipeline="pumps"))
    assert last is not None
    assert last[1].open == ()


def test_each_answer_is_looked_at_once(pumps: Watched) -> None:
    seen = []
    for day in range(1, 4):
        pumps.answer(rows(40 * day, 60 + day))
        seen.append(pumps.look(day).rows)
    assert seen == [40, 80, 120]


def test_answers_that_were_archived_before_a_look_are_looked_at(pumps: Watched) -> None:
    pumps.answer(rows(60, 64))
    assert pumps.look(1).rows == 60
    pumps.answer(rows(150, 65, heat=20.0))
    with PredictionLog(pumps.home) as log:
        log.collect()
        # As after a month in which nobody looked.
        log.archive(datetime.now(UTC).date() + timedelta(days=2))
        assert log.database.counts() == {}
    pumps.answer(rows(40, 66, heat=20.0))
    report = pumps.look(40)
    assert (report.rows, report.sampled, report.requests) == (190, 190, 2)
    assert report.has("drift")
    assert pumps.look(41).number == report.number


def test_performance_is_estimated_without_outcomes(pumps: Watched) -> None:
    asked = rows(1_000, 70)
    answers = pumps.answer(asked)
    estimate = pumps.look(1).estimated["roc_auc"]
    truth = np.array([row["failed"] for row in asked])
    real = roc_auc_score(truth, [answer["p_1"] for answer in answers])
    assert estimate.trusted
    assert estimate.low < estimate.value < estimate.high
    # How often the interval contains it is tested where it is computed.
    assert estimate.value == pytest.approx(real, abs=0.03)
    assert estimate.tested == pytest.approx(estimate.value, abs=0.03)


def test_classes_may_be_texts(others: Watched) -> None:
    asked = rows(600, 70)
    answers = others.answer(asked)
    estimate = others.look(1).estimated["roc_auc"]
    truth = np.array([row["failed"] for row in asked])
    real = roc_auc_score(truth, [answer["p_broken"] for answer in answers])
    assert estimate.value == pytest.approx(real, abs=0.05)


def test_volume_silence_and_age_are_told_when_they_are_declared(pumps: Watched) -> None:
    watch = {"volume": {"at_least": 100, "at_most": 1_000}, "silence": "3d", "age": "30d"}
    pumps.declare(watch=watch)
    pumps.answer(rows(150, 80))
    assert pumps.look(1).alarms == ()
    pumps.answer(rows(30, 81))
    [few] = pumps.look(2).alarms
    assert (few.kind, few.what) == ("volume", "30 rows a day, fewer than 100")
    silent = pumps.look(5)
    assert {alarm.kind for alarm in silent.alarms} == {"silence", "volume"}
    assert "longer than 3d" in next(one.what for one in silent.alarms if one.kind == "silence")
    old = pumps.look(40)
    assert "longer ago than 30d" in next(one.what for one in old.alarms if one.kind == "age")


def test_what_is_counted_by_time_is_counted_since_the_version_serves(
    pumps: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    pumps.declare(watch={"volume": {"at_least": 1_000}, "silence": "3d"})
    now = datetime.now(UTC)
    # An old version that serves again.
    monkeypatch.setattr(WatchedChampion, "exported", now - timedelta(days=30))
    pumps.answer(rows(150, 82))
    first = pumps.look(0.1)
    assert first.alarms == ()
    assert first.days == pytest.approx(0.1, abs=0.05)
    # Another version served since then, until ten days later.
    monkeypatch.setattr(WatchedChampion, "since", now + timedelta(days=10))
    assert pumps.look(10.5).alarms == ()
    assert {alarm.kind for alarm in pumps.look(14).alarms} == {"volume", "silence"}


def test_the_time_for_which_it_was_stopped_is_no_silence(pumps: Watched) -> None:
    pumps.declare(watch={"volume": {"at_least": 100}, "silence": "3d"})
    pumps.answer(rows(150, 83))
    assert pumps.look(0).alarms == ()
    change_serving(pumps.pipeline, "stopped", "odd answers", None, pumps.home)
    assert pumps.look(30).alarms == (), "nobody can ask"
    change_serving(pumps.pipeline, "resumed", "mended", None, pumps.home)
    now = datetime.now(UTC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WatchedChampion, "stops", ((now, now + timedelta(days=3)),))
        assert pumps.look(3.5).alarms == (), "half a day since then"
    assert {one.kind for one in pumps.look(3.5).alarms} == {"volume", "silence"}


def test_another_version_is_compared_anew(pumps: Watched) -> None:
    for day in (1, 2):
        pumps.answer(rows(150, 90 + day, heat=15.0))
        report = pumps.look(day)
    assert report.has("drift")
    from rich.console import Console

    from factory_assets.cli.run import run
    from factory_assets.cli.shared import RunSelection
    from tests.watched import lines

    (pumps.folder / "rows.jsonl").write_text(lines(rows(1_500, 2, heat=15.0)))
    pumps.declare(evaluate={"gates": {"champion": "off"}})
    run(RunSelection(["pumps"]), Console(quiet=True))
    pumps.answer(rows(150, 95, heat=15.0))
    report = pumps.look(3)
    assert (report.version, report.alarms) == (2, ())
    assert report.began == report.number == 3


def test_a_pipeline_that_is_not_watched_says_what_to_add(pumps: Watched) -> None:
    pumps.declare(watch=None)
    with pytest.raises(DeclarationError, match=r"nothing is declared to be watched; add `watch"):
        pumps.look(1)


def test_without_a_champion_there_is_nothing_to_look_at(pumps: Watched) -> None:
    from dataclasses import replace

    from factory_assets.monitoring.monitor import monitor

    other = replace(pumps.pipeline, name="others")
    with pytest.raises(ModelError, match="'others' has no champion yet"):
        monitor(other, pumps.home)
