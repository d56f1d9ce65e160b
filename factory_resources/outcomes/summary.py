"""Summarise the outcomes of a pipeline: how many are missing, late, corrected or contradictory.

Recording outcomes belongs in `store`.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.outcomes.engines import open_outcomes
from factory_resources.outcomes.store import OutcomeStore
from factory_resources.prediction_log.ids import first_id_at, time_of
from factory_resources.prediction_log.prediction_log import PredictionLog

AGE = timedelta(days=7)
"""The default age from which an answer without an outcome counts as missing one."""


@dataclass(frozen=True)
class OutcomeSummary:
    """The outcomes of the answers of a pipeline since a day."""

    answers: int
    """Rows that were answered."""
    with_outcome: int
    missing: int
    """Rows that are older than a given age and have no outcome."""
    median_delay: float | None
    """Seconds from an answer until its first outcome was recorded; None if there is none."""
    late_delay: float | None
    """The 95th percentile of the same."""
    corrected: int
    """Outcomes that replaced an earlier one."""
    contradicting: int
    """Rows for which different senders sent different values."""
    repeated: int
    """Outcomes that were sent again since that day."""
    refused: int
    """Outcomes of the pipeline that could not be recorded since that day."""


def outcome_summary(
    home: Home, pipeline: str, since: date | None = None, *, age: timedelta = AGE
) -> OutcomeSummary:
    """Count the outcomes of answers since a day, in UTC; None for all that are on record.

    Args:
        age: from which on an answer without an outcome is missing one.

    Raises:
        StorageError: a database cannot be read.
    """
    now = datetime.now(UTC)
    start = datetime(since.year, since.month, since.day, tzinfo=UTC) if since else None
    first = first_id_at(start) if start else bytes(16)
    old, last = max(first, first_id_at(now - age)), first_id_at(now + timedelta(days=1))
    with PredictionLog(home) as log:
        answers_old = log.count_rows(pipeline, first, old)
        answers = answers_old + log.count_rows(pipeline, old, last)
    with open_outcomes(home) as store, storage_faults(home):
        known = _count(store, pipeline, first, last)
        known_old = _count(store, pipeline, first, old)
        median, late = _delays(store, pipeline, first)
        counted = _counted(store, pipeline, since)
        return OutcomeSummary(
            answers=answers,
            with_outcome=known,
            # Answers may have been removed whose outcomes are here.
            missing=max(0, answers_old - known_old),
            median_delay=median,
            late_delay=late,
            corrected=_corrected(store, pipeline, first),
            contradicting=_contradicting(store, pipeline, first),
            repeated=counted.get("repeated", 0),
            refused=counted.get("refused", 0),
        )


def _count(store: OutcomeStore, pipeline: str, first: bytes, stop: bytes) -> int:
    query = "SELECT count(DISTINCT id) FROM outcome WHERE pipeline = ? AND id >= ? AND id < ?"
    return int(store.database.run(query, [pipeline, first, stop])[0][0])


def _corrected(store: OutcomeStore, pipeline: str, first: bytes) -> int:
    query = "SELECT count(*) - count(DISTINCT id) FROM outcome WHERE pipeline = ? AND id >= ?"
    return int(store.database.run(query, [pipeline, first])[0][0])


def _contradicting(store: OutcomeStore, pipeline: str, first: bytes) -> int:
    # An outcome with the value of the one before it is not recorded.
    query = (
        "SELECT count(*) FROM (SELECT id FROM outcome WHERE pipeline = ? AND id >= ? GROUP BY id "
        "HAVING count(DISTINCT source || ' ' || caller) > 1) AS rows"
    )
    return int(store.database.run(query, [pipeline, first])[0][0])


def _delays(
    store: OutcomeStore, pipeline: str, first: bytes
) -> tuple[float, float] | tuple[None, None]:
    import numpy as np

    query = (
        "SELECT id, recorded FROM outcome WHERE number IN "
        "(SELECT min(number) FROM outcome WHERE pipeline = ? AND id >= ? GROUP BY id)"
    )
    delays = np.array(
        [
            recorded - time_of(identifier)
            for rows in store.database.batches(query, [pipeline, first])
            for identifier, recorded in rows
        ],
        dtype=np.float64,
    )
    if not len(delays):
        return None, None
    median, late = np.percentile(np.maximum(delays, 0), [50, 95]) / 1e6
    return float(median), float(late)


def _counted(store: OutcomeStore, pipeline: str, since: date | None) -> dict[str, int]:
    query = (
        "SELECT kind, sum(number) FROM feedback_count WHERE pipeline = ? AND day >= ? GROUP BY kind"
    )
    day = since.isoformat() if since else ""
    return {kind: int(number) for kind, number in store.database.run(query, [pipeline, day])}
