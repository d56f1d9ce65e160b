"""The losses of a version's answers, in the order in which their outcomes came.

By these a roll-out is judged; how, belongs in `execution.rollout_evidence`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from factory_assets.ml.artifacts.trained_model import DESCRIPTION
from factory_resources.home.home import Home
from factory_resources.outcomes.engines import has_outcomes, open_outcomes
from factory_resources.outcomes.outcome import Outcome
from factory_resources.prediction_log.ids import first_id_at, parse, request_of, time_of
from factory_resources.prediction_log.logged_rows import logged_outputs
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.record import PredictionRecord, decode
from factory_resources.tracking.registry import Registry

_WIDE = 2.0
"""Standard deviations of the target from which on an error of a number is a loss of 1."""

_TOGETHER = 500
"""Outcomes whose answers are looked up at once."""

_STORED = 300_000_000
"""Microseconds after an answer within which what a shadow computed for it is stored, or never."""

_CLOCKS = 60_000_000
"""Microseconds by which the clocks of servers may differ."""


@dataclass
class _Judged:
    """The losses of one version so far."""

    until: int
    """The number of the last outcome that is among them, or is about no answer of the version."""
    losses: list[float] = field(default_factory=list)
    seen: set[bytes] = field(default_factory=set)
    """The rows with an outcome so far: only the first one of each counts."""
    answers: bool = False
    """Whether callers get its answers: then it computes none as a shadow."""


class LabelledAnswers:
    """Returns losses from 0 to 1; those that it returned before come first again, as they were.

    Every process returns the same ones in the same order: those of the first outcome of each row,
    in the order in which these were recorded, up to the first one whose answer cannot be read yet.
    It is used by one thread, and reads each outcome once.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._known: dict[tuple[str, int, str], _Judged] = {}
        self._alike: dict[tuple[str, int, int], bool] = {}

    def __call__(
        self, pipeline: str, versions: tuple[int, int], since: str
    ) -> tuple[Sequence[float], Sequence[float]]:
        """Return the losses of two versions' answers, and of what they computed as a shadow.

        There are none if the versions predict different things, as after a change of the target:
        what turned out to be true of an answer says nothing of the other version.

        Args:
            since: answers that are older do not count: UTC, ISO 8601.

        Raises:
            StorageError: a database cannot be read.
        """
        first, second = versions
        if not has_outcomes(self._home) or not self._are_alike(pipeline, first, second):
            return [], []
        return self._losses(pipeline, first, since), self._losses(pipeline, second, since)

    def _are_alike(self, pipeline: str, first: int, second: int) -> bool:
        key = pipeline, first, second
        if key not in self._alike:
            one, other = (_target(pipeline, version, self._home) for version in (first, second))
            both_numbers_or_classes = bool(one["classes"]) == bool(other["classes"])
            self._alike[key] = one["column"] == other["column"] and both_numbers_or_classes
        return self._alike[key]

    def _losses(self, pipeline: str, version: int, since: str) -> Sequence[float]:
        key, began = (pipeline, version, since), datetime.fromisoformat(since)
        with open_outcomes(self._home) as outcomes:
            if key not in self._known:
                before = int(began.timestamp() * 1e6) - _CLOCKS
                self._known[key] = _Judged(outcomes.last_number(before))
            judged = self._known[key]
            mine = _Version(pipeline, version, first_id_at(began), self._home)
            while part := [*outcomes.from_number(judged.until + 1, _TOGETHER)]:
                if not mine.judge(part, judged):
                    break
        return [*judged.losses]


@dataclass(frozen=True)
class _Version:
    """A version whose answers are judged."""

    pipeline: str
    version: int
    first: bytes
    """No answer that counts has a smaller id."""
    home: Home

    def judge(self, part: Sequence[Outcome], judged: _Judged) -> bool:
        """Add the losses of outcomes; return False at the first whose answer cannot be read yet."""
        requests = {request_of(one.id)[0] for one in part if self._counts(one)}
        with PredictionLog(self.home) as log:
            records = dict(log.records(requests))
            own = {request: one for request, one in records.items() if self._is_own(one)}
            judged.answers |= bool(own)
            outputs = {request: logged_outputs(one) for request, one in own.items()}
            if records and not judged.answers:
                outputs = self._shadows(log, records.keys())
        target = _target(self.pipeline, self.version, self.home)
        for one in part:
            request, row = request_of(one.id)
            if self._counts(one) and one.id not in judged.seen:
                if request not in outputs and self._may_come(request, records, judged):
                    return False
                judged.seen.add(one.id)
                if row in (found := outputs.get(request, {})):
                    judged.losses.append(_loss(found[row], json.loads(one.value), target))
            judged.until = one.number
        return True

    def _counts(self, one: Outcome) -> bool:
        return one.pipeline == self.pipeline and one.id >= self.first

    def _is_own(self, record: PredictionRecord) -> bool:
        return record.version == self.version and record.kind == "answer"

    def _may_come(
        self, request: bytes, records: Mapping[bytes, PredictionRecord], judged: _Judged
    ) -> bool:
        """Whether an answer, or what the version computed as a shadow, may be stored later."""
        if time.time_ns() // 1000 > time_of(request) + _STORED:
            return False
        # A champion is never the shadow of a version that came later.
        return request not in records or (
            not judged.answers and records[request].version < self.version
        )

    def _shadows(
        self, log: PredictionLog, requests: Collection[bytes]
    ) -> dict[bytes, dict[int, Any]]:
        """Return what it computed as a shadow for these requests; nothing where it failed."""
        found: dict[bytes, dict[int, Any]] = {}
        for content in log.database.shadows(self.pipeline, self.version, min(requests)):
            record = decode(content)
            if record.kind != "shadow":
                continue
            request = parse(json.loads(record.output)["shadow_of"])
            if request in requests:
                found[request] = logged_outputs(record) if record.status == 200 else {}
        return found


def _target(pipeline: str, version: int, home: Home) -> Mapping[str, Any]:
    file = Registry(home).version(pipeline, version).files / DESCRIPTION
    found: Mapping[str, Any] = json.loads(file.read_bytes())["target"]
    return found


def _loss(output: Any, truth: Any, target: Mapping[str, Any]) -> float:
    """Return the probability of the other classes, or the error of a number."""
    if not target["classes"]:
        return min(1.0, float(abs(output - truth) / (_WIDE * target["sd"])))
    shares: Mapping[str, float] = dict(zip(target["classes"], output, strict=True))
    # A class that the model does not know has no probability. The votes of a forest, which the
    # graph adds up in 32 bits, may be a little more than one.
    return min(1.0, max(0.0, 1.0 - shares.get(str(truth), 0.0)))
