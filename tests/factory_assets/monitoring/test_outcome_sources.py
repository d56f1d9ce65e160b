"""Outcomes come from a declared table, once, and say how well the model really does."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from factory_assets.cli.status.reading import read_status
from factory_assets.monitoring import outcome_sources
from factory_assets.monitoring.labelled import LabelledAnswers
from factory_assets.monitoring.reasons import TrainingReasons
from factory_assets.monitoring.watching import watch_once
from factory_resources.home.home import Home
from factory_resources.outcomes.summary import outcome_summary
from factory_resources.prediction_log.ids import parse
from tests.factory_resources.outcomes.samples import add, feedback
from tests.watched import Watched, rows

pytestmark = pytest.mark.slow


def outcomes_of(
    answers: list[dict[str, Any]], asked: list[dict[str, Any]]
) -> list[tuple[str, str]]:
    return [(answer["id"], str(row["failed"])) for answer, row in zip(answers, asked, strict=True)]


@pytest.fixture
def database(pumps: Watched) -> sqlite3.Connection:
    """A table of the workshop, which the pipeline declares."""
    file = pumps.folder / "workshop.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE repairs (answer TEXT, broken TEXT)")
    source = {"database": f"sqlite:///{file}", "table": "repairs"}
    outcomes = {"source": source, "id": "answer", "outcome": "broken"}
    retrain = {"after": ["outcomes"], "outcomes": 200}
    pumps.declare(watch={"outcomes": outcomes, "retrain": retrain})
    return connection


def test_a_table_brings_outcomes_once(pumps: Watched, database: sqlite3.Connection) -> None:
    asked = rows(300, 5)
    found = outcomes_of(pumps.answer(asked), asked)
    for day, part in enumerate((found[:100], found[100:], []), start=1):
        database.executemany("INSERT INTO repairs VALUES (?, ?)", part)
        database.commit()
        later = datetime.now(UTC) + timedelta(days=day)
        seen = watch_once(pumps.pipeline, pumps.home, later)
        assert seen.problems == ()
        assert seen.report.real is not None
        assert seen.report.real.labelled == min(300, 100 + 200 * (day - 1))
    summary = outcome_summary(pumps.home, "pumps")
    # The second reading of the table brings the first rows again.
    assert (summary.with_outcome, summary.repeated, summary.refused) == (300, 100, 0)
    assert seen.report.real.metrics["roc_auc"].value > 0.9
    assert not seen.report.has("performance")
    assert TrainingReasons(pumps.pipeline, pumps.home)() == {"outcomes-v1-1": "300 new outcomes"}


def test_the_reasons_to_train_count_each_outcome_once(pumps: Watched) -> None:
    pumps.declare(watch={"retrain": {"after": ["outcomes"], "outcomes": 200}})
    reasons = TrainingReasons(pumps.pipeline, pumps.home)
    answers = pumps.answer(rows(450, 8))
    sent = [feedback(parse(one["id"]), '"1"', pipeline="pumps") for one in answers]
    assert reasons() == {}
    add(pumps.home, sent[:150])
    assert reasons() == {}
    add(pumps.home, sent[150:250])
    assert reasons() == {"outcomes-v1-1": "250 new outcomes"}
    corrected = [feedback(one.id, '"0"', pipeline="pumps") for one in sent[:100]]
    assert add(pumps.home, corrected) == ["corrected"] * 100
    assert reasons() == {"outcomes-v1-1": "250 new outcomes"}
    with sqlite3.connect(pumps.home.path / "outcomes.db") as outcomes:
        outcomes.execute("UPDATE outcome SET pipeline = 'others' WHERE number <= 150")
    add(pumps.home, sent[250:])
    # What was counted is not read again, but by a new process.
    assert reasons() == {"outcomes-v1-2": "450 new outcomes"}
    assert TrainingReasons(pumps.pipeline, pumps.home)() != reasons()


def test_wrong_rows_are_told_and_the_others_count(
    pumps: Watched, database: sqlite3.Connection
) -> None:
    asked = rows(20, 6)
    [good, bad, *_] = outcomes_of(pumps.answer(asked), asked)
    database.executemany(
        "INSERT INTO repairs VALUES (?, ?)", [good, (bad[0], "perhaps"), ("no id", "1")]
    )
    database.commit()
    seen = watch_once(pumps.pipeline, pumps.home)
    [problem] = seen.problems
    assert "2 rows" in problem
    assert seen.report.real is not None
    assert seen.report.real.labelled == 1
    # The next look tells it as well, and reads no row again, until the table is corrected.
    assert watch_once(pumps.pipeline, pumps.home).problems == seen.problems
    assert outcome_summary(pumps.home, "pumps").refused == 2
    database.execute("DELETE FROM repairs WHERE answer = 'no id' OR broken = 'perhaps'")
    database.commit()
    assert watch_once(pumps.pipeline, pumps.home).problems == ()


def test_a_source_is_read_again_once_other_columns_are_declared_or_its_answers_came(
    pumps: Watched,
) -> None:
    asked = rows(5, 6)
    lines = [f"{i},{a},{b}" for i, (a, b) in enumerate(outcomes_of(pumps.answer(asked), asked))]
    file = pumps.folder / "outcomes.csv"
    file.write_text("\n".join(("number,answer,outcome", *lines)) + "\n")
    source = {"source": {"files": "outcomes.csv"}}
    pumps.declare(watch={"outcomes": {**source, "id": "number"}})
    [problem] = watch_once(pumps.pipeline, pumps.home).problems
    assert "5 rows" in problem
    pumps.declare(watch={"outcomes": {**source, "id": "answer"}})
    assert watch_once(pumps.pipeline, pumps.home).problems == ()
    assert outcome_summary(pumps.home, "pumps").with_outcome == 5
    # The outcomes of a pack may come before its answers are brought home.
    late = rows(3, 7)
    file.write_text("wear,outcome\n" + "".join(f"{r['wear']},{r['failed']}\n" for r in late))
    pumps.declare(watch={"outcomes": {**source, "key": "wear"}})
    for _ in range(2):
        [problem] = watch_once(pumps.pipeline, pumps.home).problems
        assert problem.startswith("outcomes: 3 rows of outcomes.csv: row 1: no answer before it")
    assert outcome_summary(pumps.home, "pumps").refused == 5 + 3
    pumps.answer(late)
    assert watch_once(pumps.pipeline, pumps.home).problems == ()
    assert outcome_summary(pumps.home, "pumps").with_outcome == 5 + 3


def test_a_table_that_is_gone_does_not_keep_anybody_from_looking(
    pumps: Watched, database: sqlite3.Connection
) -> None:
    database.execute("DROP TABLE repairs")
    database.commit()
    pumps.answer(rows(30, 7))
    seen = watch_once(pumps.pipeline, pumps.home)
    assert "outcomes: " in seen.problems[0]
    assert seen.report.rows == 30


def test_a_wrong_file_is_named_in_the_status_and_does_not_keep_back_the_others(
    pumps: Watched,
) -> None:
    pumps.declare(watch={"outcomes": {"source": {"files": "found/*.csv"}}})
    found = pumps.folder / "found"
    found.mkdir()
    asked = rows(20, 6)
    known = outcomes_of(pumps.answer(asked), asked)
    (found / "a.csv").write_text("number,broken\n1,0\n")
    (found / "aa.csv").write_bytes(b'id,outcome\n1,"0\n\xff')
    (found / "b.csv").write_text("id,outcome\n" + "".join(f"{a},{b}\n" for a, b in known))
    seen = watch_once(pumps.pipeline, pumps.home)
    problem, unreadable = seen.problems
    assert unreadable.startswith("outcomes: found/aa.csv:")
    assert problem.startswith("outcomes: found/a.csv: there is no column 'outcome'; say which one")
    assert seen.report.real is not None
    assert seen.report.real.labelled == 20
    needs = read_status(pumps.home, datetime.now(UTC)).needs
    assert ("pumps", "outcomes not recorded", (problem, unreadable)) in [
        (one.pipeline, one.what, one.details) for one in needs
    ]
    (found / "a.csv").unlink()
    (found / "aa.csv").unlink()
    assert watch_once(pumps.pipeline, pumps.home).problems == ()
    needs = read_status(pumps.home, datetime.now(UTC)).needs
    assert "outcomes not recorded" not in [one.what for one in needs]


def test_what_was_read_is_stored_once_a_look_without_files_that_are_gone(
    pumps: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    pumps.declare(watch={"outcomes": {"source": {"files": "found/*.csv"}}})
    folder, stored = pumps.folder / "found", list[int]()
    folder.mkdir()
    asked = rows(9, 6)
    for i, (a, b) in enumerate(outcomes_of(pumps.answer(asked), asked)):
        (folder / f"{i}.csv").write_text(f"id,outcome\n{a},{b}\n")
    write = Home.write_atomic

    def counted(home: Home, path: Path, content: bytes) -> None:
        if path.name == "outcome_sources.json":
            stored.append(len(json.loads(content)))
        write(home, path, content)

    def interrupted(*arguments: Any) -> Any:
        if arguments[2].name == "found/4.csv":
            raise KeyboardInterrupt
        return record(*arguments)

    record = outcome_sources._record
    monkeypatch.setattr(Home, "write_atomic", counted)
    with monkeypatch.context() as patch:
        patch.setattr(outcome_sources, "_record", interrupted)
        with pytest.raises(KeyboardInterrupt):
            watch_once(pumps.pipeline, pumps.home)
    assert watch_once(pumps.pipeline, pumps.home).problems == ()
    (folder / "0.csv").unlink()
    for _ in range(2):
        watch_once(pumps.pipeline, pumps.home)
    assert stored == [4, 9, 8]
    summary = outcome_summary(pumps.home, "pumps")
    assert (summary.with_outcome, summary.repeated) == (9, 0)


def test_a_version_that_is_worse_than_on_its_test_rows_is_an_alarm(
    pumps: Watched, database: sqlite3.Connection
) -> None:
    asked = rows(400, 8)
    found = outcomes_of(pumps.answer(asked), asked)
    # The same inputs, and half of the outcomes are others than they were: nothing else shows it.
    turned = [
        (identifier, str(1 - int(value)) if i % 2 else value)
        for i, (identifier, value) in enumerate(found)
    ]
    database.executemany("INSERT INTO repairs VALUES (?, ?)", turned)
    database.commit()
    # Outcomes of the last seconds are not compared yet: the next look does, also if nothing came.
    seen = watch_once(pumps.pipeline, pumps.home)
    assert seen.report.alarms == ()
    seen = watch_once(pumps.pipeline, pumps.home, datetime.now(UTC) + timedelta(days=1))
    assert [alarm.kind for alarm in seen.report.alarms] == ["performance"]
    assert "worse on 400 answers with outcomes than on the test rows" in seen.report.alarms[0].what
    # How much worse is allowed, is what is declared now.
    pumps.declare(watch={"worse": 0.9})
    pumps.answer(rows(30, 9))
    seen = watch_once(pumps.pipeline, pumps.home, datetime.now(UTC) + timedelta(days=2))
    assert seen.report.alarms == ()


def test_losses_come_in_the_order_of_the_outcomes_and_stay(
    pumps: Watched, database: sqlite3.Connection
) -> None:
    asked = rows(40, 9)
    answers = pumps.answer(asked)
    found = outcomes_of(answers, asked)
    labelled = LabelledAnswers(pumps.home)
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert labelled("pumps", (1, 1), since)[0] == []
    seen: list[float] = []
    for part in (found[30:], found[:30]):
        database.executemany("INSERT INTO repairs VALUES (?, ?)", part)
        database.commit()
        watch_once(pumps.pipeline, pumps.home)
        losses = [*labelled("pumps", (1, 1), since)[0]]
        assert losses[: len(seen)] == seen
        seen = losses
    shares = {answer["id"]: answer for answer in answers}
    expected = [1 - shares[identifier][f"p_{value}"] for identifier, value in found[30:]]
    assert sorted(seen[:10]) == pytest.approx(sorted(expected))
    assert len(seen) == 40
