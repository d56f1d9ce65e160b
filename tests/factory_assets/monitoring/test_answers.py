"""Answers are sampled row by row, and logged values are read as those of training."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.monitoring import answers
from factory_assets.monitoring.answers import count_answers
from factory_assets.monitoring.watched import WatchedInput, WatchedInputs
from factory_resources.home.home import Home
from factory_resources.prediction_log.protection import Protection


def test_each_row_is_drawn_with_the_same_probability(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "SAMPLE", 20)
    requests = [(b"a", 1), (b"b", 0), (b"c", 60), (b"d", 39)]
    drawn: Counter[tuple[bytes, int]] = Counter()
    for seed in range(2_000):
        rows = answers._draw(requests, seed)
        assert sum(map(len, rows.values())) == 20
        drawn.update((request, row) for request, found in rows.items() for row in found)
    assert len(drawn) == 100
    assert b"b" not in {request for request, _ in drawn}
    counts = np.array([*drawn.values()])
    # 400 are expected; 6 standard deviations are 107.
    assert abs(counts - 400).max() < 107


def test_few_rows_are_all_read() -> None:
    assert answers._draw([(b"a", 2), (b"b", 1)], 0) == {b"a": [0, 1], b"b": [0]}
    assert answers._draw([], 0) == {}


def test_requests_are_counted_with_those_that_were_refused() -> None:
    ids = [(1_000).to_bytes(6, "big") + bytes(10), (5_000).to_bytes(6, "big") + bytes(10)]
    counts = count_answers([(ids[0], 3), (ids[1], 0)])
    assert (counts.requests, counts.refused, counts.rows) == (2, 1, 3)
    assert (counts.first, counts.last) == (1_000, 5_000)
    assert count_answers([]).first is None


INPUTS = WatchedInputs(
    (
        WatchedInput("heat", "Heat [K]", "number", frozenset({"0", "?"})),
        WatchedInput("open", "open", "number", frozenset()),
        WatchedInput("colour", "colour", "category", frozenset({"?"})),
    ),
    hidden=(),
    protection=None,
)


def test_logged_values_become_those_of_training() -> None:
    logged = [
        [51, True, "red"],
        ["51.5", "false", " red "],
        [0, None, "?"],
        ["0.0", 1, ""],
        [" ? ", "1", None],
    ]
    table = INPUTS.table([INPUTS.read(row, 0) for row in logged])
    assert table["heat"].to_pylist() == [51.0, 51.5, None, None, None]
    assert table["open"].to_pylist() == [1.0, 0.0, None, 1.0, 1.0]
    assert table["colour"].to_pylist() == ["red", "red", None, None, None]
    training = pa.table(
        {
            "heat": pa.array([51, None]),
            "open": [True, False],
            "colour": ["red", None],
            "more": [1, 2],
        }
    )
    assert INPUTS.of_training(training).schema == table.schema
    assert INPUTS.of_training(training)["open"].to_pylist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (1e-7, "1e-7"), (1e17, "100000000000000000.0")]
)
def test_values_of_json_are_the_texts_that_ingest_reads(value: Any, text: str) -> None:
    assert INPUTS.read([None, None, value], 0) == [None, None, text]


def test_a_value_that_nobody_can_read_is_missing(home: Home) -> None:
    encrypting = replace(INPUTS, protection=Protection(home, "p", "encrypted"))
    for inputs in (INPUTS, encrypting):
        for cell in ({"commitment": "ab"}, {"encrypted": "AAAA"}, {"encrypted": 5}, {"x": 1}):
            Protection(home, "p", "encrypted").protect(1, 0)
            assert inputs.read([cell, True, "red"], 0) == [None, 1.0, "red"]


def test_a_number_is_read_as_the_served_model_reads_it() -> None:
    texts = ("+-7", " 7 ", "1_000", "1e400", "7,5", "half")
    read = [INPUTS.read([text, None, None], 0)[0] for text in texts]
    assert read == [-7.0, 7.0, None, None, None, None]
