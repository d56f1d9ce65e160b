"""The benchmarks of many rows, run on few: all sides start, and keep the same rows."""

import pytest

from benchmarks import (
    cleaning,
    csv_ingest,
    migration,
    portfolio,
    prediction_log,
    streaming,
    throughput,
    tracing,
    wide_table,
)


@pytest.mark.slow
def test_cleaning_and_csv_ingest_keep_the_same_rows_on_every_side() -> None:
    rows = 20_000
    (cleaned,) = cleaning.run(rows)
    assert cleaned.name == "cleaning 20,000 rows"
    assert "pandas" in cleaned.measured
    (ingested,) = csv_ingest.run(rows)
    assert ingested.name == "CSV of 20,000 rows ingested"


@pytest.mark.long
@pytest.mark.slow
def test_a_wide_table_is_drafted_and_trained_on_every_side() -> None:
    drafted, trained = wide_table.run(40)
    assert drafted.name == "table of 40 columns drafted"
    assert trained.name == "table of 40 columns run to its evaluation"
    assert "of plain" in trained.measured


@pytest.mark.long
@pytest.mark.slow
def test_throughput_trains_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "ROUNDS", 1)
    mlp, tabm, cnn = throughput.run(4_000)
    assert mlp.name == "training an MLP 64-64, 4,000 rows"
    assert tabm.name == "training a TabM 64-64, 200 rows"
    assert cnn.name == "training a CNN over pictures of 128 x 128, 200 rows"
    assert all("rows per CPU s" in one.measured for one in (mlp, tabm, cnn))


@pytest.mark.slow
def test_the_prediction_log_is_measured_in_every_place() -> None:
    results = prediction_log.run(2_000)
    assert [result.name.partition(",")[0] for result in results] == [
        "append and flush",
        "collecting 2",
        "collecting 2",
        "look-up while recent",
        "2",
        "look-up in the archive",
        "2",
    ]


@pytest.mark.long
@pytest.mark.slow
def test_traces_among_answers_find_all_that_were_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "TRACED", 5)
    results = tracing.run(2_000)
    assert [result.name for result in results] == [
        "back from one among 2,000 answers",
        "back from one among 2,000 answers, every file read",
        "forward from one row among 2,000 answers",
    ]


@pytest.mark.long
@pytest.mark.slow
def test_streaming_trains_on_rows_in_files() -> None:
    (trained,) = streaming.run(3_000)
    assert trained.name == "training on 3,000 rows (0.0 GB), one epoch"
    assert "ROC AUC" in trained.measured


@pytest.mark.long
@pytest.mark.slow
def test_a_portfolio_and_its_members_answer_a_row() -> None:
    trained, answered = portfolio.run(500)
    assert trained.name.startswith("auto on 500 rows x 30 columns")
    assert "of 6 members kept" in trained.measured
    assert " ms to " in answered.measured


@pytest.mark.long
@pytest.mark.slow
def test_a_migration_carries_answers_and_events_of_runs_there_and_back() -> None:
    results = [*migration.measure(answers=500, runs=4)]
    assert [result.name for result in results] == [
        "500 answers to PostgreSQL, compared",
        "500 answers to files, compared",
        "300 events to PostgreSQL, compared",
        "300 events to files, compared",
    ]
