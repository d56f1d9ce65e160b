"""The losses of a version come in one order, whoever asks; each outcome is read once."""

import json
import time
from collections.abc import Collection, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest

from factory_assets.monitoring import labelled
from factory_assets.monitoring.labelled import LabelledAnswers
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.outcomes.engines import open_outcomes
from factory_resources.prediction_log.ids import PredictionIds, text
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.record import PredictionRecord, encode
from tests.factory_resources.outcomes.samples import add, feedback

SINCE = (datetime.now(UTC) - timedelta(hours=1)).isoformat()


@pytest.fixture(autouse=True)
def classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every version knows the classes 0 and 1."""
    monkeypatch.setattr(labelled, "_target", lambda *_: {"column": "y", "classes": ["0", "1"]})


class Answers:
    """A log to which answers are written."""

    def __init__(self, home: Home) -> None:
        self._home, self._ids = home, PredictionIds()

    def take(self) -> bytes:
        return self._ids.take()

    def write(
        self, request: bytes, version: int, loss: float, *, shadow_of: bytes | None = None
    ) -> None:
        """Log the answer to one row, which has this loss if its class is 1."""
        kind: Literal["answer", "shadow"] = "shadow" if shadow_of else "answer"
        output: dict[str, Any] = {"predictions": ["1"], "probabilities": [[loss, 1 - loss]]}
        if shadow_of:
            output["shadow_of"] = text(shadow_of)
        record = PredictionRecord(
            time=time.time_ns() // 1000,
            duration=1,
            pipeline="p",
            version=version,
            caller="",
            protocol="plain",
            kind=kind,
            status=200,
            rows=0 if shadow_of else 1,
            input=b"[{}]",
            output=json.dumps(output).encode(),
        )
        with PredictionLog(self._home) as log:
            with closing(log.journal()) as journal:
                journal.append(request, encode(record))
                journal.flush()
            log.collect()

    def new(self, version: int, loss: float) -> bytes:
        request = self.take()
        self.write(request, version, loss)
        return request


@pytest.fixture
def answers(home: Home) -> Answers:
    Ledger(home).begin()
    return Answers(home)


def say(home: Home, *requests: bytes, value: str = "1") -> None:
    add(home, [feedback(one, json.dumps(value), pipeline="p") for one in requests])


def losses(home: Home, version: int) -> list[float]:
    """Return what a process gets that has not asked before."""
    return [round(loss, 6) for loss in LabelledAnswers(home)("p", (version, version), SINCE)[0]]


def test_a_correction_does_not_change_what_was_compared(answers: Answers, home: Home) -> None:
    first, second = answers.new(1, 0.25), answers.new(1, 0.125)
    say(home, second, first)
    say(home, second, value="0")
    assert losses(home, 1) == [0.125, 0.25]


def test_a_forest_whose_votes_add_up_to_more_than_one_by_rounding_has_no_negative_loss(
    answers: Answers, home: Home
) -> None:
    """Such a loss could not be compared, and the roll-out never ended."""
    sure, other = answers.new(2, -1.1920929e-07), answers.new(2, 1.0000001)
    say(home, sure, other)
    assert LabelledAnswers(home)("p", (2, 1), SINCE) == ([0.0, 1.0], [])


@pytest.mark.parametrize(
    "target", [{"column": "size", "classes": []}, {"column": "z", "classes": ["0", "1"]}]
)
def test_an_outcome_says_nothing_of_a_version_that_predicts_something_else(
    answers: Answers, home: Home, monkeypatch: pytest.MonkeyPatch, target: dict[str, Any]
) -> None:
    """After a change of the target, an outcome of the champion is no value of the new version."""
    targets = {1: {"column": "y", "classes": ["0", "1"]}, 2: target | {"sd": 1.0}}
    monkeypatch.setattr(labelled, "_target", lambda _, version, __: targets[version])
    asked = answers.new(1, 0.25)
    answers.write(answers.take(), 2, 0.125, shadow_of=asked)
    say(home, asked)
    assert LabelledAnswers(home)("p", (2, 1), SINCE) == ([], [])
    assert LabelledAnswers(home)("p", (1, 1), SINCE) == ([0.25], [0.25])


def test_what_cannot_be_read_yet_keeps_its_place(
    answers: Answers, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = answers.take()
    early = answers.new(1, 0.25)
    asked = LabelledAnswers(home)
    say(home, late, early)
    assert asked("p", (1, 2), SINCE)[0] == []
    answers.write(late, 1, 0.75)
    assert asked("p", (1, 2), SINCE)[0] == [0.75, 0.25]
    assert losses(home, 1) == [0.75, 0.25]
    # Long after, it never comes: it was removed.
    say(home, answers.take(), answers.new(1, 0.125))
    assert losses(home, 1) == [0.75, 0.25]
    monkeypatch.setattr(labelled, "_STORED", -1)
    assert losses(home, 1) == [0.75, 0.25, 0.125]


def test_what_a_shadow_computes_late_keeps_its_place(
    answers: Answers, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, dropped, two = (answers.new(1, 0.5) for _ in range(3))
    answers.write(answers.take(), 2, 0.125, shadow_of=two)
    say(home, one, dropped, two)
    assert losses(home, 1) == [0.5, 0.5, 0.5]
    assert losses(home, 2) == []
    answers.write(answers.take(), 2, 0.25, shadow_of=one)
    assert losses(home, 2) == [0.25]
    monkeypatch.setattr(labelled, "_STORED", -1)
    assert losses(home, 2) == [0.25, 0.125]


def test_in_a_canary_each_outcome_is_read_once(
    answers: Answers, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    original = PredictionLog.records

    def counted(
        log: PredictionLog, requests: Collection[bytes]
    ) -> Iterator[tuple[bytes, PredictionRecord]]:
        read.append(len(requests))
        return original(log, requests)

    monkeypatch.setattr(PredictionLog, "records", counted)
    monkeypatch.setattr(labelled, "_TOGETHER", 4)
    asked = LabelledAnswers(home)
    for _ in range(2):
        say(home, *(answers.new(version, version / 8) for version in (1, 2, 1, 1, 2)))
        for _ in range(3):
            found = asked("p", (1, 2), SINCE)
    assert found == ([0.125] * 6, [0.25] * 4)
    assert sum(read) == 2 * 10
    with open_outcomes(home) as outcomes:
        assert outcomes.last_number() == 10
