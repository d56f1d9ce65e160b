"""The losses of a version's answers, in the order in which their outcomes came.

By these a roll-out is judged; how, belongs in `execution.rollout_evidence`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from factory_assets.ml.artifacts.trained_model import DESCRIPTION
from factory_resources.home.home import Home
from factory_resources.outcomes.engines import has_outcomes, open_outcomes
from factory_resources.outcomes.store import KnownRow
from factory_resources.prediction_log.ids import first_id_at, parse, request_of
from factory_resources.prediction_log.logged_rows import logged_outputs
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.record import PredictionRecord, decode
from factory_resources.tracking.registry import Registry

_WIDE = 2.0
"""Standard deviations of the target from which on an error of a number is a loss of 1."""


class LabelledAnswers:
    """Returns losses from 0 to 1; those that it returned before come first again, as they were.

    It is used by one thread, and reads anew only when an outcome came.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._known: dict[tuple[str, int, str], dict[bytes, float]] = {}
        self._read_until: dict[tuple[str, int, str], int] = {}

    def __call__(self, pipeline: str, version: int, since: str) -> Sequence[float]:
        """Return the losses of a version's answers, and of what it computed as a shadow.

        Args:
            since: answers that are older do not count: UTC, ISO 8601.

        Raises:
            StorageError: a database cannot be read.
        """
        key = pipeline, version, since
        losses = self._known.setdefault(key, {})
        if not has_outcomes(self._home):
            return []
        with open_outcomes(self._home) as outcomes:
            last = outcomes.last_number()
            if last == self._read_until.get(key, 0):
                return [*losses.values()]
            first = first_id_at(datetime.fromisoformat(since))
            known = outcomes.known_rows(pipeline, last, since=first)
            rows = [row for row in known if row.id not in losses]
        target = _target(pipeline, version, self._home)
        with PredictionLog(self._home) as log:
            outputs = _outputs(log, rows, pipeline, version)
        for row in rows:
            if row.id in outputs:
                losses[row.id] = _loss(outputs[row.id], json.loads(row.value), target)
        # What a shadow computed may be stored later than the outcome.
        if len(outputs) == len(rows):
            self._read_until[key] = last
        return [*losses.values()]


def _target(pipeline: str, version: int, home: Home) -> Mapping[str, Any]:
    file = Registry(home).version(pipeline, version).files / DESCRIPTION
    found: Mapping[str, Any] = json.loads(file.read_bytes())["target"]
    return found


def _outputs(
    log: PredictionLog, rows: Sequence[KnownRow], pipeline: str, version: int
) -> dict[bytes, Any]:
    """Return what the version answered, or computed as a shadow, by the ids of the rows."""
    numbers: dict[bytes, list[tuple[int, bytes]]] = {}
    for row in rows:
        request, number = request_of(row.id)
        numbers.setdefault(request, []).append((number, row.id))
    found: dict[bytes, Any] = {}
    for request, record in _records(log, numbers.keys(), pipeline, version):
        outputs = logged_outputs(record)
        found |= {name: outputs[row] for row, name in numbers[request] if row in outputs}
    return found


def _records(
    log: PredictionLog, requests: Collection[bytes], pipeline: str, version: int
) -> list[tuple[bytes, PredictionRecord]]:
    """Return the records of a version that answer these requests, or shadow their answers."""
    answers = [
        (request, record)
        for request, record in log.records(requests)
        if record.version == version and record.kind == "answer"
    ]
    if answers or not requests:
        return answers
    shadows = map(decode, log.database.shadows(pipeline, version, min(requests)))
    named = [
        (parse(json.loads(record.output)["shadow_of"]), record)
        for record in shadows
        if record.kind == "shadow" and record.status == 200
    ]
    return [(request, record) for request, record in named if request in requests]


def _loss(output: Any, truth: Any, target: Mapping[str, Any]) -> float:
    """Return the probability of the other classes, or the error of a number."""
    if not target["classes"]:
        return min(1.0, float(abs(output - truth) / (_WIDE * target["sd"])))
    shares: Mapping[str, float] = dict(zip(target["classes"], output, strict=True))
    # A class that the model does not know has no probability.
    return 1.0 - shares.get(str(truth), 0.0)
