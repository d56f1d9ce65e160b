"""How long logged answers took. What is in a record belongs in the prediction log."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from math import sqrt
from typing import Literal

from factory_assets.audit.cost.growth import CostRange
from factory_resources.home.home import Home
from factory_resources.prediction_log.engines import has_store
from factory_resources.prediction_log.ids import first_id_at
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.record import PredictionRecord

_READ = 5_000
"""Requests that are read at most."""

_DAYS = (1, 7, 30, 365)

_NOISE = 0.1
"""The smallest relative error."""


@dataclass(frozen=True)
class AnswerTimes:
    """How long the answers of requests, or of whole files, took."""

    by: Literal["requests", "files"]
    requests: int
    rows: int
    seconds_per_row: CostRange


def answer_times(pipeline: str, home: Home, now: datetime) -> list[AnswerTimes]:
    """Return the times of the newest logged answers; nothing if nothing was answered.

    Answers of packs, errors, and what shadows computed are left out.

    Raises:
        StorageError: a record cannot be read.
    """
    records = _newest(pipeline, home, now)
    requests = [(one.duration, one.rows) for one in records if one.protocol not in {"file", "edge"}]
    # The parts of a file each have the time that the whole file took.
    files: dict[tuple[int, int], int] = {}
    for one in records:
        if one.protocol == "file":
            files[one.time, one.duration] = files.get((one.time, one.duration), 0) + one.rows
    whole = [(duration, rows) for (_, duration), rows in files.items()]
    return [
        *_times("requests", requests),
        *_times("files", whole),
    ]


def _newest(pipeline: str, home: Home, now: datetime) -> list[PredictionRecord]:
    """Return the answers of the shortest period that has enough of them, else those of a year."""
    found: list[PredictionRecord] = []
    if not has_store(home):
        return found
    with PredictionLog(home) as log:
        for days in _DAYS:
            first = first_id_at(now.astimezone(UTC) - timedelta(days=days))
            every = (one for _, one in log.every(pipeline, first))
            answers = (one for one in every if one.kind == "answer" and one.rows)
            found = [*islice(answers, _READ)]
            if len(found) == _READ:
                break
    return found


def _times(
    by: Literal["requests", "files"], measured: Iterable[tuple[int, int]]
) -> list[AnswerTimes]:
    every = [*measured]
    rows = sum(count for _, count in every)
    if not rows:
        return []
    mean = sum(duration for duration, _ in every) / rows
    error = max(_NOISE, 2 * _standard_error(every, mean) / mean) if mean else 0.0
    value = mean / 1e6
    spread = CostRange(value, value / (1 + error), value * (1 + error))
    return [AnswerTimes(by, len(every), rows, spread)]


def _standard_error(measured: list[tuple[int, int]], mean: float) -> float:
    """Return the standard error of a ratio of means; of one measurement, half the mean.

    Cochran, Sampling Techniques (1977), section 2.11.
    """
    count, rows = len(measured), sum(count for _, count in measured)
    if count == 1:
        return mean / 2
    squares = sum((duration - mean * number) ** 2 for duration, number in measured)
    return sqrt(squares / (count - 1) * count) / rows
